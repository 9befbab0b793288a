#include "base/sim/harm.hpp"
#include "cluster.hpp"
#include "messages_of.hpp"

namespace past::test {
namespace {

ClusterOptions quick() {
    ClusterOptions options;
    options.repair_after = 30s;
    options.peer.config.check_period = 20s;
    options.peer.config.discard_grace = 20s;
    options.peer.config.keep_surplus = 0s;
    return options;
}

void put_all(Cluster& cluster, std::uint64_t count, std::uint64_t per_group = 4) {
    for (std::uint64_t number = 1; number <= count; number += per_group) {
        std::vector<Block> blocks;
        for (std::uint64_t i = 0; i < per_group; ++i) blocks.push_back(make_block(number + i));
        const auto outcome = cluster.put(number % 3, group_of(number), std::move(blocks), Wait::full);
        ASSERT_TRUE(outcome) << outcome.error().message();
        ASSERT_EQ(outcome->copies_stored, 3U);
    }
}

bool all_at(Cluster& cluster, std::uint64_t count, std::size_t copies) {
    for (std::uint64_t number = 1; number <= count; ++number) {
        if (cluster.copies(number) != copies) return false;
    }
    return true;
}

std::string text(const NodeStatus& status) {
    return "ours " + std::to_string(status.blocks_ours) + " whole " + std::to_string(status.blocks_whole) + " short " +
           std::to_string(status.blocks_short) + " unchecked " + std::to_string(status.blocks_unchecked) + " backlog " +
           std::to_string(status.backlog_blocks) + " to hand over " + std::to_string(status.blocks_to_hand_over) +
           " surplus " + std::to_string(status.blocks_surplus);
}

TEST(Repair, EveryBlockIsAtThreeCopiesAgainAfterTwoOfFiveAreGone) {
    sim::World world{1};
    Cluster cluster{world, quick()};
    put_all(cluster, 80);
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 2min)) << text(cluster.total());
    cluster.kill(3);
    cluster.kill(4);
    world.run_for(10s);
    EXPECT_FALSE(cluster.whole()) << "the status says that copies are short";
    EXPECT_EQ(cluster.total().blocks_repaired, 0U) << "nothing moves before repair_after";
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 5min)) << text(cluster.total());
    EXPECT_TRUE(all_at(cluster, 80, 3));
    EXPECT_LE(world.elapsed(), 4min);
    const auto repaired = cluster.total().blocks_repaired;
    world.run_for(30min);
    EXPECT_EQ(cluster.total().blocks_repaired, repaired) << "then there is peace";
}

TEST(Repair, AShortOutageMovesAlmostNothing) {
    sim::World world{2};
    auto options = quick();
    options.repair_after = 5min;
    Cluster cluster{world, options};
    put_all(cluster, 80);
    world.run_for(1min);
    for (int flap = 0; flap < 20; ++flap) {  // faults matrix row 21
        cluster.kill(2);
        world.run_for(10s);
        cluster.restart(2);
        world.run_for(20s);
        if (flap % 5 == 0) {
            ASSERT_TRUE(cluster.put(0, 1000 + static_cast<std::uint64_t>(flap)));
        }
    }
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 5min)) << text(cluster.total());
    const auto sum = cluster.total();
    EXPECT_LE(sum.blocks_repaired + sum.blocks_handed_over, 8U) << "only what was written meanwhile";
    EXPECT_TRUE(all_at(cluster, 80, 3));
}

TEST(Repair, AJoinerIsGivenItsBlocksBeforeAnybodyLetsGo) {
    sim::World world{3};
    Cluster cluster{world, quick()};
    put_all(cluster, 80);
    world.run_for(1min);
    const auto joiner = cluster.add_peer();
    bool ever_below = false;
    EXPECT_TRUE(world.run_until(
        [&] {
            for (std::uint64_t number = 1; number <= 80; ++number)
                ever_below = ever_below || cluster.copies(number) < 3;
            const auto sum = cluster.total();
            return cluster.whole() && sum.blocks_to_hand_over + sum.blocks_surplus == 0 && world.elapsed() > 2min;
        },
        10min))
        << text(cluster.total());
    EXPECT_FALSE(ever_below);
    EXPECT_TRUE(all_at(cluster, 80, 3)) << "and no more than three are kept";
    EXPECT_GT(cluster.peer(joiner).store->usage().blocks, 0U);
    EXPECT_GT(cluster.total().blocks_discarded, 0U);
    for (std::uint64_t number = 1; number <= 80; number += 4) {
        auto bytes = cluster.machine(joiner).run(
            cluster.node(joiner).get(group_of(number), make_block(number).id, cluster.in(30s)));
        EXPECT_TRUE(*bytes);
    }
}

