// What must hold while a cluster changes: nothing is lost, every block can be read, and little moves. The stories at
// their full length, as a table: change_bench.
#include "change.hpp"

#include "base/sim/testing.hpp"

namespace past::test {
namespace {

void expect_nothing_lost(Story& story, std::size_t fewest_disks = 3) {
    EXPECT_EQ(story.unreadable(), 0U);
    EXPECT_EQ(story.lost(), 0U);
    EXPECT_GE(story.fewest_disks(), fewest_disks);
}

/// In how many groups these peers are among the holders.
std::size_t shares_of(Story& story, std::size_t first, std::size_t last) {
    std::size_t shares = 0;
    for (std::size_t group = 0; group < story.options.groups; ++group) {
        for (const auto& node : story.cluster.ring.nearest(group_of(group), story.cluster.options.copies)) {
            for (std::size_t i = first; i <= last; ++i) shares += story.cluster.handle(i).id() == node.id() ? 1 : 0;
        }
    }
    return shares;
}

/// What the peers that joined after the first ones should be given, a copy each.
std::uint64_t share_of_newcomers(Story& story) {
    const auto shares = shares_of(story, story.options.peers, story.cluster.nodes.size() - 1);
    return shares * (story.options.blocks / story.options.groups) * story.options.block_bytes;
}

// --- the row "flapping" of the issue; rows 14, 20 and 21 of the faults matrix, R9

// A tenth of the peers restarts every ten seconds for an hour, and nobody writes: nothing moves.
SIMULATION(PeersThatFlapForAnHourMoveNothing, .seeds = 1) {
    Story story{world, {}};
    flap(story, 1h);
    EXPECT_EQ(story.meter.moved(), 0U);
    EXPECT_TRUE(story.comes_to_rest(1min));
    expect_nothing_lost(story);
}

// The same while a block is written every two seconds: only what was written while its holder was away moves, once,
// when the holder stays; until then its stand-in keeps it.
SIMULATION(PeersThatFlapWhileOthersWriteAreGivenWhatTheyMissedOnce, .seeds = 1) {
    Story story{world, {.write_every = 2s}};
    flap(story, 20min);
    EXPECT_EQ(story.meter.moved(), 0U);
    EXPECT_TRUE(story.comes_to_rest(1min)) << "with what stand-ins have, every block has its copies";
    EXPECT_TRUE(story.all_in_place(10min));
    EXPECT_EQ(story.meter.moved(), story.meter.moved_to(1, 2));
    EXPECT_LE(story.meter.moved(), story.written_bytes() * shares_of(story, 1, 2) / story.options.groups);
    expect_nothing_lost(story);
}

SIMULATION(RestartsEverywhereMoveOnlyWhatWasMissed, .seeds = 1) {
    Story story{world, {.write_every = 2s}};
    restart_everywhere(story, 10min);
    EXPECT_TRUE(story.comes_to_rest(10min));
    EXPECT_TRUE(story.all_in_place(20min));
    EXPECT_LE(story.meter.moved(), story.written_bytes() * 3 / 10);
    expect_nothing_lost(story);
}

// Half as many join: nothing moves at once; then every copy that belongs to a newcomer moves once, and nobody reads in
// vain meanwhile.
SIMULATION(HalfAsManyJoinAndNothingMovesAtOnce, .seeds = 2) {
    Story story{world, {}};
    join_in_numbers(story, 9min);
    EXPECT_EQ(story.meter.moved(), 0U);
    const auto sum = story.cluster.total();
    EXPECT_EQ(sum.blocks_short, 0U) << "earlier holders have the copies";
    EXPECT_GT(sum.blocks_moving, 0U) << "and it can be seen that they will move";
    story.live(10min);
    EXPECT_TRUE(story.all_in_place(10min));
    EXPECT_EQ(story.meter.moved(), share_of_newcomers(story));
    EXPECT_EQ(story.meter.moved(), story.meter.moved_to(story.options.peers));
    expect_nothing_lost(story);
}

SIMULATION(HalfAsManyJoinWhileOthersWrite, .seeds = 1) {
    Story story{world, {.write_every = 2s}};
    join_in_numbers(story, 9min);
    EXPECT_EQ(story.meter.moved(), 0U) << "new blocks go to newcomers, old ones are counted where they are";
    EXPECT_TRUE(story.comes_to_rest(1min));
    story.live(10min);
    EXPECT_TRUE(story.all_in_place(10min));
    EXPECT_LE(story.meter.moved(), share_of_newcomers(story) + 20 * story.options.block_bytes);
    expect_nothing_lost(story);
}

// R9: never for an outage that is short enough.
SIMULATION(AnOutageOfHalfOfRepairAfterMovesNothing, .seeds = 2) {
    Story story{world, {}};
    go_away(story, story.options.repair_after / 2, 20min);
    EXPECT_EQ(story.meter.moved(), 0U);
    EXPECT_TRUE(story.comes_to_rest(1min));
    expect_nothing_lost(story);
}

SIMULATION(AnOutageOfHalfOfRepairAfterMovesWhatWasWrittenMeanwhile, .seeds = 1) {
    Story story{world, {.repair_after = 20min, .write_every = 2s}};
    go_away(story, 10min, 10min);
    EXPECT_GT(story.meter.moved(), 0U);
    EXPECT_EQ(story.meter.moved(), story.meter.moved_to(1, 1)) << "to the one that was away, from stand-ins";
    EXPECT_LE(story.meter.moved(), story.written_bytes() / 2) << "they wrote as long again after it";
    EXPECT_TRUE(story.all_in_place(1min));
    expect_nothing_lost(story);
}

// Carbonite: what comes back counts again, and the copies made meanwhile stay, so the next outage of that peer is free.
SIMULATION(APeerThatIsAwayForLongAgainAndAgainCostsItsCopiesOnce, .seeds = 1) {
    Story story{world, {.repair_after = 20min}};
    go_away(story, 30min, 15min);
    const auto first = story.meter.moved();
    EXPECT_GT(first, 0U);
    EXPECT_GT(story.cluster.total().blocks_surplus, 0U);
    for (int again = 0; again < 3; ++again) go_away(story, 30min, 15min);
    EXPECT_EQ(story.meter.moved(), first);
    EXPECT_TRUE(story.comes_to_rest(1min));
    expect_nothing_lost(story);
}

// Peers come, stay for 30 s and die for good, and one of the old ones dies for good as well: only its copies are made
// anew, and not on visitors.
SIMULATION(VisitorsAreGivenNothingAndHideNoDeath, .seeds = 1) {
    Story story{world, {.repair_after = 10min}};
    come_and_go(story, 40min, 30s);
    EXPECT_EQ(story.meter.moved_to(story.options.peers), 0U);
    EXPECT_TRUE(story.comes_to_rest(3min));
    EXPECT_LE(story.meter.moved(), story.copies_bytes() / story.options.peers * 3) << "what one peer held";
    expect_nothing_lost(story, 2);
}

SIMULATION(ANewcomerThatComesAndGoesIsGivenNothing, .seeds = 1) {
    Story story{world, {}};
    newcomer_flaps(story, 30min, 1min);
    EXPECT_EQ(story.meter.moved(), 0U);
    expect_nothing_lost(story);
}

// --- corners

TEST(Change, WhoRestartsAmongNewcomersAsksAroundBeforeItSends) {
    sim::World world{1};
    Story story{world, {}};
    join_in_numbers(story, 1min);
    for (std::size_t i = 1; i < story.options.peers; ++i) {
        story.kill(i);
        story.live(3s);
        story.restart(i);
        story.live(3s);
    }
    story.live(4min);
    EXPECT_EQ(story.meter.moved(), 0U);
    EXPECT_EQ(story.cluster.total().blocks_short, 0U);
    expect_nothing_lost(story);
}

TEST(Change, AHolderThatDiesWhileNewcomersWaitIsMadeUpForInTime) {
    sim::World world{2};
    Story story{world, {.repair_after = 20min}};
    join_in_numbers(story, 10s);
    story.kill(1, true);
    story.live(9min);
    EXPECT_EQ(story.meter.moved(), 0U) << "it may come back";
    story.live(13min);
    EXPECT_TRUE(story.comes_to_rest(2min));
    expect_nothing_lost(story, 2);
}

// With two peers and the policy's three copies there is one copy fewer than there should be: a newcomer gets it at
// once.
TEST(Change, ANewcomerIsGivenCopiesAtOnceWhereThereAreTooFew) {
    sim::World world{3};
    ClusterOptions options;
    options.peers = 2;
    options.repair_after = 1h;
    Cluster cluster{world, options};
    for (std::uint64_t number = 1; number <= 20; ++number) ASSERT_TRUE(cluster.put(0, number));
    world.run_for(30min);
    cluster.add_peer();
    EXPECT_TRUE(world.run_until(
        [&] {
            for (std::uint64_t number = 1; number <= 20; ++number) {
                if (cluster.copies(number) != 3) return false;
            }
            return true;
        },
        2min));
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 1min));
}

