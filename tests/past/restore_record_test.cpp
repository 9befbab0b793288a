// A record that its only holder lost, given back by a client that has seen it.
#include "base/error.hpp"
#include "cluster.hpp"
#include "messages_of.hpp"
#include "registers/registers.hpp"

namespace past::test {
namespace {

const base::Guid kKey = group_of(4711);

base::Guid stored_under(const base::Guid& key) {
    return base::sha256({base::as_bytes("pelago past register"), key.view()});
}
base::Guid promises_key() { return base::sha256(base::as_bytes("pelago past promises")); }

ClusterOptions peers(std::size_t count) {
    ClusterOptions options;
    options.peers = count;
    options.peer.config.check_period = 10s;
    return options;
}

class RestoreRecord : public testing::Test {
  protected:
    base::Result<std::uint64_t> sequence(std::size_t from = 0) {
        const auto found = *cluster_.machine(from).run(cluster_.node(from).read_record(kKey, cluster_.in(20s)));
        if (!found) return found.error();
        return *found ? (*found)->sequence : 0;
    }
    base::Result<void> write(std::uint64_t expected, std::string_view text = "some", std::size_t from = 0) {
        auto record = make_record(expected + 1, text);
        return *cluster_.machine(from).run(
            cluster_.node(from).write_record(kKey, expected, std::move(record), cluster_.in(20s)));
    }
    base::Result<void> restore(Record lost, std::size_t at = 0) {
        return *cluster_.machine(at).run(cluster_.node(at).restore_record(kKey, std::move(lost), cluster_.in(20s)));
    }
    /// As a disk that was damaged where no checksum noticed would leave it.
    void overwrite(const base::Guid& name, base::Bytes value) {
        ASSERT_TRUE(*cluster_.machine(0).run(cluster_.peer(0).store->put_record(name, std::move(value))));
        reboot();
    }
    void reboot() {
        cluster_.kill(0);
        cluster_.restart(0);
        world_.run_for(5s);
    }

