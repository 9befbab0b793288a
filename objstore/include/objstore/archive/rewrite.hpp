// A snapshot once more, without some of its files: what is not wanted any more, or what cannot be read.
//
// On the node's executor. Where its tree is whole, only the nodes that lose something are written again; where it lost
// nodes, it is made anew from what is left of it, in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/patterns.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

enum class LeftOut : std::uint8_t {
    excluded,
    content,   ///< a block that holds some of it is lost
    unknown,   ///< what the tree said of it is lost
    names,     ///< of a directory, which stays: some of the names in it are lost, with all that was below them
    metadata,  ///< of a directory, which stays: its mode, owner and time are lost
};

struct RewriteOptions {
    Patterns excludes;
    std::set<base::Guid> lost;            ///< blocks that cannot be had
    std::vector<std::string> tags;        ///< of the new snapshot, beside those it had
    std::optional<std::string> host;      ///< of the new one, instead
    std::optional<std::int64_t> time_ns;  ///< likewise
    bool dry_run = false;
    /// Told of each path; of a directory that is left out not of what is below it.
    std::function<void(const std::string& path, LeftOut why)> on_left_out;
};

struct RewriteReport {
    std::uint64_t left_out = 0;        ///< paths that on_left_out was or would be told of
    std::optional<Snapshot> snapshot;  ///< the new one; none if it would be as the old one, or dry
};

/// The old snapshot stays. Errors: Errc::damaged where the root of its tree is lost: nothing can be read of it then;
/// past::Errc::holders_unreachable; those of Volume::commit().
[[nodiscard]] base::Task<base::Result<RewriteReport>> rewrite(Volume& volume, Snapshot snapshot,
                                                              RewriteOptions options);

}  // namespace objstore::archive
