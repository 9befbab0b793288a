#include "session/session.hpp"

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/host_local_tree.hpp"
#include "base/host/local_socket.hpp"
#include "base/network_directory.hpp"
#include "cli/text.hpp"
#include "past/error.hpp"
#include "past/local.hpp"
#include "session/lone_transport.hpp"

namespace tools {

namespace {

constexpr auto kTick = std::chrono::milliseconds{500};
constexpr int kTicksBeforeTelling = 4;

/// Nullopt unless this machine is, or ever was, a member of a network.
base::Result<std::optional<std::string>> joined_network(const std::string& node_directory) {
    auto disk = base::host::HostDisk::open(node_directory);
    if (!disk && disk.error() == base::Errc::not_found) return std::optional<std::string>{};
    if (!disk) return disk.error();
    const auto network = base::NetworkDirectory::open(**disk);
    if (network) return std::optional{network->name()};
    if (network.error() == base::Errc::not_found) return std::optional<std::string>{};
    return network.error();
}

}  // namespace

Session::Session(Context& context, DataDirectory directory)
    : console_{context.console},
      directory_{std::move(directory)},
      stop_{context.io.around().stop},
      runtime_{std::make_unique<ConsoleLog>(context.console)},
      files_{base::host::make_local_tree()} {}

Session::~Session() {
    if (lone_) runtime_.run(lone_->close());
}

base::NodeEnv Session::env() {
    return {runtime_.executor(), runtime_.clock(),   runtime_.rng(), *transport_,
            *client_disk_,       runtime_.workers(), runtime_.log()};
}

base::Result<std::unique_ptr<Session>> Session::open(Context& context) {
    std::unique_ptr<Session> session{new Session{context, DataDirectory{context.settings.get("dir")}}};
    const std::string& path = session->directory_.path;
    const auto opened = [&]() -> base::Result<void> {
        BASE_CHECK(session->open_client());
        // Before the store is touched: a node that runs has it locked.
        if (somebody_listens(session->directory_.socket())) return session->connect_to_node();
        BASE_TRY(const auto network, joined_network(session->directory_.node()));
        if (network) return base::Error{Errc::no_node, "cannot reach network '" + *network + "'"};
        return session->open_lone_node(context.settings);
    }();
    if (!opened) {
        const bool whole = opened.error() == Errc::no_node;
        return whole ? opened.error() : opened.error().with("cannot use the data directory " + path);
    }
    session->high_water_ = objstore::make_disk_high_water(session->env(), kMarksDirectory);
    return session;
}

/// Whatever the command was at: without its node there is one thing to say, and so there is where it found no room.
base::Error Session::judge(const base::Error& error) const {
    if (lone_ && lone_->full() && error == base::Errc::read_only) return *lone_->full();
    const bool no_room = error == past::Errc::no_space || error == base::Errc::no_space;
    if (lone_ && no_room) return error.with(directory_.node());
    const bool lost = error == base::Errc::unreachable || error == base::Errc::stopped;
    if (kind() != Kind::node_near || !lost || somebody_listens(directory_.socket())) return error;
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
    transport_ = base::host::connect_local(runtime_.executor(), runtime_.clock(), runtime_.rng(), directory_.socket());
    client_ = std::make_unique<past::LocalClient>(*transport_, runtime_.clock(), base::Address{});
    storage_ = client_.get();
    return base::ok();
}

base::Result<void> Session::open_lone_node(const Settings& settings) {
    BASE_TRY(node_disk_, base::host::HostDisk::create(directory_.node()));
    transport_ = std::make_unique<LoneTransport>(base::Address{});
    LoneNodeConfig config;
    config.capacity_bytes = settings.size("capacity").value_or(0);
    BASE_TRY(lone_, run(LoneNode::open(runtime_, *node_disk_, config), "another pelago command that uses the store"));
    storage_ = &lone_->storage();
    return base::ok();
}

}  // namespace tools