TEST(Repair, WhatComesBackCountsAgain) {
    sim::World world{4};
    Cluster cluster{world, quick()};
    put_all(cluster, 40);
    world.run_for(1min);
    cluster.kill(1);
    EXPECT_TRUE(world.run_until([&] { return world.elapsed() > 3min && cluster.whole(); }, 10min));
    const auto repaired = cluster.total().blocks_repaired;
    EXPECT_GT(repaired, 0U);
    cluster.restart(1);
    EXPECT_TRUE(world.run_until(
        [&] {
            const auto sum = cluster.total();
            return cluster.whole() && sum.blocks_to_hand_over + sum.blocks_surplus == 0 && cluster.peer(1).ready();
        },
        10min))
        << text(cluster.total());
    EXPECT_EQ(cluster.total().blocks_repaired, repaired) << "its disk still has what it held";
    EXPECT_TRUE(all_at(cluster, 40, 3));
}

TEST(Repair, TagsTravelWithTheBlocks) {
    sim::World world{5};
    Cluster cluster{world, quick()};
    put_all(cluster, 4);
    const Tag other{group_of(77), 3};
    auto held = cluster.machine(0).run(cluster.node(0).touch(group_of(1), other, {make_block(1).id}, cluster.in(30s)));
    ASSERT_TRUE(*held);
    world.run_for(1s);
    cluster.kill(cluster.holders_of(1)[0]);
    world.run_for(3min);
    ASSERT_EQ(cluster.copies(1), 3U);
    for (const auto index : cluster.holders_of(1)) {
        const auto tags = cluster.peer(index).store->tags(make_block(1).id);
        EXPECT_TRUE(std::ranges::find(tags, other) != tags.end());
        EXPECT_TRUE(std::ranges::find(tags, test_tag()) != tags.end());
    }
}

TEST(Repair, AHolderThatLagsInTagsIsBroughtUpBeforeOthersLetGo) {
    sim::World world{6};
    auto options = quick();
    Cluster cluster{world, options};
    put_all(cluster, 4);
    const auto holders = cluster.holders_of(1);
    Tag newer = test_tag();
    newer.generation += 1;
    // Only one of three heard of the newer session, and it is the one that will have to hand over.
    const auto farthest = *std::ranges::max_element(holders, [&](std::size_t a, std::size_t b) {
        return base::closer(group_of(1), cluster.handle(a).id(), cluster.handle(b).id());
    });
    cluster.machine(farthest).run(cluster.peer(farthest).store->touch(newer, {make_block(1).id}));
    while (cluster.holders_of(1).size() == 3 && cluster.peer(farthest).store->has(make_block(1).id)) {
        cluster.add_peer();
        world.run_for(3min);
        ASSERT_LT(cluster.nodes.size(), 40U);
    }
    for (const auto index : cluster.holders_of(1)) {
        EXPECT_EQ(cluster.peer(index).store->tags(make_block(1).id), std::vector<Tag>{newer});
    }
}

/// The block at its three holders and at the next nearest node, which is to let go of it.
class RepairOfSurplus : public testing::Test {
  protected:
    explicit RepairOfSurplus(ClusterOptions options = quick()) : cluster_{world_, std::move(options)} {}
    void SetUp() override {
        for (std::size_t rank = 0; rank < 4; ++rank) {
            const auto index = at(rank);
            auto& store = *cluster_.peer(index).store;
            const std::vector<Block> blocks{block_};
            ASSERT_TRUE(*cluster_.machine(index).run(store.put(group_, test_tag(), blocks)));
        }
        ++newer_.generation;
    }
    /// The index of the peer that is so near to the group.
    std::size_t at(std::size_t rank) {
        const auto node = cluster_.ring.nearest(group_, rank + 1)[rank];
        std::size_t index = 0;
        while (cluster_.handle(index) != node) ++index;
        return index;
    }
    void expect_holders_to_hear_of_the_newer_tag_before_it_goes() {
        auto& store = *cluster_.peer(surplus_).store;
        ASSERT_TRUE(store.has(block_.id));
        ASSERT_EQ(store.tags(block_.id), std::vector<Tag>{newer_});
        EXPECT_TRUE(world_.run_until([&] { return !store.has(block_.id); }, 10min)) << text(cluster_.total());
        for (const auto index : cluster_.holders_of(1)) {
            EXPECT_EQ(cluster_.peer(index).store->tags(block_.id), std::vector<Tag>{newer_});
        }
    }

