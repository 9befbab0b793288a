#include "repair/copies.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::NodeId;
using base::TimePoint;
using pastry::NodeHandle;

// --- one other node

void PeerCopy::answered(const GroupSummary& mine, const CompareReply::Entry& theirs_now, TimePoint now) {
    const bool unchanged = asked && ours == mine.digest && theirs == theirs_now.digest;
    if (theirs_now.blocks > their_blocks) progress_at = now;
    has_all_of_ours = theirs_now.digest == mine.digest || (unchanged && has_all_of_ours);
    if (!unchanged) offered = gave_some_up = false;
    asked = compared = true;
    ours = mine.digest;
    our_blocks = mine.blocks;
    theirs = theirs_now.digest;
    their_blocks = theirs_now.blocks;
    unconfirmed = theirs_now.unconfirmed;
    if (!has_all_of_ours) return;
    lacking.clear();
    lasts = false;
    all_of_ = ours;
    all_of_blocks_ = their_blocks;
}

std::vector<Guid> PeerCopy::found_lacking(std::vector<Guid> ids, bool all_told, TimePoint now) {
    std::ranges::sort(ids);
    std::vector<Guid> lasting;
    std::ranges::set_intersection(lacking, ids, std::back_inserter(lasting));
    if (lasting.empty()) lacking_since = now;
    lasts = !lasting.empty();
    lacking = std::move(ids);
    lacking_ours_ = ours;
    lacking_theirs_ = theirs;
    has_all_of_ours = lacking.empty();
    if (!has_all_of_ours && all_of_ == ours) all_of_ = {};  // it has lost some, whatever else it took
    if (!has_all_of_ours) return lasting;
    offered = all_told;
    all_of_ = ours;
    all_of_blocks_ = their_blocks;
    return lasting;
}

void PeerCopy::refused(TimePoint now, base::Duration pause) {
    refusal_pause_ = std::clamp(2 * refusal_pause_, pause, 8 * pause);
    refused_until = now + refusal_pause_;
}

void PeerCopy::forget_refusals() {
    refusal_pause_ = {};
    refused_until = {};
}

bool PeerCopy::has_all(const Guid& digest) const {
    if (!asked) return false;
    return (has_all_of_ours && ours == digest) || (all_of_ == digest && their_blocks >= all_of_blocks_);
}

bool PeerCopy::lacking_known(const Guid& digest) const {
    return ours == digest && lacking_ours_ == ours && lacking_theirs_ == theirs;
}

bool PeerCopy::has(const Guid& digest, const Guid& id) const {
    if (has_all(digest)) return true;
    return has_something() && lacking_known(digest) && !std::ranges::binary_search(lacking, id);
}

bool taken_to_have_its_blocks(const PeerCopy& peer, bool transient) {
    if (!peer.asked) return !transient;
    if (!peer.newcomer) return peer.has_something();
    return peer.has_all_of_ours || 2 * peer.their_blocks >= peer.our_blocks;
}

// --- all of them

std::vector<NodeId> GroupCopies::placed() const {
    std::vector<NodeId> ids;
    for (const auto& holder : set.placement) ids.push_back(holder.node.id());
    std::ranges::sort(ids);
    return ids;
}

bool GroupCopies::under_replicated() const {
    return std::ranges::any_of(peers, [&](const auto& entry) {
        const auto& peer = entry.second;
        if (!peer.placed) return false;
        if (!peer.live) return !peer.counts;
        return peer.asked && !peer.has_all(summary.digest) && (peer.waits || peer.lasts);
    });
}

/// Which of its blocks are in doubt a node does not say: to be sure, none of them count.
bool GroupCopies::counts(std::uint64_t unconfirmed, Counting counting) {
    return unconfirmed == 0 || counting == Counting::expected;
}

bool GroupCopies::counts_as_having_all(const PeerCopy& peer, Counting counting) const {
    if (peer.draining) return false;
    if (peer.live && peer.has_all(summary.digest) && counts(peer.unconfirmed, counting)) return true;
    if (counting == Counting::seen) return false;
    return peer.live ? peer.placed && !peer.waits : peer.counts;
}

std::size_t GroupCopies::holding_all(Counting counting) const {
    const auto others =
        std::ranges::count_if(peers, [&](const auto& entry) { return counts_as_having_all(entry.second, counting); });
    return static_cast<std::size_t>(others) + (!draining && counts(summary.unconfirmed, counting) ? 1 : 0);
}

std::size_t GroupCopies::holding(const Guid& id, std::size_t holding_all, Counting counting) const {
    return holding_all + static_cast<std::size_t>(std::ranges::count_if(peers, [&](const auto& entry) {
               const auto& peer = entry.second;
               return peer.live && !peer.draining && counts(peer.unconfirmed, counting) &&
                      !counts_as_having_all(peer, counting) && peer.has(summary.digest, id);
           }));
}

