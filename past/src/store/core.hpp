// The running store: requests wait in a queue, one loop commits them in groups, each with one sync of the segment (if
// it brings blocks) and one of the log (if it changes tags, drops or records). Records (votes of a register) do not
// wait until the blocks of a group are written: they go to the log meanwhile.
//
// On the node's executor. State changes only after the group is durable, between two suspensions of the loop; only
// get(), meeting a damaged copy, erases at other times. Hence apply() looks everything up again.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/task_group.hpp"
#include "past/segment_store.hpp"
#include "store/recovery.hpp"

namespace past::store {

/// What a caller of the store waits for.
struct Request {
    /// drop_damaged: writes down which copies get() dropped. relocate: blocks of one place and tag get another copy.
    enum class Kind { put, touch, untag, discard, forget_lost, drop_damaged, record, relocate };

    Request(base::Executor executor, Kind what) : kind{what}, done{std::move(executor)} {}

    Kind kind;
    base::Guid group;       ///< put, relocate; record: the key
    std::vector<Tag> tags;  ///< put, relocate: of each block, a set
    Tag tag;                ///< touch, untag
    std::vector<Block> blocks;
    std::vector<base::Guid> ids;
    base::Bytes value;
    std::uint32_t from = 0;  ///< relocate: the segment's slot
    std::uint64_t bytes = 0;

    base::Result<void> result = base::ok();
    std::vector<bool> held;
    std::uint64_t gone = 0;
    base::Event done;

    void finish(base::Result<void> with) {
        result = std::move(with);
        done.set();
    }
};

/// Requests that are committed together. No two of them name the same block, unless they are touches.
struct Group {
    struct Part {
        std::shared_ptr<Request> request;  ///< null: answered
        std::vector<std::size_t> fresh;    ///< of request->blocks: to be written
        std::vector<PutEntry> entries;     ///< of the fresh ones, in the same order
        std::vector<Location> locations;   ///< blocks that the request's operation is about; relocate: of `fresh`

        [[nodiscard]] std::uint64_t fresh_bytes() const {
            std::uint64_t sum = 0;
            for (const auto& entry : entries) sum += entry.length;
            return sum;
        }
        void answer(base::Result<void> with) { std::exchange(request, nullptr)->finish(std::move(with)); }
    };
    std::vector<Part> parts;
    std::uint64_t block_bytes = 0;
    std::uint64_t blocks = 0;
};

}  // namespace past::store

namespace past {

class SegmentStore::Core {
  public:
    Core(base::NodeEnv env, Config config, store::Recovered recovered);
    /// Once, by whoever made it.
    void set_self(std::weak_ptr<Core> self) { self_ = std::move(self); }

    /// Adds a request and waits until it was answered.
    static base::Task<void> submit(std::shared_ptr<Core> self, std::shared_ptr<store::Request> request);
    static base::Task<base::Result<base::SharedBytes>> read(std::shared_ptr<Core> self, base::Guid id);
    /// Resumes when nothing is worth compacting any more, or there is no room for it.
    static base::Task<void> give_back(std::shared_ptr<Core> self);
    /// Once everything has ended: shows the next opening that the last put was complete.
    static base::Task<void> settle_last_put(std::shared_ptr<Core> self);
    /// Answers everybody with Errc::stopped.
    void stop();

    [[nodiscard]] StoreUsage usage() const;

    base::NodeEnv env;
    const Config config;
    store::State state;
    base::TaskGroup tasks;
    base::Semaphore queue_room;
    bool closing = false;

