// Messages between nodes: TLS connections on a host, a modelled network in simulation, a Unix socket to the local
// daemon.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/guid.hpp"
#include "base/membership.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace base {

/// A node and where to dial it. The id is pinned: an answer from another key is no answer.
struct Address {
    NodeId id;
    std::string endpoint;  ///< "host:port", "[v6]:port", or a name in simulation; at most kMaxEndpointBytes
    friend bool operator==(const Address&, const Address&) = default;
};

/// The conversations of a node; the number is the high byte of Message::kind and is never reused.
enum class Service : std::uint8_t {
    membership = 1,
    pastry = 2,
    tapestry = 3,
    past = 4,
    objstore = 5,
    diagnostics = 6,  ///< `pelago route`
    followers = 7,    ///< of published objects, among each other
    local = 16,       ///< commands to the daemon, over the Unix socket only
};

/// A small Protocol Buffers header and opaque bytes that never pass through Protocol Buffers.
struct Message {
    Message() = default;
    Message(Service to, std::uint8_t verb_number, Bytes header_bytes, SharedBytes payload_bytes = {})
        : kind{static_cast<std::uint16_t>((static_cast<unsigned>(to) << 8U) | verb_number)},
          header{std::move(header_bytes)},
          payload{std::move(payload_bytes)} {}

    [[nodiscard]] Service service() const { return static_cast<Service>(kind >> 8U); }
    [[nodiscard]] std::uint8_t verb() const { return static_cast<std::uint8_t>(kind & 0xFFU); }
    [[nodiscard]] std::size_t size() const { return header.size() + payload.size(); }

    std::uint16_t kind = 0;
    Bytes header;         ///< at most kMaxHeaderBytes
    SharedBytes payload;  ///< at most kMaxPayloadBytes
};

/// Who sent a message, as proven by the handshake.
struct Peer {
    Address address;                                 ///< the endpoint is where it says it can be dialled; may be ""
    std::shared_ptr<const Certificate> certificate;  ///< null over the local socket
};

/// On the node's executor only. One per node.
class Transport {
  public:
    /// Answers a request. An error is sent back and comes out of request() as itself (register_error_category).
    using RequestHandler = std::function<Task<Result<Message>>(Peer from, Message message)>;
    using NotifyHandler = std::function<void(const Peer& from, Message message)>;

    virtual ~Transport() = default;
    [[nodiscard]] virtual const Address& self() const = 0;

    /// One question, one answer. Errors: unreachable, timed_out, not_a_member, busy (too much under way with this
    /// peer), bad_format (answer broke a limit), stopped; or what the peer answered. After unreachable and timed_out it
    /// is unknown whether the peer acted. A request to ourselves is answered without a network.
    virtual Task<Result<Message>> request(Address to, Message message, TimePoint deadline) = 0;
    /// Best effort, never waits: lost if the peer cannot be reached or its queue is full.
    virtual void notify(const Address& to, Message message) = 0;
    /// Replaces the handlers of a service. Until then its requests are answered with Errc::unsupported. The handlers
    /// are dropped with the Transport or by serve(service, {}, {}).
    virtual void serve(Service service, RequestHandler on_request, NotifyHandler on_notify) = 0;
};

}  // namespace base
