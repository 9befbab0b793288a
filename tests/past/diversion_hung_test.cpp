// Neighbours that hang: what that costs a holder that diverted copies to them, or wants to.
#include "diversion_world.hpp"

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

TEST_F(Diversion, ADiversionHostThatHangsHoldsUpNoTouchOfWhatOthersKeep) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    ASSERT_GT(diversion_hosts().size(), 2U);
    auto hung = diversion_hosts();
    const auto answers = *hung.begin();
    hung.erase(answers);
    for (const auto diversion_host : hung)
        world_->network().cut(cluster_->nodes[full_], cluster_->nodes[diversion_host]);
    TouchRequest touch{kGroup, test_tag(), {}};
    base::Bytes expected;
    for (const auto number : numbers_) {
        touch.ids.push_back(make_block(number).id);
        expected.push_back(cluster_->peer(answers).store->has(make_block(number).id) ? 1 : 0);
    }
    const auto before = world_->now();
    const auto held = ask_as(*cluster_, nearest(*cluster_, 1), full_, Verb::touch, encode(touch));
    EXPECT_LT(world_->now() - before, cluster_->options.peer.config.call_timeout) << "a client waits so long";
    ASSERT_TRUE(held) << held.error().message();
    EXPECT_EQ(decode<BitsReply>(held->header)->bits, expected);
}

TEST_F(Diversion, DiversionHostsThatHangHoldUpNoReclaim) {
    const Owner owner{.name = raw_name_digest()};  // at once
    std::vector<Block> blocks;
    std::vector<base::Guid> ids;
    for (std::uint64_t number = 1; number <= 12; ++number) {
        blocks.push_back(make_block(number));
        ids.push_back(blocks.back().id);
    }
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kGroup, owner.tag(1), std::move(blocks), Wait::full, cluster_->in(30s))));
    ASSERT_GT(diversion_hosts().size(), 2U);
    for (const auto diversion_host : diversion_hosts())
        world_->network().cut(cluster_->nodes[full_], cluster_->nodes[diversion_host]);
    auto reclaim = owner.reclaim(kGroup, 1, ids);
    const auto before = world_->now();
    EXPECT_TRUE(ask_as(*cluster_, nearest(*cluster_, 1), full_, Verb::remove, encode(reclaim)));
    EXPECT_LT(world_->now() - before, cluster_->options.peer.config.call_timeout);
    EXPECT_EQ(cluster_->node(full_).status().blocks_diverted, 0U);
}

TEST_F(Diversion, WhoDivertedACopyDoesNotWaitForADiversionHostThatHangs) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    auto& full = cluster_->machine(full_);
    const auto block = make_block(1).id;
    const auto kept_by = cluster_->holders_of(1);
    for (const auto diversion_host : diversion_hosts()) {
        if (std::ranges::find(kept_by, diversion_host) != kept_by.end()) cluster_->machine(diversion_host).pause();
    }
    const auto begun = world_->now();
    EXPECT_TRUE(*full.run(cluster_->node(full_).get(kGroup, block, cluster_->in(30s))));
    EXPECT_LT(world_->now() - begun, 1s) << "another holder was asked";

    for (const auto holder : cluster_->holders_of(2)) cluster_->machine(holder).pause();
    const auto again = world_->now();
    const auto other = make_block(2).id;  // the first one is cached now
    const auto unreachable = *full.run(cluster_->node(full_).get(kGroup, other, cluster_->in(1s)));
    EXPECT_EQ(unreachable.error(), Errc::holders_unreachable);
    EXPECT_EQ(world_->now() - again, 1s);
}

// Its list is in memory, so it answers reviews well; what it is asked for does not come.
TEST_F(Diversion, ADiversionHostWhoseDiskHangsIsAsGoodAsAway) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    const auto is_whole_without_it = [&](std::uint64_t number) {
        const auto holders = cluster_->holders_of(number);
        return holders.size() - static_cast<std::size_t>(std::ranges::count(holders, diversion_host)) == 3;
    };
    ASSERT_FALSE(std::ranges::all_of(numbers_, is_whole_without_it));
    cluster_->machine(diversion_host).disk().set_speed(1h, 1h, 0);
    const auto before = world_->now();
    EXPECT_TRUE(world_->run_until([&] { return std::ranges::all_of(numbers_, is_whole_without_it); }, 10min));
    EXPECT_GT(world_->now() - before, cluster_->options.repair_after) << "it may come back";
}

}  // namespace
}  // namespace past::test
