#include "objstore/archive/listing.hpp"

#include <algorithm>
#include <set>

#include "objstore/archive/scanner.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kNodesAtOnce = 2048;

ListedFile listed(std::string path, const Node& node) {
    ListedFile file{.path = std::move(path), .number = node.number, .inode = *node.inode};
    if (file.inode.type == base::FileType::symlink) file.target = base::as_text(node.inline_data);
    return file;
}

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

base::Task<base::Result<void>> list_files(Volume& volume, Snapshot snapshot, std::string path, bool recursive,
                                          std::function<void(const ListedFile&)> show) {
    SnapshotReader reader{volume, snapshot};
    BASE_CO_TRY(const auto top, co_await reader.resolve(path));
    std::string clean = "/";
    for (const auto name : split(path)) {
        if (name != ".") clean = joined(clean, name);
    }
    show(listed(clean, top));
    if (top.inode->type != base::FileType::directory) co_return base::ok();

    struct Frame {
        std::string path;
        std::vector<Entry> entries;
        std::vector<Node> nodes;  // of entries [loaded - nodes.size(), loaded)
        std::size_t loaded = 0;
        std::size_t next = 0;
    };
    std::set<InodeNumber> visited{top.number};  // a hostile archive may loop
    std::vector<Frame> stack;
    Frame first;
    first.path = clean;
    BASE_CO_TRY(first.entries, co_await reader.entries(top.number));
    stack.push_back(std::move(first));
    while (!stack.empty()) {
        auto& frame = stack.back();
        if (frame.next == frame.entries.size()) {
            stack.pop_back();
            continue;
        }
        if (frame.next == frame.loaded) {
            std::vector<InodeNumber> numbers;
            const auto end = std::min(frame.entries.size(), frame.loaded + kNodesAtOnce);
            for (auto i = frame.loaded; i < end; ++i) numbers.push_back(frame.entries[i].inode);
            BASE_CO_TRY(frame.nodes, co_await reader.nodes(std::move(numbers)));
            frame.loaded = end;
        }
        const auto& node = frame.nodes[frame.next - (frame.loaded - frame.nodes.size())];
        const auto below = joined(frame.path, frame.entries[frame.next].name);
        ++frame.next;
        if (!node.inode) co_return base::Error{Errc::damaged, below};
        show(listed(below, node));
        const bool enter = recursive && node.inode->type == base::FileType::directory;
        if (!enter || !visited.insert(node.number).second) continue;
        Frame inside;
        inside.path = below;
        const auto number = node.number;
        BASE_CO_TRY(inside.entries, co_await reader.entries(number));
        stack.push_back(std::move(inside));
    }
    co_return base::ok();
}

}  // namespace objstore::archive
