#include "base/host/host_local_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "local_file.hpp"
#include "local_xattrs.hpp"
#include "posix_io.hpp"

namespace base::host {

namespace {

/// A single path component: what makes it impossible to leave the directory.
Result<std::string> component(std::string_view name) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos) {
        return Error{Errc::bad_argument, "\"" + std::string{name} + "\" is no file name"};
    }
    return std::string{name};
}

FileType from_dirent(unsigned char type) {
    switch (type) {
        case DT_DIR: return FileType::directory;
        case DT_LNK: return FileType::symlink;
        case DT_FIFO: return FileType::fifo;
        case DT_SOCK: return FileType::socket;
        case DT_CHR: return FileType::character;
        case DT_BLK: return FileType::block;
        case DT_REG: return FileType::regular;
        default: return FileType{};
    }
}

/// Reading must not change access times; the kernel allows that to owners and root only.
UniqueFd open_quietly(int directory, const std::string& name, int flags) {
    flags |= O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;
    const int quiet = retry_interrupted([&] { return ::openat(directory, name.c_str(), flags | O_NOATIME); });
    if (quiet >= 0 || errno != EPERM) return UniqueFd{quiet};
    return UniqueFd{retry_interrupted([&] { return ::openat(directory, name.c_str(), flags); })};
}

class HostDirectory final : public LocalDirectory {
  public:
    HostDirectory(UniqueFd descriptor, std::string path) : descriptor_{std::move(descriptor)}, path_{std::move(path)} {}

    Result<FileStat> stat() override { return stat_of(fd(), "", path_); }

    Result<std::vector<Entry>> list() override {
        UniqueFd again{::openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};  // a position of its own
        if (!again) return errno_error(path_);
        BASE_TRY(auto found, read_directory(std::move(again), path_));
        std::vector<Entry> entries;
        entries.reserve(found.size());
        for (auto& entry : found) entries.push_back({std::move(entry.name), from_dirent(entry.type)});
        std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        return entries;
    }

    Result<FileStat> stat(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        return stat_entry(entry);
    }

    Result<std::unique_ptr<LocalDirectory>> open_directory(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        auto descriptor = open_quietly(fd(), entry, O_DIRECTORY);
        if (!descriptor && (errno == ENOTDIR || errno == ELOOP)) return wrong_type(entry, "directory");
        if (!descriptor) return errno_error(whole(entry));
        return std::make_unique<HostDirectory>(std::move(descriptor), whole(entry));
    }

    Result<std::unique_ptr<LocalFile>> open_file(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        // Opening a device can act (rewind a tape, arm a watchdog): look first. What is swapped in between still cannot
        // hang us (O_NONBLOCK) and is noticed below.
        BASE_TRY(const auto before, stat_entry(entry));
        if (before.type != FileType::regular) return wrong_type(entry, "regular file");
        auto descriptor = open_quietly(fd(), entry, O_NONBLOCK);
        if (!descriptor && (errno == ELOOP || errno == ENXIO)) return wrong_type(entry, "regular file");
        if (!descriptor) return errno_error(whole(entry));
        struct stat status{};
        if (::fstat(descriptor.get(), &status) != 0) return errno_error(whole(entry));
        if (!S_ISREG(status.st_mode)) return wrong_type(entry, "regular file");
        return make_local_file(std::move(descriptor), whole(entry));
    }

    Result<std::string> read_link(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        std::string target(kMaxPathBytes, '\0');
        const auto length = ::readlinkat(fd(), entry.c_str(), target.data(), target.size());
        if (length < 0 && errno == EINVAL) return wrong_type(entry, "symbolic link");
        if (length < 0) return errno_error(whole(entry));
        target.resize(static_cast<std::size_t>(length));
        return target;
    }

    Result<std::vector<Xattr>> xattrs() override { return XattrTarget::of_descriptor(fd(), path_).read(); }
    Result<std::vector<Xattr>> xattrs(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        return XattrTarget::of_entry(fd(), entry, whole(entry)).read();
    }

    Result<std::unique_ptr<LocalDirectory>> make_directory(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        // Private until set_metadata() says otherwise: nobody reads what is still being restored.
        if (::mkdirat(fd(), entry.c_str(), 0700) != 0) {
            const int failure = errno;
            if (failure != EEXIST) return errno_error(whole(entry), failure);
            BASE_TRY(const auto status, stat_entry(entry));
            if (status.type != FileType::directory) return errno_error(whole(entry), EEXIST);
            return open_directory(entry);
        }
        BASE_CHECK(XattrTarget::of_entry(fd(), entry, whole(entry)).remove_inherited(/*directory=*/true));
        return open_directory(entry);
    }

