// A mounted volume: its live tree, and behind the hidden name ".snapshots" of each directory what that directory was.
//
// A node belongs to the one or the other by its number (SnapshotFiles::owns()). The past cannot be changed, but for one
// thing: a directory made in a ".snapshots" is a snapshot of the whole volume, and goes when it is removed. On the
// node's executor. What is promised: docs/posix.md, "The past".
#pragma once

#include <memory>
#include <string>

#include "base/env.hpp"
#include "fuse/file_system.hpp"
#include "fuse/files.hpp"
#include "fuse/snapshot_files.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace fusefs {

constexpr const char* kSnapshotsName = ".snapshots";

struct VolumeFilesConfig {
    FileSystemConfig files;
    objstore::LiveConfig tree;    ///< of what is shown of the past
    std::uint32_t owner_uid = 0;  ///< of each ".snapshots": who may make and remove snapshots
    std::uint32_t owner_gid = 0;
    objstore::Snapshot words;  ///< host, user and version of snapshots that are made here
};

class VolumeFiles final : public Files {
  public:
    /// All outlive it. Errors: as SnapshotFiles::open().
    static Reply<std::unique_ptr<VolumeFiles>> open(base::NodeEnv env, objstore::Volume& volume,
                                                    objstore::WorkingTree& tree, KernelCache& kernel,
                                                    VolumeFilesConfig config);
    ~VolumeFiles() override;

    [[nodiscard]] base::Duration cache_time() const override;

    Reply<EntryReply> lookup(NodeId directory, std::string name) override;
    void remember(NodeId node) override;
    void forget(NodeId node, std::uint64_t times) override;
    Reply<EntryReply> make_node(Caller caller, NodeId directory, std::string name, base::FileType type,
                                std::uint32_t mode, std::uint64_t rdev) override;
    Reply<EntryReply> make_symlink(Caller caller, NodeId directory, std::string name, std::string target) override;
    Reply<EntryReply> link(NodeId node, NodeId directory, std::string name) override;
    Reply<void> unlink(NodeId directory, std::string name) override;
    Reply<void> remove_directory(NodeId directory, std::string name) override;
    Reply<void> rename(NodeId from, std::string name, NodeId to, std::string new_name, RenameFlag flag) override;
    Reply<std::string> read_link(NodeId node) override;

    Reply<Attributes> attributes(NodeId node) override;
    Reply<Attributes> set_attributes(NodeId node, AttributeRequest request) override;
    Reply<base::Bytes> get_xattr(NodeId node, std::string name) override;
    Reply<std::vector<std::string>> list_xattrs(Caller caller, NodeId node) override;
    Reply<void> set_xattr(Caller caller, NodeId node, std::string name, base::Bytes value, SetXattrFlag flag) override;
    Reply<void> remove_xattr(NodeId node, std::string name) override;
    Reply<SpaceReply> space() override;

    Reply<CreateReply> create(Caller caller, NodeId directory, std::string name, std::uint32_t mode,
                              OpenFlags flags) override;
    Reply<OpenReply> open(NodeId node, OpenFlags flags) override;
    Reply<std::vector<objstore::ReadPiece>> read(NodeId node, HandleId handle, std::uint64_t offset,
                                                 std::uint64_t length) override;
    Reply<void> write(WriteRequest request, base::ByteView bytes) override;
    Reply<void> allocate(AllocateRequest request) override;
    Reply<std::uint64_t> seek(NodeId node, std::uint64_t offset, bool hole) override;
    Reply<std::uint64_t> copy_range(CopyRequest request) override;
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

  private:
    struct State;
    explicit VolumeFiles(std::unique_ptr<State> state);
    /// Who has the node.
    [[nodiscard]] Files& of(NodeId node) const;

    std::unique_ptr<State> state_;
};

}  // namespace fusefs
