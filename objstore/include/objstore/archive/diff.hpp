// What differs between two snapshots, path by path, in restic's words.
//
// On the node's executor. Of the two trees only what they do not share is read, and, to name what changed deep inside
// directories that did not, once the names of the second one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

struct Difference {
    std::string path;  ///< a directory's ends in '/'
    bool added = false;
    bool removed = false;
    bool type = false;
    bool content = false;
    bool metadata = false;  ///< mode, owner, times, attributes, number of names, a symlink's target; only if asked for
    bool suspicious = false;  ///< the content differs, and nothing that a change of it would change
};

struct DiffCounts {
    std::uint64_t files = 0;
    std::uint64_t directories = 0;
    std::uint64_t others = 0;
    std::uint64_t chunks = 0;      ///< of content, that the other snapshot's versions of these files do not have
    std::uint64_t bytes = 0;       ///< of those
    std::uint64_t tree_nodes = 0;  ///< that the other tree does not have
};

struct DiffReport {
    std::uint64_t changed_files = 0;  ///< whose content differs
    DiffCounts added;
    DiffCounts removed;
    Warnings warnings;  ///< what is damaged and was left out
};

/// Calls `show` in the order of the paths. Errors: Errc::damaged where a part of a tree that differs cannot be read;
/// past::Errc::holders_unreachable.
[[nodiscard]] base::Task<base::Result<DiffReport>> diff_snapshots(Volume& volume, Snapshot before, Snapshot after,
                                                                  bool metadata,
                                                                  std::function<void(const Difference&)> show);

}  // namespace objstore::archive
