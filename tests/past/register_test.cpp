#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/sim/harm.hpp"
#include "base/sim/testing.hpp"
#include "cluster.hpp"
#include "history.hpp"
#include "messages_of.hpp"

namespace past::test {
namespace {

base::Result<std::optional<Record>> read(Cluster& cluster, std::size_t from, const base::Guid& key,
                                         base::Duration patience = 20s) {
    return *cluster.machine(from).run(cluster.node(from).read_record(key, cluster.in(patience)));
}
base::Result<void> write(Cluster& cluster, std::size_t from, const base::Guid& key, std::uint64_t expected,
                         std::string_view text, base::Duration patience = 20s) {
    auto record = make_record(expected + 1, text);
    return *cluster.machine(from).run(
        cluster.node(from).write_record(key, expected, std::move(record), cluster.in(patience)));
}

const base::Guid kKey = group_of(4711);

TEST(Register, BeginsEmptyAndCountsUp) {
    sim::World world{1};
    Cluster cluster{world};
    auto found = read(cluster, 0, kKey);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_FALSE(*found);
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    ASSERT_TRUE(write(cluster, 3, kKey, 1, "second"));
    for (std::size_t i = 0; i < 5; ++i) {
        found = read(cluster, i, kKey);
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->sequence, 2U);
        EXPECT_EQ((*found)->body, make_record(2, "second").body);
    }
}

TEST(Register, WhatAllShowIsVerifiedOnce) {
    sim::World world{1};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    world.run_for(1s);  // whoever was slow has it too
    records_verified() = 0;
    ASSERT_TRUE(read(cluster, 1, kKey));
    EXPECT_EQ(records_verified(), 1U);
}

TEST(Register, TheSecondOfTwoWritersIsTold) {
    sim::World world{2};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    EXPECT_EQ(write(cluster, 1, kKey, 0, "other").error(), Errc::conflict);
    EXPECT_EQ(write(cluster, 1, kKey, 5, "far").error(), Errc::conflict);
    EXPECT_TRUE(write(cluster, 0, kKey, 0, "first")) << "the same again is no conflict";
}

TEST(Register, UnverifiedRecordsAreRefusedByWriterAndHolder) {
    sim::World world{3};
    Cluster cluster{world};
    Record forged{1, base::to_bytes("nonsense")};
    auto refused = cluster.machine(0).run(cluster.node(0).write_record(kKey, 0, forged, cluster.in(5s)));
    EXPECT_EQ(refused->error(), Errc::bad_record);
    AcceptRequest request;
    request.key = kKey;
    request.ballot.counter = 5;
    request.value.record = forged;
    for (std::size_t i = 0; i < 5; ++i) request.value.members.push_back(cluster.machine(i).address());
    base::Message message{base::Service::past, static_cast<std::uint8_t>(Verb::accept), encode(request)};
    auto& peer = cluster.machine(1);
    auto answer =
        peer.run(peer.env().transport.request(cluster.machine(0).address(), std::move(message), cluster.in(5s)));
    EXPECT_EQ(answer->error(), Errc::bad_record);
}

TEST(Register, AnOldRecordDoesNotComeBackThoughItWasSignedOnce) {
    sim::World world{14};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    ASSERT_TRUE(write(cluster, 0, kKey, 1, "second"));
    AcceptRequest replay;
    replay.key = kKey;
    replay.ballot.counter = 1'000'000;
    replay.value.record = make_record(1, "first");
    for (std::size_t i = 0; i < 5; ++i) replay.value.members.push_back(cluster.machine(i).address());
    for (std::size_t i = 0; i < 5; ++i) {
        const auto answer = ask(world, cluster, i, Verb::accept, encode(replay));
        ASSERT_TRUE(answer) << answer.error().message();
        EXPECT_FALSE(decode<RegisterReply>(answer->header)->done);
    }
    const auto found = read(cluster, 3, kKey);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 2U);
}

