#include "store/state.hpp"

#include <algorithm>

namespace past::store {

std::uint32_t State::add_segment(std::uint32_t number) {
    std::uint32_t slot = 0;
    if (free_slots.empty()) {
        slot = static_cast<std::uint32_t>(segments.size());
        segments.emplace_back();
    } else {
        slot = free_slots.back();
        free_slots.pop_back();
    }
    segments[slot] = Segment{};
    segments[slot].number = number;
    next_segment = std::max(next_segment, number + 1);
    return slot;
}

void State::remove_segment(std::uint32_t slot) {
    segments[slot] = Segment{};
    free_slots.push_back(slot);
    if (active == slot) active = kNoSlot;
}

void State::insert(const base::Guid& id, const Index::Where& where, const base::Guid& group, TagSets::Ref tags) {
    if (const auto older = index.find(id); older != Index::kNone) {
        const auto joined = tag_sets.join(index.tags(older), tags);
        tag_sets.release(tags);
        tags = joined;
        erase(older);
    }
    index.insert(id, where, group, tags);
    ++segments[where.slot].live_blocks;
    segments[where.slot].live_bytes += where.length;
}

void State::erase(Index::Handle block) {
    const auto where = index.where(block);
    --segments[where.slot].live_blocks;
    segments[where.slot].live_bytes -= where.length;
    tag_sets.release(index.erase(block));
}

void State::move(Index::Handle block, const Index::Where& where) {
    const auto before = index.where(block);
    --segments[before.slot].live_blocks;
    segments[before.slot].live_bytes -= before.length;
    index.move(block, where);
    ++segments[where.slot].live_blocks;
    segments[where.slot].live_bytes += where.length;
}

void State::lose(Index::Handle block) {
    lost.add({index.id(block), index.group(block), tag_sets.tags(index.tags(block))});
    erase(block);
}

void State::tag(Index::Handle block, const Tag& tag) { index.set_tags(block, tag_sets.with(index.tags(block), tag)); }

bool State::untag(Index::Handle block, const Tag& tag) {
    const auto left = tag_sets.without(index.tags(block), tag);
    index.set_tags(block, left);
    if (left != TagSets::kEmpty) return false;
    erase(block);
    return true;
}

Location State::location(Index::Handle block) const {
    const auto where = index.where(block);
    return {segments[where.slot].number, where.unit};
}

Checkpoint State::checkpoint(std::uint64_t sequence) const {
    Checkpoint out;
    out.sequence = sequence;
    out.records = records;
    if (!lost.empty()) out.records[LostBlocks::record_key()] = lost.encode();
    std::map<TagSets::Ref, std::uint32_t> numbers;
    std::vector<std::vector<Checkpoint::Live>*> by_slot(segments.size(), nullptr);
    for (std::size_t slot = 0; slot < segments.size(); ++slot) {
        if (segments[slot].live_blocks == 0) continue;
        by_slot[slot] = &out.segments[segments[slot].number];
        by_slot[slot]->reserve(segments[slot].live_blocks);
    }
    auto last_set = TagSets::kEmpty;
    std::uint32_t last_number = 0;
    index.for_each([&](Index::Handle block) {
        const auto set = index.tags(block);
        if (set != last_set) {
            const auto [at, added] = numbers.try_emplace(set, static_cast<std::uint32_t>(out.tag_sets.size()));
            if (added) out.tag_sets.push_back(tag_sets.tags(set));
            last_set = set;
            last_number = at->second;
        }
        const auto where = index.where(block);
        by_slot[where.slot]->push_back({where.unit, last_number});
    });
    return out;  // units are put in order by whoever encodes it, on Workers
}

}  // namespace past::store
