#include "replication/holders.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

/// Members that were removed hold nothing; those that are draining hold nothing more, and are asked all the same.
void Holders::leave_out(Known& known) const {
    const auto& roster = context_.membership.roster();
    const auto drains = [&](const auto& node) { return roster.draining(node.id()); };
    std::ranges::copy_if(known.live, std::back_inserter(known.draining), drains);
    std::ranges::copy_if(known.absent, std::back_inserter(known.gone), drains);
    for (auto* nodes : {&known.live, &known.absent}) {
        std::erase_if(*nodes, [&](const auto& node) { return drains(node) || roster.removed(node.id()); });
    }
    std::erase_if(known.gone, [&](const auto& node) { return roster.removed(node.id()); });
}

HolderSet Holders::choose(const Guid& key, std::size_t count, const Known& known) {
    auto set = choose_holders(key, count, known.live, known.absent, known.gone);
    set.draining = known.draining;
    return set;
}

Holders::Known Holders::local_candidates(const Guid& key, std::size_t count) const {
    Known known;
    known.live = context_.kbr.replica_set(key, candidates_for(count));
    for (const auto& absent : context_.kbr.absent()) {
        const bool recent = context_.now() - absent.since < context_.membership.policy().repair_after;
        (recent ? known.absent : known.gone).push_back(absent.node);
    }
    leave_out(known);
    return known;
}

std::optional<HolderSet> Holders::local(const Guid& key, std::size_t count) const {
    const auto known = local_candidates(key, count);
    if (known.live.empty()) return std::nullopt;
    return choose(key, count, known);
}

Task<Result<HolderSet>> Holders::find(Guid key, std::size_t count, TimePoint deadline) {
    if (auto set = local(key, count)) co_return std::move(*set);
    const auto cached = cache_.find(key);
    if (cached == cache_.end() || cached->second.until <= context_.now()) {
        auto asked = co_await ask(key, count, deadline);
        if (!asked) co_return std::move(asked).error();
        if (cache_.size() >= context_.config.max_cached_groups) {
            std::erase_if(cache_, [&](const auto& entry) { return entry.second.until <= context_.now(); });
            if (cache_.size() >= context_.config.max_cached_groups) cache_.erase(cache_.begin());
        }
        cache_[key] = std::move(*asked);
    }
    const auto& known = cache_[key];
    co_return choose(key, count, known);
}

Task<Result<Holders::Known>> Holders::ask(Guid key, std::size_t count, TimePoint deadline) {
    auto live = co_await context_.kbr.find_replica_set(key, candidates_for(count), deadline);
    if (!live) co_return base::Error{Errc::holders_unreachable, live.error().message()};
    if (live->empty()) co_return base::Error{Errc::holders_unreachable, "nobody is known near " + key.short_hex()};
    Known known;
    known.until = context_.now() + context_.config.holders_cached_for;
    known.live = std::move(*live);
    // Who is absent only the neighbours know. Without their answer the live ones will do: their stand-ins are the same.
    HoldersRequest request{key, static_cast<std::uint32_t>(candidates_for(count))};
    for (std::size_t i = 0; i < std::min<std::size_t>(known.live.size(), 2); ++i) {
        const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
        auto header = encode(request);
        auto answer = co_await context_.call(known.live[i].address, Verb::holders, std::move(header), attempt);
        if (!answer) continue;
        auto reply = decode<HoldersReply>(answer->header);
        if (!reply || reply->live.empty()) continue;
        known.live = std::move(reply->live);
        const auto patience = static_cast<std::uint64_t>(context_.membership.policy().repair_after.count());
        for (auto& absent : reply->absent) {
            (absent.age_ms < patience ? known.absent : known.gone).push_back(std::move(absent.node));
        }
        break;
    }
    leave_out(known);
    co_return known;
}

Result<HoldersReply> Holders::serve(const HoldersRequest& request) const {
    HoldersReply reply;
    reply.live = context_.kbr.replica_set(request.group, request.count);
    if (reply.live.empty()) return Errc::holders_unreachable;
    for (const auto& absent : context_.kbr.absent()) {
        if (reply.absent.size() == kMaxHolders) break;
        const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(context_.now() - absent.since);
        reply.absent.push_back({absent.node, static_cast<std::uint64_t>(std::max<std::int64_t>(age.count(), 0))});
    }
    return reply;
}

std::optional<TimePoint> Holders::next_expiry() const {
    std::optional<TimePoint> next;
    for (const auto& absent : context_.kbr.absent()) {
        const auto expiry = absent.since + context_.membership.policy().repair_after;
        if (expiry > context_.now() && (!next || expiry < *next)) next = expiry;
    }
    return next;
}

Task<std::optional<base::Address>> Holders::resolve(NodeId node, TimePoint deadline) {
    if (node == context_.self()) co_return context_.kbr.self().address;
    const auto near = context_.kbr.replica_set(node, 1);
    if (!near.empty() && near[0].id() == node) co_return near[0].address;
    for (const auto& absent : context_.kbr.absent()) {
        if (absent.node.id() == node) co_return absent.node.address;
    }
    if (!near.empty()) co_return std::nullopt;  // it would be in our leaf set if it lived
    const auto found = co_await context_.kbr.find_replica_set(node, 1, deadline);
    if (found && !found->empty() && (*found)[0].id() == node) co_return (*found)[0].address;
    co_return std::nullopt;
}

}  // namespace past
