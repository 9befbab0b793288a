// One atomic change of a volume's live tree: the unit that is ordered (OceanStore's update, Coulouris et al. section
// 10.6.2). It is made against a base version and says for each inode what it found there and what it leaves behind.
//
// On its base an update is a set of edits: apply_update(). On a later version it is rebased first: rebase() makes the
// update that does the same there, and says what cannot stay as it was made. The rules: docs/decisions/live-tree.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/keys.hpp"
#include "objstore/records.hpp"
#include "objstore/tree.hpp"

namespace objstore {

/// What statfs tells.
struct LiveCounts {
    std::uint64_t files = 0;  ///< everything that is not a directory
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;  ///< of file sizes
    friend bool operator==(const LiveCounts&, const LiveCounts&) = default;
};

struct EntryTarget {
    InodeNumber inode = 0;
    base::FileType type = base::FileType::regular;
    friend bool operator==(const EntryTarget&, const EntryTarget&) = default;
};

struct NameChange {
    std::optional<EntryTarget> before;  ///< in the base
    std::optional<EntryTarget> after;
    /// The caller was told that the name was free (O_EXCL, mkdir, link, mknod): if it no longer is, the one that was
    /// ordered first keeps it. Otherwise (rename) the later one has it.
    bool exclusive = false;
};

/// A stretch of a file, in bytes.
struct FileRange {
    std::uint64_t from = 0;
    std::uint64_t to = 0;  ///< not included; UINT64_MAX: to the end, wherever that is
    friend bool operator==(const FileRange&, const FileRange&) = default;
};

struct DataChange {
    std::vector<FileRange> dropped;           ///< of the base's content; ascending, apart from each other
    std::map<std::uint64_t, Extent> extents;  ///< by offset in the file; apart from each other and from what is kept
};

struct InodeUpdate {
    std::optional<Inode> before;                                  ///< in the base; nullopt: made here
    std::optional<Inode> after;                                   ///< nullopt: nobody names it any more
    std::map<std::string, NameChange> names;                      ///< of a directory
    std::map<std::string, std::optional<base::Bytes>> xattrs;     ///< nullopt: removed
    std::optional<DataChange> data;                               ///< of a regular file; there if its size changed
    std::optional<base::Bytes> symlink;                           ///< the target, of one made here
    std::optional<std::pair<InodeNumber, std::string>> known_as;  ///< directory and name in the base, if known
};

struct Update {
    /// The writer's slot of inode numbers << 32 | a number of its own: tells whether the update was ordered after an
    /// answer was lost. A writer submits one at a time, each with another number.
    std::uint64_t id = 0;
    BlockRefPtr base;                 ///< root of the version that it was made against
    std::uint64_t base_named_in = 0;  ///< a state of the volume that named that root, the newest known
    /// The oldest generation of the volume under which content was stored that it names and its base does not; of what
    /// an earlier version had, the one after the newest state known to have named that.
    std::uint64_t stored_since = UINT64_MAX;
    std::map<InodeNumber, InodeUpdate> inodes;
    std::vector<TreeKey> resolved;  ///< of conflicts that are no longer to be listed
};

/// Numbers are part of the format.
enum class ConflictKind : std::uint8_t {
    content = 1,  ///< two wrote one file: the later content is the file's, the earlier is kept
    name = 2,     ///< two made one name: one has it, the other's inode is kept
    removed = 3,  ///< one wrote what the other removed, and its name was taken by then: the inode is kept
    rename = 4,   ///< the rename would have closed a loop, or moved what had been moved: it was left out
};

/// Something acknowledged that could not stay as it was made. Lies in the live tree until it is resolved.
struct Conflict {
    ConflictKind kind = ConflictKind::content;
    InodeNumber directory = 0;  ///< where the name is, or was; 0: not known
    std::string name;
    InodeNumber winner = 0;    ///< what is in the tree
    InodeNumber kept = 0;      ///< the inode, without a name, that holds the other side; 0: nothing was lost
    std::int64_t time_ns = 0;  ///< of the commit that met it, wall clock

