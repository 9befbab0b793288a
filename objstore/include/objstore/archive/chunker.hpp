// Where a large file is cut: content-defined boundaries that an outsider cannot predict.
//
// Paper: Xia et al., FastCDC, USENIX ATC 2016 (gear hash, skipped minimum, normalised chunking). Where we differ: the
// gear table is drawn from a key, so that lengths of stored blocks do not fingerprint a known file, and the sizes suit
// blocks of up to 1 MiB. Format: docs/formats/chunks.md. A plain value; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace objstore::archive {

/// Bytes. Part of the format of a volume: other values cut differently and lose the deduplication against what is
/// stored.
struct ChunkSizes {
    std::size_t smallest = 256U << 10U;
    std::size_t normal = 512U << 10U;  ///< from here on a boundary is 16 times as likely
    std::size_t largest = 1U << 20U;
};

/// Below this a file is one chunk, and lives in a pack.
constexpr std::size_t kSmallFileBytes = 512U << 10U;

class Chunker {
  public:
    /// Requires: 64 <= smallest < normal < largest.
    explicit Chunker(const base::Key& key, ChunkSizes sizes = {});

    /// Length of the first chunk of `data`. `last` says that nothing follows `data`; otherwise requires
    /// data.size() >= sizes().largest. Zero only for empty data. What lies behind the returned length has no influence.
    [[nodiscard]] std::size_t cut(base::ByteView data, bool last) const;

    [[nodiscard]] const ChunkSizes& sizes() const { return sizes_; }

  private:
    ChunkSizes sizes_;
    std::array<std::uint64_t, 256> gear_;
};

}  // namespace objstore::archive
