// What one member that lies can do to a register, and what it cannot (docs/model.md).
#include "base/codec.hpp"
#include "cluster.hpp"
#include "messages_of.hpp"
#include "registers/registers.hpp"

namespace past::test {
namespace {

const base::Guid kKey = group_of(4711);

base::Result<std::optional<Record>> read(Cluster& cluster, std::size_t from, const base::Guid& key) {
    return *cluster.machine(from).run(cluster.node(from).read_record(key, cluster.in(20s)));
}
base::Result<void> write(Cluster& cluster, std::size_t from, const base::Guid& key, std::uint64_t expected) {
    auto record = make_record(expected + 1, "some");
    return *cluster.machine(from).run(
        cluster.node(from).write_record(key, expected, std::move(record), cluster.in(20s)));
}

RegisterReply prepare(Cluster& cluster, std::size_t at, const base::Guid& key, std::uint64_t counter) {
    PrepareRequest request;
    request.key = key;
    request.ballot.counter = counter;
    const auto answer = ask(cluster.world, cluster, at, Verb::prepare, encode(request));
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? *decode<RegisterReply>(answer->header) : RegisterReply{};
}

std::uint64_t promised(Cluster& cluster, std::size_t at, const base::Guid& key) {
    const auto answer = ask(cluster.world, cluster, at, Verb::query, encode(QueryRequest{key, {}}));
    return decode<RegisterReply>(answer->header)->state.promised.counter;
}

/// Alters what node `liar` answers about registers.
void lie(Cluster& cluster, std::size_t liar, std::function<void(RegisterReply&)> how) {
    cluster.world.network().set_liar(cluster.nodes[liar], [how = std::move(how)](sim::Letter& letter) {
        if (letter.kind != sim::Letter::Kind::answer || !letter.content) return;
        auto reply = decode<RegisterReply>(letter.content->header);
        if (!reply || reply->state == RegisterState{}) return;
        how(*reply);
        letter.content->header = encode(*reply);
    });
}

void write_and_read_from_all_but(Cluster& cluster, std::size_t liar, std::uint64_t sequence) {
    for (std::size_t i = 0; i < 5; ++i) {
        if (i == liar) continue;
        const auto written = write(cluster, i, kKey, sequence);
        ASSERT_TRUE(written) << written.error().message();
        const auto found = read(cluster, (i + 1) % 5 == liar ? i : (i + 1) % 5, kKey);
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->sequence, ++sequence);
    }
}

TEST(RegisterLies, ABallotFarAheadIsRefused) {
    sim::World world{1};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_FALSE(prepare(cluster, i, kKey, kMaxBallotCounter).done);
        EXPECT_FALSE(prepare(cluster, i, kKey, promised(cluster, i, kKey) + kMaxBallotStep + 1).done);
        EXPECT_FALSE(prepare(cluster, i, group_of(1), kMaxBallotCounter).done) << "nor about what nobody wrote yet";
    }
    EXPECT_TRUE(write(cluster, 1, kKey, 1));
    EXPECT_TRUE(write(cluster, 2, group_of(1), 0));
}

TEST(RegisterLies, ABallotAsFarAsMayBeStopsNobody) {
    sim::World world{2};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    for (std::uint64_t sequence = 1; sequence < 6; ++sequence) {
        for (std::size_t i = 0; i < 5; ++i) {
            EXPECT_TRUE(prepare(cluster, i, kKey, promised(cluster, i, kKey) + kMaxBallotStep).done);
        }
        const auto begun = world.now();
        ASSERT_TRUE(write(cluster, sequence % 5, kKey, sequence));
        EXPECT_LT(world.now() - begun, 2s);
    }
}

TEST(RegisterLies, AMemberThatWasAwayIsLedUpToBallotsFarAhead) {
    sim::World world{3};
    ClusterOptions options;
    options.repair_after = 10min;
    Cluster cluster{world, options};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    cluster.kill(4);
    for (int step = 0; step < 5; ++step) {
        for (std::size_t i = 0; i < 4; ++i) prepare(cluster, i, kKey, promised(cluster, i, kKey) + kMaxBallotStep);
    }
    ASSERT_TRUE(write(cluster, 0, kKey, 1));
    cluster.restart(4);
    world.run_for(5s);
    cluster.kill(2);
    cluster.kill(3);
    const auto written = write(cluster, 0, kKey, 2);  // needs the one that was away
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_GT(promised(cluster, 4, kKey), 5 * kMaxBallotStep);
}

