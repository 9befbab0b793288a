#include "store/core.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "past/error.hpp"

namespace past {
namespace {

using base::Error;
using base::Result;
using base::Task;
using namespace store;  // NOLINT: the pieces this file puts together

constexpr std::uint64_t kLeastSegment = 64U << 10U;

std::uint64_t auto_reserve(std::uint64_t capacity) {
    return std::min(std::max<std::uint64_t>(64U << 20U, capacity / 20), capacity / 2);
}

}  // namespace

SegmentStore::Core::Core(base::NodeEnv environment, Config settings, Recovered recovered)
    : env{environment},
      config{std::move(settings)},
      state{std::move(*recovered.state)},
      tasks{environment.executor},
      queue_room{environment.executor, config.queue_bytes},
      lock_{std::move(recovered.lock)},
      log_{std::move(recovered.log)},
      logs_{std::move(recovered.logs)},
      checkpoints_{std::move(recovered.checkpoints)},
      space_{recovered.space},
      turn_{environment.executor},
      put_is_last_{recovered.put_is_last},
      lost_recorded_{state.lost.encode()},
      unreadable_{std::move(recovered.unreadable)},
      compacted_{environment.executor},
      checkpoint_now_{recovered.checkpoint_now} {
    for (std::uint32_t slot = 0; slot < state.segments.size(); ++slot) {
        const auto& segment = state.segments[slot];
        segment_bytes_ += segment.bytes + segment.index_bytes;
        if (segment.live_blocks == 0) maybe_empty_.push_back(slot);
        if (segment.file) ++open_files_;
    }
    reserve_bytes_ = config.reserve_bytes;
    if (reserve_bytes_ == Config::kAuto)
        reserve_bytes_ = auto_reserve(config.capacity_bytes == 0 ? space_.total_bytes : config.capacity_bytes);
    segment_limit_ = config.segment_bytes;
    if (reserve_bytes_ > 0) segment_limit_ = std::min(segment_limit_, std::max(reserve_bytes_ / 4, kLeastSegment));
    if (config.read_only) failed_ = Error{base::Errc::read_only, "block store in " + config.directory};
    const auto last = checkpoints_.empty() ? 0 : checkpoints_.rbegin()->second;
    rotate_at_ = std::max(config.checkpoint_bytes, 2 * last);
}

std::uint64_t SegmentStore::Core::state_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto* files : {&logs_, &checkpoints_})
        for (const auto& [number, size] : *files) bytes += size;
    return bytes;
}

StoreUsage SegmentStore::Core::usage() const {
    StoreUsage out;
    out.blocks = state.index.size();
    out.block_bytes = state.index.block_bytes();
    // Zeros written ahead are room.
    const auto ahead = state.active == State::kNoSlot ? 0 : state.segments[state.active].ahead_bytes;
    out.disk_bytes = segment_bytes_ + state_bytes() - ahead;
    const auto device = out.disk_bytes + ahead + space_.free_bytes;  // it may have less than we were promised
    out.capacity_bytes = config.capacity_bytes == 0 ? device : std::min(config.capacity_bytes, device);
    out.reserve_bytes = reserve_bytes_;
    out.index_bytes = state.index.memory_bytes() + state.tag_sets.memory_bytes();
    out.max_index_bytes = config.max_index_bytes;
    out.lost_blocks = state.lost.size();
    out.read_only = failed_.has_value();
    out.state_lost = state.damage.state_lost;
    return out;
}

bool SegmentStore::Core::has_room(std::uint64_t bytes, std::uint64_t reserve) const {
    if (space_.free_bytes < bytes || space_.free_bytes - bytes < reserve) return false;
    return config.capacity_bytes == 0 || segment_bytes_ + state_bytes() + bytes + reserve <= config.capacity_bytes;
}

Task<void> SegmentStore::Core::submit(std::shared_ptr<Core> self, std::shared_ptr<Request> request) {
    if (self->closing) {
        request->finish(Error{base::Errc::stopped, "block store in " + self->config.directory});
        co_return;
    }
    self->enqueue(self, request);
    co_await request->done.wait();
}

