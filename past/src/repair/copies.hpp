// What one node knows of the copies of one group that it has blocks of, and what follows. Decides, never acts.
#pragma once

#include <map>
#include <optional>

#include "past/block_store.hpp"
#include "replication/placement.hpp"

namespace past {

/// Another node, and one place of ours.
struct PeerCopy {
    // From the ring, anew in each round.
    pastry::NodeHandle node;
    bool placed = false;  ///< it is one of the group's holders
    bool live = false;
    bool newcomer = false;
    bool stable = false;    ///< it may be sent something at all: it stays, and did not refuse what it was sent last
    bool waits = false;     ///< for one of these reasons it is sent only what too few nodes have
    bool counts = false;    ///< absent, not for long, and by all we know it has what it should
    bool draining = false;  ///< a source like any other, but what it has counts for no copy

    // From what it said.
    bool asked = false;     ///< it answered a comparison, ever
    bool compared = false;  ///< and since the last full check
    base::Guid ours;        ///< digests when last compared
    base::Guid theirs;
    std::uint64_t our_blocks = 0;
    std::uint64_t their_blocks = 0;
    std::uint64_t unconfirmed = 0;    ///< of theirs: with diversion hosts that are away
    bool has_all_of_ours = false;     ///< for these digests
    bool offered = false;             ///< tags too
    bool gave_some_up = false;        ///< its owner took some of these back there: it tells us by which reclaims
    std::vector<base::Guid> lacking;  ///< sorted; for the digests when it was found out
    bool lasts = false;               ///< some of these it lacked the time before as well
    base::TimePoint lacking_since;    ///< that long
    base::TimePoint progress_at;      ///< somebody sent it something
    base::TimePoint refused_until;    ///< it would refuse again: no room, a broken disk

    void answered(const GroupSummary& mine, const CompareReply::Entry& theirs_now, base::TimePoint now);
    /// Takes in which of our blocks it lacks; `all_told`: our tags were offered with all of them, and are no others
    /// now. Returns those that it lacked the time before as well: they are not merely on their way.
    std::vector<base::Guid> found_lacking(std::vector<base::Guid> ids, bool all_told, base::TimePoint now);
    /// It has what it should: nothing is to be offered. `everything`: tags too, and of what we are no holder of.
    [[nodiscard]] bool well(bool everything) const { return compared && has_all_of_ours && (!everything || offered); }
    /// It took nothing of what it was sent: it is left alone for `pause`, twice as long each time in a row, at most
    /// eight times.
    void refused(base::TimePoint now, base::Duration pause);
    /// It took what it was sent, or was away: who knows what it takes now.
    void forget_refusals();
    /// It has all of a set of ours, or had it and has only grown since.
    [[nodiscard]] bool has_all(const base::Guid& digest) const;
    /// It is seen to have this block of ours.
    [[nodiscard]] bool has(const base::Guid& digest, const base::Guid& id) const;
    /// `lacking` is of the present.
    [[nodiscard]] bool lacking_known(const base::Guid& digest) const;
    [[nodiscard]] bool has_something() const { return asked && their_blocks > 0; }

  private:
    base::Guid all_of_;  // the set of ours that it was last seen to have whole
    std::uint64_t all_of_blocks_ = 0;
    base::Guid lacking_ours_;
    base::Guid lacking_theirs_;
    base::Duration refusal_pause_{};
};

struct GroupCopies {
    GroupSummary summary;
    HolderSet set;
    base::TimePoint set_at;  ///< when that was found out
    bool draining = false;   ///< we are: what we have counts for no copy
    /// The placed ones; in a wide group everybody who may have blocks of it.
    std::map<base::NodeId, PeerCopy> peers;
    base::TimePoint changed_at;
    std::uint64_t tag_changes = 0;  ///< how often tags of our blocks may have been raised
    base::TimePoint worked_at;      ///< last time that its differences were looked into; at first, when we saw it

