// What the segment store does beyond the contract: groups, room, locks, errors of the device, space given back.
#include "past/segment_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include "base/limits.hpp"
#include "base/sim/world.hpp"
#include "ledger.hpp"
#include "replication/tagged_put.hpp"

namespace store_test {
namespace {

namespace sim = base::sim;
using namespace std::chrono_literals;
using testing::HasSubstr;

class SegmentStoreTest : public testing::Test {
  protected:
    SegmentStoreTest() : node_{world_.add_node()} { config_.reserve_bytes = 0; }
    ~SegmentStoreTest() override { store_.reset(); }

    base::Result<std::unique_ptr<SegmentStore>> try_open() {
        return std::move(*node_.run(SegmentStore::open(node_.env(), config_)));
    }
    void open() {
        auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().message();
        store_ = std::move(*opened);
    }
    void reopen() {
        node_.run(store_->close());
        store_.reset();
        open();
    }
    template <class T>
    T run(Task<T> task) {
        return std::move(*node_.run(std::move(task)));
    }
    base::Result<void> put(std::uint64_t seed, std::size_t size = 600) {
        const std::vector<Block> one{block_of(seed, size)};
        return run(store_->put(guid_of("place"), kTag, one));
    }
    Guid id_of(std::uint64_t seed, std::size_t size = 600) { return block_of(seed, size).id; }
    std::size_t segments() {
        std::size_t count = 0;
        for (const auto& name : node_.disk().files()) count += name.ends_with(".seg") ? 1 : 0;
        return count;
    }
    std::vector<std::string> segment_files() {
        std::vector<std::string> names;
        for (const auto& name : node_.disk().files())
            if (name.ends_with(".seg")) names.push_back(name);
        return names;
    }
    /// That this thread has run.
    static std::chrono::nanoseconds thread_time() {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
    }
    static Task<void> put_into(SegmentStore& store, Tag tag, std::uint64_t seed, unsigned& done) {
        const std::vector<Block> one{block_of(seed, 600)};
        const auto result = co_await store.put(guid_of("place"), tag, one);
        EXPECT_TRUE(result);
        ++done;
    }

    const Tag kTag{guid_of("volume"), 5};
    sim::World world_{1};
    sim::Node& node_;
    SegmentStore::Config config_;
    std::unique_ptr<SegmentStore> store_;
};

TEST_F(SegmentStoreTest, ConcurrentPutsShareOneSync) {
    open();
    ASSERT_TRUE(put(0));
    const auto syncs = node_.disk().calls(sim::DiskCall::sync);
    unsigned done = 0;
    base::TaskGroup group{node_.env().executor};
    for (std::uint64_t i = 1; i <= 20; ++i) group.spawn(put_into(*store_, kTag, i, done));
    ASSERT_TRUE(node_.run(group.join()));
    EXPECT_EQ(done, 20U);
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::sync), syncs + 1);
}

TEST_F(SegmentStoreTest, ADurablePutIsOneWriteAndOneSync) {
    open();
    ASSERT_TRUE(put(0));
    const auto writes = node_.disk().calls(sim::DiskCall::write);
    const auto syncs = node_.disk().calls(sim::DiskCall::sync);
    ASSERT_TRUE(put(1));
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::write), writes + 1);
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::sync), syncs + 1);
}

TEST_F(SegmentStoreTest, APutUnderManyTagsIsTwoSyncs) {
    open();
    ASSERT_TRUE(put(0));
    std::vector<Tag> tags;
    for (std::uint64_t i = 0; i < past::kMaxTagsPerBlock; ++i)
        tags.push_back({guid_of("volume " + std::to_string(i)), i});
    const auto syncs = node_.disk().calls(sim::DiskCall::sync);
    ASSERT_TRUE(run(past::put_tagged(*store_, guid_of("place"), tags, {block_of(1, 600), block_of(2, 600)})));
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::sync), syncs + 2);
    reopen();
    EXPECT_THAT(store_->tags(id_of(2)), testing::UnorderedElementsAreArray(tags));
}

