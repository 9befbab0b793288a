#include "store/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace past::store {
namespace {

using base::Disk;
using base::Result;

class Recovery {
  public:
    Recovery(Disk& disk, base::Log& log, const SegmentStore::Config& config)
        : disk_{disk}, log_{log}, config_{config}, access_{config.read_only ? Access::read : Access::full} {}

    Result<Recovered> run(const StoreId& fresh_id, std::uint64_t salt) {
        BASE_TRY(store_, enter_directory(disk_, log_, config_.directory, access_, fresh_id, out_.lock));
        out_.state = std::make_unique<State>(store_, salt);
        BASE_TRY(files_, read_state_files(disk_, log_, config_.directory, access_, store_, state().damage));
        state().next_sequence = files_.last_sequence + 1;
        state().next_segment = files_.last_segment + 1;
        state().records = std::move(files_.base.records);
        if (const auto kept = state().records.extract(LostBlocks::record_key())) {
            lost_recorded_ = kept.mapped();
            state().lost = LostBlocks::decode(lost_recorded_);
        }
        for (auto& set : files_.base.tag_sets) base_sets_.push_back(state().tag_sets.intern(std::move(set)));
        BASE_CHECK(read_segments());
        for (const auto set : base_sets_) state().tag_sets.release(set);
        notice_missing_logs();
        take_lost_blocks();
        if (state().damage.state_lost) take_newest_generations();
        if (access_ == Access::full) {
            BASE_CHECK(ready_log());
            remove_old();
        } else {
            out_.logs = files_.logs;
            out_.checkpoints = files_.checkpoints;
        }
        BASE_TRY(out_.space, disk_.space());
        out_.checkpoint_now = files_.odd;
        return std::move(out_);
    }

  private:
    [[nodiscard]] State& state() { return *out_.state; }

    Result<void> read_segments() {
        BASE_TRY(const auto entries, disk_.list(config_.directory + "/segments"));
        std::vector<std::uint32_t> numbers;
        for (const auto& entry : entries) {
            if (const auto number = number_in(entry.name, FileKind::segment)) numbers.push_back(number);
        }
        std::sort(numbers.begin(), numbers.end());
        for (const auto& entry : entries) {
            const auto number = number_in(entry.name, FileKind::index);
            if (access_ == Access::full && number != 0 && !std::binary_search(numbers.begin(), numbers.end(), number))
                (void)disk_.remove(config_.directory + "/segments/" + entry.name);
        }
        for (const auto number : numbers) {
            const bool last = number == numbers.back();
            const auto read = [&] {
                return read_segment(disk_, log_, config_.directory, access_, store_, number, last, files_.last_sequence,
                                    state().damage);
            };
            const auto met = state().damage;
            auto segment = read();
            if (!segment && segment.error() == base::Errc::io_failed) {
                state().damage = met;
                segment = read();
            }
            if (segment) {
                BASE_CHECK(take(std::move(*segment), last));
            } else if (segment.error() == base::Errc::io_failed) {
                // A device that cannot read one file must not keep the others from being served.
                state().next_segment = std::max(state().next_segment, number + 1);
                ++state().damage.unreadable_segments;
                log_.write(base::Log::Level::error, "past", "segment skipped: " + segment.error().message());
                if (!out_.unreadable)
                    out_.unreadable = base::Error{
                        base::Errc::io_failed, "this store cannot read " + segment.error().detail() +
                                                   "; if that lasts, move the file away to go on without what it has"};
            } else {
                return segment.error();
            }
        }
        return base::ok();
    }

    Result<void> take(SegmentFile segment, bool last) {
        state().next_segment = std::max(state().next_segment, segment.number + 1);
        if (segment.records.empty() && segment.foreign) return base::ok();
        if (segment.records.empty() && last) {
            if (access_ == Access::read) return base::ok();
            // Begun and never acknowledged, or everything in it was cut.
            segment.file.reset();
            return disk_.remove(file_name(config_.directory, FileKind::segment, segment.number));
        }
        const auto slot = state().add_segment(segment.number);
        for (const auto& record : segment.records) {
            state().next_sequence = std::max(state().next_sequence, record.sequence + 1);
            insert(record, slot, segment.torn);
        }
        auto& known = state().segments[slot];
        known.bytes = segment.bytes;
        known.index_bytes = segment.index_bytes;
        if (!segment.torn.empty()) drop_torn(slot, segment);
        if (last && !segment.records.empty()) out_.put_is_last = segment.records.back().sequence > files_.last_sequence;
        if (last && segment.appendable && segment.bytes < config_.segment_bytes) {
            known.file = std::move(segment.file);
            state().active = slot;
        } else if (segment.file && segment.appendable) {
            const auto written =
                write_index(disk_, config_.directory, segment.number, store_, segment.bytes, segment.records);
            if (written) known.index_bytes = *written;
        }
        return base::ok();
    }

