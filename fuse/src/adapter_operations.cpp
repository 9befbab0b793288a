// Requests: what libfuse calls, as coroutines over Files.
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "adapter.hpp"

namespace fusefs {

namespace {

using base::Task;

Adapter& mount_of(fuse_req_t req) { return *static_cast<Adapter*>(fuse_req_userdata(req)); }

RequestPtr receive(fuse_req_t req) {
    auto request = std::make_shared<Request>(req, mount_of(req));
    request->wire = request->mount.wire;
    return request;
}

void run(const RequestPtr& request, Task<void> task) { request->mount.start(request, std::move(task)); }

// --- Session

/// What the kernel can do is in `capable`; libfuse has put its own defaults into `want`.
void init(void* /*user*/, fuse_conn_info* connection) {
    constexpr unsigned kNot = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_HANDLE_KILLPRIV |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                              FUSE_CAP_SPLICE_MOVE;
    constexpr unsigned kYes = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                              FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_DONT_MASK |
                              FUSE_CAP_POSIX_ACL | FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
                              FUSE_CAP_CACHE_SYMLINKS;
    constexpr unsigned kBackground = 64;  // reads ahead and direct ones
    connection->want = (connection->want & ~kNot) | (connection->capable & kYes);
    connection->max_background = kBackground;
    connection->congestion_threshold = kBackground * 3 / 4;
    connection->time_gran = 1;
}

// --- Names

Task<void> lookup(RequestPtr request, NodeId directory, std::string name) {
    request->entry(co_await request->files().lookup(directory, std::move(name)));
}

void on_lookup(fuse_req_t req, fuse_ino_t directory, const char* name) {
    const auto request = receive(req);
    run(request, lookup(request, directory, name));
}

void on_forget(fuse_req_t req, fuse_ino_t node, std::uint64_t times) {
    mount_of(req).files->forget(node, times);
    fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgotten) {
    for (std::size_t i = 0; i < count; ++i) mount_of(req).files->forget(forgotten[i].ino, forgotten[i].nlookup);
    fuse_reply_none(req);
}

Task<void> make_node(RequestPtr request, NodeId directory, std::string name, base::FileType type, std::uint32_t mode,
                     std::uint64_t rdev) {
    const auto caller = request->caller();
    request->entry(co_await request->files().make_node(caller, directory, std::move(name), type, mode, rdev));
}

void on_mknod(fuse_req_t req, fuse_ino_t directory, const char* name, mode_t mode, dev_t rdev) {
    const auto request = receive(req);
    auto type = base::FileType::regular;
    switch (mode & S_IFMT) {
        case 0:
        case S_IFREG: break;
        case S_IFIFO: type = base::FileType::fifo; break;
        case S_IFSOCK: type = base::FileType::socket; break;
        case S_IFCHR: type = base::FileType::character; break;
        case S_IFBLK: type = base::FileType::block; break;
        default: return request->fail(EINVAL);
    }
    const bool device = type == base::FileType::character || type == base::FileType::block;
    run(request, make_node(request, directory, name, type, mode & 07777U, device ? rdev : 0));
}

void on_mkdir(fuse_req_t req, fuse_ino_t directory, const char* name, mode_t mode) {
    const auto request = receive(req);
    run(request, make_node(request, directory, name, base::FileType::directory, mode & 07777U, 0));
}

Task<void> make_symlink(RequestPtr request, std::string target, NodeId directory, std::string name) {
    const auto caller = request->caller();
    request->entry(co_await request->files().make_symlink(caller, directory, std::move(name), std::move(target)));
}

void on_symlink(fuse_req_t req, const char* target, fuse_ino_t directory, const char* name) {
    const auto request = receive(req);
    run(request, make_symlink(request, target, directory, name));
}

Task<void> read_link(RequestPtr request, NodeId node) {
    const auto target = co_await request->files().read_link(node);
    if (!target) co_return request->fail(error_number(target.error()));
    request->answered = true;
    fuse_reply_readlink(request->req, target->c_str());
}

void on_readlink(fuse_req_t req, fuse_ino_t node) {
    const auto request = receive(req);
    run(request, read_link(request, node));
}

Task<void> unlink(RequestPtr request, NodeId directory, std::string name) {
    request->done(co_await request->files().unlink(directory, std::move(name)));
}

void on_unlink(fuse_req_t req, fuse_ino_t directory, const char* name) {
    const auto request = receive(req);
    run(request, unlink(request, directory, name));
}

Task<void> remove_directory(RequestPtr request, NodeId directory, std::string name) {
    request->done(co_await request->files().remove_directory(directory, std::move(name)));
}

void on_rmdir(fuse_req_t req, fuse_ino_t directory, const char* name) {
    const auto request = receive(req);
    run(request, remove_directory(request, directory, name));
}

Task<void> rename(RequestPtr request, NodeId from, std::string name, NodeId to, std::string new_name, RenameFlag flag) {
    request->done(co_await request->files().rename(from, std::move(name), to, std::move(new_name), flag));
}

void on_rename(fuse_req_t req, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned flags) {
    const auto request = receive(req);
    auto flag = RenameFlag::replace;
    switch (flags) {
        case 0: break;
        case RENAME_NOREPLACE: flag = RenameFlag::no_replace; break;
        case RENAME_EXCHANGE: flag = RenameFlag::exchange; break;
        default: return request->fail(EINVAL);
    }
    run(request, rename(request, from, name, to, new_name, flag));
}

Task<void> link(RequestPtr request, NodeId node, NodeId directory, std::string name) {
    request->entry(co_await request->files().link(node, directory, std::move(name)));
}

void on_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t directory, const char* name) {
    const auto request = receive(req);
    run(request, link(request, node, directory, name));
}

// --- Attributes

Task<void> get_attributes(RequestPtr request, NodeId node) {
    request->attributes(co_await request->files().attributes(node));
}

void on_getattr(fuse_req_t req, fuse_ino_t node, fuse_file_info* /*info*/) {
    const auto request = receive(req);
    run(request, get_attributes(request, node));
}

Task<void> set_attributes(RequestPtr request, NodeId node, AttributeRequest change) {
    request->attributes(co_await request->files().set_attributes(node, change));
}

base::Timestamp to_timestamp(const timespec& time) { return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)}; }

