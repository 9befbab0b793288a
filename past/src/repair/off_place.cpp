#include "repair/off_place.hpp"

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

std::vector<Guid> names_of(const std::vector<Guid>& places) {
    std::vector<Guid> names;
    names.reserve(places.size());
    for (const auto& place : places) names.push_back(off_place_name(place));
    return names;
}

}  // namespace

Guid off_place_name(const Guid& place) { return base::sha256({base::as_bytes("pelago off place"), place.view()}); }

void OffPlace::use(tapestry::Dolr* dolr) {
    dolr_ = dolr;
    published_.clear();
    if (dolr_ != nullptr) tell();
}

Task<void> OffPlace::run() {
    for (;;) {
        co_await context_.env.clock.sleep_for(context_.config.off_place_period);
        if (dolr_ != nullptr) tell();
    }
}

void OffPlace::tell() {
    std::set<Guid> now;
    for (const auto& source : sources_) source(now);
    std::vector<Guid> fresh, gone;
    std::ranges::set_difference(now, published_, std::back_inserter(fresh));
    std::ranges::set_difference(published_, now, std::back_inserter(gone));
    if (!fresh.empty()) dolr_->publish(names_of(fresh));
    if (!gone.empty()) dolr_->unpublish(names_of(gone));
    published_ = std::move(now);
}

std::vector<OffPlace::Keeper> OffPlace::known(const Guid& place) {
    if (dolr_ == nullptr) return {};
    auto& known = known_[place];
    if (!known.asking && known.until <= context_.now()) {
        known.asking = true;
        context_.work.spawn(ask(place, asked_in_vain(place), context_.now() + context_.config.call_timeout));
    }
    auto keepers = known.keepers;
    std::erase_if(keepers, [&](const Keeper& keeper) {
        const auto misses = known.misses.find(keeper.address.id);
        return misses != known.misses.end() && misses->second >= kMissesInARow;
    });
    return keepers;
}

Task<std::vector<OffPlace::Keeper>> OffPlace::find(Guid place, TimePoint deadline) {
    if (dolr_ == nullptr) co_return std::vector<Keeper>{};
    std::vector<base::NodeId> nobody;
    co_await ask(place, std::move(nobody), deadline);
    co_return known_[place].keepers;
}

std::vector<base::NodeId> OffPlace::asked_in_vain(const Guid& place) const {
    std::vector<base::NodeId> keepers;
    const auto known = known_.find(place);
    if (known == known_.end()) return keepers;
    for (const auto& [keeper, misses] : known->second.misses) {
        if (misses >= kMissesInARow && keepers.size() < kMostNamed) keepers.push_back(keeper);
    }
    return keepers;
}

// Who is left out as asked in vain whoever leads there looks for himself: if it is gone, nobody else is led there.
Task<void> OffPlace::ask(Guid place, std::vector<base::NodeId> without, TimePoint deadline) {
    if (dolr_ == nullptr) {  // it was taken back before this began
        known_[place].asking = false;
        co_return;
    }
    const auto located = co_await dolr_->locate_others(off_place_name(place), std::move(without), deadline);
    if (known_.size() >= context_.config.max_cached_places) {
        std::erase_if(known_, [&](const auto& entry) {
            return !entry.second.asking && entry.second.until <= context_.now() && entry.first != place;
        });
        if (known_.size() >= context_.config.max_cached_places) {
            const auto other = std::ranges::find_if(known_, [&](const auto& entry) { return entry.first != place; });
            if (other != known_.end() && !other->second.asking) known_.erase(other);
        }
    }
    auto& known = known_[place];
    known.asking = false;
    known.until = context_.now() + context_.config.off_place_cached_for;
    known.misses.clear();
    if (!located && !(located.error() == tapestry::Errc::not_published)) co_return;  // whoever was known may be there
    known.keepers.clear();
    if (!located) co_return;
    for (const auto& location : located->holders) known.keepers.push_back({location.holder, 2 * location.delay});
}

void OffPlace::heard(const Guid& place, const base::NodeId& keeper, bool had_it) {
    const auto known = known_.find(place);
    if (known == known_.end()) return;
    auto& misses = known->second.misses[keeper];
    misses = had_it ? 0 : misses + 1;
}

}  // namespace past
