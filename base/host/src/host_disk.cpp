#include "base/host/host_disk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/error.hpp"
#include "base/host/counters.hpp"
#include "posix_io.hpp"
#include "unique_fd.hpp"

namespace base::host {

namespace {

constexpr std::uint64_t kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

/// False for what could lead out of the directory or means nothing.
bool is_clean(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return false;
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const auto name = path.substr(begin, end - begin);
        if (name.empty() || name == "." || name == "..") return false;
        begin = end + 1;
    }
    return true;
}

/// Kernels before 5.6 and some sandboxes lack openat2: then name by name, none of them through a link.
int open_by_steps(int root, const std::string& path, int flags, mode_t mode) {
    UniqueFd at;
    std::size_t begin = 0;
    for (;;) {
        const auto slash = path.find('/', begin);
        const int base = at ? at.get() : root;
        const auto name = path.substr(begin, slash == path.npos ? path.npos : slash - begin);
        if (slash == path.npos) return ::openat(base, name.c_str(), flags | O_NOFOLLOW, mode);
        UniqueFd next{::openat(base, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!next) return -1;
        at = std::move(next);
        begin = slash + 1;
    }
}

UniqueFd open_beneath(int root, const std::string& path, int flags, mode_t mode = 0) {
    static std::atomic<bool> have_openat2{true};
    flags |= O_CLOEXEC;
    if (have_openat2) {
        open_how how{};
        how.flags = static_cast<std::uint64_t>(flags);
        how.mode = (flags & O_CREAT) != 0 ? mode : 0;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
        const auto descriptor = retry_interrupted([&] {
            const auto opened = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
            if (opened == -1 && errno == EAGAIN) errno = EINTR;  // a rename raced with the resolution
            return opened;
        });
        if (descriptor >= 0) return UniqueFd{static_cast<int>(descriptor)};
        if (errno != ENOSYS && errno != EPERM) return UniqueFd{};
        have_openat2 = false;
    }
    return UniqueFd{retry_interrupted([&] { return open_by_steps(root, path, flags, mode); })};
}

/// What root makes below another user's directory is that user's, or one command run as root would lock the user out.
/// Only of what is new, so that nobody gets at somebody's file by moving it here.
void give_to_owner(int made, int directory) {
    struct stat owner{};
    struct stat status{};
    if (::geteuid() != 0 || ::fstat(directory, &owner) != 0 || owner.st_uid == 0) return;
    if (::fstat(made, &status) != 0 || status.st_uid != 0) return;
    const bool is_new = S_ISDIR(status.st_mode) || (status.st_nlink == 1 && status.st_size == 0);
    if (is_new) [[maybe_unused]]
        const int given = ::fchown(made, owner.st_uid, owner.st_gid);
}

Error sync_error(std::string_view path) {
    auto error = errno_error(path);
    return error.with("sync failed");
}

class HostFile final : public File {
  public:
    HostFile(UniqueFd descriptor, std::string path) : descriptor_{std::move(descriptor)}, path_{std::move(path)} {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        if (!reaches(offset, out.size())) return Error{Errc::bad_argument, path_};
        return read_fully(descriptor_.get(), offset, out, path_);
    }

    Result<void> write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
        std::uint64_t total = 0;
        for (const auto part : parts) total += part.size();
        if (!reaches(offset, total)) return Error{Errc::bad_argument, path_};
        counters().written_bytes += total;
        return write_fully(descriptor_.get(), offset, parts, path_);
    }

    Result<void> sync() override {
        // After one failure the kernel has marked the pages clean: a later "success" would be a lie.
        if (failed_) return Error{Errc::io_failed, path_ + " (an earlier sync failed)"};
        ++counters().syncs;
        if (retry_interrupted([&] { return ::fdatasync(descriptor_.get()); }) == 0) return ok();
        failed_ = true;
        return sync_error(path_);
    }

    Result<std::uint64_t> size() override {
        struct stat status{};
        if (::fstat(descriptor_.get(), &status) != 0) return errno_error(path_);
        return static_cast<std::uint64_t>(status.st_size);
    }

    Result<void> truncate(std::uint64_t size) override {
        if (size > kMaxOffset) return Error{Errc::bad_argument, path_};
        if (retry_interrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0) {
            return errno_error(path_);
        }
        return ok();
    }

  private:
    static bool reaches(std::uint64_t offset, std::uint64_t length) {
        return offset <= kMaxOffset && length <= kMaxOffset - offset;
    }

    UniqueFd descriptor_;
    std::string path_;
    std::atomic<bool> failed_{false};
};

/// An open file description lock: it also keeps out another holder in this process, and dies with the process.
class HostLock final : public DirectoryLock {
  public:
    explicit HostLock(UniqueFd descriptor) : descriptor_{std::move(descriptor)} {}

