// Keeps every block at all its copies: compares with the other holders, sends what they lack, and lets go of what
// others hold in our stead.
//
// Periodic and paced, never a burst on every suspicion (Rhea et al. 2004; classical.md rule 1 is why). Summaries per
// place instead of exact holder lists per block (Carbonite's authors went back to those as well).
#pragma once

#include <map>
#include <set>

#include "batch.hpp"
#include "holders.hpp"
#include "losses.hpp"

namespace past {

class Registers;

/// Bytes per second with a burst, in virtual or real time.
class TokenBucket {
  public:
    TokenBucket(base::Clock& clock, std::uint64_t per_second, std::uint64_t burst)
        : clock_{clock},
          per_second_{per_second},
          burst_{burst},
          tokens_{static_cast<double>(burst)},
          at_{clock.now()} {}
    /// Resumes once `bytes` may go. Debts are allowed, so that a batch above the burst goes through.
    base::Task<void> take(std::uint64_t bytes);

  private:
    base::Clock& clock_;
    std::uint64_t per_second_;
    std::uint64_t burst_;
    double tokens_;
    base::TimePoint at_;
};

class Repair {
  public:
    Repair(Context& context, Holders& holders, Registers& registers);

    base::Task<void> run();
    /// Something changed: look soon.
    void kick();
    void report(NodeStatus& status) const;

  private:
    /// What we know of one other holder of one place.
    struct Peer {
        base::Guid ours;  // digests when last compared
        base::Guid theirs;
        std::uint64_t their_blocks = 0;
        bool compared = false;
        bool has_all_of_ours = false;     // for these digests
        bool offered = false;             // tags too
        std::vector<base::Guid> lacking;  // sorted
        base::TimePoint lacking_since;
        base::TimePoint progress_at;  // somebody sent it something
    };
    struct Place {
        PlaceSummary summary;
        HolderSet set;
        std::map<base::NodeId, Peer> peers;
        base::TimePoint changed_at;
        base::TimePoint worked_at;  // last time that its differences were looked into; at first, when we saw it
        std::optional<base::TimePoint> safe_since;  // all holders have all of ours, and we are none of them
    };
    struct Job {
        base::Guid place;
        pastry::NodeHandle peer;
        std::size_t rank = 0;
    };

    base::Task<void> pause();
    base::Task<void> round();
    base::Task<void> find_sets();
    base::Task<void> compare_all();
    base::Task<base::Result<CompareReply>> compare_with(pastry::NodeHandle peer, std::vector<base::Guid> places);
    base::Task<void> work_through(std::shared_ptr<std::vector<Job>> jobs, std::shared_ptr<std::size_t> next);
    base::Task<void> run_jobs();
    base::Task<void> help(Job job);
    base::Task<base::Result<std::vector<base::Guid>>> find_lacking(Job job, bool everything);
    base::Task<base::Result<std::vector<base::Guid>>> offer(Job job, std::vector<base::Guid> ids);
    base::Task<base::Result<void>> push(Job job, std::vector<base::Guid> ids);
    base::Task<void> let_go();

    [[nodiscard]] bool ours(const Place& place) const { return place.set.placed_on(context_.self()); }
    [[nodiscard]] std::vector<pastry::NodeHandle> others(const Place& place) const;
    [[nodiscard]] std::size_t rank_against(const Place& place, const base::NodeId& peer) const;
    [[nodiscard]] bool all_well() const;

    Context& context_;
    Holders& holders_;
    Registers& registers_;
    Losses losses_;
    TokenBucket bucket_;
    std::map<base::Guid, Place> places_;
    std::shared_ptr<base::Event> wake_;
    bool kicked_ = false;
    StoreUsage seen_usage_;
    base::TimePoint full_check_at_;
    bool full_check_ = true;
};

}  // namespace past
