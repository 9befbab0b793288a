// put, touch and remove: what is asked of all holders of a group.
#pragma once

#include "replication/batch.hpp"
#include "replication/holders.hpp"

namespace past {

class Reclaims;

class Writer {
  public:
    Writer(Context& context, Holders& holders, Reclaims& reclaims)
        : context_{context}, holders_{holders}, reclaims_{reclaims} {}

    base::Task<base::Result<PutOutcome>> put(base::Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                             base::TimePoint deadline);
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline);
    base::Task<base::Result<void>> remove(Reclaim reclaim, base::TimePoint deadline);

  private:
    /// One put under way: as many slots as copies, each filled by a holder or, if that fails, by a spare node.
    struct Put {
        explicit Put(base::Executor executor) : changed{std::move(executor)} {}
        std::shared_ptr<const Batch> batch;
        std::vector<pastry::NodeHandle> spare;  // nearest first
        std::size_t slots = 0;
        std::size_t stored = 0;
        std::size_t concluded = 0;
        bool no_space = false;
        std::size_t full_holders = 0;
        base::Error last;
        base::Event changed;
    };

    base::Task<std::optional<base::Semaphore::Permit>> room_for(std::size_t bytes, base::TimePoint deadline);
    base::Task<void> fill_slot(std::shared_ptr<Put> put, pastry::NodeHandle holder);
    base::Task<base::Result<void>> store(std::shared_ptr<Put> put, pastry::NodeHandle holder);
    [[nodiscard]] std::vector<pastry::NodeHandle> without_the_slowest(std::vector<pastry::NodeHandle> writers,
                                                                      std::size_t needed, Wait wait) const;
    [[nodiscard]] std::size_t needed_for_majority(unsigned copies) const;
    base::Task<base::Result<std::vector<bool>>> touch_at(pastry::NodeHandle holder,
                                                         std::shared_ptr<const TouchRequest> request,
                                                         base::TimePoint deadline);
    base::Task<std::size_t> touch_elsewhere(const std::vector<pastry::NodeHandle>& nodes, const TouchRequest& all,
                                            std::size_t needed, std::vector<std::size_t>& held, bool patiently,
                                            base::TimePoint deadline);
    base::Task<base::Result<void>> remove_at(pastry::NodeHandle holder, std::shared_ptr<const Reclaim> reclaim,
                                             base::TimePoint deadline);

    Context& context_;
    Holders& holders_;
    Reclaims& reclaims_;
};

}  // namespace past
