// What is mounted where, as the kernel says, and taking it away.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace tools {

constexpr std::string_view kMountType = "fuse.pelago";

struct MountedAt {
    std::string directory;
    std::string type;
    std::string source;
};

/// The lines of /proc/self/mountinfo, the later mount last. Lines that make no sense are left out. Pure.
[[nodiscard]] std::vector<MountedAt> parse_mount_table(std::string_view text);
/// What is mounted on `directory` (absolute), on top of anything else there.
[[nodiscard]] std::optional<MountedAt> mounted_at(const std::string& directory);
/// The innermost mount that `path` (absolute) lies in.
[[nodiscard]] std::optional<MountedAt> mount_of(const std::string& path);

/// As realpath(3), but a directory whose file system is dead has a name all the same.
[[nodiscard]] base::Result<std::string> real_directory(const std::string& path);
/// True if a mount is left there whose process has died: every access is ENOTCONN.
[[nodiscard]] bool is_dead(const std::string& directory);
/// The process that serves the mount on `directory`; nullopt if it does not say. Waits for its answer.
[[nodiscard]] std::optional<pid_t> server_of(const std::string& directory);

/// As root, or with fusermount3 as any other. `lazy`: even if it is in use. Errors: base::Errc::busy while it is.
[[nodiscard]] base::Result<void> unmount_directory(const std::string& directory, bool lazy);

}  // namespace tools
