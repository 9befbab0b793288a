// The in-memory file system behind sim::LocalTree.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/sim/local_tree.hpp"
#include "sparse_bytes.hpp"

namespace base::sim {

struct TreeNode {
    FileType type = FileType::regular;
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    Timestamp mtime;
    Timestamp ctime;
    Timestamp atime;
    Timestamp btime;
    std::uint64_t inode = 0;
    std::uint64_t nlink = 1;
    std::uint64_t rdev = 0;
    std::uint64_t device = 0;  ///< 0: the parent's
    std::weak_ptr<void> lock;  ///< of whoever has it open from create_file() or reopen_file()
    SparseBytes data;
    std::string target;  ///< of a symlink
    std::map<std::string, Bytes, std::less<>> xattrs;
    std::map<std::string, std::shared_ptr<TreeNode>, std::less<>> entries;
};
using TreeNodePtr = std::shared_ptr<TreeNode>;

struct LocalTree::State {
    State();

    [[nodiscard]] TreeNodePtr make_node(FileType type, std::uint32_t mode);
    /// mtime and ctime, or ctime alone, are now.
    void touch(TreeNode& node);
    void change(TreeNode& node);
    [[nodiscard]] FileStat stat_of(const TreeNode& node, std::uint64_t device) const;

    /// Hooks and failures planted on `path`.
    Result<void> enter(const std::string& path, TreeCall call);
    Result<void> reserve(const TreeNode& node, std::uint64_t offset, std::uint64_t length) const;

    // --- for the test's own hands: no failures, no hooks ---
    struct Found {
        TreeNodePtr node;
        std::uint64_t device = 1;
    };
    [[nodiscard]] Found find(std::string_view path, bool follow) const;
    /// Where `path` leads if its last name is a symbolic link; else `path`. It must be there.
    [[nodiscard]] std::vector<std::string> real_names(std::string_view path) const;
    /// The parent of `path`, made if need be, and the last name.
    [[nodiscard]] std::pair<TreeNodePtr, std::string> parent_of(std::string_view path, bool make);
    [[nodiscard]] TreeNodePtr must_find(std::string_view path) const;
    void drop(TreeNode& node);  ///< a name of it is gone

    TreeNodePtr root;
    std::uint64_t next_inode = 1;
    std::int64_t ticks = 0;
    std::function<std::int64_t()> now_ns;
    bool privileged = true;
    std::uint64_t most_links = 65'000;  ///< ext4's
    bool types_hidden = false;
    std::uint64_t capacity_bytes = std::uint64_t{1} << 40U;
    std::uint64_t used_pages = 0;
    std::map<std::pair<std::string, TreeCall>, Error> failures;
    std::map<std::pair<std::string, TreeCall>, std::function<void()>> hooks;
};

/// Names of a path, without empty ones and ".".
[[nodiscard]] std::vector<std::string> names_of(std::string_view path);
/// "a/b": how paths are written in hooks and failures.
[[nodiscard]] std::string joined(const std::vector<std::string>& names);

[[nodiscard]] std::unique_ptr<LocalDirectory> open_tree_directory(std::shared_ptr<LocalTree::State> tree,
                                                                  TreeNodePtr node, std::uint64_t device,
                                                                  std::string path);
[[nodiscard]] std::unique_ptr<LocalFile> open_tree_file(std::shared_ptr<LocalTree::State> tree, TreeNodePtr node,
                                                        std::uint64_t device, std::string path, bool writable);

// Shared by files and directories.
[[nodiscard]] std::vector<Xattr> list_xattrs(const LocalTree::State& tree, const TreeNode& node);
[[nodiscard]] Result<void> put_xattr(LocalTree::State& tree, TreeNode& node, const Xattr& xattr,
                                     const std::string& path);
[[nodiscard]] Result<void> put_metadata(LocalTree::State& tree, TreeNode& node, const Metadata& metadata,
                                        const std::string& path);
/// Stretches of allocated pages, cut at the end of the file.
[[nodiscard]] std::vector<DataRange> ranges_of(const SparseBytes& data);

}  // namespace base::sim
