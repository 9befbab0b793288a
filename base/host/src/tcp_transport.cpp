#include "base/host/tcp_transport.hpp"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>

#include "base/error.hpp"
#include "tcp_impl.hpp"

namespace base::host {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

Error bind_error(const boost::system::error_code& error, const HostPort& where) {
    const auto port = "port " + std::to_string(where.port) + " on " + where.host;
    if (error == asio::error::address_in_use) {
        return Error{std::make_error_code(std::errc::address_in_use),
                     port + " is in use; choose another with --listen"};
    }
    if (error == asio::error::access_denied) {
        return Error{Errc::denied, port + " needs more rights; choose one above 1023 with --listen"};
    }
    return Error{Errc::bad_argument, port + " (" + error.message() + ")"};
}

/// What others can dial when we listen everywhere: the first address that is not only this machine's.
std::string global_address(bool v6) {
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) != 0) return "127.0.0.1";
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list{found, &::freeifaddrs};
    std::string fallback = "127.0.0.1";
    for (const ifaddrs* at = list.get(); at != nullptr; at = at->ifa_next) {
        if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
        if (at->ifa_addr->sa_family == AF_INET) {
            const auto* in = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
            return asio::ip::address_v4{ntohl(in->sin_addr.s_addr)}.to_string();
        }
        if (at->ifa_addr->sa_family == AF_INET6 && v6) {
            const auto* in = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
            asio::ip::address_v6::bytes_type bytes;
            std::copy_n(in->sin6_addr.s6_addr, bytes.size(), bytes.begin());
            const asio::ip::address_v6 address{bytes};
            if (!address.is_link_local()) fallback = address.to_string();
        }
    }
    return fallback;
}

}  // namespace

TcpTransport::Impl::Impl(Executor executor, Clock& clock, Rng& rng, Log& log_in, TcpOptions options_in)
    : options{std::move(options_in)},
      log{log_in},
      context{std::make_shared<LinkContext>(executor, clock, rng, log_in, options.limits)},
      server_tls{TlsContext::Side::server, options.key, &options.certificate},
      client_tls{TlsContext::Side::client, options.key, &options.certificate},
      certificate{std::make_shared<const Certificate>(options.certificate)},
      self_address{options.certificate.id(), options.advertise},
      handshake_limiter{options.limits},
      refusals{log_in} {}

Result<void> TcpTransport::Impl::listen() {
    BASE_TRY(auto where, parse_host_port(options.listen));
    boost::system::error_code error;
    tcp::resolver resolver{context->executor};
    const auto found = resolver.resolve(where.host, std::to_string(where.port), tcp::resolver::passive, error);
    if (error) return bind_error(error, where);
    const auto endpoint = found.begin()->endpoint();
    acceptor.emplace(context->executor);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(tcp::acceptor::reuse_address{true}, error);
    if (!error && endpoint.protocol() == tcp::v6() && endpoint.address().is_unspecified()) {
        acceptor->set_option(asio::ip::v6_only{false}, error);
    }
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) return bind_error(error, where);
    if (!self_address.endpoint.empty()) return ok();
    HostPort told{where.host, acceptor->local_endpoint().port()};
    if (endpoint.address().is_unspecified()) told.host = global_address(endpoint.protocol() == tcp::v6());
    self_address.endpoint = told.text();
    return ok();
}

void TcpTransport::Impl::start() {
    context->on_misbehaviour = [weak = weak_from_this()](const Peer& peer, const Error& why) {
        const auto self = weak.lock();
        if (!self) return;
        ++self->misbehaved;
        self->refusals.note(self->context->clock.now(), why.detail(), "node " + peer.address.id.short_hex());
    };
    if (acceptor) context->tasks.spawn(accept_loop(shared_from_this()));
    context->tasks.spawn(watch_links(shared_from_this()));
}

/// Ends everything that could wait on a socket; what is left are coroutines on their way out.
void TcpTransport::Impl::shut_down() {
    if (std::exchange(context->stopped, true)) return;
    boost::system::error_code ignored;
    if (acceptor) acceptor->close(ignored);
    for (const auto& [id, link] : std::exchange(links, {})) link->close(Error{Errc::stopped});
    context->cancel_tasks();
    context->services.clear();
    join_handler = {};
}

