#include "dial.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace base::host {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kGreetingBuffer = 1024;

Task<Result<std::vector<tcp::endpoint>>> resolve(Executor executor, Deadline& deadline, HostPort where) {
    boost::system::error_code no_literal;
    const auto literal = asio::ip::make_address(where.host, no_literal);
    if (!no_literal) co_return std::vector<tcp::endpoint>{tcp::endpoint{literal, where.port}};
    const auto resolver = std::make_shared<tcp::resolver>(executor);
    deadline.on_expiry([resolver] { resolver->cancel(); });
    auto [error, found] = co_await resolver->async_resolve(where.host, std::to_string(where.port), kAwait);
    if (error) co_return Error{Errc::unreachable, where.host + ": " + error.message()};
    std::vector<tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    co_return endpoints;
}

/// The first address that answers; the error of the last one if none does.
Task<Result<tcp::socket>> connect(Executor executor, Deadline& deadline, std::vector<tcp::endpoint> endpoints) {
    Error failure{Errc::unreachable, "no address"};
    for (const auto& endpoint : endpoints) {
        const auto socket = std::make_shared<tcp::socket>(executor);
        deadline.on_expiry([socket] {
            boost::system::error_code ignored;
            socket->close(ignored);
        });
        const auto [error] = co_await socket->async_connect(endpoint, kAwait);
        if (!error && !deadline.passed()) {
            deadline.on_expiry({});
            co_return std::move(*socket);
        }
        if (deadline.passed()) break;
        failure = Error{Errc::unreachable, error.message()};
    }
    co_return failure;
}

}  // namespace

std::string HostPort::text() const {
    const bool v6 = host.find(':') != host.npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> parse_host_port(std::string_view text) {
    const Error wrong{Errc::bad_argument,
                      "\"" + std::string{text} + "\" is no HOST:PORT such as 192.0.2.1:7400, [2001:db8::1]:7400"};
    const auto colon = text.rfind(':');
    if (colon == text.npos || colon == 0 || text.size() > kMaxEndpointBytes) return wrong;
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    HostPort out;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (error != std::errc{} || end != digits.data() + digits.size()) return wrong;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != host.npos) {
        return wrong;
    }
    if (host.empty() || host.find_first_of(" []/") != host.npos) return wrong;
    out.host = host;
    return out;
}

Task<Result<GreetedStream>> dial_stream(Executor executor, Clock& clock, const TlsContext& tls, DialRequest request) {
    auto where = parse_host_port(request.endpoint);
    if (!where) co_return where.error();
    Deadline deadline{clock, request.deadline};
    const auto late = Error{Errc::timed_out, "no connection in time"};

    auto endpoints = co_await resolve(executor, deadline, *where);
    if (deadline.passed()) co_return late;
    if (!endpoints) co_return endpoints.error();
    auto socket = co_await connect(executor, deadline, std::move(*endpoints));
    if (deadline.passed()) co_return late;
    if (!socket) co_return socket.error();
    tune_socket(*socket);

    GreetedStream greeted;
    greeted.stream = make_tls_stream(std::move(*socket), tls, std::move(request.check), request.alpn);
    deadline.on_expiry([stream = greeted.stream] { stream->close(); });
    auto proven = co_await greeted.stream->handshake();
    if (deadline.passed()) co_return late;
    if (!proven) co_return proven.error();
    greeted.reader = std::make_unique<FrameReader>(*greeted.stream, kGreetingBuffer);
    auto hello = co_await exchange_hellos(*greeted.stream, *greeted.reader, std::move(request.hello), true);
    if (deadline.passed()) co_return late;
    if (!hello) co_return hello.error();
    greeted.hello = std::move(*hello);
    co_return greeted;
}

}  // namespace base::host
