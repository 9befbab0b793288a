// The state of one backup, and its three conveyor belts: walk -> compare -> read -> place -> seal.
//
//   walk     a task asks the scanner for listings, a little ahead
//   compare  take() gives every entry its inode number and decides what has to be read (compare.cpp)
//   read     runs of small files are read side by side, a few ahead; large files when their turn comes
//   place    runs are taken in the order of the walk, so that packs and the tree do not depend on timing
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/task_group.hpp"
#include "objstore/archive/backup.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "objstore/archive/dedup_index.hpp"
#include "objstore/archive/parent_index.hpp"
#include "packer.hpp"
#include "source_reader.hpp"
#include "tree_changes.hpp"

namespace objstore::archive {

class BackupRun {
  public:
    BackupRun(base::NodeEnv env, base::LocalTree& tree, Volume& volume, BackupOptions options,
              ProgressFunction progress);

    base::Task<base::Result<BackupReport>> run();

  private:
    struct Directory {  // whose listing is still to come
        InodeNumber number = 0;
        std::uint32_t old = ParentIndex::kNone;
        InodeNumber listed_in = 0;
    };
    struct Identity {
        InodeNumber number = 0;
        std::uint32_t old = ParentIndex::kNone;  // in the parent
        bool first = true;                       // false: another name of an inode that was seen already
    };
    using Counter = std::uint64_t ChangeCounts::*;
    struct OtherName {  // of an inode that has been met already
        InodeNumber directory = 0;
        std::shared_ptr<const std::string> directory_path;
        std::string name;
        Counter counted = nullptr;  // where in report_.files
    };
    // What makes two names one file. A number alone does not: a FUSE file system may give one to several files.
    struct Source {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        base::FileType type{};
        std::uint64_t size = 0;
        base::Timestamp mtime;
        friend bool operator==(const Source&, const Source&) = default;
    };
    struct SourceHash {
        std::size_t operator()(const Source& source) const noexcept {
            return std::hash<std::uint64_t>{}(source.inode * 0x9E37'79B9'7F4A'7C15ULL + source.device);
        }
    };
    struct Thin {  // blocks of the parent that too few holders have, while they are stored again
        std::vector<bool> held;
        std::optional<base::Error> error;
        bool unreachable = false;
    };
    struct Batch {  // a piece of the read queue, in order
        explicit Batch(base::Executor executor) : done{std::move(executor)} {}
        Run run;
        std::optional<SourceItem> large;  // instead of a run
        base::Event done;
    };
    using BatchPtr = std::shared_ptr<Batch>;
    struct SegmentAhead {  // of a large file: read while the one before it is placed
        explicit SegmentAhead(base::Executor executor) : done{std::move(executor)} {}
        LargeReader::Segment segment;
        base::Event done;
    };

    // backup_run.cpp: the belts
    base::Task<base::Result<void>> prepare();
    base::Task<base::Result<void>> open_parent();
    base::Task<base::Result<bool>> load_usable(Tree tree);
    base::Task<base::Result<void>> store_again(BlockName name);
    base::Task<base::Result<void>> store_all_again(const std::vector<BlockName>& names, std::size_t from,
                                                   std::vector<bool>& held);
    base::Task<void> store_one_again(BlockName name, std::size_t index, std::shared_ptr<Thin> thin,
                                     base::Semaphore::Permit permit);
    base::Task<base::Result<void>> load_dedup();
    [[nodiscard]] Snapshot describe() const;
    [[nodiscard]] std::vector<std::string> recorded_paths() const;
    base::Task<void> scan();
    base::Task<void> estimate();
    base::Task<base::Result<void>> walk();
    base::Task<base::Result<void>> queue_reads();
    base::Task<void> read(BatchPtr batch);
    base::Task<void> place_all();
    base::Task<base::Result<void>> place_run(Run& run);
    base::Task<base::Result<void>> place_large(SourceItem item);
    base::Task<void> read_segment(std::shared_ptr<LargeReader> reader, std::shared_ptr<SegmentAhead> ahead);
    base::Task<base::Result<void>> finish();
    base::Task<base::Result<BlockRefPtr>> write_tree();
    base::Task<base::Result<void>> commit(BlockRefPtr root);
    base::Task<base::Result<void>> body();
    void tell(const std::string* current);

    // compare.cpp: what has changed
    void take(Listing& listing);
    Identity identify(const base::FileStat& stat, const ParentIndex::Name* old_name, bool on_the_way);
    std::uint32_t old_of(const base::FileStat& stat, const ParentIndex::Name* old_name, bool on_the_way);
    InodeNumber fresh_number() { return next_number_++; }
    [[nodiscard]] Counter counter_of(const Identity& identity, const base::FileStat& stat) const;
    void take_entry(const Listing& listing, InodeNumber listed_in, const ScannedEntry& entry, const Identity& identity);
    void tell_of(FileChange change, const std::string& path) const;
    std::shared_ptr<const std::string> path_of(const Listing& listing);
    void take_directory(const Listing& listing, const Directory& directory, std::vector<Entry> entries,
                        bool same_names);
    [[nodiscard]] bool unchanged(std::uint32_t old, const base::FileStat& stat, bool on_the_way) const;
    void queue_item(const Listing& listing, SourceItem item);
    void close_run();
    void store_inode(const SourceItem& item, ReadOutcome& outcome, const Buffer& attributes);
    void put_xattrs(InodeNumber number, ReadOutcome& outcome, const Buffer& attributes);
    void erase_unclaimed();
    void lose(const SourceItem& item);
    void lose_other_names();
    void drop_entry(InodeNumber directory, const std::string& name);
    void put_entries(InodeNumber directory, std::vector<Entry> entries);

    base::NodeEnv env_;
    base::LocalTree& tree_;
    Volume& volume_;
    BackupOptions options_;
    ProgressFunction progress_;
    base::TimePoint started_;
    std::int64_t started_wall_ns_ = 0;

    std::unique_ptr<Session> session_;
    std::optional<Scanner> scanner_;
    std::optional<Chunker> chunker_;
    std::optional<Snapshot> parent_snapshot_;
    std::optional<Tree> parent_tree_;
    ParentIndex parent_;
    std::uint64_t moved_bytes_ = 0;  // by store_again(): nothing that this backup added
    std::uint64_t moved_blocks_ = 0;
    bool dedup_loaded_ = false;
    DedupIndex index_;
    std::unique_ptr<DedupCache> cache_;
    std::unique_ptr<Packer> packer_;
    TreeChanges changes_;

    std::unordered_map<std::uint64_t, Directory> directories_;  // by Listing::id
    std::unordered_map<Source, Identity, SourceHash> links_;    // inodes of several names
    std::multimap<InodeNumber, OtherName> other_names_;         // of those, after the first, as the walk met them
    std::map<InodeNumber, base::Error> lost_links_;             // those of them that could not be read
    InodeNumber next_number_ = kRootInode + 1;

    std::deque<std::vector<Listing>> scanned_;
    std::optional<base::Error> scan_error_;
    bool scan_ended_ = false;
    base::Event scan_event_;
    std::vector<BatchPtr> planned_;  // by take(), not yet in the queue
    BatchPtr open_run_;
    std::size_t open_directories_ = 0;              // that open_run_ keeps open
    std::shared_ptr<const std::string> open_path_;  // of the listing that was asked for last
    std::deque<BatchPtr> reading_;                  // in order
    bool reading_ended_ = false;
    base::Event reading_event_;
    std::optional<base::Error> place_error_;

    Progress shown_;
    std::string current_;
    BackupReport report_;
    base::TaskGroup group_;
};

}  // namespace objstore::archive
