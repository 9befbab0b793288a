// Storage peers in a simulated world, over a ring whose membership the test decides.
//
// The ring (FixedRing) is a Kbr that knows everybody: the tests of PAST say when a death is noticed, and need no
// overlay traffic. tests/past/ring_test.cpp has the same over pastry::Node.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/sim/world.hpp"
#include "base/task_group.hpp"
#include "past/node.hpp"
#include "past/segment_store.hpp"
#include "pastry/node.hpp"
#include "tapestry/node.hpp"

namespace past::test {

using namespace std::chrono_literals;
namespace sim = base::sim;

/// What everybody's overlay would agree on after a while.
class FixedRing {
  public:
    struct Member {
        pastry::NodeHandle node;
        bool live = true;
        base::TimePoint since;
    };
    void join(const pastry::NodeHandle& node, base::TimePoint now) { change(node, true, now); }
    void leave(const pastry::NodeHandle& node, base::TimePoint now) { change(node, false, now); }
    [[nodiscard]] std::vector<pastry::NodeHandle> nearest(const base::Guid& key, std::size_t count) const;
    [[nodiscard]] const std::map<base::NodeId, Member>& members() const { return members_; }

    base::Duration lookup_takes = 50ms;  ///< of a key that the asker's reach does not cover

  private:
    friend class FixedKbr;
    void change(const pastry::NodeHandle& node, bool live, base::TimePoint now);

    std::map<base::NodeId, Member> members_;
    mutable std::vector<pastry::NodeHandle> live_;  // sorted by id; empty after a change
    std::map<base::NodeId, pastry::Application*> applications_;
};

class FixedKbr final : public pastry::Kbr {
  public:
    /// Knows for certain only keys of which it is among the `reach` nearest nodes; asks for the others (one round
    /// trip).
    FixedKbr(base::NodeEnv& env, std::shared_ptr<FixedRing> ring, pastry::NodeHandle self, std::size_t reach)
        : env_{env}, held_{std::move(ring)}, ring_{*held_}, self_{std::move(self)}, reach_{reach} {}
    ~FixedKbr() override { ring_.applications_.erase(self_.id()); }

    [[nodiscard]] const pastry::NodeHandle& self() const override { return self_; }
    void attach(base::Service, pastry::Application* application) override {
        if (application != nullptr) {
            ring_.applications_[self_.id()] = application;
        } else {
            ring_.applications_.erase(self_.id());
        }
    }
    void route(const base::Guid&, base::Message, std::optional<pastry::NodeHandle>) override {}
    [[nodiscard]] std::vector<pastry::NextHop> next_hops(const base::Guid& key, std::size_t count) const override {
        std::vector<pastry::NextHop> hops;
        for (auto& node : ring_.nearest(key, std::min<std::size_t>(count, 1))) hops.push_back({std::move(node), {}});
        return hops;
    }
    [[nodiscard]] std::vector<pastry::NodeHandle> replica_set(const base::Guid& key, std::size_t count) const override;
    base::Task<base::Result<std::vector<pastry::NodeHandle>>> find_replica_set(base::Guid key, std::size_t count,
                                                                               base::TimePoint deadline) override;
    [[nodiscard]] std::vector<pastry::NodeHandle> neighbours() const override;
    [[nodiscard]] std::vector<pastry::AbsentNode> absent() const override;
    [[nodiscard]] bool active() const override { return true; }

  private:
    base::NodeEnv& env_;
    std::shared_ptr<FixedRing> held_;
    FixedRing& ring_;
    pastry::NodeHandle self_;
    std::size_t reach_;
};

/// The process of one peer: its store, its ring, its node.
class PeerProcess {
  public:
    struct Options {
        SegmentStore::Config store;
        Config config;
        std::size_t reach = 1000;
        std::optional<pastry::Config> overlay;  ///< a real Pastry node, and Tapestry, instead of the fixed ring
    };
    PeerProcess(base::NodeEnv& env, std::shared_ptr<FixedRing> ring, const sim::Node& machine, base::Policy policy,
                base::Roster roster, std::vector<base::Address> seeds, Options options);
    ~PeerProcess();

    [[nodiscard]] bool ready() const { return node != nullptr && kbr->active(); }

    MembershipView membership;
    std::unique_ptr<pastry::Kbr> kbr;
    std::unique_ptr<SegmentStore> store;
    std::unique_ptr<tapestry::Node> location;  ///< with an overlay
    std::unique_ptr<Node> node;
    std::string failure;  ///< of opening the store

