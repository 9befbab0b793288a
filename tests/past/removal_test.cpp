// Members that were removed for good: the others go on without them, and nothing that was acknowledged is undone.
#include <bit>

#include "base/error.hpp"
#include "cluster.hpp"
#include "messages_of.hpp"
#include "registers/quorum.hpp"

namespace past::test {
namespace {

using Set = unsigned;  // of the members, one bit each

std::size_t size_of(Set set) { return static_cast<std::size_t>(std::popcount(set)); }

/// All quorums of `all` for who knows that `removed` were removed.
std::vector<Set> quorums_of(Set all, Set removed) {
    std::vector<Set> found;
    const auto needed = quorum(size_of(all), size_of(all & removed));
    for (Set some = 1; some <= all; ++some) {
        if ((some & ~all) == 0 && (some & removed) == 0 && needed > 0 && size_of(some) == needed) found.push_back(some);
    }
    return found;
}

TEST(Quorum, TwoHaveAMemberInCommonUnlessAllOfOneWereRemoved) {
    for (unsigned size = 1; size <= 6; ++size) {
        const Set all = (1U << size) - 1;
        for (Set later = 0; later <= all; ++later) {
            const auto after = quorums_of(all, later);
            for (Set earlier = later;; earlier = (earlier - 1) & later) {
                for (const auto one : quorums_of(all, earlier)) {
                    if ((one & ~later) == 0) continue;  // all of it was removed
                    for (const auto other : after) ASSERT_NE(one & other, 0U) << size << " " << earlier << " " << later;
                }
                if (earlier == 0) break;
            }
        }
    }
}

TEST(Quorum, WhoIsLeftIsEnoughHoweverManyWereRemoved) {
    for (std::size_t size = 1; size <= 16; ++size) {
        EXPECT_EQ(quorum(size, 0), majority(size));
        EXPECT_EQ(quorum(size, size), 0U) << "nobody speaks for them";
        for (std::size_t removed = 1; removed < size; ++removed) {
            EXPECT_GE(quorum(size, removed), 1U);
            EXPECT_LE(quorum(size, removed), size - removed);
            EXPECT_GT(2 * quorum(size, removed), size - removed)
                << "two of those that know the same have one in common";
        }
    }
}

const base::Guid kKey = group_of(4711);

class Removal : public testing::Test {
  protected:
    explicit Removal(std::size_t peers = 2) : cluster_{world_, options(peers)} {}

    static ClusterOptions options(std::size_t peers) {
        ClusterOptions options;
        options.peers = peers;
        options.repair_after = 10min;  // what happens sooner happens because of the removal
        options.peer.config.check_period = 10s;
        return options;
    }
    base::Result<std::uint64_t> read(std::size_t from, const base::Guid& key = kKey) {
        const auto found = *cluster_.machine(from).run(cluster_.node(from).read_record(key, cluster_.in(20s)));
        if (!found) return found.error();
        return *found ? (*found)->sequence : 0;
    }
    base::Result<void> write(std::size_t from, std::uint64_t expected, const base::Guid& key = kKey) {
        auto record = make_record(expected + 1, "by " + std::to_string(from));
        return *cluster_.machine(from).run(
            cluster_.node(from).write_record(key, expected, std::move(record), cluster_.in(20s)));
    }
    void remove(std::size_t gone, std::vector<std::size_t> told) {
        cluster_.remove(gone);
        for (const auto index : told) cluster_.tell(index);
    }

