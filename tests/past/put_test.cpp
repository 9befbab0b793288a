#include "cluster.hpp"

#include "base/error.hpp"
#include "base/limits.hpp"
#include "messages_of.hpp"

namespace past::test {
namespace {

TEST(Put, StoresAllCopiesOnTheNearestNodes) {
    sim::World world{1};
    Cluster cluster{world};
    const auto outcome = cluster.put(0, 1);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_wanted, 3U);
    EXPECT_EQ(outcome->copies_stored, 3U);
    const auto nearest = cluster.ring.nearest(group_of(1), 3);
    ASSERT_EQ(cluster.copies(1), 3U);
    for (const auto index : cluster.holders_of(1)) {
        EXPECT_TRUE(std::ranges::any_of(nearest, [&](const auto& n) { return n.id() == cluster.handle(index).id(); }));
    }
    for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(cluster.get(i, 1));
}

TEST(Put, ReturnsOnceAMajorityIsSynced) {
    sim::World world{2};
    Cluster cluster{world};
    const auto far = cluster.ring.nearest(group_of(1), 3)[2];
    for (std::size_t i = 0; i < 5; ++i) {
        if (cluster.handle(i).id() == far.id()) world.network().clog_node(cluster.nodes[i]);
    }
    const auto outcome = cluster.put(0, 1, Wait::majority);
    ASSERT_NE(cluster.handle(0).id(), far.id()) << "another seed: the putter must not be the far one";
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_stored, 2U);
}

TEST(Put, WhereTheDisksOfHoldersFailTheNextNearestTakeIt) {
    sim::World world{2};
    Cluster cluster{world};
    for (std::size_t i = 0; i < 5; ++i) {
        const auto nearest = cluster.ring.nearest(group_of(1), 2);
        if (std::ranges::find(nearest, cluster.handle(i)) == nearest.end()) continue;
        cluster.machine(i).disk().fail(sim::DiskCall::write, 1, base::Errc::io_failed, /*and_later=*/true);
        cluster.machine(i).disk().fail(sim::DiskCall::sync, 1, base::Errc::io_failed, /*and_later=*/true);
    }
    for (std::uint64_t try_again = 0; try_again < 2; ++try_again) {  // io_failed at first, read_only ever after
        const auto outcome = cluster.put(0, group_of(1), {make_block(1 + try_again)}, Wait::full);
        ASSERT_TRUE(outcome) << outcome.error().message();
        EXPECT_EQ(outcome->copies_stored, 3U);
    }
}

// Its own pointers to what neighbours keep for it are few: a small disk must not keep others from their three copies.
TEST(Put, AHolderWithoutRoomIsNoReasonForFewerCopies) {
    sim::World world{1};
    ClusterOptions options;
    options.peers = 5;
    options.adjust = [](std::size_t index, PeerProcess::Options& peer) {
        if (index != 0) return;
        peer.store.capacity_bytes = 512U << 10U;
        peer.store.reserve_bytes = 64U << 10U;  // 29 pointers
    };
    Cluster cluster{world, options};
    for (std::uint64_t number = 1; number <= 150; ++number) {
        const auto outcome = cluster.put(1 + number % 4, number, Wait::full, 16U << 10U);
        ASSERT_TRUE(outcome) << outcome.error().message();
        ASSERT_EQ(outcome->copies_stored, 3U) << number;
    }
}

base::Task<void> forget_outcome(base::Task<base::Result<PutOutcome>> put) { (void)co_await std::move(put); }

TEST(Put, WaitsForItsTurnNoLongerThanItsDeadline) {
    sim::World world{2};
    ClusterOptions options;
    options.peer.config.max_put_bytes_in_flight = 1500;
    Cluster cluster{world, options};
    for (std::size_t i = 1; i < 5; ++i) cluster.machine(i).pause();
    const auto put = [&](std::uint64_t number, base::Duration time) -> base::Task<base::Result<PutOutcome>> {
        std::vector<Block> blocks{make_block(number)};
        return cluster.node(0).put(group_of(1), test_tag(), std::move(blocks), Wait::full, cluster.in(time));
    };
    cluster.machine(0).spawn(forget_outcome(put(1, 10s)));
    world.run_for(1s);
    const auto begun = world.now();
    const auto second = *cluster.machine(0).run(put(2, 2s));
    EXPECT_EQ(second.error(), Errc::too_few_copies);
    EXPECT_EQ(world.now() - begun, 2s);
}

