// Middles and spreads of repeated measurements.
#pragma once

#include <vector>

namespace tools::bench {

/// Of `values` in any unit; zeros if there are none.
struct Spread {
    double median = 0, least = 0, most = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> values);
/// The value below which `share` (0 to 1) of them lie; 0 if there are none.
[[nodiscard]] double quantile(std::vector<double> values, double share);

}  // namespace tools::bench
