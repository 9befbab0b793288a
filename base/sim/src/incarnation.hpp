// One process of a node, from its start to its death, with its doors. When it dies the doors go dead, its coroutines
// are resumed with operation_aborted until none is left, and then its root object is destroyed.
#pragma once

#include <boost/asio/execution_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/env.hpp"
#include "base/sim/node.hpp"
#include "base/sleepers.hpp"
#include "base/task_group.hpp"
#include "event_queue.hpp"
#include "seeded_rng.hpp"

namespace base::sim {

struct WorldState;

class NodeClock final : public Clock {
  public:
    explicit NodeClock(Incarnation& process) : process_{process} {}
    [[nodiscard]] time_point now() const noexcept override;
    [[nodiscard]] std::int64_t wall_ns() const noexcept override;
    TimerId schedule(time_point when, Callback callback) override;
    bool cancel(TimerId timer) override;

    /// The world's time at which this clock shows `local`.
    [[nodiscard]] TimePoint world_time(TimePoint local) const;
    /// Changes the rate from now on, without a jump.
    void set_rate(double rate);

  private:
    Incarnation& process_;
    double rate_ = 1;
    TimePoint world_base_{};  ///< when the rate was last set ...
    TimePoint local_base_{};  ///< ... and what this clock showed then
};

/// Jobs run inline, after a virtual delay, at most NodeOptions::workers at a time; what their disk calls took delays
/// the end of the job.
class NodeWorkers final : public Workers {
  public:
    explicit NodeWorkers(Incarnation& process) : process_{process} {}
    [[nodiscard]] unsigned parallelism() const noexcept override;
    Task<void> run_job(Job job) override;

    struct Work {
        Job job;
        std::move_only_function<void(std::exception_ptr)> resume;  ///< through the waiter's executor
        std::exception_ptr failure;
    };
    void add(std::shared_ptr<Work> work);
    /// Drops what has not run, ends all with operation_aborted. Returns how many.
    std::size_t abort_all();

  private:
    void begin_next();
    void finish(const std::shared_ptr<Work>& work);
    [[nodiscard]] Duration job_time();

    Incarnation& process_;
    std::deque<std::shared_ptr<Work>> waiting_;
    std::vector<std::shared_ptr<Work>> running_;
};

class NodeTransport final : public Transport {
  public:
    explicit NodeTransport(Incarnation& process) : process_{process} {}
    [[nodiscard]] const Address& self() const override;
    Task<Result<Message>> request(Address to, Message message, TimePoint deadline) override;
    void notify(const Address& to, Message message) override;
    void serve(Service service, RequestHandler on_request, NotifyHandler on_notify) override;

    struct Pending {
        std::uint64_t id = 0;
        NodeIndex to = 0;
        std::size_t bytes = 0;
        std::uint64_t timer = 0;
        Result<Message> result = Errc::timed_out;
        std::move_only_function<void(std::exception_ptr)> resume;
    };
    struct Handlers {
        Service service{};
        RequestHandler on_request;
        NotifyHandler on_notify;
    };

    /// Whatever arrives from the network.
    void receive(Delivery& delivery);
    void finish(std::uint64_t request, Result<Message> result);
    void abort(std::uint64_t request);
    std::size_t abort_all();
    [[nodiscard]] const Handlers* handlers(std::uint16_t kind) const;
    /// An answer to a request that this process serves.
    void answer(NodeIndex to, std::uint64_t request, TimePoint give_up, Result<Message> result);
    void forget_handlers() { handlers_.clear(); }

    std::map<std::uint64_t, NodeIndex> serving;  ///< requests that arrived and are not answered, and whose

  private:
    struct Load {
        std::size_t requests = 0;
        std::size_t bytes = 0;
    };
    std::shared_ptr<Pending> begin(const Address& to, Message message, TimePoint deadline);
    std::shared_ptr<Pending> take(std::uint64_t request);

    Incarnation& process_;
    std::vector<Handlers> handlers_;
    std::map<std::uint64_t, std::shared_ptr<Pending>> pending_;
    std::unordered_map<NodeIndex, Load> load_;  // looked up only
};

/// Makes the node's disk when it is first used.
class NodeDisk final : public base::Disk {
  public:
    explicit NodeDisk(Incarnation& process) : process_{process} {}
    Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) override { return door().open(path, mode); }
    Result<void> rename(std::string_view from, std::string_view to) override { return door().rename(from, to); }
    Result<void> remove(std::string_view path) override { return door().remove(path); }
    Result<void> make_directory(std::string_view path) override { return door().make_directory(path); }
    Result<void> sync_directory(std::string_view path) override { return door().sync_directory(path); }
    Result<std::vector<Entry>> list(std::string_view path) override { return door().list(path); }
    Result<DiskSpace> space() override { return door().space(); }
    Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) override { return door().lock(path); }

  private:
    base::Disk& door();

    Incarnation& process_;
    std::unique_ptr<base::Disk> door_;
    std::unique_ptr<LyingDisk> liar_;
};

class NodeLog final : public Log {
  public:
    explicit NodeLog(Incarnation& process) : process_{process} {}
    void write(Level level, const char* channel, std::string text) override;
    [[nodiscard]] bool enabled(Level level) const noexcept override;

  private:
    Incarnation& process_;
};

struct Incarnation {
    Incarnation(WorldState& world, Node& node, unsigned generation);
    ~Incarnation();
    Incarnation(const Incarnation&) = delete;
    Incarnation& operator=(const Incarnation&) = delete;

    /// Throws operation_aborted if the process is dead: what a coroutine of it gets from every door.
    void require_alive() const;
    [[nodiscard]] TaskGroup& tasks();
    /// Starts a task of which nobody awaits the end; an exception that is no cancellation ends the world's run.
    void spawn(Task<void> task);
    /// Ends every coroutine, then destroys the root object. The process is dead, and none of its code is on the stack.
    void reap();

    WorldState& world;
    Node& node;
    const unsigned generation;
    bool alive = true;
    bool reaping = false;  ///< its queue is `unwind_queue`
    bool reaped = false;
    std::deque<std::move_only_function<void()>> parked;        ///< while paused
    std::deque<std::move_only_function<void()>> unwind_queue;  ///< run only to unwind

    boost::asio::execution_context context;
    SeededRng rng;
    NodeClock clock;
    NodeTransport transport;
    NodeWorkers workers;
    NodeDisk disk;
    NodeLog log;
    NodeEnv env;
    std::unique_ptr<TaskGroup> task_group;  ///< made on first use
    std::shared_ptr<void> root;

  private:
    void run_unwind_queue();
    bool end_coroutines();  ///< false if one goes on for ever
};

}  // namespace base::sim
