#include "tapestry/node.hpp"

#include "node_impl.hpp"
#include "wire/codec.hpp"

namespace tapestry {

using base::Address;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

Node::Impl::Impl(base::NodeEnv env, pastry::Kbr& kbr, Identity identity, IsMember is_member, Config config)
    : env_{env},
      kbr_{kbr},
      identity_{std::move(identity)},
      is_member_{std::move(is_member)},
      config_{config},
      table_{{.per_object = config.max_pointers_per_object,
              .pointers = config.max_pointers,
              .bytes = config.max_pointer_bytes,
              .tombstone = config.lease},
             env.rng.next()},
      last_stamp_{static_cast<std::uint64_t>(env.clock.wall_ns())},
      born_{last_stamp_},
      news_{std::make_shared<base::Event>(env.executor)},
      tasks_{env.executor} {
    env_.transport.serve(
        base::Service::tapestry,
        [this](base::Peer from, Message message) { return on_request(std::move(from), std::move(message)); }, {});
    kbr_.attach(base::Service::tapestry, this);
}

Node::Impl::~Impl() {
    kbr_.attach(base::Service::tapestry, nullptr);
    env_.transport.serve(base::Service::tapestry, {}, {});
}

void Node::Impl::start(bool first) {
    complete_ = first;
    warming_up_ = !first;
    if (!first) tasks_.spawn(take_over());
    tasks_.spawn(announce_forever());
}

Task<void> Node::Impl::stop() {
    tasks_.cancel();
    co_await tasks_.join();
}

Task<Result<Message>> Node::Impl::call(Address to, Message message) {
    const auto deadline = now() + config_.call_timeout;
    return env_.transport.request(std::move(to), std::move(message), deadline);
}

Task<Result<Message>> Node::Impl::on_request(base::Peer from, Message message) {
    const auto verb = static_cast<Verb>(message.verb());
    switch (verb) {
        case Verb::publish: co_return co_await on_publish(std::move(message));
        case Verb::deliver: co_return co_await on_deliver(std::move(message));
        case Verb::hand_over: co_return co_await on_hand_over(from.address.id, message);
        case Verb::neighbour_query: co_return on_neighbour_query(message);
        case Verb::have: co_return on_have(message);
        case Verb::found:
        case Verb::arrived: told(from.address.id, message); co_return encode_done(verb);
        case Verb::find: break;
    }
    co_return base::Errc::unsupported;
}

// ---- answers

void Node::Impl::told(const NodeId& by, const Message& message) {
    if (message.verb() == static_cast<std::uint8_t>(Verb::found)) on_found(by, message);
    if (message.verb() != static_cast<std::uint8_t>(Verb::arrived)) return;
    if (const auto acknowledgements = decode_arrived(message.header)) acknowledged(*acknowledgements);
}

void Node::Impl::tell(const NodeId& who, Message message, unsigned round) {
    if (who == self().id) {
        told(who, message);
    } else if (telling_ < config_.max_answers) {
        ++telling_;
        tasks_.spawn(tell_somebody(who, std::move(message), round));
    } else if (is_member_(who)) {
        kbr_.route(who, std::move(message), other_way(who, round));
    }
}

// To a node that KBR knows where KBR knows it, or over a connection that is there; else by KBR to its id. So nobody is
// dialled at an address because a question said so. A client has no place on the ring: it is answered over the
// connection that it made, or not at all.
Task<void> Node::Impl::tell_somebody(NodeId who, Message message, unsigned round) {
    const auto known = kbr_.find(who);
    Address to{who, {}};
    if (known) to = known->address;
    auto copy = message;
    const auto heard = co_await call(std::move(to), std::move(copy));
    --telling_;
    if (heard) co_return;
    if (known && is_silence(heard.error())) kbr_.suspect(who);
    if (is_member_(who)) kbr_.route(who, std::move(message), other_way(who, round));
}

// ---- the ring

void Node::Impl::update(const pastry::NodeHandle& node, bool joined) {
    change_.note(node.id(), joined);
    if (std::exchange(moving_, true)) return;
    tasks_.spawn(move_pointers());
}

Status Node::Impl::status() const {
    auto status = counters_;
    status.published = own_.size();
    status.pointers = table_.pointers();
    status.publishers = table_.publishers();
    status.pointer_bytes = table_.bytes();
    return status;
}

std::vector<NodeId> Node::Impl::pointers_to(const Guid& object) const {
    std::vector<NodeId> nodes;
    for (const auto& pointer : table_.find(now(), object)) nodes.push_back(pointer.publisher.id);
    return nodes;
}

// ---- the face

Node::Node(base::NodeEnv env, pastry::Kbr& kbr, Identity identity, IsMember is_member, Config config)
    : impl_{std::make_unique<Impl>(env, kbr, std::move(identity), std::move(is_member), config)} {}
Node::~Node() = default;

void Node::start(bool first) { impl_->start(first); }
Task<void> Node::stop() { return impl_->stop(); }
void Node::publish(const std::vector<Guid>& objects) { impl_->publish(objects); }
void Node::unpublish(const std::vector<Guid>& objects) { impl_->unpublish(objects); }
Said Node::said(const Guid& object) const { return impl_->said(object); }
Task<std::vector<Guid>> Node::published(std::vector<Guid> objects, TimePoint deadline) {
    return impl_->published(std::move(objects), deadline);
}
Task<Result<Located>> Node::locate(Guid object, TimePoint deadline, bool trace) {
    return impl_->locate(object, deadline, trace);
}
Task<Result<Located>> Node::locate_others(Guid object, std::vector<NodeId> failed, TimePoint deadline) {
    return impl_->locate_others(object, std::move(failed), deadline);
}
Task<Result<std::vector<Location>>> Node::other_holders(Guid object, std::vector<NodeId> known, TimePoint deadline) {
    return impl_->other_holders(object, std::move(known), deadline);
}
Task<Result<unsigned>> Node::send_to_object(Guid object, base::SharedBytes message, unsigned replicas,
                                            TimePoint deadline) {
    return impl_->send(object, std::move(message), replicas, deadline);
}
void Node::on_message(OnMessage handler) { impl_->on_message(std::move(handler)); }
Status Node::status() const { return impl_->status(); }
std::vector<NodeId> Node::pointers_to(const Guid& object) const { return impl_->pointers_to(object); }
bool Node::believes(const NodeId& publisher) const { return impl_->believes(publisher); }

}  // namespace tapestry
