#include "reader.hpp"

#include <algorithm>

#include "batch.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::SharedBytes;
using base::Task;
using base::TimePoint;

Task<Result<SharedBytes>> Reader::get(Guid place, Guid id, TimePoint deadline) {
    ++context_.counters.gets;
    const bool held = context_.store.has(id);
    auto own = co_await context_.store.get(id);  // the store hashes what it reads
    if (own) co_return std::move(*own);
    const bool corrupt_here = own.error() == Errc::corrupt_block;  // now, or earlier
    if (held && corrupt_here) {
        ++context_.counters.corrupt_blocks;
        context_.log(base::Log::Level::warning, "our copy of {} is damaged; asking others", id.short_hex());
    }
    auto set = co_await holders_.find(place, context_.membership.copies(), deadline);
    if (!set) co_return std::move(set).error();
    co_return co_await fetch_from_others(std::move(*set), place, id, corrupt_here, deadline);
}

Task<Reader::Answer> Reader::fetch_from_others(HolderSet set, Guid place, Guid id, bool corrupt_here,
                                               TimePoint deadline) {
    // Nearest by what they took lately; nodes that are no holders come last: they may have taken writes for one.
    std::vector<pastry::NodeHandle> queue = set.writers;
    std::ranges::stable_sort(queue, {}, [&](const auto& node) { return context_.latencies.expected(node.id()); });
    queue.insert(queue.end(), set.spare.begin(), set.spare.end());
    std::erase_if(queue, [&](const auto& node) { return node.id() == context_.self(); });

    base::TaskGroup attempts{context_.env.executor};
    const auto gather = std::make_shared<Gather<Answer>>(context_.env.executor);
    std::vector<base::NodeId> asked;
    std::vector<TimePoint> begun;
    std::size_t read = 0;  // answers looked at
    std::vector<bool> seen;
    std::size_t unreachable = set.gone, wrong = corrupt_here ? 1 : 0;
    for (const auto& holder : set.placement) unreachable += holder.live ? 0 : 1;
    TimePoint next_start = context_.now();

    while (context_.now() < deadline) {
        for (std::size_t i = 0; i < gather->answers.size(); ++i) {
            auto& answer = gather->answers[i];
            if (!answer || seen[i]) continue;
            seen[i] = true;
            ++read;
            if (*answer) {
                context_.latencies.observe(asked[i], context_.now() - begun[i], true);
                for (std::size_t other = 0; other < i; ++other) {
                    if (!seen[other]) context_.latencies.observe(asked[other], context_.now() - begun[other], false);
                }
                co_return std::move(**answer);
            }
            if (answer->error() == Errc::corrupt_block) {
                ++wrong;
            } else if (answer->error() != Errc::block_not_found) {
                ++unreachable;
                context_.latencies.observe(asked[i], context_.now() - begun[i], false);
            }
            next_start = context_.now();  // one less to wait for: ask the next at once
        }
        if (asked.size() == queue.size() && read == asked.size()) break;
        if (asked.size() < queue.size() && context_.now() >= next_start) {
            if (asked.size() > read) ++context_.counters.hedged_gets;
            const auto& holder = queue[asked.size()];
            asked.push_back(holder.id());
            begun.push_back(context_.now());
            seen.push_back(false);
            const auto attempt = context_.attempt(deadline, context_.config.fetch_timeout);
            spawn(attempts, gather, fetch(holder.address, place, id, attempt));
            next_start = context_.now() + context_.latencies.hedge();
            continue;
        }
        const auto until = asked.size() < queue.size() ? std::min(deadline, next_start) : deadline;
        co_await next_answer(context_.env.clock, gather, until);
    }
    if (read < asked.size()) unreachable += asked.size() - read;
    if (unreachable > 0 || asked.size() < queue.size()) {
        holders_.forget(place);
        co_return base::Error{Errc::holders_unreachable, id.short_hex()};
    }
    if (wrong > 0) co_return base::Error{Errc::corrupt_block, id.short_hex()};
    co_return base::Error{Errc::block_not_found, id.short_hex()};
}

Task<Reader::Answer> Reader::fetch(base::Address holder, Guid place, Guid id, TimePoint deadline) {
    const FetchRequest request{place, id};
    const auto peer = holder.id;
    auto header = encode(request);
    auto answer = co_await context_.call(std::move(holder), Verb::fetch, std::move(header), deadline);
    if (!answer) co_return std::move(answer).error();
    if (context_.config.testing.trust_fetched_bytes) co_return std::move(answer->payload);
    Block block{id, std::move(answer->payload)};
    std::vector<Block> blocks{block};
    if (!co_await verify_blocks(context_, std::move(blocks))) {
        ++context_.counters.wrong_blocks;
        context_.log(base::Log::Level::warning, "{} answered {} with other bytes", peer.short_hex(), id.short_hex());
        co_return Errc::corrupt_block;
    }
    co_return std::move(block.bytes);
}

}  // namespace past
