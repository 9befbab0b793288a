// Peers that do not keep to the rules: a proven TLS stream to write anything on, a bare TCP socket, a foreign TLS
// client.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <thread>

#include "dial.hpp"
#include "members.hpp"
#include "unique_fd.hpp"

namespace host_test {

/// Trusts everybody.
inline base::host::TlsEngine::PeerCheck no_check() {
    return [](const base::host::X509Identity&, std::string_view) { return base::ok(); };
}

/// A stream to `to` that has greeted; what it is proven by is the caller's affair.
inline Result<base::host::GreetedStream> dial_raw(base::host::HostRuntime& runtime, const base::Address& to,
                                                  const base::host::TlsContext& tls,
                                                  std::string_view alpn = base::host::kMemberAlpn) {
    base::host::DialRequest request;
    request.endpoint = to.endpoint;
    request.alpn = alpn;
    request.check = no_check();
    request.deadline = runtime.clock().now() + 5s;
    return runtime.run(base::host::dial_stream(runtime.executor(), runtime.clock(), tls, std::move(request)));
}

/// True if the stream is closed by the other side within `time`.
inline bool is_closed_within(base::host::HostRuntime& runtime, base::host::Stream& stream, base::Duration time) {
    const auto read = [](base::host::Stream& from, base::Clock& clock, base::TimePoint when) -> Task<Result<bool>> {
        base::host::Deadline deadline{clock, when};
        deadline.on_expiry([&from] { from.close(); });
        Bytes buffer(65536);
        for (;;) {
            const auto got = co_await from.read_some(buffer);
            if (!got) co_return !deadline.passed();
        }
    };
    return *runtime.run(read(stream, runtime.clock(), runtime.clock().now() + time));
}

/// False once the other side has closed.
inline bool write_raw(base::host::HostRuntime& runtime, base::host::Stream& stream, const Bytes& bytes) {
    std::vector<base::ByteView> parts{bytes};
    return runtime.run(stream.write(std::move(parts))).has_value();
}

inline base::host::UniqueFd connect_tcp(std::uint16_t port) {
    base::host::UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    timeval patience{5, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return socket;
}

/// A TLS client that is not ours, blocking, on a thread of its own.
struct ForeignClient {
    std::string alpn;  // "" for none
    bool rsa = false;  // with an RSA certificate, else none at all
    int newest = TLS1_3_VERSION;

    /// True if it gets as far as receiving one byte of plaintext.
    [[nodiscard]] bool gets_in(base::host::HostRuntime& runtime, std::uint16_t port) const {
        bool in = false;
        std::atomic<bool> done{false};
        std::thread client{[&] {
            in = talk(port);
            done = true;
        }};
        while (!done) runtime.run(runtime.clock().sleep_for(5ms));
        client.join();
        return in;
    }

  private:
    [[nodiscard]] bool talk(std::uint16_t port) const {
        const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
        SSL_CTX_set_max_proto_version(context.get(), newest);
        if (rsa) use_rsa(context.get());
        const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), SSL_free};
        if (!alpn.empty()) {
            std::string wire{static_cast<char>(alpn.size())};
            wire += alpn;
            SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                                static_cast<unsigned>(wire.size()));
        }
        const auto socket = connect_tcp(port);
        SSL_set_fd(ssl.get(), socket.get());
        char byte = 0;
        const bool in =
            SSL_connect(ssl.get()) == 1 && SSL_write(ssl.get(), "x", 1) == 1 && SSL_read(ssl.get(), &byte, 1) == 1;
        ERR_clear_error();
        return in;
    }

    static void use_rsa(SSL_CTX* context) {
        EVP_PKEY* key = EVP_RSA_gen(2048);
        X509* x509 = X509_new();
        X509_set_version(x509, X509_VERSION_3);
        X509_gmtime_adj(X509_getm_notBefore(x509), 0);
        X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
        X509_set_pubkey(x509, key);
        X509_sign(x509, key, EVP_sha256());
        SSL_CTX_use_certificate(context, x509);
        SSL_CTX_use_PrivateKey(context, key);
        X509_free(x509);
        EVP_PKEY_free(key);
    }
};

}  // namespace host_test
