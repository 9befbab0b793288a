// The versions of a live tree that stay when it changes: which, for how long, and by which names a mount shows them.
//
// Why so: docs/decisions/history.md. Format: docs/formats/volume.md, "Kept versions". On the node's executor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/archive/retention.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore {

/// Without tags. The live tree is the newest of the versions that it judges; hours and days are those of UTC.
using HistoryPolicy = archive::RetentionPolicy;

constexpr int kMaxKeptVersions = 1000;

/// Of a volume that nobody gave another.
[[nodiscard]] HistoryPolicy default_history_policy();
/// base::Errc::bad_argument if it keeps nothing, or more than kMaxKeptVersions beside those of `within`.
[[nodiscard]] base::Result<void> check_history_policy(const HistoryPolicy& policy);

/// Which of the versions with these times stay: the newest first, which is the live tree itself and always does. At
/// most kMaxKeptVersions others: the oldest of those go first that nothing but `within` keeps.
[[nodiscard]] std::vector<bool> versions_to_keep(const HistoryPolicy& policy,
                                                 const std::vector<std::int64_t>& times_ns);

/// What there is of the past of the live tree.
struct History {
    HistoryPolicy policy;
    std::optional<Snapshot> live;  ///< the newest version; nullopt: the volume was never mounted
    /// Kept versions (without a name) and snapshots that were made in a mount (with one), the newest first.
    std::vector<Snapshot> versions;
};
/// Of Volume::state(), or what is left of a damaged list. Errors: those of Volume::snapshots(); Errc::damaged of a
/// record.
[[nodiscard]] base::Task<base::Result<History>> read_history(Volume& volume);
/// Its name, or when it was committed: "2026-11-30T20.15.03.123Z". Of two within a millisecond the newer has it.
[[nodiscard]] std::string version_name(const Snapshot& version);

/// From now on, and for what is kept already. Requires: check_history_policy(). Errors as Volume::edit_forest().
[[nodiscard]] base::Task<base::Result<void>> set_history_policy(Volume& volume, HistoryPolicy policy);

/// Takes one of read_history()'s off the list: a version that is kept, or a named snapshot, whether its tree can be
/// read or not. Done as well if it is not listed any more. Errors: as Volume::edit_forest();
/// base::Errc::unsupported where the history is of a later version.
[[nodiscard]] base::Task<base::Result<void>> forget_version(Volume& volume, Snapshot version);

/// Lists a snapshot of the newest version of the live tree; root, time, sequence and counts are filled in. Errors:
/// std::errc::file_exists if there is one of that name; those of Snapshot::check() and Volume::edit_forest().
[[nodiscard]] base::Task<base::Result<Snapshot>> name_version(Volume& volume, Snapshot words);

}  // namespace objstore
