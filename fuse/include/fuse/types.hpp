// What the kernel asks of a mounted file system and what it is told, as values: no type of libfuse is seen above or
// below the adapter. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/timestamp.hpp"
#include "objstore/records.hpp"

namespace fusefs {

/// The kernel's number for an inode: the inode's own, except that the root of the mount is always kRootNode.
using NodeId = std::uint64_t;
constexpr NodeId kRootNode = 1;

/// An open file or directory. 0 is none.
using HandleId = std::uint64_t;

/// Who asks.
struct Caller {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t pid = 0;
    std::uint32_t umask = 0;  ///< of calls that make an inode
};

struct Attributes {
    objstore::InodeNumber number = 0;  ///< what stat shows
    objstore::Inode inode;
    std::uint64_t allocated_bytes = 0;  ///< the size without the holes; of a small file with them
};

/// A node that the kernel remembers from now on, until forget() takes it back.
struct EntryReply {
    NodeId node = 0;  ///< 0: the name does not exist, and the kernel may remember that
    Attributes attributes;
};

struct OpenReply {
    HandleId handle = 0;
    bool keep_cache = false;  ///< what the kernel has of the content is still right
    bool no_flush = false;    ///< close needs not be told
    bool keep_listing =
        false;  ///< of a directory: it may be listed again from memory, until the kernel is told to drop it
};

struct CreateReply {
    EntryReply entry;
    OpenReply open;
};

/// What set_attributes() changes; what is left empty stays.
struct AttributeRequest {
    std::optional<std::uint32_t> mode;  ///< 07777
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<std::uint64_t> size;
    std::optional<base::Timestamp> atime;
    std::optional<base::Timestamp> mtime;
    bool atime_now = false;
    bool mtime_now = false;
    bool drop_set_ids = false;  ///< the caller may not keep set-id bits of a file that he truncates
    HandleId handle = 0;        ///< ftruncate: through this one
};

struct OpenFlags {
    bool write = false;
    bool truncate = false;
    bool no_atime = false;
    bool exclusive = false;     ///< create: refuse a name that is taken
    bool drop_set_ids = false;  ///< with truncate, as above
};

struct WriteRequest {
    NodeId node = 0;
    HandleId handle = 0;
    std::uint64_t offset = 0;
    bool append = false;           ///< at the end, wherever the kernel believes that to be
    bool from_page_cache = false;  ///< of a shared mapping: the handle is any that may write
    bool drop_set_ids = false;
};

enum class Allocation : std::uint8_t {
    extend,       ///< the file is at least that long afterwards
    keep_size,    ///< nothing that could be seen
    punch,        ///< a hole; the size stays
    zero,         ///< a hole; the file is at least that long afterwards
    zero_inside,  ///< a hole; the size stays
};

struct AllocateRequest {
    NodeId node = 0;
    HandleId handle = 0;
    Allocation what = Allocation::extend;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool drop_set_ids = false;  ///< the caller may not keep set-id bits of a file that he changes
};

struct CopyRequest {
    NodeId from = 0;
    std::uint64_t from_offset = 0;
    NodeId to = 0;
    HandleId to_handle = 0;
    std::uint64_t to_offset = 0;
    std::uint64_t length = 0;
    bool drop_set_ids = false;
};

struct DirectoryEntry {
    std::string name;
    NodeId node = 0;
    base::FileType type = base::FileType::regular;
    std::uint64_t offset = 0;              ///< to go on behind it
    std::optional<Attributes> attributes;  ///< if they were asked for and could be read
    [[nodiscard]] bool is_dot() const { return offset < 3; }
};

struct SpaceReply {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;
    std::uint64_t inodes = 0;
};

/// A range of bytes of a file that one owner has locked, or wants to.
struct Lock {
    enum class Type : std::uint8_t { read, write, none };
    Type type = Type::none;
    std::uint64_t start = 0;
    std::uint64_t end = UINT64_MAX;  ///< the last byte
    std::uint64_t owner = 0;         ///< the kernel's name of the process, or of the open file (flock)
    std::uint32_t pid = 0;
};

enum class RenameFlag : std::uint8_t { replace, no_replace, exchange };
enum class SetXattrFlag : std::uint8_t { any, create, replace };

}  // namespace fusefs
