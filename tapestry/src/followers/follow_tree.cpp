#include "followers/follow_tree.hpp"

#include <algorithm>
#include <cassert>

namespace tapestry {

using base::Duration;
using base::NodeId;
using base::TimePoint;

namespace {

/// A liar must not use up the numbers: it takes it 2^32 messages, at the pace below seven years, to bring us to the
/// last.
constexpr std::uint64_t kMostRoundsAhead = std::uint64_t{1} << 32U;
constexpr std::chrono::milliseconds kBetweenAdoptions{50};
constexpr unsigned kMostEvicted = 4;
/// What is above is not understood by others: whatever our parent says, our children understand us.
constexpr std::chrono::hours kLongestWayUp{1};

}  // namespace

FollowTree::FollowTree(NodeId self, Limits limits, TimePoint patient_until)
    : self_{self}, limits_{limits}, patient_until_{patient_until} {
    // With those that were evicted, who stay for a while, no more than a view may name.
    limits_.children = std::min<unsigned>(limits_.children, kMaxChildren - kMostEvicted);
}

Duration FollowTree::delay() const {
    if (!parent_) return {};
    return std::min<Duration>(parent_->standing.delay + parent_->rtt / 2, kLongestWayUp);
}

std::vector<NodeId> FollowTree::path() const {
    if (!parent_) return {};
    std::vector<NodeId> path{parent_->address.id};
    path.insert(path.end(), parent_->standing.path.begin(), parent_->standing.path.end());
    path.resize(std::min<std::size_t>(path.size(), kMaxDepth));
    return path;
}

bool FollowTree::eligible(const NodeId& node, const Standing& standing) const {
    return node != self_ && !children_.contains(node) && standing.rank.round > 0 && standing.rank.depth < kMaxDepth &&
           std::ranges::find(standing.path, self_) == standing.path.end();
}

bool FollowTree::outranks_us(const Rank& rank) const {
    return rank > rank_ && (rank.round <= rank_.round || rank.round - rank_.round <= kMostRoundsAhead);
}

bool FollowTree::may_hang_below(const NodeId& node, const Standing& standing) const {
    return eligible(node, standing) && outranks_us(standing.rank);
}

void FollowTree::hang_below(TimePoint now, base::Address parent, Standing standing, Duration rtt) {
    assert(may_hang_below(parent.id, standing));
    rank_ = standing.rank.below();
    held_ = false;
    adopted_at_ = now;
    parent_ = Parent{std::move(parent), std::move(standing), rtt, now, now};
}

FollowTree::Heard FollowTree::hear(TimePoint now, const NodeId& from, Standing standing) {
    if (!parent_ || parent_->address.id != from) return Heard::stranger;
    if (standing.rank < parent_->standing.rank) return Heard::outdated;
    if (!may_hang_below(from, standing)) return Heard::fallen;
    parent_->heard = now;
    standing.sequence = std::max(standing.sequence, parent_->standing.sequence);
    parent_->standing = std::move(standing);
    if (now < adopted_at_ + kBetweenAdoptions) return Heard::same;
    if (held_ || !adopt()) return Heard::same;
    adopted_at_ = now;
    return Heard::changed;
}

bool FollowTree::adopt() {
    const auto fresh = parent_->standing.rank.below();
    assert(fresh >= rank_);
    return std::exchange(rank_, fresh) != fresh;
}

bool FollowTree::let_go() { return std::exchange(held_, false) && parent_ && adopt(); }

std::optional<TimePoint> FollowTree::silent_at() const {
    if (!parent_) return {};
    return parent_->heard + limits_.silence;
}

void FollowTree::lose_parent(TimePoint patient_until) {
    parent_.reset();
    patient_until_ = patient_until;
}

void FollowTree::parent_has(std::uint64_t sequence) {
    if (parent_) parent_->standing.sequence = std::max(parent_->standing.sequence, sequence);
}

void FollowTree::parent_measured(Duration rtt) {
    if (parent_) parent_->rtt = rtt;
}

void FollowTree::become_top() {
    assert(!parent_);
    rank_ = {rank_.round + 1, self_, 0};
}

Verdict FollowTree::judge(const NodeId& asker, const Rank& rank, std::uint32_t children) const {
    if (!placed()) return Verdict::unplaced;
    const auto above = path();
    if (std::ranges::find(above, asker) != above.end()) return Verdict::below;
    if (rank_ <= rank) return Verdict::not_higher;
    if (rank_.depth + 1 >= kMaxDepth) return Verdict::too_deep;
    if (room() > 0 || children_.contains(asker)) return Verdict::welcome;
    return children > 0 && yielding() > 0 ? Verdict::welcome : Verdict::full;
}

bool FollowTree::take_child(base::Address child, std::uint64_t sequence, std::uint32_t children) {
    const auto id = child.id;
    const bool full = room() == 0 && !children_.contains(id);
    auto& kept = children_[id];
    kept = {.address = std::move(child),
            .sequence = std::max(sequence, kept.sequence),
            .children = children,
            .evicted = kept.evicted};
    if (!full) return false;
    // The nearest gives way: it has the least to lose, for others are near here too.
    Child* nearest = nullptr;
    for (auto& [other, each] : children_) {
        if (each.children > 0 || each.evicted || other == id) continue;
        if (nearest == nullptr || each.rtt < nearest->rtt) nearest = &each;
    }
    if (nearest != nullptr) nearest->evicted = true;
    return nearest != nullptr;
}

FollowTree::Child* FollowTree::child(const NodeId& node) {
    const auto found = children_.find(node);
    return found == children_.end() ? nullptr : &found->second;
}

unsigned FollowTree::room() const {
    if (!placed()) return 0;
    const auto evicted = std::ranges::count_if(children_, [](const auto& each) { return each.second.evicted; });
    const auto taken = static_cast<unsigned>(children_.size()) - static_cast<unsigned>(evicted);
    return limits_.children - std::min(taken, limits_.children);
}

/// Those evicted stay until they have found another place, so of them there are never many.
unsigned FollowTree::yielding() const {
    unsigned evicted = 0;
    unsigned without = 0;
    for (const auto& [id, each] : children_) (each.evicted ? evicted : without) += each.evicted || each.children == 0;
    return std::min(without, kMostEvicted - std::min(evicted, kMostEvicted));
}

}  // namespace tapestry
