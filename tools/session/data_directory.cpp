#include "session/data_directory.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/network_directory.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

bool has_file(const std::string& directory, std::string_view extension) {
    std::error_code failed;
    for (std::filesystem::directory_iterator at{directory, failed}, end; !failed && at != end; at.increment(failed)) {
        if (at->path().extension() == extension) return true;
    }
    return false;
}

}  // namespace

base::Result<void> check_new(const DataDirectory& directory) {
    constexpr std::size_t kMostBytes = sizeof(sockaddr_un::sun_path) - 1;
    const auto socket = directory.socket();
    if (socket.size() <= kMostBytes || mode_of(directory.path)) return base::ok();
    return base::Error{base::Errc::bad_argument,
                       "cannot make the data directory " + directory.path + ": the path of its socket would have " +
                           plural(socket.size(), "byte", "bytes") + ", and the system takes " +
                           std::to_string(kMostBytes) + "; choose a shorter one with --dir"};
}

bool somebody_listens(const std::string& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof address.sun_path) return false;
    std::memcpy(static_cast<void*>(address.sun_path), socket.data(), socket.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    const bool listens = ::connect(fd, generic, sizeof address) == 0 || errno == EACCES || errno == EPERM;
    ::close(fd);
    return listens;
}

bool holds_archives(const DataDirectory& directory) {
    if (has_file(join_path(directory.client(), kMarksDirectory), ".mark")) return true;
    if (!has_file(join_path(directory.node(), "blocks/segments"), ".seg")) return false;
    // The blocks of a member of a network are mostly other people's.
    const auto disk = base::host::HostDisk::open(directory.node());
    return disk && !base::NetworkDirectory::open(**disk);
}

}  // namespace tools