TEST(Register, AClientNamesNoHolders) {
    sim::World world{15};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    AcceptRequest capture;
    capture.key = kKey;
    capture.ballot.counter = 1'000'000;
    capture.value.record = make_record(1, "first");
    capture.value.members = {cluster.machine(2).address()};
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(ask(world, cluster, i, Verb::accept, encode(capture)).error(), base::Errc::denied);
    }
}

TEST(Register, AForgersAnswerIsNone) {
    sim::World world{4};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    for (const std::size_t liar : {1U, 2U}) {
        world.network().set_liar(cluster.nodes[liar], [](sim::Letter& letter) {
            if (letter.kind != sim::Letter::Kind::answer || !letter.content) return;
            auto reply = decode<RegisterReply>(letter.content->header);
            if (!reply || !reply->state.value) return;
            reply->state.value->record.sequence = 9;
            reply->state.accepted.counter += 100;
            letter.content->header = encode(*reply);
        });
    }
    for (const std::size_t i : {0U, 3U, 4U}) {
        const auto found = read(cluster, i, kKey);
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->sequence, 1U);
    }
}

TEST(Register, AMinorityNeitherReadsNorWrites) {
    sim::World world{5};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    world.network().partition({{cluster.nodes[0], cluster.nodes[1]}});
    EXPECT_EQ(read(cluster, 0, kKey).error(), Errc::holders_unreachable);
    EXPECT_EQ(write(cluster, 1, kKey, 1, "minority").error(), Errc::holders_unreachable);
    EXPECT_EQ(read(cluster, 1, group_of(1)).error(), Errc::holders_unreachable) << "nor says that there is none";
    EXPECT_TRUE(write(cluster, 2, kKey, 1, "majority"));
    world.network().heal();
    const auto found = read(cluster, 0, kKey);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 2U);
}

TEST(Register, AWriteThatReachedOneMemberIsFinishedWhenThatMemberIsNeeded) {
    sim::World world{17};
    ClusterOptions options;
    options.peer.config.repair = false;  // nobody tidies up meanwhile
    Cluster cluster{world, options};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    Accepts accept{world, cluster, kKey};
    accept(0, 100, 2, "broken off");
    for (const std::size_t i : {1U, 2U, 3U}) accept(i, 200, 1, "first");  // a read that did not hear of it
    cluster.kill(3);
    cluster.kill(4);
    world.run_for(5s);
    const auto found = read(cluster, 1, kKey);
    ASSERT_TRUE(found && *found) << found.error().message();
    EXPECT_EQ((*found)->body, make_record(2, "broken off").body);
    EXPECT_TRUE(write(cluster, 2, kKey, 2, "third"));
}

TEST(Register, AWriterIsNotToldOfAFasterOneBeforeThatOnesWriteIsFinished) {
    sim::World world{18};
    ClusterOptions options;
    options.peer.config.repair = false;
    Cluster cluster{world, options};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    Accepts accept{world, cluster, kKey};
    accept(0, 100, 2, "broken off");
    for (const std::size_t i : {1U, 2U, 3U}) accept(i, 200, 1, "first");
    cluster.kill(4);
    world.run_for(5s);
    const auto second = write(cluster, 1, kKey, 1, "other");
    const auto found = read(cluster, 1, kKey);
    ASSERT_TRUE(found && *found) << found.error().message();
    EXPECT_EQ((*found)->body, make_record(2, second ? "other" : "broken off").body);
    if (!second) {
        EXPECT_EQ(second.error(), Errc::conflict);
    }
}

// Writing back what the others have is a race of its own, which among busy writers it may lose for seconds.
TEST(Register, AWriterThatWasOvertakenIsToldAfterOneRound) {
    sim::World world{19};
    Cluster cluster{world};
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(write(cluster, 0, kKey, i, std::to_string(i)));
    auto began = world.now();
    ASSERT_TRUE(read(cluster, 1, kKey));
    const auto round = world.now() - began;
    for (const std::uint64_t expected : {1, 2}) {
        began = world.now();
        EXPECT_EQ(write(cluster, 1, kKey, expected, "late").error(), Errc::conflict);
        EXPECT_LE(world.now() - began, 3 * round / 2);
    }
}

