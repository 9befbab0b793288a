#include "objstore/archive/diff.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "objstore/archive/scanner.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

using base::FileType;

constexpr std::size_t kPathsAtOnce = 2048;

struct Name {
    InodeNumber directory = 0;
    std::string name;
};

// The same path in both snapshots; 0 where one has none.
struct Pair {
    InodeNumber before = 0;
    InodeNumber after = 0;
};

struct Chunk {
    std::uint64_t bytes = 0;
    bool before = false;
    bool after = false;
};

bool same_content(const Node& a, const Node& b) {
    if (a.inode->size != b.inode->size) return false;
    return std::ranges::equal(a.extents, b.extents, [](const Node::Stretch& x, const Node::Stretch& y) {
        const auto& one = x.extent;
        const auto& other = y.extent;
        if (x.offset != y.offset || one.length != other.length) return false;
        if (one.hash && other.hash) return *one.hash == *other.hash;
        return one == other;
    });
}

// What a change of the content changes, too.
bool same_times(const Inode& a, const Inode& b) {
    return a.mtime == b.mtime && a.ctime == b.ctime && a.ctime != base::Timestamp{} && a.size == b.size;
}

bool same_metadata(const Node& a, const Node& b) {
    const auto of = [](const Inode& i) { return std::tuple{i.mode, i.uid, i.gid, i.mtime, i.nlink, i.rdev}; };
    return of(*a.inode) == of(*b.inode) && a.xattrs == b.xattrs && a.inline_data == b.inline_data;
}

class Diff {
  public:
    Diff(Volume& volume, const Snapshot& before, const Snapshot& after, bool metadata,
         std::function<void(const Difference&)> show)
        : volume_{volume},
          before_{volume, before},
          after_{volume, after},
          roots_{before.root, after.root},
          metadata_{metadata},
          show_{std::move(show)} {}

    base::Task<base::Result<DiffReport>> run();

  private:
    using Entries = std::map<TreeKey, Entry>;

    void meet(const Item* before, const Item* after);
    base::Task<base::Result<void>> name_changed();
    [[nodiscard]] std::optional<std::string> path_of(InodeNumber directory) const;
    base::Task<base::Result<void>> take(SnapshotReader& reader, const Entries& entries, InodeNumber Pair::* side);
    base::Task<base::Result<void>> take_below(SnapshotReader& reader, std::string path, Entry entry,
                                              InodeNumber Pair::* side);
    base::Task<base::Result<void>> compare_all();
    void compare(const std::string& path, const Pair& pair, const Node* before, const Node* after);
    void count(DiffCounts& counts, const Node& node);
    void note_chunks(const Node& node, bool Chunk::* side);
    base::Task<base::Result<void>> count_nodes();

    Volume& volume_;
    SnapshotReader before_, after_;
    BlockRefPtr roots_[2];
    const bool metadata_;
    std::function<void(const Difference&)> show_;
    std::unordered_set<InodeNumber> changed_;  // something of them differs, but their entries
    Entries gone_, fresh_;                     // entries that only one has
    // Of entries that both have:
    std::unordered_map<InodeNumber, Name> directories_;
    std::unordered_multimap<InodeNumber, Name> names_;  // of what changed
    std::map<std::string, Pair> paths_;
    std::map<ChunkHash, Chunk> chunks_;
    DiffReport report_;
};

base::Task<base::Result<DiffReport>> Diff::run() {
    Tree before{volume_.reader(), roots_[0]}, after{volume_.reader(), roots_[1]};
    TreeDifference sink = [this](const Item* a, const Item* b) { meet(a, b); };
    BASE_CO_CHECK(co_await diff_trees(before, after, std::move(sink)));
    if (changed_.empty() && gone_.empty() && fresh_.empty()) co_return std::move(report_);
    BASE_CO_CHECK(co_await name_changed());
    for (const auto& [number, name] : names_) {
        if (const auto above = path_of(name.directory)) paths_[joined(*above, name.name)] = {number, number};
    }
    BASE_CO_CHECK(co_await take(before_, gone_, &Pair::before));
    BASE_CO_CHECK(co_await take(after_, fresh_, &Pair::after));
    BASE_CO_CHECK(co_await compare_all());
    for (const auto& [hash, chunk] : chunks_) {
        if (chunk.before == chunk.after) continue;
        auto& counts = chunk.after ? report_.added : report_.removed;
        ++counts.chunks;
        counts.bytes += chunk.bytes;
    }
    BASE_CO_CHECK(co_await count_nodes());
    co_return std::move(report_);
}

void Diff::meet(const Item* before, const Item* after) {
    const auto take_side = [this](const Item* item, Entries& entries) {
        if (item == nullptr) return;
        if (const auto* entry = std::get_if<Entry>(&item->value)) {
            entries.emplace(item->key, *entry);
        } else {
            changed_.insert(item->key.inode);
        }
    };
    take_side(before, gone_);
    take_side(after, fresh_);
}

// A path none of whose entries differs is the same in both: what is at its end is named by the second tree alone.
base::Task<base::Result<void>> Diff::name_changed() {
    TreeCursor cursor{Tree{volume_.reader(), roots_[1]}};
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) co_return base::ok();
        for (const auto& item : items) {
            const auto* entry = std::get_if<Entry>(&item.value);
            if (entry == nullptr || fresh_.contains(item.key)) continue;
            if (entry->type == FileType::directory)
                directories_.insert_or_assign(entry->inode, Name{item.key.inode, entry->name});
            if (changed_.contains(entry->inode)) names_.emplace(entry->inode, Name{item.key.inode, entry->name});
        }
    }
}

