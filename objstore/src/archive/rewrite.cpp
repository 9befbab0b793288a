#include "objstore/archive/rewrite.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_set>

#include "objstore/archive/scanner.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

using base::FileType;

constexpr std::size_t kNodesAtOnce = 2048;

class Rewrite {
  public:
    Rewrite(Volume& volume, Snapshot snapshot, RewriteOptions options)
        : volume_{volume},
          snapshot_{std::move(snapshot)},
          options_{std::move(options)},
          tree_{volume.reader(), snapshot_.root},
          reader_{volume, snapshot_} {}

    base::Task<base::Result<RewriteReport>> run();

  private:
    struct Pending {
        std::string path;
        InodeNumber number = 0;
    };
    base::Task<base::Result<void>> walk_directory(Pending directory);
    base::Task<base::Result<std::vector<Item>>> entries_of(const Pending& directory);
    base::Task<base::Result<std::vector<std::optional<Node>>>> nodes_of(std::vector<InodeNumber> numbers);
    base::Task<base::Result<void>> look_for_losses();
    void take(const std::string& above, const Item& item, std::optional<Node> node);
    void take_directory(std::string path, const Entry& entry, const std::optional<Node>& node);
    void make_up_unless_known(const std::string& path, const Entry& entry, const std::optional<Node>& node);
    void leave_out(const std::string& path, LeftOut why);
    [[nodiscard]] bool lost_content(const Node& node) const;
    [[nodiscard]] bool is_kept(const Item& item) const;
    base::Task<base::Result<BlockRefPtr>> write(Session& session);
    base::Task<base::Result<void>> erase_others(TreeUpdate& update);
    base::Task<base::Result<void>> put_kept(TreeUpdate& update);

    Volume& volume_;
    const Snapshot snapshot_;
    const RewriteOptions options_;
    Tree tree_;
    SnapshotReader reader_;
    std::optional<Salvage> salvage_;  // if the tree lost nodes
    std::vector<Pending> stack_;
    std::unordered_set<InodeNumber> kept_{kRootInode};
    std::set<TreeKey> dropped_;          // entries
    std::map<InodeNumber, Inode> made_;  // of directories that lost theirs
    std::uint64_t files_ = 0, directories_ = 0, bytes_ = 0;
    RewriteReport report_;
};

base::Task<base::Result<RewriteReport>> Rewrite::run() {
    BASE_CO_CHECK(co_await look_for_losses());
    stack_.push_back({"/", kRootInode});
    while (!stack_.empty()) {
        auto next = std::move(stack_.back());
        stack_.pop_back();
        BASE_CO_CHECK(co_await walk_directory(std::move(next)));
    }
    if (report_.left_out == 0 || options_.dry_run) co_return std::move(report_);
    BASE_CO_TRY(const auto session, co_await volume_.begin(past::Wait::full));
    auto next = snapshot_;
    BASE_CO_TRY(next.root, co_await write(*session));
    next.first_root.reset();
    if (!next.original) next.original = snapshot_.id();
    next.files = files_;
    next.directories = directories_;
    next.bytes = bytes_;
    next.added_bytes = session->writer().totals().bytes;
    next.tags.insert(next.tags.end(), options_.tags.begin(), options_.tags.end());
    std::sort(next.tags.begin(), next.tags.end());
    next.tags.erase(std::unique(next.tags.begin(), next.tags.end()), next.tags.end());
    BASE_CO_TRY(auto committed, co_await volume_.commit(*session, std::move(next)));
    report_.snapshot = std::move(committed.snapshot);
    co_return std::move(report_);
}

