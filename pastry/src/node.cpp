#include "pastry/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "codec.hpp"
#include "node_impl.hpp"
#include "pastry/error.hpp"

namespace pastry {
namespace {

constexpr const char* kChannel = "pastry";

// A node that may enter tables: it stores, and can be dialled.
bool may_be_member(const base::Peer& peer) {
    if (peer.address.endpoint.empty()) return false;
    return peer.certificate == nullptr || peer.certificate->role == base::Role::storage;
}

NodeHandle handle_of(const base::Peer& peer) {
    return {.address = peer.address,
            .failure_domain = peer.certificate == nullptr ? std::string{} : peer.certificate->failure_domain};
}

// 2^256 / the share of the ring that the leaf set spans, times its nodes.
double estimate_nodes(const LeafSet& leaves) {
    const auto members = static_cast<double>(leaves.members().size());
    if (leaves.wraps() || leaves.empty()) return members + 1;
    const auto span = [&](const base::Guid& from, const base::Guid& to) {
        const auto distance = base::clockwise_distance(from, to);
        double share = 0;
        for (std::size_t i = 8; i-- > 0;) share = (share + distance.bytes()[i]) / 256;
        return share;
    };
    const auto clockwise = leaves.side(Side::clockwise);
    const auto counter = leaves.side(Side::counter_clockwise);
    const auto& self = leaves.self().id();
    double share = 0;
    if (!clockwise.empty()) share += span(self, clockwise.back().id());
    if (!counter.empty()) share += span(counter.back().id(), self);
    return share > 0 ? std::max(members / share, members + 1) : members + 1;
}

}  // namespace

// ---- the acting half

Node::Impl::Impl(base::NodeEnv env, NodeHandle self, Config config)
    : env_{env},
      self_{std::move(self)},
      config_{config},
      router_{self_, config, env.rng.next()},
      alive_{std::make_shared<Impl*>(this)},
      merge_pause_{config.heartbeat_interval},
      tasks_{env.executor},
      phase_changed_{env.executor} {
    env_.transport.serve(
        base::Service::pastry,
        [this](base::Peer from, base::Message message) { return on_request(std::move(from), std::move(message)); },
        [this](const base::Peer& from, base::Message message) { on_notice(from, std::move(message)); });
}

Node::Impl::~Impl() {
    if (timer_ != 0) env_.clock.cancel(timer_);
    if (merge_timer_ != 0) env_.clock.cancel(merge_timer_);
    env_.transport.serve(base::Service::pastry, {}, {});
}

base::Task<void> Node::Impl::stop() {
    stopped_ = true;
    if (timer_ != 0) env_.clock.cancel(std::exchange(timer_, 0));
    if (merge_timer_ != 0) env_.clock.cancel(std::exchange(merge_timer_, 0));
    tasks_.cancel();
    co_await tasks_.join();
}

void Node::Impl::found() {
    perform(router_.found(now()));
    rearm_merge(merge_pause_);
}

void Node::Impl::expel(const base::NodeId& node) {
    perform(router_.expel(now(), node));
    std::erase_if(seeds_, [&](const auto& seed) { return seed.id == node; });
}

void Node::Impl::attach(base::Service service, Application* application) {
    if (application == nullptr) {
        applications_.erase(service);
    } else {
        applications_[service] = application;
    }
}

void Node::Impl::route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint) {
    perform(router_.route(now(), key, std::move(message), std::move(hint)));
}

void Node::Impl::adopt(const std::vector<NodeHandle>& leaf_set, const std::vector<Neighbour>& table) {
    std::vector<RoutingTable::Entry> entries;
    entries.reserve(table.size());
    for (const auto& each : table) entries.push_back({.node = each.node, .rtt = each.rtt});
    router_.adopt(now(), leaf_set, entries);
    rearm();
}

void Node::Impl::on_notice(const base::Peer& from, base::Message message) {
    if (stopped_ || !one_of_us(from.address.id)) return;
    ++received_;
    auto notice = decode_notice(std::move(message));
    if (!notice) {
        ++malformed_;  // the sender's problem; counted, so that status shows it
        return;
    }
    perform(router_.on_notice(now(), handle_of(from), may_be_member(from), std::move(*notice)));
}

