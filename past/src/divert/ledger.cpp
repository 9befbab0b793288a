#include "divert/ledger.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "base/task_group.hpp"
#include "repair/set_digest.hpp"

namespace past {

using base::Bytes;
using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kLeastEntryBytes = 32 + 32 + 32 + 4 + 1;
constexpr std::size_t kTagBytes = 32 + 8;

}  // namespace

bool raise_tag(std::vector<Tag>& tags, const Tag& tag) {
    const auto at = std::ranges::lower_bound(tags, tag.volume, {}, &Tag::volume);
    if (at != tags.end() && at->volume == tag.volume) {
        at->generation = std::max(at->generation, tag.generation);
        return true;
    }
    if (tags.size() >= Ledger::kMaxTags) return false;
    tags.insert(at, tag);
    return true;
}

// --- bytes

Guid Ledger::slot_key(Slot slot) const {
    base::Writer out;
    out.raw(base::as_bytes("pelago diverted")).u8(static_cast<std::uint8_t>(kind_)).u32(slot);
    return base::sha256(out.view());
}

Bytes Ledger::encode_slot(Kind kind, Slot slot, const Entries& entries) {
    base::Writer out;
    out.u8(static_cast<std::uint8_t>(kind)).u32(slot).u16(static_cast<std::uint16_t>(entries.size()));
    for (const auto& [id, entry] : entries) {
        out.guid(id).guid(entry.group).guid(entry.node).u32(entry.bytes);
        out.u8(static_cast<std::uint8_t>(entry.tags.size()));
        for (const auto& tag : entry.tags) out.guid(tag.volume).u64(tag.generation);
    }
    return out.take();
}

Result<std::pair<Ledger::Slot, Ledger::Entries>> Ledger::decode_slot(Kind kind, base::ByteView bytes) {
    const base::Error bad{base::Errc::bad_format, "a slot of diverted blocks"};
    base::Reader in{bytes};
    if (in.u8() != static_cast<std::uint8_t>(kind)) return bad;
    const auto slot = in.u32();
    const auto count = in.u16();
    if (slot >= kMaxSlots || count > kSlotEntries || !in.fits(count, kLeastEntryBytes)) return bad;
    Entries entries;
    for (unsigned i = 0; i < count; ++i) {
        const auto id = in.guid();
        Entry entry{in.guid(), in.guid(), in.u32(), {}};
        const auto tags = in.u8();
        const bool right_count = kind == Kind::pointers ? tags >= 1 && tags <= kMaxTags : tags == 0;
        if (!right_count || !in.fits(tags, kTagBytes) || entry.bytes > base::kMaxBlockBytes) return bad;
        for (unsigned j = 0; j < tags; ++j) {
            const Tag tag{in.guid(), in.u64()};
            if (!entry.tags.empty() && entry.tags.back().volume >= tag.volume) return bad;
            entry.tags.push_back(tag);
        }
        if (!in.ok() || (!entries.empty() && std::prev(entries.end())->first >= id)) return bad;
        entries.emplace_hint(entries.end(), id, std::move(entry));
    }
    if (!in.complete()) return bad;
    return std::pair{slot, std::move(entries)};
}

// --- what is listed

void Ledger::list(Slot slot, const Guid& id, Entry entry) {
    auto& total = totals_[entry.group][entry.node];
    ++total.blocks;
    total.bytes += entry.bytes;
    toggle(total.digest, id);
    ++blocks_;
    bytes_ += entry.bytes;
    groups_of_[id] = entry.group;
    slots_of_[id] = slot;
    slots_[slot].insert(id);
    if (slots_[slot].size() >= kSlotEntries) roomy_.erase(slot);
    const auto group = entry.group;
    groups_[group].insert_or_assign(id, std::move(entry));
}

Ledger::Slot Ledger::unlist(const Guid& id) {
    const auto group = groups_of_.at(id);
    auto& entries = groups_.at(group);
    const auto node = entries.at(id).node;
    const auto bytes = entries.at(id).bytes;
    auto& total = totals_.at(group).at(node);
    --total.blocks;
    total.bytes -= bytes;
    toggle(total.digest, id);
    if (total.blocks == 0) totals_.at(group).erase(node);
    entries.erase(id);
    if (entries.empty()) {
        groups_.erase(group);
        totals_.erase(group);
    }
    --blocks_;
    bytes_ -= bytes;
    const auto slot = slots_of_.at(id);
    groups_of_.erase(id);
    slots_of_.erase(id);
    slots_[slot].erase(id);
    roomy_.insert(slot);
    return slot;
}

Ledger::Slot Ledger::slot_with_room() {
    if (roomy_.empty()) {
        roomy_.insert(static_cast<Slot>(slots_.size()));
        slots_.emplace_back();
    }
    return *roomy_.begin();
}

