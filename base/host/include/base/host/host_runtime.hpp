// One process's event loop with its doors, and the way a command's coroutine runs to its end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>

#include "base/host/host_clock.hpp"
#include "base/host/host_log.hpp"
#include "base/host/host_rng.hpp"
#include "base/host/host_workers.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace base::host {

/// Ends in this order: the pool (its jobs point into coroutines), what is still suspended, the doors. Transports and
/// whatever else uses it are destroyed before.
class HostRuntime {
  public:
    explicit HostRuntime(Log::Level lowest = Log::Level::info, unsigned threads = 0);
    explicit HostRuntime(std::unique_ptr<Log> log, unsigned threads = 0);
    ~HostRuntime();
    HostRuntime(const HostRuntime&) = delete;
    HostRuntime& operator=(const HostRuntime&) = delete;

    [[nodiscard]] Executor executor() { return context_.get_executor(); }
    [[nodiscard]] boost::asio::io_context& context() { return context_; }
    [[nodiscard]] HostClock& clock() { return clock_; }
    [[nodiscard]] HostRng& rng() { return rng_; }
    [[nodiscard]] HostWorkers& workers() { return *workers_; }
    [[nodiscard]] Log& log() { return *log_; }

    /// Runs `task` to its end on this thread. The first SIGINT or SIGTERM cancels it (it sees operation_aborted at its
    /// next suspension and may clean up); a second one ends the process at once with status 130. One that is ignored
    /// stays so. Other exceptions come out of here.
    ///
    /// Result<T>: Errc::interrupted if the task ended by that cancellation.
    template <class T>
    Result<T> run(Task<Result<T>> task) {
        std::optional<Result<T>> result;
        const bool finished = run_to_end(keep(std::move(task), result));
        if (!finished || !result) return interruption();
        return std::move(*result);
    }
    /// False if the task ended because it was cancelled.
    bool run(Task<void> task) { return run_to_end(std::move(task)); }

    /// True once a first signal has come.
    [[nodiscard]] bool interrupted() const { return interrupted_; }

  private:
    template <class T>
    static Task<void> keep(Task<Result<T>> task, std::optional<Result<T>>& result) {
        result.emplace(co_await std::move(task));
    }
    static Error interruption();
    bool run_to_end(Task<void> task);
    void turn_loop();

    struct Loop : boost::asio::io_context {
        Loop() : io_context{1} {}
        using io_context::shutdown;
    };

    std::unique_ptr<Log> log_;
    Loop context_;
    HostClock clock_;
    HostRng rng_;
    std::optional<HostWorkers> workers_;
    bool interrupted_ = false;
};

}  // namespace base::host
