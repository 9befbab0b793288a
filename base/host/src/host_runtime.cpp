#include "base/host/host_runtime.hpp"

#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <csignal>
#include <vector>

#include "base/error.hpp"

namespace base::host {

namespace asio = boost::asio;

namespace {

bool is_cancellation(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

/// First signal: cancel. Second: leave, whatever the task is doing.
struct SignalWatch : std::enable_shared_from_this<SignalWatch> {
    explicit SignalWatch(asio::io_context& context) : signals{context} {
        for (const int signal : {SIGINT, SIGTERM}) {
            struct sigaction now{};
            if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) continue;  // nohup has decided
            signals.add(signal);
            watched.push_back(signal);
        }
    }

    void start(bool* interrupted) {
        signals.async_wait([self = shared_from_this(), interrupted](const boost::system::error_code& error, int) {
            if (error || self->over) return;
            // The loop may be the very thing that hangs, so the second signal is left to a plain handler.
            self->signals.clear();
            struct sigaction leave{};
            leave.sa_handler = [](int) { ::_exit(130); };
            for (const int signal : self->watched) ::sigaction(signal, &leave, nullptr);
            *interrupted = true;
            self->cancel.emit(asio::cancellation_type::terminal);
        });
    }

    void stop() {
        over = true;
        signals.clear();
        signals.cancel();
    }

    asio::signal_set signals;
    std::vector<int> watched;
    asio::cancellation_signal cancel;
    bool over = false;
};

}  // namespace

HostRuntime::HostRuntime(Log::Level lowest, unsigned threads)
    : HostRuntime{std::make_unique<HostLog>(lowest), threads} {}

HostRuntime::HostRuntime(std::unique_ptr<Log> log, unsigned threads)
    : log_{std::move(log)}, clock_{context_.get_executor()} {
    workers_.emplace(threads);
    // A peer that goes away, a limit on file sizes: error codes, not our death.
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
}

HostRuntime::~HostRuntime() {
    workers_.reset();
    // What was cancelled after the last run() ends now: a sleeping coroutine and its sleeper own each other, and only
    // waking parts them. Bounded, should somebody keep posting.
    constexpr int kMostHandlers = 100'000;
    context_.restart();
    for (int i = 0; i < kMostHandlers && context_.poll_one() > 0; ++i) {
    }
    context_.shutdown();
}

Error HostRuntime::interruption() { return Errc::interrupted; }

/// As context_.run(), but it keeps looking for a moment before it sleeps while a core is idle and the pool's jobs have
/// lately been short: a thread that sleeps takes tens of microseconds to wake, a third of a cold read. After a wait
/// that looking would not have covered (a sync, a turning disk) it sleeps at once, until a short one comes again.
void HostRuntime::turn_loop() {
    constexpr std::chrono::microseconds kLook{250};
    bool jobs_are_short = true;
    while (!context_.stopped()) {
        if (context_.poll() > 0) continue;
        const bool waits_for_jobs = workers_->leave_a_core();
        const auto since = std::chrono::steady_clock::now();
        bool found = false;
        while (jobs_are_short && !found && workers_->leave_a_core() && std::chrono::steady_clock::now() - since < kLook)
            found = context_.poll_one() > 0;
        if (!found) context_.run_one();
        if (waits_for_jobs) jobs_are_short = std::chrono::steady_clock::now() - since < kLook;
    }
}

bool HostRuntime::run_to_end(Task<void> task) {
    const auto watch = std::make_shared<SignalWatch>(context_);
    const auto ended = std::make_shared<std::optional<std::exception_ptr>>();
    context_.restart();
    asio::co_spawn(context_, std::move(task),
                   asio::bind_cancellation_slot(watch->cancel.slot(), [this, ended](std::exception_ptr failure) {
                       *ended = std::move(failure);
                       context_.stop();
                   }));
    watch->start(&interrupted_);
    turn_loop();
    watch->stop();
    const auto failure = ended->value_or(nullptr);
    if (!failure) return ended->has_value();
    if (is_cancellation(failure)) return false;
    std::rethrow_exception(failure);
}

}  // namespace base::host
