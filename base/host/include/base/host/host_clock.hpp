// The machine's clocks, and the timers of one event loop.
#pragma once

#include <memory>

#include "base/clock.hpp"
#include "base/task.hpp"

namespace base::host {

/// CLOCK_BOOTTIME would jump over a suspend and expire everything at once; this is CLOCK_MONOTONIC. Timers are kept in
/// one ordered map behind a single timer of the loop, so a thousand time-outs that never fire cost a thousand map
/// nodes.
class HostClock final : public Clock {
  public:
    /// `executor` is the node's executor: its loop calls the callbacks.
    explicit HostClock(Executor executor);
    ~HostClock() override;
    HostClock(const HostClock&) = delete;
    HostClock& operator=(const HostClock&) = delete;

    [[nodiscard]] time_point now() const noexcept override;
    [[nodiscard]] std::int64_t wall_ns() const noexcept override;
    TimerId schedule(time_point when, Callback callback) override;
    bool cancel(TimerId timer) override;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace base::host
