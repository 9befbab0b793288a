// Opening a store: from files, whatever a crash or a bad device made of them, to a State that may be believed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/log.hpp"
#include "store/files.hpp"
#include "store/state.hpp"

namespace past::store {

struct Recovered {
    std::unique_ptr<base::DirectoryLock> lock;
    std::unique_ptr<State> state;
    LogFile log;
    std::map<std::uint32_t, std::uint64_t> logs;  ///< number -> bytes, of all that exist
    std::map<std::uint32_t, std::uint64_t> checkpoints;
    base::DiskSpace space;
    bool put_is_last = false;               ///< nothing shows that the last put record was complete
    bool checkpoint_now = false;            ///< the state on disk is not what the State says
    std::optional<base::Error> unreadable;  ///< a segment that the device does not give: who knows what is in it
};

/// Blocks: from a Workers job. `fresh_id` is the id of the store if there is none yet; `salt` is the index's.
base::Result<Recovered> recover(base::Disk& disk, base::Log& log, const SegmentStore::Config& config,
                                const StoreId& fresh_id, std::uint64_t salt);

// --- its steps -----------------------------------------------------------------------------------------------------

enum class Access { full, read };  ///< read: nothing is written, what is to be mended is mended in memory

/// Makes the directories, takes the lock, reads FORMAT or makes it (again).
base::Result<StoreId> enter_directory(base::Disk& disk, base::Log& log, const std::string& directory, Access access,
                                      const StoreId& fresh_id, std::unique_ptr<base::DirectoryLock>& lock);

/// The later part of the story: a checkpoint and the operations after it.
struct StateFiles {
    Checkpoint base;
    struct Change {
        Location block;
        std::uint32_t order = 0;
        std::uint32_t op = 0;  ///< index in ops
    };
    struct Step {
        enum class Kind { tag, untag, drop } kind = Kind::drop;
        Tag tag;
        std::uint64_t sequence = 0;  ///< what is older than a copy is about one that lay there before
    };
    std::vector<Step> ops;
    std::vector<Change> changes;  ///< by block, then in order
    std::map<std::uint32_t, std::uint64_t> logs, checkpoints;
    LogFile log;  ///< the newest, ready to append; file is null if a new one is needed
    std::uint64_t last_sequence = 0;
    std::uint32_t last_segment = 0;         ///< the highest that anything refers to
    std::uint32_t unused_log = 0;           ///< begun by a crash, never written to: its number is to be used again
    std::uint32_t oldest_needed = 0;        ///< logs and checkpoints before this may go
    bool odd = false;                       ///< damage was met: write a new checkpoint soon
    std::optional<base::Error> unreadable;  ///< a checkpoint that the device does not give
};
base::Result<StateFiles> read_state_files(base::Disk& disk, base::Log& log, const std::string& directory, Access access,
                                          const StoreId& store, SegmentStore::Damage& damage);

/// One segment as it is on disk. Records up to the sequence `complete_up_to` are known to have been complete.
struct SegmentFile {
    std::uint32_t number = 0;
    std::uint64_t bytes = 0;  ///< where the next record would go
    std::uint64_t index_bytes = 0;
    std::vector<PutRecord> records;
    std::vector<Location> torn;        ///< blocks of the last record that do not match their ids
    bool complete = false;             ///< that record was whole once: what does not match is damaged
    std::shared_ptr<base::File> file;  ///< open if it was read rather than its index file
    bool appendable = false;           ///< its header is right
    bool foreign = false;              ///< its header is whole, but of another store or number: leave it alone
};
base::Result<SegmentFile> read_segment(base::Disk& disk, base::Log& log, const std::string& directory, Access access,
                                       const StoreId& store, std::uint32_t number, bool last,
                                       std::uint64_t complete_up_to, SegmentStore::Damage& damage);

}  // namespace past::store
