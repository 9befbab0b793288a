// A node's blocks as the rest of PAST sees them: those on its own disk and those that a neighbour keeps in its stead
// count alike; those that it keeps for neighbours do not show.
//
// So whoever compares, repairs or hands over need not know that a copy was diverted. Paper: Rowstron & Druschel, SOSP
// 2001, section 3.3. Protocol and reasons: docs/decisions/diversion.md. On the node's executor.
#pragma once

#include "base/task_group.hpp"
#include "divert/diversion.hpp"
#include "divert/ledger.hpp"
#include "past/messages.hpp"

namespace past {

/// The neighbours, as far as a store needs them. Implemented by Diverter over the network.
class DivertTarget {
  public:
    virtual ~DivertTarget() = default;
    enum class Among : std::uint8_t {
        neighbours,  ///< that accept it by the thresholds
        anybody,     ///< where it fits: last of all
    };
    /// Has every block kept, under all of `tags`, by a node that is no holder of the group; durable there when it
    /// returns, with the node of each. Errc::no_space: for some there is none; what was stored is let go of later.
    /// base::Errc::timed_out likewise, after the time of an attempt. `cause`: of a put or of a repair (is_diversion).
    virtual base::Task<base::Result<std::vector<base::NodeId>>> keep(base::Guid group, std::vector<Tag> tags,
                                                                     std::vector<Block> blocks, Among among,
                                                                     Cause cause) = 0;
    /// Hashed. Errors: block_not_found, corrupt_block, or why `node` could not be asked.
    virtual base::Task<base::Result<base::SharedBytes>> fetch(base::NodeId node, base::Guid group, base::Guid id) = 0;
    /// For each id whether `node` keeps it for us; those are tagged (`untag`: lose the tag, as BlockStore::untag()).
    virtual base::Task<base::Result<std::vector<bool>>> retag(base::NodeId node, base::Guid group, Tag tag,
                                                              std::vector<base::Guid> ids, bool untag) = 0;
    /// Whether `node`, which keeps something for us, is away by all we know: what it keeps is in doubt.
    [[nodiscard]] virtual bool is_away(const base::NodeId&) const { return false; }
};

class DivertingStore : public BlockStore {
  public:
    /// `inner` and `target` outlive this.
    DivertingStore(base::Executor executor, BlockStore& inner, DivertTarget& target, DiversionThresholds thresholds)
        : executor_{executor},
          inner_{inner},
          target_{target},
          thresholds_{thresholds},
          pointers_{executor, inner, Ledger::Kind::pointers},
          diverted_{executor, inner, Ledger::Kind::diverted_replicas},
          one_less_{std::move(executor)} {}

    /// Reads what an earlier run left in the store.
    void load();
    /// Takes off the lists what a crash left on them by mistake.
    base::Task<void> tidy();

    // BlockStore
    /// base::Errc::busy, and nothing stored: some are kept here for another holder, which may count them until a review
    /// has told it to stop.
    base::Task<base::Result<void>> put(base::Guid group, Tag tag, std::vector<Block> blocks) override {
        return put_for(Cause::diversion, group, tag, std::move(blocks));
    }
    base::Task<base::Result<void>> put_for_repair(base::Guid group, Tag tag, std::vector<Block> blocks) override {
        return put_for(Cause::diverted_repair, group, tag, std::move(blocks));
    }
    base::Task<base::Result<base::SharedBytes>> get(base::Guid id) override;
    base::Task<base::Result<std::vector<bool>>> touch(Tag tag, std::vector<base::Guid> ids) override;
    base::Task<base::Result<std::uint64_t>> untag(Tag tag, std::vector<base::Guid> ids) override;
    base::Task<base::Result<void>> discard(std::vector<base::Guid> ids) override;
    base::Task<base::Result<void>> forget_lost(std::vector<base::Guid> ids) override {
        return inner_.forget_lost(std::move(ids));
    }
    [[nodiscard]] bool has(const base::Guid& id) const override;
    [[nodiscard]] std::uint32_t length(const base::Guid& id) const override;
    [[nodiscard]] std::vector<Tag> tags(const base::Guid& id) const override;
    [[nodiscard]] std::vector<GroupSummary> groups() const override;
    [[nodiscard]] GroupSummary summary(const base::Guid& group) const override;
    [[nodiscard]] std::vector<base::Guid> list(const base::Guid& group, const base::Guid& after,
                                               std::size_t limit) const override;
    [[nodiscard]] StoreUsage usage() const override;
    [[nodiscard]] std::vector<LostBlock> lost() const override { return inner_.lost(); }
    base::Task<base::Result<void>> put_record(base::Guid key, base::Bytes value) override {
        return inner_.put_record(key, std::move(value));
    }
    [[nodiscard]] std::optional<base::Bytes> record(const base::Guid& key) const override { return inner_.record(key); }
    [[nodiscard]] std::vector<base::Guid> record_keys() const override { return inner_.record_keys(); }

