// A backup over a volume that lost blocks: what the new snapshot takes over is there, or is stored again.
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

/// A volume object of its own: nothing is in its cache.
void reopen(ArchiveWorld& world) {
    world.volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
}

void expect_restores(ArchiveWorld& world, const BackupReport& report) {
    reopen(world);
    const auto restored = world.restore(*report.snapshot);
    EXPECT_EQ(restored.warnings.count(), 0U);
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

std::vector<base::Guid> blocks_of_type(const ArchiveWorld& world, std::set<BlockType> types) {
    std::vector<base::Guid> ids;
    for (const auto& [id, stored] : world.storage.blocks()) {
        if (types.contains(BlockHeader::decode(stored.bytes)->type)) ids.push_back(id);
    }
    return ids;
}

void fill_source(ArchiveWorld& world) {
    world.fill("/src", 1000);
    world.tree.write("/src/large", noise(5'000'000, 1));
    world.tree.set_xattr("/src/d0", "user.note", noise(4000, 5));
    world.tree.set_xattr("/src/d1/f20", "user.note", noise(4000, 6));
}

TEST(LostBlocks, EachContentBlockThatIsGoneIsStoredAgainFromTheSource) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    const auto contents = blocks_of_type(world, {BlockType::pack, BlockType::data});
    ASSERT_GT(contents.size(), 8U);
    for (const auto& id : contents) {
        SCOPED_TRACE(id.short_hex());
        world.storage.lose_block(id);
        const auto report = world.backup();
        EXPECT_EQ(report.blocks_lost, 1U);
        EXPECT_GT(report.files.changed + report.directories.changed, 0U);
        EXPECT_GT(report.files.unchanged, 0U);
        EXPECT_EQ(report.warnings.count(), 0U);
        expect_restores(world, report);
        EXPECT_EQ(world.backup().blocks_lost, 0U);
    }
}

TEST(LostBlocks, ContentThatIsAllGoneIsStoredAgainFromTheSource) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    for (const auto& id : blocks_of_type(world, {BlockType::pack, BlockType::data})) world.storage.lose_block(id);
    reopen(world);
    const auto report = world.backup();
    EXPECT_GT(report.bytes_new, 5'000'000U);
    expect_restores(world, report);
}

TEST(LostBlocks, ATreeThatLostANodeIsWrittenAnewWithoutStoringContentAgain) {
    ArchiveWorld world;
    fill_source(world);
    const auto first = world.backup();
    const Tree tree{world.volume->reader(), first.snapshot->root};
    const auto nodes = world.world.run(tree.nodes()).value();
    ASSERT_GE(nodes.size(), 3U);
    for (const auto& node : nodes) {
        SCOPED_TRACE(node.id.short_hex());
        world.storage.lose_block(node.id);
        for (const bool cached : {true, false}) {
            if (!cached) reopen(world);
            auto options = world.options();
            options.parent = first.snapshot->id().hex();
            const auto report = world.backup(options);
            EXPECT_TRUE(report.parent_lost);
            EXPECT_EQ(report.bytes_new, 0U);
            expect_restores(world, report);
        }
    }
}

TEST(LostBlocks, NodesThatTooFewHoldersHaveAreStoredAgainWithoutReadingTheSource) {
    ArchiveWorld world;
    fill_source(world);
    const auto first = world.backup();
    const Tree tree{world.volume->reader(), first.snapshot->root};
    std::set<base::Guid> thin;
    for (const auto& node : world.world.run(tree.nodes()).value()) thin.insert(node.id);
    std::set<base::Guid> put;
    world.storage.thin = [&](const base::Guid& id) { return thin.contains(id); };
    world.storage.fail_put = [&](const std::vector<past::Block>& blocks) -> std::optional<base::Error> {
        for (const auto& block : blocks) put.insert(block.id);
        return std::nullopt;
    };
    const auto report = world.backup();
    EXPECT_FALSE(report.parent_lost);
    EXPECT_EQ(report.bytes_read, 0U);
    EXPECT_TRUE(std::includes(put.begin(), put.end(), thin.begin(), thin.end()));
}

