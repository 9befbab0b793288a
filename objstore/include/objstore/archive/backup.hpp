// A directory becomes a snapshot: walked beside its parent snapshot, read where it changed, cut, deduplicated, packed,
// sealed, stored, listed.
//
// On the node's executor; everything heavy runs on Workers. Formats: docs/formats/chunks.md, docs/formats/archive.md.
// Deterministic: the same tree and parent give the same blocks, whatever the timing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/parent_index.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/archive/retention.hpp"
#include "objstore/archive/scanner.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

enum class FileChange : std::uint8_t { added, changed, unchanged };

struct BackupOptions {
    std::vector<std::string> paths;  ///< as the user typed them, --files-from included
    ScanOptions scan;
    std::string host;
    std::string user;
    std::vector<std::string> tags;
    std::string program_version;
    std::optional<std::int64_t> time_ns;  ///< instead of the wall clock's
    bool dry_run = false;                 ///< read and seal, store nothing, list nothing
    bool reread = false;                  ///< read every file, whatever the parent says
    std::optional<std::string> parent;    ///< a snapshot's name; else the newest of the same host and paths
    bool no_parent = false;               ///< as if there were none
    GroupBy group_by;                     ///< what the parent has in common with the new snapshot
    IgnoredChanges ignored;
    bool skip_if_unchanged = false;  ///< no snapshot of a tree that is the parent's
    bool all_or_nothing = false;     ///< a file that cannot be read ends it, and nothing is listed
    unsigned read_concurrency = 8;   ///< runs of small files that are read side by side
    bool estimate = false;           ///< without a parent: count the files in a second walk, for the progress totals
    int zstd_level = 3;
    past::Wait wait = past::Wait::full;
    /// Told of everything in the new snapshot; a directory's path ends in '/'.
    std::function<void(FileChange, const std::string& path)> each;
    /// File of the deduplication cache on the node's disk; empty: none is kept.
    std::string cache_path;
};

struct ChangeCounts {
    std::uint64_t added = 0;
    std::uint64_t changed = 0;
    std::uint64_t unchanged = 0;
};

struct BackupReport {
    ChangeCounts files;  ///< everything that is not a directory
    ChangeCounts directories;
    std::uint64_t removed = 0;  ///< inodes of the parent that are gone
    std::uint64_t bytes = 0;    ///< of file content in the snapshot, holes left out
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_new = 0;     ///< content that the volume did not have, before compression
    std::uint64_t bytes_stored = 0;  ///< sealed, data and tree: what this backup added
    std::uint64_t blocks_stored = 0;
    base::Duration duration{};
    Warnings warnings;
    std::optional<base::Guid> parent;             ///< snapshot that was compared with
    std::optional<std::int64_t> parent_ahead_ns;  ///< its time, if that lies in the future
    std::optional<base::Error> parent_lost;  ///< why the one that should have been could not be: all files were read
    std::uint64_t blocks_lost = 0;  ///< of the parent: what they held was read and stored again, if it was still there
    std::optional<Snapshot> snapshot;  ///< none after a dry run, or if it was skipped
    bool skipped = false;              ///< BackupOptions::skip_if_unchanged
    past::PutOutcome copies;
};

/// Errors: those of Scanner::begin() and of the volume; what is wrong with single files is in the report's warnings. A
/// cancelled or failed backup lists nothing; what it stored is found again by the next one.
[[nodiscard]] base::Task<base::Result<BackupReport>> backup(base::NodeEnv env, base::LocalTree& tree, Volume& volume,
                                                            BackupOptions options, ProgressFunction progress = {});

/// The snapshot that one like `planned` is compared with: the newest that has in common with it what `by` says.
[[nodiscard]] std::optional<Snapshot> choose_parent(const std::vector<Snapshot>& snapshots, const Snapshot& planned,
                                                    GroupBy by = {});

}  // namespace objstore::archive
