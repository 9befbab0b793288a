// One snapshot of an archive, as the volume's forest lists it.
//
// Format: docs/formats/volume.md, section "Snapshot". Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "objstore/tree.hpp"

namespace objstore {

constexpr std::size_t kMaxSnapshotPaths = 1024;
constexpr std::size_t kMaxSnapshotTags = 256;
constexpr std::size_t kMaxSnapshotText = 4096;         ///< host, user, a tag, a path, the version
constexpr std::size_t kMaxSnapshotBytes = 64U << 10U;  ///< encoded

struct Snapshot {
    BlockRefPtr root;  ///< of the tree of files
    /// BGUID of the root that the snapshot was made with, where `root` is another one with the same content: moving
    /// blocks to other packs writes trees again, and must not rename snapshots.
    std::optional<base::Guid> first_root;
    std::string host;
    std::string user;
    std::vector<std::string> paths;  ///< absolute, as the user named them
    std::vector<std::string> tags;   ///< sorted, no duplicates
    std::int64_t time_ns = 0;        ///< when the backup began, wall clock
    std::uint64_t sequence = 0;      ///< the volume's state that the backup began with, plus 1: see later()
    std::optional<base::Guid> parent;
    std::uint64_t files = 0;  ///< everything that is not a directory
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;        ///< of file content, holes left out
    std::uint64_t added_bytes = 0;  ///< sealed bytes that this snapshot added
    std::uint64_t partial = 0;      ///< source files that could not be read
    std::string program_version;
    /// Id of the snapshot that the first of those was, of which each is the one before with other tags, or with fewer
    /// files, or in another volume.
    std::optional<base::Guid> original;
    /// Of a snapshot of the live tree, made in a mount (live/history.hpp): its inode numbers are the live tree's.
    /// Empty: of a backup.
    std::string name;

    /// SHA-256("pelago snapshot", the first root's BGUID, the other fields): names it.
    [[nodiscard]] base::Guid id() const;
    /// Errc base::Errc::bad_argument beyond the limits above.
    [[nodiscard]] base::Result<void> check() const;
    [[nodiscard]] Opaque encode() const;
    [[nodiscard]] static base::Result<Snapshot> decode(const Opaque& record);
    friend bool operator==(const Snapshot& a, const Snapshot& b);
};

/// Where the forest lists the snapshot of this id, but for the tie: of several whose ids begin alike, each has its own.
[[nodiscard]] TreeKey snapshot_key(const base::Guid& id);

/// True if `a` was begun after `b`: the volume counts its states, and a clock may be wrong. Where that says nothing,
/// the time does.
[[nodiscard]] bool later(const Snapshot& a, const Snapshot& b);

/// Which snapshots are meant. Empty fields match everything.
struct SnapshotFilter {
    std::vector<std::string> hosts;              ///< it is of one of these
    std::vector<std::string> paths;              ///< all of these are among the snapshot's paths
    std::vector<std::vector<std::string>> tags;  ///< all of one of these lists are among its tags
};
[[nodiscard]] bool matches(const Snapshot& snapshot, const SnapshotFilter& filter);

/// The one that `name` means: "latest" (the one that matches and is later() than all others), a snapshot's name, or the
/// digits that an id begins with (at least 1; the filter applies to neither). Errors: no_such_snapshot;
/// base::Errc::bad_argument where several ids begin so, naming them.
[[nodiscard]] base::Result<Snapshot> find_snapshot(std::span<const Snapshot> snapshots, std::string_view name,
                                                   const SnapshotFilter& filter = {});

}  // namespace objstore