    sim::World world_{1};
    Cluster cluster_;
    const base::Guid group_ = group_of(1);
    const Block block_ = make_block(1);
    Tag newer_ = test_tag();
    const std::size_t surplus_ = at(3);
    const std::size_t client_ = at(4);
};

TEST_F(RepairOfSurplus, ATagRaisedWhileOthersAreOfferedTheBlockIsOfferedAgain) {
    for (std::size_t rank = 0; rank < 3; ++rank) {
        world_.network().set_latency(cluster_.nodes[surplus_], cluster_.nodes[at(rank)], 300ms);
    }
    world_.network().set_latency(cluster_.nodes[surplus_], cluster_.nodes[client_], 1ms);
    std::set<sim::NodeIndex> offered_to;
    world_.network().set_liar(cluster_.nodes[surplus_], [&](sim::Letter& letter) {
        const bool offer = letter.kind == sim::Letter::Kind::request && letter.content &&
                           letter.content->verb() == static_cast<std::uint8_t>(Verb::offer);
        if (offer) offered_to.insert(letter.to);
    });
    ASSERT_TRUE(world_.run_until([&] { return offered_to.size() == 3; }, 2min));
    const TouchRequest touch{group_, newer_, {block_.id}};
    ASSERT_TRUE(ask_as(cluster_, client_, surplus_, Verb::touch, encode(touch)));
    expect_holders_to_hear_of_the_newer_tag_before_it_goes();
}

TEST_F(RepairOfSurplus, APutOfAHeldBlockRaisesItsTagToo) {
    ASSERT_TRUE(world_.run_until([&] { return cluster_.node(surplus_).status().blocks_surplus == 1; }, 5min));
    const StoreRequest store{group_, {newer_}, {block_.id}, {1000}, Cause::put};
    ASSERT_TRUE(ask_as(cluster_, client_, surplus_, Verb::store, encode(store), block_.bytes));
    expect_holders_to_hear_of_the_newer_tag_before_it_goes();
}

TEST_F(RepairOfSurplus, ManyBlocksGoAtOnceInsteadOfBeingOfferedAgainAfterEachPage) {
    constexpr std::size_t many = 2 * kMaxBlocksPerRequest + 100;
    std::vector<Block> blocks;
    for (std::size_t number = 100; number < 100 + many; ++number) blocks.push_back(make_block(number, 16));
    for (std::size_t rank = 0; rank < 4; ++rank) {
        const auto index = at(rank);
        ASSERT_TRUE(*cluster_.machine(index).run(cluster_.peer(index).store->put(group_, test_tag(), blocks)));
    }
    const auto left = [&] { return cluster_.peer(surplus_).store->usage().blocks; };
    std::size_t offered_again = 0;
    world_.network().set_liar(cluster_.nodes[surplus_], [&](sim::Letter& letter) {
        const bool offer = letter.kind == sim::Letter::Kind::request && letter.content &&
                           letter.content->verb() == static_cast<std::uint8_t>(Verb::offer);
        if (offer && left() <= many) ++offered_again;
    });
    EXPECT_TRUE(world_.run_until([&] { return left() == 0; }, 10min));
    EXPECT_EQ(offered_again, 0U);
}

class RepairOfOldNews : public RepairOfSurplus {
  protected:
    static ClusterOptions rarely_checked() {
        auto options = quick();
        options.peer.config.check_period = 2min;
        return options;
    }
    RepairOfOldNews() : RepairOfSurplus{rarely_checked()} {}
    bool falls_below_three_copies(base::Duration within) {
        return world_.run_until([&] { return cluster_.copies(1) < 3; }, within);
    }
};

