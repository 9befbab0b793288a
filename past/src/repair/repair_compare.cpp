// Who has what: the holders of each group, and what they say that they have of it.
#include <algorithm>

#include "repair/repair.hpp"
#include "replication/gather.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using pastry::NodeHandle;

/// Who keeps each group now. Of groups that we keep for others far away, what was found out since the last round; those
/// of which nothing is known yet, and those to be let go of, are looked up first.
void Repair::find_sets() {
    for (auto& [key, found] : far_.take_found()) {
        const auto group = groups_.find(key);
        if (group != groups_.end()) take_set(group->second, std::move(found.set), found.when);
    }
    std::vector<Guid> urgent;
    std::vector<Guid> others;
    for (auto& [key, group] : groups_) {
        if (auto set = holders_.local(key, context_.membership.copies())) {
            take_set(group, std::move(*set), context_.now());
        } else {
            const bool waited_for = may_go(group) && holders_are_old_news(group);
            (group.set.placement.empty() || waited_for ? urgent : others).push_back(key);
        }
        know_peers(group);
    }
    far_.look_up(urgent, others);
}

void Repair::take_set(GroupCopies& group, HolderSet set, base::TimePoint when) {
    for (const auto* nodes : {&set.writers, &set.spare, &set.draining}) {
        for (const auto& node : *nodes) presence_.met(node.id());
    }
    const auto before = group.placed();
    group.set = std::move(set);
    group.set_at = when;
    if (group.placed() != before) group.look_again();
}

PeerCopy& Repair::peer_of(GroupCopies& group, const NodeHandle& node) {
    auto& peer = group.peers[node.id()];
    peer.node = node;
    peer.newcomer = presence_.newcomer(node.id());
    return peer;
}

/// Whom to ask about a group, and what the ring says of them. Answers of those that stay are kept.
void Repair::know_peers(GroupCopies& group) {
    std::vector<NodeId> had;
    for (auto& [id, peer] : group.peers) {
        if (peer.counts || (peer.live && peer.has_something())) had.push_back(id);
        peer.placed = peer.live = peer.counts = peer.draining = false;
    }
    group.draining = context_.draining();
    know_holders(group);
    if (group.wide) know_others(group);
    const bool fewer = std::ranges::any_of(had, [&](const NodeId& id) {
        const auto& peer = group.peers.at(id);
        return !peer.live && !peer.counts;
    });
    if (fewer) group.look_again();
    std::erase_if(group.peers, [](const auto& entry) {
        const auto& peer = entry.second;
        return !peer.placed && !peer.live && !peer.counts;
    });
    for (auto& [id, peer] : group.peers) {
        if (!peer.live) peer.forget_refusals();
        peer.stable = peer.live && context_.now() >= std::max(presence_.stable_at(id), peer.refused_until);
        peer.waits = peer.live && (!peer.stable || peer.newcomer);
    }
}

void Repair::know_holders(GroupCopies& group) {
    for (const auto& holder : group.set.placement) {
        if (holder.node.id() == context_.self()) continue;
        auto& peer = peer_of(group, holder.node);
        peer.placed = true;
        peer.live = holder.live;
        peer.counts = !holder.live && taken_to_have_its_blocks(peer, presence_.transient(holder.node.id()));
    }
}

/// Everybody near: a reader would ask them too. And who had everything and left just now.
void Repair::know_others(GroupCopies& group) {
    for (const auto* nodes : {&group.set.writers, &group.set.spare}) {
        for (const auto& node : *nodes) {
            if (node.id() != context_.self()) peer_of(group, node).live = true;
        }
    }
    for (const auto& node : group.set.draining) {
        if (node.id() == context_.self()) continue;
        auto& peer = peer_of(group, node);
        peer.live = peer.draining = true;
    }
    for (auto& [id, peer] : group.peers) {
        if (peer.live || peer.placed) continue;
        peer.counts = peer.has_all(group.summary.digest) && presence_.just_left(id);
    }
}

/// Begins to ask everybody near a group who else has it, once a holder has lacked blocks for longer than what passes by
/// itself; true if somebody is to be asked for the first time. Ends a while after the last reason, as holders that come
/// and go would make us begin again and again.
bool Repair::widen() {
    const auto now = context_.now();
    bool more = false;
    for (auto& [key, group] : groups_) {
        const bool under_replicated = group.under_replicated();
        if (under_replicated) group.wanted_at = now;
        if (!under_replicated) group.short_since.reset();
        if (under_replicated && !group.short_since) group.short_since = now;
        if (group.wide && now - group.wanted_at >= context_.config.check_period) {
            group.look_wide(false, now);
            know_peers(group);
        } else if (!group.wide && under_replicated && now - *group.short_since >= 2 * context_.config.quiet_period) {
            group.look_wide(true, now);
            know_peers(group);
            more = true;
        }
    }
    return more;
}

bool Repair::worth_comparing(const GroupCopies& group, const PeerCopy& peer) const {
    if (!peer.live) return false;
    if (!peer.compared) return true;
    if (!peer.placed) return group.wide && context_.now() >= group.look_at;
    if (peer.ours == group.summary.digest && peer.has_all_of_ours) return false;
    if (group.surplus_since && !may_go(group)) return false;
    return !peer.waits || (group.wide && context_.now() >= group.look_at);
}

Task<void> Repair::compare_all() {
    std::map<NodeId, std::pair<NodeHandle, std::vector<Guid>>> by_peer;
    for (const auto& [key, group] : groups_) {
        for (const auto& [id, peer] : group.peers) {
            if (!worth_comparing(group, peer)) continue;
            auto& entry = by_peer[id];
            entry.first = peer.node;
            entry.second.push_back(key);
        }
    }
    const auto gather = std::make_shared<Gather<Result<CompareReply>>>(context_.env.executor);
    std::vector<std::pair<NodeId, std::vector<Guid>>> asked;
    for (auto& [id, entry] : by_peer) {
        asked.emplace_back(id, entry.second);
        spawn(context_.work, gather, compare_with(std::move(entry.first), std::move(entry.second)));
    }
    while (gather->pending > 0) co_await gather->changed.wait();
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto& answer = *gather->answers[i];
        if (!answer) continue;
        for (std::size_t j = 0; j < std::min(answer->entries.size(), asked[i].second.size()); ++j) {
            auto& group = groups_.at(asked[i].second[j]);
            const auto& theirs = answer->entries[j];
            auto& peer = group.peers.at(asked[i].first);
            peer.answered(group.summary, theirs, context_.now());
            context_.hints.heard(group.summary.group, peer.node.address, theirs.blocks, theirs.digest);
        }
    }
}

Task<Result<CompareReply>> Repair::compare_with(NodeHandle peer, std::vector<Guid> groups) {
    CompareReply all;
    for (std::size_t begin = 0; begin < groups.size(); begin += kMaxCompareEntries) {
        CompareRequest request;
        for (std::size_t i = begin; i < std::min(groups.size(), begin + kMaxCompareEntries); ++i) {
            const auto& summary = groups_.at(groups[i]).summary;
            request.entries.push_back({groups[i], summary.blocks, summary.digest});
        }
        auto header = encode(request);
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto to = peer.address;
        const auto answer = co_await context_.call(std::move(to), Verb::compare, std::move(header), deadline);
        if (!answer) co_return answer.error();
        BASE_CO_TRY(const auto reply, decode<CompareReply>(answer->header));
        if (reply.entries.size() != request.entries.size()) co_return base::Errc::bad_format;
        all.entries.insert(all.entries.end(), reply.entries.begin(), reply.entries.end());
    }
    co_return all;
}

}  // namespace past
