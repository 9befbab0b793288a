// A node's directory on a real file system.
#pragma once

#include <memory>
#include <string_view>

#include "base/disk.hpp"

namespace base::host {

/// Everything is resolved below the directory's descriptor and through no symbolic link, so a directory that is moved
/// or replaced while we run changes nothing. Errors name the whole path.
class HostDisk {
  public:
    /// The directory must exist. Errc::not_found, denied, or bad_argument if it is no directory.
    [[nodiscard]] static Result<std::unique_ptr<Disk>> open(std::string_view directory);
    /// The same; made with its parents (mode 0700, names synced) if absent.
    [[nodiscard]] static Result<std::unique_ptr<Disk>> create(std::string_view directory);
};

}  // namespace base::host
