// A follower's place in the tree of one object: who is above, who is below, and what may change. Decides; sends
// nothing.
//
// Paper: Rhea et al. 2003 (Pond), the dissemination tree; the order of ranks is ours (rank.hpp). Not thread safe; one
// Followers owns it.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "followers/follow_messages.hpp"

namespace tapestry {

class FollowTree {
  public:
    struct Limits {
        unsigned children = 16;                             ///< 60 at most
        base::Duration silence = std::chrono::seconds{12};  ///< of a parent, before it counts as lost
    };
    struct Parent {
        base::Address address;
        Standing standing;  ///< as it last said
        base::Duration rtt{};
        base::TimePoint since{};
        base::TimePoint heard{};
    };
    struct Child {
        base::Address address;
        std::uint64_t sequence = 0;  ///< of what it has, as far as we know
        std::uint32_t children = 0;  ///< that it has itself
        base::Duration rtt{};        ///< 0: not measured yet
        bool evicted = false;        ///< another has its place; it was told to find one
        unsigned missed = 0;         ///< digests in a row that it did not answer
    };
    enum class Heard {
        stranger,  ///< it is not our parent
        outdated,  ///< it said more before: this was long on its way
        fallen,    ///< it is our parent no more: it is below us, as it says, or what it says cannot be
        same,
        changed,  ///< our rank rose: our children should hear of it
    };

    /// Without a place, and looking for one until `patient_until` at least.
    FollowTree(base::NodeId self, Limits limits, base::TimePoint patient_until = {});

    [[nodiscard]] const Rank& rank() const { return rank_; }
    [[nodiscard]] const std::optional<Parent>& parent() const { return parent_; }
    [[nodiscard]] const std::map<base::NodeId, Child>& children() const { return children_; }
    /// Nobody is above, and we said so: we raise the round.
    [[nodiscard]] bool top() const { return !parent_ && rank_.round > 0 && rank_.top == self_; }
    [[nodiscard]] bool placed() const { return parent_ || top(); }
    /// Estimated, to the top, one way.
    [[nodiscard]] base::Duration delay() const;
    /// From our parent to the top.
    [[nodiscard]] std::vector<base::NodeId> path() const;

    // ---- below somebody

    /// Higher than ours, and by no more rounds than can be true.
    [[nodiscard]] bool outranks_us(const Rank& rank) const;
    /// We may be below `node`, which stands so, now or in a later round. Not if it is below us as far as it knows,
    /// looks for a place itself, or is too deep.
    [[nodiscard]] bool eligible(const base::NodeId& node, const Standing& standing) const;
    /// We may at once: it ranks higher too.
    [[nodiscard]] bool may_hang_below(const base::NodeId& node, const Standing& standing) const;
    /// Requires: may_hang_below().
    void hang_below(base::TimePoint now, base::Address parent, Standing standing, base::Duration rtt);
    [[nodiscard]] Heard hear(base::TimePoint now, const base::NodeId& from, Standing standing);
    /// While held our rank stays as it is, so that others of our tree come to rank higher with the next round: then we
    /// can attach below one that was as deep as we are.
    void hold() { held_ = true; }
    /// What our parent said meanwhile counts now; true if our rank rose.
    bool let_go();
    /// A parent of which nothing was heard counts as lost from then on.
    [[nodiscard]] std::optional<base::TimePoint> silent_at() const;
    /// Until `patient_until` we look for another; then become_top() may be due.
    void lose_parent(base::TimePoint patient_until);
    /// Our parent has news of this sequence.
    void parent_has(std::uint64_t sequence);
    void parent_measured(base::Duration rtt);

    // ---- above all

    [[nodiscard]] base::TimePoint patient_until() const { return patient_until_; }
    /// Requires: no parent.
    void become_top();
    /// Requires: top().
    void next_round() { ++rank_.round; }

    // ---- above somebody

    /// Who has children of its own is taken although we are full, while there is one without that can give way: what is
    /// near the top then are the forks, and news of far branches need not cross the top on the way to each other.
    [[nodiscard]] Verdict judge(const base::NodeId& asker, const Rank& rank, std::uint32_t children) const;
    /// After Verdict::welcome. True if another child is evicted by it and should be told.
    bool take_child(base::Address child, std::uint64_t sequence, std::uint32_t children);
    void drop_child(const base::NodeId& child) { children_.erase(child); }
    /// Null if it is none.
    [[nodiscard]] Child* child(const base::NodeId& node);
    [[nodiscard]] unsigned room() const;
    [[nodiscard]] unsigned yielding() const;

  private:
    bool adopt();

    base::NodeId self_;
    Limits limits_;
    Rank rank_;
    std::optional<Parent> parent_;
    std::map<base::NodeId, Child> children_;
    base::TimePoint patient_until_;
    base::TimePoint adopted_at_{};
    bool held_ = false;
};

}  // namespace tapestry
