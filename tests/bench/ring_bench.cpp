// How fast and how small is a simulated ring that only keeps itself in order?
//
//     ring_bench [nodes = 10000] [virtual seconds = 120]
//
// Goals on one core: >= 60,000 simulated node-seconds a second, <= 300 kB a node, < 0.25 notices a second and node.
// Also times the routing decision itself (goal >= 1 million a second).
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "pastry/ring.hpp"
#include "router.hpp"

namespace {

using Wall = std::chrono::steady_clock;

double seconds_since(Wall::time_point begun) { return std::chrono::duration<double>(Wall::now() - begun).count(); }

double resident_kib() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

void next_hops(pastry::testing::Ring& ring) {
    std::vector<base::Guid> keys;
    for (int i = 0; i < 1000; ++i) keys.push_back(ring.world.rng().guid());
    const auto& router = ring.node(0).router();
    const auto begun = Wall::now();
    std::size_t sent = 0;
    constexpr int kRounds = 1000;
    for (int round = 0; round < kRounds; ++round) {
        for (const auto& key : keys) sent += router.next_hop(key).kind == pastry::Router::Step::Kind::send ? 1U : 0U;
    }
    std::printf("next-hop decisions         %10.0f /s (%zu sent on)\n",
                kRounds * static_cast<double>(keys.size()) / seconds_since(begun), sent);
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t nodes = argc > 1 ? std::stoul(argv[1]) : 10'000;
    const long span = argc > 2 ? std::stol(argv[2]) : 120;

    const double before = resident_kib();
    auto begun = Wall::now();
    pastry::testing::Ring ring{1};
    ring.add_directly(nodes);
    std::printf("built %zu nodes in          %10.1f s\n", nodes, seconds_since(begun));
    std::printf("memory a node, built       %10.1f KiB\n", (resident_kib() - before) / static_cast<double>(nodes));

    const auto process_begun = std::clock();
    begun = Wall::now();
    ring.world.run_for(std::chrono::seconds{span});
    const double wall = seconds_since(begun);
    const double cpu = static_cast<double>(std::clock() - process_begun) / CLOCKS_PER_SEC;
    const double node_seconds = static_cast<double>(nodes) * static_cast<double>(span);
    std::printf("memory a node, run         %10.1f KiB\n", (resident_kib() - before) / static_cast<double>(nodes));
    std::printf("node-seconds a CPU second  %10.0f\n", node_seconds / cpu);
    std::printf("node-seconds a wall second %10.0f\n", node_seconds / wall);
    std::printf("notices a second and node  %10.3f\n", static_cast<double>(ring.notices_sent()) / node_seconds);
    next_hops(ring);
    return 0;
}
