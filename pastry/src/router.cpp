#include "router.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "pastry/error.hpp"

namespace pastry {

Router::Router(NodeHandle self, Config config, std::uint64_t seed)
    : self_{std::move(self)},
      config_{config},
      random_{seed},
      leaves_{self_, std::clamp<std::size_t>(config.leaf_set_per_side, 1, kMaxLeafSetPerSide)},
      table_{self_.id(), config.table_backups},
      links_{config.max_known_links},
      hops_{config.max_held_messages, config.max_held_bytes},
      seen_{config.max_seen_messages},
      next_message_id_{draw()} {}

// SplitMix64: jitter and ids need no secrecy.
std::uint64_t Router::draw() {
    std::uint64_t z = (random_ += 0x9E37'79B9'7F4A'7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D0'49BB'1331'11EBU;
    return z ^ (z >> 31U);
}

// Uniform in [3/4, 5/4) of `span`, so that nodes that started together do not stay in step.
base::Duration Router::jittered(base::Duration span) {
    return span * 3 / 4 + base::Duration{static_cast<std::int64_t>(draw() % 1024) * (span.count() / 2048)};
}

// Every call from outside passes here first. Whoever was not scheduled for long may have been declared dead meanwhile,
// and somebody else may be delivering for it (FreePastry: "if not scheduled for 15 s the node suspends itself").
void Router::enter(time_point now) {
    now_ = now;
    const bool stalled = phase_ == Phase::active && now - last_entered_ > config_.effective_stall_limit();
    last_entered_ = now;
    if (!stalled || leaves_.empty()) return;
    go(Phase::verifying);
    leaves_.set_unconverged();
    asked_.clear();
    for (const auto& node : leaves_.members()) probe(node, Reason::leaf);
}

void Router::go(Phase phase) {
    const bool was = active();
    phase_ = phase;
    if (was != active()) out_.emplace_back(effect::Active{.active = active()});
}

void Router::send(const base::Address& to, Notice notice) {
    if (to.id == left_) heartbeat_due_ = now_ + config_.heartbeat_interval;  // any message says that we are here
    out_.emplace_back(effect::Send{.to = to, .notice = std::move(notice)});
}

Effects Router::found(time_point now) {
    enter(now);
    if (phase_ != Phase::idle) return leave();
    tick_due_ = now;
    leaf_exchange_pause_ = config_.leaf_exchange_interval;
    leaf_exchange_due_ = now + jittered(leaf_exchange_pause_);
    row_exchange_due_ = now + jittered(config_.table_exchange_interval);
    leaves_.set_converged();
    go(Phase::active);
    dispatch_waiting();
    return leave();
}

Effects Router::join(time_point now, const std::vector<NodeHandle>& near, const std::vector<NodeHandle>& far) {
    enter(now);
    if (phase_ == Phase::idle) {
        go(Phase::joining);
        tick_due_ = now;
        leaf_exchange_pause_ = config_.heartbeat_interval;
        leaf_exchange_due_ = now + jittered(leaf_exchange_pause_);
        row_exchange_due_ = now + jittered(config_.table_exchange_interval);
    }
    // The nearest first, so that those beyond the leaf set are not asked at all.
    auto sorted = near;
    std::ranges::sort(sorted, [&](const auto& a, const auto& b) { return base::closer(self_.id(), a.id(), b.id()); });
    for (const auto& node : sorted) consider_leaf(node);
    for (const auto& node : sorted) consider_far(node);
    for (const auto& node : far) consider_far(node);
    probe_candidates();
    converge();
    return leave();
}

Effects Router::learn(time_point now, const std::vector<NodeHandle>& nodes) {
    enter(now);
    if (phase_ == Phase::idle) return leave();
    for (const auto& node : nodes) {
        consider_leaf(node);
        consider_far(node);
    }
    probe_candidates();
    return leave();
}

Effects Router::suspect(time_point now, const std::vector<base::NodeId>& nodes) {
    enter(now);
    if (phase_ == Phase::idle) return leave();
    for (const auto& id : nodes) {
        if (id == self_.id()) continue;
        if (const NodeHandle* leaf = leaves_.find(id)) {
            probe(*leaf, Reason::silence);
            continue;
        }
        const auto row = self_.id().common_prefix(id);
        const auto slot = table_.slot(row, id.digit(row));
        const auto found = std::ranges::find(slot, id, [](const auto& entry) { return entry.node.id(); });
        if (found != slot.end()) probe(found->node, Reason::silence);
    }
    return leave();
}

Effects Router::expel(time_point now, const base::NodeId& node) {
    enter(now);
    if (const auto known = find(node); known && phase_ != Phase::idle) declare_faulty(*known, Reason::silence);
    absent_.erase(node);
    return leave();
}

Effects Router::on_notice(time_point now, const NodeHandle& from, bool member, Notice notice) {
    enter(now);
    if (phase_ == Phase::idle || from.id() == self_.id()) return leave();
    if (member) heard(from, std::holds_alternative<Probe>(notice) && std::get<Probe>(notice).reply);
    if (auto* routed = std::get_if<Routed>(&notice)) {
        on_routed(from, std::move(*routed));
    } else if (const auto* ack = std::get_if<Ack>(&notice)) {
        on_ack(from, *ack);
    } else if (const auto* asked = std::get_if<Probe>(&notice); asked != nullptr && member) {
        asked->reply ? on_probe_reply(from, *asked) : on_probe(from, *asked);
    } else if (const auto* request = std::get_if<RowRequest>(&notice); request != nullptr && member) {
        on_row_request(from, *request);
    } else if (const auto* row = std::get_if<Row>(&notice); row != nullptr && member) {
        on_row(*row);
    }
    if (member && !failed_.contains(from.id())) {
        consider_leaf(from);
        if (table_.vacant(self_.id().common_prefix(from.id()), from.id().digit(self_.id().common_prefix(from.id())))) {
            consider_far(from);
        }
    }
    probe_candidates();
    return leave();
}

// Any message replaces a probe (MSPastry, section 4.1), except one that waits for the other's leaf set.
void Router::heard(const NodeHandle& from, bool reply) {
    links_.make_room([&](const base::NodeId& id) { return leaves_.contains(id) || table_.contains(id); });
    links_.heard(from.id(), now_);
    failed_.erase(from.id());
    absent_.erase(from.id());
    if (reply) return;  // its own handler ends the probe, with a measurement
    const auto* open = probes_.find(from.id());
    if (open != nullptr && (open->reason == Reason::rumour || open->reason == Reason::silence)) {
        probes_.end(from.id());
    }
}

Effects Router::on_timer(time_point now) {
    enter(now);
    if (phase_ == Phase::idle) return leave();
    on_probe_timers();
    on_hop_timers();
    upkeep();
    probe_candidates();
    return leave();
}

void Router::upkeep() {
    if (now_ >= tick_due_) tick_due_ = now_ + config_.effective_stall_limit() / 2;
    if (converge_again_ && now_ >= *converge_again_) {
        converge_again_.reset();
        converge();
    }
    if (const NodeHandle* left = leaves_.left(); left != nullptr && now_ >= heartbeat_due_) {
        heartbeat_due_ = now_ + config_.heartbeat_interval;
        send(left->address, Heartbeat{});
    }
    if (const auto due = right_deadline(); due && now_ >= *due) probe(*leaves_.right(), Reason::silence);
    announce_failures();
    exchange_leaves();
    exchange_rows();
    probe_absent();
}

std::optional<Router::time_point> Router::next_timer() const {
    if (phase_ == Phase::idle) return {};
    time_point first = std::min({tick_due_, leaf_exchange_due_, row_exchange_due_});
    const auto also = [&](std::optional<time_point> due) {
        if (due && *due < first) first = *due;
    };
    if (leaves_.left() != nullptr) also(heartbeat_due_);
    also(right_deadline());
    also(probes_.next_deadline());
    also(hops_.next_deadline());
    also(converge_again_);
    if (!to_announce_.empty()) also(announced_ + config_.probe_timeout);
    for (const auto& [id, absent] : absent_) also(absent.next_probe);
    return first;
}

void Router::on_probe_timers() {
    for (const auto& id : probes_.overdue(now_)) {
        auto* open = probes_.find(id);
        if (open == nullptr) continue;
        const unsigned retries = open->reason == Reason::distance ? 1 : config_.probe_retries;
        if (open->tries <= retries) {
            ++open->tries;
            send_probe(*open);
            continue;
        }
        const NodeHandle node = open->node;
        const Reason reason = open->reason;
        const auto heard = links_.last_heard(id);
        const bool alive = heard && *heard >= open->first_sent;
        probes_.end(id);
        if (reason == Reason::distance) {
            remember_failed(id);
        } else if (!alive) {
            declare_faulty(node, reason);
        }
        converge();
    }
}

Envelope* Router::held(std::uint64_t hop_id) {
    Held* held = hops_.find(hop_id);
    return held == nullptr ? nullptr : &held->envelope;
}

std::vector<AbsentNode> Router::absent() const {
    std::vector<AbsentNode> out;
    for (const auto& [id, absent] : absent_) {
        if (now_ - absent.since <= config_.remember_absent) out.push_back({.node = absent.node, .since = absent.since});
    }
    return out;
}

base::Result<LookupReply> Router::answer(const Lookup& lookup) const {
    if (!active()) return Errc::not_active;
    const auto excluded = [&](const NodeHandle& node) {
        return std::ranges::find(lookup.exclude, node.id()) != lookup.exclude.end();
    };
    LookupReply reply;
    const auto offer = [&](const NodeHandle& node) {
        const bool known = std::ranges::any_of(reply.next, [&](const auto& n) { return n.id() == node.id(); });
        if (!known && !excluded(node) && reply.next.size() < kMaxNext) reply.next.push_back(node);
    };

    const NodeHandle* root = leaves_.root(lookup.key);
    if (lookup.join && root != nullptr) {
        // The asker may still be in our leaf set (it restarted), and a dead root must not keep it out: probes follow.
        const auto near = leaves_.closest(lookup.key, lookup.exclude.size() + 1);
        const auto best = std::ranges::find_if_not(near, excluded);
        if (best != near.end()) root = best->id() == self_.id() ? &self_ : leaves_.find(best->id());
    }
    if (root != nullptr && root->id() == self_.id()) {
        reply.root = true;
        for (auto count = std::min<std::size_t>(lookup.count, kMaxReplicas); count > 0 && reply.replicas.empty();) {
            reply.replicas = leaves_.closest(lookup.key, count--);
        }
    } else if (root != nullptr) {
        offer(*root);
        if (reply.next.empty())
            return base::Errc::busy;  // the asker cannot reach it; until it is declared faulty, wait
    } else {
        if (const auto step = next_hop(lookup.key, lookup.exclude); step.kind == Step::Kind::send) offer(*step.next);
        const auto prefix = self_.id().common_prefix(lookup.key);
        if (prefix < RoutingTable::kRows) {
            for (const auto& entry : table_.slot(prefix, lookup.key.digit(prefix))) offer(entry.node);
        }
        if (const auto* other = rare_case(lookup.key, prefix, lookup.exclude, true)) offer(*other);
        if (reply.next.empty()) return base::Errc::busy;
    }
    if (lookup.join) {
        const auto last = std::min(self_.id().common_prefix(lookup.key), RoutingTable::kRows - 1);
        for (std::size_t row = lookup.first_row; row <= last; ++row) {
            for (auto& node : table_.row(row)) {
                if (reply.rows.size() < kMaxJoinRowHandles) reply.rows.push_back(std::move(node));
            }
        }
        if (reply.root) reply.leaf_set = leaves_.members();
    }
    return reply;
}

void Router::adopt(time_point now, const std::vector<NodeHandle>& leaf_set,
                   const std::vector<RoutingTable::Entry>& table) {
    now_ = last_entered_ = now;
    for (const auto& node : leaf_set) leaves_.add(node);
    leaves_.set_converged();
    for (const auto& entry : table) table_.add(entry.node, entry.rtt);
    phase_ = Phase::active;
    watch_neighbours();
    // As if the ring had been running: nobody is in step with anybody.
    heartbeat_due_ =
        now + base::Duration{static_cast<std::int64_t>(draw() % 1024) * (config_.heartbeat_interval.count() / 1024)};
    tick_due_ = now + jittered(config_.effective_stall_limit()) / 4;
    leaf_exchange_pause_ = config_.leaf_exchange_interval;
    leaf_exchange_due_ = now + jittered(leaf_exchange_pause_);
    row_exchange_due_ = now + jittered(config_.table_exchange_interval) / 4;
}

}  // namespace pastry
