// A lock that processes take in turn, each for a moment: around read, change and replace_file().
#pragma once

#include <memory>
#include <string>

#include "base/env.hpp"
#include "base/result.hpp"

namespace base {

/// Disk::lock(path), waiting for whoever has it. Errc::locked once the deadline has passed. On the node's executor.
[[nodiscard]] Task<Result<std::unique_ptr<DirectoryLock>>> wait_for_lock(NodeEnv env, std::string path,
                                                                         TimePoint deadline);

}  // namespace base