base::Task<base::Result<base::Message>> Node::Impl::on_request(base::Peer from, base::Message message) {
    if (!one_of_us(from.address.id)) co_return base::Errc::removed;
    ++received_;
    if (stopped_) co_return base::Errc::stopped;
    if (message.verb() == static_cast<std::uint8_t>(Verb::ping)) co_return encode_ping();
    if (message.verb() != static_cast<std::uint8_t>(Verb::lookup)) co_return base::Errc::unsupported;
    const auto lookup = decode_lookup(message.header);
    if (!lookup) {
        ++malformed_;
        co_return lookup.error();
    }
    // Also time passes for the router so: a stalled node must notice before it answers.
    perform(router_.suspect(now(), lookup->exclude));
    const auto reply = router_.answer(*lookup);
    if (!reply) co_return reply.error();
    co_return encode(*reply);
}

// Upcalls may call route(), so effects of effects come up while we are here; each batch is a value of its own.
void Node::Impl::perform(Effects effects) {
    for (auto& each : effects) {
        std::visit([this](auto& one) { perform_one(one); }, each);
    }
    rearm();
}

void Node::Impl::perform_one(effect::Send& send) {
    ++sent_;
    const bool cargo = std::holds_alternative<Routed>(send.notice) || std::holds_alternative<Ack>(send.notice);
    if (!cargo) ++maintenance_;
    env_.transport.notify(send.to, encode(send.notice));
}

void Node::Impl::perform_one(effect::Deliver& deliver) {
    if (deliver.envelope.hops > 0) {
        upcall_deliver(std::move(deliver.envelope));
        return;
    }
    // Our own message to our own key: not from inside the caller's route().
    env_.clock.schedule(now(), [weak = std::weak_ptr{alive_}, envelope = std::move(deliver.envelope)]() mutable {
        if (const auto alive = weak.lock()) (*alive)->upcall_deliver(std::move(envelope));
    });
}

void Node::Impl::upcall_deliver(Envelope envelope) {
    if (Application* to = application(envelope.message)) {
        to->deliver(envelope.key, envelope.origin, std::move(envelope.message), envelope.hops);
    }
}

void Node::Impl::perform_one(effect::Forward& forward) {
    Envelope* envelope = router_.held(forward.hop_id);
    if (envelope == nullptr) return;
    Application* asked = application(envelope->message);
    if (asked != nullptr && !asked->forward(envelope->key, envelope->message, forward.next)) {
        router_.discard(forward.hop_id);
        return;
    }
    perform(router_.forward(now(), forward.hop_id, forward.next));
}

void Node::Impl::perform_one(effect::Changed& changed) {
    if (env_.log.enabled(base::Log::Level::debug)) {
        env_.log.write(base::Log::Level::debug, kChannel,
                       fmt::format("neighbour {} {}", changed.node.id().short_hex(), changed.joined ? "in" : "out"));
    }
    const auto applications = applications_;  // an upcall may attach or detach
    for (const auto& [service, application] : applications) application->update(changed.node, changed.joined);
    // Where most were lost, the ring may be torn: look for the other part soon.
    if (changed.joined || seeds_.empty()) return;
    if (router_.absent().size() > router_.leaves().members().size()) rearm_merge(config_.heartbeat_interval);
}

void Node::Impl::perform_one(effect::Active& active) {
    env_.log.write(base::Log::Level::debug, kChannel, active.active ? "active" : "not active: asking the leaf set");
    phase_changed_.pulse();
}

Application* Node::Impl::application(const base::Message& message) const {
    const auto found = applications_.find(message.service());
    return found == applications_.end() ? nullptr : found->second;
}

void Node::Impl::rearm() {
    const auto next = router_.next_timer();
    if (!next || stopped_) return;
    if (timer_ != 0 && timer_at_ <= *next) return;  // it fires early enough, and looks again
    if (timer_ != 0) env_.clock.cancel(timer_);
    timer_at_ = *next;
    timer_ = env_.clock.schedule(timer_at_, [this] { on_timer(); });
}

void Node::Impl::on_timer() {
    timer_ = 0;
    perform(router_.on_timer(now()));
}

