#include "probes.hpp"

#include <algorithm>

namespace pastry {

const Probes::Open* Probes::find(const base::NodeId& node) const {
    const auto found = open_.find(node);
    return found == open_.end() ? nullptr : &found->second;
}

Probes::Open* Probes::find(const base::NodeId& node) {
    const auto found = open_.find(node);
    return found == open_.end() ? nullptr : &found->second;
}

std::size_t Probes::count(Reason reason) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(open_, [&](const auto& each) { return each.second.reason == reason; }));
}

std::vector<base::NodeId> Probes::nodes(Reason reason) const {
    std::vector<base::NodeId> out;
    for (const auto& [id, probe] : open_) {
        if (probe.reason == reason) out.push_back(id);
    }
    return out;
}

std::vector<base::NodeId> Probes::overdue(base::TimePoint now) const {
    std::vector<base::NodeId> out;
    for (const auto& [id, probe] : open_) {
        if (probe.deadline <= now) out.push_back(id);
    }
    return out;
}

std::optional<base::TimePoint> Probes::next_deadline() const {
    std::optional<base::TimePoint> first;
    for (const auto& [id, probe] : open_) {
        if (!first || probe.deadline < *first) first = probe.deadline;
    }
    return first;
}

}  // namespace pastry
