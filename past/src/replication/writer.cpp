#include "replication/writer.hpp"

#include <algorithm>

#include "reclaim/reclaims.hpp"
#include "replication/gather.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;
using pastry::NodeHandle;

// --- put

std::size_t Writer::needed_for_majority(unsigned copies) const {
    const auto needed = majority(copies);
    return context_.config.testing.acknowledge_one_copy_early && needed > 1 ? needed - 1 : needed;
}

Task<Result<PutOutcome>> Writer::put(Guid group, Tag tag, std::vector<Block> blocks, Wait wait, TimePoint deadline) {
    const auto copies = context_.membership.copies();
    const auto set = co_await holders_.find(group, copies, deadline);
    if (!set) co_return set.error();
    if (set->live() < context_.membership.min_copies()) {
        ++context_.counters.puts_refused;
        std::string away;
        for (const auto& absent : context_.kbr.absent()) {
            const auto& id = absent.node.id();
            if (context_.membership.roster().removed(id)) continue;
            away += (away.empty() ? "; no answer from " : ", ") + id.short_hex();
        }
        co_return base::Error{Errc::below_min_copies,
                              fmt::format("{} of {}{}", set->live(), context_.membership.min_copies(), away)};
    }
    std::vector<Tag> tags{tag};
    BASE_CO_TRY(auto batch, make_batch(group, std::move(tags), std::move(blocks), Cause::put));
    ++context_.counters.puts;
    if (copies == 1 && set->writers.size() == 1 && set->writers[0].id() == context_.self()) {
        BASE_CO_CHECK(co_await context_.store.put(group, tag, batch->blocks));  // a network of one: nothing to wait for
        co_return PutOutcome{context_.membership.copies_wanted(), 1, copies};
    }
    const auto room = co_await room_for(batch->bytes, deadline);
    if (!room) co_return base::Error{Errc::too_few_copies, "earlier puts are still under way"};
    const auto put = std::make_shared<Put>(context_.env.executor);
    put->batch = std::move(batch);
    put->spare = set->spare;
    const auto needed = needed_for_majority(copies);
    const auto writers = without_the_slowest(set->writers, needed, wait);
    put->slots = writers.size();
    for (const auto& holder : writers) context_.work.spawn(fill_slot(put, holder));

    const auto enough = wait == Wait::full ? put->slots : needed;
    const std::shared_ptr<base::Event> changed{put, &put->changed};
    while (put->stored < enough && put->concluded < put->slots && context_.now() < deadline) {
        co_await base::wait_until(context_.env.clock, changed, deadline);
    }
    if (put->stored < needed) {
        holders_.forget(group);
        if (put->no_space) co_return Errc::no_space;
        co_return base::Error{Errc::too_few_copies,
                              fmt::format("{} of {}: {}", put->stored, copies, put->last.message())};
    }
    co_return PutOutcome{context_.membership.copies_wanted(), static_cast<unsigned>(put->stored), copies};
}

/// In the order of asking. Who gives up still has its turn, and passes it on.
Task<std::optional<base::Semaphore::Permit>> Writer::room_for(std::size_t bytes, TimePoint deadline) {
    const auto turn = std::make_shared<Gather<base::Semaphore::Permit>>(context_.env.executor);
    spawn(context_.work, turn, context_.put_bytes.acquire(bytes));
    while (turn->pending > 0 && context_.now() < deadline) {
        co_await next_answer(context_.env.clock, turn, deadline);
    }
    co_return std::move(turn->answers[0]);
}

/// A holder that lags far behind must not fill our memory: it is left out while a majority remains, and repair brings
/// it what it missed. Whoever waits for all copies wants it asked all the same.
std::vector<NodeHandle> Writer::without_the_slowest(std::vector<NodeHandle> writers, std::size_t needed,
                                                    Wait wait) const {
    if (wait == Wait::full) return writers;
    std::vector<NodeHandle> kept;
    std::size_t may_drop = writers.size() > needed ? writers.size() - needed : 0;
    for (auto& holder : writers) {
        const auto under_way = context_.bytes_under_way.find(holder.id());
        const bool lags =
            under_way != context_.bytes_under_way.end() && under_way->second > context_.config.max_lagging_bytes;
        if (lags && may_drop > 0) {
            --may_drop;
        } else {
            kept.push_back(std::move(holder));
        }
    }
    return kept;
}

