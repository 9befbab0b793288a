#include "base/sim/network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/sim/wide_area.hpp"
#include "base/sim/world.hpp"
#include "base/task_group.hpp"

namespace base::sim {
namespace {

using namespace std::chrono_literals;

Message text_message(std::string_view text) { return Message(Service::past, 1, to_bytes(text)); }

/// Answers at once, or when told; remembers what it heard.
struct Listener {
    explicit Listener(NodeEnv& env_in) : env{env_in}, gate{env_in.executor} {
        gate.set();
        env.transport.serve(
            Service::past, [this](Peer, Message message) { return answer(std::move(message)); },
            [this](const Peer&, Message message) { heard.emplace_back(as_text(message.header)); });
    }
    Task<Result<Message>> answer(Message message) {
        ++asked;
        co_await gate.wait();
        if (as_text(message.header) == "fail") co_return Error{Errc::no_space, "for want of room"};
        co_return message;
    }

    NodeEnv& env;
    Event gate;
    std::vector<std::string> heard;
    int asked = 0;
};

class NetworkTest : public testing::Test {
  protected:
    NetworkTest() {
        world.add_nodes(4);
        for (NodeIndex i = 0; i < 4; ++i) {
            listeners.push_back(&world.node(i).start([](NodeEnv& env) { return std::make_unique<Listener>(env); }));
        }
    }
    void tell(NodeIndex from, NodeIndex to, std::string_view text) {
        world.node(from).env().transport.notify(world.node(to).address(), text_message(text));
    }
    Result<Message> ask(NodeIndex from, NodeIndex to, std::string_view text = "hello", Duration patience = 5s) {
        auto& env = world.node(from).env();
        return world.run(
            env.transport.request(world.node(to).address(), text_message(text), env.clock.now() + patience));
    }
    std::size_t heard_of(NodeIndex from, NodeIndex to, int count) {
        const auto before = listeners[to]->heard.size();
        for (int i = 0; i < count; ++i) tell(from, to, "x");
        world.run_for(10s);
        return listeners[to]->heard.size() - before;
    }

