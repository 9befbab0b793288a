#include "base/task_group.hpp"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>

#include "suspension.hpp"

namespace base {

namespace asio = boost::asio;

namespace {

bool is_cancellation(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
        return failure.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

}  // namespace

// --- Event
// ------------------------------------------------------------------------------------------------------------

struct Event::State {
    bool set = false;
    std::list<std::shared_ptr<Suspension>> waiters;

    void wake_all() {
        for (auto waiting = std::exchange(waiters, {}); const auto& waiter : waiting) waiter->wake();
    }
};

Event::Event(Executor) : state_{std::make_shared<State>()} {}

Event::~Event() {
    for (auto waiting = std::exchange(state_->waiters, {}); const auto& waiter : waiting) waiter->abort();
}

void Event::set() {
    state_->set = true;
    state_->wake_all();
}
void Event::reset() { state_->set = false; }
void Event::pulse() { state_->wake_all(); }
bool Event::is_set() const { return state_->set; }

Task<void> Event::wait() {
    const auto state = state_;
    if (state->set) co_return;
    const auto sleeper = std::make_shared<Suspension>();
    const auto position = state->waiters.insert(state->waiters.end(), sleeper);
    std::function<void()> on_cancel = [state, position] { state->waiters.erase(position); };
    co_await suspend(sleeper, std::move(on_cancel));
}

// --- Semaphore
// --------------------------------------------------------------------------------------------------------

struct SemaphoreState {
    struct Waiter {
        std::shared_ptr<Suspension> sleeper;
        std::size_t permits;
    };
    std::size_t total = 0;
    std::size_t available = 0;
    std::list<Waiter> waiters;

    void grant() {
        while (!waiters.empty() && waiters.front().permits <= available) {
            available -= waiters.front().permits;
            const auto sleeper = std::move(waiters.front().sleeper);
            waiters.pop_front();
            sleeper->wake();
        }
    }
    void release(std::size_t permits) {
        available += permits;
        grant();
    }
};

Semaphore::Semaphore(Executor, std::size_t permits) : state_{std::make_shared<SemaphoreState>()} {
    state_->total = permits;
    state_->available = permits;
}

Semaphore::Permit::~Permit() {
    if (const auto state = state_.lock()) state->release(permits_);
}

Semaphore::Permit& Semaphore::Permit::operator=(Permit&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(permits_, other.permits_);
    return *this;
}

Task<Semaphore::Permit> Semaphore::acquire(std::size_t permits) {
    const auto state = state_;
    permits = std::min(permits, state->total);
    if (state->waiters.empty() && permits <= state->available) {
        state->available -= permits;
    } else {
        const auto sleeper = std::make_shared<Suspension>();
        const auto position = state->waiters.insert(state->waiters.end(), SemaphoreState::Waiter{sleeper, permits});
        std::function<void()> on_cancel = [state, position] {
            state->waiters.erase(position);
            state->grant();  // those behind may fit now
        };
        co_await suspend(sleeper, std::move(on_cancel));
    }
    Permit permit;
    permit.state_ = state;
    permit.permits_ = permits;
    co_return permit;
}

std::size_t Semaphore::available() const { return state_->available; }

// --- TaskGroup
// --------------------------------------------------------------------------------------------------------

struct TaskGroup::State {
    explicit State(Executor executor_in) : executor{std::move(executor_in)}, idle{executor} { idle.set(); }

    Executor executor;
    Event idle;
    std::list<asio::cancellation_signal> running;
    bool cancelled = false;
    std::exception_ptr failure;

    /// On the executor: what co_spawn puts behind the signal would otherwise be posted, and may be gone when it runs.
    static void cancel_all(const std::shared_ptr<State>& state) {
        state->cancelled = true;
        asio::dispatch(state->executor, [state] {
            // A task may end, and leave the list, while the signal is emitted to it.
            auto& tasks = state->running;
            for (auto next = tasks.begin(); next != tasks.end();) (next++)->emit(asio::cancellation_type::all);
        });
    }
};

TaskGroup::TaskGroup(Executor executor) : state_{std::make_shared<State>(std::move(executor))} {}

TaskGroup::~TaskGroup() { State::cancel_all(state_); }

void TaskGroup::spawn(Task<void> task) {
    const auto state = state_;
    if (state->cancelled) return;
    state->idle.reset();
    const auto signal = state->running.emplace(state->running.end());
    auto on_end = [state, signal](std::exception_ptr error) {
        if (error && !state->failure && !is_cancellation(error)) state->failure = error;
        state->running.erase(signal);
        if (state->running.empty()) state->idle.set();
    };
    asio::co_spawn(state->executor, std::move(task), asio::bind_cancellation_slot(signal->slot(), std::move(on_end)));
}

Task<void> TaskGroup::join() {
    const auto state = state_;
    bool cancelled = false;
    try {
        co_await state->idle.wait();
    } catch (const boost::system::system_error&) {
        cancelled = true;
    }
    if (cancelled) {
        // The caller was cancelled: so are the tasks, but we still wait, because they may use the caller's locals.
        State::cancel_all(state);
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await state->idle.wait();
        throw boost::system::system_error{asio::error::operation_aborted};
    }
    if (state->failure) std::rethrow_exception(std::exchange(state->failure, nullptr));
}

void TaskGroup::cancel() { State::cancel_all(state_); }

std::size_t TaskGroup::running() const { return state_->running.size(); }

}  // namespace base
