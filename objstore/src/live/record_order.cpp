// The order of updates by compare-and-set of the volume's record.
#include <algorithm>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "live/keep_version.hpp"
#include "live/live_record.hpp"
#include "objstore/error.hpp"
#include "objstore/live/order.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

base::Task<base::Result<std::optional<LiveRecord>>> read_record(Tree forest) {
    BASE_CO_TRY(const auto item, co_await forest.find(kLiveKey));
    if (!item) co_return std::optional<LiveRecord>{};
    auto record = LiveRecord::decode(std::get<Opaque>(item->value));
    if (record) co_return std::optional{std::move(*record)};
    if (record.error() == base::Errc::unsupported) co_return record.error();
    co_return base::Error{Errc::damaged, "forest " + forest.root()->id.hex() + ": " + record.error().detail()};
}

ForestEdit put_record(const LiveRecord& record) {
    Item item;
    item.key = kLiveKey;
    item.value = record.encode();
    ForestEdit edit;
    edit.put.push_back(std::move(item));
    return edit;
}

LiveVersion version_of(const LiveRecord& record, std::uint64_t sequence) {
    LiveVersion out;
    out.sequence = out.named_in = sequence;
    out.root = record.root;
    out.counts = record.counts;
    out.next_slot = record.next_slot;
    out.time_ns = record.time_ns;
    return out;
}

/// Makes the live tree where there is none.
class Found final : public ForestEditor {
  public:
    Found(const VolumeKeys& keys, Inode root, std::int64_t now_ns) : keys_{keys}, root_{root}, now_ns_{now_ns} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override {
        BASE_CO_TRY(auto present, co_await read_record(std::move(forest)));
        if (present) {
            record = std::move(*present);
            co_return std::optional<ForestEdit>{};
        }
        record = LiveRecord{};
        BASE_CO_TRY(record.root, co_await make_empty_tree(writer, keys_, root_));
        record.counts.directories = 1;
        record.time_ns = now_ns_;
        co_return std::optional{put_record(record)};
    }

    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

    LiveRecord record;

  private:
    const VolumeKeys& keys_;
    Inode root_;
    std::int64_t now_ns_;
};

class TakeSlot final : public ForestEditor {
  public:
    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& /*writer*/) override {
        BASE_CO_TRY(auto record, co_await read_record(std::move(forest)));
        if (!record) co_return base::Error{base::Errc::not_found, "the volume has no live tree"};
        if (record->next_slot == kMaxSlot) co_return base::Error{base::Errc::no_space, "inode numbers of the volume"};
        // After an answer that was lost the slot is taken twice: nobody uses the first.
        slot = record->next_slot++;
        co_return std::optional{put_record(*record)};
    }

    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

    std::uint32_t slot = 0;
};

/// The list of older versions, as commits read it: no commit waits for it for long, nor time after time.
class OlderVersions {
  public:
    explicit OlderVersions(Volume& volume)
        : clock_{volume.env().clock},
          reader_{volume.env(),
                  volume.storage(),
                  volume.reader().volume_tag(),
                  {.cache_bytes = 1U << 20U, .get_timeout = std::chrono::seconds{2}}} {}

    /// Null for a while after it could not be read.
    [[nodiscard]] BlockReader* reader() { return clock_.now() < again_at_ ? nullptr : &reader_; }
    void could_not_be_read() { again_at_ = clock_.now() + std::chrono::seconds{30}; }

  private:
    base::Clock& clock_;
    BlockReader reader_;  // without patience
    base::TimePoint again_at_;
};

/// One update on its way. Knows the versions that it tried to make.
class Submit final : public ForestEditor {
  public:
    Submit(LiveStore store, OlderVersions& older, base::Clock& clock, std::shared_ptr<const Update> update,
           std::shared_ptr<BlockWriter> content, bool may_rebase, InodeNumbers& numbers)
        : store_{std::move(store)},
          older_{older},
          clock_{clock},
          update_{std::move(update)},
          content_{std::move(content)},
          may_rebase_{may_rebase},
          numbers_{numbers} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override {
        BASE_CO_TRY(auto record, co_await read_record(forest));
        if (!record) co_return base::Error{Errc::damaged, "the volume's live tree is gone"};
        if (recall(*record)) co_return std::optional<ForestEdit>{};
        const auto replaced = *record;
        Attempt attempt;
        attempt.rebased_on = record->root;
        stored_since_ = update_->stored_since;
        auto update = update_;
        if (record->root->id != update_->base->id) {
            if (!may_rebase_) co_return Errc::conflict;
            // Of the base it may bring back what the newest version does not name any more.
            stored_since_ = std::min(stored_since_, update_->base_named_in + 1);
            Update copy = *update_;
            BASE_CO_TRY(auto rebased,
                        co_await rebase(store_, std::move(copy), record->root, numbers_, clock_.wall_ns()));
            attempt.conflicts = std::move(rebased.conflicts);
            update = std::make_shared<const Update>(std::move(rebased.update));
        }
        BASE_CO_TRY(record->root, co_await apply_update(store_, *update, attempt.conflicts, writer, record->counts));
        record->time_ns = std::max(record->time_ns + 1, clock_.wall_ns());
        record->remember({update_->id, root_mark(*record->root)});
        attempt.record = *record;
        attempts_.push_back(std::move(attempt));
        auto changes = put_record(*record);
        auto* const older = older_.reader();
        BASE_CO_TRY(const bool read, co_await keep_version(store_, older, std::move(forest), writer, replaced,
                                                           record->time_ns, &changes));
        if (!read && older != nullptr) older_.could_not_be_read();
        co_return std::optional{std::move(changes)};
    }

