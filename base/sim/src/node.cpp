#include "base/sim/node.hpp"

#include <boost/asio/co_spawn.hpp>
#include <cassert>

#include "cancellation.hpp"
#include "incarnation.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace {

Key seeded_key(const WorldState& world, std::string_view purpose, NodeIndex index) {
    Key key{};
    SeededRng{world.seed_for(purpose, index)}.fill(key);
    return key;
}

constexpr std::int64_t kCenturyNs = 100LL * 365 * 86'400 * 1'000'000'000;

}  // namespace

Node::Node(World& world, NodeIndex index, NodeOptions options)
    : world_{world}, index_{index}, options_{std::move(options)}, key_{seeded_key(*world.state_, "node key", index)} {
    const WorldState& state = *world.state_;
    Certificate certificate;
    certificate.network = state.network_id;
    certificate.key = key_.public_key();
    certificate.salt = seeded_key(state, "node salt", index);
    certificate.role = options_.role;
    certificate.failure_domain = options_.failure_domain;
    certificate.capacity_bytes = options_.capacity_bytes;
    certificate.ring_eligible = options_.ring_eligible;
    certificate.serial = std::uint64_t{index} + 1;
    certificate.not_after_ns = kCenturyNs;
    certificate.signature = state.authority.sign("pelago certificate", certificate.body());
    peer_.address.id = options_.id.value_or(certificate.id());
    peer_.address.endpoint = options_.name.empty() ? "n" + std::to_string(index) : options_.name;
    peer_.certificate = std::make_shared<const Certificate>(std::move(certificate));
    boot();
}

Node::~Node() = default;

NodeEnv& Node::env() {
    assert(incarnation_ != nullptr && "the process is down");
    return incarnation_->env;
}

void Node::boot() {
    assert(incarnation_ == nullptr);
    auto& state = *world_.state_;
    powered_ = true;
    state.incarnations.push_back(std::make_unique<Incarnation>(state, *this, ++generation_));
    incarnation_ = state.incarnations.back().get();
}

void Node::start(Program program) {
    if (incarnation_ != nullptr && (incarnation_->root || program_)) kill();
    program_ = std::move(program);
    if (incarnation_ != nullptr) {
        incarnation_->root = program_(incarnation_->env);
    } else {
        restart();
    }
}

void Node::restart() {
    world_.state_->reap_the_dead();
    boot();
    auto& process = *incarnation_;
    if (program_) process.root = program_(process.env);
}

bool Node::running() const { return incarnation_ != nullptr && incarnation_->root != nullptr; }

void* Node::root_pointer() {
    assert(running());
    return incarnation_->root.get();
}

void Node::spawn(Task<void> task) {
    assert(up());
    incarnation_->spawn(std::move(task));
}

bool Node::drive(Task<void> task) {
    struct Outcome {
        bool ended = false;
        std::exception_ptr error;
    };
    assert(up());
    auto& process = *incarnation_;
    const auto outcome = std::make_shared<Outcome>();
    boost::asio::co_spawn(process.env.executor, std::move(task), [outcome](std::exception_ptr error) {
        outcome->ended = true;
        outcome->error = error;
    });
    auto& state = *world_.state_;
    const auto limit = state.now + state.options.run_limit;
    state.advance(limit, [&] { return outcome->ended || !process.alive; });
    if (outcome->ended && !outcome->error) return true;
    if (outcome->error && !is_cancellation(outcome->error)) std::rethrow_exception(outcome->error);
    if (!outcome->ended && process.alive) state.stuck("a task of " + name() + " does not end");
    return false;
}

void Node::kill() { die(std::nullopt); }

void Node::power_off(PowerLoss loss) { die(loss); }

void Node::die(std::optional<PowerLoss> loss) {
    auto& state = *world_.state_;
    if (loss) powered_ = false;
    if (disk_) {
        if (loss) {
            disk_->power_off(*loss);
        } else if (incarnation_ != nullptr) {
            disk_->kill();
        }
    }
    if (incarnation_ == nullptr) return;
    auto* const process = std::exchange(incarnation_, nullptr);
    process->alive = false;
    paused_ = false;
    state.note(0x6465616400000000U + index_);
    world_.network().break_connections(*process, !loss);
    state.dead.push_back(process);
    // Called from the process itself, or from a disk call somewhere below it: the world ends it as soon as it can.
    if (state.current == nullptr || (state.current != process && !dying_in_a_call_)) state.reap_the_dead();
}

void Node::pause() { paused_ = true; }

void Node::resume() {
    if (!paused_) return;
    paused_ = false;
    if (incarnation_ == nullptr) return;
    for (auto& function : std::exchange(incarnation_->parked, {})) {
        world_.state_->ready.push_back({incarnation_, std::move(function)});
    }
}

void Node::set_clock(ClockError error) {
    clock_error_ = error;
    if (incarnation_ != nullptr) incarnation_->clock.set_rate(error.steady_rate);
}

void Node::step_wall_clock(Duration step) { clock_error_.wall_offset += step; }

Disk& Node::disk() {
    if (!disk_) disk_ = std::make_unique<Disk>(world_.state_->seed_for("disk", index_), options_.disk);
    return *disk_;
}

void Node::plant(DiskFaults faults) { faults_ = faults; }
void Node::set_slowness(double factor) { slowness_ = factor; }

void Node::crash_on_disk(std::uint64_t boundary, CrashSide side, std::optional<PowerLoss> loss) {
    disk().on_crash([this, loss] {
        dying_in_a_call_ = true;
        die(loss);
        dying_in_a_call_ = false;
    });
    disk().crash_at(boundary, side);
}

}  // namespace base::sim
