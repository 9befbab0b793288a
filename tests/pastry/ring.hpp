// A simulated ring, and the one who knows the truth about it: which node is the root of a key at this moment.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/sim/world.hpp"
#include "oracle.hpp"
#include "pastry/node.hpp"

namespace pastry::testing {

using base::sim::NodeIndex;

/// One arrival of a message that the ring sent.
struct Delivery {
    std::uint64_t number = 0;
    base::Guid key;
    NodeIndex at = 0;
    unsigned hops = 0;
    base::Duration took{};
    bool consistent = false;  ///< no active, live, reachable node was nearer to the key at that moment
};

class Ring;

/// What runs on each machine: a Pastry node under an application that reports to the ring.
class Member final : public Application {
  public:
    Member(Ring& ring, NodeIndex index, base::NodeEnv& env, const Config& config);
    void deliver(const base::Guid& key, const NodeHandle& origin, base::Message message, unsigned hops) override;
    void update(const NodeHandle& node, bool joined) override;

    Node node;
    std::map<base::NodeId, bool> heard_of;  ///< from update(): true = in our neighbour set

  private:
    Ring& ring_;
    NodeIndex index_;
};

class Ring {
  public:
    explicit Ring(std::uint64_t seed, Config config = {}, base::sim::WorldOptions options = {});

    base::sim::World world;

    /// Adds machines with a process that is not yet part of a ring.
    void add(std::size_t count);
    /// The same, then makes all of them one ring without a message (pastry::testing::build_directly).
    void add_directly(std::size_t count);
    /// Adds machines, the first founding the ring if it is new; each joins through a random live one, `at_once` at a
    /// time. True if all got in.
    bool join(std::size_t count, std::size_t at_once = 1);
    /// Machine `index` joins through `seeds`.
    base::Result<void> join_one(NodeIndex index, std::vector<base::Address> seeds, base::Duration within);

    [[nodiscard]] Member& member(NodeIndex index) { return world.node(index).root<Member>(); }
    [[nodiscard]] Node& node(NodeIndex index) { return member(index).node; }
    [[nodiscard]] std::size_t size() const { return world.size(); }
    [[nodiscard]] bool live(NodeIndex index) { return world.node(index).running(); }
    [[nodiscard]] std::vector<NodeIndex> live_nodes();
    [[nodiscard]] NodeIndex random_live();

    /// Stops a share of the machines for good, without a word.
    void power_off(double share);

    /// Sends one message from `from` to the root of `key`; its number.
    std::uint64_t send(NodeIndex from, const base::Guid& key);
    /// `count` messages between random live nodes and random keys, spread over `span` of virtual time.
    void send_many(std::size_t count, base::Duration span);
    [[nodiscard]] const std::vector<Delivery>& deliveries() const { return deliveries_; }
    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    void forget_deliveries();

    struct Tally {
        std::size_t sent = 0;
        std::size_t arrived = 0;       ///< at least once
        std::size_t twice = 0;         ///< more than once
        std::size_t inconsistent = 0;  ///< away from the root
        double mean_hops = 0;
        unsigned most_hops = 0;
    };
    [[nodiscard]] Tally tally() const;

    /// The live, active node nearest to `key`; among those that `from` can reach, if given.
    [[nodiscard]] std::optional<NodeIndex> true_root(const base::Guid& key, std::optional<NodeIndex> from = {});
    /// Live nodes whose leaf set is not exactly what it should be.
    [[nodiscard]] std::size_t wrong_leaf_sets();
    /// The same, but each side of a partition counts as a ring of its own.
    [[nodiscard]] std::size_t wrong_leaf_sets_among(const std::vector<NodeIndex>& nodes);
    /// Sum of Status::sent (all notices) over live nodes.
    [[nodiscard]] std::uint64_t notices_sent();

  private:
    friend class Member;
    void delivered(NodeIndex at, const base::Guid& key, const base::Message& message, unsigned hops);

    Config config_;
    std::vector<Delivery> deliveries_;
    std::map<std::uint64_t, base::TimePoint> sent_at_;
    std::uint64_t next_number_ = 1;
    std::uint64_t sent_ = 0;
};

}  // namespace pastry::testing
