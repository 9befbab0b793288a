// What became of blocks that damage took from our store. A holder gets good copies from the others, by repair; here is
// seen to the rest: where the group is others' by now, they have the block, and where its owner gave it up while we
// were away, nobody misses it.
#pragma once

#include "context.hpp"
#include "replication/holders.hpp"

namespace past {

class Losses {
  public:
    Losses(Context& context, Holders& holders) : context_{context}, holders_{holders} {}

    /// Asks one other holder about each, under every tag that it had; of many, about some at a time, in turns.
    base::Task<void> settle();

  private:
    base::Task<void> settle_one(LostBlock lost);
    base::Task<base::Result<Offered>> offer(pastry::NodeHandle holder, OfferRequest request, base::TimePoint deadline);

    Context& context_;
    Holders& holders_;
    std::size_t turn_ = 0;
};

}  // namespace past
