// Who knocks: connections that are not proven yet, members' connections, and joiners' single requests.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "tcp_impl.hpp"

namespace base::host {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kGreetingBuffer = 1024;
constexpr std::size_t kMaxJoinBytes = 64U << 10U;
constexpr Duration kAcceptPause = std::chrono::milliseconds{50};  // when out of descriptors

/// What the handshake found out about whoever knocks.
struct Caller {
    std::optional<Certificate> member;
    std::optional<PublicKey> joiner;
    std::string name;  // for the log: a node's id once the authority vouches for it, else its address
};

TlsEngine::PeerCheck check_caller(std::shared_ptr<Caller> caller, const TcpOptions& options, NodeId self, Clock& clock,
                                  bool admits_joiners) {
    return [caller, network = options.network, removed = options.removed, self, &clock, admits_joiners](
               const X509Identity& identity, std::string_view alpn) -> Result<void> {
        if (alpn == kJoinAlpn) {
            if (!admits_joiners) return Error{Errc::not_a_member, "this node admits nobody"};
            caller->joiner = identity.key;
            return ok();
        }
        const auto& shown = identity.certificate;
        const bool genuine =
            shown && check_certificate(*shown, network.network, network.authority, shown->not_before_ns).has_value();
        if (genuine) caller->name = "node " + shown->id().short_hex();
        BASE_TRY(auto member, check_member(identity, network, clock.wall_ns()));
        if (member.id() == self) return Error{Errc::not_a_member, "a second node with our own key"};
        if (removed && removed(member.id())) return Error{Errc::removed, "it was removed from the network"};
        caller->member = std::move(member);
        return ok();
    };
}

std::string reason_of(const Error& error) {
    if (error == Errc::stopped) return "no handshake in time";
    return error.detail().empty() ? error.message() : error.detail();
}

}  // namespace

HandshakeLimiter::Permit HandshakeLimiter::admit(const asio::ip::address& from) {
    auto& [by_address, size] = *counts_;
    auto& here = by_address[from];
    if (size >= most_ || here >= most_per_address_) {
        if (here == 0) by_address.erase(from);
        return nullptr;
    }
    ++here;
    ++size;
    // Owns the counts: compilers differ in which parameter of a coroutine goes first, the transport or the permit.
    return Permit{counts_.get(), [counts = counts_, from](void*) {
                      --counts->size;
                      const auto found = counts->by_address.find(from);
                      if (--found->second == 0) counts->by_address.erase(found);
                  }};
}

Task<void> TcpTransport::Impl::accept_loop(std::shared_ptr<Impl> self) {
    while (!self->context->stopped) {
        auto [error, socket] = co_await self->acceptor->async_accept(kAwait);
        if (self->context->stopped) break;
        if (error) {
            // Out of descriptors, or the peer left already: neither may end or spin the loop.
            co_await self->context->clock.sleep_for(kAcceptPause);
            continue;
        }
        boost::system::error_code gone;
        const auto from = socket.remote_endpoint(gone).address();
        if (gone) continue;
        auto permit = self->handshake_limiter.admit(from);
        if (!permit) {
            self->refused("too many unproven connections", from.to_string());
            continue;
        }
        self->context->tasks.spawn(receive(self, std::move(socket), std::move(permit)));
    }
}

Task<void> TcpTransport::Impl::receive(std::shared_ptr<Impl> self, tcp::socket socket,
                                       [[maybe_unused]] HandshakeLimiter::Permit permit) {
    auto& clock = self->context->clock;
    boost::system::error_code gone;
    const auto caller = std::make_shared<Caller>();
    caller->name = socket.remote_endpoint(gone).address().to_string();
    tune_socket(socket);
    auto check =
        check_caller(caller, self->options, self->self_address.id, clock, static_cast<bool>(self->join_handler));
    const auto stream = make_tls_stream(std::move(socket), self->server_tls, std::move(check), {});
    Deadline deadline{clock, clock.now() + self->options.limits.handshake_timeout};
    deadline.on_expiry([stream] { stream->close(); });

    auto proven = co_await stream->handshake();
    if (!proven) {
        self->refused(reason_of(proven.error()), caller->name);
        co_return;
    }
    if (caller->joiner) {
        co_await receive_join(self, stream, *caller->joiner, deadline);
        co_return;
    }
    auto reader = std::make_unique<FrameReader>(*stream, kGreetingBuffer);
    auto hello = co_await exchange_hellos(*stream, *reader, self->hello(Channel::control), false);
    if (!hello) {
        self->refused(reason_of(hello.error()), caller->name);
        co_return;
    }
    Peer peer;
    peer.address.id = caller->member->id();
    if (parse_host_port(hello->endpoint)) peer.address.endpoint = hello->endpoint;
    peer.certificate = std::make_shared<const Certificate>(std::move(*caller->member));
    const auto channel = hello->channel;
    GreetedStream greeted;
    greeted.stream = stream;
    greeted.reader = std::move(reader);
    self->link_to(peer)->attach(self->make_connection(std::move(greeted), channel, false), peer);
}

