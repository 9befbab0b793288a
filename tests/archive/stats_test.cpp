// stats: restic's four ways of counting.
#include "objstore/archive/stats.hpp"

#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

struct StatsWorld : ArchiveWorld {
    StatsWorld() {
        tree.write("/src/a/large", noise(2'000'000, 1));
        tree.write("/src/a/copy", noise(2'000'000, 1));
        tree.write("/src/one", "one");
        tree.hard_link("/src/two", "/src/one");
        tree.symlink("/src/link", "one");
        snapshots.push_back(*backup().snapshot);
    }
    Stats count(StatsMode mode) { return world.run(count_stats(*volume, snapshots, mode)).value(); }

    std::vector<Snapshot> snapshots;
};

TEST(Stats, RestoreSizeHasEveryNameAndEachFileOnce) {
    StatsWorld w;
    const auto stats = w.count(StatsMode::restore_size);
    EXPECT_EQ(stats.snapshots, 1U);
    EXPECT_EQ(stats.files, 7U) << "src, a, large, copy, one, two, link";
    EXPECT_EQ(stats.bytes, 4'000'003U);
    w.snapshots.push_back(*w.backup().snapshot);
    EXPECT_EQ(w.count(StatsMode::restore_size).bytes, 8'000'006U) << "a restore of each";
}

TEST(Stats, EqualContentsCountOnceWhereverTheyAre) {
    StatsWorld w;
    w.snapshots.push_back(*w.backup().snapshot);
    const auto files = w.count(StatsMode::files_by_contents);
    EXPECT_EQ(files.files, 2U);
    EXPECT_EQ(files.bytes, 2'000'003U);
    const auto chunks = w.count(StatsMode::blobs_per_file);
    EXPECT_EQ(chunks.files, 2U);
    EXPECT_EQ(chunks.bytes, 2'000'003U);
    EXPECT_GE(chunks.blobs, 3U);
}

TEST(Stats, RawDataIsWhatTheSnapshotsTakeInStorage) {
    StatsWorld w;
    const auto first = w.count(StatsMode::raw_data);
    EXPECT_GT(first.bytes, 2'000'000U);
    EXPECT_LT(first.bytes, 2'100'000U);
    w.tree.write("/src/new", noise(1'000'000, 2));
    w.snapshots.push_back(*w.backup().snapshot);
    const auto both = w.count(StatsMode::raw_data);
    EXPECT_EQ(both.snapshots, 2U);
    EXPECT_GT(both.blobs, first.blobs);
    EXPECT_LT(both.bytes, first.bytes + 1'100'000U) << "what they share counts once";
}

TEST(Stats, ADamagedTreeIsAnError) {
    StatsWorld w;
    w.storage.lose_block(w.snapshots[0].root->id);
    w.volume = w.world.run(Volume::open(w.env, w.storage, *w.high_water, owner_key(), "archive")).value();
    for (const auto mode : {StatsMode::restore_size, StatsMode::raw_data})
        EXPECT_EQ(w.world.run(count_stats(*w.volume, w.snapshots, mode)).error(), Errc::damaged);
}

}  // namespace
}  // namespace objstore::archive::test
