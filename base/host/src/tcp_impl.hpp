// The inside of TcpTransport.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/host/tcp_transport.hpp"
#include "dial.hpp"
#include "link.hpp"
#include "refusal_log.hpp"

namespace base::host {

/// Connections that have not proven who they are: few, and few from one place.
class HandshakeLimiter {
  public:
    explicit HandshakeLimiter(const ConnectionLimits& limits)
        : most_{limits.unproven}, most_per_address_{limits.unproven_per_address} {}

    /// Held by a connection until it is proven or gone. May outlive the HandshakeLimiter.
    using Permit = std::shared_ptr<void>;
    /// Null if as many are there as may be.
    [[nodiscard]] Permit admit(const boost::asio::ip::address& from);
    [[nodiscard]] std::size_t size() const { return counts_->size; }

  private:
    struct Counts {
        std::map<boost::asio::ip::address, std::size_t> by_address;
        std::size_t size = 0;
    };
    std::size_t most_;
    std::size_t most_per_address_;
    std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

struct TcpTransport::Impl : std::enable_shared_from_this<Impl> {
    Impl(Executor executor, Clock& clock, Rng& rng, Log& log, TcpOptions options_in);

    [[nodiscard]] Result<void> listen();
    void start();
    void shut_down();

    [[nodiscard]] Task<Result<Message>> ask_self(Message message, TimePoint deadline);
    void notify_self(Message message);
    [[nodiscard]] std::shared_ptr<Link> link_to(const Peer& peer);
    void refused(const std::string& reason, const std::string& source);

    // Dialling (tcp_transport.cpp) and accepting (tcp_accept.cpp). Coroutines own what they use.
    static Task<void> watch_links(std::shared_ptr<Impl> self);
    static Task<Result<std::shared_ptr<Connection>>> dial(std::weak_ptr<Impl> weak, std::shared_ptr<Link> link,
                                                          Channel channel);
    static Task<void> accept_loop(std::shared_ptr<Impl> self);
    static Task<void> receive(std::shared_ptr<Impl> self, boost::asio::ip::tcp::socket socket,
                              HandshakeLimiter::Permit permit);
    static Task<void> receive_join(std::shared_ptr<Impl> self, std::shared_ptr<TlsStream> stream, PublicKey joiner,
                                   Deadline& deadline);
    [[nodiscard]] std::shared_ptr<Connection> make_connection(GreetedStream greeted, Channel channel, bool we_dialled);
    [[nodiscard]] Hello hello(Channel channel) const;

    const TcpOptions options;
    Log& log;
    const std::shared_ptr<LinkContext> context;
    const TlsContext server_tls;
    const TlsContext client_tls;
    const std::shared_ptr<const Certificate> certificate;
    Address self_address;
    std::optional<boost::asio::ip::tcp::acceptor> acceptor;
    std::unordered_map<NodeId, std::shared_ptr<Link>> links;
    HandshakeLimiter handshake_limiter;
    RefusalLog refusals;
    JoinHandler join_handler;
    std::uint64_t dials = 0;
    std::uint64_t misbehaved = 0;
};

}  // namespace base::host
