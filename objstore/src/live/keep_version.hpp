// What a commit does to the kept versions of the live tree, and the record that speaks of them.
//
// The youngest are items of the forest; what stays longer is in a tree of its own, so that a commit does not write all
// of them again.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "live/live_record.hpp"
#include "objstore/live/history.hpp"

namespace objstore {

/// Format: docs/formats/volume.md, "Kept versions".
struct HistoryRecord {
    std::optional<HistoryPolicy> policy;  ///< nullopt: the default
    BlockRefPtr older;                    ///< root of the tree of older versions; null: there are none

    [[nodiscard]] Opaque encode() const;
    /// base::Errc::bad_format; unsupported for a later format.
    [[nodiscard]] static base::Result<HistoryRecord> decode(const Opaque& record);
};

/// Adds to `edit`, which replaces this record by one of `next_ns`: the version that is replaced, if the policy keeps
/// it, goes on the list, and what it keeps no more goes off. The older versions are read through `older`, or not at all
/// if it is null: then, and where they cannot be read, they stay as they are. True if they were read, or there are
/// none.
[[nodiscard]] base::Task<base::Result<bool>> keep_version(LiveStore store, BlockReader* older, Tree forest,
                                                          BlockWriter& writer, LiveRecord replaced,
                                                          std::int64_t next_ns, ForestEdit* edit);

/// Of the live tree and all its kept versions, whichever can be read.
[[nodiscard]] base::Task<base::Result<std::vector<BlockRefPtr>>> roots_of_versions(BlockReader& reader, Tree forest);

}  // namespace objstore
