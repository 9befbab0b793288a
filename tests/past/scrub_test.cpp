// Damage is found before somebody needs the block.
#include "base/error.hpp"
#include "cluster.hpp"
#include "owner.hpp"

namespace past::test {
namespace {

class Scrubbing : public ::testing::Test {
  protected:
    Scrubbing() {
        options_.peer.config.scrub_period = 24h;
        cluster_.emplace(world_, options_);
        for (std::uint64_t i = 0; i < kBlocks; ++i) {
            const auto block = make_block(i, 30'000);
            ids_.push_back(block.id);
            const auto done = cluster_->machine(0).run(cluster_->node(0).put(
                group_of(i % 7), owner_.tag(5), std::vector{block}, Wait::full, cluster_->in(30s)));
            EXPECT_TRUE(*done);
        }
    }
    /// Somewhere in what was stored.
    void flip_bits(std::size_t peer, std::uint64_t bits) {
        auto& disk = cluster_->machine(peer).disk();
        for (const auto& name : disk.files()) {
            if (!name.ends_with(".seg")) continue;
            for (std::uint64_t i = 0; i < bits; ++i) disk.flip_bit(name, 100'000 + i * 90'000, 3);
        }
    }
    std::uint64_t damaged() {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) sum += cluster_->node(i).status().scrub_damaged;
        return sum;
    }
    bool all_ended(std::uint64_t rounds_since_ns) {
        for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
            if (cluster_->node(i).status().scrub_ended_ns <= static_cast<std::int64_t>(rounds_since_ns)) return false;
        }
        return true;
    }
    std::uint64_t wall() { return static_cast<std::uint64_t>(cluster_->machine(0).env().clock.wall_ns()); }

    static constexpr std::uint64_t kBlocks = 60;
    const Owner owner_;
    std::vector<base::Guid> ids_;
    sim::World world_{11};
    ClusterOptions options_;
    std::optional<Cluster> cluster_;
};

TEST_F(Scrubbing, WithinThePeriodDamageIsFoundAndAGoodCopyTakesItsPlaceThoughNobodyReadIt) {
    flip_bits(1, 5);
    const auto began = wall();
    ASSERT_TRUE(world_.run_until([&] { return all_ended(began); }, 24h));
    EXPECT_EQ(damaged(), 5U);
    EXPECT_TRUE(world_.run_until([&] { return cluster_->total().blocks_lost == 0; }, 30min));
    std::uint64_t copies = 0;
    for (std::size_t i = 0; i < cluster_->nodes.size(); ++i) {
        for (const auto& id : ids_) copies += cluster_->peer(i).store->has(id) ? 1 : 0;
    }
    EXPECT_EQ(copies, 3 * kBlocks);
    flip_bits(2, 1);
    const auto again = wall();
    ASSERT_TRUE(world_.run_until([&] { return all_ended(again); }, 49h)) << "round after round";
    EXPECT_EQ(damaged(), 1U) << "of that round";
}

TEST_F(Scrubbing, GoesOnWhereItWasAfterARestart) {
    ASSERT_TRUE(world_.run_until([&] { return cluster_->node(1).status().scrub_blocks > 0; }, 3h));
    world_.run_for(11min);
    cluster_->kill(1);
    cluster_->restart(1);
    world_.run_for(1min);
    EXPECT_GT(cluster_->node(1).status().scrub_blocks, 1U);
}

TEST_F(Scrubbing, CanBeSwitchedOff) {
    ClusterOptions options;
    options.peer.config.scrub_period = 0ms;
    sim::World world{12};
    Cluster cluster{world, options};
    ASSERT_TRUE(*cluster.machine(0).run(
        cluster.node(0).put(group_of(1), owner_.tag(5), std::vector{make_block(1)}, Wait::full, cluster.in(30s))));
    world.run_for(48h);
    EXPECT_EQ(cluster.total().scrub_blocks, 0U);
    EXPECT_EQ(cluster.node(0).status().scrub_ended_ns, 0);
}

}  // namespace
}  // namespace past::test
