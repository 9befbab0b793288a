// Guests that nobody points to, or no longer: when their keeper lets go of them.
#include "diversion.hpp"

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

}  // namespace
}  // namespace past::test
