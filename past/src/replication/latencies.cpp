#include "replication/latencies.hpp"

#include <algorithm>

namespace past {

void Latencies::observe(const base::NodeId& peer, base::Duration took, bool answered) {
    if (smoothed_.size() >= kMaxPeers && !smoothed_.contains(peer)) smoothed_.erase(smoothed_.begin());
    const auto [entry, fresh] = smoothed_.try_emplace(peer, took);
    if (answered) {
        if (!fresh) entry->second += (took - entry->second) / 4;
        window_[observed_++ % kWindow] = took;
    } else {
        entry->second = std::max(entry->second, took) * 2;
    }
    entry->second = std::min<base::Duration>(entry->second, std::chrono::minutes{1});
}

base::Duration Latencies::expected(const base::NodeId& peer) const {
    const auto found = smoothed_.find(peer);
    return found != smoothed_.end() ? found->second : base::Duration{config_.first_hedge} / 2;
}

base::Duration Latencies::hedge() const {
    const auto count = std::min(observed_, kWindow);
    if (count < 8) return config_.first_hedge;
    auto sorted = window_;
    const auto rank = sorted.begin() + static_cast<std::ptrdiff_t>(count * 95 / 100);
    std::nth_element(sorted.begin(), rank, sorted.begin() + static_cast<std::ptrdiff_t>(count));
    return std::clamp<base::Duration>(*rank, config_.least_hedge, config_.greatest_hedge);
}

}  // namespace past
