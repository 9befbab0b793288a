// Who has what: the holders of each place, and what they say that they have of it.
#include <algorithm>

#include "repair/repair.hpp"
#include "replication/gather.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using pastry::NodeHandle;

/// Who keeps each place now. Of places that we keep for others far away, what was found out since the last round; those
/// of which nothing is known yet, and those to be let go of, are looked up first.
void Repair::find_sets() {
    for (auto& [key, found] : far_.take_found()) {
        const auto place = places_.find(key);
        if (place != places_.end()) take_set(place->second, std::move(found.set), found.when);
    }
    std::vector<Guid> urgent;
    std::vector<Guid> others;
    for (auto& [key, place] : places_) {
        if (auto set = holders_.local(key, context_.membership.copies())) {
            take_set(place, std::move(*set), context_.now());
        } else {
            const bool waited_for = may_go(place) && holders_are_old_news(place);
            (place.set.placement.empty() || waited_for ? urgent : others).push_back(key);
        }
        know_peers(place);
    }
    far_.look_up(urgent, others);
}

void Repair::take_set(PlaceCopies& place, HolderSet set, base::TimePoint when) {
    for (const auto* nodes : {&set.writers, &set.spare, &set.draining}) {
        for (const auto& node : *nodes) presence_.met(node.id());
    }
    const auto before = place.placed();
    place.set = std::move(set);
    place.set_at = when;
    if (place.placed() != before) place.look_again();
}

PeerCopy& Repair::peer_of(PlaceCopies& place, const NodeHandle& node) {
    auto& peer = place.peers[node.id()];
    peer.node = node;
    peer.newcomer = presence_.newcomer(node.id());
    return peer;
}

/// Whom to ask about a place, and what the ring says of them. Answers of those that stay are kept.
void Repair::know_peers(PlaceCopies& place) {
    std::vector<NodeId> had;
    for (auto& [id, peer] : place.peers) {
        if (peer.counts || (peer.live && peer.has_something())) had.push_back(id);
        peer.placed = peer.live = peer.counts = peer.draining = false;
    }
    place.draining = context_.draining();
    know_holders(place);
    if (place.wide) know_others(place);
    const bool fewer = std::ranges::any_of(had, [&](const NodeId& id) {
        const auto& peer = place.peers.at(id);
        return !peer.live && !peer.counts;
    });
    if (fewer) place.look_again();
    std::erase_if(place.peers, [](const auto& entry) {
        const auto& peer = entry.second;
        return !peer.placed && !peer.live && !peer.counts;
    });
    for (auto& [id, peer] : place.peers) {
        if (!peer.live) peer.forget_refusals();
        peer.steady = peer.live && context_.now() >= std::max(presence_.steady_at(id), peer.refused_until);
        peer.waits = peer.live && (!peer.steady || peer.newcomer);
    }
}

void Repair::know_holders(PlaceCopies& place) {
    for (const auto& holder : place.set.placement) {
        if (holder.node.id() == context_.self()) continue;
        auto& peer = peer_of(place, holder.node);
        peer.placed = true;
        peer.live = holder.live;
        peer.counts = !holder.live && taken_to_have_its_blocks(peer, presence_.visitor(holder.node.id()));
    }
}

/// Everybody near: a reader would ask them too. And who had everything and left just now.
void Repair::know_others(PlaceCopies& place) {
    for (const auto* nodes : {&place.set.writers, &place.set.spare}) {
        for (const auto& node : *nodes) {
            if (node.id() != context_.self()) peer_of(place, node).live = true;
        }
    }
    for (const auto& node : place.set.draining) {
        if (node.id() == context_.self()) continue;
        auto& peer = peer_of(place, node);
        peer.live = peer.draining = true;
    }
    for (auto& [id, peer] : place.peers) {
        if (peer.live || peer.placed) continue;
        peer.counts = peer.has_all(place.summary.digest) && presence_.just_left(id);
    }
}

/// Begins to ask everybody near a place who else has it, once a holder has lacked blocks for longer than what passes by
/// itself; true if somebody is to be asked for the first time. Ends a while after the last reason, as holders that come
/// and go would make us begin again and again.
bool Repair::widen() {
    const auto now = context_.now();
    bool more = false;
    for (auto& [key, place] : places_) {
        const bool wanting = place.wanting();
        if (wanting) place.wanted_at = now;
        if (!wanting) place.wanting_since.reset();
        if (wanting && !place.wanting_since) place.wanting_since = now;
        if (place.wide && now - place.wanted_at >= context_.config.check_period) {
            place.look_wide(false, now);
            know_peers(place);
        } else if (!place.wide && wanting && now - *place.wanting_since >= 2 * context_.config.settle) {
            place.look_wide(true, now);
            know_peers(place);
            more = true;
        }
    }
    return more;
}

bool Repair::worth_comparing(const PlaceCopies& place, const PeerCopy& peer) const {
    if (!peer.live) return false;
    if (!peer.compared) return true;
    if (!peer.placed) return place.wide && context_.now() >= place.look_at;
    if (peer.ours == place.summary.digest && peer.has_all_of_ours) return false;
    if (place.surplus_since && !may_go(place)) return false;
    return !peer.waits || (place.wide && context_.now() >= place.look_at);
}

Task<void> Repair::compare_all() {
    std::map<NodeId, std::pair<NodeHandle, std::vector<Guid>>> by_peer;
    for (const auto& [key, place] : places_) {
        for (const auto& [id, peer] : place.peers) {
            if (!worth_comparing(place, peer)) continue;
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
            auto& place = places_.at(asked[i].second[j]);
            const auto& theirs = answer->entries[j];
            auto& peer = place.peers.at(asked[i].first);
            peer.answered(place.summary, theirs, context_.now());
            context_.hints.heard(place.summary.place, peer.node.address, theirs.blocks, theirs.digest);
        }
    }
}

Task<Result<CompareReply>> Repair::compare_with(NodeHandle peer, std::vector<Guid> places) {
    CompareReply all;
    for (std::size_t begin = 0; begin < places.size(); begin += kMaxCompareEntries) {
        CompareRequest request;
        for (std::size_t i = begin; i < std::min(places.size(), begin + kMaxCompareEntries); ++i) {
            const auto& summary = places_.at(places[i]).summary;
            request.entries.push_back({places[i], summary.blocks, summary.digest});
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
