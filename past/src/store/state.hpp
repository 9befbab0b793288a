// What a store knows in memory: the index, its segments, the records. Changed in the same way by recovery and by
// commits.
//
// A plain value: no disk, no clock. Not thread safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/disk.hpp"
#include "past/segment_store.hpp"
#include "store/format.hpp"
#include "store/index.hpp"
#include "store/lost_blocks.hpp"
#include "store/tag_sets.hpp"

namespace past::store {

struct Segment {
    std::uint32_t number = 0;       ///< 0: this slot is free
    std::uint64_t bytes = 0;        ///< where the next record goes
    std::uint64_t ahead_bytes = 0;  ///< zeros written behind that
    std::uint64_t index_bytes = 0;
    std::uint64_t live_blocks = 0;
    std::uint64_t live_bytes = 0;
    std::uint64_t last_read = 0;       ///< tick, for closing the file that was used least recently
    std::shared_ptr<base::File> file;  ///< null: not open at the moment
    bool removing = false;
    unsigned compactions = 0;  ///< how often its blocks were to be moved elsewhere
};

struct State {
    static constexpr std::uint32_t kNoSlot = 0xFFFFFFFF;

    State(const StoreId& id, std::uint64_t salt) : store{id}, index{salt} {}

    StoreId store;
    Index index;
    TagSets tag_sets;
    std::map<base::Guid, base::Bytes> records;
    LostBlocks lost;  ///< a record too, but nobody else's to see

    std::vector<Segment> segments;  ///< by slot
    std::vector<std::uint32_t> free_slots;
    std::uint32_t active = kNoSlot;  ///< slot of the segment that is appended to
    std::uint32_t next_segment = 1;
    std::uint64_t next_sequence = 1;
    SegmentStore::Damage damage;

    std::uint32_t add_segment(std::uint32_t number);
    void remove_segment(std::uint32_t slot);

    /// A new copy of a block. If it is held already (recovery after damage only) the new copy wins and tags are joined.
    void insert(const base::Guid& id, const Index::Where& where, const base::Guid& group, TagSets::Ref tags);
    void erase(Index::Handle block);
    /// It has another copy from now on.
    void move(Index::Handle block, const Index::Where& where);
    /// The same for damage: it is remembered.
    void lose(Index::Handle block);
    void tag(Index::Handle block, const Tag& tag);
    /// True if that was its last tag: the block is gone.
    bool untag(Index::Handle block, const Tag& tag);

    [[nodiscard]] Location location(Index::Handle block) const;
    /// All of it as of `sequence`.
    [[nodiscard]] Checkpoint checkpoint(std::uint64_t sequence) const;
};

}  // namespace past::store
