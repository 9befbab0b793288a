// Records of one version, found by what they are about.
#include <algorithm>

#include "base/error.hpp"
#include "objstore/live/update.hpp"

namespace objstore {
namespace {

constexpr std::uint64_t kMaxExtentBytes = 4U << 20U;  // content of a block: an extent that names one is no longer

}  // namespace

base::Task<base::Result<std::vector<Item>>> items_of_hash(Tree tree, TreeKey key) {
    key.tie = 0;
    auto after = key;
    ++after.sub;  // hashes have 63 bits
    return tree.range(key, after);
}

base::Task<base::Result<std::vector<Item>>> find_entries(Tree tree, InodeNumber directory, std::size_t most) {
    return tree.range(TreeKey::first(directory, Kind::entry), TreeKey::behind(directory, Kind::entry), most);
}

base::Task<base::Result<std::optional<FoundEntry>>> find_entry(Tree tree, const VolumeKeys& keys, InodeNumber directory,
                                                               std::string name) {
    TreeKey key = TreeKey::first(directory, Kind::entry);
    key.sub = entry_hash(keys.epoch, directory, name);
    BASE_CO_TRY(const auto alike, co_await items_of_hash(tree, key));
    for (const auto& item : alike) {
        const auto& entry = std::get<Entry>(item.value);
        if (entry.name == name) co_return std::optional{FoundEntry{item.key, EntryTarget{entry.inode, entry.type}}};
    }
    co_return std::optional<FoundEntry>{};
}

base::Task<base::Result<std::optional<FoundXattr>>> find_xattr(Tree tree, const VolumeKeys& keys, InodeNumber inode,
                                                               std::string name) {
    TreeKey key = TreeKey::first(inode, Kind::xattr);
    key.sub = xattr_hash(keys.epoch, inode, name);
    BASE_CO_TRY(const auto alike, co_await items_of_hash(tree, key));
    for (const auto& item : alike) {
        const auto& record = std::get<XattrRecord>(item.value);
        if (record.name == name) co_return std::optional{FoundXattr{item.key, record}};
    }
    co_return std::optional<FoundXattr>{};
}

base::Task<base::Result<std::optional<Inode>>> find_inode(Tree tree, InodeNumber inode) {
    BASE_CO_TRY(const auto item, co_await tree.find(TreeKey::first(inode, Kind::inode)));
    if (!item) co_return std::optional<Inode>{};
    co_return std::optional{std::get<Inode>(item->value)};
}

base::Task<base::Result<std::map<std::uint64_t, Extent>>> find_extents(Tree tree, InodeNumber inode, FileRange range,
                                                                       std::size_t most) {
    TreeKey from = TreeKey::first(inode, Kind::extent);
    from.sub = range.from > kMaxExtentBytes ? range.from - kMaxExtentBytes : 0;
    TreeKey to = TreeKey::first(inode, Kind::extent);
    to.sub = range.to;
    TreeCursor cursor{std::move(tree), from, to, 1};
    std::map<std::uint64_t, Extent> found;
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) co_return found;
        for (const auto& item : items) {
            const auto* extent = std::get_if<Extent>(&item.value);
            if (extent == nullptr || extent->block == nullptr) continue;
            if (item.key.sub + extent->length <= range.from) continue;
            if (found.size() >= most) co_return found;
            found.emplace_hint(found.end(), item.key.sub, *extent);
        }
    }
}

std::map<std::uint64_t, Extent> cut_extents(std::map<std::uint64_t, Extent> extents,
                                            const std::vector<FileRange>& dropped) {
    for (const auto& range : dropped) {
        auto at = extents.lower_bound(range.from);
        if (at != extents.begin()) --at;
        while (at != extents.end() && at->first < range.to) {
            const auto offset = at->first;
            const auto end = offset + at->second.length;
            if (end <= range.from) {
                ++at;
                continue;
            }
            const Extent whole = at->second;
            at = extents.erase(at);
            if (offset < range.from) {
                Extent left = whole;
                left.length = range.from - offset;
                left.hash.reset();
                extents.emplace(offset, std::move(left));
            }
            if (end > range.to) {
                Extent right = whole;
                right.offset += static_cast<std::uint32_t>(range.to - offset);
                right.length = end - range.to;
                right.hash.reset();
                at = std::next(extents.emplace(range.to, std::move(right)).first);
            }
        }
    }
    return extents;
}

}  // namespace objstore
