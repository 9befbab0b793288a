// The doors of the in-memory tree: what backup and restore see.
#include <algorithm>

#include "base/limits.hpp"
#include "tree_state.hpp"

namespace base::sim {

namespace {

using State = LocalTree::State;

Result<std::string> component(std::string_view name) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos ||
        name.size() > kMaxNameBytes) {
        return Error{Errc::bad_argument, "\"" + std::string{name} + "\" is no file name"};
    }
    return std::string{name};
}

class TreeFile final : public LocalFile {
  public:
    TreeFile(std::shared_ptr<State> tree, TreeNodePtr node, std::uint64_t device, std::string path, bool writable)
        : tree_{std::move(tree)}, node_{std::move(node)}, device_{device}, path_{std::move(path)}, writable_{writable} {
        if (!writable_) return;
        lock_ = std::make_shared<int>();
        node_->lock = lock_;
    }

    Result<FileStat> stat() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::stat));
        return tree_->stat_of(*node_, device_);
    }

    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::read));
        if (offset > SparseBytes::kMaxSize) return Error{Errc::bad_argument, path_};
        return node_->data.read(offset, out);
    }

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::write));
        if (!writable_) return Error{Errc::io_failed, path_ + " is open to read"};
        if (offset > SparseBytes::kMaxSize || bytes.size() > SparseBytes::kMaxSize - offset) {
            return Error{Errc::bad_argument, path_};
        }
        if (const auto room = tree_->reserve(*node_, offset, bytes.size()); !room) return room.error().with(path_);
        const auto before = node_->data.pages();
        node_->data.write(offset, bytes);
        tree_->used_pages += node_->data.pages() - before;
        tree_->touch(*node_);
        return ok();
    }

    Result<std::vector<DataRange>> data_ranges() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::read));
        return ranges_of(node_->data);
    }

    Result<void> truncate(std::uint64_t size) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::write));
        if (!writable_ || size > SparseBytes::kMaxSize) return Error{Errc::bad_argument, path_};
        const auto before = node_->data.pages();
        node_->data.resize(size);
        tree_->used_pages += node_->data.pages() - before;
        tree_->touch(*node_);
        return ok();
    }

    Result<std::vector<Xattr>> xattrs() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::xattrs));
        return list_xattrs(*tree_, *node_);
    }
    Result<void> set_xattr(const Xattr& xattr) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::metadata));
        return put_xattr(*tree_, *node_, xattr, path_);
    }
    Result<void> set_metadata(const Metadata& metadata) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::metadata));
        return put_metadata(*tree_, *node_, metadata, path_);
    }

  private:
    std::shared_ptr<State> tree_;
    TreeNodePtr node_;
    std::uint64_t device_;
    std::string path_;
    bool writable_;
    std::shared_ptr<void> lock_;
};

class TreeDirectory final : public LocalDirectory {
  public:
    TreeDirectory(std::shared_ptr<State> tree, TreeNodePtr node, std::uint64_t device, std::string path)
        : tree_{std::move(tree)}, node_{std::move(node)}, device_{device}, path_{std::move(path)} {}

