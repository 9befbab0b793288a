// What a backup asks of the network.
#include "cluster.hpp"

namespace past::test {
namespace {

base::Task<void> put_batches(Cluster* cluster, std::shared_ptr<std::vector<std::uint64_t>> left, std::size_t groups,
                             std::shared_ptr<std::size_t> running) {
    ++*running;
    while (!left->empty()) {
        const auto batch = left->back();
        left->pop_back();
        std::vector<Block> blocks;
        for (std::uint64_t i = 0; i < 16; ++i) blocks.push_back(make_block(batch * 16 + i, 64));
        const auto outcome = co_await cluster->node(0).put(group_of(batch % groups), test_tag(), std::move(blocks),
                                                           Wait::majority, cluster->in(60s));
        EXPECT_TRUE(outcome) << outcome.error().message();
    }
    --*running;
}

// The issue: "peers contacted and RPCs per GiB of backup at 1,000 simulated peers: <= 64 peers at one time".
// A batch stands for 1 MiB: sixteen blocks of 64 KiB, here of 64 bytes each, since calls are counted and not bytes. The
// volume uses sixteen groups (4 bits of the BGUID), the least that there may be, with 16 puts under way.
TEST(Load, ABackupToAThousandPeersTalksToFewOfThem) {
    sim::World world{1};
    ClusterOptions options;
    options.peers = 1000;
    options.peer.reach = 16;
    options.peer.config.repair = false;
    Cluster cluster{world, options};
    world.network().reset_counters();
    const auto gib = 1024U;
    const auto left = std::make_shared<std::vector<std::uint64_t>>();
    for (std::uint64_t i = 0; i < gib; ++i) left->push_back(i);
    const auto running = std::make_shared<std::size_t>(0);
    for (int i = 0; i < 16; ++i) cluster.machine(0).spawn(put_batches(&cluster, left, 16, running));
    ASSERT_TRUE(world.run_until([&] { return left->empty() && *running == 0; }, 1h));
    const auto traffic = world.network().traffic(cluster.nodes[0]);
    RecordProperty("peers_at_one_time", static_cast<int>(traffic.peers_peak));
    RecordProperty("peers_in_all", static_cast<int>(traffic.peers_contacted));
    RecordProperty("requests_per_gib", static_cast<int>(traffic.requests_sent));
    std::printf("1 GiB to 1,000 peers: %zu peers at one time, %zu in all, %llu requests\n", traffic.peers_peak,
                traffic.peers_contacted, static_cast<unsigned long long>(traffic.requests_sent));
    EXPECT_LE(traffic.peers_peak, 64U);
    EXPECT_LE(traffic.peers_contacted, 80U);
    EXPECT_LE(traffic.requests_sent, 3U * gib + 200U) << "one store a holder and batch, and few look-ups";
}

}  // namespace
}  // namespace past::test
