#include "repair/losses.hpp"

#include <algorithm>

namespace past {

using base::Result;
using base::Task;

namespace {

constexpr std::size_t kAtOnce = 64;

}  // namespace

/// Side by side: where holders hang a round waits for one of them, not for one after another.
Task<void> Losses::settle() {
    const auto lost = context_.store.lost();
    base::TaskGroup asking{context_.env.executor};
    for (std::size_t i = 0; i < std::min(kAtOnce, lost.size()); ++i) {
        auto block = lost[turn_++ % lost.size()];
        asking.spawn(settle_one(std::move(block)));
    }
    co_await asking.join();
}

Task<void> Losses::settle_one(LostBlock lost) {
    const auto deadline = context_.now() + context_.config.call_timeout;
    const auto set = co_await holders_.find(lost.group, context_.membership.copies(), deadline);
    if (!set) co_return;
    const auto other = std::ranges::find_if(
        set->placement, [&](const Holder& holder) { return holder.live && holder.node.id() != context_.self(); });
    if (other == set->placement.end()) co_return;
    const bool ours = set->placed_on(context_.self());
    bool all_taken_over = true;
    for (const auto& tag : lost.tags) {
        OfferRequest request;
        request.group = lost.group;
        request.tag = tag;
        request.ids = {lost.id};
        const auto answer = co_await offer(other->node, std::move(request), deadline);
        if (!answer) co_return;
        all_taken_over = all_taken_over && *answer == Offered::held;
    }
    if (!all_taken_over || ours) co_return;
    std::vector<base::Guid> ids{lost.id};
    (void)co_await context_.store.forget_lost(std::move(ids));
}

/// As if we had it: the holder takes our tag over if it has the block, and sends us the reclaim that we missed.
Task<Result<Offered>> Losses::offer(pastry::NodeHandle holder, OfferRequest request, base::TimePoint deadline) {
    auto header = encode(request);
    auto to = holder.address;
    const auto answer = co_await context_.call(std::move(to), Verb::offer, std::move(header), deadline);
    if (!answer) co_return answer.error();
    BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
    if (reply.bits.size() != 1) co_return base::Errc::bad_format;
    co_return static_cast<Offered>(reply.bits.front());
}

}  // namespace past
