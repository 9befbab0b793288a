#include "mount/copy_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "cli/files.hpp"

namespace tools {

namespace {

class File {
  public:
    explicit File(int descriptor) : descriptor_{descriptor} {}
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] int get() const { return descriptor_; }
    /// What close(2) says: where a volume stores on close, whether it is stored.
    [[nodiscard]] bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }

  private:
    int descriptor_;
};

/// An ordinary user may not keep it; then it is as if he had made the file.
bool is_denied(int code) { return code == EPERM || code == EACCES || code == EOPNOTSUPP || code == ENOTSUP; }

base::Result<void> copy_xattrs(const std::string& from, const std::string& to) {
    const auto length = ::llistxattr(from.c_str(), nullptr, 0);
    if (length < 0 && is_denied(errno)) return base::ok();
    if (length < 0) return failed_call("cannot list the attributes of " + from);
    std::string names(static_cast<std::size_t>(length), '\0');
    const auto got = ::llistxattr(from.c_str(), names.data(), names.size());
    if (got < 0) return failed_call("cannot list the attributes of " + from);
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
        const char* const name = names.data() + at;
        at += std::strlen(name) + 1;
        std::vector<char> value(std::size_t{64} << 10U);
        const auto bytes = ::lgetxattr(from.c_str(), name, value.data(), value.size());
        if (bytes < 0) return failed_call("cannot read attribute " + std::string{name} + " of " + from);
        const int set = ::lsetxattr(to.c_str(), name, value.data(), static_cast<std::size_t>(bytes), 0);
        if (set != 0 && !is_denied(errno))
            return failed_call("cannot set attribute " + std::string{name} + " of " + to);
    }
    return base::ok();
}

/// Last of all: what is written into a directory changes its times.
base::Result<void> copy_attributes(const struct stat& like, const std::string& from, const std::string& to) {
    const int owned = ::lchown(to.c_str(), like.st_uid, like.st_gid);
    if (owned != 0 && !is_denied(errno)) return failed_call("cannot set the owner of " + to);
    BASE_CHECK(copy_xattrs(from, to));  // before a mode that forbids it
    if (!S_ISLNK(like.st_mode)) {
        auto mode = like.st_mode & 07777U;
        if (owned != 0) mode &= ~static_cast<unsigned>(S_ISUID | S_ISGID);  // they would be another's
        if (::chmod(to.c_str(), mode) != 0) return failed_call("cannot set the mode of " + to);
    }
    const std::array<timespec, 2> times{like.st_atim, like.st_mtim};
    if (::utimensat(AT_FDCWD, to.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
        return failed_call("cannot set the times of " + to);
    return base::ok();
}

base::Result<void> read_and_write(int from, int to, off_t begin, off_t end, const std::string& name) {
    std::vector<char> buffer(std::size_t{1} << 20U);
    for (auto at = begin; at < end;) {
        const auto most = std::min<off_t>(end - at, static_cast<off_t>(buffer.size()));
        const auto got = ::pread(from, buffer.data(), static_cast<std::size_t>(most), at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed_call("cannot read " + name);
        if (got == 0) return base::Error{base::Errc::io_failed, name + " is shorter than it was"};
        for (ssize_t done = 0; done < got;) {
            const auto written = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(got - done), at + done);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return failed_call("cannot write the copy of " + name);
            done += written;
        }
        at += got;
    }
    return base::ok();
}

/// From the present offsets of both on.
base::Result<void> copy_stretch(int from, int to, off_t begin, off_t end, const std::string& name) {
    auto in = begin, out = begin;
    while (in < end) {
        const auto copied = ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - in), 0);
        if (copied < 0 && errno == EINTR) continue;
        if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            return read_and_write(from, to, in, end, name);
        if (copied < 0) return failed_call("cannot copy " + name);
        if (copied == 0) return base::Error{base::Errc::io_failed, name + " is shorter than it was"};
    }
    return base::ok();
}

base::Result<void> copy_content(const struct stat& like, const std::string& from, const std::string& to) {
    File in{::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (in.get() < 0) return failed_call("cannot open " + from);
    File out{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (out.get() < 0) return failed_call("cannot make " + to);
    if (::ftruncate(out.get(), like.st_size) != 0) return failed_call("cannot write " + to);
    for (off_t at = 0; at < like.st_size;) {
        const auto data = ::lseek(in.get(), at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        const auto hole = data < 0 ? like.st_size : ::lseek(in.get(), data, SEEK_HOLE);
        if (hole < 0) return failed_call("cannot read " + from);
        BASE_CHECK(copy_stretch(in.get(), out.get(), data < 0 ? at : data, hole, from));
        at = hole;
    }
    if (!out.close()) return failed_call("cannot write " + to);
    return base::ok();
}

base::Result<void> copy_link(const std::string& from, const std::string& to) {
    std::array<char, 4096> target{};
    const auto length = ::readlink(from.c_str(), target.data(), target.size() - 1);
    if (length < 0) return failed_call("cannot read " + from);
    if (::symlink(target.data(), to.c_str()) != 0) return failed_call("cannot make " + to);
    return base::ok();
}

class Copy {
  public:
    base::Result<void> any(const std::string& from, const std::string& to) {
        struct stat like{};
        if (::lstat(from.c_str(), &like) != 0) return failed_call("cannot look at " + from);
        if (S_ISDIR(like.st_mode)) return directory(like, from, to);
        if (like.st_nlink > 1) {
            const auto [first, is_new] = made_.emplace(like.st_ino, to);
            if (!is_new) {
                if (::link(first->second.c_str(), to.c_str()) != 0) return failed_call("cannot make " + to);
                return base::ok();
            }
        }
        ++done.files;
        if (S_ISREG(like.st_mode)) {
            BASE_CHECK(copy_content(like, from, to));
            done.bytes += static_cast<std::uint64_t>(like.st_size);
        } else if (S_ISLNK(like.st_mode)) {
            BASE_CHECK(copy_link(from, to));
        } else if (::mknod(to.c_str(), like.st_mode, like.st_rdev) != 0) {
            return failed_call("cannot make " + to);
        }
        return copy_attributes(like, from, to);
    }

    CopiedTree done;

  private:
    base::Result<void> directory(const struct stat& like, const std::string& from, const std::string& to) {
        if (::mkdir(to.c_str(), 0700) != 0) return failed_call("cannot make " + to);
        ++done.directories;
        std::vector<std::string> names;
        {
            const std::unique_ptr<DIR, int (*)(DIR*)> listed{::opendir(from.c_str()), ::closedir};
            if (!listed) return failed_call("cannot list " + from);
            errno = 0;
            while (const auto* const entry = ::readdir(listed.get())) {
                const std::string name{static_cast<const char*>(entry->d_name)};
                if (name != "." && name != "..") names.push_back(name);
            }
            if (errno != 0) return failed_call("cannot list " + from);
        }
        for (const auto& name : names) BASE_CHECK(any(from + "/" + name, to + "/" + name));
        return copy_attributes(like, from, to);
    }

    std::map<ino_t, std::string> made_;  // of what has several names, the first
};

}  // namespace

base::Result<CopiedTree> copy_tree(const std::string& from, const std::string& to) {
    Copy copy;
    BASE_CHECK(copy.any(from, to));
    return copy.done;
}

base::Result<void> copy_directory_alone(const std::string& from, const std::string& to) {
    struct stat like{};
    if (::lstat(from.c_str(), &like) != 0) return failed_call("cannot look at " + from);
    if (::mkdir(to.c_str(), 0700) != 0) return failed_call("cannot make " + to);
    return copy_attributes(like, from, to);
}

}  // namespace tools
