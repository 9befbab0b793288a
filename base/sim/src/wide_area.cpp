#include "base/sim/wide_area.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "seeded_rng.hpp"

namespace base::sim {

namespace {

/// Where machines are, on a plane whose unit is a millisecond one way.
struct Continent {
    double share;  // of the machines
    double x;
    double y;
    double spread;  // standard deviation, each way
};
constexpr std::array<Continent, 5> kContinents{{
    {0.42, 0, 0, 13.9},         // North America
    {0.30, 43.5, 3.5, 7.8},     // Europe
    {0.17, -67.9, 8.7, 13.9},   // East Asia
    {0.05, 10.4, -59.2, 10.4},  // South America
    {0.06, -53.9, -62.6, 7.0},  // Oceania
}};
constexpr double kAccessMedian = 8;  // from a machine to what is shared with its neighbours: lognormal
constexpr double kAccessSigma = 1.15;
constexpr double kAccessMost = 150;
constexpr double kDetourSigma = 0.3;  // of each pair: no route is straight, some are far from it

double normal(SeededRng& rng) {
    const double radius = std::sqrt(-2 * std::log(1 - rng.draw_unit()));
    return radius * std::cos(2 * std::numbers::pi * rng.draw_unit());
}

struct Place {
    double x;
    double y;
    double access;
};

Place draw_place(SeededRng& rng, std::size_t machine) {
    // Shares are kept exactly, in any order of machines: multiples of the golden ratio fill [0, 1) evenly.
    double share = std::fmod(static_cast<double>(machine) * std::numbers::phi, 1.0);
    const auto* where = kContinents.begin();
    while (where + 1 != kContinents.end() && share >= where->share) share -= (where++)->share;
    Place place{};
    place.x = where->x + where->spread * normal(rng);
    place.y = where->y + where->spread * normal(rng);
    place.access = std::min(kAccessMost, kAccessMedian * std::exp(kAccessSigma * normal(rng)));
    return place;
}

}  // namespace

std::vector<std::vector<Duration>> wide_area_latencies(std::uint64_t seed, std::size_t machines) {
    SeededRng rng{mix(seed, "wide area")};
    std::vector<Place> places;
    for (std::size_t i = 0; i < machines; ++i) places.push_back(draw_place(rng, i));
    std::vector<std::vector<Duration>> one_way(machines, std::vector<Duration>(machines));
    for (std::size_t a = 0; a < machines; ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            const double straight = std::hypot(places[a].x - places[b].x, places[a].y - places[b].y);
            const double ms = straight * std::exp(kDetourSigma * normal(rng)) + places[a].access + places[b].access;
            one_way[a][b] = one_way[b][a] = Duration{std::llround(ms * 1e6)};
        }
    }
    return one_way;
}

}  // namespace base::sim
