#include "target_tree.hpp"

#include "apply_attributes.hpp"
#include "file_writer.hpp"
#include "objstore/archive/scanner.hpp"

namespace objstore::archive {
namespace {

constexpr std::size_t kOpenDirectories = 128;

// What an earlier restore finished may be closed to us by its mode, although it is ours: opened while we work in it.
// finish() sets the mode again.
struct Opened {
    DirectoryPtr directory;
    bool is_new = false;
};
base::Result<Opened> make_open(base::LocalDirectory& parent, const std::string& name, bool privileged) {
    constexpr std::uint32_t kOwner = 0700;
    const auto there = parent.stat(name);
    if (there && !privileged && there->type == base::FileType::directory && (there->mode & kOwner) != kOwner) {
        base::Metadata metadata;
        metadata.mode = there->mode | kOwner;
        std::ignore = parent.set_metadata(name, metadata);  // of somebody else: making what is in it tells
    }
    BASE_TRY(auto directory, parent.make_directory(name));
    return Opened{.directory = std::move(directory), .is_new = !there && there.error() == base::Errc::not_found};
}

// A file of that name that another restore is writing right now is locked: it stays.
void remove_leftovers(base::LocalDirectory& directory) {
    const auto entries = directory.list();
    if (!entries) return;
    for (const auto& entry : *entries) {
        if (entry.type == base::FileType::directory || !is_temporary_name(entry.name)) continue;
        const auto file = directory.reopen_file(entry.name);
        if (file || !(file.error() == base::Errc::locked)) std::ignore = directory.remove(entry.name);
    }
}

}  // namespace

TargetTree::TargetTree(DirectoryPtr top, const base::LocalTree& tree, bool replace, SharedWarnings& warnings)
    : tree_{tree}, replace_{replace}, warnings_{warnings} {
    Directory directory;
    directory.open = std::move(top);
    directory.made = true;
    directories_.push_back(std::move(directory));
}

std::uint32_t TargetTree::add(std::uint32_t parent, std::string name, Attributes attributes) {
    const std::lock_guard guard{mutex_};
    Directory directory;
    directory.parent = parent;
    directory.name = std::move(name);
    directory.attributes = std::move(attributes);
    directories_.push_back(std::move(directory));
    return static_cast<std::uint32_t>(directories_.size() - 1);
}

void TargetTree::want(std::uint32_t directory) {
    const std::lock_guard guard{mutex_};
    directories_[directory].wanted = true;
}

bool TargetTree::is_new(std::uint32_t directory) const {
    const std::lock_guard guard{mutex_};
    return directories_[directory].is_new;
}

std::uint32_t TargetTree::size() const {
    const std::lock_guard guard{mutex_};
    return static_cast<std::uint32_t>(directories_.size());
}

std::string TargetTree::path(std::uint32_t directory) const {
    const std::lock_guard guard{mutex_};
    return path_locked(directory);
}

std::string TargetTree::path(std::uint32_t directory, const std::string& name) const {
    return joined(path(directory), name);
}

std::string TargetTree::path_locked(std::uint32_t directory) const {
    if (directory == kTop) return "/";
    return joined(path_locked(directories_[directory].parent), directories_[directory].name);
}

base::Result<DirectoryPtr> TargetTree::open(std::uint32_t directory) {
    const std::lock_guard guard{mutex_};
    return open_locked(directory);
}

base::Result<DirectoryPtr> TargetTree::open_locked(std::uint32_t number) {
    if (auto& found = directories_[number]; found.open) {
        if (number != kTop) recent_.splice(recent_.begin(), recent_, found.place_in_recent);
        return found.open;
    }
    if (directories_[number].failed) return *directories_[number].failed;
    auto parent = open_locked(directories_[number].parent);
    auto& directory = directories_[number];
    if (!parent) {
        directory.failed = parent.error();
        return parent.error();
    }
    auto opened = make_open(**parent, directory.name, privileged());
    if (!opened && opened.error() == base::Errc::exists && replace_ && !directory.made) {
        // Something that is no directory has its name (a symbolic link, say): it gives way, and is not followed.
        if ((*parent)->remove(directory.name)) opened = make_open(**parent, directory.name, privileged());
    }
    if (!opened) {
        const bool refused = opened.error() == base::Errc::bad_argument;
        warnings_.add(refused ? WarningKind::refused : WarningKind::unwritable, path_locked(number), opened.error());
        directory.failed = opened.error();
        return opened.error();
    }
    directory.open = std::move(opened->directory);
    directory.is_new = directory.is_new || (opened->is_new && !directory.made);
    directory.made = true;
    recent_.push_front(number);
    directory.place_in_recent = recent_.begin();
    auto result = directory.open;
    while (recent_.size() > kOpenDirectories) {
        directories_[recent_.back()].open.reset();
        recent_.pop_back();
    }
    return result;
}

bool TargetTree::finish(std::uint32_t number) {
    if (number == kTop) {
        remove_leftovers(*directories_[kTop].open);
        return false;  // the target is the user's own
    }
    DirectoryPtr open;
    std::string path;
    Attributes attributes;
    bool is_new = false;
    {
        const std::lock_guard guard{mutex_};
        auto& directory = directories_[number];
        if (directory.failed || (!directory.made && !directory.wanted)) return false;
        auto opened = open_locked(number);
        if (!opened) return false;
        open = std::move(*opened);
        path = path_locked(number);
        attributes = std::move(directories_[number].attributes);
        is_new = directories_[number].is_new;
    }
    if (!is_new) remove_leftovers(*open);
    apply_attributes(*open, attributes, path, privileged(), warnings_);
    return true;
}

void warn_of(SharedWarnings& warnings, WarningKind kind, const std::string& path, const base::Result<void>& done) {
    if (!done) warnings.add(kind, path, done.error());
}

}  // namespace objstore::archive
