// list: the owner of a volume learns which blocks of it a group has, and nobody else does.
#include "base/error.hpp"
#include "messages_of.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

BlockQuery query_of(const Owner& owner, std::uint64_t generation, bool all = false) {
    BlockQuery query;
    query.group = group_of(1);
    query.tag = owner.tag(generation);
    query.owner = owner.key.public_key();
    query.name_digest = owner.name;
    query.all = all;
    query.signature = owner.key.sign("pelago list", query.body());
    return query;
}

struct ListWorld {
    explicit ListWorld(ClusterOptions options = {}) : cluster{world, std::move(options)} {}

    bool put(std::uint64_t generation, std::vector<Block> blocks) {
        return world
            .run(
                cluster.node(0).put(group_of(1), owner.tag(generation), std::move(blocks), Wait::full, cluster.in(30s)))
            .has_value();
    }
    bool touch(std::uint64_t generation, const base::Guid& id) {
        const auto held = world.run(cluster.node(0).touch(group_of(1), owner.tag(generation), {id}, cluster.in(30s)));
        return held && held->at(0);
    }
    TaggedBlocks page(std::uint64_t generation, const base::Guid& after = {}) {
        return world.run(cluster.node(1).list(query_of(owner, generation), after, cluster.in(30s))).value();
    }
    /// Ids and generations, over all pages.
    std::map<base::Guid, std::uint64_t> all(std::uint64_t generation) {
        std::map<base::Guid, std::uint64_t> found;
        for (base::Guid after;;) {
            const auto next = page(generation, after);
            for (const auto& block : next.blocks) {
                EXPECT_LT(after, block.id);
                EXPECT_TRUE(found.emplace(block.id, block.generation).second) << "twice";
            }
            if (!next.more) return found;
            after = next.up_to;
        }
    }

    sim::World world{3};
    Cluster cluster;
    Owner owner;
};

TEST(List, TellsWhatAnyHolderHasUnderTheTagUpToItsGeneration) {
    ClusterOptions options;
    options.peer.config.repair = false;
    ListWorld s{options};
    Owner other;
    other.name = base::sha256(base::as_bytes("another volume"));
    ASSERT_TRUE(s.put(3, {make_block(1), make_block(2)}) && s.put(5, {make_block(3, 700)}));
    ASSERT_TRUE(
        s.world.run(s.cluster.node(0).put(group_of(1), other.tag(1), {make_block(4)}, Wait::full, s.cluster.in(30s))));
    // One holder alone has a fifth.
    const auto holder = s.cluster.holders_of(1)[2];
    ASSERT_TRUE(s.world.run(s.cluster.peer(holder).store->put(group_of(1), s.owner.tag(1), {make_block(5)})));

    const std::map<base::Guid, std::uint64_t> expected{
        {make_block(1).id, 3}, {make_block(2).id, 3}, {make_block(5).id, 1}};
    EXPECT_EQ(s.all(4), expected);
    EXPECT_EQ(s.all(UINT64_MAX).size(), 4U);
    const auto page = s.page(UINT64_MAX);
    EXPECT_EQ(page.answered, 3U);
    EXPECT_EQ(page.holders, 3U);
    for (const auto& block : page.blocks) EXPECT_EQ(block.bytes, block.id == make_block(3, 700).id ? 700U : 1000U);
    s.cluster.kill(holder);
    EXPECT_LT(s.page(UINT64_MAX).answered, 3U) << "and then it says so";
}

TEST(List, PagesMeetThoughHoldersHaveDifferentBlocks) {
    ClusterOptions options;
    options.peer.config.repair = false;
    ListWorld s{options};
    std::map<base::Guid, std::uint64_t> expected;
    ASSERT_TRUE(s.put(1, {make_block(0)}));
    expected[make_block(0).id] = 1;
    const auto holders = s.cluster.holders_of(0);
    // Each holder misses a part of more blocks than fit a page.
    constexpr std::uint64_t kBlocks = 3 * kMaxBlocksPerRequest / 2;
    for (std::size_t i = 0; i < holders.size(); ++i) {
        std::vector<Block> blocks;
        for (std::uint64_t number = 0; number < kBlocks; ++number) {
            if (number % 3 == i) continue;
            blocks.push_back(make_block(number, 8));
            expected[blocks.back().id] = 1;
        }
        ASSERT_TRUE(s.world.run(s.cluster.peer(holders[i]).store->put(group_of(1), s.owner.tag(1), blocks)));
    }
    EXPECT_EQ(s.all(1), expected);
}

TEST(List, WhatAReclaimWaitsForIsLeftOutUnlessItWasWantedSince) {
    ClusterOptions options;
    options.reclaim_grace = 1h;
    ListWorld s{options};
    ASSERT_TRUE(s.put(3, {make_block(1), make_block(2)}));
    ASSERT_TRUE(s.world.run(s.cluster.node(0).remove(
        s.owner.reclaim(group_of(1), 3, {make_block(1).id, make_block(2).id}), s.cluster.in(30s))));
    EXPECT_TRUE(s.all(9).empty());
    const auto whole = s.world.run(s.cluster.node(1).list(query_of(s.owner, 9, true), {}, s.cluster.in(30s)));
    EXPECT_EQ(whole->blocks.size(), 2U) << "who asks for all is told of them";
    ASSERT_TRUE(s.touch(4, make_block(2).id));
    EXPECT_EQ(s.all(9), (std::map<base::Guid, std::uint64_t>{{make_block(2).id, 4}}));
    s.world.run_for(3h);
    EXPECT_EQ(s.cluster.copies(1), 0U);
    EXPECT_EQ(s.cluster.copies(2), 3U) << "a touch of a later generation has cancelled it";
}

TEST(List, NobodyButTheOwnerIsToldAnything) {
    ListWorld s;
    ASSERT_TRUE(s.put(3, {make_block(1)}));
    const auto good = query_of(s.owner, 3);
    auto wider = good, elsewhere = good, forged = good, foreign = good, whole = good;
    wider.tag.generation = 9;
    whole.all = true;
    elsewhere.group = group_of(2);
    forged.signature[0] ^= 1;
    Owner thief;
    thief.key = base::SigningKey{base::Key{8}};
    foreign.signature = thief.key.sign("pelago list", foreign.body());
    for (const auto& bad : {wider, elsewhere, forged, foreign, whole}) {
        EXPECT_EQ(s.world.run(s.cluster.node(0).list(bad, {}, s.cluster.in(30s))).error(), Errc::not_owner);
        // A holder checks for itself: a peer in between is not believed.
        for (std::size_t i = 0; i < 5; ++i)
            EXPECT_FALSE(ask(s.world, s.cluster, i, Verb::list, encode(ListRequest{bad, {}})));
    }
    EXPECT_TRUE(ask(s.world, s.cluster, s.cluster.holders_of(1)[0], Verb::list, encode(ListRequest{good, {}})));
}

TEST(List, WhereNobodyAnswersNothingIsSaid) {
    ListWorld s;
    ASSERT_TRUE(s.put(3, {make_block(1)}));
    const auto holders = s.cluster.holders_of(1);
    std::size_t asker = 0;
    while (std::ranges::find(holders, asker) != holders.end()) ++asker;
    for (const auto holder : holders) s.cluster.kill(holder);
    const auto page = s.world.run(s.cluster.node(asker).list(query_of(s.owner, 3), {}, s.cluster.in(30s)));
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error(), Errc::holders_unreachable);
}

}  // namespace
}  // namespace past::test
