// What the parent snapshot knows about every file, so that a backup reads only what changed.
//
// About 130 bytes a file and 40 a name, filled by one pass over the parent's tree in key order. A plain value.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/tree.hpp"

namespace objstore::archive {

/// What may differ of a file that counts as unchanged. A file that may have changed unseen (its ctime is not known)
/// counts as changed all the same.
struct IgnoredChanges {
    bool ctime = false;
    bool inode = false;  ///< its number
};

class ParentIndex {
  public:
    static constexpr std::uint32_t kNone = UINT32_MAX;

    struct File {
        InodeNumber number = 0;
        std::uint64_t source_inode = 0;
        std::uint64_t source_device = 0;
        std::uint64_t size = 0;
        std::uint64_t data_bytes = 0;  ///< of its extents that are no holes
        base::Timestamp mtime;
        base::Timestamp ctime;
        std::uint64_t rdev = 0;
        std::uint64_t nlink = 0;
        std::uint32_t mode = 0;
        std::uint32_t uid = 0;
        std::uint32_t gid = 0;
        base::FileType type = base::FileType::regular;
        bool claimed = false;  ///< the new snapshot has it too
        bool lost = false;     ///< a block that holds some of it is gone
        std::uint32_t first_entry = 0;
        std::uint32_t entries = 0;
        std::uint32_t first_block = 0;
        std::uint32_t blocks = 0;

        /// Nothing that lstat tells has changed. The device is not compared: it gets another number at each boot.
        [[nodiscard]] bool same_as(const base::FileStat& stat, IgnoredChanges ignored = {}) const;
    };
    struct Name {
        std::uint64_t at = 0;  ///< in the arena
        InodeNumber inode = 0;
        std::uint8_t length = 0;
        base::FileType type = base::FileType::regular;
    };

    /// Takes the next items of the tree, in key order.
    void add(std::span<const Item> items);
    /// After the last add(): sorts what is looked up.
    void finish();

    /// That hold contents and attributes of the files, each once.
    [[nodiscard]] const std::vector<BlockName>& blocks() const { return blocks_; }
    /// `held`: for each of blocks() whether it is still there. Files that lie in one that is not are lost.
    void lose(const std::vector<bool>& held);

    [[nodiscard]] bool empty() const { return files_.empty(); }
    [[nodiscard]] File& file(std::uint32_t index) { return files_[index]; }
    [[nodiscard]] const std::vector<File>& files() const { return files_; }
    /// Of a directory (or kNone), sorted by name.
    [[nodiscard]] std::span<const Name> names(std::uint32_t directory) const;
    [[nodiscard]] std::string_view text(const Name& name) const { return {arena_.data() + name.at, name.length}; }
    /// kNone if the tree has no such inode.
    [[nodiscard]] std::uint32_t by_number(InodeNumber number) const;
    /// The one that was read from there, or kNone.
    [[nodiscard]] std::uint32_t by_source(std::uint64_t device, std::uint64_t inode) const;

  private:
    void use(const BlockRefPtr& block);

    std::vector<File> files_;  // ascending by number
    std::vector<Name> names_;
    std::vector<char> arena_;
    std::vector<BlockName> blocks_;
    std::vector<std::uint32_t> used_;                         // blocks of each file, one file after the other
    std::unordered_map<base::Guid, std::uint32_t> block_of_;  // until finish()
    BlockRefPtr last_used_;                                   // likewise: neighbours lie in one pack
    std::uint32_t last_number_ = 0;                           // of last_used_
    mutable std::vector<std::uint32_t> by_source_;            // made when first asked for: most backups never do
};

/// Reads the whole tree.
[[nodiscard]] base::Task<base::Result<ParentIndex>> load_parent(Tree tree);

}  // namespace objstore::archive
