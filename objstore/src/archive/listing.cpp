#include "objstore/archive/listing.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include "objstore/archive/scanner.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kNodesAtOnce = 2048;

ListedFile listed(std::string path, const Node& node) {
    ListedFile file{.path = std::move(path), .number = node.number, .inode = *node.inode};
    if (file.inode.type == base::FileType::symlink) file.target = base::as_text(node.inline_data);
    return file;
}

// One listing: a stack of directories, each with the nodes of its next entries.
class Lister {
  public:
    Lister(Volume& volume, const Snapshot& snapshot, bool recursive, VisitFunction visit, EnterFunction enter)
        : reader_{volume, snapshot}, recursive_{recursive}, visit_{std::move(visit)}, enter_{std::move(enter)} {}

    base::Task<base::Result<Warnings>> run(std::string path);

  private:
    struct Frame {
        std::string path;
        std::vector<Entry> entries;
        std::vector<Node> nodes;  // of entries [loaded - nodes.size(), loaded)
        std::size_t loaded = 0;
        std::size_t next = 0;
    };
    base::Task<base::Result<void>> enter(std::string path, InodeNumber directory);
    base::Task<base::Result<void>> load(Frame& frame);

    SnapshotReader reader_;
    bool recursive_;
    VisitFunction visit_;
    EnterFunction enter_;
    std::set<InodeNumber> visited_;  // a hostile archive may loop
    std::vector<Frame> stack_;
    Warnings warnings_;
};

base::Task<base::Result<Warnings>> Lister::run(std::string path) {
    BASE_CO_TRY(const auto top, co_await reader_.resolve(path));
    std::string clean = "/";
    for (const auto name : split(path)) {
        if (name != ".") clean = joined(clean, name);
    }
    visit_(clean, top);
    if (top.inode->type == base::FileType::directory) BASE_CO_CHECK(co_await enter(std::move(clean), top.number));
    while (!stack_.empty()) {
        auto& frame = stack_.back();
        if (frame.next == frame.entries.size()) {
            stack_.pop_back();
            continue;
        }
        if (frame.next == frame.loaded) {
            BASE_CO_CHECK(co_await load(frame));
            continue;
        }
        const auto& entry = frame.entries[frame.next];
        const auto& node = frame.nodes[frame.next - (frame.loaded - frame.nodes.size())];
        auto below = joined(frame.path, entry.name);
        ++frame.next;
        if (const auto damage = damage_of(entry, node)) {
            warnings_.add(WarningKind::damaged, std::move(below), *damage);
            continue;
        }
        visit_(below, node);
        const bool directory = node.inode->type == base::FileType::directory;
        if (recursive_ && directory && (!enter_ || enter_(below)))
            BASE_CO_CHECK(co_await enter(std::move(below), node.number));
    }
    co_return std::move(warnings_);
}

base::Task<base::Result<void>> Lister::enter(std::string path, InodeNumber directory) {
    if (!visited_.insert(directory).second) co_return base::ok();
    auto entries = co_await reader_.entries(directory);
    if (!entries) co_return leave_out_damaged(warnings_, std::move(path), entries.error());
    Frame frame;
    frame.path = std::move(path);
    frame.entries = std::move(*entries);
    stack_.push_back(std::move(frame));
    co_return base::ok();
}

// The next nodes, or, where they are damaged, none: their entries are passed over.
base::Task<base::Result<void>> Lister::load(Frame& frame) {
    std::vector<InodeNumber> numbers;
    const auto end = std::min(frame.entries.size(), frame.loaded + kNodesAtOnce);
    for (auto i = frame.loaded; i < end; ++i) numbers.push_back(frame.entries[i].inode);
    auto nodes = co_await reader_.nodes(std::move(numbers));
    frame.loaded = end;
    if (!nodes) {
        frame.next = end;
        co_return leave_out_damaged(warnings_, frame.path, nodes.error());
    }
    frame.nodes = std::move(*nodes);
    co_return base::ok();
}

// Told of files depth first: what lies below a directory that matches comes right after it.
class Finder {
  public:
    Finder(FindOptions options, std::function<void(const ListedFile&)> show)
        : options_{std::move(options)}, show_{std::move(show)} {}

    void visit(const std::string& path, const Node& node) {
        if (path == "/") return;
        const bool directory = node.inode->type == base::FileType::directory;
        const bool inside = !matched_.empty() && path.starts_with(matched_);
        if (!inside && !options_.patterns.matches(split(path), directory)) return;
        if (!inside && directory) matched_ = path + "/";
        const auto& mtime = node.inode->mtime;
        if (options_.oldest && mtime < *options_.oldest) return;
        if (options_.newest && mtime > *options_.newest) return;
        show_(listed(path, node));
    }
    [[nodiscard]] bool may_match_below(const std::string& path) const {
        return (!matched_.empty() && (path + "/").starts_with(matched_)) ||
               options_.patterns.may_match_below(split(path));
    }

  private:
    FindOptions options_;
    std::function<void(const ListedFile&)> show_;
    std::string matched_;  // the last directory that matched, with a slash behind it
};

}  // namespace

base::Task<base::Result<std::vector<Snapshot>>> list_snapshots(Volume& volume, SnapshotFilter filter) {
    BASE_CO_TRY(auto snapshots, co_await volume.snapshots());
    std::erase_if(snapshots, [&](const Snapshot& snapshot) { return !matches(snapshot, filter); });
    co_return snapshots;
}

SnapshotPath parse_snapshot_path(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return {std::string{text}, "/"};
    auto path = text.substr(colon + 1);
    return {std::string{text.substr(0, colon)}, path.empty() ? "/" : std::string{path}};
}

base::Task<base::Result<Warnings>> list_files(Volume& volume, Snapshot snapshot, std::string path, bool recursive,
                                              std::function<void(const ListedFile&)> show) {
    auto visit = [show = std::move(show)](const std::string& at, const Node& node) { show(listed(at, node)); };
    return visit_files(volume, std::move(snapshot), std::move(path), recursive, std::move(visit));
}

base::Task<base::Result<Warnings>> visit_files(Volume& volume, Snapshot snapshot, std::string path, bool recursive,
                                               VisitFunction visit, EnterFunction enter) {
    const auto lister = std::make_unique<Lister>(volume, snapshot, recursive, std::move(visit), std::move(enter));
    co_return co_await lister->run(std::move(path));
}

base::Task<base::Result<Warnings>> find_files(Volume& volume, Snapshot snapshot, FindOptions options,
                                              std::function<void(const ListedFile&)> show) {
    Finder finder{std::move(options), std::move(show)};
    auto visit = [&finder](const std::string& path, const Node& node) { finder.visit(path, node); };
    auto enter = [&finder](const std::string& path) { return finder.may_match_below(path); };
    co_return co_await visit_files(volume, std::move(snapshot), "/", true, std::move(visit), std::move(enter));
}

}  // namespace objstore::archive
