// Sending what others lack: to holders that should have it, and, where too few nodes have a block, to whoever is near.
#include <algorithm>
#include <set>

#include "base/limits.hpp"
#include "repair/repair.hpp"
#include "replication/gather.hpp"
#include "server.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using pastry::NodeHandle;

// --- what there is to do

/// Where we are no holder and nobody lacks anything, there is no hurry to find that out again after every write.
base::TimePoint Repair::quiet_until(const GroupCopies& group) const {
    if (ours(group) || may_go(group) || group.lacking_somewhere()) return {};
    return group.offered_at + (group.surplus_since ? context_.config.surplus_check : context_.config.check_period);
}

/// What too few nodes have comes first.
Repair::Jobs Repair::jobs() {
    Jobs urgent;
    Jobs others;
    const auto now = context_.now();
    const auto& config = context_.config;
    const auto copies = context_.membership.copies();
    for (auto& [key, group] : groups_) {
        // While a group is being written to, copies on their way look like differences. But a backup may last for days.
        if (now - group.changed_at < config.quiet_period && now - group.worked_at < config.patience) continue;
        group.worked_at = now;
        if (group.wide && now >= group.look_at) {
            if (group.holding_all(GroupCopies::Counting::seen) >= copies) {
                group.looked_at_all({}, 0, now, config.check_period);
            } else {
                urgent.push_back({key, {}});
            }
        }
        if (now < quiet_until(group)) continue;
        bool all_done = true;
        for (const auto& [id, peer] : group.peers) {
            if (!peer.placed || !peer.live) continue;
            const bool well = peer.well(!ours(group));
            if (!well) all_done = false;
            // Of what it gave up we may have missed what it sent us: it is asked again, now and then.
            if (well && (ours(group) || !peer.gave_some_up)) continue;
            if (peer.compared && peer.stable && !peer.waits) others.push_back({key, peer.node});
        }
        if (all_done) group.offered_at = now;
    }
    urgent.insert(urgent.end(), std::make_move_iterator(others.begin()), std::make_move_iterator(others.end()));
    return urgent;
}

Task<void> Repair::run_jobs() {
    diversion_hosts_away_.clear();
    const auto all = std::make_shared<Jobs>(jobs());
    const auto next = std::make_shared<std::size_t>(0);
    const auto gather = std::make_shared<Gather<int>>(context_.env.executor);
    for (std::size_t i = 0; i < std::min(context_.config.repair_jobs, all->size()); ++i) {
        ++gather->pending;
        gather->answers.emplace_back();
        context_.work.spawn([](Repair* self, auto jobs, auto at, auto done) -> Task<void> {
            co_await self->work_through(jobs, at);
            --done->pending;
            done->changed.pulse();
        }(this, all, next, gather));
    }
    while (gather->pending > 0) co_await gather->changed.wait();
}

Task<void> Repair::work_through(std::shared_ptr<Jobs> jobs, std::shared_ptr<std::size_t> next) {
    while (*next < jobs->size()) {
        auto job = (*jobs)[(*next)++];
        if (job.peer) {
            co_await help(job.group, std::move(*job.peer));
        } else {
            co_await look(job.group);
        }
    }
}

// --- a holder that should have them

Task<void> Repair::help(Guid key, NodeHandle node) {
    auto& group = groups_.at(key);
    auto& peer = group.peers.at(node.id());
    const bool everything = !ours(group);
    const auto tags = group.tag_changes;
    auto lacking = co_await find_lacking(key, node, everything);
    if (!lacking) co_return;
    const bool all_told = everything && group.tag_changes == tags;
    auto lasting = peer.found_lacking(std::move(lacking->ids), all_told, context_.now());
    peer.gave_some_up = lacking->gave_some_up;
    if (!peer.lacking.empty()) group.surplus_since.reset();
    std::erase_if(lasting, [&](const Guid& id) { return lacking->kept.contains(id); });
    // Earlier holders know of each other only once they have asked around: else all of them would send.
    if (lasting.empty() || (everything && !group.wide)) co_return;
    const auto& config = context_.config;
    const auto rank = group.rank(context_.self(), node.id());
    const auto turn = config.quiet_period + static_cast<int>(rank) * config.patience;
    const auto since = rank == 0 ? peer.lacking_since : std::max(peer.lacking_since, peer.progress_at);
    if (context_.now() - since < turn) co_return;
    (void)co_await push(key, std::move(node), std::move(lasting));
}

