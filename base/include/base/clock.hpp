// Time as the protocols see it: the host's steady clock, or the simulator's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/task.hpp"

namespace base {

using Duration = std::chrono::nanoseconds;

class Clock {
  public:
    /// Steady; the epoch means nothing. Never compare values of two nodes.
    struct Steady {
        using duration = Duration;
        using rep = duration::rep;
        using period = duration::period;
        using time_point = std::chrono::time_point<Steady>;
        static constexpr bool is_steady = true;
    };
    using time_point = Steady::time_point;
    using Callback = std::move_only_function<void()>;
    using TimerId = std::uint64_t;  ///< never 0, never reused

    virtual ~Clock() = default;

    /// From any thread.
    [[nodiscard]] virtual time_point now() const noexcept = 0;
    /// Nanoseconds since 1970 UTC, for people and certificates. May be wrong by years or step: safety never depends on
    /// it (docs/model.md).
    [[nodiscard]] virtual std::int64_t wall_ns() const noexcept = 0;

    /// Calls `callback` on the node's executor once now() >= when, never from inside this call. On the node's executor
    /// only. The callback is dropped, uncalled, when the clock goes away.
    virtual TimerId schedule(time_point when, Callback callback) = 0;
    /// The callback will not be called after this returns. False if it was called or cancelled already.
    virtual bool cancel(TimerId timer) = 0;

    /// Resumes once now() >= deadline. Throws boost::system::system_error(operation_aborted) when cancelled.
    Task<void> sleep_until(time_point deadline);
    Task<void> sleep_for(Duration duration) { return sleep_until(now() + duration); }
};

using TimePoint = Clock::time_point;

}  // namespace base