    World world{1};
    std::vector<Listener*> listeners;
    Network& network = world.network();
};

TEST_F(NetworkTest, LatencyFollowsItsModel) {
    network.use_uniform_latency(10ms, 10ms);
    EXPECT_EQ(network.latency(0, 1), 10ms);
    network.use_plane_latency(100us, 1ms);
    network.place(0, {0, 0});
    network.place(1, {300, 400});
    EXPECT_EQ(network.latency(0, 1), 51ms);
    network.use_latency_matrix({{0ms, 7ms}, {9ms, 0ms}});
    EXPECT_EQ(network.latency(0, 1), 7ms);
    EXPECT_EQ(network.latency(1, 0), 9ms);
    network.set_latency(0, 1, 3ms);
    EXPECT_EQ(network.latency(1, 0), 3ms);
    const auto begin = world.elapsed();
    EXPECT_TRUE(ask(0, 1));
    EXPECT_EQ(world.elapsed() - begin, 6ms);
}

TEST_F(NetworkTest, ARequestToOneselfNeedsNoNetwork) {
    network.isolate(0);
    EXPECT_TRUE(ask(0, 0));
    EXPECT_EQ(world.elapsed(), 0s);
    EXPECT_EQ(network.traffic(0).requests_sent, 0U);
}

TEST_F(NetworkTest, AnErrorComesOutAsItself) {
    const auto answer = ask(0, 1, "fail");
    EXPECT_EQ(answer.error(), Errc::no_space);
    EXPECT_EQ(answer.error().detail(), "for want of room");
}

TEST_F(NetworkTest, AServiceThatNobodyServesIsUnsupported) {
    listeners[1]->env.transport.serve(Service::past, {}, {});
    EXPECT_EQ(ask(0, 1).error(), Errc::unsupported);
}

TEST_F(NetworkTest, AnUnknownNodeIsUnreachable) {
    auto& env = world.node(0).env();
    Address nobody{*Guid::from_prefix("42"), "n42"};
    EXPECT_EQ(world.run(env.transport.request(nobody, text_message("x"), env.clock.now() + 5s)).error(),
              Errc::unreachable);
}

TEST_F(NetworkTest, LossTakesNotifiesAndDelaysRequests) {
    network.set_loss(0.5);
    const auto heard = heard_of(0, 1, 1000);
    EXPECT_GT(heard, 400U);
    EXPECT_LT(heard, 600U);
    int answered = 0;
    for (int i = 0; i < 20; ++i) answered += ask(0, 1, "hello", 1h) ? 1 : 0;
    EXPECT_EQ(answered, 20);
    network.heal();
    network.set_loss(0, 1, 1.0);
    EXPECT_EQ(heard_of(0, 1, 10), 0U);
    EXPECT_EQ(heard_of(1, 0, 10), 10U);
}

TEST_F(NetworkTest, DuplicationAndReorderingAreOfNotifies) {
    network.set_duplication(0.5);
    const auto heard = heard_of(0, 1, 1000);
    EXPECT_GT(heard, 1400U);
    EXPECT_LT(heard, 1600U);
    network.heal();
    network.set_reordering(0.3, 2s);
    listeners[1]->heard.clear();
    for (int i = 100; i < 200; ++i) tell(0, 1, std::to_string(i));
    world.run_for(10s);
    EXPECT_EQ(listeners[1]->heard.size(), 100U);
    EXPECT_FALSE(std::is_sorted(listeners[1]->heard.begin(), listeners[1]->heard.end()));
}

TEST_F(NetworkTest, PartitionsSeparateTheirSides) {
    network.partition({{0, 1}});
    EXPECT_EQ(heard_of(0, 1, 1), 1U);
    EXPECT_EQ(heard_of(2, 3, 1), 1U);
    EXPECT_EQ(heard_of(0, 2, 1), 0U);
    EXPECT_EQ(ask(3, 1).error(), Errc::timed_out);
    network.heal_partition();
    EXPECT_TRUE(ask(3, 1));
}

TEST_F(NetworkTest, ARequestGetsThroughWhenThePartitionHealsInTime) {
    network.isolate(1);
    world.after(3s, [&] { network.heal(); });
    EXPECT_TRUE(ask(0, 1, "hello", 20s));
    EXPECT_GT(world.elapsed(), 3s);
}

TEST_F(NetworkTest, CutsCanBeOneWayAndNeedNotBeTransitive) {
    network.cut_one_way(0, 1);
    EXPECT_EQ(heard_of(0, 1, 1), 0U);
    EXPECT_EQ(heard_of(1, 0, 1), 1U);
    EXPECT_EQ(ask(1, 0).error(), Errc::timed_out);  // it is heard, its answer is not
    EXPECT_EQ(listeners[0]->asked, 1);
    EXPECT_TRUE(ask(0, 2));
    EXPECT_TRUE(ask(2, 1));
    network.mend(0, 1);
    EXPECT_TRUE(ask(0, 1));
}

TEST_F(NetworkTest, AClogHoldsMessagesAndReleasesThemInOrder) {
    network.clog(0, 1);
    for (int i = 0; i < 5; ++i) tell(0, 1, std::to_string(i));
    world.run_for(1min);
    EXPECT_TRUE(listeners[1]->heard.empty());
    EXPECT_EQ(heard_of(1, 0, 1), 1U);
    network.unclog(0, 1);
    world.run_for(1s);
    EXPECT_EQ(listeners[1]->heard, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
    network.clog_node(1);
    EXPECT_EQ(heard_of(2, 1, 1), 0U);
    network.unclog_node(1);
    world.run_for(1s);
    EXPECT_EQ(listeners[1]->heard.size(), 6U);
}

TEST_F(NetworkTest, BandwidthIsShared) {
    network.use_uniform_latency(1ms, 1ms);
    network.set_bandwidth(0, 1'000'000);
    const auto begin = world.elapsed();
    EXPECT_TRUE(ask(0, 1, std::string(100'000, 'x')));
    EXPECT_GT(world.elapsed() - begin, 200ms);  // out and back again
    EXPECT_LT(world.elapsed() - begin, 210ms);
}

TEST_F(NetworkTest, ALiarAltersDropsAndAnswers) {
    network.set_liar(1, [](Letter& letter) {
        if (letter.kind == Letter::Kind::answer) letter.content = text_message("lie");
    });
    EXPECT_EQ(as_text(ask(0, 1)->header), "lie");
    network.set_liar(1, [](Letter& letter) {
        if (letter.kind == Letter::Kind::request) letter.answer = Result<Message>{Error{Errc::not_found}};
    });
    EXPECT_EQ(ask(0, 1).error(), Errc::not_found);
    EXPECT_EQ(listeners[1]->asked, 1);
    network.set_liar(1, [](Letter& letter) { letter.drop = true; });
    EXPECT_EQ(ask(0, 1).error(), Errc::timed_out);
    network.set_liar(1, {});
    EXPECT_EQ(as_text(ask(0, 1)->header), "hello");
}

Task<void> ask_and_count(NodeEnv& env, Address to, std::map<std::string, int>& outcomes) {
    const auto answer = co_await env.transport.request(to, text_message("x"), env.clock.now() + 1h);
    ++outcomes[answer ? "answered" : answer.error().message()];
}

TEST_F(NetworkTest, TooManyRequestsToOnePeerAreBusy) {
    listeners[1]->gate.reset();
    std::map<std::string, int> outcomes;
    for (std::size_t i = 0; i < kMaxStreamsPerPeer + 3; ++i) {
        world.node(0).spawn(ask_and_count(world.node(0).env(), world.node(1).address(), outcomes));
    }
    world.run_for(1s);
    EXPECT_EQ(network.traffic(0).requests_busy, 3U);
    EXPECT_EQ(network.traffic(0).peers_now, 1U);
    EXPECT_TRUE(ask(0, 2));
    EXPECT_EQ(network.traffic(0).peers_peak, 2U);
    listeners[1]->gate.set();
    world.run_for(1s);
    EXPECT_EQ(outcomes["answered"], static_cast<int>(kMaxStreamsPerPeer));
    EXPECT_EQ(network.traffic(0).peers_now, 0U);
    EXPECT_EQ(network.traffic(0).peers_contacted, 2U);
}

TEST_F(NetworkTest, MessagesOverTheLimitAreRefused) {
    EXPECT_EQ(ask(0, 1, std::string(kMaxHeaderBytes + 1, 'x')).error(), Errc::bad_argument);
    network.set_liar(1, [](Letter& letter) {
        if (letter.kind == Letter::Kind::answer) letter.content = text_message(std::string(kMaxHeaderBytes + 1, 'x'));
    });
    EXPECT_EQ(ask(0, 1).error(), Errc::bad_format);
}

Task<void> forget(NodeEnv& env, Address to, bool& ended) {
    try {
        static_cast<void>(co_await env.transport.request(to, text_message("x"), env.clock.now() + 1h));
    } catch (const boost::system::system_error&) {
        ended = true;
        throw;
    }
}

TEST_F(NetworkTest, ACancelledRequestEndsAtOnceAndFreesItsPlace) {
    listeners[1]->gate.reset();
    bool ended = false;
    {
        TaskGroup group{world.node(0).env().executor};
        group.spawn(forget(world.node(0).env(), world.node(1).address(), ended));
        world.run_for(1s);
        EXPECT_EQ(network.traffic(0).peers_now, 1U);
        group.cancel();
        world.settle();
    }
    EXPECT_TRUE(ended);
    EXPECT_EQ(network.traffic(0).peers_now, 0U);
}

// King's measurements of 1,024 name servers, as the studies of churn in peer-to-peer systems used them.
TEST(WideArea, RoundTripsHaveTheMedianAndTheMeanOfMeasuredOnes) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const auto one_way = wide_area_latencies(seed, 500);
        std::vector<double> round_trips;
        for (std::size_t a = 0; a < 500; ++a) {
            for (std::size_t b = 0; b < a; ++b) {
                ASSERT_EQ(one_way[a][b], one_way[b][a]);
                round_trips.push_back(2 * std::chrono::duration<double, std::milli>(one_way[a][b]).count());
            }
        }
        std::ranges::sort(round_trips);
        double sum = 0;
        for (const double each : round_trips) sum += each;
        const auto share = [&](double part) {
            return round_trips[static_cast<std::size_t>(part * static_cast<double>(round_trips.size() - 1))];
        };
        const double mean = sum / static_cast<double>(round_trips.size());
        std::printf(
            "seed %d: mean %.0f, 1 %% %.0f, 10 %% %.0f, 25 %% %.0f, median %.0f, 75 %% %.0f, 90 %% %.0f, 99 %% %.0f, "
            "most %.0f ms\n",
            static_cast<int>(seed), mean, share(0.01), share(0.1), share(0.25), share(0.5), share(0.75), share(0.9),
            share(0.99), share(1));
        EXPECT_NEAR(share(0.5), 156, 16) << seed;
        EXPECT_NEAR(mean, 178, 18) << seed;
    }
}

TEST(WideArea, TheSameSeedGivesTheSameLatencies) {
    EXPECT_EQ(wide_area_latencies(3, 40), wide_area_latencies(3, 40));
    EXPECT_NE(wide_area_latencies(3, 40), wide_area_latencies(4, 40));
}

}  // namespace
}  // namespace base::sim
