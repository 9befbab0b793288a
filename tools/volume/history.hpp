// pelago volume policy, log, forget, diff: the versions of a volume that are kept.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

void add_history_verbs(Verbs& verbs, CLI::App& group);

}  // namespace tools
