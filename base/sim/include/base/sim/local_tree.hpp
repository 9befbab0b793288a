// The user's files in memory: every oddity a file system has, easily made, and easily compared.
//
//     sim::LocalTree tree;
//     tree.write("home/a/b.txt", "text");           // parents are made
//     tree.hard_link("home/c", "home/a/b.txt");
//     tree.describe("home") == tree.describe("restored")
//
// Paths are relative to the root or begin with '/': the same. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/local_tree.hpp"

namespace base::sim {

/// Calls of LocalTree, LocalDirectory and LocalFile that can be made to fail or to be interrupted.
enum class TreeCall : std::uint8_t { open, list, stat, read, write, xattrs, create, metadata, remove, rename };

class LocalTree final : public base::LocalTree {
  public:
    LocalTree();
    ~LocalTree() override;
    LocalTree(const LocalTree&) = delete;
    LocalTree& operator=(const LocalTree&) = delete;

    // --- the door ------------------------------------------------------------------------------------------------
    Result<std::unique_ptr<LocalDirectory>> open(std::string_view path) override;
    Result<std::unique_ptr<LocalDirectory>> create(std::string_view path) override;
    Result<std::string> absolute(std::string_view path) override;
    [[nodiscard]] bool privileged() const override;
    [[nodiscard]] std::uint32_t user_id() const override;

    // --- making a tree: parents are made as needed, a wrong use asserts ---------------------------------------------
    void write(std::string_view path, ByteView bytes);  ///< replaces the contents
    void write(std::string_view path, std::string_view text) { write(path, as_bytes(text)); }
    void write_at(std::string_view path, std::uint64_t offset, ByteView bytes);  ///< leaves holes before it
    void resize(std::string_view path, std::uint64_t size);                      ///< a hole where it grows
    void make_directory(std::string_view path);
    void symlink(std::string_view path, std::string_view target);
    void hard_link(std::string_view path, std::string_view existing);
    void special(std::string_view path, FileType type, std::uint64_t rdev = 0);
    void set_xattr(std::string_view path, std::string_view name, ByteView value);
    void set_mode(std::string_view path, std::uint32_t mode);
    void set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid);
    void set_mtime(std::string_view path, Timestamp mtime);
    /// Another device number for everything below `path`, as if a file system were mounted there.
    void mount(std::string_view path, std::uint64_t device);
    void remove(std::string_view path);  ///< with everything below it
    void rename(std::string_view from, std::string_view to);

    // --- looking ---------------------------------------------------------------------------------------------------
    [[nodiscard]] bool exists(std::string_view path) const;
    [[nodiscard]] Bytes read(std::string_view path) const;
    [[nodiscard]] FileStat stat(std::string_view path) const;
    /// A line for everything at and below `path`, sorted: relative path, type, mode, owner, size, mtime, xattrs,
    /// target, data ranges, SHA-256 of the contents, and with whom it is hard linked. Equal texts = equal trees.
    [[nodiscard]] std::string describe(std::string_view path) const;

    // --- what goes wrong -------------------------------------------------------------------------------------------
    /// The call fails on this path until clear_failures().
    void fail(std::string_view path, TreeCall call, Error error);
    /// `action` runs before each such call on this path (after opening, for reads): to change a file while it is read.
    void before(std::string_view path, TreeCall call, std::function<void()> action);
    void clear_failures();
    /// What a FUSE file system may tell of an inode, whatever is true.
    void pretend_inode(std::string_view path, std::uint64_t inode, std::uint64_t nlink);
    void hide_types();                         ///< list() tells no types from now on, as some file systems do not
    void set_privileged(bool privileged);      ///< the default is true
    void set_most_links(std::uint64_t names);  ///< of one file; beyond it, io_failed as EMLINK is
    /// Contents beyond this many bytes are refused with Errc::no_space.
    void set_capacity(std::uint64_t bytes);
    /// Wall clock for mtime and ctime. The default ticks a millisecond with each change.
    void set_time(std::function<std::int64_t()> now_ns);

    struct State;

  private:
    std::shared_ptr<State> state_;
};

}  // namespace base::sim
