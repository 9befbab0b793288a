// One simulated machine: its doors, the process that runs on it, and its deaths.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/crypto.hpp"
#include "base/env.hpp"
#include "base/membership.hpp"
#include "base/sim/disk.hpp"
#include "base/sim/network.hpp"
#include "base/task.hpp"

namespace base::sim {

struct Incarnation;

struct NodeOptions {
    std::string name;  ///< also its endpoint; "" = "n" and its index
    Role role = Role::storage;
    std::string failure_domain;
    std::uint64_t capacity_bytes = 0;
    bool ring_eligible = false;
    std::optional<NodeId> id;  ///< for rings of textbooks: its address and peers then say this, not certificate().id()
    DiskOptions disk;
    unsigned workers = 2;  ///< jobs at once
    Duration job_time =
        std::chrono::microseconds{50};  ///< mean virtual time of a job, besides what its disk calls take
};

/// The wall clock of a node. Its steady clock may run fast or slow too (its rate is trusted within 20 %).
struct ClockError {
    Duration wall_offset{};
    double wall_drift = 0;  ///< 0.01: gains 1 % on real time
    double steady_rate = 1;
};

class Node {
  public:
    /// Builds the root object of the node's software; called again by restart(). `env` lives until the process dies.
    using Program = std::function<std::shared_ptr<void>(NodeEnv& env)>;

    Node(World& world, NodeIndex index, NodeOptions options);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    [[nodiscard]] NodeIndex index() const { return index_; }
    [[nodiscard]] const Address& address() const { return peer_.address; }
    [[nodiscard]] const NodeId& id() const { return peer_.address.id; }
    [[nodiscard]] const std::string& name() const { return peer_.address.endpoint; }
    /// As others see this node.
    [[nodiscard]] const Peer& peer() const { return peer_; }
    [[nodiscard]] const Certificate& certificate() const { return *peer_.certificate; }
    [[nodiscard]] const SigningKey& key() const { return key_; }
    [[nodiscard]] const NodeOptions& options() const { return options_; }

    /// The doors of the running process. A process without a program runs from the beginning. Requires: up().
    [[nodiscard]] NodeEnv& env();
    /// Runs `program` in a fresh process (an older one is killed first).
    void start(Program program);
    /// The same for `factory(env)` that returns a unique_ptr or shared_ptr; returns the object.
    template <class Factory>
        requires(!std::is_same_v<std::remove_cvref_t<Factory>, Program>)
    auto& start(Factory factory) {
        using Object = typename std::invoke_result_t<Factory&, NodeEnv&>::element_type;
        Program program{[factory = std::move(factory)](NodeEnv& env) mutable {
            std::shared_ptr<Object> object{factory(env)};
            return std::shared_ptr<void>{std::move(object)};
        }};
        start(std::move(program));
        return root<Object>();
    }
    /// The running program's object; it must be of this type. Gone after kill(): ask again after restart().
    template <class Object>
    [[nodiscard]] Object& root() {
        return *static_cast<Object*>(root_pointer());
    }
    [[nodiscard]] bool running() const;  ///< up, with a program

    /// Starts a task of this process. It ends (operation_aborted) when the process dies.
    void spawn(Task<void> task);
    /// The same, and runs the world until it is done. Nullopt (false for void) if the process died first.
    template <class T>
    std::optional<T> run(Task<T> task) {
        auto value = std::make_shared<std::optional<T>>();
        if (!drive(keep(std::move(task), value))) return std::nullopt;
        return std::move(*value);
    }
    bool run(Task<void> task) { return drive(std::move(task)); }

    /// kill -9: nothing more of the process takes effect, its coroutines end, its root object is destroyed, its peers'
    /// connections break. The disk keeps its cache. Called from inside the process it takes effect before the next call
    /// of any door.
    void kill();
    /// The machine is off: like kill(), what was not synced is lost as `loss` says, and connections time out.
    void power_off(PowerLoss loss = PowerLoss::reordered);
    /// A new process, with the same program, on the same disk. Requires: !up().
    void restart();
    [[nodiscard]] bool up() const { return incarnation_ != nullptr; }
    [[nodiscard]] bool powered() const { return powered_; }
    /// How many processes have run so far.
    [[nodiscard]] unsigned generation() const { return generation_; }

    void pause();   ///< SIGSTOP: connections stay, nothing runs; time passes
    void resume();  ///< what was due meanwhile happens now
    [[nodiscard]] bool paused() const { return paused_; }

    void set_clock(ClockError error);  ///< from now on, also for later processes
    void step_wall_clock(Duration step);

    [[nodiscard]] Disk& disk();  ///< made on first use
    /// From the next start(), restart() on (and now, if the process has not used its disk): sync calls lie.
    void plant(DiskFaults faults);
    /// The process dies at this boundary of its disk (Disk::crash_at), and with `loss` the machine's power goes too.
    void crash_on_disk(std::uint64_t boundary, CrashSide side, std::optional<PowerLoss> loss = {});
    /// Jobs of this node take this many times longer, disk time included.
    void set_slowness(double factor);

  private:
    friend class World;
    friend class Network;
    friend struct Incarnation;
    friend class NodeClock;
    friend class NodeDisk;
    friend class NodeWorkers;

    template <class T>
    static Task<void> keep(Task<T> task, std::shared_ptr<std::optional<T>> value) {
        value->emplace(co_await std::move(task));
    }
    bool drive(Task<void> task);
    void boot();
    void die(std::optional<PowerLoss> loss);
    void* root_pointer();

    World& world_;
    NodeIndex index_;
    NodeOptions options_;
    SigningKey key_;
    Peer peer_;
    Program program_;
    ClockError clock_error_;
    DiskFaults faults_;
    double slowness_ = 1;
    std::unique_ptr<Disk> disk_;
    Incarnation* incarnation_ = nullptr;  // the world keeps it, also after its death
    unsigned generation_ = 0;
    bool powered_ = true;
    bool paused_ = false;
    bool dying_in_a_call_ = false;  // its code is on the stack
};

}  // namespace base::sim