/// Slots are written side by side, so one may be there and the one before it not.
void Ledger::load() {
    std::map<Slot, Entries> found;
    for (const auto& key : store_.record_keys()) {
        const auto record = store_.record(key);
        if (!record || record->empty() || record->front() != static_cast<std::uint8_t>(kind_)) continue;
        auto decoded = decode_slot(kind_, *record);
        if (decoded && slot_key(decoded->first) == key) found.insert(std::move(*decoded));
    }
    slots_.resize(found.empty() ? 0 : std::size_t{found.rbegin()->first} + 1);
    for (Slot slot = 0; slot < slots_.size(); ++slot) roomy_.insert(slot);
    for (auto& [slot, entries] : found) {
        for (auto& [id, entry] : entries) {
            if (!contains(id)) list(slot, id, std::move(entry));
        }
    }
}

const Ledger::Entry* Ledger::find(const Guid& id) const {
    const auto group = groups_of_.find(id);
    return group == groups_of_.end() ? nullptr : &groups_.at(group->second).at(id);
}

Ledger::Total Ledger::total(const Guid& group) const {
    Total all;
    for (const auto& [node, total] : totals(group)) {
        all.blocks += total.blocks;
        all.bytes += total.bytes;
        toggle_all(all.digest, total.digest);
    }
    return all;
}

const std::map<base::NodeId, Ledger::Total>& Ledger::totals(const Guid& group) const {
    static const std::map<base::NodeId, Total> kNone;
    const auto found = totals_.find(group);
    return found == totals_.end() ? kNone : found->second;
}

Ledger::Total Ledger::total(const Guid& group, const base::NodeId& node) const {
    const auto& by_node = totals(group);
    const auto found = by_node.find(node);
    return found == by_node.end() ? Total{} : found->second;
}

Ledger::Entries Ledger::of_node(const base::NodeId& node) const {
    Entries all;
    for (const auto& [group, entries] : groups_) all.merge(of_node(node, group));
    return all;
}

Ledger::Entries Ledger::of_node(const base::NodeId& node, const Guid& group) const {
    Entries of_group;
    if (!totals(group).contains(node)) return of_group;
    for (const auto& [id, entry] : groups_.at(group)) {
        if (entry.node == node) of_group.emplace_hint(of_group.end(), id, entry);
    }
    return of_group;
}

// --- made durable

/// Side by side, so that many share a sync; not all at once, for each is up to 50 KiB in memory until it is written.
Task<Result<void>> Ledger::save(std::set<Slot> slots) {
    constexpr std::size_t kSideBySide = 256;
    const auto failure = std::make_shared<std::optional<base::Error>>();
    for (auto next = slots.begin(); next != slots.end();) {
        base::TaskGroup writing{executor_};
        for (std::size_t i = 0; i < kSideBySide && next != slots.end(); ++i) writing.spawn(save_one(*next++, failure));
        co_await writing.join();
        if (*failure) co_return std::move(**failure);
    }
    co_return base::ok();
}

/// The slot as it is when its turn comes: of two changes under way the later record has both.
Task<void> Ledger::save_one(Slot slot, Failure failure) {
    Entries entries;
    for (const auto& id : slots_[slot]) entries.emplace_hint(entries.end(), id, *find(id));
    auto record = encode_slot(kind_, slot, entries);
    auto saved = co_await store_.put_record(slot_key(slot), std::move(record));
    if (!saved) *failure = std::move(saved).error();
}

Task<Result<void>> Ledger::add(Entries entries) {
    if (blocks_ + entries.size() > std::uint64_t{kMaxSlots} * kSlotEntries) {
        co_return base::Error{base::Errc::busy, "too many diverted blocks"};
    }
    std::set<Slot> slots;
    Before before;
    for (const auto& [id, entry] : entries) {
        const auto* old = find(id);
        before.emplace(id, old != nullptr ? std::optional{*old} : std::nullopt);
        const auto slot = old != nullptr ? unlist(id) : slot_with_room();
        list(slot, id, entry);
        slots.insert(slot);
    }
    const auto saved = co_await save(std::move(slots));
    if (!saved) undo(entries, std::move(before));
    co_return saved;
}

/// But for what another change has made different since.
void Ledger::undo(const Entries& entries, Before before) {
    for (const auto& [id, entry] : entries) {
        const auto* now = find(id);
        if (now == nullptr || *now != entry) continue;
        const auto slot = unlist(id);
        if (auto& old = before.at(id)) list(slot, id, std::move(*old));
    }
}

Task<Result<void>> Ledger::erase(std::vector<Guid> ids) {
    std::set<Slot> slots;
    for (const auto& id : ids) {
        if (contains(id)) slots.insert(unlist(id));
    }
    return save(std::move(slots));
}

}  // namespace past
