#include "cluster.hpp"

#include "base/error.hpp"
#include "messages_of.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

base::Result<void> remove(Cluster& cluster, std::size_t from, Reclaim reclaim) {
    auto done = cluster.machine(from).run(cluster.node(from).remove(std::move(reclaim), cluster.in(30s)));
    return *done;
}
base::Result<std::vector<bool>> touch(Cluster& cluster, std::size_t from, const base::Guid& group, Tag tag,
                                      std::vector<base::Guid> ids) {
    auto held = cluster.machine(from).run(cluster.node(from).touch(group, tag, std::move(ids), cluster.in(30s)));
    return *held;
}
base::Result<PutOutcome> put(Cluster& cluster, std::size_t from, const base::Guid& group, Tag tag,
                             std::vector<Block> blocks) {
    auto put =
        cluster.machine(from).run(cluster.node(from).put(group, tag, std::move(blocks), Wait::full, cluster.in(30s)));
    return *put;
}

TEST(Touch, SaysWhatAMajorityHasAndTagsIt) {
    sim::World world{1};
    Cluster cluster{world};
    ASSERT_TRUE(cluster.put(0, 1));
    Tag newer = test_tag();
    newer.generation += 1;
    const auto held = touch(cluster, 3, group_of(1), newer, {make_block(1).id, make_block(2).id});
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(*held, (std::vector<bool>{true, false}));
    world.run_for(1s);
    for (const auto index : cluster.holders_of(1)) {
        EXPECT_EQ(cluster.peer(index).store->tags(make_block(1).id), std::vector<Tag>{newer});
    }
}

TEST(Touch, ABlockOnOneHolderOnlyIsNotHeld) {
    sim::World world{2};
    ClusterOptions options;
    options.peer.config.repair = false;
    Cluster cluster{world, options};
    ASSERT_TRUE(cluster.put(0, 1));
    const auto holders = cluster.holders_of(1);
    for (std::size_t i = 1; i < holders.size(); ++i) {
        cluster.machine(holders[i]).run(cluster.peer(holders[i]).store->discard({make_block(1).id}));
    }
    const auto held = touch(cluster, 0, group_of(1), test_tag(), {make_block(1).id});
    ASSERT_TRUE(held);
    EXPECT_EQ(*held, std::vector<bool>{false});
}

TEST(Touch, CutOffFromAllHoldersNothingIsKnown) {
    sim::World world{3};
    Cluster cluster{world};
    ASSERT_TRUE(cluster.put(0, 1));
    world.network().isolate(cluster.nodes[0]);
    const auto held = touch(cluster, 0, group_of(1), test_tag(), {make_block(1).id});
    ASSERT_FALSE(held);
    EXPECT_EQ(held.error(), Errc::holders_unreachable);
}

TEST(Remove, WaitsForTheGraceThenForgets) {
    sim::World world{4};
    Cluster cluster{world};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(5), {make_block(1)}));
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(6), {make_block(2)}));
    ASSERT_TRUE(remove(cluster, 1, owner.reclaim(group_of(1), 5, {make_block(1).id, make_block(2).id})));
    world.run_for(8s);
    EXPECT_EQ(cluster.copies(1), 3U);
    world.run_for(1min);
    EXPECT_EQ(cluster.copies(1), 0U);
    EXPECT_EQ(cluster.copies(2), 3U) << "tagged by a later session";
    world.run_for(10min);
    EXPECT_EQ(cluster.copies(1), 0U) << "and stays so";
    EXPECT_TRUE(cluster.whole());
}

TEST(Remove, TouchedMeanwhileItStays) {
    sim::World world{5};
    Cluster cluster{world};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(5), {make_block(1)}));
    ASSERT_TRUE(remove(cluster, 1, owner.reclaim(group_of(1), 5, {make_block(1).id})));
    ASSERT_TRUE(touch(cluster, 2, group_of(1), owner.tag(6), {make_block(1).id}));
    world.run_for(10min);
    EXPECT_EQ(cluster.copies(1), 3U);
}

