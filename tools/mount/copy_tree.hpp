// A copy of a file or a directory, with all that Linux says of it: modes, owners, times, attributes, holes, hard links.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace tools {

struct CopiedTree {
    std::uint64_t files = 0;  ///< all that is no directory
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;
};

/// `to` must not be there. Content goes by copy_file_range(2): by reference where the file system can. What only root
/// may keep (owners, some attributes) is left to whoever copies if he may not. Errors name the path; what was made
/// stays.
[[nodiscard]] base::Result<CopiedTree> copy_tree(const std::string& from, const std::string& to);
/// An empty directory with the attributes of another.
[[nodiscard]] base::Result<void> copy_directory_alone(const std::string& from, const std::string& to);

}  // namespace tools
