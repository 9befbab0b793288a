// Starting this program again as a process of its own.
#pragma once

#include <sys/types.h>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace tools {

/// Runs `pelago args...` in a session of its own, with no input and with its output appended to `log`. Returns its pid.
[[nodiscard]] base::Result<pid_t> spawn_self(const std::vector<std::string>& args, const std::string& log);
/// True while the process exists (and is not a zombie of ours).
[[nodiscard]] bool process_exists(pid_t pid);
/// The process that listens on this socket, whether it answers or not; nullopt if none does.
[[nodiscard]] std::optional<pid_t> listener_of(const std::string& socket);
/// Its last `bytes` of text, for an error message; "" if it cannot be read.
[[nodiscard]] std::string last_line(const std::string& path);

}  // namespace tools
