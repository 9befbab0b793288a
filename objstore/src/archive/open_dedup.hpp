// What a volume holds already, as a backup or a copy begins: from this machine's cache, else from the volume.
#pragma once

#include <memory>
#include <string>

#include "base/env.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "objstore/archive/dedup_index.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

/// Fills `index`. Returns the cache that learns of new blocks: null where `path` is empty, another command has it, or
/// (dry run) it would have to be made.
[[nodiscard]] base::Task<base::Result<std::unique_ptr<DedupCache>>> open_dedup(base::NodeEnv env, Session& session,
                                                                               std::string path, bool dry_run,
                                                                               DedupIndex& index);

}  // namespace objstore::archive
