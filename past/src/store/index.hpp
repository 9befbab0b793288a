// Which blocks are held, where, for whom: about 62 bytes a block in memory.
//
// 256 shards of an entry pool in small chunks and a table of 4-byte slots that grows by an eighth at a time: no growth
// copies more than a shard's slots, and at most a quarter of them is empty. Blocks of a group are a treap, in the order
// of their ids, so that a page of them costs what it lists. A plain value: no clock, no disk. Not thread safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/guid.hpp"
#include "past/block_store.hpp"
#include "store/tag_sets.hpp"

namespace past::store {

class Index {
  public:
    using Handle = std::uint32_t;
    static constexpr Handle kNone = 0xFFFFFFFF;
    static constexpr std::uint32_t kMaxUnit = (1U << 28U) - 1;
    static constexpr std::uint32_t kMaxSlot = (1U << 22U) - 1;

    /// `slot` names the segment in the caller's table, which is denser than segment numbers.
    struct Where {
        std::uint32_t slot = 0;
        std::uint32_t unit = 0;
        std::uint32_t length = 0;
        friend bool operator==(const Where&, const Where&) = default;
    };

    /// `salt` keeps whoever chooses ids from choosing collisions.
    explicit Index(std::uint64_t salt);

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::uint64_t block_bytes() const { return block_bytes_; }
    [[nodiscard]] std::size_t memory_bytes() const;

    [[nodiscard]] Handle find(const base::Guid& id) const;
    [[nodiscard]] Where where(Handle block) const;
    [[nodiscard]] TagSets::Ref tags(Handle block) const;
    [[nodiscard]] const base::Guid& id(Handle block) const { return entry(block).id; }
    [[nodiscard]] const base::Guid& group(Handle block) const { return groups_[entry(block).group].guid; }

    /// Requires: not held. Takes over the reference to `tags`.
    void insert(const base::Guid& id, const Where& where, const base::Guid& group, TagSets::Ref tags);
    /// Takes over the new reference; the old one is the caller's to release (TagSets::with does).
    void set_tags(Handle block, TagSets::Ref tags);
    void move(Handle block, const Where& where);
    /// The reference to its tags is the caller's from now on.
    TagSets::Ref erase(Handle block);

    [[nodiscard]] std::vector<GroupSummary> groups() const;
    [[nodiscard]] GroupSummary summary(const base::Guid& group) const;
    [[nodiscard]] std::vector<base::Guid> list(const base::Guid& group, const base::Guid& after,
                                               std::size_t limit) const;

    template <class Visitor>
    void for_each(Visitor visit) const {
        for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
            for (std::uint32_t i = 0; i < shards_[shard].made; ++i) {
                const auto block = static_cast<Handle>(shard << 24U | i);
                if (entry(block).group != kNone) visit(block);
            }
        }
    }

  private:
    static constexpr std::uint32_t kChunk = 32;
    static constexpr std::uint32_t kEmptySlot = 0xFFFFFFFF;
    struct Entry {
        base::Guid id;
        std::uint32_t unit : 28;
        std::uint32_t tags_high : 4;
        std::uint32_t length : 21;
        std::uint32_t tags_middle : 11;
        std::uint32_t slot : 22;
        std::uint32_t tags_low : 10;
        std::uint32_t group;      // kNone: free
        Handle smaller, greater;  // of the same place; smaller: also the free chain
    };
    static_assert(sizeof(Entry) == 56);
    struct Shard {
        std::vector<std::unique_ptr<Entry[]>> chunks;
        std::uint32_t made = 0;
        std::uint32_t used = 0;
        std::uint32_t free = kEmptySlot;   // chain of entries to use again
        std::vector<std::uint32_t> slots;  // 8 bits of the hash, 24 bits of the entry
    };
    struct Group {
        base::Guid guid;
        base::Guid digest;
        std::uint64_t blocks = 0;
        std::uint64_t bytes = 0;
        Handle root = kNone;
    };

    [[nodiscard]] std::uint64_t hash(const base::Guid& id) const;
    [[nodiscard]] const Entry& entry(Handle block) const;
    [[nodiscard]] Entry& entry(Handle block);
    [[nodiscard]] static std::size_t home(const Shard& shard, std::uint64_t hash);
    static void put_slot(Shard& shard, std::uint64_t hash, std::uint32_t item);
    void grow(std::size_t shard);
    void erase_slot(std::size_t shard, std::uint64_t hash, std::uint32_t item);
    std::uint32_t group_of(const base::Guid& guid);
    void add_to_group(Handle block, std::uint32_t group);
    void take_from_group(Handle block);

    std::uint64_t salt_;
    std::size_t size_ = 0;
    std::uint64_t block_bytes_ = 0;
    std::array<Shard, 256> shards_;
    std::vector<Group> groups_;
    std::vector<std::uint32_t> free_groups_;
    std::map<base::Guid, std::uint32_t> group_numbers_;  // ordered: a hash table would be the callers' to attack
};

}  // namespace past::store