/// Which of our blocks of the group the peer does not have. `everything`: also where digests say that it has them, so
/// that their tags are brought up to ours before we let the blocks go. Few blocks are named at once: asking for digests
/// would cost more.
Task<Result<Repair::Lacking>> Repair::find_lacking(Guid key, NodeHandle node, bool everything) {
    std::array<bool, kRanges> differs{};
    differs.fill(true);
    if (!everything && groups_.at(key).summary.blocks > kRanges / 2) {
        auto header = encode(RangesRequest{key});
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto to = node.address;
        const auto answer = co_await context_.call(std::move(to), Verb::ranges, std::move(header), deadline);
        if (!answer) co_return answer.error();
        BASE_CO_TRY(const auto theirs, decode<RangesReply>(answer->header));
        const auto mine = range_digests(context_.store, key);
        for (std::size_t i = 0; i < kRanges; ++i) differs[i] = mine.digests[i] != theirs.digests[i];
    }
    Lacking lacking;
    std::vector<Guid> batch;
    for (Guid after;;) {
        const auto ids = context_.store.list(key, after, kMaxBlocksPerRequest);
        for (const auto& id : ids) {
            if (differs[id.bytes()[Guid::kBytes - 1]]) batch.push_back(id);
        }
        const bool last = ids.size() < kMaxBlocksPerRequest;
        if (!batch.empty() && (last || batch.size() >= kMaxBlocksPerRequest / 2)) {
            auto to = node.address;
            BASE_CO_TRY(const auto part, co_await offer(key, std::move(to), std::move(batch)));
            lacking.ids.insert(lacking.ids.end(), part.ids.begin(), part.ids.end());
            lacking.kept.insert(part.kept.begin(), part.kept.end());
            lacking.gave_some_up = lacking.gave_some_up || part.gave_some_up;
            batch.clear();
        }
        if (last) co_return lacking;
        after = ids.back();
    }
}

/// Tells the peer what we have, tag by tag; returns what it lacks.
Task<Result<Repair::Lacking>> Repair::offer(Guid key, base::Address to, std::vector<Guid> ids) {
    std::map<std::pair<Guid, std::uint64_t>, std::vector<Guid>> by_tag;
    for (const auto& id : ids) {
        for (const auto& tag : context_.store.tags(id)) by_tag[{tag.volume, tag.generation}].push_back(id);
    }
    std::set<Guid> lacking, kept;
    bool gave_some_up = false;
    for (auto& [tag, members] : by_tag) {
        for (std::size_t begin = 0; begin < members.size(); begin += kMaxBlocksPerRequest) {
            const auto end = std::min(members.size(), begin + kMaxBlocksPerRequest);
            OfferRequest request;
            request.group = key;
            request.tag = Tag{tag.first, tag.second};
            request.ids.assign(members.begin() + static_cast<std::ptrdiff_t>(begin),
                               members.begin() + static_cast<std::ptrdiff_t>(end));
            auto header = encode(request);
            const auto deadline = context_.now() + context_.config.call_timeout;
            auto peer = to;
            const auto answer = co_await context_.call(std::move(peer), Verb::offer, std::move(header), deadline);
            if (!answer) co_return answer.error();
            BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
            if (reply.bits.size() != request.ids.size()) co_return base::Errc::bad_format;
            for (std::size_t i = 0; i < reply.bits.size(); ++i) {
                const auto offered = static_cast<Offered>(reply.bits[i]);
                gave_some_up = gave_some_up || offered == Offered::reclaimed;
                if (offered == Offered::kept) kept.insert(request.ids[i]);
                if (offered == Offered::kept || offered == Offered::lacking) lacking.insert(request.ids[i]);
            }
        }
    }
    Lacking found{{lacking.begin(), lacking.end()}, std::move(kept), gave_some_up};
    co_return found;
}

// --- what too few have

/// Block by block: who has it? Moves what not enough nodes have or are sent anyway, and nothing else.
Task<void> Repair::look(Guid key) {
    auto& group = groups_.at(key);
    const auto now = context_.now();
    const auto& config = context_.config;
    for (auto& [id, peer] : group.peers) {
        if (!peer.live) continue;
        if (!peer.asked && now - group.wide_since < config.patience) co_return;  // it may have them all
        if (!peer.has_something() || peer.has_all(group.summary.digest) || peer.lacking_known(group.summary.digest))
            continue;
        auto lacking = co_await find_lacking(key, peer.node, false);
        if (!lacking) co_return;
        (void)peer.found_lacking(std::move(lacking->ids), false, now);
    }
    const auto copies = context_.membership.copies();
    std::vector<Guid> ids;
    for (Guid after;;) {
        const auto more = context_.store.list(key, after, kMaxBlocksPerRequest);
        ids.insert(ids.end(), more.begin(), more.end());
        if (more.size() < kMaxBlocksPerRequest) break;
        after = more.back();
    }
    using Counting = GroupCopies::Counting;
    const auto seen = group.held_by_few(ids, copies, Counting::seen).size();
    const auto lasting =
        group.looked_at_all(group.held_by_few(ids, copies, Counting::expected), seen, now, config.check_period);
    auto since = group.few_since;
    const auto rank = group.rank(context_.self(), context_.self());
    for (const auto& [id, peer] : group.peers) {
        if (rank > 0) since = std::max(since, peer.progress_at);
    }
    if (lasting.empty() || context_.now() - since < config.quiet_period + static_cast<int>(rank) * config.patience)
        co_return;
    bool sent = false;
    for (auto& [node, share] : group.shares(lasting, copies)) {
        auto to = node.address;
        auto wanted = co_await offer(key, std::move(to), std::move(share));  // some may have been reclaimed there
        if (!wanted) continue;
        std::erase_if(wanted->ids, [&](const Guid& id) { return wanted->kept.contains(id); });
        if (!wanted->ids.empty()) sent = co_await push(key, node, std::move(wanted->ids)) || sent;
    }
    if (!sent) group.look_at = context_.now() + config.check_period;
}

