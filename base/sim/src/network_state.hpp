// The network's settings, links and counters, and the way of one message through them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/sim/network.hpp"
#include "event_queue.hpp"
#include "seeded_rng.hpp"

namespace base::sim {

struct WorldState;

struct Network::State {
    explicit State(WorldState& world_in);

    enum class Model : std::uint8_t { uniform, plane, matrix };
    struct Link {
        std::uint64_t bytes_per_second = 0;
        TimePoint up_free{};
        TimePoint down_free{};
    };
    struct Counter {
        Traffic traffic;
        std::unordered_set<NodeIndex> contacted;                 // counted only
        std::unordered_map<NodeIndex, std::uint32_t> under_way;  // counted only
    };

    /// From the sender's door: loss, duplication, reordering, bandwidth, liars, then the way.
    void send(Delivery delivery);
    /// On its way, unless a clog holds it; arrives after `way` and what bandwidth and jitter add.
    void launch(Delivery delivery, Duration way);
    void schedule(TimePoint when, Delivery delivery);
    /// True if `delivery` is to be dropped or was answered by a liar.
    bool passes_liar(NodeIndex liar, Delivery& delivery);
    [[nodiscard]] Duration time_on_links(const Delivery& delivery);
    [[nodiscard]] bool lost(NodeIndex from, NodeIndex to);
    Counter& counter(NodeIndex node);
    [[nodiscard]] std::uint32_t side_of(NodeIndex node) const {
        const auto found = sides.find(node);
        return found == sides.end() ? 0 : found->second;
    }

    WorldState& world;
    SeededRng rng;
    std::uint64_t pair_seed;
    std::uint64_t next_request = 0;

    Model model = Model::uniform;
    Duration least = std::chrono::milliseconds{1};
    Duration most = std::chrono::milliseconds{40};
    Duration per_unit{};
    std::unordered_map<NodeIndex, Point> places;
    std::vector<std::vector<Duration>> matrix;
    std::unordered_map<std::uint64_t, Duration> pair_latency;
    double jitter = 0;
    std::unordered_map<NodeIndex, Link> links;

    double loss = 0;
    std::unordered_map<std::uint64_t, double> pair_loss;
    double duplication = 0;
    double reordering = 0;
    Duration longest_delay{};
    bool refuses = true;
    std::unordered_map<NodeIndex, std::uint32_t> sides;
    std::unordered_set<std::uint64_t> cuts;
    std::map<std::uint64_t, std::deque<Delivery>> clogged;
    std::set<NodeIndex> clogged_nodes;
    std::deque<Delivery> held_by_nodes;
    std::unordered_map<NodeIndex, std::function<void(Letter&)>> liars;
    std::vector<Counter> counters;
};

}  // namespace base::sim
