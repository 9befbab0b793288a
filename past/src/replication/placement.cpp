#include "replication/placement.hpp"

#include <algorithm>
#include <set>

namespace past {
namespace {

/// Indices of the chosen: first one of each failure domain, then whoever is nearest; in the order of `candidates`.
std::vector<std::size_t> choose(const std::vector<Holder>& candidates, std::size_t count) {
    std::vector<std::size_t> chosen;
    std::set<std::string> domains;
    for (std::size_t i = 0; i < candidates.size() && chosen.size() < count; ++i) {
        const auto& domain = candidates[i].node.failure_domain;
        if (domain.empty() || domains.insert(domain).second) chosen.push_back(i);
    }
    for (std::size_t i = 0; i < candidates.size() && chosen.size() < count; ++i) {
        if (std::ranges::find(chosen, i) == chosen.end()) chosen.push_back(i);
    }
    std::ranges::sort(chosen);
    return chosen;
}

}  // namespace

bool HolderSet::placed_on(const base::NodeId& node) const {
    return std::ranges::any_of(placement, [&](const Holder& holder) { return holder.node.id() == node; });
}

bool HolderSet::written_by(const base::NodeId& node) const {
    return std::ranges::any_of(writers, [&](const auto& writer) { return writer.id() == node; });
}

HolderSet choose_holders(const base::Guid& key, std::size_t count, const std::vector<pastry::NodeHandle>& live,
                         const std::vector<pastry::NodeHandle>& absent, const std::vector<pastry::NodeHandle>& gone) {
    std::vector<Holder> known;
    std::set<base::NodeId> seen;
    for (const auto& node : live) {
        if (seen.insert(node.id()).second) known.push_back({node, true, false});
    }
    for (const auto& node : absent) {
        if (seen.insert(node.id()).second) known.push_back({node, false, false});
    }
    std::ranges::sort(known,
                      [&](const Holder& a, const Holder& b) { return base::closer(key, a.node.id(), b.node.id()); });
    HolderSet set;
    for (const auto index : choose(known, count)) set.placement.push_back(known[index]);

    if (!gone.empty()) {
        auto all = absent;
        all.insert(all.end(), gone.begin(), gone.end());
        const auto once = choose_holders(key, count, live, all);
        set.gone = static_cast<std::size_t>(std::ranges::count_if(
            once.placement, [&](const Holder& holder) { return !holder.live && !set.placed_on(holder.node.id()); }));
    }

    // An absent holder's stand-in is whoever would hold in its stead: the choice among the live alone.
    std::erase_if(known, [](const Holder& holder) { return !holder.live; });
    const auto writers = choose(known, count);
    for (std::size_t i = 0; i < known.size(); ++i) {
        const bool writes = std::ranges::binary_search(writers, i);
        (writes ? set.writers : set.spare).push_back(known[i].node);
    }
    return set;
}

}  // namespace past
