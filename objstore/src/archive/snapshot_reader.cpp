#include "objstore/archive/snapshot_reader.hpp"

#include <algorithm>
#include <numeric>

#include "objstore/archive/scanner.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

// Inodes of one directory mostly have numbers one after another. A gap of up to this many is read through.
constexpr InodeNumber kReadThrough = 64;

void add_item(Node& node, const Item& item) {
    if (const auto* inode = std::get_if<Inode>(&item.value)) {
        node.inode = *inode;
    } else if (const auto* xattr = std::get_if<XattrRecord>(&item.value)) {
        node.xattrs.push_back(*xattr);
    } else if (const auto* data = std::get_if<InlineData>(&item.value)) {
        node.inline_data = data->bytes;
    } else if (const auto* extent = std::get_if<Extent>(&item.value)) {
        node.extents.push_back({item.key.sub, *extent});
    }
}

}  // namespace

std::optional<base::Error> damage_of(const Entry& entry, const Node& node) {
    if (node.inode && node.inode->type == entry.type) return std::nullopt;
    return base::Error{Errc::damaged, "its inode is missing or another type"};
}

SnapshotReader::SnapshotReader(Volume& volume, const Snapshot& snapshot)
    : volume_{volume}, tree_{volume.reader(), snapshot.root} {}

base::Task<base::Result<std::vector<Entry>>> SnapshotReader::entries(InodeNumber directory) {
    BASE_CO_TRY(auto items,
                co_await tree_.range(TreeKey::first(directory, Kind::entry), TreeKey::behind(directory, Kind::entry)));
    std::vector<Entry> entries;
    entries.reserve(items.size());
    for (auto& item : items) {
        if (auto* entry = std::get_if<Entry>(&item.value)) entries.push_back(std::move(*entry));
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
    co_return entries;
}

base::Task<base::Result<std::vector<Node>>> SnapshotReader::nodes(std::vector<InodeNumber> numbers) {
    std::vector<std::size_t> order(numbers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return numbers[a] < numbers[b]; });
    std::vector<Node> nodes(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) nodes[i].number = numbers[i];
    for (std::size_t begin = 0; begin < order.size();) {
        auto end = begin + 1;
        while (end < order.size() && numbers[order[end]] - numbers[order[end - 1]] <= kReadThrough) ++end;
        const auto last = numbers[order[end - 1]];
        if (last == UINT64_MAX) break;  // reserved: no inode has it
        TreeCursor cursor{tree_, TreeKey::first(numbers[order[begin]]), TreeKey::first(last + 1)};
        auto at = begin;
        for (;;) {
            BASE_CO_TRY(const auto items, co_await cursor.next_items());
            if (items.empty()) break;
            for (const auto& item : items) {
                while (at < end && numbers[order[at]] < item.key.inode) ++at;
                // Two entries may name one inode.
                for (auto same = at; same < end && numbers[order[same]] == item.key.inode; ++same) {
                    add_item(nodes[order[same]], item);
                }
            }
        }
        begin = end;
    }
    co_return nodes;
}

base::Task<base::Result<std::optional<Entry>>> SnapshotReader::find(InodeNumber directory, std::string name) {
    const auto& keys = volume_.keys().epoch;
    BASE_CO_TRY(const auto shape, co_await tree_.shape());
    if (shape.name_epoch != keys.epoch) {
        BASE_CO_TRY(const auto all, co_await entries(directory));
        const auto found = std::find_if(all.begin(), all.end(), [&](const Entry& entry) { return entry.name == name; });
        if (found == all.end()) co_return std::optional<Entry>{};
        co_return std::optional<Entry>{*found};
    }
    TreeKey key{.inode = directory, .kind = Kind::entry, .sub = entry_hash(keys, directory, name)};
    TreeKey after = key;
    ++after.sub;
    BASE_CO_TRY(const auto items, co_await tree_.range(key, after));
    for (const auto& item : items) {
        const auto* entry = std::get_if<Entry>(&item.value);
        if (entry != nullptr && entry->name == name) co_return std::optional<Entry>{*entry};
    }
    co_return std::optional<Entry>{};
}

base::Task<base::Result<Node>> SnapshotReader::resolve(std::string path) {
    InodeNumber number = kRootInode;
    for (const auto name : split(path)) {
        if (name == ".") continue;
        std::string owned{name};
        BASE_CO_TRY(const auto entry, co_await find(number, std::move(owned)));
        if (!entry) co_return base::Error{Errc::no_such_path, path};
        number = entry->inode;
    }
    std::vector<InodeNumber> one{number};
    BASE_CO_TRY(auto found, co_await nodes(std::move(one)));
    if (!found.front().inode) co_return base::Error{Errc::damaged, path};
    co_return std::move(found.front());
}

base::Task<base::Result<base::Bytes>> SnapshotReader::value_of(XattrRecord record) {
    if (auto* bytes = std::get_if<base::Bytes>(&record.value)) co_return std::move(*bytes);
    const auto extent = std::get<Extent>(record.value);
    if (!extent.block) co_return base::Error{Errc::damaged, record.name};
    BASE_CO_TRY(const auto block, co_await blocks().read(extent.block));
    const auto bytes = bytes_of(extent, *block);
    if (!bytes) co_return base::Error{Errc::damaged, record.name};
    co_return base::to_bytes(*bytes);
}

bool is_leading(const Inode& inode) {
    return inode.type == base::FileType::directory && inode.source_inode == 0 && inode.mtime == base::Timestamp{};
}

std::optional<base::ByteView> bytes_of(const Extent& extent, const OpenedBlock& block) {
    const auto content = block.packed.view();
    if (extent.offset > content.size() || extent.length > content.size() - extent.offset) return std::nullopt;
    return content.subspan(extent.offset, extent.length);
}

}  // namespace objstore::archive
