#include "base/sim/world.hpp"

#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/task_group.hpp"

namespace base::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t kVerb = 1;

Message text_message(std::string_view text) { return Message(Service::past, kVerb, to_bytes(text)); }

/// Answers every request with its own text, after a while.
struct Echo {
    explicit Echo(NodeEnv& env_in) : env{env_in} {
        env.transport.serve(
            Service::past, [this](Peer, Message message) { return answer(std::move(message)); },
            [this](const Peer& from, Message message) {
                heard.push_back(from.address.endpoint + ":" + std::string{as_text(message.header)});
            });
    }

    Task<Result<Message>> answer(Message message) {
        co_await env.clock.sleep_for(delay);
        co_return message;
    }

    NodeEnv& env;
    Duration delay = 10ms;
    std::vector<std::string> heard;
};

Echo& start_echo(Node& node) {
    return node.start([](NodeEnv& env) { return std::make_unique<Echo>(env); });
}

Task<Result<Message>> ask(NodeEnv& env, const Node& to, Duration patience = 5s) {
    return env.transport.request(to.address(), text_message("hello"), env.clock.now() + patience);
}

TEST(World, TimePassesOnlyWhenEverybodyWaits) {
    World world{1};
    world.run(world.env().clock.sleep_for(2h));
    EXPECT_EQ(world.elapsed(), 2h);
}

TEST(World, ARequestIsAnsweredAfterARoundTrip) {
    World world{1};
    auto& node = world.add_node();
    start_echo(node);
    world.network().set_latency(node.index(), ~NodeIndex{}, 20ms);
    const auto answer = world.run(ask(world.env(), node));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(as_text(answer->header), "hello");
    EXPECT_EQ(world.elapsed(), 50ms);
}

TEST(World, ATaskThatNeverEndsIsReportedWithTheSeed) {
    World world{77};
    Event never{world.env().executor};
    try {
        world.run(never.wait());
        FAIL() << "it ended";
    } catch (const Stuck& stuck) {
        EXPECT_NE(std::string{stuck.what()}.find("seed 77"), std::string::npos) << stuck.what();
    }
}

TEST(World, NotifiesArriveInOrder) {
    World world{1};
    world.add_nodes(2);
    auto& listener = start_echo(world.node(1));
    for (int i = 0; i < 20; ++i) {
        world.node(0).env().transport.notify(world.node(1).address(), text_message(std::to_string(i)));
    }
    world.run_for(1s);
    ASSERT_EQ(listener.heard.size(), 20U);
    EXPECT_EQ(listener.heard.front(), "n0:0");
    EXPECT_EQ(listener.heard.back(), "n0:19");
}

TEST(World, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
    const auto trace = [](std::uint64_t seed) {
        World world{seed};
        world.add_nodes(5);
        world.network().set_loss(0.2);
        world.network().set_jitter(0.5);
        for (NodeIndex i = 0; i < 5; ++i) start_echo(world.node(i));
        for (int i = 0; i < 50; ++i) {
            const auto from = static_cast<NodeIndex>(world.rng().below(5));
            const auto to = static_cast<NodeIndex>(world.rng().below(5));
            static_cast<void>(world.run(ask(world.node(from).env(), world.node(to))));
        }
        return world.trace_hash();
    };
    EXPECT_EQ(trace(5), trace(5));
    EXPECT_NE(trace(5), trace(6));
}

TEST(Node, ACertificateOfTheWorldVerifies) {
    World world{3};
    auto& node = world.add_node();
    const auto checked = check_certificate(node.certificate(), world.network_id(), world.authority().public_key(),
                                           node.env().clock.wall_ns());
    EXPECT_TRUE(checked) << checked.error().message();
    EXPECT_EQ(node.id(), node.certificate().id());
}

// --- death

/// Counts up for ever, and notes in what order things end.
struct Ticker {
    explicit Ticker(NodeEnv& env_in, std::vector<std::string>& log_in)
        : env{env_in}, log{log_in}, gate{env_in.executor}, tasks{env_in.executor} {
        tasks.spawn(tick());
        tasks.spawn(wait());
    }
    ~Ticker() { log.push_back("root destroyed"); }

    struct Note {
        std::vector<std::string>& log;
        std::string text;
        ~Note() { log.push_back(text); }
    };
    Task<void> tick() {
        const Note note{log, "ticker ended"};
        for (;;) {
            co_await env.clock.sleep_for(1s);
            ++ticks;
            env.transport.notify(env.transport.self(), text_message("tick"));
        }
    }
    Task<void> wait() {
        const Note note{log, "waiter ended"};
        TaskGroup inner{env.executor};
        inner.spawn(wait_inside());
        co_await inner.join();
        log.push_back("waiter went on");
    }
    Task<void> wait_inside() {
        const Note note{log, "inner ended"};
        Event mine{env.executor};  // nobody but this coroutine owns it
        co_await mine.wait();
    }

    NodeEnv& env;
    std::vector<std::string>& log;
    int ticks = 0;
    Event gate;
    TaskGroup tasks;
};

