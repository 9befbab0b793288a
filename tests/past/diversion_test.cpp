// Replica diversion between nodes: a holder without room has a neighbour keep its copy.
#include "diversion_world.hpp"

namespace past::test {
namespace {

TEST_F(Diversion, EveryBlockHasItsCopiesOnAsManyDisks) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    for (const auto number : numbers_) {
        const auto holders = cluster_->holders_of(number);
        EXPECT_EQ(holders.size(), 3U);
        EXPECT_EQ(std::ranges::count(holders, full_), 0);
    }
    const auto moved = cluster_->total().bytes_repaired + cluster_->total().bytes_handed_over;
    world_->run_for(10min);
    EXPECT_EQ(cluster_->total().bytes_repaired + cluster_->total().bytes_handed_over, moved) << "nobody is in doubt";
    EXPECT_TRUE(at_rest());
}

/// Three racks of three peers: each holder in another one, and neighbours of each rack beside.
ClusterOptions three_racks() {
    auto options = quick_options();
    for (std::size_t i = 0; i < options.peers; ++i) options.domains.push_back("rack " + std::to_string(i % 3));
    return options;
}

class DiversionInRacks : public Diversion {
  protected:
    DiversionInRacks() : Diversion{three_racks()} {}
};

TEST_F(DiversionInRacks, TheNeighbourIsInTheRackThatHasNoOtherCopy) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    for (const auto diversion_host : diversion_hosts()) EXPECT_EQ(diversion_host % 3, full_ % 3);
}

TEST_F(Diversion, ADivertedCopyIsReadThroughWhoAnswersForIt) {
    put_some();
    cluster_->kill(nearest(*cluster_, 1));
    cluster_->kill(nearest(*cluster_, 2));
    for (const auto number : numbers_) EXPECT_TRUE(get(number)) << number;
}

TEST_F(Diversion, WhenTheDiversionHostIsGoneItsCopiesAreMadeAnew) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    for (const auto diversion_host : diversion_hosts()) cluster_->kill(diversion_host);
    ASSERT_TRUE(comes_to_rest());
    for (const auto number : numbers_) EXPECT_TRUE(get(number)) << number;
}

TEST_F(Diversion, WhenTheOneItWasKeptForIsGoneTheDivertedReplicaBecomesACopyToHandOver) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    cluster_->kill(full_);
    ASSERT_TRUE(comes_to_rest());
    EXPECT_EQ(cluster_->total().blocks_for_others, 0U);
    for (const auto number : numbers_) EXPECT_TRUE(get(number)) << number;
}

// Whoever fills the slot of a dead holder may be the diversion host of another holder's copy: its disk is counted
// already.
TEST_F(Diversion, ADiversionHostAcknowledgesNoPutOfWhatItKeeps) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    const auto kept = std::ranges::find_if(numbers_, [&](std::uint64_t number) {
        return cluster_->peer(diversion_host).store->has(make_block(number).id);
    });
    ASSERT_NE(kept, numbers_.end());
    const auto block = make_block(*kept);
    const StoreRequest request{kGroup, {test_tag()}, {block.id}, {1000}, Cause::put};
    EXPECT_EQ(ask_as(*cluster_, reader(), diversion_host, Verb::store, encode(request), block.bytes).error(),
              base::Errc::busy);
    EXPECT_TRUE(at_rest());
}

TEST_F(Diversion, ADiversionHostThatBecomesAHolderCountsOnlyOnceTheOtherHasStoppedTo) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto next = nearest(*cluster_, 3);
    ASSERT_TRUE(diversion_hosts().contains(next));
    cluster_->kill(nearest(*cluster_, 1));
    bool twice = false;
    ASSERT_TRUE(world_->run_until(
        [&] {
            const auto sum = cluster_->total();
            twice = twice || sum.blocks_diverted > sum.blocks_for_others;
            return at_rest() && cluster_->node(next).status().blocks == 10;
        },
        30min));
    EXPECT_FALSE(twice) << "a copy was the keeper's own while the one who diverted it still counted it";
    EXPECT_FALSE(diversion_hosts().contains(next));
}

