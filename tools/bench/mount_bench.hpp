// What single operations cost through a mount, on any directories side by side (`pelago bench mount`).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bench/workplace.hpp"

namespace tools::bench {

struct MountBenchOptions {
    std::vector<std::string> directories;  ///< the first is what the others are compared with
    unsigned rounds = 5;
    unsigned operations = 200;        ///< of each kind, a round
    std::uint64_t bytes = 1U << 30U;  ///< written and read in sequence
    unsigned entries = 10'000;        ///< of the directory whose names and attributes are listed
    bool warm = false;                ///< leave the caches alone
};

/// One operation on all file systems, in the order of the directories.
struct OperationFigures {
    std::string name;
    const char* unit = "us";
    std::vector<std::vector<double>> values;  ///< a file system: one an operation, all rounds together
};
struct MountBenchResult {
    Caches caches = Caches::warm;
    std::vector<std::string> kinds;
    std::vector<OperationFigures> operations;
};

[[nodiscard]] base::Result<MountBenchResult> measure_mounts(const MountBenchOptions& options,
                                                            const std::stop_token& stop,
                                                            const std::function<void(const std::string&)>& progress);
[[nodiscard]] std::string describe(const MountBenchOptions& options, const MountBenchResult& result);
[[nodiscard]] nlohmann::json to_json(const MountBenchOptions& options, const MountBenchResult& result);

}  // namespace tools::bench
