// Who may say that a record does not exist: a question that nobody's view of who is alive may decide.
//
// docs/formats/register.md#none. The five members of the roster nearest to a key answer for it until it has a value.
// That is a pure function of the signed roster, so two sides of a partition agree on it. A member admitted later has to
// pull what a majority of the earlier five knows before its "none" counts.
#pragma once

#include <set>
#include <vector>

#include "base/membership.hpp"
#include "past/messages.hpp"

namespace past {

class Genesis {
  public:
    /// `self` answers for every key alone while the roster is empty.
    explicit Genesis(base::NodeId self) : self_{self} {}

    void replace(const base::Roster& roster);

    /// The members that answer for `key`; sorted by id.
    [[nodiscard]] std::vector<base::NodeId> members(const base::Guid& key) const;
    [[nodiscard]] bool member_of(const base::Guid& key, const base::NodeId& node) const;
    [[nodiscard]] bool knows(const base::NodeId& node) const;

    /// Removed from the network: it answers for nothing any more.
    [[nodiscard]] bool removed(const base::NodeId& node) const;
    /// There is a roster: this is no network of one that nobody ever joined.
    [[nodiscard]] bool joined() const { return joined_; }
    /// We are a storage member, or the network is us alone: a client keeps no records.
    [[nodiscard]] bool admitted() const { return admitted_; }
    /// Of these, those that were not.
    [[nodiscard]] std::vector<base::NodeId> counting(const std::vector<base::NodeId>& members) const;
    /// That many of them are a quorum; 0: nobody is left.
    [[nodiscard]] std::size_t needed(const std::vector<base::NodeId>& members) const;

    /// Whom a latecomer has to ask: up to five earlier members on either side of it. Empty for the first member.
    [[nodiscard]] std::vector<base::NodeId> bootstrap_quorum() const;
    /// `teacher` told us all it has.
    void transferred_from(const base::NodeId& teacher) { transferred_.insert(teacher); }
    [[nodiscard]] const std::set<base::NodeId>& transferred() const { return transferred_; }
    /// Our "none" counts for `key`: a quorum of those who answered for it before we came has taught us.
    [[nodiscard]] bool settled(const base::Guid& key) const;
    /// For every key that we may be asked about.
    [[nodiscard]] bool settled() const;

  private:
    [[nodiscard]] std::vector<base::NodeId> nearest(const std::vector<base::NodeId>& sorted,
                                                    const base::Guid& key) const;
    [[nodiscard]] bool taught_by_quorum(const std::vector<base::NodeId>& members) const;

    base::NodeId self_;
    std::vector<base::NodeId> all_;      // sorted by id
    std::vector<base::NodeId> earlier_;  // admitted before us; sorted by id
    std::set<base::NodeId> removed_;
    bool joined_ = false;
    bool admitted_ = true;  // as a storage member; others never answer
    std::set<base::NodeId> transferred_;
};

}  // namespace past
