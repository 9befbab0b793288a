// What other holders last said that they have of a group: earlier holders too, that nobody would ask otherwise.
//
// Heard in passing, whenever a node compares with us; soft state, so a restart forgets it and the next comparison
// brings it back. One entry a group and node, never one a block (docs/decisions/change.md).
#pragma once

#include <map>
#include <vector>

#include "base/clock.hpp"
#include "past/node.hpp"

namespace past {

class Hints {
  public:
    Hints(base::Clock& clock, const Config& config) : clock_{clock}, config_{config} {}

    /// `from` says that it has so many blocks of the group, together of this digest; 0: none any more.
    void heard(const base::Guid& group, const base::Address& from, std::uint64_t blocks, const base::Guid& digest);
    /// Who may have blocks of the group that we do not: those that said so within `hints_kept_for`, who has most first.
    [[nodiscard]] std::vector<base::Address> for_group(const base::Guid& group) const;

    [[nodiscard]] std::size_t groups() const { return groups_.size(); }

  private:
    struct Said {
        base::Address from;
        std::uint64_t blocks = 0;
        base::Guid digest;
        base::TimePoint when;
    };
    [[nodiscard]] bool fresh(const Said& said) const { return clock_.now() - said.when < config_.hints_kept_for; }
    bool make_room();

    base::Clock& clock_;
    const Config& config_;
    std::map<base::Guid, std::vector<Said>> groups_;
    base::TimePoint next_cleaning_;
};

}  // namespace past
