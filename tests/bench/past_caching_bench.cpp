// Caching in PAST's unused space, measured: hit rate and hops by utilisation, for GreedyDual-Size, LRU and none, and
// for our way of reading.
//
//     past_caching_bench [seeds = 1] [peers = 2250]
//
// Prints the tables of docs/papers.md#caching. Some minutes a seed.
#include <cstdio>
#include <string>

#include "past/caching_sim.hpp"

namespace past::test {
namespace {

CachingFigures& operator+=(CachingFigures& sum, const CachingFigures& more) {
    sum.look_ups += more.look_ups;
    sum.own_copies += more.own_copies;
    sum.hits += more.hits;
    sum.near_hits += more.near_hits;
    sum.hops += more.hops;
    sum.distance += more.distance;
    sum.fetched += more.fetched;
    return sum;
}

using Figures = std::array<CachingFigures, CachingResult::kFrom.size()>;

Figures measure(Caching caching, Sizes sizes, std::uint64_t seeds, std::size_t peers) {
    Figures sum;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CachingOptions options;
        options.caching = caching;
        options.sizes = sizes;
        options.seed = seed;
        options.peers = peers;
        options.catalogue = options.catalogue * peers / 2250;
        options.requests = options.requests * peers / 2250;
        const auto result = run_caching(options);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += result.at[i];
        const auto& store = result.store;
        std::fprintf(stderr, "%llu files, %.1f %% utilised, %.2f %% of files refused\n",
                     static_cast<unsigned long long>(store.files), 100 * store.utilisation(),
                     100 * StorageFigures::share(store.refused_files, store.files));
    }
    return sum;
}

void run(Sizes sizes, std::uint64_t seeds, std::size_t peers) {
    const auto none = measure(Caching::none, sizes, seeds, peers);
    const auto lru = measure(Caching::lru, sizes, seeds, peers);
    const auto greedy = measure(Caching::greedy_dual, sizes, seeds, peers);
    const auto reader = measure(Caching::reader, sizes, seeds, peers);
    std::printf("\n%s, %llu seeds, %zu peers\n", sizes == Sizes::tail ? "lognormal with a Pareto tail" : "lognormal",
                static_cast<unsigned long long>(seeds), peers);
    std::printf("%5s %9s | %6s %6s %6s | %6s %6s | %6s %6s %6s %6s\n", "util%", "look-ups", "none", "LRU", "GD-S",
                "LRU%", "GD-S%", "own%", "near%", "fetch", "dist");
    for (std::size_t i = 0; i < none.size(); ++i) {
        if (none[i].look_ups == 0) continue;
        const auto& r = reader[i];
        std::printf("%4u+ %9llu | %6.2f %6.2f %6.2f | %6.1f %6.1f | %6.1f %6.1f %6.2f %6.2f\n", CachingResult::kFrom[i],
                    static_cast<unsigned long long>(none[i].look_ups), none[i].mean_hops(), lru[i].mean_hops(),
                    greedy[i].mean_hops(), 100 * lru[i].hit_rate(), 100 * greedy[i].hit_rate(), 100 * r.hit_rate(),
                    100 * StorageFigures::share(r.near_hits, r.fetched), r.mean_hops(),
                    r.distance / static_cast<double>(std::max<std::uint64_t>(r.fetched, 1)));
    }
}

}  // namespace
}  // namespace past::test

int main(int argc, char** argv) {
    const std::uint64_t seeds = argc > 1 ? std::stoul(argv[1]) : 1;
    const std::size_t peers = argc > 2 ? std::stoul(argv[2]) : 2250;
    for (const auto sizes : {past::test::Sizes::tail, past::test::Sizes::lognormal}) {
        past::test::run(sizes, seeds, peers);
    }
}