    /// Of a block that was being moved one copy goes: the one before, or this one if it is `torn`.
    void insert(const PutRecord& record, std::uint32_t slot, const std::vector<Location>& torn) {
        const auto* listed = record.sequence <= files_.base.sequence ? listed_in(record.segment) : nullptr;
        auto& sets = state().tag_sets;
        for (const auto& batch : record.batches) {
            const auto as_put = sets.intern(batch.tags);
            for (const auto& block : batch.blocks) {
                auto tags = TagSets::kEmpty;
                if (record.sequence > files_.base.sequence) {
                    tags = sets.share(as_put);
                } else if (const auto* live = find_live(listed, block.unit)) {
                    tags = sets.share(base_sets_[live->tags]);
                }
                const Location location{record.segment, block.unit};
                tags = replay(location, record.sequence, tags);
                if (tags == TagSets::kEmpty) continue;
                const auto before = state().index.find(block.id);
                const bool moved = before != Index::kNone;
                const bool is_torn = std::binary_search(torn.begin(), torn.end(), location);
                if (moved) dropped_.push_back(is_torn ? location : state().location(before));
                if (moved && is_torn) {
                    sets.release(tags);
                } else {
                    state().insert(block.id, {slot, block.unit, block.length}, batch.group, tags);
                }
            }
            sets.release(as_put);
        }
    }

    const std::vector<Checkpoint::Live>* listed_in(std::uint32_t segment) const {
        const auto at = files_.base.segments.find(segment);
        return at == files_.base.segments.end() ? nullptr : &at->second;
    }

    static const Checkpoint::Live* find_live(const std::vector<Checkpoint::Live>* listed, std::uint32_t unit) {
        if (listed == nullptr) return nullptr;
        const auto at = std::lower_bound(listed->begin(), listed->end(), unit,
                                         [](const Checkpoint::Live& live, std::uint32_t u) { return live.unit < u; });
        return at != listed->end() && at->unit == unit ? &*at : nullptr;
    }

    /// The tags of this copy, put at this sequence, after the operations in the logs.
    TagSets::Ref replay(const Location& block, std::uint64_t put_at, TagSets::Ref tags) {
        auto at =
            std::lower_bound(files_.changes.begin(), files_.changes.end(), block,
                             [](const StateFiles::Change& change, const Location& b) { return change.block < b; });
        for (; at != files_.changes.end() && at->block == block; ++at) {
            const auto& step = files_.ops[at->op];
            if (step.sequence < put_at) continue;
            auto& sets = state().tag_sets;
            switch (step.kind) {
                case StateFiles::Step::Kind::tag:
                    // A copy without tags is gone and stays so.
                    if (tags != TagSets::kEmpty) tags = sets.with(tags, step.tag);
                    break;
                case StateFiles::Step::Kind::untag: tags = sets.without(tags, step.tag); break;
                case StateFiles::Step::Kind::drop:
                    sets.release(tags);
                    tags = TagSets::kEmpty;
                    break;
            }
        }
        return tags;
    }

    /// Blocks of the last record that turned out torn, or damaged: then they are lost.
    void drop_torn(std::uint32_t slot, const SegmentFile& segment) {
        for (const auto& batch : segment.records.back().batches) {
            for (const auto& block : batch.blocks) {
                const Location location{segment.number, block.unit};
                if (!std::binary_search(segment.torn.begin(), segment.torn.end(), location)) continue;
                const auto held = state().index.find(block.id);
                if (held == Index::kNone || state().index.where(held) != Index::Where{slot, block.unit, block.length})
                    continue;
                dropped_.push_back(location);
                if (segment.complete) {
                    state().lose(held);
                } else {
                    state().erase(held);
                }
            }
        }
    }

    /// A log is durable before the first segment is begun, so one that has nothing in it was not begun by a crash.
    void notice_missing_logs() {
        const bool none = files_.logs.size() == (files_.unused_log != 0 ? 1U : 0U);
        if (!none || !files_.checkpoints.empty() || state().segments.empty()) return;
        state().damage.state_lost = files_.odd = true;
        files_.unused_log = 0;
    }

