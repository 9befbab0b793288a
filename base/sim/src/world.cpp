#include "base/sim/world.hpp"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <cassert>
#include <cstdlib>

#include "cancellation.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace {

constexpr NodeIndex kTester = ~NodeIndex{};

Key seeded_key(std::uint64_t seed) {
    Key key{};
    SeededRng{seed}.fill(key);
    return key;
}

std::optional<Log::Level> log_level_from_environment() {
    const char* text = std::getenv("PELAGO_SIM_LOG");
    if (text == nullptr) return std::nullopt;
    const std::string_view name{text};
    if (name == "error") return Log::Level::error;
    if (name == "warning") return Log::Level::warning;
    if (name == "info") return Log::Level::info;
    return Log::Level::debug;
}

}  // namespace

// --- the loop

WorldState::WorldState(World& owner_in, std::uint64_t seed_in, WorldOptions options_in)
    : owner{owner_in},
      seed{seed_in},
      options{std::move(options_in)},
      trace{scramble(seed_in)},
      authority{seeded_key(mix(scramble(seed_in), "authority"))},
      network_id{base::network_id(authority.public_key(), options.network_name)},
      test_rng{mix(scramble(seed_in), "test")} {
    if (!options.print_log) options.print_log = log_level_from_environment();
    options.policy.network = network_id;
    options.policy.version = std::max<std::uint64_t>(options.policy.version, 1);
    options.policy.signature = authority.sign("pelago policy", options.policy.body());
}

std::string WorldState::when() const {
    return fmt::format("[seed {} {:.6f}s]", seed, static_cast<double>(now.time_since_epoch().count()) * 1e-9);
}

void WorldState::stuck(const std::string& reason) const { throw Stuck{when() + " " + reason}; }

void WorldState::fail(std::exception_ptr error) {
    if (!failure) failure = std::move(error);
}

void WorldState::run(Incarnation* process, std::move_only_function<void()>& function) {
    if (process != nullptr) {
        if (!process->alive) return;
        if (process->node.paused()) {
            process->parked.push_back(std::move(function));
            return;
        }
    }
    auto* const before = std::exchange(current, process);
    try {
        function();
    } catch (...) {
        // From plain callbacks only: coroutines report through their group. A dead door's answer is no failure.
        if (!is_cancellation(std::current_exception())) fail(std::current_exception());
    }
    current = before;
}

void WorldState::drain() {
    for (;;) {
        reap_the_dead();
        if (ready.empty()) return;
        if (++runs_this_instant > options.most_events_per_instant) stuck("the world spins without time passing");
        auto next = std::move(ready.front());
        ready.pop_front();
        run(next.process, next.function);
    }
}

void WorldState::dispatch(ScheduledEvent event) {
    ++events;
    if (event.delivery.kind != Delivery::Kind::none) {
        network->deliver(event.delivery);
        return;
    }
    if (event.owner != nullptr) note(mix(0x74696D6572U, event.owner->node.index()));
    std::move_only_function<void()> function{std::move(event.callback)};
    run(event.owner, function);
}

bool WorldState::advance(TimePoint limit, const std::function<bool()>& done) {
    for (;;) {
        drain();
        if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
        if (done()) return true;
        const auto next = queue.next();
        if (!next || *next > limit) return false;
        if (*next > now) {
            now = *next;
            runs_this_instant = 0;
            note(static_cast<std::uint64_t>(now.time_since_epoch().count()));
        }
        dispatch(queue.take());
    }
}

void WorldState::withdraw(Incarnation& process) {
    std::deque<Ready> rest;
    for (auto& entry : std::exchange(ready, {})) {
        if (entry.process == &process) {
            process.unwind_queue.push_back(std::move(entry.function));
        } else {
            rest.push_back(std::move(entry));
        }
    }
    for (auto& entry : rest) ready.push_back(std::move(entry));
}

void WorldState::reap_the_dead() {
    while (!dead.empty()) {
        auto* const process = dead.back();
        dead.pop_back();
        process->reap();
    }
}

// --- World

