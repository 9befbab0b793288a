// What the loop does between commits: index files, room ahead in the log, checkpoints, empty segments.
//
// None of it is needed for what was acknowledged; where it fails for want of room it is tried again later.
#include <algorithm>

#include "base/error.hpp"
#include "store/core.hpp"

namespace past {
namespace {

using base::Result;
using base::Task;
using namespace store;  // NOLINT: the pieces this file puts together

constexpr std::uint64_t kRetryBytes = 256U << 10U;  // of log, before something that failed is tried again
// A checkpoint says what lives, so one without a segment that could not be read would be the end of what is in it.
constexpr std::uint64_t kMaxLogBesideUnreadable = 1U << 30U;

}  // namespace

void SegmentStore::Core::seal_active() {
    if (state.active == State::kNoSlot) return;
    sealed_ = state.active;
    maybe_empty_.push_back(state.active);
    state.active = State::kNoSlot;
}

Task<void> SegmentStore::Core::upkeep() {
    if (state.active != State::kNoSlot && is_worth_compacting(state.active)) seal_active();
    if (sealed_) tasks.spawn(write_sealed_index(self_.lock(), *std::exchange(sealed_, std::nullopt)));
    if (log_.ahead - log_.end < config.state_ahead_bytes / 2) co_await extend_log();
    const bool due = unreadable_ ? log_.end >= kMaxLogBesideUnreadable : checkpoint_now_ || log_.end >= rotate_at_;
    if (due && !checkpointing_) co_await rotate_log();
    if (!maybe_empty_.empty()) {
        look_for_garbage_ = true;
        co_await remove_empty_segments();
    }
    if (look_for_garbage_ && can_compact()) {
        look_for_garbage_ = compacting_ = next_to_compact() != State::kNoSlot;
        if (compacting_) tasks.spawn(compact(self_.lock()));
    }
}

/// Beside the commits. The segment may be emptied and removed meanwhile; an index file without one does no harm.
Task<void> SegmentStore::Core::write_sealed_index(std::shared_ptr<Core> self, std::uint32_t slot) {
    const auto number = self->state.segments[slot].number;
    if (number == 0) co_return;
    auto& disk = self->env.disk;
    auto job = [&disk, &config = self->config, number, store = self->state.store,
                bytes = self->state.segments[slot].bytes] {
        return index_segment(disk, config.directory, number, store, bytes);
    };
    const auto written = co_await self->env.workers.run(std::move(job));
    auto& segment = self->state.segments[slot];
    if (!written || segment.number != number) co_return;
    segment.index_bytes = *written;
    self->segment_bytes_ += *written - std::exchange(segment.ahead_bytes, 0);
}

Task<void> SegmentStore::Core::extend_log() {
    if (log_.end < extend_retry_at_) co_return;
    const auto bytes = padded(config.state_ahead_bytes);
    auto job = [file = log_.file, from = log_.ahead, bytes] { return write_ahead(*file, from, bytes); };
    const auto done = co_await env.workers.run(std::move(job));
    if (done) {
        log_.ahead += bytes;
        logs_[log_.number] = log_.ahead;
    } else if (done.error() == base::Errc::no_space) {
        extend_retry_at_ = log_.end + kRetryBytes;
    } else {
        // A failed sync of the log: what is in it already may be gone too.
        Group nobody;
        fail(done.error(), nobody);
    }
}

Task<void> SegmentStore::Core::rotate_log() {
    auto& disk = env.disk;
    const auto number = log_.number + 1;
    auto job = [&disk, number, &config = config, store = state.store] {
        return create_log(disk, config.directory, number, store, config.state_ahead_bytes, config.testing);
    };
    auto created = co_await env.workers.run(std::move(job));
    if (!created) {
        rotate_at_ = log_.end + kRetryBytes;
        checkpoint_now_ = false;
        co_return;
    }
    // No commit is under way: the state is exactly what the records up to next_sequence - 1 say.
    log_ = std::move(*created);
    logs_[number] = log_.ahead;
    extend_retry_at_ = 0;
    checkpointing_ = true;
    checkpoint_now_ = false;
    if (state.lost.encode() != lost_recorded_) lost_recorded_.reset();  // get() lost one; the log is still to say so
    tasks.spawn(write_checkpoint(self_.lock(), number, state.checkpoint(state.next_sequence - 1)));
}

Task<void> SegmentStore::Core::write_checkpoint(std::shared_ptr<Core> self, std::uint32_t number,
                                                Checkpoint checkpoint) {
    auto& disk = self->env.disk;
    auto job = [&disk, &config = self->config, number, store = self->state.store,
                checkpoint = std::move(checkpoint)]() mutable {
        return store::write_checkpoint(disk, config.directory, number, store, std::move(checkpoint));
    };
    const auto written = co_await self->env.workers.run(std::move(job));
    self->checkpointing_ = false;
    if (!written) {
        self->env.log.write(base::Log::Level::warning, "past", "no checkpoint: " + written.error().message());
        self->rotate_at_ = self->log_.end + self->config.checkpoint_bytes;
        co_return;
    }
    self->checkpoints_[number] = *written;
    self->rotate_at_ = std::max(self->config.checkpoint_bytes, 2 * *written);

    // This generation and the one before stay.
    std::vector<std::string> old;
    for (auto* files : {&self->logs_, &self->checkpoints_}) {
        const auto kind = files == &self->logs_ ? FileKind::log : FileKind::checkpoint;
        while (!files->empty() && files->begin()->first + 1 < number) {
            old.push_back(file_name(self->config.directory, kind, files->begin()->first));
            files->erase(files->begin());
        }
    }
    auto clear = [&disk, old = std::move(old)] {
        for (const auto& path : old) (void)disk.remove(path);
    };
    co_await self->env.workers.run(std::move(clear));
}

/// Whoever reads from such a segment holds its file open until done.
Task<void> SegmentStore::Core::remove_empty_segments() {
    bool removed = false;
    for (const auto slot : std::exchange(maybe_empty_, {})) {
        auto& segment = state.segments[slot];
        if (segment.number == 0 || segment.live_blocks > 0 || slot == state.active || segment.removing) continue;
        segment.removing = true;
        if (segment.file) --open_files_;
        segment.file.reset();
        const auto number = segment.number;
        auto& disk = env.disk;
        auto job = [&disk, directory = config.directory, number] { return remove_segment(disk, directory, number); };
        const auto done = co_await env.workers.run(std::move(job));
        // Not removed: the next open sees it again, without a live block.
        if (!done) continue;
        removed = true;
        const auto& gone = state.segments[slot];
        segment_bytes_ -= gone.bytes + gone.ahead_bytes + gone.index_bytes;
        state.remove_segment(slot);
    }
    if (removed) co_await refresh_space();
}

}  // namespace past
