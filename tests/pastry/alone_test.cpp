#include "pastry/alone.hpp"

#include <gtest/gtest.h>

#include "base/sim/world.hpp"
#include "ids.hpp"

namespace pastry {
namespace {

struct Inbox final : Application {
    void deliver(const base::Guid& key, const NodeHandle&, base::Message, unsigned hops) override {
        EXPECT_EQ(hops, 0U);
        keys.push_back(key);
    }
    std::vector<base::Guid> keys;
};

TEST(Alone, DeliversEverythingToItselfAfterRouteHasReturned) {
    base::sim::World world{1};
    Inbox inbox;
    Alone alone{world.env(), testing::node("65a1")};
    alone.attach(base::Service::past, &inbox);
    alone.route(testing::id("d4"), base::Message{base::Service::past, 1, {}});
    EXPECT_TRUE(inbox.keys.empty());
    world.settle();
    EXPECT_EQ(inbox.keys, std::vector{testing::id("d4")});
    EXPECT_TRUE(alone.active());
    ASSERT_EQ(alone.replica_set(testing::id("d4"), 3).size(), 1U);
    const auto found = world.run(alone.find_replica_set(testing::id("d4"), 3, world.now()));
    EXPECT_EQ(found->front().id(), testing::id("65a1"));
}

TEST(Alone, WhatIsUnderWayEndsWithIt) {
    base::sim::World world{1};
    Inbox inbox;
    {
        Alone alone{world.env(), testing::node("65a1")};
        alone.attach(base::Service::past, &inbox);
        alone.route(testing::id("d4"), base::Message{base::Service::past, 1, {}});
    }
    world.settle();
    EXPECT_TRUE(inbox.keys.empty());
}

}  // namespace
}  // namespace pastry
