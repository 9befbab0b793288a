#include "daemon/daemon.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/clone_probe.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/host_runtime.hpp"
#include "base/host/local_socket.hpp"
#include "base/host/tcp_transport.hpp"
#include "base/network_directory.hpp"
#include "daemon/control.hpp"
#include "daemon/members.hpp"
#include "daemon/metrics.hpp"
#include "daemon/notify.hpp"
#include "daemon/peer_stack.hpp"
#include "daemon/questions.hpp"
#include "daemon/watch.hpp"
#include "past/local.hpp"
#include "session/data_directory.hpp"
#include "session/session.hpp"

namespace tools {

namespace {

using std::chrono::milliseconds;

PeerConfig peer_config(const DaemonOptions& options, const base::Certificate& certificate) {
    PeerConfig config;
    config.overlay.heartbeat_interval = options.heartbeat;
    // A neighbour that is probed more often is also given up sooner; never so soon that a busy machine looks
    // dead.
    config.overlay.probe_timeout =
        std::clamp<base::Duration>(options.heartbeat / 2, milliseconds{500}, config.overlay.probe_timeout);
    config.store.capacity_bytes = options.capacity_bytes != 0 ? options.capacity_bytes : certificate.capacity_bytes;
    config.past.scrub_period = options.scrub;
    if (options.cache_bytes) config.past.max_cache_bytes = *options.cache_bytes;
    return config;
}

/// Everything that lives as long as the daemon serves.
struct Daemon {
    Daemon(base::host::HostRuntime& runtime_in, DaemonOptions options_in)
        : runtime{runtime_in},
          options{std::move(options_in)},
          directory{options.directory, options.socket},
          watching{runtime_in.executor()} {}

    base::Result<void> open();
    base::Task<base::Result<void>> refuse_to_be_a_clone(base::NodeEnv env);
    base::Task<base::Result<ExitCode>> serve(std::stop_token stop);
    void network_changed();
    base::Task<base::Result<base::Message>> answer(base::Message message);
    base::Task<base::Result<std::string>> metrics_page();

