#include "routing_table.hpp"

#include <gtest/gtest.h>

#include <map>

#include "ids.hpp"

namespace pastry {
namespace {

using namespace std::chrono_literals;
using testing::id;
using testing::Ids;
using testing::node;

TEST(RoutingTable, EveryEntryStandsWhereItsPrefixSays) {
    Ids ids{1};
    const auto self = ids.next();
    RoutingTable table{self, 2};
    for (const auto& other : ids.some(5000)) table.add(node(other), 1ms);
    std::size_t seen = 0;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        for (std::size_t column = 0; column < RoutingTable::kColumns; ++column) {
            for (const auto& entry : table.slot(row, column)) {
                ++seen;
                EXPECT_EQ(self.common_prefix(entry.node.id()), row);
                EXPECT_EQ(entry.node.id().digit(row), column);
            }
            EXPECT_LE(table.slot(row, column).size(), 3U);
        }
        EXPECT_TRUE(table.vacant(row, self.digit(row))) << "our own digit is one row down";
    }
    EXPECT_EQ(seen, table.entries());
}

TEST(RoutingTable, KeepsTheFastestAgainstBruteForceWithinTheHysteresis) {
    Ids ids{2};
    const auto self = ids.next();
    RoutingTable table{self, 2};
    std::map<std::pair<std::size_t, unsigned>, std::vector<base::Duration>> truth;
    for (const auto& other : ids.some(4000)) {
        const auto rtt = base::Duration{std::chrono::microseconds{100 + ids.below(100'000)}};
        table.add(node(other), rtt);
        const auto row = self.common_prefix(other);
        truth[{row, other.digit(row)}].push_back(rtt);
    }
    for (auto& [where, rtts] : truth) {
        std::ranges::sort(rtts);
        const auto slot = table.slot(where.first, where.second);
        ASSERT_EQ(slot.size(), std::min<std::size_t>(3, rtts.size()));
        EXPECT_LE(slot.front().rtt * 8, rtts.front() * 10) << "the first is within the hysteresis of the fastest";
    }
}

TEST(RoutingTable, ANearTieDoesNotFlapAndAClearWinnerGoesFirst) {
    RoutingTable table{id("65a1"), 1};
    table.add(node("d1"), 10ms);
    table.add(node("d2"), 9500us);
    EXPECT_EQ(table.slot(0, 0xD).front().node.id(), id("d1"));
    table.add(node("d2"), 5ms);
    EXPECT_EQ(table.slot(0, 0xD).front().node.id(), id("d2"));
    EXPECT_FALSE(table.add(node("d3"), 9500us)) << "does not beat the slowest clearly";
    EXPECT_TRUE(table.add(node("d4"), 1ms));
    EXPECT_EQ(table.slot(0, 0xD).size(), 2U);
    EXPECT_EQ(table.slot(0, 0xD).front().node.id(), id("d4"));
}

TEST(RoutingTable, ASpareTakesThePlaceOfALostFirst) {
    RoutingTable table{id("65a1"), 2};
    table.add(node("d1"), 1ms);
    table.add(node("d2"), 2ms);
    EXPECT_TRUE(table.remove(id("d1")));
    EXPECT_FALSE(table.remove(id("d1")));
    EXPECT_EQ(table.slot(0, 0xD).front().node.id(), id("d2"));
    EXPECT_TRUE(table.wants(id("d1")));
    EXPECT_FALSE(table.wants(id("d2")));
    EXPECT_EQ(table.entries(), 1U);
}

TEST(RoutingTable, NeverHoldsItsOwner) {
    RoutingTable table{id("65a1"), 2};
    EXPECT_FALSE(table.add(node("65a1"), 1ms));
    EXPECT_FALSE(table.wants(id("65a1")));
    EXPECT_FALSE(table.contains(id("65a1")));
    EXPECT_EQ(table.entries(), 0U);
}

}  // namespace
}  // namespace pastry
