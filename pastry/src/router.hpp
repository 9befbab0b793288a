// Pastry's decisions: `(now, input) -> effects`. Reads no clock, sends nothing; the same inputs give the same effects.
//
// Papers: Rowstron & Druschel 2001 (routing, tables), Castro, Costa & Rowstron, DSN 2004 ("MSPastry": consistent
// delivery, hop acknowledgements, failure detection). Claim by claim with tests: docs/papers.md, "Pastry".
//
// Told in four files: router.cpp (in and out, timers), router_leaf.cpp (who our neighbours are), router_table.cpp (the
// far ones), router_hops.cpp (messages on their way). Not thread safe; one Node owns it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "hops.hpp"
#include "leaf_set.hpp"
#include "links.hpp"
#include "messages.hpp"
#include "pastry/config.hpp"
#include "probes.hpp"
#include "routing_table.hpp"

namespace pastry {

namespace effect {

struct Send {
    base::Address to;
    Notice notice;
};
/// We are the root.
struct Deliver {
    Envelope envelope;
};
/// Ask the application, then call Router::forward() or Router::discard() with `hop_id`.
struct Forward {
    std::uint64_t hop_id = 0;
    NodeHandle next;
};
/// `node` entered or left the leaf set.
struct Changed {
    NodeHandle node;
    bool joined = false;
};
/// The node may deliver from now on, or no longer.
struct Active {
    bool active = false;
};

}  // namespace effect

using Effect = std::variant<effect::Send, effect::Deliver, effect::Forward, effect::Changed, effect::Active>;
using Effects = std::vector<Effect>;

class Router {
  public:
    using time_point = base::TimePoint;

    enum class Phase {
        idle,       ///< not part of a ring: answers nobody
        joining,    ///< its leaf set is being asked; holds what it is the root of
        active,     ///< delivers
        verifying,  ///< was stalled: asks its leaf set again before it delivers
    };

    struct Counters {
        std::uint64_t delivered = 0;
        std::uint64_t forwarded = 0;   ///< hops sent, first tries only
        std::uint64_t resent = 0;      ///< further tries
        std::uint64_t duplicates = 0;  ///< dropped
        std::uint64_t lost = 0;        ///< given up, or refused for lack of room
        std::uint64_t declared_faulty = 0;
    };

    /// `seed` makes ids and jitter; different for each start of a node.
    Router(NodeHandle self, Config config, std::uint64_t seed);

    /// See Node::know_members.
    void know_members(std::function<bool(const base::NodeId&)> is_member) { is_member_ = std::move(is_member); }
    /// Begins a ring of one.
    [[nodiscard]] Effects found(time_point now);
    /// Asks `near` (the leaf set of our key's root, and the root) to take us in; `far` is hearsay for the table.
    [[nodiscard]] Effects join(time_point now, const std::vector<NodeHandle>& near, const std::vector<NodeHandle>& far);
    /// Hearsay: worth a probe if it would enter a table.
    [[nodiscard]] Effects learn(time_point now, const std::vector<NodeHandle>& nodes);
    /// These did not answer a question, of ours or of somebody who asks us: those in our tables are probed.
    [[nodiscard]] Effects suspect(time_point now, const std::vector<base::NodeId>& nodes);
    /// It is no member any more: forgotten at once, as if it had been found dead, and not looked for again.
    [[nodiscard]] Effects expel(time_point now, const base::NodeId& node);

    [[nodiscard]] Effects route(time_point now, const base::Guid& key, base::Message message,
                                std::optional<NodeHandle> hint);
    /// `member` is false for senders that never enter a table (clients, and those who cannot be dialled).
    [[nodiscard]] Effects on_notice(time_point now, const NodeHandle& from, bool member, Notice notice);
    [[nodiscard]] Effects on_timer(time_point now);
    /// When on_timer() next has work; nullopt only while idle.
    [[nodiscard]] std::optional<time_point> next_timer() const;

    /// The message of an effect::Forward, for the upcall; nullptr if it is gone meanwhile.
    [[nodiscard]] Envelope* held(std::uint64_t hop_id);
    [[nodiscard]] Effects forward(time_point now, std::uint64_t hop_id, const NodeHandle& next);
    void discard(std::uint64_t hop_id) { hops_.drop(hop_id); }

    /// One step of somebody's iterative look-up. Errc::not_active unless active; base::Errc::busy while the root of the
    /// key is in doubt.
    [[nodiscard]] base::Result<LookupReply> answer(const Lookup& lookup) const;

    [[nodiscard]] Phase phase() const { return phase_; }
    [[nodiscard]] bool active() const { return phase_ == Phase::active; }
    [[nodiscard]] const LeafSet& leaves() const { return leaves_; }
    [[nodiscard]] const RoutingTable& table() const { return table_; }
    [[nodiscard]] const Links& links() const { return links_; }
    [[nodiscard]] const Counters& counters() const { return counters_; }
    [[nodiscard]] std::vector<AbsentNode> absent() const;
    [[nodiscard]] std::size_t held_messages() const { return hops_.size(); }
    [[nodiscard]] std::size_t open_probes() const { return probes_.size(); }

    /// For simulations that build a ring directly: our tables are these, and we are active. Nothing is sent.
    void adopt(time_point now, const std::vector<NodeHandle>& leaf_set, const std::vector<RoutingTable::Entry>& table);