// --- bytes

namespace {

/// It answered, and would say the same again: it has no room, or its disk failed.
bool is_refusal(const base::Error& error) {
    return !is_absence(error) || error == base::Errc::io_failed || error == base::Errc::read_only;
}

}  // namespace

Task<bool> Repair::push(Guid key, NodeHandle node, std::vector<Guid> ids) {
    const auto pushed = co_await push_all(key, node, std::move(ids));
    const auto peer = groups_.at(key).peers.find(node.id());
    if (!pushed) {
        context_.log(base::Log::Level::debug, "repair of {}: {}", node.id().short_hex(), pushed.error().message());
    }
    const bool took_some = pushed && *pushed > 0;
    if (peer == groups_.at(key).peers.end()) co_return took_some;
    if (took_some) {
        peer->second.forget_refusals();
    } else if (!pushed && is_refusal(pushed.error())) {
        peer->second.refused(context_.now(), context_.config.check_period);
    }
    co_return took_some;
}

Task<Result<std::size_t>> Repair::push_all(Guid key, NodeHandle node, std::vector<Guid> ids) {
    const bool holder = ours(groups_.at(key));
    const auto cause = holder ? Cause::repair : Cause::handover;
    std::size_t next = 0, sent = 0;
    std::optional<Block> ahead;  // the next one, too large for the batch before
    while (next < ids.size()) {
        // One batch: blocks of equal tags.
        std::vector<Block> blocks;
        std::vector<Tag> tags;
        std::size_t bytes = 0;
        for (; next < ids.size() && blocks.size() < kMaxBlocksPerRequest; ++next) {
            auto its_tags = context_.store.tags(ids[next]);
            if (its_tags.empty()) {  // reclaimed meanwhile
                ahead.reset();
                continue;
            }
            its_tags.resize(std::min(its_tags.size(), kMaxTagsPerRequest));
            if (!blocks.empty() && its_tags != tags) break;
            if (!ahead) {
                auto one = co_await read(ids[next]);
                if (!one) continue;
                ahead = Block{ids[next], std::move(*one)};
            }
            if (!blocks.empty() && bytes + ahead->bytes.size() > context_.config.repair_batch_bytes) break;
            bytes += ahead->bytes.size();
            tags = std::move(its_tags);
            blocks.push_back(std::move(*ahead));
            ahead.reset();
        }
        if (blocks.empty()) continue;
        const auto count = blocks.size();
        co_await bucket_.take(bytes);
        co_await context_.priority_throttle.yield_to_clients(bytes);
        BASE_CO_TRY(auto batch, make_batch(key, std::move(tags), std::move(blocks), cause));
        const auto deadline = context_.now() + context_.config.store_timeout;
        auto to = node.address;
        BASE_CO_CHECK(co_await store_at(context_, batch, std::move(to), deadline));
        (holder ? context_.counters.bytes_repaired : context_.counters.bytes_handed_over) += bytes;
        (holder ? context_.counters.blocks_repaired : context_.counters.blocks_handed_over) += count;
        arrived(key, node.id(), batch->request.ids);
        sent += count;
    }
    co_return sent;
}

/// A block of ours, be it from who keeps it in our stead. A diversion host that is away costs a round one question, not
/// one a block.
Task<Result<base::SharedBytes>> Repair::read(Guid id) {
    const auto* pointer = pointers_.find(id);
    const auto diversion_host = pointer != nullptr ? pointer->node : context_.self();
    if (diversion_hosts_away_.contains(diversion_host))
        co_return base::Error{base::Errc::unreachable, diversion_host.short_hex()};
    auto bytes = co_await context_.store.get(id);
    if (bytes) co_return bytes;
    if (bytes.error() == Errc::corrupt_block) ++context_.counters.corrupt_blocks;
    if (pointer != nullptr && is_absence(bytes.error())) diversion_hosts_away_.insert(diversion_host);
    co_return bytes;
}

void Repair::arrived(const Guid& key, const NodeId& node, const std::vector<Guid>& ids) {
    const auto found = groups_.find(key);
    if (found == groups_.end()) return;
    const auto peer = found->second.peers.find(node);
    if (peer == found->second.peers.end()) return;
    for (auto* list : {&peer->second.lacking, &found->second.few}) {
        for (const auto& id : ids) {
            const auto at = std::ranges::lower_bound(*list, id);
            if (at != list->end() && *at == id) list->erase(at);
        }
    }
}

}  // namespace past
