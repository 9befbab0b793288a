// What PAST's storage management is worth: Rowstron & Druschel, SOSP 2001, section 5.1, at a fifteenth of its size (150
// peers). The full size, and what depends on the model of file sizes: docs/papers.md#storage-management.
#include "storage_sim.hpp"

#include <gtest/gtest.h>

namespace past::test {
namespace {

constexpr std::size_t kPeers = 150;
constexpr std::uint64_t kFiles = 124'200;  // five copies of all are half as much again as there is room for
constexpr std::uint64_t kSeeds = 2;

StorageOptions files_of(std::uint64_t seed, double primary, double diverted, unsigned resalts) {
    StorageOptions options;
    options.peers = kPeers;
    options.seed = seed;
    options.thresholds = {primary, diverted};
    options.resalts = resalts;
    return options;
}
StorageFigures whole_files(std::uint64_t seed, Sizes sizes, double primary, double diverted, unsigned resalts = 3) {
    return offer_files(files_of(seed, primary, diverted, resalts), sizes, kFiles);
}
/// Until the first is refused.
StorageFigures blocks(std::uint64_t seed, Sizes sizes, unsigned copies, std::uint64_t bytes) {
    auto options = files_of(seed, 0.1, 0.05, 0);
    options.copies = copies;
    options.block_bytes = bytes;
    options.strangers = 32;
    StorageModel model{options};
    Draw draw{seed, 3};
    while (model.insert(draw_size(draw, sizes))) {
    }
    return model.figures();
}

class StorageManagement : public testing::TestWithParam<Sizes> {};
INSTANTIATE_TEST_SUITE_P(BothModels, StorageManagement, testing::Values(Sizes::tail, Sizes::lognormal),
                         [](const auto& of) { return of.param == Sizes::tail ? "tail" : "lognormal"; });

// 5.1: without replica and file diversion 51.1 % of the insertions failed, and utilisation reached 60.8 %.
TEST_P(StorageManagement, WithoutDiversionHalfOfTheFilesAreRefusedAtSixtyPercent) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto f = whole_files(seed, GetParam(), 1.0, 0.0, 0);
        EXPECT_GT(StorageFigures::share(f.refused_files, f.files), 0.35) << seed;
        EXPECT_LT(StorageFigures::share(f.refused_files, f.files), 0.65) << seed;
        EXPECT_GT(f.utilisation(), 0.5) << seed;
        EXPECT_LT(f.utilisation(), 0.7) << seed;
        EXPECT_EQ(f.diverted_copies, 0U);
    }
}

// 5.1, table 2: at t_pri 0.1, t_div 0.05, l = 32 98.2 % utilisation; about a sixth of the copies diverted.
TEST_P(StorageManagement, WithDiversionTheNetworkFillsUp) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto with = whole_files(seed, GetParam(), 0.1, 0.05);
        const auto without = whole_files(seed, GetParam(), 1.0, 0.0, 0);
        EXPECT_GT(with.utilisation(), 0.85) << seed;
        EXPECT_LT(with.refused_files, without.refused_files) << seed;
        EXPECT_LT(with.refused_bytes, without.refused_bytes) << seed;
        EXPECT_GT(StorageFigures::share(with.diverted_copies, with.copies), 0.05) << seed;
        EXPECT_LT(StorageFigures::share(with.diverted_copies, with.copies), 0.25) << seed;
    }
}

// 5.1: success is counted in files there, and the files that are refused are the large ones.
TEST(StorageManagementModel, OfBytesFarMoreAreRefusedThanOfFiles) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const auto f = whole_files(seed, Sizes::tail, 0.1, 0.05);
        EXPECT_GT(StorageFigures::share(f.refused_bytes, f.bytes), 10 * StorageFigures::share(f.refused_files, f.files))
            << seed;
    }
}

// 5.1, tables 3 and 4: utilisation falls as either threshold does.
TEST(StorageManagementModel, UtilisationFallsAsEitherThresholdIsTightened) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        double before = 1.0;
        for (const double primary : {0.5, 0.2, 0.1, 0.05}) {
            const auto now = whole_files(seed, Sizes::tail, primary, 0.05).utilisation();
            EXPECT_LT(now, before) << seed << " t_pri " << primary;
            before = now;
        }
        before = 1.0;
        for (const double diverted : {0.1, 0.05, 0.01, 0.005}) {
            const auto now = whole_files(seed, Sizes::tail, 0.1, diverted).utilisation();
            EXPECT_LT(now, before) << seed << " t_div " << diverted;
            before = now;
        }
    }
}

// Ours: the goal is 95 % before the first block is refused, and before the first has fewer than its copies.
TEST_P(StorageManagement, InBlocksNothingIsRefusedBeforeTheNetworkIsFull) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        for (const unsigned copies : {3U, 5U}) {
            const auto small = blocks(seed, GetParam(), copies, kMiB / 16);
            EXPECT_GE(small.at_first_refusal, 0.95) << seed << " k = " << copies;
            EXPECT_GE(small.at_first_short, 0.95) << seed << " k = " << copies;
            const auto large = blocks(seed, GetParam(), copies, kMiB);
            EXPECT_GE(large.at_first_refusal, 0.95) << seed << " k = " << copies;
        }
    }
}

TEST(StorageManagementModel, NoPeerEverHasMoreThanItsCapacityNorTwoCopiesOfOneFile) {
    for (const std::uint64_t block_bytes : {std::uint64_t{0}, std::uint64_t{1} << 30U}) {
        auto options = files_of(1, 0.1, 0.05, 3);
        options.block_bytes = block_bytes;
        options.strangers = 32;
        StorageModel model{options};
        Draw draw{1, 3};
        std::vector<std::uint64_t> kept(model.peers(), 0);
        std::vector<std::uint64_t> capacity;
        for (std::size_t peer = 0; peer < model.peers(); ++peer) capacity.push_back(model.free_bytes(peer));
        for (std::uint64_t i = 0; i < kFiles; ++i) {
            const auto copies = model.insert(draw_size(draw, Sizes::tail));
            if (!copies) continue;
            for (std::size_t a = 0; a < copies->size(); ++a) {
                kept[(*copies)[a].peer] += (*copies)[a].bytes;
                for (std::size_t b = 0; b < a; ++b) ASSERT_NE((*copies)[a].peer, (*copies)[b].peer);
            }
        }
        for (std::size_t peer = 0; peer < model.peers(); ++peer) {
            ASSERT_LE(kept[peer], capacity[peer]);
            ASSERT_EQ(kept[peer], capacity[peer] - model.free_bytes(peer));
        }
    }
}

}  // namespace
}  // namespace past::test
