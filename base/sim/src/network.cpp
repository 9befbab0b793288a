#include "base/sim/network.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <unordered_set>

#include "network_state.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace {

std::uint64_t pair_of(NodeIndex from, NodeIndex to) { return (std::uint64_t{from} << 32U) | to; }

Duration scaled(Duration duration, double factor) {
    return Duration{std::llround(static_cast<double>(duration.count()) * factor)};
}

}  // namespace

Network::Network(World& world) : state_{std::make_unique<State>(*world.state_)} {}
Network::~Network() = default;

// --- latency

void Network::use_uniform_latency(Duration least, Duration most) {
    assert(least >= Duration{} && least <= most);
    state_->model = State::Model::uniform;
    state_->least = least;
    state_->most = most;
}

void Network::use_plane_latency(Duration per_unit, Duration floor) {
    state_->model = State::Model::plane;
    state_->least = floor;
    state_->per_unit = per_unit;
}

void Network::place(NodeIndex node, Point point) { state_->places[node] = point; }

Point Network::group_of(NodeIndex node) const {
    if (const auto found = state_->places.find(node); found != state_->places.end()) return found->second;
    const auto seed = state_->world.seed_for("place", node);
    return {unit_of(seed) * 1000, unit_of(scramble(seed)) * 1000};
}

void Network::use_latency_matrix(std::vector<std::vector<Duration>> one_way) {
    assert(!one_way.empty());
    state_->model = State::Model::matrix;
    state_->matrix = std::move(one_way);
}

void Network::set_latency(NodeIndex a, NodeIndex b, Duration one_way) {
    state_->pair_latency[pair_of(a, b)] = one_way;
    state_->pair_latency[pair_of(b, a)] = one_way;
}

void Network::set_jitter(double share) { state_->jitter = share; }

Duration Network::latency(NodeIndex from, NodeIndex to) const {
    if (from == to) return Duration{};
    if (!state_->pair_latency.empty()) {
        const auto found = state_->pair_latency.find(pair_of(from, to));
        if (found != state_->pair_latency.end()) return found->second;
    }
    switch (state_->model) {
        case State::Model::uniform: {
            const auto pair = pair_of(std::min(from, to), std::max(from, to));
            return state_->least + scaled(state_->most - state_->least, unit_of(mix(state_->pair_seed, pair)));
        }
        case State::Model::plane: {
            const Point a = group_of(from);
            const Point b = group_of(to);
            return state_->least + scaled(state_->per_unit, std::hypot(a.x - b.x, a.y - b.y));
        }
        case State::Model::matrix: {
            const auto& row = state_->matrix[from % state_->matrix.size()];
            return row[to % row.size()];
        }
    }
    return {};
}

void Network::set_bandwidth(NodeIndex node, std::uint64_t bytes_per_second) {
    state_->links[node].bytes_per_second = bytes_per_second;
}

// --- what goes wrong

void Network::set_loss(double share) { state_->loss = share; }
void Network::set_loss(NodeIndex from, NodeIndex to, double share) { state_->pair_loss[pair_of(from, to)] = share; }
void Network::set_duplication(double share) { state_->duplication = share; }
void Network::set_reordering(double share, Duration longest) {
    state_->reordering = share;
    state_->longest_delay = longest;
}

void Network::partition(const std::vector<std::vector<NodeIndex>>& sets) {
    state_->sides.clear();
    std::uint32_t side = 0;
    for (const auto& set : sets) {
        ++side;
        for (const NodeIndex node : set) state_->sides[node] = side;
    }
}

void Network::isolate(NodeIndex node) { partition({{node}}); }
void Network::cut(NodeIndex a, NodeIndex b) {
    cut_one_way(a, b);
    cut_one_way(b, a);
}
void Network::cut_one_way(NodeIndex from, NodeIndex to) { state_->cuts.insert(pair_of(from, to)); }
void Network::heal_partition() { state_->sides.clear(); }

