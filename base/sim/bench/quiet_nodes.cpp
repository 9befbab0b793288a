// How fast the bare simulator is: quiet nodes that do nothing but send small notifies to a few neighbours and now and
// then a request. Prints one line of JSON. Usage: sim_quiet_bench [nodes] [virtual seconds] [notifies per node and
// second]
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>

#include "base/sim/world.hpp"

namespace {

using namespace base;
using namespace std::chrono_literals;

/// A state machine with one timer, as pastry has: no coroutine while nothing happens.
class QuietNode {
  public:
    QuietNode(NodeEnv& env, sim::World& world, Duration every) : env_{env}, world_{world}, every_{every} {
        env.transport.serve(Service::pastry, {}, [this](const Peer&, Message message) {
            ++heard_;
            bytes_ += message.size();
        });
        arm();
    }

  private:
    void arm() {
        const auto jitter =
            Duration{static_cast<std::int64_t>(env_.rng.below(static_cast<std::uint64_t>(every_.count())))};
        env_.clock.schedule(env_.clock.now() + every_ / 2 + jitter, [this] {
            send();
            arm();
        });
    }
    void send() {
        // Sixteen neighbours, always the same.
        const auto self = static_cast<std::uint64_t>(next_ % 16 + 1);
        const auto peer =
            static_cast<sim::NodeIndex>((self * 7919 + env_.transport.self().id.bytes()[0]) % world_.size());
        ++next_;
        env_.transport.notify(world_.node(peer).address(), Message(Service::pastry, 1, Bytes(40)));
    }

    NodeEnv& env_;
    sim::World& world_;
    Duration every_;
    std::uint64_t next_ = 0;
    std::uint64_t heard_ = 0;
    std::uint64_t bytes_ = 0;
};

std::size_t resident_bytes() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Of this process's own CPU: the figure does not depend on what else the machine does.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int argc, char** argv) {
    const std::size_t nodes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000;
    const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 60;
    const double rate = argc > 3 ? std::strtod(argv[3], nullptr) : 0.5;

    const auto before = resident_bytes();
    double begin = cpu_seconds();
    sim::World world{1};
    world.add_nodes(nodes);
    const Duration every{static_cast<std::int64_t>(1e9 / rate)};
    for (sim::NodeIndex i = 0; i < nodes; ++i) {
        world.node(i).start([&](NodeEnv& env) { return std::make_unique<QuietNode>(env, world, every); });
    }
    const double set_up = cpu_seconds() - begin;

    begin = cpu_seconds();
    world.run_for(Duration{static_cast<std::int64_t>(seconds * 1e9)});
    const double run = cpu_seconds() - begin;
    const auto messages = world.network().total().notifies_received;
    fmt::print(
        "{{\"nodes\": {}, \"virtual_s\": {}, \"set_up_s\": {:.2f}, \"run_s\": {:.3f}, \"node_seconds_per_s\": {:.0f}, "
        "\"events\": {}, \"us_per_event\": {:.3f}, \"messages\": {}, \"kb_per_node\": {:.1f}}}\n",
        nodes, seconds, set_up, run, static_cast<double>(nodes) * seconds / run, world.events(),
        run * 1e6 / static_cast<double>(world.events()), messages,
        static_cast<double>(resident_bytes() - before) / static_cast<double>(nodes) / 1000);
    return 0;
}
