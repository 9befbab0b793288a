// Names and attributes.
#include <algorithm>

#include "file_system_state.hpp"
#include "objstore/error.hpp"

namespace fusefs {

namespace {

constexpr std::chrono::seconds kCacheTime{1};
constexpr std::uint64_t kHolesCountFrom = 128U << 10U;  // of smaller files st_blocks is what the size says
constexpr std::size_t kMaxAllocatedKnown = 4096;

}  // namespace

std::uint32_t without_set_ids(std::uint32_t mode) {
    mode &= ~static_cast<std::uint32_t>(S_ISUID);
    if ((mode & S_IXGRP) != 0) mode &= ~static_cast<std::uint32_t>(S_ISGID);
    return mode;
}

FileSystem::FileSystem(base::NodeEnv env, objstore::WorkingTree& tree, KernelCache& kernel, FileSystemConfig config)
    : state_{std::make_unique<State>(env, tree, kernel, std::move(config))} {
    tree.set_listener(this);
}

FileSystem::~FileSystem() { state_->tree.set_listener(nullptr); }

void FileSystem::on_inode_changed(objstore::InodeNumber inode) {
    if (!state_->kernel_knows(inode)) return;
    state_->changed_elsewhere.insert(inode);
    state_->kernel.drop_inode(state_->node(inode));
}

void FileSystem::on_entry_changed(objstore::InodeNumber directory, const std::string& name) {
    if (!state_->kernel_knows(directory)) return;
    state_->changed_elsewhere.insert(directory);
    state_->kernel.drop_entry(state_->node(directory), name);
}

base::Duration FileSystem::cache_time() const {
    return state_->config.coherence == Coherence::strict ? base::Duration::zero() : base::Duration{kCacheTime};
}

// --- What the kernel is given

base::Task<Attributes> FileSystem::State::shown(objstore::InodeNumber number, objstore::Inode inode) {
    Attributes out;
    out.number = number;
    out.allocated_bytes = inode.size;
    if (inode.type == base::FileType::regular && inode.size >= kHolesCountFrom)
        out.allocated_bytes = co_await allocated(number, inode);
    out.inode = std::move(inode);
    out.inode.uid = config.uid.value_or(out.inode.uid);
    out.inode.gid = config.gid.value_or(out.inode.gid);
    out.inode.mode &= ~config.umask;
    co_return out;
}

/// What cannot be read counts as data: stat does not fail for it.
base::Task<std::uint64_t> FileSystem::State::allocated(objstore::InodeNumber number, const objstore::Inode& inode) {
    const auto size = inode.size;
    const auto change = inode.change;
    if (const auto known = allocated_known.find(number); known != allocated_known.end()) {
        if (known->second.change == change) co_return known->second.bytes;
    }
    const auto data = co_await tree.data_bytes(number);
    if (!data) co_return size;
    if (allocated_known.size() >= kMaxAllocatedKnown) allocated_known.clear();
    allocated_known[number] = {change, *data};
    co_return *data;
}

base::Task<base::Result<EntryReply>> FileSystem::State::give(objstore::InodeNumber number) {
    BASE_CO_TRY(auto inode, co_await tree.get(number));
    Given given{tree, number};
    EntryReply reply;
    reply.node = node(number);
    reply.attributes = co_await shown(number, std::move(inode));
    given.keep();
    co_return reply;
}

base::Task<base::Result<void>> FileSystem::State::newest() {
    if (config.coherence == Coherence::close) co_return base::ok();
    const auto until = deadline();
    auto done = co_await tree.refresh();
    while (!done && co_await holds_on(done.error(), until)) done = co_await tree.refresh();
    co_return done;
}

std::optional<base::TimePoint> FileSystem::State::deadline() const {
    if (config.timeout == base::Duration::zero()) return std::nullopt;
    return env.clock.now() + config.timeout;
}

base::Task<bool> FileSystem::State::holds_on(const base::Error& error, std::optional<base::TimePoint> until) {
    constexpr std::chrono::milliseconds kPause{250};
    const auto again = env.clock.now() + kPause;
    if (!objstore::may_succeed_later(error.code()) || (until && again > *until)) co_return false;
    co_await env.clock.sleep_until(again);
    co_return true;
}

base::Task<base::Result<void>> FileSystem::State::settle() {
    if (config.durability != Durability::write) co_return base::ok();
    co_return co_await commit();
}

base::Task<base::Result<void>> FileSystem::State::commit() {
    const auto until = deadline();
    auto done = co_await tree.commit();
    while (!done && co_await holds_on(done.error(), until)) done = co_await tree.commit();
    co_return done;
}

void FileSystem::remember(NodeId node) { state_->tree.pin(state_->inode(node)); }

void FileSystem::forget(NodeId node, std::uint64_t times) {
    const auto inode = state_->inode(node);
    state_->tree.unpin(inode, times);
    state_->changed_elsewhere.erase(inode);  // the kernel's cache of it went with the node
}

// --- Look-up

FileSystem::Reply<EntryReply> FileSystem::lookup(NodeId directory, std::string name) {
    State& state = *state_;
    const auto inode = state.inode(directory);
    if (name == ".") co_return co_await state.give(inode);
    if (name == "..") {
        if (directory == kRootNode) co_return co_await state.give(inode);
        BASE_CO_TRY(const auto above, co_await state.tree.parent(inode));
        co_return co_await state.give(above);
    }
    BASE_CO_CHECK(co_await state.newest());
    const auto entry = co_await state.tree.lookup(inode, std::move(name));
    if (!entry) {
        if (entry.error() == std::make_error_condition(std::errc::no_such_file_or_directory)) co_return EntryReply{};
        co_return entry.error();
    }
    co_return co_await state.give(entry->inode);
}

FileSystem::Reply<std::string> FileSystem::read_link(NodeId node) {
    BASE_CO_TRY(auto target, co_await state_->tree.read_link(state_->inode(node)));
    state_->note_read(state_->inode(node));
    co_return target;
}

// --- Making

/// Owner, mode and inherited lists of something new (POSIX 1003.1e draft 17, 23.3; mkdir(2) for set-group-id).
base::Task<base::Result<objstore::InodeNumber>> FileSystem::State::create(Caller caller,
                                                                          objstore::InodeNumber directory,
                                                                          std::string name, objstore::NewInode what) {
    BASE_CO_TRY(const auto above, co_await tree.get(directory));
    what.uid = caller.uid;
    what.gid = caller.gid;
    if ((above.mode & S_ISGID) != 0) {
        what.gid = above.gid;
        if (what.type == base::FileType::directory) what.mode |= S_ISGID;
    }
    if (what.type != base::FileType::symlink) {
        BASE_CO_TRY(auto defaults, co_await read_acl(directory, kDefaultAcl));
        if (!defaults) {
            what.mode &= ~caller.umask;
        } else {
            if (what.type == base::FileType::directory) what.xattrs.emplace_back(kDefaultAcl, defaults->encode());
            what.mode = defaults->inherit(what.mode);
            if (!defaults->is_plain()) what.xattrs.emplace_back(kAccessAcl, defaults->encode());
        }
    }
    co_return co_await tree.create(directory, std::move(name), std::move(what));
}

FileSystem::Reply<EntryReply> FileSystem::make_node(Caller caller, NodeId directory, std::string name,
                                                    base::FileType type, std::uint32_t mode, std::uint64_t rdev) {
    objstore::NewInode what;
    what.type = type;
    what.mode = mode;
    what.rdev = rdev;
    BASE_CO_TRY(const auto made,
                co_await state_->create(caller, state_->inode(directory), std::move(name), std::move(what)));
    BASE_CO_CHECK(co_await state_->settle());
    co_return co_await state_->give(made);
}

FileSystem::Reply<EntryReply> FileSystem::make_symlink(Caller caller, NodeId directory, std::string name,
                                                       std::string target) {
    objstore::NewInode what;
    what.type = base::FileType::symlink;
    what.mode = 0777;
    what.symlink_target = std::move(target);
    BASE_CO_TRY(const auto made,
                co_await state_->create(caller, state_->inode(directory), std::move(name), std::move(what)));
    BASE_CO_CHECK(co_await state_->settle());
    co_return co_await state_->give(made);
}

FileSystem::Reply<EntryReply> FileSystem::link(NodeId node, NodeId directory, std::string name) {
    const auto inode = state_->inode(node);
    BASE_CO_CHECK(co_await state_->tree.link(inode, state_->inode(directory), std::move(name)));
    BASE_CO_CHECK(co_await state_->settle());
    co_return co_await state_->give(inode);
}

// --- Removing and moving

FileSystem::Reply<void> FileSystem::unlink(NodeId directory, std::string name) {
    BASE_CO_CHECK(co_await state_->tree.unlink(state_->inode(directory), std::move(name)));
    co_return co_await state_->settle();
}

FileSystem::Reply<void> FileSystem::remove_directory(NodeId directory, std::string name) {
    BASE_CO_CHECK(co_await state_->tree.remove_directory(state_->inode(directory), std::move(name)));
    co_return co_await state_->settle();
}

FileSystem::Reply<void> FileSystem::rename(NodeId from, std::string name, NodeId to, std::string new_name,
                                           RenameFlag flag) {
    auto mode = objstore::RenameMode::replace;
    if (flag == RenameFlag::no_replace) mode = objstore::RenameMode::no_replace;
    if (flag == RenameFlag::exchange) mode = objstore::RenameMode::exchange;
    BASE_CO_CHECK(co_await state_->tree.rename(state_->inode(from), std::move(name), state_->inode(to),
                                               std::move(new_name), mode));
    co_return co_await state_->settle();
}

// --- Attributes

FileSystem::Reply<Attributes> FileSystem::attributes(NodeId node) {
    BASE_CO_CHECK(co_await state_->newest());
    const auto number = state_->inode(node);
    BASE_CO_TRY(auto inode, co_await state_->tree.get(number));
    co_return co_await state_->shown(number, std::move(inode));
}

base::Task<base::Result<void>> FileSystem::State::drop_set_ids(objstore::InodeNumber inode) {
    BASE_CO_TRY(const auto now_is, co_await tree.get(inode));
    objstore::AttributeChange change;
    change.mode = without_set_ids(now_is.mode);
    if (*change.mode == now_is.mode) co_return base::ok();
    BASE_CO_CHECK(co_await tree.set_attributes(inode, std::move(change)));
    co_return base::ok();
}

namespace {

/// A changed owner takes set-id bits away, whoever changes it (chown(2)).
void lose_set_ids(objstore::AttributeChange& change, const objstore::Inode& before) {
    if (before.type == base::FileType::directory || (!change.uid && !change.gid)) return;
    const auto mode = change.mode.value_or(before.mode);
    if (without_set_ids(mode) != mode) change.mode = without_set_ids(mode);
}

}  // namespace

FileSystem::Reply<Attributes> FileSystem::set_attributes(NodeId node, AttributeRequest request) {
    State& state = *state_;
    const auto number = state.inode(node);
    const bool other_owner = (request.uid && state.config.uid && *request.uid != *state.config.uid) ||
                             (request.gid && state.config.gid && *request.gid != *state.config.gid);
    if (other_owner) co_return posix(std::errc::operation_not_permitted);  // it would not be seen
    if (request.size) {
        auto* handle = state.find(request.handle);
        if (handle != nullptr && state.failed(*handle)) co_return posix(std::errc::io_error);
        if (request.drop_set_ids) BASE_CO_CHECK(co_await state.drop_set_ids(number));
        BASE_CO_CHECK(co_await state.tree.resize(number, *request.size));
        if (auto* now_is = state.find(request.handle)) now_is->wrote = true;
    }
    objstore::AttributeChange change;
    change.mode = request.mode;
    if (!state.config.uid) change.uid = request.uid;
    if (!state.config.gid) change.gid = request.gid;
    change.atime = request.atime_now ? state.now() : request.atime;
    change.mtime = request.mtime_now ? state.now() : request.mtime;
    const bool any = change.mode || change.uid || change.gid || change.atime || change.mtime;
    if (any) {
        BASE_CO_TRY(const auto before, co_await state.tree.get(number));
        lose_set_ids(change, before);
        change.ctime = state.now();  // named, so that setting atime alone is a change like any other
        if (request.mode) {
            BASE_CO_TRY(auto acl, co_await state.read_acl(number, kAccessAcl));
            if (acl) {
                acl->change_mode(*change.mode);
                std::string name{kAccessAcl};
                BASE_CO_CHECK(
                    co_await state.tree.set_xattr(number, std::move(name), acl->encode(), objstore::XattrMode::set));
            }
        }
        BASE_CO_CHECK(co_await state.tree.set_attributes(number, std::move(change)));
    }
    BASE_CO_CHECK(co_await state.settle());
    BASE_CO_TRY(auto after, co_await state.tree.get(number));
    co_return co_await state.shown(number, std::move(after));
}

void FileSystem::State::note_read(objstore::InodeNumber inode) {
    if (config.atime) tree.note_read(inode);
}

SpaceReply shown_space(const FileSystemConfig& config, const objstore::LiveCounts& counts) {
    SpaceReply reply;
    if (config.space) reply = config.space();
    if (reply.total_bytes == 0) {
        constexpr std::uint64_t kUnknown = 1ULL << 50U;  // nobody knows what the peers can take: a PiB
        reply.free_bytes = kUnknown;
        reply.total_bytes = kUnknown + counts.bytes;
    }
    reply.inodes = counts.files + counts.directories;
    return reply;
}

FileSystem::Reply<SpaceReply> FileSystem::space() { co_return shown_space(state_->config, state_->tree.counts()); }

FileSystem::Reply<void> FileSystem::commit() { co_return co_await state_->commit(); }

}  // namespace fusefs
