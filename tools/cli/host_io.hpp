// The real streams, terminal and signals of this process.
#pragma once

#include <memory>
#include <vector>

#include "cli/io.hpp"

namespace tools {

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process: the first one requests a stop, and if the program
/// has not ended 0.9 s later (or at a second signal) it is ended with exit code 130. That is safe at every point, as
/// kill -9 is. What was ignored when the process began (nohup) stays ignored. A standard stream that is closed becomes
/// /dev/null. Without memory the process ends with one line. Call once, before any thread is started and any file is
/// opened.
[[nodiscard]] std::unique_ptr<Io> host_io();

/// Signals that are ignored although the process did not begin so: what a child must not inherit.
[[nodiscard]] std::vector<int> signals_ignored_here();

/// For the daemon, which stops by draining: from now on no signal ends the process by force before a second one comes.
void let_stop_take_its_time();

}  // namespace tools
