#include "volume/forest_edit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "gc/walk.hpp"

namespace objstore {

std::optional<Snapshot> snapshot_in(const Item& item) {
    const auto* record = std::get_if<Opaque>(&item.value);
    if (record == nullptr) return std::nullopt;
    auto snapshot = Snapshot::decode(*record);
    return snapshot ? std::optional{std::move(*snapshot)} : std::nullopt;
}

AddSnapshot::AddSnapshot(Snapshot snapshot, std::uint64_t stored_since)
    : snapshot_{std::move(snapshot)}, id_{snapshot_.id()}, stored_since_{stored_since} {}

base::Task<base::Result<std::optional<ForestEdit>>> AddSnapshot::edit(Tree forest, BlockWriter& /*writer*/) {
    Item item;
    item.key = snapshot_key(id_);
    auto after = item.key;
    ++after.sub;
    if (after.sub == 0) after = TreeKey::behind(0, Kind::snapshot);
    BASE_CO_TRY(const auto alike, co_await forest.range(item.key, after));
    item.value = snapshot_.encode();
    for (const auto& listed : alike) {
        const auto snapshot = snapshot_in(listed);
        // By its id: its blocks may have moved since.
        if (snapshot && snapshot->id() == id_) co_return std::optional<ForestEdit>{};
        item.key.tie = listed.key.tie + 1;
    }
    ForestEdit out;
    out.put.push_back(std::move(item));
    co_return std::optional{std::move(out)};
}

ForgetSnapshots::ForgetSnapshots(std::vector<base::Guid> snapshots) : snapshots_{std::move(snapshots)} {
    std::sort(snapshots_.begin(), snapshots_.end());
}

base::Task<base::Result<std::optional<ForestEdit>>> ForgetSnapshots::edit(Tree forest, BlockWriter& /*writer*/) {
    ForestEdit out;
    BASE_CO_TRY(const auto items,
                co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::behind(0, Kind::snapshot)));
    for (const auto& item : items) {
        const auto snapshot = snapshot_in(item);
        if (snapshot && std::binary_search(snapshots_.begin(), snapshots_.end(), snapshot->id()))
            out.erase.push_back(item.key);
    }
    // After an unknown outcome they may be gone already; that is as good.
    forgotten_ = std::max<std::uint64_t>(forgotten_, out.erase.size());
    if (out.erase.empty()) co_return std::optional<ForestEdit>{};
    co_return std::optional{std::move(out)};
}

base::Task<base::Result<std::optional<ForestEdit>>> ReplaceSnapshots::edit(Tree forest, BlockWriter& /*writer*/) {
    BASE_CO_TRY(const auto items,
                co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::behind(0, Kind::snapshot)));
    std::map<base::Guid, std::pair<TreeKey, Snapshot>> listed;
    std::set<TreeKey> taken;
    for (const auto& item : items) {
        taken.insert(item.key);
        if (auto snapshot = snapshot_in(item)) {
            const auto id = snapshot->id();
            listed.emplace(id, std::pair{item.key, std::move(*snapshot)});
        }
    }
    ForestEdit out;
    for (const auto& [before, after] : replacements_) {
        const auto found = listed.find(before);
        if (found == listed.end() || listed.contains(after.id())) continue;
        const auto& [key, now] = found->second;
        auto next = after;
        next.root = now.root;  // its blocks may have moved to other packs meanwhile
        next.first_root = now.first_root;
        Item item;
        item.key = snapshot_key(next.id());
        while (!taken.insert(item.key).second) ++item.key.tie;
        item.value = next.encode();
        out.put.push_back(std::move(item));
        out.erase.push_back(key);
    }
    // After an unknown outcome they may be replaced already.
    replaced_ = std::max<std::uint64_t>(replaced_, out.put.size());
    if (out.put.empty()) co_return std::optional<ForestEdit>{};
    std::sort(out.put.begin(), out.put.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
    std::sort(out.erase.begin(), out.erase.end());
    co_return std::optional{std::move(out)};
}