TEST(RegisterLies, AClaimOfCountersNearTheEndIsNotBelieved) {
    sim::World world{4};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    lie(cluster, 2, [](RegisterReply& reply) {
        reply.done = false;
        reply.state.promised.counter = kMaxBallotCounter;
    });
    write_and_read_from_all_but(cluster, 2, 1);
    for (const std::size_t i : {0U, 1U, 3U, 4U}) {
        EXPECT_LT(promised(cluster, i, kKey), 1000U) << "nobody was talked into great steps";
    }
}

TEST(RegisterLies, AMemberThatClaimsALaterBallotEachTimeStopsNobody) {
    sim::World world{11};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    lie(cluster, 2, [](RegisterReply& reply) {
        reply.done = false;
        reply.state.promised.counter += kMaxBallotStep;
    });
    for (std::uint64_t round = 0; round < 5; ++round) write_and_read_from_all_but(cluster, 2, 1 + 4 * round);
}

base::Task<void> propose_all_the_time(sim::World& world, Cluster& cluster, bool& end) {
    while (!end) {
        for (std::size_t i = 0; i < 5; ++i) {
            QueryRequest query{kKey, {}};
            base::Message question{base::Service::past, static_cast<std::uint8_t>(Verb::query), encode(query), {}};
            const auto seen = co_await world.env().transport.request(cluster.machine(i).address(), std::move(question),
                                                                     cluster.in(5s));
            if (!seen) continue;
            PrepareRequest request;
            request.key = kKey;
            request.ballot.counter = decode<RegisterReply>(seen->header)->state.promised.counter + kMaxBallotStep;
            base::Message prepare{base::Service::past, static_cast<std::uint8_t>(Verb::prepare), encode(request), {}};
            (void)co_await world.env().transport.request(cluster.machine(i).address(), std::move(prepare),
                                                         cluster.in(5s));
        }
        co_await world.env().clock.sleep_for(1s);
    }
}

TEST(RegisterLies, WhoProposesFarAheadEverySecondDelaysAndStopsNobody) {
    sim::World world{12};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    bool end = false;
    base::TaskGroup liar{world.env().executor};
    liar.spawn(propose_all_the_time(world, cluster, end));
    world.run_for(5s);
    for (std::uint64_t round = 0; round < 5; ++round) {
        write_and_read_from_all_but(cluster, 2, 1 + 4 * round);
        world.run_for(700ms);
    }
    EXPECT_GT(promised(cluster, 0, kKey), 5 * kMaxBallotStep) << "it was there all the time";
    end = true;
    world.run(liar.join());
}

TEST(RegisterLies, AMemberThatShowsAnOldRecordUnderALaterBallotStopsNobody) {
    for (const bool claims_to_promise : {false, true}) {
        sim::World world{5};
        Cluster cluster{world};
        ASSERT_TRUE(write(cluster, 0, kKey, 0));
        lie(cluster, 2, [claims_to_promise](RegisterReply& reply) {
            reply.done = claims_to_promise;
            if (!reply.state.value) return;
            reply.state.promised.counter += 1;  // always one ahead of whoever asks
            reply.state.accepted = reply.state.promised;
            reply.state.value->record = make_record(1, "some");
        });
        write_and_read_from_all_but(cluster, 2, 1);
    }
}