  private:
    UniqueFd descriptor_;
};

class RootedDisk final : public Disk {
  public:
    RootedDisk(UniqueFd root, std::string path) : root_{std::move(root)}, path_{std::move(path)} {}

    Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) override {
        BASE_CHECK(check(path));
        auto descriptor = open_beneath(root_.get(), std::string{path}, flags_of(mode) | O_NONBLOCK | O_NOCTTY, 0600);
        if (!descriptor) return refused(path);
        if (mode == Mode::create || mode == Mode::create_new) give_to_owner(descriptor.get(), root_.get());
        struct stat status{};
        if (::fstat(descriptor.get(), &status) != 0) return errno_error(whole(path));
        if (!S_ISREG(status.st_mode)) return Error{Errc::bad_argument, whole(path) + " is no regular file"};
        return std::make_unique<HostFile>(std::move(descriptor), whole(path));
    }

    Result<void> rename(std::string_view from, std::string_view to) override {
        BASE_CHECK(check(from));
        BASE_CHECK(check(to));
        BASE_TRY(const auto source, parent_of(from));
        BASE_TRY(const auto target, parent_of(to));
        if (::renameat(at(source), source.name.c_str(), at(target), target.name.c_str()) != 0) {
            const int failure = errno;
            return errno_error(whole(from) + " to " + whole(to), failure);
        }
        return ok();
    }

    Result<void> remove(std::string_view path) override {
        BASE_CHECK(check(path));
        BASE_TRY(const auto place, parent_of(path));
        if (::unlinkat(at(place), place.name.c_str(), 0) == 0) return ok();
        if (errno == EISDIR && ::unlinkat(at(place), place.name.c_str(), AT_REMOVEDIR) == 0) return ok();
        return errno_error(whole(path));
    }

