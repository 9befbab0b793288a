// Messages between nodes over TLS 1.3 on TCP.
//
// Two connections a pair of peers: control for what is small, bulk for payloads over 16 KiB, so that a probe never
// waits behind a megabyte. Dialled when first needed, kept, said goodbye to when idle. Frames: docs/formats/wire.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/host/tls_identity.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "base/transport.hpp"

namespace base::host {

/// "127.0.0.1:7400", "[::1]:7400", "name.example:7400".
struct HostPort {
    std::string host;  ///< without brackets
    std::uint16_t port = 0;
    friend bool operator==(const HostPort&, const HostPort&) = default;
    [[nodiscard]] std::string text() const;
};
/// Errc::bad_argument with a sentence for the user.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text);

/// First values: docs/formats/wire.md. Tests shorten the times.
struct ConnectionLimits {
    Duration handshake_timeout = std::chrono::seconds{5};  ///< from the first byte to both hellos; also of a dial
    Duration idle_timeout = std::chrono::seconds{60};      ///< nothing under way on it: goodbye
    Duration stall_window = std::chrono::seconds{5};       ///< a frame under way must move on by stall_bytes in this
    std::size_t stall_bytes = 5U << 10U;                   ///< 1 KiB/s
    Duration silence_timeout = std::chrono::seconds{10};   ///< an answer is due and nothing comes: ping, then close
    Duration bulk_wait = std::chrono::seconds{2};          ///< for a bulk connection, then control carries it
    Duration first_backoff = std::chrono::milliseconds{250};
    Duration longest_backoff = std::chrono::seconds{8};
    std::size_t requests_per_peer = 64;
    std::size_t in_flight_bytes_per_peer = 32U << 20U;  ///< each way; answers that were not read yet count
    std::size_t waiting_requests_per_peer = 4096;       ///< of ours, until there is room in these
    std::size_t waiting_bytes_per_peer = 128U << 20U;
    std::size_t connections_per_peer = 8;
    std::size_t queued_notify_bytes = 4U << 20U;  ///< on a connection; more are dropped
    std::size_t unproven_per_address = 16;        ///< connections before the handshake has ended
    std::size_t unproven = 256;
};

struct TcpOptions {
    /// "HOST:PORT" to listen on, port 0 for any; "" for a client that only dials.
    std::string listen;
    /// What others are told to dial; "" for what we listen on (for a wildcard: this machine's first global address).
    std::string advertise;
    TrustedNetwork network;
    SigningKey key;
    Certificate certificate;
    /// Members that were removed from the network: refused in the handshake, and their connections end within two
    /// seconds. Empty: nobody was. On the executor.
    std::function<bool(const NodeId&)> removed{};
    ConnectionLimits limits{};
};

class TcpTransport final : public Transport {
  public:
    /// Answers somebody who has proven `joiner` and nothing else.
    using JoinHandler = std::function<Task<Result<Message>>(PublicKey joiner, Message request)>;

    /// Listens (unless told not to) and accepts from now on. Everything happens on `executor`; the doors outlive this.
    /// Errc::exists, denied or bad_argument with a sentence for the user if the address cannot be bound.
    [[nodiscard]] static Result<std::unique_ptr<TcpTransport>> open(Executor executor, Clock& clock, Rng& rng, Log& log,
                                                                    TcpOptions options);
    /// Closes everything; requests under way end with Errc::stopped. Await stop() first to leave no coroutine behind.
    ~TcpTransport() override;

    [[nodiscard]] const Address& self() const override;
    Task<Result<Message>> request(Address to, Message message, TimePoint deadline) override;
    void notify(const Address& to, Message message) override;
    void serve(Service service, RequestHandler on_request, NotifyHandler on_notify) override;

    /// Lets strangers that prove a key send one Service::membership request of at most 64 KiB each. Without this they
    /// are refused; an empty handler takes it back.
    void serve_joins(JoinHandler handler);

    /// Closes everything and resumes when the last coroutine of this transport has ended. Handlers under way see
    /// operation_aborted. Afterwards only the destructor may be called.
    Task<void> stop();

    [[nodiscard]] std::uint16_t port() const;  ///< that we listen on, 0 if we do not
    struct Stats {
        std::size_t connections = 0;  ///< proven, of all peers
        std::size_t unproven = 0;
        std::uint64_t dials = 0;
        std::uint64_t refused = 0;           ///< handshakes that failed, ours and theirs
        std::uint64_t closed_for_cause = 0;  ///< broke a rule: malformed, oversized, too slow, silent
    };
    [[nodiscard]] Stats stats() const;

    struct Impl;

  private:
    explicit TcpTransport(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

/// Asks `issuer` (its id is pinned, it must be a member of `network`) for admission: one request, one answer, over a
/// connection that proves `key` and can carry nothing else. Errors as of Transport::request.
[[nodiscard]] Task<Result<Message>> request_join(Executor executor, Clock& clock, SigningKey key,
                                                 TrustedNetwork network, Address issuer, Message request,
                                                 TimePoint deadline);

}  // namespace base::host
