#include "bench/statistics.hpp"

#include <algorithm>
#include <cstddef>

namespace tools::bench {

double quantile(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size()));
    const auto nth = values.begin() + static_cast<std::ptrdiff_t>(std::min(at, values.size() - 1));
    std::nth_element(values.begin(), nth, values.end());
    return *nth;
}

Spread spread_of(std::vector<double> values) {
    if (values.empty()) return {};
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return {.median = quantile(values, 0.5), .least = *least, .most = *most};
}

}  // namespace tools::bench
