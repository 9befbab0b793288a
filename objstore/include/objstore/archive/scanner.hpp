// The walk over what is to be backed up: directory by directory, sorted, with everything that is excluded left out.
//
// Depth first: a directory's listing comes before those of its subdirectories, and siblings come in order of their
// names, so two walks over the same tree give the same sequence. Calls block: make them from a Workers job, one at a
// time.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "objstore/archive/patterns.hpp"

namespace objstore::archive {

/// A file that says that what lies beside it is not to be backed up.
struct MarkerFile {
    std::string name;
    std::string begins_with;  ///< its first bytes; empty: whatever is in it
};
/// What other programs put into their caches: bford.info/cachedir.
[[nodiscard]] MarkerFile cache_marker();

struct ScanOptions {
    Patterns excludes;
    std::vector<MarkerFile> markers;             ///< leave out what lies beside one of them, but not the marker itself
    std::optional<std::uint64_t> exclude_above;  ///< leave out files of more bytes than this
    bool one_file_system = false;                ///< a mount point below a path is kept as an empty directory
};

struct ScannedEntry {
    std::string name;
    base::FileStat stat;
    std::uint64_t directory = 0;  ///< Listing::id of its listing, which comes later; 0 if it is no directory
    bool on_the_way = false;      ///< a directory that only leads to what is wanted
};

struct ScanFailure {
    std::string path;
    base::Error error;
};

struct Listing {
    std::uint64_t id = 0;
    std::string path;  ///< absolute: "/" or "/a/b"
    base::FileStat stat;
    bool on_the_way = false;
    bool vanished = false;                            ///< it was there when its parent was listed, and is not any more
    std::shared_ptr<base::LocalDirectory> directory;  ///< null if it could not be opened: `entries` is then empty
    std::vector<ScannedEntry> entries;                ///< sorted by name
};

class Scanner {
  public:
    static constexpr std::uint64_t kRootId = 1;  ///< of the listing of "/", always the first

    /// `paths` as the user typed them; `tree` must outlive the scanner.
    Scanner(base::LocalTree& tree, std::vector<std::string> paths, ScanOptions options);
    ~Scanner();
    Scanner(Scanner&&) noexcept;

    /// Finds every path and opens what leads to it. What is missing is in failures(). base::Errc::not_found if all are.
    base::Result<void> begin();
    /// The next listings, at least `entries` entries or `directories` directories in all. Empty at the end.
    [[nodiscard]] std::vector<Listing> next(std::size_t entries, std::size_t directories);
    /// What could not be read since the last call; the walk went on without it.
    [[nodiscard]] std::vector<ScanFailure> take_failures();
    /// A path of the user could be read, at least as far as its listing. Without one there is nothing to take a
    /// snapshot of.
    [[nodiscard]] bool reached() const { return reached_; }
    /// Absolute, sorted, without those that lie below another. Valid after begin().
    [[nodiscard]] const std::vector<std::string>& paths() const { return absolute_; }

  private:
    struct Planned;
    struct Pending;

    base::Result<void> look(const std::string& absolute);
    void plan(const std::string& absolute);
    std::string behind_links(const std::string& path, const std::string& kept);
    Listing list(Pending pending);
    void list_planned(Listing& listing, const Pending& pending);
    void list_all(Listing& listing, const Pending& pending);
    [[nodiscard]] std::optional<bool> left_out(const Pending& above, const std::string& path, std::string_view name,
                                               base::FileType type) const;
    void keep(Listing& listing, const Pending& above, const base::LocalDirectory::Entry& found, Planned* planned);
    void name_unmet(const std::string& path, const Planned& planned);
    [[nodiscard]] std::string marker_in(base::LocalDirectory& directory,
                                        const std::vector<base::LocalDirectory::Entry>& entries) const;
    void fail(std::string path, base::Error error);

    base::LocalTree& tree_;
    std::vector<std::string> typed_;
    std::vector<std::string> absolute_;
    ScanOptions options_;
    std::unique_ptr<Planned> root_;
    std::vector<Pending> stack_;       // what is left to list, the next one last
    std::vector<Pending> discovered_;  // subdirectories of the listing being made, in order
    std::vector<ScanFailure> failures_;
    std::uint64_t next_id_ = kRootId;
    bool reached_ = false;
};

/// The path of `name` in the directory `path`.
[[nodiscard]] std::string joined(const std::string& path, std::string_view name);
/// "/a/b" as {"a", "b"}; views into `path`.
[[nodiscard]] std::vector<std::string_view> split(std::string_view path);
template <std::same_as<std::string> Temporary>
void split(Temporary&& path) = delete;  // the views would outlive it

}  // namespace objstore::archive
