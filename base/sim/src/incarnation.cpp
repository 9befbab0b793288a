#include "incarnation.hpp"

#include <fmt/format.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cmath>
#include <cstdio>

#include "cancellation.hpp"
#include "node_executor.hpp"
#include "world_state.hpp"

namespace base::sim {

void post_to(Incarnation& process, std::move_only_function<void()> function) {
    if (process.reaped) return;
    if (process.reaping) {
        process.unwind_queue.push_back(std::move(function));
    } else {
        process.world.ready.push_back({&process, std::move(function)});
    }
}

bool runs_now(const Incarnation& process) { return process.world.current == &process; }

boost::asio::execution_context& context_of(Incarnation& process) { return process.context; }

bool is_cancellation(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
        return failure.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

void throw_cancelled() { throw boost::system::system_error{boost::asio::error::operation_aborted}; }

// --- clock

namespace {

constexpr std::int64_t kWallAtStart = 1'767'225'600'000'000'000;  // 2026-01-01 UTC: a world begins there

Duration scaled(Duration duration, double factor) {
    return Duration{std::llround(static_cast<double>(duration.count()) * factor)};
}

}  // namespace

Clock::time_point NodeClock::now() const noexcept {
    if (rate_ == 1) return local_base_ + (process_.world.now - world_base_);
    return local_base_ + scaled(process_.world.now - world_base_, rate_);
}

std::int64_t NodeClock::wall_ns() const noexcept {
    const auto& error = process_.node.clock_error_;
    const Duration elapsed = process_.world.now.time_since_epoch();
    const Duration drift = error.wall_drift == 0 ? Duration{} : scaled(elapsed, error.wall_drift);
    return kWallAtStart + (elapsed + drift + error.wall_offset).count();
}

TimePoint NodeClock::world_time(TimePoint local) const {
    if (rate_ == 1) return world_base_ + (local - local_base_);
    const double ahead = static_cast<double>((local - local_base_).count()) / rate_;
    return world_base_ + Duration{static_cast<std::int64_t>(std::ceil(ahead))};
}

void NodeClock::set_rate(double rate) {
    local_base_ = now();
    world_base_ = process_.world.now;
    rate_ = rate;
}

Clock::TimerId NodeClock::schedule(time_point when, Callback callback) {
    if (!process_.alive) return ~TimerId{};
    auto& world = process_.world;
    ScheduledEvent event;
    event.owner = &process_;
    event.callback = std::move(callback);
    return world.queue.add(std::max(world.now, world_time(when)), std::move(event));
}

bool NodeClock::cancel(TimerId timer) { return process_.world.queue.cancel(timer); }

// --- disk and log

base::Disk& NodeDisk::door() {
    if (!door_) {
        process_.require_alive();
        door_ = process_.node.disk().process_door();
        const auto& faults = process_.node.faults_;
        if (faults.skip_every_sync || faults.skip_every_directory_sync || faults.skip_sync_number != 0 ||
            faults.skip_directory_sync_number != 0) {
            liar_ = std::make_unique<LyingDisk>(*door_, faults);
        }
    }
    if (liar_) return *liar_;
    return *door_;
}

bool NodeLog::enabled(Level level) const noexcept {
    const auto& print = process_.world.options.print_log;
    return print && level >= *print;
}

void NodeLog::write(Level level, const char* channel, std::string text) {
    if (!enabled(level)) return;
    constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
    fmt::print(stderr, "{} {}#{} {} {}: {}\n", process_.world.when(), process_.node.name(), process_.generation,
               kNames[static_cast<int>(level)], channel, text);
}

// --- life and death

Incarnation::Incarnation(WorldState& world_in, Node& node_in, unsigned generation_in)
    : world{world_in},
      node{node_in},
      generation{generation_in},
      rng{mix(world_in.seed_for("process", node_in.index()), generation_in)},
      clock{*this},
      transport{*this},
      workers{*this},
      disk{*this},
      log{*this},
      env{Executor{NodeExecutor{*this}}, clock, rng, transport, disk, workers, log} {
    boost::asio::make_service<Sleepers>(context);
    clock.set_rate(node.clock_error_.steady_rate);
}

Incarnation::~Incarnation() = default;

void Incarnation::require_alive() const {
    if (!alive) throw_cancelled();
}

TaskGroup& Incarnation::tasks() {
    if (!task_group) task_group = std::make_unique<TaskGroup>(env.executor);
    return *task_group;
}

namespace {

Task<void> watch(WorldState& world, Task<void> task) {
    std::exception_ptr failure;
    try {
        co_await std::move(task);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !is_cancellation(failure)) world.fail(failure);
}

}  // namespace

void Incarnation::spawn(Task<void> task) {
    if (alive) tasks().spawn(watch(world, std::move(task)));
}

void Incarnation::run_unwind_queue() {
    while (!unwind_queue.empty()) {
        auto step = std::move(unwind_queue.front());
        unwind_queue.pop_front();
        try {
            step();
        } catch (...) {
            if (!is_cancellation(std::current_exception())) world.fail(std::current_exception());
        }
    }
}

bool Incarnation::end_coroutines() {
    constexpr int kRounds = 1'000;
    for (int round = 0; round < kRounds; ++round) {
        run_unwind_queue();
        const std::size_t asleep = boost::asio::use_service<Sleepers>(context).abort_all();
        if (asleep + transport.abort_all() + workers.abort_all() == 0 && unwind_queue.empty()) return true;
    }
    world.fail(std::make_exception_ptr(
        Stuck{world.when() + " a coroutine of " + node.name() + " swallows its cancellation and goes on"}));
    return false;
}

void Incarnation::reap() {
    if (reaped) return;
    auto* const before = std::exchange(world.current, this);
    reaping = true;
    world.withdraw(*this);
    for (auto& function : std::exchange(parked, {})) unwind_queue.push_back(std::move(function));
    if (task_group) task_group->cancel();
    // What a coroutine that goes on refers to has to stay until the end of the world.
    if (end_coroutines()) {
        if (node.disk_) node.disk_->set_gentle(true);  // destructors may use the disk, in vain; they cannot throw
        root.reset();
        end_coroutines();
        transport.forget_handlers();
        task_group.reset();
        end_coroutines();
        if (node.disk_) node.disk_->set_gentle(false);
    }
    world.queue.drop(this);
    reaped = true;
    world.current = before;
}

}  // namespace base::sim
