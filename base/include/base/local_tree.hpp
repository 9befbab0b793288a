// The user's files, as backup reads them and restore makes them: a walk that never leaves the directory it began in.
//
// Every name is one path component: "", ".", "..", and names with '/' or NUL are refused with Errc::bad_argument, and
// no symbolic link is ever followed, so a hostile archive cannot write outside the target (docs/model.md). Calls block:
// make them from a Workers job. Objects are thread safe as long as one thread writes one file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/timestamp.hpp"

namespace base {

enum class FileType : std::uint8_t { regular = 1, directory, symlink, fifo, socket, character, block };

struct FileStat {
    FileType type = FileType::regular;
    std::uint32_t mode = 0;  ///< permission and set-id bits only (07777)
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t size = 0;
    std::uint64_t allocated_bytes = 0;
    Timestamp mtime;
    Timestamp ctime;
    Timestamp atime;
    Timestamp btime;           ///< when it was made; zero if the file system does not tell
    std::uint64_t device = 0;  ///< of the file system
    std::uint64_t inode = 0;
    std::uint64_t nlink = 1;
    std::uint64_t rdev = 0;  ///< of a device node
};

struct Xattr {
    std::string name;  ///< with its namespace: "user.x", "system.posix_acl_access", "security.capability", ...
    Bytes value;
    friend bool operator==(const Xattr&, const Xattr&) = default;
};

/// A stretch of a file that is not a hole.
struct DataRange {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

/// What restore sets. Fields left empty are not touched.
struct Metadata {
    std::optional<std::uint32_t> mode;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<Timestamp> mtime;
    std::optional<Timestamp> atime;
};

class LocalFile {
  public:
    virtual ~LocalFile() = default;
    /// Of the open file, never of a name that may have changed meanwhile.
    virtual Result<FileStat> stat() = 0;
    /// Fewer bytes only at the end.
    virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) = 0;
    virtual Result<void> write_at(std::uint64_t offset, ByteView bytes) = 0;
    /// In order, not touching each other. One range for a file system that cannot tell.
    virtual Result<std::vector<DataRange>> data_ranges() = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;  ///< makes a hole when it grows
    virtual Result<std::vector<Xattr>> xattrs() = 0;        ///< sorted by name
    virtual Result<void> set_xattr(const Xattr& xattr) = 0;
    virtual Result<void> set_metadata(const Metadata& metadata) = 0;
};

class LocalDirectory {
  public:
    struct Entry {
        std::string name;
        FileType type = FileType::regular;  ///< FileType{} if the file system does not tell
    };

    virtual ~LocalDirectory() = default;
    virtual Result<FileStat> stat() = 0;
    virtual Result<std::vector<Entry>> list() = 0;  ///< sorted by name (bytes), without "." and ".."
    virtual Result<FileStat> stat(std::string_view name) = 0;
    virtual Result<std::unique_ptr<LocalDirectory>> open_directory(std::string_view name) = 0;
    virtual Result<std::unique_ptr<LocalFile>> open_file(std::string_view name) = 0;  ///< regular, to read
    virtual Result<std::string> read_link(std::string_view name) = 0;
    virtual Result<std::vector<Xattr>> xattrs() = 0;  ///< of the directory itself
    virtual Result<std::vector<Xattr>> xattrs(std::string_view name) = 0;

    /// Errc::exists if the name is taken by anything but a directory; an existing directory is opened.
    virtual Result<std::unique_ptr<LocalDirectory>> make_directory(std::string_view name) = 0;
    /// A new, empty, regular file, mode 0600, open to read and write. Errc::exists if the name is taken. Like
    /// everything made here it inherits no ACL from the directory.
    virtual Result<std::unique_ptr<LocalFile>> create_file(std::string_view name) = 0;
    /// The same file again, with what was written to it. Errc::bad_argument unless it is as create_file() makes it and
    /// nobody else can have it open: ours, mode 0600, of one name. Errc::locked while it is open here or in another
    /// process since create_file() or reopen_file().
    virtual Result<std::unique_ptr<LocalFile>> reopen_file(std::string_view name) = 0;
    virtual Result<void> make_symlink(std::string_view name, std::string_view target) = 0;
    /// `from` must be a directory of the same tree.
    virtual Result<void> make_link(std::string_view name, LocalDirectory& from, std::string_view from_name) = 0;
    /// fifo, socket, character or block.
    virtual Result<void> make_special(std::string_view name, FileType type, std::uint64_t rdev) = 0;
    virtual Result<void> set_xattr(const Xattr& xattr) = 0;           ///< of the directory itself
    virtual Result<void> remove_xattr(const std::string& xattr) = 0;  ///< likewise; it need not be there
    virtual Result<void> set_xattr(std::string_view name, const Xattr& xattr) = 0;
    virtual Result<void> set_metadata(const Metadata& metadata) = 0;  ///< of the directory itself
    virtual Result<void> set_metadata(std::string_view name, const Metadata& metadata) = 0;
    /// A file, link or special, or an empty directory.
    virtual Result<void> remove(std::string_view name) = 0;
    /// Within this directory. Where both are names of one file already, nothing happens: both stay.
    virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
};

class LocalTree {
  public:
    virtual ~LocalTree() = default;
    /// Opens the directory that `path` names (symbolic links in `path` itself are followed: the user typed it).
    virtual Result<std::unique_ptr<LocalDirectory>> open(std::string_view path) = 0;
    /// The same; made with its parents, mode 0777 & ~umask, if absent.
    virtual Result<std::unique_ptr<LocalDirectory>> create(std::string_view path) = 0;
    /// Absolute, without "." and "..", symbolic links kept. For what a snapshot records.
    virtual Result<std::string> absolute(std::string_view path) = 0;
    /// True if we may set owners, make device nodes and see trusted and security xattrs.
    [[nodiscard]] virtual bool privileged() const = 0;
    /// The owner of what we make.
    [[nodiscard]] virtual std::uint32_t user_id() const = 0;
};

}  // namespace base