Status Node::Impl::status() const {
    const auto& counters = router_.counters();
    return {.active = router_.active(),
            .converged = router_.leaves().converged(),
            .leaf_set = router_.leaves().members(),
            .table_rows = router_.table().rows(),
            .table_entries = router_.table().entries(),
            .absent = router_.absent().size(),
            .held_messages = router_.held_messages(),
            .sent = sent_,
            .received = received_,
            .malformed = malformed_,
            .maintenance = maintenance_,
            .delivered = counters.delivered,
            .forwarded = counters.forwarded,
            .resent = counters.resent,
            .duplicates = counters.duplicates,
            .lost = counters.lost,
            .declared_faulty = counters.declared_faulty,
            .estimated_nodes = estimate_nodes(router_.leaves())};
}

// ---- the face

Node::Node(base::NodeEnv env, NodeHandle self, Config config)
    : impl_{std::make_unique<Impl>(env, std::move(self), config)} {}
Node::~Node() = default;

void Node::know_members(std::function<bool(const base::NodeId&)> is_member) {
    impl_->router().know_members(std::move(is_member));
}
void Node::found() { impl_->found(); }

base::Task<base::Result<void>> Node::join(std::vector<base::Address> seeds, base::TimePoint deadline,
                                          IfAllWait if_all_wait) {
    return impl_->join(std::move(seeds), deadline, if_all_wait);
}

base::Task<void> Node::stop() { return impl_->stop(); }
void Node::admit_only(std::function<bool(const base::NodeId&)> is_one_of_us) {
    impl_->admit_only(std::move(is_one_of_us));
}
void Node::visit(const std::vector<base::Address>& members) { impl_->visit(members); }
void Node::expel(const base::NodeId& node) { impl_->expel(node); }
void Node::contact(base::Address member) { impl_->contact(std::move(member)); }
const NodeHandle& Node::self() const { return impl_->self(); }
const Config& Node::config() const { return impl_->config(); }
const Router& Node::router() const { return impl_->router(); }

void Node::attach(base::Service service, Application* application) { impl_->attach(service, application); }

void Node::route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint) {
    impl_->route(key, std::move(message), std::move(hint));
}

std::vector<NextHop> Node::next_hops(const base::Guid& key, std::size_t count) const {
    return impl_->router().next_hops(key, count);
}

std::vector<NodeHandle> Node::replica_set(const base::Guid& key, std::size_t count) const {
    if (!active()) return {};
    return impl_->router().leaves().closest(key, count);
}

base::Task<base::Result<std::vector<NodeHandle>>> Node::find_replica_set(base::Guid key, std::size_t count,
                                                                         base::TimePoint deadline) {
    auto here = replica_set(key, count);
    if (!here.empty() || count == 0) co_return here;
    BASE_CO_TRY(auto walk, co_await impl_->find_root(key, count, deadline));
    co_return std::move(walk.root.replicas);
}

std::vector<NodeHandle> Node::neighbours() const { return impl_->router().leaves().members(); }
std::vector<AbsentNode> Node::absent() const { return impl_->router().absent(); }
bool Node::active() const { return impl_->router().active(); }
std::optional<NodeHandle> Node::find(const base::NodeId& node) const { return impl_->router().find(node); }
std::optional<base::Duration> Node::rtt(const base::NodeId& node) const { return impl_->router().rtt(node); }
void Node::suspect(const base::NodeId& node) { impl_->perform(impl_->router().suspect(impl_->now(), {node})); }

base::Task<base::Result<std::vector<TraceHop>>> Node::trace(base::Guid key, base::TimePoint deadline) {
    BASE_CO_TRY(auto walk, co_await impl_->find_root(key, 0, deadline));
    co_return std::move(walk.hops);
}

base::Task<base::Result<base::Duration>> Node::ping(NodeHandle node, base::TimePoint deadline) {
    return impl_->ping(std::move(node), deadline);
}

Status Node::status() const { return impl_->status(); }
std::vector<NodeHandle> Node::known_peers(std::size_t limit) const { return impl_->known_peers(limit); }

void Node::adopt(const std::vector<NodeHandle>& leaf_set, const std::vector<Neighbour>& table) {
    impl_->adopt(leaf_set, table);
}

}  // namespace pastry
