// GreedyDual-Size (temporary)
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/guid.hpp"

namespace past {
class GreedyDualSize {
  public:
    explicit GreedyDualSize(std::uint64_t limit) : limit_{limit} {}
    std::vector<base::Guid> insert(const base::Guid& id, std::uint64_t size, double cost = 1.0) {
        std::vector<base::Guid> out;
        if (size > limit_ / 2) return out;
        while (bytes_ + size > limit_) out.push_back(evict());
        const double h = inflation_ + cost / static_cast<double>(size + 1);
        entries_[id] = {h, size, cost};
        order_.insert({h, id});
        bytes_ += size;
        return out;
    }
    bool touch(const base::Guid& id) {
        const auto at = entries_.find(id);
        if (at == entries_.end()) return false;
        order_.erase({at->second.h, id});
        at->second.h = inflation_ + at->second.cost / static_cast<double>(at->second.size + 1);
        order_.insert({at->second.h, id});
        return true;
    }
    bool erase(const base::Guid& id) {
        const auto at = entries_.find(id);
        if (at == entries_.end()) return false;
        order_.erase({at->second.h, id});
        bytes_ -= at->second.size;
        entries_.erase(at);
        return true;
    }
    std::vector<base::Guid> set_limit(std::uint64_t limit) {
        limit_ = limit;
        std::vector<base::Guid> out;
        while (bytes_ > limit_) out.push_back(evict());
        return out;
    }
    bool contains(const base::Guid& id) const { return entries_.contains(id); }
    std::uint64_t bytes() const { return bytes_; }

  private:
    base::Guid evict() {
        const auto [h, id] = *order_.begin();
        inflation_ = h;
        erase(id);
        return id;
    }
    struct E {
        double h;
        std::uint64_t size;
        double cost;
    };
    std::uint64_t limit_, bytes_ = 0;
    double inflation_ = 0;
    std::map<base::Guid, E> entries_;
    std::set<std::pair<double, base::Guid>> order_;
};
}  // namespace past