void SegmentStore::Core::enqueue(std::shared_ptr<Core> self, std::shared_ptr<Request> request) {
    const bool is_record = request->kind == Request::Kind::record;
    (is_record ? records_ : queue_).push_back(std::move(request));
    if (is_record) turn_.set();
    if (running_) return;
    running_ = true;
    tasks.spawn(run(std::move(self)));
}

void SegmentStore::Core::stop() {
    closing = true;
    const Error stopped{base::Errc::stopped, "block store in " + config.directory};
    for (auto* waiting : {&queue_, &records_})
        for (auto& request : std::exchange(*waiting, {})) request->finish(stopped);
    tasks.cancel();
}

/// Gives the store up for writing: what a failed write or sync left behind is unknown, and trying again would only seem
/// to make it durable (Rebello et al. 2020).
void SegmentStore::Core::fail(const Error& error, Group& group) {
    failed_ = Error{base::Errc::read_only,
                    "block store in " + config.directory + " takes no writes after an error: " + error.message()};
    env.log.write(base::Log::Level::error, "past", failed_->detail());
    for (auto& part : group.parts) {
        if (part.request) part.answer(error.with("block store in " + config.directory));
    }
}

void SegmentStore::Core::drop_block(Index::Handle block) {
    maybe_empty_.push_back(state.index.where(block).slot);
    state.erase(block);
}

Error SegmentStore::Core::missing(const base::Guid& id) const {
    if (unreadable_) return *unreadable_;
    return {state.lost.contains(id) ? Errc::corrupt_block : Errc::block_not_found, id.hex()};
}

Task<Result<base::SharedBytes>> SegmentStore::Core::read(std::shared_ptr<Core> self, base::Guid id) {
    auto& state = self->state;
    const auto block = state.index.find(id);
    if (block == Index::kNone) co_return self->missing(id);
    const auto where = state.index.where(block);
    auto& segment = state.segments[where.slot];
    segment.last_read = ++self->tick_;

    const auto number = segment.number;
    auto& disk = self->env.disk;
    auto job = [&disk, &config = self->config, number, file = segment.file, where, id]() mutable {
        return read_block(disk, config.directory, number, std::move(file), std::uint64_t{where.unit} * kUnit,
                          where.length, id, config.testing.skip_read_check);
    };
    auto out = co_await self->env.workers.run(std::move(job));

    const bool same_segment = state.segments[where.slot].number == number;
    if (out.file && same_segment) self->remember_file(where.slot, std::move(out.file));
    if (!out.damaged) co_return std::move(out.bytes);
    const auto now = state.index.find(id);
    if (now == Index::kNone || !same_segment || state.index.where(now) != where)
        co_return self->missing(id);  // it was dropped meanwhile

    // Lost at once, so that a repair can put a good copy, and durably before anybody is told.
    ++state.damage.corrupt_blocks;
    self->env.log.write(base::Log::Level::warning, "past", "damaged block dropped: " + id.hex());
    self->damaged_.push_back(state.location(now));
    self->maybe_empty_.push_back(where.slot);
    state.lose(now);
    const auto request = std::make_shared<Request>(self->env.executor, Request::Kind::drop_damaged);
    co_await submit(self, request);
    co_return std::move(out.bytes);
}

void SegmentStore::Core::remember_file(std::uint32_t slot, std::shared_ptr<base::File> file) {
    auto& segment = state.segments[slot];
    if (segment.file || segment.removing) return;  // another reader was first
    segment.file = std::move(file);
    if (++open_files_ <= config.open_files) return;
    Segment* oldest = nullptr;
    for (std::uint32_t other = 0; other < state.segments.size(); ++other) {
        auto& candidate = state.segments[other];
        if (!candidate.file || other == slot || other == state.active) continue;
        if (oldest == nullptr || candidate.last_read < oldest->last_read) oldest = &candidate;
    }
    if (oldest == nullptr) return;
    oldest->file.reset();
    --open_files_;
}

}  // namespace past
