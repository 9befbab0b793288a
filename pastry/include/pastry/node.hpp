// One node of a Pastry ring: the decisions of a Router, carried out over the doors.
//
// On the node's executor only. Create it, then found() or join(); destroy it before the doors. Reactions are callbacks
// (no coroutine a message); only sequences of questions (join, look-ups) are coroutines, and they must have ended, or
// their owner's TaskGroup been joined, before the Node is destroyed: stop() does that for the Node's own.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/env.hpp"
#include "pastry/config.hpp"
#include "pastry/kbr.hpp"

namespace pastry {

class Router;

/// One node that a trace went through.
struct TraceHop {
    NodeHandle node;
    std::size_t prefix_length = 0;  ///< digits that it shares with the key
    base::Duration rtt{};           ///< from us to it and back, for the question; 0 for ourselves
};

/// For `node status`.
struct Status {
    bool active = false;
    bool converged = false;  ///< nobody is missing from the leaf set, as far as we know
    std::vector<NodeHandle> leaf_set;
    std::size_t table_rows = 0;
    std::size_t table_entries = 0;
    std::size_t absent = 0;
    std::size_t held_messages = 0;  ///< accepted here, not yet acknowledged by the next node
    std::uint64_t sent = 0;         ///< notices sent, of every kind
    std::uint64_t received = 0;     ///< notices and requests
    std::uint64_t malformed = 0;    ///< dropped: did not parse, or broke a limit
    std::uint64_t maintenance = 0;  ///< of `sent`: all but routed messages and their acknowledgements
    std::uint64_t delivered = 0;
    std::uint64_t forwarded = 0;
    std::uint64_t resent = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t lost = 0;
    std::uint64_t declared_faulty = 0;
    double estimated_nodes = 1;  ///< from the density of the leaf set
};

class Node final : public Kbr {
  public:
    /// What join() may do when it finds nobody who is part of a ring.
    enum class IfAllWait {
        give_up,  ///< errors: a newcomer never begins a ring beside the one that it was invited to
        found,    ///< a cold start: of members that wait for each other, the one with the smallest id begins
    };

    Node(base::NodeEnv env, NodeHandle self, Config config = {});
    ~Node() override;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Who is a member, as far as is known here. Of anybody else hearsay is believed within limits, so that nobody who
    /// invents nodes keeps us from our place. Without it everybody is.
    void know_members(std::function<bool(const base::NodeId&)> is_member);
    /// Begins a ring of one: the first node of a network.
    void found();
    /// Enters the ring of any of `seeds` (any members; ourselves among them is skipped). Tries them one after another,
    /// again and again until `deadline`. Success: active. Errc::join_failed: no seed led into a ring. Also to be
    /// called after a restart, with known_peers() of the last run. The seeds are remembered to find a lost ring again.
    base::Task<base::Result<void>> join(std::vector<base::Address> seeds, base::TimePoint deadline,
                                        IfAllWait if_all_wait = IfAllWait::give_up);
    /// Instead of join(): a client, which asks members for the way and never holds a key range itself. `members` are
    /// those it asks first; it remembers whom it meets. active() stays false.
    void visit(const std::vector<base::Address>& members);
    /// Who is one of us: of others nothing is heard, and they enter no table. Without this everybody that the transport
    /// lets through is.
    void admit_only(std::function<bool(const base::NodeId&)> is_one_of_us);
    /// It is one no more: it leaves the tables at once.
    void expel(const base::NodeId& node);
    /// A member may be found there. It is asked at once, and if it knows of others the rings grow together; it is also
    /// where join() looks first from now on.
    void contact(base::Address member);
    /// Ends what the Node does of its own accord; it answers nobody any more. Await it before destroying the Node
    /// while the executor goes on running.
    base::Task<void> stop();

    [[nodiscard]] const NodeHandle& self() const override;
    void attach(base::Service service, Application* application) override;
    void route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint = {}) override;
    [[nodiscard]] std::vector<NextHop> next_hops(const base::Guid& key, std::size_t count) const override;
    [[nodiscard]] std::vector<NodeHandle> replica_set(const base::Guid& key, std::size_t count) const override;
    base::Task<base::Result<std::vector<NodeHandle>>> find_replica_set(base::Guid key, std::size_t count,
                                                                       base::TimePoint deadline) override;
    [[nodiscard]] std::vector<NodeHandle> neighbours() const override;
    [[nodiscard]] std::vector<AbsentNode> absent() const override;
    [[nodiscard]] bool active() const override;
    [[nodiscard]] std::optional<NodeHandle> find(const base::NodeId& node) const override;
    [[nodiscard]] std::optional<base::Duration> rtt(const base::NodeId& node) const override;
    void suspect(const base::NodeId& node) override;

    /// The way to the root of `key`, asked for hop by hop; the root last, ourselves only if we are the root.
    base::Task<base::Result<std::vector<TraceHop>>> trace(base::Guid key, base::TimePoint deadline);
    /// Round-trip time of one question.
    base::Task<base::Result<base::Duration>> ping(NodeHandle node, base::TimePoint deadline);
    [[nodiscard]] Status status() const;
    /// Live nodes worth remembering across a restart: the leaf set, then the table, at most `limit`.
    [[nodiscard]] std::vector<NodeHandle> known_peers(std::size_t limit = 64) const;

    [[nodiscard]] const Config& config() const;
    /// For simulations and tests.
    [[nodiscard]] const Router& router() const;
    /// For simulations that build a ring directly: takes these tables over and is active. Nothing is sent.
    struct Neighbour {
        NodeHandle node;
        base::Duration rtt{};
    };
    void adopt(const std::vector<NodeHandle>& leaf_set, const std::vector<Neighbour>& table);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace pastry
