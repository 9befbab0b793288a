// The five phases of the Andrew benchmark, as Pond's authors ran them on NFS and on their prototype (Coulouris et al.,
// Distributed Systems, 5th edition, Figure 10.15): make directories, copy a source tree, stat every file, read every
// file, compile. On any directories side by side (`pelago bench nfs`).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bench/statistics.hpp"
#include "bench/workplace.hpp"

namespace tools::bench {

inline constexpr std::array kPhases{"1 make directories", "2 copy", "3 stat", "4 read", "5 compile"};
inline constexpr std::size_t kCompile = 4;  // its place in kPhases

struct NfsBenchOptions {
    std::vector<std::string> directories;  ///< the first is what the others are compared with
    std::string tree;                      ///< empty: a small one is made up
    std::string compile;                   ///< the command of the fifth phase, run in the copy
    unsigned rounds = 5;
    std::uint64_t seed = 1;
    bool warm = false;  ///< leave the caches alone
};

/// Of one phase on one file system, a value a round.
struct PhaseFigures {
    std::vector<double> seconds;
    std::vector<double> durable_seconds;  ///< that it took after the phase until all was on disk
    std::vector<double> cpu_seconds;      ///< of all other processes named pelago, until then
};
struct SystemFigures {
    std::string directory;
    std::string kind;
    std::array<PhaseFigures, kPhases.size()> phases;

    [[nodiscard]] Spread total(std::vector<double> PhaseFigures::* what) const;
};
struct NfsBenchResult {
    std::size_t files = 0, subdirectories = 0;
    std::uint64_t bytes = 0;
    Caches caches = Caches::warm;
    std::string no_compile;  ///< why the fifth phase was left out; empty if it was not
    std::vector<SystemFigures> systems;
};

/// `progress` is told in a few words what is measured next.
[[nodiscard]] base::Result<NfsBenchResult> measure_nfs(const NfsBenchOptions& options, const std::stop_token& stop,
                                                       const std::function<void(const std::string&)>& progress);

/// Lines for a terminal: phases as rows, file systems as columns.
[[nodiscard]] std::string describe(const NfsBenchOptions& options, const NfsBenchResult& result);
[[nodiscard]] nlohmann::json to_json(const NfsBenchOptions& options, const NfsBenchResult& result);
/// The medians as bars, on a logarithmic scale: an SVG document.
[[nodiscard]] std::string plot(const NfsBenchOptions& options, const NfsBenchResult& result);

}  // namespace tools::bench
