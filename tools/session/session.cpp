#include "session/session.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/host_local_tree.hpp"
#include "base/host/local_socket.hpp"
#include "cli/text.hpp"
#include "daemon/control.hpp"
#include "past/error.hpp"
#include "past/local.hpp"
#include "session/limited_storage.hpp"
#include "session/lone_transport.hpp"

namespace tools {

namespace {

constexpr auto kTick = std::chrono::milliseconds{500};
constexpr int kTicksBeforeTelling = 4;

}  // namespace

Session::Session(Context& context, std::shared_ptr<base::host::HostRuntime> runtime)
    : console_{context.console},
      directory_{data_directory(context.settings)},
      stop_{context.io.environment().stop},
      runtime_{std::move(runtime)},
      files_{base::host::make_local_tree()} {}

Session::~Session() {
    if (shared_) runtime_->run(shared_->close());
    runtime_->workers().wait_for_jobs();  // of what was cut off: they use the doors that go now
}

base::NodeEnv Session::env() {
    return {runtime_->executor(), runtime_->clock(),   runtime_->rng(), *transport_,
            *client_disk_,        runtime_->workers(), runtime_->log()};
}

base::Result<std::unique_ptr<Session>> Session::open(Context& context) {
    auto runtime = std::make_shared<base::host::HostRuntime>(std::make_unique<ConsoleLog>(context.console));
    return open(std::unique_ptr<Session>{new Session{context, std::move(runtime)}}, context);
}

base::Result<std::unique_ptr<Session>> Session::open_beside(Context& context, const Session& other) {
    return open(std::unique_ptr<Session>{new Session{context, other.runtime_}}, context);
}

base::Result<std::unique_ptr<Session>> Session::open(std::unique_ptr<Session> session, Context& context) {
    const std::string& path = session->directory_.path;
    const auto opened = [&]() -> base::Result<void> {
        BASE_CHECK(check_new(session->directory_));
        BASE_CHECK(session->open_client());
        if (!session->directory_.other_socket.empty()) return session->connect_to_other_node();
        BASE_TRY(session->network_, joined_network(session->directory_));
        if (!session->network_) return session->open_shared_store(context.settings);
        if (somebody_listens(session->directory_.socket())) return session->connect_to_node();
        return base::Error{Errc::no_node, "cannot reach network '" + *session->network_ + "'"};
    }();
    if (!opened) {
        const bool whole = opened.error() == Errc::no_node || opened.error() == base::Errc::bad_argument;
        return whole ? opened.error() : opened.error().with("cannot use the data directory " + path);
    }
    const auto& settings = context.settings;
    const RateLimits limits{settings.rate("limit_upload"), settings.rate("limit_download")};
    if (limits.upload || limits.download) {
        session->limited_ = limit_rates(*session->storage_, session->runtime_->clock(), limits);
        session->storage_ = session->limited_.get();
    }
    session->high_water_ = objstore::make_disk_high_water(session->env(), kMarksDirectory);
    return session;
}

/// Whatever the command was at: without its node there is one thing to say, and so there is where it found no room.
base::Error Session::judge(const base::Error& error) const {
    if (shared_ && shared_->full() && error == base::Errc::read_only) return *shared_->full();
    const bool no_room = error == past::Errc::no_space || error == base::Errc::no_space;
    if (shared_ && no_room) return error.with(directory_.node());
    const bool lost = error == base::Errc::unreachable || error == base::Errc::stopped;
    if (shared_ || !lost || somebody_listens(directory_.socket())) return error;
    return {Errc::node_gone, "lost " + directory_.socket()};
}

base::Task<void> Session::tick_on(base::Clock* clock, std::function<void()> tick) {
    for (;;) {
        co_await clock->sleep_for(kTick);
        tick();
    }
}

std::function<void()> Session::tell_after_a_while(std::string waits_for) {
    return [this, waits_for = std::move(waits_for), ticks = 0]() mutable {
        if (++ticks == kTicksBeforeTelling) console_.status("waiting for " + printable(waits_for));
    };
}

base::Result<void> Session::open_client() {
    BASE_TRY(client_disk_, base::host::HostDisk::create(directory_.client()));
    return base::ok();
}

base::Result<void> Session::connect_to_node() {
    transport_ =
        base::host::connect_local(runtime_->executor(), runtime_->clock(), runtime_->rng(), directory_.socket());
    client_ = std::make_unique<past::LocalClient>(*transport_, runtime_->clock(), base::Address{});
    storage_ = client_.get();
    return base::ok();
}

/// Of another data directory: that of the service of this machine, say.
base::Result<void> Session::connect_to_other_node() {
    if (!somebody_listens(directory_.socket()))
        return base::Error{Errc::no_node, "cannot reach the node at " + directory_.socket()};
    BASE_CHECK(connect_to_node());
    constexpr std::chrono::seconds kPatience{10};
    BASE_TRY(const auto network, run(ask_daemon(*transport_, runtime_->clock(), "network", nullptr, kPatience)));
    network_ = network.value("name", std::string{});
    return base::ok();
}

base::Result<void> Session::open_shared_store(const Settings& settings) {
    transport_ = std::make_unique<LoneTransport>(base::Address{});
    LoneNodeConfig config;
    config.capacity_bytes = settings.size("capacity").value_or(0);
    shared_ = std::make_unique<SharedStore>(*runtime_, directory_, config);
    BASE_CHECK(run(shared_->open(), "another pelago command that uses the store"));
    storage_ = shared_.get();
    return base::ok();
}

}  // namespace tools
