#include "registers/genesis.hpp"

#include <algorithm>

#include "registers/quorum.hpp"

namespace past {

using base::Guid;
using base::NodeId;

void Genesis::replace(const base::Roster& roster) {
    all_.clear();
    earlier_.clear();
    removed_.clear();
    const auto* us = roster.find(self_);
    // Removed members stay in these sets, though they count no more: what they acknowledged others acknowledged too.
    for (const auto& member : roster.members) {
        if (member.role != base::Role::storage) continue;
        all_.push_back(member.id);
        if (member.revoked) removed_.insert(member.id);
        if (us != nullptr && member.serial < us->serial) earlier_.push_back(member.id);
    }
    admitted_ = all_.empty() || (us != nullptr && us->role == base::Role::storage);
    joined_ = !all_.empty();
    if (!joined_) all_.push_back(self_);
    std::ranges::sort(all_);
    std::ranges::sort(earlier_);
}

std::vector<NodeId> Genesis::nearest(const std::vector<NodeId>& sorted, const Guid& key) const {
    // The nearest lie together on the ring: so many on either side of the key are enough to look at.
    std::vector<NodeId> near;
    const auto count = sorted.size();
    if (count <= 2 * kGenesisMembers) {
        near = sorted;
    } else {
        const auto at = static_cast<std::size_t>(std::ranges::lower_bound(sorted, key) - sorted.begin());
        for (std::size_t i = 0; i < 2 * kGenesisMembers; ++i) {
            near.push_back(sorted[(at + count - kGenesisMembers + i) % count]);
        }
    }
    std::ranges::sort(near, [&](const NodeId& a, const NodeId& b) { return base::closer(key, a, b); });
    near.resize(std::min(near.size(), kGenesisMembers));
    std::ranges::sort(near);
    return near;
}

std::vector<NodeId> Genesis::members(const Guid& key) const { return nearest(all_, key); }

bool Genesis::member_of(const Guid& key, const NodeId& node) const {
    return std::ranges::binary_search(members(key), node);
}

bool Genesis::knows(const NodeId& node) const { return std::ranges::binary_search(all_, node); }

bool Genesis::removed(const NodeId& node) const { return removed_.contains(node); }

std::vector<NodeId> Genesis::counting(const std::vector<NodeId>& members) const {
    auto left = members;
    std::erase_if(left, [&](const NodeId& id) { return removed(id); });
    return left;
}

std::size_t Genesis::needed(const std::vector<NodeId>& members) const {
    return quorum(members.size(), members.size() - counting(members).size());
}

std::vector<NodeId> Genesis::bootstrap_quorum() const {
    const auto count = earlier_.size();
    if (count <= 2 * kGenesisMembers) return earlier_;
    std::vector<NodeId> around;
    const auto at = static_cast<std::size_t>(std::ranges::lower_bound(earlier_, self_) - earlier_.begin());
    for (std::size_t i = 0; i < 2 * kGenesisMembers; ++i) {
        around.push_back(earlier_[(at + count - kGenesisMembers + i) % count]);
    }
    return around;
}

bool Genesis::taught_by_quorum(const std::vector<NodeId>& members) const {
    const auto taught_of = [&](const std::vector<NodeId>& some) {
        return static_cast<std::size_t>(
            std::ranges::count_if(some, [&](const NodeId& id) { return transferred_.contains(id); }));
    };
    // A lesson counts also if who gave it was removed later. Where all were removed, nobody can teach any more.
    return taught_of(members) >= majority(members.size()) || taught_of(counting(members)) >= needed(members);
}

bool Genesis::settled(const Guid& key) const {
    return admitted_ && (earlier_.empty() || taught_by_quorum(nearest(earlier_, key)));
}

bool Genesis::settled() const {
    if (!admitted_) return false;
    if (earlier_.empty()) return true;
    if (earlier_.size() <= kGenesisMembers) return taught_by_quorum(earlier_);
    // Five that lie together on the ring answered for any key near us: the windows of five that touch our position.
    const auto count = earlier_.size();
    const auto at = static_cast<std::size_t>(std::ranges::lower_bound(earlier_, self_) - earlier_.begin());
    for (std::size_t first = 0; first <= kGenesisMembers; ++first) {
        std::vector<NodeId> window;
        for (std::size_t i = 0; i < kGenesisMembers; ++i) {
            window.push_back(earlier_[(at + count - kGenesisMembers + first + i) % count]);
        }
        if (!taught_by_quorum(window)) return false;
    }
    return true;
}

}  // namespace past