TEST_F(SegmentStoreTest, TouchesAtOnceGiveABlockNoMoreTagsThanItMayHave) {
    open();
    ASSERT_TRUE(put(0));
    std::vector<bool> held;
    const auto touch = [](auto* self, std::uint64_t i, std::vector<bool>* all) -> Task<void> {
        const Tag tag{guid_of("volume " + std::to_string(i)), i};
        const std::vector<Guid> ids{self->id_of(0)};
        const auto done = co_await self->store_->touch(tag, ids);
        all->push_back(done && done->front());
    };
    base::TaskGroup group{node_.env().executor};
    for (std::uint64_t i = 0; i < past::kMaxTagsPerBlock + 10; ++i) group.spawn(touch(this, i, &held));
    ASSERT_TRUE(node_.run(group.join()));
    EXPECT_EQ(std::ranges::count(held, true), static_cast<std::ptrdiff_t>(past::kMaxTagsPerBlock) - 1);
    reopen();
    EXPECT_EQ(store_->tags(id_of(0)).size(), past::kMaxTagsPerBlock);
}

TEST_F(SegmentStoreTest, SmallPutsGoWhereZerosWereWrittenAhead) {
    open();
    ASSERT_TRUE(put(0));
    const auto segment = segment_files().at(0);
    const auto size = node_.disk().contents(segment)->size();
    EXPECT_GE(size, config_.segment_ahead_bytes);
    for (std::uint64_t i = 1; i <= 1000; ++i) ASSERT_TRUE(put(i));
    EXPECT_EQ(node_.disk().contents(segment)->size(), size) << "a sync is one of data only";
    for (std::uint64_t i = 1001; i <= 2000; ++i) ASSERT_TRUE(put(i));  // 600 bytes each: more than was written ahead
    EXPECT_LE(node_.disk().contents(segment)->size(), 2 * size + 1000);
    reopen();
    EXPECT_EQ(store_->damage().torn_bytes, 0U) << "zeros are no damage";
    EXPECT_EQ(store_->usage().blocks, 2001U);
    EXPECT_TRUE(run(store_->get(id_of(2000))));
}

TEST_F(SegmentStoreTest, NothingIsWrittenAheadOfLargePutsNorLeftInAFullSegment) {
    config_.segment_bytes = 2U << 20U;
    config_.segment_ahead_bytes = 256U << 10U;
    open();
    ASSERT_TRUE(put(0, 300'000));
    EXPECT_LT(node_.disk().contents(segment_files().at(0))->size(), 301'000U);
    for (std::uint64_t i = 1; segments() < 3; ++i) ASSERT_TRUE(put(i, 5000));
    node_.run(store_->close());
    std::uint64_t bytes = 0;
    for (const auto& name : node_.disk().files()) {
        if (name.starts_with("blocks/s")) bytes += node_.disk().contents(name)->size();
    }
    EXPECT_LE(store_->usage().disk_bytes, bytes);
    EXPECT_GE(store_->usage().disk_bytes + config_.segment_ahead_bytes, bytes);
    const auto full = *node_.disk().contents(segment_files().at(0));
    EXPECT_TRUE(std::ranges::any_of(std::span{full}.last(16), [](std::uint8_t byte) { return byte != 0; }));
}

TEST_F(SegmentStoreTest, ARecordDoesNotWaitUntilBlocksAreWritten) {
    open();
    node_.disk().set_speed({}, 10ms, 1'000'000);  // a megabyte takes a second
    base::TaskGroup group{node_.env().executor};
    std::optional<base::TimePoint> blocks_at, record_at;
    const auto put_blocks = [](auto* self, std::optional<base::TimePoint>* at) -> Task<void> {
        std::vector<Block> blocks;
        for (std::uint64_t i = 0; i < 8; ++i) blocks.push_back(block_of(i, 1'000'000));
        EXPECT_TRUE(co_await self->store_->put(guid_of("place"), self->kTag, std::move(blocks)));
        *at = self->world_.now();
    };
    const auto put_record = [](auto* self, std::optional<base::TimePoint>* at) -> Task<void> {
        co_await self->node_.env().clock.sleep_for(100ms);
        for (std::uint8_t i = 0; i < 3; ++i) {
            base::Bytes value{i};
            EXPECT_TRUE(co_await self->store_->put_record(guid_of("vote"), std::move(value)));
        }
        *at = self->world_.now();
    };
    const auto began = world_.now();
    group.spawn(put_blocks(this, &blocks_at));
    group.spawn(put_record(this, &record_at));
    ASSERT_TRUE(node_.run(group.join()));
    EXPECT_GT(*blocks_at - began, 7s);
    EXPECT_LT(*record_at - began, 1s);
    ASSERT_TRUE(put(20));
    reopen();
    EXPECT_EQ(store_->record(guid_of("vote")), base::Bytes{2});
    EXPECT_EQ(store_->usage().blocks, 9U);
}

TEST_F(SegmentStoreTest, APutCostsTheSameWhateverTagsThereAre) {
    open();
    std::uint64_t next = 0;
    const auto time_of_puts = [&] {
        auto best = std::chrono::nanoseconds::max();
        for (int round = 0; round < 5; ++round) {
            const auto began = thread_time();
            for (int i = 0; i < 200; ++i) EXPECT_TRUE(put(next++));
            best = std::min(best, thread_time() - began);
        }
        return best;
    };
    const auto with_one = time_of_puts();
    for (std::uint64_t i = 0; i < 10'000; ++i) {
        const Tag tag{guid_of("volume"), 10 + i};
        const std::vector<Block> one{block_of(1'000'000 + i, 40)};
        ASSERT_TRUE(run(store_->put(guid_of("place"), tag, one)));
    }
    EXPECT_LT(time_of_puts(), 2 * with_one);
}

TEST_F(SegmentStoreTest, ATouchThatChangesNothingWritesNothing) {
    open();
    ASSERT_TRUE(put(0));
    const auto boundaries = node_.disk().boundaries();
    const std::vector<Guid> ids{id_of(0)};
    EXPECT_TRUE((*run(store_->touch(kTag, ids)))[0]);
    EXPECT_EQ(node_.disk().boundaries(), boundaries);
}

TEST_F(SegmentStoreTest, ASecondStoreOnTheDirectoryIsLockedOut) {
    open();
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), base::Errc::locked);
    EXPECT_THAT(second.error().message(), HasSubstr("blocks"));
    reopen();
}

TEST_F(SegmentStoreTest, AReadOnlyDirectoryIsRefusedByName) {
    node_.disk().set_read_only(true);
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), base::Errc::read_only);
    EXPECT_THAT(opened.error().message(), HasSubstr("blocks"));
}

