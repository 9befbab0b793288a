// A mounted volume from the first request to the last commit.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fuse/files.hpp"
#include "fuse/mount.hpp"
#include "objstore/live/working_tree.hpp"

namespace tools {

/// What to do about changes that cannot be stored when the mount is asked to stop.
struct Leaving {
    base::Duration timeout = std::chrono::seconds{60};  ///< it is tried for that long; zero: for ever
    std::function<void(const std::string&)> warn;       ///< told once, in one line
};

/// Answers the kernel until the directory is unmounted, or `stop` is requested: then unmounts it. Returns once
/// everything that was changed is durable; what is not, because the store cannot be reached, is tried again until it is
/// or, after `stop` is requested, as long as `leaving` says: then its error. Not cancelled by anything else. All
/// outlive it.
[[nodiscard]] base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, objstore::Volume& volume,
                                                                   objstore::WorkingTree& tree, fusefs::Files& files,
                                                                   fusefs::Mount& mount, std::stop_token stop,
                                                                   Leaving leaving);

/// The same of files that nobody changes: nothing can go wrong at the end.
[[nodiscard]] base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, fusefs::Files& files,
                                                                   fusefs::Mount& mount, std::stop_token stop);

}  // namespace tools
