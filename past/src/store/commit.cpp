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

std::optional<Op> operation_of(const Group::Part& part) {
    const auto& request = *part.request;
    if (request.kind == Request::Kind::record) return RecordOp{request.group, request.value};
    if (part.locations.empty()) return std::nullopt;
    switch (request.kind) {
        case Request::Kind::put:
        case Request::Kind::touch: return TagOp{request.tag, part.locations};
        case Request::Kind::untag: return UntagOp{request.tag, part.locations};
        case Request::Kind::discard:
        case Request::Kind::relocate: return DropOp{part.locations};
        case Request::Kind::forget_lost:
        case Request::Kind::drop_damaged:
        case Request::Kind::record: break;
    }
    return std::nullopt;
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
    while (!self->queue_.empty()) {
        auto group = self->take_group();
        const AnswerOnExit answer{group};
        if (!self->failed_) co_await self->write_blocks(group);
        if (!self->failed_) co_await self->write_ops(group);
        self->apply(group);
        if (!self->failed_) co_await self->upkeep();
    }
}

Group SegmentStore::Core::take_group() {
    Group group;
    std::set<Guid> named;
    std::uint64_t ids_in_group = 0;
    std::uint64_t record_bytes = 0;
    while (!queue_.empty()) {
        const auto& next = *queue_.front();
        const auto ids = named_by(next);
        ids_in_group += next.ids.size();
        record_bytes += next.value.size();
        const bool full = group.block_bytes + next.bytes > config.group_bytes ||
                          group.blocks + next.blocks.size() > kGroupBlocks || ids_in_group > kGroupIds ||
                          record_bytes > kGroupRecordBytes;
        const auto is_named = [&](const Guid& id) { return named.contains(id); };
        if (!group.parts.empty() && (full || std::any_of(ids.begin(), ids.end(), is_named))) break;
        named.insert(ids.begin(), ids.end());
        group.blocks += next.blocks.size();
        group.block_bytes += next.bytes;
        group.parts.push_back(plan(std::move(queue_.front())));
        queue_.pop_front();
    }
    return group;
}

/// A held block of a put that can take no tag of this volume.
std::optional<Guid> SegmentStore::Core::without_room_for_tag(const Request& put) const {
    for (const auto& block : put.blocks) {
        const auto held = state.index.find(block.id);
        if (held != Index::kNone && !state.tag_sets.has_room(state.index.tags(held), put.tag)) return block.id;
    }
    return std::nullopt;
}

/// Which blocks to write and which to change, as of now. Nothing else commits until this group has.
Group::Part SegmentStore::Core::plan(std::shared_ptr<Request> request) {
    if (request->kind == Request::Kind::relocate) return plan_relocation(std::move(request));
    Group::Part part;
    if (const auto full = without_room_for_tag(*request)) {
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
        } else if (state.tag_sets.would_change(state.index.tags(held), request->tag)) {
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

/// Those that are where they were, under that tag and no other: a put record has room for one.
Group::Part SegmentStore::Core::plan_relocation(std::shared_ptr<Request> request) {
    Group::Part part;
    for (std::size_t i = 0; i < request->blocks.size(); ++i) {
        const auto& block = request->blocks[i];
        const auto held = state.index.find(block.id);
        if (held == Index::kNone || state.index.where(held).slot != request->from) continue;
        if (state.tag_sets.tags(state.index.tags(held)) != std::vector<Tag>{request->tag}) continue;
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
    for (auto& part : group.parts) {
        if (part.fresh.empty()) continue;
        record.batches.push_back({part.request->group, part.request->tag, part.entries});
        const bool sets_left = state.tag_sets.size() + group.parts.size() < TagSets::kMax;
        // Blocks of a few bytes would fill our memory long before the disk.
        const bool memory_left = state.index.memory_bytes() + state.tag_sets.memory_bytes() < config.max_index_bytes;
        // What is moved makes room in the end: it may use half of what is kept for deletes. So do a new list without a
        // snapshot, or a directory without a name, which are small: else nobody could begin to make room.
        const bool moves = part.request->kind == Request::Kind::relocate;
        const bool small = part.fresh_bytes() <= kSmallPutBytes;
        const auto reserve = moves ? reserve_bytes_ / 2 : small ? reserve_bytes_ / 4 * 3 : reserve_bytes_;
        if (!sets_left || (!memory_left && !moves) || !has_room(record.total_bytes() + kFileHeaderBytes, reserve)) {
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
    record.sequence = state.next_sequence++;
    record.segment = write.number;
    record.unit = static_cast<std::uint32_t>(write.offset / kUnit);
    record.place_payloads();
    write.head = record.encode(state.store);

    auto& disk = env.disk;
    auto job = [&disk, write = std::move(write)]() mutable { return write_segment(disk, std::move(write)); };
    auto written = co_await env.workers.run(std::move(job));
    take_written(record, std::move(written), group);
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
    segment.bytes += record.total_bytes();
    segment_bytes_ += record.total_bytes();
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
        if (auto op = operation_of(part)) ops.push_back(std::move(*op));
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
            if (part.request && operation_of(part))
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
    const auto tags = state.tag_sets.intern({request.tag});
    for (const auto& entry : part.entries) {
        state.insert(entry.id, {state.active, entry.unit, entry.length}, request.group, state.tag_sets.share(tags));
        state.lost.erase(entry.id);
    }
    state.tag_sets.release(tags);
    bool complete = true;
    for (const auto& block : request.blocks) {
        const auto held = state.index.find(block.id);
        if (held != Index::kNone) {
            state.tag(held, request.tag);
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
