// Copies that lie where nobody would look for them (diverted, cached, left by a change of the ring): this node tells
// the DOLR of its own, one name a group, and asks it for those of others.
//
// A name a group and not one a block: a publish per block is what drowned Pond and IPFS, and whoever reads a group
// reads many blocks of it. docs/decisions/diversion.md.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "context.hpp"

namespace tapestry {
class Dolr;
}

namespace past {

/// What is published for copies of this group: SHA-256("pelago off place", group).
[[nodiscard]] base::Guid misplaced_name(const base::Guid& group);

class MisplacedCopies {
  public:
    /// Adds the groups of which something is kept here off its holders.
    using Source = std::function<void(std::set<base::Guid>& groups)>;

    explicit MisplacedCopies(Context& context) : context_{context} {}
    void add_source(Source source) { sources_.push_back(std::move(source)); }
    /// `dolr` outlives this, or is taken back with nullptr: then until what goes on behind a call has ended, a question
    /// being with it. Without one nothing is told and nobody found.
    void use(tapestry::Dolr* dolr);

    /// Tells what changed, for as long as the node runs.
    base::Task<void> run();

    /// A node that keeps some blocks of a group without being its holder (diverted, cached, surplus); not all, maybe
    /// not the one that is wanted.
    struct CopyHolder {
        base::Address address;
        base::Duration round_trip{};  ///< an estimate from the way of its announcement
    };
    /// As far as known; asks for them in the background if that was not done lately.
    [[nodiscard]] std::vector<CopyHolder> known(const base::Guid& group);
    /// Asks now, for all: who missed other blocks may have this one. Who was known before if the DOLR could not tell.
    base::Task<std::vector<CopyHolder>> find(base::Guid group, base::TimePoint deadline);
    /// Whether a copy holder had what was asked; one that never does is left out until the DOLR is asked again, and
    /// named to it as asked in vain.
    void heard(const base::Guid& group, const base::NodeId& copy_holder, bool had_it);

    [[nodiscard]] std::size_t published() const { return published_.size(); }

  private:
    struct Known {
        base::TimePoint until;
        std::vector<CopyHolder> copy_holders;
        std::map<base::NodeId, unsigned> misses;  // in a row
        bool asking = false;
    };
    base::Task<void> ask(base::Guid group, std::vector<base::NodeId> without, base::TimePoint deadline);
    [[nodiscard]] std::vector<base::NodeId> asked_in_vain(const base::Guid& group) const;
    void tell();

    Context& context_;
    tapestry::Dolr* dolr_ = nullptr;
    std::vector<Source> sources_;
    std::set<base::Guid> published_;
    std::map<base::Guid, Known> known_;
};

}  // namespace past
