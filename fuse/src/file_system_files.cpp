// Open files and directories: content, handles, durability.
#include <algorithm>

#include "file_system_state.hpp"

namespace fusefs {

// --- Handles

HandleId FileSystem::State::open(objstore::InodeNumber inode, bool no_atime) {
    tree.pin(inode);
    auto& file = files[inode];
    ++file.handles;
    Handle handle;
    handle.inode = inode;
    handle.no_atime = no_atime;
    handle.failures = file.failures;
    handles.emplace(next_handle, std::move(handle));
    return next_handle++;
}

bool FileSystem::State::cache_is_good(objstore::InodeNumber inode) {
    return changed_elsewhere.erase(inode) == 0 && config.coherence != Coherence::strict;
}

void FileSystem::State::close(HandleId id) {
    const auto found = handles.find(id);
    if (found == handles.end()) return;
    const auto inode = found->second.inode;
    handles.erase(found);
    const auto file = files.find(inode);
    if (--file->second.handles == 0) files.erase(file);
    tree.unpin(inode);
}

Handle* FileSystem::State::find(HandleId id) {
    const auto found = handles.find(id);
    return found == handles.end() ? nullptr : &found->second;
}

bool FileSystem::State::failed(const Handle& handle) const {
    return handle.failures != files.at(handle.inode).failures;
}

base::Task<base::Result<void>> FileSystem::State::commit_for(objstore::InodeNumber inode, HandleId id) {
    if (const auto* handle = find(id); handle != nullptr && failed(*handle)) co_return posix(std::errc::io_error);
    auto done = co_await commit();
    auto* handle = find(id);
    if (done && handle != nullptr) handle->wrote = false;
    // What the call was to make durable is not: every handle of the file says so until it is opened anew.
    if (const auto file = files.find(inode); !done && file != files.end()) ++file->second.failures;
    co_return done;
}

FileSystem::Reply<OpenReply> FileSystem::open(NodeId node, OpenFlags flags) {
    State& state = *state_;
    const auto inode = state.inode(node);
    BASE_CO_CHECK(co_await state.newest());
    if (flags.truncate) {
        if (flags.drop_set_ids) BASE_CO_CHECK(co_await state.drop_set_ids(inode));
        BASE_CO_CHECK(co_await state.tree.resize(inode, 0));
        BASE_CO_CHECK(co_await state.settle());
    }
    OpenReply reply;
    reply.keep_cache = state.cache_is_good(inode);
    // Closing a descriptor gives back the process's locks on the file, so it is told of where there are any. Who locks
    // through a descriptor that only reads loses the locks with it (release()).
    reply.no_flush = !flags.write && !state.ranges.locked(inode);
    reply.handle = state.open(inode, flags.no_atime);
    if (auto* handle = state.find(reply.handle); flags.truncate) handle->wrote = true;
    co_return reply;
}

FileSystem::Reply<CreateReply> FileSystem::create(Caller caller, NodeId directory, std::string name, std::uint32_t mode,
                                                  OpenFlags flags) {
    State& state = *state_;
    objstore::NewInode what;
    what.mode = mode;
    auto made = co_await state.create(caller, state.inode(directory), std::move(name), std::move(what));
    if (!made) {
        // The kernel believed the name to be free. Made to look again, it opens what is there as any other file, with
        // the checks that belong to that.
        const bool taken = made.error() == std::make_error_condition(std::errc::file_exists);
        if (taken && !flags.exclusive) co_return posix(static_cast<std::errc>(ESTALE));
        co_return made.error();
    }
    BASE_CO_CHECK(co_await state.settle());
    CreateReply reply;
    BASE_CO_TRY(reply.entry, co_await state.give(*made));
    reply.open.keep_cache = true;
    reply.open.no_flush = !flags.write;
    reply.open.handle = state.open(*made, flags.no_atime);
    state.find(reply.open.handle)->wrote = true;
    co_return reply;
}

// --- Content

FileSystem::Reply<std::vector<objstore::ReadPiece>> FileSystem::read(NodeId node, HandleId id, std::uint64_t offset,
                                                                     std::uint64_t length) {
    State& state = *state_;
    const auto inode = state.inode(node);
    const auto* handle = state.find(id);
    const bool keeps_atime = handle != nullptr && handle->no_atime;
    BASE_CO_TRY(auto pieces, co_await state.tree.read(inode, offset, length));
    if (!keeps_atime) state.note_read(inode);
    co_return pieces;
}

FileSystem::Reply<void> FileSystem::write(WriteRequest request, base::ByteView bytes) {
    State& state = *state_;
    const auto inode = state.inode(request.node);
    const auto* handle = state.find(request.handle);
    if (handle != nullptr && state.failed(*handle)) co_return posix(std::errc::io_error);
    if (request.drop_set_ids) BASE_CO_CHECK(co_await state.drop_set_ids(inode));
    std::uint64_t offset = request.offset;
    if (request.append && !request.from_page_cache) {
        BASE_CO_TRY(offset, co_await state.tree.append(inode, bytes));
    } else {
        BASE_CO_CHECK(co_await state.tree.write(inode, offset, bytes));
    }
    // The kernel has the bytes in its cache where it believed the end to be.
    if (offset != request.offset) state.kernel.drop_inode(request.node);
    if (auto* open = state.find(request.handle)) open->wrote = true;
    if (state.config.durability == Durability::write) co_return co_await state.commit_for(inode, request.handle);
    co_return base::ok();
}

FileSystem::Reply<void> FileSystem::allocate(AllocateRequest request) {
    State& state = *state_;
    const auto inode = state.inode(request.node);
    if (const auto* handle = state.find(request.handle); handle != nullptr && state.failed(*handle))
        co_return posix(std::errc::io_error);
    const auto end = request.offset + request.length;
    if (end < request.offset || end > INT64_MAX) co_return posix(std::errc::file_too_large);
    const auto what = request.what;
    const bool clears = what != Allocation::extend && what != Allocation::keep_size;
    const bool grows = what == Allocation::extend || what == Allocation::zero;
    if (request.drop_set_ids) BASE_CO_CHECK(co_await state.drop_set_ids(inode));
    if (clears) BASE_CO_CHECK(co_await state.tree.punch(inode, request.offset, request.length));
    BASE_CO_TRY(const auto now_is, co_await state.tree.get(inode));
    if (grows && now_is.size < end) BASE_CO_CHECK(co_await state.tree.resize(inode, end));
    if (auto* open = state.find(request.handle)) open->wrote = true;
    co_return co_await state.settle();
}

FileSystem::Reply<std::uint64_t> FileSystem::seek(NodeId node, std::uint64_t offset, bool hole) {
    co_return co_await state_->tree.seek(state_->inode(node), offset, hole);
}

FileSystem::Reply<std::uint64_t> FileSystem::copy_range(CopyRequest request) {
    State& state = *state_;
    const auto* handle = state.find(request.to_handle);
    if (handle != nullptr && state.failed(*handle)) co_return posix(std::errc::io_error);
    const auto to = state.inode(request.to);
    if (request.drop_set_ids) BASE_CO_CHECK(co_await state.drop_set_ids(to));
    BASE_CO_TRY(const auto copied, co_await state.tree.copy_range(state.inode(request.from), request.from_offset, to,
                                                                  request.to_offset, request.length));
    if (auto* open = state.find(request.to_handle)) open->wrote = true;
    BASE_CO_CHECK(co_await state.settle());
    co_return copied;
}

// --- Closing and syncing

FileSystem::Reply<void> FileSystem::flush(NodeId node, HandleId id, std::uint64_t lock_owner) {
    State& state = *state_;
    const auto inode = state.inode(node);
    state.ranges.release(inode, lock_owner);
    const auto* handle = state.find(id);
    if (handle == nullptr) co_return base::ok();
    if (state.failed(*handle)) co_return posix(std::errc::io_error);
    if (state.config.durability != Durability::close || !handle->wrote) co_return base::ok();
    co_return co_await state.commit_for(inode, id);
}

void FileSystem::release(NodeId node, HandleId id, std::optional<std::uint64_t> flock_owner) {
    State& state = *state_;
    const auto inode = state.inode(node);
    if (flock_owner) state.flocks.release(inode, *flock_owner);
    if (const auto* handle = state.find(id)) {
        for (const auto owner : handle->lock_owners) state.ranges.release(inode, owner);
    }
    state.close(id);
}

FileSystem::Reply<void> FileSystem::sync(NodeId node, HandleId handle) {
    co_return co_await state_->commit_for(state_->inode(node), handle);
}

// --- Directories

FileSystem::Reply<OpenReply> FileSystem::open_directory(NodeId node) {
    State& state = *state_;
    BASE_CO_CHECK(co_await state.newest());
    OpenReply reply;
    reply.keep_cache = state.cache_is_good(state.inode(node));
    reply.keep_listing = state.config.coherence != Coherence::strict;
    reply.handle = state.open(state.inode(node), false);
    co_return reply;
}

FileSystem::Reply<std::vector<DirectoryEntry>> FileSystem::list(NodeId node, std::uint64_t offset, std::size_t limit,
                                                                bool with_attributes) {
    State& state = *state_;
    const auto inode = state.inode(node);
    std::vector<DirectoryEntry> listed;
    if (offset == 0 && limit > 0) listed.push_back({".", node, base::FileType::directory, 1, std::nullopt});
    if (offset <= 1 && listed.size() < limit) {
        NodeId above = node;
        if (node != kRootNode) {
            BASE_CO_TRY(const auto parent, co_await state.tree.parent(inode));
            above = state.node(parent);
        }
        listed.push_back({"..", above, base::FileType::directory, 2, std::nullopt});
    }
    if (listed.size() == limit) co_return listed;
    BASE_CO_TRY(auto entries, co_await state.tree.list(inode, offset < 3 ? 0 : offset, limit - listed.size()));
    if (with_attributes) {
        std::vector<objstore::InodeNumber> inodes;
        for (const auto& each : entries) inodes.push_back(each.entry.inode);
        co_await state.tree.get_ready(std::move(inodes));
    }
    for (auto& [entry, place] : entries) {
        DirectoryEntry each{std::move(entry.name), state.node(entry.inode), entry.type, place, std::nullopt};
        if (with_attributes) {
            // One that cannot be read is listed all the same: whoever looks at it is told.
            auto attributes = co_await state.tree.get(entry.inode);
            if (attributes) each.attributes = co_await state.shown(entry.inode, std::move(*attributes));
        }
        listed.push_back(std::move(each));
    }
    if (offset == 0) state.note_read(inode);
    co_return listed;
}

void FileSystem::release_directory(NodeId /*node*/, HandleId handle) { state_->close(handle); }

FileSystem::Reply<void> FileSystem::sync_directory(NodeId /*node*/) { co_return co_await state_->commit(); }

// --- Locks

FileSystem::Reply<std::optional<Lock>> FileSystem::test_lock(NodeId node, Lock lock) {
    co_return state_->ranges.conflict(state_->inode(node), lock);
}

FileSystem::Reply<void> FileSystem::set_lock(NodeId node, HandleId id, Lock lock, bool wait) {
    State& state = *state_;
    const auto inode = state.inode(node);
    BASE_CO_CHECK(co_await state.ranges.set(inode, lock, wait));
    auto* handle = state.find(id);
    if (handle == nullptr || lock.type == Lock::Type::none) co_return base::ok();
    if (std::ranges::find(handle->lock_owners, lock.owner) == handle->lock_owners.end())
        handle->lock_owners.push_back(lock.owner);
    co_return base::ok();
}

FileSystem::Reply<void> FileSystem::set_flock(NodeId node, Lock lock, bool wait) {
    State& state = *state_;
    const auto inode = state.inode(node);
    // A change of kind is not atomic: what was held is given back first (flock(2)).
    if (state.flocks.held(inode, lock.owner) != lock.type) state.flocks.release(inode, lock.owner);
    co_return co_await state.flocks.set(inode, lock, wait);
}

}  // namespace fusefs
