#include "tree_state.hpp"

#include <algorithm>
#include <cassert>

namespace base::sim {

namespace {

constexpr std::int64_t kFirstTime = 1'767'225'600'000'000'000;  // 2026-01-01 UTC
constexpr std::int64_t kTick = 1'000'003;                       // a millisecond and a bit: nanoseconds matter
constexpr int kMostLinks = 40;
constexpr std::size_t kMaxXattrBytes = 64U << 10U;

}  // namespace

std::vector<std::string> names_of(std::string_view path) {
    std::vector<std::string> names;
    for (std::size_t begin = 0; begin < path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const auto name = path.substr(begin, end - begin);
        if (!name.empty() && name != ".") names.emplace_back(name);
        begin = end + 1;
    }
    return names;
}

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : "/") + name;
    return out;
}

LocalTree::State::State() {
    root = make_node(FileType::directory, 0755);
    root->nlink = 2;
}

TreeNodePtr LocalTree::State::make_node(FileType type, std::uint32_t mode) {
    auto node = std::make_shared<TreeNode>();
    node->type = type;
    node->mode = mode;
    node->inode = ++next_inode;
    node->nlink = type == FileType::directory ? 2 : 1;
    touch(*node);
    node->atime = node->btime = node->mtime;
    return node;
}

void LocalTree::State::change(TreeNode& node) {
    node.ctime = Timestamp::from_ns(now_ns ? now_ns() : kFirstTime + ++ticks * kTick);
}

void LocalTree::State::touch(TreeNode& node) {
    change(node);
    node.mtime = node.ctime;
}

FileStat LocalTree::State::stat_of(const TreeNode& node, std::uint64_t device) const {
    FileStat out;
    out.type = node.type;
    out.mode = node.mode;
    out.uid = node.uid;
    out.gid = node.gid;
    out.size = node.type == FileType::symlink     ? node.target.size()
               : node.type == FileType::directory ? 4096
                                                  : node.data.size();
    out.allocated_bytes = node.data.pages() * SparseBytes::kPage;
    out.mtime = node.mtime;
    out.ctime = node.ctime;
    out.atime = node.atime;
    out.btime = node.btime;
    out.device = node.device != 0 ? node.device : device;
    out.inode = node.inode;
    out.nlink = node.nlink;
    out.rdev = node.rdev;
    return out;
}

Result<void> LocalTree::State::enter(const std::string& path, TreeCall call) {
    if (const auto hook = hooks.find({path, call}); hook != hooks.end()) {
        const auto action = hook->second;  // it may remove itself
        action();
    }
    if (const auto failure = failures.find({path, call}); failure != failures.end()) {
        return failure->second.with(path);
    }
    return ok();
}

Result<void> LocalTree::State::reserve(const TreeNode& node, std::uint64_t offset, std::uint64_t length) const {
    const auto pages = used_pages + node.data.pages_missing(offset, length);
    if (pages * SparseBytes::kPage > capacity_bytes) return Errc::no_space;
    return ok();
}

LocalTree::State::Found LocalTree::State::find(std::string_view path, bool follow) const {
    auto names = names_of(path);
    std::reverse(names.begin(), names.end());  // the next is at the back
    std::vector<Found> above{{root, 1}};
    for (int links = 0; !names.empty();) {
        const auto name = std::move(names.back());
        names.pop_back();
        if (name == "..") {
            if (above.size() > 1) above.pop_back();
            continue;
        }
        const auto& at = above.back();
        const auto entry = at.node->entries.find(name);
        if (entry == at.node->entries.end()) return {};
        const auto& node = entry->second;
        if (node->type == FileType::symlink && (follow || !names.empty())) {
            if (++links > kMostLinks) return {};
            if (node->target.starts_with('/')) above.resize(1);
            auto more = names_of(node->target);
            std::move(more.rbegin(), more.rend(), std::back_inserter(names));
            continue;
        }
        above.push_back({node, node->device != 0 ? node->device : at.device});
    }
    return above.back();
}

