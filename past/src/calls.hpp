// Questions to other nodes, which end early where waiting is in vain: a node that hangs keeps its connections and costs
// every caller the whole time-out. So whoever owes an answer for a while is looked after by the ring, and once the ring
// declares it dead nobody waits for it any more.
#pragma once

#include <map>
#include <memory>

#include "base/env.hpp"
#include "past/node.hpp"
#include "replication/gather.hpp"

namespace past {

class Calls {
  public:
    Calls(base::NodeEnv env, pastry::Kbr& kbr, const Config& config) : env_{env}, kbr_{kbr}, config_{config} {}

    /// The answer, or the transport's error; base::Errc::unreachable if the node is declared dead meanwhile. One that
    /// was before is asked all the same, for it may have come back, but is not waited for longer than suspect_after.
    base::Task<base::Result<base::Message>> call(base::Address to, base::Message message, base::TimePoint deadline);
    /// The ring's upcall: `node` left our neighbour set.
    void left(const base::NodeId& node);
    /// By the ring, and not heard of since.
    [[nodiscard]] bool declared_dead(const base::NodeId& node) const;

  private:
    struct Waiting {
        std::shared_ptr<Gather<base::Result<base::Message>>> gather;
        bool gone = false;
    };

    base::NodeEnv env_;
    pastry::Kbr& kbr_;
    const Config& config_;
    std::multimap<base::NodeId, std::shared_ptr<Waiting>> waiting_;
};

}  // namespace past