    sim::World world_{1};
    Cluster cluster_;
};

TEST_F(Removal, ANetworkOfTwoOutlivesOne) {
    ASSERT_TRUE(write(0, 0));
    ASSERT_TRUE(cluster_.put(0, 1));
    cluster_.kill(1);
    world_.run_for(5s);
    const auto refused = write(0, 1);
    EXPECT_EQ(refused.error(), Errc::holders_unreachable);
    EXPECT_NE(refused.error().message().find(cluster_.handle(1).id().short_hex()), std::string::npos)
        << "who is missing is named: " << refused.error().message();
    const auto put = cluster_.put(0, 2);
    EXPECT_EQ(put.error(), Errc::below_min_copies);
    EXPECT_NE(put.error().message().find(cluster_.handle(1).id().short_hex()), std::string::npos);

    remove(1, {0});
    EXPECT_TRUE(write(0, 1));
    EXPECT_EQ(*read(0), 2U);
    EXPECT_EQ(*read(0, group_of(1)), 0U) << "that there is none is certain again";
    EXPECT_TRUE(write(0, 0, group_of(1))) << "a new volume";
    EXPECT_TRUE(cluster_.put(0, 2));
    world_.run_for(2min);
    EXPECT_TRUE(cluster_.whole()) << "one copy is all that there can be";
    EXPECT_EQ(cluster_.node(0).status().registers_without_majority, 0U);

    const auto newcomer = cluster_.add_peer();
    world_.run_for(2min);
    EXPECT_TRUE(write(newcomer, 2));
    EXPECT_TRUE(write(newcomer, 0, group_of(2))) << "taught by the one that is left";
    EXPECT_TRUE(cluster_.whole());
    EXPECT_EQ(cluster_.copies(1), 2U) << "its copies were made again";
}

TEST_F(Removal, AMemberThatReturnsIsRefusedAndMakesNoSecondHistory) {
    ASSERT_TRUE(write(0, 0));
    cluster_.kill(1);
    world_.run_for(5s);
    remove(1, {0});
    ASSERT_TRUE(write(0, 1));
    world_.run_for(1min);
    cluster_.machine(1).restart();
    world_.run_for(5s);
    cluster_.peer(1).membership.replace(cluster_.peer(0).membership.policy(), world_.roster());  // as it knew it
    EXPECT_EQ(write(1, 1).error(), Errc::holders_unreachable);
    EXPECT_EQ(write(1, 0, group_of(3)).error(), Errc::holders_unreachable);
    EXPECT_EQ(ask_as(cluster_, 1, 0, Verb::query, encode(QueryRequest{kKey, {}})).error(), base::Errc::removed);
    EXPECT_EQ(*read(0), 2U);
    ASSERT_TRUE(write(0, 2));
}

class RemovalOfTwo : public Removal {
  protected:
    RemovalOfTwo() : Removal{5} {}
};

TEST_F(RemovalOfTwo, WhoHasNotHeardOfItMayGoOnAndThenTheOthersWait) {
    ASSERT_TRUE(write(0, 0));
    world_.network().partition({{cluster_.nodes[2], cluster_.nodes[3], cluster_.nodes[4]}});
    remove(3, {0, 1});
    remove(4, {0, 1});
    ASSERT_TRUE(write(3, 1)) << "three of five that know of no removal";
    EXPECT_EQ(write(0, 1).error(), Errc::holders_unreachable)
        << "two of the three that are left: both sides would go on";
    world_.network().heal();
    cluster_.tell(2);
    EXPECT_EQ(*read(0), 2U) << "what the third acknowledged is not lost";
    EXPECT_TRUE(write(1, 2));
    EXPECT_EQ(write(4, 3).error(), Errc::holders_unreachable);
}

TEST_F(RemovalOfTwo, AMajorityThatWasRemovedLeavesTheNewestThatTheOthersHave) {
    ASSERT_TRUE(write(0, 0));
    cluster_.power_off(0);
    cluster_.power_off(1);
    world_.run_for(5s);
    ASSERT_TRUE(write(2, 1)) << "by the three";
    world_.run_for(5s);
    for (const std::size_t gone : {2U, 3U, 4U}) cluster_.kill(gone);
    cluster_.restart(0);
    cluster_.restart(1);
    world_.run_for(5s);
    EXPECT_EQ(read(0).error(), Errc::holders_unreachable);
    for (const std::size_t gone : {2U, 3U, 4U}) remove(gone, {0, 1});
    EXPECT_EQ(*read(0), 1U) << "the second went with all that had it";
    EXPECT_TRUE(write(1, 1));
    EXPECT_EQ(*read(0), 2U);
}

TEST_F(RemovalOfTwo, CopiesAreMadeAgainAtOnce) {
    for (std::uint64_t block = 0; block < 20; ++block) ASSERT_TRUE(cluster_.put(0, block));
    cluster_.kill(3);
    cluster_.kill(4);
    world_.run_for(30s);
    remove(3, {0, 1, 2});
    remove(4, {0, 1, 2});
    EXPECT_TRUE(world_.run_until([&] { return cluster_.whole(); }, 3min));
    for (std::uint64_t block = 0; block < 20; ++block) EXPECT_EQ(cluster_.copies(block), 3U);
    for (std::uint64_t block = 20; block < 25; ++block)
        EXPECT_EQ(cluster_.get(0, block).error(), Errc::block_not_found);
}

}  // namespace
}  // namespace past::test