// Without lost blocks nobody expects any: then a damaged tree is an error where it is met.
base::Task<base::Result<void>> Rewrite::look_for_losses() {
    if (options_.lost.empty()) co_return base::ok();
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

base::Task<base::Result<void>> Rewrite::walk_directory(Pending directory) {
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
base::Task<base::Result<std::vector<Item>>> Rewrite::entries_of(const Pending& directory) {
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
base::Task<base::Result<std::vector<std::optional<Node>>>> Rewrite::nodes_of(std::vector<InodeNumber> numbers) {
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

void Rewrite::take(const std::string& above, const Item& item, std::optional<Node> node) {
    const auto& entry = std::get<Entry>(item.value);
    auto path = joined(above, entry.name);
    const bool directory = entry.type == FileType::directory;
    const auto drop = [&](LeftOut why) {
        dropped_.insert(item.key);
        leave_out(path, why);
    };
    if (options_.excludes.matches(split(path), directory)) return drop(LeftOut::excluded);
    if (directory) return take_directory(std::move(path), entry, node);
    if (!node || damage_of(entry, *node)) return drop(LeftOut::unknown);
    if (lost_content(*node)) return drop(LeftOut::content);
    ++files_;
    if (!kept_.insert(entry.inode).second) return;
    for (const auto& [offset, extent] : node->extents) bytes_ += extent.block ? extent.length : 0;
}

// What is in it may be whole though nothing else is known of it.
void Rewrite::take_directory(std::string path, const Entry& entry, const std::optional<Node>& node) {
    if (!kept_.insert(entry.inode).second) return;  // a hostile archive may loop
    ++directories_;
    make_up_unless_known(path, entry, node);
    stack_.push_back({std::move(path), entry.inode});
}

void Rewrite::make_up_unless_known(const std::string& path, const Entry& entry, const std::optional<Node>& node) {
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

void Rewrite::leave_out(const std::string& path, LeftOut why) {
    ++report_.left_out;
    if (options_.on_left_out) options_.on_left_out(path, why);
}

bool Rewrite::lost_content(const Node& node) const {
    const auto is_lost = [this](const Extent& extent) {
        return extent.block && options_.lost.contains(extent.block->id);
    };
    const auto lost_value = [&](const XattrRecord& xattr) {
        const auto* extent = std::get_if<Extent>(&xattr.value);
        return extent != nullptr && is_lost(*extent);
    };
    return std::ranges::any_of(node.extents, [&](const auto& one) { return is_lost(one.extent); }) ||
           std::ranges::any_of(node.xattrs, lost_value);
}

// Everything of the inodes that are kept, but entries that are not; of a directory that was made up, its entries.
bool Rewrite::is_kept(const Item& item) const {
    if (item.key.kind >= kFirstCarried) return true;
    if (item.key.kind == Kind::entry) return kept_.contains(item.key.inode) && !dropped_.contains(item.key);
    return kept_.contains(item.key.inode) && !made_.contains(item.key.inode);
}

base::Task<base::Result<BlockRefPtr>> Rewrite::write(Session& session) {
    if (salvage_) {
        TreeShape shape;
        shape.name_epoch = session.keys().epoch.epoch;
        if (const auto had = co_await tree_.shape()) shape = *had;
        TreeUpdate update{session.writer(), shape};
        BASE_CO_CHECK(co_await put_kept(update));
        co_return co_await update.finish();
    }
    TreeUpdate update{session.writer(), tree_};
    BASE_CO_CHECK(co_await erase_others(update));
    co_return co_await update.finish();
}

base::Task<base::Result<void>> Rewrite::put_kept(TreeUpdate& update) {
    auto made = made_.begin();
    const auto put_made = [](InodeNumber number, const Inode& inode) {
        return Item{TreeKey::first(number, Kind::inode), inode};
    };
    for (const auto& item : salvage_->items) {
        for (; made != made_.end() && made->first <= item.key.inode; ++made) {
            auto inode = put_made(made->first, made->second);
            BASE_CO_CHECK(co_await update.put(std::move(inode)));
        }
        if (!is_kept(item)) continue;
        auto copy = item;
        BASE_CO_CHECK(co_await update.put(std::move(copy)));
    }
    for (; made != made_.end(); ++made) {
        auto inode = put_made(made->first, made->second);
        BASE_CO_CHECK(co_await update.put(std::move(inode)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Rewrite::erase_others(TreeUpdate& update) {
    TreeCursor cursor{tree_};
    auto made = made_.begin();
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        for (const auto& item : items) {
            if (made != made_.end() && made->first == item.key.inode) {
                BASE_CO_CHECK(
                    co_await update.erase(TreeKey::first(made->first), TreeKey::first(made->first, Kind::entry)));
                Item inode{TreeKey::first(made->first, Kind::inode), made->second};
                BASE_CO_CHECK(co_await update.put(std::move(inode)));
                ++made;
            }
            const bool replaced = made_.contains(item.key.inode) && item.key.kind != Kind::entry;
            if (!replaced && !is_kept(item)) BASE_CO_CHECK(co_await update.erase(item.key));
        }
    }
    co_return base::ok();
}

}  // namespace

base::Task<base::Result<RewriteReport>> rewrite(Volume& volume, Snapshot snapshot, RewriteOptions options) {
    const auto run = std::make_unique<Rewrite>(volume, std::move(snapshot), std::move(options));
    co_return co_await run->run();
}

}  // namespace objstore::archive
