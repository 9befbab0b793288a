// The order that keeps a tree of followers free of cycles.
//
// Whoever is a top raises its round, digest after digest; what is below takes the rank over, one deeper. Two rules:
// nobody's rank ever falls, and nobody is below one that does not rank higher. A child's rank was made from one that
// its parent had, so it stays below its parent's for ever: along a way of parents ranks rise, and no way comes back to
// where it began. This holds however late, often or out of order messages come, and whatever moves at the same time.
// (The feasibility condition of loop-free routing, Garcia-Luna-Aceves 1993, with rounds as in Babel, RFC 8966,
// section 2.4.)
#pragma once

#include <compare>
#include <cstdint>

#include "base/guid.hpp"

namespace tapestry {

struct Rank {
    std::uint64_t round = 0;  ///< 0: has no place yet
    base::NodeId top;
    std::uint32_t depth = 0;

    /// Of a child of one with this rank.
    [[nodiscard]] Rank below() const { return {round, top, depth + 1}; }
    /// In the tree of the same top as far as either knows.
    [[nodiscard]] bool same_tree(const Rank& other) const { return top == other.top; }

    friend bool operator==(const Rank&, const Rank&) = default;
    /// The greater ranks higher.
    friend std::strong_ordering operator<=>(const Rank& a, const Rank& b) {
        if (const auto order = a.round <=> b.round; order != 0) return order;
        if (const auto order = a.top <=> b.top; order != 0) return order;
        return b.depth <=> a.depth;
    }
};

}  // namespace tapestry