// Nothing where a directory on the way is not in both at the same place: then it is below an entry that differs.
std::optional<std::string> Diff::path_of(InodeNumber directory) const {
    std::vector<const std::string*> names;
    while (directory != kRootInode) {
        const auto found = directories_.find(directory);
        if (found == directories_.end() || names.size() > kMaxDepth) return std::nullopt;
        names.push_back(&found->second.name);
        directory = found->second.directory;
    }
    std::string path = "/";
    for (auto name = names.rbegin(); name != names.rend(); ++name) path = joined(path, **name);
    return path;
}

base::Task<base::Result<void>> Diff::take(SnapshotReader& reader, const Entries& entries, InodeNumber Pair::* side) {
    for (const auto& [key, entry] : entries) {
        const auto above = path_of(key.inode);
        if (!above) continue;
        auto path = joined(*above, entry.name);
        auto copy = entry;
        BASE_CO_CHECK(co_await take_below(reader, std::move(path), std::move(copy), side));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Diff::take_below(SnapshotReader& reader, std::string top, Entry entry,
                                                InodeNumber Pair::* side) {
    std::vector<std::pair<std::string, Entry>> left;
    left.emplace_back(std::move(top), std::move(entry));
    std::unordered_set<InodeNumber> entered;  // a hostile archive may loop
    while (!left.empty()) {
        const auto [path, next] = std::move(left.back());
        left.pop_back();
        paths_[path].*side = next.inode;
        if (next.type != FileType::directory || !entered.insert(next.inode).second) continue;
        auto entries = co_await reader.entries(next.inode);
        if (!entries) {
            auto named = path;
            BASE_CO_CHECK(leave_out_damaged(report_.warnings, std::move(named), entries.error()));
            continue;
        }
        for (auto& below : *entries) left.emplace_back(joined(path, below.name), std::move(below));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Diff::compare_all() {
    for (auto at = paths_.begin(); at != paths_.end();) {
        const auto begin = at;
        std::vector<InodeNumber> numbers[2];
        for (; at != paths_.end() && numbers[0].size() + numbers[1].size() < kPathsAtOnce; ++at) {
            if (at->second.before != 0) numbers[0].push_back(at->second.before);
            if (at->second.after != 0) numbers[1].push_back(at->second.after);
        }
        BASE_CO_TRY(const auto before, co_await before_.nodes(std::move(numbers[0])));
        BASE_CO_TRY(const auto after, co_await after_.nodes(std::move(numbers[1])));
        auto next_before = before.begin(), next_after = after.begin();
        for (auto one = begin; one != at; ++one) {
            const auto* const b = one->second.before != 0 ? &*next_before++ : nullptr;
            const auto* const a = one->second.after != 0 ? &*next_after++ : nullptr;
            if ((b != nullptr && !b->inode) || (a != nullptr && !a->inode)) {
                BASE_CO_CHECK(leave_out_damaged(report_.warnings, one->first,
                                                base::Error{Errc::damaged, "its inode is missing"}));
            } else {
                compare(one->first, one->second, b, a);
            }
        }
    }
    co_return base::ok();
}

void Diff::compare(const std::string& path, const Pair& pair, const Node* before, const Node* after) {
    Difference out;
    out.added = before == nullptr;
    out.removed = after == nullptr;
    const auto& shown = after != nullptr ? *after->inode : *before->inode;
    out.path = path + (shown.type == FileType::directory ? "/" : "");
    if (before != nullptr) note_chunks(*before, &Chunk::before);
    if (after != nullptr) note_chunks(*after, &Chunk::after);
    if (out.added) count(report_.added, *after);
    if (out.removed) count(report_.removed, *before);
    if (pair.before != 0 && pair.after != 0) {
        const auto type = before->inode->type;
        out.type = type != after->inode->type;
        out.content = !out.type && type == FileType::regular && !same_content(*before, *after);
        out.suspicious = out.content && same_times(*before->inode, *after->inode) && same_metadata(*before, *after);
        out.metadata = metadata_ && !out.type && !out.content && !same_metadata(*before, *after);
        if (out.content) ++report_.changed_files;
        if (!out.type && !out.content && !out.metadata) return;
    }
    if (show_) show_(out);
}

void Diff::count(DiffCounts& counts, const Node& node) {
    switch (node.inode->type) {
        case FileType::regular: ++counts.files; return;
        case FileType::directory: ++counts.directories; return;
        case FileType::symlink:
        case FileType::fifo:
        case FileType::socket:
        case FileType::character:
        case FileType::block: ++counts.others; return;
    }
}

void Diff::note_chunks(const Node& node, bool Chunk::* side) {
    for (const auto& [offset, extent] : node.extents) {
        if (!extent.hash) continue;
        auto& chunk = chunks_[*extent.hash];
        chunk.bytes = extent.length;
        chunk.*side = true;
    }
}

base::Task<base::Result<void>> Diff::count_nodes() {
    std::set<base::Guid> ids[2];
    for (const auto i : {0, 1}) {
        const Tree tree{volume_.reader(), roots_[i]};
        BASE_CO_TRY(const auto names, co_await tree.nodes());
        for (const auto& name : names) ids[i].insert(name.id);
    }
    const auto only_in = [&](int i) {
        return static_cast<std::uint64_t>(
            std::ranges::count_if(ids[i], [&](const base::Guid& id) { return !ids[1 - i].contains(id); }));
    };
    report_.removed.tree_nodes = only_in(0);
    report_.added.tree_nodes = only_in(1);
    co_return base::ok();
}

}  // namespace

base::Task<base::Result<DiffReport>> diff_snapshots(Volume& volume, Snapshot before, Snapshot after, bool metadata,
                                                    std::function<void(const Difference&)> show) {
    const auto diff = std::make_unique<Diff>(volume, before, after, metadata, std::move(show));
    co_return co_await diff->run();
}

}  // namespace objstore::archive