void TcpTransport::Impl::refused(const std::string& reason, const std::string& source) {
    refusals.note(context->clock.now(), reason, source);
}

Hello TcpTransport::Impl::hello(Channel channel) const {
    Hello out;
    out.channel = channel;
    out.endpoint = self_address.endpoint;
    return out;
}

// --- Links

std::shared_ptr<Link> TcpTransport::Impl::link_to(const Peer& peer) {
    auto& link = links[peer.address.id];
    if (!link) {
        link = std::make_shared<Link>(context, peer,
                                      [weak = weak_from_this()](std::shared_ptr<Link> asker, Channel channel) {
                                          return dial(weak, std::move(asker), channel);
                                      });
    }
    return link;
}

std::shared_ptr<Connection> TcpTransport::Impl::make_connection(GreetedStream greeted, Channel channel,
                                                                bool we_dialled) {
    if (channel == Channel::bulk) greeted.stream->use_large_buffers();
    return std::make_shared<Connection>(context->executor, context->clock, options.limits, std::move(greeted.stream),
                                        std::move(greeted.reader), channel, we_dialled);
}

Task<Result<std::shared_ptr<Connection>>> TcpTransport::Impl::dial(std::weak_ptr<Impl> weak, std::shared_ptr<Link> link,
                                                                   Channel channel) {
    const auto self = weak.lock();
    if (!self || self->context->stopped) co_return Error{Errc::stopped};
    auto& clock = self->context->clock;
    ++self->dials;
    DialRequest request;
    request.endpoint = link->endpoint();
    request.alpn = kMemberAlpn;
    request.hello = self->hello(channel);
    request.deadline = clock.now() + self->options.limits.handshake_timeout;
    request.check = [network = self->options.network, removed = self->options.removed, &clock,
                     expected = link->peer().address.id](const X509Identity& identity,
                                                         std::string_view) -> Result<void> {
        BASE_TRY(const auto member, check_member(identity, network, clock.wall_ns()));
        if (removed && removed(expected)) return Error{Errc::removed, "it was removed from the network"};
        if (member.id() == expected) return ok();
        return Error{Errc::unreachable, "another node, " + member.id().short_hex() + ", answers there"};
    };
    auto greeted = co_await dial_stream(self->context->executor, clock, self->client_tls, std::move(request));
    if (!greeted && (greeted.error() == Errc::not_a_member || greeted.error() == Errc::removed)) {
        self->refused(greeted.error().detail(), "node " + link->peer().address.id.short_hex() + " (dialled)");
    }
    if (!greeted) co_return greeted.error();
    co_return self->make_connection(std::move(*greeted), channel, true);
}

Task<void> TcpTransport::Impl::watch_links(std::shared_ptr<Impl> self) {
    const auto period = std::min<Duration>(std::chrono::seconds{1}, self->options.limits.stall_window / 5);
    for (;;) {
        co_await self->context->clock.sleep_for(period);
        const auto now = self->context->clock.now();
        std::vector<std::shared_ptr<Link>> present;  // watching may close, and closing may change the map
        for (const auto& [id, link] : self->links) present.push_back(link);
        const auto& removed = self->options.removed;
        for (const auto& link : present) {
            // Not at once: an answer may be on its way.
            if (removed && removed(link->peer().address.id) && link->end_soon()) link->close(Error{Errc::removed});
        }
        for (const auto& link : present) link->watch(now);
        std::erase_if(self->links, [now](const auto& item) { return item.second->disposable(now); });
    }
}

// --- Ourselves

namespace {

struct OwnAnswer {
    explicit OwnAnswer(Executor executor) : done{executor} {}
    void set(Result<Message> value) {
        if (!result) result.emplace(std::move(value));
        done.set();
    }
    std::optional<Result<Message>> result;
    Event done;
};

Task<void> answer_ourselves(std::shared_ptr<LinkContext> context, std::shared_ptr<OwnAnswer> slot, Peer us,
                            Message message) {
    struct Ending {  // also when cancelled
        OwnAnswer& slot;
        ~Ending() { slot.set(Error{Errc::stopped}); }
    };
    const Ending ending{*slot};
    slot->set(co_await context->services.answer(std::move(us), std::move(message)));
}

}  // namespace

