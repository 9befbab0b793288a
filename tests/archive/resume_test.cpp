// A backup that was cut short, whichever way, and the one after it.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

std::uint64_t data_blocks(const ArchiveWorld& world) { return world.storage.blocks().size(); }

TEST(Resume, WhatWasStoredBeforeAFailureIsNotSentAgain) {
    ArchiveWorld world;
    world.fill("/src", 1500);
    world.tree.write("/src/z large", noise(6'000'000, 1));
    unsigned puts = 0;
    world.storage.fail_put = [&](const auto&) -> std::optional<base::Error> {
        if (++puts > 4) return base::Error{past::Errc::holders_unreachable};
        return std::nullopt;
    };
    auto options = world.options();
    const auto failed = world.try_backup(options);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), past::Errc::holders_unreachable);
    world.storage.fail_put = {};
    const auto stored = world.block_ids();

    std::set<base::Guid> sent_again;
    world.storage.fail_put = [&](const std::vector<past::Block>& blocks) -> std::optional<base::Error> {
        for (const auto& block : blocks) {
            if (stored.contains(block.id)) sent_again.insert(block.id);
        }
        return std::nullopt;
    };
    const auto report = world.backup();
    // Nodes of the tree are made when all content is stored, and may be sent twice: put() keeps one.
    std::erase_if(sent_again, [&](const base::Guid& id) {
        const auto type = BlockHeader::decode(world.storage.blocks().at(id).bytes)->type;
        return type != BlockType::pack && type != BlockType::data;
    });
    EXPECT_TRUE(sent_again.empty()) << sent_again.size() << " of " << stored.size();
    EXPECT_EQ(report.warnings.count(), 0U);
    world.restore(*report.snapshot);
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

TEST(Resume, ACancelledBackupListsNothingAndLeavesARepeatableState) {
    for (int after_ms : {0, 1, 3, 8, 20, 60}) {
        ArchiveWorld world;
        world.fill("/src", 600);
        world.tree.write("/src/large", noise(5'000'000, 1));
        boost::asio::cancellation_signal stop;
        std::exception_ptr ended;
        bool done = false;
        boost::asio::co_spawn(world.env.executor,
                              archive::backup(world.env, world.tree, *world.volume, world.options()),
                              boost::asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr error, auto) {
                                  ended = error;
                                  done = true;
                              }));
        world.world.run_for(std::chrono::milliseconds{after_ms});
        stop.emit(boost::asio::cancellation_type::all);
        world.world.run_until([&] { return done; }, std::chrono::seconds{30});
        ASSERT_TRUE(done);
        if (!ended) continue;  // it was faster
        EXPECT_TRUE(world.world.run(list_snapshots(*world.volume, {})).value().empty());
        const auto report = world.backup();
        world.restore(*report.snapshot);
        EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src")) << after_ms;
    }
}

TEST(Resume, ACacheThatIsLostIsMadeAgainFromTheVolume) {
    ArchiveWorld world;
    world.fill("/src", 500);
    world.backup();
    const auto blocks = data_blocks(world);
    auto options = world.options();
    options.cache_path = "another/cache";
    options.reread = true;
    const auto again = world.backup(options);
    EXPECT_EQ(again.bytes_new, 0U);
    EXPECT_LE(data_blocks(world), blocks + 2);

    options.no_parent = true;  // now from the file that was made
    const auto third = world.backup(options);
    EXPECT_EQ(third.bytes_new, 0U);
}

TEST(Resume, ABackupBesideAnotherAsksTheVolumeInsteadOfTheCache) {
    ArchiveWorld world;
    world.fill("/src", 500);
    world.backup();
    const auto other = world.env.disk.lock("cache/dedup.lock").value();
    auto options = world.options();
    options.no_parent = true;
    EXPECT_EQ(world.backup(options).bytes_new, 0U);
}

TEST(Resume, ADamagedCacheIsMadeAgain) {
    ArchiveWorld world;
    world.fill("/src", 500);
    world.backup();
    auto file = world.env.disk.open("cache/dedup", base::Disk::Mode::read_write).value();
    const auto middle = file->size().value() / 2;
    file->write_at(middle, base::as_bytes("rot")).value();
    auto options = world.options();
    options.no_parent = true;
    const auto again = world.backup(options);
    EXPECT_EQ(again.bytes_new, 0U);
    EXPECT_EQ(again.warnings.count(), 0U);
}

TEST(Resume, ABlockThatWasReclaimedMeanwhileIsStoredAgain) {
    ArchiveWorld world;
    world.fill("/src", 500);
    world.tree.write("/src/large", noise(5'000'000, 1));
    world.backup();
    const auto stored = world.block_ids();
    // The volume is forgotten, its blocks are reclaimed, the cache still speaks of them.
    for (const auto& id : stored) {
        if (world.storage.blocks().at(id).bytes.size() > 100'000) world.storage.lose_block(id);
    }
    auto options = world.options();
    options.no_parent = true;
    const auto again = world.backup(options);
    EXPECT_GT(again.bytes_new, 5'000'000U);
    world.restore(*again.snapshot);
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

TEST(Resume, TwoBackupsAtOnceBothGetTheirSnapshot) {
    ArchiveWorld world;
    world.fill("/src", 200);
    world.fill("/other", 200, 2);
    auto second_volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive"));
    std::optional<base::Result<BackupReport>> other;
    auto work = [](ArchiveWorld& on, Volume& volume,
                   std::optional<base::Result<BackupReport>>& out) -> base::Task<void> {
        auto options = on.options({"/other"});
        options.host = "other host";
        out.emplace(co_await archive::backup(on.env, on.tree, volume, std::move(options)));
    };
    world.world.spawn(work(world, **second_volume, other));
    const auto first = world.backup();
    world.world.run_until([&] { return other.has_value(); }, std::chrono::seconds{60});
    ASSERT_TRUE(other && *other);
    world.world.run(world.volume->refresh()).value();
    EXPECT_EQ(world.world.run(list_snapshots(*world.volume, {})).value().size(), 2U);
    world.restore(*first.snapshot);
    world.restore(*(**other).snapshot);
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
    EXPECT_EQ(world.tree.describe("/restored/other"), world.tree.describe("/other"));
}

}  // namespace
}  // namespace objstore::archive::test
