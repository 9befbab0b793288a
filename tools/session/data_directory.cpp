#include "session/data_directory.hpp"

#include <filesystem>

#include "base/host/host_disk.hpp"
#include "base/network_directory.hpp"

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

bool holds_archives(const DataDirectory& directory) {
    if (has_file(join_path(directory.client(), kMarksDirectory), ".mark")) return true;
    if (!has_file(join_path(directory.node(), "blocks/segments"), ".seg")) return false;
    // The blocks of a member of a network are mostly other people's.
    const auto disk = base::host::HostDisk::open(directory.node());
    return disk && !base::NetworkDirectory::open(**disk);
}

}  // namespace tools
