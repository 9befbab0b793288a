#include "base/sim/crash_points.hpp"

#include <fmt/format.h>

#include <exception>

#include "seeded_rng.hpp"

namespace base::sim {

std::string CrashPoint::text() const {
    std::string text = fmt::format("boundary {} ({}), {}, ", boundary, site, to_string(side));
    text += power_lost ? fmt::format("power lost: {}", to_string(loss)) : std::string{"killed"};
    return text + fmt::format(", seed {}", seed);
}

std::string CrashReport::text() const {
    std::string text = fmt::format("{} boundaries, {} crashes, {} failures", boundaries, crashes, failures.size());
    constexpr std::size_t kShown = 10;
    for (std::size_t i = 0; i < std::min(kShown, failures.size()); ++i) text += "\n  " + failures[i];
    return text;
}

namespace {

/// One run: setup, then the workload until it ends or its process dies.
class Run {
  public:
    Run(const CrashScenario& scenario, const CrashPlan& plan, std::uint64_t seed)
        : scenario_{scenario}, world_{seed}, node_{world_.add_node(plan.node)} {
        if (scenario.reset) scenario.reset();
        node_.plant(plan.faults);
        if (scenario.setup) node_.run(scenario.setup(node_.env()));
        begin_ = node_.disk().boundaries();
    }

    Node& node() { return node_; }
    [[nodiscard]] std::uint64_t begin() const { return begin_; }
    void work() { node_.run(scenario_.workload(node_.env())); }

    /// On a fresh process; "" if all is well.
    std::string check() {
        if (!node_.up()) node_.restart();
        node_.disk().cancel_crash();
        node_.disk().fail_nothing();
        auto verdict = node_.run(scenario_.check(node_.env()));
        return verdict.value_or("the process died while it was checked");
    }

  private:
    const CrashScenario& scenario_;
    World world_;
    Node& node_;
    std::uint64_t begin_ = 0;
};

/// What `step` says, or the text of what it throws.
std::string guarded(const std::function<std::string()>& step) {
    try {
        return step();
    } catch (const std::exception& error) {
        return std::string{"exception: "} + error.what();
    }
}

std::uint64_t count_boundaries(const CrashScenario& scenario, const CrashPlan& plan, CrashReport& report) {
    std::uint64_t boundaries = 0;
    const auto problem = guarded([&] {
        Run run{scenario, plan, plan.seed};
        run.work();
        boundaries = run.node().disk().boundaries() - run.begin();
        run.node().kill();
        return run.check();
    });
    if (!problem.empty()) report.failures.push_back("without any crash: " + problem);
    report.boundaries = boundaries;
    return boundaries;
}

void crash_once(const CrashScenario& scenario, const CrashPlan& plan, CrashPoint point, CrashReport& report) {
    bool crashed = false;
    const auto problem = guarded([&] {
        Run run{scenario, plan, point.seed};
        std::optional<PowerLoss> loss;
        if (point.power_lost) loss = point.loss;
        run.node().crash_on_disk(run.begin() + point.boundary, point.side, loss);
        run.work();
        crashed = run.node().disk().crashed();
        point.site = run.node().disk().crash_site();
        // A run that ended before this boundary (its course depends on the seed) is killed at its end.
        if (run.node().up()) run.node().kill();
        return run.check();
    });
    if (crashed) ++report.crashes;
    if (!problem.empty()) report.failures.push_back(point.text() + ": " + problem);
}

}  // namespace

CrashReport for_each_crash_point(const CrashScenario& scenario, const CrashPlan& plan) {
    CrashReport report;
    const auto boundaries = count_boundaries(scenario, plan, report);
    for (std::uint64_t boundary = plan.from; boundary <= boundaries; boundary += plan.step) {
        for (const CrashSide side : kCrashSides) {
            CrashPoint point;
            point.boundary = boundary;
            point.side = side;
            point.seed = plan.seed;
            if (plan.kill) crash_once(scenario, plan, point, report);
            point.power_lost = true;
            for (const PowerLoss loss : plan.losses) {
                point.loss = loss;
                const bool random = loss == PowerLoss::torn || loss == PowerLoss::reordered;
                for (unsigned repeat = 0; repeat < (random ? plan.repeats : 1); ++repeat) {
                    point.seed = plan.seed + repeat;
                    crash_once(scenario, plan, point, report);
                }
            }
        }
    }
    return report;
}

CrashReport for_each_failing_call(const CrashScenario& scenario, const Error& error, const CrashPlan& plan) {
    CrashReport report;
    const auto boundaries = count_boundaries(scenario, plan, report);
    for (std::uint64_t boundary = plan.from; boundary <= boundaries; boundary += plan.step) {
        // After the error either the process is killed or, worse, the power goes: what a failed sync had marked clean
        // is lost then.
        for (const bool power_lost : {false, true}) {
            const auto problem = guarded([&] {
                Run run{scenario, plan, plan.seed};
                run.node().disk().fail_at_boundary(run.begin() + boundary, error);
                run.work();
                if (power_lost) {
                    run.node().power_off(PowerLoss::lost);
                } else {
                    run.node().kill();
                }
                return run.check();
            });
            ++report.crashes;
            if (!problem.empty()) {
                report.failures.push_back(fmt::format("call {} failed with \"{}\", then {}: {}", boundary,
                                                      error.message(), power_lost ? "power lost" : "killed", problem));
            }
        }
    }
    return report;
}

}  // namespace base::sim
