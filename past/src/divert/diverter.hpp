// Diverted copies over the network: finds a neighbour with room, asks now and then whether it still has what it took,
// takes blocks home when there is room again; and keeps what neighbours divert here.
//
// Paper: Rowstron & Druschel, SOSP 2001, section 3.3. Where we differ: docs/decisions/diversion.md.
#pragma once

#include "divert/diverting_store.hpp"
#include "replication/batch.hpp"
#include "replication/holders.hpp"

namespace past {

class Diverter final : public DivertTarget {
  public:
    Diverter(Context& context, Holders& holders, DivertingStore& store);

    // Elsewhere
    base::Task<base::Result<std::vector<base::NodeId>>> keep(base::Guid group, std::vector<Tag> tags,
                                                             std::vector<Block> blocks, Among among,
                                                             Cause cause) override;
    base::Task<base::Result<base::SharedBytes>> fetch(base::NodeId node, base::Guid group, base::Guid id) override;
    base::Task<base::Result<std::vector<bool>>> retag(base::NodeId node, base::Guid group, Tag tag,
                                                      std::vector<base::Guid> ids, bool untag) override;
    [[nodiscard]] bool is_away(const base::NodeId& node) const override;

    /// The ring's upcall: `node` left our neighbour set.
    void left(const base::NodeId& node);
    /// Reviews, lets go of what nobody claims, takes home: for as long as the node runs.
    base::Task<void> run();

    // What neighbours ask of us
    base::Task<base::Result<void>> on_store(base::NodeId primary, StoreRequest request, std::vector<Block> blocks);
    [[nodiscard]] RoomReply on_room() const { return {store_.room_for_others()}; }
    [[nodiscard]] CompareReply on_review(const base::NodeId& primary, const ReviewRequest& request);
    base::Task<base::Result<BitsReply>> on_claim(base::NodeId primary, ClaimRequest request);
    base::Task<base::Result<BitsReply>> on_retag(base::NodeId primary, RetagRequest request);

  private:
    struct Room {
        std::uint64_t free_bytes = 0;
        base::TimePoint until;
    };
    /// A diversion host that answers reviews, and did not show a block when it was asked for one.
    struct Silence {
        base::TimePoint since;
        unsigned times = 0;  ///< in a row
    };
    struct Diversion;  // of one put
    struct Candidates;
    using Whose = std::pair<base::NodeId, base::Guid>;  // node and group

    base::Task<Candidates> candidates(base::Guid group, Among among, base::TimePoint deadline);
    base::Task<void> find_strangers(base::TimePoint deadline);
    base::Task<void> find_stranger(base::NodeId id, std::string failure_domain, base::TimePoint deadline);
    base::Task<void> learn_rooms(std::vector<pastry::NodeHandle> nodes, base::TimePoint deadline);
    base::Task<void> ask_room(pastry::NodeHandle node, base::TimePoint deadline);
    base::Task<void> send(std::shared_ptr<Diversion> diversion, pastry::NodeHandle to, std::vector<std::size_t> which,
                          base::TimePoint deadline);

    base::Task<void> sleep_a_period();
    base::Task<void> review_all();
    base::Task<void> review(base::NodeId node, std::vector<base::Guid> groups);
    void heard_from_diversion_host(const base::NodeId& node);
    void missed_a_review(const base::NodeId& node);
    base::Task<void> audit(base::NodeId node);
    [[nodiscard]] bool shows_nothing(const base::NodeId& node) const;
    base::Task<bool> claim(base::Address node, base::Guid group);
    /// One round; adds to `lost`, which outlives it.
    base::Task<bool> claim_all(base::Address node, base::Guid group, Ledger::Entries& lost);
    base::Task<void> give_up(base::NodeId node);
    base::Task<void> let_diverted_go();
    base::Task<void> take_home_always();
    base::Task<void> take_home();
    [[nodiscard]] bool is_placed_here(const base::Guid& group) const;
    /// Or stands in for a holder that is away.
    [[nodiscard]] bool takes_writes(const base::Guid& group) const;

    Context& context_;
    Holders& holders_;
    DivertingStore& store_;
    std::map<base::NodeId, Room> rooms_;
    std::vector<pastry::NodeHandle> strangers_;
    base::TimePoint strangers_until_;
    base::Semaphore finding_strangers_;
    std::map<base::NodeId, base::TimePoint> answered_at_;  ///< a review; at first, when we began to wait for one
    std::map<base::NodeId, unsigned> missed_;              ///< reviews in a row
    std::map<base::NodeId, Silence> silent_;
    std::set<Whose> to_review_;  ///< beside those of our pointers: where something may lie that was diverted, until it
                                 ///< was heard that nothing does
    std::map<Whose, base::TimePoint>
        heard_from_;  ///< for whom we keep diverted replicas of a group: its last review of that group
    std::map<base::Guid, base::TimePoint> young_;  ///< diverted replicas that need not be claimed yet
};

}  // namespace past
