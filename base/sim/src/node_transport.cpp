#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/limits.hpp"
#include "cancellation.hpp"
#include "incarnation.hpp"
#include "network_state.hpp"
#include "resume_later.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace asio = boost::asio;

namespace {

/// As it comes out of the wire: only errors of registered categories keep their meaning.
Error over_the_wire(const Error& error) {
    return {error_from_wire(error.code().category().name(), error.code().value()), error.detail()};
}

bool too_big(const Message& message) {
    return message.header.size() > kMaxHeaderBytes || message.payload.size() > kMaxPayloadBytes;
}

struct WaitForAnswer {
    template <class Handler>
    void operator()(Handler handler, NodeTransport* transport, std::shared_ptr<NodeTransport::Pending> pending) const {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([transport, request = pending->id](asio::cancellation_type) { transport->abort(request); });
        }
        pending->resume = resume_later(std::move(handler));
    }
};

}  // namespace

const Address& NodeTransport::self() const { return process_.node.address(); }

void NodeTransport::serve(Service service, RequestHandler on_request, NotifyHandler on_notify) {
    std::erase_if(handlers_, [service](const Handlers& handlers) { return handlers.service == service; });
    if (on_request || on_notify) handlers_.push_back({service, std::move(on_request), std::move(on_notify)});
}

const NodeTransport::Handlers* NodeTransport::handlers(std::uint16_t kind) const {
    for (const auto& candidate : handlers_) {
        if (static_cast<unsigned>(candidate.service) == kind >> 8U) return &candidate;
    }
    return nullptr;
}

void NodeTransport::notify(const Address& to, Message message) {
    if (!process_.alive) return;
    auto& world = process_.world;
    const auto target = world.by_id.find(to.id);
    if (target == world.by_id.end() || to.endpoint.empty() || too_big(message)) return;
    auto& network = *world.network->state_;
    auto& counter = network.counter(process_.node.index());
    ++counter.traffic.notifies_sent;
    Delivery delivery;
    delivery.kind = Delivery::Kind::notify;
    delivery.from = process_.node.index();
    delivery.to = target->second;
    delivery.message = std::move(message);
    if (delivery.to != delivery.from) counter.contacted.insert(delivery.to);
    network.send(std::move(delivery));
}

Task<Result<Message>> NodeTransport::request(Address to, Message message, TimePoint deadline) {
    process_.require_alive();
    if (too_big(message)) co_return Error{Errc::bad_argument, "message over the limit"};
    const auto pending = begin(to, std::move(message), deadline);
    if (pending->id == 0) co_return std::move(pending->result);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
        WaitForAnswer{}, asio::use_awaitable, this, pending);
    co_return std::move(pending->result);
}

std::shared_ptr<NodeTransport::Pending> NodeTransport::begin(const Address& to, Message message, TimePoint deadline) {
    auto& world = process_.world;
    auto& network = *world.network->state_;
    const NodeIndex self = process_.node.index();
    auto& counter = network.counter(self);
    auto pending = std::make_shared<Pending>();
    const auto target = world.by_id.find(to.id);
    if (target == world.by_id.end() || to.endpoint.empty()) {
        pending->result = Error{Errc::unreachable, "no node " + to.id.short_hex() + " at '" + to.endpoint + "'"};
        return pending;
    }
    pending->to = target->second;
    pending->bytes = message.size();
    auto& load = load_[pending->to];
    const bool full = load.requests >= kMaxStreamsPerPeer || load.bytes + pending->bytes > kMaxInFlightBytesPerPeer;
    if (full && pending->to != self) {
        ++counter.traffic.requests_busy;
        pending->result = Error{Errc::busy, "too much under way with " + to.endpoint};
        return pending;
    }
    ++load.requests;
    load.bytes += pending->bytes;
    pending->id = ++network.next_request;
    pending_.emplace(pending->id, pending);
    const auto give_up = std::max(world.now, process_.clock.world_time(deadline));
    ScheduledEvent expiry;
    expiry.owner = &process_;
    expiry.callback = [this, id = pending->id] { finish(id, Error{Errc::timed_out}); };
    pending->timer = world.queue.add(give_up, std::move(expiry));
    if (pending->to != self) {
        ++counter.traffic.requests_sent;
        counter.contacted.insert(pending->to);
        ++counter.under_way[pending->to];
        counter.traffic.peers_peak = std::max(counter.traffic.peers_peak, counter.under_way.size());
    }
    Delivery delivery;
    delivery.kind = Delivery::Kind::request;
    delivery.from = self;
    delivery.to = pending->to;
    delivery.request = pending->id;
    delivery.give_up = give_up;
    delivery.message = std::move(message);
    network.send(std::move(delivery));
    return pending;
}

