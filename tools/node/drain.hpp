// Emptying this machine's node before it leaves: the others make its copies, and it is their source meanwhile.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

/// Begins, or goes on, and returns once everything that the node keeps has all its copies on others. Ended by Ctrl-C it
/// goes on without us. Errors: no_space if nothing moves because the others have no room.
[[nodiscard]] base::Result<void> drain_node(Context& context);
/// The node holds copies again.
[[nodiscard]] base::Result<void> cancel_drain(Context& context);

void add_drain_verb(Verbs& verbs, CLI::App& group);

}  // namespace tools