    base::host::HostRuntime& runtime;
    DaemonOptions options;
    DataDirectory directory;
    std::unique_ptr<base::Disk> disk;
    std::unique_ptr<base::DirectoryLock> lock;
    std::optional<base::NetworkDirectory> network;
    std::unique_ptr<base::host::TcpTransport> transport;
    std::unique_ptr<base::host::LocalServer> socket;
    std::unique_ptr<PeerStack> stack;
    std::unique_ptr<past::LocalServer> blocks;
    std::optional<Watch> watch;
    base::TaskGroup watching;
    ControlTable control;
    std::unique_ptr<MetricsServer> metrics;
    std::stop_source ended;  // by what happens in the network
};

base::Error no_member_any_more(const base::NetworkDirectory& network) {
    return {base::Errc::removed,
            "this machine, node " + network.certificate().id().short_hex() + " of network '" + network.name() + "'"};
}

base::Result<void> Daemon::open() {
    auto opened = base::host::HostDisk::open(directory.node());
    if (!opened && opened.error() == base::Errc::not_found) {
        return base::Error{Errc::no_network, "cannot use " + directory.path};
    }
    BASE_TRY(disk, std::move(opened));
    auto known = base::NetworkDirectory::open(*disk);
    if (!known && known.error() == base::Errc::not_found) {
        return base::Error{Errc::no_network, "cannot use " + directory.path};
    }
    BASE_TRY(network, std::move(known));
    if (network->was_removed()) return no_member_any_more(*network);
    auto locked = disk->lock(kNetworkLock);
    if (!locked && locked.error() == base::Errc::locked && somebody_listens(directory.socket()))
        return base::Error{Errc::node_runs, "cannot run a node on " + directory.path};
    if (!locked) return locked.error().with("cannot run a node on " + directory.path);
    lock = *std::move(locked);

    const bool client = network->certificate().role == base::Role::client;
    base::host::TcpOptions tcp{.listen = client ? "" : options.listen,
                               .advertise = options.advertise,
                               .network = {network->network(), network->authority()},
                               .key = network->key(),
                               .certificate = network->certificate(),
                               .removed = [this](const base::NodeId& node) { return network->roster().removed(node); }};
    BASE_TRY(transport, base::host::TcpTransport::open(runtime.executor(), runtime.clock(), runtime.rng(),
                                                       runtime.log(), std::move(tcp)));
    auto listening = base::host::LocalServer::open(runtime.executor(), runtime.clock(), runtime.rng(), runtime.log(),
                                                   directory.socket(), {}, options.share_with_group);
    // No other node, we have its lock: a command that began before a network was made or joined.
    if (!listening && somebody_listens(directory.socket()))
        return base::Error{base::Errc::locked, "cannot run a node on " + directory.path};
    BASE_TRY(socket, std::move(listening));
    return base::ok();
}

base::Task<base::Result<base::Message>> Daemon::answer(base::Message message) {
    if (message.verb() == kControlVerb) return control.handle(std::move(message));
    if (past::LocalServer::owns(message.verb())) return blocks->handle(std::move(message));
    return [](std::uint8_t verb) -> base::Task<base::Result<base::Message>> {
        co_return base::Error{base::Errc::unsupported, "command number " + std::to_string(verb)};
    }(message.verb());
}

base::Task<base::Result<std::string>> Daemon::metrics_page() {
    nlohmann::json nothing = nlohmann::json::object();
    BASE_CO_TRY(const auto status, co_await control.ask("status", std::move(nothing)));
    co_return metrics_text(status);
}

base::Task<void> wait_for(std::stop_token stop, std::stop_token ended, base::Executor executor) {
    base::Event requested{executor};
    const auto wake = [executor, &requested] { boost::asio::post(executor, [&requested] { requested.set(); }); };
    const std::stop_callback on_stop{std::move(stop), wake};
    const std::stop_callback on_end{std::move(ended), wake};
    co_await requested.wait();
}

/// Before it does anything: two processes that are one member undo each other's copies.
base::Task<base::Result<void>> Daemon::refuse_to_be_a_clone(base::NodeEnv env) {
    constexpr std::chrono::seconds kPatience{3};
    constexpr std::size_t kMostAsked = 8;
    auto members = network->seeds();
    if (members.size() > kMostAsked) members.resize(kMostAsked);
    const auto us = network->certificate().id();
    const auto groups = co_await where_others_see(env, us, std::move(members), runtime.clock().now() + kPatience);
    for (const auto& endpoint : groups) {
        if (endpoint == transport->self().endpoint) continue;
        base::host::TrustedNetwork trusted{network->network(), network->authority()};
        auto key = network->key();
        auto certificate = network->certificate();
        auto where = endpoint;
        const auto until = runtime.clock().now() + kPatience;
        if (!co_await base::host::is_ourselves(runtime.executor(), runtime.clock(), std::move(trusted), std::move(key),
                                               std::move(certificate), std::move(where), until))
            continue;
        co_return base::Error{base::Errc::bad_argument,
                              "cannot run a node on " + directory.path + ": a node with this very identity runs at " +
                                  endpoint +
                                  ", so this directory is a copy of its own; a machine joins with a token "
                                  "of its own ('pelago network invite')"};
    }
    co_return base::ok();
}

/// Who has the authority's key answers joiners, if only to say where it acts now.
void Daemon::network_changed() {
    if (network->was_removed()) ended.request_stop();
    if (!network->is_authority() || !stack) return;
    transport->serve_joins([this](base::PublicKey joiner, base::Message request) {
        return stack->membership().admit(joiner, std::move(request));
    });
}

base::Task<base::Result<ExitCode>> Daemon::serve(std::stop_token stop) {
    const base::NodeEnv env{runtime.executor(), runtime.clock(), runtime.rng(), *transport, *disk,
                            runtime.workers(),  runtime.log()};
    if (!options.metrics.empty()) {
        auto opened = MetricsServer::open(runtime.executor(), options.metrics, [this] { return metrics_page(); });
        if (!opened) co_return opened.error().with("--metrics " + options.metrics);
        metrics = *std::move(opened);
        runtime.log().write(base::Log::Level::info, "daemon", "metrics at http://" + metrics->endpoint() + "/metrics");
    }
    BASE_CO_CHECK(co_await refuse_to_be_a_clone(env));
    auto config = peer_config(options, network->certificate());
    config.network_changed = [this] { network_changed(); };
    BASE_CO_TRY(stack, co_await PeerStack::start(env, *network, std::move(config)));
    network_changed();
    const auto find_holders = [this](base::Guid group, base::TimePoint deadline) {
        return stack->past().holders(group, deadline);
    };
    blocks = std::make_unique<past::LocalServer>(env, stack->past(), find_holders);
    watch.emplace(env, *stack);
    watching.spawn(watch->run());
    watching.spawn(add_questions(control, env, *stack, *watch, options.name));
    socket->serve(base::Service::local,
                  [this](base::Peer, base::Message message) { return answer(std::move(message)); }, {});

    runtime.log().write(base::Log::Level::info, "daemon",
                        "node " + network->certificate().id().short_hex() + " of network '" + network->name() + "' " +
                            (stack->is_client() ? "is a client: it keeps nothing for others"
                                                : "listens on " + transport->self().endpoint));
    if (options.on_serving) {
        options.on_serving({{"message_type", "serving"},
                            {"node", network->certificate().id().hex()},
                            {"network_name", network->name()},
                            {"endpoint", transport->self().endpoint},
                            {"pid", ::getpid()}});
    }
    notify_service_manager(options.notify_socket, "READY=1");
    co_await wait_for(std::move(stop), ended.get_token(), runtime.executor());

    if (network->was_removed()) {  // whoever asked for it is answered first
        runtime.log().write(base::Log::Level::warning, "daemon", "this node was removed from the network");
        co_await runtime.clock().sleep_for(milliseconds{500});
    }
    notify_service_manager(options.notify_socket, "STOPPING=1");
    runtime.log().write(base::Log::Level::info, "daemon",
                        "stopping: what is under way ends first; a second signal ends it at once");
    co_await socket->stop();
    transport->serve_joins({});
    if (metrics) co_await metrics->stop();
    watching.cancel();
    co_await watching.join();
    co_await stack->stop();
    co_await transport->stop();
    runtime.log().write(base::Log::Level::info, "daemon", "stopped");
    if (network->was_removed()) co_return no_member_any_more(*network);
    co_return ExitCode::done;
}

}  // namespace

base::Result<ExitCode> run_daemon(DaemonOptions options, std::stop_token stop) {
    base::host::HostRuntime runtime{options.verbose ? base::Log::Level::debug : base::Log::Level::info};
    Daemon daemon{runtime, std::move(options)};
    BASE_CHECK(daemon.open());
    return runtime.run(daemon.serve(std::move(stop)));
}

}  // namespace tools
