// The state of one restore: the snapshot is walked; files are collected in windows, sorted by the block they lie in,
// and made block by block, several at a time; links, then directories last.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task_group.hpp"
#include "file_writer.hpp"
#include "objstore/archive/restore.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "target_tree.hpp"

namespace objstore::archive {

class RestoreRun {
  public:
    RestoreRun(base::NodeEnv env, base::LocalTree& tree, Volume& volume, Snapshot snapshot, RestoreOptions options,
               ProgressFunction progress);

    base::Task<base::Result<RestoreReport>> run();

  private:
    struct Pending {  // a directory to be walked
        InodeNumber number = 0;
        std::uint32_t target = TargetTree::kTop;
        std::string path;       // in the snapshot
        bool selected = false;  // an include pattern matched above
        unsigned depth = 0;
        bool leading = false;  // nothing is known of what else was in it
    };
    struct FirstName {  // of an inode of several: the others are made as links to it, if they can be
        std::uint32_t directory = 0;
        std::string name;
        Made made = Made::failed;
    };
    using Group = std::vector<TargetFile>;
    struct Waiting {  // for its block
        std::unique_ptr<FileWriter> writer;
        std::size_t at = 0;  // in the group
    };

    base::Task<base::Result<void>> body();
    base::Task<base::Result<void>> open_target();
    base::Task<base::Result<void>> walk();
    base::Task<base::Result<void>> walk_directory(Pending directory);
    base::Task<void> remove_others(Pending directory, std::shared_ptr<const std::vector<Entry>> entries);
    base::Task<base::Result<void>> take(Pending directory, Entry entry, Node node);
    base::Task<base::Result<void>> take_content(TargetFile file, Node node, std::string path);
    base::Task<base::Result<std::vector<base::Xattr>>> xattrs_of(Node node, std::string path);
    base::Task<base::Result<void>> take_file(TargetFile file);
    base::Task<base::Result<void>> flush_window();
    base::Task<void> make_group(BlockRefPtr block, std::shared_ptr<Group> group, base::Semaphore::Permit permit);
    FileResult write_file(FileWriter& writer, const OpenedBlock* block);
    base::Task<void> make_large(TargetFile file, base::Semaphore::Permit permit);
    base::Task<FileResult> find_or_write_large(std::shared_ptr<FileWriter> writer);
    base::Task<std::size_t> count_present(std::shared_ptr<FileWriter> writer, std::size_t most);
    base::Task<bool> write_large(std::shared_ptr<FileWriter> writer, std::size_t first, bool verify);
    base::Task<base::Result<void>> make_links();
    std::vector<TargetFile> link_or_put_off(std::vector<TargetFile> links);
    base::Task<base::Result<std::vector<TargetFile>>> make_copies(std::vector<TargetFile> links);
    base::Task<base::Result<void>> finish_directories();
    void count(const TargetFile& file, const FileResult& result);
    [[nodiscard]] bool serious(const base::Error& error) const;
    void tell();

    base::NodeEnv env_;
    base::LocalTree& tree_;
    Volume& volume_;
    Snapshot snapshot_;
    RestoreOptions options_;
    ProgressFunction progress_;
    SnapshotReader reader_;
    SharedWarnings warnings_;
    std::unique_ptr<TargetTree> target_;
    std::optional<Making> how_;

    std::vector<Pending> stack_;
    std::set<InodeNumber> entered_;  // a directory that is met twice would never end
    std::unordered_map<InodeNumber, FirstName> first_names_;
    std::vector<TargetFile> links_;
    std::vector<TargetFile> window_;
    std::size_t window_extents_ = 0;
    base::Semaphore making_;
    base::TaskGroup group_;
    std::optional<base::Error> error_;

    Progress shown_;
    std::string current_;
    RestoreReport report_;
};

}  // namespace objstore::archive
