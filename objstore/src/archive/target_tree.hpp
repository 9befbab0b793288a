// The directories of a restore: made when the first thing in them is, a bounded number kept open, finished (times,
// modes) when everything in them is there.
//
// Thread safe: used by several jobs at once.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/local_tree.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {

using DirectoryPtr = std::shared_ptr<base::LocalDirectory>;

/// Warnings from several jobs at once.
class SharedWarnings {
  public:
    void add(WarningKind kind, std::string path, base::Error error) {
        const std::lock_guard guard{mutex_};
        if (!full_ && error == base::Errc::no_space) full_ = error.with(path);
        warnings_.add(kind, std::move(path), std::move(error));
    }
    [[nodiscard]] Warnings take() { return std::move(warnings_); }
    [[nodiscard]] std::uint64_t count() const {
        const std::lock_guard guard{mutex_};
        return warnings_.count();
    }

    /// The first that was for want of room: the rest would fail in the same way.
    [[nodiscard]] std::optional<base::Error> full() const {
        const std::lock_guard guard{mutex_};
        return full_;
    }

  private:
    mutable std::mutex mutex_;
    Warnings warnings_;
    std::optional<base::Error> full_;
};

/// Everything to be set on something that was made.
struct Attributes {
    Inode inode;
    std::vector<base::Xattr> xattrs;
};

class TargetTree {
  public:
    static constexpr std::uint32_t kTop = 0;  ///< the target itself

    /// `tree` outlives it.
    TargetTree(DirectoryPtr top, const base::LocalTree& tree, bool replace, SharedWarnings& warnings);

    /// A directory that may be needed. Not made yet. Returns its number.
    std::uint32_t add(std::uint32_t parent, std::string name, Attributes attributes);
    /// It is to be there even if nothing is in it.
    void want(std::uint32_t directory);
    /// Makes it, and those above it, if they are not there. An error was warned of once.
    base::Result<DirectoryPtr> open(std::uint32_t directory);
    [[nodiscard]] std::string path(std::uint32_t directory) const;
    [[nodiscard]] std::string path(std::uint32_t directory, const std::string& name) const;
    [[nodiscard]] bool privileged() const { return tree_.privileged(); }
    [[nodiscard]] std::uint32_t user_id() const { return tree_.user_id(); }
    /// It was made by this restore: nothing can be in it that this restore did not make. After open().
    [[nodiscard]] bool is_new(std::uint32_t directory) const;

    /// The last number plus one; finish() is called for each, descending, when all files are made.
    [[nodiscard]] std::uint32_t size() const;
    /// Makes it if it is wanted, removes what a restore that was cut short left in it, then sets owner, attributes,
    /// mode and time. True if it is there. Of the target itself only the leftovers are removed.
    bool finish(std::uint32_t directory);

  private:
    struct Directory {
        std::uint32_t parent = 0;
        std::string name;
        Attributes attributes;
        bool wanted = false;
        bool made = false;
        bool is_new = false;
        std::optional<base::Error> failed;
        DirectoryPtr open;
        std::list<std::uint32_t>::iterator place_in_recent;
    };
    base::Result<DirectoryPtr> open_locked(std::uint32_t directory);
    std::string path_locked(std::uint32_t directory) const;

    mutable std::mutex mutex_;
    std::vector<Directory> directories_;
    std::list<std::uint32_t> recent_;  // open ones, the most recently used first
    const base::LocalTree& tree_;
    bool replace_;
    SharedWarnings& warnings_;
};

/// What could not be set, as a warning about `path`. `set` tells how: on an open file, a directory or a name.
void warn_of(SharedWarnings& warnings, WarningKind kind, const std::string& path, const base::Result<void>& done);

}  // namespace objstore::archive
