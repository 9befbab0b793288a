// A node that empties itself before it leaves: it stays a source, what it has counts for no copy, and it ends.
#include "base/error.hpp"
#include "diversion_world.hpp"

namespace past::test {
namespace {

const base::Guid kKey = group_of(4711);

class Drain : public testing::Test {
  protected:
    explicit Drain(std::size_t peers = 5) : cluster_{world_, options(peers)} {}

    static ClusterOptions options(std::size_t peers) {
        ClusterOptions options;
        options.peers = peers;
        options.peer.config.check_period = 10s;
        options.peer.config.review_period = 5s;
        options.peer.config.migrate_after = 20s;
        return options;
    }
    void put_blocks(std::uint64_t count) {
        for (std::uint64_t number = 0; number < count; ++number) ASSERT_TRUE(cluster_.put(0, number));
        blocks_ = count;
    }
    void write_records(std::uint64_t count) {
        for (std::uint64_t number = 0; number < count; ++number) {
            auto record = make_record(1, "first");
            const auto key = group_of(number);
            ASSERT_TRUE(
                *cluster_.machine(0).run(cluster_.node(0).write_record(key, 0, std::move(record), cluster_.in(20s))));
        }
    }
    /// From the next moment on everybody knows it.
    void drain(std::size_t index, bool on = true) {
        cluster_.drain(index, on);
        cluster_.tell_all();
    }
    bool ends(std::size_t index, base::Duration within = 10min) {
        return world_.run_until([&] { return cluster_.drained(index); }, within);
    }
    [[nodiscard]] std::size_t copies_beside(std::size_t index, std::uint64_t number) {
        const auto holders = cluster_.holders_of(number);
        return static_cast<std::size_t>(std::ranges::count_if(holders, [&](std::size_t at) { return at != index; }));
    }
    void expect_copies_beside(std::size_t index, std::size_t copies) {
        for (std::uint64_t number = 0; number < blocks_; ++number) {
            EXPECT_GE(copies_beside(index, number), copies) << number;
        }
    }

