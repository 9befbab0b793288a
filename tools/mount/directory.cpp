#include "mount/directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "cli/files.hpp"

namespace tools {

namespace {

constexpr int kHow = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

base::Result<Directory> Directory::open(const std::string& path) {
    const int top = ::open("/", kHow);
    if (top < 0) return base::Error{base::from_errno(errno), "cannot open /"};
    Directory at{top, "/"};
    for (std::size_t begin = 1; begin < path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        BASE_TRY(at, at.enter(path.substr(begin, end - begin)));
        begin = end + 1;
    }
    return at;
}

base::Result<Directory> Directory::enter(const std::string& name) const {
    const int found = ::openat(descriptor_, name.c_str(), kHow);
    const int code = errno;
    if (found >= 0) return Directory{found, path_of(name)};
    struct stat is{};
    const bool link =
        code == ENOTDIR && ::fstatat(descriptor_, name.c_str(), &is, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(is.st_mode);
    return base::Error{base::from_errno(code),
                       "cannot enter " + path_of(name) + ": " +
                           (link ? "it is a symbolic link; give the path that it leads to" : std::strerror(code))};
}

Directory::~Directory() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Directory::Directory(Directory&& other) noexcept
    : descriptor_{std::exchange(other.descriptor_, -1)}, path_{std::move(other.path_)} {}

Directory& Directory::operator=(Directory&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
}

std::string Directory::at(std::string_view name) const {
    return "/proc/self/fd/" + std::to_string(descriptor_) + "/" + std::string{name};
}

std::string Directory::path_of(std::string_view name) const { return join_path(path_, name); }

bool Directory::is_ours_alone() const {
    struct stat is{};
    return ::fstat(descriptor_, &is) == 0 && is.st_uid == ::geteuid() && (is.st_mode & 077U) == 0;
}

base::Error Directory::in_words(const base::Error& error) const {
    auto text = error.detail();
    const auto prefix = at("");
    const auto shown = path_of("");
    for (auto found = text.find(prefix); found != std::string::npos; found = text.find(prefix, found + shown.size()))
        text.replace(found, prefix.size(), shown);
    return {error.code(), std::move(text)};
}

}  // namespace tools
