// Reclaims on disk: each in a few numbered records of the store, which serve others once it is forgotten.
//
// Format: docs/formats/register.md#reclaims. On the node's executor.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.hpp"
#include "past/storage.hpp"

namespace past {

struct StoredReclaim {
    Reclaim reclaim;
    base::Guid digest;      ///< of the encoded reclaim
    base::Duration left{};  ///< until it is executed, or forgotten
    bool executed = false;
    std::vector<std::uint32_t> slots;  ///< that hold it, the head's first
};

class ReclaimSlots {
  public:
    /// `store` outlives this.
    explicit ReclaimSlots(BlockStore& store) : store_{store} {}

    /// What an earlier run left. A crash may have left gaps, and pieces of what was never acknowledged: they are free.
    std::vector<StoredReclaim> load();
    /// Gives it slots and writes it. Durable when it returns; after an error it has none.
    base::Task<base::Result<void>> save(StoredReclaim& one);
    /// What has changed of it: the time that is left, whether it was executed. Requires: saved.
    base::Task<base::Result<void>> save_head(const StoredReclaim& one);
    /// Its slots are others' as soon as clear() has emptied them.
    void release(StoredReclaim& one);
    /// What cannot be emptied now is when this is called again.
    base::Task<void> clear();

  private:
    struct Pieces;
    void read(std::uint32_t slot, Pieces& pieces);
    std::uint32_t take_slot();
    base::Task<base::Result<void>> write(const StoredReclaim& one, base::Bytes whole);

    BlockStore& store_;
    std::vector<std::uint32_t> free_;
    std::deque<std::uint32_t> to_clear_;
    std::uint32_t next_ = 0;
};

}  // namespace past
