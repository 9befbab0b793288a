// Each call goes to the live tree or to the past, by its node; what would lead from the one to the other is here.
#include "fuse/volume_files.hpp"

#include <algorithm>
#include <utility>

#include "file_system_state.hpp"
#include "objstore/live/history.hpp"

namespace fusefs {

namespace {

bool is_old(NodeId node) { return SnapshotFiles::owns(node); }
bool is_reserved(const std::string& name) { return name == kSnapshotsName; }

/// Not to be taken for the time of a kept version, or for the newest snapshot.
bool may_name_a_snapshot(const std::string& name) {
    constexpr std::string_view kTime{"####-##-##T##.##.##.###Z"};
    const auto fits = [](char shape, char c) { return shape == '#' ? c >= '0' && c <= '9' : c == shape; };
    const bool a_time = name.size() == kTime.size() && std::equal(kTime.begin(), kTime.end(), name.begin(), fits);
    return !a_time && name != "latest" && name != kSnapshotsName;
}

/// The first of a name is the newest.
std::vector<SnapshotName> name_versions(const std::vector<objstore::Snapshot>& versions) {
    std::vector<SnapshotName> names;
    for (std::size_t i = 0; i < versions.size(); ++i) names.push_back({objstore::version_name(versions[i]), i, {}});
    return names;
}

Files::Reply<std::vector<objstore::Snapshot>> versions_of(objstore::Volume& volume) {
    BASE_CO_TRY(auto history, co_await objstore::read_history(volume));
    co_return std::move(history.versions);
}

}  // namespace

struct VolumeFiles::State {
    State(base::NodeEnv env, objstore::Volume& volume_in, objstore::WorkingTree& tree_in, KernelCache& kernel,
          const VolumeFilesConfig& config)
        : volume{volume_in},
          tree{tree_in},
          root{config.files.root},
          words{config.words},
          live{env, tree, kernel, config.files} {}

    [[nodiscard]] objstore::InodeNumber inode(NodeId node) const { return node == kRootNode ? root : node; }
    static Reply<void> make_snapshot(State* self, std::string name);
    static Reply<void> remove_snapshot(State* self, std::string name);