TEST_F(RepairOfOldNews, WhoLostABlockSinceItWasComparedIsAskedAgain) {
    ASSERT_TRUE(world_.run_until([&] { return cluster_.node(surplus_).status().blocks_surplus == 1; }, 10min));
    world_.run_for(18s);  // it goes after 20
    const auto loser = at(1);
    const std::vector<base::Guid> lost{block_.id};
    ASSERT_TRUE(*cluster_.machine(loser).run(cluster_.peer(loser).store->discard(lost)));
    EXPECT_FALSE(falls_below_three_copies(10min));
    EXPECT_FALSE(cluster_.peer(surplus_).store->has(block_.id)) << "which goes once all have it again";
}

TEST_F(RepairOfSurplus, NothingIsLetGoOfWhileTheRingChanges) {
    ASSERT_TRUE(world_.run_until([&] { return cluster_.node(surplus_).status().blocks_surplus == 1; }, 5min));
    const auto unstable = cluster_.handle(client_);
    bool here = true;
    world_.network().set_liar(cluster_.nodes[surplus_], [&](sim::Letter& letter) {
        const bool asks = letter.kind == sim::Letter::Kind::request && letter.from == cluster_.nodes[surplus_];
        const bool compare = letter.content && letter.content->verb() == static_cast<std::uint8_t>(Verb::compare);
        if (!asks || !compare || letter.to != cluster_.nodes[at(0)]) return;
        here = !here;
        here ? cluster_.ring.join(unstable, world_.now()) : cluster_.ring.leave(unstable, world_.now());
    });
    world_.run_for(3min);
    EXPECT_TRUE(cluster_.peer(surplus_).store->has(block_.id));
    world_.network().set_liar(cluster_.nodes[surplus_], {});
    EXPECT_TRUE(world_.run_until([&] { return !cluster_.peer(surplus_).store->has(block_.id); }, 3min));
}

TEST(Repair, KilledAndWithoutPowerAtAnyTimeItComesToAnEnd) {
    for (std::uint64_t seed = 1; seed <= 15; ++seed) {
        sim::World world{seed};
        auto options = quick();
        options.peers = 6;
        options.repair_after = 10s;
        Cluster cluster{world, options};
        put_all(cluster, 24);
        cluster.follow_deaths();
        world.harm(sim::Kill{.every = 20s, .down_for = 12s, .leave_at_least = 5},
                   sim::PowerOff{.every = 30s, .down_for = 15s, .leave_at_least = 5});
        world.run_for(5min);
        world.stop_harm();
        EXPECT_TRUE(world.run_until([&] { return cluster.whole() && all_at(cluster, 24, 3); }, 15min))
            << "seed " << seed << ": " << text(cluster.total());
        for (std::uint64_t number = 1; number <= 24; ++number) {
            auto bytes = cluster.machine(0).run(
                cluster.node(0).get(group_of((number - 1) / 4 * 4 + 1), make_block(number).id, cluster.in(30s)));
            ASSERT_TRUE(*bytes) << "seed " << seed << " block " << number;
        }
    }
}

// --- a holder without room

/// Blocks at two of their three holders; the third has no room for them, nor may it divert them.
class RepairOfFull : public testing::Test {
  protected:
    static constexpr std::uint64_t kBlocks = 64;
    static constexpr std::size_t kSize = 10'000;

    explicit RepairOfFull(std::size_t peers = 3) {
        auto options = quick();
        options.peers = peers;
        options.adjust = [this](std::size_t index, PeerProcess::Options& peer) {
            peer.config.divert_tries = peer.config.divert_strangers = 0;
            if (index != 0 || roomy_) return;
            peer.store.capacity_bytes = 512U << 10U;
            peer.store.reserve_bytes = 64U << 10U;
        };
        cluster_ = std::make_unique<Cluster>(world_, options);
        while (cluster_->ring.nearest(group_of(group_), 1)[0] != cluster_->handle(0)) ++group_;
        std::vector<Block> blocks;
        for (std::uint64_t number = 1; number <= kBlocks; ++number) blocks.push_back(make_block(number, kSize));
        for (const auto& holder : cluster_->ring.nearest(group_of(group_), 3)) {
            for (std::size_t i = 1; i < peers; ++i) {
                if (cluster_->handle(i) != holder) continue;
                auto& store = *cluster_->peer(i).store;
                EXPECT_TRUE(*cluster_->machine(i).run(store.put(group_of(group_), test_tag(), blocks)));
            }
        }
    }
    [[nodiscard]] std::uint64_t refusals() { return cluster_->node(0).status().puts_refused; }

