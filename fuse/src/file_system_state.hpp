// What a mounted file system keeps beside the tree: open handles, locks, and what it knows of the kernel's cache.
#pragma once

#include <sys/stat.h>

#include <unordered_map>
#include <unordered_set>

#include "acl.hpp"
#include "fuse/file_system.hpp"
#include "lock_table.hpp"

namespace fusefs {

inline base::Error posix(std::errc code) { return {std::make_error_code(code)}; }

struct Handle {
    objstore::InodeNumber inode = 0;
    bool no_atime = false;
    bool wrote = false;                      ///< since it was last committed through this handle
    std::uint64_t failures = 0;              ///< of the file when it was opened: any later one is this handle's, too
    std::vector<std::uint64_t> lock_owners;  ///< who locked ranges through it; they lose them with it
};

/// Keeps an inode that the kernel is about to be given; it is let go again if that comes to nothing.
class Given {
  public:
    Given(objstore::WorkingTree& tree, objstore::InodeNumber inode) : tree_{tree}, inode_{inode} { tree.pin(inode); }
    ~Given() {
        if (!kept_) tree_.unpin(inode_);
    }
    Given(const Given&) = delete;
    Given& operator=(const Given&) = delete;
    void keep() { kept_ = true; }

  private:
    objstore::WorkingTree& tree_;
    objstore::InodeNumber inode_;
    bool kept_ = false;
};

/// How much of a big file is no hole, as of one state of it.
struct Allocated {
    std::uint64_t change = 0;  ///< objstore::Inode::change
    std::uint64_t bytes = 0;
};

/// A file while anybody has it open.
struct OpenFile {
    std::uint64_t handles = 0;
    std::uint64_t failures = 0;  ///< flushes that did not reach the store
};

struct FileSystem::State {
    State(base::NodeEnv env_in, objstore::WorkingTree& tree_in, KernelCache& kernel_in, FileSystemConfig config_in)
        : env{env_in},
          tree{tree_in},
          kernel{kernel_in},
          config{std::move(config_in)},
          ranges{env.executor, config.max_locks_per_file, LockTable::Deadlocks::refused},
          flocks{env.executor, config.max_locks_per_file, LockTable::Deadlocks::not_looked_for} {}

    base::NodeEnv env;
    objstore::WorkingTree& tree;
    KernelCache& kernel;
    FileSystemConfig config;
    LockTable ranges;
    LockTable flocks;
    std::unordered_map<HandleId, Handle> handles;
    std::unordered_map<objstore::InodeNumber, OpenFile> files;
    /// Inodes that another mount changed since the kernel was last told that its cache of them is good. Only of those
    /// that it knows.
    std::unordered_set<objstore::InodeNumber> changed_elsewhere;
    std::unordered_map<objstore::InodeNumber, Allocated> allocated_known;  // at most kMaxAllocatedKnown
    HandleId next_handle = 1;

    [[nodiscard]] objstore::InodeNumber inode(NodeId node) const { return node == kRootNode ? config.root : node; }
    [[nodiscard]] NodeId node(objstore::InodeNumber inode) const { return inode == config.root ? kRootNode : inode; }
    /// The root is never told of, and never forgotten.
    [[nodiscard]] bool kernel_knows(objstore::InodeNumber inode) const {
        return inode == config.root || tree.pinned(inode);
    }
    [[nodiscard]] base::Timestamp now() const { return base::Timestamp::from_ns(env.clock.wall_ns()); }

    /// What stat shows: as the mount's options say.
    base::Task<Attributes> shown(objstore::InodeNumber number, objstore::Inode inode);
    base::Task<std::uint64_t> allocated(objstore::InodeNumber number, const objstore::Inode& inode);
    /// The kernel is given the inode, and remembers it from now on.
    base::Task<base::Result<EntryReply>> give(objstore::InodeNumber number);
    /// Until when a call that begins now waits for peers; nullopt: for ever.
    [[nodiscard]] std::optional<base::TimePoint> deadline() const;
    /// Waits a moment, and is true, if what failed may succeed later and there is time.
    base::Task<bool> holds_on(const base::Error& error, std::optional<base::TimePoint> until);
    /// With Coherence::strict: the newest version there is.
    base::Task<base::Result<void>> newest();
    /// Everything changed so far is durable. Peers that are away are waited for.
    base::Task<base::Result<void>> commit();
    /// With Durability::write: what was just changed is durable.
    base::Task<base::Result<void>> settle();

    HandleId open(objstore::InodeNumber inode, bool no_atime);
    /// False if the kernel's cache of the inode may be old; from now on it is not.
    bool cache_is_good(objstore::InodeNumber inode);
    void close(HandleId handle);
    Handle* find(HandleId handle);
    [[nodiscard]] bool failed(const Handle& handle) const;
    /// Commits for the holder of `handle`; a failure is remembered against the file.
    base::Task<base::Result<void>> commit_for(objstore::InodeNumber inode, HandleId handle);
    /// Never waits: who reads does not wait for those who change.
    void note_read(objstore::InodeNumber inode);
    /// Clears what a writer without privilege may not leave set.
    base::Task<base::Result<void>> drop_set_ids(objstore::InodeNumber inode);

    /// Nullopt if the inode has no such list.
    base::Task<base::Result<std::optional<Acl>>> read_acl(objstore::InodeNumber inode, std::string_view name);
    base::Task<base::Result<void>> set_access_acl(Caller caller, objstore::InodeNumber inode, base::Bytes value);

    base::Task<base::Result<objstore::InodeNumber>> create(Caller caller, objstore::InodeNumber directory,
                                                           std::string name, objstore::NewInode what);
};

/// What statfs tells: of the store where that is known.
[[nodiscard]] SpaceReply shown_space(const FileSystemConfig& config, const objstore::LiveCounts& counts);

/// `mode` without the set-id bits that a write by an unprivileged caller, or a new owner, takes away.
[[nodiscard]] std::uint32_t without_set_ids(std::uint32_t mode);

}  // namespace fusefs
