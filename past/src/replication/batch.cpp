#include "replication/batch.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/limits.hpp"

namespace past {

using base::Result;
using base::Task;

namespace {

constexpr std::size_t kHashedHere = 16U << 10U;

}  // namespace

const base::Bytes& Batch::header() const {
    if (header_.empty()) header_ = encode(request);
    return header_;
}

const base::SharedBytes& Batch::payload() const {
    if (!payload_.empty() || bytes == 0) return payload_;
    if (blocks.size() == 1) {
        payload_ = blocks[0].bytes;
    } else {
        base::Bytes joined;
        joined.reserve(bytes);
        for (const auto& block : blocks)
            joined.insert(joined.end(), block.bytes.view().begin(), block.bytes.view().end());
        payload_ = base::SharedBytes{std::move(joined)};
    }
    return payload_;
}

Result<std::shared_ptr<const Batch>> make_batch(const base::Guid& group, std::vector<Tag> tags,
                                                std::vector<Block> blocks, Cause cause) {
    if (blocks.empty() || blocks.size() > kMaxBlocksPerRequest) {
        return base::Error{base::Errc::bad_argument, "a put takes 1 to 4096 blocks"};
    }
    auto batch = std::make_shared<Batch>();
    batch->request.group = group;
    batch->request.tags = std::move(tags);
    batch->request.cause = cause;
    for (const auto& block : blocks) {
        if (block.bytes.size() > base::kMaxBlockBytes) return Errc::too_large;
        batch->request.ids.push_back(block.id);
        batch->request.lengths.push_back(static_cast<std::uint32_t>(block.bytes.size()));
        batch->bytes += block.bytes.size();
    }
    if (batch->bytes > base::kMaxPayloadBytes) return Errc::too_large;
    batch->blocks = std::move(blocks);
    return std::shared_ptr<const Batch>{std::move(batch)};
}

Task<Result<void>> store_at(Context& context, std::shared_ptr<const Batch> batch, base::Address holder,
                            base::TimePoint deadline) {
    auto answer = co_await context.call(std::move(holder), Verb::store, batch->header(), batch->payload(), deadline);
    if (!answer) co_return std::move(answer).error();
    co_return base::ok();
}

Task<Result<base::Message>> fetch_at(Context& context, base::Address holder, base::Guid group, base::Guid id,
                                     base::TimePoint deadline) {
    const FetchRequest request{group, id};
    const auto peer = holder.id;
    auto header = encode(request);
    auto answer = co_await context.call(std::move(holder), Verb::fetch, std::move(header), deadline);
    if (!answer || !answer->header.empty() || context.config.testing.trust_fetched_bytes) co_return answer;
    std::vector<Block> blocks(1, Block{id, answer->payload});
    if (!co_await verify_blocks(context.env.workers, std::move(blocks))) {
        ++context.counters.wrong_blocks;
        context.log(base::Log::Level::warning, "{} answered {} with other bytes", peer.short_hex(), id.short_hex());
        co_return Errc::corrupt_block;
    }
    co_return answer;
}

Task<Result<void>> verify_blocks(base::Workers& workers, std::vector<Block> blocks) {
    const auto bytes = std::transform_reduce(blocks.begin(), blocks.end(), std::size_t{0}, std::plus<>{},
                                             [](const Block& block) { return block.bytes.size(); });
    auto hash_all = [blocks = std::move(blocks)] {
        return std::ranges::all_of(blocks, [](const Block& block) { return base::sha256(block.bytes) == block.id; });
    };
    bool good = false;
    if (bytes <= kHashedHere) {
        good = hash_all();
    } else {
        good = co_await workers.run(std::move(hash_all));
    }
    if (!good) co_return Errc::corrupt_block;
    co_return base::ok();
}

std::vector<Block> cut_blocks(const std::vector<base::Guid>& ids, const std::vector<std::uint32_t>& lengths,
                              const base::SharedBytes& payload) {
    std::vector<Block> blocks;
    blocks.reserve(ids.size());
    std::size_t offset = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        blocks.push_back({ids[i], payload.slice(offset, lengths[i])});
        offset += lengths[i];
    }
    return blocks;
}

}  // namespace past
