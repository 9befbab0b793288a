// What backup and restore tell whoever watches them: progress, warnings, counts. Plain values; the tools print them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/result.hpp"

namespace objstore::archive {

/// What was left out or could not be done, while the rest went on.
enum class WarningKind : std::uint8_t {
    unreadable,    ///< backup: the file, directory or path is not in the snapshot (or is there without contents)
    vanished,      ///< backup: it was removed while the backup ran; it is not in the snapshot
    changed,       ///< backup: it changed while it was read; the snapshot has a mixture, the next backup reads it again
    attributes,    ///< some extended attributes could not be read or set
    owner,         ///< restore: the owner or group could not be set
    metadata,      ///< restore: mode or time could not be set
    unprivileged,  ///< restore: device nodes and trusted attributes need privileges we do not have; they were left out
    refused,       ///< restore: an entry that no file system could have made; nothing of it was written
    unwritable,    ///< restore: it could not be made in the target
    unlinked,      ///< restore: a copy instead of another name of a file: the target takes no more names, or no links
    damaged,       ///< restore: a block of it is missing or does not verify; the file was not made
    differs,       ///< restore --verify: what is on disk is not what the snapshot says
    skipped,       ///< restore: it exists and the overwrite policy keeps what is there
};
[[nodiscard]] const char* describe(WarningKind kind);
/// Each file of this kind is a loss of its own, so people are told more than the first: not where one cause (who is not
/// root, a file system without attributes) gives the same warning for every file.
[[nodiscard]] bool named_one_by_one(WarningKind kind);

/// Of a directory with kMaxDepth others above it: neither archived nor restored.
[[nodiscard]] base::Error too_deep();

/// The first hundred of each kind in full, and how many there were.
class Warnings {
  public:
    static constexpr std::size_t kNamed = 100;
    struct Named {
        std::string path;
        base::Error error;
    };
    struct Kind {
        std::vector<Named> first;  ///< at least one
        std::uint64_t count = 0;
    };

    void add(WarningKind kind, std::string path, base::Error error);
    [[nodiscard]] const std::map<WarningKind, Kind>& kinds() const { return kinds_; }
    [[nodiscard]] std::uint64_t count() const;
    [[nodiscard]] std::uint64_t count(WarningKind kind) const;
    /// Not everything that was asked for was done: exit status 3. Files that were kept because the user asked so do not
    /// make it partial.
    [[nodiscard]] bool partial() const { return count() > count(WarningKind::skipped); }

  private:
    std::map<WarningKind, Kind> kinds_;
};

/// A warning that `path` is damaged, if the error costs only what it names (is_isolated_damage()); else the error.
[[nodiscard]] base::Result<void> leave_out_damaged(Warnings& warnings, std::string path, const base::Error& error);

/// Where an operation is. Totals are estimates; 0 as long as nothing is known.
struct Progress {
    std::uint64_t files = 0;  ///< done, of every type but directories
    std::uint64_t directories = 0;
    std::uint64_t bytes = 0;        ///< of file content
    std::uint64_t passed_over = 0;  ///< of those: of unchanged files, which are not read
    std::uint64_t total_files = 0;
    std::uint64_t total_bytes = 0;
    std::uint64_t warnings = 0;
    bool ending = false;  ///< backup: everything is read, and what is left of it is on its way to its holders
    const std::string* current = nullptr;  ///< a path that is being worked on; valid during the call
};
/// Called on the node's executor, often: look at a clock before printing.
using ProgressFunction = std::function<void(const Progress&)>;

}  // namespace objstore::archive
