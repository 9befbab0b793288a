// The room of dropped blocks, given back to the file system: what lives in a segment that is a quarter garbage is
// written once more elsewhere, and the file goes.
//
// Beside the commits, through the same queue, two megabytes at most at a time: nobody waits longer than for a put of
// that size.
#include <algorithm>
#include <tuple>

#include "base/error.hpp"
#include "store/core.hpp"

namespace past {
namespace {

using base::Guid;
using base::Task;
using namespace store;  // NOLINT: the pieces this file puts together

constexpr std::uint64_t kMostMovedAtOnce = 2U << 20U;
/// Of a block in a record of its own, padding included, at most: a segment without garbage never seems to have any.
constexpr std::uint64_t kMostOverhead = 176;
/// Of a block's own bytes: what its tags beyond the first may take in a record, if it is to be moved. A segment of
/// blocks with more would itself seem to be garbage, and be moved for ever.
constexpr std::uint64_t kMostTags = 8;
constexpr unsigned kTries = 3;  // a segment may have blocks that change under our hands, or that cannot be moved

struct Living {
    Guid group;
    TagSets::Ref tags = TagSets::kEmpty;
    std::uint32_t unit = 0;
    Guid id;
};

}  // namespace

std::uint64_t SegmentStore::Core::garbage_in(std::uint32_t slot) const {
    const auto& segment = state.segments[slot];
    const auto needed = kFileHeaderBytes + segment.live_bytes + segment.live_blocks * kMostOverhead;
    return segment.bytes - std::min(segment.bytes, needed);
}

/// A small store has no more to spare.
std::uint64_t SegmentStore::Core::moved_at_once() const { return std::min(kMostMovedAtOnce, segment_limit_ / 4); }

/// Three bytes are written for one that comes back, at most.
bool SegmentStore::Core::is_worth_compacting(std::uint32_t slot) const {
    const auto garbage = garbage_in(slot);
    return 4 * garbage >= state.segments[slot].bytes && garbage >= segment_limit_ / 256;
}

bool SegmentStore::Core::can_compact() const {
    return !compacting_ && !closing && !unreadable_ && has_room(2 * moved_at_once(), reserve_bytes_ / 2);
}

/// The one with most garbage. Empty ones go anyway.
std::uint32_t SegmentStore::Core::next_to_compact() const {
    auto best = State::kNoSlot;
    if (unreadable_ || !has_room(2 * moved_at_once(), reserve_bytes_ / 2)) return best;
    for (std::uint32_t slot = 0; slot < state.segments.size(); ++slot) {
        const auto& segment = state.segments[slot];
        const bool fit = segment.number != 0 && !segment.removing && slot != state.active && segment.live_blocks > 0 &&
                         segment.compactions < kTries;
        if (!fit || !is_worth_compacting(slot)) continue;
        if (best == State::kNoSlot || garbage_in(best) < garbage_in(slot)) best = slot;
    }
    return best;
}

Task<void> SegmentStore::Core::compact(std::shared_ptr<Core> self) {
    for (bool emptied = false; !self->closing && !self->failed_;) {
        auto slot = self->next_to_compact();
        if (slot == State::kNoSlot &&
            emptied) {  // the file of what was emptied may be the room that the next one needs
            co_await until_upkeep_is_done(self);
            slot = self->next_to_compact();
        }
        if (slot == State::kNoSlot || !co_await empty_segment(self, slot)) break;
        emptied = true;
    }
    self->compacting_ = false;
    self->compacted_.pulse();
}

/// False if it cannot go on now: no room, or the store ends.
Task<bool> SegmentStore::Core::empty_segment(std::shared_ptr<Core> self, std::uint32_t slot) {
    auto& state = self->state;
    ++state.segments[slot].compactions;
    std::vector<Living> living;
    state.index.for_each([&](Index::Handle block) {
        const auto where = state.index.where(block);
        if (where.slot != slot) return;
        const auto tags = state.tag_sets.tags(state.index.tags(block)).size();
        if (tags > 1 && (tags - 1) * kTagBytes * kMostTags > where.length) return;
        living.push_back({state.index.group(block), state.index.tags(block), where.unit, state.index.id(block)});
    });
    std::ranges::sort(living, {}, [](const Living& one) { return std::tuple(one.group, one.tags, one.unit); });
    for (std::size_t at = 0; at < living.size();) {
        std::vector<std::shared_ptr<Request>> requests;
        for (std::uint64_t bytes = 0; at < living.size() && bytes < self->moved_at_once(); ++at) {
            const auto& one = living[at];
            auto read = co_await self->read(self, one.id);
            if (!read) continue;  // gone by now, or damaged and dropped
            const auto* last = requests.empty() ? nullptr : requests.back().get();
            const auto block = state.index.find(one.id);
            if (block == Index::kNone) continue;
            const auto& tags = state.tag_sets.tags(state.index.tags(block));
            if (last == nullptr || last->group != one.group || last->tags != tags) {
                requests.push_back(std::make_shared<Request>(self->env.executor, Request::Kind::relocate));
                requests.back()->group = one.group;
                requests.back()->tags = tags;
                requests.back()->from = slot;
            }
            const auto span = payload_span(static_cast<std::uint32_t>(read->size()));
            requests.back()->bytes += span;
            bytes += span;
            requests.back()->blocks.push_back({one.id, std::move(*read)});
        }
        if (self->closing) co_return false;
        for (const auto& request : requests) self->enqueue(self, request);
        for (const auto& request : requests) co_await request->done.wait();
        const auto failed = [](const auto& request) { return !request->result; };
        if (std::ranges::any_of(requests, failed)) co_return false;
    }
    co_return true;
}

/// Of two requests the second is taken up when the upkeep behind the first is done.
Task<void> SegmentStore::Core::until_upkeep_is_done(std::shared_ptr<Core> self) {
    for (int i = 0; i < 2; ++i) {
        const auto nothing = std::make_shared<Request>(self->env.executor, Request::Kind::touch);
        co_await submit(self, nothing);
    }
}

Task<void> SegmentStore::Core::give_back(std::shared_ptr<Core> self) {
    co_await until_upkeep_is_done(self);
    while (self->compacting_) co_await self->compacted_.wait();
}

}  // namespace past
