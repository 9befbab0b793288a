// Questions under way: who was asked when, how often, and what for. Decides nothing; the Router asks and concludes.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "pastry/kbr.hpp"

namespace pastry {

/// Why a node is probed. A stronger reason replaces a weaker one.
enum class Reason {
    distance,  ///< a candidate for the routing table: how far is it?
    rumour,    ///< somebody declared it faulty
    silence,   ///< it owes us a heartbeat, an acknowledgement or an answer
    leaf,      ///< it belongs, or may belong, into our leaf set: exchange leaf sets
};

class Probes {
  public:
    struct Open {
        NodeHandle node;
        std::uint64_t id = 0;  ///< changes with each try, so that an answer tells its round-trip time
        Reason reason = Reason::distance;
        unsigned tries = 1;
        base::TimePoint first_sent;
        base::TimePoint sent;
        base::TimePoint deadline;
    };

    [[nodiscard]] const Open* find(const base::NodeId& node) const;
    [[nodiscard]] Open* find(const base::NodeId& node);
    Open& start(const NodeHandle& node) { return open_[node.id()] = Open{.node = node}; }
    void end(const base::NodeId& node) { open_.erase(node); }

    [[nodiscard]] std::size_t size() const { return open_.size(); }
    [[nodiscard]] std::size_t count(Reason reason) const;
    /// Nodes with a probe of this reason under way.
    [[nodiscard]] std::vector<base::NodeId> nodes(Reason reason) const;
    [[nodiscard]] std::vector<base::NodeId> overdue(base::TimePoint now) const;
    [[nodiscard]] std::optional<base::TimePoint> next_deadline() const;
    void clear() { open_.clear(); }

  private:
    std::map<base::NodeId, Open> open_;  // ordered: time-outs are handled in the order of ids
};

}  // namespace pastry