TEST_F(Diversion, AShortOutageOfEitherMovesNothing) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto before = cluster_->total();
    const auto diversion_host = *diversion_hosts().begin();
    for (const auto index : {diversion_host, full_}) {
        cluster_->power_off(index);
        world_->run_for(12s);
        cluster_->restart(index);
        world_->run_for(20s);
    }
    ASSERT_TRUE(comes_to_rest());
    const auto after = cluster_->total();
    EXPECT_EQ(after.blocks_diverted, 10U);
    EXPECT_LE(after.bytes_repaired + after.bytes_handed_over, before.bytes_repaired + before.bytes_handed_over);
}

TEST_F(Diversion, AShortOutageOfAThirdHolderLeavesDivertedReplicasWhereTheyAre) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    ASSERT_TRUE(diversion_hosts().contains(nearest(*cluster_, 3))) << "it stands in for the one that is away";
    const auto before = cluster_->total();
    const auto holder = nearest(*cluster_, 1);
    cluster_->power_off(holder);
    world_->run_for(20s);
    EXPECT_EQ(cluster_->total().blocks_diverted, 10U);
    cluster_->restart(holder);
    ASSERT_TRUE(comes_to_rest());
    world_->run_for(1min);
    const auto after = cluster_->total();
    EXPECT_EQ(after.blocks_for_others, 10U);
    EXPECT_LE(after.bytes_repaired + after.bytes_handed_over, before.bytes_repaired + before.bytes_handed_over);
}

// It answered a put a moment ago: the time that it is away begins anew.
TEST_F(Diversion, ADiversionHostThatCameBackForAMomentIsNotGivenUpForTheTimeBefore) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = nearest(*cluster_, 3);
    cluster_->power_off(diversion_host);
    world_->run_for(20s);
    cluster_->restart(diversion_host);
    world_->run_for(1500ms);
    const auto before = cluster_->node(diversion_host).status().blocks_for_others;
    ASSERT_TRUE(put(11, 10));
    ASSERT_GT(cluster_->node(diversion_host).status().blocks_for_others, before);
    cluster_->power_off(diversion_host);
    world_->run_for(13s);
    EXPECT_EQ(cluster_->node(full_).status().blocks_diverted, 20U);
}

/// Two peers, a copy each block, a group each: all that belongs to one of them is diverted to the other.
TEST(DiversionOfManyGroups, ADiversionHostThatAnswersSlowlyIsAlive) {
    constexpr std::size_t kGroups = kMaxCompareEntries + 10;
    constexpr std::size_t kLost = 8;
    sim::World world{1};
    auto options = quick_options();
    options.peers = 2;
    options.copies = options.min_copies = 1;
    options.peer.config.review_period = 20s;
    options.adjust = [](std::size_t index, PeerProcess::Options& peer) {
        if (index == 0) peer.config.divert_primary = -1.0;
    };
    Cluster cluster{world, options};
    std::map<base::Guid, base::Guid> by_group;
    for (std::uint64_t number = 1; by_group.size() < kGroups; ++number) {
        if (cluster.ring.nearest(group_of(number), 1)[0].id() != cluster.handle(0).id()) continue;
        const auto block = make_block(number, 100);
        ASSERT_TRUE(cluster.put(0, group_of(number), {block}, Wait::full));
        by_group.emplace(group_of(number), block.id);
    }
    ASSERT_EQ(cluster.node(0).status().blocks_diverted, kGroups);
    world.run_for(10s);
    std::vector<base::Guid> lost;
    for (const auto& [group, id] : by_group) {
        if (lost.size() < kLost) lost.push_back(id);
    }
    ASSERT_TRUE(*cluster.machine(1).run(cluster.peer(1).store->discard(lost)));
    cluster.machine(1).kill();
    cluster.machine(1).restart();
    world.network().set_latency(cluster.nodes[0], cluster.nodes[1], 1200ms);
    world.run_for(4min);
    EXPECT_EQ(cluster.node(0).status().blocks_diverted, kGroups - kLost);
}