void on_setattr(fuse_req_t req, fuse_ino_t node, struct stat* wanted, int which, fuse_file_info* info) {
    const auto request = receive(req);
    AttributeRequest change;
    if ((which & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted->st_mode & 07777U;
    if ((which & FUSE_SET_ATTR_UID) != 0) change.uid = wanted->st_uid;
    if ((which & FUSE_SET_ATTR_GID) != 0) change.gid = wanted->st_gid;
    if ((which & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<std::uint64_t>(wanted->st_size);
    if ((which & FUSE_SET_ATTR_ATIME) != 0) change.atime = to_timestamp(wanted->st_atim);
    if ((which & FUSE_SET_ATTR_MTIME) != 0) change.mtime = to_timestamp(wanted->st_mtim);
    change.atime_now = (which & FUSE_SET_ATTR_ATIME_NOW) != 0;
    change.mtime_now = (which & FUSE_SET_ATTR_MTIME_NOW) != 0;
    change.drop_set_ids = request->wire.drop_set_ids;
    if (info != nullptr) change.handle = info->fh;
    run(request, set_attributes(request, node, change));
}

Task<void> get_xattr(RequestPtr request, NodeId node, std::string name, std::size_t limit) {
    const auto value = co_await request->files().get_xattr(node, std::move(name));
    if (!value) co_return request->fail(error_number(value.error()));
    request->bytes_or_length(*value, limit);
}

void on_getxattr(fuse_req_t req, fuse_ino_t node, const char* name, std::size_t limit) {
    const auto request = receive(req);
    run(request, get_xattr(request, node, name, limit));
}

Task<void> list_xattrs(RequestPtr request, NodeId node, std::size_t limit) {
    const auto caller = request->caller();
    const auto names = co_await request->files().list_xattrs(caller, node);
    if (!names) co_return request->fail(error_number(names.error()));
    std::string joined;
    for (const auto& name : *names) joined.append(name).push_back('\0');
    request->bytes_or_length(base::as_bytes(joined), limit);
}

void on_listxattr(fuse_req_t req, fuse_ino_t node, std::size_t limit) {
    const auto request = receive(req);
    run(request, list_xattrs(request, node, limit));
}

Task<void> set_xattr(RequestPtr request, NodeId node, std::string name, base::Bytes value, SetXattrFlag flag) {
    const auto caller = request->caller();
    request->done(co_await request->files().set_xattr(caller, node, std::move(name), std::move(value), flag));
}

void on_setxattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value, std::size_t size, int flags) {
    const auto request = receive(req);
    constexpr int kCreate = 1;  // XATTR_CREATE and XATTR_REPLACE of <sys/xattr.h>
    constexpr int kReplace = 2;
    auto flag = SetXattrFlag::any;
    if (flags == kCreate) flag = SetXattrFlag::create;
    if (flags == kReplace) flag = SetXattrFlag::replace;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(value);
    run(request, set_xattr(request, node, name, base::Bytes(bytes, bytes + size), flag));
}

Task<void> remove_xattr(RequestPtr request, NodeId node, std::string name) {
    request->done(co_await request->files().remove_xattr(node, std::move(name)));
}

void on_removexattr(fuse_req_t req, fuse_ino_t node, const char* name) {
    const auto request = receive(req);
    run(request, remove_xattr(request, node, name));
}

Task<void> space(RequestPtr request) {
    const auto found = co_await request->files().space();
    if (!found) co_return request->fail(error_number(found.error()));
    constexpr std::uint64_t kUnit = 4096;
    constexpr std::uint64_t kFreeInodes = 1ULL << 40U;  // numbers never run out; programs want to see some
    constexpr unsigned kNameMax = 255;
    struct statvfs out{};
    out.f_bsize = kUnit;
    out.f_frsize = kUnit;
    out.f_blocks = found->total_bytes / kUnit;
    out.f_bfree = found->free_bytes / kUnit;
    out.f_bavail = out.f_bfree;
    out.f_files = found->inodes + kFreeInodes;
    out.f_ffree = kFreeInodes;
    out.f_favail = kFreeInodes;
    out.f_namemax = kNameMax;
    request->answered = true;
    fuse_reply_statfs(request->req, &out);
}

void on_statfs(fuse_req_t req, fuse_ino_t /*node*/) {
    const auto request = receive(req);
    run(request, space(request));
}

// --- Files

OpenFlags to_flags(const Request& request, int flags) {
    OpenFlags out;
    out.write = (flags & O_ACCMODE) != O_RDONLY;
    out.truncate = (flags & O_TRUNC) != 0;
    out.no_atime = (flags & O_NOATIME) != 0;
    out.exclusive = (flags & O_EXCL) != 0;
    out.drop_set_ids = request.wire.drop_set_ids;
    return out;
}

Task<void> create(RequestPtr request, NodeId directory, std::string name, std::uint32_t mode, fuse_file_info info) {
    const auto caller = request->caller();
    const auto flags = to_flags(*request, info.flags);
    request->create(co_await request->files().create(caller, directory, std::move(name), mode, flags), info);
}

void on_create(fuse_req_t req, fuse_ino_t directory, const char* name, mode_t mode, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, create(request, directory, name, mode & 07777U, *info));
}

Task<void> open(RequestPtr request, NodeId node, fuse_file_info info) {
    const auto flags = to_flags(*request, info.flags);
    request->open(co_await request->files().open(node, flags), info);
}

void on_open(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, open(request, node, *info));
}

Task<void> read(RequestPtr request, NodeId node, HandleId handle, std::uint64_t offset, std::uint64_t length) {
    const auto found = co_await request->files().read(node, handle, offset, length);
    if (!found) co_return request->fail(error_number(found.error()));
    request->pieces(*found);
}

void on_read(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, read(request, node, info->fh, static_cast<std::uint64_t>(offset), size));
}

