// What a commit does to the kept versions of the live tree.
#pragma once

#include "live/live_record.hpp"
#include "objstore/volume.hpp"

namespace objstore {

/// Adds to `edit`, which replaces this record by one of `next_ns`: the version that is replaced, if the policy keeps it,
/// goes on the list, and what it keeps no more goes off.
[[nodiscard]] base::Task<base::Result<void>> keep_version(Tree forest, LiveRecord replaced, std::int64_t next_ns,
                                                          ForestEdit* edit);

}  // namespace objstore
