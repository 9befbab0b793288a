// A simulated mesh: Pastry and Tapestry on every machine.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/sim/world.hpp"
#include "pastry/node.hpp"
#include "pastry/oracle.hpp"
#include "tapestry/error.hpp"
#include "tapestry/node.hpp"

namespace tapestry::testing {

using base::sim::NodeIndex;
using namespace std::chrono_literals;

struct Received {
    NodeIndex at = 0;
    base::Guid object;
    std::string text;
    base::TimePoint when{};
};

class Mesh;

/// What runs on each machine.
struct Member {
    Member(Mesh& mesh, NodeIndex index, base::NodeEnv& env);

    pastry::Node ring;
    Node dolr;
    bool denies = false;  ///< says that it does not have what it published
};

struct MeshOptions {
    pastry::Config ring;
    Config dolr;
    base::sim::WorldOptions world;
};

class Mesh {
  public:
    explicit Mesh(std::uint64_t seed, MeshOptions options = {});

    base::sim::World world;

    /// Machines that are one ring at once, tables as after a long time (pastry::testing::build_directly).
    /// In each slot of a table the nearest of so many that fit.
    void add_directly(std::size_t count, std::size_t samples = 16);
    /// The same, but every machine has just come up: none knows anything, each takes the others for older than itself.
    void come_up_together(std::size_t count);
    /// A machine with this identity, not yet part of a ring.
    NodeIndex add(const Identity& identity);
    /// Machines that join one after the other through a random live one; true if all got in.
    bool join(std::size_t count);
    /// The same all at once; then `settle`.
    bool join_together(std::size_t count, base::Duration settle);

    [[nodiscard]] Member& member(NodeIndex index) { return world.node(index).root<Member>(); }
    [[nodiscard]] Node& dolr(NodeIndex index) { return member(index).dolr; }
    [[nodiscard]] pastry::Node& ring(NodeIndex index) { return member(index).ring; }
    [[nodiscard]] base::NodeId id(NodeIndex index) { return world.node(index).id(); }
    [[nodiscard]] bool live(NodeIndex index) { return world.node(index).running(); }
    [[nodiscard]] std::vector<NodeIndex> live_nodes();
    [[nodiscard]] NodeIndex random_live();
    /// The live node nearest to the key.
    [[nodiscard]] NodeIndex root_of(const base::Guid& key);

    base::Result<Located> locate(NodeIndex from, const base::Guid& object, bool trace = false);
    base::Result<Located> locate_others(NodeIndex from, const base::Guid& object, std::vector<base::NodeId> failed);
    /// Objects whose roots have not all confirmed what `from` said last of them.
    std::vector<base::Guid> published(NodeIndex from, std::vector<base::Guid> objects, base::Duration within = 30s);
    base::Result<unsigned> send(NodeIndex from, const base::Guid& object, const std::string& text,
                                unsigned replicas = 1);

    std::vector<Received> received;
    MeshOptions options;
    std::vector<Identity> identities;  ///< by index
    std::set<base::NodeId> members;    ///< the roster

  private:
    [[nodiscard]] Identity new_identity();
    void build_ring(std::size_t count, std::size_t samples);
    void start_all(bool first);
    base::Task<void> enter(NodeIndex index, base::Address through);
};

/// An identity whose node id begins with these digits (at most five: they are found by trying).
[[nodiscard]] Identity identity_of(const base::Guid& network, std::string_view digits);

}  // namespace tapestry::testing
