#include "leaf_set.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace pastry {
namespace {

constexpr std::array kSides{Side::clockwise, Side::counter_clockwise};

}  // namespace

LeafSet::LeafSet(NodeHandle self, std::size_t per_side) : self_{std::move(self)}, per_side_{per_side} {
    assert(per_side >= 1);
}

base::Guid LeafSet::distance(Side which, const base::Guid& to) const {
    return which == Side::clockwise ? base::clockwise_distance(self_.id(), to)
                                    : base::clockwise_distance(to, self_.id());
}

// Where a node at this distance stands, or would stand.
std::size_t LeafSet::place(Side which, const base::Guid& far) const {
    const auto& all = at(which).far;
    return static_cast<std::size_t>(std::ranges::lower_bound(all, far) - all.begin());
}

base::Guid LeafSet::reach(Side which) const {
    const Half& half = at(which);
    if (!half.converged) return half.horizon;
    return half.far.empty() ? base::Guid{} : half.far.back();
}

bool LeafSet::add_to(Side which, const NodeHandle& node) {
    Half& half = at(which);
    const auto far = distance(which, node.id());
    const auto index = place(which, far);
    if (index < half.far.size() && half.far[index] == far) {
        half.nodes[index] = node;
        return false;
    }
    if (index >= per_side_) return false;
    const auto offset = static_cast<std::ptrdiff_t>(index);
    half.nodes.insert(half.nodes.begin() + offset, node);
    half.far.insert(half.far.begin() + offset, far);
    if (half.nodes.size() > per_side_) {
        half.nodes.pop_back();
        half.far.pop_back();
    }
    return true;
}

bool LeafSet::add(const NodeHandle& node) {
    if (node.id() == self_.id()) return false;
    const bool clockwise = add_to(Side::clockwise, node);
    const bool counter_clockwise = add_to(Side::counter_clockwise, node);
    return clockwise || counter_clockwise;
}

bool LeafSet::remove_from(Side which, const base::NodeId& node) {
    Half& half = at(which);
    const auto far = distance(which, node);
    const auto index = place(which, far);
    if (index >= half.far.size() || half.far[index] != far) return false;
    if (half.converged) {
        half.horizon = reach(which);
        half.converged = false;
    }
    const auto offset = static_cast<std::ptrdiff_t>(index);
    half.nodes.erase(half.nodes.begin() + offset);
    half.far.erase(half.far.begin() + offset);
    return true;
}

bool LeafSet::remove(const base::NodeId& node) {
    const bool knew_everybody = wraps();
    const bool clockwise = remove_from(Side::clockwise, node);
    const bool counter_clockwise = remove_from(Side::counter_clockwise, node);
    if (knew_everybody && (clockwise || counter_clockwise)) set_converged();
    return clockwise || counter_clockwise;
}

void LeafSet::fill_from_each_other() {
    const auto all = members();
    for (const auto& node : all) add(node);
}

void LeafSet::set_converged() {
    fill_from_each_other();
    for (const Side which : kSides) at(which).converged = true;
}

void LeafSet::set_unconverged() {
    for (const Side which : kSides) {
        at(which).converged = false;
        at(which).horizon = {};
    }
}

bool LeafSet::would_add(const base::NodeId& node, std::span<const base::NodeId> hoped) const {
    if (node == self_.id() || contains(node)) return false;
    return std::ranges::any_of(kSides, [&](Side which) {
        const auto far = distance(which, node);
        auto ahead = place(which, far);
        for (const auto& other : hoped) {
            if (ahead >= per_side_) return false;
            if (other != node && distance(which, other) < far && !contains(other)) ++ahead;
        }
        return ahead < per_side_;
    });
}

const NodeHandle* LeafSet::find(const base::NodeId& node) const {
    for (const Side which : kSides) {
        const Half& half = at(which);
        const auto far = distance(which, node);
        const auto index = place(which, far);
        if (index < half.far.size() && half.far[index] == far) return &half.nodes[index];
    }
    return nullptr;
}

std::vector<NodeHandle> LeafSet::everybody() const {
    std::vector<NodeHandle> all{clockwise_.nodes};
    all.reserve(clockwise_.nodes.size() + counter_clockwise_.nodes.size());
    for (const auto& node : counter_clockwise_.nodes) {
        const auto far = distance(Side::clockwise, node.id());
        const auto index = place(Side::clockwise, far);
        const bool twice = index < clockwise_.far.size() && clockwise_.far[index] == far;
        if (!twice) all.push_back(node);
    }
    return all;
}

