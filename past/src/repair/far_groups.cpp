#include "repair/far_groups.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::Task;

namespace {

constexpr std::size_t kAtOnce = 8;
constexpr std::size_t kOfUrgent = 48;
constexpr std::size_t kInAll = 64;

/// Appends up to `count` of the sorted `all` that come after `last`, then from the beginning; the new `last` is the one
/// to go on after.
void take_in_turn(const std::vector<Guid>& all, std::size_t count, Guid& last, std::vector<Guid>& taken) {
    auto at = std::ranges::upper_bound(all, last);
    for (count = std::min(count, all.size()); count > 0; --count) {
        if (at == all.end()) at = all.begin();
        last = *at++;
        taken.push_back(last);
    }
}

}  // namespace

void FarGroups::look_up(const std::vector<Guid>& urgent, const std::vector<Guid>& others) {
    if (working_ > 0) return;
    const auto groups = std::make_shared<std::vector<Guid>>();
    take_in_turn(urgent, kOfUrgent, last_urgent_, *groups);
    take_in_turn(others, kInAll - groups->size(), last_other_, *groups);
    const auto next = std::make_shared<std::size_t>(0);
    working_ = std::min(kAtOnce, groups->size());
    for (std::size_t i = 0; i < working_; ++i) context_.work.spawn(work_through(groups, next));
}

Task<void> FarGroups::work_through(std::shared_ptr<std::vector<Guid>> groups, std::shared_ptr<std::size_t> next) {
    while (*next < groups->size()) {
        const auto key = (*groups)[(*next)++];
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto set = co_await holders_.find(key, context_.membership.copies(), deadline);
        if (set) found_.insert_or_assign(key, Found{std::move(*set), context_.now()});
    }
    --working_;
}

}  // namespace past
