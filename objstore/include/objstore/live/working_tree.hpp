// The live tree of a volume as one mount works on it: the newest committed version, and in memory what was changed
// since.
//
// Every operation is one step: once it has what it needs in memory it is done without suspending, so a reader never
// sees half of it. Names, numbers and contents only: who may do what, and what a handle is, is decided above (fuse/).
// Afterwards, always: every entry names an inode, nlink is the number of its entries (for a directory 2 + its
// subdirectories), directories form one tree.
//
// Errors carry POSIX codes (std::errc: no_such_file_or_directory, file_exists, not_a_directory, is_a_directory,
// directory_not_empty, filename_too_long, too_many_links, invalid_argument, file_too_large, read_only_file_system,
// no_such_file_or_directory also for an inode that no entry names any more), or are those of PAST and objstore, whose
// conditions say what they are to a POSIX caller: unreachable and damaged are io_error, never "no such file". A change
// that waited in vain has the error of the last commit. no_space_on_device also where open files without a name have
// all the memory there is for changes: they would have to be closed.
//
// On the node's executor. Paper: Ivy (Muthitacharoen et al., OSDI 2002), Pond (Rhea et al., FAST 2003); where we
// differ: docs/decisions/live-tree.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/timestamp.hpp"
#include "objstore/live/update.hpp"
#include "objstore/records.hpp"
#include "objstore/volume.hpp"

namespace objstore {

struct LiveConfig {
    base::Duration flush_after = std::chrono::seconds{5};  ///< the oldest change is committed at the latest then
    /// Memory for what is not committed: content that was not handed to PAST, names, attributes, and what keeps them;
    /// also of open files without a name. Changes wait above it; what removes something may take an eighth more. A
    /// commit under way takes as much again at most.
    std::size_t max_dirty_bytes = 256U << 20U;
    std::size_t stream_bytes = 8U << 20U;       ///< of one file: above it, whole chunks leave while it is written
    std::size_t max_clean_inodes = 16384;       ///< kept in memory; of others only who pins them
    std::size_t node_cache_bytes = 64U << 20U;  ///< decoded nodes of the tree
    base::Duration refresh_every = std::chrono::milliseconds{500};  ///< how soon another mount's commit is seen
    base::Duration write_timeout =
        std::chrono::seconds{60};  ///< how long a change waits for peers, a merge or room; zero: for ever
};

/// Told of what other mounts changed, so that caches above can be dropped. Called on the executor, between operations.
class LiveListener {
  public:
    virtual ~LiveListener() = default;
    virtual void on_inode_changed(InodeNumber inode) = 0;
    virtual void on_entry_changed(InodeNumber directory, const std::string& name) = 0;
};

/// What set_attributes() changes; what is left empty stays.
struct AttributeChange {
    std::optional<std::uint32_t> mode;  ///< 07777
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<base::Timestamp> atime;  ///< alone: written with the next other change, or at a sync
    std::optional<base::Timestamp> mtime;
    std::optional<base::Timestamp> ctime;  ///< empty: now, unless only atime changes
    std::optional<std::uint32_t> flags;
};

/// What create() makes beside the name.
struct NewInode {
    base::FileType type = base::FileType::regular;
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t rdev = 0;
    std::string symlink_target;                               ///< of a symlink: 1 to kMaxSymlinkBytes
    std::vector<std::pair<std::string, base::Bytes>> xattrs;  ///< inherited ACLs
};

struct ListedEntry {
    Entry entry;
    std::uint64_t offset = 0;  ///< to go on behind it; its place in the directory for good, on every mount
};

/// Content of a file: stretches one after another that cover what was asked for, up to the end of the file.
struct ReadPiece {
    base::ByteView bytes;  ///< empty: `length` zeros (a hole)
    std::uint64_t length = 0;
    std::shared_ptr<const void> owner;  ///< keeps `bytes`
};

enum class RenameMode : std::uint8_t {
    replace,
    no_replace,  ///< file_exists if the new name is taken
    exchange,    ///< both must exist
};

enum class XattrMode : std::uint8_t { set, create, replace };

struct LiveStatistics {
    std::uint64_t inodes_in_memory = 0;
    std::uint64_t dirty_inodes = 0;  ///< not those of which only an atime is new
    std::uint64_t dirty_bytes = 0;   ///< of content that is not stored
    std::uint64_t memory_bytes = 0;  ///< of all that is not committed: what max_dirty_bytes bounds
    std::uint64_t bytes_put = 0;     ///< of content, by the commit under way or the last, as far as PAST took it
    std::uint64_t commits = 0;
    std::uint64_t rebases = 0;    ///< commits that met another mount's
    std::uint64_t conflicts = 0;  ///< changes that could not stay as they were made
};

struct ListedConflict {
    TreeKey key;  ///< names it
    Conflict conflict;
    std::string path;  ///< of the name it is about, as far as its directory is still there; "" if not
};

class WorkingTree {
  public:
    /// The volume's live tree; made with its first commit if it has none (the root directory belongs to `owner_uid`,
    /// `owner_gid`, mode 0755). The volume outlives it.
    static base::Task<base::Result<std::unique_ptr<WorkingTree>>> open(base::NodeEnv env, Volume& volume,
                                                                       std::uint32_t owner_uid, std::uint32_t owner_gid,
                                                                       LiveConfig config = {});
    /// One version, to read: a snapshot, or the live tree as it was. Every change is read_only_file_system. `nodes`:
    /// a cache that it shares with other trees of the volume, instead of its own.
    static base::Task<base::Result<std::unique_ptr<WorkingTree>>> open_version(
        base::NodeEnv env, Volume& volume, BlockRefPtr root, LiveConfig config = {},
        std::shared_ptr<NodeCache> nodes = nullptr);
    ~WorkingTree();
    WorkingTree(const WorkingTree&) = delete;
    WorkingTree& operator=(const WorkingTree&) = delete;