TEST(RegisterLies, MembersThatTheRosterDoesNotKnowAreRefusedAndNotBelieved) {
    sim::World world{6};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    AcceptRequest capture;
    capture.key = kKey;
    capture.ballot.counter = 1000;
    capture.value.record = make_record(1, "some");
    capture.value.members = {{group_of(99), "somewhere:1"}};
    for (std::size_t i = 0; i < 5; ++i) {
        const auto answer = ask(world, cluster, i, Verb::accept, encode(capture));
        EXPECT_FALSE(answer && decode<RegisterReply>(answer->header)->done);
    }
    lie(cluster, 1, [](RegisterReply& reply) {
        if (!reply.state.value) return;
        reply.state.promised.counter += 1;
        reply.state.accepted = reply.state.promised;
        reply.state.value->members = {{group_of(99), "somewhere:1"}};
    });
    write_and_read_from_all_but(cluster, 1, 1);
}

// --- promises about keys that nobody writes

TEST(RegisterLies, PromisesAboutKeysThatNobodyWritesFillNoDisk) {
    sim::World world{7};
    Cluster cluster{world};
    ASSERT_TRUE(write(cluster, 0, kKey, 0));
    const auto records = cluster.peer(1).store->record_keys().size();
    for (std::uint64_t i = 0; i < 5 * kMaxPromises; ++i) {
        ASSERT_TRUE(prepare(cluster, 1, group_of(10'000 + i), 1 + i % 7).done || i > kMaxPromises);
    }
    EXPECT_LE(cluster.peer(1).store->record_keys().size(), records + 1);
    EXPECT_EQ(cluster.node(1).status().registers, 1U);
    ASSERT_TRUE(write(cluster, 1, kKey, 1));
    ASSERT_TRUE(write(cluster, 1, group_of(5), 0)) << "and new records are written as before";
}

TEST(RegisterLies, NoPromiseIsForgottenHoweverManyFollow) {
    sim::World world{8};
    Cluster cluster{world};
    const auto key = group_of(10);
    ASSERT_TRUE(prepare(cluster, 1, key, 50).done);
    for (std::uint64_t i = 0; i < 3 * kMaxPromises; ++i) {
        if (i % 100 == 0) {
            EXPECT_FALSE(prepare(cluster, 1, key, 49).done) << "after " << i;
        }
        prepare(cluster, 1, group_of(10'000 + i), 7);
    }
    cluster.power_off(1);
    cluster.restart(1);
    world.run_for(5s);
    EXPECT_FALSE(prepare(cluster, 1, key, 49).done) << "nor after the power was gone";
    EXPECT_TRUE(prepare(cluster, 1, key, 51).done);
}

TEST(RegisterLies, PromisesLieInOneRecordAsTheFormatSays) {
    sim::World world{10};
    Cluster cluster{world};
    ASSERT_TRUE(prepare(cluster, 1, group_of(10), 0x0102).done);
    ASSERT_TRUE(prepare(cluster, 1, group_of(11), 7).done);
    const auto record = cluster.peer(1).store->record(base::sha256(base::as_bytes("pelago past promises")));
    ASSERT_TRUE(record);
    base::Writer expected;
    expected.u8(5).u64(0).raw(base::Bytes(16));
    expected.guid(group_of(10)).u64(0x0102).raw(base::Bytes(16));
    expected.guid(group_of(11)).u64(7).raw(base::Bytes(16));
    EXPECT_EQ(*record, expected.take()) << "docs/formats/register.md#on-disk";
}

TEST(RegisterLies, PromisesThatCannotBeReadAreNotTakenForNone) {
    sim::World world{9};
    Cluster cluster{world};
    ASSERT_TRUE(prepare(cluster, 1, group_of(10), 50).done);
    const auto name = base::sha256(base::as_bytes("pelago past promises"));
    ASSERT_TRUE(cluster.peer(1).store->record(name));
    auto cut = *cluster.peer(1).store->record(name);
    cut.pop_back();
    cluster.machine(1).run(cluster.peer(1).store->put_record(name, std::move(cut)));
    cluster.kill(1);
    cluster.restart(1);
    world.run_for(5s);
    PrepareRequest request;
    request.key = group_of(10);
    request.ballot.counter = 49;
    EXPECT_EQ(ask(world, cluster, 1, Verb::prepare, encode(request)).error(), base::Errc::corrupt);
    ASSERT_TRUE(write(cluster, 0, group_of(10), 0)) << "the others do without it";
}

}  // namespace
}  // namespace past::test
