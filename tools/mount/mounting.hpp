// What `pelago mount` and `pelago archive mount` have in common: the directory, the options, the background.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/verbs.hpp"
#include "fuse/file_system.hpp"
#include "fuse/mount.hpp"
#include "mount/options.hpp"
#include "session/session.hpp"

namespace tools {

/// What is mounted where.
struct Mounting {
    std::string volume;
    std::string directory;  ///< absolute
    MountOptions options;
};

/// The directory to mount on, absolute. What a mount that died left there is taken away.
[[nodiscard]] base::Result<std::string> prepare_directory(Context& context, const std::string& path);
/// Those of the options that only root may use are refused to others.
[[nodiscard]] base::Result<void> check_rights(const MountOptions& options);

[[nodiscard]] fusefs::FileSystemConfig file_system_config(Session& session, const Mounting& what);
[[nodiscard]] fusefs::MountConfig mount_config(const Mounting& what);

/// Mounts, and says so. Accesses wait until the mount is served.
[[nodiscard]] base::Result<void> begin_mount(Context& context, fusefs::Mount& mount, const Mounting& what);
/// With -v: what the kernel asked.
void tell_statistics(Context& context, const fusefs::Mount& mount);

/// Starts `pelago VERB...` (with the settings of this command line) as a process of its own; returns once what it
/// mounts on `directory` answers, or with what kept it from that.
[[nodiscard]] base::Result<ExitCode> mount_in_background(Context& context, const std::vector<std::string>& verb,
                                                         const std::string& volume, const std::string& directory);

}  // namespace tools
