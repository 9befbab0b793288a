// Blocks on their way to several holders: encoded once, sent to each.
#pragma once

#include "context.hpp"

namespace past {

struct Batch {
    StoreRequest request;
    std::vector<Block> blocks;
    std::size_t bytes = 0;

    /// The header and the bytes of all blocks, put together at the first call.
    [[nodiscard]] const base::Bytes& header() const;
    [[nodiscard]] const base::SharedBytes& payload() const;

  private:
    mutable base::Bytes header_;
    mutable base::SharedBytes payload_;
};

/// Errc::too_large above the limit of a block or of all together; bad_argument if there is none.
[[nodiscard]] base::Result<std::shared_ptr<const Batch>> make_batch(const base::Guid& group, std::vector<Tag> tags,
                                                                    std::vector<Block> blocks, Cause cause);

/// Stores the batch at `holder`: durable there when it returns. Errc::no_space, or what broke.
base::Task<base::Result<void>> store_at(Context& context, std::shared_ptr<const Batch> batch, base::Address holder,
                                        base::TimePoint deadline);

/// Asks `holder` for a block. An answer without a header has the block as its payload, hashed; one with a header
/// (FetchReply) names others. Errors: block_not_found, corrupt_block (counted and logged), or what broke.
base::Task<base::Result<base::Message>> fetch_at(Context& context, base::Address holder, base::Guid group,
                                                 base::Guid id, base::TimePoint deadline);

/// Errc::corrupt_block unless every block hashes to its id. Hashes on the pool, but for a few KiB: that takes no longer
/// than waking a thread.
base::Task<base::Result<void>> verify_blocks(base::Workers& workers, std::vector<Block> blocks);
/// Cuts a payload into the blocks that ids and lengths name. Requires: the lengths add up to its size.
[[nodiscard]] std::vector<Block> cut_blocks(const std::vector<base::Guid>& ids,
                                            const std::vector<std::uint32_t>& lengths,
                                            const base::SharedBytes& payload);

}  // namespace past
