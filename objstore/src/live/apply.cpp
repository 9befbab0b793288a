// An update on its own base: edits in key order, and the tree after them.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "objstore/live/update.hpp"

namespace objstore {
namespace {

/// What becomes of the base's items: whole ranges go, then single keys are set or dropped.
class Edits {
  public:
    void erase(TreeKey from, TreeKey to) { ranges_.emplace_back(from, to); }
    void erase(const TreeKey& key) { points_[key] = std::nullopt; }
    void put(Item item) {
        const auto key = item.key;
        points_[key] = std::move(item);
    }

    base::Task<base::Result<void>> apply(TreeUpdate& update) {
        std::sort(ranges_.begin(), ranges_.end());
        auto range = ranges_.begin();
        for (auto& [key, item] : points_) {
            for (; range != ranges_.end() && range->first <= key; ++range) {
                BASE_CO_CHECK(co_await update.erase(range->first, range->second));
            }
            if (item) {
                BASE_CO_CHECK(co_await update.put(std::move(*item)));
            } else if (range == ranges_.begin() || std::prev(range)->second <= key) {
                BASE_CO_CHECK(co_await update.erase(key));
            }
        }
        for (; range != ranges_.end(); ++range) BASE_CO_CHECK(co_await update.erase(range->first, range->second));
        co_return base::ok();
    }

  private:
    std::map<TreeKey, std::optional<Item>> points_;
    std::vector<std::pair<TreeKey, TreeKey>> ranges_;  // apart from each other
};

Item make_item(TreeKey key, Value value) {
    Item item;
    item.key = key;
    item.value = std::move(value);
    return item;
}

class Applier {
  public:
    Applier(LiveStore store, const Update& update, BlockWriter& writer, LiveCounts& counts)
        : store_{std::move(store)}, base_{store_.tree(update.base)}, writer_{writer}, counts_{counts} {}

    base::Task<base::Result<void>> take(InodeNumber number, const InodeUpdate& change) {
        count(change);
        if (!change.after) {
            if (change.before) edits_.erase(TreeKey::first(number), TreeKey::first(number + 1));
            co_return base::ok();
        }
        edits_.put(make_item(TreeKey::first(number, Kind::inode), *change.after));
        if (change.symlink) {
            InlineData target;
            target.bytes = *change.symlink;
            edits_.put(make_item(TreeKey::first(number, Kind::inline_data), std::move(target)));
        }
        if (change.data) BASE_CO_CHECK(co_await take_data(number, change));
        for (const auto& [name, value] : change.xattrs) BASE_CO_CHECK(co_await take_xattr(number, name, value));
        for (const auto& [name, entry] : change.names) BASE_CO_CHECK(co_await take_name(number, name, entry));
        co_return base::ok();
    }
    base::Task<base::Result<void>> take(const Conflict& conflict) {
        TreeKey key = TreeKey::first(0, Kind::conflict);
        key.sub = static_cast<std::uint64_t>(conflict.time_ns);
        BASE_CO_TRY(key.tie, co_await free_tie(key));
        edits_.put(make_item(key, conflict.encode()));
        co_return base::ok();
    }
    void resolve(const TreeKey& conflict) { edits_.erase(conflict); }
    base::Task<base::Result<BlockRefPtr>> finish() {
        TreeUpdate update{writer_, base_};
        BASE_CO_CHECK(co_await edits_.apply(update));
        co_return co_await update.finish();
    }

  private:
    void count(const InodeUpdate& change) {
        const auto add = [this](const Inode& inode, std::uint64_t one) {  // one: 1, or -1 modulo 2^64
            (inode.type == base::FileType::directory ? counts_.directories : counts_.files) += one;
            if (inode.type == base::FileType::regular) counts_.bytes += one * inode.size;
        };
        if (change.before) add(*change.before, ~std::uint64_t{0});
        if (change.after) add(*change.after, 1);
    }

