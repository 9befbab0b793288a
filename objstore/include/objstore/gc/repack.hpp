// Packs of which much is not needed any more are replaced by new ones with what is: chunks move, and the trees of
// snapshots are written again to name them where they are. Snapshots keep their ids.
//
// It only ever adds: a commit as any other, which may be given up at any time. The old packs are garbage afterwards,
// for the next collection (gc/prune.hpp). Why and what it costs: docs/decisions/garbage-collection.md. On the node's
// executor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/volume.hpp"

namespace objstore::gc {

struct RepackOptions {
    /// What may stay unused in packs, as a share of what is used in them. Packs are taken in the order of their unused
    /// share until that holds.
    double max_unused = 0.05;
    bool dry_run = false;
    /// The file of archive::DedupCache of this machine, if it has one: it learns where chunks are now.
    std::string cache_path;
    /// Content that is moved before the trees are written again: bounds memory, and what is stored twice meanwhile.
    std::uint64_t batch_bytes = std::uint64_t{1} << 30U;
};

/// Bytes of content, before compression. What is unused is known to about 4 KiB a stretch.
struct RepackReport {
    std::uint64_t packs = 0;              ///< replaced, or to be replaced
    std::uint64_t bytes_unused = 0;       ///< in them
    std::uint64_t bytes_moved = 0;        ///< what was needed of them
    std::uint64_t bytes_unused_left = 0;  ///< in packs that stay
    std::uint64_t packs_unreadable = 0;   ///< that should have been replaced, and stay
    std::uint64_t snapshots = 0;          ///< whose trees were written again
    std::uint64_t nodes_written = 0;
};

struct RepackProgress {
    enum class Step : std::uint8_t { look, move, trees };
    Step step = Step::look;
    std::uint64_t count = 0;  ///< of leaves, packs, tree nodes
};

/// Packs that the live tree or a kept version of it names stay. Errors: those of reading a tree (nothing was changed
/// then, or only some batches) and of Volume::commit().
[[nodiscard]] base::Task<base::Result<RepackReport>> repack(Volume& volume, RepackOptions options,
                                                            std::function<void(const RepackProgress&)> progress = {});

}  // namespace objstore::gc