    [[nodiscard]] std::uint64_t stored_since() const override { return stored_since_; }

    base::Task<base::Result<void>> stored() override {
        if (content_ == nullptr) co_return base::ok();
        const auto flushed = co_await content_->flush();
        lacks_content_ = !flushed;
        if (!flushed) co_return flushed.error();
        co_return base::ok();
    }
    /// Without its content it was never published.
    [[nodiscard]] bool may_have_happened(const base::Error& error) const {
        return !lacks_content_ && !attempts_.empty() &&
               (error == past::Errc::holders_unreachable || error == past::Errc::too_few_copies ||
                error == base::Errc::timed_out || error == base::Errc::unreachable || error == base::Errc::busy);
    }

    /// Requires: edit_forest() with this editor succeeded.
    [[nodiscard]] Ordered outcome(std::uint64_t sequence) const {
        const auto& made = attempts_[done_.value_or(attempts_.size() - 1)];
        Ordered out;
        out.version = version_of(made.record, sequence);
        // Found done some time later: others may have come after it, and it is only known to be newer than its base.
        if (done_) out.version.named_in = update_->base_named_in;
        out.conflicts = made.conflicts;
        out.rebased_on = made.rebased_on;
        return out;
    }

  private:
    struct Attempt {
        LiveRecord record;
        std::vector<Conflict> conflicts;
        BlockRefPtr rebased_on;
    };
    /// True if an attempt whose answer was lost is in the tree.
    bool recall(const LiveRecord& newest) {
        for (const auto& recent : newest.recent) {
            if (recent.id != update_->id) continue;
            for (std::size_t i = 0; i < attempts_.size(); ++i) {
                if (root_mark(*attempts_[i].record.root) == recent.root) done_ = i;
            }
        }
        return done_.has_value();
    }

    LiveStore store_;
    OlderVersions& older_;
    base::Clock& clock_;
    std::shared_ptr<const Update> update_;
    std::shared_ptr<BlockWriter> content_;  // of the update, on its way
    bool lacks_content_ = false;
    bool may_rebase_;
    std::uint64_t stored_since_ = 0;
    InodeNumbers& numbers_;
    std::vector<Attempt> attempts_;
    std::optional<std::size_t> done_;

    friend class RecordOrder;
};

class RecordOrder final : public UpdateOrder {
  public:
    RecordOrder(base::NodeEnv env, Volume& volume, std::shared_ptr<NodeCache> nodes)
        : env_{env}, volume_{volume}, nodes_{std::move(nodes)}, older_{volume} {}

    base::Task<base::Result<LiveVersion>> newest() override {
        BASE_CO_CHECK(co_await volume_.refresh());
        const auto state = volume_.state();
        Tree forest{volume_.reader(), state.forest};
        BASE_CO_TRY(const auto record, co_await read_record(std::move(forest)));
        LiveVersion out;
        out.sequence = state.sequence;
        if (record) out = version_of(*record, state.sequence);
        co_return out;
    }

    base::Task<base::Result<LiveVersion>> found(Inode root) override {
        Found editor{volume_.keys(), root, env_.clock.wall_ns()};
        BASE_CO_TRY(const auto done, co_await volume_.edit_forest(editor, ForestCheck::paths));
        co_return version_of(editor.record, done.state.sequence);
    }

    base::Task<base::Result<std::uint32_t>> take_slot() override {
        TakeSlot editor;
        BASE_CO_CHECK(co_await volume_.edit_forest(editor, ForestCheck::paths));
        co_return editor.slot;
    }

    base::Task<base::Result<Ordered>> submit(std::shared_ptr<const Update> update, std::shared_ptr<BlockWriter> content,
                                             bool may_rebase, InodeNumbers& kept_numbers) override {
        if (!unsettled_ || unsettled_->update_->id != update->id) {
            LiveStore store{volume_.reader(), nodes_, volume_.keys()};
            unsettled_ = std::make_unique<Submit>(std::move(store), older_, env_.clock, std::move(update),
                                                  std::move(content), may_rebase, kept_numbers);
        }
        unsettled_->may_rebase_ = may_rebase;
        const auto done = co_await volume_.edit_forest(*unsettled_, ForestCheck::paths);
        if (!done && unsettled_->may_have_happened(done.error())) co_return done.error();
        const auto submitted = std::move(unsettled_);
        if (!done) co_return done.error();
        co_return submitted->outcome(done->state.sequence);
    }

    [[nodiscard]] bool in_doubt() const override { return unsettled_ != nullptr; }

  private:
    base::NodeEnv env_;
    Volume& volume_;
    std::shared_ptr<NodeCache> nodes_;
    OlderVersions older_;
    std::unique_ptr<Submit> unsettled_;  // the last one, until its outcome is known
};

}  // namespace

std::unique_ptr<UpdateOrder> make_record_order(base::NodeEnv env, Volume& volume, std::shared_ptr<NodeCache> nodes) {
    return std::make_unique<RecordOrder>(env, volume, std::move(nodes));
}

}  // namespace objstore
