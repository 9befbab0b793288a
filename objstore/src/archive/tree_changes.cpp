#include "tree_changes.hpp"

#include <algorithm>

namespace objstore::archive {
namespace {

Extent extent_of(const TreeChanges::Stretch& stretch, const DedupIndex& index) {
    Extent extent;
    extent.block = index.block(stretch.place.block);
    extent.offset = stretch.place.offset;
    extent.length = stretch.place.length;
    extent.hash = stretch.hash;
    return extent;
}

}  // namespace

void TreeChanges::put_extent(InodeNumber inode, const Stretch& stretch) { extents_.push_back({inode, stretch}); }

void TreeChanges::sort() {
    const auto by_key = [](const Change& a, const Change& b) {
        return a.item.key != b.item.key ? a.item.key < b.item.key : a.dropped && !b.dropped;
    };
    if (!std::is_sorted(items_.begin(), items_.end(), by_key)) std::sort(items_.begin(), items_.end(), by_key);
    std::sort(extents_.begin(), extents_.end(), [](const FileStretch& a, const FileStretch& b) {
        return std::pair{a.inode, a.stretch.file_offset} < std::pair{b.inode, b.stretch.file_offset};
    });
    std::sort(erased_.begin(), erased_.end(), [](const Range& a, const Range& b) { return a.from < b.from; });
}

base::Task<base::Result<BlockRefPtr>> TreeChanges::apply(TreeUpdate& update, const DedupIndex& index) {
    sort();
    std::size_t extent = 0;
    std::size_t range = 0;
    std::optional<TreeKey> last;
    // Erases and extents go before the first item above them.
    const auto key_of = [](const FileStretch& stretch) {
        return TreeKey{.inode = stretch.inode, .kind = Kind::extent, .sub = stretch.stretch.file_offset};
    };
    for (std::size_t at = 0; at <= items_.size(); ++at) {
        const bool end = at == items_.size();
        for (;;) {
            const bool more_extents =
                extent < extents_.size() && (end || key_of(extents_[extent]) < items_[at].item.key);
            const auto next = more_extents ? extents_[extent].inode : end ? UINT64_MAX : items_[at].item.key.inode;
            if (range < erased_.size() && erased_[range].from.inode <= next) {
                const auto [from, to] = erased_[range++];
                BASE_CO_CHECK(co_await update.erase(from, to));
                continue;
            }
            if (!more_extents) break;
            const auto& stretch = extents_[extent++];
            Item item{.key = key_of(stretch), .value = extent_of(stretch.stretch, index)};
            BASE_CO_CHECK(co_await update.put(std::move(item)));
        }
        if (end) break;
        auto& change = items_[at];
        if (change.dropped) {
            // Put and dropped: its directory is written anew, without it. Dropped only: the base has it.
            const auto key = change.item.key;
            if (at + 1 < items_.size() && items_[at + 1].item.key == key) {
                ++at;
            } else {
                BASE_CO_CHECK(co_await update.erase(key));
            }
            continue;
        }
        if (change.stretch) std::get<XattrRecord>(change.item.value).value = extent_of(*change.stretch, index);
        auto item = std::move(change.item);
        // Two names of one directory with the same 63-bit hash, if that ever happens.
        if (last && last->inode == item.key.inode && last->kind == item.key.kind && last->sub == item.key.sub) {
            item.key.tie = last->tie + 1;
        }
        last = item.key;
        BASE_CO_CHECK(co_await update.put(std::move(item)));
    }
    items_.clear();
    extents_.clear();
    erased_.clear();
    co_return co_await update.finish();
}

}  // namespace objstore::archive
