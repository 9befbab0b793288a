// Keeps every block at all its copies: compares with the other holders, sends what they lack, and lets go of what
// others hold in our stead.
//
// Periodic and paced, never a burst on every suspicion (Rhea et al. 2004; classical.md rule 1 is why). Summaries per
// group instead of exact holder lists per block (Carbonite's authors went back to those as well). Who has just come,
// and who comes and goes, is sent only what too few nodes have: docs/decisions/change.md.
#pragma once

#include "base/token_bucket.hpp"
#include "divert/ledger.hpp"
#include "repair/copies.hpp"
#include "repair/far_groups.hpp"
#include "repair/losses.hpp"
#include "repair/presence.hpp"
#include "replication/batch.hpp"
#include "replication/holders.hpp"

namespace past {

class Registers;

class Repair {
  public:
    /// `pointers`: which of our blocks are kept elsewhere.
    Repair(Context& context, Holders& holders, Registers& registers, const Ledger& pointers);

    base::Task<void> run();
    /// Something changed: look soon.
    void kick();
    void report(NodeStatus& status) const;

    /// Groups of which we have blocks without being one of their holders: earlier holder, stand-in, surplus. Sorted.
    [[nodiscard]] std::vector<base::Guid> misplaced() const;

  private:
    /// Of one place: what a holder lacks and should have (peer), or what too few nodes have (no peer).
    struct Job {
        base::Guid group;
        std::optional<pastry::NodeHandle> peer;
    };
    using Jobs = std::vector<Job>;
    /// Of our blocks, what a peer lacks.
    struct Lacking {
        std::vector<base::Guid> ids;
        std::set<base::Guid> kept;  ///< of these: it keeps them for another holder, and would refuse them
        bool gave_some_up = false;  ///< others were reclaimed there
    };

    // repair.cpp: the rounds
    void tags_raised(const base::Guid& key);
    base::Task<void> pause();
    base::Task<void> round();
    void take_in_groups(bool full);
    [[nodiscard]] base::TimePoint next_work() const;
    [[nodiscard]] base::TimePoint next_work(const GroupCopies& group) const;

    // repair_compare.cpp: who has what
    void find_sets();
    void take_set(GroupCopies& group, HolderSet set, base::TimePoint when);
    void know_peers(GroupCopies& group);
    void know_holders(GroupCopies& group);
    void know_others(GroupCopies& group);
    PeerCopy& peer_of(GroupCopies& group, const pastry::NodeHandle& node);
    bool widen();
    base::Task<void> compare_all();
    [[nodiscard]] bool worth_comparing(const GroupCopies& group, const PeerCopy& peer) const;
    base::Task<base::Result<CompareReply>> compare_with(pastry::NodeHandle peer, std::vector<base::Guid> groups);

    // repair_send.cpp: sending what others lack
    [[nodiscard]] Jobs jobs();
    [[nodiscard]] base::TimePoint quiet_until(const GroupCopies& group) const;
    base::Task<void> run_jobs();
    base::Task<void> work_through(std::shared_ptr<Jobs> jobs, std::shared_ptr<std::size_t> next);
    base::Task<void> help(base::Guid key, pastry::NodeHandle node);
    base::Task<void> look(base::Guid key);
    base::Task<base::Result<Lacking>> find_lacking(base::Guid key, pastry::NodeHandle node, bool everything);
    base::Task<base::Result<Lacking>> offer(base::Guid key, base::Address to, std::vector<base::Guid> ids);
    base::Task<bool> push(base::Guid key, pastry::NodeHandle node, std::vector<base::Guid> ids);
    /// How many it was sent.
    base::Task<base::Result<std::size_t>> push_all(base::Guid key, pastry::NodeHandle node,
                                                   std::vector<base::Guid> ids);
    base::Task<base::Result<base::SharedBytes>> read(base::Guid id);
    void arrived(const base::Guid& key, const base::NodeId& node, const std::vector<base::Guid>& ids);

    // repair_keep.cpp: letting go, and what people want to know
    base::Task<void> let_go(std::uint64_t changes);
    void note_surplus(GroupCopies& group);
    base::Task<void> discard(base::Guid key, std::uint64_t changes);
    [[nodiscard]] bool short_of_space() const;
    [[nodiscard]] bool may_go(const GroupCopies& group) const;
    [[nodiscard]] bool holders_are_old_news(const GroupCopies& group) const;
    base::Task<void> compare_again(std::vector<base::Guid> groups);
    void report(NodeStatus& status, const GroupSummary& summary, const GroupCopies& group) const;
    void report_times(NodeStatus& status) const;
    void report_drain(NodeStatus& status) const;
    void note_short();

    [[nodiscard]] bool ours(const GroupCopies& group) const { return group.ours(context_.self()); }

    Context& context_;
    Holders& holders_;
    Registers& registers_;
    const Ledger& pointers_;
    FarGroups far_;
    Losses losses_;
    Presence presence_;
    base::TokenBucket bucket_;
    std::map<base::Guid, GroupCopies> groups_;
    std::set<base::NodeId> diversion_hosts_away_;  ///< found out in this round
    std::shared_ptr<base::Event> wake_;
    bool kicked_ = false;
    std::uint64_t changes_ = 0;  ///< of the ring, or of who may be in it
    StoreUsage seen_usage_;
    base::TimePoint full_check_at_;
    bool full_check_ = true;
    base::TimePoint next_work_;  ///< when the last round left something to do
};

}  // namespace past