    /// Where a message for `key` goes next; public for tests of the algorithm itself (Coulouris Figure 10.9).
    struct Step {
        enum class Kind { deliver, send, wait } kind = Kind::wait;
        const NodeHandle* next = nullptr;  ///< for send; valid until the next call that is not const
        bool to_root = false;
    };
    [[nodiscard]] Step next_hop(const base::Guid& key, const std::vector<base::NodeId>& excluded = {}) const;
    /// See Kbr::next_hops.
    [[nodiscard]] std::vector<NextHop> next_hops(const base::Guid& key, std::size_t count) const;
    /// See Kbr::find and Kbr::rtt.
    [[nodiscard]] std::optional<NodeHandle> find(const base::NodeId& node) const;
    [[nodiscard]] std::optional<base::Duration> rtt(const base::NodeId& node) const;

  private:
    struct Absent {
        NodeHandle node;
        time_point since;
        time_point next_probe;
        base::Duration pause{};
    };

    // router.cpp
    void enter(time_point now);
    [[nodiscard]] Effects leave() { return std::exchange(out_, {}); }
    void send(const base::Address& to, Notice notice);
    void heard(const NodeHandle& from, bool asked);
    [[nodiscard]] std::uint64_t draw();
    [[nodiscard]] base::Duration jittered(base::Duration span);
    void on_probe_timers();
    void upkeep();
    void go(Phase phase);

    // router_leaf.cpp
    void probe(const NodeHandle& node, Reason reason);
    void send_probe(Probes::Open& open);
    void on_probe(const NodeHandle& from, const Probe& probe);
    void on_probe_reply(const NodeHandle& from, const Probe& probe);
    [[nodiscard]] Probe leaf_probe(std::uint64_t id, bool reply) const;
    void take_leaf_exchange(const NodeHandle& from, const Probe& probe);
    void consider_leaf(const NodeHandle& node);
    void consider_hearsay(const NodeHandle& node, const base::NodeId& informant);
    [[nodiscard]] bool is_missing_leaf(const NodeHandle& node) const;
    void add_leaf(const NodeHandle& node);
    void declare_faulty(const NodeHandle& node, Reason reason);
    void converge();
    [[nodiscard]] const NodeHandle* guide(Side side) const;
    void watch_neighbours();
    void announce_failures();
    void exchange_leaves();
    void probe_absent();
    void remember_failed(const base::NodeId& node);
    void remember_absent(const NodeHandle& node);
    [[nodiscard]] std::optional<time_point> right_deadline() const;

    // router_table.cpp
    void consider_far(const NodeHandle& node);
    void probe_candidates();
    void on_row_request(const NodeHandle& from, const RowRequest& request);
    void on_row(const Row& row);
    void repair_row(std::size_t row);
    void exchange_rows();

    // router_hops.cpp
    void on_routed(const NodeHandle& from, Routed routed);
    void on_ack(const NodeHandle& from, const Ack& ack);
    void accept(Envelope envelope, const std::optional<NodeHandle>& hint);
    void dispatch(std::uint64_t hop_id);
    void propose(std::uint64_t hop_id, Held& held, const NodeHandle& next, bool to_root);
    void transmit(std::uint64_t hop_id, Held& held);
    void deliver(std::uint64_t hop_id, Held& held);
    void on_hop_timers();
    void dispatch_waiting();
    [[nodiscard]] const NodeHandle* rare_case(const base::Guid& key, std::size_t prefix,
                                              const std::vector<base::NodeId>& excluded, bool spare_suspects) const;
    [[nodiscard]] bool suspected(const base::NodeId& node) const;

    NodeHandle self_;
    Config config_;
    std::uint64_t random_;
    time_point now_{};
    time_point last_entered_{};
    Effects out_;

    Phase phase_ = Phase::idle;
    LeafSet leaves_;
    RoutingTable table_;
    Links links_;
    Probes probes_;
    Hops hops_;
    Seen seen_;
    Counters counters_;
    std::uint64_t next_message_id_;

    std::map<base::NodeId, time_point> failed_;  // hearsay about them is not believed for a while
    std::map<base::NodeId, Absent> absent_;
    std::set<base::NodeId> asked_;        // for their leaf sets, since ours was last converged
    std::set<base::NodeId> unconverged_;  // of these, who missed somebody themselves
    std::function<bool(const base::NodeId&)> is_member_;
    std::map<base::NodeId, base::NodeId> unproven_;  // no member we know of, and never heard: who named it
    unsigned converge_rounds_ = 0;
    std::optional<time_point> converge_again_;

    base::NodeId left_;  // as of watch_neighbours(); zero: nobody
    base::NodeId right_;
    time_point right_since_{};
    time_point heartbeat_due_{};
    time_point tick_due_{};
    std::vector<NodeHandle> to_announce_;
    time_point announced_{};
    time_point leaf_exchange_due_{};
    base::Duration leaf_exchange_pause_{};
    unsigned leaf_exchange_turn_ = 0;
    time_point row_exchange_due_{};
    std::size_t row_exchange_turn_ = 0;
    std::map<std::size_t, time_point> row_repaired_;
    std::deque<NodeHandle> candidates_;
};

}  // namespace pastry
