// What a coroutine of a dead process gets from every door.
#pragma once

#include <exception>

namespace base::sim {

/// Whether this is system_error(operation_aborted).
[[nodiscard]] bool is_cancellation(const std::exception_ptr& error);
[[noreturn]] void throw_cancelled();

}  // namespace base::sim