    bool roomy_ = false;
    std::uint64_t group_ = 1;
    sim::World world_{1};
    std::unique_ptr<Cluster> cluster_;
};

TEST_F(RepairOfFull, IsTriedLessAndLessOften) {
    world_.run_for(15min);
    EXPECT_GT(refusals(), 0U);
    EXPECT_LE(refusals(), 2U * 9U) << "by two senders: after 20, 40, 80 seconds, and then every 160";
}

TEST_F(RepairOfFull, IsSentEverythingOnceItComesBackWithRoom) {
    world_.run_for(15min);
    roomy_ = true;
    cluster_->kill(0);
    world_.run_for(10s);
    cluster_->restart(0);
    EXPECT_TRUE(world_.run_until([&] { return cluster_->whole(); }, 2min)) << text(cluster_->total());
}

class RepairBesideFull : public RepairOfFull {
  protected:
    RepairBesideFull() : RepairOfFull{6} {}
};

TEST_F(RepairBesideFull, NeighboursHaveWhatTheHolderDoesNotTake) {
    const auto three_have_each = [&] {
        for (std::uint64_t number = 1; number <= kBlocks; ++number) {
            std::size_t copies = 0;
            for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
                copies += cluster_->peer(i).store->has(make_block(number, kSize).id) ? 1 : 0;
            }
            if (copies < 3) return false;
        }
        return true;
    };
    EXPECT_TRUE(world_.run_until(three_have_each, 10min)) << text(cluster_->total());
    world_.run_for(15min);
    EXPECT_TRUE(three_have_each());
}

// --- groups of others, far away

/// Twenty peers that each know their nearest groups only. The first one is left with blocks of groups all around.
class RepairFar : public testing::Test {
  protected:
    static constexpr std::uint64_t kGroups = 200;

    void SetUp() override {
        for (std::uint64_t number = 1; number <= kGroups; ++number) {
            const std::vector<Block> blocks{make_block(number)};
            const auto put = cluster_.machine(0).run(cluster_.peer(0).store->put(group_of(number), test_tag(), blocks));
            ASSERT_TRUE(*put);
        }
    }
    static ClusterOptions options() {
        auto options = quick();
        options.peers = 20;
        options.peer.reach = 3;
        options.peer.config.keep_surplus = 24h;  // groups that are handed over stay, and must not take others' turn
        return options;
    }

    sim::World world_{1};
    Cluster cluster_{world_, options()};
};

TEST_F(RepairFar, EveryGroupHasItsTurn) {
    const auto all_at_their_holders = [&] {
        for (std::uint64_t number = 1; number <= kGroups; ++number) {
            if (cluster_.copies(number) < 3) return false;
        }
        return true;
    };
    EXPECT_TRUE(world_.run_until(all_at_their_holders, 10min)) << text(cluster_.total());
    RecordProperty("seconds", static_cast<int>(world_.elapsed() / 1s));
}

TEST_F(RepairFar, GroupsWhoseHoldersCannotBeFoundDelayNobody) {
    cluster_.ring.lookup_takes = 1h;
    std::vector<std::uint64_t> near;
    for (std::uint64_t number = 1; number <= kGroups; ++number) {
        const auto holders = cluster_.ring.nearest(group_of(number), 3);
        if (std::ranges::find(holders, cluster_.handle(0)) != holders.end()) near.push_back(number);
    }
    ASSERT_LT(near.size(), kGroups - 64);
    ASSERT_GT(near.size(), 5U);
    const auto at_three = [&](std::uint64_t number) { return cluster_.copies(number) == 3; };
    EXPECT_TRUE(world_.run_until([&] { return std::ranges::all_of(near, at_three); }, 2min)) << text(cluster_.total());
}

