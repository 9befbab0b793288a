#include "replication/hints.hpp"

#include <algorithm>

namespace past {

using base::Address;
using base::Guid;

void Hints::heard(const Guid& place, const Address& from, std::uint64_t blocks, const Guid& digest) {
    if (from.endpoint.empty()) return;  // nobody could ask it
    if (blocks == 0) {
        const auto known = places_.find(place);
        if (known == places_.end()) return;
        std::erase_if(known->second, [&](const Said& said) { return said.from.id == from.id; });
        if (known->second.empty()) places_.erase(known);
        return;
    }
    if (!places_.contains(place) && places_.size() >= config_.max_hinted_places && !make_room()) return;
    auto& all = places_[place];
    const auto same = std::ranges::find_if(all, [&](const Said& said) { return said.from.id == from.id; });
    Said said{from, blocks, digest, clock_.now()};
    if (same != all.end()) {
        *same = std::move(said);
    } else if (all.size() < kMaxHintsPerPlace) {
        all.push_back(std::move(said));
    } else {
        *std::ranges::min_element(all, {}, &Said::when) = std::move(said);
    }
}

std::vector<Address> Hints::for_place(const Guid& place) const {
    const auto found = places_.find(place);
    if (found == places_.end()) return {};
    std::vector<Said> said;
    std::ranges::copy_if(found->second, std::back_inserter(said), [&](const Said& one) { return fresh(one); });
    std::ranges::stable_sort(said, std::greater{}, &Said::blocks);
    std::vector<Address> from;
    for (auto& one : said) from.push_back(std::move(one.from));
    return from;
}

/// What is old goes; looked for now and then only, so that nobody keeps us busy with places that do not matter.
bool Hints::make_room() {
    if (clock_.now() < next_cleaning_) return false;
    next_cleaning_ = clock_.now() + config_.hints_kept_for / 4;
    std::erase_if(places_, [&](const auto& entry) {
        return std::ranges::none_of(entry.second, [&](const Said& said) { return fresh(said); });
    });
    return places_.size() < config_.max_hinted_places;
}

}  // namespace past