    sim::World world_{1};
    Cluster cluster_;
    std::uint64_t blocks_ = 0;
};

TEST_F(Drain, EndsWhenAllItsBlocksHaveAllTheirCopiesOnOthers) {
    put_blocks(40);
    world_.run_for(60s);
    const auto before = cluster_.node(2).status();
    ASSERT_GT(before.blocks, 0U);
    EXPECT_FALSE(before.draining);
    drain(2);
    const auto begun = cluster_.node(2).status();
    EXPECT_TRUE(begun.draining);
    EXPECT_EQ(begun.blocks_to_drain, before.blocks) << "nothing was looked at yet";
    EXPECT_EQ(begun.bytes_to_drain, before.bytes);
    ASSERT_TRUE(ends(2));
    expect_copies_beside(2, 3);
    EXPECT_EQ(cluster_.node(2).status().bytes_to_drain, 0U);
}

TEST_F(Drain, TheNodeAnswersReadsMeanwhileAndIsGivenNothing) {
    put_blocks(30);
    world_.run_for(60s);
    const auto before = cluster_.node(2).status().blocks;
    drain(2);
    for (std::uint64_t number = 100; number < 140; ++number) {
        ASSERT_TRUE(cluster_.put(1, number));
        const auto holders = cluster_.holders_of(number);
        EXPECT_EQ(holders.size(), 3U) << number;
        EXPECT_EQ(std::ranges::count(holders, std::size_t{2}), 0) << number;
    }
    EXPECT_LE(cluster_.node(2).status().blocks, before);
    for (std::uint64_t number = 0; number < 30; ++number) EXPECT_TRUE(cluster_.get(2, number)) << number;
    ASSERT_TRUE(ends(2));
}

TEST_F(Drain, WhatOnlyThisNodeHasIsFoundAndHandedOver) {
    cluster_.machine(2).run(cluster_.peer(2).store->put(group_of(7), test_tag(), {make_block(7)}));
    drain(2);
    EXPECT_TRUE(cluster_.get(0, 7)) << "it stays a source";
    ASSERT_TRUE(ends(2));
    EXPECT_EQ(copies_beside(2, 7), 3U);
}

TEST_F(Drain, AfterItTheNodeIsMissedByNobody) {
    put_blocks(30);
    world_.run_for(60s);
    drain(3);
    ASSERT_TRUE(ends(3));
    cluster_.kill(3);
    cluster_.remove(3);
    cluster_.tell_all();
    world_.run_for(60s);
    for (std::uint64_t number = 0; number < 30; ++number) EXPECT_TRUE(cluster_.get(0, number)) << number;
    EXPECT_TRUE(cluster_.whole());
    EXPECT_EQ(cluster_.total().blocks_repaired, cluster_.total().blocks_repaired);
}

TEST_F(Drain, ARestartChangesNothing) {
    put_blocks(20);
    world_.run_for(60s);
    drain(2);
    world_.run_for(5s);
    cluster_.kill(2);
    world_.run_for(5s);
    cluster_.restart(2);
    world_.run_for(5s);
    EXPECT_TRUE(cluster_.node(2).status().draining);
    ASSERT_TRUE(ends(2));
    expect_copies_beside(2, 3);
}

TEST_F(Drain, TakenBackTheNodeHoldsAgain) {
    put_blocks(20);
    world_.run_for(60s);
    drain(2);
    world_.run_for(5s);
    drain(2, false);
    world_.run_for(2min);
    EXPECT_FALSE(cluster_.node(2).status().draining);
    EXPECT_GT(cluster_.node(2).status().blocks_ours, 0U);
    EXPECT_TRUE(cluster_.whole());
}

TEST_F(Drain, ABlockIsNotSaidToBeWholeByACopyThatGoesAway) {
    put_blocks(20);
    world_.run_for(60s);
    // The others cannot make copies: with them everything would be whole in a moment.
    for (const std::size_t index : {0U, 1U, 3U, 4U}) cluster_.machine(index).disk().set_capacity(0);
    drain(2);
    world_.run_for(2min);
    EXPECT_GT(cluster_.node(2).status().blocks_to_drain, 0U);
    EXPECT_GT(cluster_.total().blocks_short, 0U);
}

TEST_F(Drain, ItsRecordsMoveToo) {
    write_records(10);
    drain(2);
    EXPECT_GT(cluster_.node(2).status().records_to_drain, 0U);
    ASSERT_TRUE(ends(2));
    cluster_.kill(2);
    world_.run_for(30s);
    for (std::uint64_t number = 0; number < 10; ++number) {
        const auto key = group_of(number);
        auto found = *cluster_.machine(1).run(cluster_.node(1).read_record(key, cluster_.in(20s)));
        ASSERT_TRUE(found);
        ASSERT_TRUE(*found);
        EXPECT_EQ((*found)->sequence, 1U);
    }
    EXPECT_EQ(cluster_.total().registers_without_majority, 0U);
}

TEST_F(Drain, EndsAlsoWithMoreRecordsThanAreLookedAtInARound) {
    write_records(200);
    drain(2);
    EXPECT_GT(cluster_.node(2).status().records_to_drain, 64U);
    EXPECT_TRUE(ends(2, 30min));
}

class DrainOfThree : public Drain {
  protected:
    DrainOfThree() : Drain{3} {}
};

TEST_F(DrainOfThree, FewerThanTheCopiesAreLeftAndEachHasEverything) {
    put_blocks(20);
    world_.run_for(60s);
    drain(2);
    EXPECT_EQ(cluster_.node(0).status().copies, 2U);
    ASSERT_TRUE(ends(2));
    expect_copies_beside(2, 2);
}

class DrainWithDivertedReplicas : public Diversion {
  protected:
    void drain(std::size_t index) {
        ASSERT_TRUE(comes_to_rest());
        cluster_->drain(index);
        cluster_->tell_all();
        ASSERT_TRUE(world_->run_until([&] { return cluster_->drained(index); }, 30min));
        for (const auto number : numbers_) {
            const auto holders = cluster_->holders_of(number);
            const auto others = std::ranges::count_if(holders, [&](std::size_t at) { return at != index; });
            EXPECT_GE(others, 3) << number;
        }
    }
};

TEST_F(DrainWithDivertedReplicas, WhatItKeepsForAnotherIsMadeAgainElsewhere) {
    put_some();
    const auto host = *diversion_hosts().begin();
    drain(host);
    EXPECT_EQ(cluster_->node(host).status().blocks_for_others, 0U);
}

TEST_F(DrainWithDivertedReplicas, WhatOthersKeepForItIsHandedOver) {
    put_some();
    drain(full_);
    cluster_->kill(full_);
    for (const auto number : numbers_) EXPECT_TRUE(get(number)) << number;
}

// Many seeds: nodes die and return meanwhile, blocks are written, and whatever happens the drain ends and no block that
// was acknowledged is lost with the node.
TEST(DrainUnderChurn, EndsAndLosesNothing) {
    const char* wanted = std::getenv("PELAGO_SEEDS");
    const auto seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        sim::World world{seed};
        ClusterOptions options;
        options.peers = 7;
        options.peer.config.check_period = 10s;
        options.peer.config.review_period = 5s;
        options.peer.config.migrate_after = 20s;
        options.adjust = [&](std::size_t index, PeerProcess::Options& peer) {
            if (index == seed % 7) peer.config.divert_primary = -1.0;  // neighbours keep what it has to
        };
        Cluster cluster{world, options};
        std::uint64_t next = 0;
        std::vector<std::uint64_t> acknowledged;
        const auto put_some = [&](std::size_t from, std::uint64_t count) {
            for (std::uint64_t i = 0; i < count; ++i, ++next) {
                if (cluster.put(from, next)) acknowledged.push_back(next);
            }
        };
        auto& rng = world.rng();
        const auto leaving = static_cast<std::size_t>(rng.below(7));
        put_some(0, 30);
        cluster.drain(leaving);
        for (std::size_t i = 0; i < 7; ++i) {  // they hear of it one after another
            if (cluster.machine(i).running()) cluster.tell(i);
            put_some(i, 2);
        }
        for (int round = 0; round < 4; ++round) {
            const auto victim = static_cast<std::size_t>(rng.below(7));
            cluster.kill(victim);
            world.run_for(std::chrono::seconds{2 + rng.below(90)});
            cluster.restart(victim);
            world.run_for(std::chrono::seconds{2 + rng.below(20)});
            put_some((victim + 1) % 7, 3);
        }
        ASSERT_TRUE(world.run_until([&] { return cluster.drained(leaving); }, 30min)) << "it does not end";
        for (const auto number : acknowledged) {
            const auto holders = cluster.holders_of(number);
            const auto others = std::ranges::count_if(holders, [&](std::size_t at) { return at != leaving; });
            EXPECT_GE(others, 3) << "block " << number;
        }
        cluster.kill(leaving);
        cluster.remove(leaving);
        cluster.tell_all();
        world.run_for(60s);
        for (const auto number : acknowledged) {
            EXPECT_TRUE(cluster.get(leaving == 0 ? 1 : 0, number)) << "block " << number;
        }
    }
}

}  // namespace
}  // namespace past::test
