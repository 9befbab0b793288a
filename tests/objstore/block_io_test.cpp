// The way of blocks to PAST and back.
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "objstore/world.hpp"

namespace objstore {
namespace {

base::Bytes body(std::uint64_t number, std::size_t size) {
    base::Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>((number + i) * 2654435761U >> 13U);
    return out;
}

base::Task<base::Result<std::vector<BlockRefPtr>>> write_many(BlockWriter& writer, std::uint64_t count,
                                                              std::size_t size) {
    std::vector<BlockRefPtr> out;
    for (std::uint64_t i = 0; i < count; ++i) {
        BASE_CO_TRY(auto ref, co_await writer.write(BlockType::data, {}, body(i, size)));
        out.push_back(std::move(ref));
    }
    co_return out;
}

SealContext uncompressed(const test::VolumeWorld& on) {
    auto context = test::seal_context(on.keys);
    context.zstd_level = 0;
    return context;
}

TEST(BlockWriter, WhatWasFlushedIsStoredAtItsPlaceUnderItsTag) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 50, 5000));
    ASSERT_TRUE(refs);
    const auto outcome = on.world.run(on.writer.flush());
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->copies_stored, 3U);
    ASSERT_EQ(on.storage.blocks().size(), 50U);
    for (const auto& ref : *refs) {
        const auto& stored = on.storage.blocks().at(ref->id);
        EXPECT_EQ(stored.group, group_of(on.keys.tag, 4, ref->id));
        EXPECT_EQ(stored.tags.at(on.keys.tag), 1U);
    }
    EXPECT_EQ(on.writer.totals().blocks, 50U);
    EXPECT_EQ(on.writer.totals().bytes, on.storage.bytes_stored());
}

TEST(BlockWriter, BlocksOfOneGroupTravelTogether) {
    test::VolumeWorld on;
    ASSERT_TRUE(on.world.run(write_many(on.writer, 400, 2000)));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    EXPECT_LE(on.storage.puts(), 16U);
}

TEST(BlockWriter, VerySmallBlocksTravelInAsManyPutsAsTheyNeed) {
    test::VolumeWorld on;
    constexpr std::uint64_t kMany = 4096 * 20;
    ASSERT_TRUE(on.world.run(write_many(on.writer, kMany, 8)));
    const auto flushed = on.world.run(on.writer.flush());
    ASSERT_TRUE(flushed) << flushed.error().message();
    EXPECT_EQ(on.storage.blocks_sent(), kMany);
}

