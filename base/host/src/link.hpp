// Everything between us and one peer: its connections, what waits for one, and the requests under way both ways.
#pragma once

#include <array>
#include <boost/asio/dispatch.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/rng.hpp"
#include "connection.hpp"
#include "services.hpp"

namespace base::host {

/// What the links of one transport share. The transport outlives its links' coroutines by owning `tasks`.
struct LinkContext : std::enable_shared_from_this<LinkContext> {
    LinkContext(Executor executor_in, Clock& clock_in, Rng& rng_in, Log& log_in, ConnectionLimits limits_in)
        : executor{executor_in},
          clock{clock_in},
          rng{rng_in},
          limits{limits_in},
          services{log_in},
          tasks{executor_in} {}

    /// Ends all coroutines. From the loop or outside of it: Asio's co_spawn keeps a raw pointer when a signal reaches
    /// it from outside, so the signals are always given from inside.
    void cancel_tasks() {
        boost::asio::dispatch(executor, [self = shared_from_this()] { self->tasks.cancel(); });
    }

    Executor executor;
    Clock& clock;
    Rng& rng;
    ConnectionLimits limits;
    Services services;
    TaskGroup tasks;
    bool single_channel = false;  ///< everything goes on control connections
    bool stopped = false;
    /// A proven peer broke a rule, and its connection was closed for that.
    std::function<void(const Peer& peer, const Error& why)> on_misbehaviour;
};

class Link : public std::enable_shared_from_this<Link> {
  public:
    /// Makes a connection, or says why not. Null for a peer that we cannot dial.
    using Dial = std::function<Task<Result<std::shared_ptr<Connection>>>(std::shared_ptr<Link> link, Channel channel)>;

    Link(std::shared_ptr<LinkContext> context, Peer peer, Dial dial);

    [[nodiscard]] Task<Result<Message>> request(Message message, TimePoint deadline);
    void notify(Message message);

    /// Takes over a proven connection. `endpoint` is what the peer says about itself.
    void attach(std::shared_ptr<Connection> connection, Peer peer);
    /// Where to dial; a new endpoint is worth a new attempt at once.
    void dial_at(const std::string& endpoint);
    [[nodiscard]] const Peer& peer() const { return peer_; }
    [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

    /// Closes what is stalled, says goodbye to what is idle.
    void watch(TimePoint now);
    /// Nothing would be lost by forgetting this peer.
    [[nodiscard]] bool disposable(TimePoint now) const;
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    void close(const Error& why);
    /// True from the second time on that it is asked.
    [[nodiscard]] bool end_soon() { return std::exchange(ends_soon_, true); }

  private:
    /// Two classes with a window each: what keeps the ring together must not queue behind what moves data.
    enum class Traffic : std::uint8_t { overlay = 0, data = 1 };
    [[nodiscard]] static Traffic traffic_of(const Message& message) {
        switch (message.service()) {
            case Service::membership:
            case Service::pastry:
            case Service::tapestry:
            case Service::followers: return Traffic::overlay;
            case Service::past:
            case Service::objstore:
            case Service::diagnostics:
            case Service::local: break;
        }
        return Traffic::data;
    }
    struct Load {
        std::size_t requests = 0;
        std::size_t bytes = 0;
        [[nodiscard]] bool admits(std::size_t more_bytes, const ConnectionLimits& limits) const;
    };
    /// A request of ours. `id` 0 until it was sent.
    struct Pending {
        Pending(Executor executor, Message content)
            : message{std::move(content)}, bytes{message.size()}, traffic{traffic_of(message)}, done{executor} {}
        Message message;
        std::size_t bytes;
        Traffic traffic;
        std::uint64_t id = 0;
        std::optional<Result<Message>> result;
        Event done;
    };
    struct Window {
        std::deque<std::shared_ptr<Pending>> waiting;
        std::size_t waiting_bytes = 0;
        Load sent;
    };
    struct Waiting;  // RAII: takes a request out of the books when its caller leaves

    /// Messages that wait until a connection for them is there.
    struct PendingQueue {
        std::deque<Frame> frames;
        std::size_t bytes = 0;
        bool dialling = false;
        bool asked = false;  // the peer was asked to dial
        Duration backoff{0};
        TimePoint not_before{};
        Error last_failure;
    };

    [[nodiscard]] PendingQueue& pending_queue(Channel channel) {
        return pending_queues_[channel == Channel::bulk ? 1 : 0];
    }
    [[nodiscard]] std::shared_ptr<Connection> pick(Channel channel) const;
    [[nodiscard]] std::shared_ptr<Connection> pick_any() const;
    [[nodiscard]] std::size_t queued_bytes() const;
    void submit(const std::shared_ptr<Pending>& pending);
    void start(const std::shared_ptr<Pending>& pending);
    [[nodiscard]] Window& window(Traffic traffic) { return windows_[static_cast<std::size_t>(traffic)]; }
    [[nodiscard]] bool idle() const;
    [[nodiscard]] Error about(const Error& why) const;
    void finish(const std::shared_ptr<Pending>& pending, Result<Message> result);
    void admit_waiting();
    void fail_all(const Error& why);

    void send(Frame frame);
    void want_connection(Channel channel);
    Task<void> dial_and_attach(Channel channel);
    Task<void> wait_for_bulk();
    void dial_failed(Channel channel, const Error& why);
    void send_pending(Channel channel, const std::shared_ptr<Connection>& connection);
    void drop_pending(Channel channel, const Error& why);
    /// No connection of its own to be had: what there is must do.
    void send_or_drop_pending(Channel channel, const Error& why);

    void on_frame(const std::shared_ptr<Connection>& from, Frame frame);
    void on_request(const std::shared_ptr<Connection>& from, Frame frame);
    void serve_held();
    void release(const Message& request);
    void on_answer(Frame frame);
    void on_closed(const std::shared_ptr<Connection>& connection, const Error& why, bool orderly);
    Task<void> serve(std::weak_ptr<Connection> origin, std::uint64_t id, Message message);
    void answer(std::uint64_t id, Result<Message> result);

    const std::shared_ptr<LinkContext> context_;
    const Dial dial_;
    Peer peer_;
    std::string endpoint_;
    std::vector<std::shared_ptr<Connection>> connections_;
    std::array<PendingQueue, 2> pending_queues_;

    std::uint64_t next_id_;
    std::unordered_map<std::uint64_t, std::shared_ptr<Pending>> sent_;
    std::array<Window, 2> windows_;
    bool admitting_ = false;
    /// A request of the peer for data, until its answer would have room beside those that it did not read yet.
    struct Held {
        std::weak_ptr<Connection> origin;
        std::uint64_t id = 0;
        Message message;
    };
    std::array<Load, 2> serving_;  // requests of the peer, held ones among them
    std::deque<Held> held_;
    std::size_t answering_ = 0;  // of those for data
    TimePoint last_used_;
    bool ends_soon_ = false;
};

}  // namespace base::host
