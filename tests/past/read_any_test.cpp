// What those holders of a record show who are left, where they are too few to say what the newest is.
#include "base/error.hpp"
#include "base/sim/testing.hpp"
#include "cluster.hpp"
#include "messages_of.hpp"

namespace past::test {
namespace {

const base::Guid kKey = group_of(4711);

ClusterOptions of(std::size_t peers, unsigned copies) {
    ClusterOptions options;
    options.peers = peers;
    options.copies = copies;
    options.min_copies = 1;
    options.peer.config.repair = false;  // members stay who they are
    return options;
}

base::Result<std::optional<Record>> read(Cluster& cluster, std::size_t from) {
    return *cluster.machine(from).run(cluster.node(from).read_record(kKey, cluster.in(20s)));
}
base::Result<ShownRecord> read_any(Cluster& cluster, std::size_t from) {
    return *cluster.machine(from).run(cluster.node(from).read_any_record(kKey, cluster.in(20s)));
}
base::Result<void> write(Cluster& cluster, std::uint64_t expected, std::string_view text) {
    auto record = make_record(expected + 1, text);
    return *cluster.machine(0).run(cluster.node(0).write_record(kKey, expected, std::move(record), cluster.in(20s)));
}

TEST(ReadAny, OneOfTwoIsEnoughToBeShownARecordAndNotToChangeIt) {
    sim::World world{1};
    Cluster cluster{world, of(2, 2)};
    ASSERT_TRUE(write(cluster, 0, "first"));
    cluster.kill(1);
    world.run_for(5s);
    EXPECT_EQ(read(cluster, 0).error(), Errc::holders_unreachable);
    const auto shown = read_any(cluster, 0);
    ASSERT_TRUE(shown) << shown.error().message();
    EXPECT_EQ(shown->record.body, make_record(1, "first").body);
    EXPECT_EQ(shown->answered, 1U);
    EXPECT_EQ(shown->holders, 2U);
    EXPECT_FALSE(shown->agreed());
    EXPECT_EQ(write(cluster, 1, "second").error(), Errc::holders_unreachable);
    cluster.restart(1);
    world.run_for(5s);
    EXPECT_TRUE(write(cluster, 1, "second")) << "nothing was written by looking";
}

TEST(ReadAny, TheNewestOfWhatIsShownIsTaken) {
    sim::World world{2};
    Cluster cluster{world, of(5, 3)};
    ASSERT_TRUE(write(cluster, 0, "first"));
    Accepts accept{world, cluster, kKey};
    accept(1, 100, 2, "second");
    accept(0, 200, 1, "first");  // a later ballot, which anybody may claim
    for (const std::size_t gone : {2U, 3U, 4U}) cluster.kill(gone);
    world.run_for(5s);
    for (const std::size_t from : {0U, 1U}) {
        const auto shown = read_any(cluster, from);
        ASSERT_TRUE(shown) << shown.error().message();
        EXPECT_EQ(shown->record.sequence, 2U);
        EXPECT_EQ(shown->answered, 2U);
        EXPECT_EQ(shown->holders, 5U);
    }
    cluster.kill(1);
    world.run_for(5s);
    const auto older = read_any(cluster, 0);
    ASSERT_TRUE(older) << older.error().message();
    EXPECT_EQ(older->record.sequence, 1U) << "old, and still the owner's";
    EXPECT_EQ(older->answered, 1U);
}

TEST(ReadAny, AForgedRecordIsNotShown) {
    sim::World world{3};
    Cluster cluster{world, of(5, 3)};
    ASSERT_TRUE(write(cluster, 0, "first"));
    for (const std::size_t gone : {2U, 3U, 4U}) cluster.kill(gone);
    world.run_for(5s);
    world.network().set_liar(cluster.nodes[1], [](sim::Letter& letter) {
        if (letter.kind != sim::Letter::Kind::answer || !letter.content) return;
        auto reply = decode<RegisterReply>(letter.content->header);
        if (!reply || !reply->state.value) return;
        reply->state.value->record.sequence = 9;
        letter.content->header = encode(*reply);
    });
    const auto shown = read_any(cluster, 0);
    ASSERT_TRUE(shown) << shown.error().message();
    EXPECT_EQ(shown->record.sequence, 1U);
    EXPECT_EQ(shown->answered, 1U) << "who lies has not answered";
}

TEST(ReadAny, AMinorityDoesNotSayThatThereIsNone) {
    sim::World world{4};
    Cluster cluster{world, of(5, 3)};
    for (const std::size_t gone : {2U, 3U, 4U}) cluster.kill(gone);
    world.run_for(5s);
    EXPECT_EQ(read_any(cluster, 0).error(), Errc::holders_unreachable);
}

TEST(ReadAny, WhatAMajorityShowsIsAgreed) {
    sim::World world{5};
    Cluster cluster{world, of(5, 3)};
    ASSERT_TRUE(write(cluster, 0, "first"));
    const auto shown = read_any(cluster, 3);
    ASSERT_TRUE(shown) << shown.error().message();
    EXPECT_EQ(shown->record.body, make_record(1, "first").body);
    EXPECT_TRUE(shown->agreed());
}

}  // namespace
}  // namespace past::test
