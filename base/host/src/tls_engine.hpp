// TLS 1.3 as a function of bytes: ciphertext in, plaintext out, and the other way round. No socket, no clock.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/host/tls_identity.hpp"
#include "base/result.hpp"
#include "openssl_ptr.hpp"

namespace base::host {

constexpr std::string_view kMemberAlpn = "pelago/1";
constexpr std::string_view kJoinAlpn = "pelago-join/1";

/// Keys and settings that all connections of one process share.
class TlsContext {
  public:
    enum class Side { server, client };
    /// `certificate` null for a joiner.
    TlsContext(Side side, const SigningKey& key, const Certificate* certificate);

    [[nodiscard]] SSL_CTX* get() const { return context_.get(); }
    [[nodiscard]] Side side() const { return side_; }

  private:
    Side side_;
    SslContextPtr context_;
};

class TlsEngine {
  public:
    /// Decides on the peer inside the handshake, from its certificate and the protocol that was agreed on.
    using PeerCheck = std::function<Result<void>(const X509Identity& identity, std::string_view alpn)>;
    enum class Status {
        ok,          ///< done, or some bytes were moved
        want_input,  ///< feed() and call again
        closed,      ///< the peer has said goodbye
        failed,      ///< see error(); output() may hold an alert for the peer
    };

    /// A client offers `alpn` alone; a server takes either of the two.
    TlsEngine(const TlsContext& context, PeerCheck check, std::string_view alpn = {});
    ~TlsEngine();
    TlsEngine(const TlsEngine&) = delete;
    TlsEngine& operator=(const TlsEngine&) = delete;

    [[nodiscard]] Status handshake();
    /// `got` > 0 exactly if ok.
    [[nodiscard]] Status read(std::span<std::uint8_t> out, std::size_t& got);
    /// Takes all of it: output() grows.
    [[nodiscard]] Status write(ByteView plaintext);
    /// Puts the goodbye into output().
    void shutdown();

    /// Must be used up (want_input) before the next call; the bytes stay valid until then.
    void feed(ByteView ciphertext);
    /// What is to be sent; the owner takes it away.
    [[nodiscard]] Bytes& output();
    [[nodiscard]] std::string_view alpn() const;
    /// Why it failed: what the PeerCheck said, else not_a_member for the peer's verdict on us, else unreachable.
    [[nodiscard]] const Error& error() const;

    struct State;

  private:
    Status explain(int result);
    std::unique_ptr<State> state_;
};

}  // namespace base::host
