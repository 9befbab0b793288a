// pelago bench nfs, pelago bench mount: file systems beside each other.
#pragma once

#include "cli/verbs.hpp"

namespace tools {

void add_mount_bench_verbs(Verbs& verbs, CLI::App& group);

}  // namespace tools