World::World(std::uint64_t seed, WorldOptions options)
    : state_{std::make_unique<State>(*this, seed, std::move(options))} {
    state_->network = std::make_unique<Network>(*this);
    NodeOptions tester;
    tester.name = "tester";
    tester.role = Role::client;
    state_->tester = std::make_unique<Node>(*this, kTester, std::move(tester));
    state_->by_id.emplace(state_->tester->id(), kTester);
}

World::~World() {
    state_->harm_tasks.reset();
    for (const auto& node : state_->nodes) {
        if (node->up()) node->kill();
    }
    state_->tester->kill();
    state_->reap_the_dead();
}

std::uint64_t World::seed() const { return state_->seed; }

Node& World::add_node(NodeOptions options) {
    const auto index = static_cast<NodeIndex>(state_->nodes.size());
    state_->nodes.push_back(std::make_unique<Node>(*this, index, std::move(options)));
    auto& node = *state_->nodes.back();
    state_->by_id.emplace(node.id(), index);
    return node;
}

void World::add_nodes(std::size_t count, const NodeOptions& options) {
    for (std::size_t i = 0; i < count; ++i) add_node(options);
}

Node& World::node(NodeIndex index) {
    if (index == kTester) return *state_->tester;
    assert(index < state_->nodes.size());
    return *state_->nodes[index];
}

std::size_t World::size() const { return state_->nodes.size(); }
Network& World::network() { return *state_->network; }
const SigningKey& World::authority() const { return state_->authority; }
const Guid& World::network_id() const { return state_->network_id; }
const Policy& World::policy() const { return state_->options.policy; }

Roster World::roster() const {
    Roster roster;
    roster.network = state_->network_id;
    roster.version = 1;
    for (const auto& node : state_->nodes) {
        const auto& certificate = node->certificate();
        roster.members.push_back(
            {node->id(), certificate.role, certificate.failure_domain, certificate.serial, /*revoked=*/false});
    }
    std::sort(roster.members.begin(), roster.members.end(),
              [](const Roster::Member& a, const Roster::Member& b) { return a.id < b.id; });
    roster.signature = state_->authority.sign("pelago roster", roster.body());
    return roster;
}

NodeEnv& World::env() { return state_->tester->env(); }
Rng& World::rng() { return state_->test_rng; }

void World::drive(Task<void> task) {
    if (!state_->tester->drive(std::move(task))) throw_cancelled();
}

void World::run_for(Duration duration) {
    const auto limit = state_->now + duration;
    state_->advance(limit, [] { return false; });
    state_->now = limit;
    state_->runs_this_instant = 0;
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
    const auto end = state_->now + limit;
    if (state_->advance(end, done)) return true;
    state_->now = std::max(state_->now, end);
    return done();
}

void World::settle() {
    state_->advance(state_->now, [] { return false; });
}

void World::spawn(Task<void> task) { state_->tester->spawn(std::move(task)); }

void World::after(Duration delay, std::function<void()> action) {
    env().clock.schedule(env().clock.now() + delay, std::move(action));
}

TimePoint World::now() const { return state_->now; }
Duration World::elapsed() const { return state_->now.time_since_epoch(); }

void World::begin_harm(Task<void> task) {
    if (!state_->harm_tasks) state_->harm_tasks = std::make_unique<TaskGroup>(env().executor);
    state_->harm_tasks->spawn(std::move(task));
}

void World::stop_harm() {
    if (state_->harm_tasks) state_->harm_tasks->cancel();
    settle();
    state_->harm_tasks.reset();
    network().heal();
    for (const auto& node : state_->nodes) {
        node->resume();
        node->set_slowness(1);
        if (!node->up()) node->restart();
    }
}

void World::count_harm(std::string_view name) {
    const auto found = state_->harms.find(name);
    if (found != state_->harms.end()) {
        ++found->second;
    } else {
        state_->harms.emplace(name, 1);
    }
    state_->note(mix(0, name));
}

const std::map<std::string, std::uint64_t, std::less<>>& World::harms() const { return state_->harms; }

std::uint64_t World::trace_hash() const {
    std::uint64_t hash = state_->trace;
    for (const auto& node : state_->nodes) {
        if (node->disk_) hash = mix(hash, node->disk_->trace_hash());
    }
    return hash;
}

void World::trace(std::uint64_t value) { state_->note(value); }
std::uint64_t World::events() const { return state_->events; }

}  // namespace base::sim
