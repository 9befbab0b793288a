#include "cli/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

base::Error failed(const std::string& path) {
    const int reason = errno;
    const auto code = base::from_errno(reason);
    if (reason == EFBIG) return {code, path + " (no file may be larger there: 'ulimit -f', or the file system)"};
    if (code == base::Errc::bad_argument) return {code, path + " (" + std::strerror(reason) + ")"};  // one of many
    return {code, path};
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_{fd} {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool open() const { return fd_ >= 0; }

  private:
    int fd_;
};

/// What `path` leads to by symbolic links, be it there or not: a file is replaced where it is, not where it is named.
base::Result<std::string> behind_links(std::string path) {
    constexpr int kMostLinks = 40;
    std::array<char, PATH_MAX> target{};
    for (int links = 0; links < kMostLinks; ++links) {
        const auto length = ::readlink(path.c_str(), target.data(), target.size());
        if (length < 0) return path;  // no link
        const std::string_view text{target.data(), static_cast<std::size_t>(length)};
        path = text.starts_with('/') ? std::string{text} : join_path(parent_path(path), text);
    }
    errno = ELOOP;
    return failed(path);
}

/// Writes and syncs a file that no other process uses: its name holds our process id.
base::Result<std::string> write_beside(const std::string& path, base::ByteView bytes) {
    std::string beside = path + ".new-" + std::to_string(::getpid());
    ::unlink(beside.c_str());
    const Descriptor file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file.open()) return failed(path);
    give_to_owner(file.get(), path);
    while (!bytes.empty()) {
        const auto written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            const auto error = failed(path);
            ::unlink(beside.c_str());
            return error;
        }
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    if (::fsync(file.get()) != 0) {
        const auto error = failed(path);
        ::unlink(beside.c_str());
        return error;
    }
    return beside;
}

base::Result<void> sync_parent(const std::string& path) {
    const std::string parent = parent_path(path);
    const Descriptor directory{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory.open() || ::fsync(directory.get()) != 0) return failed(parent);
    return base::ok();
}

}  // namespace

base::Error failed_call(const std::string& what) {
    const int code = errno;
    return {base::from_errno(code), what + ": " + std::strerror(code)};
}

base::Result<std::optional<base::Bytes>> read_small_file(const std::string& path, std::size_t limit) {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!file.open() && (errno == ENOENT || errno == ENOTDIR)) return std::optional<base::Bytes>{};
    if (!file.open()) return failed(path);
    base::Bytes all;
    std::array<std::uint8_t, 16384> buffer{};
    for (;;) {
        const auto got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EISDIR) return base::Error{std::make_error_code(std::errc::is_a_directory), path};
        if (got < 0) return failed(path);
        if (got == 0) return std::optional<base::Bytes>{std::move(all)};
        all.insert(all.end(), buffer.begin(), buffer.begin() + got);
        if (all.size() > limit) {
            return base::Error{base::Errc::bad_argument, path + " is longer than " + plural(limit, "byte", "bytes")};
        }
    }
}

base::Result<void> write_new_file(const std::string& named, base::ByteView bytes) {
    BASE_TRY(const std::string path, behind_links(named));
    BASE_TRY(const std::string beside, write_beside(path, bytes));
    // A link, not a rename: of two processes that make the file at the same moment exactly one succeeds.
    const int linked = ::link(beside.c_str(), path.c_str());
    const auto error = failed(path);
    ::unlink(beside.c_str());
    if (linked != 0) return error;
    return sync_parent(path);
}

base::Result<void> replace_small_file(const std::string& named, base::ByteView bytes) {
    BASE_TRY(const std::string path, behind_links(named));
    BASE_TRY(const std::string beside, write_beside(path, bytes));
    if (::rename(beside.c_str(), path.c_str()) != 0) {
        const auto error = failed(path);
        ::unlink(beside.c_str());
        return error;
    }
    return sync_parent(path);
}

base::Result<void> change_small_file(const std::string& named, std::size_t limit,
                                     const std::function<bool(base::ByteView)>& is_as_before, base::ByteView bytes) {
    BASE_TRY(const std::string path, behind_links(named));
    const Descriptor locked{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (!locked.open()) return failed(path);
    while (::flock(locked.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return failed(path);
    }
    // Whoever replaced it meanwhile put another file there, with other bytes; and the lock is on the old one.
    BASE_TRY(const auto now, read_small_file(path, limit));
    if (!now || !is_as_before(*now))
        return base::Error{base::Errc::busy, path + " was changed meanwhile by another command; run this one again"};
    return replace_small_file(path, bytes);
}

base::Result<void> make_directories(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0) {
        if (S_ISDIR(info.st_mode)) return base::ok();
        return base::Error{base::Errc::bad_argument, path + " is not a directory"};
    }
    const std::string parent = parent_path(path);
    if (parent != path) BASE_CHECK(make_directories(parent));
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed(path);
    const Descriptor made{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (made.open()) give_to_owner(made.get(), path + "/..");
    return sync_parent(path);
}

void give_to_owner(int file, const std::string& path) {
    struct stat owner{};
    if (::geteuid() != 0) return;
    if (::stat(path.c_str(), &owner) != 0 && ::stat(parent_path(path).c_str(), &owner) != 0) return;
    if (owner.st_uid != 0) [[maybe_unused]]
        const int given = ::fchown(file, owner.st_uid, owner.st_gid);
}

base::Result<std::unique_ptr<TemporaryDirectory>> TemporaryDirectory::make(const std::string& parent,
                                                                           const std::string& prefix) {
    BASE_CHECK(make_directories(parent));
    std::string name = join_path(parent, prefix + "XXXXXX");
    if (::mkdtemp(name.data()) == nullptr) {
        return base::Error{base::from_errno(errno), "cannot make a directory in " + parent};
    }
    return std::unique_ptr<TemporaryDirectory>{new TemporaryDirectory{std::move(name)}};
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::uint64_t names_of(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_nlink : 0;
}

std::optional<std::uint32_t> mode_of(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return std::nullopt;
    return info.st_mode & 07777U;
}

std::string join_path(std::string_view directory, std::string_view name) {
    return std::string{directory} + (directory.ends_with('/') ? "" : "/") + std::string{name};
}

std::string parent_path(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return slash == 0 ? "/" : std::string{path.substr(0, slash)};
}

}  // namespace tools
