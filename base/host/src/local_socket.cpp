#include "base/host/local_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>

#include "base/error.hpp"
#include "dial.hpp"
#include "link.hpp"

namespace base::host {

namespace asio = boost::asio;
using Unix = asio::local::stream_protocol;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kGreetingBuffer = 1024;
constexpr std::size_t kMaxSessions = 256;
constexpr Duration kAcceptPause = std::chrono::milliseconds{50};  // when out of descriptors

/// A greeted connection over `socket`, or why not.
Task<Result<std::shared_ptr<Connection>>> greet(std::shared_ptr<LinkContext> context, Unix::socket socket,
                                                bool we_dialled) {
    const auto stream = make_plain_stream(std::move(socket));
    Deadline deadline{context->clock, context->clock.now() + context->limits.handshake_timeout};
    deadline.on_expiry([stream] { stream->close(); });
    auto reader = std::make_unique<FrameReader>(*stream, kGreetingBuffer);
    Hello ours;
    auto hello = co_await exchange_hellos(*stream, *reader, std::move(ours), we_dialled);
    if (deadline.passed()) co_return Error{Errc::timed_out, "no greeting in time"};
    if (!hello) co_return hello.error();
    co_return std::make_shared<Connection>(context->executor, context->clock, context->limits, stream,
                                           std::move(reader), Channel::control, we_dialled);
}

Task<void> watch(std::shared_ptr<LinkContext> context, std::shared_ptr<std::vector<std::shared_ptr<Link>>> links) {
    const auto period = std::min<Duration>(std::chrono::seconds{1}, context->limits.stall_window / 5);
    for (;;) {
        co_await context->clock.sleep_for(period);
        const auto now = context->clock.now();
        for (const auto& link : std::vector{*links}) link->watch(now);
        std::erase_if(*links, [](const auto& link) { return link->connections() == 0; });
    }
}

Result<Unix::endpoint> endpoint_at(const std::string& path) {
    constexpr std::size_t kMostBytes = sizeof(sockaddr_un::sun_path) - 1;
    if (path.empty() || path.size() > kMostBytes) {
        return Error{Errc::bad_argument, path + " (a socket's path has at most " + std::to_string(kMostBytes) +
                                             " bytes: choose a shorter node directory)"};
    }
    return Unix::endpoint{path};
}

/// Who is at the other end, as the kernel says. Of a group's members it told by letting them connect at all: the mode
/// of the socket.
bool may_command(Unix::socket& socket, bool for_group) {
    if (for_group) return true;
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
    return who.uid == ::geteuid() || who.uid == 0;
}

}  // namespace

// --- The daemon's end

struct LocalServer::Impl : std::enable_shared_from_this<Impl> {
    Impl(Executor executor, Clock& clock, Rng& rng, Log& log_in, std::string path_in, ConnectionLimits limits,
         bool for_group_in)
        : log{log_in},
          path{std::move(path_in)},
          for_group{for_group_in},
          context{std::make_shared<LinkContext>(executor, clock, rng, log_in, limits)},
          acceptor{executor} {
        context->single_channel = true;
    }

    Result<void> listen() {
        BASE_TRY(const auto endpoint, endpoint_at(path));
        BASE_CHECK(remove_stale(endpoint));
        boost::system::error_code error;
        acceptor.open(Unix{}, error);
        // The mode is set before anybody can find the name listening; the umask belongs to the whole process.
        const mode_t mode = for_group ? 0660 : 0600;
        if (!error && ::fchmod(acceptor.native_handle(), mode) != 0)
            error.assign(errno, boost::system::system_category());
        if (!error) acceptor.bind(endpoint, error);
        if (!error && ::chmod(path.c_str(), mode) != 0) error.assign(errno, boost::system::system_category());
        if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
        if (error) return Error{from_errno(error.value()), path};
        struct stat status{};
        if (::lstat(path.c_str(), &status) == 0) inode = status.st_ino;
        return ok();
    }

    /// A socket that refuses was left behind by a daemon that died. One that answers is alive.
    Result<void> remove_stale(const Unix::endpoint& endpoint) {
        struct stat status{};
        if (::lstat(path.c_str(), &status) != 0) return ok();
        if (!S_ISSOCK(status.st_mode)) return Error{Errc::exists, path + " is no socket"};
        Unix::socket probe{context->executor};
        boost::system::error_code error;
        probe.connect(endpoint, error);
        if (!error) return Error{Errc::exists, path + " (a node is running there)"};
        if (error != asio::error::connection_refused) return Error{from_errno(error.value()), path};
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error{from_errno(errno), path};
        return ok();
    }

    static Task<void> accept_loop(std::shared_ptr<Impl> self) {
        while (!self->context->stopped) {
            auto [error, socket] = co_await self->acceptor.async_accept(kAwait);
            if (self->context->stopped) break;
            if (error) {
                co_await self->context->clock.sleep_for(kAcceptPause);
                continue;
            }
            if (!may_command(socket, self->for_group)) {
                self->log.write(Log::Level::warning, "base", "refused a local command of another user");
                continue;
            }
            if (self->sessions->size() + self->greeting < kMaxSessions) {
                self->context->tasks.spawn(receive(self, std::move(socket)));
            }
        }
    }

