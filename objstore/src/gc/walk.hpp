// All blocks that some roots lead to, each once, by their references sections alone: without names and contents.
//
// On the node's executor; opening runs on Workers. Reads tree nodes only, up to 16 at a time: what has no references
// leads nowhere.
#pragma once

#include <functional>
#include <vector>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/block.hpp"
#include "past/storage.hpp"

namespace objstore::gc {

struct WalkHooks {
    /// True the first time that it is asked for a block: who keeps what was met keeps the walk from going on for ever.
    std::function<bool(const BlockRef&)> meet;
    /// A block whose references could not be read: what only it leads to is not met. Returns the error to end with, or
    /// nothing to go on. Without this hook every error ends the walk.
    std::function<base::Result<void>(const BlockRef&, const base::Error&)> lose;
};

/// How many blocks were read. Errors: Errc::damaged naming the block; past::Errc::holders_unreachable.
[[nodiscard]] base::Task<base::Result<std::uint64_t>> walk(base::NodeEnv env, past::Storage& storage,
                                                           base::Guid volume_tag, std::vector<BlockRef> roots,
                                                           WalkHooks hooks);

}  // namespace objstore::gc
