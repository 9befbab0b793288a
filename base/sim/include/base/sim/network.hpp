// The modelled network between simulated nodes: latency, loss, cuts, clogs, liars, and what was counted.
//
// notify() behaves like a datagram: it can be lost, doubled, overtaken. request() behaves like a call on a connection:
// loss and cuts delay it (it is sent again until its deadline), a dead process refuses it, a dead machine swallows it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/transport.hpp"

namespace base::sim {

class World;
using NodeIndex = std::uint32_t;  ///< in order of World::add_node

struct Point {
    double x = 0;
    double y = 0;
};

/// A message on its way, as a liar sees it.
struct Letter {
    enum class Kind : std::uint8_t { notify, request, answer };
    Kind kind = Kind::notify;
    NodeIndex from = 0;
    NodeIndex to = 0;
    Result<Message> content;                ///< may be altered; only an answer can be an error
    bool drop = false;                      ///< set it to swallow the letter
    std::optional<Result<Message>> answer;  ///< set it on a request to answer it in place of the receiver
};

struct Traffic {
    std::uint64_t notifies_sent = 0;
    std::uint64_t notifies_received = 0;
    std::uint64_t requests_sent = 0;
    std::uint64_t requests_received = 0;
    std::uint64_t requests_busy = 0;  ///< refused by the per-peer limits
    std::uint64_t bytes_sent = 0;     ///< headers and payloads of notifies, requests and answers
    std::uint64_t bytes_received = 0;
    std::uint64_t messages_lost = 0;  ///< sent by this node
    std::size_t peers_contacted = 0;  ///< distinct nodes it sent a notify or request to
    std::size_t peers_now = 0;        ///< distinct nodes with a request of it under way
    std::size_t peers_peak = 0;       ///< the most of them at one time
};

class Network {
  public:
    explicit Network(World& world);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // --- latency, one way; without jitter the messages of a pair stay in order -------------------------------------
    /// Each pair has its own, drawn from the seed within the limits. The default: 1 to 40 ms.
    void use_uniform_latency(Duration least, Duration most);
    /// Nodes lie on the plane [0, 1000]^2 (seeded, or place()); latency = floor + distance * per_unit.
    void use_plane_latency(Duration per_unit, Duration floor = {});
    void place(NodeIndex node, Point point);
    [[nodiscard]] Point group_of(NodeIndex node) const;
    /// one_way[from][to]; nodes beyond the matrix wrap around.
    void use_latency_matrix(std::vector<std::vector<Duration>> one_way);
    /// For one pair, in both directions, whatever the model says.
    void set_latency(NodeIndex a, NodeIndex b, Duration one_way);
    /// Up to this share of the latency is added to each message, at random: messages overtake each other.
    void set_jitter(double share);
    /// Without jitter, loss and load.
    [[nodiscard]] Duration latency(NodeIndex from, NodeIndex to) const;
    /// Up and down, each; 0 = unlimited (the default).
    void set_bandwidth(NodeIndex node, std::uint64_t bytes_per_second);

    // --- what goes wrong -------------------------------------------------------------------------------------------
    void set_loss(double share);
    void set_loss(NodeIndex from, NodeIndex to, double share);
    void set_duplication(double share);  ///< of notifies
    /// This share of the notifies is held back by up to `longest`.
    void set_reordering(double share, Duration longest);

    /// Nodes of different sets do not hear each other; nodes in no set form one more. Replaces an earlier partition.
    void partition(const std::vector<std::vector<NodeIndex>>& sets);
    void isolate(NodeIndex node);        ///< partition({{node}})
    void cut(NodeIndex a, NodeIndex b);  ///< this pair only: non-transitive connectivity
    void cut_one_way(NodeIndex from, NodeIndex to);
    void heal();  ///< ends partition, cuts, clogs, loss, duplication, reordering
    void heal_partition();
    void mend(NodeIndex a, NodeIndex b);  ///< undoes cut() and cut_one_way(), both directions

    /// Holds every message from `from` to `to` until unclogged; then they arrive in order.
    void clog(NodeIndex from, NodeIndex to);
    void unclog(NodeIndex from, NodeIndex to);
    void clog_for(NodeIndex from, NodeIndex to, Duration duration);
    void unclog_all();
    /// All links of the node, in both directions.
    void clog_node(NodeIndex node);
    void unclog_node(NodeIndex node);

    /// Whether connections to a machine whose process is down are refused (true, the default for kill()) or
    /// swallowed (after power_off(), or for all nodes after refuse_when_down(false)).
    void refuse_when_down(bool refuse);

    /// `liar` sees every letter that `node` sends or receives, before it leaves or after it arrives, and may alter,
    /// drop or answer it. An empty function makes the node honest again.
    void set_liar(NodeIndex node, std::function<void(Letter&)> liar);

    /// Whether a message sent now would not be blocked by a partition or cut.
    [[nodiscard]] bool connected(NodeIndex from, NodeIndex to) const;

    // --- counters --------------------------------------------------------------------------------------------------
    [[nodiscard]] Traffic traffic(NodeIndex node) const;
    [[nodiscard]] Traffic total() const;  ///< sums; peers_* are the largest of any node
    void reset_counters();

  private:
    friend class World;
    friend class Node;
    friend class NodeTransport;
    friend struct WorldState;
    void deliver(struct Delivery& delivery);
    void break_connections(struct Incarnation& process, bool refuse);
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace base::sim
