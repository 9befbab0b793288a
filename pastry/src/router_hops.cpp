// Messages on their way: the routing decision, acknowledgements hop by hop, and delivery by the root alone.
//
// MSPastry (DSN 2004), sections 3 and 4.2: a missed acknowledgement excludes the silent node and sends the message
// another way at once, because there is one; but if the silent node is the root of the key, the message is held and
// tried again until the root is declared faulty, because nobody else may deliver it before.
#include <algorithm>
#include <utility>

#include "router.hpp"

namespace pastry {
namespace {

constexpr base::Duration kTryAgain = std::chrono::milliseconds{250};  // for a message that finds no way at present

bool contains(const std::vector<base::NodeId>& nodes, const base::NodeId& node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

}  // namespace

bool Router::suspected(const base::NodeId& node) const {
    const auto* open = probes_.find(node);
    return open != nullptr && (open->reason == Reason::silence || open->tries > 1);
}

// Figure 10.9 of Coulouris et al. (Table 1 of the paper), with its line 7 read as "prefix of length >= p".
Router::Step Router::next_hop(const base::Guid& key, const std::vector<base::NodeId>& excluded) const {
    if (const NodeHandle* root = leaves_.root(key)) {  // lines 1 and 2
        if (root->id() == self_.id()) return {.kind = Step::Kind::deliver};
        return {.kind = Step::Kind::send, .next = root, .to_root = true};
    }
    // In doubt about our own neighbourhood: others believe that the key is ours or near us, and would send it back.
    if (!active() || leaves_.covers(key)) return {};
    const auto prefix = self_.id().common_prefix(key);
    if (prefix < RoutingTable::kRows) {  // lines 4 and 5
        for (const auto& entry : table_.slot(prefix, key.digit(prefix))) {
            const auto& id = entry.node.id();
            if (!contains(excluded, id) && !suspected(id)) return {.kind = Step::Kind::send, .next = &entry.node};
        }
    }
    for (const bool spare_suspects : {true, false}) {  // line 7
        const NodeHandle* other = rare_case(key, prefix, excluded, spare_suspects);
        if (other != nullptr) return {.kind = Step::Kind::send, .next = other};
    }
    return {};
}

std::vector<NextHop> Router::next_hops(const base::Guid& key, std::size_t count) const {
    std::vector<NextHop> hops;
    std::vector<base::NodeId> excluded;
    while (hops.size() < count) {
        const Step step = next_hop(key, excluded);
        if (step.kind == Step::Kind::deliver && active() && hops.empty()) hops.push_back({self_, {}});
        if (step.kind != Step::Kind::send) break;
        const auto& id = step.next->id();
        hops.push_back({*step.next, rtt(id).value_or(base::Duration{})});
        if (step.to_root) break;  // nobody else will do
        excluded.push_back(id);
    }
    return hops;
}

std::optional<NodeHandle> Router::find(const base::NodeId& node) const {
    if (const NodeHandle* leaf = leaves_.find(node)) return *leaf;
    if (const auto* entry = table_.find(node)) return entry->node;
    return {};
}

std::optional<base::Duration> Router::rtt(const base::NodeId& node) const {
    if (const auto measured = links_.rtt(node)) return measured;
    const auto* entry = table_.find(node);
    if (entry == nullptr || entry->rtt == config_.initial_rto) return {};  // entered unmeasured
    return entry->rtt;
}

const NodeHandle* Router::rare_case(const base::Guid& key, std::size_t prefix,
                                    const std::vector<base::NodeId>& excluded, bool spare_suspects) const {
    const NodeHandle* best = nullptr;
    const auto offer = [&](const NodeHandle& node) {
        if (node.id().common_prefix(key) < prefix || !base::closer(key, node.id(), self_.id())) return;
        if (contains(excluded, node.id()) || (spare_suspects && suspected(node.id()))) return;
        if (best == nullptr || base::closer(key, node.id(), best->id())) best = &node;
    };
    for (const Side side : {Side::clockwise, Side::counter_clockwise}) {
        for (const auto& node : leaves_.side(side)) offer(node);
    }
    table_.for_each(prefix, [&](const RoutingTable::Entry& entry) { offer(entry.node); });
    return best;
}

Effects Router::route(time_point now, const base::Guid& key, base::Message message, std::optional<NodeHandle> hint) {
    enter(now);
    Envelope envelope{.key = key, .origin = self_, .message_id = next_message_id_++, .message = std::move(message)};
    if (!hops_.has_room_for(envelope)) {
        ++counters_.lost;
        return leave();
    }
    accept(std::move(envelope), hint);
    return leave();
}

void Router::on_routed(const NodeHandle& from, Routed routed) {
    Envelope& envelope = routed.envelope;
    if (envelope.hops == 0 && envelope.origin.id() != from.id()) return;  // only the origin begins
    const Ack ack{.hop_id = routed.hop_id, .transmission = routed.transmission};
    // The same hop again: our acknowledgement was lost, or is on its way. A message that comes round by another way has
    // another number of hops, and goes on; the root drops the second copy.
    if (seen_.contains(envelope.origin.id(), envelope.message_id, envelope.hops)) {
        ++counters_.duplicates;
        send(from.address, ack);
        return;
    }
    if (!hops_.has_room_for(envelope)) return;  // unacknowledged: the sender still holds it
    seen_.insert(envelope.origin.id(), envelope.message_id, envelope.hops);
    send(from.address, ack);
    if (++envelope.hops > config_.max_hops) {
        ++counters_.lost;
        return;
    }
    accept(std::move(envelope), {});
}

void Router::accept(Envelope envelope, const std::optional<NodeHandle>& hint) {
    const auto hop_id = hops_.hold(std::move(envelope), now_);
    if (hint && hint->id() != self_.id() && !hint->address.endpoint.empty()) {
        propose(hop_id, *hops_.find(hop_id), *hint, false);
    } else {
        dispatch(hop_id);
    }
}

// Finds a way for a message that we hold, or lets it wait.
void Router::dispatch(std::uint64_t hop_id) {
    Held* held = hops_.find(hop_id);
    if (held == nullptr) return;
    const Step step = next_hop(held->envelope.key, held->excluded);
    if (step.kind == Step::Kind::deliver && active()) {
        deliver(hop_id, *held);
    } else if (step.kind == Step::Kind::send) {
        propose(hop_id, *held, *step.next, step.to_root);
    } else {
        held->next.reset();
        held->to_root = false;
        held->excluded.clear();  // whoever was slow may be back
        hops_.set_deadline(hop_id, now_ + kTryAgain);
    }
}

// The upcall comes once a node and message, before the first transmission.
void Router::propose(std::uint64_t hop_id, Held& held, const NodeHandle& next, bool to_root) {
    const bool same = held.next && held.next->id() == next.id();
    if (!same) held.next = next;
    held.to_root = to_root;
    if (held.upcalled) {
        transmit(hop_id, held);
        return;
    }
    held.upcalled = true;
    hops_.set_deadline(hop_id, now_ + config_.max_rto);
    out_.emplace_back(effect::Forward{.hop_id = hop_id, .next = next});
}

Effects Router::forward(time_point now, std::uint64_t hop_id, const NodeHandle& next) {
    enter(now);
    Held* held = hops_.find(hop_id);
    if (held != nullptr) {
        held->next = next;
        transmit(hop_id, *held);
    }
    return leave();
}

void Router::transmit(std::uint64_t hop_id, Held& held) {
    ++(held.transmission == 0 ? counters_.forwarded : counters_.resent);
    ++held.transmission;
    held.sent = now_;
    auto wait = links_.timeout(held.next->id(), config_);
    if (held.to_root) {  // the same node again: back off
        for (std::uint32_t again = 1; again < held.transmission && wait < config_.max_rto; ++again) wait *= 2;
        wait = std::min(wait, config_.max_rto);
    }
    hops_.set_deadline(hop_id, now_ + wait);
    send(held.next->address, Routed{.hop_id = hop_id, .transmission = held.transmission, .envelope = held.envelope});
}

void Router::deliver(std::uint64_t hop_id, Held& held) {
    Envelope envelope = std::move(held.envelope);
    hops_.drop(hop_id);
    if (!seen_.insert(envelope.origin.id(), envelope.message_id, Seen::kDelivered)) {
        ++counters_.duplicates;
        return;
    }
    ++counters_.delivered;
    out_.emplace_back(effect::Deliver{.envelope = std::move(envelope)});
}

void Router::on_ack(const NodeHandle& from, const Ack& ack) {
    const Held* held = hops_.find(ack.hop_id);
    if (held == nullptr || held->transmission == 0) return;
    const bool ours = (held->next && held->next->id() == from.id()) || contains(held->excluded, from.id());
    if (!ours || ack.transmission == 0 || ack.transmission > held->transmission) return;
    if (ack.transmission == held->transmission && held->next && held->next->id() == from.id()) {
        links_.sample(from.id(), now_ - held->sent);
    }
    hops_.drop(ack.hop_id);
}

void Router::on_hop_timers() {
    for (const auto hop_id : hops_.overdue(now_)) {
        Held* held = hops_.find(hop_id);
        if (held == nullptr) continue;
        if (now_ - held->accepted > config_.hold_limit) {
            ++counters_.lost;
            hops_.drop(hop_id);
            continue;
        }
        if (held->next && held->transmission > 0) {
            const NodeHandle silent = *held->next;
            if (!held->to_root && !contains(held->excluded, silent.id())) held->excluded.push_back(silent.id());
            if (leaves_.contains(silent.id()) || table_.contains(silent.id())) probe(silent, Reason::silence);
        }
        dispatch(hop_id);
    }
}

void Router::dispatch_waiting() {
    for (const auto hop_id : hops_.waiting()) dispatch(hop_id);
}

}  // namespace pastry
