// A ring whose tables are built from outside, by somebody who knows everybody: thousands of nodes without their joins.
//
// Include as "pastry/oracle.hpp" from any suite that links pastry.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "pastry/node.hpp"

namespace pastry::testing {

/// Makes `nodes` one ring, at once, as if they had joined and exchanged rows for long: perfect leaf sets, and in each
/// slot of a table the nearest of up to `samples` nodes that fit, with backups. `rtt(a, b)` by position in `nodes`.
inline void build_directly(const std::vector<Node*>& nodes,
                           const std::function<base::Duration(std::size_t, std::size_t)>& rtt,
                           std::size_t samples = 16) {
    struct Known {
        base::Guid id;
        std::size_t index;
    };
    std::vector<Known> sorted;
    sorted.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) sorted.push_back({nodes[i]->self().id(), i});
    std::ranges::sort(sorted, {}, &Known::id);
    const auto count = sorted.size();

    // The run of `sorted` whose ids share `digits` digits with `like`, the last of them replaced by `digit`.
    const auto range = [&](base::Guid like, std::size_t digits, unsigned digit) {
        auto low = like.bytes();
        auto high = like.bytes();
        for (std::size_t at = digits; at < base::Guid::kDigits; ++at) {
            const unsigned low_digit = at == digits ? digit : 0;
            const unsigned high_digit = at == digits ? digit : 15;
            const auto put = [&](base::Guid::Array& bytes, unsigned value) {
                auto& byte = bytes[at / 2];
                byte = static_cast<std::uint8_t>(at % 2 == 0 ? (byte & 0x0FU) | (value << 4U) : (byte & 0xF0U) | value);
            };
            put(low, low_digit);
            put(high, high_digit);
        }
        const auto begin = std::ranges::lower_bound(sorted, base::Guid{low}, {}, &Known::id);
        const auto end = std::ranges::upper_bound(sorted, base::Guid{high}, {}, &Known::id);
        return std::pair{begin - sorted.begin(), end - sorted.begin()};
    };

    for (std::size_t at = 0; at < count; ++at) {
        Node& node = *nodes[sorted[at].index];
        const auto per_side = node.config().leaf_set_per_side;
        const auto handle = [&](std::size_t place) { return nodes[sorted[place].index]->self(); };

        std::vector<NodeHandle> leaf_set;
        for (std::size_t step = 1; step <= std::min(per_side, count - 1); ++step) {
            leaf_set.push_back(handle((at + step) % count));
            leaf_set.push_back(handle((at + count - step) % count));
        }

        std::vector<Node::Neighbour> table;
        for (std::size_t row = 0; row < base::Guid::kDigits; ++row) {
            const auto own = range(sorted[at].id, row, sorted[at].id.digit(row));
            for (unsigned column = 0; column < 16; ++column) {
                if (column == sorted[at].id.digit(row)) continue;
                const auto [begin, end] = range(sorted[at].id, row, column);
                const auto there = end - begin;
                if (there <= 0) continue;
                const auto tried = std::min<std::ptrdiff_t>(there, static_cast<std::ptrdiff_t>(samples));
                std::vector<Node::Neighbour> found;
                for (std::ptrdiff_t i = 0; i < tried; ++i) {
                    // Spread over the run, beginning elsewhere for each node.
                    const auto place = begin + (i * there / tried + static_cast<std::ptrdiff_t>(at)) % there;
                    const auto& other = sorted[static_cast<std::size_t>(place)];
                    found.push_back({.node = nodes[other.index]->self(), .rtt = rtt(sorted[at].index, other.index)});
                }
                std::ranges::stable_sort(found, {}, &Node::Neighbour::rtt);
                const auto kept = std::min(found.size(), 1 + node.config().table_backups);
                table.insert(table.end(), found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept));
            }
            if (own.second - own.first <= 1) break;
        }
        node.adopt(leaf_set, table);
    }
}

}  // namespace pastry::testing