    base::Task<base::Result<void>> take_data(InodeNumber number, const InodeUpdate& change) {
        const auto at = [number](std::uint64_t offset) {
            TreeKey key = TreeKey::first(number, Kind::extent);
            key.sub = offset;
            return key;
        };
        const auto& data = *change.data;
        std::map<std::uint64_t, Extent> touched;
        for (const auto& range : data.dropped) {
            if (!change.before) break;
            const auto end = range.to == UINT64_MAX ? TreeKey::behind(number, Kind::extent) : at(range.to);
            edits_.erase(at(range.from), end);
            BASE_CO_TRY(auto found, co_await find_extents(base_, number, range));
            touched.merge(std::move(found));
        }
        // What reaches into a range from outside, or out of it, stays in part.
        for (auto& [offset, rest] : cut_extents(std::move(touched), data.dropped)) {
            edits_.put(make_item(at(offset), std::move(rest)));
        }
        for (const auto& [offset, extent] : data.extents) edits_.put(make_item(at(offset), extent));
        co_return base::ok();
    }

    /// The first tie of the key's hash that neither the base nor this update has taken.
    base::Task<base::Result<std::uint32_t>> free_tie(TreeKey key) {
        BASE_CO_TRY(const auto alike, co_await items_of_hash(base_, key));
        std::uint32_t tie = alike.empty() ? 0 : alike.back().key.tie + 1;
        while (!taken_.insert(TreeKey{key.inode, key.kind, key.sub, tie}).second) ++tie;
        co_return tie;
    }

    base::Task<base::Result<void>> take_name(InodeNumber directory, std::string name, NameChange change) {
        if (change.before == change.after) co_return base::ok();
        BASE_CO_TRY(const auto found, co_await find_entry(base_, store_.keys, directory, name));
        if (!change.after) {
            if (found) edits_.erase(found->key);
            co_return base::ok();
        }
        TreeKey key = TreeKey::first(directory, Kind::entry);
        if (found) {
            key = found->key;
        } else {
            key.sub = entry_hash(store_.keys.epoch, directory, name);
            BASE_CO_TRY(key.tie, co_await free_tie(key));
        }
        Entry entry;
        entry.name = name;
        entry.inode = change.after->inode;
        entry.type = change.after->type;
        edits_.put(make_item(key, std::move(entry)));
        co_return base::ok();
    }

    base::Task<base::Result<void>> take_xattr(InodeNumber number, std::string name, std::optional<base::Bytes> value) {
        BASE_CO_TRY(const auto found, co_await find_xattr(base_, store_.keys, number, name));
        if (!value) {
            if (found) edits_.erase(found->key);
            co_return base::ok();
        }
        TreeKey key = TreeKey::first(number, Kind::xattr);
        if (found) {
            key = found->key;
        } else {
            key.sub = xattr_hash(store_.keys.epoch, number, name);
            BASE_CO_TRY(key.tie, co_await free_tie(key));
        }
        XattrRecord record;
        record.name = name;
        if (value->size() <= kMaxInlineBytes) {
            record.value = std::move(*value);
        } else {
            Extent extent;
            extent.length = value->size();
            BASE_CO_TRY(extent.block, co_await writer_.write(BlockType::pack, {}, std::move(*value)));
            record.value = std::move(extent);
        }
        edits_.put(make_item(key, std::move(record)));
        co_return base::ok();
    }

    LiveStore store_;
    Tree base_;
    BlockWriter& writer_;
    LiveCounts& counts_;
    Edits edits_;
    std::set<TreeKey> taken_;  // ties given to new items
};

}  // namespace

base::Task<base::Result<BlockRefPtr>> apply_update(LiveStore store, const Update& update,
                                                   const std::vector<Conflict>& conflicts, BlockWriter& writer,
                                                   LiveCounts& counts) {
    Applier applier{std::move(store), update, writer, counts};
    for (const auto& [number, change] : update.inodes) BASE_CO_CHECK(co_await applier.take(number, change));
    for (const auto& key : update.resolved) applier.resolve(key);
    for (const auto& conflict : conflicts) BASE_CO_CHECK(co_await applier.take(conflict));
    co_return co_await applier.finish();
}

base::Task<base::Result<BlockRefPtr>> make_empty_tree(BlockWriter& writer, const VolumeKeys& keys, Inode root) {
    TreeUpdate update{writer, TreeShape{.node_bytes = kLiveNodeBytes, .name_epoch = keys.epoch.epoch}};
    BASE_CO_CHECK(co_await update.put(make_item(TreeKey::first(kRootInode, Kind::inode), std::move(root))));
    co_return co_await update.finish();
}

}  // namespace objstore
