#include "volume/forest.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "objstore/error.hpp"

namespace objstore {
namespace {

/// Nothing for what this version carries without reading it.
base::Result<std::optional<Snapshot>> decode_snapshot(const Item& item, const BlockRef& forest) {
    if (item.key.kind != Kind::snapshot) return std::optional<Snapshot>{};
    const auto* record = std::get_if<Opaque>(&item.value);
    if (record == nullptr) return base::Error{Errc::damaged, "forest " + forest.id.hex()};
    auto snapshot = Snapshot::decode(*record);
    if (snapshot) return std::optional{std::move(*snapshot)};
    if (snapshot.error() == base::Errc::unsupported) return std::optional<Snapshot>{};
    return base::Error{Errc::damaged, "forest " + forest.id.hex() + ": " + snapshot.error().detail()};
}

base::Task<base::Result<Forest>> read_items(Tree forest) {
    BASE_CO_TRY(auto items, co_await forest.range(TreeKey{}, TreeKey::first(UINT64_MAX)));
    Forest out;
    for (auto& item : items) {
        BASE_CO_TRY(auto snapshot, decode_snapshot(item, *forest.root()));
        if (snapshot) {
            out.snapshots.push_back(std::move(*snapshot));
        } else {
            out.others.push_back(std::move(item));
        }
    }
    co_return out;
}

struct Salvaged {
    std::map<base::Guid, Snapshot> snapshots;
    std::map<TreeKey, Item> others;
};

/// What can be read of a damaged list; adds to `found`.
base::Task<base::Result<void>> salvage_items(Tree forest, Salvaged& found) {
    BASE_CO_TRY(auto left, co_await forest.salvage());
    for (auto& item : left.items) {
        auto snapshot = decode_snapshot(item, *forest.root());
        if (!snapshot) continue;
        if (!*snapshot) {
            found.others.emplace(item.key, std::move(item));
            continue;
        }
        const auto id = (*snapshot)->id();
        found.snapshots.emplace(id, std::move(**snapshot));
    }
    co_return base::ok();
}

}  // namespace

std::string digits_of(const TreeKey& key) {
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(key.sub >> shift) & 0xFU];
    return out;
}

base::Task<base::Result<Forest>> read_forest(BlockReader& reader, VolumeState state) {
    Forest out;
    Tree root{reader, state.forest};
    auto whole = co_await read_items(std::move(root));
    if (!whole && is_isolated_damage(whole.error().code())) {
        out.damage = ForestDamage{whole.error(), true};
    }
    if (!whole && out.damage && state.spare) {
        Tree spare{reader, state.spare};
        whole = co_await read_items(std::move(spare));
    }
    if (whole) {
        out.snapshots = std::move(whole->snapshots);
        out.others = std::move(whole->others);
    } else {
        if (out.damage && out.damage->error == base::Errc::io_failed) co_return out.damage->error;
        if (!(whole.error() == Errc::damaged)) co_return whole.error();
        out.damage->complete = false;
        std::vector<BlockRefPtr> roots{state.forest};
        if (state.spare) roots.push_back(state.spare);
        roots.insert(roots.end(), state.earlier.begin(), state.earlier.end());
        Salvaged found;  // of two records of one key that of the newest list
        for (const auto& each : roots) {
            Tree forest{reader, each};
            BASE_CO_CHECK(co_await salvage_items(std::move(forest), found));
        }
        for (auto& [id, snapshot] : found.snapshots) out.snapshots.push_back(std::move(snapshot));
        for (auto& [key, item] : found.others) out.others.push_back(std::move(item));
    }
    std::sort(out.snapshots.begin(), out.snapshots.end(), [](const Snapshot& a, const Snapshot& b) {
        if (a.time_ns != b.time_ns) return a.time_ns < b.time_ns;
        return a.sequence != b.sequence ? a.sequence < b.sequence : a.id() < b.id();
    });
    co_return out;
}

}  // namespace objstore