    Result<std::unique_ptr<LocalFile>> create_file(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        UniqueFd descriptor{retry_interrupted([&] { return ::openat(fd(), entry.c_str(), flags, 0600); })};
        if (!descriptor) return errno_error(whole(entry));
        BASE_CHECK(lock_file(descriptor.get(), entry));
        BASE_CHECK(XattrTarget::of_descriptor(descriptor.get(), whole(entry)).remove_inherited(/*directory=*/false));
        return make_local_file(std::move(descriptor), whole(entry));
    }

    Result<std::unique_ptr<LocalFile>> reopen_file(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        BASE_TRY(const auto before, stat_entry(entry));
        const auto untouched = [](const FileStat& status) {
            return status.type == FileType::regular && status.mode == 0600 && status.nlink == 1 &&
                   status.uid == ::geteuid();
        };
        if (!untouched(before)) return wrong_type(entry, "file that was left unfinished");
        const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        UniqueFd descriptor{retry_interrupted([&] { return ::openat(fd(), entry.c_str(), flags); })};
        if (!descriptor) return errno_error(whole(entry));
        BASE_CHECK(lock_file(descriptor.get(), entry));
        // Its maker may have finished and renamed it between our look and the lock.
        BASE_TRY(const auto now, stat_entry(entry));
        struct stat opened{};
        if (::fstat(descriptor.get(), &opened) != 0) return errno_error(whole(entry));
        if (!untouched(now) || now.inode != opened.st_ino || now.device != opened.st_dev) {
            return wrong_type(entry, "file that was left unfinished");
        }
        return make_local_file(std::move(descriptor), whole(entry));
    }

    Result<void> make_symlink(std::string_view name, std::string_view target) override {
        BASE_TRY(const auto entry, component(name));
        if (target.empty() || target.find('\0') != target.npos) {
            return Error{Errc::bad_argument, whole(entry) + " (no target for a symbolic link)"};
        }
        return done(::symlinkat(std::string{target}.c_str(), fd(), entry.c_str()), entry);
    }

    Result<void> make_link(std::string_view name, LocalDirectory& from, std::string_view from_name) override {
        BASE_TRY(const auto entry, component(name));
        BASE_TRY(const auto source, component(from_name));
        auto* directory = dynamic_cast<HostDirectory*>(&from);
        if (directory == nullptr) return Error{Errc::bad_argument, whole(entry) + " (link from another tree)"};
        return done(::linkat(directory->fd(), source.c_str(), fd(), entry.c_str(), 0), entry);
    }

    Result<void> make_special(std::string_view name, FileType type, std::uint64_t rdev) override {
        BASE_TRY(const auto entry, component(name));
        mode_t kind = 0;
        switch (type) {
            case FileType::fifo: kind = S_IFIFO; break;
            case FileType::socket: kind = S_IFSOCK; break;
            case FileType::character: kind = S_IFCHR; break;
            case FileType::block: kind = S_IFBLK; break;
            case FileType::regular:
            case FileType::directory:
            case FileType::symlink: return Error{Errc::bad_argument, whole(entry)};
        }
        const bool device = kind == S_IFCHR || kind == S_IFBLK;
        BASE_CHECK(done(::mknodat(fd(), entry.c_str(), kind | 0600U, device ? static_cast<dev_t>(rdev) : 0), entry));
        return XattrTarget::of_entry(fd(), entry, whole(entry)).remove_inherited(/*directory=*/false);
    }

    Result<void> set_xattr(const Xattr& xattr) override { return XattrTarget::of_descriptor(fd(), path_).set(xattr); }
    Result<void> remove_xattr(const std::string& xattr) override {
        return XattrTarget::of_descriptor(fd(), path_).remove(xattr);
    }
    Result<void> set_xattr(std::string_view name, const Xattr& xattr) override {
        BASE_TRY(const auto entry, component(name));
        return XattrTarget::of_entry(fd(), entry, whole(entry)).set(xattr);
    }

    Result<void> set_metadata(const Metadata& metadata) override { return set_metadata_of(fd(), metadata, path_); }
    Result<void> set_metadata(std::string_view name, const Metadata& metadata) override {
        BASE_TRY(const auto entry, component(name));
        return set_metadata_of(fd(), entry, metadata, whole(entry));
    }

    Result<void> remove(std::string_view name) override {
        BASE_TRY(const auto entry, component(name));
        if (::unlinkat(fd(), entry.c_str(), 0) == 0) return ok();
        if (errno != EISDIR && errno != EPERM) return errno_error(whole(entry));
        return done(::unlinkat(fd(), entry.c_str(), AT_REMOVEDIR), entry);
    }

