#include "base/host/frame.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace base::host {

namespace {

constexpr std::size_t kMaxCategoryBytes = 64;

struct Sizes {
    std::size_t header = 0;
    std::size_t payload = 0;
};

/// The most a frame of this type may carry; nothing for an unknown type.
std::optional<Sizes> most_for(FrameType type) {
    switch (type) {
        case FrameType::hello: return Sizes{kMaxHelloBytes, 0};
        case FrameType::request:
        case FrameType::response:
        case FrameType::notify: return Sizes{kMaxHeaderBytes, kMaxPayloadBytes};
        case FrameType::error: return Sizes{kMaxErrorBytes, 0};
        case FrameType::ping:
        case FrameType::pong:
        case FrameType::want_bulk:
        case FrameType::bye: return Sizes{};
    }
    return std::nullopt;
}

}  // namespace

Bytes FrameHeader::encode() const {
    Writer out;
    out.u32(static_cast<std::uint32_t>(body_bytes())).u8(static_cast<std::uint8_t>(type)).u8(0).u16(kind);
    out.u64(id).u32(header_bytes);
    return out.take();
}

Result<FrameHeader> FrameHeader::decode(ByteView bytes) {
    Reader in{bytes};
    FrameHeader frame;
    const std::uint32_t length = in.u32();
    frame.type = static_cast<FrameType>(in.u8());
    const auto reserved = in.u8();
    frame.kind = in.u16();
    frame.id = in.u64();
    frame.header_bytes = in.u32();
    if (!in.complete() || reserved != 0) return Error{Errc::bad_format, "frame"};
    const auto most = most_for(frame.type);
    if (!most) return Error{Errc::bad_format, "frame of an unknown type"};
    if (frame.header_bytes > length || frame.header_bytes > most->header ||
        length - frame.header_bytes > most->payload) {
        return Error{Errc::bad_format, "frame beyond its limits"};
    }
    frame.payload_bytes = length - frame.header_bytes;
    return frame;
}

Bytes Hello::encode() const {
    Writer out;
    out.u16(oldest).u16(newest).u8(static_cast<std::uint8_t>(channel)).text(endpoint);
    return out.take();
}

Result<Hello> Hello::decode(ByteView bytes) {
    Reader in{bytes};
    Hello hello;
    hello.oldest = in.u16();
    hello.newest = in.u16();
    hello.channel = static_cast<Channel>(in.u8());
    hello.endpoint = in.text(kMaxEndpointBytes);
    const bool known = hello.channel == Channel::control || hello.channel == Channel::bulk;
    // Later versions may append fields; the versions come first so that both sides can say what they lack.
    const bool readable = in.ok() && (in.remaining() == 0 || hello.newest > kNewestProtocol);
    if (!readable || !known || hello.oldest > hello.newest) return Error{Errc::bad_format, "hello"};
    return hello;
}

Result<std::uint16_t> Hello::agree() const {
    const auto version = std::min(newest, kNewestProtocol);
    if (version < std::max(oldest, kOldestProtocol)) {
        return Error{Errc::unsupported, "the other side speaks protocol " + std::to_string(oldest) + " to " +
                                            std::to_string(newest) + ", we " + std::to_string(kOldestProtocol) +
                                            " to " + std::to_string(kNewestProtocol)};
    }
    return version;
}

Bytes encode_error(const Error& error) {
    const std::string_view category{error.code().category().name()};
    const std::string_view detail{error.detail()};
    Writer out;
    out.text(category.substr(0, kMaxCategoryBytes)).u32(static_cast<std::uint32_t>(error.code().value()));
    out.text(detail.substr(0, kMaxErrorBytes - out.size() - 4));
    return out.take();
}

std::optional<Error> decode_error(ByteView bytes) {
    Reader in{bytes};
    const auto category = in.text(kMaxCategoryBytes);
    const auto value = static_cast<std::int32_t>(in.u32());
    auto detail = in.text(kMaxErrorBytes);
    if (!in.complete() || value == 0) return std::nullopt;
    const auto code = error_from_wire(category, value);
    if (code == make_error_code(Errc::peer_failed) && category != code.category().name()) {
        detail = category + " " + std::to_string(value) + (detail.empty() ? "" : ": " + detail);
    }
    return Error{code, std::move(detail)};
}

}  // namespace base::host