std::vector<Guid> GroupCopies::held_by_few(const std::vector<Guid>& ids, std::size_t copies, Counting counting) const {
    const auto all = holding_all(counting);
    std::vector<Guid> found;
    if (all >= copies) return found;
    std::ranges::copy_if(ids, std::back_inserter(found),
                         [&](const Guid& id) { return holding(id, all, counting) < copies; });
    return found;
}

std::vector<std::pair<NodeHandle, std::vector<Guid>>> GroupCopies::shares(const std::vector<Guid>& ids,
                                                                          std::size_t copies) const {
    std::vector<std::pair<NodeHandle, std::vector<Guid>>> all;
    const auto add = [&](const NodeHandle& node) {
        const auto peer = peers.find(node.id());
        const bool there = std::ranges::any_of(all, [&](const auto& one) { return one.first.id() == node.id(); });
        if (!there && peer != peers.end() && peer->second.live && peer->second.stable) all.push_back({node, {}});
    };
    for (const auto& holder : set.placement) add(holder.node);
    for (const auto& writer : set.writers) add(writer);
    for (const auto& spare : set.spare) add(spare);
    std::ranges::stable_partition(all, [&](const auto& one) { return !peers.at(one.first.id()).newcomer; });
    const auto whole = holding_all(Counting::expected);
    for (const auto& id : ids) {
        auto have = holding(id, whole, Counting::expected);
        for (auto& [node, share] : all) {
            if (have >= copies) break;
            const auto& peer = peers.at(node.id());
            if (counts_as_having_all(peer, Counting::expected) || peer.has(summary.digest, id)) continue;
            share.push_back(id);
            ++have;
        }
    }
    std::erase_if(all, [](const auto& one) { return one.second.empty(); });
    return all;
}

std::size_t GroupCopies::rank(const NodeId& self, const NodeId& target) const {
    const bool holder = ours(self);
    return static_cast<std::size_t>(std::ranges::count_if(peers, [&](const auto& entry) {
        const auto& [id, peer] = entry;
        if (id == target || !peer.live) return false;
        // Whom nobody has asked yet may have more than we do; who is known to have nothing cannot act.
        if (peer.asked && !peer.has_something()) return false;
        if (peer.placed != holder) return peer.placed;
        return base::closer(summary.group, id, self);
    }));
}

bool GroupCopies::let_go_safely(const NodeId& self, std::size_t copies) const {
    if (set.placement.size() < copies || set.placed_on(self)) return false;
    return std::ranges::all_of(set.placement, [&](const Holder& holder) {
        const auto found = peers.find(holder.node.id());
        if (found == peers.end() || !holder.live) return false;
        const auto& peer = found->second;
        const bool whole = peer.has_all_of_ours && peer.unconfirmed == 0 && peer.ours == summary.digest;
        return peer.compared && peer.offered && whole;
    });
}

bool GroupCopies::handed_over(const GroupSummary& now) const {
    const bool all_have_it = std::ranges::all_of(set.placement, [&](const Holder& holder) {
        const auto peer = peers.find(holder.node.id());
        return holder.live && peer != peers.end() && peer->second.unconfirmed == 0 && peer->second.has_all(now.digest);
    });
    return surplus_since && surplus_digest == now.digest && placed() == surplus_of && all_have_it;
}

bool GroupCopies::lacking_somewhere() const {
    return std::ranges::any_of(peers, [](const auto& entry) {
        const auto& peer = entry.second;
        return peer.placed && peer.live && !peer.waits && !peer.lacking.empty();
    });
}

bool GroupCopies::any_holder_lives() const {
    return std::ranges::any_of(set.placement, [](const Holder& holder) { return holder.live; });
}

void GroupCopies::look_again() {
    offered_at = {};
    look_at = {};
    look_pause = {};
}

std::vector<Guid> GroupCopies::looked_at_all(std::vector<Guid> few_now, std::uint64_t short_now, TimePoint now,
                                             base::Duration pause) {
    std::vector<Guid> lasting;
    std::ranges::set_intersection(few, few_now, std::back_inserter(lasting));
    if (lasting.empty()) few_since = now;
    few = std::move(few_now);
    short_blocks = short_now;
    looked = true;
    look_pause = few.empty() ? std::clamp(2 * look_pause, pause, 8 * pause) : base::Duration{};
    look_at = now + look_pause;
    return lasting;
}

void GroupCopies::look_wide(bool on, TimePoint now) {
    wide = on;
    wide_since = now;
    few.clear();
    looked = false;
    look_again();
}

}  // namespace past
