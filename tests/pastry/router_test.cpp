// The state machine by itself: inputs, effects, no network and no clock.
#include "router.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ids.hpp"

namespace pastry {
namespace {

using namespace std::chrono_literals;
using testing::id;
using testing::node;

base::Message cargo() { return {base::Service::past, 1, base::to_bytes("cargo")}; }

template <class T>
std::vector<T> only(const Effects& effects) {
    std::vector<T> out;
    for (const auto& each : effects) {
        if (const auto* one = std::get_if<T>(&each)) out.push_back(*one);
    }
    return out;
}

/// Notices of one kind among the effects, with their receivers.
template <class T>
std::vector<std::pair<base::NodeId, T>> notices(const Effects& effects) {
    std::vector<std::pair<base::NodeId, T>> out;
    for (const auto& send : only<effect::Send>(effects)) {
        if (const auto* one = std::get_if<T>(&send.notice)) out.emplace_back(send.to.id, *one);
    }
    return out;
}

struct RouterTest : ::testing::Test {
    base::TimePoint now{};
    Config config = [] {
        Config c;
        c.leaf_set_per_side = 1;
        c.max_held_messages = 2;
        return c;
    }();
    Router router{node("65a1"), config, 1};

    RouterTest() {
        const std::vector<RoutingTable::Entry> table{{.node = node("d1"), .rtt = 1ms},
                                                     {.node = node("d2"), .rtt = 2ms}};
        router.adopt(now, {node("65a0"), node("65a9")}, table);
    }

    /// Routes, and lets the application agree.
    Effects route(std::string_view key) {
        const auto effects = router.route(now, id(key), cargo(), {});
        const auto asked = only<effect::Forward>(effects);
        return asked.empty() ? effects : router.forward(now, asked[0].hop_id, asked[0].next);
    }
    Effects until(base::TimePoint when) {
        Effects all;
        while (router.next_timer() && *router.next_timer() <= when) {
            now = std::max(now, *router.next_timer());
            for (auto& each : router.on_timer(now)) all.push_back(std::move(each));
        }
        now = when;
        return all;
    }
};

TEST_F(RouterTest, AMissedAcknowledgementSendsTheMessageToTheSpareAndProbesTheSilentNode) {
    const auto first = notices<Routed>(route("d4"));
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].first, id("d1"));

    const auto later = until(now + config.initial_rto);
    const auto again = notices<Routed>(later);
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].first, id("d2"));
    EXPECT_EQ(again[0].second.transmission, 2U);
    const auto probes = notices<Probe>(later);
    EXPECT_TRUE(std::ranges::any_of(probes, [](const auto& each) { return each.first == id("d1"); }));

    // While it is under suspicion nothing else is sent that way.
    EXPECT_EQ(notices<Routed>(route("d5"))[0].first, id("d2"));
}

// The left neighbour is dead, who is left of it not known yet, and its heartbeat came due: a timer for that would never
// end.
TEST_F(RouterTest, WithoutALeftNeighbourNoHeartbeatIsDue) {
    (void)route("65a0");
    const auto end = now + config.heartbeat_interval + config.probe_timeout / 2;
    bool nobody = false;
    int steps = 0;
    for (; steps < 1000 && *router.next_timer() <= end; ++steps) {
        now = std::max(now, *router.next_timer());
        (void)router.on_timer(now);
        nobody = nobody || (router.leaves().left() == nullptr && !router.leaves().empty());
    }
    EXPECT_TRUE(nobody);
    EXPECT_LT(steps, 1000);
}

// One of those that a joiner asks names new neighbours with every answer, who are not there.
TEST(RouterOfJoiner, WhoInventsNeighboursDoesNotKeepItFromItsPlace) {
    Config config;
    config.leaf_set_per_side = 2;
    Router router{node("80"), config, 1};
    const auto honest = node("70"), liar = node("90");
    router.know_members([&](const base::NodeId& id) { return id == honest.id() || id == liar.id(); });
    base::TimePoint now{};
    std::uint64_t invented = 0x8001;
    auto effects = router.join(now, {honest, liar}, {});
    while (!router.active() && now < base::TimePoint{} + 10min) {
        Effects more;
        for (const auto& [to, asked] : notices<Probe>(effects)) {
            if (to != honest.id() && to != liar.id()) continue;
            Probe reply{.probe_id = asked.probe_id, .reply = true, .leaf_exchange = true, .converged = true};
            reply.leaf_set.push_back(to == liar.id() ? honest : liar);
            for (int i = 0; to == liar.id() && i < 2; ++i)
                reply.leaf_set.push_back(node(fmt::format("{:x}", invented++)));
            for (auto& each : router.on_notice(now, to == liar.id() ? liar : honest, true, reply))
                more.push_back(std::move(each));
        }
        if (more.empty()) {
            now = std::max(now, *router.next_timer());
            more = router.on_timer(now);
        }
        effects = std::move(more);
    }
    EXPECT_TRUE(router.active());
    EXPECT_LT(now, base::TimePoint{} + 1min);
}

