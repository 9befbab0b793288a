// The verb that lists what contradicted each other in a volume's live tree, and gives what was kept a name.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

void add_conflicts_verb(Verbs& verbs, CLI::App& group);

}  // namespace tools