std::vector<std::string> LocalTree::State::real_names(std::string_view path) const {
    auto names = names_of(path);
    for (int links = 0; links < kMostLinks; ++links) {
        const auto node = find(joined(names), /*follow=*/false).node;
        if (!node || node->type != FileType::symlink) break;
        names.pop_back();
        if (node->target.starts_with('/')) names.clear();
        for (auto& name : names_of(node->target)) {
            if (name != "..") {
                names.push_back(std::move(name));
            } else if (!names.empty()) {
                names = real_names(joined(names));
                if (!names.empty()) names.pop_back();
            }
        }
    }
    return names;
}

std::pair<TreeNodePtr, std::string> LocalTree::State::parent_of(std::string_view path, bool make) {
    auto names = names_of(path);
    assert(!names.empty() && "the root has no parent");
    auto last = std::move(names.back());
    names.pop_back();
    TreeNodePtr at = root;
    for (const auto& name : names) {
        auto& next = at->entries[name];
        if (!next) {
            assert(make && "no such directory");
            next = make_node(FileType::directory, 0755);
            ++at->nlink;
            touch(*at);
        }
        assert(next->type == FileType::directory);
        at = next;
    }
    return {at, std::move(last)};
}

TreeNodePtr LocalTree::State::must_find(std::string_view path) const {
    auto found = find(path, /*follow=*/false).node;
    assert(found && "no such path in the simulated tree");
    return found;
}

void LocalTree::State::drop(TreeNode& node) {
    change(node);
    if (--node.nlink == 0) used_pages -= node.data.pages();
}

// --- attributes

std::vector<Xattr> list_xattrs(const LocalTree::State& tree, const TreeNode& node) {
    std::vector<Xattr> out;
    for (const auto& [name, value] : node.xattrs) {
        if (!tree.privileged && name.starts_with("trusted.")) continue;  // as the kernel hides them
        out.push_back({name, value});
    }
    return out;
}

Result<void> put_xattr(LocalTree::State& tree, TreeNode& node, const Xattr& xattr, const std::string& path) {
    const std::string where = path + " [" + xattr.name + "]";
    const bool known = xattr.name.starts_with("user.") || xattr.name.starts_with("trusted.") ||
                       xattr.name.starts_with("security.") || xattr.name.starts_with("system.");
    if (!known) return Error{Errc::unsupported, where};
    if (xattr.value.size() > kMaxXattrBytes) return Error{Errc::bad_argument, where};
    const bool special = node.type != FileType::regular && node.type != FileType::directory;
    if (xattr.name.starts_with("user.") && special) return Error{Errc::denied, where};
    if (!tree.privileged && (xattr.name.starts_with("trusted.") || xattr.name.starts_with("security."))) {
        return Error{Errc::denied, where};
    }
    node.xattrs[xattr.name] = xattr.value;
    tree.change(node);
    return ok();
}

Result<void> put_metadata(LocalTree::State& tree, TreeNode& node, const Metadata& metadata, const std::string& path) {
    const bool gives_away = (metadata.uid && *metadata.uid != node.uid) || (metadata.gid && *metadata.gid != node.gid);
    if (gives_away && !tree.privileged) return Error{Errc::denied, path};
    if (metadata.uid) node.uid = *metadata.uid;
    if (metadata.gid) node.gid = *metadata.gid;
    // The kernel clears set-id bits when the owner of a file changes; whoever restores sets the mode afterwards.
    if ((metadata.uid || metadata.gid) && node.type == FileType::regular) node.mode &= 01777U;
    if (metadata.mode && node.type != FileType::symlink) node.mode = *metadata.mode & 07777U;
    tree.change(node);
    if (metadata.mtime) node.mtime = *metadata.mtime;
    if (metadata.atime) node.atime = *metadata.atime;
    return ok();
}

std::vector<DataRange> ranges_of(const SparseBytes& data) {
    std::vector<DataRange> ranges;
    const auto pages = (data.size() + SparseBytes::kPage - 1) / SparseBytes::kPage;
    for (std::uint64_t page = 0; page < pages; ++page) {
        if (!data.has_page(page)) continue;
        const auto offset = page * SparseBytes::kPage;
        const auto length = std::min(SparseBytes::kPage, data.size() - offset);
        if (!ranges.empty() && ranges.back().offset + ranges.back().length == offset) {
            ranges.back().length += length;
        } else {
            ranges.push_back({offset, length});
        }
    }
    return ranges;
}

}  // namespace base::sim
