// Blocks on their way to PAST and back: batches per group with a bound on what is under way, and a cache of opened
// blocks.
//
// On the node's executor; sealing, opening and hashing run on Workers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/block.hpp"
#include "past/storage.hpp"

namespace objstore {

struct WriterConfig {
    std::size_t batch_bytes = 2U << 20U;         ///< of one place, sent together; at most kMaxPayloadBytes
    std::size_t max_pending_bytes = 32U << 20U;  ///< sealed and not yet acknowledged; writers wait above it
    base::Duration put_timeout = std::chrono::seconds{120};
};

struct WriteTotals {
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;  ///< sealed
};

/// Seals and stores. A block is durable only after a flush() that began after it was written.
class BlockWriter {
  public:
    /// `tag` names the volume and the session's generation. The storage outlives the writer.
    BlockWriter(base::NodeEnv env, past::Storage& storage, SealContext context, past::Tag tag,
                past::Wait wait = past::Wait::majority, WriterConfig config = {});
    /// Cancels what is under way.
    ~BlockWriter();
    BlockWriter(const BlockWriter&) = delete;
    BlockWriter& operator=(const BlockWriter&) = delete;

    [[nodiscard]] const SealContext& context() const;
    [[nodiscard]] const past::Tag& tag() const;

    /// Seals on the pool and queues. Resumes when its reference is known and there was room. `packed` and `raw` are as
    /// in BlockContent.
    base::Task<base::Result<BlockRefPtr>> write(BlockType type, std::vector<BlockRefPtr> children, base::Bytes packed,
                                                base::Bytes raw = {});
    /// The same content as another block: sealed under keys of its own, so that losing one loses nothing. For the few
    /// blocks on which everything else hangs.
    base::Task<base::Result<BlockRefPtr>> write_spare(BlockType type, std::vector<BlockRefPtr> children,
                                                      base::Bytes packed, base::Bytes raw = {});
    /// Queues a block that a job of the caller's own sealed with context(). Resumes when there is room. Returns the
    /// first error of any put so far.
    base::Task<base::Result<void>> put(SealedBlock block);
    /// Sends what is queued and resumes when everything is acknowledged; the outcome is the worst of all batches since
    /// the writer began. An error means that not everything is durable; it stays.
    base::Task<base::Result<past::PutOutcome>> flush();

    [[nodiscard]] WriteTotals totals() const;

  private:
    struct State;
    base::Task<base::Result<BlockRefPtr>> seal_and_put(bool spare, BlockType type, std::vector<BlockRefPtr> children,
                                                       base::Bytes packed, base::Bytes raw);
    std::shared_ptr<State> state_;
};

/// What it takes to ask for a block.
struct BlockName {
    base::Guid id;
    std::uint8_t group_bits = kMinGroupBits;
    friend bool operator==(const BlockName&, const BlockName&) = default;
};

/// For each block whether its holders still have it; those they have are tagged anew. What is not held cannot be built
/// upon: it has to be stored again. Requests of up to 4096 blocks of one place, several at a time. Errors: those of
/// past::Storage::touch(), after which nothing is known of any block.
[[nodiscard]] base::Task<base::Result<std::vector<bool>>> touch_blocks(base::NodeEnv env, past::Storage& storage,
                                                                       past::Tag tag, std::vector<BlockName> blocks);

struct ReaderConfig {
    std::size_t cache_bytes = 32U << 20U;  ///< opened blocks, least recently used go first
    base::Duration get_timeout = std::chrono::seconds{60};
};

/// Fetches, verifies, opens. Blocks asked for by several at once are fetched once.
class BlockReader {
  public:
    BlockReader(base::NodeEnv env, past::Storage& storage, base::Guid volume_tag, ReaderConfig config = {});
    ~BlockReader();
    BlockReader(const BlockReader&) = delete;
    BlockReader& operator=(const BlockReader&) = delete;

    /// Errors: Errc::damaged naming the BGUID (also where PAST says block_not_found or corrupt_block);
    /// past::Errc::holders_unreachable.
    base::Task<base::Result<std::shared_ptr<const OpenedBlock>>> read(BlockRefPtr ref);
    /// Begins to fetch into the cache; errors show when it is read. Does nothing if it is there or on its way.
    void prefetch(BlockRefPtr ref);

    /// While its holders are not reached a block is asked for again, this long and as long as somebody waits for it.
    /// Zero, as at first: an error at once.
    void set_patience(base::Duration patience);

    [[nodiscard]] const base::Guid& volume_tag() const;
    [[nodiscard]] std::uint64_t blocks_fetched() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace objstore
