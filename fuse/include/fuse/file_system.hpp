// POSIX semantics of a mounted volume, inode by inode: what names, modes, owners, handles, locks and durability mean to
// the kernel and to the processes behind it. The tree below (objstore::WorkingTree) knows names, numbers and contents
// only; the adapter above knows libfuse only. Whether a caller may do a thing by mode bits and ACLs is decided by the
// kernel (default_permissions); what POSIX leaves to the file system is decided here.
//
// Everything runs on the node's executor and in the simulator. Errors carry POSIX codes; error_number() is what the
// caller of the system call sees. What is promised: docs/posix.md.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "fuse/types.hpp"
#include "objstore/live/working_tree.hpp"

namespace fusefs {

/// What the kernel remembers, and is told to drop. Never called for changes that the kernel made itself.
class KernelCache {
  public:
    virtual ~KernelCache() = default;
    virtual void drop_inode(NodeId node) = 0;  ///< attributes, content, listing
    virtual void drop_entry(NodeId directory, const std::string& name) = 0;
};

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

class FileSystem final : private objstore::LiveListener {
  public:
    /// The tree and the cache outlive it.
    FileSystem(base::NodeEnv env, objstore::WorkingTree& tree, KernelCache& kernel, FileSystemConfig config);
    ~FileSystem() override;
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;

    template <class T>
    using Reply = base::Task<base::Result<T>>;

    /// How long the kernel may use an entry or attributes that it was given.
    [[nodiscard]] base::Duration cache_time() const;

    // --- Names

    /// "." and ".." of any directory, too. A name that does not exist is a reply with node 0.
    Reply<EntryReply> lookup(NodeId directory, std::string name);
    /// The kernel remembers the node once more (an entry of a listing with attributes).
    void remember(NodeId node);
    void forget(NodeId node, std::uint64_t times);
    /// `mode` with its type bits left out. Modes follow the caller's umask, or the directory's default ACL.
    Reply<EntryReply> make_node(Caller caller, NodeId directory, std::string name, base::FileType type,
                                std::uint32_t mode, std::uint64_t rdev);
    Reply<EntryReply> make_symlink(Caller caller, NodeId directory, std::string name, std::string target);
    Reply<EntryReply> link(NodeId node, NodeId directory, std::string name);
    Reply<void> unlink(NodeId directory, std::string name);
    Reply<void> remove_directory(NodeId directory, std::string name);
    Reply<void> rename(NodeId from, std::string name, NodeId to, std::string new_name, RenameFlag flag);
    Reply<std::string> read_link(NodeId node);

    // --- Attributes

    Reply<Attributes> attributes(NodeId node);
    Reply<Attributes> set_attributes(NodeId node, AttributeRequest request);
    Reply<base::Bytes> get_xattr(NodeId node, std::string name);
    Reply<std::vector<std::string>> list_xattrs(Caller caller, NodeId node);
    Reply<void> set_xattr(Caller caller, NodeId node, std::string name, base::Bytes value, SetXattrFlag flag);
    Reply<void> remove_xattr(NodeId node, std::string name);
    Reply<SpaceReply> space();

    // --- Files

    struct CreateReply {
        EntryReply entry;
        OpenReply open;
    };
    Reply<CreateReply> create(Caller caller, NodeId directory, std::string name, std::uint32_t mode, OpenFlags flags);
    Reply<OpenReply> open(NodeId node, OpenFlags flags);
    Reply<std::vector<objstore::ReadPiece>> read(NodeId node, HandleId handle, std::uint64_t offset,
                                                 std::uint64_t length);
    /// All of `bytes` or an error. They stay valid until it resumes.
    Reply<void> write(WriteRequest request, base::ByteView bytes);
    Reply<void> allocate(AllocateRequest request);
    Reply<std::uint64_t> seek(NodeId node, std::uint64_t offset, bool hole);
    Reply<std::uint64_t> copy_range(CopyRequest request);
    /// A process closes one of its descriptors of the file.
    Reply<void> flush(NodeId node, HandleId handle, std::uint64_t lock_owner);
    /// Nobody has the handle open any more. `flock_owner`: who had the file's flock through it.
    void release(NodeId node, HandleId handle, std::optional<std::uint64_t> flock_owner);
    Reply<void> sync(NodeId node, HandleId handle);

    // --- Directories

    Reply<OpenReply> open_directory(NodeId node);
    /// At most `limit` entries behind `offset`, "." and ".." among them; fewer only at the end.
    Reply<std::vector<DirectoryEntry>> list(NodeId node, std::uint64_t offset, std::size_t limit, bool with_attributes);
    void release_directory(NodeId node, HandleId handle);
    Reply<void> sync_directory(NodeId node);

    // --- Locks, between the processes of this mount

    /// The lock of another owner that stands in the way of `lock`, if any.
    Reply<std::optional<Lock>> test_lock(NodeId node, Lock lock);
    /// Type none gives back. `wait`: until it can be had; else resource_unavailable_try_again.
    Reply<void> set_lock(NodeId node, HandleId handle, Lock lock, bool wait);
    Reply<void> set_flock(NodeId node, Lock lock, bool wait);

    /// Everything changed so far is durable.
    Reply<void> commit();

  private:
    struct State;
    void on_inode_changed(objstore::InodeNumber inode) override;
    void on_entry_changed(objstore::InodeNumber directory, const std::string& name) override;

    std::unique_ptr<State> state_;
};

/// The errno for an error. A POSIX code passes as it is; of others only "no space" and "read-only" say something that
/// the caller of a system call can act on: all else is EIO, never "no such file".
[[nodiscard]] int error_number(const base::Error& error);

}  // namespace fusefs