TEST(Put, OneFailureDomainGetsOneCopyWhereThereAreEnoughDomains) {
    sim::World world{3};
    ClusterOptions options;
    options.peers = 9;
    options.domains = {"a", "a", "a", "a", "a", "b", "b", "b", "c"};
    Cluster cluster{world, options};
    for (std::uint64_t number = 1; number <= 20; ++number) {
        ASSERT_TRUE(cluster.put(0, number));
        std::set<std::string> domains;
        for (const auto index : cluster.holders_of(number)) domains.insert(cluster.handle(index).failure_domain);
        EXPECT_EQ(domains.size(), 3U) << number;
    }
}

TEST(Put, BelowMinCopiesNothingIsStored) {
    sim::World world{4};
    ClusterOptions options;
    options.peers = 3;
    Cluster cluster{world, options};
    cluster.kill(1);
    cluster.kill(2);
    world.run_for(5s);
    const auto outcome = cluster.put(0, 1);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), Errc::below_min_copies);
    EXPECT_EQ(cluster.copies(1), 0U);
}

TEST(Put, AStandInTakesTheWritesOfAnAbsentHolder) {
    sim::World world{5};
    Cluster cluster{world};
    const auto first = cluster.ring.nearest(group_of(1), 1)[0];
    std::size_t gone = 0;
    while (cluster.handle(gone).id() != first.id()) ++gone;
    const auto writer = (gone + 1) % 5;
    cluster.kill(gone);
    world.run_for(5s);
    const auto outcome = cluster.put(writer, 1);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_stored, 3U);
    EXPECT_EQ(cluster.copies(1), 3U);
    cluster.restart(gone);
    EXPECT_TRUE(world.run_until(
        [&] { return cluster.peer(gone).ready() && cluster.peer(gone).store->has(make_block(1).id); }, 5min))
        << "handed back to the holder";
}

TEST(Put, ADeadHolderNobodyKnowsOfIsReplacedAtOnce) {
    sim::World world{6};
    ClusterOptions options;
    options.notice = 1h;
    Cluster cluster{world, options};
    const auto first = cluster.ring.nearest(group_of(1), 1)[0];
    std::size_t gone = 0;
    while (cluster.handle(gone).id() != first.id()) ++gone;
    cluster.kill(gone);
    const auto outcome = cluster.put((gone + 1) % 5, 1);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_stored, 3U);
}

TEST(Put, FullWaitSaysByHowManyItFallsShort) {
    sim::World world{7};
    ClusterOptions options;
    options.peers = 3;
    Cluster cluster{world, options};
    cluster.kill(2);
    world.run_for(5s);
    const auto outcome = cluster.put(0, 1);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_wanted, 3U);
    EXPECT_EQ(outcome->copies_stored, 2U);
}

TEST(Put, TooLargeIsRefusedBeforeAnythingLeaves) {
    sim::World world{8};
    Cluster cluster{world};
    const auto before = world.network().traffic(cluster.nodes[0]).requests_sent;
    EXPECT_EQ(cluster.put(0, 1, Wait::full, base::kMaxBlockBytes + 1).error(), Errc::too_large);
    EXPECT_EQ(world.network().traffic(cluster.nodes[0]).requests_sent, before);
}

