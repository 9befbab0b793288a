// Where file systems are measured beside each other: a directory of ours on each, its caches, its way to the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace tools::bench {

/// A directory of a name of ours in a directory of the user's. What is made in it is removed with it; nothing else is.
class Workplace {
  public:
    /// Errc::exists if something is there under that name that is not an empty directory: it is not ours.
    [[nodiscard]] static base::Result<std::unique_ptr<Workplace>> make(const std::string& directory,
                                                                       const std::string& name);
    ~Workplace();
    Workplace(const Workplace&) = delete;
    Workplace& operator=(const Workplace&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    /// As the kernel names the file system: "ext4", "fuse.pelago".
    [[nodiscard]] const std::string& kind() const { return kind_; }
    /// Removes everything in it.
    [[nodiscard]] base::Result<void> empty();
    /// Returns when what was written here is on disk, as far as the file system keeps its word: fsync of the root of
    /// the mount, which commits a Pelago volume, then syncfs.
    [[nodiscard]] base::Result<void> make_durable() const;

  private:
    explicit Workplace(std::string path) : path_{std::move(path)} {}

    std::string path_;
    std::string kind_;
    std::string mount_;  // the root of the mount that it is on
};

/// How caches are emptied before reading.
enum class Caches {
    dropped,  ///< all of the machine's, through /proc/sys/vm/drop_caches
    advised,  ///< the data of the files, with posix_fadvise; names and attributes stay
    warm,     ///< not at all
};
/// The most thorough that this process may do.
[[nodiscard]] Caches best_caches();
/// "caches dropped", for a sentence.
[[nodiscard]] const char* describe(Caches caches);
/// What a file system's own process keeps in its memory stays there. `directory`: whose files are meant.
void empty_caches(Caches caches, const std::string& directory);

/// Seconds of user and system time, by process: its number and when it was started.
using CpuSeconds = std::map<std::pair<long, std::uint64_t>, double>;
/// Of all other processes named pelago, up to now.
[[nodiscard]] CpuSeconds cpu_seconds_of_pelago();
/// What was used in between by those that are there afterwards.
[[nodiscard]] double cpu_seconds_between(const CpuSeconds& before, const CpuSeconds& after);

/// Calls them in turn, another first in each of the rounds. Stops at the first error.
[[nodiscard]] base::Result<void> in_turns(
    unsigned rounds, std::size_t count,
    const std::function<base::Result<void>(unsigned round, std::size_t which)>& turn);

/// Runs `sh -c command` in `directory`, its output in `log`. Its exit code; Errc::interrupted, and it is ended, when
/// `stop` is requested.
[[nodiscard]] base::Result<int> run_in(const std::string& directory, const std::string& command, const std::string& log,
                                       const std::stop_token& stop);
/// Whether a program of that name is on PATH.
[[nodiscard]] bool have_program(const std::string& name);

}  // namespace tools::bench