TEST_F(RouterTest, AnAcknowledgementOfAnEarlierTransmissionEndsOurResponsibilityToo) {
    const auto first = notices<Routed>(route("d4"))[0].second;
    (void)until(now + config.initial_rto);
    EXPECT_EQ(router.held_messages(), 1U);
    (void)router.on_notice(now, node("ee"), true, Ack{.hop_id = first.hop_id, .transmission = 1});
    EXPECT_EQ(router.held_messages(), 1U) << "from somebody who never had it";
    (void)router.on_notice(now, node("d1"), true, Ack{.hop_id = first.hop_id, .transmission = 1});
    EXPECT_EQ(router.held_messages(), 0U);
}

TEST_F(RouterTest, TheTimeOutFollowsTheMeasuredRoundTripTime) {
    for (int i = 0; i < 8; ++i) {
        const auto sent = notices<Routed>(route("d4"))[0].second;
        now += 20ms;
        (void)router.on_notice(now, node("d1"), true, Ack{.hop_id = sent.hop_id, .transmission = 1});
    }
    EXPECT_EQ(router.links().rtt(id("d1")), 20ms);
    const auto timeout = router.links().timeout(id("d1"), config);
    EXPECT_GE(timeout, config.min_rto);
    EXPECT_LT(timeout, 60ms);
}

TEST_F(RouterTest, WithoutRoomAMessageIsNeitherTakenNorAcknowledged) {
    (void)route("d4");
    (void)route("d5");
    Routed routed{.hop_id = 9, .transmission = 1};
    routed.envelope = {.key = id("d6"), .origin = node("70"), .message_id = 1, .message = cargo()};
    EXPECT_TRUE(notices<Ack>(router.on_notice(now, node("70"), true, routed)).empty());
    EXPECT_EQ(router.held_messages(), 2U);
    (void)route("d7");
    EXPECT_EQ(router.counters().lost, 1U);
}

TEST_F(RouterTest, TheSameHopTwiceIsAcknowledgedTwiceAndDeliveredOnce) {
    Routed routed{.hop_id = 9, .transmission = 1};
    routed.envelope = {.key = id("65a1"), .origin = node("70"), .message_id = 1, .message = cargo()};
    const auto once = router.on_notice(now, node("70"), true, routed);
    EXPECT_EQ(notices<Ack>(once).size(), 1U);
    EXPECT_EQ(only<effect::Deliver>(once).size(), 1U);
    const auto twice = router.on_notice(now, node("70"), true, routed);
    EXPECT_EQ(notices<Ack>(twice).size(), 1U);
    EXPECT_TRUE(only<effect::Deliver>(twice).empty());
    // By another way, with another number of hops: acknowledged, and dropped at the root.
    routed.envelope.hops = 2;
    const auto other_way = router.on_notice(now, node("d1"), true, routed);
    EXPECT_EQ(notices<Ack>(other_way).size(), 1U);
    EXPECT_TRUE(only<effect::Deliver>(other_way).empty());
}

TEST_F(RouterTest, OnlyTheOriginBeginsAMessageInItsName) {
    Routed routed{.hop_id = 9, .transmission = 1};
    routed.envelope = {.key = id("65a1"), .origin = node("70"), .message_id = 1, .message = cargo()};
    EXPECT_TRUE(only<effect::Deliver>(router.on_notice(now, node("d1"), true, routed)).empty());
}

TEST_F(RouterTest, HeartbeatsGoToTheLeftNeighbourAndSilenceOfTheRightOneIsProbed) {
    const auto effects = until(now + config.heartbeat_interval + config.probe_timeout);
    for (const auto& [to, heartbeat] : notices<Heartbeat>(effects)) EXPECT_EQ(to, id("65a0"));
    EXPECT_FALSE(notices<Heartbeat>(effects).empty());
    const auto probes = notices<Probe>(effects);
    EXPECT_TRUE(std::ranges::any_of(probes, [](const auto& each) { return each.first == id("65a9"); }));
}

TEST_F(RouterTest, IdleAndWithoutDutiesItAsksForNoTimer) {
    Router idle{node("1"), config, 1};
    EXPECT_FALSE(idle.next_timer().has_value());
    EXPECT_TRUE(idle.on_notice(now, node("2"), true, Probe{.probe_id = 1, .leaf_exchange = true}).empty());
}

}  // namespace
}  // namespace pastry