TEST(Node, KillEndsEveryCoroutineBeforeTheRootIsDestroyed) {
    std::vector<std::string> log;
    World world{1};
    auto& node = world.add_node();
    auto& ticker = node.start([&log](NodeEnv& env) { return std::make_unique<Ticker>(env, log); });
    world.run_for(10500ms);
    EXPECT_EQ(ticker.ticks, 10);
    node.kill();
    const auto group = [&](const std::string& text) { return std::find(log.begin(), log.end(), text) - log.begin(); };
    EXPECT_EQ(log.size(), 4U);
    EXPECT_LT(group("inner ended"), group("waiter ended"));
    EXPECT_LT(group("ticker ended"), group("root destroyed"));
    EXPECT_EQ(log.back(), "root destroyed");
    EXPECT_FALSE(node.up());
    world.run_for(10s);
    EXPECT_EQ(log.size(), 4U);
}

TEST(Node, RestartRunsTheSameProgramInANewProcess) {
    std::vector<std::string> log;
    World world{1};
    auto& node = world.add_node();
    node.start([&log](NodeEnv& env) { return std::make_unique<Ticker>(env, log); });
    world.run_for(3500ms);
    node.kill();
    node.restart();
    world.run_for(2500ms);
    EXPECT_EQ(node.root<Ticker>().ticks, 2);
    EXPECT_EQ(node.generation(), 2U);
}

TEST(Node, ADeadProcessRefusesConnectionsAndADeadMachineSwallowsThem) {
    World world{1};
    auto& node = world.add_node();
    start_echo(node);
    node.kill();
    auto begin = world.elapsed();
    EXPECT_EQ(world.run(ask(world.env(), node)).error(), Errc::unreachable);
    EXPECT_LT(world.elapsed() - begin, 1s);
    node.restart();
    EXPECT_TRUE(world.run(ask(world.env(), node)));
    node.power_off();
    begin = world.elapsed();
    EXPECT_EQ(world.run(ask(world.env(), node)).error(), Errc::timed_out);
    EXPECT_EQ(world.elapsed() - begin, 5s);
}

TEST(Node, WhoeverWaitsForAProcessThatIsKilledLearnsItSoon) {
    World world{1};
    auto& node = world.add_node();
    start_echo(node).delay = 1h;
    world.after(1s, [&] { node.kill(); });
    EXPECT_EQ(world.run(ask(world.env(), node, 2h)).error(), Errc::unreachable);
    EXPECT_LT(world.elapsed(), 2s);
}

TEST(Node, APausedProcessAnswersWhenItGoesOn) {
    World world{1};
    auto& node = world.add_node();
    start_echo(node);
    node.pause();
    world.after(80s, [&] { node.resume(); });
    EXPECT_TRUE(world.run(ask(world.env(), node, 2min)));
    EXPECT_GT(world.elapsed(), 80s);
    EXPECT_LT(world.elapsed(), 81s);
}

Task<int> put_then_wait(NodeEnv& env) {
    auto job = [&env] { return replace_file(env.disk, "a", as_bytes("text")).has_value(); };
    const bool stored = co_await env.workers.run(std::move(job));
    co_return stored ? 1 : 0;
}

TEST(Node, ATaskOfAProcessThatDiesHasNoResult) {
    World world{1};
    auto& node = world.add_node();
    EXPECT_EQ(node.run(put_then_wait(node.env())), 1);
    node.crash_on_disk(node.disk().boundaries() + 2, CrashSide::after);
    EXPECT_EQ(node.run(put_then_wait(node.env())), std::nullopt);
    EXPECT_FALSE(node.up());
    EXPECT_TRUE(node.disk().crashed());
    node.restart();
    EXPECT_EQ(as_text(*node.disk().contents("a")), "text");
}

/// Uses the disk in its destructor, in vain.
struct Untidy {
    explicit Untidy(NodeEnv& env_in) : env{env_in} {}
    ~Untidy() {
        const auto removed = env.disk.remove("lock");
        EXPECT_FALSE(removed);
        env.transport.notify(env.transport.self(), text_message("bye"));
        env.transport.serve(Service::past, {}, {});
    }
    NodeEnv& env;
};

TEST(Node, ADestructorOfADeadProcessHasNoEffects) {
    World world{1};
    auto& node = world.add_node();
    node.start([](NodeEnv& env) { return std::make_unique<Untidy>(env); });
    ASSERT_TRUE(node.env().disk.open("lock", Disk::Mode::create));
    node.kill();
    EXPECT_TRUE(node.disk().contents("lock"));
}

TEST(Node, ClocksCanBeWrongAndDrift) {
    World world{1};
    auto& node = world.add_node();
    const auto before = node.env().clock.wall_ns();
    node.set_clock({.wall_offset = 10s, .wall_drift = 0.01, .steady_rate = 1.2});
    const auto begin = node.env().clock.now();
    EXPECT_EQ(node.env().clock.wall_ns() - before, Duration{10s}.count());
    node.run(node.env().clock.sleep_for(60s));  // by its own clock
    EXPECT_EQ(world.elapsed(), 50s);
    EXPECT_GE(node.env().clock.now() - begin, 60s);
    EXPECT_EQ(node.env().clock.wall_ns() - before, Duration{60s + 500ms}.count());
}

}  // namespace
}  // namespace base::sim
