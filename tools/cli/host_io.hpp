// The real streams, terminal and signals of this process.
#pragma once

#include <memory>

#include "cli/io.hpp"

namespace tools {

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process: the first one requests a stop, and if the program
/// has not ended 0.9 s later (or at a second signal) it is ended with exit code 130. That is safe at every point, as
/// kill -9 is. A standard stream that is closed becomes /dev/null. Call once, before any thread is started and any file
/// is opened.
[[nodiscard]] std::unique_ptr<Io> host_io();

/// For the daemon, which stops by draining: from now on no signal ends the process by force before a second one comes.
void let_stop_take_its_time();

}  // namespace tools
