// Latencies between machines that are spread over the world: seeded, synthetic, shaped like measured ones.
//
// How they are made, and what they are compared with: docs/simulation.md#wide-area-latencies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.hpp"

namespace base::sim {

/// one_way[from][to] in both directions alike, for Network::use_latency_matrix(). Round trips of 500 machines: median
/// 156 ms, mean 178 ms, each within a tenth; near pairs some 25 ms, one in a hundred above 500 ms. The triangle
/// inequality does not hold.
[[nodiscard]] std::vector<std::vector<Duration>> wide_area_latencies(std::uint64_t seed, std::size_t machines);

}  // namespace base::sim