TEST(Repair, OfAFarGroupNothingIsLetGoOfWhileItsHoldersCannotBeFound) {
    sim::World world{1};
    auto options = quick();
    options.peers = 20;
    options.peer.reach = 3;
    options.peer.config.keep_surplus = 2min;
    Cluster cluster{world, options};
    std::uint64_t number = 1;
    const auto has = [](const auto& nodes, const auto& node) { return std::ranges::find(nodes, node) != nodes.end(); };
    const auto nearest = [&] { return cluster.ring.nearest(group_of(number), 3); };
    const auto put = [&](std::size_t at) {
        auto& store = *cluster.peer(at).store;
        const std::vector<Block> blocks{make_block(1)};
        ASSERT_TRUE(*cluster.machine(at).run(store.put(group_of(number), test_tag(), blocks)));
    };
    while (has(nearest(), cluster.handle(0))) ++number;
    put(0);
    for (std::size_t i = 1; i < 20; ++i) {
        if (has(nearest(), cluster.handle(i))) put(i);
    }
    ASSERT_TRUE(world.run_until([&] { return cluster.node(0).status().blocks_surplus == 1; }, 2min));
    cluster.ring.lookup_takes = 1h;
    world.run_for(10min);
    EXPECT_EQ(cluster.copies(1), 4U);
    cluster.ring.lookup_takes = 50ms;
    EXPECT_TRUE(world.run_until([&] { return cluster.copies(1) == 3; }, 5min)) << text(cluster.total());
}

// --- clients go first

