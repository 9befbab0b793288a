// Cao & Irani, USITS 1997: H = L + cost / size, the least H goes, L becomes that H.
#include "cache/greedy_dual_size.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/sim/world.hpp"

namespace past {
namespace {

using base::Guid;
using Ids = std::vector<Guid>;

Guid id(std::uint64_t number) {
    Guid::Array bytes{};
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    return Guid{bytes};
}

TEST(GreedyDualSize, TheLeastWorthGoesFirst) {
    GreedyDualSize cache{1000};
    EXPECT_EQ(cache.insert(id(1), 400), Ids{});
    EXPECT_EQ(cache.insert(id(2), 100), Ids{});
    EXPECT_EQ(cache.insert(id(3), 450), Ids{});
    EXPECT_EQ(cache.bytes(), 950U);
    EXPECT_EQ(cache.insert(id(4), 200), Ids{id(3)}) << "the largest has the least cost a byte";
    EXPECT_EQ(cache.bytes(), 700U);
    EXPECT_TRUE(cache.contains(id(2)));
}

TEST(GreedyDualSize, WhatCostsMoreToFetchStaysLonger) {
    GreedyDualSize cache{1000};
    cache.insert(id(1), 400, 10.0);
    cache.insert(id(2), 400);
    EXPECT_EQ(cache.insert(id(3), 300), Ids{id(2)});
}

TEST(GreedyDualSize, AHitRenews) {
    GreedyDualSize cache{1000};
    for (std::uint64_t i = 1; i <= 4; ++i) cache.insert(id(i), 250);
    EXPECT_TRUE(cache.touch(id(1)));
    EXPECT_EQ(cache.insert(id(5), 250), Ids{id(2)});
    EXPECT_EQ(cache.insert(id(6), 250), Ids{id(3)});
    EXPECT_TRUE(cache.contains(id(1)));
    EXPECT_FALSE(cache.touch(id(2)));
}

TEST(GreedyDualSize, OfOneSizeTheLeastRecentlyUsedGoes) {
    GreedyDualSize cache{1000};
    for (std::uint64_t i = 9; i > 0; --i) cache.insert(id(i), 100);
    cache.touch(id(9));
    cache.insert(id(20), 100);
    for (std::uint64_t i = 8; i > 0; --i) EXPECT_EQ(cache.insert(id(100 + i), 100), Ids{id(i)});
    EXPECT_EQ(cache.insert(id(200), 100), Ids{id(9)});
}

TEST(GreedyDualSize, WhatIsNotUsedAgainGoesInTheEndHoweverSmall) {
    GreedyDualSize cache{10'000};
    cache.insert(id(1), 100);
    std::uint64_t inserted = 1;
    while (cache.contains(id(1)) && inserted < 1000) cache.insert(id(++inserted), 1000);
    EXPECT_LT(inserted, 120U) << "L rises by 1/1000 a turnover of ten, and must rise by 1/100";
    EXPECT_GT(inserted, 80U);
}

TEST(GreedyDualSize, WhatTakesMoreThanItsShareIsNotAdmitted) {
    GreedyDualSize cache{1000};
    cache.insert(id(1), 500);
    EXPECT_TRUE(cache.contains(id(1)));
    EXPECT_EQ(cache.insert(id(2), 501), Ids{});
    EXPECT_FALSE(cache.contains(id(2)));
    EXPECT_TRUE(cache.contains(id(1))) << "and costs nobody its place";
    GreedyDualSize whole{1000, {.admitted_share = 1.0}};
    whole.insert(id(1), 1000);
    EXPECT_TRUE(whole.contains(id(1)));
    whole.insert(id(2), std::numeric_limits<std::uint64_t>::max());
    EXPECT_FALSE(whole.contains(id(2)));
}

TEST(GreedyDualSize, AnIdThatIsHereIsCountedOnce) {
    GreedyDualSize cache{1000};
    cache.insert(id(1), 300);
    EXPECT_EQ(cache.insert(id(1), 300), Ids{});
    EXPECT_EQ(cache.bytes(), 300U);
    EXPECT_EQ(cache.insert(id(1), 400), Ids{});
    EXPECT_EQ(cache.bytes(), 400U);
    EXPECT_EQ(cache.blocks(), 1U);
    EXPECT_EQ(cache.insert(id(1), 600), Ids{id(1)}) << "at that size it is not admitted";
    EXPECT_EQ(cache.bytes(), 0U);
    EXPECT_FALSE(cache.erase(id(1)));
}

TEST(GreedyDualSize, AnEmptyBlockIsChargedToo) {
    GreedyDualSize cache{100};
    for (std::uint64_t i = 0; i < 1000; ++i) cache.insert(id(i), 0);
    EXPECT_EQ(cache.blocks(), 100U);
    GreedyDualSize paged{40'960, {.unit_bytes = 4096}};
    for (std::uint64_t i = 0; i < 1000; ++i) paged.insert(id(i), i % 3);
    EXPECT_EQ(paged.blocks(), 10U);
    EXPECT_EQ(paged.bytes(), 40'960U);
}

TEST(GreedyDualSize, ABlockIsChargedWithWholePages) {
    GreedyDualSize paged{40'960, {.unit_bytes = 4096}};
    paged.insert(id(1), 4096);
    EXPECT_EQ(paged.bytes(), 4096U);
    paged.insert(id(2), 4097);
    EXPECT_EQ(paged.bytes(), 3 * 4096U);
}

TEST(GreedyDualSize, WithNoRoomNothingIsAdmitted) {
    GreedyDualSize cache{0};
    EXPECT_EQ(cache.insert(id(1), 0), Ids{});
    EXPECT_EQ(cache.insert(id(2), 10), Ids{});
    EXPECT_EQ(cache.blocks(), 0U);
    EXPECT_EQ(cache.set_limit(0), Ids{});
}

TEST(GreedyDualSize, ShrinkingEvictsUntilItFitsAndNoMore) {
    GreedyDualSize cache{1000};
    for (std::uint64_t i = 1; i <= 10; ++i) cache.insert(id(i), 100);
    EXPECT_EQ(cache.set_limit(1000), Ids{});
    EXPECT_EQ(cache.set_limit(750), (Ids{id(1), id(2), id(3)}));
    EXPECT_EQ(cache.bytes(), 700U);
    EXPECT_EQ(cache.set_limit(0).size(), 7U);
    EXPECT_EQ(cache.set_limit(1000), Ids{});
    EXPECT_EQ(cache.insert(id(1), 100), Ids{});
    EXPECT_TRUE(cache.contains(id(1)));
}

/// The same by its definition: everything is looked at each time.
class Naive {
  public:
    Ids insert(const Guid& id, std::uint64_t size, double cost) {
        const auto known = std::erase_if(kept_, [&](const Kept& kept) { return kept.id == id; }) > 0;
        Ids evicted;
        if (size > limit / 2) return known ? Ids{id} : Ids{};
        while (bytes() + size > limit) evicted.push_back(evict());
        kept_.push_back({id, size, cost, l_ + cost / static_cast<double>(size)});
        return evicted;
    }
    bool touch(const Guid& id) {
        const auto at = std::ranges::find(kept_, id, &Kept::id);
        if (at == kept_.end()) return false;
        auto kept = *at;
        kept_.erase(at);
        kept.h = l_ + kept.cost / static_cast<double>(kept.size);
        kept_.push_back(kept);
        return true;
    }
    bool erase(const Guid& id) {
        return std::erase_if(kept_, [&](const Kept& kept) { return kept.id == id; }) > 0;
    }
    Ids set_limit(std::uint64_t bytes_in) {
        limit = bytes_in;
        Ids evicted;
        while (bytes() > limit) evicted.push_back(evict());
        return evicted;
    }
    [[nodiscard]] std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const auto& kept : kept_) sum += kept.size;
        return sum;
    }
    [[nodiscard]] bool contains(const Guid& id) const { return std::ranges::find(kept_, id, &Kept::id) != kept_.end(); }
    std::uint64_t limit = 0;

  private:
    struct Kept {
        Guid id;
        std::uint64_t size;
        double cost;
        double h;
    };
    Guid evict() {
        const auto least = std::ranges::min_element(kept_, {}, &Kept::h);  // the first of equals: used longest ago
        const auto gone = *least;
        l_ = gone.h;
        kept_.erase(least);
        return gone.id;
    }
    std::vector<Kept> kept_;
    double l_ = 0;
};

TEST(GreedyDualSize, DoesWhatItsDefinitionSaysAndKeepsItsLimit) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        base::sim::World world{seed};
        auto& rng = world.rng();
        GreedyDualSize cache{5000};
        Naive naive;
        naive.limit = 5000;
        double inflation = 0;
        for (int step = 0; step < 2000; ++step) {
            const auto which = id(rng.below(60));
            const auto what = rng.below(20);
            if (what < 10) {
                const auto size = 1 + rng.below(rng.below(10) == 0 ? 4000 : 600);
                const double cost = rng.below(4) == 0 ? 3.0 : 1.0;
                ASSERT_EQ(cache.insert(which, size, cost), naive.insert(which, size, cost)) << seed << " " << step;
            } else if (what < 17) {
                ASSERT_EQ(cache.touch(which), naive.touch(which));
            } else if (what < 19) {
                ASSERT_EQ(cache.erase(which), naive.erase(which));
            } else {
                const auto limit = rng.below(8000);
                ASSERT_EQ(cache.set_limit(limit), naive.set_limit(limit)) << seed << " " << step;
            }
            ASSERT_EQ(cache.bytes(), naive.bytes());
            ASSERT_LE(cache.bytes(), cache.limit_bytes());
            ASSERT_EQ(cache.contains(which), naive.contains(which));
            ASSERT_GE(cache.inflation(), inflation);
            inflation = cache.inflation();
        }
        EXPECT_GT(inflation, 0.0);
    }
}

}  // namespace
}  // namespace past