TEST(Register, AMajorityKnownToBeDeadIsSaidWithoutWaitingForTheDeadline) {
    sim::World world{16};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    cluster.kill(1);
    cluster.kill(2);
    cluster.power_off(3);  // its address does not even refuse
    world.run_for(5s);
    for (const bool writes : {false, true}) {
        const auto begun = world.now();
        const auto error =
            writes ? write(cluster, 0, kKey, 1, "more", 60s).error() : read(cluster, 4, kKey, 60s).error();
        EXPECT_EQ(error, Errc::holders_unreachable);
        EXPECT_NE(error.message().find("2 of the 5"), std::string::npos) << error.message();
        EXPECT_NE(error.message().find("3 are needed"), std::string::npos) << error.message();
        EXPECT_LT(world.now() - begun, 2s);
    }
    world.run_for(90s);
    for (const std::size_t i : {0U, 4U})
        EXPECT_EQ(cluster.peer(i).node->status().registers_without_majority, 1U) << "whoever asks after its health";
    cluster.restart(2);
    world.run_for(5s);
    EXPECT_TRUE(write(cluster, 0, kKey, 1, "more"));
    world.run_for(90s);
    for (const std::size_t i : {0U, 2U, 4U}) EXPECT_EQ(cluster.peer(i).node->status().registers_without_majority, 0U);
}

TEST(Register, SurvivesTheDeathOfTwoOfFiveAndOfTheirSuccessors) {
    sim::World world{6};
    ClusterOptions options;
    options.peers = 9;
    options.repair_after = 20s;
    options.peer.config.check_period = 10s;
    options.peer.config.patience = 5s;
    Cluster cluster{world, options};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    std::uint64_t sequence = 1;
    // One after another its holders go; each time the register moves to those who are left.
    for (int round = 0; round < 5; ++round) {
        const auto nearest = cluster.ring.nearest(kKey, 1)[0];
        std::size_t victim = 0;
        while (cluster.handle(victim).id() != nearest.id()) ++victim;
        cluster.kill(victim);
        world.run_for(2min);
        std::size_t writer = 0;
        while (!cluster.machine(writer).running()) ++writer;
        const auto found = read(cluster, writer, kKey);
        ASSERT_TRUE(found && *found) << round;
        EXPECT_EQ((*found)->sequence, sequence);
        ASSERT_TRUE(write(cluster, writer, kKey, sequence, "round")) << round;
        ++sequence;
    }
}

TEST(Register, ANewcomerSaysNothingBeforeItKnowsWhatTheOthersKnow) {
    sim::World world{7};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    // The newcomers hear nobody at first; then two of the old go. Four newcomers who knew nothing would be a majority.
    std::vector<std::size_t> newcomers;
    std::vector<sim::NodeIndex> apart;
    for (int i = 0; i < 4; ++i) {
        newcomers.push_back(cluster.add_peer());
        apart.push_back(cluster.nodes[newcomers.back()]);
    }
    world.network().partition({apart});
    world.run_for(30s);
    const auto alone = read(cluster, newcomers[0], kKey);
    ASSERT_FALSE(alone) << "never \"there is none\"";
    EXPECT_EQ(alone.error(), Errc::holders_unreachable);
    world.network().heal();
    world.run_for(1min);
    const auto found = read(cluster, newcomers[0], kKey);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 1U);
}

