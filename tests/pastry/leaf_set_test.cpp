#include "leaf_set.hpp"

#include <gtest/gtest.h>

#include "ids.hpp"

namespace pastry {
namespace {

using testing::id;
using testing::Ids;
using testing::nearest;
using testing::node;

std::vector<base::Guid> ids_of(std::span<const NodeHandle> nodes) {
    std::vector<base::Guid> out;
    for (const auto& each : nodes) out.push_back(each.id());
    return out;
}

std::vector<base::Guid> walk_round(std::vector<base::Guid> others, const base::Guid& self, Side side,
                                   std::size_t count) {
    std::ranges::sort(others, {}, [&](const auto& other) {
        return side == Side::clockwise ? base::clockwise_distance(self, other) : base::clockwise_distance(other, self);
    });
    others.resize(std::min(count, others.size()));
    return others;
}

LeafSet filled(const base::Guid& self, const std::vector<base::Guid>& others, std::size_t per_side) {
    LeafSet set{node(self), per_side};
    for (const auto& other : others) set.add(node(other));
    set.set_converged();
    return set;
}

TEST(LeafSet, ANodeAloneIsTheRootOfEveryKey) {
    const LeafSet set = filled(id("65a1fc"), {}, 4);
    EXPECT_TRUE(set.wraps());
    EXPECT_EQ(set.root(id("d46a1c"))->id(), id("65a1fc"));
    EXPECT_EQ(set.closest(id("0"), 3).size(), 1U);
}

TEST(LeafSet, UntilItHasConvergedItAnswersNothing) {
    LeafSet set{node("65a1fc"), 4};
    set.add(node("65a200"));
    EXPECT_EQ(set.root(id("65a1ff")), nullptr);
    EXPECT_TRUE(set.closest(id("65a1ff"), 1).empty());
}

TEST(LeafSet, WhoeverIsRemovedIsOnNeitherSide) {
    Ids ids{3};
    for (const std::size_t count : {5U, 40U}) {  // on both sides, or on one
        const auto self = ids.next();
        LeafSet set = filled(self, ids.some(count), 8);
        for (const auto side : {Side::counter_clockwise, Side::clockwise}) {
            for (const auto& gone : ids_of(set.side(side))) {
                set.remove(gone);
                for (const auto other : {Side::counter_clockwise, Side::clockwise}) {
                    const auto left = ids_of(set.side(other));
                    EXPECT_EQ(std::ranges::count(left, gone), 0) << count;
                }
            }
        }
    }
}

TEST(LeafSet, HoldsTheNearestOfEachSideWhateverTheOrder) {
    Ids ids{1};
    for (const std::size_t count : {1U, 3U, 7U, 8U, 9U, 15U, 16U, 17U, 18U, 40U, 200U}) {
        const auto self = ids.next();
        auto others = ids.some(count);
        ids.shuffle(others);
        const LeafSet set = filled(self, others, 8);
        EXPECT_EQ(ids_of(set.side(Side::clockwise)), walk_round(others, self, Side::clockwise, 8)) << count;
        EXPECT_EQ(ids_of(set.side(Side::counter_clockwise)), walk_round(others, self, Side::counter_clockwise, 8));
        EXPECT_EQ(set.wraps(), count < 16) << count;
    }
}

TEST(LeafSet, WhateverItAnswersIsTrueOfTheWholeRing) {
    Ids ids{2};
    for (const std::size_t count : {1U, 5U, 15U, 16U, 17U, 30U, 300U}) {
        const auto self = ids.next();
        const auto others = ids.some(count);
        auto all = others;
        all.push_back(self);
        const LeafSet set = filled(self, others, 8);
        std::size_t answered = 0;
        for (int i = 0; i < 500; ++i) {
            // Half of the keys near ourselves, where most answers are.
            auto bytes = ids.next().bytes();
            if (i % 2 == 0) std::copy_n(self.bytes().begin(), count > 100 ? 1 : 0, bytes.begin());
            const base::Guid key{bytes};
            const auto truth = nearest(all, key);
            const NodeHandle* root = set.root(key);
            ASSERT_EQ(root != nullptr, set.covers(key));
            if (root == nullptr) continue;
            ++answered;
            EXPECT_EQ(root->id(), truth.front());
            const auto wanted = 1 + ids.below(6);
            const auto closest = ids_of(set.closest(key, wanted));
            if (closest.empty()) continue;
            EXPECT_EQ(closest, std::vector(truth.begin(), truth.begin() + std::min(wanted, truth.size())));
        }
        EXPECT_GT(answered, 0U) << count;
    }
}

TEST(LeafSet, AtItsOwnKeyItAlwaysKnowsAsManyAsASideHolds) {
    Ids ids{3};
    const auto self = ids.next();
    const LeafSet set = filled(self, ids.some(500), 16);
    EXPECT_EQ(set.closest(self, 16).size(), 16U);
}

TEST(LeafSet, AfterFailuresItAnswersExactlyOrNotAtAll) {
    Ids ids{4};
    for (int round = 0; round < 200; ++round) {
        const auto self = ids.next();
        auto others = ids.some(10 + ids.below(60));
        LeafSet set = filled(self, others, 8);
        ids.shuffle(others);
        const auto dead = 1 + ids.below(others.size() - 1);
        for (std::size_t i = 0; i < dead; ++i) set.remove(others[i]);
        others.erase(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(dead));
        auto all = others;
        all.push_back(self);
        for (int i = 0; i < 100; ++i) {
            const auto key = ids.next();
            const auto truth = nearest(all, key);
            const NodeHandle* root = set.root(key);
            if (root != nullptr) {
                EXPECT_EQ(root->id(), truth.front());
            }
            const auto closest = ids_of(set.closest(key, 3));
            if (closest.empty()) continue;
            EXPECT_EQ(closest,
                      std::vector(truth.begin(), truth.begin() + std::min<std::ptrdiff_t>(
                                                                     3, static_cast<std::ptrdiff_t>(truth.size()))));
        }
        // Somebody tells us of everybody: whole again.
        ids.shuffle(others);
        for (const auto& other : others) set.add(node(other));
        set.set_converged();
        EXPECT_EQ(ids_of(set.side(Side::clockwise)), walk_round(others, self, Side::clockwise, 8));
        EXPECT_EQ(ids_of(set.side(Side::counter_clockwise)), walk_round(others, self, Side::counter_clockwise, 8));
    }
}

TEST(LeafSet, WouldAddSaysWhatAddDoes) {
    Ids ids{5};
    LeafSet set{node(ids.next()), 4};
    for (int i = 0; i < 300; ++i) {
        const auto other = ids.next();
        const bool would = set.would_add(other);
        EXPECT_EQ(set.add(node(other)), would);
        EXPECT_FALSE(set.add(node(other)));
        if (i % 3 == 0) set.remove(other);
    }
}

TEST(LeafSet, CandidatesAlreadyAskedCountAgainstFurtherOnes) {
    LeafSet set{node("5000"), 1};
    EXPECT_TRUE(set.would_add(id("6000")));
    const std::vector hoped{id("5800"), id("4800")};
    EXPECT_FALSE(set.would_add(id("6000"), hoped));
    EXPECT_TRUE(set.would_add(id("5400"), hoped));
}

TEST(LeafSet, TheGuideOfAShortSideIsTheLastWhoseNeighboursWeDoNotKnow) {
    LeafSet set = filled(id("5000"), {id("5100"), id("5200"), id("5300"), id("4f00"), id("4e00"), id("4d00")}, 3);
    ASSERT_FALSE(set.wraps());
    set.remove(id("5300"));
    EXPECT_FALSE(set.converged());
    EXPECT_TRUE(set.converged(Side::counter_clockwise));
    EXPECT_EQ(set.last_certain(Side::clockwise)->id(), id("5200"));
    set.add(
        node("9000"));  // beyond what we knew: of no use as a guide, and not a reason to believe the ring ends there
    EXPECT_EQ(set.last_certain(Side::clockwise)->id(), id("5200"));
    EXPECT_EQ(set.root(id("8000")), nullptr);
    EXPECT_EQ(set.root(id("5110"))->id(), id("5100"));
}

}  // namespace
}  // namespace pastry
