// A network of small disks of different sizes is filled until the first put is refused: how full is it then?
//
// The same question without stores, disks and messages, at the paper's size: storage_sim_test.cpp.
#include <cstdio>

#include "base/error.hpp"
#include "cluster.hpp"
#include "past/error.hpp"

namespace past::test {
namespace {

constexpr std::size_t kPeers = 24;
constexpr std::uint64_t kMiB = 1U << 20U;

ClusterOptions small_disks() {
    ClusterOptions options;
    options.peers = kPeers;
    options.peer.store.reserve_bytes = 512U << 10U;  // a quarter of it is for pointers
    options.peer.store.segment_bytes = 256U << 10U;
    options.peer.store.state_ahead_bytes = 16U << 10U;
    options.peer.store.checkpoint_bytes = 64U << 10U;
    options.adjust = [](std::size_t index, PeerProcess::Options& peer) {
        peer.store.capacity_bytes = 2 * kMiB + index % 6 * kMiB;  // 2 to 7 MiB
    };
    return options;
}

struct Fill {
    std::uint64_t blocks = 0, block_bytes = 0, room = 0, capacity = 0;
    [[nodiscard]] double utilisation() const {
        return static_cast<double>(block_bytes) / static_cast<double>(block_bytes + room);
    }
};

Fill fill_of(Cluster& cluster) {
    Fill sum;
    for (std::size_t i = 0; i < kPeers; ++i) {
        const auto usage = cluster.peer(i).store->usage();
        const auto taken = usage.disk_bytes + usage.reserve_bytes;
        sum.blocks += usage.blocks;
        sum.block_bytes += usage.block_bytes;
        sum.capacity += usage.capacity_bytes;
        sum.room += usage.capacity_bytes > taken ? usage.capacity_bytes - taken : 0;
    }
    return sum;
}

// The bound: storage_sim_test.cpp promises 95 % where a block is at most a twentieth of a peer; here the largest is a
// thirtieth of the smallest. Garbage, headers, the log and the reserve are not counted as room: what a block could have
// had is what is counted.
TEST(FullNetwork, NothingIsRefusedBeforeItIsFull) {
    sim::World world{1};
    Cluster cluster{world, small_disks()};
    double at_first_short = 1.0;
    for (std::uint64_t puts = 0;; ++puts) {
        const auto size = 1024 + world.rng().below(63U << 10U);
        const auto outcome = cluster.put(world.rng().below(kPeers), puts, Wait::full, size);
        if (!outcome) {
            EXPECT_EQ(outcome.error(), Errc::no_space) << outcome.error().message();
            break;
        }
        const bool is_short = outcome->copies_stored < 3;
        if (is_short && at_first_short == 1.0) at_first_short = fill_of(cluster).utilisation();
    }
    const auto fill = fill_of(cluster);
    const auto total = cluster.total();
    std::printf(
        "%llu copies, utilised %.2f %% (of the disks with all that is no block %.2f %%); first with fewer than "
        "three copies at %.2f %%; diverted %.1f %%\n",
        static_cast<unsigned long long>(fill.blocks), 100 * fill.utilisation(),
        100 * static_cast<double>(fill.block_bytes) / static_cast<double>(fill.capacity), 100 * at_first_short,
        100 * static_cast<double>(total.blocks_diverted) / static_cast<double>(fill.blocks));
    EXPECT_GE(fill.utilisation(), 0.95);
    EXPECT_GE(at_first_short, 0.95);
    EXPECT_GT(total.blocks_diverted, fill.blocks / 20) << "and it was diversion that did it";
}

}  // namespace
}  // namespace past::test
