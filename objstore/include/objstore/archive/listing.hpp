// What is in an archive, for people: snapshots and paths. Values; the tools print them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/patterns.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

/// Those that match, oldest first.
[[nodiscard]] base::Task<base::Result<std::vector<Snapshot>>> list_snapshots(Volume& volume, SnapshotFilter filter);

struct ListedFile {
    std::string path;  ///< in the snapshot: "/home/ann/x"
    InodeNumber number = 0;
    Inode inode;
    std::string target;  ///< of a symlink
};

/// "SNAP" or "SNAP:/sub/path" as a user types it.
struct SnapshotPath {
    std::string snapshot;
    std::string path;  ///< "/" if none was given
};
[[nodiscard]] SnapshotPath parse_snapshot_path(std::string_view text);

/// Calls `show` for `path` and, if it is a directory, for what is in it, by name; with `recursive` for everything
/// below, depth first. Returns what is damaged and was left out. objstore::Errc::no_such_path; Errc::damaged if `path`
/// itself is.
[[nodiscard]] base::Task<base::Result<Warnings>> list_files(Volume& volume, Snapshot snapshot, std::string path,
                                                            bool recursive,
                                                            std::function<void(const ListedFile&)> show);

/// The same with all that the tree says of each. With `enter`, only directories of which it says so are gone into.
using VisitFunction = std::function<void(const std::string& path, const Node& node)>;
using EnterFunction = std::function<bool(const std::string& directory)>;
[[nodiscard]] base::Task<base::Result<Warnings>> visit_files(Volume& volume, Snapshot snapshot, std::string path,
                                                             bool recursive, VisitFunction visit,
                                                             EnterFunction enter = {});

struct FindOptions {
    Patterns patterns;                      ///< what matches a directory holds for everything below it
    std::optional<base::Timestamp> oldest;  ///< modified then or later
    std::optional<base::Timestamp> newest;  ///< modified then or before
};
/// Calls `show` for every file of the snapshot that matches, as list_files() would. Errors as of that.
[[nodiscard]] base::Task<base::Result<Warnings>> find_files(Volume& volume, Snapshot snapshot, FindOptions options,
                                                            std::function<void(const ListedFile&)> show);

}  // namespace objstore::archive