  private:
    base::Task<void> open(Options options, tapestry::Identity identity, std::vector<base::Address> seeds);

    base::NodeEnv& env_;
    base::TaskGroup tasks_;
};

struct ClusterOptions {
    std::size_t peers = 5;
    unsigned copies = 3;
    unsigned min_copies = 2;
    std::chrono::milliseconds repair_after = 60s;
    std::chrono::milliseconds reclaim_grace = 10s;
    base::Duration notice = 1s;  ///< from a death or return until the ring knows of it
    std::vector<std::string> domains;
    PeerProcess::Options peer;
    std::uint64_t disk_bytes = std::uint64_t{1} << 40U;
    std::function<void(std::size_t index, PeerProcess::Options&)> adjust;  ///< what one peer has otherwise

    ClusterOptions() { peer.store.capacity_bytes = 1U << 30U; }
};

/// Blocks whose every byte follows from a number.
[[nodiscard]] Block make_block(std::uint64_t number, std::size_t size = 1000);
[[nodiscard]] base::Guid group_of(std::uint64_t number);
[[nodiscard]] Record make_record(std::uint64_t sequence, std::string_view text);
[[nodiscard]] base::Result<std::uint64_t> verify_record(const base::Guid& key, base::ByteView body);
[[nodiscard]] std::size_t& records_verified();  ///< calls of that
constexpr std::uint64_t kGeneration = 7;
[[nodiscard]] Tag test_tag();

class Cluster {
  public:
    Cluster(sim::World& world, ClusterOptions options = {});

    [[nodiscard]] PeerProcess& peer(std::size_t index) { return world.node(nodes[index]).root<PeerProcess>(); }
    [[nodiscard]] Node& node(std::size_t index) { return *peer(index).node; }
    [[nodiscard]] sim::Node& machine(std::size_t index) { return world.node(nodes[index]); }
    [[nodiscard]] base::TimePoint in(base::Duration time) const { return world.now() + time; }
    [[nodiscard]] pastry::NodeHandle handle(std::size_t index);

    /// A new member: in everybody's roster at once, in the ring too.
    std::size_t add_peer(std::string domain = {});
    /// Removed from the network for good: from the next tell() on, others know it.
    void remove(std::size_t index) { removed_.insert(handle(index).id()); }
    /// Marked as draining, or no more: from the next tell() on, others know it.
    void drain(std::size_t index, bool on = true) {
        on ? (void)draining_.insert(handle(index).id()) : (void)draining_.erase(handle(index).id());
    }
    void tell_all() { spread_roster(); }
    /// It keeps nothing that has not all its copies on others.
    [[nodiscard]] bool drained(std::size_t index);
    /// This peer adopts the newest roster.
    void tell(std::size_t index) { peer(index).membership.replace(policy_, roster()); }
    void kill(std::size_t index);
    void power_off(std::size_t index, sim::PowerLoss loss = sim::PowerLoss::reordered);
    void restart(std::size_t index);
    /// For harms of the world: the ring follows who is up, `notice` later, from now on.
    void follow_deaths();

    base::Result<PutOutcome> put(std::size_t from, std::uint64_t number, Wait wait = Wait::full,
                                 std::size_t size = 1000);
    base::Result<PutOutcome> put(std::size_t from, const base::Guid& group, std::vector<Block> blocks, Wait wait);
    base::Result<base::SharedBytes> get(std::size_t from, std::uint64_t number, std::size_t size = 1000);
    /// How many peers that are up hold the block.
    [[nodiscard]] std::size_t copies(std::uint64_t number);
    [[nodiscard]] std::vector<std::size_t> holders_of(std::uint64_t number);
    /// Sum over all nodes that are up.
    [[nodiscard]] NodeStatus total();
    [[nodiscard]] bool whole();

    sim::World& world;
    ClusterOptions options;
    std::shared_ptr<FixedRing> shared_ring = std::make_shared<FixedRing>();  // processes outlive the cluster
    FixedRing& ring = *shared_ring;
    std::vector<sim::NodeIndex> nodes;

  private:
    void boot(std::size_t index);
    void spread_roster();
    [[nodiscard]] base::Roster roster() const;
    base::Task<void> watch();
    base::Policy policy_;
    std::set<base::NodeId> removed_;
    std::set<base::NodeId> draining_;
    std::vector<bool> seen_up_;
};

}  // namespace past::test
