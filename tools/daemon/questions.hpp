// The questions that commands ask the daemon: status, trace, route, ping, invite, policy.
#pragma once

#include <chrono>

#include "base/env.hpp"
#include "daemon/control.hpp"
#include "daemon/peer_stack.hpp"

namespace tools {

constexpr std::chrono::seconds kLongestInvitation{365 * 86'400};

/// Both references outlive the table.
void add_questions(ControlTable& table, base::NodeEnv env, PeerStack& stack);

}  // namespace tools