Task<void> Writer::fill_slot(std::shared_ptr<Put> put, NodeHandle holder) {
    for (;;) {
        auto result = co_await store(put, holder);
        if (result) {
            ++put->stored;
            break;
        }
        put->last = result.error().with(holder.id().short_hex());
        const bool full = put->last == Errc::no_space;
        if (full) put->no_space = true;
        // A full holder has asked others already, but may point to so many blocks only: the next nodes are asked
        // themselves. Not all of them: a full network is to be told soon.
        if (full && put->full_holders++ >= context_.config.divert_tries) break;
        if ((!full && !is_absence(put->last)) || put->spare.empty()) break;
        holder = std::move(put->spare.front());
        put->spare.erase(put->spare.begin());
    }
    ++put->concluded;
    put->changed.pulse();
}

Task<Result<void>> Writer::store(std::shared_ptr<Put> put, NodeHandle holder) {
    if (holder.id() == context_.self()) {
        const auto& request = put->batch->request;
        co_return co_await context_.put(request.group, request.tags, put->batch->blocks, request.cause);
    }
    // A copy that goes on behind a put gets the time of an attempt even if the caller was in a hurry.
    const auto attempt = context_.now() + context_.config.store_timeout;
    const auto id = holder.id();
    const auto bytes = put->batch->bytes;
    context_.bytes_under_way[id] += bytes;
    auto result = co_await store_at(context_, put->batch, std::move(holder.address), attempt);
    const auto under_way = context_.bytes_under_way.find(id);
    under_way->second -= bytes;
    if (under_way->second == 0) context_.bytes_under_way.erase(under_way);
    co_return result;
}

// --- touch

Task<Result<std::vector<bool>>> Writer::touch(Guid group, Tag tag, std::vector<Guid> ids, TimePoint deadline) {
    if (ids.empty()) co_return std::vector<bool>{};
    if (ids.size() > kMaxBlocksPerRequest) {
        co_return base::Error{base::Errc::bad_argument, "a touch takes at most 4096 ids"};
    }
    const auto copies = context_.membership.copies();
    const auto set = co_await holders_.find(group, copies, deadline);
    if (!set) co_return set.error();
    auto request = std::make_shared<TouchRequest>();
    request->group = group;
    request->tag = tag;
    request->ids = std::move(ids);
    const auto count = request->ids.size();

    const auto gather = std::make_shared<Gather<Result<std::vector<bool>>>>(context_.env.executor);
    const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
    for (const auto& holder : set->writers) spawn(context_.work, gather, touch_at(holder, request, attempt));

    const auto needed = majority(copies);
    std::vector<std::size_t> held;
    std::size_t answered = 0;
    std::optional<TimePoint> patience;
    for (;;) {
        held.assign(count, 0);
        answered = 0;
        for (const auto& answer : gather->answers) {
            if (!answer || !*answer) continue;
            ++answered;
            for (std::size_t i = 0; i < count; ++i) held[i] += (**answer)[i] ? 1 : 0;
        }
        const bool decided = std::ranges::all_of(
            held, [&](std::size_t votes) { return votes >= needed || votes + gather->pending < needed; });
        if (gather->pending == 0 || (decided && answered >= needed)) break;
        // Saying "no" for a slow holder costs a block sent again, not more: after a majority it gets little time.
        if (answered >= needed && !patience) patience = context_.now() + 4 * context_.latencies.hedge();
        if (context_.now() >= patience.value_or(attempt)) break;
        co_await next_answer(context_.env.clock, gather, patience.value_or(attempt));
    }
    if (answered < needed) holders_.forget(group);
    std::size_t others = 0;  // that answered, beside ourselves
    for (std::size_t i = 0; i < set->writers.size(); ++i) {
        const auto& answer = gather->answers[i];
        if (answer && *answer && set->writers[i].id() != context_.self()) ++others;
    }
    const auto elsewhere = co_await touch_elsewhere(set->spare, *request, needed, held, others == 0,
                                                    context_.attempt(deadline, context_.config.call_timeout));
    const bool cut_off = copies > 1 ? others + elsewhere == 0 : answered == 0;
    // Our own store is the only holder: then why it cannot is what helps.
    if (cut_off && set->writers.size() == 1 && set->writers[0].id() == context_.self()) {
        const auto& own = gather->answers[0];
        if (own && !*own) co_return own->error();
    }
    if (cut_off) co_return base::Error{Errc::holders_unreachable, fmt::format("{} of {} answered", answered, copies)};
    std::vector<bool> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = held[i] >= needed;
    co_return result;
}