    /// May be null. Outlives the tree, or is taken back.
    void set_listener(LiveListener* listener);

    // --- Reading

    base::Task<base::Result<Inode>> get(InodeNumber inode);
    /// Brings them into memory, side by side: a long directory waits for its peers once, not once an inode. What cannot
    /// be read is told by get().
    base::Task<void> get_ready(std::vector<InodeNumber> inodes);
    /// The directory that an inode lies in (of the root the root itself); of a file with several names the directory
    /// of one of them, which may be gone by now.
    base::Task<base::Result<InodeNumber>> parent(InodeNumber inode);
    base::Task<base::Result<Entry>> lookup(InodeNumber directory, std::string name);
    /// Entries behind `offset` (0: from the start) in the order of their offsets, at most `limit`; fewer only at the
    /// end. An entry that stays is listed exactly once, whatever comes and goes meanwhile. Offsets are at least 3.
    base::Task<base::Result<std::vector<ListedEntry>>> list(InodeNumber directory, std::uint64_t offset,
                                                            std::size_t limit);
    base::Task<base::Result<std::string>> read_link(InodeNumber inode);
    base::Task<base::Result<std::vector<ReadPiece>>> read(InodeNumber inode, std::uint64_t offset,
                                                          std::uint64_t length);
    /// The first byte at or after `offset` that is data (or, `hole`, that is none; the end of the file is a hole).
    /// no_such_device_or_address beyond the end, or if no data follows.
    base::Task<base::Result<std::uint64_t>> seek(InodeNumber inode, std::uint64_t offset, bool hole);
    /// Bytes of a file that are data, not holes. Of one in very many stretches what comes after the first 16,384 counts
    /// as data.
    base::Task<base::Result<std::uint64_t>> data_bytes(InodeNumber inode);
    /// no_message_available (ENODATA) if there is none.
    base::Task<base::Result<base::Bytes>> get_xattr(InodeNumber inode, std::string name);
    base::Task<base::Result<std::vector<std::string>>> list_xattrs(InodeNumber inode);

    // --- Changing

