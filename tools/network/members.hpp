// pelago network remove, leave, address, authority: how members go, move and are found again.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

/// Adds them below `group`, which is `pelago network`.
void add_member_verbs(Verbs& verbs, CLI::App& group);

}  // namespace tools