    [[nodiscard]] Opaque encode() const;
    [[nodiscard]] static base::Result<Conflict> decode(const Opaque& record);
    friend bool operator==(const Conflict&, const Conflict&) = default;
};

/// Numbers of one writer: its slot, given to it alone by the live record, and a counter. Never given twice.
class InodeNumbers {
  public:
    static constexpr unsigned kCounterBits = 32;
    InodeNumbers() = default;
    explicit InodeNumbers(std::uint32_t slot) : slot_{slot} {}
    [[nodiscard]] std::uint64_t left() const {
        return slot_ == 0 ? 0 : (std::uint64_t{1} << kCounterBits) - 1 - counter_;
    }
    /// Requires left() > 0.
    [[nodiscard]] InodeNumber next() { return (std::uint64_t{slot_} << kCounterBits) | ++counter_; }
    [[nodiscard]] std::uint32_t slot() const { return slot_; }

  private:
    std::uint32_t slot_ = 0;
    std::uint64_t counter_ = 0;
};

/// What every function here stands on. All outlive the call.
struct LiveStore {
    BlockReader& reader;
    std::shared_ptr<NodeCache> nodes;
    const VolumeKeys& keys;

    [[nodiscard]] Tree tree(BlockRefPtr root) const { return Tree{reader, std::move(root), nodes}; }
};

struct Rebased {
    Update update;
    std::vector<Conflict> conflicts;
};

/// The update that does on the version `newest` what `update` did on its base, and what could not stay as it was made.
/// Afterwards every entry names an inode, nlink is the number of entries, directories form one tree, and nothing lives
/// in a removed directory. An update on its own base comes back as it is. Reads what the two versions do not share, and
/// the records that the update speaks of. Requires: kept_numbers has one left for each file of the update.
[[nodiscard]] base::Task<base::Result<Rebased>> rebase(LiveStore store, Update update, BlockRefPtr newest,
                                                       InodeNumbers& kept_numbers, std::int64_t now_ns);

/// The version after `update` on its base, its blocks written to `writer`; `counts` is brought up to date. Reads and
/// writes only the paths that the update touches.
[[nodiscard]] base::Task<base::Result<BlockRefPtr>> apply_update(LiveStore store, const Update& update,
                                                                 const std::vector<Conflict>& conflicts,
                                                                 BlockWriter& writer, LiveCounts& counts);

/// A new tree with nothing but its root directory.
[[nodiscard]] base::Task<base::Result<BlockRefPtr>> make_empty_tree(BlockWriter& writer, const VolumeKeys& keys,
                                                                    Inode root);

/// Items whose keys differ from this one by the tie alone.
[[nodiscard]] base::Task<base::Result<std::vector<Item>>> items_of_hash(Tree tree, TreeKey key);
/// An entry of a directory as a version has it.
struct FoundEntry {
    TreeKey key;
    EntryTarget target;
};
/// The entries of a directory in the order of their hashes, at most `most`; each item holds an Entry.
[[nodiscard]] base::Task<base::Result<std::vector<Item>>> find_entries(Tree tree, InodeNumber directory,
                                                                       std::size_t most = SIZE_MAX);
/// Nullopt if the name is not there.
[[nodiscard]] base::Task<base::Result<std::optional<FoundEntry>>> find_entry(Tree tree, const VolumeKeys& keys,
                                                                             InodeNumber directory, std::string name);
struct FoundXattr {
    TreeKey key;
    XattrRecord record;
};
/// Nullopt if the inode has none of that name.
[[nodiscard]] base::Task<base::Result<std::optional<FoundXattr>>> find_xattr(Tree tree, const VolumeKeys& keys,
                                                                             InodeNumber inode, std::string name);
/// Its bytes, wherever they lie.
[[nodiscard]] base::Task<base::Result<base::Bytes>> xattr_value(BlockReader& reader, XattrRecord record);
[[nodiscard]] base::Task<base::Result<std::optional<Inode>>> find_inode(Tree tree, InodeNumber inode);
/// Extents of a file that reach into the range, by offset: the first of them, at most `most`. Holes are none.
[[nodiscard]] base::Task<base::Result<std::map<std::uint64_t, Extent>>> find_extents(Tree tree, InodeNumber inode,
                                                                                     FileRange range,
                                                                                     std::size_t most = SIZE_MAX);
/// What `extents` leave of themselves outside the ranges.
[[nodiscard]] std::map<std::uint64_t, Extent> cut_extents(std::map<std::uint64_t, Extent> extents,
                                                          const std::vector<FileRange>& dropped);

}  // namespace objstore
