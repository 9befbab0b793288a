// When a node may take a copy, and who takes one that another has no room for: PAST's rules for diverting replicas.
//
// Paper: Rowstron & Druschel, SOSP 2001, section 3.3. Large blocks leave a node long before small ones do, so that what
// room is left goes to many small ones; and whoever is nearly full takes nothing for others. What a store does with an
// answer, and what the rules are worth: docs/decisions/diversion.md. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guid.hpp"

namespace past {

/// Shares of a node's free bytes that a new block may take; 1: whatever fits, 0 or less: nothing but empty blocks.
struct DiversionThresholds {
    double primary = 0.1;    ///< t_pri: of a block that belongs to the node
    double diverted = 0.05;  ///< t_div: of one that it takes for a neighbour. At most `primary`: a neighbour must have
                             ///< more room than the one that diverts
};

/// Where nothing else is left.
constexpr DiversionThresholds kWhateverFits{1.0, 1.0};

/// Whether a holder with `free` bytes keeps a new block of `size` bytes itself. Never what does not fit.
[[nodiscard]] bool accepts_primary(std::uint64_t size, std::uint64_t free, const DiversionThresholds& thresholds);
/// The same for a block that a neighbour diverts to it.
[[nodiscard]] bool accepts_diverted(std::uint64_t size, std::uint64_t free, const DiversionThresholds& thresholds);

/// A neighbour of the holder that diverts. Whoever has a copy already, its own or diverted, is none.
struct DiversionCandidate {
    base::NodeId node;
    std::uint64_t free_bytes = 0;
    std::string failure_domain;  ///< empty: one of its own
};

/// Who takes a block of `size` bytes: of those that accept it the one with the most room (of equals the smallest id),
/// but first of all one whose failure domain is none of `domains`, those of the other copies. Nullopt: nobody accepts
/// it.
[[nodiscard]] std::optional<base::NodeId> choose_target(const std::vector<DiversionCandidate>& candidates,
                                                        std::uint64_t size, const DiversionThresholds& thresholds,
                                                        const std::set<std::string>& domains = {});

}  // namespace past
