#include "dev/cluster.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/host_runtime.hpp"
#include "base/network_directory.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "daemon/control.hpp"
#include "dev/spawn.hpp"
#include "network/join.hpp"
#include "session/data_directory.hpp"
#include "session/lone_identity.hpp"

namespace tools {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStartTimeout{60};
constexpr seconds kStopTimeout{20};
constexpr milliseconds kPoll{50};
constexpr seconds kAskTimeout{5};

std::string log_path(const std::string& node) { return join_path(node, "node.log"); }

/// Where the node listened last: after all were down, that is where they look for each other.
std::string endpoint_path(const std::string& node) { return join_path(node, "endpoint"); }
std::string last_endpoint(const std::string& node) {
    const auto text = read_small_file(endpoint_path(node), 256);
    return text && *text ? std::string{base::as_text(**text)} : std::string{};
}

/// Nullopt if no node answers there.
std::optional<nlohmann::json> ask_status(const std::string& node) {
    if (!mode_of(DataDirectory{node}.socket())) return std::nullopt;
    auto answer = ask_daemon(DataDirectory{node}, "status", nlohmann::json::object(), kAskTimeout);
    if (!answer) return std::nullopt;
    return std::move(*answer);
}

/// Of each, asked all at once: one that hangs costs the others nothing.
std::vector<std::optional<nlohmann::json>> ask_all(const std::vector<std::string>& nodes) {
    std::vector<std::future<std::optional<nlohmann::json>>> asked;
    for (const auto& node : nodes) asked.push_back(std::async(std::launch::async, ask_status, node));
    std::vector<std::optional<nlohmann::json>> answers;
    for (auto& answer : asked) answers.push_back(answer.get());
    return answers;
}

base::Result<base::NetworkDirectory> open_network(const std::string& node) {
    BASE_TRY(const auto disk, base::host::HostDisk::open(DataDirectory{node}.node()));
    return base::NetworkDirectory::open(*disk);
}

}  // namespace

std::string DevCluster::node_directory(unsigned number) const {
    return join_path(directory_, "node-" + std::to_string(number));
}

base::Result<std::unique_ptr<base::DirectoryLock>> DevCluster::lock() const {
    BASE_TRY(const auto disk, base::host::HostDisk::create(directory_));
    auto taken = disk->lock("LOCK");
    if (!taken && taken.error() == base::Errc::locked) {
        return base::Error{base::Errc::locked, "another 'pelago dev up' or 'dev down' is at work on " + directory_};
    }
    return taken;
}

std::vector<unsigned> DevCluster::numbers() const {
    std::vector<unsigned> found;
    for (unsigned number = 1; mode_of(node_directory(number)); ++number) found.push_back(number);
    return found;
}

bool DevCluster::any_runs() const {
    return std::ranges::any_of(numbers(), [this](unsigned number) {
        return listener_of(DataDirectory{node_directory(number)}.socket()).has_value();
    });
}

base::Result<void> DevCluster::make_node(unsigned number, const Options& options) {
    const auto node = node_directory(number);
    BASE_CHECK(check_new(DataDirectory{node}));
    BASE_TRY(const auto disk, base::host::HostDisk::create(DataDirectory{node}.node()));
    const auto present = base::NetworkDirectory::open(*disk);
    if (present) return base::ok();
    // A new identity would leave a member behind that nobody is any more.
    if (present.error() != base::Errc::not_found)
        return present.error().with("cannot start node-" + std::to_string(number) + " in " + node);
    base::host::HostRuntime runtime{base::Log::Level::warning, 1};
    base::NetworkDirectory::Wish wish;
    if (number == 1) {
        BASE_TRY(const auto identity, lone_identity(*disk, runtime.rng()));
        BASE_CHECK(base::NetworkDirectory::create(*disk, runtime.rng(), "dev", identity.key, identity.salt, wish,
                                                  options.policy, runtime.clock().wall_ns()));
        return base::ok();
    }
    BASE_TRY(const auto answer, ask_daemon(DataDirectory{node_directory(1)}, "invite", {{"valid_s", 600}}));
    BASE_TRY(const auto token, base::Token::parse(answer["token"].get<std::string>()));
    BASE_CHECK(runtime.run(join_network(runtime, *disk, token, wish)));
    return base::ok();
}

base::Result<void> DevCluster::start_node(unsigned number, const Options& options) {
    const auto node = node_directory(number);
    if (ask_status(node)) return base::ok();
    if (const auto pid = listener_of(DataDirectory{node}.socket())) {
        return base::Error{base::Errc::timed_out, "node-" + std::to_string(number) + " (pid " + std::to_string(*pid) +
                                                      ") runs and does not answer; 'pelago dev down' ends it"};
    }
    if (const auto last = last_endpoint(node); !last.empty()) {
        if (run_node(number, last, options)) return base::ok();
    }
    // New, or somebody else has the port now.
    BASE_TRY(const auto status, run_node(number, "127.0.0.1:0", options));
    const auto endpoint = status.value("endpoint", std::string{});
    return replace_small_file(endpoint_path(node), base::as_bytes(endpoint));
}

