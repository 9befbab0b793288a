// The whole stack: PAST over Pastry, as a daemon runs it.
#include "base/sim/harm.hpp"
#include "base/sim/testing.hpp"
#include "cluster.hpp"

namespace past::test {
namespace {

ClusterOptions over_pastry(std::size_t peers) {
    ClusterOptions options;
    options.peers = peers;
    options.repair_after = 60s;
    options.peer.config.check_period = 20s;
    options.peer.config.discard_grace = 20s;
    options.peer.config.keep_surplus = 0s;
    pastry::Config overlay;
    overlay.heartbeat_interval = 3s;
    overlay.probe_timeout = 1s;
    overlay.leaf_exchange_interval = 30s;
    overlay.merge_interval = 30s;
    options.peer.overlay = overlay;
    return options;
}

TEST(OverPastry, TwoOfFiveKilledNothingIsLostAndEveryBlockIsAtThreeCopiesAgain) {
    sim::World world{1};
    Cluster cluster{world, over_pastry(5)};
    for (std::uint64_t number = 1; number <= 60; ++number) {
        const auto outcome = cluster.put(number % 5, number);
        ASSERT_TRUE(outcome) << outcome.error().message();
        ASSERT_EQ(outcome->copies_stored, 3U);
    }
    auto record = make_record(1, "head");
    ASSERT_TRUE(*cluster.machine(0).run(cluster.node(0).write_record(group_of(7), 0, record, cluster.in(20s))));
    cluster.machine(1).kill();
    cluster.machine(4).power_off();
    for (std::uint64_t number = 1; number <= 60; ++number) {
        ASSERT_TRUE(cluster.get(number % 2 == 0 ? 0 : 2, number)) << number;
    }
    const auto found = *cluster.machine(3).run(cluster.node(3).read_record(group_of(7), cluster.in(20s)));
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 1U);
    world.run_for(2min);
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 10min));
    for (std::uint64_t number = 1; number <= 60; ++number) EXPECT_EQ(cluster.copies(number), 3U) << number;
    EXPECT_TRUE(
        *cluster.machine(3).run(cluster.node(3).write_record(group_of(7), 1, make_record(2, "next"), cluster.in(20s))));
}

TEST(OverPastry, AJoinerTakesItsShareAndAReturnerItsPlace) {
    sim::World world{2};
    Cluster cluster{world, over_pastry(6)};
    for (std::uint64_t number = 1; number <= 60; ++number) ASSERT_TRUE(cluster.put(number % 6, number));
    const auto joiner = cluster.add_peer();
    cluster.machine(2).kill();
    world.run_for(20s);
    cluster.machine(2).restart();
    world.run_for(3min);
    EXPECT_TRUE(world.run_until(
        [&] {
            const auto sum = cluster.total();
            return cluster.whole() && sum.blocks_to_hand_over + sum.blocks_surplus == 0;
        },
        15min));
    EXPECT_GT(cluster.peer(joiner).store->usage().blocks, 0U);
    for (std::uint64_t number = 1; number <= 60; ++number) {
        EXPECT_EQ(cluster.copies(number), 3U) << number;
        EXPECT_TRUE(cluster.get(joiner, number)) << number;
    }
}

void blocks_survive_churn(sim::World& world) {
    const auto cluster = std::make_shared<Cluster>(world, over_pastry(12));
    world.harm(sim::Kill{.every = 30s, .down_for = 20s, .leave_at_least = 11}, sim::Loss{.share = 0.02},
               sim::SlowNode{.every = 45s, .lasts = 4s});
    std::vector<std::uint64_t> acknowledged;
    for (std::uint64_t number = 1; number <= 60; ++number) {
        const auto from = world.rng().below(12);
        if (!cluster->machine(from).running() || cluster->machine(from).paused() || !cluster->peer(from).ready()) {
            world.run_for(1s);
            continue;
        }
        auto outcome = cluster->put(from, number, Wait::majority);
        if (outcome) acknowledged.push_back(number);
        world.run_for(2s);
    }
    world.stop_harm();
    EXPECT_GT(acknowledged.size(), 30U);
    const auto all_ready = [&] {
        for (std::size_t i = 0; i < 12; ++i) {
            if (!cluster->machine(i).running() || !cluster->peer(i).ready()) return false;
        }
        return true;
    };
    EXPECT_TRUE(world.run_until([&] { return all_ready() && cluster->whole(); }, 20min));
    for (const auto number : acknowledged) {
        const auto bytes = cluster->get(number % 12, number);
        EXPECT_TRUE(bytes) << number << ": " << bytes.error().message();
        EXPECT_GE(cluster->copies(number), 3U);
    }
}

TEST(Simulation, BlocksSurviveChurn) {
    sim::Campaign campaign;
    campaign.seeds = 5;
    sim::run_simulation(campaign, &blocks_survive_churn);
}

}  // namespace
}  // namespace past::test
