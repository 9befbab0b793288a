// What a cluster says of a block whose copies are damaged, and when it stops saying so.
#include "base/error.hpp"
#include "cluster.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

/// A cluster that keeps one block, three times.
class Damage : public ::testing::Test {
  protected:
    Damage() {
        options_.peer.config.check_period = 10s;
        cluster_.emplace(world_, options_);
        put();
    }
    void put() {
        auto outcome = cluster_->machine(0).run(
            cluster_->node(0).put(kGroup, owner_.tag(5), std::vector{block_}, Wait::full, cluster_->in(30s)));
        ASSERT_TRUE(*outcome);
    }
    base::Result<base::SharedBytes> get(std::size_t from) {
        return *cluster_->machine(from).run(cluster_->node(from).get(kGroup, block_.id, cluster_->in(30s)));
    }
    [[nodiscard]] bool held_by(std::size_t index) { return cluster_->peer(index).store->has(block_.id); }
    std::vector<std::size_t> holders() {
        std::vector<std::size_t> all;
        for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
            if (held_by(i)) all.push_back(i);
        }
        return all;
    }
    void flip_bit_of_copy(std::size_t index) {
        auto& disk = cluster_->machine(index).disk();
        for (const auto& name : disk.files()) {
            if (name.ends_with(".seg")) disk.flip_bit(name, block_.bytes.size() / 2, 3);
        }
    }
    /// Others come that are nearer to the group.
    void cease_to_hold(std::size_t index) {
        const auto is_holder = [&] {
            const auto nearest = cluster_->ring.nearest(kGroup, 3);
            return std::ranges::find(nearest, cluster_->handle(index).id(), &pastry::NodeHandle::id) != nearest.end();
        };
        while (is_holder()) cluster_->add_peer();
    }
    std::uint64_t lost_by(std::size_t index) { return cluster_->node(index).status().blocks_lost; }

    const base::Guid kGroup = group_of(1);
    const Owner owner_;
    const Block block_ = make_block(1, 50'000);
    sim::World world_{8};
    ClusterOptions options_;
    std::optional<Cluster> cluster_;
};

TEST_F(Damage, ACopyOfOurOwnIsReplacedByAnothersAndRepaired) {
    const auto victim = holders()[0];
    flip_bit_of_copy(victim);
    const auto bytes = get(victim);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(base::sha256(*bytes), block_.id);
    EXPECT_TRUE(get(victim)) << "what is lost here is not lost to the cluster";
    EXPECT_EQ(cluster_->node(victim).status().corrupt_blocks, 1U) << "found once";
    EXPECT_EQ(lost_by(victim), 1U);
    EXPECT_TRUE(world_.run_until([&] { return held_by(victim); }, 5min));
    EXPECT_EQ(lost_by(victim), 0U);
}

TEST_F(Damage, OfEveryCopyIsToldEachTimeAndNeverTakenForABlockThatNeverWas) {
    for (const auto victim : holders()) flip_bit_of_copy(victim);
    for (std::size_t from = 0; from < cluster_->nodes.size(); ++from) {
        EXPECT_EQ(get(from).error(), Errc::corrupt_block) << from;
        EXPECT_EQ(get(from).error(), Errc::corrupt_block) << from;
    }
    EXPECT_EQ(cluster_->total().blocks_lost, 3U);
    EXPECT_EQ(cluster_->total().corrupt_blocks, 3U);
    put();
    EXPECT_TRUE(get(0));
    EXPECT_EQ(cluster_->total().blocks_lost, 0U);
}

TEST_F(Damage, IsNoLossOfANodeThatIsNoHolderAnyMore) {
    const auto victim = holders()[0];
    flip_bit_of_copy(victim);
    ASSERT_TRUE(get(victim));
    cease_to_hold(victim);
    EXPECT_EQ(lost_by(victim), 1U);
    EXPECT_TRUE(world_.run_until([&] { return lost_by(victim) == 0; }, 10min));
    EXPECT_FALSE(held_by(victim));
    EXPECT_TRUE(get(victim));
}

