#include "reclaim/lister.hpp"

#include <algorithm>

#include "replication/gather.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;
using pastry::NodeHandle;

namespace {

/// Whatever a holder says beyond what it could know of is left out.
TaggedBlocks united(const std::vector<std::optional<Result<ListReply>>>& answers, const Guid& after) {
    TaggedBlocks out;
    Guid::Array greatest{};
    greatest.fill(0xFF);
    out.up_to = Guid{greatest};
    for (const auto& answer : answers) {
        if (!answer || !*answer) continue;
        ++out.answered;
        if ((*answer)->more) {
            out.more = true;
            out.up_to = std::min(out.up_to, (*answer)->up_to);
        }
    }
    std::map<Guid, TaggedBlock> blocks;
    for (const auto& answer : answers) {
        if (!answer || !*answer) continue;
        for (const auto& block : (*answer)->blocks) {
            if (block.id <= after || out.up_to < block.id) continue;
            auto& known = blocks.try_emplace(block.id, block).first->second;
            known.generation = std::max(known.generation, block.generation);
        }
    }
    for (const auto& [id, block] : blocks) out.blocks.push_back(block);
    return out;
}

}  // namespace

Result<ListReply> Lister::page(const BlockQuery& query, const Guid& after) const {
    BASE_CHECK(check_query(query));
    const auto ids = context_.store.list(query.group, after, kMaxBlocksPerRequest);
    ListReply reply;
    reply.more = ids.size() == kMaxBlocksPerRequest;
    if (!ids.empty()) reply.up_to = ids.back();
    for (const auto& id : ids) {
        for (const auto& tag : context_.store.tags(id)) {
            if (tag.volume != query.tag.volume || tag.generation > query.tag.generation) continue;
            if (!query.all && reclaims_.will_take(id, tag)) continue;
            reply.blocks.push_back({id, tag.generation, context_.store.length(id)});
        }
    }
    return reply;
}

Task<Result<ListReply>> Lister::page_of(NodeHandle holder, ListRequest request, TimePoint deadline) {
    if (holder.id() == context_.self()) co_return page(request.query, request.after);
    auto header = encode(request);
    auto answer = co_await context_.call(std::move(holder.address), Verb::list, std::move(header), deadline);
    if (!answer) co_return std::move(answer).error();
    auto reply = decode<ListReply>(answer->header);
    // One that says "more" without getting on would be asked for ever.
    if (reply && reply->more && reply->up_to <= request.after) co_return base::Errc::bad_format;
    co_return reply;
}

Task<Result<TaggedBlocks>> Lister::list(BlockQuery query, Guid after, TimePoint deadline) {
    BASE_CO_CHECK(check_query(query));
    const auto copies = context_.membership.copies();
    const auto set = co_await holders_.find(query.group, copies, deadline);
    if (!set) co_return set.error();
    const auto gather = std::make_shared<Gather<Result<ListReply>>>(context_.env.executor);
    const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
    for (const auto& holder : set->writers) {
        spawn(context_.work, gather, page_of(holder, ListRequest{query, after}, attempt));
    }
    while (gather->pending > 0 && context_.now() < attempt) {
        co_await next_answer(context_.env.clock, gather, attempt);
    }
    auto page = united(gather->answers, after);
    page.holders = std::max(copies, static_cast<unsigned>(set->writers.size()));
    if (page.answered > 0) co_return page;
    holders_.forget(query.group);
    for (const auto& answer : gather->answers) {
        if (answer && !is_absence(answer->error())) co_return answer->error();
    }
    co_return base::Error{Errc::holders_unreachable, fmt::format("0 of {} answered", copies)};
}

}  // namespace past
