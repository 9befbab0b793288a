#include "gc/walk.hpp"

#include <exception>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "past/error.hpp"

namespace objstore::gc {
namespace {

constexpr std::size_t kReadsAtOnce = 16;
constexpr base::Duration kReadTimeout = std::chrono::seconds{60};

struct Walk {
    Walk(base::NodeEnv doors, past::Storage& store, base::Guid tag, WalkHooks called)
        : env{doors}, storage{store}, volume_tag{tag}, hooks{std::move(called)}, changed{env.executor} {}

    void meet(const BlockRef& ref) {
        if (hooks.meet(ref) && ref.has_references()) to_read.push_back(ref);
    }
    static base::Task<void> work(std::shared_ptr<Walk> self);
    static base::Task<base::Result<std::vector<BlockRef>>> children_of(std::shared_ptr<Walk> self, BlockRef ref);

    base::NodeEnv env;
    past::Storage& storage;
    base::Guid volume_tag;
    WalkHooks hooks;
    std::vector<BlockRef> to_read;  // the latest first: depth first, so that it stays short
    std::size_t reading = 0;
    std::uint64_t blocks_read = 0;
    std::optional<base::Error> failed;
    base::Event changed;
};

base::Task<base::Result<std::vector<BlockRef>>> Walk::children_of(std::shared_ptr<Walk> self, BlockRef ref) {
    const auto placement_group = group_of(self->volume_tag, ref.group_bits, ref.id);
    const auto bytes = co_await self->storage.get(placement_group, ref.id, self->env.clock.now() + kReadTimeout);
    if (!bytes && (bytes.error() == past::Errc::block_not_found || bytes.error() == past::Errc::corrupt_block))
        co_return base::Error{Errc::damaged, ref.id.hex() + ": " + bytes.error().message()};
    if (!bytes) co_return bytes.error();
    ++self->blocks_read;
    auto job = [ref, tag = self->volume_tag, bytes = *bytes] { return open_references(ref, tag, bytes); };
    co_return co_await self->env.workers.run(std::move(job));
}

base::Task<void> Walk::work(std::shared_ptr<Walk> self) {
    while (!self->failed) {
        if (self->to_read.empty()) {
            if (self->reading == 0) break;
            co_await self->changed.wait();
            continue;
        }
        const auto ref = self->to_read.back();
        self->to_read.pop_back();
        ++self->reading;
        const auto children = co_await children_of(self, ref);
        --self->reading;
        if (children) {
            for (const auto& child : *children) self->meet(child);
        } else {
            base::Result<void> go_on = children.error();
            if (self->hooks.lose) go_on = self->hooks.lose(ref, children.error());
            if (!go_on && !self->failed) self->failed = go_on.error();
        }
        self->changed.pulse();
    }
    self->changed.pulse();
}

}  // namespace

base::Task<base::Result<std::uint64_t>> walk(base::NodeEnv env, past::Storage& storage, base::Guid volume_tag,
                                             std::vector<BlockRef> roots, WalkHooks hooks) {
    const auto state = std::make_shared<Walk>(env, storage, volume_tag, std::move(hooks));
    for (const auto& root : roots) state->meet(root);
    base::TaskGroup group{env.executor};
    for (std::size_t i = 0; i < kReadsAtOnce; ++i) group.spawn(Walk::work(state));
    co_await group.join();
    if (state->failed) co_return *state->failed;
    co_return state->blocks_read;
}

}  // namespace objstore::gc