    // What we diverted
    [[nodiscard]] const Ledger& pointers() const { return pointers_; }
    /// Of pointers and of diverted replicas: beyond these nothing more is diverted, or taken for others. Their records
    /// come out of the reserve, which deletes need too.
    [[nodiscard]] std::uint64_t max_entries() const;
    /// The bytes lie on our own disk, be it for somebody else.
    [[nodiscard]] bool holds_bytes(const base::Guid& id) const { return inner_.has(id); }
    /// These copies are lost: others' repair gives them to us again. Not those whose pointer is another by now, or is
    /// about to be.
    base::Task<base::Result<void>> drop_pointers(Ledger::Entries lost);
    /// Whether there is room for a block of ours here again, where `room` is free.
    [[nodiscard]] bool could_take_home(std::uint64_t bytes, std::uint64_t room) const;
    /// Fetches it, puts it here, forgets the pointer. Errors of either.
    base::Task<base::Result<void>> take_home(base::Guid id);

    // What we keep for others
    [[nodiscard]] const Ledger& diverted_replicas() const { return diverted_; }
    /// Somebody is about to put it, to keep it for somebody, to take it home or to untag it.
    [[nodiscard]] bool is_under_way(const base::Guid& id) const { return under_way_.contains(id); }
    /// Of the diverted replicas of a group that we keep for `primary`, those that are there.
    [[nodiscard]] Ledger::Total kept_for(const base::NodeId& primary, const base::Guid& group) const;
    [[nodiscard]] std::uint64_t room() const;
    /// What a block that somebody diverts to us may weigh against.
    [[nodiscard]] std::uint64_t room_for_others() const;
    /// Durable when it returns. Errors: no_space (it does not fit: whoever diverts weighs it; or there are
    /// max_entries() diverted replicas), base::Errc::denied if we have one of them for ourselves or for another, or are
    /// about to: it would be one copy that counts twice.
    base::Task<base::Result<void>> keep_for(base::NodeId primary, base::Guid group, std::vector<Tag> tags,
                                            std::vector<Block> blocks);
    /// For each id whether we keep it for `primary`; those are tagged, or lose the tag.
    base::Task<base::Result<std::vector<bool>>> retag_for(base::NodeId primary, Tag tag, std::vector<base::Guid> ids,
                                                          bool untag);
    /// From now on these are ours to hand over like any copy that lies where it does not belong.
    base::Task<base::Result<void>> release(std::vector<base::Guid> ids) { return diverted_.erase(std::move(ids)); }

  private:
    struct Sorted;
    /// For as long as it lives its blocks are nobody else's to put, to untag, to take home or to keep for somebody.
    class KeyLock {
      public:
        KeyLock(DivertingStore& store, std::vector<base::Guid> ids);
        KeyLock(KeyLock&& other) noexcept;
        KeyLock& operator=(KeyLock&&) = delete;
        ~KeyLock();

      private:
        DivertingStore* store_;
        std::vector<base::Guid> ids_;
    };
    base::Task<KeyLock> lock_keys(std::vector<base::Guid> ids);
    [[nodiscard]] bool is_any_under_way(const std::vector<base::Guid>& ids) const;
    /// `cause`: of what is diverted.
    base::Task<base::Result<void>> put_for(Cause cause, base::Guid group, Tag tag, std::vector<Block> blocks);
    base::Task<base::Result<void>> put_alone(Cause cause, base::Guid group, Tag tag, std::vector<Block> blocks);
    [[nodiscard]] Sorted sort_out(std::vector<Block> blocks) const;
    void weigh(Block block, Sorted& sorted) const;
    [[nodiscard]] std::uint64_t unconfirmed(const base::Guid& group) const;
    [[nodiscard]] static std::uint64_t free_bytes(const StoreUsage& usage);
    [[nodiscard]] bool has_room_for(const base::Guid& id, const Tag& tag) const;
    base::Task<base::Result<void>> put_here(base::Guid group, Tag tag, std::vector<Block> blocks);
    base::Task<base::Result<void>> divert(Cause cause, base::Guid group, Tag tag, std::vector<Block> blocks,
                                          DivertTarget::Among among);
    base::Task<base::Result<void>> point(Ledger::Entries entries);
    base::Task<base::Result<void>> settle(std::vector<base::Guid> ids);
    using Told = std::map<std::pair<base::NodeId, base::Guid>, std::vector<base::Guid>>;  // by diversion host and group
    base::Task<base::Result<std::uint64_t>> untag_alone(Tag tag, std::vector<base::Guid> ids, Told& told);
    base::Task<void> forget_loss(std::vector<base::Guid> ids);
    static base::Task<void> forget(Ledger& ledger, base::Guid id);
    struct Touching;
    base::Task<std::vector<bool>> touch_elsewhere(Tag tag, std::vector<base::Guid> ids);
    base::Task<void> touch_at(base::NodeId node, base::Guid group, std::shared_ptr<Touching> touching,
                              std::vector<std::size_t> which);
    base::Task<void> untag_at(base::NodeId node, base::Guid group, Tag tag, std::vector<base::Guid> ids);

    base::Executor executor_;
    BlockStore& inner_;
    DivertTarget& target_;
    const DiversionThresholds thresholds_;
    Ledger pointers_;
    Ledger diverted_;
    std::set<base::Guid> under_way_;  // somebody's alone
    base::Event one_less_;            // of those
};

}  // namespace past
