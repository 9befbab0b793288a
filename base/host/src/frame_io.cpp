// Whole frames over a stream, and the greeting.
#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "connection.hpp"

namespace base::host {

Frame::Frame(FrameType type, std::uint64_t id, Message content) : message{std::move(content)} {
    head.type = type;
    head.kind = message.kind;
    head.id = id;
    head.header_bytes = static_cast<std::uint32_t>(message.header.size());
    head.payload_bytes = static_cast<std::uint32_t>(message.payload.size());
}

Frame::Frame(FrameType type, std::uint64_t id, Bytes body) {
    head.type = type;
    head.id = id;
    head.header_bytes = static_cast<std::uint32_t>(body.size());
    message.header = std::move(body);
}

void FrameReader::grow(std::size_t buffer_bytes) {
    if (buffer_bytes > buffer_.size()) buffer_.resize(buffer_bytes);
}

/// At least `wanted` bytes in the buffer. Requires: they fit.
Task<Result<void>> FrameReader::fill(std::size_t wanted) {
    if (begin_ > 0 && buffer_.size() - begin_ < wanted) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    while (end_ - begin_ < wanted) {
        const auto room = std::span{buffer_}.subspan(end_);
        auto got = co_await stream_.read_some(room);
        if (!got) co_return got.error();
        end_ += *got;
        in_frame_ = true;
    }
    co_return ok();
}

/// The buffer first; the rest straight into place.
Task<Result<void>> FrameReader::read_into(std::span<std::uint8_t> out) {
    const auto buffered = std::min(out.size(), end_ - begin_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), buffered, out.begin());
    begin_ += buffered;
    out = out.subspan(buffered);
    while (!out.empty()) {
        // Small rests go through the buffer, which takes the next frames along.
        if (out.size() < buffer_.size() / 4) {
            begin_ = end_ = 0;
            if (auto filled = co_await fill(out.size()); !filled) co_return filled;
            std::copy_n(buffer_.begin(), out.size(), out.begin());
            begin_ += out.size();
            break;
        }
        auto got = co_await stream_.read_some(out);
        if (!got) co_return got.error();
        out = out.subspan(*got);
    }
    co_return ok();
}

Task<Result<Frame>> FrameReader::next(std::size_t most) {
    if (begin_ == end_) begin_ = end_ = 0;
    in_frame_ = begin_ != end_;
    BASE_CO_CHECK(co_await fill(FrameHeader::kBytes));
    const auto head = FrameHeader::decode(ByteView{buffer_}.subspan(begin_, FrameHeader::kBytes));
    if (!head) co_return head.error();
    if (head->body_bytes() > most) co_return Error{Errc::bad_format, "frame beyond its limits"};
    begin_ += FrameHeader::kBytes;

    Frame frame;
    frame.head = *head;
    frame.message.kind = head->kind;
    frame.message.header.resize(head->header_bytes);
    BASE_CO_CHECK(co_await read_into(frame.message.header));
    if (head->payload_bytes > 0) {
        Bytes payload(head->payload_bytes);
        BASE_CO_CHECK(co_await read_into(payload));
        frame.message.payload = SharedBytes{std::move(payload)};
    }
    in_frame_ = false;
    ++frames_;
    co_return frame;
}

Task<Result<void>> write_frame(Stream& stream, Frame frame) {
    const auto head = frame.head.encode();
    std::vector<ByteView> parts{head, frame.message.header, frame.message.payload.view()};
    co_return co_await stream.write(std::move(parts));
}

Task<Result<Hello>> exchange_hellos(Stream& stream, FrameReader& reader, Hello ours, bool we_dialled) {
    Frame greeting{FrameType::hello, 0, ours.encode()};
    // An accepter speaks second: it says nothing to a stranger who has not spoken.
    if (we_dialled) BASE_CO_CHECK(co_await write_frame(stream, greeting));
    auto frame = co_await reader.next(kMaxHelloBytes);
    if (!frame) co_return frame.error();
    if (frame->head.type != FrameType::hello) co_return Error{Errc::bad_format, "no hello"};
    auto theirs = Hello::decode(frame->message.header);
    if (!theirs) co_return theirs.error();
    if (!we_dialled) BASE_CO_CHECK(co_await write_frame(stream, greeting));  // so that it learns our versions, too
    if (auto version = theirs->agree(); !version) co_return version.error();
    co_return std::move(*theirs);
}

}  // namespace base::host
