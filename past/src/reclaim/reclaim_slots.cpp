#include "reclaim/reclaim_slots.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/codec.hpp"
#include "past/messages.hpp"

namespace past {

using base::Bytes;
using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr std::uint8_t kHead = 2;  // first byte of a record: what it holds (1 is a register)
constexpr std::uint8_t kPart = 3;
constexpr std::size_t kPartBytes = 60U << 10U;
constexpr std::uint32_t kMaxSlots = 1U << 20U;  // looked for

Guid slot_key(std::uint32_t slot) {
    base::Writer out;
    out.text("pelago reclaim slot").u32(slot);
    return base::sha256(out.view());
}

Bytes head_record(const StoredReclaim& one) {
    base::Writer out;
    out.u8(kHead).guid(one.digest).u8(one.executed ? 1 : 0).i64(one.left.count());
    out.u8(static_cast<std::uint8_t>(one.slots.size() - 1));
    return out.take();
}

Bytes part_record(const StoredReclaim& one, std::size_t index, base::ByteView whole) {
    base::Writer out;
    const auto offset = index * kPartBytes;
    const auto part = whole.subspan(offset, std::min(kPartBytes, whole.size() - offset));
    out.u8(kPart).guid(one.digest).u8(static_cast<std::uint8_t>(index)).raw(part);
    return out.take();
}

/// By their keys alone it cannot be told which slots are in use: of all records those that say so.
std::set<Guid> keys_in_use(const BlockStore& store) {
    std::set<Guid> keys;
    for (const auto& key : store.record_keys()) {
        const auto record = store.record(key);
        if (record && !record->empty() && (record->front() == kHead || record->front() == kPart)) keys.insert(key);
    }
    return keys;
}

}  // namespace

/// What was found of each reclaim, by its digest.
struct ReclaimSlots::Pieces {
    struct Of {
        std::optional<StoredReclaim> head;
        std::size_t parts = 0;
        std::map<std::uint8_t, std::pair<std::uint32_t, Bytes>> found;  // by index: slot, bytes
    };
    std::map<Guid, Of> all;
};

void ReclaimSlots::read(std::uint32_t slot, Pieces& pieces) {
    const auto record = *store_.record(slot_key(slot));
    base::Reader in{record};
    const auto kind = in.u8();
    StoredReclaim head;
    head.digest = in.guid();
    if (kind == kHead) {
        head.executed = in.u8() != 0;
        head.left = base::Duration{in.i64()};
        head.slots = {slot};
        const auto parts = in.u8();
        auto& of = pieces.all[head.digest];
        if (in.complete() && !of.head) {
            of.head = std::move(head);
            of.parts = parts;
            return;
        }
    } else {
        const auto index = in.u8();
        const auto part = in.raw(in.remaining());
        if (in.complete() && pieces.all[head.digest].found.try_emplace(index, slot, base::to_bytes(part)).second)
            return;
    }
    free_.push_back(slot);
}

std::vector<StoredReclaim> ReclaimSlots::load() {
    Pieces pieces;
    auto in_use = keys_in_use(store_);
    std::vector<std::uint32_t> gap;  // slots behind the last in use are as good as never used
    for (std::uint32_t slot = 0; !in_use.empty() && slot < kMaxSlots; ++slot) {
        if (in_use.erase(slot_key(slot)) == 0) {
            gap.push_back(slot);
            continue;
        }
        free_.insert(free_.end(), gap.begin(), gap.end());
        gap.clear();
        read(slot, pieces);
        next_ = slot + 1;
    }
    std::vector<StoredReclaim> loaded;
    for (auto& [digest, of] : pieces.all) {
        Bytes whole;
        for (const auto& [index, part] : of.found) whole.insert(whole.end(), part.second.begin(), part.second.end());
        auto reclaim = decode<Reclaim>(whole);
        const bool complete = of.head && of.found.size() == of.parts && base::sha256(whole) == digest && reclaim;
        if (!complete) {  // the crash came before it was acknowledged: its owner will ask again
            if (of.head) free_.push_back(of.head->slots[0]);
            for (const auto& [index, part] : of.found) free_.push_back(part.first);
            continue;
        }
        auto& one = loaded.emplace_back(std::move(*of.head));
        one.reclaim = std::move(*reclaim);
        for (const auto& [index, part] : of.found) one.slots.push_back(part.first);
    }
    return loaded;
}

std::uint32_t ReclaimSlots::take_slot() {
    if (free_.empty()) return next_++;
    const auto slot = free_.back();
    free_.pop_back();
    return slot;
}

/// The parts first, the head last: a reclaim without its head never was.
Task<Result<void>> ReclaimSlots::write(const StoredReclaim& one, Bytes whole) {
    for (std::size_t index = 0; index + 1 < one.slots.size(); ++index) {
        auto part = part_record(one, index, whole);
        BASE_CO_CHECK(co_await store_.put_record(slot_key(one.slots[index + 1]), std::move(part)));
    }
    co_return co_await save_head(one);
}

Task<Result<void>> ReclaimSlots::save(StoredReclaim& one) {
    auto whole = encode(one.reclaim);
    const auto parts = (whole.size() + kPartBytes - 1) / kPartBytes;
    one.slots.clear();
    for (std::size_t i = 0; i <= parts; ++i) one.slots.push_back(take_slot());
    auto written = co_await write(one, std::move(whole));
    if (!written) {  // what was written of it lies there until the slots are used again
        free_.insert(free_.end(), one.slots.begin(), one.slots.end());
        one.slots.clear();
    }
    co_return written;
}

Task<Result<void>> ReclaimSlots::save_head(const StoredReclaim& one) {
    auto head = head_record(one);
    const auto key = slot_key(one.slots[0]);
    co_return co_await store_.put_record(key, std::move(head));
}

void ReclaimSlots::release(StoredReclaim& one) {
    to_clear_.insert(to_clear_.end(), one.slots.begin(), one.slots.end());
    one.slots.clear();
}

Task<void> ReclaimSlots::clear() {
    while (!to_clear_.empty()) {
        const auto slot = to_clear_.front();
        to_clear_.pop_front();
        base::Bytes nothing;
        const auto emptied = co_await store_.put_record(slot_key(slot), std::move(nothing));
        if (!emptied) {
            to_clear_.push_front(slot);
            co_return;
        }
        free_.push_back(slot);
    }
}

}  // namespace past
