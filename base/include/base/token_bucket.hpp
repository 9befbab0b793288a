// Bytes per second with a burst, in virtual or real time.
#pragma once

#include "base/clock.hpp"
#include "base/task.hpp"

namespace base {

class TokenBucket {
  public:
    TokenBucket(Clock& clock, std::uint64_t per_second, std::uint64_t burst)
        : clock_{clock},
          per_second_{per_second},
          burst_{burst},
          tokens_{static_cast<double>(burst)},
          at_{clock.now()} {}
    /// Resumes once `bytes` may go. Debts are allowed, so that a batch above the burst goes through.
    Task<void> take(std::uint64_t bytes);

  private:
    Clock& clock_;
    std::uint64_t per_second_;
    std::uint64_t burst_;
    double tokens_;
    TimePoint at_;
};

}  // namespace base
