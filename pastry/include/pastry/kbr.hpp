// Key-based routing, the face every layer above uses: the common API of Dabek et al. (IPTPS 2003), section 3.
//
// Implemented by pastry::Node (a ring) and pastry::Alone (a network of one).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/transport.hpp"

namespace pastry {

/// A storage node as the overlay knows it.
struct NodeHandle {
    base::Address address;
    std::string failure_domain;  ///< from its certificate; "" = its own

    [[nodiscard]] const base::NodeId& id() const { return address.id; }
    friend bool operator==(const NodeHandle&, const NodeHandle&) = default;
};

/// A neighbour that stopped answering and was declared dead, and when.
struct AbsentNode {
    NodeHandle node;
    base::TimePoint since;
};

/// A node that a message may go to next.
struct NextHop {
    NodeHandle node;
    base::Duration rtt{};  ///< as measured lately; 0 if it never was, or if it is ourselves
};

/// The upcalls. On the node's executor; must not block and must not destroy the Kbr.
class Application {
  public:
    virtual ~Application() = default;
    /// We are the root of `key`. `origin` sent it; `hops` counts the nodes it crossed.
    virtual void deliver(const base::Guid& key, const NodeHandle& origin, base::Message message, unsigned hops) = 0;
    /// On every node on the way, the first too, before it goes to `next`. May change the message; false stops it here.
    virtual bool forward(const base::Guid& /*key*/, base::Message& /*message*/, const NodeHandle& /*next*/) {
        return true;
    }
    /// `node` entered (true) or left our neighbour set.
    virtual void update(const NodeHandle& /*node*/, bool /*joined*/) {}
};

class Kbr {
  public:
    virtual ~Kbr() = default;

    [[nodiscard]] virtual const NodeHandle& self() const = 0;
    /// The upcalls for messages of this service. `application` outlives the Kbr or is detached with nullptr.
    virtual void attach(base::Service service, Application* application) = 0;

    /// Towards the root of `key`. Hops are acknowledged and tried again another way; the message is lost only if its
    /// present holder dies, and may, rarely, arrive twice. `hint`: the first hop to take.
    virtual void route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint = {}) = 0;

    /// Where a message for `key` would go from here, best first, at most `count` (the common API's local_lookup):
    /// ourselves alone if we are the root, the root alone if it is in our leaf set; empty while that is in doubt.
    [[nodiscard]] virtual std::vector<NextHop> next_hops(const base::Guid& key, std::size_t count) const = 0;
    /// The `count` live nodes nearest to `key`, nearest first, ourselves included, as far as this node alone knows them
    /// for certain; empty if `key` lies outside what our leaf set covers.
    [[nodiscard]] virtual std::vector<NodeHandle> replica_set(const base::Guid& key, std::size_t count) const = 0;
    /// The same for any key: asks its root when we cannot tell. Fewer than `count` only if the network is that small.
    virtual base::Task<base::Result<std::vector<NodeHandle>>> find_replica_set(base::Guid key, std::size_t count,
                                                                               base::TimePoint deadline) = 0;
    /// Our leaf set, nearest first, without ourselves.
    [[nodiscard]] virtual std::vector<NodeHandle> neighbours() const = 0;
    /// Neighbours declared dead, remembered for `Config::remember_absent`. A node that comes back leaves this list.
    [[nodiscard]] virtual std::vector<AbsentNode> absent() const = 0;
    /// True once the node may deliver (its leaf set agreed). Always true for a network of one.
    [[nodiscard]] virtual bool active() const = 0;

    /// A node of our leaf set or table, with the endpoint where it is reached; nullopt for all others.
    [[nodiscard]] virtual std::optional<NodeHandle> find(const base::NodeId& /*node*/) const { return {}; }
    /// To that node and back, as measured lately; also of nodes that are in no table. Nullopt if it never was.
    [[nodiscard]] virtual std::optional<base::Duration> rtt(const base::NodeId& /*node*/) const { return {}; }
    /// This node owes a layer above an answer: it is probed now, messages take other ways where there are some until it
    /// answers, and it is declared dead if it does not.
    virtual void suspect(const base::NodeId& /*node*/) {}
};

}  // namespace pastry
