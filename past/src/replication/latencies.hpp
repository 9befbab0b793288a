// How long peers take: to ask the nearest first, and to know when to stop waiting for one.
#pragma once

#include <array>
#include <map>

#include "base/clock.hpp"
#include "past/node.hpp"

namespace past {

class Latencies {
  public:
    explicit Latencies(const Config& config) : config_{config} {}

    /// A fetch from `peer` took so long; or was given up after so long, which says "at least".
    void observe(const base::NodeId& peer, base::Duration took, bool answered);
    /// Smoothed; a peer that was never timed counts as half the first hedge: worth a try, after those known to be fast.
    [[nodiscard]] base::Duration expected(const base::NodeId& peer) const;
    /// It was timed before.
    [[nodiscard]] bool knows(const base::NodeId& peer) const { return smoothed_.contains(peer); }
    /// After which a second holder is asked as well: what 95 of 100 fetches took less than (the tail at scale, Dean &
    /// Barroso 2013; OpenDHT's p99 came from waiting for single slow nodes, Rhea et al. 2005).
    [[nodiscard]] base::Duration hedge() const;

  private:
    static constexpr std::size_t kWindow = 128;
    static constexpr std::size_t kMaxPeers = 4096;

    const Config& config_;
    std::map<base::NodeId, base::Duration> smoothed_;
    std::array<base::Duration, kWindow> window_{};
    std::size_t observed_ = 0;
};

}  // namespace past
