#include "cache/greedy_dual_size.hpp"

#include <algorithm>

namespace past {

using base::Guid;

GreedyDualSize::GreedyDualSize(std::uint64_t limit_bytes, CacheRules rules) : limit_bytes_{limit_bytes}, rules_{rules} {
    rules_.unit_bytes = std::max<std::uint64_t>(rules_.unit_bytes, 1);
}

std::vector<Guid> GreedyDualSize::insert(const Guid& id, std::uint64_t size, double cost) {
    std::vector<Guid> evicted;
    const bool known = erase(id);
    const auto units = std::max<std::uint64_t>(1, size / rules_.unit_bytes + (size % rules_.unit_bytes == 0 ? 0 : 1));
    const auto charged = units * rules_.unit_bytes;
    const auto most = rules_.admitted_share * static_cast<double>(limit_bytes_);
    if (charged > limit_bytes_ || static_cast<double>(charged) > most) {
        if (known) evicted.push_back(id);
        return evicted;
    }
    shrink_to(limit_bytes_ - charged, evicted);
    Entry entry{{}, charged, cost};
    rank(id, entry);
    entries_.emplace(id, entry);
    bytes_ += charged;
    return evicted;
}

void GreedyDualSize::rank(const Guid& id, Entry& entry) {
    entry.rank = {inflation_ + entry.cost / static_cast<double>(entry.charged), ++uses_};
    order_.emplace(entry.rank, id);
}

bool GreedyDualSize::touch(const Guid& id) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) return false;
    order_.erase(found->second.rank);
    rank(id, found->second);
    return true;
}

bool GreedyDualSize::erase(const Guid& id) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) return false;
    bytes_ -= found->second.charged;
    order_.erase(found->second.rank);
    entries_.erase(found);
    return true;
}

std::vector<Guid> GreedyDualSize::set_limit(std::uint64_t limit_bytes) {
    limit_bytes_ = limit_bytes;
    std::vector<Guid> evicted;
    shrink_to(limit_bytes, evicted);
    return evicted;
}

void GreedyDualSize::shrink_to(std::uint64_t bytes, std::vector<Guid>& evicted) {
    while (bytes_ > bytes) {
        const auto least = order_.begin();
        inflation_ = least->first.first;
        evicted.push_back(least->second);
        erase(evicted.back());
    }
}

}  // namespace past