    sim::World world_{1};
    Cluster cluster_{world_, peers(1)};
};

TEST_F(RestoreRecord, WhereThereIsNoneItIsThereAgainAndWritesGoOnFromIt) {
    ASSERT_TRUE(restore(make_record(7, "seen")));
    EXPECT_EQ(*sequence(), 7U);
    EXPECT_EQ(write(5).error(), Errc::conflict);
    ASSERT_TRUE(write(7));
    reboot();
    EXPECT_EQ(*sequence(), 8U);
}

TEST_F(RestoreRecord, AnOlderOneGivesWay) {
    ASSERT_TRUE(write(0));
    ASSERT_TRUE(write(1));
    ASSERT_TRUE(restore(make_record(7, "seen")));
    EXPECT_EQ(*sequence(), 7U);
    reboot();
    EXPECT_EQ(*sequence(), 7U);
    ASSERT_TRUE(write(7));
}

TEST_F(RestoreRecord, ALaterOneAndAnotherOfThatNumberStay) {
    for (std::uint64_t number = 0; number < 7; ++number) ASSERT_TRUE(write(number));
    EXPECT_EQ(restore(make_record(6, "some")).error(), Errc::conflict) << "the past does not come back";
    EXPECT_EQ(restore(make_record(7, "other")).error(), Errc::conflict);
    EXPECT_TRUE(restore(make_record(7, "some"))) << "it has that one";
    EXPECT_EQ(*sequence(), 7U);
    EXPECT_TRUE(write(7));
}

TEST_F(RestoreRecord, WhatDoesNotVerifyIsNotTaken) {
    EXPECT_EQ(restore({7, base::to_bytes("nonsense")}).error(), Errc::bad_record);
    auto record = make_record(7, "some");
    record.sequence = 8;
    EXPECT_EQ(restore(record).error(), Errc::bad_record);
    EXPECT_EQ(*sequence(), 0U);
}

TEST_F(RestoreRecord, OneThatDoesNotDecodeAnyMoreIsSaidToBeDamagedAndCanBeGivenBack) {
    ASSERT_TRUE(write(0));
    overwrite(stored_under(kKey), base::to_bytes("\x01 nonsense"));
    EXPECT_EQ(sequence().error(), Errc::bad_record) << "at once, and never none";
    EXPECT_FALSE(write(0));
    EXPECT_FALSE(write(1));
    ASSERT_TRUE(restore(make_record(1, "some")));
    EXPECT_EQ(*sequence(), 1U);
    EXPECT_TRUE(write(1));
}

TEST_F(RestoreRecord, OneThatNobodySignedIsSaidToBeDamagedAndCanBeGivenBack) {
    ASSERT_TRUE(write(0));
    StoredRegister stored = *decode_stored_register(*cluster_.peer(0).store->record(stored_under(kKey)));
    stored.state.value->record = {9, base::to_bytes("nonsense")};
    overwrite(stored_under(kKey), encode_stored(stored));
    EXPECT_EQ(sequence().error(), Errc::bad_record);
    ASSERT_TRUE(restore(make_record(1, "some"))) << "whatever number the other claims";
    EXPECT_EQ(*sequence(), 1U);
    EXPECT_TRUE(write(1));
}

TEST_F(RestoreRecord, PromisesThatCannotBeReadAreNoObstacle) {
    overwrite(promises_key(), base::to_bytes("\x05nonsense"));
    EXPECT_EQ(sequence().error(), Errc::bad_record);
    ASSERT_TRUE(restore(make_record(3, "seen")));
    EXPECT_EQ(*sequence(), 3U);
    EXPECT_TRUE(write(3));
}

// What the node promised was lost with the record. Whoever it was promised to may still be under way.
TEST_F(RestoreRecord, AnAttemptWhosePromiseWasForgottenDoesNotSucceedAfterwards) {
    ASSERT_TRUE(write(0));
    const auto before = *decode_stored_register(*cluster_.peer(0).store->record(stored_under(kKey)));
    PrepareRequest prepare;
    prepare.key = kKey;
    prepare.ballot.counter = before.state.promised.counter + 100;
    ASSERT_TRUE(decode<RegisterReply>(ask(world_, cluster_, 0, Verb::prepare, encode(prepare))->header)->done);
    overwrite(stored_under(kKey), encode_stored(before));  // the promise is lost, and the record after it
    ASSERT_TRUE(restore(make_record(2, "seen")));
    AcceptRequest late;
    late.key = kKey;
    late.ballot = prepare.ballot;
    late.value.record = make_record(2, "other");
    late.value.members = {cluster_.machine(0).address()};
    EXPECT_FALSE(decode<RegisterReply>(ask(world_, cluster_, 0, Verb::accept, encode(late))->header)->done);
    const auto found = *cluster_.machine(0).run(cluster_.node(0).read_record(kKey, cluster_.in(20s)));
    EXPECT_EQ((*found)->body, make_record(2, "seen").body);
}

TEST_F(RestoreRecord, ItMovesOnWhenTheNetworkGrows) {
    ASSERT_TRUE(write(0));
    for (std::uint64_t lost = 2; lost < 6; ++lost) ASSERT_TRUE(restore(make_record(lost, "seen")));
    for (int i = 0; i < 4; ++i) {
        cluster_.add_peer();
        world_.run_for(1min);
    }
    for (std::size_t i = 0; i < 5; ++i) {
        const auto found = sequence(i);
        ASSERT_TRUE(found) << i << ": " << found.error().message();
        EXPECT_EQ(*found, 5U);
    }
    cluster_.kill(0);
    world_.run_for(5s);
    const auto without = sequence(2);
    ASSERT_TRUE(without) << without.error().message();
    EXPECT_EQ(*without, 5U);
    EXPECT_TRUE(write(5, "next", 3));
    EXPECT_EQ(restore(make_record(9, "seen"), 1).error(), Errc::kept_by_others);
}

TEST(RestoreRecordElsewhere, WhereOthersKeepItAMajoritySpeaks) {
    for (const std::size_t count : {2U, 3U, 5U}) {
        sim::World world{count};
        Cluster cluster{world, peers(count)};
        const auto restore = [&](std::size_t at) {
            return *cluster.machine(at).run(
                cluster.node(at).restore_record(kKey, make_record(7, "seen"), cluster.in(20s)));
        };
        for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(restore(i).error(), Errc::kept_by_others);
        ASSERT_TRUE(
            *cluster.machine(0).run(cluster.node(0).write_record(kKey, 0, make_record(1, "first"), cluster.in(20s))));
        for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(restore(i).error(), Errc::kept_by_others);
        const auto found = *cluster.machine(count - 1).run(cluster.node(count - 1).read_record(kKey, cluster.in(20s)));
        EXPECT_EQ((*found)->sequence, 1U);
    }
}

// docs/model.md, "A lying holder of a register": the last two lies of the table, told to a client that has seen more.
TEST(RestoreRecordElsewhere, AMemberThatSaysItIsTheOnlyHolderIsNotHelped) {
    sim::World world{1};
    Cluster cluster{world, peers(5)};
    const auto write = [&](std::uint64_t expected) {
        return *cluster.machine(0).run(
            cluster.node(0).write_record(kKey, expected, make_record(expected + 1, "some"), cluster.in(20s)));
    };
    ASSERT_TRUE(write(0));
    ASSERT_TRUE(write(1));
    auto& liar = *cluster.peer(3).store;
    StoredRegister alone;
    alone.key = kKey;
    alone.state.promised.counter = alone.state.accepted.counter = 1'000'000;
    alone.state.value = RegisterValue{make_record(1, "some"), {cluster.machine(3).address()}, {}};
    ASSERT_TRUE(*cluster.machine(3).run(liar.put_record(stored_under(kKey), encode_stored(alone))));
    for (std::size_t i = 0; i < 5; ++i) {
        const auto done =
            *cluster.machine(i).run(cluster.node(i).restore_record(kKey, make_record(2, "some"), cluster.in(20s)));
        EXPECT_EQ(done.error(), Errc::kept_by_others);
    }
    EXPECT_EQ(*liar.record(stored_under(kKey)), encode_stored(alone)) << "nothing changed";
}

}  // namespace
}  // namespace past::test
