// A snapshot becomes files again, inside one directory and nowhere else, whatever the archive says.
//
// Every name goes through base::LocalDirectory, which refuses "..", '/' and NUL and follows no symbolic link; an entry
// that is refused is a warning, and the rest goes on. On the node's executor; blocks are opened and files made on
// Workers, pack by pack.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/env.hpp"
#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/patterns.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

/// What happens to a file that is in the target already. Directories are always kept and filled, and get exactly the
/// attributes of the snapshot.
enum class Overwrite : std::uint8_t {
    always,      ///< replaced in one step, unless it is byte for byte and attribute for attribute what the snapshot has
    if_changed,  ///< kept if size and time are those of the snapshot; with RestoreOptions::verify as always
    if_newer,    ///< kept unless the snapshot's is newer
    never,       ///< kept
};

struct RestoreOptions {
    std::string target;          ///< made if absent
    std::string sub_path = "/";  ///< what is below it goes into the target; of a file, the file itself
    Patterns includes;           ///< empty: everything. Matched against paths in the snapshot
    Patterns excludes;
    Overwrite overwrite = Overwrite::always;
    /// What the snapshot does not have goes from its directories in the target, as far as the patterns select it. Not
    /// from those that only lead to what was backed up, nor from damaged ones: what else was in them is not known.
    bool remove_others = false;
    std::function<void(const std::string& path)> on_removed;  ///< of each that went, or would; in the target
    bool verify = false;                                      ///< read every file back and compare
    bool dry_run = false;                                     ///< say what would be made
};

struct RestoreReport {
    std::uint64_t files = 0;  ///< made, of every type but directories
    std::uint64_t directories = 0;
    std::uint64_t removed = 0;      ///< RestoreOptions::remove_others; a directory with all in it is one
    std::uint64_t kept = 0;         ///< were there already (Overwrite)
    std::uint64_t failed = 0;       ///< were neither made nor there; what lies in a damaged directory is not counted
    std::uint64_t bytes = 0;        ///< of content written
    std::uint64_t blocks_read = 0;  ///< fetched from storage
    std::uint64_t verified = 0;     ///< files read back and found equal
    base::Duration duration{};
    Warnings warnings;
};

/// A file is made under a name of its own, ".pelago-N.restoring", and gets its name when it is complete. After a
/// restore that did not end, the same again goes on: files that were finished stay as they are, and of one that was
/// not, what is on disk. Another name of a file (hard link) is made as a copy where the target takes no link. Errors:
/// no_such_path for the sub path; those of LocalTree::create() for the target; holders_unreachable;
/// base::Errc::no_space naming what there was no room for (what was made stays). What is wrong with single files is in
/// the report's warnings.
[[nodiscard]] base::Task<base::Result<RestoreReport>> restore(base::NodeEnv env, base::LocalTree& tree, Volume& volume,
                                                              Snapshot snapshot, RestoreOptions options,
                                                              ProgressFunction progress = {});

}  // namespace objstore::archive