Task<void> write(RequestPtr request, WriteRequest what, base::ByteView bytes) {
    const auto done = co_await request->files().write(what, bytes);
    if (!done) co_return request->fail(error_number(done.error()));
    request->answered = true;
    fuse_reply_write(request->req, bytes.size());
}

void on_write(fuse_req_t req, fuse_ino_t node, const char* bytes, std::size_t size, off_t offset,
              fuse_file_info* info) {
    const auto request = receive(req);
    request->reads_buffer = true;
    WriteRequest what;
    what.node = node;
    what.handle = info->fh;
    what.offset = static_cast<std::uint64_t>(offset);
    what.append = (info->flags & O_APPEND) != 0;
    what.from_page_cache = info->writepage != 0;
    what.drop_set_ids = request->wire.drop_set_ids;
    run(request, write(request, what, {reinterpret_cast<const std::uint8_t*>(bytes), size}));
}

Task<void> flush(RequestPtr request, NodeId node, HandleId handle, std::uint64_t owner) {
    request->done(co_await request->files().flush(node, handle, owner));
}

void on_flush(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, flush(request, node, info->fh, info->lock_owner));
}

void on_release(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
    std::optional<std::uint64_t> owner;
    if (info->flock_release != 0) owner = info->lock_owner;
    mount_of(req).files->release(node, info->fh, owner);
    fuse_reply_err(req, 0);
}

