#include "repair/presence.hpp"

#include <algorithm>
#include <tuple>

namespace past {

using base::NodeId;
using base::TimePoint;

namespace {

constexpr unsigned kMostDoublings = 6;  // 3 s become 3 min 12 s

}  // namespace

void Presence::refresh() {
    for (const auto& node : kbr_.neighbours()) here(node.id());
    absent_.clear();
    for (const auto& absent : kbr_.absent()) {
        gone(absent.node.id(), absent.since);
        absent_.insert(absent.node.id());
    }
}

Presence::Seen& Presence::entry(const NodeId& node) {
    const auto known = seen_.find(node);
    if (known != seen_.end()) return known->second;
    if (seen_.size() >= config_.max_remembered_nodes) forget_one();
    auto& fresh = seen_[node];
    fresh.since = clock_.now();
    fresh.came = clock_.now() - started_ > config_.check_period;
    return fresh;
}

/// Who left longest ago; while all live, who is not near us and was not met for longest.
void Presence::forget_one() {
    std::set<NodeId> near;
    for (const auto& node : kbr_.neighbours()) near.insert(node.id());
    const auto order = [&](const auto& each) {
        const auto& [node, seen] = each;
        return std::tuple{seen.live, near.contains(node), seen.live ? seen.met : seen.since};
    };
    seen_.erase(std::ranges::min_element(seen_, {}, order));
}

void Presence::here(const NodeId& node) {
    auto& seen = entry(node);
    seen.met = clock_.now();
    if (seen.live) return;
    seen.live = true;
    seen.since = clock_.now();
}

void Presence::gone(const NodeId& node, TimePoint since) {
    auto& seen = entry(node);
    if (!seen.live) {
        if (seen.since > since) seen.came = false;  // heard of only now, and away already
        return;
    }
    const bool stayed = since - seen.since >= migrate_after();
    seen.known = seen.known || stayed;
    seen.left = stayed ? 1 : seen.left + 1;
    seen.live = false;
    seen.since = since;
}

void Presence::met(const NodeId& node) {
    if (!absent_.contains(node)) here(node);
}

const Presence::Seen* Presence::find(const NodeId& node) const {
    const auto found = seen_.find(node);
    return found == seen_.end() ? nullptr : &found->second;
}

TimePoint Presence::known_at(const NodeId& node) const {
    const auto* seen = find(node);
    if (seen == nullptr || !seen->live) return clock_.now() + migrate_after();
    return seen->known ? seen->since : seen->since + migrate_after();
}

bool Presence::newcomer(const NodeId& node) const {
    const auto* seen = find(node);
    return seen == nullptr || (!seen->known && clock_.now() < known_at(node));
}

bool Presence::transient(const NodeId& node) const {
    const auto* seen = find(node);
    return seen != nullptr && !seen->live && seen->came && !seen->known;
}

TimePoint Presence::stable_at(const NodeId& node) const {
    const auto* seen = find(node);
    if (seen == nullptr || !seen->live) return clock_.now() + config_.quiet_period;
    const auto doublings = std::min(seen->left > 0 ? seen->left - 1 : 0U, kMostDoublings);
    return seen->since + std::min<base::Duration>(config_.quiet_period * (1U << doublings), migrate_after());
}

bool Presence::just_left(const NodeId& node) const {
    const auto* seen = find(node);
    return seen != nullptr && !seen->live && clock_.now() - seen->since < membership_.policy().repair_after;
}

base::Duration Presence::migrate_after() const {
    return std::min<base::Duration>(config_.migrate_after, membership_.policy().repair_after / 2);
}

}  // namespace past
