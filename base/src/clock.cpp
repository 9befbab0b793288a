#include "base/clock.hpp"

#include "suspension.hpp"

namespace base {

Task<void> Clock::sleep_until(time_point deadline) {
    const auto sleeper = std::make_shared<Suspension>();
    const TimerId timer = schedule(deadline, [sleeper] { sleeper->wake(); });
    std::function<void()> on_cancel = [this, timer] { cancel(timer); };
    co_await suspend(sleeper, std::move(on_cancel));
}

}  // namespace base
