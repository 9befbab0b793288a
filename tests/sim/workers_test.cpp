#include <gtest/gtest.h>

#include <boost/system/system_error.hpp>
#include <stdexcept>
#include <vector>

#include "base/sim/world.hpp"
#include "base/task_group.hpp"

namespace base::sim {
namespace {

using namespace std::chrono_literals;

Task<void> work(NodeEnv& env, std::vector<int>& log, int number) {
    auto job = [&log, number] { log.push_back(number); };
    co_await env.workers.run(std::move(job));
    log.push_back(-number);
}

TEST(SimWorkers, AsManyJobsAtOnceAsThereAreWorkers) {
    World world{1};
    auto& node = world.add_node({.workers = 2, .job_time = 1s});
    std::vector<int> log;
    for (int i = 1; i <= 4; ++i) node.spawn(work(node.env(), log, i));
    world.run_for(1600ms);
    EXPECT_GE(log.size(), 4U);
    EXPECT_LT(log.size(), 8U);
    world.run_for(2s);
    EXPECT_EQ(log.size(), 8U);
    EXPECT_EQ(node.env().workers.parallelism(), 2U);
}

Task<void> fail(NodeEnv& env) {
    auto job = [] { throw std::runtime_error{"from the job"}; };
    co_await env.workers.run(std::move(job));
}

TEST(SimWorkers, AnExceptionOfTheJobComesOut) {
    World world{1};
    EXPECT_THROW(world.run(fail(world.env())), std::runtime_error);
}

TEST(SimWorkers, ACancelledCallerWaitsForItsJob) {
    std::vector<int> log;
    World world{1};
    auto& node = world.add_node({.job_time = 1s});
    TaskGroup group{node.env().executor};
    group.spawn(work(node.env(), log, 1));
    world.run_for(100ms);
    group.cancel();
    world.settle();
    EXPECT_EQ(group.running(), 1U);
    world.run_for(2s);
    EXPECT_EQ(group.running(), 0U);
    EXPECT_EQ(log.front(), 1);
}

TEST(SimWorkers, AJobThatHasNotBegunDiesWithItsProcess) {
    std::vector<int> log;
    World world{1};
    auto& node = world.add_node({.job_time = 1s});
    node.spawn(work(node.env(), log, 1));
    world.run_for(100ms);
    node.kill();
    world.run_for(10s);
    EXPECT_TRUE(log.empty());
}

Task<void> write_and_sync(NodeEnv& env) {
    auto job = [&env] { return replace_file(env.disk, "a", as_bytes("text")); };
    EXPECT_TRUE(co_await env.workers.run(std::move(job)));
}

TEST(SimWorkers, ASlowDiskMakesSlowJobs) {
    World world{1};
    auto& node = world.add_node();
    node.run(write_and_sync(node.env()));
    EXPECT_LT(world.elapsed(), 1ms);
    node.disk().set_speed(0ms, 100ms, 0);
    node.run(write_and_sync(node.env()));
    EXPECT_GT(world.elapsed(), 200ms);  // the file and its directory
    const auto before = world.elapsed();
    node.set_slowness(10);
    node.run(write_and_sync(node.env()));
    EXPECT_GT(world.elapsed() - before, 2s);
}

}  // namespace
}  // namespace base::sim
