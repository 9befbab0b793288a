// What no snapshot needs any more is given back, beside writers and readers, without a lock.
//
// Why it is safe: docs/decisions/garbage-collection.md. On the node's executor. Reads every tree node of every snapshot
// once, asks the holders of every group what they have, and says of each block that nothing leads to that it may go.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/volume.hpp"

namespace objstore::gc {

struct PruneOptions {
    /// The holders drop blocks now, not after the policy's grace.
    bool at_once = false;
    /// Asked once the collection has begun: true if nobody else uses the volume, which is as good as at_once.
    std::function<bool()> alone;
    bool dry_run = false;  ///< say what would go
    /// Blocks of sessions that began from this state or a later one stay; absent: from the newest one.
    std::optional<std::uint64_t> up_to;
    std::size_t max_marked_blocks = 7U << 20U;  ///< in memory, 64 MiB of it; with more, trees are read several times
};

struct PruneReport {
    std::uint64_t blocks = 0;  ///< that snapshots need
    std::uint64_t bytes = 0;
    std::uint64_t blocks_young = 0;  ///< that nothing leads to, of sessions that may be under way
    std::uint64_t bytes_young = 0;
    std::uint64_t blocks_released = 0;  ///< that nothing leads to
    std::uint64_t bytes_released = 0;   ///< of one copy each
    bool at_once = false;               ///< they are gone; else they go when the policy's grace is over
    std::uint64_t nodes_read = 0;
    std::uint64_t passes = 1;
    unsigned groups_in_part = 0;  ///< of which a holder did not answer: what only it has is still to be asked for
    /// Of releasing some, while the others were released: base::Errc::busy where too many wait for their grace.
    std::optional<base::Error> refused;
    std::uint64_t blocks_refused = 0;
};

struct PruneProgress {
    bool sweeping = false;     ///< else snapshots are read
    std::uint64_t blocks = 0;  ///< met, or released
};

/// Errors: Errc::damaged where a tree that leads to blocks cannot be read (nothing is released then: what lies below is
/// not known); those of the volume's record and of past::Storage.
[[nodiscard]] base::Task<base::Result<PruneReport>> prune(Volume& volume, PruneOptions options,
                                                          std::function<void(const PruneProgress&)> progress = {});

}  // namespace objstore::gc