void Network::mend(NodeIndex a, NodeIndex b) {
    state_->cuts.erase(pair_of(a, b));
    state_->cuts.erase(pair_of(b, a));
}

void Network::heal() {
    heal_partition();
    state_->cuts.clear();
    unclog_all();
    state_->loss = 0;
    state_->pair_loss.clear();
    state_->duplication = 0;
    state_->reordering = 0;
}

bool Network::connected(NodeIndex from, NodeIndex to) const {
    if (from == to) return true;
    if (!state_->sides.empty() && state_->side_of(from) != state_->side_of(to)) return false;
    return state_->cuts.empty() || !state_->cuts.contains(pair_of(from, to));
}

void Network::clog(NodeIndex from, NodeIndex to) { state_->clogged.try_emplace(pair_of(from, to)); }

void Network::unclog(NodeIndex from, NodeIndex to) {
    const auto found = state_->clogged.find(pair_of(from, to));
    if (found == state_->clogged.end()) return;
    auto held = std::move(found->second);
    state_->clogged.erase(found);
    for (auto& delivery : held) state_->launch(std::move(delivery), latency(from, to));
}

void Network::unclog_all() {
    while (!state_->clogged.empty()) {
        const auto pair = state_->clogged.begin()->first;
        unclog(static_cast<NodeIndex>(pair >> 32U), static_cast<NodeIndex>(pair));
    }
    state_->clogged_nodes.clear();
    for (auto& delivery : std::exchange(state_->held_by_nodes, {})) {
        const auto way = latency(delivery.from, delivery.to);
        state_->launch(std::move(delivery), way);
    }
}

void Network::clog_for(NodeIndex from, NodeIndex to, Duration duration) {
    clog(from, to);
    state_->world.owner.after(duration, [this, from, to] { unclog(from, to); });
}

void Network::clog_node(NodeIndex node) { state_->clogged_nodes.insert(node); }

void Network::unclog_node(NodeIndex node) {
    state_->clogged_nodes.erase(node);
    for (auto& delivery : std::exchange(state_->held_by_nodes, {})) {
        const auto way = latency(delivery.from, delivery.to);
        state_->launch(std::move(delivery), way);  // holds it again if the other end is still clogged
    }
}

void Network::refuse_when_down(bool refuse) { state_->refuses = refuse; }

void Network::set_liar(NodeIndex node, std::function<void(Letter&)> liar) {
    if (liar) {
        state_->liars[node] = std::move(liar);
    } else {
        state_->liars.erase(node);
    }
}

// --- counters

Traffic Network::traffic(NodeIndex node) const {
    if (node >= state_->counters.size()) return {};
    const auto& counter = state_->counters[node];
    Traffic traffic = counter.traffic;
    traffic.peers_contacted = counter.contacted.size();
    traffic.peers_now = counter.under_way.size();
    return traffic;
}

Traffic Network::total() const {
    Traffic sum;
    for (NodeIndex node = 0; node < state_->counters.size(); ++node) {
        const Traffic one = traffic(node);
        sum.notifies_sent += one.notifies_sent;
        sum.notifies_received += one.notifies_received;
        sum.requests_sent += one.requests_sent;
        sum.requests_received += one.requests_received;
        sum.requests_busy += one.requests_busy;
        sum.bytes_sent += one.bytes_sent;
        sum.bytes_received += one.bytes_received;
        sum.messages_lost += one.messages_lost;
        sum.peers_contacted = std::max(sum.peers_contacted, one.peers_contacted);
        sum.peers_now = std::max(sum.peers_now, one.peers_now);
        sum.peers_peak = std::max(sum.peers_peak, one.peers_peak);
    }
    return sum;
}

void Network::reset_counters() {
    for (auto& counter : state_->counters) {
        counter.traffic = {};
        counter.contacted.clear();
        counter.traffic.peers_peak = counter.under_way.size();
    }
}

}  // namespace base::sim
