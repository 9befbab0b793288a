// The forest as a list of snapshots: read, looked after, and written from nothing.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "past/error.hpp"
#include "volume/volume_state.hpp"

namespace objstore {

base::Task<base::Result<NewForest>> finish_forest(TreeUpdate& update) {
    NewForest out;
    BASE_CO_TRY(out.root, co_await update.finish());
    BASE_CO_TRY(out.spare, co_await update.write_spare(out.root));
    co_return out;
}

base::Task<base::Result<void>> Volume::State::create(State* self) {
    BlockWriter writer = self->writer(1, 0, past::Wait::majority);
    BASE_CO_TRY(const auto forest, co_await write_list(self, writer, Forest{}));
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = self->next_heartbeat(forest, {});
    const auto ours = heartbeat.body.hash();
    auto published = co_await publish(self, std::move(heartbeat));
    if (published) co_return published;
    const bool beaten = published.error() == past::Errc::conflict;
    if (!beaten && !unknown_outcome(published.error())) co_return published;
    BASE_CO_TRY(const auto exists, co_await read_newest(self));
    if (exists && self->newest.body_hash == ours) co_return base::ok();
    if (exists) co_return base::Error{base::Errc::exists, "volume " + self->name};
    co_return published;
}

base::Task<base::Result<Forest>> Volume::State::read_list(State* self) {
    auto forest = co_await read_forest(*self->reader, self->newest);
    if (!forest) co_return forest.error();
    self->damage = forest->damage;
    self->later_snapshots.clear();
    for (const auto& item : forest->others) {
        if (item.key.kind == Kind::snapshot) self->later_snapshots.push_back(digits_of(item.key));
    }
    co_return forest;
}

// What a new list takes over from the present one has to be there still, like every block that is used again.
base::Task<base::Result<bool>> Volume::State::list_is_held(State* self, past::Tag tag) {
    const Tree forest{*self->reader, self->newest.forest};
    BASE_CO_TRY(auto names, co_await forest.nodes());
    BASE_CO_TRY(const auto held, co_await touch_blocks(self->env, self->storage, tag, std::move(names)));
    co_return std::find(held.begin(), held.end(), false) == held.end();
}

// From nothing. Equal content gives equal nodes: where the present list lost some, these are stored again, and the rest
// is there already.
base::Task<base::Result<NewForest>> Volume::State::write_list(State* self, BlockWriter& writer, Forest list) {
    auto items = std::move(list.others);
    for (const auto& snapshot : list.snapshots) {
        Item item;
        item.key = snapshot_key(snapshot.id());
        item.value = snapshot.encode();
        items.push_back(std::move(item));
    }
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
    TreeUpdate update{writer, TreeShape{.node_bytes = kLiveNodeBytes, .name_epoch = self->keys.epoch.epoch}};
    for (std::size_t i = 1; i < items.size(); ++i) {
        const auto& before = items[i - 1].key;
        auto& key = items[i].key;
        const bool alike = std::tie(key.inode, key.kind, key.sub) == std::tie(before.inode, before.kind, before.sub);
        if (alike && key.tie <= before.tie) key.tie = before.tie + 1;
    }
    for (auto& item : items) BASE_CO_CHECK(co_await update.put(std::move(item)));
    co_return co_await finish_forest(update);
}

// The list once more, as a state of its own, from what can be read of it.
base::Task<base::Result<void>> Volume::State::mend_list(State* self, past::Wait wait) {
    BASE_CO_TRY(auto list, co_await read_list(self));
    BlockWriter writer = self->writer(self->newest.sequence + 1, 0, wait);
    BASE_CO_TRY(const auto forest, co_await write_list(self, writer, std::move(list)));
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = self->next_heartbeat(forest, {});
    co_return co_await publish(self, std::move(heartbeat));
}

}  // namespace objstore
