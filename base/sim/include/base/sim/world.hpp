// A whole network in one thread and in virtual time: same seed, same run, to the last message.
//
//     sim::World world{seed};
//     auto& node = world.add_node();
//     auto& ring = node.start([](base::NodeEnv& env) { return std::make_unique<Thing>(env); });
//     auto answer = world.run(ring.ask(...));       // until it is done
//     world.run_for(2h);                            // virtual
//     node.power_off(); node.restart();
//
// How-to and model: docs/simulation.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.hpp"
#include "base/sim/network.hpp"
#include "base/sim/node.hpp"

namespace base::sim {

/// The run cannot go on: a task waits for what will never happen, or the world spins without time passing. Its text has
/// the seed and the virtual time.
class Stuck : public std::runtime_error {
  public:
    using runtime_error::runtime_error;
};

struct WorldOptions {
    std::string network_name = "simulated";
    Policy policy;                                ///< of the simulated network; its id and signature are filled in
    Duration run_limit = std::chrono::hours{24};  ///< of run(): a task that takes longer is Stuck
    std::uint64_t most_events_per_instant = 10'000'000;  ///< more without time passing is Stuck
    std::optional<Log::Level> print_log;                 ///< to stderr, with virtual time and node; PELAGO_SIM_LOG too
};

class World {
  public:
    explicit World(std::uint64_t seed, WorldOptions options = {});
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    [[nodiscard]] std::uint64_t seed() const;

    // --- nodes -----------------------------------------------------------------------------------------------------
    Node& add_node(NodeOptions options = {});
    void add_nodes(std::size_t count, const NodeOptions& options = {});
    [[nodiscard]] Node& node(NodeIndex index);
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] Network& network();

    /// What admits nodes: certificates of nodes are signed by it and verify.
    [[nodiscard]] const SigningKey& authority() const;
    [[nodiscard]] const Guid& network_id() const;
    [[nodiscard]] const Policy& policy() const;
    [[nodiscard]] Roster roster() const;  ///< every node there is

    /// Doors of the test itself: a node of its own (role client), made on first use, that never dies.
    [[nodiscard]] NodeEnv& env();
    /// The test's own stream of random numbers, apart from those of nodes and network.
    [[nodiscard]] Rng& rng();

    // --- time ------------------------------------------------------------------------------------------------------
    /// Runs everything until `task` ends; its result or exception. Throws Stuck if it never will.
    template <class T>
    T run(Task<T> task) {
        auto value = std::make_shared<std::optional<T>>();
        drive(keep(std::move(task), value));
        return std::move(**value);
    }
    void run(Task<void> task) { drive(std::move(task)); }
    void run_for(Duration duration);
    /// Until `done()`, asked whenever something happened, at most for `limit`. Returns its last answer.
    bool run_until(const std::function<bool()>& done, Duration limit);
    /// All that can happen without time passing.
    void settle();
    /// Starts a task of the test's own; cancelled when the world ends.
    void spawn(Task<void> task);
    /// Calls `action` at this time from now, if the world runs that long.
    void after(Duration delay, std::function<void()> action);

    [[nodiscard]] TimePoint now() const;
    [[nodiscard]] Duration elapsed() const;  ///< since the world began

    // --- harm (harm.hpp) ---------------------------------------------------------------------------------------------
    /// Begins these harms; they go on until stop_harm() or the end of the world.
    template <class... Harms>
    void harm(Harms... harms) {
        (begin_harm(inflict(*this, std::move(harms))), ...);
    }
    /// Ends them, heals the network, resumes and restarts every node: the liveness phase begins.
    void stop_harm();
    /// How often each harm was done ("kill", "power-off", ...), so that a campaign can insist that all were.
    void count_harm(std::string_view name);
    [[nodiscard]] const std::map<std::string, std::uint64_t, std::less<>>& harms() const;

    // --- evidence ----------------------------------------------------------------------------------------------------
    /// Over every message delivered, timer fired and disk effect so far: equal for equal seeds.
    [[nodiscard]] std::uint64_t trace_hash() const;
    /// Adds a value of the test's own to it.
    void trace(std::uint64_t value);
    [[nodiscard]] std::uint64_t events() const;  ///< messages and timers so far

  private:
    friend class Node;
    friend class Network;
    friend struct WorldState;

    template <class T>
    static Task<void> keep(Task<T> task, std::shared_ptr<std::optional<T>> value) {
        value->emplace(co_await std::move(task));
    }
    void drive(Task<void> task);
    void begin_harm(Task<void> task);

    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace base::sim
