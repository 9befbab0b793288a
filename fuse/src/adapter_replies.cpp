// Answers: values to what libfuse sends.
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "adapter.hpp"

namespace fusefs {

namespace {

constexpr blksize_t kPreferredBytes = 128 << 10;
constexpr std::size_t kMaxParts = 512;  // of one answer; a message has at most IOV_MAX
constexpr std::size_t kZeroBytes = 64U << 10U;

mode_t type_bits(base::FileType type) {
    switch (type) {
        case base::FileType::regular: return S_IFREG;
        case base::FileType::directory: return S_IFDIR;
        case base::FileType::symlink: return S_IFLNK;
        case base::FileType::fifo: return S_IFIFO;
        case base::FileType::socket: return S_IFSOCK;
        case base::FileType::character: return S_IFCHR;
        case base::FileType::block: return S_IFBLK;
    }
    return 0;
}

timespec to_timespec(const base::Timestamp& time) { return {time.seconds, static_cast<long>(time.nanoseconds)}; }

struct stat to_stat(const Attributes& attributes) {
    const auto& inode = attributes.inode;
    struct stat out{};
    out.st_ino = attributes.number;
    out.st_mode = type_bits(inode.type) | inode.mode;
    out.st_nlink = inode.nlink;
    out.st_uid = inode.uid;
    out.st_gid = inode.gid;
    out.st_rdev = inode.rdev;
    out.st_size = static_cast<off_t>(inode.size);
    out.st_blksize = kPreferredBytes;
    out.st_blocks = static_cast<blkcnt_t>((attributes.allocated_bytes + 511) / 512);
    out.st_atim = to_timespec(inode.atime);
    out.st_mtim = to_timespec(inode.mtime);
    out.st_ctim = to_timespec(inode.ctime);
    return out;
}

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// The kernel leaves it to us to drop set-id bits, and does not notice when we do.
bool may_change_unseen(const objstore::Inode& inode) {
    return inode.type == base::FileType::regular && (inode.mode & (S_ISUID | S_ISGID)) != 0;
}

fuse_entry_param to_entry(const EntryReply& entry, double cache_seconds) {
    fuse_entry_param out{};
    out.ino = entry.node;  // 0: no such name
    out.entry_timeout = cache_seconds;
    if (entry.node == 0) return out;
    out.attr = to_stat(entry.attributes);
    out.attr_timeout = may_change_unseen(entry.attributes.inode) ? 0 : cache_seconds;
    return out;
}

iovec to_part(const std::uint8_t* bytes, std::size_t size) {
    return {const_cast<std::uint8_t*>(bytes), size};  // NOLINT: iovec serves both ways, this one is only read
}

}  // namespace

Files& Request::files() const { return *mount.files; }

Caller Request::caller() const {
    const auto* who = fuse_req_ctx(req);
    return {who->uid, who->gid, static_cast<std::uint32_t>(who->pid), who->umask};
}

void Request::fail(int error) {
    answered = true;
    fuse_reply_err(req, error);
}

// The kernel remembers a node only if it got the answer: an interrupted caller may be gone.
void Request::entry(const base::Result<EntryReply>& result) {
    if (!result) return fail(error_number(result.error()));
    answered = true;
    const auto out = to_entry(*result, seconds(files().cache_time()));
    if (fuse_reply_entry(req, &out) != 0 && out.ino != 0) files().forget(out.ino, 1);
}

void Request::attributes(const base::Result<Attributes>& result) {
    if (!result) return fail(error_number(result.error()));
    answered = true;
    const auto out = to_stat(*result);
    fuse_reply_attr(req, &out, may_change_unseen(result->inode) ? 0 : seconds(files().cache_time()));
}

void Request::open(const base::Result<OpenReply>& result, fuse_file_info info) {
    if (!result) return fail(error_number(result.error()));
    answered = true;
    info.fh = result->handle;
    info.keep_cache = result->keep_cache ? 1 : 0;
    info.noflush = result->no_flush ? 1 : 0;
    info.cache_readdir = result->keep_listing ? 1 : 0;
    if (fuse_reply_open(req, &info) != 0) files().release(0, result->handle, std::nullopt);
}

void Request::create(const base::Result<CreateReply>& result, fuse_file_info info) {
    if (!result) return fail(error_number(result.error()));
    answered = true;
    const auto out = to_entry(result->entry, seconds(files().cache_time()));
    info.fh = result->open.handle;
    info.keep_cache = result->open.keep_cache ? 1 : 0;
    info.noflush = result->open.no_flush ? 1 : 0;
    if (fuse_reply_create(req, &out, &info) == 0) return;
    files().release(out.ino, result->open.handle, std::nullopt);
    files().forget(out.ino, 1);
}

void Request::bytes(base::ByteView bytes) {
    answered = true;
    fuse_reply_buf(req, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Request::bytes_or_length(base::ByteView found, std::size_t limit) {
    if (limit == 0) {
        answered = true;
        fuse_reply_xattr(req, found.size());
    } else if (found.size() > limit) {
        fail(ERANGE);
    } else {
        bytes(found);
    }
}

void Request::pieces(const std::vector<objstore::ReadPiece>& pieces) {
    static const std::array<std::uint8_t, kZeroBytes> kZeros{};
    std::vector<iovec> parts;
    parts.reserve(pieces.size());
    for (const auto& piece : pieces) {
        if (!piece.bytes.empty()) {
            parts.push_back(to_part(piece.bytes.data(), piece.bytes.size()));
            continue;
        }
        for (auto left = piece.length; left > 0;) {
            const auto some = std::min<std::uint64_t>(left, kZeroBytes);
            parts.push_back(to_part(kZeros.data(), some));
            left -= some;
        }
    }
    answered = true;
    if (parts.size() <= kMaxParts) {
        fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
        return;
    }
    base::Bytes whole;
    for (const auto& part : parts) {
        const auto* from = static_cast<const std::uint8_t*>(part.iov_base);
        whole.insert(whole.end(), from, from + part.iov_len);
    }
    fuse_reply_buf(req, reinterpret_cast<const char*>(whole.data()), whole.size());
}

void Request::listing(const std::vector<DirectoryEntry>& entries, std::size_t limit, bool with_attributes) {
    std::vector<char> out(limit);
    std::size_t used = 0;
    std::vector<NodeId> remembered;
    const double cache_seconds = seconds(files().cache_time());
    for (const auto& each : entries) {
        const auto next = static_cast<off_t>(each.offset);
        const bool whole = with_attributes && each.attributes && !each.is_dot();
        struct stat kind{};
        kind.st_ino = each.node;
        kind.st_mode = type_bits(each.type);
        std::size_t size = 0;
        if (with_attributes) {
            fuse_entry_param entry{};
            entry.attr = kind;
            if (whole) entry = to_entry({each.node, *each.attributes}, cache_seconds);
            size = fuse_add_direntry_plus(req, out.data() + used, limit - used, each.name.c_str(), &entry, next);
        } else {
            size = fuse_add_direntry(req, out.data() + used, limit - used, each.name.c_str(), &kind, next);
        }
        if (size > limit - used) break;
        used += size;
        if (whole) remembered.push_back(each.node);
    }
    for (const auto node : remembered) files().remember(node);
    answered = true;
    if (fuse_reply_buf(req, out.data(), used) == 0) return;
    for (const auto node : remembered) files().forget(node, 1);
}

}  // namespace fusefs
