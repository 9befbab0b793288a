// Decides for each chunk, in the order of the walk, whether it is there already, goes into the pack that is being
// filled, or becomes a block; seals on the pool and stores. Deterministic: timing never changes what is stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/env.hpp"
#include "base/task_group.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "objstore/archive/dedup_index.hpp"
#include "objstore/block_io.hpp"
#include "source_reader.hpp"

namespace objstore::archive {

struct PackerTotals {
    std::uint64_t chunks_new = 0;
    std::uint64_t chunks_known = 0;
    std::uint64_t bytes_new = 0;  ///< plaintext
    std::uint64_t bytes_known = 0;
    std::uint64_t blocks = 0;        ///< sealed for this backup
    std::uint64_t bytes_packed = 0;  ///< their content
    std::uint64_t bytes_sealed = 0;
};

class Packer {
  public:
    struct Config {
        int zstd_level = 3;
        bool dry_run = false;  ///< seal to learn the sizes, store nothing
    };

    /// `cache` may be null. Everything outlives the packer; finish() or stop() must be awaited before it goes.
    Packer(base::NodeEnv env, past::Storage& storage, BlockWriter& writer, DedupIndex& index, DedupCache* cache,
           Config config);

    /// Finds out which blocks that hold any of these chunks are still there. Before place() of them.
    base::Task<base::Result<void>> confirm(std::vector<ChunkHash> hashes);
    /// Where the chunk is or will be. Its block is sealed later: see DedupIndex::block().
    ChunkLocation place(const ReadChunk& chunk, const Buffer& buffer, bool of_large_file);
    /// Starts to seal what place() has completed; waits while too much is under way. The first error of any block.
    base::Task<base::Result<void>> settle();
    /// Closes the pack that is being filled and waits until every block is sealed and handed to the writer.
    base::Task<base::Result<void>> finish();
    /// Gives up: nothing refers to the packer afterwards.
    base::Task<void> stop();

    [[nodiscard]] const PackerTotals& totals() const { return totals_; }

  private:
    struct Slice {
        Buffer buffer;
        std::size_t offset = 0;
        std::uint32_t length = 0;
        ChunkHash hash{};
    };
    struct Draft {  // a block that is being filled or waits to be sealed
        BlockType type = BlockType::pack;
        std::uint32_t block = 0;
        std::size_t bytes = 0;
        std::vector<Slice> slices;
    };

    void close_pack();
    base::Task<void> seal(Draft draft, base::Semaphore::Permit permit);
    base::Result<SealedBlock> seal_draft(Draft draft, CacheSalt salt) const;
    base::Task<void> sync_cache();

    base::NodeEnv env_;
    past::Storage& storage_;
    BlockWriter& writer_;
    DedupIndex& index_;
    DedupCache* cache_;
    Config config_;
    SealContext context_;
    base::Semaphore sealing_;
    base::TaskGroup group_;
    std::optional<Draft> pack_;
    std::vector<Draft> closed_;
    std::optional<base::Error> error_;
    std::uint64_t unsynced_bytes_ = 0;
    PackerTotals totals_;
};

}  // namespace objstore::archive
