// One file that is not on a disk but comes from a stream, as a tree that a backup can walk. Read once, from its
// beginning to its end; only as much of it is in memory as the backup looks back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/local_tree.hpp"

namespace tools {

/// The next bytes; 0 at the end. Errors, also of whoever makes the stream, end the backup.
using ReadStream = std::function<base::Result<std::size_t>(std::span<std::uint8_t>)>;

struct StreamFile {
    std::string path;  ///< absolute: "/stdin", "/dumps/db.sql"
    ReadStream read;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    base::Timestamp time;
};

[[nodiscard]] std::unique_ptr<base::LocalTree> make_stream_tree(StreamFile file);

}  // namespace tools
