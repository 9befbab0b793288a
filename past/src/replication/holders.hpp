// Finds the nodes that keep a group or a record, and remembers answers of others for a while.
#pragma once

#include <map>

#include "context.hpp"
#include "replication/placement.hpp"

namespace past {

class Holders {
  public:
    explicit Holders(Context& context) : context_{context} {}

    /// From what our own leaf set tells; nullopt if the key lies outside it.
    [[nodiscard]] std::optional<HolderSet> local(const base::Guid& key, std::size_t count) const;
    /// The same for any key. Errors: holders_unreachable.
    base::Task<base::Result<HolderSet>> find(base::Guid key, std::size_t count, base::TimePoint deadline);
    /// Drops what was remembered: a holder did not answer as it should.
    void forget(const base::Guid& key) { cache_.erase(key); }

    /// Where to dial a node. Unreachable nodes may still have an address.
    base::Task<std::optional<base::Address>> resolve(base::NodeId node, base::TimePoint deadline);

    base::Result<HoldersReply> serve(const HoldersRequest& request) const;
    /// When the next absent neighbour will have been away for repair_after.
    [[nodiscard]] std::optional<base::TimePoint> next_expiry() const;

  private:
    struct Known {
        base::TimePoint until;
        std::vector<pastry::NodeHandle> live;
        std::vector<pastry::NodeHandle> absent;
        std::vector<pastry::NodeHandle> gone;      // away for repair_after and longer, or draining and away
        std::vector<pastry::NodeHandle> draining;  // and live
    };
    [[nodiscard]] static HolderSet choose(const base::Guid& key, std::size_t count, const Known& known);
    void leave_out(Known& known) const;
    [[nodiscard]] Known local_candidates(const base::Guid& key, std::size_t count) const;
    base::Task<base::Result<Known>> ask(base::Guid key, std::size_t count, base::TimePoint deadline);

    Context& context_;
    std::map<base::Guid, Known> cache_;
};

}  // namespace past
