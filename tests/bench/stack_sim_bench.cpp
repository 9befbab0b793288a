// How fast is the simulator with the whole stack in it: Pastry, PAST with repair and registers, SegmentStore on the
// simulated disk?
//
//     stack_sim_bench [nodes = 32] [virtual seconds = 120]
//
// The goal on one core: >= 900 simulated node-seconds a second. The load: docs/simulation.md#figures. Every node keeps
// copies for the others and is a client with a volume of its own.
#include <cstdio>
#include <ctime>
#include <string>

#include "past/cluster.hpp"

namespace past::test {
namespace {

constexpr std::uint64_t kGroups = 16;  // of a volume: the least that there are

base::Guid group(std::size_t index, std::uint64_t batch) { return group_of(index * 1'000'000 + batch % kGroups); }

struct Done {
    std::size_t puts = 0, gets = 0, records = 0, failed = 0;
};

base::Task<void> live(Cluster* cluster, std::size_t index, Done* done) {
    auto& env = cluster->machine(index).env();
    auto& node = cluster->node(index);
    std::uint64_t mine = index * 1'000'000;
    std::uint64_t sequence = 0;
    for (std::uint64_t second = 0;; ++second) {
        co_await env.clock.sleep_for(500ms + std::chrono::milliseconds{env.rng.below(1000)});
        if (second % 2 == 0) {
            ++mine;
            std::vector<Block> blocks;
            for (std::uint64_t i = 0; i < 4; ++i) blocks.push_back(make_block(mine * 4 + i, 4096));
            const auto put =
                co_await node.put(group(index, mine), test_tag(), std::move(blocks), Wait::majority, cluster->in(30s));
            ++(put ? done->puts : done->failed);
        }
        const auto which = index * 1'000'000 + 1 + env.rng.below(mine - index * 1'000'000);
        const auto got = co_await node.get(group(index, which), make_block(which * 4, 4096).id, cluster->in(30s));
        ++(got ? done->gets : done->failed);
        if (second % 10 == 9) {
            const auto key = group_of(index);
            auto record = make_record(sequence + 1, "bench");
            const auto written = co_await node.write_record(key, sequence, std::move(record), cluster->in(30s));
            if (written) ++sequence;
            ++(written ? done->records : done->failed);
        }
    }
}

int run(std::size_t nodes, long span) {
    Done done;
    sim::World world{1};
    ClusterOptions options;
    options.peers = nodes;
    options.peer.overlay = pastry::Config{};
    Cluster cluster{world, options};
    for (std::size_t i = 0; i < nodes; ++i) cluster.machine(i).spawn(live(&cluster, i, &done));
    const auto events = world.events();
    const auto begun = std::clock();
    world.run_for(std::chrono::seconds{span});
    const auto seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
    const auto node_seconds = static_cast<double>(nodes) * static_cast<double>(span);
    std::printf("%zu nodes, %ld virtual seconds in %.2f s of CPU\n", nodes, span, seconds);
    std::printf("simulated node-seconds a second %10.0f\n", node_seconds / seconds);
    std::printf("events a node-second            %10.1f\n",
                static_cast<double>(world.events() - events) / node_seconds);
    std::printf("puts %zu, gets %zu, records %zu, failed %zu\n", done.puts, done.gets, done.records, done.failed);
    return done.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace past::test

int main(int argc, char** argv) {
    const std::size_t nodes = argc > 1 ? std::stoul(argv[1]) : 32;
    const long span = argc > 2 ? std::stol(argv[2]) : 120;
    return past::test::run(nodes, span);
}