    /// Those that were put again since they were written down are lost no more.
    void take_lost_blocks() {
        for (const auto& block : state().lost.all()) {
            if (state().index.find(block.id) != Index::kNone) state().lost.erase(block.id);
        }
    }

    void take_newest_generations() {
        std::map<base::Guid, std::uint64_t> newest;
        std::vector<Index::Handle> all;
        state().index.for_each([&](Index::Handle block) {
            for (const auto& tag : state().tag_sets.tags(state().index.tags(block)))
                newest[tag.volume] = std::max(newest[tag.volume], tag.generation);
            all.push_back(block);
        });
        for (const auto& step : files_.ops) {
            if (const auto at = newest.find(step.tag.volume); at != newest.end())
                at->second = std::max(at->second, step.tag.generation);
        }
        for (const auto block : all) {
            const auto tags = state().tag_sets.tags(state().index.tags(block));
            for (const auto& tag : tags) state().tag(block, {tag.volume, newest[tag.volume]});
        }
        log_.write(
            base::Log::Level::error, "past",
            config_.directory + ": operations were lost to damage; blocks may be kept too long, none is dropped");
    }

    /// A log to append to, with the drops that recovery decided in it.
    Result<void> ready_log() {
        out_.logs = files_.logs;
        out_.checkpoints = files_.checkpoints;
        out_.log = std::move(files_.log);
        if (!out_.log.file) {
            const auto newest = [](const auto& files) { return files.empty() ? 0 : files.rbegin()->first; };
            auto number = std::max(newest(out_.logs), newest(out_.checkpoints)) + 1;
            // A log 1 that was lost is to be missed at each opening, until a checkpoint stands for it.
            if (number == 1 && state().damage.state_lost) number = 2;
            if (files_.unused_log != 0) number = files_.unused_log;
            files_.odd = files_.odd || number > 1;
            BASE_TRY(out_.log, create_log(disk_, config_.directory, number, store_, config_.state_ahead_bytes, {}));
        } else {
            // Not for want of room: then the log goes on without.
            const auto ahead = write_ahead(*out_.log.file, out_.log.end, padded(config_.state_ahead_bytes));
            if (ahead) out_.log.ahead = out_.log.end + padded(config_.state_ahead_bytes);
            if (!ahead && ahead.error() != base::Errc::no_space) return ahead;
        }
        out_.logs[out_.log.number] = out_.log.ahead;
        OpsRecord record;
        if (!dropped_.empty()) record.ops.push_back(DropOp{dropped_});
        if (auto lost = state().lost.encode(); lost != lost_recorded_)
            record.ops.push_back(RecordOp{LostBlocks::record_key(), std::move(lost)});
        if (record.ops.empty()) return base::ok();
        record.sequence = state().next_sequence++;
        record.log = out_.log.number;
        record.unit = static_cast<std::uint32_t>(out_.log.end / kUnit);
        const auto bytes = record.encode(store_);
        BASE_CHECK(append_log(*out_.log.file, out_.log.end, bytes, false));
        out_.log.end += bytes.size();
        out_.log.ahead = std::max(out_.log.ahead, out_.log.end);
        out_.put_is_last = false;
        return base::ok();
    }

    void remove_old() {
        for (auto* files : {&out_.logs, &out_.checkpoints}) {
            const auto kind = files == &out_.logs ? FileKind::log : FileKind::checkpoint;
            while (!files->empty() && files->begin()->first < files_.oldest_needed) {
                (void)disk_.remove(file_name(config_.directory, kind, files->begin()->first));
                files->erase(files->begin());
            }
        }
    }

    Disk& disk_;
    base::Log& log_;
    const SegmentStore::Config& config_;
    const Access access_;
    StoreId store_{};
    StateFiles files_;
    Recovered out_;
    std::vector<TagSets::Ref> base_sets_;  // of the checkpoint, by its numbers
    std::vector<Location> dropped_;
    base::Bytes lost_recorded_;  // of the lost blocks, as the log has it
};

}  // namespace

Result<Recovered> recover(Disk& disk, base::Log& log, const SegmentStore::Config& config, const StoreId& fresh_id,
                          std::uint64_t salt) {
    return Recovery{disk, log, config}.run(fresh_id, salt);
}

}  // namespace past::store
