// Harms that a world can be told to suffer: world.harm(Kill{.every = 30s}, Loss{.share = 0.05}).
//
// Each is a struct of settings and a coroutine inflict(World&, settings); add your own the same way. Times are
// exponential with the given mean, drawn from the seed. Only nodes with a program are chosen.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/clock.hpp"
#include "base/sim/disk.hpp"
#include "base/task.hpp"

namespace base::sim {

class World;

/// kill -9, and a new process after a while.
struct Kill {
    Duration every = std::chrono::seconds{30};
    Duration down_for = std::chrono::seconds{10};
    std::size_t leave_at_least = 1;  ///< nodes up and not paused
};

/// The machine loses power, and what it had not synced.
struct PowerOff {
    Duration every = std::chrono::seconds{60};
    Duration down_for = std::chrono::seconds{20};
    std::size_t leave_at_least = 1;
};

/// The network falls into two parts of random size (one node alone, often), for a while.
struct Partition {
    Duration every = std::chrono::seconds{60};
    Duration lasts = std::chrono::seconds{15};
    bool one_way = false;  ///< the smaller part hears and is not heard
};

/// Of all messages, all the time.
struct Loss {
    double share = 0.05;
    double duplicated = 0;
    double reordered = 0;
};

/// Links of a random subset of nodes are stopped one by one and released in another order (FoundationDB).
struct SwizzleClog {
    Duration every = std::chrono::seconds{60};
    Duration lasts = std::chrono::seconds{10};
};

/// One node at a time stops (SIGSTOP), or only becomes slow.
struct SlowNode {
    Duration every = std::chrono::seconds{60};
    Duration lasts = std::chrono::seconds{5};
    double slowness = 0;  ///< 0: stopped; else jobs and disk take this many times longer
};

/// One node (random, then always the same) dies and comes back in a loop.
struct Flap {
    Duration period = std::chrono::seconds{10};
};

/// Wall clocks step, forwards and backwards, by up to this much.
struct ClockSteps {
    Duration every = std::chrono::seconds{60};
    Duration most = std::chrono::hours{24 * 365 * 10};
};

[[nodiscard]] Task<void> inflict(World& world, Kill harm);
[[nodiscard]] Task<void> inflict(World& world, PowerOff harm);
[[nodiscard]] Task<void> inflict(World& world, Partition harm);
[[nodiscard]] Task<void> inflict(World& world, Loss harm);
[[nodiscard]] Task<void> inflict(World& world, SwizzleClog harm);
[[nodiscard]] Task<void> inflict(World& world, SlowNode harm);
[[nodiscard]] Task<void> inflict(World& world, Flap harm);
[[nodiscard]] Task<void> inflict(World& world, ClockSteps harm);

}  // namespace base::sim