std::vector<NodeHandle> LeafSet::members() const {
    auto all = everybody();
    std::ranges::sort(all, [&](const auto& a, const auto& b) { return base::closer(self_.id(), a.id(), b.id()); });
    return all;
}

const NodeHandle* LeafSet::last_certain(Side which) const {
    const Half& half = at(which);
    const auto within = std::ranges::upper_bound(half.far, reach(which)) - half.far.begin();
    return within == 0 ? nullptr : &half.nodes[static_cast<std::size_t>(within - 1)];
}

bool LeafSet::wraps() const {
    if (!converged()) return false;
    if (empty()) return true;
    if (clockwise_.nodes.empty() || counter_clockwise_.nodes.empty()) return false;
    // The farthest clockwise is one that we know counter-clockwise too.
    return distance(Side::counter_clockwise, clockwise_.nodes.back().id()) <= counter_clockwise_.far.back();
}

bool LeafSet::covers(const base::Guid& key) const {
    if (key == self_.id() || wraps()) return true;
    return std::ranges::any_of(kSides, [&](Side which) { return distance(which, key) <= reach(which); });
}

// With everybody known as far as reach(), only a node beyond either end can be nearer than the one we chose.
bool LeafSet::beyond_doubt(const base::Guid& key, const base::Guid& farthest_chosen) const {
    if (wraps()) return true;
    if (!covers(key)) return false;
    const auto clockwise = distance(Side::clockwise, key);
    const bool ahead = clockwise <= reach(Side::clockwise);
    // From the key to the clockwise end of what we know, and to the other end; one of the two leads over ourselves.
    const auto span_between = [](const base::Guid& from, const base::Guid& to) {
        return base::clockwise_distance(from, to);
    };
    const auto minus = [&](const base::Guid& a, const base::Guid& b) { return span_between(b, a); };  // a - b
    const auto counter = distance(Side::counter_clockwise, key);
    const auto room_ahead = ahead ? minus(reach(Side::clockwise), clockwise)
                                  : minus(reach(Side::clockwise), base::clockwise_distance(counter, {}));
    const auto room_behind = ahead ? minus(reach(Side::counter_clockwise), base::clockwise_distance(clockwise, {}))
                                   : minus(reach(Side::counter_clockwise), counter);
    const auto needed = base::ring_distance(key, farthest_chosen);
    return needed <= room_ahead && needed <= room_behind;
}

const NodeHandle* LeafSet::root_on(Side which, const base::Guid& key) const {
    const auto& nodes = at(which).nodes;
    const auto next = place(which, distance(which, key));
    const NodeHandle* before = next == 0 ? &self_ : &nodes[next - 1];
    if (next == nodes.size()) return before;
    return base::closer(key, nodes[next].id(), before->id()) ? &nodes[next] : before;
}

const NodeHandle* LeafSet::root(const base::Guid& key) const {
    if (!covers(key)) return nullptr;
    const Side which =
        distance(Side::clockwise, key) <= reach(Side::clockwise) ? Side::clockwise : Side::counter_clockwise;
    const NodeHandle* best = root_on(which, key);
    if (converged()) return best;
    return beyond_doubt(key, best->id()) ? best : nullptr;
}

std::vector<NodeHandle> LeafSet::closest(const base::Guid& key, std::size_t count) const {
    if (count == 0 || !covers(key)) return {};
    auto all = everybody();
    all.push_back(self_);
    // Asked for every place of every round of repair: distances are taken once, and no node moves but those wanted.
    std::vector<std::pair<base::Guid, std::size_t>> order;
    order.reserve(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) order.emplace_back(base::ring_distance(key, all[i].id()), i);
    const auto nearest = order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size()));
    std::ranges::partial_sort(order, nearest, [&](const auto& a, const auto& b) {
        return a.first != b.first ? a.first < b.first : all[a.second].id() < all[b.second].id();
    });
    std::vector<NodeHandle> found;
    found.reserve(static_cast<std::size_t>(nearest - order.begin()));
    for (auto at = order.begin(); at != nearest; ++at) found.push_back(std::move(all[at->second]));
    if (wraps()) return found;
    if (found.size() < count || !beyond_doubt(key, found.back().id())) return {};
    return found;
}

}  // namespace pastry