TEST_F(Diversion, WhatDiversionHostsLostIsFoundByAReview) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    std::vector<base::Guid> ids;
    for (const auto number : numbers_) ids.push_back(make_block(number).id);
    ASSERT_TRUE(*cluster_->machine(diversion_host).run(cluster_->peer(diversion_host).store->discard(ids)));
    ASSERT_FALSE(at_rest());
    ASSERT_TRUE(comes_to_rest());
    for (const auto number : numbers_) EXPECT_EQ(cluster_->copies(number), 3U);
}

void damage_on_disk(sim::Node& machine, const Block& block) {
    const auto wanted = block.bytes.view();
    for (const auto& name : machine.disk().files()) {
        const auto bytes = *machine.disk().contents(name);
        const auto found = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
        if (found != bytes.end())
            machine.disk().flip_bit(name, static_cast<std::uint64_t>(found - bytes.begin()) + 9, 3);
    }
}

// It has the list, so it answers reviews well.
TEST_F(Diversion, ADiversionHostThatCannotShowItsBlocksLosesThemToOthers) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    for (const auto number : numbers_) {
        damage_on_disk(cluster_->machine(diversion_host), make_block(number));
    }
    const auto kept_here = [&] {
        const auto& store = *cluster_->peer(diversion_host).store;
        return std::ranges::count_if(numbers_, [&](std::uint64_t number) { return store.has(make_block(number).id); });
    };
    ASSERT_GT(kept_here(), 0);
    EXPECT_TRUE(world_->run_until([&] { return kept_here() == 0 && at_rest(); }, 30min));
}

TEST_F(Diversion, WhatItsOwnerRemovesIsGoneAtTheDiversionHostToo) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const Owner owner;
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kGroup, owner.tag(1), {make_block(50)}, Wait::full, cluster_->in(30s))));
    ASSERT_EQ(cluster_->copies(50), 3U);
    ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 11U);
    ASSERT_TRUE(*machine.run(node.remove(owner.reclaim(kGroup, 1, {make_block(50).id}), cluster_->in(30s))));
    EXPECT_TRUE(world_->run_until([&] { return cluster_->copies(50) == 0; }, 2min));
    EXPECT_TRUE(comes_to_rest());
}

TEST_F(Diversion, WhoCannotRaiseTheTagOfADivertedBlockDoesNotSayThatItHoldsIt) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto holder = nearest(*cluster_, 1);
    ASSERT_NE(holder, full_);
    OfferRequest offer{kGroup, test_tag(), {}};
    for (const auto number : numbers_) offer.ids.push_back(make_block(number).id);
    const auto held = ask_as(*cluster_, holder, full_, Verb::offer, encode(offer));
    ASSERT_TRUE(held);
    EXPECT_EQ(decode<BitsReply>(held->header)->bits, base::Bytes(10, static_cast<std::uint8_t>(Offered::held)));

    for (const auto diversion_host : diversion_hosts())
        world_->network().cut(cluster_->nodes[full_], cluster_->nodes[diversion_host]);
    ++offer.tag.generation;
    const auto lacking = ask_as(*cluster_, holder, full_, Verb::offer, encode(offer));
    ASSERT_TRUE(lacking) << lacking.error().message();
    EXPECT_EQ(decode<BitsReply>(lacking->header)->bits, base::Bytes(10, static_cast<std::uint8_t>(Offered::lacking)));
}

TEST_F(Diversion, NobodyWhoHoldsAGroupTakesItsDivertedCopies) {
    put_some();
    const auto holder = nearest(*cluster_, 1);
    ASSERT_NE(holder, full_);
    StoreRequest request{kGroup, {test_tag()}, {make_block(77).id}, {1000}, Cause::diversion};
    EXPECT_EQ(ask_as(*cluster_, reader(), holder, Verb::store, encode(request), make_block(77).bytes).error(),
              base::Errc::denied);
}