    // Who else has it? Asked while a holder lacks blocks and is not simply sent them.
    std::optional<base::TimePoint> short_since;
    bool wide = false;
    base::TimePoint wide_since;
    base::TimePoint wanted_at;    ///< last
    bool looked = false;          ///< block by block
    std::vector<base::Guid> few;  ///< sorted: not enough nodes have them, nor are about to be sent them
    base::TimePoint few_since;
    std::optional<base::TimePoint> missing_since;  ///< copies of ours were missing at the end of each round since then
    std::uint64_t short_blocks = 0;                ///< held by fewer than `copies` live nodes when we looked
    base::TimePoint look_at;                       ///< again
    base::Duration look_pause{};

    // Where we are no holder:
    base::TimePoint offered_at;                    ///< everything, to all the holders; they lacked nothing
    std::optional<base::TimePoint> surplus_since;  ///< all holders were seen to have all of it
    std::vector<base::NodeId> surplus_of;          ///< these holders
    base::Guid surplus_digest;                     ///< all of this

    [[nodiscard]] bool ours(const base::NodeId& self) const { return set.placed_on(self); }
    [[nodiscard]] std::vector<base::NodeId> placed() const;
    /// A holder is not known to have what it should.
    [[nodiscard]] bool under_replicated() const;

    /// Who counts as having a block: live nodes that were seen to have it, none of theirs in doubt (seen); or those,
    /// doubts or not, absent holders that count, and holders that are sent whatever they lack (expected).
    enum class Counting { seen, expected };
    /// Nodes that have all of ours, ourselves included, unless some of ours are in doubt (seen).
    [[nodiscard]] std::size_t holding_all(Counting counting) const;
    /// Of the sorted `ids`, those that fewer than `copies` nodes have.
    [[nodiscard]] std::vector<base::Guid> held_by_few(const std::vector<base::Guid>& ids, std::size_t copies,
                                                      Counting counting) const;
    /// Who should be sent which of them, so that `copies` have each: those that we have known for a while, the nearest
    /// first; newcomers if there are not enough.
    [[nodiscard]] std::vector<std::pair<pastry::NodeHandle, std::vector<base::Guid>>> shares(
        const std::vector<base::Guid>& ids, std::size_t copies) const;
    /// How many that have something come before us to send it to `peer`: holders first, the nearest first.
    [[nodiscard]] std::size_t rank(const base::NodeId& self, const base::NodeId& peer) const;
    /// All holders live and have all of ours, with our tags, none in doubt: nothing depends on our copies.
    [[nodiscard]] bool let_go_safely(const base::NodeId& self, std::size_t copies) const;
    /// That was so once for all that is here `now`, no holder was found to lack any since, and all are up: others may
    /// write to the group meanwhile.
    [[nodiscard]] bool handed_over(const GroupSummary& now) const;
    void look_wide(bool on, base::TimePoint now);
    /// Takes in what was found; the next look comes at once if there is something to send, else after a pause that
    /// doubles from `pause`. Returns those of `few` that were so the time before as well.
    std::vector<base::Guid> looked_at_all(std::vector<base::Guid> few_now, std::uint64_t short_now, base::TimePoint now,
                                          base::Duration pause);
    /// Soon: what we knew of who has what does not hold any more.
    void look_again();
    /// One of those that should have the blocks lives.
    [[nodiscard]] bool any_holder_lives() const;
    /// A holder that may be sent something is known to lack blocks.
    [[nodiscard]] bool lacking_somewhere() const;

  private:
    [[nodiscard]] static bool counts(std::uint64_t unconfirmed, Counting counting);
    [[nodiscard]] bool counts_as_having_all(const PeerCopy& peer, Counting counting) const;
    [[nodiscard]] std::size_t holding(const base::Guid& id, std::size_t holding_all, Counting counting) const;
};

/// Whether an absent holder is taken to have its blocks. One that was here for long is, unless it said that it has
/// nothing; of others what they said decides, and of who said nothing, only a visitor has none.
[[nodiscard]] bool taken_to_have_its_blocks(const PeerCopy& peer, bool transient);

}  // namespace past
