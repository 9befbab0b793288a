// What a backup changes in the tree, collected in the order of the walk and applied in the order of the keys.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "objstore/archive/dedup_index.hpp"
#include "objstore/keys.hpp"
#include "objstore/tree.hpp"

namespace objstore::archive {

class TreeChanges {
  public:
    /// Where a chunk of a file, or the value of an attribute, will be once its block is sealed.
    struct Stretch {
        std::uint64_t file_offset = 0;
        ChunkLocation place;
        ChunkHash hash{};
    };

    /// All that the base holds about inodes [from, to) goes, except what is put.
    void erase(InodeNumber from, InodeNumber to) { erased_.push_back({TreeKey::first(from), TreeKey::first(to)}); }
    /// The same of one inode that stays: records that later versions gave it stay, too.
    void rewrite(InodeNumber inode) {
        erased_.push_back({TreeKey::first(inode), TreeKey::first(inode, kFirstCarried)});
    }
    void put(Item item) { items_.push_back({std::move(item), {}, false}); }
    /// The item of this key is not to be there, whether it is put too or the base has it.
    void drop(TreeKey key) { items_.push_back({Item{key, {}}, {}, true}); }
    void put_extent(InodeNumber inode, const Stretch& stretch);
    /// An attribute whose value lies in a block. `item` holds an XattrRecord.
    void put_xattr(Item item, const Stretch& stretch) { items_.push_back({std::move(item), stretch, false}); }

    [[nodiscard]] bool empty() const { return items_.empty() && erased_.empty(); }
    [[nodiscard]] std::size_t size() const { return items_.size() + extents_.size(); }

    /// Writes the new version with `update` and returns its root. Every block is sealed. Errors of the tree.
    base::Task<base::Result<BlockRefPtr>> apply(TreeUpdate& update, const DedupIndex& index);

  private:
    struct Change {
        Item item;
        std::optional<Stretch> stretch;
        bool dropped = false;
    };
    struct FileStretch {
        InodeNumber inode = 0;
        Stretch stretch;
    };
    struct Range {
        TreeKey from;
        TreeKey to;
    };
    void sort();

    std::vector<Change> items_;
    std::vector<FileStretch> extents_;  // apart: there are many, and their blocks are not known yet
    std::vector<Range> erased_;
};

}  // namespace objstore::archive
