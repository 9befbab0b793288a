// list: which blocks a volume has at the holders of a group, told to its owner.
#pragma once

#include "reclaim/reclaims.hpp"
#include "replication/holders.hpp"

namespace past {

class Lister {
  public:
    Lister(Context& context, Holders& holders, const Reclaims& reclaims)
        : context_{context}, holders_{holders}, reclaims_{reclaims} {}

    /// Of all holders together.
    base::Task<base::Result<TaggedBlocks>> list(BlockQuery query, base::Guid after, base::TimePoint deadline);
    /// Of this node.
    [[nodiscard]] base::Result<ListReply> page(const BlockQuery& query, const base::Guid& after) const;

  private:
    base::Task<base::Result<ListReply>> page_of(pastry::NodeHandle holder, ListRequest request,
                                                base::TimePoint deadline);

    Context& context_;
    Holders& holders_;
    const Reclaims& reclaims_;
};

}  // namespace past