    objstore::Volume& volume;
    objstore::WorkingTree& tree;
    objstore::InodeNumber root;
    objstore::Snapshot words;
    FileSystem live;
    std::unique_ptr<SnapshotFiles> past;
};

VolumeFiles::VolumeFiles(std::unique_ptr<State> state) : state_{std::move(state)} {}
VolumeFiles::~VolumeFiles() = default;

VolumeFiles::Reply<std::unique_ptr<VolumeFiles>> VolumeFiles::open(base::NodeEnv env, objstore::Volume& volume,
                                                                   objstore::WorkingTree& tree, KernelCache& kernel,
                                                                   VolumeFilesConfig config) {
    auto state = std::make_unique<State>(env, volume, tree, kernel, config);
    SnapshotFilesConfig past;
    past.files = std::move(config.files);
    past.tree = config.tree;
    past.owner_uid = config.owner_uid;
    past.owner_gid = config.owner_gid;
    past.owner_mode = 0755;
    past.list = versions_of;
    past.names = name_versions;
    BASE_CO_TRY(state->past, co_await SnapshotFiles::open(env, volume, std::move(past)));
    co_return std::unique_ptr<VolumeFiles>{new VolumeFiles{std::move(state)}};
}

Files& VolumeFiles::of(NodeId node) const {
    if (is_old(node)) return *state_->past;
    return state_->live;
}

base::Duration VolumeFiles::cache_time() const { return state_->live.cache_time(); }

// --- From the one to the other

VolumeFiles::Reply<EntryReply> VolumeFiles::lookup(NodeId directory, std::string name) {
    if (!is_old(directory) && is_reserved(name))
        co_return co_await state_->past->view(state_->inode(directory), directory);
    if (is_old(directory) && name == "..") {
        BASE_CO_TRY(const auto above, state_->past->above(directory));
        name = ".";
        if (!is_old(above)) co_return co_await state_->live.lookup(above, std::move(name));
    }
    co_return co_await of(directory).lookup(directory, std::move(name));
}

VolumeFiles::Reply<void> VolumeFiles::State::make_snapshot(State* self, std::string name) {
    if (!may_name_a_snapshot(name)) co_return posix(std::errc::invalid_argument);
    BASE_CO_CHECK(co_await self->live.commit());
    auto words = self->words;
    words.tags = {name};
    words.name = std::move(name);
    BASE_CO_CHECK(co_await objstore::name_version(self->volume, std::move(words)));
    co_return base::ok();
}

VolumeFiles::Reply<void> VolumeFiles::State::remove_snapshot(State* self, std::string name) {
    BASE_CO_CHECK(co_await self->volume.refresh());
    BASE_CO_TRY(const auto history, co_await objstore::read_history(self->volume));
    const auto found = std::ranges::find(history.versions, name, objstore::version_name);
    if (found == history.versions.end()) co_return posix(std::errc::no_such_file_or_directory);
    auto version = *found;
    co_return co_await objstore::forget_version(self->volume, std::move(version));
}

VolumeFiles::Reply<EntryReply> VolumeFiles::make_node(Caller caller, NodeId directory, std::string name,
                                                      base::FileType type, std::uint32_t mode, std::uint64_t rdev) {
    if (!is_old(directory)) {
        if (is_reserved(name)) co_return posix(std::errc::file_exists);
        co_return co_await state_->live.make_node(caller, directory, std::move(name), type, mode, rdev);
    }
    const bool snapshot = type == base::FileType::directory && state_->past->is_view(directory);
    if (!snapshot) co_return posix(std::errc::read_only_file_system);
    BASE_CO_CHECK(co_await State::make_snapshot(state_.get(), name));
    BASE_CO_TRY(auto made, co_await state_->past->lookup(directory, std::move(name)));
    // The directory whose ".snapshots" this is was removed meanwhile.
    if (made.node == 0) co_return posix(std::errc::no_such_file_or_directory);
    co_return made;
}

VolumeFiles::Reply<void> VolumeFiles::remove_directory(NodeId directory, std::string name) {
    if (is_old(directory)) {
        if (!state_->past->is_view(directory)) co_return posix(std::errc::read_only_file_system);
        co_return co_await State::remove_snapshot(state_.get(), std::move(name));
    }
    if (is_reserved(name)) co_return posix(std::errc::operation_not_permitted);
    co_return co_await state_->live.remove_directory(directory, std::move(name));
}

VolumeFiles::Reply<EntryReply> VolumeFiles::make_symlink(Caller caller, NodeId directory, std::string name,
                                                         std::string target) {
    if (!is_old(directory) && is_reserved(name)) co_return posix(std::errc::file_exists);
    co_return co_await of(directory).make_symlink(caller, directory, std::move(name), std::move(target));
}

VolumeFiles::Reply<CreateReply> VolumeFiles::create(Caller caller, NodeId directory, std::string name,
                                                    std::uint32_t mode, OpenFlags flags) {
    if (!is_old(directory) && is_reserved(name)) co_return posix(std::errc::is_a_directory);
    co_return co_await of(directory).create(caller, directory, std::move(name), mode, flags);
}

VolumeFiles::Reply<EntryReply> VolumeFiles::link(NodeId node, NodeId directory, std::string name) {
    if (is_old(directory)) co_return posix(std::errc::read_only_file_system);
    if (is_old(node)) co_return posix(std::errc::cross_device_link);
    if (is_reserved(name)) co_return posix(std::errc::file_exists);
    co_return co_await state_->live.link(node, directory, std::move(name));
}

VolumeFiles::Reply<void> VolumeFiles::unlink(NodeId directory, std::string name) {
    if (!is_old(directory) && is_reserved(name)) co_return posix(std::errc::is_a_directory);
    co_return co_await of(directory).unlink(directory, std::move(name));
}

VolumeFiles::Reply<void> VolumeFiles::rename(NodeId from, std::string name, NodeId to, std::string new_name,
                                             RenameFlag flag) {
    if (is_old(from) || is_old(to)) co_return posix(std::errc::read_only_file_system);
    if (is_reserved(name) || is_reserved(new_name)) co_return posix(std::errc::operation_not_permitted);
    co_return co_await state_->live.rename(from, std::move(name), to, std::move(new_name), flag);
}

VolumeFiles::Reply<std::uint64_t> VolumeFiles::copy_range(CopyRequest request) {
    if (is_old(request.to)) co_return posix(std::errc::read_only_file_system);
    if (!is_old(request.from)) co_return co_await state_->live.copy_range(request);
    co_return posix(std::errc::cross_device_link);  // then the kernel reads and writes
}

// --- To whom the node belongs

void VolumeFiles::remember(NodeId node) { of(node).remember(node); }
void VolumeFiles::forget(NodeId node, std::uint64_t times) { of(node).forget(node, times); }
VolumeFiles::Reply<std::string> VolumeFiles::read_link(NodeId node) { co_return co_await of(node).read_link(node); }

VolumeFiles::Reply<Attributes> VolumeFiles::attributes(NodeId node) { co_return co_await of(node).attributes(node); }
VolumeFiles::Reply<Attributes> VolumeFiles::set_attributes(NodeId node, AttributeRequest request) {
    co_return co_await of(node).set_attributes(node, std::move(request));
}
VolumeFiles::Reply<base::Bytes> VolumeFiles::get_xattr(NodeId node, std::string name) {
    co_return co_await of(node).get_xattr(node, std::move(name));
}
VolumeFiles::Reply<std::vector<std::string>> VolumeFiles::list_xattrs(Caller caller, NodeId node) {
    co_return co_await of(node).list_xattrs(caller, node);
}
VolumeFiles::Reply<void> VolumeFiles::set_xattr(Caller caller, NodeId node, std::string name, base::Bytes value,
                                                SetXattrFlag flag) {
    co_return co_await of(node).set_xattr(caller, node, std::move(name), std::move(value), flag);
}
VolumeFiles::Reply<void> VolumeFiles::remove_xattr(NodeId node, std::string name) {
    co_return co_await of(node).remove_xattr(node, std::move(name));
}
VolumeFiles::Reply<SpaceReply> VolumeFiles::space() { co_return co_await state_->live.space(); }

VolumeFiles::Reply<OpenReply> VolumeFiles::open(NodeId node, OpenFlags flags) {
    co_return co_await of(node).open(node, flags);
}
VolumeFiles::Reply<std::vector<objstore::ReadPiece>> VolumeFiles::read(NodeId node, HandleId handle,
                                                                       std::uint64_t offset, std::uint64_t length) {
    co_return co_await of(node).read(node, handle, offset, length);
}
VolumeFiles::Reply<void> VolumeFiles::write(WriteRequest request, base::ByteView bytes) {
    co_return co_await of(request.node).write(request, bytes);
}
VolumeFiles::Reply<void> VolumeFiles::allocate(AllocateRequest request) {
    co_return co_await of(request.node).allocate(request);
}
VolumeFiles::Reply<std::uint64_t> VolumeFiles::seek(NodeId node, std::uint64_t offset, bool hole) {
    co_return co_await of(node).seek(node, offset, hole);
}
VolumeFiles::Reply<void> VolumeFiles::flush(NodeId node, HandleId handle, std::uint64_t lock_owner) {
    co_return co_await of(node).flush(node, handle, lock_owner);
}
void VolumeFiles::release(NodeId node, HandleId handle, std::optional<std::uint64_t> flock_owner) {
    of(node).release(node, handle, flock_owner);
}
VolumeFiles::Reply<void> VolumeFiles::sync(NodeId node, HandleId handle) {
    co_return co_await of(node).sync(node, handle);
}

VolumeFiles::Reply<OpenReply> VolumeFiles::open_directory(NodeId node) {
    co_return co_await of(node).open_directory(node);
}
VolumeFiles::Reply<std::vector<DirectoryEntry>> VolumeFiles::list(NodeId node, std::uint64_t offset, std::size_t limit,
                                                                  bool with_attributes) {
    co_return co_await of(node).list(node, offset, limit, with_attributes);
}
void VolumeFiles::release_directory(NodeId node, HandleId handle) { of(node).release_directory(node, handle); }
VolumeFiles::Reply<void> VolumeFiles::sync_directory(NodeId node) { co_return co_await of(node).sync_directory(node); }

VolumeFiles::Reply<std::optional<Lock>> VolumeFiles::test_lock(NodeId node, Lock lock) {
    co_return co_await of(node).test_lock(node, lock);
}
VolumeFiles::Reply<void> VolumeFiles::set_lock(NodeId node, HandleId handle, Lock lock, bool wait) {
    co_return co_await of(node).set_lock(node, handle, lock, wait);
}
VolumeFiles::Reply<void> VolumeFiles::set_flock(NodeId node, Lock lock, bool wait) {
    co_return co_await of(node).set_flock(node, lock, wait);
}

}  // namespace fusefs
