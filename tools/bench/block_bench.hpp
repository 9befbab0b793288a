// Measures the block store beside what bounds it: a bare append + fdatasync log, one file a block, one pread + SHA-256.
//
// All in one run on one directory, in turns, so that ratios mean something (`pelago bench blocks`).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/host/host_runtime.hpp"
#include "base/result.hpp"

namespace tools::bench {

struct BlockBenchOptions {
    std::string directory;  ///< must exist and be on the disk to be measured; what it makes it removes
    std::uint64_t block_bytes = 64U << 10U;
    unsigned batch = 16;            ///< blocks a durable put
    unsigned batches = 256;         ///< a round
    unsigned rounds = 3;            ///< of each contestant, in turns
    unsigned writers = 1;           ///< puts under way at once
    unsigned gets = 1000;           ///< a round
    std::uint64_t open_blocks = 0;  ///< measure opening with so many small blocks; 0: do not
    bool files = true;              ///< file per block, too
};

struct Latency {
    double p50_ms = 0, p99_ms = 0, max_ms = 0;
};

/// Medians over the rounds.
struct BlockBenchRow {
    std::string engine;
    double blocks_per_s = 0;
    double mb_per_s = 0;
    Latency commit;
};
struct BlockGetRow {
    std::string engine;
    double cold_per_s = 0;  ///< one at a time, page cache dropped
    Latency cold;
    double warm_per_s = 0;           ///< one at a time
    double warm_parallel_per_s = 0;  ///< 16 at a time; 0: not measured
};
struct BlockOpenRow {
    std::uint64_t blocks = 0;
    double seconds = 0;            ///< with index files
    double from_data_seconds = 0;  ///< without
    double index_bytes_per_block = 0;
    double disk_bytes_per_block = 0;
};
struct BlockBenchResult {
    std::vector<BlockBenchRow> puts;
    std::vector<BlockGetRow> gets;
    double put_ratio = 0;  ///< ours / log, MB/s: goal >= 0.8
    double get_ratio = 0;  ///< ours / pread + SHA-256, cold p50: goal <= 1.3
    std::vector<BlockOpenRow> opens;
};

/// `progress` is told in a few words what is measured next.
[[nodiscard]] base::Result<BlockBenchResult> measure_blocks(base::host::HostRuntime& runtime,
                                                            const BlockBenchOptions& options,
                                                            const std::function<void(const std::string&)>& progress);
/// As lines for a terminal.
[[nodiscard]] std::string describe(const BlockBenchOptions& options, const BlockBenchResult& result);

}  // namespace tools::bench
