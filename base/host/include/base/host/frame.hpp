// How messages lie on a connection: docs/formats/wire.md, "frames". Pure functions over foreign bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace base::host {

enum class FrameType : std::uint8_t {
    hello = 1,     ///< first on every connection, both ways: Hello
    request = 2,   ///< to be answered under its id
    response = 3,  ///< the answer
    error = 4,     ///< the answer, as an error
    notify = 5,    ///< wants no answer
    ping = 6,      ///< to be answered by a pong at once, by the connection itself
    pong = 7,
    want_bulk = 8,  ///< "you dialled me: please dial a bulk connection too"
    bye = 9,        ///< the sender's last frame on this connection
};

/// What a connection carries; said in the hello by the side that dialled.
enum class Channel : std::uint8_t {
    control = 1,  ///< messages with at most kBulkThreshold bytes of payload: nothing large is ever in their way
    bulk = 2,
};
constexpr std::size_t kBulkThreshold = 16U << 10U;

/// The fixed part in front of every frame.
struct FrameHeader {
    static constexpr std::size_t kBytes = 20;

    FrameType type = FrameType::ping;
    std::uint16_t kind = 0;           ///< of the message; 0 where there is none
    std::uint64_t id = 0;             ///< joins an answer to its request; 0 where there is none
    std::uint32_t header_bytes = 0;   ///< of the message's header, which follows
    std::uint32_t payload_bytes = 0;  ///< of the message's payload, which follows that

    [[nodiscard]] std::size_t body_bytes() const { return std::size_t{header_bytes} + payload_bytes; }
    [[nodiscard]] Bytes encode() const;
    /// Errc::bad_format unless `bytes` are exactly one header of a known type within the limits of that type. To be
    /// called before anything is allocated for the body.
    [[nodiscard]] static Result<FrameHeader> decode(ByteView bytes);

    friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

constexpr std::uint16_t kOldestProtocol = 1;
constexpr std::uint16_t kNewestProtocol = 1;

/// The body of a hello frame.
struct Hello {
    std::uint16_t oldest = kOldestProtocol;  ///< protocol versions that the sender speaks
    std::uint16_t newest = kNewestProtocol;
    Channel channel = Channel::control;
    std::string endpoint;  ///< where the sender can be dialled; "" if it cannot

    [[nodiscard]] Bytes encode() const;
    [[nodiscard]] static Result<Hello> decode(ByteView bytes);
    /// The version to speak: the newest that both know. Errc::unsupported if there is none.
    [[nodiscard]] Result<std::uint16_t> agree() const;

    friend bool operator==(const Hello&, const Hello&) = default;
};
constexpr std::size_t kMaxHelloBytes = 512;

/// The body of an error frame: category name, value, detail. The detail is cut to fit kMaxErrorBytes.
[[nodiscard]] Bytes encode_error(const Error& error);
/// The error itself if this process knows its category, else Errc::peer_failed with what it said. Nullopt for bytes
/// that are no error.
[[nodiscard]] std::optional<Error> decode_error(ByteView bytes);
constexpr std::size_t kMaxErrorBytes = 4096;

}  // namespace base::host
