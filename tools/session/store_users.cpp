#include "session/store_users.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/files.hpp"

namespace tools {

StoreUsers::StoreUsers(const std::string& path)
    : file_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)} {
    if (file_ < 0) return;
    give_to_owner(file_, parent_path(path));
    ::flock(file_, LOCK_SH);  // waits for only_us() of another at most
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
