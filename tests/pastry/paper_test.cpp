// The claims of the Pastry papers, one test each. Table of claims: docs/papers.md, "Pastry".
#include <gtest/gtest.h>

#include <cmath>

#include "ring.hpp"
#include "router.hpp"

namespace pastry {
namespace {

using namespace std::chrono_literals;
using testing::NodeIndex;
using testing::Ring;

double log16(double nodes) { return std::log(nodes) / std::log(16.0); }

void record(const char* name, double value) {
    ::testing::Test::RecordProperty(name, std::to_string(value));
    std::printf("    %s = %.3f\n", name, value);
}

// Rowstron & Druschel 2001, section 2: "routes to the numerically closest node in less than ceil(log_2^b N) steps under
// normal operation". A thousand nodes that all joined through the protocol.
TEST(PastryPaper, AThousandJoinedNodesRouteInLogarithmicHopsToTheRoot) {
    Ring ring{7};
    ASSERT_TRUE(ring.join(1000, 10));
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    ring.send_many(10'000, 60s);
    ring.world.run_for(10s);
    const auto tally = ring.tally();
    EXPECT_EQ(tally.arrived, 10'000U);
    EXPECT_EQ(tally.twice, 0U);
    EXPECT_EQ(tally.inconsistent, 0U);
    EXPECT_LE(tally.mean_hops, log16(1000) + 0.5);
    EXPECT_LE(tally.most_hops, 5U);
    record("mean_hops_1000", tally.mean_hops);
    record("max_hops_1000", tally.most_hops);

    // Section 3.4 measures 10 % silent failures: 2.73 -> 2.96 hops without repair -> 2.74 after it.
    ring.forget_deliveries();
    ring.power_off(0.1);
    ring.send_many(3000, 9s);  // nobody is declared faulty yet
    const auto during = ring.tally();
    EXPECT_EQ(during.inconsistent, 0U);
    record("mean_hops_after_10_percent_failures_before_repair", during.mean_hops);
    ring.world.run_for(3min);
    const auto after = ring.tally();
    EXPECT_EQ(after.arrived, after.sent) << "held for their roots, then delivered by the new ones";
    EXPECT_EQ(after.inconsistent, 0U);
    EXPECT_EQ(ring.wrong_leaf_sets(), 0U);
    ring.forget_deliveries();
    ring.send_many(3000, 30s);
    ring.world.run_for(30s);
    const auto repaired = ring.tally();
    EXPECT_EQ(repaired.arrived, repaired.sent);
    EXPECT_EQ(repaired.inconsistent, 0U);
    EXPECT_LE(repaired.mean_hops, log16(900) + 0.5);
    record("mean_hops_after_repair", repaired.mean_hops);
}

// Section 2.4: the cost of a join is O(log_2^b N) messages, "the constant is about 3 * 2^b".
TEST(PastryPaper, AJoinCostsAFewHundredMessages) {
    for (const std::size_t nodes : {100U, 1000U}) {
        Ring ring{3};
        ring.add_directly(nodes);
        ring.world.run_for(10s);
        ring.world.network().reset_counters();
        const auto quiet_from = ring.world.now();
        ASSERT_TRUE(ring.join(10));
        ring.world.run_for(5s);
        const auto seconds = std::chrono::duration<double>(ring.world.now() - quiet_from).count();
        const auto traffic = ring.world.network().total();
        const double messages = static_cast<double>(traffic.notifies_sent + 2 * traffic.requests_sent) -
                                seconds * static_cast<double>(nodes) * 0.1;
        const double each = messages / 10;
        record(nodes == 100 ? "messages_per_join_100" : "messages_per_join_1000", each);
        EXPECT_LE(each, 8 * 16 * std::ceil(log16(static_cast<double>(nodes))));
    }
}

// MSPastry, abstract: "less than half a message per second per node" of maintenance; section 4.1: heartbeats to the
// left neighbour only, so that the cost does not depend on the size of the leaf set.
TEST(PastryPaper, MaintenanceIsLessThanAQuarterOfAMessageASecondWhateverTheLeafSet) {
    for (const std::size_t per_side : {4U, 16U}) {
        Config config;
        config.leaf_set_per_side = per_side;
        Ring ring{5, config};
        ring.add_directly(500);
        ring.world.run_for(1h);
        const double rate = static_cast<double>(ring.notices_sent()) / (500 * 3600.0);
        record(per_side == 4 ? "maintenance_per_node_second_l8" : "maintenance_per_node_second_l32", rate);
        EXPECT_LT(rate, 0.25);
    }
}

// MSPastry, section 5: the same under churn. Sessions of 2.3 h on the average (Gnutella).
TEST(PastryPaper, MaintenanceUnderGnutellaChurnIsLessThanHalfAMessageASecond) {
    Ring ring{6};
    ring.add_directly(300);
    ring.world.network().reset_counters();
    const auto begun = ring.world.now();
    // 300 nodes, 8,280 s each: one leaves and one joins every 27.6 s; half an hour.
    for (int i = 0; i < 65; ++i) {
        ring.world.node(ring.random_live()).power_off();
        ASSERT_TRUE(ring.join(1));
        ring.send_many(83, 27600ms);  // 0.01 look-ups a second and node
    }
    const auto seconds = std::chrono::duration<double>(ring.world.now() - begun).count();
    std::uint64_t maintenance = 0;
    for (const auto index : ring.live_nodes()) maintenance += ring.node(index).status().maintenance;
    const double rate = static_cast<double>(maintenance) / (300 * seconds);
    ring.world.run_for(2min);
    const auto tally = ring.tally();
    record("maintenance_per_node_second_churn", rate);
    record("lost_under_churn", static_cast<double>(tally.sent - tally.arrived));
    EXPECT_LT(rate, 0.5);
    EXPECT_EQ(tally.inconsistent, 0U);
    EXPECT_LE(tally.sent - tally.arrived, 3U) << "only what a dying node held";
}

// Section 2.5 and TR-2003-52: with tables chosen by proximity the way is little longer than the direct one.
TEST(PastryPaper, ProximityKeepsTheStretchBelowTwo) {
    Ring ring{8};
    ring.world.network().use_plane_latency(50us);
    ring.add_directly(1000);
    ring.world.run_for(1s);
    double stretch = 0;
    double direct = 0;
    ring.send_many(2000, 100s);
    ring.world.run_for(5s);
    for (const auto& each : ring.deliveries()) stretch += std::chrono::duration<double>(each.took).count();
    // Direct ways between random pairs.
    for (int i = 0; i < 2000; ++i) {
        direct +=
            std::chrono::duration<double>(ring.world.network().latency(ring.random_live(), ring.random_live())).count();
    }
    record("stretch_plane_1000", stretch / direct);
    EXPECT_LT(stretch / direct, 2.0);
}

// Section 2.3, the API: deliver, forward (which may change or stop a message), update.
TEST(PastryPaper, ForwardIsCalledOnEveryNodeOfTheWayAndMayStopTheMessage) {
    struct Gate final : Application {
        explicit Gate(unsigned& calls, bool open) : calls_{calls}, open_{open} {}
        void deliver(const base::Guid&, const NodeHandle&, base::Message message, unsigned) override {
            EXPECT_EQ(message.header.size(), calls_) << "each hop appended a byte";
            delivered = true;
        }
        bool forward(const base::Guid&, base::Message& message, const NodeHandle&) override {
            ++calls_;
            message.header.push_back(1);
            return open_;
        }
        bool delivered = false;
        unsigned& calls_;
        bool open_;
    };
    for (const bool open : {true, false}) {
        Config config;
        config.leaf_set_per_side = 4;
        Ring ring{9, config};
        ring.add_directly(300);
        unsigned calls = 0;
        Gate gate{calls, open};
        for (NodeIndex i = 0; i < ring.size(); ++i) ring.node(i).attach(base::Service::tapestry, &gate);
        base::Guid key;
        do key = ring.world.rng().guid();
        while (*ring.true_root(key) == 0);
        ring.node(0).route(key, base::Message{base::Service::tapestry, 1, {}});
        ring.world.run_for(5s);
        EXPECT_EQ(gate.delivered, open);
        EXPECT_GE(calls, 1U);
        if (!open) {
            EXPECT_EQ(calls, 1U);
        }
    }
}

TEST(PastryPaper, SameSeedSameRun) {
    const auto run = [] {
        Ring ring{21};
        EXPECT_TRUE(ring.join(30, 5));
        ring.power_off(0.1);
        ring.send_many(100, 60s);
        return ring.world.trace_hash();
    };
    EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace pastry