TEST_F(SegmentStoreTest, OpenedToReadOnlyItServesWhatACrashLeftAndWritesNothing) {
    config_.segment_bytes = 4096;
    open();
    for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(put(i));
    ASSERT_TRUE(run(store_->put_record(guid_of("key"), base::Bytes{1, 2, 3})));
    ASSERT_TRUE(run(store_->discard({id_of(7)})));
    node_.kill();
    store_.reset();
    node_.restart();
    std::map<std::string, std::optional<base::Bytes>> before;
    for (const auto& name : node_.disk().files()) before[name] = node_.disk().contents(name);

    node_.disk().set_read_only(true);
    config_.read_only = true;
    open();
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(run(store_->get(id_of(i))).has_value(), i != 7) << i;
    EXPECT_EQ(store_->record(guid_of("key")), (base::Bytes{1, 2, 3}));
    EXPECT_TRUE(store_->usage().read_only);
    EXPECT_EQ(put(30).error(), base::Errc::read_only);
    EXPECT_EQ(run(store_->touch(kTag, {id_of(1)})).error(), base::Errc::read_only);
    EXPECT_EQ(run(store_->discard({id_of(1)})).error(), base::Errc::read_only);
    EXPECT_EQ(run(store_->put_record(guid_of("key"), base::Bytes{4})).error(), base::Errc::read_only);
    node_.run(store_->close());
    store_.reset();
    for (const auto& [name, bytes] : before) EXPECT_EQ(node_.disk().contents(name), bytes) << name;
    EXPECT_EQ(node_.disk().files().size(), before.size());

    node_.disk().set_read_only(false);
    config_.read_only = false;
    open();
    EXPECT_TRUE(put(30));
}

TEST_F(SegmentStoreTest, WhatIsNotThereIsNotMadeToBeReadOnly) {
    config_.read_only = true;
    EXPECT_EQ(try_open().error(), base::Errc::not_found);
    EXPECT_TRUE(node_.disk().files().empty());
}

TEST_F(SegmentStoreTest, ABlockThatIsTooLargeIsRefused) {
    open();
    EXPECT_EQ(put(0, base::kMaxBlockBytes + 1).error(), past::Errc::too_large);
    EXPECT_TRUE(put(0, base::kMaxBlockBytes));
}

