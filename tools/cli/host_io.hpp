// The real streams, terminal and signals of this process.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <string>
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

/// The next bytes of `fd`; 0 at its end. Looks every 100 ms whether it is to stop: Errc::interrupted then. `what` is
/// named in an error.
[[nodiscard]] base::Result<std::size_t> read_when_ready(int fd, std::span<std::uint8_t> out,
                                                        const std::stop_token& stop, const std::string& what);

}  // namespace tools
