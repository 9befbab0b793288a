// Waiting for an event, but not for ever.
#pragma once

#include <memory>

#include "base/clock.hpp"
#include "base/task_group.hpp"

namespace base {

/// Resumes at the next pulse of `event`, or at `until`; at once if that has passed. Who waits for the same event beside
/// this one is woken at that time too, so look whether there is something to do. On the executor of both.
Task<void> wait_until(Clock& clock, std::shared_ptr<Event> event, TimePoint until);

}  // namespace base