Task<void> sync(RequestPtr request, NodeId node, HandleId handle) {
    request->done(co_await request->files().sync(node, handle));
}

void on_fsync(fuse_req_t req, fuse_ino_t node, int /*data_only*/, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, sync(request, node, info->fh));
}

/// The kernel does not say of these whether set-id bits may stay, as it does of a write.
bool may_not_keep_set_ids(const Request& request) { return request.caller().uid != 0; }

Task<void> allocate(RequestPtr request, AllocateRequest what) {
    request->done(co_await request->files().allocate(what));
}

void on_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length, fuse_file_info* info) {
    const auto request = receive(req);
    auto what = Allocation::extend;
    switch (mode) {
        case 0: break;
        case FALLOC_FL_KEEP_SIZE: what = Allocation::keep_size; break;
        case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE: what = Allocation::punch; break;
        case FALLOC_FL_ZERO_RANGE: what = Allocation::zero; break;
        case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE: what = Allocation::zero_inside; break;
        default: return request->fail(EOPNOTSUPP);
    }
    AllocateRequest wanted;
    wanted.node = node;
    wanted.handle = info->fh;
    wanted.what = what;
    wanted.offset = static_cast<std::uint64_t>(offset);
    wanted.length = static_cast<std::uint64_t>(length);
    wanted.drop_set_ids = may_not_keep_set_ids(*request);
    run(request, allocate(request, wanted));
}

Task<void> seek(RequestPtr request, NodeId node, std::uint64_t offset, bool hole) {
    const auto found = co_await request->files().seek(node, offset, hole);
    if (!found) co_return request->fail(error_number(found.error()));
    request->answered = true;
    fuse_reply_lseek(request->req, static_cast<off_t>(*found));
}

void on_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, fuse_file_info* /*info*/) {
    const auto request = receive(req);
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return request->fail(EINVAL);
    run(request, seek(request, node, static_cast<std::uint64_t>(offset), whence == SEEK_HOLE));
}

Task<void> copy_range(RequestPtr request, CopyRequest what) {
    const auto copied = co_await request->files().copy_range(what);
    if (!copied) co_return request->fail(error_number(copied.error()));
    request->answered = true;
    fuse_reply_write(request->req, *copied);
}

void on_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset, fuse_file_info* /*from_info*/,
                        fuse_ino_t to, off_t to_offset, fuse_file_info* to_info, std::size_t length, int /*flags*/) {
    const auto request = receive(req);
    constexpr std::size_t kMost = 1U << 30U;  // the answer has 32 bits
    CopyRequest what;
    what.from = from;
    what.from_offset = static_cast<std::uint64_t>(from_offset);
    what.to = to;
    what.to_handle = to_info->fh;
    what.to_offset = static_cast<std::uint64_t>(to_offset);
    what.length = std::min(length, kMost);
    what.drop_set_ids = may_not_keep_set_ids(*request);
    run(request, copy_range(request, what));
}

// --- Directories

Task<void> open_directory(RequestPtr request, NodeId node, fuse_file_info info) {
    request->open(co_await request->files().open_directory(node), info);
}

void on_opendir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
    const auto request = receive(req);
    run(request, open_directory(request, node, *info));
}

Task<void> list(RequestPtr request, NodeId node, std::uint64_t offset, std::size_t size, bool with_attributes) {
    // As many as can fit if their names are short.
    constexpr std::size_t kShortest = 32;
    constexpr std::size_t kShortestPlus = 160;
    const auto limit = std::max<std::size_t>(1, size / (with_attributes ? kShortestPlus : kShortest));
    const auto entries = co_await request->files().list(node, offset, limit, with_attributes);
    if (!entries) co_return request->fail(error_number(entries.error()));
    request->listing(*entries, size, with_attributes);
}

void on_readdir(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* /*info*/) {
    const auto request = receive(req);
    run(request, list(request, node, static_cast<std::uint64_t>(offset), size, false));
}

void on_readdirplus(fuse_req_t req, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* /*info*/) {
    const auto request = receive(req);
    run(request, list(request, node, static_cast<std::uint64_t>(offset), size, true));
}

void on_releasedir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
    mount_of(req).files->release_directory(node, info->fh);
    fuse_reply_err(req, 0);
}

