// A simulated ring with Followers on every machine, and a checker of their trees.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sim/world.hpp"
#include "base/task_group.hpp"
#include "pastry/node.hpp"
#include "tapestry/followers.hpp"
#include "tapestry/node.hpp"

namespace tapestry::testing {

using base::sim::NodeIndex;
using namespace std::chrono_literals;

/// News as the layer above would sign it: the sequence, a mark that stands for the signature, then filling.
[[nodiscard]] base::SharedBytes signed_news(std::uint64_t sequence, std::size_t bytes = 1024);
[[nodiscard]] base::SharedBytes forged_news(std::uint64_t sequence);
/// Fits Followers::Verifier.
[[nodiscard]] base::Result<std::uint64_t> verify_news(const base::Guid& object, base::ByteView body);

/// From how many the way of parents runs in a circle. By index; nullopt: no parent.
[[nodiscard]] std::size_t in_cycles(const std::vector<std::optional<NodeIndex>>& parents);

struct FollowWorldOptions {
    pastry::Config ring;
    Config dolr;
    FollowersConfig followers;
};

class FollowWorld {
  public:
    /// One ring of so many machines at once, on wide-area latencies of this seed unless `near`: then 1 to 40 ms.
    FollowWorld(std::uint64_t seed, std::size_t machines, FollowWorldOptions options = {}, bool near = false);

    struct Machine {
        Machine(FollowWorld& owner, NodeIndex index, base::NodeEnv& env);
        base::Task<void> come_back(FollowWorld& owner, NodeIndex index);
        base::NodeEnv env;
        pastry::Node ring;
        Node dolr;
        Followers followers;
        base::TaskGroup tasks;
    };

    base::sim::World world;
    FollowWorldOptions options;
    base::Guid object;
    Followers::IsMember members = [](const base::NodeId&) { return true; };  ///< of which Followers take requests

    [[nodiscard]] Followers& followers(NodeIndex index) { return world.node(index).root<Machine>().followers; }
    [[nodiscard]] Node& dolr(NodeIndex index) { return world.node(index).root<Machine>().dolr; }
    [[nodiscard]] bool live(NodeIndex index) { return world.node(index).running(); }
    [[nodiscard]] base::NodeId id(NodeIndex index) { return world.node(index).id(); }

    void follow(NodeIndex index);
    void unfollow(NodeIndex index);
    /// Machines [0, count) follow, one after the other in a random order, spread over `span`; then time to settle.
    void follow_all(std::size_t count, base::Duration span, base::Duration settle = 5min);
    /// A new process, in the ring again and following if it did. (So does what a harm restarts.)
    void restart(NodeIndex index);
    base::Result<void> post(NodeIndex index, std::uint64_t sequence, std::size_t bytes = 1024);

    /// Machines that follow the object and run.
    [[nodiscard]] std::vector<NodeIndex> following();
    [[nodiscard]] std::optional<NodeIndex> parent_of(NodeIndex index);
    [[nodiscard]] std::vector<NodeIndex> tops();
    /// Looks for cycles of parents every so often from now on.
    void watch(base::Duration every);
    std::size_t watched = 0;  ///< looks
    std::size_t cycles = 0;   ///< looks that found one

    /// When whoever took news of this sequence took it.
    [[nodiscard]] std::map<NodeIndex, base::TimePoint> taken(std::uint64_t sequence) const;
    [[nodiscard]] std::size_t lacking(std::uint64_t sequence);

  private:
    friend struct Machine;
    void follow_now(NodeIndex index);

    bool built_ = false;  // machines that start now have a ring to join
    std::map<base::NodeId, NodeIndex> index_of_;
    std::map<NodeIndex, bool> follows_;
    std::map<std::uint64_t, std::map<NodeIndex, base::TimePoint>> taken_;
};

}  // namespace tapestry::testing
