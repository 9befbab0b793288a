// The questions that commands ask the daemon: status, trace, route, ping, invite, policy.
#pragma once

#include <chrono>

#include "base/env.hpp"
#include "daemon/control.hpp"
#include "daemon/peer_stack.hpp"
#include "daemon/watch.hpp"

namespace tools {

constexpr std::chrono::seconds kLongestInvitation{365 * 86'400};

/// The references outlive the table. `machine_name`: what other members are told. To be run for as long as the node
/// does: neighbours are asked for theirs.
[[nodiscard]] base::Task<void> add_questions(ControlTable& table, base::NodeEnv env, PeerStack& stack,
                                             const Watch& watch, std::string machine_name);

}  // namespace tools
