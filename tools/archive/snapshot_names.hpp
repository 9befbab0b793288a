// Where `archive mount` shows which snapshot: restic's path and time templates. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "fuse/snapshot_files.hpp"
#include "objstore/snapshot.hpp"

namespace tools {

struct SnapshotNaming {
    /// %i the first digits of the id, %I all of it, %u user, %h host, %t tag (of several a name each; of none none),
    /// %T time.
    std::vector<std::string> paths{"ids/%i", "snapshots/%T", "hosts/%h/%T", "tags/%t/%T"};
    /// The time as its own example: that of Monday, 2 January 2006, 15:04:05 in the zone -07:00.
    std::string time = "2006-01-02T15:04:05Z07:00";
};

/// Errc::usage names the template that cannot be used.
[[nodiscard]] base::Result<void> check(const SnapshotNaming& naming);

/// `time_ns` in the local time zone, written as `example` writes its own.
[[nodiscard]] std::string time_like(std::int64_t time_ns, std::string_view example);

/// Names of all that match, with a link "latest" beside those that are named by their time. Of several with one name
/// the later get "-1", "-2" ... behind it. What stands before the first % is there even if nothing matches. Requires:
/// check(naming).
[[nodiscard]] std::vector<fusefs::SnapshotName> name_snapshots(const SnapshotNaming& naming,
                                                               const objstore::SnapshotFilter& filter,
                                                               const std::vector<objstore::Snapshot>& snapshots);

}  // namespace tools
