#include "links.hpp"

#include <algorithm>

namespace pastry {

Links::Link* Links::at(const base::NodeId& node) {
    const auto found = links_.find(node);
    if (found != links_.end()) return &found->second;
    return links_.size() < limit_ ? &links_[node] : nullptr;
}

void Links::heard(const base::NodeId& node, base::TimePoint now) {
    if (Link* link = at(node)) link->heard = now;
}

void Links::sample(const base::NodeId& node, base::Duration rtt) {
    Link* link = at(node);
    if (link == nullptr) return;
    if (!link->measured) {
        link->smoothed = rtt;
        link->variation = rtt / 2;
        link->measured = true;
        return;
    }
    const auto error = link->smoothed > rtt ? link->smoothed - rtt : rtt - link->smoothed;
    link->variation = (3 * link->variation + error) / 4;
    link->smoothed = (7 * link->smoothed + rtt) / 8;
}

void Links::make_room(const std::function<bool(const base::NodeId&)>& keep) {
    if (links_.size() < limit_) return;
    std::erase_if(links_, [&](const auto& each) { return !keep(each.first); });
}

std::optional<base::TimePoint> Links::last_heard(const base::NodeId& node) const {
    const auto found = links_.find(node);
    return found == links_.end() ? std::nullopt : found->second.heard;
}

std::optional<base::Duration> Links::rtt(const base::NodeId& node) const {
    const auto found = links_.find(node);
    if (found == links_.end() || !found->second.measured) return {};
    return found->second.smoothed;
}

base::Duration Links::timeout(const base::NodeId& node, const Config& config) const {
    const auto found = links_.find(node);
    if (found == links_.end() || !found->second.measured) return config.initial_rto;
    return std::clamp(found->second.smoothed + 4 * found->second.variation, config.min_rto, config.max_rto);
}

}  // namespace pastry
