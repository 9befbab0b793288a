// How long other nodes have been here, as far as we saw, and how often they left lately.
//
// Whoever has just come is given no copies while enough others have them, and whoever comes and goes is sent nothing
// until it stays: docs/decisions/change.md. What is not known costs time, never copies.
#pragma once

#include <map>
#include <set>

#include "base/clock.hpp"
#include "past/node.hpp"

namespace past {

class Presence {
  public:
    Presence(base::Clock& clock, const pastry::Kbr& kbr, const MembershipView& membership, const Config& config)
        : clock_{clock}, kbr_{kbr}, membership_{membership}, config_{config}, started_{clock.now()} {}

    /// Takes in who is near and who was declared dead. To be called whenever that changed.
    void refresh();
    /// Named as a live holder of a group, near or far.
    void met(const base::NodeId& node);

    /// Never here for migrate_after in a row. At our own start everybody is.
    [[nodiscard]] bool newcomer(const base::NodeId& node) const;
    /// Came in our time, never stayed, and is away: it has nothing but what was written meanwhile.
    [[nodiscard]] bool transient(const base::NodeId& node) const;
    /// From when on it may be sent copies: quiet_period after it came, twice as long for each time that it left lately.
    [[nodiscard]] base::TimePoint stable_at(const base::NodeId& node) const;
    /// Declared dead less than repair_after ago.
    [[nodiscard]] bool just_left(const base::NodeId& node) const;
    /// When it will be no newcomer any more, if it stays.
    [[nodiscard]] base::TimePoint known_at(const base::NodeId& node) const;

    /// migrate_after, but at most half of the time for which an absent node keeps its place.
    [[nodiscard]] base::Duration migrate_after() const;

  private:
    struct Seen {
        base::TimePoint since;  // it lives, or is away
        base::TimePoint met;    // last, alive
        bool live = false;
        bool came = false;   // we were here before it was
        bool known = false;  // it once stayed for migrate_after
        unsigned left = 0;   // times in a row that it left before it had stayed for migrate_after
    };
    Seen& entry(const base::NodeId& node);
    void forget_one();
    void here(const base::NodeId& node);
    void gone(const base::NodeId& node, base::TimePoint since);
    [[nodiscard]] const Seen* find(const base::NodeId& node) const;

    base::Clock& clock_;
    const pastry::Kbr& kbr_;
    const MembershipView& membership_;
    const Config& config_;
    const base::TimePoint started_;
    std::map<base::NodeId, Seen> seen_;
    std::set<base::NodeId> absent_;  // as of the last refresh()
};

}  // namespace past
