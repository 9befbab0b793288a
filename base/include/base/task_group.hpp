// Structured concurrency on one executor: nothing runs unless somebody will wait for it.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/result.hpp"
#include "base/task.hpp"

namespace base {

/// A set of tasks that ends before its owner does. Not thread safe: one executor.
class TaskGroup {
  public:
    explicit TaskGroup(Executor executor);
    /// Cancels what still runs. The tasks may be resumed (with operation_aborted) after this: they must not refer to
    /// locals of the owner unless the owner awaited join().
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts `task` when the executor gets to it. After cancel() it is dropped instead.
    void spawn(Task<void> task);
    /// Resumes when every task has ended. Rethrows the first exception that is not a cancellation. Can be used again.
    Task<void> join();
    /// Asks every task to stop; each is resumed with operation_aborted at its present suspension.
    void cancel();
    [[nodiscard]] std::size_t running() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Waiters sleep until notified. A set() stays until reset(). Not thread safe: one executor.
class Event {
  public:
    explicit Event(Executor executor);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void set();  ///< wakes all, and lets later waiters through
    void reset();
    void pulse();  ///< wakes those who wait now
    [[nodiscard]] bool is_set() const;
    Task<void> wait();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

/// A bounded number of permits, given in order of asking. Not thread safe: one executor.
class Semaphore {
  public:
    /// Returns its permits when destroyed. May outlive the Semaphore.
    class Permit {
      public:
        Permit() = default;
        Permit(Permit&&) noexcept = default;
        Permit& operator=(Permit&& other) noexcept;
        ~Permit();

      private:
        friend class Semaphore;
        std::weak_ptr<struct SemaphoreState> state_;
        std::size_t permits_ = 0;
    };

    Semaphore(Executor executor, std::size_t permits);
    /// Resumes once `permits` are free; more than there are in all counts as all. In order of asking.
    Task<Permit> acquire(std::size_t permits = 1);
    [[nodiscard]] std::size_t available() const;

  private:
    std::shared_ptr<struct SemaphoreState> state_;
};

}  // namespace base
