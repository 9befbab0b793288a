#include "store/index.hpp"

#include <algorithm>
#include <cassert>

#include "repair/set_digest.hpp"

namespace past::store {
namespace {

constexpr std::uint32_t kItemMask = 0xFFFFFF;

}  // namespace

Index::Index(std::uint64_t salt) : salt_{salt} {}

std::uint64_t Index::hash(const base::Guid& id) const {
    std::uint64_t value = 0;
    std::memcpy(&value, id.bytes().data(), sizeof value);
    // The finalizer of MurmurHash3: every bit of the id and the salt moves every bit of the result.
    value ^= salt_;
    value = (value ^ value >> 33U) * 0xFF51AFD7ED558CCDULL;
    value = (value ^ value >> 33U) * 0xC4CEB9FE1A85EC53ULL;
    return value ^ value >> 33U;
}

// Of the hash: bits 56-63 choose the shard, 24-55 the home slot, 0-7 are kept in the slot.
std::size_t Index::home(const Shard& shard, std::uint64_t hash) {
    return static_cast<std::size_t>((hash >> 24U & 0xFFFFFFFFU) * shard.slots.size() >> 32U);
}

const Index::Entry& Index::entry(Handle block) const {
    const auto item = block & kItemMask;
    return shards_[block >> 24U].chunks[item / kChunk][item % kChunk];
}

Index::Entry& Index::entry(Handle block) { return const_cast<Entry&>(std::as_const(*this).entry(block)); }

std::size_t Index::memory_bytes() const {
    std::size_t bytes = sizeof *this;
    for (const auto& shard : shards_) {
        bytes +=
            shard.slots.capacity() * 4 + shard.chunks.capacity() * 8 + shard.chunks.size() * kChunk * sizeof(Entry);
    }
    constexpr std::size_t node_bytes = 80;  // of place_numbers_
    return bytes + groups_.capacity() * sizeof(Group) + free_groups_.capacity() * 4 +
           group_numbers_.size() * node_bytes;
}

Index::Handle Index::find(const base::Guid& id) const {
    const auto h = hash(id);
    const auto& shard = shards_[h >> 56U];
    if (shard.slots.empty()) return kNone;
    for (auto at = home(shard, h);; at = at + 1 == shard.slots.size() ? 0 : at + 1) {
        const auto slot = shard.slots[at];
        if (slot == kEmptySlot) return kNone;
        if (slot >> 24U != (h & 0xFFU)) continue;
        const auto block = static_cast<Handle>((h >> 56U) << 24U | (slot & kItemMask));
        if (entry(block).id == id) return block;
    }
}

Index::Where Index::where(Handle block) const {
    const auto& e = entry(block);
    return {e.slot, e.unit, e.length};
}

TagSets::Ref Index::tags(Handle block) const {
    const auto& e = entry(block);
    return e.tags_high << 21U | e.tags_middle << 10U | e.tags_low;
}

void Index::set_tags(Handle block, TagSets::Ref tags) {
    auto& e = entry(block);
    e.tags_high = tags >> 21U & 0xFU;
    e.tags_middle = tags >> 10U & 0x7FFU;
    e.tags_low = tags & 0x3FFU;
}

void Index::move(Handle block, const Where& where) {
    auto& e = entry(block);
    e.slot = where.slot & kMaxSlot;
    e.unit = where.unit & kMaxUnit;
    e.length = where.length & 0x1FFFFFU;
}

void Index::put_slot(Shard& shard, std::uint64_t hash, std::uint32_t item) {
    auto at = home(shard, hash);
    while (shard.slots[at] != kEmptySlot) at = at + 1 == shard.slots.size() ? 0 : at + 1;
    shard.slots[at] = static_cast<std::uint32_t>(hash & 0xFFU) << 24U | item;
}

void Index::grow(std::size_t number) {
    auto& shard = shards_[number];
    const auto old = std::exchange(shard.slots, {});
    shard.slots.assign(std::max<std::size_t>(16, old.size() + old.size() / 8), kEmptySlot);
    for (const auto slot : old) {
        if (slot == kEmptySlot) continue;
        const auto item = slot & kItemMask;
        put_slot(shard, hash(entry(static_cast<Handle>(number << 24U | item)).id), item);
    }
}

void Index::insert(const base::Guid& id, const Where& where, const base::Guid& group, TagSets::Ref tags) {
    const auto h = hash(id);
    const auto number = static_cast<std::size_t>(h >> 56U);
    auto& shard = shards_[number];
    if ((shard.used + 1) * 100ULL > shard.slots.size() * 86ULL) grow(number);

    std::uint32_t item = shard.free;
    if (item != kEmptySlot) {
        shard.free = entry(static_cast<Handle>(number << 24U | item)).smaller;
    } else {
        item = shard.made++;
        assert(item < kItemMask);
        if (item % kChunk == 0) shard.chunks.push_back(std::make_unique<Entry[]>(kChunk));
    }
    ++shard.used;
    put_slot(shard, h, item);
    const auto block = static_cast<Handle>(number << 24U | item);
    entry(block).id = id;
    move(block, where);
    set_tags(block, tags);
    add_to_group(block, group_of(group));
    ++size_;
    block_bytes_ += where.length;
}

TagSets::Ref Index::erase(Handle block) {
    const auto tags_now = tags(block);
    auto& e = entry(block);
    const auto number = static_cast<std::size_t>(block >> 24U);
    auto& shard = shards_[number];
    erase_slot(number, hash(e.id), block & kItemMask);
    take_from_group(block);
    --size_;
    block_bytes_ -= e.length;
    e.group = kNone;
    e.smaller = shard.free;
    shard.free = block & kItemMask;
    --shard.used;
    return tags_now;
}

// Deletion without tombstones (Knuth, volume 3, 6.4, algorithm R): what follows moves up as long as it is nearer home.
void Index::erase_slot(std::size_t number, std::uint64_t h, std::uint32_t item) {
    auto& shard = shards_[number];
    const auto size = shard.slots.size();
    auto hole = home(shard, h);
    while ((shard.slots[hole] & kItemMask) != item || shard.slots[hole] == kEmptySlot) hole = (hole + 1) % size;
    for (auto at = (hole + 1) % size; shard.slots[at] != kEmptySlot; at = (at + 1) % size) {
        const auto block = static_cast<Handle>(number << 24U | (shard.slots[at] & kItemMask));
        const auto wanted = home(shard, hash(entry(block).id));
        if ((at + size - wanted) % size < (at + size - hole) % size) continue;  // its home lies behind the hole
        shard.slots[hole] = shard.slots[at];
        hole = at;
    }
    shard.slots[hole] = kEmptySlot;
}

std::uint32_t Index::group_of(const base::Guid& guid) {
    const auto [at, added] = group_numbers_.try_emplace(guid, 0U);
    if (!added) return at->second;
    if (free_groups_.empty()) {
        at->second = static_cast<std::uint32_t>(groups_.size());
        groups_.emplace_back();
    } else {
        at->second = free_groups_.back();
        free_groups_.pop_back();
    }
    groups_[at->second].guid = guid;
    return at->second;
}

// A treap (Seidel & Aragon 1996): a search tree by id, a heap by hash. Nobody without the salt can choose its shape.
void Index::add_to_group(Handle block, std::uint32_t number) {
    auto& group = groups_[number];
    auto& e = entry(block);
    e.group = number;
    const auto priority = hash(e.id);
    Handle* link = &group.root;
    while (*link != kNone && hash(entry(*link).id) >= priority)
        link = entry(*link).id < e.id ? &entry(*link).greater : &entry(*link).smaller;
    auto below = std::exchange(*link, block);  // is split between both sides of the new one
    Handle* smaller = &e.smaller;
    Handle* greater = &e.greater;
    while (below != kNone) {
        auto& other = entry(below);
        if (other.id < e.id) {
            *smaller = below;
            smaller = &other.greater;
        } else {
            *greater = below;
            greater = &other.smaller;
        }
        below = other.id < e.id ? other.greater : other.smaller;
    }
    *smaller = *greater = kNone;
    ++group.blocks;
    group.bytes += e.length;
    toggle(group.digest, e.id);
}

void Index::take_from_group(Handle block) {
    const auto& e = entry(block);
    auto& group = groups_[e.group];
    Handle* link = &group.root;
    while (*link != block) link = entry(*link).id < e.id ? &entry(*link).greater : &entry(*link).smaller;
    auto smaller = e.smaller, greater = e.greater;  // are merged where it was
    while (smaller != kNone && greater != kNone) {
        if (hash(entry(smaller).id) >= hash(entry(greater).id)) {
            *link = smaller;
            link = &entry(smaller).greater;
            smaller = *link;
        } else {
            *link = greater;
            link = &entry(greater).smaller;
            greater = *link;
        }
    }
    *link = smaller != kNone ? smaller : greater;
    --group.blocks;
    group.bytes -= e.length;
    toggle(group.digest, e.id);
    if (group.blocks > 0) return;
    group_numbers_.erase(group.guid);
    free_groups_.push_back(e.group);
    group = Group{};
}

std::vector<GroupSummary> Index::groups() const {
    std::vector<GroupSummary> all;
    all.reserve(group_numbers_.size());
    for (const auto& [guid, number] : group_numbers_) {
        const auto& group = groups_[number];
        all.push_back({guid, group.blocks, group.bytes, group.digest});
    }
    return all;
}

GroupSummary Index::summary(const base::Guid& guid) const {
    const auto number = group_numbers_.find(guid);
    if (number == group_numbers_.end()) return {.group = guid};
    const auto& group = groups_[number->second];
    return {guid, group.blocks, group.bytes, group.digest};
}

std::vector<base::Guid> Index::list(const base::Guid& group, const base::Guid& after, std::size_t limit) const {
    std::vector<base::Guid> ids;
    const auto number = group_numbers_.find(group);
    if (number == group_numbers_.end()) return ids;
    std::vector<Handle> ahead;  // of the way down: those still to come, the next one last
    for (auto at = groups_[number->second].root; at != kNone;) {
        const auto& e = entry(at);
        if (e.id > after) ahead.push_back(at);
        at = e.id > after ? e.smaller : e.greater;
    }
    while (!ahead.empty() && ids.size() < limit) {
        const auto& next = entry(ahead.back());
        ahead.pop_back();
        ids.push_back(next.id);
        for (auto at = next.greater; at != kNone; at = entry(at).smaller) ahead.push_back(at);
    }
    return ids;
}

}  // namespace past::store
