// Commands that the user names in a setting.
#pragma once

#include <string>

#include "base/result.hpp"

namespace tools {

/// What `/bin/sh -c command` prints, at most `limit` bytes. Its input and its errors are ours. Errc::bad_argument if it
/// fails (with its exit code) or prints more.
[[nodiscard]] base::Result<std::string> output_of_command(const std::string& command, std::size_t limit);

}  // namespace tools
