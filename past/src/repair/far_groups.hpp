// Who keeps the groups that lie outside our leaf set, of which we have blocks all the same (diverted replicas whose
// holder died, copies left by a change of the ring): looked up in turns, a few at once, beside the rounds of repair. So
// thousands of such groups all have their turn, and those whose holders cannot be found delay nobody else.
#pragma once

#include <map>
#include <vector>

#include "context.hpp"
#include "replication/holders.hpp"

namespace past {

class FarGroups {
  public:
    struct Found {
        HolderSet set;
        base::TimePoint when;
    };

    FarGroups(Context& context, Holders& holders) : context_{context}, holders_{holders} {}

    /// Begins to look up some of these, unless some are being looked up: of the `urgent` ones most, of the `others`
    /// what room they leave and a few at any rate. Both sorted; each goes on where the last call stopped, and around.
    void look_up(const std::vector<base::Guid>& urgent, const std::vector<base::Guid>& others);
    [[nodiscard]] bool found_some() const { return !found_.empty(); }
    /// What was found since the last call.
    [[nodiscard]] std::map<base::Guid, Found> take_found() { return std::exchange(found_, {}); }

  private:
    base::Task<void> work_through(std::shared_ptr<std::vector<base::Guid>> groups, std::shared_ptr<std::size_t> next);

    Context& context_;
    Holders& holders_;
    std::map<base::Guid, Found> found_;
    base::Guid last_urgent_;
    base::Guid last_other_;
    std::size_t working_ = 0;  ///< lookups under way
};

}  // namespace past