    Result<void> rename(std::string_view from, std::string_view to) override {
        BASE_TRY(const auto source, component(from));
        BASE_TRY(const auto target, component(to));
        return done(::renameat(fd(), source.c_str(), fd(), target.c_str()), target);
    }

  private:
    [[nodiscard]] int fd() const { return descriptor_.get(); }
    /// Held until it is closed. A file system without locks has none to give: then there is no second one either.
    [[nodiscard]] Result<void> lock_file(int file, const std::string& name) const {
        if (::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return Error{Errc::locked, whole(name)};
        return ok();
    }
    [[nodiscard]] std::string whole(std::string_view name) const {
        return path_.ends_with('/') ? path_ + std::string{name} : path_ + "/" + std::string{name};
    }
    [[nodiscard]] Result<void> done(int result, const std::string& name) const {
        if (result != 0) return errno_error(whole(name));
        return ok();
    }
    [[nodiscard]] Error wrong_type(const std::string& name, std::string_view wanted) const {
        return Error{Errc::bad_argument, whole(name) + " is no " + std::string{wanted}};
    }
    [[nodiscard]] Result<FileStat> stat_entry(const std::string& name) const {
        return stat_of(fd(), name, whole(name));
    }

    UniqueFd descriptor_;
    std::string path_;
};

Result<std::string> typed_path(std::string_view path) {
    if (path.empty() || path.find('\0') != path.npos) return Error{Errc::bad_argument, "no path was named"};
    return std::string{path};
}

Result<void> make_with_parents(const std::string& path) {
    if (::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return ok();
    if (errno != ENOENT) return errno_error(path);
    const auto end = path.find_last_not_of('/');
    const auto slash = path.find_last_of('/', end);
    if (slash == path.npos || slash == 0) return errno_error(path, ENOENT);
    BASE_CHECK(make_with_parents(path.substr(0, slash)));
    if (::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return ok();
    return errno_error(path);
}

class HostTree final : public LocalTree {
  public:
    Result<std::unique_ptr<LocalDirectory>> open(std::string_view path) override {
        BASE_TRY(auto text, typed_path(path));
        UniqueFd descriptor{::open(text.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        // Who may not read /home may still go through it.
        if (!descriptor && errno == EACCES) {
            descriptor = UniqueFd{::open(text.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
        }
        if (!descriptor && errno == ENOTDIR && is_there(text)) {
            return Error{Errc::bad_argument, text + " is no directory"};
        }
        if (!descriptor) return errno_error(text);
        return std::make_unique<HostDirectory>(std::move(descriptor), std::move(text));
    }

    Result<std::unique_ptr<LocalDirectory>> create(std::string_view path) override {
        BASE_TRY(const auto text, typed_path(path));
        BASE_CHECK(make_with_parents(text));
        return open(text);
    }

    Result<std::string> absolute(std::string_view path) override {
        BASE_TRY(auto text, typed_path(path));
        if (!text.starts_with('/')) {
            const std::unique_ptr<char, decltype(&::free)> here{::getcwd(nullptr, 0), &::free};
            if (!here) return errno_error("the working directory");
            text = std::string{here.get()} + "/" + text;
        }
        std::string out;
        for (std::size_t begin = 0; begin < text.size();) {
            const auto end = std::min(text.find('/', begin), text.size());
            const auto name = text.substr(begin, end - begin);
            begin = end + 1;
            if (name.empty() || name == ".") continue;
            if (name == "..") {
                BASE_TRY(out, parent_of(out));
            } else {
                out += "/" + name;
            }
        }
        return out.empty() ? "/" : out;
    }

    [[nodiscard]] bool privileged() const override { return ::geteuid() == 0; }
    [[nodiscard]] std::uint32_t user_id() const override { return ::geteuid(); }

  private:
    static bool is_there(const std::string& path) {
        struct stat status{};
        return ::stat(path.c_str(), &status) == 0;
    }

    /// ".." of a symbolic link is the parent of what it leads to. "" is the root.
    static Result<std::string> parent_of(const std::string& path) {
        if (path.empty()) return path;
        struct stat status{};
        if (::lstat(path.c_str(), &status) != 0) return errno_error(path);
        if (S_ISDIR(status.st_mode)) return path.substr(0, path.rfind('/'));
        if (!S_ISLNK(status.st_mode)) return errno_error(path, ENOTDIR);
        const std::unique_ptr<char, decltype(&::free)> real{::realpath(path.c_str(), nullptr), &::free};
        if (!real) return errno_error(path);
        const std::string there{real.get()};
        return there.substr(0, there.rfind('/'));
    }
};

}  // namespace

std::unique_ptr<LocalTree> make_local_tree() { return std::make_unique<HostTree>(); }

}  // namespace base::host
