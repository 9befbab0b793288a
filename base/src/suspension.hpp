// One sleeping coroutine that somebody else will wake: what Clock::sleep_until, Event and Semaphore are made of.
#pragma once

#include <functional>
#include <memory>

#include "base/sleepers.hpp"
#include "base/task.hpp"

namespace base {

class Suspension : public Sleepers::Hook {
  public:
    /// Resumes the sleeper through its executor; later calls do nothing.
    void wake() { complete({}); }
    /// Resumes it with operation_aborted.
    void abort();
    [[nodiscard]] bool sleeping() const { return static_cast<bool>(handler_); }

  private:
    friend Task<void> suspend(std::shared_ptr<Suspension> self, std::function<void()> on_cancel);
    void complete(boost::system::error_code error);
    void register_sleeper();

    std::move_only_function<void(boost::system::error_code)> handler_;
    Executor executor_;
};

/// Sleeps until self->wake(). When the coroutine is cancelled `on_cancel` is called (to take the sleeper off a list)
/// and it resumes with operation_aborted.
Task<void> suspend(std::shared_ptr<Suspension> self, std::function<void()> on_cancel);

}  // namespace base
