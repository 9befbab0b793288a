// The copy-on-write tree that holds a file system, or the forest of a volume: sorted items in sealed nodes.
//
// Format: docs/formats/tree.md. Coulouris et al., Figure 10.13: versions share what did not change. Where a node ends
// is decided by its content alone, so equal content gives equal nodes however it came about: docs/decisions/tree.md.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/block_io.hpp"
#include "objstore/records.hpp"

namespace objstore {

/// Numbers are part of the format.
enum class Kind : std::uint8_t {
    inode = 1,        ///< sub 0 -> Inode
    xattr = 2,        ///< sub xattr_hash(name), tie -> XattrRecord
    inline_data = 3,  ///< sub 0 -> InlineData: a small file's bytes, or a symlink's target
    extent = 4,       ///< sub = offset in the file -> Extent
    entry = 5,        ///< sub = entry_hash(name), tie -> Entry; inode = the directory
    live = 16,        ///< inode 0 -> Opaque
    snapshot = 17,    ///< inode 0, sub = first 8 bytes of its id, tie -> Opaque
    conflict = 18,    ///< inode 0 of a live tree, sub = when, tie -> Opaque
    version = 19,     ///< inode 0, sub = when -> Opaque: a kept version of the live tree
    policy = 20,      ///< inode 0, sub 0 -> Opaque: which versions are kept
};

/// From here on records are Opaque: a version that does not know a kind carries them. Below, it refuses the node.
constexpr Kind kFirstCarried = Kind::live;

/// Ordered by inode, kind, sub, tie. `tie` tells apart what has the same hash (0, 1, ...).
struct TreeKey {
    std::uint64_t inode = 0;
    Kind kind{};
    std::uint64_t sub = 0;
    std::uint32_t tie = 0;

    /// The smallest key of an inode, of a kind: [first(i), first(i + 1)) is all of inode i.
    static TreeKey first(std::uint64_t inode) { return {.inode = inode}; }
    static TreeKey first(std::uint64_t inode, Kind kind) { return {.inode = inode, .kind = kind}; }
    /// The smallest key behind those of a kind: [first(i, k), behind(i, k)) is all of kind k of inode i.
    static TreeKey behind(std::uint64_t inode, Kind kind) {
        return first(inode, static_cast<Kind>(static_cast<std::uint8_t>(kind) + 1));
    }
    friend auto operator<=>(const TreeKey&, const TreeKey&) = default;
    friend bool operator==(const TreeKey&, const TreeKey&) = default;
};

struct Item {
    TreeKey key;
    Value value;  ///< of the alternative that key.kind names
    friend bool operator==(const Item&, const Item&) = default;
};

// Of leaves; measured: docs/decisions/tree.md.
constexpr std::uint32_t kLiveNodeBytes = 8U << 10U;
constexpr std::uint32_t kArchiveNodeBytes = 32U << 10U;

struct TreeShape {
    std::uint32_t node_bytes = kArchiveNodeBytes;  ///< mean of a leaf's encoded size; 1 KiB to 256 KiB
    std::uint32_t name_epoch = 0;                  ///< key epoch whose name key orders entries and xattrs
    friend bool operator==(const TreeShape&, const TreeShape&) = default;
};

struct TreeNode;  // objstore/src/tree/node.hpp
struct TreeState;

/// What is left of a damaged tree.
struct Salvage {
    std::vector<Item> items;
    std::uint64_t nodes_lost = 0;  ///< with all that lay below them
};

/// Told of one key whose item is not the same in two versions; null where a version has none.
using TreeDifference = std::function<void(const Item* before, const Item* after)>;

/// Decoded nodes by BGUID, shared by all versions that hold them; the least recently used go first. One executor.
class NodeCache {
  public:
    /// `bytes`: of memory, about; the newest node stays whatever it takes.
    explicit NodeCache(std::size_t bytes) : limit_{bytes} {}

    /// Null if it is not there.
    [[nodiscard]] std::shared_ptr<const TreeNode> find(const base::Guid& id);
    void insert(const base::Guid& id, std::shared_ptr<const TreeNode> node);

