#include "volume/forest_edit.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "gc/walk.hpp"

namespace objstore {
namespace {

constexpr Kind kAfter = static_cast<Kind>(static_cast<std::uint8_t>(Kind::snapshot) + 1);

}  // namespace

AddSnapshot::AddSnapshot(Snapshot snapshot, std::uint64_t stored_since)
    : snapshot_{std::move(snapshot)}, id_{snapshot_.id()}, stored_since_{stored_since} {}

base::Task<base::Result<std::optional<ForestEdit>>> AddSnapshot::edit(Tree forest, BlockWriter& /*writer*/) {
    Item item;
    item.key = snapshot_key(id_);
    auto after = item.key;
    ++after.sub;
    if (after.sub == 0) after = TreeKey::first(0, kAfter);
    BASE_CO_TRY(const auto alike, co_await forest.range(item.key, after));
    item.value = snapshot_.encode();
    for (const auto& listed : alike) {
        if (listed.value == item.value) co_return std::optional<ForestEdit>{};
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
    BASE_CO_TRY(const auto items, co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::first(0, kAfter)));
    for (const auto& item : items) {
        const auto* record = std::get_if<Opaque>(&item.value);
        if (record == nullptr) continue;
        const auto snapshot = Snapshot::decode(*record);
        if (snapshot && std::binary_search(snapshots_.begin(), snapshots_.end(), snapshot->id()))
            out.erase.push_back(item.key);
    }
    // After an unknown outcome they may be gone already; that is as good.
    forgotten_ = std::max<std::uint64_t>(forgotten_, out.erase.size());
    if (out.erase.empty()) co_return std::optional<ForestEdit>{};
    co_return std::optional{std::move(out)};
}

std::vector<BlockRef> roots_of(const ForestEdit& edit) {
    std::vector<BlockRef> roots;
    for (const auto& item : edit.put) {
        const auto* record = std::get_if<Opaque>(&item.value);
        if (record == nullptr) continue;
        for (const auto& block : record->blocks) roots.push_back(*block);
    }
    return roots;
}

base::Task<base::Result<void>> hold_on_to(base::NodeEnv env, past::Storage& storage, past::Tag tag,
                                          std::vector<BlockRef> roots) {
    std::vector<BlockName> names;
    std::set<base::Guid> met;  // whole ids: one that was taken for another would not be touched
    gc::WalkHooks hooks;
    hooks.meet = [&](const BlockRef& ref) {
        if (!met.insert(ref.id).second) return false;
        names.push_back({ref.id, ref.place_bits});
        return true;
    };
    const auto walked = co_await gc::walk(env, storage, tag.volume, std::move(roots), std::move(hooks));
    if (!walked && walked.error() == Errc::damaged) co_return base::Error{Errc::collected, walked.error().detail()};
    if (!walked) co_return walked.error();
    BASE_CO_TRY(const auto held, co_await touch_blocks(env, storage, tag, std::move(names)));
    if (std::find(held.begin(), held.end(), false) != held.end()) co_return Errc::collected;
    co_return base::ok();
}

}  // namespace objstore
