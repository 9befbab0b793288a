// A command on a machine of a network of one, store and client state on one simulated disk; backups into it, and what
// must be true afterwards.
#pragma once

#include "archive_world.hpp"
#include "base/sim/world.hpp"
#include "objstore/error.hpp"
#include "past/node.hpp"
#include "past/passing_storage.hpp"
#include "past/segment_store.hpp"
#include "pastry/alone.hpp"

namespace objstore::archive::test {

using base::NodeEnv;
using base::Result;
using base::Task;
namespace sim = base::sim;

/// Passes everything on, and remembers what was sent.
class WatchedStorage final : public past::PassingStorage {
  public:
    using PassingStorage::PassingStorage;

    std::map<base::Guid, BlockType> sent;
    std::size_t given_back = 0;  // records that were lost

    Task<Result<past::PutOutcome>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                       past::Wait wait, base::TimePoint deadline) override {
        for (const auto& block : blocks) sent.emplace(block.id, BlockHeader::decode(block.bytes)->type);
        return PassingStorage::put(group, tag, std::move(blocks), wait, deadline);
    }
    Task<Result<void>> restore_record(base::Guid key, past::Record lost, base::TimePoint deadline) override {
        ++given_back;
        return PassingStorage::restore_record(key, std::move(lost), deadline);
    }
};

/// What a command on a machine of a network of one stands on: store and client state on one disk.
struct Stack {
    static Task<Result<std::unique_ptr<Stack>>> open(NodeEnv env) {
        auto stack = std::make_unique<Stack>();
        past::SegmentStore::Config config;
        config.segment_bytes = 300'000;
        config.checkpoint_bytes = 2'000;
        config.state_ahead_bytes = 4'096;
        config.reserve_bytes = 0;
        BASE_CO_TRY(stack->store, co_await past::SegmentStore::open(env, config));
        const base::Address self{base::node_id(owner_key().public_key(), base::Key{9}), ""};
        const pastry::NodeHandle handle{self, ""};
        stack->overlay.emplace(env, handle);
        past::Config alone;
        alone.repair = false;
        stack->past = std::make_unique<past::Node>(env, *stack->overlay, *stack->store, stack->membership,
                                                   past::RecordVerifier{verify_heartbeat}, alone);
        stack->storage = std::make_unique<WatchedStorage>(*stack->past);
        stack->marks = make_disk_high_water(env, "client/marks");
        BASE_CO_CHECK(co_await open_volume(stack.get(), env));
        co_return stack;
    }
    static Task<Result<void>> open_volume(Stack* self, NodeEnv env) {
        auto opened = co_await Volume::open(env, *self->storage, *self->marks, owner_key(), "archive");
        if (!opened && opened.error() == Errc::no_such_volume) {
            opened = co_await Volume::create(env, *self->storage, *self->marks, owner_key(), "archive");
        }
        if (!opened) co_return opened.error();
        self->volume = std::move(*opened);
        co_return base::ok();
    }
    static Task<void> close(Stack* self) {
        self->volume.reset();
        co_await self->past->stop();
        co_await self->store->close();
    }
    [[nodiscard]] std::set<base::Guid> held() const {
        std::set<base::Guid> ids;
        for (const auto& summary : store->groups()) {
            for (const auto& id : store->list(summary.group, base::Guid{}, SIZE_MAX)) ids.insert(id);
        }
        return ids;
    }

    std::unique_ptr<past::SegmentStore> store;
    std::optional<pastry::Alone> overlay;
    past::MembershipView membership;
    std::unique_ptr<past::Node> past;
    std::unique_ptr<WatchedStorage> storage;
    std::unique_ptr<HighWater> marks;
    std::unique_ptr<Volume> volume;
};

/// The source, which no crash touches, and what was acknowledged of it.
struct Story {
    struct Kept {
        base::Guid snapshot;
        std::string picture;
    };

