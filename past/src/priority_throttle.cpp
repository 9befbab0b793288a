#include "priority_throttle.hpp"

#include <algorithm>

namespace past {

namespace {

constexpr int kAsLongAgain = 4;
constexpr base::Duration kMoment = std::chrono::milliseconds{250};
constexpr base::Duration kLook = std::chrono::milliseconds{50};  // how often those who wait look whether it is quiet

}  // namespace

PriorityThrottle::Call::Call(PriorityThrottle& priority_throttle) : foreground_{priority_throttle} {
    if (!priority_throttle.busy()) priority_throttle.busy_since_ = priority_throttle.clock_.now();
    ++priority_throttle.under_way_;
}

PriorityThrottle::Call::~Call() {
    const auto now = foreground_.clock_.now();
    --foreground_.under_way_;
    foreground_.quiet_at_ = now + std::min(kAsLongAgain * (now - foreground_.busy_since_), kMoment);
}

base::Task<void> PriorityThrottle::yield_to_clients(std::uint64_t bytes) {
    struct Waiting {
        std::uint64_t& total;
        std::uint64_t bytes;
        ~Waiting() { total -= bytes; }
    } const waiting{waiting_bytes_ += bytes, bytes};
    while (busy()) {
        const auto now = clock_.now();
        if (now >= floor_at_) {
            const auto seconds =
                static_cast<double>(bytes) / static_cast<double>(config_.repair_floor_bytes_per_second);
            floor_at_ = now + std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>{seconds});
            break;
        }
        co_await clock_.sleep_until(std::min(floor_at_, now + kLook));
    }
}

}  // namespace past