TEST(Change, ADedupHitCountsTheCopiesOfEarlierHolders) {
    sim::World world{4};
    Story story{world, {}};
    join_in_numbers(story, 1min);
    const Tag newer{group_of(77), 3};
    auto& reader = story.cluster.node(0);
    for (std::size_t number = 1; number <= story.options.blocks; ++number) {
        std::vector<base::Guid> ids{make_block(number, story.options.block_bytes).id};
        const auto group = group_of(number % story.options.groups);
        const auto held =
            story.cluster.machine(0).run(reader.touch(group, newer, std::move(ids), story.cluster.in(30s)));
        ASSERT_TRUE(*held);
        EXPECT_TRUE((**held)[0]) << number;
    }
    // And a newcomer learns the tag with the block.
    EXPECT_TRUE(story.all_in_place(30min));
    for (std::size_t number = 1; number <= story.options.blocks; ++number) {
        const auto id = make_block(number, story.options.block_bytes).id;
        for (const auto& node : story.cluster.ring.nearest(group_of(number % story.options.groups), 3)) {
            for (std::size_t i = 0; i < story.cluster.nodes.size(); ++i) {
                if (story.cluster.handle(i).id() != node.id()) continue;
                const auto tags = story.cluster.peer(i).store->tags(id);
                EXPECT_TRUE(std::ranges::find(tags, newer) != tags.end()) << number;
            }
        }
    }
}

