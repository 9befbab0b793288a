// POSIX semantics of a mounted volume, inode by inode: what names, modes, owners, handles, locks and durability mean to
// the kernel and to the processes behind it. The tree below (objstore::WorkingTree) knows names, numbers and contents
// only; the adapter above knows libfuse only. Whether a caller may do a thing by mode bits and ACLs is decided by the
// kernel (default_permissions); what POSIX leaves to the file system is decided here.
//
// Everything runs on the node's executor and in the simulator. What is promised: docs/posix.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "fuse/files.hpp"
#include "objstore/live/working_tree.hpp"

namespace fusefs {

enum class Durability : std::uint8_t {
    fsync,  ///< fsync commits; everything else is committed within LiveConfig::flush_after
    close,  ///< closing a file that was written does, too
    write,  ///< every change is durable before its call returns
};

enum class Coherence : std::uint8_t {
    close,   ///< the kernel may remember, and is told of other mounts' commits as they are seen
    strict,  ///< the kernel remembers nothing; each look-up and open asks for the newest version
};

struct FileSystemConfig {
    Durability durability = Durability::fsync;
    Coherence coherence = Coherence::close;
    base::Duration timeout = std::chrono::seconds{60};  ///< peers that are away are waited for; zero: for ever
    bool atime = true;                                  ///< kept as relatime does
    std::optional<std::uint32_t> uid;                   ///< every file is shown as this owner's
    std::optional<std::uint32_t> gid;
    std::uint32_t umask = 0;  ///< mode bits that are shown as cleared
    objstore::InodeNumber root = objstore::kRootInode;
    std::string volume;                      ///< its name, for user.pelago.volume
    std::uint32_t pid = 0;                   ///< of the process that serves, for user.pelago.pid
    std::size_t max_locks_per_file = 65536;  ///< ranges; beyond: no_lock_available
    /// Of the store: total and free bytes, from memory. Empty: not known.
    std::function<SpaceReply()> space;
};

class FileSystem final : public Files, private objstore::LiveListener {
  public:
    /// The tree and the cache outlive it.
    FileSystem(base::NodeEnv env, objstore::WorkingTree& tree, KernelCache& kernel, FileSystemConfig config);
    ~FileSystem() override;

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

    /// Everything changed so far is durable.
    Reply<void> commit();

  private:
    struct State;
    void on_inode_changed(objstore::InodeNumber inode) override;
    void on_entry_changed(objstore::InodeNumber directory, const std::string& name) override;

    std::unique_ptr<State> state_;
};

}  // namespace fusefs
