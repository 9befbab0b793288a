// Snapshots of one volume in another, of the same owner or of somebody else, in the same network or elsewhere: what
// they hold is opened and sealed anew under the other volume's keys, and everything that is known of a file stays.
//
// On the node's executor, of which both volumes are. What it decides: docs/decisions/archive.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/archive/rewrite.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

struct CopyOptions {
    std::string cache_path;  ///< of this machine's DedupCache of the other volume; empty: none is kept
    int zstd_level = 3;
    past::Wait wait = past::Wait::full;
    /// Told of each path that is not in the copy, since it cannot be read.
    std::function<void(const std::string& path, LeftOut why)> on_left_out;
};

struct CopyReport {
    Snapshot snapshot;  ///< the copy
    bool was_there = false;
    std::uint64_t left_out = 0;     ///< paths that on_left_out was told of
    std::uint64_t blocks_read = 0;  ///< with content; those that hold trees come on top
    std::uint64_t bytes_read = 0;   ///< content in them that was needed
    std::uint64_t bytes_new = 0;    ///< of that what the other volume did not have
    std::uint64_t bytes_stored = 0;
    past::PutOutcome copies;
};

/// The whole copy of `snapshot` among those of another volume: made from it, or from what it was made from, with the
/// same words about it and as many files. Or the one that it is itself a copy of.
[[nodiscard]] std::optional<Snapshot> find_copy(const Snapshot& snapshot, std::span<const Snapshot> others);

/// Copies one snapshot after the other, and remembers what it met: of what they share nothing is read twice.
class Copier {
  public:
    /// The volumes outlive it. Requires: they are not the same volume.
    Copier(base::NodeEnv env, Volume& from, Volume& to, CopyOptions options, ProgressFunction progress = {});
    ~Copier();
    Copier(const Copier&) = delete;
    Copier& operator=(const Copier&) = delete;

    /// Does nothing if it is there. Files that cannot be read are left out; damage is an error (Errc::damaged) only
    /// where nothing of the snapshot can be read. base::Errc::unsupported if its tree has records of a kind that is not
    /// known. Errors else: those of reading and of Volume::commit(). One call at a time. Where it is interrupted, what
    /// was stored is found again.
    base::Task<base::Result<CopyReport>> copy(Snapshot snapshot);

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace objstore::archive
