// The tree that the five phases copy and compile: one of Andrew's size that is made up here, or any that the user has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace tools::bench {

/// What is in a directory. Paths are relative to `root`; a directory comes before what is in it.
struct SourceTree {
    std::string root;
    std::vector<std::string> directories;
    std::vector<std::string> files;
    std::uint64_t bytes = 0;
};

/// Regular files and directories below `root`; others are left out.
[[nodiscard]] base::Result<SourceTree> read_source_tree(const std::string& root);

/// Writes C sources with a Makefile into the empty directory `root`: about 70 files in 20 directories, 200 kB, compiled
/// in seconds; `make check` runs the program. The same for the same seed.
[[nodiscard]] base::Result<void> write_small_tree(const std::string& root, std::uint64_t seed);

}  // namespace tools::bench
