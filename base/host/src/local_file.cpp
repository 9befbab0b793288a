#include "local_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "base/error.hpp"
#include "local_xattrs.hpp"
#include "posix_io.hpp"

namespace base::host {

namespace {

constexpr std::uint64_t kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

/// Whatever a file system says is a time.
Timestamp to_timestamp(const statx_timestamp& time) {
    return {time.tv_sec, std::min(time.tv_nsec, kNanosecondsPerSecond - 1)};
}

timespec to_timespec(const std::optional<Timestamp>& time) {
    timespec out{};
    out.tv_sec = time ? time->seconds : 0;
    out.tv_nsec = time ? static_cast<long>(time->nanoseconds) : UTIME_OMIT;
    return out;
}

bool sets_times(const Metadata& metadata) { return metadata.atime || metadata.mtime; }
std::array<timespec, 2> times_of(const Metadata& metadata) {
    return {to_timespec(metadata.atime), to_timespec(metadata.mtime)};
}

FileType type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR: return FileType::directory;
        case S_IFLNK: return FileType::symlink;
        case S_IFIFO: return FileType::fifo;
        case S_IFSOCK: return FileType::socket;
        case S_IFCHR: return FileType::character;
        case S_IFBLK: return FileType::block;
        default: return FileType::regular;
    }
}

constexpr uid_t kLeaveOwner = static_cast<uid_t>(-1);

class HostLocalFile final : public LocalFile {
  public:
    HostLocalFile(UniqueFd descriptor, std::string path) : descriptor_{std::move(descriptor)}, path_{std::move(path)} {}

    Result<FileStat> stat() override { return stat_of(descriptor_.get(), "", path_); }

    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        if (offset > kMaxOffset) return Error{Errc::bad_argument, path_};
        return read_fully(descriptor_.get(), offset, out, path_);
    }

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        if (offset > kMaxOffset || bytes.size() > kMaxOffset - offset) return Error{Errc::bad_argument, path_};
        return write_fully(descriptor_.get(), offset, std::span{&bytes, 1}, path_);
    }

    Result<std::vector<DataRange>> data_ranges() override {
        struct stat status{};
        if (::fstat(descriptor_.get(), &status) != 0) return errno_error(path_);
        std::vector<DataRange> ranges;
        for (off_t at = 0; at < status.st_size;) {
            const off_t begin = ::lseek(descriptor_.get(), at, SEEK_DATA);
            if (begin < 0 && errno == ENXIO) break;  // a hole to the end
            off_t end = begin < 0 ? -1 : ::lseek(descriptor_.get(), begin, SEEK_HOLE);
            if (end < 0) {
                if (errno != EINVAL && errno != ENOTSUP) return errno_error(path_);
                return std::vector<DataRange>{{0, static_cast<std::uint64_t>(status.st_size)}};
            }
            // The file may have grown since; what came later is the next backup's.
            if (begin >= status.st_size) break;
            end = std::min(end, status.st_size);
            ranges.push_back({static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end - begin)});
            at = end;
        }
        return ranges;
    }

    Result<void> truncate(std::uint64_t size) override {
        if (size > kMaxOffset) return Error{Errc::bad_argument, path_};
        if (retry_interrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0) {
            return errno_error(path_);
        }
        return ok();
    }

    Result<std::vector<Xattr>> xattrs() override { return XattrTarget::of_descriptor(descriptor_.get(), path_).read(); }
    Result<void> set_xattr(const Xattr& xattr) override {
        return XattrTarget::of_descriptor(descriptor_.get(), path_).set(xattr);
    }
    Result<void> set_metadata(const Metadata& metadata) override {
        return set_metadata_of(descriptor_.get(), metadata, path_);
    }

  private:
    UniqueFd descriptor_;
    std::string path_;
};

}  // namespace

Result<FileStat> stat_of(int directory, const std::string& name, const std::string& path) {
    struct statx status{};
    const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name.empty() ? AT_EMPTY_PATH : 0);
    if (::statx(directory, name.c_str(), flags, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) {
        return errno_error(path);
    }
    FileStat out;
    out.type = type_of(status.stx_mode);
    out.mode = status.stx_mode & 07777U;
    out.uid = status.stx_uid;
    out.gid = status.stx_gid;
    out.size = status.stx_size;
    out.allocated_bytes = status.stx_blocks * 512;
    out.mtime = to_timestamp(status.stx_mtime);
    out.ctime = to_timestamp(status.stx_ctime);
    out.atime = to_timestamp(status.stx_atime);
    if ((status.stx_mask & STATX_BTIME) != 0) out.btime = to_timestamp(status.stx_btime);
    out.device = makedev(status.stx_dev_major, status.stx_dev_minor);
    out.inode = status.stx_ino;
    out.nlink = status.stx_nlink;
    out.rdev = makedev(status.stx_rdev_major, status.stx_rdev_minor);
    return out;
}

Result<void> set_metadata_of(int descriptor, const Metadata& metadata, const std::string& path) {
    if (metadata.uid || metadata.gid) {
        const auto uid = metadata.uid.value_or(kLeaveOwner);
        if (::fchown(descriptor, uid, metadata.gid.value_or(kLeaveOwner)) != 0) return errno_error(path);
    }
    if (metadata.mode && ::fchmod(descriptor, *metadata.mode & 07777U) != 0) return errno_error(path);
    if (sets_times(metadata) && ::futimens(descriptor, times_of(metadata).data()) != 0) return errno_error(path);
    return ok();
}

Result<void> set_metadata_of(int directory, const std::string& name, const Metadata& metadata,
                             const std::string& path) {
    if (metadata.uid || metadata.gid) {
        const auto uid = metadata.uid.value_or(kLeaveOwner);
        const auto gid = metadata.gid.value_or(kLeaveOwner);
        if (::fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(path);
    }
    if (metadata.mode) {
        const auto mode = static_cast<mode_t>(*metadata.mode & 07777U);
        if (::fchmodat(directory, name.c_str(), mode, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOTSUP) {
            return errno_error(path);
        }
    }
    if (sets_times(metadata)) {
        const auto times = times_of(metadata);
        if (::utimensat(directory, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) return errno_error(path);
    }
    return ok();
}

std::unique_ptr<LocalFile> make_local_file(UniqueFd descriptor, std::string path) {
    return std::make_unique<HostLocalFile>(std::move(descriptor), std::move(path));
}

}  // namespace base::host
