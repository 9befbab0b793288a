#include "store/lost_blocks.hpp"

#include <algorithm>
#include <cassert>
#include <functional>

#include "base/codec.hpp"
#include "base/hash.hpp"
#include "store/format.hpp"

namespace past::store {
namespace {

constexpr std::uint8_t kKind = 0;

std::size_t encoded_bytes(const LostBlock& block) { return 32 + 32 + tag_set_bytes(block.tags.size()); }

}  // namespace

const base::Guid& LostBlocks::record_key() {
    static const base::Guid kKey = base::sha256(base::as_bytes("pelago store lost blocks"));
    return kKey;
}

std::vector<const LostBlocks::Entry*> LostBlocks::in_order() const {
    std::vector<const Entry*> entries;
    entries.reserve(blocks_.size());
    for (const auto& [id, entry] : blocks_) entries.push_back(&entry);
    std::ranges::sort(entries, {}, &Entry::order);
    return entries;
}

std::vector<LostBlock> LostBlocks::all() const {
    std::vector<LostBlock> out;
    out.reserve(blocks_.size());
    for (const auto* entry : in_order()) out.push_back(entry->block);
    return out;
}

void LostBlocks::add(LostBlock block) {
    assert(!block.tags.empty());
    block.tags.resize(std::min(block.tags.size(), kMaxTags));
    erase(block.id);
    bytes_ += encoded_bytes(block);
    const auto id = block.id;
    blocks_[id] = {std::move(block), next_order_++};
    if (1 + bytes_ <= kMaxRecordBytes) return;
    std::vector<base::Guid> oldest_first;
    for (const auto* entry : in_order()) oldest_first.push_back(entry->block.id);
    for (auto oldest = oldest_first.begin(); 1 + bytes_ > kMaxRecordBytes; ++oldest) erase(*oldest);
}

void LostBlocks::erase(const base::Guid& id) {
    const auto found = blocks_.find(id);
    if (found == blocks_.end()) return;
    bytes_ -= encoded_bytes(found->second.block);
    blocks_.erase(found);
}

void LostBlocks::untag(const base::Guid& id, const Tag& tag) {
    const auto found = blocks_.find(id);
    if (found == blocks_.end()) return;
    auto& block = found->second.block;
    bytes_ -= encoded_bytes(block);
    std::erase_if(block.tags,
                  [&](const Tag& one) { return one.volume == tag.volume && one.generation <= tag.generation; });
    bytes_ += encoded_bytes(block);
    if (block.tags.empty()) erase(id);
}

base::Bytes LostBlocks::encode() const {
    if (blocks_.empty()) return {};
    base::Writer out;
    out.u8(kKind);
    for (const auto* entry : in_order()) {
        const auto& block = entry->block;
        out.guid(block.id).guid(block.group);
        write_tag_set(out, block.tags);
    }
    return out.take();
}

LostBlocks LostBlocks::decode(base::ByteView bytes) {
    LostBlocks out;
    if (bytes.empty() || bytes.size() > kMaxRecordBytes) return out;
    base::Reader in{bytes};
    if (in.u8() != kKind) in.fail();
    while (in.remaining() > 0) {
        LostBlock block;
        block.id = in.guid();
        block.group = in.guid();
        block.tags = read_tag_set(in);
        if (block.tags.size() > kMaxTags || out.contains(block.id)) in.fail();
        if (in.ok()) out.add(std::move(block));
    }
    return in.complete() ? out : LostBlocks{};
}

}  // namespace past::store