TEST_F(SegmentStoreTest, AfterAFailedSyncTheStoreIsReadOnlyAndStillServesReads) {
    open();
    ASSERT_TRUE(put(0));
    node_.disk().fail(sim::DiskCall::sync, 1);
    const auto failed = put(1);
    EXPECT_EQ(failed.error(), base::Errc::io_failed);
    EXPECT_FALSE(store_->has(id_of(1)));
    EXPECT_EQ(put(2).error(), base::Errc::read_only) << "a later sync would succeed, and mean nothing";
    EXPECT_TRUE(store_->usage().read_only);
    EXPECT_EQ(run(store_->put_record(guid_of("key"), base::Bytes{1})).error(), base::Errc::read_only);
    EXPECT_TRUE(run(store_->get(id_of(0))));
    reopen();
    EXPECT_TRUE(put(2));
    EXPECT_TRUE(run(store_->get(id_of(0))));
}

TEST_F(SegmentStoreTest, AFullDeviceRefusesPutsAndTakesDropsAndRecords) {
    config_.segment_bytes = 16384;
    open();
    node_.disk().set_capacity(node_.disk().used_bytes() + 40960);
    std::uint64_t stored = 0;
    while (stored < 1000 && put(stored)) ++stored;
    ASSERT_GT(stored, 20U);
    ASSERT_LT(stored, 1000U);
    EXPECT_EQ(put(stored).error(), past::Errc::no_space);
    EXPECT_FALSE(store_->has(id_of(stored)));
    ASSERT_TRUE(run(store_->put_record(guid_of("key"), base::Bytes(2000))));
    const std::vector<Guid> touched{id_of(0)};
    EXPECT_TRUE(run(store_->touch({kTag.volume, 9}, touched)));

    std::vector<Guid> all;
    for (std::uint64_t i = 0; i < stored; ++i) all.push_back(id_of(i));
    EXPECT_EQ(*run(store_->untag({kTag.volume, 9}, all)), stored);
    world_.settle();
    EXPECT_TRUE(put(stored)) << "room came back without a restart";
    reopen();
    EXPECT_TRUE(store_->has(id_of(stored)));
    EXPECT_EQ(store_->usage().blocks, 1U);
}