std::shared_ptr<NodeTransport::Pending> NodeTransport::take(std::uint64_t request) {
    const auto found = pending_.find(request);
    if (found == pending_.end()) return nullptr;
    auto pending = std::move(found->second);
    pending_.erase(found);
    process_.world.queue.cancel(pending->timer);
    if (const auto load = load_.find(pending->to); load != load_.end()) {
        load->second.bytes -= pending->bytes;
        if (--load->second.requests == 0) load_.erase(load);
    }
    if (pending->to != process_.node.index()) {
        auto& under_way = process_.world.network->state_->counter(process_.node.index()).under_way;
        const auto peer = under_way.find(pending->to);
        if (peer != under_way.end() && --peer->second == 0) under_way.erase(peer);
    }
    return pending;
}

void NodeTransport::finish(std::uint64_t request, Result<Message> result) {
    const auto pending = take(request);
    if (!pending) return;
    pending->result = std::move(result);
    pending->resume(nullptr);
}

void NodeTransport::abort(std::uint64_t request) {
    const auto pending = take(request);
    if (!pending) return;
    pending->resume(std::make_exception_ptr(boost::system::system_error{asio::error::operation_aborted}));
}

std::size_t NodeTransport::abort_all() {
    const std::size_t count = pending_.size();
    while (!pending_.empty()) abort(pending_.begin()->first);
    return count;
}

void NodeTransport::answer(NodeIndex to, std::uint64_t request, TimePoint give_up, Result<Message> result) {
    if (!process_.alive || serving.erase(request) == 0) return;
    Delivery delivery;
    delivery.kind = Delivery::Kind::answer;
    delivery.from = process_.node.index();
    delivery.to = to;
    delivery.request = request;
    delivery.give_up = give_up;
    if (result) {
        delivery.message = std::move(*result);
    } else {
        delivery.error = std::make_unique<Error>(std::move(result).error());
    }
    process_.world.network->state_->send(std::move(delivery));
}

namespace {

Task<void> serve_one(NodeTransport& transport, Transport::RequestHandler handler, Peer from, Message message,
                     NodeIndex caller, std::uint64_t request, TimePoint give_up) {
    auto result = co_await handler(std::move(from), std::move(message));
    transport.answer(caller, request, give_up, std::move(result));
}

}  // namespace

void NodeTransport::receive(Delivery& delivery) {
    auto& world = process_.world;
    auto& traffic = world.network->state_->counter(process_.node.index()).traffic;
    switch (delivery.kind) {
        case Delivery::Kind::notify: {
            ++traffic.notifies_received;
            const auto* found = handlers(delivery.message.kind);
            if (found == nullptr || !found->on_notify) return;
            const auto handler = found->on_notify;  // it may replace itself
            handler(world.owner.node(delivery.from).peer(), std::move(delivery.message));
            return;
        }
        case Delivery::Kind::request: {
            ++traffic.requests_received;
            serving.emplace(delivery.request, delivery.from);
            const auto* found = handlers(delivery.message.kind);
            if (found == nullptr || !found->on_request) {
                return answer(delivery.from, delivery.request, delivery.give_up, Errc::unsupported);
            }
            Peer from = world.owner.node(delivery.from).peer();
            process_.spawn(serve_one(*this, found->on_request, std::move(from), std::move(delivery.message),
                                     delivery.from, delivery.request, delivery.give_up));
            return;
        }
        case Delivery::Kind::answer:
            if (delivery.error) return finish(delivery.request, over_the_wire(*delivery.error));
            if (too_big(delivery.message)) return finish(delivery.request, Errc::bad_format);
            return finish(delivery.request, std::move(delivery.message));
        case Delivery::Kind::refused: return finish(delivery.request, Error{Errc::unreachable, "connection refused"});
        case Delivery::Kind::none: return;
    }
}

}  // namespace base::sim
