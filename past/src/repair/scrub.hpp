// Reads every block that is kept here within a period, so that damage is found while other copies are good. What is
// damaged the store drops, and repair puts a good copy in its place (Losses, where it is not ours any more).
//
// Slow and steady: so many bytes a second as it takes, and clients go first. The position is kept: a node that is
// restarted goes on where it was.
#pragma once

#include "context.hpp"

namespace past {

class Scrub {
  public:
    /// `disk`: what is on this node. `store`: the same, as it is read, which learns of what is damaged.
    Scrub(Context& context, BlockStore& disk, BlockStore& store) : context_{context}, disk_{disk}, store_{store} {}

    /// Until cancelled. Does nothing where Config::scrub_period is zero.
    base::Task<void> run();
    void report(NodeStatus& status) const;

  private:
    void load();
    base::Task<void> save();
    base::Task<void> round();
    base::Task<void> check(base::Guid id);
    [[nodiscard]] base::Duration until_next_round() const;

    Context& context_;
    BlockStore& disk_;
    BlockStore& store_;
    // Where it is: blocks of this group up to `after_` are read, and all of the groups before it.
    base::Guid group_, after_;
    std::int64_t began_ns_ = 0;  // wall clock, of the present round or the last; 0: none has begun
    std::int64_t ended_ns_ = 0;  // of the last round that came to its end; 0: none has
    bool under_way_ = false;
    std::uint64_t blocks_ = 0;   // read in this round
    std::uint64_t damaged_ = 0;  // of them
    base::TimePoint started_at_, saved_at_;
};

}  // namespace past
