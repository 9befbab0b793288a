// What caching in unused space is worth: Rowstron & Druschel, SOSP 2001, section 5.2, with 150 peers. The paper's size:
// docs/papers.md#caching.
#include "caching_sim.hpp"

#include <gtest/gtest.h>

namespace past::test {
namespace {

constexpr std::uint64_t kEnough = 1000;  // look-ups, for a share of them to mean something

CachingResult measured(Caching caching) {
    CachingOptions options;
    options.caching = caching;
    options.sizes = Sizes::lognormal;  // the other model's largest files leave five percent that nothing fills
    options.peers = 150;
    options.catalogue = options.catalogue * options.peers / 2250;
    options.requests = options.requests * options.peers / 2250;
    return run_caching(options);
}

/// Each is measured once for all tests.
const CachingResult& of(Caching caching) {
    static std::array<std::optional<CachingResult>, 4> results;
    auto& result = results[static_cast<std::size_t>(caching)];
    if (!result) result = measured(caching);
    return *result;
}

std::vector<std::size_t> measured_at() {
    std::vector<std::size_t> measured;
    for (std::size_t i = 0; i < CachingResult::kFrom.size(); ++i) {
        if (of(Caching::none).at[i].look_ups >= kEnough) measured.push_back(i);
    }
    return measured;
}

// 4: what is cached gives way at any time; no copy is refused for it.
TEST(CachingModel, TheStoreIsTheSameWhateverIsCached) {
    const auto& none = of(Caching::none).store;
    EXPECT_GT(none.utilisation(), 0.98);
    for (const auto caching : {Caching::lru, Caching::greedy_dual, Caching::reader}) {
        EXPECT_EQ(of(caching).store.used, none.used);
        EXPECT_EQ(of(caching).store.refused_files, none.refused_files);
        EXPECT_TRUE(of(caching).cache_stayed_in_unused_space);
    }
    EXPECT_GE(measured_at().size(), 10U);
}

// 5.2, figure 8: GreedyDual-Size hits more often than LRU; here at no utilisation by more than noise less often.
TEST(CachingModel, GreedyDualSizeHitsAtLeastAsOftenAsLru) {
    for (const auto i : measured_at()) {
        EXPECT_GE(of(Caching::greedy_dual).at[i].hit_rate(), of(Caching::lru).at[i].hit_rate() - 0.002)
            << CachingResult::kFrom[i] << " %";
    }
}

// 5.2, figure 8: up to 99 % utilisation look-ups take fewer hops than without caching.
TEST(CachingModel, LookUpsTakeFewerHopsUntilTheStoreIsFull) {
    double before = 1.0;
    for (const auto i : measured_at()) {
        if (CachingResult::kFrom[i] >= 99) continue;
        const auto& cached = of(Caching::greedy_dual).at[i];
        EXPECT_LT(cached.mean_hops(), of(Caching::none).at[i].mean_hops()) << CachingResult::kFrom[i] << " %";
        if (CachingResult::kFrom[i] >= 80) {
            EXPECT_LT(cached.hit_rate(), before) << "less is unused";
            before = cached.hit_rate();
        }
    }
}

// Ours: only the reader's node caches; some of what it does not have is found nearer than at the nearest holder.
TEST(CachingModel, TheReadersCacheSparesFetchesAndServesNeighbours) {
    for (const auto i : measured_at()) {
        if (CachingResult::kFrom[i] < 10 || CachingResult::kFrom[i] >= 80) continue;
        const auto& at = of(Caching::reader).at[i];
        EXPECT_GT(at.hit_rate(), 0.0);
        EXPECT_GT(StorageFigures::share(at.near_hits, at.fetched), 0.1) << CachingResult::kFrom[i] << " %";
    }
}

}  // namespace
}  // namespace past::test
