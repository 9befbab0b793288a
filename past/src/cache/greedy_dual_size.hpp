// Which of the cached blocks to let go of: GreedyDual-Size.
//
// Paper: Cao & Irani, USITS 1997, figure 1, with the inflation L instead of a subtraction from all; PAST (Rowstron &
// Druschel, SOSP 2001, section 4) uses it with cost 1, for the most hits: H = L + cost / size, and the block with the
// least H goes, L becoming that H. So small blocks stay longer, and of blocks of one size whoever was not used for the
// longest time goes first. A plain value: keeps ids and sizes, no bytes. O(log n) a call and evicted block; about 190
// bytes of memory a block.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/guid.hpp"

namespace past {

struct CacheRules {
    double admitted_share = 0.5;   ///< of the limit: a block that takes more is not admitted (c in PAST)
    std::uint64_t unit_bytes = 1;  ///< a block is charged with as many whole units as it needs, an empty one with one
};

class GreedyDualSize {
  public:
    explicit GreedyDualSize(std::uint64_t limit_bytes, CacheRules rules = {});

    /// Takes a block of `size` bytes that costs `cost` (above 0) to fetch again, unless it is too large to be admitted:
    /// then contains() says so. One that is here already is renewed, at its new size and cost. Returns which blocks had
    /// to go for it (`id` itself, if it was here and is not admitted any more).
    std::vector<base::Guid> insert(const base::Guid& id, std::uint64_t size, double cost = 1.0);
    /// A hit: as if it had been inserted now. False if it is not here.
    bool touch(const base::Guid& id);
    /// False if it is not here. The others stay as worthy as they were.
    bool erase(const base::Guid& id);
    /// Returns who had to go. A block that would not be admitted under a smaller limit may stay while it fits.
    std::vector<base::Guid> set_limit(std::uint64_t limit_bytes);

    [[nodiscard]] bool contains(const base::Guid& id) const { return entries_.contains(id); }
    /// What blocks are charged with, together: at most the limit.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t limit_bytes() const { return limit_bytes_; }
    [[nodiscard]] std::size_t blocks() const { return entries_.size(); }
    /// L: the H of the block evicted last. Never falls.
    [[nodiscard]] double inflation() const { return inflation_; }

  private:
    using Rank = std::pair<double, std::uint64_t>;  // H, and of equals who was used first
    struct Entry {
        Rank rank;
        std::uint64_t charged = 0;
        double cost = 1.0;
    };
    void rank(const base::Guid& id, Entry& entry);
    void shrink_to(std::uint64_t bytes, std::vector<base::Guid>& evicted);

    std::uint64_t limit_bytes_;
    CacheRules rules_;
    std::uint64_t bytes_ = 0;
    std::uint64_t uses_ = 0;
    double inflation_ = 0;
    std::map<Rank, base::Guid> order_;
    std::unordered_map<base::Guid, Entry> entries_;  // looked up, never iterated
};

}  // namespace past