namespace {

std::vector<BlockRef> roots_of(const std::vector<Item>& items) {
    std::vector<BlockRef> roots;
    for (const auto& item : items) {
        const auto* record = std::get_if<Opaque>(&item.value);
        // The list of older versions is written with the edit, and names what the forest named before.
        if (record == nullptr || item.key.kind == Kind::policy) continue;
        for (const auto& block : record->blocks) roots.push_back(*block);
    }
    return roots;
}

/// What these blocks name, one level down.
base::Task<base::Result<std::vector<BlockRef>>> children_of(base::NodeEnv env, past::Storage& storage,
                                                            base::Guid volume, std::vector<BlockRef> blocks) {
    std::set<base::Guid> asked;
    for (const auto& block : blocks) asked.insert(block.id);
    std::vector<BlockRef> children;
    gc::WalkHooks hooks;
    hooks.meet = [&](const BlockRef& ref) {
        if (asked.erase(ref.id) > 0) return true;
        children.push_back(ref);
        return false;
    };
    BASE_CO_CHECK(co_await gc::walk(env, storage, volume, std::move(blocks), std::move(hooks)));
    co_return children;
}

/// All that `fresh` leads to and `known` does not; of two versions of a tree only the paths that differ are read.
base::Task<base::Result<std::vector<BlockName>>> what_is_new(base::NodeEnv env, past::Storage& storage,
                                                             base::Guid volume, std::vector<BlockRef> fresh,
                                                             std::vector<BlockRef> known) {
    std::vector<BlockName> names;
    std::set<base::Guid> ours, theirs;  // that were met
    while (!fresh.empty()) {
        for (const auto& block : known) theirs.insert(block.id);
        std::set<base::Guid> shared;
        std::erase_if(fresh, [&](const BlockRef& block) {
            const bool is_known = theirs.contains(block.id);
            if (is_known) shared.insert(block.id);
            return is_known || !ours.insert(block.id).second;
        });
        std::erase_if(known, [&](const BlockRef& block) { return shared.contains(block.id); });
        for (const auto& block : fresh) names.push_back({block.id, block.group_bits});
        BASE_CO_TRY(fresh, co_await children_of(env, storage, volume, std::move(fresh)));
        auto next = co_await children_of(env, storage, volume, std::move(known));
        known = next ? *std::move(next) : std::vector<BlockRef>{};  // then more is taken for new than is
    }
    co_return names;
}

}  // namespace

base::Task<base::Result<void>> hold_on_to(base::NodeEnv env, past::Storage& storage, past::Tag tag, Tree forest,
                                          const ForestEdit& edit) {
    std::vector<Item> before;
    for (const auto& item : edit.put) {
        BASE_CO_TRY(auto present, co_await forest.find(item.key));
        if (present) before.push_back(std::move(*present));
    }
    for (const auto& key : edit.erase) {
        BASE_CO_TRY(auto present, co_await forest.find(key));
        if (present) before.push_back(std::move(*present));
    }
    auto fresh = roots_of(edit.put);
    const auto known = roots_of(before);
    // What is listed once more, under another key.
    std::erase_if(fresh, [&](const BlockRef& root) {
        return std::any_of(known.begin(), known.end(), [&](const BlockRef& one) { return one.id == root.id; });
    });
    // A version is taken off, or moves: nothing of it is compared, and its holders may be away.
    std::erase_if(before, [](const Item& item) { return item.key.kind == Kind::version; });
    auto names = co_await what_is_new(env, storage, tag.volume, std::move(fresh), roots_of(before));
    if (!names && names.error() == Errc::damaged) co_return base::Error{Errc::collected, names.error().detail()};
    if (!names) co_return names.error();
    BASE_CO_TRY(const auto held, co_await touch_blocks(env, storage, tag, *std::move(names)));
    if (std::find(held.begin(), held.end(), false) != held.end()) co_return Errc::collected;
    co_return base::ok();
}

}  // namespace objstore
