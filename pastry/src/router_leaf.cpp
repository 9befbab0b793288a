// Who our neighbours are: MSPastry's consistent leaf sets (DSN 2004, sections 3 and 4.1).
//
// Nobody enters the leaf set before a message with its own leaf set came from it directly; nobody leaves it before it
// was declared faulty by us; and we are active only after everybody in it has answered. Two nodes that join side by
// side at one time both ask the members between them, and whoever asks second hears of the first.
#include <algorithm>
#include <utility>

#include "router.hpp"

namespace pastry {

void Router::probe(const NodeHandle& node, Reason reason) {
    if (node.id() == self_.id() || node.address.endpoint.empty()) return;
    if (reason == Reason::leaf && phase_ != Phase::idle) asked_.insert(node.id());
    if (auto* open = probes_.find(node.id())) {
        if (reason <= open->reason) return;
        open->reason = reason;
        if (reason != Reason::leaf) return;
        open->tries = 1;
        send_probe(*open);
        return;
    }
    if (probes_.size() >= config_.max_probes) return;
    auto& open = probes_.start(node);
    open.reason = reason;
    open.first_sent = now_;
    send_probe(open);
}

void Router::send_probe(Probes::Open& open) {
    open.id = draw();
    open.sent = now_;
    open.deadline = now_ + config_.probe_timeout;
    if (open.reason == Reason::leaf) {
        send(open.node.address, leaf_probe(open.id, false));
    } else {
        send(open.node.address, Probe{.probe_id = open.id});
    }
}

Probe Router::leaf_probe(std::uint64_t id, bool reply) const {
    Probe probe{.probe_id = id, .reply = reply, .leaf_exchange = true, .converged = leaves_.converged()};
    probe.leaf_set = leaves_.everybody();
    // The latest failures first, as far as there is room.
    std::vector<std::pair<time_point, base::NodeId>> latest;
    for (const auto& [node, since] : failed_) latest.emplace_back(since, node);
    std::ranges::sort(latest, std::greater{});
    for (const auto& [since, node] : latest) {
        if (probe.failed.size() < kMaxFailedSent) probe.failed.push_back(node);
    }
    return probe;
}

void Router::on_probe(const NodeHandle& from, const Probe& probe) {
    if (probe.leaf_exchange) take_leaf_exchange(from, probe);
    send(from.address,
         probe.leaf_exchange ? leaf_probe(probe.probe_id, true) : Probe{.probe_id = probe.probe_id, .reply = true});
}

void Router::on_probe_reply(const NodeHandle& from, const Probe& probe) {
    const auto* open = probes_.find(from.id());
    if (open == nullptr) return;
    if (open->reason == Reason::leaf && !probe.leaf_exchange) return;  // answers an earlier, lesser question
    const bool timely = open->id == probe.probe_id;
    const auto rtt = now_ - open->sent;
    probes_.end(from.id());
    unproven_.erase(from.id());
    if (timely) links_.sample(from.id(), rtt);
    table_.add(from, links_.rtt(from.id()).value_or(config_.initial_rto));
    if (!probe.leaf_exchange) return;
    // Whoever misses somebody, or still believes in the dead, cannot say yet who comes after them.
    const bool stale = std::ranges::any_of(probe.leaf_set, [&](const auto& n) { return failed_.contains(n.id()); });
    if (probe.converged && !stale) {
        unconverged_.erase(from.id());
    } else {
        unconverged_.insert(from.id());
    }
    take_leaf_exchange(from, probe);
    converge();
}

void Router::take_leaf_exchange(const NodeHandle& from, const Probe& probe) {
    add_leaf(from);
    for (const auto& node : probe.leaf_set) {
        consider_hearsay(node, from.id());
        const auto row = self_.id().common_prefix(node.id());
        if (row < RoutingTable::kRows && table_.vacant(row, node.id().digit(row))) consider_far(node);
    }
    // Hearsay of a failure is a reason to ask, never to believe.
    for (const auto& id : probe.failed) {
        if (const NodeHandle* leaf = leaves_.find(id)) this->probe(*leaf, Reason::rumour);
    }
}

// Asks `node` to exchange leaf sets if it would belong into ours, next to those already asked.
void Router::consider_leaf(const NodeHandle& node) {
    if (is_missing_leaf(node)) probe(node, Reason::leaf);
}

// Each question about a node that is not there delays settling: whoever names several that our roster does not know,
// and that never answered, is not believed about more.
void Router::consider_hearsay(const NodeHandle& node, const base::NodeId& informant) {
    constexpr auto kMaxUnproven = 4;
    if (!is_missing_leaf(node)) return;
    if (is_member_ && !is_member_(node.id())) {
        const auto named = std::ranges::count(unproven_, informant, [](const auto& each) { return each.second; });
        if (named >= kMaxUnproven) return;
        unproven_.try_emplace(node.id(), informant);
    }
    probe(node, Reason::leaf);
}

bool Router::is_missing_leaf(const NodeHandle& node) const {
    if (node.id() == self_.id() || leaves_.contains(node.id()) || failed_.contains(node.id())) return false;
    if (!leaves_.would_add(node.id())) return false;
    const auto* open = probes_.find(node.id());
    if (open != nullptr && open->reason == Reason::leaf) return false;
    return leaves_.would_add(node.id(), probes_.nodes(Reason::leaf));
}

void Router::add_leaf(const NodeHandle& node) {
    if (leaves_.contains(node.id())) {
        leaves_.add(node);
        return;
    }
    std::vector<NodeHandle> ends;  // who may have to make room
    for (const Side side : {Side::clockwise, Side::counter_clockwise}) {
        if (const auto nodes = leaves_.side(side); !nodes.empty()) ends.push_back(nodes.back());
    }
    if (!leaves_.add(node)) return;
    out_.emplace_back(effect::Changed{.node = node, .joined = true});
    if (ends.size() == 2 && ends[0].id() == ends[1].id()) ends.pop_back();
    for (const auto& end : ends) {
        if (!leaves_.contains(end.id())) out_.emplace_back(effect::Changed{.node = end, .joined = false});
    }
    leaf_exchange_pause_ = config_.heartbeat_interval;
    leaf_exchange_due_ = std::min(leaf_exchange_due_, now_ + jittered(leaf_exchange_pause_));
    watch_neighbours();
}

void Router::declare_faulty(const NodeHandle& suspect, Reason reason) {
    const NodeHandle node = suspect;  // a copy: the tables that it may point into change below
    ++counters_.declared_faulty;
    probes_.end(node.id());
    links_.forget(node.id());
    remember_failed(node.id());
    if (table_.remove(node.id())) {
        const auto row = self_.id().common_prefix(node.id());
        if (table_.vacant(row, node.id().digit(row))) repair_row(row);
    }
    if (leaves_.remove(node.id())) {
        remember_absent(node);
        out_.emplace_back(effect::Changed{.node = node, .joined = false});
        if (reason != Reason::rumour) to_announce_.push_back(node);
        leaf_exchange_pause_ = config_.heartbeat_interval;
        leaf_exchange_due_ = std::min(leaf_exchange_due_, now_ + jittered(leaf_exchange_pause_));
        watch_neighbours();
    }
    // Whoever named it, or stood beside it, may know more by now.
    converge_rounds_ = 0;
    asked_.clear();
    for (const auto hop_id : hops_.sent_to(node.id())) dispatch(hop_id);
    converge();
    announce_failures();
}

// The node that can tell who comes next on a side where we miss somebody: the farthest within our reach, or, where all
// of them died, the nearest of anybody we know (then step by step nearer).
const NodeHandle* Router::guide(Side side) const {
    if (const NodeHandle* certain = leaves_.last_certain(side)) return certain;
    const auto distance = [&](const base::NodeId& id) {
        return side == Side::clockwise ? base::clockwise_distance(self_.id(), id)
                                       : base::clockwise_distance(id, self_.id());
    };
    const NodeHandle* best = nullptr;
    const auto offer = [&](const NodeHandle& node) {
        if (best == nullptr || distance(node.id()) < distance(best->id())) best = &node;
    };
    for (const Side each : {Side::clockwise, Side::counter_clockwise}) {
        for (const auto& node : leaves_.side(each)) offer(node);
    }
    table_.for_each(0, [&](const RoutingTable::Entry& entry) { offer(entry.node); });
    return best;
}

// Called whenever a leaf probe ended or a member left: are we sure again that nobody is missing?
void Router::converge() {
    const bool becoming = phase_ == Phase::joining || phase_ == Phase::verifying;
    if (phase_ == Phase::idle || (leaves_.converged() && !becoming)) return;
    if (converge_again_ || probes_.count(Reason::leaf) > 0) return;
    bool asking = false;
    bool doubtful = false;
    for (const Side side : {Side::clockwise, Side::counter_clockwise}) {
        if (leaves_.converged(side)) continue;
        const NodeHandle* whom = guide(side);
        if (whom == nullptr) continue;
        if (!asked_.contains(whom->id())) {
            probe(*whom, Reason::leaf);
            asking = true;
        }
        const bool full = leaves_.side(side).size() == leaves_.per_side();
        doubtful = doubtful || (!full && unconverged_.contains(whom->id()));
    }
    if (asking && probes_.count(Reason::leaf) > 0) return;
    // A guide in doubt may know less than we need: give it time, but not for ever, because many that wait for each
    // other would wait for ever. The leaf exchange finds what is missing then.
    if (doubtful && converge_rounds_ < config_.probe_retries + 3) {
        ++converge_rounds_;
        converge_again_ = now_ + config_.probe_timeout;
        asked_.clear();
        return;
    }
    if (phase_ == Phase::joining && leaves_.empty()) {  // all that were to take us in have died
        go(Phase::idle);
        return;
    }
    leaves_.set_converged();
    unproven_.clear();
    asked_.clear();
    unconverged_.clear();
    converge_rounds_ = 0;
    watch_neighbours();
    if (becoming) go(Phase::active);
    dispatch_waiting();
}

void Router::watch_neighbours() {
    const NodeHandle* left = leaves_.left();
    const NodeHandle* right = leaves_.right();
    const auto left_id = left != nullptr ? left->id() : base::NodeId{};
    const auto right_id = right != nullptr ? right->id() : base::NodeId{};
    if (left_id != left_) {
        left_ = left_id;
        heartbeat_due_ = now_;
    }
    if (right_id != right_) {
        right_ = right_id;
        right_since_ = now_;
    }
}

// Silence of the right neighbour: it owes us a heartbeat ("cost independent of l").
std::optional<Router::time_point> Router::right_deadline() const {
    const NodeHandle* right = leaves_.right();
    if (right == nullptr || probes_.find(right->id()) != nullptr) return {};
    const auto heard = links_.last_heard(right->id()).value_or(right_since_);
    return std::max(heard, right_since_) + config_.heartbeat_interval + config_.probe_timeout;
}

// To the whole leaf set, as probes: the answers bring what repair needs. At most once a time-out, however many died.
void Router::announce_failures() {
    if (to_announce_.empty() || now_ < announced_ + config_.probe_timeout) return;
    announced_ = now_;
    for (const auto& node : leaves_.members()) probe(node, Reason::leaf);
    // And to the dead: one that was only cut off for a while learns that it must show itself.
    for (const auto& node : std::exchange(to_announce_, {})) send(node.address, Probe{.probe_id = draw()});
}

// Anti-entropy, in case an announcement was lost: with each end, where missing nodes would show, and each neighbour.
// Frequent after a change, then ever rarer.
void Router::exchange_leaves() {
    if (now_ < leaf_exchange_due_) return;
    leaf_exchange_pause_ = std::min(2 * leaf_exchange_pause_, config_.leaf_exchange_interval);
    leaf_exchange_due_ = now_ + jittered(leaf_exchange_pause_);
    const auto clockwise = leaves_.side(Side::clockwise);
    const auto counter = leaves_.side(Side::counter_clockwise);
    if (clockwise.empty() || counter.empty()) return;
    switch (leaf_exchange_turn_++ % 4) {
        case 0: probe(counter.front(), Reason::leaf); break;
        case 1: probe(clockwise.back(), Reason::leaf); break;
        case 2: probe(clockwise.front(), Reason::leaf); break;
        case 3: probe(counter.back(), Reason::leaf); break;
    }
}

void Router::probe_absent() {
    std::vector<base::NodeId> forget;
    for (auto& [id, absent] : absent_) {
        if (now_ < absent.next_probe) continue;
        if (now_ - absent.since > config_.remember_absent) {
            forget.push_back(id);
            continue;
        }
        absent.next_probe = now_ + jittered(absent.pause);
        absent.pause = std::min(2 * absent.pause, config_.merge_interval);
        probe(absent.node, Reason::distance);
    }
    for (const auto& id : forget) absent_.erase(id);
    std::erase_if(failed_, [&](const auto& each) { return now_ - each.second > config_.remember_failed; });
}

void Router::remember_failed(const base::NodeId& node) {
    failed_[node] = now_;
    if (failed_.size() <= config_.max_failed_nodes) return;
    failed_.erase(std::ranges::min_element(failed_, {}, [](const auto& each) { return each.second; }));
}

void Router::remember_absent(const NodeHandle& node) {
    absent_[node.id()] = Absent{.node = node,
                                .since = now_,
                                .next_probe = now_ + jittered(config_.absent_probe_interval),
                                .pause = 2 * config_.absent_probe_interval};
    if (absent_.size() <= config_.max_absent_nodes) return;
    absent_.erase(std::ranges::min_element(absent_, {}, [](const auto& each) { return each.second.since; }));
}

}  // namespace pastry
