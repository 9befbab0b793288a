#include "local_file.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <limits>

#include "base/error.hpp"
#include "local_xattrs.hpp"
#include "posix_io.hpp"

namespace base::host {

namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::uint64_t kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

std::int64_t to_ns(const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * kNanoseconds + time.tv_nsec;
}

/// Access time is left alone; times before 1970 have a negative second and a positive fraction.
std::array<timespec, 2> to_times(std::int64_t mtime_ns) {
    auto seconds = mtime_ns / kNanoseconds;
    auto fraction = mtime_ns % kNanoseconds;
    if (fraction < 0) {
        fraction += kNanoseconds;
        seconds -= 1;
    }
    std::array<timespec, 2> times{};
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = seconds;
    times[1].tv_nsec = fraction;
    return times;
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

    Result<FileStat> stat() override {
        struct stat status{};
        if (::fstat(descriptor_.get(), &status) != 0) return errno_error(path_);
        return to_file_stat(status);
    }

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

FileStat to_file_stat(const struct stat& status) {
    FileStat out;
    out.type = type_of(status.st_mode);
    out.mode = status.st_mode & 07777U;
    out.uid = status.st_uid;
    out.gid = status.st_gid;
    out.size = static_cast<std::uint64_t>(status.st_size);
    out.allocated_bytes = static_cast<std::uint64_t>(status.st_blocks) * 512;
    out.mtime_ns = to_ns(status.st_mtim);
    out.ctime_ns = to_ns(status.st_ctim);
    out.device = status.st_dev;
    out.inode = status.st_ino;
    out.nlink = status.st_nlink;
    out.rdev = status.st_rdev;
    return out;
}

Result<void> set_metadata_of(int descriptor, const Metadata& metadata, const std::string& path) {
    if (metadata.uid || metadata.gid) {
        const auto uid = metadata.uid.value_or(kLeaveOwner);
        if (::fchown(descriptor, uid, metadata.gid.value_or(kLeaveOwner)) != 0) return errno_error(path);
    }
    if (metadata.mode && ::fchmod(descriptor, *metadata.mode & 07777U) != 0) return errno_error(path);
    if (metadata.mtime_ns && ::futimens(descriptor, to_times(*metadata.mtime_ns).data()) != 0) return errno_error(path);
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
    if (metadata.mtime_ns) {
        const auto times = to_times(*metadata.mtime_ns);
        if (::utimensat(directory, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) return errno_error(path);
    }
    return ok();
}

std::unique_ptr<LocalFile> make_local_file(UniqueFd descriptor, std::string path) {
    return std::make_unique<HostLocalFile>(std::move(descriptor), std::move(path));
}

}  // namespace base::host
