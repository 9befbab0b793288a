// The requests of a link, both ways. Its connections: link_connections.cpp.
#include "link.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace base::host {

namespace {

constexpr std::size_t kQueuedNotifies = 64;  // while there is no connection yet
constexpr std::size_t kQueuedNotifyBytes = 256U << 10U;

bool within_limits(const Message& message) {
    return message.header.size() <= kMaxHeaderBytes && message.payload.size() <= kMaxPayloadBytes;
}

}  // namespace

Link::Link(std::shared_ptr<LinkContext> context, Peer peer, Dial dial)
    : context_{std::move(context)},
      dial_{std::move(dial)},
      peer_{std::move(peer)},
      endpoint_{peer_.address.endpoint},
      // An answer that was meant for an earlier life of this process must not fit a request of this one.
      next_id_{context_->rng.next() | 1U},
      last_used_{context_->clock.now()} {}

/// Keeps a request's time, and takes it out of the books when its caller has its answer or is cancelled.
struct Link::Waiting {
    Waiting(Link& owner, std::shared_ptr<Pending> request, TimePoint deadline)
        : link{owner}, pending{std::move(request)} {
        timer = link.context_->clock.schedule(deadline, [weak = link.weak_from_this(), pending = pending] {
            if (const auto alive = weak.lock()) alive->finish(pending, alive->about(Errc::timed_out));
        });
    }
    ~Waiting() {
        link.context_->clock.cancel(timer);
        link.finish(pending, Error{Errc::stopped});
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

    Link& link;
    std::shared_ptr<Pending> pending;
    Clock::TimerId timer = 0;
};

Error Link::about(const Error& why) const {
    std::string who;
    if (!peer_.address.id.is_zero()) who = "node " + peer_.address.id.short_hex();
    if (!endpoint_.empty()) who += (who.empty() ? "" : " at ") + endpoint_;
    return who.empty() ? why : why.with(who);
}

Task<Result<Message>> Link::request(Message message, TimePoint deadline) {
    const auto self = shared_from_this();
    if (context_->stopped) co_return Error{Errc::stopped};
    if (!within_limits(message)) co_return Error{Errc::bad_argument, "message beyond the limits"};
    last_used_ = context_->clock.now();
    if (last_used_ >= deadline) co_return about(Errc::timed_out);
    const auto pending = std::make_shared<Pending>(context_->executor, std::move(message));
    const Waiting waiting{*this, pending, deadline};
    submit(pending);
    co_await pending->done.wait();
    co_return std::move(*pending->result);
}

/// One alone always fits, however large.
bool Link::Load::admits(std::size_t more_bytes, const ConnectionLimits& limits) const {
    return requests == 0 ||
           (requests < limits.requests_per_peer && bytes + more_bytes <= limits.in_flight_bytes_per_peer);
}

void Link::submit(const std::shared_ptr<Pending>& pending) {
    auto& [waiting, bytes, sent] = window(pending->traffic);
    const auto& limits = context_->limits;
    if (waiting.size() >= limits.waiting_requests_per_peer || bytes + pending->bytes > limits.waiting_bytes_per_peer)
        return finish(pending, about(Error{Errc::busy, "too much waits for it"}));
    waiting.push_back(pending);
    bytes += pending->bytes;
    admit_waiting();
}

/// In order of asking, as far as the windows allow. A start can fail at once and come back here, hence the guard.
void Link::admit_waiting() {
    if (std::exchange(admitting_, true)) return;
    for (auto& [waiting, bytes, sent] : windows_) {
        while (!waiting.empty() && sent.admits(waiting.front()->bytes, context_->limits)) {
            const auto pending = std::move(waiting.front());
            waiting.pop_front();
            bytes -= pending->bytes;
            start(pending);
        }
    }
    admitting_ = false;
}

void Link::start(const std::shared_ptr<Pending>& pending) {
    pending->id = next_id_++;
    sent_.emplace(pending->id, pending);
    auto& load = window(pending->traffic).sent;
    ++load.requests;
    load.bytes += pending->bytes;
    send(Frame{FrameType::request, pending->id, std::move(pending->message)});
}

void Link::finish(const std::shared_ptr<Pending>& pending, Result<Message> result) {
    if (pending->result) return;
    pending->result.emplace(std::move(result));
    pending->done.set();
    auto& [waiting, bytes, sent] = window(pending->traffic);
    if (pending->id == 0) {
        bytes -= std::erase(waiting, pending) * pending->bytes;
    } else if (sent_.erase(pending->id) > 0) {
        --sent.requests;
        sent.bytes -= pending->bytes;
    }
    admit_waiting();
}

void Link::fail_all(const Error& why) {
    std::vector<std::shared_ptr<Pending>> lost;
    for (const auto& [id, pending] : sent_) lost.push_back(pending);
    if (context_->stopped) {
        for (const auto& [waiting, bytes, sent] : windows_) lost.insert(lost.end(), waiting.begin(), waiting.end());
    }
    for (const auto& pending : lost) finish(pending, why);
}

void Link::notify(Message message) {
    if (context_->stopped || !within_limits(message)) return;
    last_used_ = context_->clock.now();
    Frame frame{FrameType::notify, 0, std::move(message)};
    const auto channel = context_->single_channel ? Channel::control : frame.channel();
    if (const auto connection = pick(channel)) {
        if (connection->queued_bytes() <= context_->limits.queued_notify_bytes) connection->send(std::move(frame));
        return;
    }
    auto& waiting = pending_queue(channel);
    if (waiting.frames.size() >= kQueuedNotifies || waiting.bytes + frame.size() > kQueuedNotifyBytes) return;
    send(std::move(frame));
}

// --- Frames of the peer

void Link::on_frame(const std::shared_ptr<Connection>& from, Frame frame) {
    last_used_ = context_->clock.now();
    switch (frame.head.type) {
        case FrameType::request: return on_request(from, std::move(frame));
        case FrameType::response:
        case FrameType::error: return on_answer(std::move(frame));
        case FrameType::notify: {
            const Peer sender = peer_;  // the handler may change what we know of the peer
            return context_->services.deliver(sender, std::move(frame.message));
        }
        case FrameType::want_bulk:
            if (from->we_dialled() && !pick(Channel::bulk)) want_connection(Channel::bulk);
            return;
        case FrameType::hello:
        case FrameType::ping:
        case FrameType::pong:
        case FrameType::bye: return;  // the connection's own
    }
}

void Link::on_request(const std::shared_ptr<Connection>& from, Frame frame) {
    const auto& limits = context_->limits;
    if (queued_bytes() > 2 * limits.in_flight_bytes_per_peer) {
        return from->close(Error{Errc::bad_format, "asks and does not read the answers"});
    }
    const auto traffic = traffic_of(frame.message);
    auto& load = serving_[static_cast<std::size_t>(traffic)];
    const bool flooded = traffic == Traffic::overlay && queued_bytes() > limits.in_flight_bytes_per_peer;
    if (flooded || !load.admits(frame.message.size(), limits)) {
        return answer(frame.head.id, Error{Errc::busy, "too much under way"});
    }
    ++load.requests;
    load.bytes += frame.message.size();
    if (traffic == Traffic::overlay) {
        context_->tasks.spawn(serve(from, frame.head.id, std::move(frame.message)));
    } else {
        held_.push_back({from, frame.head.id, std::move(frame.message)});
        serve_held();
    }
}

/// Who reads slowly is answered slowly: what it did not read yet and what is being looked up for it stay within the
/// window. One alone always fits.
void Link::serve_held() {
    const auto window = context_->limits.in_flight_bytes_per_peer;
    while (!held_.empty()) {
        const auto expected = answering_ == 0 ? 0 : (answering_ + 1) * kMaxBlockBytes;
        if (queued_bytes() + expected > window) return;
        auto next = std::move(held_.front());
        held_.pop_front();
        ++answering_;
        context_->tasks.spawn(serve(std::move(next.origin), next.id, std::move(next.message)));
    }
}

void Link::release(const Message& request) {
    auto& load = serving_[static_cast<std::size_t>(traffic_of(request))];
    --load.requests;
    load.bytes -= request.size();
}

Task<void> Link::serve(std::weak_ptr<Connection> origin, std::uint64_t id, Message message) {
    const auto self = shared_from_this();
    struct Served {
        Load& load;
        std::size_t* answering;
        std::size_t bytes;
        ~Served() {
            --load.requests;
            load.bytes -= bytes;
            if (answering != nullptr) --*answering;
        }
    };
    const auto traffic = traffic_of(message);
    Result<Message> result = Error{Errc::stopped};
    {
        const Served served{serving_[static_cast<std::size_t>(traffic)],
                            traffic == Traffic::data ? &answering_ : nullptr, message.size()};
        Peer sender = peer_;
        result = co_await context_->services.answer(std::move(sender), std::move(message));
    }
    // If the connection that brought it is gone, so is the peer's interest (and its numbering).
    const auto connection = origin.lock();
    if (connection && !connection->closed()) answer(id, std::move(result));
    serve_held();
}

void Link::answer(std::uint64_t id, Result<Message> result) {
    if (result && !within_limits(*result)) result = Error{Errc::bad_format, "an answer beyond the limits"};
    if (result) {
        send(Frame{FrameType::response, id, std::move(*result)});
    } else {
        send(Frame{FrameType::error, id, encode_error(result.error())});
    }
}

void Link::on_answer(Frame frame) {
    const auto found = sent_.find(frame.head.id);
    if (found == sent_.end()) return;  // its deadline has passed
    const auto pending = found->second;
    if (frame.head.type == FrameType::response) return finish(pending, std::move(frame.message));
    auto error = decode_error(frame.message.header);
    finish(pending, error ? std::move(*error) : about(Error{Errc::bad_format, "a malformed error"}));
}

}  // namespace base::host