  private:
    // commit.cpp
    static base::Task<void> run(std::shared_ptr<Core> self);
    void enqueue(std::shared_ptr<Core> self, std::shared_ptr<store::Request> request);
    store::Group take_group();
    void take_records(store::Group& group);
    [[nodiscard]] std::optional<base::Guid> without_room_for_tags(const store::Request& put) const;
    store::Group::Part plan(std::shared_ptr<store::Request> request);
    store::Group::Part plan_relocation(std::shared_ptr<store::Request> request);
    store::PutRecord admit_puts(store::Group& group, std::vector<base::SharedBytes>& payloads);
    base::Task<void> refresh_space();
    base::Task<void> write_blocks(store::Group& group);
    [[nodiscard]] std::uint64_t zeros_behind(std::uint64_t offset, std::uint64_t record_bytes) const;
    static base::Task<void> write_beside(std::shared_ptr<Core> self, store::SegmentWrite write,
                                         std::shared_ptr<std::optional<store::SegmentWritten>> written);
    base::Task<void> commit_records();
    void take_written(const store::PutRecord& record, store::SegmentWritten written, store::Group& group);
    base::Task<void> write_ops(store::Group& group);
    void apply(store::Group& group);
    void apply_put(store::Group::Part& part);
    void apply_ids(store::Group::Part& part);
    void apply_relocation(store::Group::Part& part);
    [[nodiscard]] store::LostBlocks lost_after(const store::Group& group) const;
    base::Task<base::Result<void>> append_ops(std::vector<store::Op> ops);
    void fail(const base::Error& error, store::Group& group);
    /// For that much more, with the reserve left.
    [[nodiscard]] bool has_room(std::uint64_t bytes, std::uint64_t reserve) const;
    [[nodiscard]] bool has_room(std::uint64_t bytes) const { return has_room(bytes, reserve_bytes_); }

    // compact.cpp
    static base::Task<void> compact(std::shared_ptr<Core> self);
    static base::Task<void> until_upkeep_is_done(std::shared_ptr<Core> self);
    static base::Task<bool> empty_segment(std::shared_ptr<Core> self, std::uint32_t slot);
    [[nodiscard]] std::uint64_t garbage_in(std::uint32_t slot) const;
    [[nodiscard]] std::uint64_t moved_at_once() const;
    [[nodiscard]] bool is_worth_compacting(std::uint32_t slot) const;
    [[nodiscard]] bool can_compact() const;
    [[nodiscard]] std::uint32_t next_to_compact() const;

    // upkeep.cpp
    base::Task<void> upkeep();
    static base::Task<void> write_sealed_index(std::shared_ptr<Core> self, std::uint32_t slot);
    base::Task<void> extend_log();
    base::Task<void> rotate_log();
    base::Task<void> remove_empty_segments();
    static base::Task<void> write_checkpoint(std::shared_ptr<Core> self, std::uint32_t number,
                                             store::Checkpoint checkpoint);
    void seal_active();
    void drop_block(store::Index::Handle block);
    void remember_file(std::uint32_t slot, std::shared_ptr<base::File> file);
    [[nodiscard]] std::uint64_t state_bytes() const;

    [[nodiscard]] base::Error missing(const base::Guid& id) const;

    std::weak_ptr<Core> self_;
    std::unique_ptr<base::DirectoryLock> lock_;
    store::LogFile log_;
    std::map<std::uint32_t, std::uint64_t> logs_, checkpoints_;
    base::DiskSpace space_;
    std::uint64_t segment_bytes_ = 0;  // of all segments and index files, with what is written ahead
    std::uint64_t reserve_bytes_ = 0;
    std::uint64_t segment_limit_ = 0;  // of a segment's bytes: what lives in one finds room in the reserve

    std::deque<std::shared_ptr<store::Request>> queue_;    // but for records
    std::deque<std::shared_ptr<store::Request>> records_;  // need the log only, and wait for no block
    bool running_ = false;
    base::Event turn_;                             // while blocks are written: they are, or there are records
    bool put_is_last_ = false;                     // no operation was written after the last put record
    std::optional<base::Bytes> lost_recorded_;     // of the lost blocks, as on disk; nullopt: log and checkpoint differ
    std::vector<store::Location> damaged_;         // copies that were dropped, which the log does not say yet
    const std::optional<base::Error> unreadable_;  // as in Recovered
    std::optional<base::Error> failed_;            // read-only since then
    std::optional<std::uint32_t> sealed_;          // slot whose index file is still to be written
    std::vector<std::uint32_t> maybe_empty_;
    bool look_for_garbage_ = true;  // there is more since next_to_compact() found none
    bool checkpointing_ = false;
    bool compacting_ = false;
    base::Event compacted_;
    bool checkpoint_now_ = false;
    std::uint64_t rotate_at_ = 0;  // end of the log at which the next checkpoint is due
    std::uint64_t extend_retry_at_ = 0;
    std::size_t open_files_ = 0;
    std::uint64_t tick_ = 0;
};

}  // namespace past
