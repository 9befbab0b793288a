#include "session/limited_storage.hpp"

#include "base/token_bucket.hpp"
#include "past/passing_storage.hpp"

namespace tools {

namespace {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;

class LimitedStorage final : public past::PassingStorage {
  public:
    LimitedStorage(past::Storage& storage, base::Clock& clock, RateLimits limits)
        : PassingStorage{storage}, clock_{clock} {
        // A second's worth may go at once.
        if (limits.upload) upload_.emplace(clock, *limits.upload, *limits.upload);
        if (limits.download) download_.emplace(clock, *limits.download, *limits.download);
    }

    Task<Result<past::PutOutcome>> put(Guid group, past::Tag tag, std::vector<past::Block> blocks, past::Wait wait,
                                       TimePoint deadline) override {
        if (upload_) {
            const auto began = clock_.now();
            std::uint64_t bytes = 0;
            for (const auto& block : blocks) bytes += block.bytes.size();
            co_await upload_->take(bytes);
            deadline += clock_.now() - began;
        }
        co_return co_await PassingStorage::put(group, tag, std::move(blocks), wait, deadline);
    }
    Task<Result<base::SharedBytes>> get(Guid group, Guid id, TimePoint deadline) override {
        auto block = co_await PassingStorage::get(group, id, deadline);
        if (block && download_) co_await download_->take(block->size());
        co_return block;
    }

  private:
    base::Clock& clock_;
    std::optional<base::TokenBucket> upload_;
    std::optional<base::TokenBucket> download_;
};

}  // namespace

std::unique_ptr<past::Storage> limit_rates(past::Storage& storage, base::Clock& clock, RateLimits limits) {
    return std::make_unique<LimitedStorage>(storage, clock, limits);
}

}  // namespace tools
