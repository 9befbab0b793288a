// Letting go of what others hold in our stead, and what people want to know of all copies.
#include <algorithm>
#include <set>

#include "registers/registers.hpp"
#include "repair/repair.hpp"
#include "repair/set_digest.hpp"

namespace past {

using base::Guid;
using base::Task;

/// Most of the store is used already: copies that nobody needs make room.
bool Repair::short_of_space() const {
    const auto usage = context_.store.usage();
    return usage.disk_bytes > usage.capacity_bytes / 2;
}

/// Not before a while has passed, so that somebody who left for a moment finds us as we were.
bool Repair::may_go(const GroupCopies& group) const {
    if (!group.surplus_since) return false;
    const auto& config = context_.config;
    const auto kept = context_.now() - *group.surplus_since;
    return kept >= config.discard_grace && (kept >= config.keep_surplus || short_of_space());
}

/// Copies that all holders of their group have, where we are none of them, are surplus. They stay so while these
/// holders come and go and take more; they are none any more once we take more, another node is to hold, or one lacks
/// blocks.
void Repair::note_surplus(GroupCopies& group) {
    if (group.let_go_safely(context_.self(), context_.membership.copies())) {
        group.surplus_of = group.placed();
        group.surplus_digest = group.summary.digest;
        if (!group.surplus_since) group.surplus_since = context_.now();
    } else if (ours(group) || group.placed() != group.surplus_of || group.summary.digest != group.surplus_digest) {
        group.surplus_since.reset();
    }
}

/// Of a group outside our leaf set, where nobody tells us of changes.
bool Repair::holders_are_old_news(const GroupCopies& group) const {
    return context_.now() - group.set_at > context_.config.check_period;
}

/// Drops surplus copies once they are old, or to make room, the oldest first; and only while every holder was seen,
/// just now, to have all of them: no source is dropped before its copies are synced and verified. `changes`: of the
/// ring, when the holders were found.
Task<void> Repair::let_go(std::uint64_t changes) {
    std::vector<std::pair<base::TimePoint, Guid>> going;
    std::vector<Guid> doubtful;
    for (auto& [key, group] : groups_) {
        note_surplus(group);
        const bool safe = group.let_go_safely(context_.self(), context_.membership.copies());
        if (!safe || !may_go(group) || holders_are_old_news(group)) continue;
        going.emplace_back(*group.surplus_since, key);
        doubtful.push_back(key);
    }
    if (going.empty()) co_return;
    co_await compare_again(std::move(doubtful));
    std::ranges::sort(going);
    for (const auto& [since, key] : going) {
        if (changes_ != changes) co_return;  // others may be the holders by now
        const bool old = context_.now() - since >= context_.config.keep_surplus;
        if (old || short_of_space()) co_await discard(key, changes);
    }
}

/// What we know of the holders of these groups may be as old as the last full check.
Task<void> Repair::compare_again(std::vector<Guid> groups) {
    for (const auto& key : groups) {
        for (auto& [id, peer] : groups_.at(key).peers) peer.compared = peer.compared && !peer.placed;
    }
    co_await compare_all();
}

/// All of it at once: after each page the holders would have to be offered all the rest again.
Task<void> Repair::discard(Guid key, std::uint64_t changes) {
    // What arrived since we compared stays: the digest says whether something did.
    const auto current = context_.store.summary(key);
    if (current.blocks == 0 || current.digest != groups_.at(key).summary.digest) co_return;
    if (!groups_.at(key).let_go_safely(context_.self(), context_.membership.copies())) co_return;
    auto left = current.digest;
    for (;;) {
        auto ids = context_.store.list(key, Guid{}, kMaxBlocksPerRequest);
        if (ids.empty()) break;
        const auto count = ids.size();
        for (const auto& id : ids) toggle(left, id);
        if (!co_await context_.store.discard(std::move(ids))) co_return;
        context_.counters.blocks_discarded += count;
        if (changes_ == changes && context_.store.summary(key).digest == left) continue;
        groups_.at(key).peers.clear();  // what came meanwhile, and the rest, once it was compared again
        co_return;
    }
    groups_.at(key).peers.clear();
    groups_.at(key).surplus_since.reset();
}

// --- what people want to know

std::vector<Guid> Repair::misplaced() const {
    std::vector<Guid> off;
    for (const auto& [key, group] : groups_) {
        if (!group.set.placement.empty() && !ours(group)) off.push_back(key);
    }
    return off;
}

void Repair::report(NodeStatus& status) const {
    const auto copies = context_.membership.copies();
    for (const auto& summary : context_.store.groups()) {
        ++status.groups;
        const auto found = groups_.find(summary.group);
        if (found == groups_.end() || found->second.set.placement.empty()) {
            const auto set = holders_.local(summary.group, copies);
            const bool alone = set && set->placement.size() == 1 && copies == 1 && set->placed_on(context_.self());
            status.blocks_ours += summary.blocks;
            (alone ? status.blocks_whole : status.blocks_unchecked) += summary.blocks;
        } else if (!ours(found->second) && found->second.any_holder_lives()) {
            (found->second.surplus_since ? status.blocks_surplus : status.blocks_to_hand_over) += summary.blocks;
        } else {
            report(status, summary, found->second);
        }
    }
    report_times(status);
    if (context_.draining()) report_drain(status);
}

void Repair::report_times(NodeStatus& status) const {
    const auto now = context_.now();
    std::set<base::NodeId> refusing;
    for (const auto& [key, group] : groups_) {
        if (group.missing_since) {
            status.oldest_short = std::max(
                status.oldest_short, std::chrono::duration_cast<std::chrono::seconds>(now - *group.missing_since));
        }
        for (const auto& [id, peer] : group.peers) {
            if (peer.placed && peer.live && peer.refused_until > now) refusing.insert(id);
        }
    }
    status.refusing.assign(refusing.begin(), refusing.end());
}

/// What is still to be done before this node may go. Diverted replicas are their primaries' to move: until then they
/// count.
void Repair::report_drain(NodeStatus& status) const {
    status.draining = true;
    status.records_to_drain = registers_.left_to_drain();
    status.blocks_to_drain = status.blocks_for_others;
    status.bytes_to_drain = status.bytes_for_others;
    for (const auto& summary : context_.store.groups()) {
        const auto found = groups_.find(summary.group);
        if (found != groups_.end() && found->second.handed_over(summary)) continue;
        status.blocks_to_drain += summary.blocks;
        status.bytes_to_drain += summary.bytes;
    }
}

/// At the end of a round: what is short then is not merely on its way.
void Repair::note_short() {
    NodeStatus sum;
    for (auto& [key, group] : groups_) {
        const auto before = sum.blocks_short;
        if (ours(group) && !group.set.placement.empty()) report(sum, group.summary, group);
        if (sum.blocks_short == before) {
            group.missing_since.reset();
        } else if (!group.missing_since) {
            group.missing_since = context_.now();
        }
    }
}

/// Of a group that we are a holder of, or stand in for all of them. Whole is what as many live nodes have as there
/// shall be copies, wherever.
void Repair::report(NodeStatus& status, const GroupSummary& summary, const GroupCopies& group) const {
    const auto copies = context_.membership.copies();
    const auto& self = context_.self();
    bool current = group.summary.digest == summary.digest && group.summary.unconfirmed >= summary.unconfirmed;
    bool away = group.set.placement.size() < copies;
    bool uncertain = false;  // somebody else than the holders may have what one of them lacks
    std::uint64_t gap = 0;   // blocks that a holder lacks
    auto unconfirmed = summary.unconfirmed;
    std::uint64_t to_send = group.rank(self, self) == 0 ? group.few.size() : 0;
    for (const auto& [id, peer] : group.peers) {
        if (!peer.placed) continue;
        away = away || (!peer.live && peer.counts);
        uncertain = uncertain || (peer.live ? peer.waits && !peer.has_all(summary.digest) : !peer.counts);
        if (!peer.live) continue;
        unconfirmed = std::max(unconfirmed, peer.unconfirmed);
        current = current && peer.compared && (peer.waits || peer.ours == summary.digest);
        if (peer.has_all(summary.digest)) continue;
        gap = std::max(gap, peer.has_something() ? std::max<std::uint64_t>(1, peer.lacking.size()) : summary.blocks);
        if (!peer.waits && group.rank(self, id) == 0) to_send += peer.lacking.size();
    }
    gap = std::min(gap, summary.blocks);
    unconfirmed = std::min(unconfirmed, summary.blocks);

    status.blocks_ours += summary.blocks;
    std::uint64_t missing = 0;
    if (current && group.holding_all(GroupCopies::Counting::seen) >= copies) {
        missing = 0;
    } else if (away) {
        missing = summary.blocks;
    } else if (!current || (uncertain && !group.looked)) {
        status.blocks_unchecked += summary.blocks;
        return;
    } else {
        missing = std::max(group.looked ? std::min(group.short_blocks, gap) : gap, unconfirmed);
    }
    status.blocks_short += missing;
    status.blocks_whole += summary.blocks - missing;
    status.blocks_moving += gap - std::min(gap, missing);
    status.backlog_blocks += std::min(to_send, missing);
}

}  // namespace past