    Story() {
        tree.set_time([this] { return ++ticks; });
        for (std::uint32_t i = 0; i < 24; ++i) {
            const auto bytes = noise(20'000 + i * 700, i);
            tree.write("/src/d" + std::to_string(i / 8) + "/f" + std::to_string(i), bytes);
        }
        tree.write("/src/large", noise(700'000, 99));
    }
    void change() {
        tree.write("/src/d0/f0", prose(30'000, 200));
        tree.write("/src/new/f", noise(200'000, 201));
        tree.remove("/src/d2");
    }

    sim::LocalTree tree;
    std::int64_t ticks = 0;
    bool with_cache = true;
    std::vector<Kept> kept;
};

inline Task<Result<BackupReport>> back_up(NodeEnv env, Stack* stack, Story* story) {
    BackupOptions options;
    options.paths = {"/src"};
    options.host = "host";
    if (story->with_cache) options.cache_path = "client/dedup";
    auto report = co_await backup(env, story->tree, *stack->volume, std::move(options));
    if (report) story->kept.push_back({report->snapshot->id(), story->tree.describe("/src")});
    co_return report;
}

inline Task<void> back_up_twice(NodeEnv env, std::shared_ptr<Story> story) {
    const auto stack = co_await Stack::open(env);
    if (!stack) co_return;
    std::ignore = co_await back_up(env, stack->get(), story.get());
    story->change();
    std::ignore = co_await back_up(env, stack->get(), story.get());
    co_await Stack::close(stack->get());
}

/// "" if every snapshot in story->kept is listed and comes back as its source was.
inline Task<std::string> check_kept(NodeEnv env, Stack* stack, Story* story) {
    const auto listed = co_await stack->volume->snapshots();
    if (!listed) co_return "no list: " + listed.error().message();
    if (stack->volume->damage()) co_return "the list is damaged";
    for (const auto& kept : story->kept) {
        const auto found = std::find_if(listed->begin(), listed->end(),
                                        [&](const Snapshot& snapshot) { return snapshot.id() == kept.snapshot; });
        if (found == listed->end()) co_return "an acknowledged snapshot is not listed";
        RestoreOptions options;
        options.target = "/restored";
        const auto restored = co_await restore(env, story->tree, *stack->volume, *found, std::move(options));
        if (!restored) co_return "an acknowledged snapshot is not restored: " + restored.error().message();
        const bool same = story->tree.describe("/restored/src") == kept.picture;
        story->tree.remove("/restored");
        if (!same) co_return "an acknowledged snapshot comes back different";
    }
    co_return "";
}

/// `strict`: the process was killed and the machine lives, so that the client knows all it ever stored.
inline Task<std::string> check_and_go_on(NodeEnv env, std::shared_ptr<Story> story, bool strict) {
    for (int round = 0; round < 2; ++round) {
        const auto opened = co_await Stack::open(env);
        if (!opened) co_return "does not open: " + opened.error().message();
        auto* const stack = opened->get();
        auto wrong = co_await check_kept(env, stack, story.get());
        if (!wrong.empty()) co_return wrong;
        const auto held = stack->held();
        stack->storage->sent.clear();
        const auto again = co_await back_up(env, stack, story.get());
        if (!again) co_return "no further backup: " + again.error().message();
        if (again->blocks_lost > 0 || again->parent_lost) co_return "takes a crash for a loss";
        for (const auto& [id, type] : stack->storage->sent) {
            const bool content = type == BlockType::pack || type == BlockType::data;
            if (content && held.contains(id) && strict) co_return "sends again what is stored: " + id.short_hex();
            if (content && round == 1) co_return "stores content of an unchanged tree";
        }
        wrong = co_await check_kept(env, stack, story.get());
        if (!wrong.empty()) co_return "after the further backup: " + wrong;
        co_await Stack::close(stack);
    }
    co_return "";
}

}  // namespace objstore::archive::test