TEST(Change, SurplusGoesAfterItsTime) {
    sim::World world{5};
    Story::Options options{.repair_after = 10min};
    options.tune = [](ClusterOptions& cluster) { cluster.peer.config.keep_surplus = 2h; };
    Story story{world, options};
    go_away(story, 15min, 30min);
    EXPECT_GT(story.cluster.total().blocks_surplus, 0U);
    EXPECT_EQ(story.cluster.total().blocks_discarded, 0U);
    story.live(2h);
    EXPECT_EQ(story.cluster.total().blocks_surplus, 0U);
    EXPECT_TRUE(story.comes_to_rest(1min));
    expect_nothing_lost(story);
}

TEST(Change, SurplusMakesRoomOnceHalfOfTheStoreIsUsed) {
    sim::World world{6};
    Story::Options options{.repair_after = 10min};
    options.capacity_bytes = 16U << 20U;
    options.tune = [](ClusterOptions& cluster) {
        cluster.peer.store.reserve_bytes = 256U << 10U;
        cluster.peer.store.segment_bytes = 256U << 10U;
        cluster.peer.store.state_ahead_bytes = 64U << 10U;
    };
    Story story{world, options};
    go_away(story, 15min, 10min);
    auto& cluster = story.cluster;
    std::set<std::size_t> with_surplus;
    for (std::size_t i = 0; i < options.peers; ++i) {
        if (cluster.node(i).status().blocks_surplus > 0) with_surplus.insert(i);
    }
    EXPECT_FALSE(with_surplus.empty());
    for (std::uint64_t number = 10'000; number < 10'500; ++number) {
        ASSERT_TRUE(cluster.put(0, number, Wait::full, 128U << 10U)) << number;
    }
    story.live(5min);
    std::size_t made_room = 0;
    for (const auto index : with_surplus) {
        const auto usage = cluster.peer(index).store->usage();
        const bool kept = cluster.node(index).status().blocks_surplus > 0;
        EXPECT_EQ(kept, usage.disk_bytes <= usage.capacity_bytes / 2) << "peer " << index;
        made_room += kept ? 0 : 1;
    }
    EXPECT_GT(made_room, 0U);
    EXPECT_EQ(cluster.total().blocks_short, 0U);
    expect_nothing_lost(story);
}

TEST(Change, ANewcomerHearsWhoHasWhatItLacks) {
    sim::World world{8};
    Story story{world, {}};
    join_in_numbers(story, 2min);
    auto& cluster = story.cluster;
    std::size_t asked = 0;
    for (std::size_t number = 0; number < story.options.groups; ++number) {
        const auto group = group_of(number);
        const auto near = cluster.ring.nearest(group, 3);
        for (std::size_t i = story.options.peers; i < cluster.nodes.size(); ++i) {
            if (std::ranges::none_of(near, [&](const auto& n) { return n.id() == cluster.handle(i).id(); })) continue;
            ++asked;
            EXPECT_EQ(cluster.node(i).said_to_have(group).size(), 3U) << "the earlier holder too";
        }
    }
    EXPECT_EQ(asked, shares_of(story, story.options.peers, cluster.nodes.size() - 1));
}

TEST(Change, GroupsOfWhichCopiesLieElsewhereAreTold) {
    sim::World world{7};
    Story story{world, {}};
    join_in_numbers(story, 1min);
    std::size_t told = 0;
    for (std::size_t i = 0; i < story.options.peers; ++i) {
        for (const auto& group : story.cluster.node(i).misplaced()) {
            const auto near = story.cluster.ring.nearest(group, 3);
            EXPECT_TRUE(std::ranges::none_of(
                near, [&](const auto& node) { return node.id() == story.cluster.handle(i).id(); }));
            ++told;
        }
    }
    const auto displaced = share_of_newcomers(story) / story.options.block_bytes;
    EXPECT_EQ(told * (story.options.blocks / story.options.groups), displaced);
}

}  // namespace
}  // namespace past::test
