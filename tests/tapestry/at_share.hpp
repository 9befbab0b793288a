// Quantiles of what was measured.
#pragma once

#include <algorithm>
#include <vector>

namespace tapestry::testing {

/// The value at this share of them in order: 0.5 is the median. 0 if there are none.
[[nodiscard]] inline double at_share(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace tapestry::testing
