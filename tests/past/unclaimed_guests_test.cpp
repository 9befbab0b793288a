// Guests that nobody points to, or no longer: when their keeper lets go of them.
#include "diversion_world.hpp"

namespace past::test {
namespace {

// The holder crashed before it had written its pointer; of other places it goes on asking.
TEST_F(Diversion, AGuestThatNobodyPointsToIsHandedOverThoughOthersAreClaimed) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto keeper = *keepers().begin();
    const auto block = make_block(77);
    const auto keeps = [&](std::uint64_t place) {
        const StoreRequest request{place_of(place), {test_tag()}, {block.id}, {1000}, Cause::diversion};
        return ask_as(*cluster_, full_, keeper, Verb::store, encode(request), block.bytes).has_value();
    };
    std::uint64_t place = 2;
    while (!keeps(place)) ++place;  // one that the keeper is no holder of
    EXPECT_FALSE(at_rest());
    numbers_.insert(77);
    EXPECT_TRUE(comes_to_rest());
}

TEST_F(Diversion, AKeeperThatWasAwayHearsLaterThatNothingIsLeft) {
    const Owner owner;
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kPlace, owner.tag(1), {make_block(50)}, Wait::full, cluster_->in(30s))));
    ASSERT_EQ(keepers().size(), 1U);
    const auto keeper = *keepers().begin();
    world_->run_for(10s);
    cluster_->power_off(keeper);
    ASSERT_TRUE(*machine.run(node.remove(owner.reclaim(kPlace, 1, {make_block(50).id}), cluster_->in(30s))));
    ASSERT_TRUE(world_->run_until([&] { return cluster_->node(full_).status().blocks_diverted == 0; }, 25s));
    world_->run_for(12s);  // a review at least
    cluster_->restart(keeper);
    world_->run_for(20s);  // far less than it would wait for whoever is silent
    EXPECT_TRUE(keepers().empty());
}

ClusterOptions patient() {
    auto options = quick_options();
    options.repair_after = 10min;  // what keepers do about silent holders comes much later
    options.peer.config.guest_forgiveness = 30s;
    return options;
}

class DiversionOfThePatient : public Diversion {
  protected:
    explicit DiversionOfThePatient(ClusterOptions options = patient()) : Diversion{std::move(options)} {}
};

TEST_F(DiversionOfThePatient, AKeeperThatForgaveFreesALittleLaterWhatNobodyPointsTo) {
    const Owner owner{.name = raw_name_digest()};  // at once
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kPlace, owner.tag(1), {make_block(50)}, Wait::full, cluster_->in(30s))));
    ASSERT_EQ(keepers().size(), 1U);
    const auto keeper = *keepers().begin();
    world_->run_for(10s);
    world_->network().cut(cluster_->nodes[full_], cluster_->nodes[keeper]);
    ASSERT_TRUE(*machine.run(node.remove(owner.reclaim(kPlace, 1, {make_block(50).id}), cluster_->in(30s))));
    world_->network().mend(cluster_->nodes[full_], cluster_->nodes[keeper]);
    ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 0U);
    world_->run_for(10s);  // a review at least
    EXPECT_EQ(keepers(), std::set{keeper}) << "its pointer may be on its way";
    EXPECT_TRUE(world_->run_until([&] { return keepers().empty(); }, 40s));
}

ClusterOptions patient_with_one_try() {
    auto options = patient();
    options.peer.config.divert_tries = 1;
    return options;
}

class DiversionThatFails : public DiversionOfThePatient {
  protected:
    DiversionThatFails() : DiversionOfThePatient{patient_with_one_try()} {}
};

TEST_F(DiversionThatFails, WhatSomeNeighboursTookOfItIsFree) {
    put_some();
    hang_all_but({nearest(*cluster_, 3), nearest(*cluster_, 5), nearest(*cluster_, 7)});
    std::uint64_t place = kPlaceNumber + 1;  // one of which nobody keeps anything for the full one
    while (cluster_->ring.nearest(place_of(place), 1)[0].id() != cluster_->handle(full_).id()) ++place;
    (void)store_at_full(100, 12, place_of(place));
    ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 10U) << "not all of it was diverted, so none";
    world_->network().heal();
    ASSERT_GT(cluster_->total().blocks_for_others, 10U);
    EXPECT_TRUE(world_->run_until([&] { return cluster_->total().blocks_for_others == 10; }, 1min));
    EXPECT_EQ(cluster_->node(full_).status().blocks_diverted, 10U);
}

// Who is refused leaves no mark: a stranger would keep a guest from being freed by asking again and again.
TEST_F(DiversionOfThePatient, WhatIsRefusedMakesNoGuestYoungAgain) {
    const auto keeper = nearest(*cluster_, 4);
    const auto block = make_block(77);
    const StoreRequest request{kPlace, {test_tag()}, {block.id}, {1000}, Cause::diversion};
    ASSERT_TRUE(ask_as(*cluster_, full_, keeper, Verb::store, encode(request), block.bytes));
    for (int i = 0; i < 5; ++i) {
        world_->run_for(8s);
        EXPECT_EQ(ask_as(*cluster_, reader(), keeper, Verb::store, encode(request), block.bytes).error(),
                  base::Errc::denied);
    }
    base::Guid::Array ones;
    ones.fill(0xFF);
    ASSERT_TRUE(ask_as(*cluster_, full_, keeper, Verb::claim, encode(ClaimRequest{kPlace, {}, base::Guid{ones}, {}})));
    EXPECT_EQ(cluster_->node(keeper).status().blocks_for_others, 0U);
}

}  // namespace
}  // namespace past::test
