// How much there is in snapshots, counted in restic's four ways.
//
// On the node's executor. Reads every tree node of every snapshot once, and no content.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

enum class StatsMode : std::uint8_t {
    restore_size,       ///< every name, and the size of every file, one of several names once
    files_by_contents,  ///< files of different content
    blobs_per_file,     ///< of those, the different chunks of each
    raw_data,           ///< what is stored: sealed blocks, each once
};

struct Stats {
    std::uint64_t snapshots = 0;
    std::uint64_t bytes = 0;
    std::uint64_t files = 0;
    std::uint64_t blobs = 0;  ///< chunks; of raw_data blocks
};

/// Calls `progress` with what is counted so far. Errors: Errc::damaged; past::Errc::holders_unreachable.
[[nodiscard]] base::Task<base::Result<Stats>> count_stats(Volume& volume, std::vector<Snapshot> snapshots,
                                                          StatsMode mode,
                                                          std::function<void(const Stats&)> progress = {});

}  // namespace objstore::archive
