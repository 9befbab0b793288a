// Who waits for us now: clients go first, repair has what they leave, and never less than a floor.
//
// Plain priority: while a client is served here, background work moves at the floor's pace, whatever it is allowed
// otherwise. A client that comes now and then does not hold repair up: the way is kept free for as long again as
// clients were served, times a few, and no longer than a moment.
#pragma once

#include "base/clock.hpp"
#include "past/node.hpp"

namespace past {

class PriorityThrottle {
  public:
    PriorityThrottle(base::Clock& clock, const Config& config) : clock_{clock}, config_{config} {}

    /// A client's call, for as long as it lives.
    class Call {
      public:
        explicit Call(PriorityThrottle& priority_throttle);
        ~Call();
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;

      private:
        PriorityThrottle& foreground_;
    };

    [[nodiscard]] bool busy() const { return under_way_ > 0 || clock_.now() < quiet_at_; }
    /// Before so many bytes are moved in the background: resumes at once while no client is served.
    base::Task<void> yield_to_clients(std::uint64_t bytes);
    /// Of those that wait in yield_to_clients().
    [[nodiscard]] std::uint64_t waiting_bytes() const { return waiting_bytes_; }

  private:
    base::Clock& clock_;
    const Config& config_;
    std::size_t under_way_ = 0;
    base::TimePoint busy_since_;
    base::TimePoint quiet_at_;  // without another call
    base::TimePoint floor_at_;  // when the floor lets the next background bytes go
    std::uint64_t waiting_bytes_ = 0;
};

}  // namespace past
