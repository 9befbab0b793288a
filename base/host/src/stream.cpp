#include "stream.hpp"

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <tuple>

#include "base/error.hpp"

namespace base::host {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kRecordBytes = 16U << 10U;  // of TLS, at most
constexpr std::size_t kSmallBuffer = 8U << 10U;   // before the peer is known
constexpr std::size_t kLargeBuffer = 256U << 10U;
constexpr std::size_t kMostDrained = 64U << 10U;

/// The part of both kinds of stream that deals with the socket.
template <class Socket, class Base>
class SocketStream : public Base {
  public:
    explicit SocketStream(Socket socket) : socket_{std::move(socket)} {}

    void close() noexcept override {
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

  protected:
    Task<Result<std::size_t>> receive(std::span<std::uint8_t> out) {
        const auto buffer = asio::buffer(out.data(), out.size());
        const auto [error, got] = co_await socket_.async_read_some(buffer, kAwait);
        if (error) co_return socket_error(error);
        this->bytes_read_ += got;
        co_return got;
    }

    Task<Result<void>> send(ByteView bytes) {
        while (!bytes.empty()) {
            const auto buffer = asio::buffer(bytes.data(), bytes.size());
            const auto [error, sent] = co_await socket_.async_write_some(buffer, kAwait);
            if (error) co_return socket_error(error);
            this->bytes_written_ += sent;
            bytes = bytes.subspan(sent);
        }
        co_return ok();
    }

    Socket socket_;
};

class PlainStream final : public SocketStream<asio::local::stream_protocol::socket, Stream> {
  public:
    using SocketStream::SocketStream;

    Task<Result<std::size_t>> read_some(std::span<std::uint8_t> out) override { return receive(out); }

    Task<Result<void>> write(std::vector<ByteView> parts) override {
        std::size_t first = 0;
        std::vector<asio::const_buffer> buffers;
        while (first < parts.size()) {
            buffers.clear();
            for (std::size_t i = first; i < parts.size(); ++i) buffers.emplace_back(parts[i].data(), parts[i].size());
            const auto [error, sent] = co_await socket_.async_write_some(buffers, kAwait);
            if (error) co_return socket_error(error);
            bytes_written_ += sent;
            for (auto left = sent; first < parts.size();) {
                const auto step = std::min(left, parts[first].size());
                parts[first] = parts[first].subspan(step);
                left -= step;
                if (!parts[first].empty()) break;
                ++first;
            }
        }
        co_return ok();
    }
};

class TlsOverTcp final : public SocketStream<asio::ip::tcp::socket, TlsStream> {
  public:
    TlsOverTcp(asio::ip::tcp::socket socket, const TlsContext& context, TlsEngine::PeerCheck check,
               std::string_view alpn)
        : SocketStream{std::move(socket)}, engine_{context, std::move(check), alpn}, received_(kSmallBuffer) {}

    Task<Result<void>> handshake() override {
        for (;;) {
            const auto status = engine_.handshake();
            if (status == TlsEngine::Status::failed) co_return co_await refuse(engine_.error());
            if (auto sent = co_await flush(); !sent) co_return sent;
            if (status == TlsEngine::Status::ok) break;
            if (auto more = co_await refill(); !more) co_return more;
        }
        if (engine_.alpn().empty()) co_return Error{Errc::not_a_member, "no Pelago protocol"};
        co_return ok();
    }

    [[nodiscard]] std::string_view alpn() const override { return engine_.alpn(); }

    void use_large_buffers() override { large_ = true; }

    Task<Result<std::size_t>> read_some(std::span<std::uint8_t> out) override {
        std::size_t total = 0;
        for (;;) {
            std::size_t got = 0;
            const auto status = engine_.read(out.subspan(total), got);
            total += got;
            if (status == TlsEngine::Status::ok && total < out.size()) continue;
            if (total > 0) co_return total;
            if (status == TlsEngine::Status::closed) co_return Error{Errc::unreachable, "the peer closed"};
            if (status == TlsEngine::Status::failed) co_return engine_.error();
            if (auto more = co_await refill(); !more) co_return more.error();
        }
    }

    Task<Result<void>> write(std::vector<ByteView> parts) override {
        // Full records, however the parts are cut: each costs a header, a tag and a call. Only what fills one up with
        // what went before is copied.
        Bytes joined;
        for (auto part : parts) {
            while (!part.empty()) {
                const bool whole = joined.empty() && part.size() >= kRecordBytes;
                const auto take = whole ? part.size() / kRecordBytes * kRecordBytes
                                        : std::min(part.size(), kRecordBytes - joined.size());
                if (!whole) joined.insert(joined.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(take));
                const bool full = whole || joined.size() == kRecordBytes;
                if (full) BASE_CO_CHECK(encrypt(whole ? part.first(take) : ByteView{joined}));
                if (full) joined.clear();
                part = part.subspan(take);
            }
        }
        BASE_CO_CHECK(encrypt(joined));
        co_return co_await flush();
    }

  private:
    Result<void> encrypt(ByteView plaintext) {
        if (plaintext.empty() || engine_.write(plaintext) == TlsEngine::Status::ok) return ok();
        return engine_.error().code() ? engine_.error() : Error{Errc::unreachable, "TLS: cannot write"};
    }

    Task<Result<void>> flush() {
        // The reader may make output of its own while this waits: it goes with the next flush.
        sending_.clear();
        std::swap(sending_, engine_.output());
        return send(sending_);
    }

    Task<Result<void>> refill() {
        if (large_ && received_.size() < kLargeBuffer) received_.resize(kLargeBuffer);
        auto got = co_await receive(received_);
        if (!got) co_return got.error();
        engine_.feed(ByteView{received_}.first(*got));
        co_return ok();
    }

    /// Lets the alert reach the peer: closing with unread bytes in the socket would reset the connection and destroy
    /// it.
    Task<Result<void>> refuse(Error why) {
        static_cast<void>(co_await flush());
        boost::system::error_code ignored;
        socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
        for (std::size_t drained = 0; drained < kMostDrained;) {
            auto got = co_await receive(received_);
            if (!got) break;
            drained += *got;
        }
        co_return why;
    }

    TlsEngine engine_;
    Bytes received_;  // what the engine still reads from
    Bytes sending_;
    bool large_ = false;
};

}  // namespace

std::shared_ptr<TlsStream> make_tls_stream(asio::ip::tcp::socket socket, const TlsContext& context,
                                           TlsEngine::PeerCheck check, std::string_view alpn) {
    return std::make_shared<TlsOverTcp>(std::move(socket), context, std::move(check), alpn);
}

std::shared_ptr<Stream> make_plain_stream(asio::local::stream_protocol::socket socket) {
    return std::make_shared<PlainStream>(std::move(socket));
}

void tune_socket(asio::ip::tcp::socket& socket) {
    boost::system::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay{true}, ignored);
    socket.set_option(asio::socket_base::keep_alive{true}, ignored);
    const int unanswered_ms = 15'000;
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

Error socket_error(const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) return Errc::stopped;
    if (error == asio::error::eof) return Error{Errc::unreachable, "the peer closed"};
    return Error{Errc::unreachable, error.message()};
}

}  // namespace base::host
