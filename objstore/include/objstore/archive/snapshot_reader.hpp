// The files of one snapshot, to look at: directories by name, inodes with everything the tree says about them.
//
// On the node's executor. Nothing it returns has been checked against a file system: names may be hostile
// (restore.hpp).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/keys.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/tree.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

/// What the tree holds about one inode, but its entries.
struct Node {
    InodeNumber number = 0;
    std::optional<Inode> inode;  ///< nothing: the tree is damaged
    std::vector<XattrRecord> xattrs;
    base::Bytes inline_data;  ///< a symlink's target
    struct Stretch {
        std::uint64_t offset = 0;  ///< in the file
        Extent extent;
    };
    std::vector<Stretch> extents;  ///< ascending by offset
};

/// Nothing, or why `node` is not what `entry` says: no inode, or one of another type. No backup writes that.
[[nodiscard]] std::optional<base::Error> damage_of(const Entry& entry, const Node& node);

/// A directory that only leads to what was backed up ("/", "/home"): no time and no attributes of it are known.
[[nodiscard]] bool is_leading(const Inode& inode);

class SnapshotReader {
  public:
    /// The volume outlives it.
    SnapshotReader(Volume& volume, const Snapshot& snapshot);

    /// Of a directory, sorted by name. Empty for anything else.
    base::Task<base::Result<std::vector<Entry>>> entries(InodeNumber directory);
    /// One Node for each number, in the order asked for. Numbers close together are read together.
    base::Task<base::Result<std::vector<Node>>> nodes(std::vector<InodeNumber> numbers);
    /// objstore::Errc::no_such_path. "/" and "" are the top.
    base::Task<base::Result<Node>> resolve(std::string path);
    /// The bytes of an attribute, fetched if they lie in a block.
    base::Task<base::Result<base::Bytes>> value_of(XattrRecord record);

    [[nodiscard]] BlockReader& blocks() { return volume_.reader(); }

  private:
    base::Task<base::Result<std::optional<Entry>>> find(InodeNumber directory, std::string name);

    Volume& volume_;
    Tree tree_;
};

/// `extent` of what a block opened to, or nothing if it reaches beyond it.
[[nodiscard]] std::optional<base::ByteView> bytes_of(const Extent& extent, const OpenedBlock& block);

}  // namespace objstore::archive