TEST_F(Diversion, ClientsDivertNothing) {
    StoreRequest request{kGroup, {test_tag()}, {make_block(77).id}, {1000}, Cause::diversion};
    EXPECT_EQ(ask(*world_, *cluster_, reader(), Verb::store, encode(request), make_block(77).bytes).error(),
              base::Errc::denied);
    EXPECT_EQ(ask(*world_, *cluster_, reader(), Verb::room, {}).error(), base::Errc::denied);
}

TEST_F(Diversion, WhoClaimsNothingOfItsOwnFreesNothingOfOthers) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    const auto before = cluster_->node(diversion_host).status().blocks_for_others;
    base::Guid::Array ones;
    ones.fill(0xFF);
    world_->run_for(10s);  // they are not young any more
    const ClaimRequest claim{kGroup, {}, base::Guid{ones}, {make_block(1).id}};
    const auto answer = ask_as(*cluster_, reader(), diversion_host, Verb::claim, encode(claim));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(decode<BitsReply>(answer->header)->bits, base::Bytes{0});
    const RetagRequest untag{{kGroup, {test_tag().volume, 1'000'000}, {make_block(1).id}}, true};
    ASSERT_TRUE(ask_as(*cluster_, reader(), diversion_host, Verb::retag, encode(untag)));
    EXPECT_EQ(cluster_->node(diversion_host).status().blocks_for_others, before);
    EXPECT_TRUE(at_rest());
}

// A newcomer among the holders says who kept the group before: the asker goes there.
TEST_F(Diversion, WhoLacksABlockNamesTheEarlierHoldersThatItHeardOf) {
    const auto earlier = reader();
    const auto holder = nearest(*cluster_, 1);
    const CompareRequest compare{{{kGroup, 5, make_block(1).id}}};
    ASSERT_TRUE(ask_as(*cluster_, earlier, holder, Verb::compare, encode(compare)));
    const auto asker = nearest(*cluster_, 7);
    const auto answer = ask_as(*cluster_, asker, holder, Verb::fetch, encode(FetchRequest{kGroup, make_block(1).id}));
    ASSERT_TRUE(answer) << answer.error().message();
    const auto reply = decode<FetchReply>(answer->header);
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->elsewhere.size(), 1U);
    EXPECT_EQ(reply->elsewhere[0].id, cluster_->handle(earlier).id());
    EXPECT_EQ(ask_as(*cluster_, earlier, holder, Verb::fetch, encode(FetchRequest{kGroup, make_block(1).id})).error(),
              Errc::block_not_found)
        << "not back to who asks";
}

TEST_F(Diversion, ADiversionHostThatOnlyNamesOthersHasLostTheBlockAndSentNoWrongBytes) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    auto& machine = cluster_->machine(diversion_host);
    base::Guid lost;
    for (const auto number : numbers_) {
        if (cluster_->peer(diversion_host).store->has(make_block(number).id)) lost = make_block(number).id;
    }
    ASSERT_TRUE(*machine.run(cluster_->peer(diversion_host).store->discard({lost})));
    const CompareRequest compare{{{kGroup, 5, lost}}};
    ASSERT_TRUE(ask_as(*cluster_, reader(), diversion_host, Verb::compare, encode(compare)));
    auto& full = cluster_->machine(full_);
    EXPECT_TRUE(*full.run(cluster_->node(full_).get(kGroup, lost, cluster_->in(30s)))) << "others have it";
    EXPECT_EQ(cluster_->node(full_).status().wrong_blocks, 0U);
    EXPECT_EQ(cluster_->node(full_).status().corrupt_blocks, 0U);
}

/// The nearest peer is full by its settings first; after a restart with others it has room.
class DiversionHome : public Diversion {
  protected:
    void make_room(std::uint64_t bytes_per_second = 4U << 20U) {
        cluster_->options.adjust = [full = full_, bytes_per_second](std::size_t index, PeerProcess::Options& peer) {
            if (index == full) peer.config.take_home_bytes_per_second = bytes_per_second;
        };
        cluster_->machine(full_).kill();
        cluster_->machine(full_).restart();
    }
    std::uint64_t taken_home() {
        return cluster_->peer(full_).ready() ? cluster_->node(full_).status().blocks_taken_home : 0;
    }
};