TEST(Put, AFullHolderDoesNotKeepAMajorityFromTakingIt) {
    sim::World world{9};
    ClusterOptions options;
    options.peers = 3;
    options.peer.store.capacity_bytes = 64U << 20U;
    options.peer.store.reserve_bytes = 1U << 20U;
    Cluster cluster{world, options};
    cluster.machine(2).disk().set_capacity(64U << 10U);
    std::size_t stored = 0;
    for (std::uint64_t number = 1; number <= 20; ++number) {
        const auto outcome = cluster.put(0, number, Wait::full, 100'000);
        ASSERT_TRUE(outcome) << outcome.error().message();
        EXPECT_GE(outcome->copies_stored, 2U);
        stored += outcome->copies_stored;
    }
    EXPECT_LT(stored, 60U);
    for (std::size_t i = 0; i < 2; ++i) cluster.machine(i).disk().set_capacity(64U << 10U);
    base::Result<PutOutcome> outcome = PutOutcome{};
    for (std::uint64_t number = 21; number <= 400 && outcome; ++number)
        outcome = cluster.put(0, number, Wait::full, 100'000);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), Errc::no_space);
    for (std::uint64_t number = 1; number <= 20; ++number) {
        const auto bytes = cluster.get(0, number, 100'000);
        EXPECT_TRUE(bytes) << number << ": " << bytes.error().message();
    }
}

TEST(Put, OnePeerKilledRightAfterABarePutLosesNothing) {
    for (std::uint64_t seed = 10; seed < 30; ++seed) {
        sim::World world{seed};
        Cluster cluster{world};
        ASSERT_TRUE(cluster.put(0, 1, Wait::majority));
        const auto holders = cluster.holders_of(1);
        ASSERT_GE(holders.size(), 2U);
        const auto victim = holders[seed % holders.size()];
        cluster.power_off(victim);
        const auto reader = (victim + 1) % 5;
        const auto bytes = cluster.get(reader, 1);
        ASSERT_TRUE(bytes) << "seed " << seed << ": " << bytes.error().message();
    }
}

/// The planted bug "acknowledge one copy early" does not survive this.
std::size_t lost_after_power_cut(bool planted) {
    std::size_t lost = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        sim::World world{seed};
        ClusterOptions options;
        options.peer.config.testing.acknowledge_one_copy_early = planted;
        Cluster cluster{world, options};
        const auto nearest = cluster.ring.nearest(group_of(1), 3);
        // The copies on their way are held up for longer than the writer's peer lives.
        std::vector<std::size_t> slow;
        for (std::size_t i = 0; i < 5; ++i) {
            if (cluster.handle(i).id() == nearest[1].id() || cluster.handle(i).id() == nearest[2].id())
                slow.push_back(i);
        }
        std::size_t writer = 0;
        while (cluster.handle(writer).id() != nearest[0].id()) ++writer;
        for (const auto index : slow) world.network().cut(cluster.nodes[writer], cluster.nodes[index]);
        const auto outcome = cluster.put(writer, 1, Wait::majority);
        cluster.power_off(writer, sim::PowerLoss::lost);
        if (!outcome) continue;
        world.run_for(10s);
        if (!cluster.get((writer + 1) % 5, 1) && !cluster.get((writer + 2) % 5, 1)) ++lost;
    }
    return lost;
}

TEST(Put, AcknowledgedMeansAMajorityHasIt) { EXPECT_EQ(lost_after_power_cut(false), 0U); }
TEST(PlantedBug, AcknowledgingOneCopyEarlyIsFound) { EXPECT_GT(lost_after_power_cut(true), 0U); }

TEST(Put, TwoOfFiveKilledAfterAFullPutLoseNothing) {
    sim::World world{31};
    Cluster cluster{world};
    for (std::uint64_t number = 1; number <= 50; ++number) ASSERT_TRUE(cluster.put(number % 5, number));
    cluster.kill(1);
    cluster.kill(3);
    for (std::uint64_t number = 1; number <= 50; ++number) {
        EXPECT_TRUE(cluster.get(0, number)) << number;
    }
}

TEST(Put, AHolderRefusesBytesThatDoNotHashToTheirId) {
    sim::World world{33};
    Cluster cluster{world};
    auto block = make_block(1);
    block.id = make_block(2).id;
    StoreRequest request;
    request.group = group_of(1);
    request.tags = {test_tag()};
    request.ids = {block.id};
    request.lengths = {static_cast<std::uint32_t>(block.bytes.size())};
    const auto answer = ask(world, cluster, 0, Verb::store, encode(request), block.bytes);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), Errc::corrupt_block);
    EXPECT_EQ(cluster.node(0).status().wrong_blocks, 1U);
    EXPECT_EQ(cluster.total().blocks, 0U);
}

}  // namespace
}  // namespace past::test
