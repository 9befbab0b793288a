// All snapshots of a volume as one directory, to read: which names there are is the caller's to say; behind each is the
// snapshot's tree, opened when somebody enters it.
//
// Every place is a tree of its own to the kernel, also where two names show one snapshot. A node's number is a hash of
// where it is and of its inode number, from 2^63 on: the same on every mount, another in every snapshot, and none of a
// live tree. On the node's executor.
//
// The same directory can be had once for each directory of a live tree (view()): behind each name is then what that
// directory was in the snapshot, which is looked up by its inode number.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "fuse/file_system.hpp"
#include "fuse/files.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace fusefs {

/// What one name in the directory is: a snapshot, a symbolic link, or, if neither is said, a directory.
struct SnapshotName {
    std::string path;                     ///< "hosts/ada/2026-11-20T13:14:15Z"; directories above it are there, too
    std::optional<std::size_t> snapshot;  ///< which of those that were given
    std::string link;                     ///< where it leads
};

struct SnapshotFilesConfig {
    FileSystemConfig files;       ///< of each snapshot, but for its root
    objstore::LiveConfig tree;    ///< likewise; the cache of nodes is that of all together
    std::size_t max_trees = 16;   ///< open beside those that files are open of
    std::uint32_t owner_uid = 0;  ///< of the directories that lead to the snapshots
    std::uint32_t owner_gid = 0;
    base::Duration look_again = std::chrono::seconds{3};  ///< for new snapshots, when somebody looks
    std::uint32_t owner_mode = 0555;                      ///< of those directories
    /// What there is. Empty: Volume::snapshots().
    std::function<Files::Reply<std::vector<objstore::Snapshot>>(objstore::Volume&)> list;
    /// All names, of all snapshots that there are. Of two that are the same the first counts.
    std::function<std::vector<SnapshotName>(const std::vector<objstore::Snapshot>&)> names;
};

class SnapshotFiles final : public Files {
  public:
    /// Reads the list of snapshots; errors as Volume::snapshots(). The volume outlives it.
    static Reply<std::unique_ptr<SnapshotFiles>> open(base::NodeEnv env, objstore::Volume& volume,
                                                      SnapshotFilesConfig config);
    ~SnapshotFiles() override;

    [[nodiscard]] base::Duration cache_time() const override;

    /// Whether it may be a node of such a directory, and none of a live tree.
    [[nodiscard]] static bool owns(NodeId node) { return (node >> 63U) != 0; }
    /// The directory that shows `directory` (not 0) as it was in each snapshot: those in which it is. `above`: where it
    /// was found.
    Reply<EntryReply> view(objstore::InodeNumber directory, NodeId above);
    /// Whether the node is one that view() gave.
    [[nodiscard]] bool is_view(NodeId node) const;
    /// Of any node: the directory that it was found in.
    [[nodiscard]] base::Result<NodeId> above(NodeId node) const;

    /// Of what leads to the snapshots, this and list() ask the volume's record first, if that was not done just now.
    /// Errors then: as Volume::refresh(), so a list that may be old is no answer.
    Reply<EntryReply> lookup(NodeId directory, std::string name) override;
    void remember(NodeId node) override;
    void forget(NodeId node, std::uint64_t times) override;
    Reply<std::string> read_link(NodeId node) override;
    Reply<Attributes> attributes(NodeId node) override;
    Reply<base::Bytes> get_xattr(NodeId node, std::string name) override;
    Reply<std::vector<std::string>> list_xattrs(Caller caller, NodeId node) override;
    Reply<SpaceReply> space() override;

    Reply<OpenReply> open(NodeId node, OpenFlags flags) override;
    Reply<std::vector<objstore::ReadPiece>> read(NodeId node, HandleId handle, std::uint64_t offset,
                                                 std::uint64_t length) override;
    Reply<std::uint64_t> seek(NodeId node, std::uint64_t offset, bool hole) override;
    Reply<void> flush(NodeId node, HandleId handle, std::uint64_t lock_owner) override;
    void release(NodeId node, HandleId handle, std::optional<std::uint64_t> flock_owner) override;
    Reply<void> sync(NodeId node, HandleId handle) override;

    Reply<OpenReply> open_directory(NodeId node) override;
    Reply<std::vector<DirectoryEntry>> list(NodeId node, std::uint64_t offset, std::size_t limit,
                                            bool with_attributes) override;
    void release_directory(NodeId node, HandleId handle) override;
    Reply<void> sync_directory(NodeId node) override;

    Reply<std::optional<Lock>> test_lock(NodeId node, Lock lock) override;
    Reply<void> set_lock(NodeId node, HandleId handle, Lock lock, bool wait) override;
    Reply<void> set_flock(NodeId node, Lock lock, bool wait) override;

    struct Statistics {
        std::size_t trees = 0;  ///< open
        std::size_t nodes = 0;  ///< that the kernel remembers
    };
    [[nodiscard]] Statistics statistics() const;

  private:
    struct State;
    explicit SnapshotFiles(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace fusefs
