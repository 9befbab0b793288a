// The packed part of a body: compressed where that pays. Any thread.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace objstore {

/// Appends `content` as one zstd frame to `out` and returns true; or leaves `out` alone and returns false where that
/// would save less than 1/32.
[[nodiscard]] bool compress_to(base::Bytes& out, base::ByteView content, int level);

/// The content of one frame, which declares at most `limit` bytes and ends with `frame`. base::Errc::bad_format
/// otherwise, before any memory is taken for a size beyond the limit.
[[nodiscard]] base::Result<base::Bytes> decompress(base::ByteView frame, std::size_t limit);

}  // namespace objstore
