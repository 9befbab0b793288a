// The questions that commands ask the daemon: status, trace, route, ping, invite, policy.
#pragma once

#include "base/env.hpp"
#include "daemon/control.hpp"
#include "daemon/peer_stack.hpp"

namespace tools {

/// Both references outlive the table.
void add_questions(ControlTable& table, base::NodeEnv env, PeerStack& stack);

}  // namespace tools
