#include "session/store_users.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/files.hpp"

namespace tools {

StoreUsers::StoreUsers(const std::string& path)
    : file_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)} {
    // What root makes in another user's directory is that user's.
    struct stat directory{};
    if (file_ >= 0 && ::geteuid() == 0 && ::stat(parent_path(path).c_str(), &directory) == 0 && directory.st_uid != 0)
        [[maybe_unused]]
        const int given = ::fchown(file_, directory.st_uid, directory.st_gid);
    if (file_ >= 0) ::flock(file_, LOCK_SH);  // waits for only_us() of another at most
}

StoreUsers::~StoreUsers() {
    if (file_ >= 0) ::close(file_);
}

bool StoreUsers::only_us() const {
    if (file_ < 0) return false;
    const bool alone = ::flock(file_, LOCK_EX | LOCK_NB) == 0;
    ::flock(file_, LOCK_SH);  // a change of kind gives up what was held, also where it fails
    return alone;
}

}  // namespace tools