    Result<void> make_directory(std::string_view path) override {
        BASE_CHECK(check(path));
        BASE_TRY(const auto place, parent_of(path));
        if (::mkdirat(at(place), place.name.c_str(), 0700) == 0) {
            const auto made = open_beneath(at(place), place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            if (made) give_to_owner(made.get(), root_.get());
            return ok();
        }
        const int failure = errno;
        struct stat status{};
        if (failure == EEXIST && ::fstatat(at(place), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(status.st_mode)) {
            return ok();
        }
        return errno_error(whole(path), failure);
    }

    Result<void> sync_directory(std::string_view path) override {
        BASE_TRY(const auto directory, open_directory(path));
        ++counters().syncs;
        if (retry_interrupted([&] { return ::fsync(directory.get()); }) != 0) return sync_error(whole(path));
        return ok();
    }

    Result<std::vector<Entry>> list(std::string_view path) override {
        BASE_TRY(auto directory, open_directory(path));
        UniqueFd again{::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0)};
        if (!again) return errno_error(whole(path));
        BASE_TRY(auto found, read_directory(std::move(directory), whole(path)));
        std::vector<Entry> entries;
        entries.reserve(found.size());
        for (auto& entry : found) {
            bool is_directory = entry.type == DT_DIR;
            if (entry.type == DT_UNKNOWN) {
                struct stat status{};
                if (::fstatat(again.get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
                is_directory = S_ISDIR(status.st_mode);
            }
            entries.push_back({std::move(entry.name), is_directory});
        }
        std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        return entries;
    }

    Result<DiskSpace> space() override {
        struct statvfs status{};
        if (retry_interrupted([&] { return ::fstatvfs(root_.get(), &status); }) != 0) return errno_error(path_);
        // f_bavail leaves out what is reserved for root, who may fill that too.
        const std::uint64_t free_blocks = ::geteuid() == 0 ? status.f_bfree : status.f_bavail;
        return DiskSpace{static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize, free_blocks * status.f_frsize};
    }

    Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) override {
        BASE_CHECK(check(path));
        struct flock range{};
        range.l_type = F_WRLCK;
        auto descriptor = open_beneath(root_.get(), std::string{path}, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, 0600);
        if (!descriptor && errno == EROFS) {
            range.l_type = F_RDLCK;
            descriptor = open_beneath(root_.get(), std::string{path}, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        }
        if (!descriptor) return refused(path);
        give_to_owner(descriptor.get(), root_.get());
        range.l_whence = SEEK_SET;
        if (::fcntl(descriptor.get(), F_OFD_SETLK, &range) != 0) {
            if (errno == EAGAIN || errno == EACCES) return Error{Errc::locked, whole(path)};
            return errno_error(whole(path));
        }
        return std::make_unique<HostLock>(std::move(descriptor));
    }

  private:
    /// Where a name is made or removed: below the root itself if there is no slash.
    struct Place {
        UniqueFd parent;
        std::string name;
    };

    static int flags_of(Mode mode) {
        switch (mode) {
            case Mode::read: return O_RDONLY;
            case Mode::read_write: return O_RDWR;
            case Mode::create: return O_RDWR | O_CREAT;
            case Mode::create_new: return O_RDWR | O_CREAT | O_EXCL;
        }
        return O_RDONLY;
    }

    [[nodiscard]] std::string whole(std::string_view path) const {
        return path.empty() ? path_ : path_ + "/" + std::string{path};
    }
    /// Whose it is, where that is why we may not.
    [[nodiscard]] Error refused(std::string_view path) const {
        const int failure = errno;
        auto error = errno_error(whole(path), failure);
        struct stat status{};
        if (failure != EACCES || ::fstatat(root_.get(), std::string{path}.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            status.st_uid == ::geteuid()) {
            return error;
        }
        return Error{error.code(), whole(path) + " (it belongs to user " + std::to_string(status.st_uid) +
                                       "; give it back: chown -R " + std::to_string(::geteuid()) + " " + path_ + ")"};
    }
    [[nodiscard]] int at(const Place& place) const { return place.parent ? place.parent.get() : root_.get(); }

    [[nodiscard]] Result<void> check(std::string_view path) const {
        if (!is_clean(path))
            return Error{Errc::bad_argument, "\"" + std::string{path} + "\" is no path of this directory"};
        return ok();
    }

    Result<Place> parent_of(std::string_view path) const {
        const auto slash = path.rfind('/');
        if (slash == path.npos) return Place{UniqueFd{}, std::string{path}};
        auto parent = open_beneath(root_.get(), std::string{path.substr(0, slash)}, O_PATH | O_DIRECTORY);
        if (!parent) return errno_error(whole(path));
        return Place{std::move(parent), std::string{path.substr(slash + 1)}};
    }

    Result<UniqueFd> open_directory(std::string_view path) const {
        if (!path.empty()) BASE_CHECK(check(path));
        const std::string name{path.empty() ? "." : path};
        auto directory = open_beneath(root_.get(), name, O_RDONLY | O_DIRECTORY);
        if (!directory) return errno_error(whole(path));
        return directory;
    }

    UniqueFd root_;
    std::string path_;
};

std::string without_trailing_slashes(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return std::string{path};
}

Result<void> make_with_parents(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) {
        const auto slash = path.rfind('/');
        const auto parent = slash == path.npos ? std::string{"."}
                            : slash == 0       ? std::string{"/"}
                                               : path.substr(0, slash);
        const UniqueFd directory{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (directory && ::fsync(directory.get()) != 0) return errno_error(parent);
        const UniqueFd made{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (directory && made) give_to_owner(made.get(), directory.get());
        return ok();  // a parent that we may use but not read cannot be synced by us
    }
    if (errno == EEXIST) return ok();
    if (errno != ENOENT) return errno_error(path);
    const auto slash = path.find_last_of('/');
    if (slash == path.npos || slash == 0) return errno_error(path, ENOENT);
    BASE_CHECK(make_with_parents(without_trailing_slashes(path.substr(0, slash))));
    return make_with_parents(path);
}

}  // namespace

Result<std::unique_ptr<Disk>> HostDisk::open(std::string_view directory) {
    auto path = without_trailing_slashes(directory);
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no directory was named"};
    UniqueFd root{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!root && errno == ENOTDIR) return Error{Errc::bad_argument, path + " is no directory"};
    if (!root) return errno_error(path);
    return std::make_unique<RootedDisk>(std::move(root), std::move(path));
}

Result<std::unique_ptr<Disk>> HostDisk::create(std::string_view directory) {
    const auto path = without_trailing_slashes(directory);
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no directory was named"};
    BASE_CHECK(make_with_parents(path));
    return open(path);
}

}  // namespace base::host
