#include "base/sim/local_tree.hpp"

#include <fmt/format.h>

#include <cassert>

#include "base/hash.hpp"
#include "tree_state.hpp"

namespace base::sim {

LocalTree::LocalTree() : state_{std::make_shared<State>()} {}
LocalTree::~LocalTree() = default;

// --- the door

Result<std::unique_ptr<LocalDirectory>> LocalTree::open(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no path was named"};
    const auto plain = joined(names_of(path));
    BASE_CHECK(state_->enter(plain, TreeCall::open));
    auto found = state_->find(path, /*follow=*/true);
    if (!found.node) return Error{Errc::not_found, std::string{path}};
    if (found.node->type != FileType::directory)
        return Error{Errc::bad_argument, std::string{path} + " is no directory"};
    return open_tree_directory(state_, std::move(found.node), found.device, plain);
}

Result<std::unique_ptr<LocalDirectory>> LocalTree::create(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no path was named"};
    std::string made;
    for (const auto& name : names_of(path)) {
        const auto parent = state_->find(made.empty() ? "/" : made, /*follow=*/true).node;
        made += "/" + name;
        const auto there = state_->find(made, /*follow=*/true).node;
        if (there && there->type != FileType::directory) return Error{Errc::bad_argument, made + " is no directory"};
        if (there) continue;
        if (parent->entries.contains(name)) return Error{Errc::bad_argument, made + " is no directory"};
        BASE_CHECK(state_->enter(made.substr(1), TreeCall::create));
        parent->entries[name] = state_->make_node(FileType::directory, 0755);
        ++parent->nlink;
        state_->touch(*parent);
    }
    return open(path);
}

Result<std::string> LocalTree::absolute(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no path was named"};
    std::vector<std::string> kept;
    for (auto& name : names_of(path)) {
        if (name != "..") {
            kept.push_back(std::move(name));
        } else if (!kept.empty()) {
            const auto at = joined(kept);
            if (!state_->find(at, /*follow=*/true).node) return Error{Errc::not_found, at};
            kept = state_->real_names(at);
            if (!kept.empty()) kept.pop_back();
        }
    }
    return "/" + joined(kept);
}

bool LocalTree::privileged() const { return state_->privileged; }
std::uint32_t LocalTree::user_id() const { return 0; }  // of every node that is made

// --- making a tree

void LocalTree::write(std::string_view path, ByteView bytes) {
    resize(path, 0);
    write_at(path, 0, bytes);
}

void LocalTree::write_at(std::string_view path, std::uint64_t offset, ByteView bytes) {
    if (!exists(path)) resize(path, 0);
    const auto node = state_->must_find(path);
    assert(node->type == FileType::regular);
    const auto before = node->data.pages();
    node->data.write(offset, bytes);
    state_->used_pages += node->data.pages() - before;
    state_->touch(*node);
}

void LocalTree::resize(std::string_view path, std::uint64_t size) {
    const auto [parent, name] = state_->parent_of(path, /*make=*/true);
    auto& node = parent->entries[name];
    if (!node) {
        node = state_->make_node(FileType::regular, 0644);
        state_->touch(*parent);
    }
    assert(node->type == FileType::regular);
    const auto before = node->data.pages();
    node->data.resize(size);
    state_->used_pages += node->data.pages() - before;
    state_->touch(*node);
}

void LocalTree::make_directory(std::string_view path) {
    static_cast<void>(state_->parent_of(std::string{path} + "/x", /*make=*/true));
}

void LocalTree::symlink(std::string_view path, std::string_view target) {
    const auto [parent, name] = state_->parent_of(path, /*make=*/true);
    assert(!parent->entries.contains(name));
    auto node = state_->make_node(FileType::symlink, 0777);
    node->target = target;
    parent->entries[name] = std::move(node);
    state_->touch(*parent);
}

void LocalTree::hard_link(std::string_view path, std::string_view existing) {
    const auto node = state_->must_find(existing);
    const auto [parent, name] = state_->parent_of(path, /*make=*/true);
    assert(!parent->entries.contains(name) && node->type != FileType::directory);
    parent->entries[name] = node;
    ++node->nlink;
    state_->change(*node);
    state_->touch(*parent);
}

void LocalTree::special(std::string_view path, FileType type, std::uint64_t rdev) {
    const auto [parent, name] = state_->parent_of(path, /*make=*/true);
    assert(!parent->entries.contains(name));
    auto node = state_->make_node(type, 0644);
    node->rdev = rdev;
    parent->entries[name] = std::move(node);
    state_->touch(*parent);
}

void LocalTree::set_xattr(std::string_view path, std::string_view name, ByteView value) {
    const auto node = state_->must_find(path);
    node->xattrs[std::string{name}] = to_bytes(value);
    state_->change(*node);
}

void LocalTree::set_mode(std::string_view path, std::uint32_t mode) {
    const auto node = state_->must_find(path);
    node->mode = mode;
    state_->change(*node);
}

void LocalTree::set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
    const auto node = state_->must_find(path);
    node->uid = uid;
    node->gid = gid;
    state_->change(*node);
}

void LocalTree::set_mtime(std::string_view path, Timestamp mtime) {
    const auto node = state_->must_find(path);
    state_->change(*node);
    node->mtime = mtime;
}

void LocalTree::pretend_inode(std::string_view path, std::uint64_t inode, std::uint64_t nlink) {
    const auto node = state_->must_find(path);
    node->inode = inode;
    node->nlink = nlink;
}

