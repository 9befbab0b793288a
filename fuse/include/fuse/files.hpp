// What the adapter asks of a file system, node by node: the calls of the kernel without its types.
//
// Two have it: a volume's live tree or one version of it (FileSystem), and the directory of all snapshots
// (SnapshotFiles). On the node's executor. Errors carry POSIX codes; error_number() is what the caller of the system
// call sees.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
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

/// Whoever changes nothing leaves the calls that would as they are here: read_only_file_system.
class Files {
  public:
    template <class T>
    using Reply = base::Task<base::Result<T>>;

    Files() = default;
    virtual ~Files() = default;
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;

    /// How long the kernel may use an entry or attributes that it was given.
    [[nodiscard]] virtual base::Duration cache_time() const = 0;

    // --- Names

    /// "." and ".." of any directory, too. A name that does not exist is a reply with node 0.
    virtual Reply<EntryReply> lookup(NodeId directory, std::string name) = 0;
    /// The kernel remembers the node once more (an entry of a listing with attributes). Right after list(), with
    /// nothing waited for in between.
    virtual void remember(NodeId node) = 0;
    virtual void forget(NodeId node, std::uint64_t times) = 0;
    /// `mode` with its type bits left out. Modes follow the caller's umask, or the directory's default ACL.
    virtual Reply<EntryReply> make_node(Caller caller, NodeId directory, std::string name, base::FileType type,
                                        std::uint32_t mode, std::uint64_t rdev);
    virtual Reply<EntryReply> make_symlink(Caller caller, NodeId directory, std::string name, std::string target);
    virtual Reply<EntryReply> link(NodeId node, NodeId directory, std::string name);
    virtual Reply<void> unlink(NodeId directory, std::string name);
    virtual Reply<void> remove_directory(NodeId directory, std::string name);
    virtual Reply<void> rename(NodeId from, std::string name, NodeId to, std::string new_name, RenameFlag flag);
    virtual Reply<std::string> read_link(NodeId node) = 0;

    // --- Attributes

    virtual Reply<Attributes> attributes(NodeId node) = 0;
    virtual Reply<Attributes> set_attributes(NodeId node, AttributeRequest request);
    virtual Reply<base::Bytes> get_xattr(NodeId node, std::string name) = 0;
    virtual Reply<std::vector<std::string>> list_xattrs(Caller caller, NodeId node) = 0;
    virtual Reply<void> set_xattr(Caller caller, NodeId node, std::string name, base::Bytes value, SetXattrFlag flag);
    virtual Reply<void> remove_xattr(NodeId node, std::string name);
    virtual Reply<SpaceReply> space() = 0;

    // --- Files

    virtual Reply<CreateReply> create(Caller caller, NodeId directory, std::string name, std::uint32_t mode,
                                      OpenFlags flags);
    virtual Reply<OpenReply> open(NodeId node, OpenFlags flags) = 0;
    virtual Reply<std::vector<objstore::ReadPiece>> read(NodeId node, HandleId handle, std::uint64_t offset,
                                                         std::uint64_t length) = 0;
    /// All of `bytes` or an error. They stay valid until it resumes.
    virtual Reply<void> write(WriteRequest request, base::ByteView bytes);
    virtual Reply<void> allocate(AllocateRequest request);
    virtual Reply<std::uint64_t> seek(NodeId node, std::uint64_t offset, bool hole) = 0;
    virtual Reply<std::uint64_t> copy_range(CopyRequest request);
    /// A process closes one of its descriptors of the file.
    virtual Reply<void> flush(NodeId node, HandleId handle, std::uint64_t lock_owner) = 0;
    /// Nobody has the handle open any more. `flock_owner`: who had the file's flock through it.
    virtual void release(NodeId node, HandleId handle, std::optional<std::uint64_t> flock_owner) = 0;
    virtual Reply<void> sync(NodeId node, HandleId handle) = 0;

    // --- Directories

    virtual Reply<OpenReply> open_directory(NodeId node) = 0;
    /// At most `limit` entries behind `offset`, "." and ".." among them; fewer only at the end.
    virtual Reply<std::vector<DirectoryEntry>> list(NodeId node, std::uint64_t offset, std::size_t limit,
                                                    bool with_attributes) = 0;
    virtual void release_directory(NodeId node, HandleId handle) = 0;
    virtual Reply<void> sync_directory(NodeId node) = 0;

    // --- Locks, between the processes of this mount

    /// The lock of another owner that stands in the way of `lock`, if any.
    virtual Reply<std::optional<Lock>> test_lock(NodeId node, Lock lock) = 0;
    /// Type none gives back. `wait`: until it can be had; else resource_unavailable_try_again.
    virtual Reply<void> set_lock(NodeId node, HandleId handle, Lock lock, bool wait) = 0;
    virtual Reply<void> set_flock(NodeId node, Lock lock, bool wait) = 0;
};

/// The errno for an error. A POSIX code passes as it is; of others only "no space" and "read-only" say something that
/// the caller of a system call can act on: all else is EIO, never "no such file".
[[nodiscard]] int error_number(const base::Error& error);

}  // namespace fusefs
