// A cluster of real processes on this machine, for trying things out and for tests.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/membership.hpp"
#include "base/result.hpp"
#include "cli/console.hpp"

namespace tools {

/// One directory with a node's directory each: node-1 (the authority), node-2, ...
class DevCluster {
  public:
    explicit DevCluster(std::string directory) : directory_{std::move(directory)} {}

    struct Options {
        unsigned nodes = 5;
        base::Policy policy;
        std::string capacity;  ///< of each node; "": what fits
    };
    /// Makes what is missing and starts what does not run; returns when all are part of one ring. Safe to repeat.
    /// base::Errc::locked while another up() or down() is at work.
    [[nodiscard]] base::Result<void> up(Console& console, const Options& options);
    /// Stops every node, gently first. base::Errc::locked, likewise.
    [[nodiscard]] base::Result<void> down(Console& console);
    /// {"nodes": [{"name", "id", "pid", "state": "active" | "joining" | "not answering" | "down",
    /// "directory", "status": {...}}]}
    [[nodiscard]] base::Result<nlohmann::json> status() const;
    [[nodiscard]] std::string node_directory(unsigned number) const;
    /// Nodes that were ever made.
    [[nodiscard]] bool any_runs() const;
    [[nodiscard]] unsigned size() const { return static_cast<unsigned>(numbers().size()); }

  private:
    /// Ends with the process, however that ends.
    [[nodiscard]] base::Result<std::unique_ptr<base::DirectoryLock>> lock() const;
    [[nodiscard]] std::vector<unsigned> numbers() const;
    [[nodiscard]] base::Result<void> make_node(unsigned number, const Options& options);
    [[nodiscard]] base::Result<void> start_node(unsigned number, const Options& options);
    /// Its status once it answers.
    [[nodiscard]] base::Result<nlohmann::json> run_node(unsigned number, const std::string& listen,
                                                        const Options& options);
    [[nodiscard]] base::Result<void> await_active(unsigned number, std::size_t neighbours) const;

    std::string directory_;
};

}  // namespace tools