    static Task<void> receive(std::shared_ptr<Impl> self, Unix::socket socket) {
        struct Count {
            std::size_t& value;
            explicit Count(std::size_t& counter) : value{counter} { ++value; }
            ~Count() { --value; }
        };
        const Count count{self->greeting};
        auto connection = co_await greet(self->context, std::move(socket), false);
        if (!connection || self->context->stopped) co_return;
        Peer command;
        command.address.endpoint = "local";
        const auto link = std::make_shared<Link>(self->context, command, Link::Dial{});
        self->sessions->push_back(link);
        link->attach(std::move(*connection), command);
    }

    void shut_down() {
        if (std::exchange(context->stopped, true)) return;
        boost::system::error_code ignored;
        acceptor.close(ignored);
        struct stat status{};  // a successor may have put its own there already
        if (inode != 0 && ::lstat(path.c_str(), &status) == 0 && status.st_ino == inode) ::unlink(path.c_str());
        for (const auto& link : std::vector{*sessions}) link->close(Error{Errc::stopped});
        context->cancel_tasks();
        context->services.clear();
    }

    Log& log;
    const std::string path;
    const bool for_group;
    const std::shared_ptr<LinkContext> context;
    Unix::acceptor acceptor;
    const std::shared_ptr<std::vector<std::shared_ptr<Link>>> sessions =
        std::make_shared<std::vector<std::shared_ptr<Link>>>();
    std::size_t greeting = 0;
    ino_t inode = 0;
};

Result<std::unique_ptr<LocalServer>> LocalServer::open(Executor executor, Clock& clock, Rng& rng, Log& log,
                                                       std::string path, ConnectionLimits limits, bool for_group) {
    const auto impl = std::make_shared<Impl>(executor, clock, rng, log, std::move(path), limits, for_group);
    BASE_CHECK(impl->listen());
    impl->context->tasks.spawn(Impl::accept_loop(impl));
    impl->context->tasks.spawn(watch(impl->context, impl->sessions));
    return std::unique_ptr<LocalServer>{new LocalServer{impl}};
}

LocalServer::LocalServer(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}
LocalServer::~LocalServer() { impl_->shut_down(); }

void LocalServer::serve(Service service, Transport::RequestHandler on_request, Transport::NotifyHandler on_notify) {
    impl_->context->services.serve(service, std::move(on_request), std::move(on_notify));
}

Task<void> LocalServer::stop() {
    const auto impl = impl_;
    impl->shut_down();
    co_await impl->context->tasks.join();
}

// --- A command's end

namespace {

Task<Result<std::shared_ptr<Connection>>> dial_local(std::shared_ptr<LinkContext> context, std::string path) {
    const auto endpoint = endpoint_at(path);
    if (!endpoint) co_return endpoint.error();
    Unix::socket socket{context->executor};
    const auto [error] = co_await socket.async_connect(*endpoint, kAwait);
    if (error == asio::error::connection_refused || error == boost::system::errc::no_such_file_or_directory) {
        co_return Error{Errc::unreachable, "no node is running here"};
    }
    if (error) co_return Error{from_errno(error.value()), error.message()};
    co_return co_await greet(context, std::move(socket), true);
}

class LocalClient final : public Transport {
  public:
    LocalClient(Executor executor, Clock& clock, Rng& rng, std::string path, ConnectionLimits limits)
        : context_{std::make_shared<LinkContext>(executor, clock, rng, silent_log(), limits)} {
        context_->single_channel = true;
        Peer daemon;
        daemon.address.endpoint = path;
        link_ = std::make_shared<Link>(context_, daemon,
                                       [context = std::weak_ptr{context_}, path](std::shared_ptr<Link>, Channel) {
                                           return dial_local(context.lock(), path);
                                       });
        context_->tasks.spawn(watch_one(context_, link_));
    }

    ~LocalClient() override {
        context_->stopped = true;
        link_->close(Error{Errc::stopped});
        context_->cancel_tasks();
        context_->services.clear();
    }
    LocalClient(const LocalClient&) = delete;
    LocalClient& operator=(const LocalClient&) = delete;

    [[nodiscard]] const Address& self() const override { return self_; }
    Task<Result<Message>> request(Address, Message message, TimePoint deadline) override {
        return link_->request(std::move(message), deadline);
    }
    void notify(const Address&, Message message) override { link_->notify(std::move(message)); }
    void serve(Service service, RequestHandler on_request, NotifyHandler on_notify) override {
        context_->services.serve(service, std::move(on_request), std::move(on_notify));
    }

  private:
    static Task<void> watch_one(std::shared_ptr<LinkContext> context, std::shared_ptr<Link> link) {
        const auto period = std::min<Duration>(std::chrono::seconds{1}, context->limits.stall_window / 5);
        for (;;) {
            co_await context->clock.sleep_for(period);
            link->watch(context->clock.now());
        }
    }

    const Address self_;
    const std::shared_ptr<LinkContext> context_;
    std::shared_ptr<Link> link_;
};

}  // namespace

std::unique_ptr<Transport> connect_local(Executor executor, Clock& clock, Rng& rng, std::string path,
                                         ConnectionLimits limits) {
    return std::make_unique<LocalClient>(executor, clock, rng, std::move(path), limits);
}

}  // namespace base::host
