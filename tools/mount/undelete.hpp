// pelago undelete: a file or directory comes back from the past of a mounted volume.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

void add_undelete_verb(Verbs& verbs);

}  // namespace tools
