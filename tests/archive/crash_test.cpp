// Every write, sync and rename of a backup into a store of its own, cut there: what was acknowledged is there, and the
// next backup goes on without a command and without storing again what is stored.
#include <gtest/gtest.h>

#include "base/sim/crash_points.hpp"
#include "lone_stack.hpp"

namespace objstore::archive::test {
namespace {

sim::CrashReport crash_everywhere(bool strict, const sim::CrashPlan& plan, bool with_cache = true) {
    auto story = std::make_shared<std::shared_ptr<Story>>();
    sim::CrashScenario scenario;
    scenario.reset = [story, with_cache] {
        *story = std::make_shared<Story>();
        (*story)->with_cache = with_cache;
    };
    scenario.workload = [story](NodeEnv& env) { return back_up_twice(env, *story); };
    scenario.check = [story, strict](NodeEnv& env) { return check_and_go_on(env, *story, strict); };
    return sim::for_each_crash_point(scenario, plan);
}

TEST(BackupCrash, KilledAtAnyBoundaryItResumesWithoutSendingStoredBlocksAgain) {
    sim::CrashPlan plan;
    plan.losses = {};
    const auto report = crash_everywhere(true, plan);
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GT(report.boundaries, 40U) << "the workload became too small to mean anything";
    RecordProperty("boundaries", static_cast<int>(report.boundaries));
    RecordProperty("crashes", static_cast<int>(report.crashes));
}

TEST(BackupCrash, APowerLossLosesNothingAcknowledged) {
    sim::CrashPlan plan;
    plan.kill = false;
    plan.step = 3;  // the store's own suite goes through all of its boundaries
    const auto report = crash_everywhere(false, plan);
    EXPECT_TRUE(report.ok()) << report.text();
}

// The harness finds what it is there for: a client that forgets what it stored, a store that acknowledges without a
// sync.
TEST(BackupCrash, AClientThatForgetsWhatItStoredIsFound) {
    sim::CrashPlan plan;
    plan.losses = {};
    plan.step = 8;
    EXPECT_FALSE(crash_everywhere(true, plan, false).ok());
}

TEST(BackupCrash, ASyncThatIsLeftOutIsFound) {
    sim::CrashPlan plan;
    plan.kill = false;
    plan.losses = {sim::PowerLoss::lost};
    plan.faults.skip_every_sync = true;
    plan.step = 4;
    EXPECT_FALSE(crash_everywhere(false, plan).ok());
}

}  // namespace
}  // namespace objstore::archive::test
