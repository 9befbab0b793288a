// Crashes a program at every boundary of its disk, in every way, and asks each time whether it kept its promises.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/sim/world.hpp"

namespace base::sim {

/// One crash: where, how, and what became of it.
struct CrashPoint {
    std::uint64_t boundary = 0;
    CrashSide side = CrashSide::before;
    bool power_lost = false;
    PowerLoss loss = PowerLoss::lost;  ///< if power_lost
    std::uint64_t seed = 0;
    std::string site;  ///< the call that was cut, e.g. "sync store/000001.seg"

    [[nodiscard]] std::string text() const;
};

struct CrashPlan {
    std::uint64_t seed = 1;
    bool kill = true;  ///< also with the cache kept
    std::vector<PowerLoss> losses{PowerLoss::lost, PowerLoss::torn, PowerLoss::reordered};
    unsigned repeats = 1;    ///< seeds a point for torn and reordered
    std::uint64_t from = 1;  ///< first boundary after setup()
    std::uint64_t step = 1;  ///< every step-th boundary; 1 = all
    DiskFaults faults;       ///< planted bugs, to prove that the harness finds them
    NodeOptions node;
};

struct CrashReport {
    std::uint64_t boundaries = 0;  ///< of the workload in a clean run
    std::uint64_t crashes = 0;     ///< runs that crashed
    std::vector<std::string>
        failures;  ///< "boundary 7 (sync store/000001.seg), after, power lost: reordered, seed 3: ..."

    [[nodiscard]] bool ok() const { return failures.empty(); }
    [[nodiscard]] std::string text() const;  ///< counts and the first failures
};

/// `setup` runs undisturbed; `workload` is crashed; then the node restarts and `check` says what is wrong ("" = all
/// is well). Each runs on the node, in a World of its own. What they share (what was acknowledged, above all) is
/// captured by reference by the std::functions, never by a coroutine, and `reset` empties it before each run.
/// Exceptions other than cancellation, and tasks that never end, are failures too.
struct CrashScenario {
    std::function<Task<void>(NodeEnv&)> setup;  ///< may be empty
    std::function<Task<void>(NodeEnv&)> workload;
    std::function<Task<std::string>(NodeEnv&)> check;
    std::function<void()> reset;  ///< before each run; may be empty
};

[[nodiscard]] CrashReport for_each_crash_point(const CrashScenario& scenario, const CrashPlan& plan = {});

/// The same idea for errors: boundary number n fails with `error` for every n, once; then the workload goes on (and may
/// fail), the process is killed and restarted, and `check` runs.
[[nodiscard]] CrashReport for_each_failing_call(const CrashScenario& scenario, const Error& error,
                                                const CrashPlan& plan = {});

}  // namespace base::sim
