#include "base/token_bucket.hpp"

#include <algorithm>
#include <cmath>

namespace base {

Task<void> TokenBucket::take(std::uint64_t bytes) {
    for (;;) {
        const auto now = clock_.now();
        const auto seconds = std::chrono::duration<double>(now - at_).count();
        at_ = now;
        tokens_ = std::min(static_cast<double>(burst_), tokens_ + seconds * static_cast<double>(per_second_));
        if (tokens_ > 0) break;
        const auto wait = std::ceil(-tokens_ / static_cast<double>(per_second_) * 1000.0) + 1.0;
        co_await clock_.sleep_for(std::chrono::milliseconds{static_cast<std::int64_t>(wait)});
    }
    tokens_ -= static_cast<double>(bytes);
}

}  // namespace base
