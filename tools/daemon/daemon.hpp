// The process behind `pelago node run`: a peer's stack on the doors of this machine, and a socket for commands.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.hpp"
#include "cli/exit_code.hpp"

namespace tools {

/// Held by whoever changes what a node remembers of its network.
constexpr const char* kNetworkLock = "network.lock";

struct DaemonOptions {
    std::string directory;          ///< the data directory
    std::string socket;             ///< "": node.sock in it
    bool share_with_group = false;  ///< members of our group may give commands, too
    std::string listen;
    std::string metrics;                       ///< address and port of the page for Prometheus; "": none
    std::string advertise;                     ///< "": what is listened on
    std::uint64_t capacity_bytes = 0;          ///< 0: what the certificate says, else what the device has room for
    std::optional<std::uint64_t> cache_bytes;  ///< at most; nullopt: past::Config's default. 0: nothing is cached
    std::chrono::seconds heartbeat{30};        ///< of the leaf set; probe time-outs follow it down to 250 ms
    std::chrono::seconds scrub{std::chrono::days{30}};  ///< every block is read once within it; zero: never
    std::string name;                                   ///< of this machine, for people
    std::string notify_socket;                          ///< of systemd; "": nobody to tell
    bool verbose = false;
    std::function<void(const nlohmann::json& document)> on_serving;  ///< once commands are answered: who and where
};

/// Runs until `stop` is requested, then drains. Errors before it serves: Errc::no_network, base::Errc::locked (another
/// node on this directory), exists (the port is in use), read_only.
[[nodiscard]] base::Result<ExitCode> run_daemon(DaemonOptions options, std::stop_token stop);

}  // namespace tools
