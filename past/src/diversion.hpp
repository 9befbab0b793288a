// When a node may take a copy, and who takes one that another has no room for: PAST's rules, as a pure function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/guid.hpp"

namespace past {

struct DiversionThresholds {
    double primary = 0.1;    ///< t_pri
    double diverted = 0.05;  ///< t_div
};
[[nodiscard]] inline bool accepts_primary(std::uint64_t size, std::uint64_t free, const DiversionThresholds& t) {
    return static_cast<double>(size) <= t.primary * static_cast<double>(free);
}
[[nodiscard]] inline bool accepts_diverted(std::uint64_t size, std::uint64_t free, const DiversionThresholds& t) {
    return static_cast<double>(size) <= t.diverted * static_cast<double>(free);
}
struct DiversionCandidate {
    base::NodeId node;
    std::uint64_t free_bytes = 0;
    std::string failure_domain;
};
[[nodiscard]] inline std::optional<base::NodeId> choose_target(const std::vector<DiversionCandidate>& candidates,
                                                               std::uint64_t size, const DiversionThresholds& t) {
    const auto best = std::ranges::max_element(candidates, [](const auto& a, const auto& b) {
        return a.free_bytes != b.free_bytes ? a.free_bytes < b.free_bytes : a.node > b.node;
    });
    if (best == candidates.end() || !accepts_diverted(size, best->free_bytes, t)) return std::nullopt;
    return best->node;
}

}  // namespace past
