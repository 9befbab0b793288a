// Which nodes keep a group: a pure function of who is near it.
#pragma once

#include <vector>

#include "past/messages.hpp"
#include "pastry/kbr.hpp"

namespace past {

struct HolderSet {
    /// The placement set: the n nearest of the live and the recently absent, of distinct failure domains as far as
    /// there are enough. Nearest first.
    std::vector<Holder> placement;
    /// The n live ones that take writes: the live of the placement set, and a stand-in for each absent one.
    std::vector<pastry::NodeHandle> writers;
    /// Live ones beyond these, nearest first.
    std::vector<pastry::NodeHandle> spare;
    /// Live ones near the group that empty themselves before they leave: they may have blocks, and take none.
    std::vector<pastry::NodeHandle> draining;
    /// How many would be placed here but are away for longer than repair_after. What nobody else has may be with them:
    /// unreachable, not gone.
    std::size_t gone = 0;

    [[nodiscard]] std::size_t live() const { return writers.size() + spare.size(); }
    [[nodiscard]] bool placed_on(const base::NodeId& node) const;
    [[nodiscard]] bool written_by(const base::NodeId& node) const;
};

/// `absent`: away for less than repair_after; `gone`: for longer. A node in several lists counts as live.
[[nodiscard]] HolderSet choose_holders(const base::Guid& key, std::size_t count,
                                       const std::vector<pastry::NodeHandle>& live,
                                       const std::vector<pastry::NodeHandle>& absent,
                                       const std::vector<pastry::NodeHandle>& gone = {});

/// How many nodes near a key are looked at for `count` holders: enough to find other failure domains and stand-ins.
[[nodiscard]] constexpr std::size_t candidates_for(std::size_t count) {
    return count * 3 + 3 < 16 ? count * 3 + 3 : (count + 4 > 16 ? count + 4 : 16);
}

}  // namespace past
