// Whole rings in virtual time: joins, routing, failures, partitions. Figures are printed as properties of the tests.
#include "ring.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "pastry/error.hpp"

namespace pastry {
namespace {

using namespace std::chrono_literals;
using testing::NodeIndex;
using testing::Ring;

Config small(std::size_t per_side) {
    Config config;
    config.leaf_set_per_side = per_side;
    return config;
}

/// One detection period: the heartbeat that does not come, then the probes.
base::Duration detection(const Config& config) {
    return config.heartbeat_interval + config.probe_timeout * (config.probe_retries + 2);
}

TEST(Ring, TheFirstNodeIsActiveAndTheRootOfEverything) {
    Ring ring{1};
    ASSERT_TRUE(ring.join(1));
    EXPECT_TRUE(ring.node(0).active());
    ring.send(0, ring.world.rng().guid());
    EXPECT_TRUE(ring.deliveries().empty()) << "never from inside route()";
    ring.world.settle();
    ASSERT_EQ(ring.deliveries().size(), 1U);
    EXPECT_EQ(ring.deliveries()[0].hops, 0U);
}

TEST(Ring, TwoNodesShareTheRing) {
    Ring ring{2};
    ASSERT_TRUE(ring.join(2));
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    ring.send_many(50, 10s);
    ring.world.run_for(5s);
    const auto tally = ring.tally();
    EXPECT_EQ(tally.arrived, 50U);
    EXPECT_EQ(tally.inconsistent, 0U);
    EXPECT_EQ(tally.most_hops, 1U);
}

TEST(Ring, SaysOfItsTablesWhereANodeIsAndHowFar) {
    Ring ring{21, small(2)};
    ring.world.network().use_plane_latency(50us, 1ms);
    ring.add_directly(200);
    std::size_t known = 0;
    for (NodeIndex other = 1; other < 200; ++other) {
        const auto& id = ring.world.node(other).id();
        const auto found = ring.node(0).find(id);
        if (!found) continue;
        ++known;
        EXPECT_EQ(found->address, ring.world.node(other).address());
        const auto straight = 2 * ring.world.network().latency(0, other);
        EXPECT_EQ(ring.node(0).rtt(id).value_or(straight), straight);
    }
    EXPECT_GT(known, 20U);
    EXPECT_LT(known, 150U);
    EXPECT_FALSE(ring.node(0).find(ring.world.rng().guid()));
    EXPECT_FALSE(ring.node(0).rtt(ring.world.rng().guid()));
    EXPECT_FALSE(ring.node(0).find(ring.world.node(0).id()));
}

TEST(Ring, WhomALayerAboveFoundSilentIsNotTheNextHopUntilItAnswers) {
    Ring ring{22, small(2)};
    ring.add_directly(300);
    base::Guid key;
    std::vector<NextHop> before;
    do {
        key = ring.world.rng().guid();
        before = ring.node(0).next_hops(key, 2);
    } while (before.size() < 2 || ring.world.node(*ring.true_root(key)).id() == before[0].node.id());
    ring.node(0).suspect(before[0].node.id());
    EXPECT_EQ(ring.node(0).next_hops(key, 1).at(0).node, before[1].node);
    ring.world.run_for(1s);  // it lives, and said so
    EXPECT_EQ(ring.node(0).next_hops(key, 1).at(0).node, before[0].node);
    for (NodeIndex other = 1; other < 300; ++other) {
        if (ring.world.node(other).id() == before[0].node.id()) ring.world.node(other).power_off();
    }
    ring.node(0).suspect(before[0].node.id());
    ring.world.run_for(Config{}.probe_timeout * 4);
    EXPECT_FALSE(ring.node(0).find(before[0].node.id())) << "declared dead, and out of the table";
    ring.node(0).suspect(ring.world.rng().guid());  // whom we do not know we do not ask
}

TEST(Ring, NetworksUpToTheSizeOfTheLeafSetRouteInOneHop) {
    Ring ring{3};
    ASSERT_TRUE(ring.join(30));
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    ring.send_many(300, 30s);
    ring.world.run_for(5s);
    EXPECT_EQ(ring.tally().arrived, 300U);
    EXPECT_EQ(ring.tally().inconsistent, 0U);
    EXPECT_LE(ring.tally().most_hops, 1U);
}

TEST(Ring, ManyThatJoinAtOneTimeAllFindTheirNeighbours) {
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        Ring ring{seed, small(4)};
        ASSERT_TRUE(ring.join(5));
        ASSERT_TRUE(ring.join(60, 60)) << seed;
        ring.world.run_for(1min);
        EXPECT_EQ(ring.wrong_leaf_sets(), 0U) << seed;
    }
}

TEST(Ring, AJoinerSetsAsideSeedsThatAreDead) {
    Ring ring{4};
    ASSERT_TRUE(ring.join(4));
    ring.world.node(1).power_off();
    ring.world.node(2).kill();
    ring.add(1);
    std::vector<base::Address> seeds;
    for (NodeIndex i : {1U, 2U, 3U}) seeds.push_back(ring.world.node(i).address());
    EXPECT_TRUE(ring.join_one(4, seeds, 2min).has_value());
}

TEST(Ring, WithoutALivingSeedAJoinFailsAndTheNodeStaysOut) {
    Ring ring{5};
    ASSERT_TRUE(ring.join(1));
    ring.world.node(0).power_off();
    ring.add(1);
    std::vector<base::Address> seeds{ring.world.node(0).address()};
    EXPECT_EQ(ring.join_one(1, seeds, 20s).error(), Errc::join_failed);
    EXPECT_FALSE(ring.node(1).active());
}

TEST(Ring, AColdStartOfAllMembersMakesOneRingAgain) {
    Ring ring{6};
    ring.add(5);
    std::vector<base::Address> everybody;
    for (NodeIndex i = 0; i < 5; ++i) everybody.push_back(ring.world.node(i).address());
    for (NodeIndex i = 0; i < 5; ++i) {
        auto start = [](Node& node, std::vector<base::Address> seeds, base::TimePoint until) -> base::Task<void> {
            (void)co_await node.join(std::move(seeds), until, Node::IfAllWait::found);
        };
        ring.world.node(i).spawn(start(ring.node(i), everybody, ring.world.now() + 2min));
    }
    ring.world.run_for(2min);
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    for (NodeIndex i = 0; i < 5; ++i) EXPECT_TRUE(ring.node(i).active());
}

TEST(Ring, ANodeThatDiesIsAbsentAndOneThatComesBackIsNot) {
    Ring ring{7, small(4)};
    ASSERT_TRUE(ring.join(12));
    const auto dead = ring.world.node(3).id();
    ring.world.node(3).power_off();
    ring.world.run_for(2 * detection({}));
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    std::size_t remember = 0;
    for (const auto index : ring.live_nodes()) {
        for (const auto& absent : ring.node(index).absent()) remember += absent.node.id() == dead ? 1 : 0;
        if (ring.member(index).heard_of.contains(dead)) {
            EXPECT_FALSE(ring.member(index).heard_of.at(dead));
        }
    }
    EXPECT_GE(remember, 8U);

    ring.world.node(3).restart();
    std::vector<base::Address> seeds{ring.world.node(5).address()};
    ASSERT_TRUE(ring.join_one(3, seeds, 1min).has_value());
    ring.world.run_for(1min);
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    for (const auto index : ring.live_nodes()) EXPECT_TRUE(ring.node(index).absent().empty());
}

TEST(Ring, ANodeThatComesBackBeforeItWasMissedIsTakenInAgain) {
    Ring ring{8, small(4)};
    ASSERT_TRUE(ring.join(12));
    ring.world.node(3).kill();
    ring.world.run_for(1s);
    ring.world.node(3).restart();
    std::vector<base::Address> seeds{ring.world.node(5).address()};
    ASSERT_TRUE(ring.join_one(3, seeds, 1min).has_value());
    ring.world.run_for(1min);
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
}

TEST(Ring, FindReplicaSetTellsTheSameFromEverywhere) {
    Ring ring{9, small(8)};
    ring.add_directly(200);
    for (int i = 0; i < 50; ++i) {
        const auto key = ring.world.rng().guid();
        auto ids = std::vector<base::Guid>{};
        for (NodeIndex n = 0; n < ring.size(); ++n) ids.push_back(ring.world.node(n).id());
        std::ranges::sort(ids, [&](const auto& a, const auto& b) { return base::closer(key, a, b); });
        const auto from = ring.random_live();
        auto found = ring.world.node(from).run(ring.node(from).find_replica_set(key, 5, ring.world.now() + 30s));
        ASSERT_TRUE(found && *found);
        ASSERT_EQ((*found)->size(), 5U);
        for (std::size_t n = 0; n < 5; ++n) EXPECT_EQ((**found)[n].id(), ids[n]);
    }
}

TEST(Ring, ATraceNamesEachHopAndEndsAtTheRoot) {
    Ring ring{10, small(8)};
    ring.add_directly(300);
    const auto key = ring.world.rng().guid();
    auto trace = ring.world.node(0).run(ring.node(0).trace(key, ring.world.now() + 30s));
    ASSERT_TRUE(trace && *trace);
    const auto& hops = **trace;
    EXPECT_EQ(hops.back().node.id(), ring.world.node(*ring.true_root(key)).id());
    for (std::size_t i = 0; i < hops.size(); ++i) {
        EXPECT_EQ(hops[i].prefix_length, hops[i].node.id().common_prefix(key));
        EXPECT_GT(hops[i].rtt, 0ns);
    }
    NodeHandle first{.address = ring.world.node(7).address(), .failure_domain = {}};
    auto rtt = ring.world.node(0).run(ring.node(0).ping(first, ring.world.now() + 5s));
    ASSERT_TRUE(rtt && *rtt);
    EXPECT_EQ(**rtt, 2 * ring.world.network().latency(0, 7));
}

TEST(Ring, EstimatesItsSizeFromTheDensityOfTheLeafSet) {
    Ring ring{11};
    ring.add_directly(1000);
    double sum = 0;
    for (NodeIndex i = 0; i < 1000; ++i) sum += ring.node(i).status().estimated_nodes;
    EXPECT_NEAR(sum / 1000, 1000, 100);
}

}  // namespace
}  // namespace pastry
