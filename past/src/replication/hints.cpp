#include "replication/hints.hpp"

#include <algorithm>

namespace past {

using base::Address;
using base::Guid;

void Hints::heard(const Guid& group, const Address& from, std::uint64_t blocks, const Guid& digest) {
    if (from.endpoint.empty()) return;  // nobody could ask it
    if (blocks == 0) {
        const auto known = groups_.find(group);
        if (known == groups_.end()) return;
        std::erase_if(known->second, [&](const Said& said) { return said.from.id == from.id; });
        if (known->second.empty()) groups_.erase(known);
        return;
    }
    if (!groups_.contains(group) && groups_.size() >= config_.max_hinted_groups && !make_room()) return;
    auto& all = groups_[group];
    const auto same = std::ranges::find_if(all, [&](const Said& said) { return said.from.id == from.id; });
    Said said{from, blocks, digest, clock_.now()};
    if (same != all.end()) {
        *same = std::move(said);
    } else if (all.size() < kMaxHintsPerGroup) {
        all.push_back(std::move(said));
    } else {
        *std::ranges::min_element(all, {}, &Said::when) = std::move(said);
    }
}

std::vector<Address> Hints::for_group(const Guid& group) const {
    const auto found = groups_.find(group);
    if (found == groups_.end()) return {};
    std::vector<Said> said;
    std::ranges::copy_if(found->second, std::back_inserter(said), [&](const Said& one) { return fresh(one); });
    std::ranges::stable_sort(said, std::greater{}, &Said::blocks);
    std::vector<Address> from;
    for (auto& one : said) from.push_back(std::move(one.from));
    return from;
}

/// What is old goes; looked for now and then only, so that nobody keeps us busy with groups that do not matter.
bool Hints::make_room() {
    if (clock_.now() < next_cleaning_) return false;
    next_cleaning_ = clock_.now() + config_.hints_kept_for / 4;
    std::erase_if(groups_, [&](const auto& entry) {
        return std::ranges::none_of(entry.second, [&](const Said& said) { return fresh(said); });
    });
    return groups_.size() < config_.max_hinted_groups;
}

}  // namespace past
