// check: every damage of what snapshots need is found, and named with what it costs.
#include "objstore/gc/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "base/error.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"

namespace objstore::archive::test {
namespace {

struct CheckWorld : ArchiveWorld {
    CheckWorld() {
        tree.write("/src/large", noise(3'000'000, 1));  // blocks of its own
        tree.write("/src/small", prose(5'000, 2));
        tree.write("/src/dir/other", prose(5'000, 3));
    }
    gc::CheckReport check(bool read_data = true) {
        gc::CheckOptions options;
        if (read_data) options.read_data.emplace();
        auto fresh = world.run(Volume::open(env, storage, *high_water, owner_key(), "archive")).value();
        auto report = world.run(gc::check(*fresh, options));
        EXPECT_TRUE(report) << report.error().message();
        return report ? *report : gc::CheckReport{};
    }
    std::vector<base::Guid> blocks_of(BlockType type) const {
        std::vector<base::Guid> ids;
        for (const auto& [id, stored] : storage.blocks()) {
            if (BlockHeader::decode(stored.bytes)->type == type) ids.push_back(id);
        }
        return ids;
    }
};

TEST(Check, FindsNothingWhereNothingIsWrong) {
    CheckWorld w;
    w.backup();
    w.tree.write("/src/small", prose(6'000, 4));
    w.backup();
    const auto report = w.check();
    EXPECT_EQ(report.snapshots, 2U);
    EXPECT_TRUE(report.damaged.empty() && report.unreachable.empty() && report.hurt.empty());
    EXPECT_EQ(report.blocks + report.blocks_unneeded, w.storage.blocks().size());
    EXPECT_GT(report.blocks_read, 3U);
    EXPECT_EQ(w.check(false).blocks_read, 0U);
}

TEST(Check, FindsEachMissingBlockAndSaysWhichFilesItCosts) {
    CheckWorld w;
    w.backup();
    for (const auto& id : w.blocks_of(BlockType::data)) {
        CheckWorld hurt;
        hurt.backup();
        hurt.storage.lose_block(id);
        const auto report = hurt.check(false);
        ASSERT_EQ(report.damaged.size(), 1U);
        EXPECT_EQ(report.damaged[0].id, id);
        ASSERT_EQ(report.hurt.size(), 1U);
        EXPECT_FALSE(report.hurt[0].unreadable);
        EXPECT_EQ(report.hurt[0].paths, (std::vector<std::string>{"/src/large"}));
    }
    CheckWorld hurt;
    hurt.backup();
    hurt.storage.lose_block(w.blocks_of(BlockType::pack).at(0));
    const auto report = hurt.check(false);
    // All that lie in a pack, perhaps the end of the large one among them.
    EXPECT_THAT(report.hurt.at(0).paths, testing::IsSupersetOf({"/src/small", "/src/dir/other"}));
    EXPECT_EQ(report.hurt.at(0).files, report.hurt.at(0).paths.size());
    for (const auto& path : report.hurt.at(0).paths) EXPECT_NE(path, "/src/dir");
}

TEST(Check, BytesThatAreNotWhatTheyShouldBeAreFoundByReading) {
    CheckWorld w;
    w.backup();
    const auto id = w.blocks_of(BlockType::data).at(1);
    w.storage.fail_get = [id](const base::Guid& asked) -> std::optional<base::Error> {
        if (asked == id) return base::Error{past::Errc::corrupt_block};
        return std::nullopt;
    };
    EXPECT_TRUE(w.check(false).damaged.empty()) << "its holders have it";
    const auto report = w.check();
    ASSERT_EQ(report.damaged.size(), 1U);
    EXPECT_EQ(report.hurt.at(0).paths, (std::vector<std::string>{"/src/large"}));
}

TEST(Check, ALostTreeCostsItsSnapshotAndNoOther) {
    CheckWorld w;
    const auto first = *w.backup().snapshot;
    w.tree.write("/src/small", prose(6'000, 4));
    const auto second = *w.backup().snapshot;
    w.storage.lose_block(second.root->id);
    const auto report = w.check();
    ASSERT_EQ(report.damaged.size(), 1U);
    ASSERT_EQ(report.hurt.size(), 1U);
    EXPECT_EQ(report.hurt[0].snapshot.id(), second.id());
    EXPECT_TRUE(report.hurt[0].unreadable);
}

TEST(Check, WhatCannotBeReachedIsNotSaidToBeLost) {
    CheckWorld w;
    w.backup();
    const auto id = w.blocks_of(BlockType::data).at(0);
    w.storage.fail_get = [id](const base::Guid& asked) -> std::optional<base::Error> {
        if (asked == id) return base::Error{past::Errc::holders_unreachable};
        return std::nullopt;
    };
    const auto report = w.check();
    EXPECT_TRUE(report.damaged.empty());
    ASSERT_EQ(report.unreachable.size(), 1U);
    EXPECT_EQ(report.unreachable[0].id, id);
}

TEST(Check, ThePartsOfASubsetAreEverythingTogether) {
    CheckWorld w;
    w.backup();
    const auto every = w.check().blocks_read;
    std::uint64_t together = 0;
    for (std::uint32_t part = 1; part <= 3; ++part) {
        gc::CheckOptions options;
        options.read_data.emplace();
        options.read_data->part = part;
        options.read_data->parts = 3;
        together += w.world.run(gc::check(*w.volume, options)).value().blocks_read;
    }
    EXPECT_EQ(together, every);
}

TEST(Check, WhatAnInterruptedBackupLeftIsUnneededAndNoDamage) {
    CheckWorld w;
    w.backup();
    w.tree.write("/src/more", noise(2'000'000, 9));
    w.storage.fail_write_record = [](const base::Guid&) { return std::optional<base::Error>{base::Errc::io_failed}; };
    EXPECT_FALSE(w.try_backup(w.options()));
    w.storage.fail_write_record = {};
    const auto report = w.check();
    EXPECT_TRUE(report.damaged.empty());
    EXPECT_GT(report.bytes_unneeded, 1'900'000U);
}

}  // namespace
}  // namespace objstore::archive::test
