// The whole program as a function.
#pragma once

#include <span>
#include <string>

#include "base/result.hpp"
#include "cli/io.hpp"

namespace tools {

/// Runs one command line (without the program's name) and returns its exit code. Whatever fails ends as one line on
/// standard error; nothing is thrown.
[[nodiscard]] int run(std::span<const std::string> args, Io& io);

/// Whether it could be run: Errc::usage if not. Nothing is done.
[[nodiscard]] base::Result<void> check_command_line(std::span<const std::string> args);

}  // namespace tools
