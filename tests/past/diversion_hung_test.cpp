// Neighbours that hang: what that costs a holder that diverted copies to them, or wants to.
#include "diversion.hpp"

namespace past::test {
namespace {

ClusterOptions forgetful() {
    auto options = quick_options();
    options.peer.config.room_known_for = 2s;  // less than a call takes to time out
    return options;
}

class DiversionByTheForgetful : public Diversion {
  protected:
    DiversionByTheForgetful() : Diversion{forgetful()} {}
};

TEST_F(DiversionByTheForgetful, ANeighbourThatHangsDoesNotHideTheRoomOfOthers) {
    world_->network().cut(cluster_->nodes[full_], cluster_->nodes[nearest(*cluster_, 4)]);
    put_some();
}

TEST_F(Diversion, WhereNeighboursHangTheBlockStaysHereInTheTimeOfOneAttempt) {
    put_some();  // so it knows that they have room
    hang_all_but({});
    const auto before = world_->now();
    const auto stored = store_at_full(100, 1);
    EXPECT_TRUE(stored) << stored.error().message();
    EXPECT_LT(world_->now() - before, cluster_->options.peer.config.store_timeout);
    EXPECT_TRUE(cluster_->peer(full_).store->has(make_block(100).id));
}

TEST_F(Diversion, WhereSomeNeighboursHangOthersAreTried) {
    put_some();  // so it knows that they have room
    hang_all_but({nearest(*cluster_, 3), nearest(*cluster_, 5), nearest(*cluster_, 7)});
    const auto before = world_->now();
    const auto stored = store_at_full(100, 12);
    EXPECT_TRUE(stored) << stored.error().message();
    EXPECT_GT(world_->now() - before, 1s) << "some were sent to those that hang";
    EXPECT_LT(world_->now() - before, cluster_->options.peer.config.store_timeout);
    EXPECT_EQ(cluster_->node(full_).status().blocks_diverted, 22U);
}

TEST_F(Diversion, WhoDivertedACopyDoesNotWaitForAKeeperThatHangs) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    auto& full = cluster_->machine(full_);
    const auto block = make_block(1).id;
    const auto kept_by = cluster_->holders_of(1);
    for (const auto keeper : keepers()) {
        if (std::ranges::find(kept_by, keeper) != kept_by.end()) cluster_->machine(keeper).pause();
    }
    const auto begun = world_->now();
    EXPECT_TRUE(*full.run(cluster_->node(full_).get(kPlace, block, cluster_->in(30s))));
    EXPECT_LT(world_->now() - begun, 1s) << "another holder was asked";

    for (const auto holder : cluster_->holders_of(2)) cluster_->machine(holder).pause();
    const auto again = world_->now();
    const auto other = make_block(2).id;  // the first one is cached now
    const auto unreachable = *full.run(cluster_->node(full_).get(kPlace, other, cluster_->in(1s)));
    EXPECT_EQ(unreachable.error(), Errc::holders_unreachable);
    EXPECT_EQ(world_->now() - again, 1s);
}

}  // namespace
}  // namespace past::test