Task<void> sync_directory(RequestPtr request, NodeId node) {
    request->done(co_await request->files().sync_directory(node));
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t node, int /*data_only*/, fuse_file_info* /*info*/) {
    const auto request = receive(req);
    run(request, sync_directory(request, node));
}

// --- Locks

Lock to_lock(const struct flock& from, std::uint64_t owner) {
    Lock lock;
    lock.type = from.l_type == F_RDLCK   ? Lock::Type::read
                : from.l_type == F_WRLCK ? Lock::Type::write
                                         : Lock::Type::none;
    lock.start = static_cast<std::uint64_t>(from.l_start);
    if (from.l_len > 0) lock.end = lock.start + static_cast<std::uint64_t>(from.l_len) - 1;
    lock.owner = owner;
    lock.pid = static_cast<std::uint32_t>(from.l_pid);
    return lock;
}

struct flock to_flock(const std::optional<Lock>& found) {
    struct flock out{};
    out.l_type = F_UNLCK;
    out.l_whence = SEEK_SET;
    if (!found) return out;
    out.l_type = found->type == Lock::Type::read ? F_RDLCK : F_WRLCK;
    out.l_start = static_cast<off_t>(found->start);
    out.l_len = found->end == UINT64_MAX ? 0 : static_cast<off_t>(found->end - found->start + 1);
    out.l_pid = static_cast<pid_t>(found->pid);
    return out;
}

Task<void> test_lock(RequestPtr request, NodeId node, Lock lock) {
    const auto found = co_await request->files().test_lock(node, lock);
    if (!found) co_return request->fail(error_number(found.error()));
    const struct flock out = to_flock(*found);
    request->answered = true;
    fuse_reply_lock(request->req, &out);
}

void on_getlk(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, struct flock* lock) {
    const auto request = receive(req);
    run(request, test_lock(request, node, to_lock(*lock, info->lock_owner)));
}

Task<void> set_lock(RequestPtr request, NodeId node, HandleId handle, Lock lock, bool wait) {
    request->done(co_await request->files().set_lock(node, handle, lock, wait));
}

void on_setlk(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, struct flock* lock, int wait) {
    const auto request = receive(req);
    request->waits_for_ever = wait != 0;
    run(request, set_lock(request, node, info->fh, to_lock(*lock, info->lock_owner), wait != 0));
}

Task<void> set_flock(RequestPtr request, NodeId node, Lock lock, bool wait) {
    request->done(co_await request->files().set_flock(node, lock, wait));
}

void on_flock(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, int operation) {
    const auto request = receive(req);
    const bool wait = (operation & LOCK_NB) == 0;
    request->waits_for_ever = wait;
    Lock lock;
    if ((operation & LOCK_SH) != 0) lock.type = Lock::Type::read;
    if ((operation & LOCK_EX) != 0) lock.type = Lock::Type::write;
    lock.owner = info->lock_owner;
    run(request, set_flock(request, node, lock, wait));
}

fuse_lowlevel_ops make_operations() {
    fuse_lowlevel_ops all{};
    all.init = init;
    all.lookup = on_lookup;
    all.forget = on_forget;
    all.forget_multi = on_forget_multi;
    all.getattr = on_getattr;
    all.setattr = on_setattr;
    all.readlink = on_readlink;
    all.mknod = on_mknod;
    all.mkdir = on_mkdir;
    all.unlink = on_unlink;
    all.rmdir = on_rmdir;
    all.symlink = on_symlink;
    all.rename = on_rename;
    all.link = on_link;
    all.create = on_create;
    all.open = on_open;
    all.read = on_read;
    all.write = on_write;
    all.flush = on_flush;
    all.release = on_release;
    all.fsync = on_fsync;
    all.opendir = on_opendir;
    all.readdir = on_readdir;
    all.readdirplus = on_readdirplus;
    all.releasedir = on_releasedir;
    all.fsyncdir = on_fsyncdir;
    all.statfs = on_statfs;
    all.setxattr = on_setxattr;
    all.getxattr = on_getxattr;
    all.listxattr = on_listxattr;
    all.removexattr = on_removexattr;
    all.getlk = on_getlk;
    all.setlk = on_setlk;
    all.flock = on_flock;
    all.fallocate = on_fallocate;
    all.lseek = on_lseek;
    all.copy_file_range = on_copy_file_range;
    return all;
}

}  // namespace

const fuse_lowlevel_ops& operations() {
    static const fuse_lowlevel_ops kAll = make_operations();
    return kAll;
}

}  // namespace fusefs
