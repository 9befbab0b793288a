#include "connection.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/host/counters.hpp"
#include "base/limits.hpp"

namespace base::host {

namespace {

constexpr std::size_t kBatchBytes = 256U << 10U;  // one gather write
constexpr std::size_t kControlBuffer = 16U << 10U;
constexpr std::size_t kBulkBuffer = 64U << 10U;

}  // namespace

Connection::Connection(Executor executor, Clock& clock, const ConnectionLimits& limits, std::shared_ptr<Stream> stream,
                       std::unique_ptr<FrameReader> reader, Channel channel, bool we_dialled)
    : clock_{clock},
      limits_{limits},
      stream_{std::move(stream)},
      reader_{std::move(reader)},
      channel_{channel},
      we_dialled_{we_dialled},
      work_{std::move(executor)},
      last_used_{clock.now()},
      last_heard_{last_used_} {}

void Connection::start(TaskGroup& tasks, Events events) {
    events_ = std::move(events);
    reader_->grow(channel_ == Channel::bulk ? kBulkBuffer : kControlBuffer);
    tasks.spawn(read_loop());
    tasks.spawn(write_loop());
}

void Connection::send(Frame frame) {
    if (!usable()) return;
    last_used_ = clock_.now();
    enqueue(std::move(frame));
}

void Connection::enqueue(Frame frame) {
    queued_bytes_ += frame.cost();
    queue_.push_back(std::move(frame));
    work_.set();
}

void Connection::propose_goodbye() {
    if (!usable()) return;
    goodbye_ = Goodbye::proposed;
    goodbye_since_ = clock_.now();
    enqueue(Frame{FrameType::bye, 0, Bytes{}});
}

void Connection::on_goodbye() {
    if (goodbye_ != Goodbye::none) {  // the answer to ours, or both had the same thought
        goodbye_ = Goodbye::agreed;
        return close(Error{Errc::unreachable, "closed after a goodbye"});
    }
    if (!events_.may_close || !events_.may_close()) return enqueue(Frame{FrameType::pong, 0, Bytes{}});
    goodbye_ = Goodbye::agreed;
    goodbye_since_ = clock_.now();
    enqueue(Frame{FrameType::bye, 0, Bytes{}});  // the peer closes when it has this
}

void Connection::close(const Error& why) {
    if (closed_) return;
    closed_ = true;
    stream_->close();
    queue_.clear();
    queued_bytes_ = 0;
    work_.set();
    const auto events = std::exchange(events_, {});  // they own what owns us
    if (events.on_closed) events.on_closed(shared_from_this(), why, goodbye_ == Goodbye::agreed);
}

Task<void> Connection::read_loop() {
    const auto self = shared_from_this();
    while (!closed_) {
        auto frame = co_await reader_->next(kMaxFrameBytes + kMaxHeaderBytes);
        if (!frame) {
            close(frame.error());
            break;
        }
        handle(std::move(*frame));
    }
}

void Connection::handle(Frame frame) {
    if (closed_) return;
    last_heard_ = clock_.now();
    pinged_.reset();
    if (frame.head.type == FrameType::bye) return on_goodbye();
    if (goodbye_ == Goodbye::proposed) goodbye_ = Goodbye::none;  // it has something under way
    switch (frame.head.type) {
        case FrameType::ping:
            if (queued_bytes_ > limits_.in_flight_bytes_per_peer) return;  // it does not read them
            enqueue(Frame{FrameType::pong, frame.head.id, Bytes{}});
            return;
        case FrameType::pong: return;
        case FrameType::bye: return;
        case FrameType::hello: close(Error{Errc::bad_format, "a second hello"}); return;
        case FrameType::request:
        case FrameType::response:
        case FrameType::error:
        case FrameType::notify:
        case FrameType::want_bulk:
            last_used_ = last_heard_;
            // A copy: the handler may close us, which drops the events.
            if (const auto on_frame = events_.on_frame) on_frame(shared_from_this(), std::move(frame));
            return;
    }
}

std::vector<Frame> Connection::take_batch() {
    std::vector<Frame> batch;
    for (std::size_t bytes = 0; !queue_.empty() && (batch.empty() || bytes + queue_.front().size() <= kBatchBytes);) {
        bytes += queue_.front().size();
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    return batch;
}

Task<void> Connection::write_loop() {
    const auto self = shared_from_this();
    while (!closed_) {
        if (queue_.empty()) {
            work_.reset();
            co_await work_.wait();
            continue;
        }
        const auto batch = take_batch();
        std::vector<Bytes> heads;
        std::vector<ByteView> parts;
        std::size_t bytes = 0;
        heads.reserve(batch.size());
        parts.reserve(batch.size() * 3);
        for (const auto& frame : batch) {
            bytes += frame.cost();
            parts.emplace_back(heads.emplace_back(frame.head.encode()));
            if (!frame.message.header.empty()) parts.emplace_back(frame.message.header);
            if (!frame.message.payload.empty()) parts.emplace_back(frame.message.payload.view());
        }
        counters().messages += batch.size();
        for (const auto part : parts) counters().sent_bytes += part.size();
        writing_ = true;
        ++batches_;
        const auto written = co_await stream_->write(std::move(parts));
        writing_ = false;
        if (closed_) break;
        queued_bytes_ -= bytes;
        last_used_ = clock_.now();
        if (!written) {
            close(written.error());
            break;
        }
        // A copy: the handler may close us, which drops the events.
        if (const auto on_written = events_.on_written) on_written();
    }
}

bool Connection::Progress::stalled(TimePoint now, bool open_now, std::uint64_t frame_now, std::uint64_t bytes_now,
                                   const ConnectionLimits& limits) {
    if (!open_now || !open || frame != frame_now) {
        open = open_now;
        frame = frame_now;
        since = now;
        bytes = bytes_now;
        return false;
    }
    if (now - since < limits.stall_window) return false;
    const bool too_slow = bytes_now - bytes < limits.stall_bytes;
    since = now;
    bytes = bytes_now;
    return too_slow;
}

void Connection::watch(TimePoint now, bool answer_due) {
    if (closed_) return;
    if (reading_progress_.stalled(now, reader_->in_frame(), reader_->frames(), stream_->bytes_read(), limits_)) {
        return close(Error{Errc::bad_format, "a frame that does not end"});
    }
    if (writing_progress_.stalled(now, writing_, batches_, stream_->bytes_written(), limits_)) {
        return close(Error{Errc::unreachable, "the peer does not read"});
    }
    if (stream_->bytes_read() != heard_bytes_) {  // part of a long frame is a sign of life, too
        heard_bytes_ = stream_->bytes_read();
        last_heard_ = now;
        pinged_.reset();
    }
    if (pinged_ && now - *pinged_ >= limits_.silence_timeout) {
        return close(Error{Errc::unreachable, "the peer is silent"});
    }
    const bool silent = now - last_heard_ >= limits_.silence_timeout;
    if (goodbye_ != Goodbye::none && now - goodbye_since_ >= limits_.silence_timeout) {
        return close(Error{Errc::unreachable, "no answer to a goodbye"});
    }
    if (answer_due && silent && !pinged_ && usable()) {
        pinged_ = now;
        enqueue(Frame{FrameType::ping, 0, Bytes{}});
    }
}

}  // namespace base::host
