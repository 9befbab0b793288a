// One connected byte stream, plain or encrypted: what Connection needs of a socket.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "tls_engine.hpp"

namespace base::host {

/// One reader and one writer at a time. After close() both end with an error.
class Stream {
  public:
    virtual ~Stream() = default;
    /// At least one byte. An orderly end is Errc::unreachable, too.
    virtual Task<Result<std::size_t>> read_some(std::span<std::uint8_t> out) = 0;
    /// All of it. The views stay valid until this resumes.
    virtual Task<Result<void>> write(std::vector<ByteView> parts) = 0;
    virtual void close() noexcept = 0;

    /// Bytes that the operating system took or gave: how a watcher sees whether anything moves.
    [[nodiscard]] std::uint64_t bytes_written() const { return bytes_written_; }
    [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

  protected:
    std::uint64_t bytes_written_ = 0;
    std::uint64_t bytes_read_ = 0;
};

/// A TLS stream before it is trusted: handshake() first, then it is a Stream.
class TlsStream : public Stream {
  public:
    /// Resumes when the peer is proven, or refused (its reason is sent to the peer before). The caller bounds the time
    /// by close().
    virtual Task<Result<void>> handshake() = 0;
    [[nodiscard]] virtual std::string_view alpn() const = 0;
    /// More memory, now that the peer is known.
    virtual void use_large_buffers() = 0;
};

[[nodiscard]] std::shared_ptr<TlsStream> make_tls_stream(boost::asio::ip::tcp::socket socket, const TlsContext& context,
                                                         TlsEngine::PeerCheck check, std::string_view alpn);
[[nodiscard]] std::shared_ptr<Stream> make_plain_stream(boost::asio::local::stream_protocol::socket socket);

/// No delay for small messages; a host that vanished is noticed by unanswered data, not in hours.
void tune_socket(boost::asio::ip::tcp::socket& socket);

/// What a failed socket operation means: our own close() is Errc::stopped, everything else unreachable or timed_out.
[[nodiscard]] Error socket_error(const boost::system::error_code& error);

}  // namespace base::host
