// What a tree holds about files: the records behind its keys.
//
// Format: docs/formats/tree.md. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/local_tree.hpp"
#include "base/timestamp.hpp"
#include "objstore/block.hpp"

namespace objstore {

/// HMAC of a chunk's plaintext under the chunk key: see chunk_hash() in keys.hpp.
using ChunkHash = std::array<std::uint8_t, 16>;

using InodeNumber = std::uint64_t;
constexpr InodeNumber kRootInode = 1;  ///< the directory at the top of a tree

constexpr unsigned kMaxDepth = 2048;  ///< directories from "/" down; what is deeper is neither archived nor restored
constexpr std::size_t kMaxInlineBytes = 2048;  ///< a small file's data within the tree
constexpr std::size_t kMaxSymlinkBytes = 4095;
constexpr std::size_t kMaxXattrNameBytes = 255;

struct Inode {
    base::FileType type = base::FileType::regular;
    std::uint32_t mode = 0;  ///< permission and set-id bits (07777)
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t size = 0;
    base::Timestamp mtime;
    base::Timestamp ctime;  ///< of a backup the source's: how the next one sees that nothing changed
    base::Timestamp atime;  ///< zero in a backup, like those below: equal files are to give equal nodes
    base::Timestamp btime;
    std::uint64_t change = 0;  ///< moves with every change of a file in the live tree
    std::uint64_t parent = 0;  ///< in a live tree: the directory that it lies in, or (hard links) once lay in
    std::uint32_t flags = 0;   ///< none is defined yet
    std::uint64_t nlink = 1;
    std::uint64_t rdev = 0;
    std::uint64_t source_device = 0;  ///< where it was read: the next snapshot gives it the same inode number
    std::uint64_t source_inode = 0;
    friend bool operator==(const Inode&, const Inode&) = default;
};

/// A stretch of a block's packed content.
struct Extent {
    BlockRefPtr block;              ///< null: a hole
    std::uint32_t offset = 0;       ///< in the block's content
    std::uint64_t length = 0;       ///< bytes of file; of a chunk at most the block's content
    std::optional<ChunkHash> hash;  ///< of the whole stretch; none: a hole, or the writer did not know it
    friend bool operator==(const Extent& a, const Extent& b);
};

/// At most kMaxInlineBytes; of a symlink its target, at most kMaxSymlinkBytes.
struct InlineData {
    base::Bytes bytes;
    friend bool operator==(const InlineData&, const InlineData&) = default;
};

struct XattrRecord {
    std::string name;                         ///< with its namespace
    std::variant<base::Bytes, Extent> value;  ///< in place up to kMaxInlineBytes, else in a block
    friend bool operator==(const XattrRecord&, const XattrRecord&) = default;
};

struct Entry {
    std::string name;  ///< 1 to kMaxNameBytes bytes, without '/' and NUL, not "." or ".."
    InodeNumber inode = 0;
    base::FileType type = base::FileType::regular;
    friend bool operator==(const Entry&, const Entry&) = default;
};

/// A record that the tree carries without looking inside (the forest's): bytes, and the blocks they speak of.
struct Opaque {
    base::Bytes bytes;
    std::vector<BlockRefPtr> blocks;
    friend bool operator==(const Opaque& a, const Opaque& b);
};

using Value = std::variant<Inode, XattrRecord, InlineData, Extent, Entry, Opaque>;

}  // namespace objstore