    /// A new inode under a name that is free. Its times are now; the directory's mtime and ctime, too.
    base::Task<base::Result<InodeNumber>> create(InodeNumber directory, std::string name, NewInode what);
    base::Task<base::Result<void>> link(InodeNumber inode, InodeNumber directory, std::string name);
    /// Not of a directory. Content of an inode that nobody names stays readable and writable while it is pinned.
    base::Task<base::Result<void>> unlink(InodeNumber directory, std::string name);
    base::Task<base::Result<void>> remove_directory(InodeNumber directory, std::string name);
    base::Task<base::Result<void>> rename(InodeNumber from, std::string name, InodeNumber to, std::string new_name,
                                          RenameMode mode = RenameMode::replace);
    /// The attributes afterwards.
    base::Task<base::Result<Inode>> set_attributes(InodeNumber inode, AttributeChange change);
    /// The inode was read: its atime, as relatime has it. Not noted if that would take waiting; written as a lone
    /// atime.
    void note_read(InodeNumber inode);
    base::Task<base::Result<void>> resize(InodeNumber inode, std::uint64_t size);
    /// All of `bytes` or nothing. Grows the file if it ends beyond it; sets mtime and ctime, and clears nothing of the
    /// mode. `bytes` stays valid until it resumes.
    base::Task<base::Result<void>> write(InodeNumber inode, std::uint64_t offset, base::ByteView bytes);
    /// The same at the end of the file, wherever that is when it is done: the bytes of others are never overwritten.
    /// Returns the offset.
    base::Task<base::Result<std::uint64_t>> append(InodeNumber inode, base::ByteView bytes);
    /// Makes a hole; never changes the size.
    base::Task<base::Result<void>> punch(InodeNumber inode, std::uint64_t offset, std::uint64_t length);
    /// By reference where the source is stored. Ranges of one file must not overlap. Returns how much was copied: less
    /// at the end of the source, or if more would take much memory.
    base::Task<base::Result<std::uint64_t>> copy_range(InodeNumber from, std::uint64_t from_offset, InodeNumber to,
                                                       std::uint64_t to_offset, std::uint64_t length);
    base::Task<base::Result<void>> set_xattr(InodeNumber inode, std::string name, base::Bytes value, XattrMode mode);
    base::Task<base::Result<void>> remove_xattr(InodeNumber inode, std::string name);

    // --- Holding

    /// The inode can be used even if it loses its last name, with its content, until it was unpinned as often. Of one
    /// version, where nothing is lost, it does nothing.
    void pin(InodeNumber inode, std::uint64_t times = 1);
    void unpin(InodeNumber inode, std::uint64_t times = 1);
    [[nodiscard]] bool pinned(InodeNumber inode) const;

    // --- Durability and others

    /// Everything changed before this call is durable, in the order it was made. After an error it is not, and stays
    /// in memory: the next call tries again.
    base::Task<base::Result<void>> commit();
    /// Ends a commit under way, which may have happened or not. For who leaves.
    base::Task<void> abandon();
    /// Asks the volume's record for a newer version and goes over to it (rebasing what was changed here).
    base::Task<base::Result<void>> refresh();
    /// Runs until cancelled: commits what grows old, streams big files out, looks for other mounts' commits.
    base::Task<void> run();

    /// What could not stay as it was made, the oldest first, as the newest version lists it.
    base::Task<base::Result<std::vector<ListedConflict>>> conflicts();
    /// Gives the inode that the conflict keeps (Conflict::kept, not 0) a name, and takes the conflict off the list.
    /// Kept with the next commit.
    base::Task<base::Result<void>> restore_kept(ListedConflict conflict, InodeNumber directory, std::string name);

    [[nodiscard]] LiveStatistics statistics() const;
    /// Of the newest version: files, directories and bytes, for statfs.
    [[nodiscard]] LiveCounts counts() const;

    struct State;  // objstore/src/live/working_state.hpp

  private:
    explicit WorkingTree(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;  // shared with a commit under way, which may end after its caller
};

}  // namespace objstore
