// What one durable put costs: a block at a time into a network of real processes on this machine.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/verbs.hpp"

namespace tools::bench {

struct PutBenchOptions {
    std::string directory;  ///< must exist; the nodes' stores are made in it, and stay
    unsigned nodes = 5;
    unsigned copies = 3;
    std::uint64_t block_bytes = 4096;
    unsigned puts = 500;
};

/// Of one process, while the puts ran.
struct PutCost {
    std::string process;  ///< "client", "node-1"; the client talks to node-1
    double cpu_us = 0;
    std::uint64_t switches = 0;  ///< voluntary context switches of all its threads
    std::uint64_t syncs = 0;
    std::uint64_t written_bytes = 0;
    std::uint64_t messages = 0;  ///< sent over TCP
    std::uint64_t sent_bytes = 0;
};
struct PutBenchResult {
    std::vector<double> put_ms;  ///< each put
    std::vector<double>
        sync_ms;  ///< of the disk: as many bytes appended to a file and fdatasync, in turns with the puts
    std::vector<PutCost> costs;
};

[[nodiscard]] base::Result<PutBenchResult> measure_puts(Context& context, const PutBenchOptions& options,
                                                        const std::function<void(const std::string&)>& progress);
[[nodiscard]] std::string describe(const PutBenchOptions& options, const PutBenchResult& result);
[[nodiscard]] nlohmann::json to_json(const PutBenchOptions& options, const PutBenchResult& result);

}  // namespace tools::bench