/// One request, one answer, nothing else. No deadline is over the handler itself: it spends a token durably.
Task<void> TcpTransport::Impl::receive_join(std::shared_ptr<Impl> self, std::shared_ptr<TlsStream> stream,
                                            PublicKey joiner, Deadline& deadline) {
    FrameReader reader{*stream, kGreetingBuffer};
    auto hello = co_await exchange_hellos(*stream, reader, self->hello(Channel::control), false);
    if (!hello) co_return;
    auto frame = co_await reader.next(kMaxJoinBytes);
    const auto handler = self->join_handler;
    const bool proper =
        frame && frame->head.type == FrameType::request && frame->message.service() == Service::membership && handler;
    if (!proper) {
        self->refused("no join request", "a joiner");
        stream->close();
        co_return;
    }
    const auto id = frame->head.id;
    deadline.on_expiry({});
    auto answer = co_await handler(joiner, std::move(frame->message));
    Frame reply = answer ? Frame{FrameType::response, id, std::move(*answer)}
                         : Frame{FrameType::error, id, encode_error(answer.error())};
    if (!answer) self->refused("join: " + reason_of(answer.error()), "a joiner");
    Deadline answer_by{self->context->clock, self->context->clock.now() + self->options.limits.handshake_timeout};
    answer_by.on_expiry([stream] { stream->close(); });
    const auto sent = co_await write_frame(*stream, std::move(reply));
    // The joiner closes when it has the answer; closing first could destroy it on its way.
    if (sent) static_cast<void>(co_await reader.next(0));
    stream->close();
}

Task<Result<Message>> request_join(Executor executor, Clock& clock, SigningKey key, TrustedNetwork network,
                                   Address issuer, Message request, TimePoint deadline) {
    const TlsContext tls{TlsContext::Side::client, key, nullptr};
    DialRequest dial;
    dial.endpoint = issuer.endpoint;
    dial.alpn = kJoinAlpn;
    dial.deadline = std::min(deadline, clock.now() + ConnectionLimits{}.handshake_timeout);
    dial.check = [network, &clock, expected = issuer.id](const X509Identity& identity,
                                                         std::string_view) -> Result<void> {
        BASE_TRY(const auto member, check_member(identity, network, clock.wall_ns()));
        if (member.id() == expected) return ok();
        return Error{Errc::unreachable, "another node, " + member.id().short_hex() + ", answers there"};
    };
    auto greeted = co_await dial_stream(executor, clock, tls, std::move(dial));
    if (!greeted) co_return greeted.error().with(issuer.endpoint);

    Deadline limit{clock, deadline};
    limit.on_expiry([stream = greeted->stream] { stream->close(); });
    Frame question{FrameType::request, 1, std::move(request)};
    auto answer = Result<Frame>{Error{Errc::unreachable}};
    auto sent = co_await write_frame(*greeted->stream, std::move(question));
    if (sent) {
        answer = co_await greeted->reader->next(kMaxFrameBytes);
    } else {
        answer = sent.error();
    }
    greeted->stream->close();
    if (limit.passed()) co_return Error{Errc::timed_out, issuer.endpoint};
    if (!answer) co_return answer.error().with(issuer.endpoint);
    if (answer->head.type == FrameType::response) co_return std::move(answer->message);
    const auto error = decode_error(answer->message.header);
    if (answer->head.type == FrameType::error && error) co_return *error;
    co_return Error{Errc::bad_format, "the issuer's answer"};
}

}  // namespace base::host