  private:
    struct Held {
        base::Guid id;
        std::shared_ptr<const TreeNode> node;
        std::size_t bytes = 0;
    };
    std::size_t limit_;
    std::size_t bytes_ = 0;
    std::list<Held> recent_;  // the most recently used first
    std::unordered_map<base::Guid, std::list<Held>::iterator> by_id_;
};

/// One version, to read. Cheap to copy. The reader outlives it. One executor.
class Tree {
  public:
    /// Without `cache` it keeps a few decoded nodes of its own.
    Tree(BlockReader& reader, BlockRefPtr root, std::shared_ptr<NodeCache> cache = nullptr);

    [[nodiscard]] const BlockRefPtr& root() const;
    base::Task<base::Result<TreeShape>> shape() const;
    base::Task<base::Result<std::optional<Item>>> find(TreeKey key) const;
    /// Items in [from, to), at most `limit`.
    base::Task<base::Result<std::vector<Item>>> range(TreeKey from, TreeKey to, std::size_t limit = SIZE_MAX) const;
    /// Everything that can still be read of a tree that lost nodes, in key order. For small trees.
    base::Task<base::Result<Salvage>> salvage() const;
    /// Of all its nodes, the root first. Reads the inner ones only.
    base::Task<base::Result<std::vector<BlockName>>> nodes() const;

  private:
    friend class TreeCursor;
    friend class TreeUpdate;
    friend base::Task<base::Result<void>> diff_trees(Tree, Tree, TreeDifference);
    std::shared_ptr<TreeState> state_;
};

/// Walks [from, to) in key order, fetching the next leaves ahead. One executor; not more than one call at a time.
class TreeCursor {
  public:
    /// `ahead`: leaves that are fetched before they are asked for.
    TreeCursor(Tree tree, TreeKey from = {}, std::optional<TreeKey> to = {}, unsigned ahead = 4);
    ~TreeCursor();
    TreeCursor(TreeCursor&&) noexcept;
    TreeCursor& operator=(TreeCursor&&) noexcept;

    /// The next item, or null after the last. Valid until the next call.
    base::Task<base::Result<const Item*>> next();
    /// The rest of the present leaf, or all of the next: never empty before the end. Valid until the next call. For
    /// loops that should not pay a coroutine an item.
    base::Task<base::Result<std::span<const Item>>> next_items();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Calls `sink` for each key in which the versions differ, in key order. Reads only what they do not share.
[[nodiscard]] base::Task<base::Result<void>> diff_trees(Tree before, Tree after, TreeDifference sink);

struct TreeChange {
    std::uint64_t leaves_written = 0;
    std::uint64_t inner_written = 0;
    std::uint64_t bytes_written = 0;  ///< sealed
    std::uint64_t nodes_read = 0;     ///< of the base
};

/// Makes a new version: from nothing (bulk load, bottom-up), or from a base by edits in ascending key order, which
/// reads and writes only the paths it touches and shares the rest. Memory: one open node a level. One executor; one
/// call at a time; after an error only destruction.
class TreeUpdate {
  public:
    /// A new tree.
    TreeUpdate(BlockWriter& writer, TreeShape shape);
    /// A version after `base`, with its shape. What is neither put nor erased stays. New nodes go to the base's cache.
    TreeUpdate(BlockWriter& writer, Tree base);
    ~TreeUpdate();
    TreeUpdate(TreeUpdate&&) noexcept;
    TreeUpdate& operator=(TreeUpdate&&) noexcept;

    /// Adds or replaces. An item equal to the base's changes nothing. Requires: key above every key put before, and
    /// not below the start of an earlier erase().
    base::Task<base::Result<void>> put(Item item);
    /// Drops the base's items in [from, to), except those that are put afterwards. Requires: from above every key put
    /// or erased before. To rewrite inode i: erase([first(i), first(i + 1))), then put what it has now.
    base::Task<base::Result<void>> erase(TreeKey from, TreeKey to);
    base::Task<base::Result<void>> erase(TreeKey key);
    /// The root of the new version: the base's own if nothing changed. Its blocks are durable after writer.flush().
    base::Task<base::Result<BlockRefPtr>> finish();
    /// After finish(): a second copy of the root (BlockWriter::write_spare()). Null if the root was not written anew.
    base::Task<base::Result<BlockRefPtr>> write_spare(BlockRefPtr root);

    [[nodiscard]] const TreeChange& change() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace objstore
