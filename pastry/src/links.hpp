// What we know of the way to each neighbour: round-trip time, its variation, and when it last spoke.
//
// Estimator of Jacobson and Karels (RFC 6298) without its back-off: another next hop exists (MSPastry, section 4.2).
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>

#include "pastry/config.hpp"
#include "pastry/kbr.hpp"

namespace pastry {

class Links {
  public:
    /// Remembers at most `limit` nodes.
    explicit Links(std::size_t limit) : limit_{limit} {}

    void heard(const base::NodeId& node, base::TimePoint now);
    void sample(const base::NodeId& node, base::Duration rtt);
    void forget(const base::NodeId& node) { links_.erase(node); }
    /// Forgets those for whom `keep` is false, if there is no room left.
    void make_room(const std::function<bool(const base::NodeId&)>& keep);

    [[nodiscard]] std::optional<base::TimePoint> last_heard(const base::NodeId& node) const;
    [[nodiscard]] std::optional<base::Duration> rtt(const base::NodeId& node) const;
    /// SRTT + 4 VAR within [min_rto, max_rto]; initial_rto before the first sample.
    [[nodiscard]] base::Duration timeout(const base::NodeId& node, const Config& config) const;
    [[nodiscard]] std::size_t size() const { return links_.size(); }

  private:
    struct Link {
        base::Duration smoothed{};
        base::Duration variation{};
        std::optional<base::TimePoint> heard;
        bool measured = false;
    };
    [[nodiscard]] Link* at(const base::NodeId& node);

    std::size_t limit_;
    std::unordered_map<base::NodeId, Link> links_;  // never iterated where the order could matter
};

}  // namespace pastry