base::Task<void> keep_reading(Cluster* cluster, std::size_t index, std::uint64_t count, base::Duration pause,
                              base::TimePoint until, std::shared_ptr<std::uint64_t> reads) {
    auto& node = cluster->node(index);
    for (std::uint64_t number = 1; cluster->world.now() < until; number = number % count + 1) {
        const auto group = group_of((number - 1) / 4 * 4 + 1);
        const auto bytes = co_await node.get(group, make_block(number, 20'000).id, cluster->in(30s));
        EXPECT_TRUE(bytes);
        ++*reads;
        co_await cluster->world.env().clock.sleep_for(pause);
    }
}

struct Race {
    std::uint64_t repaired_soon = 0;  ///< bytes, 20 s after repair began
    std::uint64_t reads = 0;          ///< until then
    base::Duration whole{};           ///< from the beginning of repair until all copies are where they should be
};

enum class Change { two_die, five_join };

/// Two of five die, or five more join, while the others read; `readers` at a time at each, with a pause between two
/// reads.
Race race(std::size_t readers, base::Duration pause, base::Duration busy = 20s, Change change = Change::two_die) {
    constexpr std::uint64_t kBlocks = 400;
    sim::World world{8};
    auto options = quick();
    options.peer.config.repair_bytes_per_second = 4U << 20U;
    options.peer.config.repair_burst_bytes = 1U << 20U;
    options.peer.config.repair_batch_bytes = 64U << 10U;
    options.peer.config.repair_floor_bytes_per_second = change == Change::two_die ? 64U << 10U : 16U << 10U;
    Cluster cluster{world, options};
    for (std::uint64_t number = 1; number <= kBlocks; number += 4) {
        std::vector<Block> blocks;
        for (std::uint64_t i = 0; i < 4; ++i) blocks.push_back(make_block(number + i, 20'000));
        EXPECT_TRUE(cluster.put(number % 3, group_of(number), std::move(blocks), Wait::full));
    }
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 2min));
    if (change == Change::two_die) {
        cluster.kill(3);
        cluster.kill(4);
    } else {
        for (int i = 0; i < 5; ++i) cluster.add_peer();
    }
    EXPECT_TRUE(world.run_until([&] { return cluster.total().blocks_repaired > 0; }, 2min));
    const auto begun = world.now();
    const auto before = cluster.total().bytes_repaired;
    const auto reads = std::make_shared<std::uint64_t>(0);
    for (std::size_t i = 0; i < (change == Change::two_die ? 3U : 5U); ++i) {
        for (std::size_t j = 0; j < readers; ++j) {
            cluster.machine(i).spawn(keep_reading(&cluster, i, kBlocks, pause, begun + busy, reads));
        }
    }
    world.run_for(20s);
    Race result;
    result.repaired_soon = cluster.total().bytes_repaired - before;
    result.reads = *reads;
    EXPECT_TRUE(world.run_until([&] { return cluster.whole() && cluster.total().blocks_moving == 0; }, 30min))
        << text(cluster.total());
    result.whole = world.now() - begun;
    return result;
}

TEST(Repair, GoesOnAtItsFloorWhileClientsAreServed) {
    const auto alone = race(0, 0s);
    const auto beside = race(4, 5ms);
    // The floor holds for what a node sends and for what it takes: three nodes, 64 KiB a second each.
    EXPECT_LE(beside.repaired_soon, 20U * 3U * (64U << 10U) * 5 / 4);
    EXPECT_GE(beside.repaired_soon, 20U * (64U << 10U)) << "but repair never starves";
    EXPECT_GE(alone.repaired_soon, 2 * beside.repaired_soon);
    EXPECT_LE(alone.whole, 30s);
    RecordProperty("repaired_in_20s_alone", static_cast<int>(alone.repaired_soon));
    RecordProperty("repaired_in_20s_beside_clients", static_cast<int>(beside.repaired_soon));
}

TEST(Repair, AMassJoinDoesNotSlowClients) {
    const auto quiet = race(4, 5ms, 20s, Change::two_die);
    const auto alone = race(0, 0s, 20s, Change::five_join);
    const auto beside = race(4, 5ms, 20s, Change::five_join);
    EXPECT_LE(beside.repaired_soon, 20U * 5U * (16U << 10U) * 5 / 4) << "five that send, at the floor";
    EXPECT_GE(beside.repaired_soon, 20U * (16U << 10U));
    EXPECT_GE(alone.repaired_soon, 2 * beside.repaired_soon);
    EXPECT_GE(beside.reads, quiet.reads * 5 / 3 * 9 / 10) << "from five nodes instead of three";
    RecordProperty("reads_beside_a_mass_join", static_cast<int>(beside.reads));
    RecordProperty("reads_beside_repair", static_cast<int>(quiet.reads));
}

TEST(Repair, IsNotHeldUpByAClientThatComesNowAndThen) {
    const auto alone = race(0, 0s);
    const auto beside = race(1, 400ms, 2min);
    EXPECT_GT(beside.reads, 100U);
    EXPECT_LE(beside.whole, 2 * alone.whole);
}

base::Task<void> keep_writing(Cluster* cluster, base::Guid group, std::shared_ptr<bool> on) {
    for (std::uint64_t number = 1000; *on; ++number) {
        std::vector<Block> blocks{make_block(number)};
        const auto outcome =
            co_await cluster->node(0).put(group, test_tag(), std::move(blocks), Wait::majority, cluster->in(30s));
        EXPECT_TRUE(outcome);
        co_await cluster->world.env().clock.sleep_for(700ms);
    }
}

TEST(Repair, DoesNotWaitForABackupToEnd) {
    sim::World world{9};
    Cluster cluster{world, quick()};
    put_all(cluster, 4);
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 2min));
    const auto on = std::make_shared<bool>(true);
    cluster.machine(0).spawn(keep_writing(&cluster, group_of(1), on));
    world.run_for(10s);
    auto holders = cluster.holders_of(1);
    std::erase(holders, 0U);
    cluster.kill(holders.back());
    EXPECT_TRUE(world.run_until([&] { return all_at(cluster, 4, 3); }, 3min)) << "to a place written to all the time";
    *on = false;
    EXPECT_TRUE(world.run_until([&] { return cluster.whole(); }, 3min)) << text(cluster.total());
}

TEST(Repair, ByteCountsHaveACause) {
    sim::World world{7};
    Cluster cluster{world, quick()};
    put_all(cluster, 40);
    const auto put_bytes = cluster.total().bytes_put;
    EXPECT_GT(put_bytes, 0U);
    cluster.kill(0);
    world.run_for(5min);
    const auto sum = cluster.total();
    EXPECT_GT(sum.bytes_repaired, 0U);
    EXPECT_LE(sum.bytes_repaired, 40U * 1000U) << "nothing is sent twice";
}

}  // namespace
}  // namespace past::test
