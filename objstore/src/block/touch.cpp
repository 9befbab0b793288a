#include <exception>
#include <map>
#include <memory>
#include <optional>

#include "base/task_group.hpp"
#include "objstore/block_io.hpp"

namespace objstore {
namespace {

constexpr base::Duration kTouchTimeout = std::chrono::seconds{60};
constexpr std::size_t kRequestsAtOnce = 16;

// The requests of one call, and what came of them.
struct Touching {
    Touching(base::NodeEnv doors, past::Storage& store, past::Tag session, std::vector<BlockName> names)
        : env{doors}, storage{store}, tag{session}, blocks{std::move(names)}, asking{env.executor, kRequestsAtOnce} {
        held.resize(blocks.size());
    }

    static base::Task<void> ask(std::shared_ptr<Touching> self, base::Guid placement_group,
                                std::vector<std::size_t> which, base::Semaphore::Permit permit);

    base::NodeEnv env;
    past::Storage& storage;
    past::Tag tag;
    std::vector<BlockName> blocks;
    std::vector<bool> held;
    base::Semaphore asking;
    std::optional<base::Error> failed;
};

base::Task<void> Touching::ask(std::shared_ptr<Touching> self, base::Guid placement_group,
                               std::vector<std::size_t> which,
                               base::Semaphore::Permit /*permit: until it is answered*/) {
    std::vector<base::Guid> ids;
    ids.reserve(which.size());
    for (const auto i : which) ids.push_back(self->blocks[i].id);
    const auto deadline = self->env.clock.now() + kTouchTimeout;
    const auto answer = co_await self->storage.touch(placement_group, self->tag, std::move(ids), deadline);
    if (!answer) {
        if (!self->failed) self->failed = answer.error();
        co_return;
    }
    for (std::size_t i = 0; i < which.size() && i < answer->size(); ++i) self->held[which[i]] = (*answer)[i];
}

}  // namespace

base::Task<base::Result<std::vector<bool>>> touch_blocks(base::NodeEnv env, past::Storage& storage, past::Tag tag,
                                                         std::vector<BlockName> blocks) {
    const auto touching = std::make_shared<Touching>(env, storage, tag, std::move(blocks));
    std::map<base::Guid, std::vector<std::size_t>> by_group;
    for (std::size_t i = 0; i < touching->blocks.size(); ++i) {
        const auto& block = touching->blocks[i];
        by_group[group_of(tag.volume, block.group_bits, block.id)].push_back(i);
    }
    base::TaskGroup group{env.executor};
    for (const auto& [placement_group, all] : by_group) {
        for (std::size_t at = 0; at < all.size() && !touching->failed; at += past::kMaxBlocksPerRequest) {
            const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
            const auto count = std::min(all.size() - at, past::kMaxBlocksPerRequest);
            std::vector<std::size_t> which(begin, begin + static_cast<std::ptrdiff_t>(count));
            auto permit = co_await touching->asking.acquire();
            group.spawn(Touching::ask(touching, placement_group, std::move(which), std::move(permit)));
        }
    }
    co_await group.join();
    if (touching->failed) co_return *touching->failed;
    co_return std::move(touching->held);
}

}  // namespace objstore
