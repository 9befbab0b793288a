// The doors of one node: everything that reaches outside, given to every constructor that needs any of it.
#pragma once

#include "base/clock.hpp"
#include "base/disk.hpp"
#include "base/log.hpp"
#include "base/rng.hpp"
#include "base/task.hpp"
#include "base/transport.hpp"
#include "base/workers.hpp"

namespace base {

/// References only: the owner (a process's wiring, or sim::World) keeps the doors alive for as long as the node.
struct NodeEnv {
    Executor executor;
    Clock& clock;
    Rng& rng;
    Transport& transport;
    Disk& disk;
    Workers& workers;
    Log& log;
};

}  // namespace base
