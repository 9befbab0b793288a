// The deduplication index on this machine's disk: an append-only file of sealed records, one a block.
//
// Format: docs/formats/dedup-cache.md. Losing it costs time, never data: it is rebuilt from the volume. Calls block:
// make them from a Workers job. append() and sync() are thread safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/result.hpp"
#include "objstore/archive/dedup_index.hpp"
#include "objstore/keys.hpp"

namespace objstore::archive {

/// A block and chunks of it, ascending by offset.
struct CacheRecord {
    struct Chunk {
        std::uint32_t offset = 0;
        std::uint32_t length = 0;
        ChunkHash hash{};
        friend bool operator==(const Chunk&, const Chunk&) = default;
    };
    BlockRef block;
    std::vector<Chunk> chunks;

    [[nodiscard]] base::Bytes encode() const;
    [[nodiscard]] static base::Result<CacheRecord> decode(base::ByteView bytes);
    friend bool operator==(const CacheRecord&, const CacheRecord&) = default;
};

using CacheSalt = std::array<std::uint8_t, 16>;

class DedupCache {
  public:
    /// Opens the file at `path` of this volume and key epoch and adds what it holds to `index`. A torn tail is cut off.
    /// Errors: base::Errc::not_found; base::Errc::corrupt if it belongs to another volume, epoch or version, or a
    /// record in the middle is damaged (`index` then holds what came before); base::Errc::locked while another backup
    /// has it.
    static base::Result<std::unique_ptr<DedupCache>> open(base::Disk& disk, std::string path, const VolumeKeys& keys,
                                                          DedupIndex& index);
    /// A new, empty one, in place of what is there.
    static base::Result<std::unique_ptr<DedupCache>> create(base::Disk& disk, std::string path, const VolumeKeys& keys);

    /// `salt` is drawn afresh for each record: it makes the key that seals it. Not durable before sync(). After an
    /// error nothing more is written.
    base::Result<void> append(const CacheRecord& record, const CacheSalt& salt);
    base::Result<void> sync();

  private:
    DedupCache(const VolumeKeys& keys, std::unique_ptr<base::DirectoryLock> lock, std::unique_ptr<base::File> file);
    base::Result<void> load(DedupIndex& index);

    base::Key key_;
    base::Bytes header_;
    std::unique_ptr<base::DirectoryLock> lock_;
    std::unique_ptr<base::File> file_;
    std::mutex mutex_;  // guards what follows
    std::uint64_t end_ = 0;
    bool failed_ = false;
};

}  // namespace objstore::archive