// A second machine joins: until repair has been there, it has nothing of what is placed on it.
TEST(LostBlocks, WhatOneHolderStillHasIsNotLostAndNothingIsReadForIt) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    world.storage.thin = [](const base::Guid&) { return true; };
    auto dry = world.options();
    dry.dry_run = true;
    std::set<base::Guid> put;
    world.storage.fail_put = [&](const std::vector<past::Block>& blocks) -> std::optional<base::Error> {
        for (const auto& block : blocks) put.insert(block.id);
        return std::nullopt;
    };
    EXPECT_EQ(world.backup(dry).blocks_lost, 0U);
    EXPECT_TRUE(put.empty());
    const auto report = world.backup();
    EXPECT_EQ(report.blocks_lost, 0U);
    EXPECT_EQ(report.bytes_read, 0U);
    for (const auto& id : blocks_of_type(world, {BlockType::pack, BlockType::data})) EXPECT_TRUE(put.contains(id));
}

TEST(LostBlocks, WhatHoldersThatHangHaveIsReadAgainAndOneOfThemIsWaitedForOnly) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    const auto contents = blocks_of_type(world, {BlockType::pack, BlockType::data});
    world.storage.thin = [&](const base::Guid& id) {
        return std::find(contents.begin(), contents.end(), id) != contents.end();
    };
    world.storage.fail_get = [&](const base::Guid& id) -> std::optional<base::Error> {
        if (!world.storage.thin(id)) return std::nullopt;
        return base::Error{past::Errc::holders_unreachable};
    };
    const auto before = world.storage.gets();
    const auto report = world.backup();
    EXPECT_EQ(report.blocks_lost, contents.size());
    EXPECT_EQ(report.warnings.count(), 0U);
    EXPECT_LE(world.storage.gets() - before, 16U + 40U) << "and the nodes of the tree";
    EXPECT_GT(contents.size(), 8U);
}

TEST(LostBlocks, ADamagedSnapshotDoesNotKeepTheCacheFromBeingMadeAgain) {
    ArchiveWorld world;
    fill_source(world);
    const auto first = world.backup();
    world.storage.lose_block(first.snapshot->root->id);
    reopen(world);
    auto options = world.options();
    options.cache_path = "another/cache";
    expect_restores(world, world.backup(options));
}

TEST(LostBlocks, AFileWhoseSourceIsGoneTooIsLeftOutAndSaidSo) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    for (const auto& id : blocks_of_type(world, {BlockType::data})) world.storage.lose_block(id);
    world.tree.fail("/src/large", base::sim::TreeCall::read, base::Errc::denied);
    const auto report = world.backup();
    EXPECT_EQ(report.warnings.count(WarningKind::unreadable), 1U);
    const auto listed = world.list(*report.snapshot);
    EXPECT_EQ(std::count(listed.begin(), listed.end(), "/src/large"), 0);
}

// "A dedup hit counts only after touch": the whole of what a snapshot names bears the generation that made it.
TEST(LostBlocks, WhatAnUnchangedBackupTakesOverIsTaggedAnew) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    const auto contents = blocks_of_type(world, {BlockType::pack, BlockType::data, BlockType::tree_leaf});
    const auto again = world.backup();
    EXPECT_EQ(again.files.changed, 0U);
    const auto tag = world.volume->keys().tag;
    const Tree tree{world.volume->reader(), again.snapshot->root};
    for (const auto& node : world.world.run(tree.nodes()).value()) {
        EXPECT_GE(world.storage.blocks().at(node.id).tags.at(tag), 3U);
    }
    for (const auto& id : blocks_of_type(world, {BlockType::pack, BlockType::data})) {
        EXPECT_GE(world.storage.blocks().at(id).tags.at(tag), 3U);
    }
}

TEST(LostBlocks, HoldersThatDoNotAnswerEndTheBackupInsteadOfReadingEverything) {
    ArchiveWorld world;
    fill_source(world);
    world.backup();
    world.storage.fail_touch = [](const auto&) { return std::optional<base::Error>{past::Errc::holders_unreachable}; };
    const auto report = world.try_backup(world.options());
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error(), past::Errc::holders_unreachable);
}

}  // namespace
}  // namespace objstore::archive::test
