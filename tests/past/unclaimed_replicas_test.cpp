// Diverted replicas that nobody points to, or no longer: when their diversion host lets go of them.
#include "diversion_world.hpp"

namespace past::test {
namespace {

// The holder crashed before it had written its pointer; of other places it goes on asking.
TEST_F(Diversion, ADivertedReplicaThatNobodyPointsToIsHandedOverThoughOthersAreClaimed) {
    put_some();
    ASSERT_TRUE(comes_to_rest());
    const auto diversion_host = *diversion_hosts().begin();
    const auto block = make_block(77);
    const auto keeps = [&](std::uint64_t group) {
        const StoreRequest request{group_of(group), {test_tag()}, {block.id}, {1000}, Cause::diversion};
        return ask_as(*cluster_, full_, diversion_host, Verb::store, encode(request), block.bytes).has_value();
    };
    std::uint64_t group = 2;
    while (!keeps(group)) ++group;  // one that the diversion host is no holder of
    EXPECT_FALSE(at_rest());
    numbers_.insert(77);
    EXPECT_TRUE(comes_to_rest());
}

TEST_F(Diversion, ADiversionHostThatWasAwayHearsLaterThatNothingIsLeft) {
    const Owner owner;
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kGroup, owner.tag(1), {make_block(50)}, Wait::full, cluster_->in(30s))));
    ASSERT_EQ(diversion_hosts().size(), 1U);
    const auto diversion_host = *diversion_hosts().begin();
    world_->run_for(10s);
    cluster_->power_off(diversion_host);
    ASSERT_TRUE(*machine.run(node.remove(owner.reclaim(kGroup, 1, {make_block(50).id}), cluster_->in(30s))));
    ASSERT_TRUE(world_->run_until([&] { return cluster_->node(full_).status().blocks_diverted == 0; }, 25s));
    world_->run_for(12s);  // a review at least
    cluster_->restart(diversion_host);
    world_->run_for(20s);  // far less than it would wait for whoever is silent
    EXPECT_TRUE(diversion_hosts().empty());
}

ClusterOptions patient() {
    auto options = quick_options();
    options.repair_after = 10min;  // what diversion hosts do about silent holders comes much later
    options.peer.config.diverted_forgiveness = 30s;
    return options;
}

class DiversionOfThePatient : public Diversion {
  protected:
    explicit DiversionOfThePatient(ClusterOptions options = patient()) : Diversion{std::move(options)} {}
};

TEST_F(DiversionOfThePatient, ADiversionHostThatForgaveFreesALittleLaterWhatNobodyPointsTo) {
    const Owner owner{.name = raw_name_digest()};  // at once
    auto& machine = cluster_->machine(reader());
    auto& node = cluster_->node(reader());
    ASSERT_TRUE(*machine.run(node.put(kGroup, owner.tag(1), {make_block(50)}, Wait::full, cluster_->in(30s))));
    ASSERT_EQ(diversion_hosts().size(), 1U);
    const auto diversion_host = *diversion_hosts().begin();
    world_->run_for(10s);
    world_->network().cut(cluster_->nodes[full_], cluster_->nodes[diversion_host]);
    ASSERT_TRUE(*machine.run(node.remove(owner.reclaim(kGroup, 1, {make_block(50).id}), cluster_->in(30s))));
    world_->network().mend(cluster_->nodes[full_], cluster_->nodes[diversion_host]);
    ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 0U);
    world_->run_for(10s);  // a review at least
    EXPECT_EQ(diversion_hosts(), std::set{diversion_host}) << "its pointer may be on its way";
    EXPECT_TRUE(world_->run_until([&] { return diversion_hosts().empty(); }, 40s));
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
    std::uint64_t group = kGroupNumber + 1;  // one of which nobody keeps anything for the full one
    while (cluster_->ring.nearest(group_of(group), 1)[0].id() != cluster_->handle(full_).id()) ++group;
    (void)store_at_full(100, 12, group_of(group));
    ASSERT_EQ(cluster_->node(full_).status().blocks_diverted, 10U) << "not all of it was diverted, so none";
    world_->network().heal();
    ASSERT_GT(cluster_->total().blocks_for_others, 10U);
    EXPECT_TRUE(world_->run_until([&] { return cluster_->total().blocks_for_others == 10; }, 1min));
    EXPECT_EQ(cluster_->node(full_).status().blocks_diverted, 10U);
}

// Who is refused leaves no mark: a stranger would keep a diverted replica from being freed by asking again and again.
TEST_F(DiversionOfThePatient, WhatIsRefusedMakesNoDivertedReplicaYoungAgain) {
    const auto diversion_host = nearest(*cluster_, 4);
    const auto block = make_block(77);
    const StoreRequest request{kGroup, {test_tag()}, {block.id}, {1000}, Cause::diversion};
    ASSERT_TRUE(ask_as(*cluster_, full_, diversion_host, Verb::store, encode(request), block.bytes));
    for (int i = 0; i < 5; ++i) {
        world_->run_for(8s);
        EXPECT_EQ(ask_as(*cluster_, reader(), diversion_host, Verb::store, encode(request), block.bytes).error(),
                  base::Errc::denied);
    }
    base::Guid::Array ones;
    ones.fill(0xFF);
    ASSERT_TRUE(
        ask_as(*cluster_, full_, diversion_host, Verb::claim, encode(ClaimRequest{kGroup, {}, base::Guid{ones}, {}})));
    EXPECT_EQ(cluster_->node(diversion_host).status().blocks_for_others, 0U);
}

}  // namespace
}  // namespace past::test