TEST(Register, FollowsTheRingWhenNearerNodesJoin) {
    sim::World world{8};
    ClusterOptions options;
    options.peer.config.check_period = 10s;
    Cluster cluster{world, options};
    ASSERT_TRUE(write(cluster, 0, kKey, 0, "first"));
    for (int i = 0; i < 12; ++i) {
        cluster.add_peer();
        world.run_for(1min);
    }
    // By now others are nearest, and the five that were first may all go at once.
    const auto nearest = cluster.ring.nearest(kKey, 5);
    std::size_t founders = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        const bool holds =
            std::ranges::any_of(nearest, [&](const auto& n) { return n.id() == cluster.handle(i).id(); });
        if (holds) {
            ++founders;
        } else {
            cluster.kill(i);
        }
    }
    EXPECT_LE(founders, 2U);
    world.run_for(5s);
    const auto reader = std::size_t{16};
    const auto found = read(cluster, reader, kKey);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 1U);
    EXPECT_TRUE(write(cluster, reader, kKey, 1, "second"));
}

TEST(Register, AnAcknowledgedWriteSurvivesThePowerOfAll) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        sim::World world{seed};
        Cluster cluster{world};
        std::uint64_t sequence = 0;
        for (; sequence < 3; ++sequence) ASSERT_TRUE(write(cluster, sequence % 5, kKey, sequence, "some"));
        for (std::size_t i = 0; i < 5; ++i) cluster.power_off(i);
        world.run_for(1s);
        for (std::size_t i = 0; i < 5; ++i) cluster.restart(i);
        world.run_for(5s);
        const auto found = read(cluster, 0, kKey);
        ASSERT_TRUE(found && *found) << seed;
        EXPECT_EQ((*found)->sequence, sequence);
    }
}

// --- histories

struct Clients {
    std::vector<Operation> history;
    std::uint64_t done = 0;
};

base::Task<void> one_operation(Cluster* cluster, std::size_t index, std::shared_ptr<Clients> clients, bool writes) {
    auto& node = cluster->node(index);
    const auto at = clients->history.size();
    clients->history.emplace_back().begun = cluster->world.now();
    auto found = co_await node.read_record(kKey, cluster->in(5s));
    auto& operation = clients->history[at];
    operation.ended = cluster->world.now();
    operation.outcome = found ? Operation::Outcome::done : Operation::Outcome::unknown;
    if (!found) co_return;
    if (*found) {
        base::Reader in{(*found)->body};
        operation.sequence = in.u64();
        operation.text = in.text(100);
    }
    if (!writes) co_return;
    const auto expected = operation.sequence;
    const auto second = clients->history.size();
    auto& writing = clients->history.emplace_back();
    writing.kind = Operation::Kind::write;
    writing.begun = cluster->world.now();
    writing.sequence = expected + 1;
    writing.text = "write " + std::to_string(second);
    auto record = make_record(expected + 1, writing.text);
    const auto written = co_await node.write_record(kKey, expected, std::move(record), cluster->in(5s));
    auto& result = clients->history[second];
    result.ended = cluster->world.now();
    if (written) {
        result.outcome = Operation::Outcome::done;
        ++clients->done;
    } else {
        result.outcome = written.error() == Errc::conflict ? Operation::Outcome::conflict : Operation::Outcome::unknown;
    }
}

base::Task<void> keep_asking(Cluster* cluster, std::shared_ptr<Clients> clients, base::TimePoint until) {
    auto& world = cluster->world;
    while (world.now() < until) {
        co_await world.env().clock.sleep_for(std::chrono::milliseconds{world.rng().below(400)});
        const auto index = world.rng().below(cluster->nodes.size());
        auto& machine = cluster->machine(index);
        if (!machine.running() || machine.paused() || !cluster->peer(index).ready()) continue;
        machine.spawn(one_operation(cluster, index, clients, world.rng().below(3) != 0));
    }
}

