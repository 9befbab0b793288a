// What stands behind -o: the options of `pelago mount` and of lines in /etc/fstab. Pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "fuse/file_system.hpp"

namespace tools {

struct MountOptions {
    std::vector<std::string> kernel;  ///< passed on to mount(2) and fuse(4)
    bool read_only = false;
    bool no_symlinks = false;  ///< nosymfollow
    bool atime = true;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::uint32_t umask = 0;
    fusefs::Durability durability = fusefs::Durability::fsync;
    fusefs::Coherence coherence = fusefs::Coherence::close;
    std::chrono::seconds timeout{60};
    std::optional<std::uint64_t> cache_bytes;
    std::string at;      ///< a time, a snapshot's id or "latest"; empty: the live tree
    std::string subdir;  ///< of the volume; empty: all of it
};

/// `texts`: each a list with commas; of two that contradict each other the later counts. Errc::usage names what is not
/// known, or cannot be had yet.
[[nodiscard]] base::Result<MountOptions> parse_mount_options(const std::vector<std::string>& texts);

/// For mount(8), which calls mount.pelago: `SOURCE DIR [-fnrsvw] [-t TYPE] [-N NAMESPACE] [-o OPTIONS]`, as the words
/// of `pelago mount`. Empty: there is nothing to do (-f).
[[nodiscard]] base::Result<std::vector<std::string>> words_of_mount_helper(const std::vector<std::string>& args);

}  // namespace tools
