// What a peer sends once it is proven: FrameReader and Connection, over a stream that gives it in pieces of any size.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>

#include "base/error.hpp"
#include "base/host/host_clock.hpp"
#include "base/limits.hpp"
#include "connection.hpp"

namespace {

using namespace base::host;
using base::ByteView;

void must(bool holds) {
    if (!holds) std::abort();
}

/// Gives its bytes so many at a time; then the peer is gone.
class Pieces final : public Stream {
  public:
    Pieces(ByteView bytes, std::size_t piece) : rest_{bytes}, piece_{piece} {}

    base::Task<base::Result<std::size_t>> read_some(std::span<std::uint8_t> out) override {
        must(!out.empty());
        if (closed_) co_return base::Error{base::Errc::stopped};
        if (rest_.empty()) co_return base::Error{base::Errc::unreachable};
        const auto count = std::min({rest_.size(), piece_, out.size()});
        std::copy_n(rest_.begin(), count, out.begin());
        rest_ = rest_.subspan(count);
        bytes_read_ += count;
        co_return count;
    }
    base::Task<base::Result<void>> write(std::vector<ByteView> parts) override {
        if (closed_) co_return base::Error{base::Errc::stopped};
        for (const auto part : parts) bytes_written_ += part.size();
        co_return base::ok();
    }
    void close() noexcept override { closed_ = true; }

  private:
    ByteView rest_;
    std::size_t piece_;
    bool closed_ = false;
};

bool same(const Frame& a, const Frame& b) {
    return a.head == b.head && a.message.kind == b.message.kind && a.message.header == b.message.header &&
           std::ranges::equal(a.message.payload.view(), b.message.payload.view());
}

/// The frames that the bytes are, up to the first that breaks a rule or is not all there.
std::vector<Frame> frames_of(ByteView bytes, std::size_t most) {
    std::vector<Frame> frames;
    while (bytes.size() >= FrameHeader::kBytes) {
        const auto head = FrameHeader::decode(bytes.first(FrameHeader::kBytes));
        if (!head || head->body_bytes() > most) break;
        bytes = bytes.subspan(FrameHeader::kBytes);
        if (bytes.size() < head->body_bytes()) break;
        Frame frame;
        frame.head = *head;
        frame.message.kind = head->kind;
        frame.message.header = base::to_bytes(bytes.first(head->header_bytes));
        if (head->payload_bytes > 0) {
            frame.message.payload =
                base::SharedBytes{base::to_bytes(bytes.subspan(head->header_bytes, head->payload_bytes))};
        }
        frames.push_back(std::move(frame));
        bytes = bytes.subspan(head->body_bytes());
    }
    return frames;
}

void run(boost::asio::io_context& loop, base::Task<void> task) {
    boost::asio::co_spawn(loop, std::move(task), [](const std::exception_ptr& failed) { must(failed == nullptr); });
    loop.restart();
    loop.run();
}

base::Task<void> read_all(FrameReader& reader, std::size_t most, std::vector<Frame>& out) {
    for (;;) {
        auto frame = co_await reader.next(most);
        if (!frame) co_return;
        out.push_back(std::move(*frame));
    }
}

void check_reader(ByteView bytes, std::size_t piece, std::size_t most) {
    boost::asio::io_context loop;
    Pieces stream{bytes, piece};
    FrameReader reader{stream, FrameHeader::kBytes + piece};
    std::vector<Frame> read;
    run(loop, read_all(reader, most, read));
    must(std::ranges::equal(read, frames_of(bytes, most), same));
    must(reader.frames() == read.size());
}

/// What Connection hands on of these frames: messages, until a second hello, or a goodbye after a goodbye.
std::vector<Frame> messages_of(std::vector<Frame> frames, bool may_close) {
    std::vector<Frame> messages;
    bool goodbye = false;
    for (auto& frame : frames) {
        const auto type = frame.head.type;
        if (type == FrameType::hello || (type == FrameType::bye && goodbye)) break;
        if (type == FrameType::bye) goodbye = may_close;
        if (type == FrameType::bye || type == FrameType::ping || type == FrameType::pong) continue;
        messages.push_back(std::move(frame));
    }
    return messages;
}

void check_connection(ByteView bytes, std::size_t piece, bool may_close) {
    boost::asio::io_context loop;
    HostClock clock{loop.get_executor()};
    auto stream = std::make_shared<Pieces>(bytes, piece);
    auto reader = std::make_unique<FrameReader>(*stream, std::size_t{1024});
    const auto connection = std::make_shared<Connection>(loop.get_executor(), clock, ConnectionLimits{}, stream,
                                                         std::move(reader), Channel::control, false);
    std::vector<Frame> handed_on;
    int closed = 0;
    Connection::Events events;
    events.on_frame = [&](const auto&, Frame frame) {
        must(closed == 0);
        handed_on.push_back(std::move(frame));
    };
    events.may_close = [may_close] { return may_close; };
    events.on_closed = [&](const auto&, const base::Error&, bool) { ++closed; };
    base::TaskGroup tasks{loop.get_executor()};
    connection->start(tasks, std::move(events));
    run(loop, tasks.join());
    must(closed == 1 && connection->closed() && connection->queued_bytes() == 0);
    const auto all = frames_of(bytes, base::kMaxFrameBytes + base::kMaxHeaderBytes);
    must(std::ranges::equal(handed_on, messages_of(all, may_close), same));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const ByteView bytes{data + 1, size - 1};
    const std::size_t piece = 1 + data[0] / 2;
    check_reader(bytes, piece, 4096);
    check_connection(bytes, piece, data[0] % 2 != 0);
    return 0;
}
