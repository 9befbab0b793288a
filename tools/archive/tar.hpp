// What a POSIX tar (pax) says of one file. Pure functions; IEEE Std 1003.1-2017, pax, "ustar Interchange Format".
//
// Names, times to the nanosecond, sizes and owners beyond ustar's fields, and extended attributes (SCHILY.xattr.NAME,
// as GNU tar and libarchive have them) are in an extended header.
#pragma once

#include <optional>
#include <string>

#include "objstore/archive/dump.hpp"

namespace tools {

/// The header, extended header included; as many bytes of content as `inode.size` says follow it, padded with
/// tar_padding(). Names are those of the snapshot without the leading slash. Nothing: a tar has no such file (a
/// socket).
[[nodiscard]] std::optional<std::string> tar_header(const objstore::archive::DumpedFile& file);
[[nodiscard]] std::string tar_padding(std::uint64_t content_bytes);
/// Behind the last file.
[[nodiscard]] std::string tar_end();

}  // namespace tools
