// The figures of Coulouris, Dollimore, Kindberg and Blair, 5th edition, chapter 10.
#include <gtest/gtest.h>

#include <map>

#include "ids.hpp"
#include "router.hpp"

namespace pastry {
namespace {

using namespace std::chrono_literals;
using testing::id;
using testing::Ids;
using testing::node;

struct Ring {
    std::map<base::Guid, Router> nodes;

    /// Everybody knows everybody that its tables have room for; `rtt` says how far a node is (from anywhere).
    Ring(
        const std::vector<base::Guid>& ids, std::size_t per_side, bool with_tables,
        const std::function<base::Duration(const base::Guid&)>& rtt = [](const auto&) { return 1ms; }) {
        Config config;
        config.leaf_set_per_side = per_side;
        for (const auto& self : ids) {
            auto [place, fresh] = nodes.emplace(self, Router{node(self), config, 1});
            std::vector<NodeHandle> others;
            std::vector<RoutingTable::Entry> table;
            for (const auto& other : ids) {
                if (other == self) continue;
                others.push_back(node(other));
                if (with_tables) table.push_back({.node = node(other), .rtt = rtt(other)});
            }
            place->second.adopt(base::TimePoint{}, others, table);
        }
    }

    /// The ids that a message crosses, its root last.
    std::vector<base::Guid> route(const base::Guid& from, const base::Guid& key) {
        std::vector<base::Guid> way{from};
        for (;;) {
            const auto step = nodes.at(way.back()).next_hop(key);
            if (step.kind != Router::Step::Kind::send || way.size() > nodes.size()) return way;
            way.push_back(step.next->id());
        }
    }
};

// "Circular routing alone is correct but inefficient": Figure 10.6, leaf sets of 8 (l = 4).
TEST(Textbook, Figure10_6LeafSetsAloneRoute65A1FCToD46A1C) {
    std::vector<base::Guid> ids{id("65a1fc"), id("d46a1c"), id("d467c4"), id("d471f1"), id("d13da3")};
    for (unsigned i = 0; i < 64; ++i) {
        base::Guid::Array bytes{};
        bytes[0] = static_cast<std::uint8_t>(4 * i + 1);
        ids.emplace_back(bytes);
    }
    Ring ring{ids, 4, false};

    const auto way = ring.route(id("65a1fc"), id("d46a1c"));

    EXPECT_EQ(way.back(), id("d46a1c"));
    // Linear: four nodes nearer with each hop.
    std::ranges::sort(ids);
    const auto apart = std::ranges::find(ids, id("d46a1c")) - std::ranges::find(ids, id("65a1fc"));
    EXPECT_EQ(static_cast<std::ptrdiff_t>(way.size()) - 1, (apart + 3) / 4);
    for (std::size_t hop = 1; hop < way.size(); ++hop) {
        EXPECT_TRUE(ring.nodes.at(way[hop - 1]).leaves().contains(way[hop]));
        EXPECT_TRUE(base::closer(id("d46a1c"), way[hop], way[hop - 1]));
    }
}

// Figure 10.7: row p holds nodes that share p digits with 65A1, column i those whose next digit is i.
TEST(Textbook, Figure10_7TheFirstFourRowsOfTheTableOfANode65A1) {
    Ids ids{7};
    const auto self = id("65a1fc");
    RoutingTable table{self, 2};
    const auto add_with_prefix = [&](std::string_view prefix) {
        auto bytes = ids.next().bytes();
        const auto start = id(prefix).bytes();
        for (std::size_t digit = 0; digit < prefix.size(); ++digit) {
            const std::uint8_t mask = digit % 2 == 0 ? 0xF0 : 0x0F;
            bytes[digit / 2] = static_cast<std::uint8_t>((bytes[digit / 2] & ~mask) | (start[digit / 2] & mask));
        }
        table.add(node(base::Guid{bytes}), 1ms);
    };
    const std::string own = "65a1";
    for (std::size_t row = 0; row < own.size(); ++row) {
        for (const char digit : std::string{"0123456789abcdef"}) add_with_prefix(own.substr(0, row) + digit);
    }
    for (std::size_t row = 0; row < 4; ++row) {
        for (unsigned column = 0; column < 16; ++column) {
            const bool greyed = column == self.digit(row);
            ASSERT_EQ(table.vacant(row, column), greyed) << row << " " << column;
            if (greyed) continue;
            const auto& entry = table.slot(row, column).front().node.id();
            EXPECT_EQ(entry.short_hex(row), own.substr(0, row));
            EXPECT_EQ(entry.digit(row), column);
        }
    }
}

// Figure 10.8: with full tables, a digit more is right with each hop.
TEST(Textbook, Figure10_8RoutesThroughD13DA3D4213FD462BA) {
    const std::vector<base::Guid> ids{id("65a1fc"), id("d13da3"), id("d4213f"), id("d462ba"),
                                      id("d46a1c"), id("d467c4"), id("d471f1")};
    const std::map<base::Guid, base::Duration> near{{id("d13da3"), 5ms}, {id("d4213f"), 6ms}, {id("d462ba"), 7ms}};
    Ring ring{ids, 1, true, [&](const auto& other) { return near.contains(other) ? near.at(other) : 50ms; }};

    const auto way = ring.route(id("65a1fc"), id("d46a1c"));

    EXPECT_EQ(way, (std::vector{id("65a1fc"), id("d13da3"), id("d4213f"), id("d462ba"), id("d46a1c")}));
    // D467C4 and D471F1 are alive too; a key between them and the target goes to whom it is nearest.
    EXPECT_EQ(ring.route(id("65a1fc"), id("d467c5")).back(), id("d467c4"));
    EXPECT_EQ(ring.route(id("65a1fc"), id("d471f0")).back(), id("d471f1"));
}

Router with(std::string_view self, const std::vector<std::string_view>& leaves,
            const std::vector<std::string_view>& table) {
    Config config;
    config.leaf_set_per_side = 1;
    Router router{node(self), config, 1};
    std::vector<NodeHandle> leaf_set;
    for (const auto& each : leaves) leaf_set.push_back(node(each));
    std::vector<RoutingTable::Entry> entries;
    for (const auto& each : table) entries.push_back({.node = node(each), .rtt = 1ms});
    router.adopt(base::TimePoint{}, leaf_set, entries);
    return router;
}

TEST(Textbook, Figure10_9Lines1And2WithinTheLeafSetTheNearestLeafOrWeOurselves) {
    auto router = with("65a1", {"65a0", "65a9"}, {"d1"});
    EXPECT_EQ(router.next_hop(id("65a8")).next->id(), id("65a9"));
    EXPECT_TRUE(router.next_hop(id("65a8")).to_root);
    EXPECT_EQ(router.next_hop(id("65a2")).kind, Router::Step::Kind::deliver);
}

TEST(Textbook, Figure10_9Lines4And5BeyondItTheTableEntryWithOneDigitMore) {
    auto router = with("65a1", {"65a0", "65a9"}, {"d1", "651", "6c"});
    EXPECT_EQ(router.next_hop(id("d46a1c")).next->id(), id("d1"));
    EXPECT_EQ(router.next_hop(id("6512")).next->id(), id("651"));
    EXPECT_EQ(router.next_hop(id("6c99")).next->id(), id("6c"));
}

// Printed is "a common prefix of length i"; it must be "of length >= p" (Table 1 of the Pastry paper: shl(T, D) >= l).
TEST(Textbook, Figure10_9Line7WithAnEmptySlotAnyNodeOfPrefixAtLeastPThatIsNearer) {
    auto router = with("6f10", {"6f0f", "6f11"}, {"70", "6f90"});
    // p = 2, and the slot for 6ff is empty. 70.. is nearer still, but shares fewer digits: never a step back.
    const auto step = router.next_hop(id("6ff0"));
    ASSERT_EQ(step.kind, Router::Step::Kind::send);
    EXPECT_EQ(step.next->id(), id("6f90"));
    // A longer prefix than p is welcome: 6f9c shares three digits with 6f91, p is 2.
    auto longer = with("6f10", {"6f0f", "6f11"}, {"6f9c"});
    EXPECT_EQ(longer.next_hop(id("6f91")).next->id(), id("6f9c"));
    // With an empty table a leaf is always a step nearer.
    auto leaves_only = with("6f10", {"6f0f", "6f11"}, {"70"});
    EXPECT_EQ(leaves_only.next_hop(id("6ff0")).next->id(), id("6f11"));
}

}  // namespace
}  // namespace pastry
