// Caching in unused space without a network: files, requests by Zipf's law from clients everywhere, the ways of
// messages as Pastry's routing that ships takes them, and what is cached on them by the policy that ships.
//
// Paper: Rowstron & Druschel, SOSP 2001, sections 4 and 5.2. A stream of requests for a catalogue of files: the first
// for a file inserts it, later ones look it up, as its log of a web proxy was replayed. So utilisation rises as it goes
// on.
#pragma once

#include <array>

#include "base/guid.hpp"
#include "storage_sim.hpp"

namespace past::test {

enum class Caching : std::uint8_t {
    none,         ///< PAST's look-ups, nothing cached
    lru,          ///< every node on the way caches what passes; the least recently used goes
    greedy_dual,  ///< the same by GreedyDual-Size
    reader,       ///< ours: one hop to the nearest copy, cached by the reader's node only, and found by others there
};

struct CachingOptions {
    Caching caching = Caching::none;
    Sizes sizes = Sizes::tail;
    std::size_t peers = 2250;
    std::uint64_t catalogue = 6'000'000;
    std::uint64_t requests = 4'000'000;  ///< about 1.9 million distinct files
    double zipf = 0.8;
    std::uint64_t seed = 1;
};

/// What look-ups met while the store was about as full.
struct CachingFigures {
    std::uint64_t look_ups = 0;
    std::uint64_t own_copies = 0;  ///< the client's node keeps a copy itself
    std::uint64_t hits = 0;        ///< served by a cached copy; `reader`: by the own cache
    std::uint64_t near_hits = 0;   ///< `reader`: by another's cached copy, nearer than any holder
    std::uint64_t hops = 0;        ///< to whoever served it
    double distance = 0;           ///< `reader`: to whoever served it, as a share of that to the nearest holder; summed
                                   ///< over those that were not served from the own disk
    std::uint64_t fetched = 0;     ///< of these

    [[nodiscard]] double hit_rate() const { return StorageFigures::share(hits, look_ups); }
    [[nodiscard]] double mean_hops() const { return StorageFigures::share(hops, look_ups); }
};

struct CachingResult {
    /// Utilisation from which on each holds, in percent.
    static constexpr std::array<unsigned, 13> kFrom{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99};
    std::array<CachingFigures, kFrom.size()> at;
    StorageFigures store;
    bool cache_stayed_in_unused_space = true;
};

[[nodiscard]] CachingResult run_caching(const CachingOptions& options);

}  // namespace past::test
