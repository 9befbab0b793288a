// The harness itself: it must notice what it is for.
#include "base/sim/campaign.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

#include "base/sim/testing.hpp"
#include "base/task_group.hpp"

namespace base::sim {
namespace {

using namespace std::chrono_literals;

TEST(Campaign, RunsEverySeedAndStopsAtTheFirstThatFails) {
    const auto result = run_campaign({.seeds = 20}, [](World& world) {
        world.run_for(1s);
        if (world.seed() == 7) throw std::runtime_error{"seven"};
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->seed, 7U);
    EXPECT_EQ(result.failure->reason, "seven");
    EXPECT_EQ(result.seeds_run, 7U);
    EXPECT_EQ(result.simulated, 7s);
}

TEST(Campaign, ARunThatDependsOnMoreThanTheSeedIsFound) {
    std::uint64_t calls = 0;
    const auto result = run_campaign({.seeds = 10}, [&calls](World& world) { world.trace(++calls); });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->seed, 10U);
    EXPECT_NE(result.failure->reason.find("not deterministic"), std::string::npos);
}

/// Swallows its cancellation and goes on.
struct Undead {
    explicit Undead(NodeEnv& env) : event{env.executor}, tasks{env.executor} { tasks.spawn(haunt(event)); }
    static Task<void> haunt(Event& event) {
        for (;;) {
            try {
                co_await event.wait();
            } catch (const boost::system::system_error&) {
            }
            co_await boost::asio::this_coro::reset_cancellation_state();
        }
    }
    Event event;
    TaskGroup tasks;
};

TEST(Campaign, ACoroutineThatSwallowsItsCancellationIsFound) {
    const auto result = run_campaign({.seeds = 1}, [](World& world) {
        auto& node = world.add_node();
        node.start([](NodeEnv& env) { return std::make_unique<Undead>(env); });
        node.kill();
        world.run_for(1s);
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->reason.find("swallows its cancellation"), std::string::npos) << result.failure->reason;
}

TEST(Campaign, AnExceptionInANodeEndsTheRun) {
    const auto result = run_campaign({.seeds = 1}, [](World& world) {
        world.add_node().env().clock.schedule({}, [] { throw std::logic_error{"a bug"}; });
        world.run_for(1s);
    });
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->reason, "a bug");
}

Task<void> sleep_no_time(NodeEnv& env) { co_await env.clock.sleep_for(0ns); }

Task<void> spin(NodeEnv& env) {
    for (;;) {
        TaskGroup group{env.executor};
        group.spawn(sleep_no_time(env));
        co_await group.join();
    }
}

TEST(Campaign, AWorldThatSpinsIsStuck) {
    Campaign campaign;
    campaign.seeds = 1;
    campaign.world.most_events_per_instant = 1000;
    const auto result = run_campaign(campaign, [](World& world) {
        world.add_node().spawn(spin(world.node(0).env()));
        world.run_for(1s);
    });
    ASSERT_TRUE(result.failure);
    EXPECT_NE(result.failure->reason.find("spins"), std::string::npos) << result.failure->reason;
}

TEST(Campaign, AFailureNamesTheCommandThatRepeatsIt) {
    EXPECT_NONFATAL_FAILURE(run_simulation({.seeds = 1}, [](World&) { throw std::runtime_error{"on purpose"}; }),
                            "--gtest_filter=Campaign.AFailureNamesTheCommandThatRepeatsIt");
}

/// Something for the harms to disturb: each node greets all others every second.
struct Greeter {
    Greeter(NodeEnv& env_in, World& world_in) : env{env_in}, world{world_in}, tasks{env_in.executor} {
        env.transport.serve(Service::past, {}, [this](const Peer&, Message) { ++heard; });
        tasks.spawn(greet());
    }
    Task<void> greet() {
        for (;;) {
            co_await env.clock.sleep_for(1s);
            for (NodeIndex i = 0; i < world.size(); ++i) {
                env.transport.notify(world.node(i).address(), Message(Service::past, 1, {}));
            }
        }
    }
    NodeEnv& env;
    World& world;
    std::uint64_t heard = 0;
    TaskGroup tasks;
};

SIMULATION(EveryHarmIsDoneAndEverythingRecovers, .seeds = 10) {
    world.add_nodes(6);
    for (NodeIndex i = 0; i < 6; ++i) {
        world.node(i).start([&world](NodeEnv& env) { return std::make_unique<Greeter>(env, world); });
    }
    world.harm(Kill{.leave_at_least = 3}, PowerOff{.leave_at_least = 3}, Partition{}, Partition{.one_way = true},
               Loss{.share = 0.1, .duplicated = 0.1, .reordered = 0.1}, SwizzleClog{}, SlowNode{},
               SlowNode{.slowness = 20}, Flap{}, ClockSteps{});
    world.run_for(30min);
    EXPECT_EQ(world.harms().size(), 10U);
    for (const auto& [name, count] : world.harms()) EXPECT_GT(count, name == "loss" ? 0U : 5U) << name;
    world.stop_harm();
    world.run_for(1s);
    for (NodeIndex i = 0; i < 6; ++i) world.node(i).root<Greeter>().heard = 0;
    world.run_for(10s);
    for (NodeIndex i = 0; i < 6; ++i) EXPECT_GE(world.node(i).root<Greeter>().heard, 50U) << i;
}

}  // namespace
}  // namespace base::sim
