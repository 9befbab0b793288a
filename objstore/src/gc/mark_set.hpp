// Ids of blocks that were met: 8 bytes of each, in a table that is at most 7/8 full. Not thread safe.
//
// Two ids that agree in these bytes count as one: one block in 2^64 / n is taken for met and was not. A collection then
// keeps it. Where the blocks are too many for one table, a walk is made for each slice of the ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/guid.hpp"

namespace objstore::gc {

class MarkSet {
  public:
    explicit MarkSet(std::size_t max_blocks) : max_blocks_{max_blocks} {}

    /// True if it was not there.
    bool insert(const base::Guid& id);
    [[nodiscard]] bool contains(const base::Guid& id) const;
    [[nodiscard]] std::size_t size() const { return size_; }
    /// No room for one more: what insert() says now is not true any more.
    [[nodiscard]] bool full() const { return size_ >= max_blocks_; }
    [[nodiscard]] std::size_t memory_bytes() const { return slots_.size() * sizeof(std::uint64_t); }

  private:
    /// Never 0, which is an empty slot.
    [[nodiscard]] static std::uint64_t key_of(const base::Guid& id);
    [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;
    void grow();

    std::size_t max_blocks_;
    std::size_t size_ = 0;
    std::vector<std::uint64_t> slots_;  // open addressing, a power of two
};

}  // namespace objstore::gc
