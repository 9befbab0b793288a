#include "base/wait.hpp"

#include <exception>

namespace base {

Task<void> wait_until(Clock& clock, std::shared_ptr<Event> event, TimePoint until) {
    if (clock.now() >= until) co_return;
    const auto timer = clock.schedule(until, [event] { event->pulse(); });
    std::exception_ptr cancelled;
    try {
        co_await event->wait();
    } catch (...) {
        cancelled = std::current_exception();
    }
    clock.cancel(timer);
    if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace base