// A list of snapshots without one of them is a small put: else nothing could be forgotten, and nothing would make room.
TEST_F(SegmentStoreTest, AFullStoreTakesSomeSmallPutsYet) {
    config_.capacity_bytes = 8U << 20U;
    config_.reserve_bytes = 2U << 20U;
    open();
    std::uint64_t large = 0;
    while (large < 1000 && put(large, 100'000)) ++large;
    ASSERT_EQ(put(large, 100'000).error(), past::Errc::no_space);
    std::uint64_t small = 0;
    while (small < 1000 && put(5000 + small, 20'000)) ++small;
    EXPECT_GT(small, 20U);
    EXPECT_LT(small, 40U) << "the rest of the reserve is for deletes";
    EXPECT_EQ(put(large, 100'000).error(), past::Errc::no_space);
    std::vector<Guid> all;
    for (std::uint64_t i = 0; i < large; ++i) all.push_back(id_of(i, 100'000));
    EXPECT_EQ(*run(store_->untag({kTag.volume, 9}, all)), large);
}

// What a sync did not bring to the device the next one may not bring either, and say nothing (fsync(2), "the page is
// marked clean"): the file is not written to again.
TEST_F(SegmentStoreTest, AfterASyncThatFailedForWantOfRoomBlocksGoToAnotherSegment) {
    open();
    ASSERT_TRUE(put(0));
    const auto segments = [&] {
        const auto files = node_.disk().files();
        return std::ranges::count_if(files, [](const auto& name) { return name.ends_with(".seg"); });
    };
    ASSERT_TRUE(put(1));
    const auto before = segments();
    node_.disk().fail(base::sim::DiskCall::sync, 1, base::Errc::no_space);
    EXPECT_EQ(put(2).error(), past::Errc::no_space);
    node_.disk().fail_nothing();
    EXPECT_TRUE(put(3));
    EXPECT_EQ(segments(), before + 1);
    reopen();
    EXPECT_TRUE(store_->has(id_of(3)));
    EXPECT_FALSE(store_->has(id_of(2)));
}

TEST_F(SegmentStoreTest, TheCapIsKeptWithItsReserve) {
    config_.capacity_bytes = 3U << 20U;
    config_.reserve_bytes = 1U << 20U;
    config_.segment_bytes = 256U << 10U;
    open();
    std::uint64_t stored = 0;
    while (stored < 1000 && put(stored, 60000)) {
        ++stored;
        ASSERT_LE(store_->usage().disk_bytes, config_.capacity_bytes - config_.reserve_bytes + (64U << 10U));
    }
    EXPECT_GT(stored, 10U);
    EXPECT_LT(stored, 50U);
    EXPECT_EQ(put(stored, 60000).error(), past::Errc::no_space);
    EXPECT_TRUE(run(store_->put_record(guid_of("key"), base::Bytes(2000))));
    std::vector<Guid> some;
    for (std::uint64_t i = 0; i < 10; ++i) some.push_back(id_of(i, 60000));
    ASSERT_TRUE(run(store_->discard(some)));
    world_.settle();
    EXPECT_TRUE(put(stored, 60000));
}

TEST_F(SegmentStoreTest, ACapThatTheDeviceHasNoRoomForIsNotPromisedToOthers) {
    config_.capacity_bytes = 1ULL << 30U;
    config_.reserve_bytes = 1U << 20U;
    config_.segment_bytes = 256U << 10U;
    node_.disk().set_capacity(4U << 20U);
    open();
    const auto room = [&] {
        const auto usage = store_->usage();
        const auto taken = usage.disk_bytes + usage.reserve_bytes;
        return usage.capacity_bytes > taken ? usage.capacity_bytes - taken : 0;
    };
    std::uint64_t stored = 0;
    for (; stored < 1000; ++stored) {
        const auto before = room();
        if (!put(stored, 60000)) {
            EXPECT_LT(before, 70'000U) << "refused although there seemed to be room";
            break;
        }
        EXPECT_GE(before, 60'000U) << "taken although there seemed to be no room";
    }
    EXPECT_GT(stored, 10U);
    EXPECT_LT(stored, 60U);
}

TEST_F(SegmentStoreTest, TheDefaultReserveIsFivePercentOrSixtyFourMiB) {
    config_.reserve_bytes = SegmentStore::Config::kAuto;
    config_.capacity_bytes = 10ULL << 30U;
    open();
    EXPECT_EQ(store_->usage().reserve_bytes, (10ULL << 30U) / 20);
    config_.capacity_bytes = 1ULL << 30U;
    reopen();
    EXPECT_EQ(store_->usage().reserve_bytes, 64ULL << 20U);
}

TEST_F(SegmentStoreTest, ASegmentWithoutALiveBlockIsRemoved) {
    config_.segment_bytes = 4096;
    open();
    for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(put(i));
    const auto before = segments();
    const auto used = store_->usage().disk_bytes;
    ASSERT_GE(before, 4U);
    std::vector<Guid> ids;
    for (std::uint64_t i = 0; i < 10; ++i) ids.push_back(id_of(i));
    EXPECT_EQ(*run(store_->untag(kTag, ids)), 10U);
    world_.settle();
    world_.run_for(std::chrono::seconds{1});
    EXPECT_LT(segments(), before);
    EXPECT_LT(store_->usage().disk_bytes, used);
    reopen();
    for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(store_->has(id_of(i)), i >= 10);
}

TEST_F(SegmentStoreTest, StateStaysSmallHoweverOftenBlocksAreTouched) {
    config_.checkpoint_bytes = 4096;
    config_.state_ahead_bytes = 1024;
    open();
    for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(put(i));
    std::vector<Guid> ids;
    for (std::uint64_t i = 0; i < 10; ++i) ids.push_back(id_of(i));
    for (std::uint64_t generation = 6; generation < 500; ++generation)
        ASSERT_TRUE(run(store_->touch({kTag.volume, generation}, ids)));
    world_.settle();
    std::uint64_t state = 0;
    for (const auto& name : node_.disk().files()) {
        if (name.find("/state/") != name.npos) state += node_.disk().contents(name)->size();
    }
    EXPECT_LT(state, 40000U);
    reopen();
    EXPECT_EQ(store_->tags(id_of(3)), (std::vector<Tag>{{kTag.volume, 499}}));
    EXPECT_FALSE(store_->damage().state_lost);
}

TEST_F(SegmentStoreTest, ManySegmentsAreReadThroughFewOpenFiles) {
    config_.segment_bytes = 4096;
    config_.open_files = 2;
    open();
    for (std::uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(put(i));
    for (int round = 0; round < 2; ++round) {
        for (std::uint64_t i = 0; i < 40; ++i) ASSERT_TRUE(run(store_->get(id_of(i))));
    }
}

TEST_F(SegmentStoreTest, ABlockCostsAtMostSixtyFourBytesOfMemory) {
    open();
    constexpr std::uint64_t count = 60000;
    for (std::uint64_t i = 0; i < count;) {
        std::vector<Block> some;
        for (; some.size() < 1000; ++i) some.push_back(block_of(i, 16));
        ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, std::move(some))));
    }
    reopen();
    EXPECT_LE(store_->usage().index_bytes / count,
              68U);  // tables of a small store are emptier: index_test has a million
}

TEST_F(SegmentStoreTest, BlocksOfAFewBytesDoNotFillTheMemory) {
    config_.max_index_bytes = 1U << 20U;
    open();
    base::Result<void> last = base::ok();
    std::uint64_t i = 0;
    while (last && i < 60'000) {
        std::vector<Block> some;
        for (; some.size() < 1000; ++i) some.push_back(block_of(i, 8));
        last = run(store_->put(guid_of("place"), kTag, std::move(some)));
    }
    EXPECT_EQ(last.error(), past::Errc::no_space);
    EXPECT_LT(store_->usage().index_bytes, config_.max_index_bytes + (200U << 10U));
    EXPECT_TRUE(run(store_->get(id_of(0, 8))));
    const std::vector<Guid> some{id_of(0, 8)};
    EXPECT_TRUE(run(store_->touch({guid_of("volume"), 6}, some))) << "what changes no number goes on";
}

TEST_F(SegmentStoreTest, AfterCloseNothingIsTaken) {
    open();
    node_.run(store_->close());
    EXPECT_EQ(put(1).error(), base::Errc::stopped);
}

// --- space given back by moving what lives

class Compaction : public SegmentStoreTest {
  protected:
    Compaction() { config_.segment_bytes = 64 << 10U; }

    /// 200 blocks of 3000 bytes, of which those are dropped for which `drop` is true.
    void fill_and_drop(const std::function<bool(std::uint64_t)>& drop) {
        if (!store_) open();
        for (std::uint64_t i = 0; i < 200; ++i) {
            const std::vector<Block> one{block_of(i, 3000)};
            ASSERT_TRUE(
                run(store_->put(guid_of(i % 2 == 0 ? "place" : "other place"), {guid_of("volume"), 1 + i % 3}, one)));
        }
        std::vector<Guid> ids;
        for (std::uint64_t i = 0; i < 200; ++i) {
            if (drop(i)) ids.push_back(id_of(i, 3000));
        }
        ASSERT_TRUE(run(store_->untag({guid_of("volume"), 9}, ids)));
    }
    void expect_the_rest(const std::function<bool(std::uint64_t)>& dropped) {
        for (std::uint64_t i = 0; i < 200; ++i) {
            const auto id = id_of(i, 3000);
            const auto bytes = run(store_->get(id));
            EXPECT_EQ(bytes.has_value(), !dropped(i)) << i;
            if (dropped(i)) continue;
            EXPECT_EQ(store_->tags(id), (std::vector<Tag>{{guid_of("volume"), 1 + i % 3}}));
        }
        EXPECT_EQ(store_->summary(guid_of("place")).blocks + store_->summary(guid_of("other place")).blocks,
                  store_->usage().blocks);
    }
    std::uint64_t bytes_on_disk() {
        std::uint64_t bytes = 0;
        for (const auto& name : node_.disk().files()) {
            if (name.ends_with(".seg")) bytes += node_.disk().contents(name)->size();
        }
        return bytes;
    }
};

TEST_F(Compaction, TheRoomOfDroppedBlocksComesBackWhileOthersLiveBesideThem) {
    const auto odd = [](std::uint64_t i) { return i % 2 == 1; };
    fill_and_drop(odd);
    const auto written = node_.disk().calls(sim::DiskCall::write);
    node_.run(store_->give_back());
    EXPECT_GT(node_.disk().calls(sim::DiskCall::write), written);
    const auto live = store_->usage().block_bytes;
    EXPECT_EQ(live, 100U * 3000U);
    EXPECT_LE(bytes_on_disk(), live * 12 / 10 + config_.segment_bytes / 4);
    EXPECT_LE(store_->usage().disk_bytes, live * 13 / 10 + (3U << 20U)) << "with the log";
    expect_the_rest(odd);
    reopen();
    expect_the_rest(odd);
}

TEST_F(Compaction, WhatIsDroppedAfterItMovedStaysDropped) {
    const auto odd = [](std::uint64_t i) { return i % 2 == 1; };
    fill_and_drop(odd);
    node_.run(store_->give_back());
    std::vector<Guid> ids;
    for (std::uint64_t i = 0; i < 200; ++i) ids.push_back(id_of(i, 3000));
    EXPECT_EQ(run(store_->untag({guid_of("volume"), 9}, ids)).value(), 100U);
    reopen();
    EXPECT_EQ(store_->usage().blocks, 0U);
    ASSERT_TRUE(put(1));
    node_.run(store_->give_back());
    EXPECT_LE(bytes_on_disk(), config_.segment_bytes);
}

TEST_F(Compaction, AFewDroppedBlocksAreNotWorthIt) {
    const auto few = [](std::uint64_t i) { return i % 10 == 0; };
    fill_and_drop(few);
    const auto before = bytes_on_disk();
    node_.run(store_->give_back());
    EXPECT_EQ(bytes_on_disk(), before);
    expect_the_rest(few);
}

TEST_F(Compaction, SmallBlocksAreNotTakenForGarbage) {
    open();
    for (std::uint64_t i = 0; i < 3000; ++i) ASSERT_TRUE(put(i, 9));
    const auto writes = node_.disk().calls(sim::DiskCall::write);
    node_.run(store_->give_back());
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::write), writes);
}

// A small disk whose segments are as large as on a great one: what lives beside the garbage would find no room to go
// to.
TEST_F(Compaction, AStoreAtItsLimitGivesRoomBackHoweverSmallItIs) {
    for (const std::uint64_t capacity : {std::uint64_t{88} << 20U, std::uint64_t{6} << 20U}) {
        SCOPED_TRACE(capacity);
        store_.reset();
        config_ = {};
        config_.directory = "of-" + std::to_string(capacity);
        config_.capacity_bytes = capacity;
        config_.state_ahead_bytes = capacity / 100;
        open();
        const std::size_t size = capacity / 1000;
        std::vector<std::uint64_t> held;
        std::uint64_t next = 0;
        for (int round = 0; round < 4; ++round) {
            const auto first = next;
            while (put(next, size)) held.push_back(next++);
            EXPECT_GE(next - first, 100U) << "round " << round;
            std::vector<Guid> ids;
            std::vector<std::uint64_t> left;
            for (std::size_t i = 0; i < held.size(); ++i) {
                i % 3 == 0 ? ids.push_back(id_of(held[i], size)) : left.push_back(held[i]);
            }
            ASSERT_TRUE(run(store_->untag(kTag, ids)));
            held = left;
            node_.run(store_->give_back());
            const auto usage = store_->usage();
            EXPECT_LE(usage.disk_bytes, usage.block_bytes * 14 / 10 + capacity / 20) << "round " << round;
        }
        for (const auto one : held) EXPECT_TRUE(run(store_->get(id_of(one, size)))) << one;
    }
}

TEST_F(Compaction, SmallBlocksOfManyVolumesAreNotMovedForEver) {
    open();
    for (std::uint64_t i = 0; i < 300; ++i) {
        const std::vector<Block> one{block_of(i, 100)};
        for (const auto* volume : {"a", "b", "c", "d"}) {
            ASSERT_TRUE(run(store_->put(guid_of("place"), {guid_of(volume), 1}, one)));
        }
    }
    for (int i = 0; i < 3; ++i) node_.run(store_->give_back());
    const auto writes = node_.disk().calls(sim::DiskCall::write);
    for (int i = 0; i < 3; ++i) node_.run(store_->give_back());
    EXPECT_EQ(node_.disk().calls(sim::DiskCall::write), writes);
}

TEST_F(Compaction, ABlockOfSeveralVolumesStaysWhereItIs) {
    const auto most = [](std::uint64_t i) { return i != 100; };
    open();
    ASSERT_TRUE(put(100, 3000));
    const std::vector<Block> again{block_of(100, 3000)};
    ASSERT_TRUE(run(store_->put(guid_of("place"), {guid_of("another volume"), 1}, again)));
    fill_and_drop(most);
    node_.run(store_->give_back());
    EXPECT_EQ(store_->tags(id_of(100, 3000)).size(), 2U);
    EXPECT_TRUE(run(store_->get(id_of(100, 3000))));
}

}  // namespace
}  // namespace store_test