TEST_F(Damage, WhoeverHasTheBlockInsteadTakesOverEveryTagThatOnlyTheLostCopyHad) {
    const auto victim = holders()[0];
    const std::vector<Tag> only_here{{group_of(70), 1}, {group_of(71), 2}, {group_of(72), 3}};
    for (const auto& tag : only_here) {
        const auto held = cluster_->machine(victim).run(cluster_->peer(victim).store->touch(tag, {block_.id}));
        ASSERT_EQ(**held, std::vector<bool>{true});
    }
    flip_bit_of_copy(victim);
    ASSERT_TRUE(get(victim));
    cease_to_hold(victim);
    EXPECT_TRUE(world_.run_until([&] { return lost_by(victim) == 0; }, 10min));
    for (const auto& tag : only_here) {
        EXPECT_TRUE(std::ranges::any_of(holders(), [&](std::size_t index) {
            const auto tags = cluster_->peer(index).store->tags(block_.id);
            return std::ranges::find(tags, tag) != tags.end();
        })) << tag.generation;
    }
}

TEST_F(Damage, IsNoLossOnceItsOwnerGaveTheBlockUpWhileWeWereAway) {
    const auto victim = holders()[0];
    flip_bit_of_copy(victim);
    std::ignore = cluster_->machine(victim).run(cluster_->peer(victim).store->get(block_.id));
    ASSERT_EQ(lost_by(victim), 1U);
    cluster_->kill(victim);
    world_.run_for(5s);
    const auto from = (victim + 1) % cluster_->nodes.size();
    auto reclaim = owner_.reclaim(kGroup, 5, {block_.id});
    const auto removed =
        cluster_->machine(from).run(cluster_->node(from).remove(std::move(reclaim), cluster_->in(30s)));
    ASSERT_TRUE(*removed);
    world_.run_for(30s);  // the grace
    cluster_->restart(victim);
    world_.run_for(5s);
    EXPECT_TRUE(world_.run_until([&] { return lost_by(victim) == 0; }, 10min));
    EXPECT_FALSE(held_by(victim)) << "it came back";
}

// Many lost blocks, and who should have them hangs: one question's time a round, not one a block.
TEST_F(Damage, OfManyBlocksDoesNotHoldUpRepairWhereTheOtherHolderHangs) {
    constexpr std::uint64_t kLost = 40;
    const auto put_here = [&](std::uint64_t group, std::vector<Block> blocks) {
        auto& store = *cluster_->peer(0).store;
        ASSERT_TRUE(*cluster_->machine(0).run(store.put(group_of(group), owner_.tag(5), std::move(blocks))));
    };
    const auto place_where = [&](std::uint64_t first, auto is_wanted) {
        while (!is_wanted(cluster_->ring.nearest(group_of(first), 3))) ++first;
        return first;
    };
    const auto us = cluster_->handle(0);
    const auto other = place_where(2, [&](const auto& holders) { return holders[0] == us; });
    const auto hung = cluster_->ring.nearest(group_of(other), 5)[4];
    const auto lost = place_where(2, [&](const auto& holders) { return holders[0] == hung; });
    std::vector<Block> blocks;
    for (std::uint64_t number = 1001; number <= 1000 + kLost; ++number) blocks.push_back(make_block(number));
    put_here(lost, blocks);
    std::size_t index = 0;
    while (cluster_->handle(index) != hung) ++index;
    cluster_->machine(index).pause();
    auto& disk = cluster_->machine(0).disk();
    for (const auto& block : blocks) {
        for (const auto& name : disk.files()) {
            const auto bytes = *disk.contents(name);
            const auto found =
                std::search(bytes.begin(), bytes.end(), block.bytes.view().begin(), block.bytes.view().end());
            if (found != bytes.end()) disk.flip_bit(name, static_cast<std::uint64_t>(found - bytes.begin()), 3);
        }
        std::ignore = cluster_->machine(0).run(cluster_->peer(0).store->get(block.id));
    }
    ASSERT_EQ(lost_by(0), kLost);
    world_.run_for(20s);  // a round is under way
    put_here(other, {make_block(1)});
    EXPECT_TRUE(world_.run_until([&] { return cluster_->copies(1) == 3; }, 40s));
    EXPECT_EQ(lost_by(0), kLost);
}

}  // namespace
}  // namespace past::test
