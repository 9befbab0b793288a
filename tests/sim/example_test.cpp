// The worked example of docs/simulation.md: a node that keeps a number on its disk and tells it to others.
#include <gtest/gtest.h>

#include <memory>

#include "base/codec.hpp"
#include "base/sim/crash_points.hpp"
#include "base/sim/testing.hpp"
#include "base/sim/world.hpp"

namespace base::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t kTell = 1;
constexpr const char* kFile = "counter";

/// Software over the doors, as any layer is.
class Counter {
  public:
    explicit Counter(NodeEnv& env) : env_{env} {
        env.transport.serve(Service::past, [this](Peer, Message) { return tell(); }, {});
    }

    /// Returns the new value once it is durable.
    Task<Result<std::uint64_t>> add_one() {
        auto job = [&disk = env_.disk] { return increment(disk); };
        co_return co_await env_.workers.run(std::move(job));
    }

    Task<Result<Message>> tell() {
        auto job = [&disk = env_.disk] { return read(disk); };
        const auto value = co_await env_.workers.run(std::move(job));
        if (!value) co_return value.error();
        Writer writer;
        writer.u64(*value);
        co_return Message(Service::past, kTell, writer.take());
    }

    static Result<std::uint64_t> read(base::Disk& disk) {
        const auto bytes = read_file(disk, kFile, 8);
        if (!bytes && bytes.error() == Errc::not_found) return std::uint64_t{0};
        if (!bytes) return bytes.error();
        return Reader{*bytes}.u64();
    }

  private:
    static Result<std::uint64_t> increment(base::Disk& disk) {
        BASE_TRY(const auto value, read(disk));
        Writer writer;
        writer.u64(value + 1);
        BASE_CHECK(replace_file(disk, kFile, writer.view()));
        return value + 1;
    }

    NodeEnv& env_;
};

Counter& start_counter(Node& node) {
    return node.start([](NodeEnv& env) { return std::make_unique<Counter>(env); });
}

Task<Result<Message>> ask(NodeEnv& env, Address to) {
    co_return co_await env.transport.request(to, Message(Service::past, kTell, {}), env.clock.now() + 5s);
}

TEST(Example, ARestartedCounterGoesOnWhereItWas) {
    World world{/*seed=*/1};
    auto& node = world.add_node();
    auto& counter = start_counter(node);
    ASSERT_EQ(world.run(counter.add_one()).value(), 1U);
    ASSERT_EQ(world.run(counter.add_one()).value(), 2U);

    node.power_off();
    node.restart();

    const auto answer = world.run(ask(world.env(), node.address()));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(Reader{answer->header}.u64(), 2U);
}

// What was acknowledged is there, wherever the power goes: one scenario, every boundary, every way.

Task<void> count_to_three(NodeEnv& env, std::uint64_t& acknowledged) {
    Counter counter{env};
    for (int i = 0; i < 3; ++i) {
        const auto value = co_await counter.add_one();
        if (value) acknowledged = *value;
    }
}

Task<std::string> what_is_wrong(NodeEnv& env, std::uint64_t& acknowledged) {
    const auto value = Counter::read(env.disk);
    if (!value) co_return "unreadable: " + value.error().message();
    if (*value < acknowledged) co_return "an acknowledged step was lost";
    if (*value > acknowledged + 1) co_return "a step that nobody took";
    co_return "";
}

CrashScenario counting(std::uint64_t& acknowledged) {
    CrashScenario scenario;
    scenario.reset = [&acknowledged] { acknowledged = 0; };
    scenario.workload = [&acknowledged](NodeEnv& env) { return count_to_three(env, acknowledged); };
    scenario.check = [&acknowledged](NodeEnv& env) { return what_is_wrong(env, acknowledged); };
    return scenario;
}

TEST(Example, TheCounterSurvivesACrashAtEveryBoundary) {
    std::uint64_t acknowledged = 0;
    const auto report = for_each_crash_point(counting(acknowledged));
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GE(report.boundaries, 12U);
    EXPECT_EQ(report.crashes, report.boundaries * 3 * 4);
}

TEST(Example, ASkippedSyncIsFound) {
    std::uint64_t acknowledged = 0;
    CrashPlan plan;
    plan.faults.skip_sync_number = 2;
    EXPECT_FALSE(for_each_crash_point(counting(acknowledged), plan).ok());
}

TEST(Example, ASkippedDirectorySyncIsFound) {
    std::uint64_t acknowledged = 0;
    CrashPlan plan;
    plan.faults.skip_every_directory_sync = true;
    EXPECT_FALSE(for_each_crash_point(counting(acknowledged), plan).ok());
}

TEST(Example, TheCounterSurvivesAnErrorOfEveryCall) {
    std::uint64_t acknowledged = 0;
    for (const Errc error : {Errc::io_failed, Errc::no_space}) {
        const auto report = for_each_failing_call(counting(acknowledged), Error{error});
        EXPECT_TRUE(report.ok()) << report.text();
        EXPECT_EQ(report.crashes, report.boundaries * 2);
    }
}

SIMULATION(CountersNeverGoBack, .seeds = 20) {
    std::vector<std::uint64_t> acknowledged(5);
    world.add_nodes(5);
    for (NodeIndex i = 0; i < 5; ++i) start_counter(world.node(i));
    world.harm(Kill{.every = 20s, .down_for = 5s, .leave_at_least = 3},
               PowerOff{.every = 30s, .down_for = 5s, .leave_at_least = 3}, Loss{.share = 0.05});
    for (int round = 0; round < 100; ++round) {
        world.run_for(1s);
        const auto i = static_cast<NodeIndex>(world.rng().below(5));
        if (!world.node(i).up()) continue;
        const auto value = world.node(i).run(world.node(i).root<Counter>().add_one());
        if (value && *value) acknowledged[i] = **value;
    }
    world.stop_harm();
    for (NodeIndex i = 0; i < 5; ++i) {
        const auto answer = world.run(ask(world.env(), world.node(i).address()));
        ASSERT_TRUE(answer) << answer.error().message();
        EXPECT_GE(Reader{answer->header}.u64(), acknowledged[i]);
    }
}

}  // namespace
}  // namespace base::sim