void LocalTree::hide_types() { state_->types_hidden = true; }

void LocalTree::mount(std::string_view path, std::uint64_t device) { state_->must_find(path)->device = device; }

namespace {

void drop_all(LocalTree::State& tree, TreeNode& node) {
    for (const auto& [name, child] : node.entries) drop_all(tree, *child);
    if (node.type != FileType::directory) tree.drop(node);
}

}  // namespace

void LocalTree::remove(std::string_view path) {
    const auto node = state_->must_find(path);
    const auto [parent, name] = state_->parent_of(path, /*make=*/false);
    drop_all(*state_, *node);
    if (node->type == FileType::directory) --parent->nlink;
    parent->entries.erase(name);
    state_->touch(*parent);
}

void LocalTree::rename(std::string_view from, std::string_view to) {
    const auto node = state_->must_find(from);
    if (exists(to)) remove(to);
    const auto [source, old_name] = state_->parent_of(from, /*make=*/false);
    const auto [target, new_name] = state_->parent_of(to, /*make=*/true);
    source->entries.erase(old_name);
    target->entries[new_name] = node;
    if (node->type == FileType::directory && source != target) {
        --source->nlink;
        ++target->nlink;
    }
    state_->change(*node);
    state_->touch(*source);
    state_->touch(*target);
}

// --- looking

bool LocalTree::exists(std::string_view path) const { return state_->find(path, /*follow=*/false).node != nullptr; }
Bytes LocalTree::read(std::string_view path) const { return state_->must_find(path)->data.all(); }

FileStat LocalTree::stat(std::string_view path) const {
    const auto found = state_->find(path, /*follow=*/false);
    assert(found.node && "no such path in the simulated tree");
    return state_->stat_of(*found.node, found.device);
}

namespace {

const char* letter_of(FileType type) {
    switch (type) {
        case FileType::regular: return "-";
        case FileType::directory: return "d";
        case FileType::symlink: return "l";
        case FileType::fifo: return "p";
        case FileType::socket: return "s";
        case FileType::character: return "c";
        case FileType::block: return "b";
    }
    return "?";
}

/// Of the contents, without building 5 GiB of zeros: the ranges are part of the line.
std::string hash_of(const SparseBytes& data, const std::vector<DataRange>& ranges) {
    Sha256 hash;
    Bytes chunk;
    for (const auto& range : ranges) {
        constexpr std::uint64_t kStep = 1U << 20U;
        for (std::uint64_t done = 0; done < range.length; done += kStep) {
            chunk.resize(static_cast<std::size_t>(std::min(kStep, range.length - done)));
            data.read(range.offset + done, chunk);
            hash.update(chunk);
        }
    }
    return hash.finish().short_hex(16);
}

class Description {
  public:
    void add(const TreeNode& node, const std::string& path) {
        out_ += fmt::format("{}{:04o} {}:{} {}.{:09} {}", letter_of(node.type), node.mode, node.uid, node.gid,
                            node.mtime.seconds, node.mtime.nanoseconds, path.empty() ? "." : path);
        if (node.type == FileType::symlink) out_ += " -> " + node.target;
        if (node.type == FileType::character || node.type == FileType::block) out_ += fmt::format(" {:#x}", node.rdev);
        if (node.type == FileType::regular) add_contents(node);
        if (node.type != FileType::directory && node.nlink > 1) {
            const auto first = first_names_.emplace(node.inode, path).first->second;
            out_ += fmt::format(" links {} {}", node.nlink, first);
        }
        for (const auto& [name, value] : node.xattrs) out_ += " " + name + "=" + to_hex(value);
        out_ += "\n";
        for (const auto& [name, child] : node.entries) add(*child, path.empty() ? name : path + "/" + name);
    }
    [[nodiscard]] std::string text() const { return out_; }

  private:
    void add_contents(const TreeNode& node) {
        const auto ranges = ranges_of(node.data);
        out_ += fmt::format(" {} {}", node.data.size(), hash_of(node.data, ranges));
        const bool whole = ranges.size() == 1 && ranges.front().length == node.data.size();
        if (whole || node.data.size() == 0) return;
        for (const auto& range : ranges) out_ += fmt::format(" [{}+{}]", range.offset, range.length);
    }

    std::string out_;
    std::map<std::uint64_t, std::string> first_names_;
};

}  // namespace

std::string LocalTree::describe(std::string_view path) const {
    const auto found = state_->find(path, /*follow=*/true).node;
    assert(found && "no such path in the simulated tree");
    Description description;
    description.add(*found, "");
    return description.text();
}

// --- what goes wrong

void LocalTree::fail(std::string_view path, TreeCall call, Error error) {
    state_->failures[{joined(names_of(path)), call}] = std::move(error);
}

void LocalTree::before(std::string_view path, TreeCall call, std::function<void()> action) {
    state_->hooks[{joined(names_of(path)), call}] = std::move(action);
}

void LocalTree::clear_failures() {
    state_->failures.clear();
    state_->hooks.clear();
}

void LocalTree::set_privileged(bool privileged) { state_->privileged = privileged; }
void LocalTree::set_most_links(std::uint64_t names) { state_->most_links = names; }
void LocalTree::set_capacity(std::uint64_t bytes) { state_->capacity_bytes = bytes; }
void LocalTree::set_time(std::function<std::int64_t()> now_ns) { state_->now_ns = std::move(now_ns); }

}  // namespace base::sim
