// Frames on one stream: reads and checks them, writes what is queued, notices when nothing moves.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/host/frame.hpp"
#include "base/host/tcp_transport.hpp"
#include "base/task_group.hpp"
#include "base/transport.hpp"
#include "stream.hpp"

namespace base::host {

struct Frame {
    Frame() = default;
    Frame(FrameType type, std::uint64_t id, Message content);
    /// One with a body of its own and no message.
    Frame(FrameType type, std::uint64_t id, Bytes body);

    [[nodiscard]] std::size_t size() const { return FrameHeader::kBytes + head.body_bytes(); }
    /// Of memory, while it waits in a queue.
    [[nodiscard]] std::size_t cost() const { return sizeof(Frame) + head.body_bytes(); }
    [[nodiscard]] Channel channel() const {
        return message.payload.size() > kBulkThreshold ? Channel::bulk : Channel::control;
    }

    FrameHeader head;
    Message message;  // its kind is in the head
};

/// Reads whole frames. Buffered, so that a burst of small ones costs one system call.
class FrameReader {
  public:
    explicit FrameReader(Stream& stream, std::size_t buffer_bytes) : stream_{stream}, buffer_(buffer_bytes) {}

    /// Errc::bad_format for a frame that breaks a rule, or whose body is larger than `most`.
    Task<Result<Frame>> next(std::size_t most);
    /// True from the first byte of a frame to its last.
    [[nodiscard]] bool in_frame() const { return in_frame_; }
    [[nodiscard]] std::uint64_t frames() const { return frames_; }
    void grow(std::size_t buffer_bytes);

  private:
    Task<Result<void>> fill(std::size_t wanted);
    Task<Result<void>> read_into(std::span<std::uint8_t> out);

    Stream& stream_;
    Bytes buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool in_frame_ = false;
    std::uint64_t frames_ = 0;
};

/// Sends our hello and reads theirs, in the order that suits a dialler or an accepter. The caller bounds the time.
[[nodiscard]] Task<Result<Hello>> exchange_hellos(Stream& stream, FrameReader& reader, Hello ours, bool we_dialled);
/// Writes one frame and waits until it is out.
[[nodiscard]] Task<Result<void>> write_frame(Stream& stream, Frame frame);

/// A proven, greeted stream at work. Owned by its Link and by its two loops.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    struct Events {
        std::function<void(const std::shared_ptr<Connection>&, Frame)> on_frame;
        /// The peer would like to close an idle connection: may it? True only if nothing is under way with it.
        std::function<bool()> may_close;
        /// Some of what was queued is out.
        std::function<void()> on_written;
        /// Once; `orderly` if both sides had agreed on it.
        std::function<void(const std::shared_ptr<Connection>&, const Error& why, bool orderly)> on_closed;
    };

    Connection(Executor executor, Clock& clock, const ConnectionLimits& limits, std::shared_ptr<Stream> stream,
               std::unique_ptr<FrameReader> reader, Channel channel, bool we_dialled);

    /// Starts both loops in `tasks`.
    void start(TaskGroup& tasks, Events events);
    /// Queues a frame. Requires: usable(), or nothing happens.
    void send(Frame frame);
    /// Proposes to close. The peer agrees with a goodbye of its own, after which it sends nothing more here; any other
    /// frame of it means that it has something under way. Until then this connection is not usable, so no message is
    /// ever on its way into a socket that the other side is closing.
    void propose_goodbye();
    void close(const Error& why);

    /// Called every now and then: closes what is stalled or silent. `answer_due`: somebody waits for the peer.
    void watch(TimePoint now, bool answer_due);

    [[nodiscard]] Channel channel() const { return channel_; }
    [[nodiscard]] bool we_dialled() const { return we_dialled_; }
    /// May still be given frames.
    [[nodiscard]] bool usable() const { return !closed_ && goodbye_ == Goodbye::none; }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }
    [[nodiscard]] TimePoint last_used() const { return last_used_; }

  private:
    /// Watches one direction: while one frame (or batch) is under way its bytes must move.
    struct Progress {
        TimePoint since{};
        std::uint64_t bytes = 0;
        std::uint64_t frame = 0;
        bool open = false;
        [[nodiscard]] bool stalled(TimePoint now, bool open_now, std::uint64_t frame_now, std::uint64_t bytes_now,
                                   const ConnectionLimits& limits);
    };

    Task<void> read_loop();
    Task<void> write_loop();
    std::vector<Frame> take_batch();
    void handle(Frame frame);
    void on_goodbye();
    void enqueue(Frame frame);

    Clock& clock_;
    const ConnectionLimits limits_;
    const std::shared_ptr<Stream> stream_;
    const std::unique_ptr<FrameReader> reader_;
    const Channel channel_;
    const bool we_dialled_;
    Events events_;

    std::deque<Frame> queue_;
    std::size_t queued_bytes_ = 0;
    Event work_;
    bool writing_ = false;
    bool closed_ = false;
    enum class Goodbye { none, proposed, agreed } goodbye_ = Goodbye::none;
    TimePoint goodbye_since_;
    TimePoint last_used_;  // by messages, for the idle time-out
    TimePoint last_heard_;
    std::uint64_t heard_bytes_ = 0;
    std::uint64_t batches_ = 0;
    std::optional<TimePoint> pinged_;
    Progress reading_progress_;
    Progress writing_progress_;
};

}  // namespace base::host
