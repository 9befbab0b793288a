// The commit loop: queue -> group -> segment -> log -> state -> answers.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/error.hpp"
#include "past/error.hpp"
#include "store/core.hpp"

namespace past {
namespace {

using base::Error;
using base::Guid;
using base::Result;
using base::Task;
using namespace store;  // NOLINT: the pieces this file puts together

constexpr std::size_t kGroupBlocks = 16384;
constexpr std::size_t kGroupIds = 65536;
constexpr std::size_t kSmallPutBytes = 48U << 10U;
constexpr std::size_t kGroupRecordBytes = 1U << 20U;
// Sequences kept for records that are committed while blocks are written. Theirs are less than that of the blocks:
// a greater one would say that the blocks were complete.
constexpr std::uint64_t kSequencesBeside = 1U << 16U;

/// Whoever still waits when the loop ends early (cancelled, or an exception) is told so.
struct AnswerOnExit {
    Group& group;
    ~AnswerOnExit() {
        for (auto& part : group.parts) {
            if (part.request) part.answer(Error{base::Errc::stopped});
        }
    }
};

std::vector<Guid> named_by(const Request& request) {
    auto ids = request.ids;
    for (const auto& block : request.blocks) ids.push_back(block.id);
    return ids;
}

std::vector<Op> operations_of(const Group::Part& part) {
    const auto& request = *part.request;
    std::vector<Op> ops;
    if (request.kind == Request::Kind::record) ops.emplace_back(RecordOp{request.group, request.value});
    if (part.locations.empty()) return ops;
    switch (request.kind) {
        case Request::Kind::put:
            for (const auto& tag : request.tags) ops.emplace_back(TagOp{tag, part.locations});
            break;
        case Request::Kind::touch: ops.emplace_back(TagOp{request.tag, part.locations}); break;
        case Request::Kind::untag: ops.emplace_back(UntagOp{request.tag, part.locations}); break;
        case Request::Kind::discard:
        case Request::Kind::relocate: ops.emplace_back(DropOp{part.locations}); break;
        case Request::Kind::forget_lost:
        case Request::Kind::drop_damaged:
        case Request::Kind::record: break;
    }
    return ops;
}

/// Lost blocks that somebody gives up.
void forget_losses(LostBlocks& lost, const Request& request) {
    for (const auto& id : request.ids) {
        if (request.kind == Request::Kind::untag) lost.untag(id, request.tag);
        if (request.kind == Request::Kind::discard || request.kind == Request::Kind::forget_lost) lost.erase(id);
    }
}

}  // namespace

Task<void> SegmentStore::Core::run(std::shared_ptr<Core> self) {
    struct NotRunning {
        Core& core;
        ~NotRunning() { core.running_ = false; }
    } const at_end{*self};
    // Who stores several groups at once sends them in one turn of the executor: they share a sync.
    co_await boost::asio::post(self->env.executor, boost::asio::use_awaitable);
    while (!self->queue_.empty() || !self->records_.empty()) {
        auto group = self->take_group();
        const AnswerOnExit answer{group};
        if (!self->failed_) co_await self->write_blocks(group);
        self->take_records(group);
        if (!self->failed_) co_await self->write_ops(group);
        self->apply(group);
        if (!self->failed_) co_await self->upkeep();
    }
}

Group SegmentStore::Core::take_group() {
    Group group;
    std::map<Guid, Request::Kind> named;
    std::uint64_t ids_in_group = 0;
    std::uint64_t directory_bytes = 0;
    while (!queue_.empty()) {
        const auto& next = *queue_.front();
        const auto ids = named_by(next);
        ids_in_group += next.ids.size();
        directory_bytes += 32 + tag_set_bytes(next.tags.size()) + 4 + kBlockBytes * next.blocks.size();
        const bool full = group.block_bytes + next.bytes > config.group_bytes ||
                          group.blocks + next.blocks.size() > kGroupBlocks || ids_in_group > kGroupIds ||
                          directory_bytes > kMaxDirectoryBytes / 2;
        // Touches of one block do not depend on each other, as long as there is room for all their tags.
        const auto clashes = [&](const Guid& id) {
            const auto at = named.find(id);
            if (at == named.end()) return false;
            if (next.kind != Request::Kind::touch || at->second != Request::Kind::touch) return true;
            const auto held = state.index.find(id);
            return held != Index::kNone &&
                   state.tag_sets.tags(state.index.tags(held)).size() + group.parts.size() >= kMaxTagsPerBlock;
        };
        if (!group.parts.empty() && (full || std::ranges::any_of(ids, clashes))) break;
        for (const auto& id : ids) named.emplace(id, next.kind);
        group.blocks += next.blocks.size();
        group.block_bytes += next.bytes;
        group.parts.push_back(plan(std::move(queue_.front())));
        queue_.pop_front();
    }
    return group;
}

/// Adds records that wait, as many as one operations record is to hold.
void SegmentStore::Core::take_records(Group& group) {
    std::uint64_t bytes = 0;
    while (!records_.empty() && (bytes == 0 || bytes + records_.front()->value.size() <= kGroupRecordBytes)) {
        bytes += std::max<std::size_t>(records_.front()->value.size(), 1);
        group.parts.emplace_back().request = std::move(records_.front());
        records_.pop_front();
    }
}

/// A block of a put that cannot take all the tags.
std::optional<Guid> SegmentStore::Core::without_room_for_tags(const Request& put) const {
    for (const auto& block : put.blocks) {
        const auto held = state.index.find(block.id);
        const auto tags = held == Index::kNone ? TagSets::kEmpty : state.index.tags(held);
        if (!state.tag_sets.has_room(tags, put.tags)) return block.id;
    }
    return std::nullopt;
}

/// Which blocks to write and which to change, as of now. Nothing else commits until this group has.
Group::Part SegmentStore::Core::plan(std::shared_ptr<Request> request) {
    if (request->kind == Request::Kind::relocate) return plan_relocation(std::move(request));
    Group::Part part;
    if (const auto full = without_room_for_tags(*request)) {
        request->finish(Error{Errc::too_many_tags, full->hex()});
        return part;
    }
    std::set<Guid> seen;
    for (std::size_t i = 0; i < request->blocks.size(); ++i) {
        const auto& block = request->blocks[i];
        if (!seen.insert(block.id).second) continue;
        const auto held = state.index.find(block.id);
        if (held == Index::kNone) {
            part.fresh.push_back(i);
            part.entries.push_back({block.id, static_cast<std::uint32_t>(block.bytes.size()), 0});
        } else if (std::ranges::any_of(request->tags, [&](const Tag& tag) {
                       return state.tag_sets.would_change(state.index.tags(held), tag);
                   })) {
            part.locations.push_back(state.location(held));
        }
    }
    for (const auto& id : request->ids) {
        const auto held = state.index.find(id);
        if (held == Index::kNone) continue;
        const auto tags = state.index.tags(held);
        const bool tagged =
            state.tag_sets.would_change(tags, request->tag) && state.tag_sets.has_room(tags, request->tag);
        if (request->kind == Request::Kind::touch && !tagged) continue;
        if (request->kind == Request::Kind::untag && !state.tag_sets.would_drop(tags, request->tag)) continue;
        if (request->kind == Request::Kind::forget_lost) continue;
        part.locations.push_back(state.location(held));
    }
    part.request = std::move(request);
    return part;
}

/// Those that are where they were, under those tags.
Group::Part SegmentStore::Core::plan_relocation(std::shared_ptr<Request> request) {
    Group::Part part;
    for (std::size_t i = 0; i < request->blocks.size(); ++i) {
        const auto& block = request->blocks[i];
        const auto held = state.index.find(block.id);
        if (held == Index::kNone || state.index.where(held).slot != request->from) continue;
        if (state.tag_sets.tags(state.index.tags(held)) != request->tags) continue;
        part.fresh.push_back(i);
        part.entries.push_back({block.id, static_cast<std::uint32_t>(block.bytes.size()), 0});
        part.locations.push_back(state.location(held));
    }
    part.request = std::move(request);
    return part;
}

/// One record of all the puts there is room for; the others are refused.
PutRecord SegmentStore::Core::admit_puts(Group& group, std::vector<base::SharedBytes>& payloads) {
    PutRecord record;
    const auto ahead = state.active == State::kNoSlot ? 0 : state.segments[state.active].ahead_bytes;
    for (auto& part : group.parts) {
        if (part.fresh.empty()) continue;
        record.batches.push_back({part.request->group, part.request->tags, part.entries});
        const bool sets_left = state.tag_sets.size() + group.parts.size() < TagSets::kMax;
        // Blocks of a few bytes would fill our memory long before the disk.
        const bool memory_left = state.index.memory_bytes() + state.tag_sets.memory_bytes() < config.max_index_bytes;
        // What is moved makes room in the end: it may use half of what is kept for deletes. So do a new list without a
        // snapshot, or a directory without a name, which are small: else nobody could begin to make room.
        const bool moves = part.request->kind == Request::Kind::relocate;
        const bool small = part.fresh_bytes() <= kSmallPutBytes;
        const auto reserve = moves ? reserve_bytes_ / 2 : small ? reserve_bytes_ / 4 * 3 : reserve_bytes_;
        const auto grows = record.total_bytes() + kFileHeaderBytes;
        if (!sets_left || (!memory_left && !moves) || !has_room(grows - std::min(grows, ahead), reserve)) {
            record.batches.pop_back();
            part.answer(Error{Errc::no_space, "block store in " + config.directory});
            continue;
        }
        for (const auto i : part.fresh) payloads.push_back(part.request->blocks[i].bytes);
    }
    return record;
}

Task<void> SegmentStore::Core::refresh_space() {
    auto& disk = env.disk;
    auto job = [&disk] { return disk.space(); };
    const auto space = co_await env.workers.run(std::move(job));
    if (space) space_ = *space;
}

Task<void> SegmentStore::Core::write_blocks(Group& group) {
    // Room may have come back since it was last asked for; others fill and empty the device too.
    if (group.block_bytes > 0 && !has_room(2 * group.block_bytes)) co_await refresh_space();
    SegmentWrite write;
    auto record = admit_puts(group, write.payloads);
    if (record.batches.empty()) co_return;
    if (state.active != State::kNoSlot && state.segments[state.active].bytes + record.total_bytes() > segment_limit_)
        seal_active();

    write.directory = config.directory;
    write.store = state.store;
    write.testing = config.testing;
    write.number = state.next_segment;
    write.offset = kFileHeaderBytes;
    if (state.active != State::kNoSlot) {
        const auto& segment = state.segments[state.active];
        write.number = segment.number;
        write.file = segment.file;
        write.offset = segment.bytes;
    }
    record.sequence = state.next_sequence + kSequencesBeside;
    record.segment = write.number;
    record.unit = static_cast<std::uint32_t>(write.offset / kUnit);
    record.place_payloads();
    write.head = record.encode(state.store);
    write.ahead_bytes = zeros_behind(write.offset, record.total_bytes());

    const auto written = std::make_shared<std::optional<SegmentWritten>>();
    tasks.spawn(write_beside(self_.lock(), std::move(write), written));
    while (!*written) {
        turn_.reset();
        if (!records_.empty() && !failed_ && state.next_sequence + 1 < record.sequence) {
            co_await commit_records();
        } else {
            co_await turn_.wait();
        }
    }
    state.next_sequence = record.sequence + 1;
    take_written(record, std::move(**written), group);
    // The log failed meanwhile: whether these blocks are there the next opening will show.
    for (auto& part : group.parts) {
        if (failed_ && part.request && !part.fresh.empty())
            part.answer(Error{base::Errc::io_failed, failed_->detail()});
    }
}

Task<void> SegmentStore::Core::write_beside(std::shared_ptr<Core> self, SegmentWrite write,
                                            std::shared_ptr<std::optional<SegmentWritten>> written) {
    // Also if the job throws: who waits for it would wait for ever.
    const auto tell = [self](std::optional<SegmentWritten>* result) {
        if (!*result) result->emplace().result = Error{base::Errc::io_failed, "a segment's writer ended"};
        self->turn_.set();
    };
    const std::unique_ptr<std::optional<SegmentWritten>, decltype(tell)> told{written.get(), tell};
    auto& disk = self->env.disk;
    auto job = [&disk, write = std::move(write)]() mutable { return write_segment(disk, std::move(write)); };
    *written = co_await self->env.workers.run(std::move(job));
}

Task<void> SegmentStore::Core::commit_records() {
    Group group;
    const AnswerOnExit answer{group};
    take_records(group);
    co_await write_ops(group);
    apply(group);
}

/// How many zeros to write behind a record that goes to `offset`. What is written over them changes no metadata, so
/// that its sync is one of data only. Large records are left alone: every byte would be written twice.
std::uint64_t SegmentStore::Core::zeros_behind(std::uint64_t offset, std::uint64_t record_bytes) const {
    const auto end = offset + record_bytes;
    const auto written = state.active == State::kNoSlot ? 0 : state.segments[state.active].ahead_bytes;
    const bool small = record_bytes <= config.segment_ahead_bytes / 16;
    if (record_bytes <= written || !small || end >= segment_limit_) return 0;
    const auto zeros = std::min(config.segment_ahead_bytes, segment_limit_ - end);
    return has_room(record_bytes + 64 * zeros) ? zeros : 0;  // nobody is to miss it
}

void SegmentStore::Core::take_written(const PutRecord& record, SegmentWritten written, Group& group) {
    if (written.space) space_ = *written.space;
    if (!written.result) {
        state.next_segment = std::max(state.next_segment, record.segment + 1);
        if (written.result.error() != base::Errc::no_space) return fail(written.result.error(), group);
        for (auto& part : group.parts) {
            if (part.request && !part.fresh.empty())
                part.answer(Error{Errc::no_space, "block store in " + config.directory});
        }
        if (state.active != State::kNoSlot)
            segment_bytes_ -= std::exchange(state.segments[state.active].ahead_bytes, 0);  // they were cut
        if (written.give_up) {
            seal_active();
            sealed_.reset();  // no index file: its end is to be checked when the store is opened
        }
        return;
    }
    if (state.active == State::kNoSlot) {
        state.active = state.add_segment(record.segment);
        auto& begun = state.segments[state.active];
        begun.file = std::move(written.file);
        begun.bytes = kFileHeaderBytes;
        segment_bytes_ += kFileHeaderBytes;
        ++open_files_;
    }
    auto& segment = state.segments[state.active];
    const auto before = segment.bytes + segment.ahead_bytes;
    segment.bytes += record.total_bytes();
    segment.ahead_bytes = std::max(written.ahead_bytes, before - std::min(before, segment.bytes));
    segment_bytes_ += segment.bytes + segment.ahead_bytes - before;
    put_is_last_ = true;
    auto batch = record.batches.begin();
    for (auto& part : group.parts) {
        if (part.request && !part.fresh.empty()) part.entries = (batch++)->blocks;
    }
}

Task<void> SegmentStore::Core::write_ops(Group& group) {
    std::vector<Op> ops;
    for (const auto& part : group.parts) {
        if (!part.request) continue;
        for (auto& op : operations_of(part)) ops.push_back(std::move(op));
    }
    const auto damaged = damaged_.size();
    if (damaged > 0) ops.push_back(DropOp{damaged_});
    auto lost = lost_after(group).encode();
    const bool lost_changed = lost != lost_recorded_;
    if (lost_changed) ops.push_back(RecordOp{LostBlocks::record_key(), lost});
    if (ops.empty()) co_return;
    const auto done = co_await append_ops(std::move(ops));
    if (done) {
        damaged_.erase(damaged_.begin(), damaged_.begin() + static_cast<std::ptrdiff_t>(damaged));
        if (lost_changed) lost_recorded_ = std::move(lost);
    } else if (done.error() == base::Errc::no_space) {
        for (auto& part : group.parts) {
            if (part.request && !operations_of(part).empty())
                part.answer(Error{Errc::no_space, "block store in " + config.directory});
        }
    } else {
        fail(done.error(), group);
    }
}

Task<Result<void>> SegmentStore::Core::append_ops(std::vector<Op> ops) {
    OpsRecord record;
    record.ops = std::move(ops);
    record.sequence = state.next_sequence++;
    record.log = log_.number;
    record.unit = static_cast<std::uint32_t>(log_.end / kUnit);
    auto job = [file = log_.file, offset = log_.end, bytes = record.encode(state.store),
                skip_sync = config.testing.skip_state_sync] { return append_log(*file, offset, bytes, skip_sync); };
    const auto size = record.encoded_bytes();
    const auto done = co_await env.workers.run(std::move(job));
    if (!done) co_return done;
    log_.end += size;
    log_.ahead = std::max(log_.ahead, log_.end);
    logs_[log_.number] = log_.ahead;
    put_is_last_ = false;
    co_return base::ok();
}

/// The list of lost blocks as it is to be on disk together with what this group changes.
LostBlocks SegmentStore::Core::lost_after(const Group& group) const {
    auto lost = state.lost;
    for (const auto& part : group.parts) {
        if (!part.request || lost.empty()) continue;
        for (const auto& entry : part.entries) lost.erase(entry.id);
        forget_losses(lost, *part.request);
    }
    return lost;
}

Task<void> SegmentStore::Core::settle_last_put(std::shared_ptr<Core> self) {
    if (!self->put_is_last_ || self->failed_) co_return;
    std::vector<Op> nothing{DropOp{}};
    const auto done = co_await self->append_ops(std::move(nothing));
    if (!done) self->env.log.write(base::Log::Level::debug, "past", "log not settled: " + done.error().message());
}

void SegmentStore::Core::apply(Group& group) {
    for (auto& part : group.parts) {
        if (!part.request) continue;
        if (failed_) {
            part.answer(*failed_);
            continue;
        }
        switch (part.request->kind) {
            case Request::Kind::put: apply_put(part); break;
            case Request::Kind::touch:
            case Request::Kind::untag:
            case Request::Kind::discard:
            case Request::Kind::forget_lost: apply_ids(part); break;
            case Request::Kind::record: state.records[part.request->group] = std::move(part.request->value); break;
            case Request::Kind::drop_damaged: break;  // get() has done it
            case Request::Kind::relocate: apply_relocation(part); break;
        }
        if (part.request) part.answer(base::ok());
    }
}

void SegmentStore::Core::apply_put(Group::Part& part) {
    const auto& request = *part.request;
    const auto tags = state.tag_sets.intern(request.tags);
    for (const auto& entry : part.entries) {
        state.insert(entry.id, {state.active, entry.unit, entry.length}, request.group, state.tag_sets.share(tags));
        state.lost.erase(entry.id);
    }
    state.tag_sets.release(tags);
    bool complete = true;
    for (const auto& block : request.blocks) {
        const auto held = state.index.find(block.id);
        if (held != Index::kNone) {
            for (const auto& tag : request.tags) state.tag(held, tag);
        } else {
            complete = false;  // it was there, and get() has found it damaged meanwhile
        }
    }
    if (!complete) queue_.push_front(std::exchange(part.request, nullptr));
}

void SegmentStore::Core::apply_ids(Group::Part& part) {
    auto& request = *part.request;
    if (!state.lost.empty()) forget_losses(state.lost, request);
    for (const auto& id : request.ids) {
        const auto block = state.index.find(id);
        const bool held = block != Index::kNone;
        switch (request.kind) {
            case Request::Kind::touch:
                request.held.push_back(held && state.tag_sets.has_room(state.index.tags(block), request.tag));
                if (request.held.back()) state.tag(block, request.tag);
                break;
            case Request::Kind::untag:
                if (!held || !state.tag_sets.would_drop(state.index.tags(block), request.tag)) break;
                maybe_empty_.push_back(state.index.where(block).slot);
                request.gone += state.untag(block, request.tag) ? 1 : 0;
                break;
            case Request::Kind::discard:
                if (held) drop_block(block);
                break;
            case Request::Kind::put:
            case Request::Kind::forget_lost:
            case Request::Kind::drop_damaged:
            case Request::Kind::relocate:
            case Request::Kind::record: break;
        }
    }
}

void SegmentStore::Core::apply_relocation(Group::Part& part) {
    for (std::size_t i = 0; i < part.entries.size(); ++i) {
        const auto& entry = part.entries[i];
        const auto block = state.index.find(entry.id);
        if (block == Index::kNone || state.location(block) != part.locations[i]) continue;  // get() found it damaged
        maybe_empty_.push_back(state.index.where(block).slot);
        state.move(block, {state.active, entry.unit, entry.length});
    }
}

}  // namespace past