    Result<FileStat> stat() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::stat));
        return tree_->stat_of(*node_, device_);
    }

    Result<std::vector<Entry>> list() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::list));
        std::vector<Entry> entries;
        for (const auto& [name, node] : node_->entries)
            entries.push_back({name, tree_->types_hidden ? FileType{} : node->type});
        return entries;
    }

    Result<FileStat> stat(std::string_view name) override {
        BASE_TRY(const auto node, entry(name, TreeCall::stat));
        return tree_->stat_of(*node, device_);
    }

    Result<std::unique_ptr<LocalDirectory>> open_directory(std::string_view name) override {
        BASE_TRY(auto node, entry(name, TreeCall::open));
        if (node->type != FileType::directory) return wrong_type(name, "directory");
        const auto device = node->device != 0 ? node->device : device_;
        return open_tree_directory(tree_, std::move(node), device, whole(name));
    }

    Result<std::unique_ptr<LocalFile>> open_file(std::string_view name) override {
        BASE_TRY(auto node, entry(name, TreeCall::open));
        if (node->type != FileType::regular) return wrong_type(name, "regular file");
        return open_tree_file(tree_, std::move(node), device_, whole(name), /*writable=*/false);
    }

    Result<std::string> read_link(std::string_view name) override {
        BASE_TRY(const auto node, entry(name, TreeCall::read));
        if (node->type != FileType::symlink) return wrong_type(name, "symbolic link");
        return node->target;
    }

    Result<std::vector<Xattr>> xattrs() override {
        BASE_CHECK(tree_->enter(path_, TreeCall::xattrs));
        return list_xattrs(*tree_, *node_);
    }
    Result<std::vector<Xattr>> xattrs(std::string_view name) override {
        BASE_TRY(const auto node, entry(name, TreeCall::xattrs));
        return list_xattrs(*tree_, *node);
    }

    Result<std::unique_ptr<LocalDirectory>> make_directory(std::string_view name) override {
        BASE_TRY(const auto key, component(name));
        BASE_CHECK(tree_->enter(whole(name), TreeCall::create));
        const auto found = node_->entries.find(key);
        if (found != node_->entries.end() && found->second->type != FileType::directory) {
            return Error{Errc::exists, whole(name)};
        }
        if (found == node_->entries.end()) {
            add(key, tree_->make_node(FileType::directory, 0700));
            ++node_->nlink;
        }
        return open_directory(name);
    }

    Result<std::unique_ptr<LocalFile>> create_file(std::string_view name) override {
        auto node = tree_->make_node(FileType::regular, 0600);
        BASE_CHECK(create(name, node));
        return open_tree_file(tree_, std::move(node), device_, whole(name), /*writable=*/true);
    }

    Result<std::unique_ptr<LocalFile>> reopen_file(std::string_view name) override {
        BASE_TRY(auto node, entry(name, TreeCall::open));
        if (node->type != FileType::regular || node->mode != 0600 || node->nlink != 1 || node->uid != 0) {
            return wrong_type(name, "file that was left unfinished");
        }
        if (!node->lock.expired()) return Error{Errc::locked, whole(name)};
        return open_tree_file(tree_, std::move(node), device_, whole(name), /*writable=*/true);
    }

    Result<void> make_symlink(std::string_view name, std::string_view target) override {
        BASE_TRY(const auto key, component(name));
        if (target.empty() || target.find('\0') != target.npos || target.size() >= kMaxPathBytes) {
            return Error{Errc::bad_argument, whole(name) + " (no target for a symbolic link)"};
        }
        const auto node = tree_->make_node(FileType::symlink, 0777);
        node->target = target;
        return create(name, node);
    }

    Result<void> make_link(std::string_view name, LocalDirectory& from, std::string_view from_name) override {
        BASE_TRY(const auto key, component(name));
        BASE_TRY(const auto source, component(from_name));
        auto* const directory = dynamic_cast<TreeDirectory*>(&from);
        if (directory == nullptr || directory->tree_ != tree_) {
            return Error{Errc::bad_argument, whole(name) + " (link from another tree)"};
        }
        const auto found = directory->node_->entries.find(source);
        if (found == directory->node_->entries.end()) return Error{Errc::not_found, directory->whole(from_name)};
        const auto node = found->second;
        if (node->type == FileType::directory) return Error{Errc::denied, whole(name)};
        if (node->nlink >= tree_->most_links) return Error{Errc::io_failed, whole(name) + " (too many links)"};
        BASE_CHECK(create(name, node));
        ++node->nlink;
        tree_->change(*node);
        return ok();
    }

    Result<void> make_special(std::string_view name, FileType type, std::uint64_t rdev) override {
        BASE_TRY(const auto key, component(name));
        const bool device = type == FileType::character || type == FileType::block;
        if (!device && type != FileType::fifo && type != FileType::socket) {
            return Error{Errc::bad_argument, whole(name)};
        }
        if (device && !tree_->privileged) return Error{Errc::denied, whole(name)};
        const auto node = tree_->make_node(type, 0600);
        node->rdev = device ? rdev : 0;
        return create(name, node);
    }

    Result<void> set_xattr(const Xattr& xattr) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::metadata));
        return put_xattr(*tree_, *node_, xattr, path_);
    }
    Result<void> remove_xattr(const std::string& xattr) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::metadata));
        if (node_->xattrs.erase(xattr) > 0) tree_->change(*node_);
        return ok();
    }
    Result<void> set_xattr(std::string_view name, const Xattr& xattr) override {
        BASE_TRY(const auto node, entry(name, TreeCall::metadata));
        return put_xattr(*tree_, *node, xattr, whole(name));
    }
    Result<void> set_metadata(const Metadata& metadata) override {
        BASE_CHECK(tree_->enter(path_, TreeCall::metadata));
        return put_metadata(*tree_, *node_, metadata, path_);
    }
    Result<void> set_metadata(std::string_view name, const Metadata& metadata) override {
        BASE_TRY(const auto node, entry(name, TreeCall::metadata));
        return put_metadata(*tree_, *node, metadata, whole(name));
    }

    Result<void> remove(std::string_view name) override {
        BASE_TRY(const auto node, entry(name, TreeCall::remove));
        if (!node->entries.empty()) return Error{Errc::exists, whole(name) + " is not empty"};
        node_->entries.erase(node_->entries.find(name));
        removed(*node);
        tree_->touch(*node_);
        return ok();
    }

    Result<void> rename(std::string_view from, std::string_view to) override {
        BASE_TRY(const auto target, component(to));
        BASE_TRY(const auto node, entry(from, TreeCall::rename));
        const auto there = node_->entries.find(target);
        if (there != node_->entries.end()) {
            if (there->second == node) return ok();
            const bool directory = there->second->type == FileType::directory;
            if (directory != (node->type == FileType::directory)) return Error{Errc::bad_argument, whole(to)};
            if (!there->second->entries.empty()) return Error{Errc::exists, whole(to)};
            removed(*there->second);
        }
        node_->entries.erase(node_->entries.find(from));
        node_->entries[target] = node;
        tree_->change(*node);
        tree_->touch(*node_);
        return ok();
    }

  private:
    [[nodiscard]] std::string whole(std::string_view name) const {
        return path_.empty() ? std::string{name} : path_ + "/" + std::string{name};
    }
    [[nodiscard]] Error wrong_type(std::string_view name, std::string_view wanted) const {
        return Error{Errc::bad_argument, whole(name) + " is no " + std::string{wanted}};
    }
    Result<TreeNodePtr> entry(std::string_view name, TreeCall call) {
        BASE_TRY(const auto key, component(name));
        BASE_CHECK(tree_->enter(whole(name), call));
        const auto found = node_->entries.find(key);
        if (found == node_->entries.end()) return Error{Errc::not_found, whole(name)};
        return found->second;
    }
    void add(const std::string& name, TreeNodePtr node) {
        node_->entries[name] = std::move(node);
        tree_->touch(*node_);
    }
    Result<void> create(std::string_view name, const TreeNodePtr& node) {
        BASE_TRY(const auto key, component(name));
        BASE_CHECK(tree_->enter(whole(name), TreeCall::create));
        if (node_->entries.contains(key)) return Error{Errc::exists, whole(name)};
        add(key, node);
        return ok();
    }
    void removed(TreeNode& node) {
        if (node.type == FileType::directory) {
            node.nlink = 0;
            --node_->nlink;
        } else {
            tree_->drop(node);
        }
    }

    std::shared_ptr<State> tree_;
    TreeNodePtr node_;
    std::uint64_t device_;
    std::string path_;
};

}  // namespace

std::unique_ptr<LocalDirectory> open_tree_directory(std::shared_ptr<State> tree, TreeNodePtr node, std::uint64_t device,
                                                    std::string path) {
    return std::make_unique<TreeDirectory>(std::move(tree), std::move(node), device, std::move(path));
}

std::unique_ptr<LocalFile> open_tree_file(std::shared_ptr<State> tree, TreeNodePtr node, std::uint64_t device,
                                          std::string path, bool writable) {
    return std::make_unique<TreeFile>(std::move(tree), std::move(node), device, std::move(path), writable);
}

}  // namespace base::sim