Task<Result<Message>> TcpTransport::Impl::ask_self(Message message, TimePoint deadline) {
    if (context->stopped) co_return Error{Errc::stopped};
    const auto slot = std::make_shared<OwnAnswer>(context->executor);
    Deadline limit{context->clock, deadline};
    limit.on_expiry([slot] { slot->set(Error{Errc::timed_out, "this node"}); });
    Peer us{self_address, certificate};
    context->tasks.spawn(answer_ourselves(context, slot, std::move(us), std::move(message)));
    co_await slot->done.wait();
    co_return std::move(*slot->result);
}

void TcpTransport::Impl::notify_self(Message message) {
    // Not inline: the caller is in the middle of something.
    asio::post(context->executor, [weak = weak_from_this(), message = std::move(message)]() mutable {
        const auto self = weak.lock();
        if (!self || self->context->stopped) return;
        const Peer us{self->self_address, self->certificate};
        self->context->services.deliver(us, std::move(message));
    });
}

// --- The face

Result<std::unique_ptr<TcpTransport>> TcpTransport::open(Executor executor, Clock& clock, Rng& rng, Log& log,
                                                         TcpOptions options) {
    if (options.certificate.key != options.key.public_key()) {
        return Error{Errc::bad_argument, "the certificate is over another key"};
    }
    if (!options.advertise.empty()) BASE_CHECK(parse_host_port(options.advertise));
    const auto impl = std::make_shared<Impl>(executor, clock, rng, log, std::move(options));
    if (!impl->options.listen.empty()) BASE_CHECK(impl->listen());
    impl->start();
    return std::unique_ptr<TcpTransport>{new TcpTransport{impl}};
}

TcpTransport::TcpTransport(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}
TcpTransport::~TcpTransport() { impl_->shut_down(); }

const Address& TcpTransport::self() const { return impl_->self_address; }

Task<Result<Message>> TcpTransport::request(Address to, Message message, TimePoint deadline) {
    const auto impl = impl_;  // outlives this transport as long as the call does
    if (to.id == impl->self_address.id) co_return co_await impl->ask_self(std::move(message), deadline);
    if (to.id.is_zero()) co_return Error{Errc::bad_argument, "a request to nobody"};
    if (impl->context->stopped) co_return Error{Errc::stopped};
    Peer peer{to, nullptr};
    const auto link = impl->link_to(peer);
    link->dial_at(to.endpoint);
    co_return co_await link->request(std::move(message), deadline);
}

void TcpTransport::notify(const Address& to, Message message) {
    if (impl_->context->stopped || to.id.is_zero()) return;
    if (to.id == impl_->self_address.id) return impl_->notify_self(std::move(message));
    const Peer peer{to, nullptr};
    const auto link = impl_->link_to(peer);
    link->dial_at(to.endpoint);
    link->notify(std::move(message));
}

void TcpTransport::serve(Service service, RequestHandler on_request, NotifyHandler on_notify) {
    impl_->context->services.serve(service, std::move(on_request), std::move(on_notify));
}

void TcpTransport::serve_joins(JoinHandler handler) { impl_->join_handler = std::move(handler); }

Task<void> TcpTransport::stop() {
    const auto impl = impl_;
    impl->shut_down();
    co_await impl->context->tasks.join();
}

std::uint16_t TcpTransport::port() const {
    return impl_->acceptor && impl_->acceptor->is_open() ? impl_->acceptor->local_endpoint().port() : std::uint16_t{0};
}

TcpTransport::Stats TcpTransport::stats() const {
    Stats out;
    for (const auto& [id, link] : impl_->links) out.connections += link->connections();
    out.unproven = impl_->handshake_limiter.size();
    out.dials = impl_->dials;
    out.refused = impl_->refusals.total();
    out.closed_for_cause = impl_->misbehaved;
    return out;
}

}  // namespace base::host