TEST(Remove, AnOwnerWhoAsksForItNeedNotWait) {
    sim::World world{6};
    ClusterOptions options;
    options.reclaim_grace = 24h;
    Cluster cluster{world, options};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(1), {make_block(1)}));
    auto reclaim = owner.reclaim(group_of(1), 1, {make_block(1).id});
    reclaim.at_once = true;
    reclaim.signature = owner.key.sign("pelago reclaim", reclaim.body());
    ASSERT_TRUE(remove(cluster, 1, reclaim));
    world.run_for(1s);
    EXPECT_EQ(cluster.copies(1), 0U);
}

TEST(Remove, NobodyButTheOwnerMay) {
    sim::World world{7};
    Cluster cluster{world};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(1), {make_block(1)}));
    const auto good = owner.reclaim(group_of(1), 1, {make_block(1).id});

    auto forged = good;
    forged.signature[0] ^= 1;
    EXPECT_EQ(remove(cluster, 0, forged).error(), Errc::not_owner);
    Owner thief;
    thief.key = base::SigningKey{base::Key{8}};
    auto stolen = thief.reclaim(group_of(1), 1, {make_block(1).id});
    stolen.tag = owner.tag(1);
    stolen.signature = thief.key.sign("pelago reclaim", stolen.body());
    EXPECT_EQ(remove(cluster, 0, stolen).error(), Errc::not_owner);
    auto hasty = good;
    hasty.at_once = true;
    EXPECT_EQ(remove(cluster, 0, hasty).error(), Errc::not_owner) << "the grace is signed too";
    auto widened = good;
    widened.blocks.push_back(make_block(2).id);
    // A holder checks for itself: a peer in between is not believed.
    for (const auto& bad : {forged, stolen, hasty, widened}) {
        for (std::size_t i = 0; i < 5; ++i) EXPECT_FALSE(ask(world, cluster, i, Verb::remove, encode(bad)));
    }
    world.run_for(5min);
    EXPECT_EQ(cluster.copies(1), 3U);
}

TEST(Remove, AHolderThatWasAwayLearnsOfItAndNothingComesBack) {
    sim::World world{8};
    ClusterOptions options;
    options.repair_after = 10min;
    options.peer.config.check_period = 10s;
    Cluster cluster{world, options};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(5), {make_block(1), make_block(3)}));
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(6), {make_block(2)}));
    const auto away = cluster.holders_of(1)[1];
    cluster.kill(away);
    world.run_for(5s);
    ASSERT_TRUE(remove(cluster, (away + 1) % 5, owner.reclaim(group_of(1), 5, {make_block(1).id, make_block(3).id})));
    world.run_for(1min);
    EXPECT_EQ(cluster.copies(1), 0U);
    cluster.restart(away);
    world.run_for(5min);
    EXPECT_EQ(cluster.copies(1), 0U) << "0 deleted names reappear";
    EXPECT_EQ(cluster.copies(2), 3U);
}

TEST(Remove, TheGraceIsCountedOverCrashes) {
    sim::World world{9};
    ClusterOptions options;
    options.reclaim_grace = 60s;
    options.repair_after = 1h;
    Cluster cluster{world, options};
    const Owner owner;
    ASSERT_TRUE(put(cluster, 0, group_of(1), owner.tag(5), {make_block(1)}));
    ASSERT_TRUE(remove(cluster, 1, owner.reclaim(group_of(1), 5, {make_block(1).id})));
    world.run_for(20s);
    for (std::size_t i = 0; i < 5; ++i) cluster.power_off(i);
    world.run_for(30s);  // does not count: the clock of a machine that is off is not believed
    for (std::size_t i = 0; i < 5; ++i) cluster.restart(i);
    world.run_for(30s);
    EXPECT_EQ(cluster.copies(1), 3U);
    world.run_for(1min);
    EXPECT_EQ(cluster.copies(1), 0U);
}

}  // namespace
}  // namespace past::test