base::Result<nlohmann::json> DevCluster::run_node(unsigned number, const std::string& listen, const Options& options) {
    const auto node = node_directory(number);
    std::vector<std::string> args{"--dir", node, "node", "run", "--listen", listen, "--heartbeat", "1s"};
    if (!options.capacity.empty()) args.insert(args.end(), {"--capacity", options.capacity});
    BASE_TRY(const auto pid, spawn_self(args, log_path(node)));
    const auto give_up = std::chrono::steady_clock::now() + kStartTimeout;
    for (;;) {
        if (auto status = ask_status(node)) return std::move(*status);
        if (!process_exists(pid)) {
            return base::Error{base::Errc::io_failed,
                               "node-" + std::to_string(number) + " did not start: " + last_line(log_path(node))};
        }
        if (std::chrono::steady_clock::now() > give_up) {
            return base::Error{base::Errc::timed_out,
                               "node-" + std::to_string(number) + " does not answer; see " + log_path(node)};
        }
        std::this_thread::sleep_for(kPoll);
    }
}

base::Result<void> DevCluster::await_active(unsigned number, std::size_t neighbours) const {
    const auto node = node_directory(number);
    const auto give_up = std::chrono::steady_clock::now() + kStartTimeout;
    for (;;) {
        const auto status = ask_status(node);
        if (status && (*status)["state"] == "active" && (*status)["overlay"]["neighbours"].size() >= neighbours &&
            (*status)["storage_peers"].get<std::size_t>() > neighbours) {
            return base::ok();
        }
        if (std::chrono::steady_clock::now() > give_up) {
            return base::Error{base::Errc::timed_out,
                               "node-" + std::to_string(number) + " did not find the others; see " + log_path(node)};
        }
        std::this_thread::sleep_for(kPoll);
    }
}

base::Result<void> DevCluster::up(Console& console, const Options& options) {
    BASE_TRY(const auto alone, lock());
    const auto wanted = std::max(options.nodes, size());
    for (unsigned number = 1; number <= wanted; ++number) {
        console.status("starting node " + std::to_string(number) + " of " + std::to_string(wanted));
        BASE_CHECK(make_node(number, options));
        BASE_CHECK(start_node(number, options));
    }
    for (unsigned number = 1; number <= wanted; ++number) {
        console.status("waiting for node " + std::to_string(number) + " to see the others");
        BASE_CHECK(await_active(number, wanted - 1));
    }
    console.status({});
    return base::ok();
}

base::Result<void> DevCluster::down(Console& console) {
    struct Running {
        unsigned number;
        pid_t pid;
    };
    const auto made = numbers();
    if (made.empty()) return base::ok();
    BASE_TRY(const auto alone, lock());
    std::vector<Running> running;
    for (const auto number : made) {
        const auto pid = listener_of(DataDirectory{node_directory(number)}.socket());
        if (!pid) continue;
        running.push_back({number, *pid});
        ::kill(*pid, SIGTERM);
        ::kill(*pid, SIGCONT);  // one that was stopped takes it only when it goes on
    }
    const auto give_up = std::chrono::steady_clock::now() + kStopTimeout;
    for (const auto& node : running) {
        console.status("stopping node-" + std::to_string(node.number));
        while (process_exists(node.pid) && std::chrono::steady_clock::now() < give_up) {
            std::this_thread::sleep_for(kPoll);
        }
        if (process_exists(node.pid)) ::kill(node.pid, SIGKILL);  // loses nothing either
    }
    console.status({});
    return base::ok();
}

base::Result<nlohmann::json> DevCluster::status() const {
    std::vector<std::string> directories;
    for (const auto number : numbers()) directories.push_back(node_directory(number));
    const auto answers = ask_all(directories);
    nlohmann::json nodes = nlohmann::json::array();
    for (std::size_t i = 0; i < directories.size(); ++i) {
        const auto& directory = directories[i];
        nlohmann::json node{{"name", "node-" + std::to_string(i + 1)}, {"directory", directory}};
        if (const auto& status = answers[i]) {
            node["id"] = (*status)["id"];
            node["pid"] = (*status)["pid"];
            node["state"] = (*status)["state"];
            node["status"] = *status;
        } else {
            const auto network = open_network(directory);
            node["id"] = network ? network->certificate().id().hex() : "";
            const auto pid = listener_of(DataDirectory{directory}.socket());
            node["pid"] = pid ? nlohmann::json(*pid) : nlohmann::json();
            node["state"] = pid ? "not answering" : "down";
        }
        nodes.push_back(std::move(node));
    }
    return nlohmann::json{{"nodes", std::move(nodes)}};
}

}  // namespace tools
