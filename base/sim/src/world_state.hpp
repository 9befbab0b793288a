// What the parts of the simulator share: time, the queues, the nodes, the trace.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/sim/world.hpp"
#include "event_queue.hpp"
#include "incarnation.hpp"
#include "seeded_rng.hpp"

namespace base::sim {

struct WorldState {
    WorldState(World& owner, std::uint64_t seed, WorldOptions options);

    /// Adds to the trace.
    void note(std::uint64_t value) { trace = mix(trace, value); }
    [[nodiscard]] std::uint64_t seed_for(std::string_view purpose, std::uint64_t index = 0) const {
        return mix(mix(seed, purpose), index);
    }

    /// Runs until `done()`, until `limit`, or until nothing is left. Returns done().
    bool advance(TimePoint limit, const std::function<bool()>& done);
    /// All that is ready at this instant.
    void drain();
    void run(Incarnation* process, std::move_only_function<void()>& function);
    void dispatch(ScheduledEvent event);
    /// Takes out of the ready queue what belongs to `process`.
    void withdraw(Incarnation& process);
    void reap_the_dead();
    void fail(std::exception_ptr error);
    [[noreturn]] void stuck(const std::string& reason) const;
    [[nodiscard]] std::string when() const;

    World& owner;
    const std::uint64_t seed;
    WorldOptions options;
    TimePoint now{};
    std::uint64_t trace = 0;
    std::uint64_t events = 0;
    std::uint64_t runs_this_instant = 0;
    EventQueue queue;
    struct Ready {
        Incarnation* process;
        std::move_only_function<void()> function;
    };
    std::deque<Ready> ready;
    Incarnation* current = nullptr;
    std::exception_ptr failure;

    SigningKey authority;
    Guid network_id;
    SeededRng test_rng;
    std::vector<std::unique_ptr<Node>> nodes;
    std::unordered_map<NodeId, NodeIndex> by_id;
    std::vector<std::unique_ptr<Incarnation>> incarnations;
    std::vector<Incarnation*> dead;  ///< not reaped yet
    std::unique_ptr<Node> tester;
    std::unique_ptr<TaskGroup> harm_tasks;
    std::map<std::string, std::uint64_t, std::less<>> harms;
    std::unique_ptr<Network> network;
};

struct World::State : WorldState {
    using WorldState::WorldState;
};

}  // namespace base::sim