TEST_F(DiversionHome, WhereThereIsRoomAgainBlocksComeHome) {
    put_some();
    make_room();
    EXPECT_TRUE(world_->run_until([&] { return at_rest() && cluster_->total().blocks_diverted == 0; }, 10min));
    EXPECT_TRUE(cluster_->peer(full_).store->has(make_block(1).id));
    EXPECT_EQ(taken_home(), 10U);
}

TEST_F(DiversionHome, DiversionHostsHearFromAHolderThatTakesItsTime) {
    put_some();
    make_room(20);  // a block a minute; after less than one diversion hosts would free what nobody asks about
    bool freed = false;
    ASSERT_TRUE(world_->run_until(
        [&] {
            const auto sum = cluster_->total();
            freed = freed || sum.blocks_diverted > sum.blocks_for_others;
            return taken_home() == 10;
        },
        30min));
    EXPECT_FALSE(freed);
}

TEST_F(DiversionHome, ADiversionHostThatIsAwayDoesNotHoldUpTheBlocksOfOthers) {
    put_some();
    ASSERT_GT(diversion_hosts().size(), 1U);
    std::vector<base::Guid> ids;
    for (const auto number : numbers_) ids.push_back(make_block(number).id);
    const auto first = *std::ranges::min_element(ids);
    std::size_t at_first = 0;
    for (const auto diversion_host : diversion_hosts()) {
        if (cluster_->peer(diversion_host).store->has(first)) at_first = diversion_host;
    }
    const auto with_others = 10 - cluster_->node(at_first).status().blocks_for_others;
    cluster_->power_off(at_first);
    make_room();
    EXPECT_TRUE(world_->run_until([&] { return taken_home() == with_others; }, 20s)) << taken_home();
}

/// Of 64 peers the fifty nearest to the group have hardly any disk: no holder has a neighbour with room.
TEST(DiversionFar, WhereAWholeNeighbourhoodIsFullPeersAnywhereKeepTheCopies) {
    auto options = quick_options();
    options.peers = 64;
    std::set<base::NodeId> small;
    {
        sim::World probe{1};
        Cluster first{probe, options};
        for (const auto& node : first.ring.nearest(kGroup, 50)) small.insert(node.id());
    }
    sim::World world{1};
    std::vector<bool> is_small(options.peers, false);
    options.adjust = [&](std::size_t index, PeerProcess::Options& peer) {
        if (!small.contains(world.node(static_cast<sim::NodeIndex>(index)).id())) return;
        is_small[index] = true;
        peer.store.capacity_bytes = 512U << 10U;
        peer.store.reserve_bytes = 64U << 10U;
    };
    Cluster cluster{world, options};
    ASSERT_EQ(std::ranges::count(is_small, true), 50);

    constexpr std::size_t kSize = 600'000;
    const auto block = make_block(1, kSize);
    const auto outcome = cluster.put(0, kGroup, {block}, Wait::full);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->copies_stored, 3U);
    std::set<std::size_t> diversion_hosts;
    for (std::size_t i = 0; i < options.peers; ++i) {
        if (cluster.peer(i).store->has(block.id)) diversion_hosts.insert(i);
    }
    EXPECT_EQ(diversion_hosts.size(), 3U);
    for (const auto diversion_host : diversion_hosts) EXPECT_FALSE(is_small[diversion_host]);
    world.run_for(10min);  // reviews reach them, and nothing is in doubt
    const auto sum = cluster.total();
    EXPECT_EQ(sum.blocks_diverted, 3U);
    EXPECT_EQ(sum.blocks_for_others, 3U);
    EXPECT_EQ(sum.bytes_repaired + sum.bytes_handed_over, 0U);
    EXPECT_TRUE(*cluster.machine(1).run(cluster.node(1).get(kGroup, block.id, cluster.in(30s))));
}

}  // namespace
}  // namespace past::test
