// The connections of a link: which one a frame takes, who dials, what happens when one ends.
#include <algorithm>

#include "base/error.hpp"
#include "link.hpp"

namespace base::host {

void Link::send(Frame frame) {
    const auto channel = context_->single_channel ? Channel::control : frame.channel();
    if (const auto connection = pick(channel)) return connection->send(std::move(frame));
    const bool is_answer = frame.head.type == FrameType::response || frame.head.type == FrameType::error;
    if (is_answer && connections_.empty()) return;
    auto& waiting = pending_queue(channel);
    waiting.bytes += frame.size();
    waiting.frames.push_back(std::move(frame));
    want_connection(channel);
}

std::shared_ptr<Connection> Link::pick(Channel channel) const {
    for (auto it = connections_.rbegin(); it != connections_.rend(); ++it) {
        if ((*it)->usable() && (*it)->channel() == channel) return *it;
    }
    return nullptr;
}

std::shared_ptr<Connection> Link::pick_any() const {
    if (auto control = pick(Channel::control)) return control;
    return pick(Channel::bulk);
}

std::size_t Link::queued_bytes() const {
    std::size_t bytes = pending_queues_[0].bytes + pending_queues_[1].bytes;
    for (const auto& connection : connections_) bytes += connection->queued_bytes();
    return bytes;
}

/// Whoever dialled what is there dials the rest, too: the other way round may be closed (address translation).
void Link::want_connection(Channel channel) {
    auto& waiting = pending_queue(channel);
    if (waiting.dialling || waiting.asked) return;
    if (context_->stopped) return drop_pending(channel, Error{Errc::stopped});
    const bool they_dialled = !connections_.empty() && std::none_of(connections_.begin(), connections_.end(),
                                                                    [](const auto& c) { return c->we_dialled(); });
    if (they_dialled && channel == Channel::bulk) {
        if (const auto control = pick(Channel::control)) {
            waiting.asked = true;
            control->send(Frame{FrameType::want_bulk, 0, Bytes{}});
            context_->tasks.spawn(wait_for_bulk());
            return;
        }
    }
    if (!dial_ || endpoint_.empty())
        return send_or_drop_pending(channel, Error{Errc::unreachable, "not connected to us"});
    if (context_->clock.now() < waiting.not_before) {
        const bool removed = waiting.last_failure == Errc::removed;  // which is known, not a state of the network
        const auto why = removed ? waiting.last_failure : Error{Errc::unreachable, waiting.last_failure.detail()};
        return send_or_drop_pending(channel, why);
    }
    waiting.dialling = true;
    context_->tasks.spawn(dial_and_attach(channel));
}

Task<void> Link::wait_for_bulk() {
    const auto self = shared_from_this();
    co_await context_->clock.sleep_for(context_->limits.bulk_wait);
    auto& waiting = pending_queue(Channel::bulk);
    if (!waiting.asked) co_return;
    waiting.asked = false;
    send_or_drop_pending(Channel::bulk, Error{Errc::unreachable, "no bulk connection"});
}

Task<void> Link::dial_and_attach(Channel channel) {
    const auto self = shared_from_this();
    const auto tried = endpoint_;
    auto connection = co_await dial_(self, channel);
    auto& waiting = pending_queue(channel);
    waiting.dialling = false;
    if (connection) {
        auto there = peer_;
        there.address.endpoint = tried;  // it may have moved since we first heard of it
        attach(std::move(*connection), std::move(there));
    } else if (tried != endpoint_ && !waiting.frames.empty()) {
        want_connection(channel);  // meanwhile we were told of a better address
    } else {
        dial_failed(channel, connection.error());
    }
}

void Link::dial_failed(Channel channel, const Error& why) {
    auto& waiting = pending_queue(channel);
    const auto& limits = context_->limits;
    waiting.backoff = std::clamp(waiting.backoff * 2, limits.first_backoff, limits.longest_backoff);
    // Half to all of it, so that peers that lost the same node do not come back in step.
    const auto jittered = waiting.backoff / 2 +
                          Duration{context_->rng.below(static_cast<std::uint64_t>(waiting.backoff.count() / 2 + 1))};
    waiting.not_before = context_->clock.now() + jittered;
    waiting.last_failure = why;
    send_or_drop_pending(channel, why);
}

void Link::send_or_drop_pending(Channel channel, const Error& why) {
    if (const auto connection = pick_any()) {
        send_pending(channel, connection);
    } else {
        drop_pending(channel, why);
    }
}

void Link::send_pending(Channel channel, const std::shared_ptr<Connection>& connection) {
    auto& waiting = pending_queue(channel);
    waiting.bytes = 0;
    for (auto& frame : std::exchange(waiting.frames, {})) {
        const bool given_up = frame.head.type == FrameType::request && !sent_.contains(frame.head.id);
        if (!given_up) connection->send(std::move(frame));
    }
}

void Link::drop_pending(Channel channel, const Error& why) {
    auto& waiting = pending_queue(channel);
    waiting.bytes = 0;
    for (const auto& frame : std::exchange(waiting.frames, {})) {
        if (frame.head.type != FrameType::request) continue;
        const auto found = sent_.find(frame.head.id);
        if (found == sent_.end()) continue;
        const auto pending = found->second;
        finish(pending, about(why));
    }
}

void Link::dial_at(const std::string& endpoint) {
    if (endpoint.empty() || endpoint == endpoint_) return;
    endpoint_ = endpoint;
    for (auto& waiting : pending_queues_) {
        waiting.not_before = {};
        waiting.backoff = Duration{0};
    }
}

void Link::attach(std::shared_ptr<Connection> connection, Peer peer) {
    if (context_->stopped) return connection->close(Error{Errc::stopped});
    peer_ = std::move(peer);
    dial_at(peer_.address.endpoint);
    last_used_ = context_->clock.now();
    for (auto& waiting : pending_queues_) {  // it is alive
        waiting.not_before = {};
        waiting.backoff = Duration{0};
    }
    if (connections_.size() >= context_->limits.connections_per_peer) {
        const auto oldest =
            *std::min_element(connections_.begin(), connections_.end(),
                              [](const auto& a, const auto& b) { return a->last_used() < b->last_used(); });
        oldest->close(Error{Errc::unreachable, "too many connections"});
    }
    connections_.push_back(connection);
    Connection::Events events;
    events.on_frame = [weak = weak_from_this()](const std::shared_ptr<Connection>& from, Frame frame) {
        if (const auto self = weak.lock()) self->on_frame(from, std::move(frame));
    };
    events.may_close = [weak = weak_from_this()] {
        const auto self = weak.lock();
        return !self || self->idle();
    };
    events.on_written = [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->serve_held();
    };
    events.on_closed = [weak = weak_from_this()](const std::shared_ptr<Connection>& ended, const Error& why,
                                                 bool orderly) {
        if (const auto self = weak.lock()) self->on_closed(ended, why, orderly);
    };
    connection->start(context_->tasks, std::move(events));
    const auto channel = connection->channel();
    pending_queue(channel).asked = false;
    send_pending(channel, connection);
}

/// After a break nobody knows which answers are lost, also those that would have come on another connection: all fail.
void Link::on_closed(const std::shared_ptr<Connection>& connection, const Error& why, bool orderly) {
    std::erase(connections_, connection);
    for (const auto& request : std::exchange(held_, {})) {
        if (request.origin.lock() == connection) {
            release(request.message);
        } else {
            held_.push_back(request);
        }
    }
    const bool broke_a_rule = why == Errc::bad_format;
    if (broke_a_rule && context_->on_misbehaviour) context_->on_misbehaviour(peer_, why);
    if (context_->stopped) return fail_all(Error{Errc::stopped});
    if (!orderly) fail_all(about(broke_a_rule ? why : Error{Errc::unreachable, why.detail()}));
    serve_held();
    if (connections_.empty() && pending_queue(Channel::bulk).asked) {
        pending_queue(Channel::bulk).asked = false;
        send_or_drop_pending(Channel::bulk, why);
    }
}

bool Link::idle() const {
    const bool lanes_empty = pending_queues_[0].frames.empty() && pending_queues_[1].frames.empty();
    const bool serving = serving_[0].requests + serving_[1].requests > 0;
    const bool asking = !sent_.empty() || !windows_[0].waiting.empty() || !windows_[1].waiting.empty();
    return lanes_empty && !serving && !asking;
}

void Link::watch(TimePoint now) {
    const bool at_rest = idle();
    for (const auto& connection : std::vector{connections_}) {
        connection->watch(now, !sent_.empty());
        if (at_rest && now - connection->last_used() >= context_->limits.idle_timeout) connection->propose_goodbye();
    }
}

bool Link::disposable(TimePoint now) const {
    const bool dialling = pending_queues_[0].dialling || pending_queues_[1].dialling;
    return connections_.empty() && idle() && !dialling && now - last_used_ >= context_->limits.idle_timeout;
}

void Link::close(const Error& why) {
    for (const auto& connection : std::vector{connections_}) connection->close(why);
    fail_all(why);
    drop_pending(Channel::control, why);
    drop_pending(Channel::bulk, why);
}

}  // namespace base::host