/// Neighbours that live are taken for dead now and then, and for good long enough to lose their groups.
base::Task<void> slander(Cluster* cluster, base::TimePoint until) {
    auto& world = cluster->world;
    while (world.now() < until) {
        co_await world.env().clock.sleep_for(std::chrono::milliseconds{3000 + world.rng().below(10'000)});
        const auto victim = cluster->handle(world.rng().below(cluster->nodes.size()));
        cluster->ring.leave(victim, world.now());
        co_await world.env().clock.sleep_for(std::chrono::milliseconds{1000 + world.rng().below(20'000)});
        cluster->ring.join(victim, world.now());
    }
}

/// Two members, up or not, are removed for good, one after the other. They do not hear of it and go on; the others hear
/// of it one by one.
base::Task<void> remove_two(Cluster* cluster) {
    auto& world = cluster->world;
    for (int removed = 0; removed < 2; ++removed) {
        co_await world.env().clock.sleep_for(std::chrono::milliseconds{5000 + world.rng().below(30'000)});
        const auto victim = world.rng().below(cluster->nodes.size());
        cluster->remove(victim);
        for (std::size_t i = 0; i < cluster->nodes.size(); ++i) {
            co_await world.env().clock.sleep_for(std::chrono::milliseconds{world.rng().below(3000)});
            if (i != victim && cluster->machine(i).running() && cluster->peer(i).ready()) cluster->tell(i);
        }
    }
}

struct Story {
    std::size_t peers = 5;
    bool joins = true;
    bool slander = true;
    bool removals = false;
    Config::Testing testing;
};

std::string live_through(sim::World& world, const Story& story, std::uint64_t* writes = nullptr) {
    ClusterOptions options;
    options.peers = story.peers;
    options.repair_after = 8s;
    options.peer.config.check_period = 6s;
    options.peer.config.recheck_period = 2s;
    options.peer.config.quiet_period = 1s;
    options.peer.config.patience = 2s;
    options.peer.config.call_timeout = 1s;
    options.peer.config.testing = story.testing;
    const auto cluster = std::make_shared<Cluster>(world, options);
    const auto clients = std::make_shared<Clients>();
    cluster->follow_deaths();
    world.harm(sim::Kill{.every = 15s, .down_for = 8s, .leave_at_least = story.peers / 2 + 1},
               sim::PowerOff{.every = 25s, .down_for = 12s, .leave_at_least = story.peers / 2 + 1},
               sim::Partition{.every = 20s, .lasts = 8s}, sim::Loss{.share = 0.03},
               sim::SlowNode{.every = 30s, .lasts = 5s});
    const auto until = world.now() + 90s;
    for (int i = 0; i < 3; ++i) world.spawn(keep_asking(cluster.get(), clients, until));
    if (story.slander) world.spawn(slander(cluster.get(), until));
    if (story.removals) world.spawn(remove_two(cluster.get()));
    for (int i = 0; story.joins && i < 6; ++i) {
        world.run_for(12s);
        cluster->add_peer();
    }
    world.run_until([&] { return world.now() >= until; }, 2min);
    world.stop_harm();
    world.run_for(20s);
    // The liveness phase: everybody is back, so the register must answer, and show what was acknowledged.
    const auto last = clients->history.size();
    cluster->machine(0).run(one_operation(cluster.get(), 0, clients, true));
    const auto& final_read = clients->history[last];
    if (writes != nullptr) *writes = clients->done;
    auto wrong = check_history(clients->history);
    if (wrong.empty() && final_read.outcome != Operation::Outcome::done) wrong = "no answer after everything healed";
    world.run_for(10s);  // what still runs refers to the cluster
    return wrong;
}

std::uint64_t total_writes = 0;

void registers_are_linearizable(sim::World& world) {
    std::uint64_t writes = 0;
    EXPECT_EQ(live_through(world, Story{}, &writes), "");
    total_writes += writes;
}

TEST(Simulation, RegistersAreLinearizable) {
    sim::Campaign campaign;
    campaign.seeds = 10;
    sim::run_simulation(campaign, &registers_are_linearizable);
    RecordProperty("writes", static_cast<int>(total_writes));
    EXPECT_GT(total_writes, 200U) << "a campaign that does nothing proves nothing";
}

std::uint64_t writes_beside_removals = 0;

void registers_outlive_removals(sim::World& world) {
    Story story;
    story.peers = 7;
    story.joins = false;
    story.removals = true;
    std::uint64_t writes = 0;
    EXPECT_EQ(live_through(world, story, &writes), "");
    writes_beside_removals += writes;
}

TEST(Simulation, RegistersAreLinearizableWhileMembersAreRemovedForGood) {
    sim::Campaign campaign;
    campaign.seeds = 6;
    sim::run_simulation(campaign, &registers_outlive_removals);
    EXPECT_GT(writes_beside_removals, 100U) << "a campaign that does nothing proves nothing";
}

/// All five members are replaced by others; then each five is by itself. Whether the old ones still take a write.
bool old_members_still_write(bool planted) {
    sim::World world{9};
    ClusterOptions options;
    options.peers = 10;
    options.repair_after = 10s;
    options.peer.config.check_period = 5s;
    options.peer.config.testing.skip_previous_members = planted;
    Cluster cluster{world, options};
    EXPECT_TRUE(write(cluster, 0, kKey, 0, "first"));
    const auto old = cluster.ring.nearest(kKey, 5);
    std::vector<sim::NodeIndex> old_side;
    std::size_t old_writer = 0, new_writer = 0;
    for (std::size_t i = 0; i < 10; ++i) {
        const bool was =
            std::ranges::any_of(old, [&](const auto& node) { return node.id() == cluster.handle(i).id(); });
        if (was) old_side.push_back(cluster.nodes[i]);
        (was ? old_writer : new_writer) = i;
    }
    for (const auto& node : old) cluster.ring.leave(node, world.now());
    world.run_for(2min);
    world.network().partition({old_side});
    EXPECT_TRUE(write(cluster, new_writer, kKey, 1, "by the new"));
    return write(cluster, old_writer, kKey, 1, "by the old").has_value();
}

TEST(Register, MembersThatWereReplacedKnowIt) { EXPECT_FALSE(old_members_still_write(false)); }
TEST(PlantedBug, HoldersThatChangeWithoutAskingTheOldOnesAreFound) { EXPECT_TRUE(old_members_still_write(true)); }

TEST(History, TheCheckerFindsWhatItIsFor) {
    const auto time = [](int ms) { return base::TimePoint{std::chrono::milliseconds{ms}}; };
    using Kind = Operation::Kind;
    using Outcome = Operation::Outcome;
    std::vector<Operation> good{{Kind::write, Outcome::done, time(0), time(10), 1, "a"},
                                {Kind::write, Outcome::conflict, time(5), time(20), 1, "b"},
                                {Kind::read, Outcome::done, time(15), time(25), 1, "a"},
                                {Kind::write, Outcome::unknown, time(26), time(40), 2, "c"},
                                {Kind::read, Outcome::done, time(30), time(35), 1, "a"}};
    EXPECT_EQ(check_history(good), "");
    auto back = good;
    back.push_back({Kind::read, Outcome::done, time(50), time(55), 2, "c"});
    EXPECT_EQ(check_history(back), "");
    back.push_back({Kind::read, Outcome::done, time(60), time(65), 1, "a"});
    EXPECT_NE(check_history(back), "");
    auto twice = good;
    twice.push_back({Kind::write, Outcome::done, time(50), time(55), 1, "x"});
    EXPECT_NE(check_history(twice), "");
    auto refused_seen = good;
    refused_seen[1].outcome = Outcome::conflict;
    refused_seen.push_back({Kind::read, Outcome::done, time(50), time(55), 1, "b"});
    EXPECT_NE(check_history(refused_seen), "");
    auto needless = good;
    needless.push_back({Kind::write, Outcome::conflict, time(30), time(34), 3, "z"});
    EXPECT_EQ(check_history(needless), "") << "it was at 1, not 2: rightly refused";
    needless.back().sequence = 2;
    needless.back().begun = time(18);
    needless.back().ended = time(24);
    EXPECT_NE(check_history(needless), "") << "at 1 all the time, as expected";
}

}  // namespace
}  // namespace past::test
