#include "kept_files.hpp"

#include <algorithm>

#include "objstore/archive/scanner.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

using base::FileType;

constexpr std::size_t kNodesAtOnce = 2048;

}  // namespace

KeptFiles::KeptFiles(Volume& volume, const Snapshot& snapshot, Patterns excludes, const std::set<base::Guid>& lost,
                     OnLeftOut on_left_out)
    : excludes_{std::move(excludes)},
      lost_{lost},
      on_left_out_{std::move(on_left_out)},
      tree_{volume.reader(), snapshot.root},
      reader_{volume, snapshot} {}

base::Task<base::Result<void>> KeptFiles::find(bool losses_expected) {
    if (losses_expected) BASE_CO_CHECK(co_await look_for_losses());
    stack_.push_back({"/", kRootInode});
    while (!stack_.empty()) {
        auto next = std::move(stack_.back());
        stack_.pop_back();
        BASE_CO_CHECK(co_await walk_directory(std::move(next)));
    }
    co_return base::ok();
}

void KeptFiles::count(Snapshot& snapshot) const {
    snapshot.files = files_;
    snapshot.directories = directories_;
    snapshot.bytes = bytes_;
}

base::Task<base::Result<void>> KeptFiles::look_for_losses() {
    BASE_CO_TRY(auto salvage, co_await tree_.salvage());
    if (salvage.nodes_lost == 0) co_return base::ok();
    if (salvage.items.empty()) co_return base::Error{Errc::damaged, "nothing of its tree can be read"};
    salvage_ = std::move(salvage);
    std::vector<InodeNumber> top{kRootInode};
    BASE_CO_TRY(const auto nodes, co_await nodes_of(std::move(top)));
    const Entry entry{.name = {}, .inode = kRootInode, .type = FileType::directory};
    make_up_unless_known("/", entry, nodes.front());
    co_return base::ok();
}

base::Task<base::Result<void>> KeptFiles::walk_directory(Pending directory) {
    BASE_CO_TRY(const auto items, co_await entries_of(directory));
    for (std::size_t from = 0; from < items.size(); from += kNodesAtOnce) {
        const auto to = std::min(items.size(), from + kNodesAtOnce);
        std::vector<InodeNumber> numbers;
        for (auto i = from; i < to; ++i) numbers.push_back(std::get<Entry>(items[i].value).inode);
        BASE_CO_TRY(auto nodes, co_await nodes_of(std::move(numbers)));
        for (auto i = from; i < to; ++i) take(directory.path, items[i], std::move(nodes[i - from]));
    }
    co_return base::ok();
}

// By name. Of a directory whose part of the tree is lost those that are left.
base::Task<base::Result<std::vector<Item>>> KeptFiles::entries_of(const Pending& directory) {
    const auto from = TreeKey::first(directory.number, Kind::entry);
    const auto to = TreeKey::behind(directory.number, Kind::entry);
    auto items = co_await tree_.range(from, to);
    if (!items) {
        if (!salvage_ || !is_isolated_damage(items.error().code())) co_return items.error();
        const auto before = [](const Item& item, const TreeKey& key) { return item.key < key; };
        const auto& all = salvage_->items;
        const auto begin = std::lower_bound(all.begin(), all.end(), from, before);
        items = std::vector<Item>(begin, std::lower_bound(begin, all.end(), to, before));
        leave_out(directory.path, LeftOut::names);
    }
    std::erase_if(*items, [](const Item& item) { return !std::holds_alternative<Entry>(item.value); });
    std::ranges::sort(*items, {}, [](const Item& item) { return std::string_view{std::get<Entry>(item.value).name}; });
    co_return std::move(*items);
}

// Nothing for those of which the tree lost something.
base::Task<base::Result<std::vector<std::optional<Node>>>> KeptFiles::nodes_of(std::vector<InodeNumber> numbers) {
    std::vector<std::optional<Node>> out;
    auto together = co_await reader_.nodes(numbers);
    if (together) {
        for (auto& node : *together) out.emplace_back(std::move(node));
        co_return out;
    }
    if (!salvage_ || !is_isolated_damage(together.error().code())) co_return together.error();
    for (const auto number : numbers) {
        std::vector<InodeNumber> one{number};
        auto node = co_await reader_.nodes(std::move(one));
        if (!node && !is_isolated_damage(node.error().code())) co_return node.error();
        out.push_back(node ? std::optional{std::move(node->front())} : std::nullopt);
    }
    co_return out;
}

void KeptFiles::take(const std::string& above, const Item& item, std::optional<Node> node) {
    const auto& entry = std::get<Entry>(item.value);
    auto path = joined(above, entry.name);
    const bool directory = entry.type == FileType::directory;
    const auto drop = [&](LeftOut why) {
        dropped_.insert(item.key);
        leave_out(path, why);
    };
    if (excludes_.matches(split(path), directory)) return drop(LeftOut::excluded);
    if (directory) return take_directory(std::move(path), entry, node);
    if (!node || damage_of(entry, *node)) return drop(LeftOut::unknown);
    if (lost_content(*node)) return drop(LeftOut::content);
    ++files_;
    if (!kept_.insert(entry.inode).second) return;
    for (const auto& [offset, extent] : node->extents) bytes_ += extent.block ? extent.length : 0;
}

// What is in it may be whole though nothing else is known of it.
void KeptFiles::take_directory(std::string path, const Entry& entry, const std::optional<Node>& node) {
    if (!kept_.insert(entry.inode).second) return;  // a hostile archive may loop
    ++directories_;
    make_up_unless_known(path, entry, node);
    stack_.push_back({std::move(path), entry.inode});
}

void KeptFiles::make_up_unless_known(const std::string& path, const Entry& entry, const std::optional<Node>& node) {
    const bool known = node && !damage_of(entry, *node) && !lost_content(*node);
    if (!known) {
        leave_out(path, LeftOut::metadata);
        Inode inode;
        inode.type = FileType::directory;
        inode.mode = 0700;
        if (node && !damage_of(entry, *node)) inode = *node->inode;  // it is an attribute that is lost
        made_.emplace(entry.inode, inode);
    }
}

void KeptFiles::leave_out(const std::string& path, LeftOut why) {
    ++left_out_;
    if (on_left_out_) on_left_out_(path, why);
}

bool KeptFiles::lost_content(const Node& node) const {
    const auto is_lost = [this](const Extent& extent) { return extent.block && lost_.contains(extent.block->id); };
    const auto lost_value = [&](const XattrRecord& xattr) {
        const auto* extent = std::get_if<Extent>(&xattr.value);
        return extent != nullptr && is_lost(*extent);
    };
    return std::ranges::any_of(node.extents, [&](const auto& one) { return is_lost(one.extent); }) ||
           std::ranges::any_of(node.xattrs, lost_value);
}

// Everything of the inodes that are kept, but entries that are not; of a directory that was made up, its entries.
bool KeptFiles::is_kept(const Item& item) const {
    if (item.key.kind >= kFirstCarried) return true;
    if (item.key.kind == Kind::entry) return kept_.contains(item.key.inode) && !dropped_.contains(item.key);
    return kept_.contains(item.key.inode) && !made_.contains(item.key.inode);
}

}  // namespace objstore::archive