TEST(BlockWriter, WhatIsUnderWayIsBounded) {
    test::VolumeWorld on;
    WriterConfig config;
    config.batch_bytes = 64 << 10;
    config.max_pending_bytes = 512 << 10;
    BlockWriter writer{on.env, on.storage, uncompressed(on), past::Tag{on.keys.tag, 1}, past::Wait::majority, config};
    ASSERT_TRUE(on.world.run(write_many(writer, 300, 30'000)));
    ASSERT_TRUE(on.world.run(writer.flush()));
    EXPECT_EQ(on.storage.blocks().size(), 300U);
    EXPECT_LE(on.storage.most_bytes_in_flight(), config.max_pending_bytes);
    EXPECT_GE(on.storage.most_bytes_in_flight(), config.batch_bytes);
}

TEST(BlockWriter, ManyWritersAtOnceNeitherStarveNorPassTheBound) {
    test::VolumeWorld on;
    WriterConfig config;
    config.max_pending_bytes = 100 << 10;
    BlockWriter writer{on.env, on.storage, uncompressed(on), past::Tag{on.keys.tag, 1}, past::Wait::majority, config};
    base::TaskGroup group{on.env.executor};
    constexpr auto one = [](BlockWriter& to, std::uint64_t number) -> base::Task<void> {
        const auto ref = co_await to.write(BlockType::data, {}, body(number, 40'000));
        EXPECT_TRUE(ref);
    };
    for (std::uint64_t i = 0; i < 64; ++i) group.spawn(one(writer, i));
    on.world.run(group.join());
    ASSERT_TRUE(on.world.run(writer.flush()));
    EXPECT_EQ(on.storage.blocks().size(), 64U);
    EXPECT_LE(on.storage.most_bytes_in_flight(), config.max_pending_bytes);
}

TEST(BlockWriter, TheFirstErrorStaysAndReachesEveryCaller) {
    test::VolumeWorld on;
    on.storage.fail_put = [](const auto&) { return std::optional<base::Error>{past::Errc::no_space}; };
    ASSERT_TRUE(on.world.run(write_many(on.writer, 3, 100)));
    EXPECT_EQ(on.world.run(on.writer.flush()).error(), past::Errc::no_space);
    on.storage.fail_put = nullptr;
    EXPECT_EQ(on.world.run(write_many(on.writer, 1, 100)).error(), past::Errc::no_space);
    EXPECT_EQ(on.world.run(on.writer.flush()).error(), past::Errc::no_space);
}

TEST(BlockWriter, TheOutcomeIsTheWorstOfAllBatches) {
    test::VolumeWorld on;
    on.storage.outcome.copies_stored = 2;
    ASSERT_TRUE(on.world.run(write_many(on.writer, 3, 100)));
    ASSERT_EQ(on.world.run(on.writer.flush())->copies_stored, 2U);
    on.storage.outcome.copies_stored = 3;
    ASSERT_TRUE(on.world.run(write_many(on.writer, 3, 200)));
    EXPECT_EQ(on.world.run(on.writer.flush())->copies_stored, 2U);
}

TEST(BlockWriter, AWriterThatGoesAwayMidwayLeavesNothingRunning) {
    test::VolumeWorld on;
    {
        WriterConfig config;
        config.batch_bytes = 1;
        BlockWriter writer{on.env,           on.storage, test::seal_context(on.keys), past::Tag{on.keys.tag, 1},
                           past::Wait::full, config};
        ASSERT_TRUE(on.world.run(write_many(writer, 5, 100)));
    }
    on.world.settle();
}

TEST(BlockReader, FetchesABlockOnceForAllWhoAsk) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 1, 1000));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    base::TaskGroup group{on.env.executor};
    constexpr auto one = [](BlockReader& from, BlockRefPtr ref) -> base::Task<void> {
        const auto block = co_await from.read(ref);
        EXPECT_TRUE(block && (*block)->packed.size() == 1000);
    };
    on.reader.prefetch(refs->front());
    for (int i = 0; i < 10; ++i) group.spawn(one(on.reader, refs->front()));
    on.world.run(group.join());
    ASSERT_TRUE(on.world.run(on.reader.read(refs->front())));
    EXPECT_EQ(on.storage.gets(), 1U);
}

TEST(BlockReader, TheCacheForgetsWhatWasUsedLeastRecently) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 10, 10'000));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    BlockReader reader{on.env, on.storage, on.keys.tag, ReaderConfig{.cache_bytes = 35'000}};
    for (const auto index : {0, 1, 2, 0, 3, 0, 1}) ASSERT_TRUE(on.world.run(reader.read(refs->at(index))));
    EXPECT_EQ(reader.blocks_fetched(), 5U);  // 0 stayed; 1 was forgotten for 3
}

TEST(BlockReader, ALostBlockIsDamageThatNamesIt) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 1, 1000));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    const auto id = refs->front()->id;
    on.storage.lose_block(id);
    const auto read = on.world.run(on.reader.read(refs->front()));
    EXPECT_EQ(read.error(), Errc::damaged);
    EXPECT_NE(read.error().detail().find(id.hex()), std::string::npos);
}

TEST(BlockReader, HoldersThatAreAwayAreNotDamageAndAreAskedAgain) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 1, 1000));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    on.storage.fail_get = [](const auto&) { return std::optional<base::Error>{past::Errc::holders_unreachable}; };
    EXPECT_EQ(on.world.run(on.reader.read(refs->front())).error(), past::Errc::holders_unreachable);
    on.storage.fail_get = nullptr;
    EXPECT_TRUE(on.world.run(on.reader.read(refs->front())));
}

TEST(BlockReader, WrongBytesFromAStoreThatDoesNotCheckAreDamage) {
    test::VolumeWorld on;
    const auto refs = on.world.run(write_many(on.writer, 2, 1000));
    ASSERT_TRUE(on.world.run(on.writer.flush()));
    on.storage.replace_bytes(refs->at(0)->id, base::to_bytes(on.storage.blocks().at(refs->at(1)->id).bytes.view()));
    EXPECT_EQ(on.world.run(on.reader.read(refs->at(0))).error(), Errc::damaged);
}

}  // namespace
}  // namespace objstore