/// What a holder that has just come was not given yet, or that does not answer, others have: their copies count as
/// well. Nothing is asked where the holders have everything. How many answered; `patiently`: at least one should.
Task<std::size_t> Writer::touch_elsewhere(const std::vector<NodeHandle>& nodes, const TouchRequest& all,
                                          std::size_t needed, std::vector<std::size_t>& held, bool patiently,
                                          TimePoint deadline) {
    auto request = std::make_shared<TouchRequest>();
    request->group = all.group;
    request->tag = all.tag;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < held.size(); ++i) {
        if (held[i] >= needed) continue;
        which.push_back(i);
        request->ids.push_back(all.ids[i]);
    }
    if (which.empty()) co_return 0;
    const auto gather = std::make_shared<Gather<Result<std::vector<bool>>>>(context_.env.executor);
    for (const auto& node : nodes) spawn(context_.work, gather, touch_at(node, request, deadline));
    const auto until = patiently ? deadline : std::min(deadline, context_.now() + 4 * context_.latencies.hedge());
    while (gather->pending > 0 && context_.now() < until) co_await next_answer(context_.env.clock, gather, until);
    std::size_t answered = 0;  // beside ourselves
    for (std::size_t at = 0; at < nodes.size(); ++at) {
        const auto& answer = gather->answers[at];
        if (!answer || !*answer) continue;
        if (nodes[at].id() != context_.self()) ++answered;
        for (std::size_t i = 0; i < which.size(); ++i) held[which[i]] += (**answer)[i] ? 1 : 0;
    }
    co_return answered;
}

Task<Result<std::vector<bool>>> Writer::touch_at(NodeHandle holder, std::shared_ptr<const TouchRequest> request,
                                                 TimePoint deadline) {
    if (holder.id() == context_.self()) co_return co_await context_.touch(request->group, request->tag, request->ids);
    auto header = encode(*request);
    auto answer = co_await context_.call(std::move(holder.address), Verb::touch, std::move(header), deadline);
    if (!answer) co_return std::move(answer).error();
    BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
    if (reply.bits.size() != request->ids.size()) co_return base::Errc::bad_format;
    std::vector<bool> held(reply.bits.size());
    for (std::size_t i = 0; i < held.size(); ++i) held[i] = reply.bits[i] == 1;
    co_return held;
}

// --- remove

Task<Result<void>> Writer::remove(Reclaim reclaim, TimePoint deadline) {
    BASE_CO_CHECK(check_reclaim(reclaim));
    const auto copies = context_.membership.copies();
    const auto set = co_await holders_.find(reclaim.group, copies, deadline);
    if (!set) co_return set.error();
    const auto shared = std::make_shared<const Reclaim>(std::move(reclaim));
    const auto gather = std::make_shared<Gather<Result<void>>>(context_.env.executor);
    const auto attempt = context_.attempt(deadline, context_.config.store_timeout);
    for (const auto& holder : set->writers) spawn(context_.work, gather, remove_at(holder, shared, attempt));
    while (gather->pending > 0 && context_.now() < attempt) {
        co_await next_answer(context_.env.clock, gather, attempt);
    }
    // Those that missed it learn of it when they offer the blocks to one that did not (docs/formats/wire.md#past).
    std::size_t done = 0;
    base::Error last{Errc::holders_unreachable};
    for (const auto& answer : gather->answers) {
        if (answer && *answer) ++done;
        if (answer && !*answer) last = answer->error();
    }
    if (done >= majority(copies)) co_return base::ok();
    co_return last;
}

Task<Result<void>> Writer::remove_at(NodeHandle holder, std::shared_ptr<const Reclaim> reclaim, TimePoint deadline) {
    if (holder.id() == context_.self()) co_return co_await reclaims_.add(*reclaim);
    auto header = encode(*reclaim);
    auto answer = co_await context_.call(std::move(holder.address), Verb::remove, std::move(header), deadline);
    if (!answer) co_return std::move(answer).error();
    co_return base::ok();
}

}  // namespace past
