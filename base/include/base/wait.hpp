// Waiting for an event, but not for ever.
#pragma once

#include <memory>

#include "base/clock.hpp"
#include "base/task_group.hpp"

namespace base {

/// Resumes at the next pulse of `event`, or at `until`; at once if that has passed. Who waits for the same event beside
/// this one is woken at that time too, so look whether there is something to do. On the executor of both.
inline Task<void> wait_until(Clock& clock, std::shared_ptr<Event> event, TimePoint until) {
    if (clock.now() >= until) co_return;
    const auto timer = clock.schedule(until, [event] { event->pulse(); });  // it may outlive a waiter that is cancelled
    co_await event->wait();
    clock.cancel(timer);
}

}  // namespace base
