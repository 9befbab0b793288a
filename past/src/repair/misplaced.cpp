#include "repair/misplaced.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "tapestry/dolr.hpp"
#include "tapestry/error.hpp"

namespace past {

using base::Guid;
using base::Task;
using base::TimePoint;

namespace {

constexpr unsigned kMissesInARow = 4;
constexpr std::size_t kMostNamed = 32;  // to the DOLR

std::vector<Guid> names_of(const std::vector<Guid>& groups) {
    std::vector<Guid> names;
    names.reserve(groups.size());
    for (const auto& group : groups) names.push_back(misplaced_name(group));
    return names;
}

}  // namespace

Guid misplaced_name(const Guid& group) { return base::sha256({base::as_bytes("pelago off place"), group.view()}); }

void MisplacedCopies::use(tapestry::Dolr* dolr) {
    dolr_ = dolr;
    published_.clear();
    if (dolr_ != nullptr) tell();
}

Task<void> MisplacedCopies::run() {
    for (;;) {
        co_await context_.env.clock.sleep_for(context_.config.misplaced_period);
        if (dolr_ != nullptr) tell();
    }
}

void MisplacedCopies::tell() {
    std::set<Guid> now;
    for (const auto& source : sources_) source(now);
    std::vector<Guid> fresh, gone;
    std::ranges::set_difference(now, published_, std::back_inserter(fresh));
    std::ranges::set_difference(published_, now, std::back_inserter(gone));
    if (!fresh.empty()) dolr_->publish(names_of(fresh));
    if (!gone.empty()) dolr_->unpublish(names_of(gone));
    published_ = std::move(now);
}

std::vector<MisplacedCopies::CopyHolder> MisplacedCopies::known(const Guid& group) {
    if (dolr_ == nullptr) return {};
    auto& known = known_[group];
    if (!known.asking && known.until <= context_.now()) {
        known.asking = true;
        context_.work.spawn(ask(group, asked_in_vain(group), context_.now() + context_.config.call_timeout));
    }
    auto copy_holders = known.copy_holders;
    std::erase_if(copy_holders, [&](const CopyHolder& copy_holder) {
        const auto misses = known.misses.find(copy_holder.address.id);
        return misses != known.misses.end() && misses->second >= kMissesInARow;
    });
    return copy_holders;
}

Task<std::vector<MisplacedCopies::CopyHolder>> MisplacedCopies::find(Guid group, TimePoint deadline) {
    if (dolr_ == nullptr) co_return std::vector<CopyHolder>{};
    std::vector<base::NodeId> nobody;
    co_await ask(group, std::move(nobody), deadline);
    co_return known_[group].copy_holders;
}

std::vector<base::NodeId> MisplacedCopies::asked_in_vain(const Guid& group) const {
    std::vector<base::NodeId> copy_holders;
    const auto known = known_.find(group);
    if (known == known_.end()) return copy_holders;
    for (const auto& [copy_holder, misses] : known->second.misses) {
        if (misses >= kMissesInARow && copy_holders.size() < kMostNamed) copy_holders.push_back(copy_holder);
    }
    return copy_holders;
}

// Who is left out as asked in vain whoever leads there looks for himself: if it is gone, nobody else is led there.
Task<void> MisplacedCopies::ask(Guid group, std::vector<base::NodeId> without, TimePoint deadline) {
    if (dolr_ == nullptr) {  // it was taken back before this began
        known_[group].asking = false;
        co_return;
    }
    const auto located = co_await dolr_->locate_others(misplaced_name(group), std::move(without), deadline);
    if (known_.size() >= context_.config.max_cached_groups) {
        std::erase_if(known_, [&](const auto& entry) {
            return !entry.second.asking && entry.second.until <= context_.now() && entry.first != group;
        });
        if (known_.size() >= context_.config.max_cached_groups) {
            const auto other = std::ranges::find_if(known_, [&](const auto& entry) { return entry.first != group; });
            if (other != known_.end() && !other->second.asking) known_.erase(other);
        }
    }
    auto& known = known_[group];
    known.asking = false;
    known.until = context_.now() + context_.config.misplaced_cached_for;
    known.misses.clear();
    if (!located && !(located.error() == tapestry::Errc::not_published)) co_return;  // whoever was known may be there
    known.copy_holders.clear();
    if (!located) co_return;
    for (const auto& location : located->holders) known.copy_holders.push_back({location.holder, 2 * location.delay});
}

void MisplacedCopies::heard(const Guid& group, const base::NodeId& copy_holder, bool had_it) {
    const auto known = known_.find(group);
    if (known == known_.end()) return;
    auto& misses = known->second.misses[copy_holder];
    misses = had_it ? 0 : misses + 1;
}

}  // namespace past
