// What devices do to files: bits flip, pages are zeroed, files are swapped, cut or gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sim/world.hpp"
#include "ledger.hpp"
#include "store/files.hpp"

namespace store_test {
namespace {

namespace sim = base::sim;
using past::store::file_name;
using past::store::FileKind;

/// A store on one simulated machine, opened and closed at will.
class StoreDamage : public testing::Test {
  protected:
    StoreDamage() : node_{world_.add_node()} { config_.reserve_bytes = 0; }
    ~StoreDamage() override { store_.reset(); }

    base::Result<void> try_open() {
        auto opened = node_.run(SegmentStore::open(node_.env(), config_));
        if (!*opened) return opened->error();
        store_ = std::move(**opened);
        return base::ok();
    }
    void open() {
        const auto opened = try_open();
        ASSERT_TRUE(opened) << opened.error().message();
    }
    void close() {
        if (store_) node_.run(store_->close());
        store_.reset();
    }
    template <class T>
    T run(Task<T> task) {
        return std::move(*node_.run(std::move(task)));
    }
    std::vector<Block> fill(std::uint64_t count, std::size_t size = 600) {
        std::vector<Block> all;
        for (std::uint64_t i = 0; i < count; ++i) {
            all.push_back(block_of(i, size));
            const std::vector<Block> one{all.back()};
            EXPECT_TRUE(run(store_->put(guid_of("place"), kTag, one)));
        }
        return all;
    }
    bool readable(const Block& block) {
        const auto got = run(store_->get(block.id));
        if (!got) return false;
        EXPECT_EQ(base::to_bytes(got->view()), base::to_bytes(block.bytes.view())) << "wrong bytes";
        return true;
    }
    std::size_t readable(const std::vector<Block>& blocks) {
        std::size_t count = 0;
        for (const auto& block : blocks) count += readable(block) ? 1 : 0;
        return count;
    }
    /// A bit of its payload, wherever that lies in the first segment.
    void flip_in(const Block& block) {
        const auto name = path(FileKind::segment, 1);
        const auto bytes = *node_.disk().contents(name);
        const auto wanted = block.bytes.view();
        const auto at = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
        ASSERT_NE(at, bytes.end());
        node_.disk().flip_bit(name, static_cast<std::uint64_t>(at - bytes.begin()) + 7, 3);
    }
    std::string path(FileKind kind, std::uint32_t number) { return file_name("blocks", kind, number); }

    const Tag kTag{guid_of("volume"), 5};
    sim::World world_{1};
    sim::Node& node_;
    SegmentStore::Config config_;
    std::unique_ptr<SegmentStore> store_;
};

TEST_F(StoreDamage, ADamagedBlockIsNeverReturnedAndIsLostUntilItIsPutAgain) {
    open();
    const auto blocks = fill(4);
    node_.disk().flip_bit(path(FileKind::segment, 1), 64 + 152 + 100, 3);
    EXPECT_EQ(run(store_->get(blocks[0].id)).error(), past::Errc::corrupt_block);
    EXPECT_FALSE(store_->has(blocks[0].id));
    EXPECT_EQ(run(store_->get(blocks[0].id)).error(), past::Errc::corrupt_block);
    EXPECT_EQ(readable(blocks), 3U);
    EXPECT_EQ(store_->damage().corrupt_blocks, 1U);

    close();
    open();
    EXPECT_FALSE(store_->has(blocks[0].id)) << "dropped durably";
    EXPECT_EQ(store_->usage().lost_blocks, 1U);
    const std::vector<Block> again{blocks[0]};
    ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, again)));
    EXPECT_EQ(readable(blocks), 4U);
    close();
    open();
    EXPECT_EQ(readable(blocks), 4U);
}

TEST_F(StoreDamage, ALastRecordThatWasDamagedAfterItWasCompleteIsLost) {
    for (const std::uint64_t count : {1U, 2U}) {
        SCOPED_TRACE(count);
        open();
        std::vector<Block> together;
        for (std::uint64_t i = 0; i < count; ++i) together.push_back(block_of(10 * count + i, 600));
        ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, together)));
        close();
        flip_in(together.back());
        open();
        EXPECT_EQ(run(store_->get(together.back().id)).error(), past::Errc::corrupt_block);
        EXPECT_EQ(readable(together), count - 1);
        ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, together)));
        EXPECT_EQ(readable(together), count);
        close();
    }
}

TEST_F(StoreDamage, ATornRecordThatNothingShowsToHaveBeenCompleteIsNoLoss) {
    open();
    const auto blocks = fill(2);
    node_.kill();
    store_.reset();
    node_.restart();
    flip_in(blocks[1]);  // as a power cut in the middle of the put would have left it
    open();
    EXPECT_EQ(run(store_->get(blocks[1].id)).error(), past::Errc::block_not_found);
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
}

TEST_F(StoreDamage, OfMoreLostBlocksThanThereIsRoomForTheLatestAreRemembered) {
    open();
    constexpr std::size_t kRoomFor = ((64U << 10U) - 1) / (32 + 32 + 2 + 40);
    const auto blocks = fill(kRoomFor + 50, 40);
    for (const auto& block : blocks) flip_in(block);
    for (const auto& block : blocks) EXPECT_FALSE(readable(block));
    close();
    open();
    EXPECT_EQ(store_->usage().lost_blocks, kRoomFor);
    EXPECT_EQ(store_->lost().back().id, blocks.back().id);
    EXPECT_EQ(run(store_->get(blocks[0].id)).error(), past::Errc::block_not_found);
    EXPECT_EQ(run(store_->get(blocks[50].id)).error(), past::Errc::corrupt_block);
}

TEST_F(StoreDamage, TwoReadersOfADamagedBlockAreToldTheSame) {
    open();
    const auto blocks = fill(1);
    flip_in(blocks[0]);
    std::vector<base::Error> errors;
    base::TaskGroup group{node_.env().executor};
    for (int i = 0; i < 2; ++i) {
        group.spawn([](SegmentStore& store, Guid id, std::vector<base::Error>& out) -> Task<void> {
            const auto got = co_await store.get(id);
            if (!got) out.push_back(got.error());
        }(*store_, blocks[0].id, errors));
    }
    ASSERT_TRUE(node_.run(group.join()));
    ASSERT_EQ(errors.size(), 2U);
    for (const auto& error : errors) EXPECT_EQ(error, past::Errc::corrupt_block);
    EXPECT_EQ(store_->usage().lost_blocks, 1U);
}

/// While other records make the log roll over: damaged, put again, given up; each as soon as the one before was told.
Task<void> lose_replace_and_drop(SegmentStore& store, Tag tag, Block block) {
    const auto damaged = co_await store.get(block.id);
    EXPECT_FALSE(damaged);
    const std::vector<Block> again{block};
    const auto put = co_await store.put(guid_of("place"), tag, again);
    EXPECT_TRUE(put);
    const std::vector<Guid> ids{block.id};
    const auto gone = co_await store.untag(tag, ids);
    EXPECT_TRUE(gone && *gone == 1);
}
Task<void> put_at_once_when_lost(SegmentStore& store, base::Clock& clock, Tag tag, Block block) {
    while (store.has(block.id)) co_await clock.sleep_for(std::chrono::microseconds{1});
    const std::vector<Block> again{block};
    const auto put = co_await store.put(guid_of("place"), tag, again);
    EXPECT_TRUE(put);
}
Task<void> write_records_until_lost(SegmentStore& store, Block block) {
    while (store.has(block.id)) {
        const auto done = co_await store.put_record(guid_of("key"), base::Bytes(200));
        EXPECT_TRUE(done);
    }
}

TEST_F(StoreDamage, ACheckpointInTheMiddleOfALossDoesNotKeepItForGood) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        sim::World world{seed};
        auto& node = world.add_node();
        node.disk().set_speed(std::chrono::microseconds{20}, std::chrono::microseconds{100}, 0);
        auto config = config_;
        config.checkpoint_bytes = 256;
        config.state_ahead_bytes = 512;
        auto store = **node.run(SegmentStore::open(node.env(), config));
        const auto block = block_of(seed, 600);
        const std::vector<Block> one{block};
        ASSERT_TRUE(*node.run(store->put(guid_of("place"), kTag, one)));
        node.disk().flip_bit(path(FileKind::segment, 1), 64 + 152 + 100, 3);
        base::TaskGroup group{node.env().executor};
        group.spawn(write_records_until_lost(*store, block));
        group.spawn(put_at_once_when_lost(*store, node.env().clock, kTag, block));
        group.spawn(lose_replace_and_drop(*store, kTag, block));
        ASSERT_TRUE(node.run(group.join()));
        node.kill();
        store.reset();
        node.restart();
        store = **node.run(SegmentStore::open(node.env(), config));
        const auto got = *node.run(store->get(block.id));
        EXPECT_EQ(got.error(), past::Errc::block_not_found) << "seed " << seed;
    }
}

TEST_F(StoreDamage, WhatWasSaidOfABlockIsNotSaidOfAnotherThatTakesItsRoom) {
    open();
    const auto blocks = fill(2);
    const std::vector<Guid> dropped{blocks[1].id};
    ASSERT_TRUE(run(store_->discard(dropped)));
    close();
    // The head of the last record: what it held is cut away, and the next put lies where it lay.
    node_.disk().flip_bit(path(FileKind::segment, 1), 64 + 152 + 600 + 20, 3);
    open();
    const std::vector<Block> next{block_of(2, 600)};
    ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, next)));
    close();
    open();
    EXPECT_TRUE(readable(next)) << "dropped by an operation that was about its predecessor";
}

TEST_F(StoreDamage, AReaderThatDoesNotHashIsFoundOut) {
    config_.testing.skip_read_check = true;
    open();
    const auto blocks = fill(1);
    node_.disk().flip_bit(path(FileKind::segment, 1), 64 + 152 + 100, 3);
    const auto got = run(store_->get(blocks[0].id));
    ASSERT_TRUE(got) << "the planted bug is not there";
    EXPECT_NE(base::sha256(got->view()), blocks[0].id);
}

TEST_F(StoreDamage, AnyBitOfASegmentMayFlipAndCostsAtMostItsRecord) {
    config_.segment_ahead_bytes = 4096;  // of zeros, whose bits flip, too
    open();
    const auto blocks = fill(3, 40);
    close();
    const auto name = path(FileKind::segment, 1);
    const auto size = node_.disk().contents(name)->size();
    for (std::uint64_t at = 0; at < size; ++at) {
        const auto bit = static_cast<unsigned>(at % 8);
        node_.disk().flip_bit(name, at, bit);
        const auto saved = *node_.disk().contents(name);
        open();
        EXPECT_GE(readable(blocks), 2U) << "offset " << at;
        close();
        // As it was before, whatever opening made of it.
        auto whole = saved;
        whole[at] = static_cast<std::uint8_t>(whole[at] ^ 1U << bit);
        node_.disk().erase(name);
        auto file = node_.disk().open(name, base::Disk::Mode::create);
        ASSERT_TRUE((*file)->write_at(0, base::ByteView{whole}));
        for (const auto& other : node_.disk().files()) {
            if (other.find("/state/") != other.npos) node_.disk().erase(other);
        }
    }
}

TEST_F(StoreDamage, DamageInTheMiddleOfASegmentIsReportedAndLaterRecordsAreKept) {
    open();
    const auto blocks = fill(20);
    close();
    node_.disk().zero_page(path(FileKind::segment, 1), 4096);
    open();
    const auto left = readable(blocks);
    EXPECT_GE(left, 10U);
    EXPECT_LT(left, 20U);
    EXPECT_TRUE(readable(blocks.back()));
    EXPECT_GT(store_->damage().skipped_bytes, 0U);
    const std::vector<Block> one{block_of(100, 600)};
    EXPECT_TRUE(run(store_->put(guid_of("place"), kTag, one)));
}

TEST_F(StoreDamage, IndexFilesAreOnlyACache) {
    config_.segment_bytes = 4096;
    open();
    const auto blocks = fill(40);
    close();
    const auto files = node_.disk().files();
    ASSERT_GE(std::count_if(files.begin(), files.end(), [](const auto& name) { return name.ends_with(".idx"); }), 4);
    unsigned number = 0;
    for (const auto& name : files) {
        if (!name.ends_with(".idx")) continue;
        switch (number++ % 4) {
            case 0: node_.disk().erase(name); break;
            case 1: node_.disk().flip_bit(name, 100, 2); break;
            case 2: node_.disk().cut(name, 90); break;
            case 3: node_.disk().overwrite(name, 0, base::Bytes(64)); break;
        }
    }
    open();
    EXPECT_EQ(readable(blocks), 40U);
    EXPECT_GE(store_->damage().index_files, 4U);
    close();
    open();
    EXPECT_EQ(store_->damage().index_files, 0U) << "made again";
    EXPECT_EQ(readable(blocks), 40U);
}

TEST_F(StoreDamage, SwappedSegmentsAreFoundOut) {
    config_.segment_bytes = 4096;
    open();
    const auto blocks = fill(20);
    close();
    node_.disk().swap(path(FileKind::segment, 1), path(FileKind::segment, 2));
    open();
    const auto left = readable(blocks);  // never wrong bytes: readable() compares
    EXPECT_GE(left, 8U);
    EXPECT_LT(left, 20U);
    EXPECT_GT(store_->damage().skipped_bytes, 0U);
}

TEST_F(StoreDamage, ASegmentThatIsGoneTakesOnlyItsOwnBlocks) {
    config_.segment_bytes = 4096;
    open();
    const auto blocks = fill(20);
    close();
    node_.disk().erase(path(FileKind::segment, 2));
    open();
    EXPECT_GE(readable(blocks), 12U);
}

TEST_F(StoreDamage, FormatIsMadeAgainFromTheSegments) {
    open();
    const auto blocks = fill(3);
    close();
    node_.disk().erase("blocks/FORMAT");
    open();
    EXPECT_EQ(readable(blocks), 3U);
    close();
    node_.disk().flip_bit("blocks/FORMAT", 20, 1);
    open();
    EXPECT_EQ(readable(blocks), 3U);
}

TEST_F(StoreDamage, NoBitOfFormatThatFlipsMakesTheStoreOneOfALaterVersion) {
    open();
    const auto blocks = fill(1);
    close();
    for (std::uint64_t bit = 0; bit < 36U * 8; ++bit) {
        node_.disk().flip_bit("blocks/FORMAT", bit / 8, bit % 8);
        open();
        EXPECT_EQ(readable(blocks), 1U) << bit;
        close();
    }
}

TEST_F(StoreDamage, AStoreOfALaterVersionIsLeftAlone) {
    open();
    fill(1);
    close();
    const auto before = node_.disk().files();
    base::Bytes later = *node_.disk().contents("blocks/FORMAT");
    later[8] = 2;
    later.resize(48);
    node_.disk().overwrite("blocks/FORMAT", 0, later);
    const auto refused = try_open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), base::Errc::unsupported);
    EXPECT_NE(refused.error().message().find("blocks"), std::string::npos);
    EXPECT_EQ(node_.disk().files(), before);
}

TEST_F(StoreDamage, ADamagedCheckpointCostsNothing) {
    config_.checkpoint_bytes = 2048;
    open();
    const auto blocks = fill(10);
    for (std::uint64_t generation = 6; generation < 60; ++generation) {
        for (const auto& block : blocks) {
            const std::vector<Guid> ids{block.id};
            ASSERT_TRUE(run(store_->touch({kTag.volume, generation}, ids)));
        }
    }
    ASSERT_TRUE(run(store_->put_record(guid_of("key"), base::to_bytes("value"))));
    close();
    open();  // which clears away what is not needed any more
    close();
    std::string newest;
    for (const auto& name : node_.disk().files()) {
        if (name.ends_with(".ckp")) newest = name;
    }
    ASSERT_FALSE(newest.empty());
    node_.disk().flip_bit(newest, 80, 0);
    open();
    EXPECT_FALSE(store_->damage().state_lost);
    for (const auto& block : blocks) EXPECT_EQ(store_->tags(block.id), (std::vector<Tag>{{kTag.volume, 59}}));
    EXPECT_EQ(store_->record(guid_of("key")), base::to_bytes("value"));
}

TEST_F(StoreDamage, ACheckpointThatWouldNotReadBackIsNotWrittenSoNoOlderOneIsDeletedForIt) {
    past::store::Checkpoint good, bad;
    good.tag_sets = {{kTag}};
    bad.records[guid_of("key")] = base::Bytes(past::store::kMaxRecordBytes + 1);
    auto tagged_by_all = good;
    tagged_by_all.tag_sets[0].resize(UINT16_MAX + 2, kTag);
    open();
    close();
    const auto write = [&](past::store::Checkpoint checkpoint) {
        auto& disk = node_.env().disk;
        auto job = [&disk, checkpoint] { return write_checkpoint(disk, "blocks", 9, {}, checkpoint); };
        return run(node_.env().workers.run(std::move(job)));
    };
    ASSERT_TRUE(write(good));
    const auto before = *node_.disk().contents(path(FileKind::checkpoint, 9));
    for (const auto& checkpoint : {bad, tagged_by_all}) {
        EXPECT_EQ(write(checkpoint).error(), base::Errc::corrupt);
        EXPECT_EQ(*node_.disk().contents(path(FileKind::checkpoint, 9)), before);
    }
}

TEST_F(StoreDamage, WhereOperationsAreLostBlocksAreKeptTooLongRatherThanDropped) {
    open();
    const auto blocks = fill(2);
    for (std::uint64_t generation = 6; generation < 12; ++generation) {
        const std::vector<Guid> ids{blocks[generation % 2].id};
        ASSERT_TRUE(run(store_->touch({kTag.volume, generation}, ids)));
    }
    close();
    node_.disk().flip_bit(path(FileKind::log, 1), 64 + 88 + 88 + 40, 1);
    open();
    EXPECT_TRUE(store_->damage().state_lost);
    EXPECT_TRUE(store_->usage().state_lost) << "for a person to see";
    for (const auto& block : blocks) EXPECT_EQ(store_->tags(block.id), (std::vector<Tag>{{kTag.volume, 11}}));
    close();
    open();
    for (const auto& block : blocks) EXPECT_EQ(store_->tags(block.id), (std::vector<Tag>{{kTag.volume, 11}}));
}

TEST_F(StoreDamage, WithoutAnyLogBlocksAreKeptTooLongRatherThanDropped) {
    for (const bool emptied : {false, true}) {
        config_.directory = emptied ? "emptied" : "erased";
        open();
        const auto first = block_of(0, 600);
        const std::vector<Block> one{first};
        const std::vector<Block> other{block_of(1, 600)};
        ASSERT_TRUE(run(store_->put(guid_of("place"), {kTag.volume, 5}, one)));
        ASSERT_TRUE(run(store_->put(guid_of("place"), {kTag.volume, 9}, other)));
        ASSERT_TRUE(run(store_->touch({kTag.volume, 9}, std::vector<Guid>{first.id})));
        close();
        const auto log = file_name(config_.directory, FileKind::log, 1);
        if (emptied) {
            node_.disk().cut(log, 0);
        } else {
            node_.disk().erase(log);
        }
        const std::vector<Tag> newest{{kTag.volume, 9}};
        open();
        EXPECT_TRUE(store_->damage().state_lost);
        EXPECT_EQ(store_->tags(first.id), newest) << "a reclaim up to 5 must not drop it";
        close();
        open();
        EXPECT_EQ(store_->tags(first.id), newest) << "nor after it was opened again";
        ASSERT_TRUE(run(store_->put_record(guid_of("key"), base::to_bytes("value"))));
        close();
        open();
        EXPECT_FALSE(store_->damage().state_lost) << "a checkpoint was written";
        EXPECT_EQ(store_->tags(first.id), newest);
        close();
    }
}

TEST_F(StoreDamage, AStoreThatIsNewHasLostNothing) {
    open();
    EXPECT_FALSE(store_->damage().state_lost);
    close();
    open();
    EXPECT_FALSE(store_->damage().state_lost);
}

TEST_F(StoreDamage, AnyBitOfTheLogMayFlipAndNoBlockIsLost) {
    open();
    const auto blocks = fill(2, 40);
    for (std::uint64_t generation = 6; generation < 9; ++generation) {
        const std::vector<Guid> ids{blocks[generation % 2].id};
        ASSERT_TRUE(run(store_->touch({kTag.volume, generation}, ids)));
    }
    close();
    const auto name = path(FileKind::log, 1);
    const auto saved = *node_.disk().contents(name);
    for (std::uint64_t at = 0; at < 64 + 3 * 88; ++at) {
        node_.disk().flip_bit(name, at, static_cast<unsigned>(at % 8));
        open();
        EXPECT_EQ(readable(blocks), 2U) << "offset " << at;
        close();
        for (const auto& other : node_.disk().files()) {
            if (other.find("/state/") != other.npos) node_.disk().erase(other);
        }
        auto file = node_.disk().open(name, base::Disk::Mode::create);
        ASSERT_TRUE((*file)->write_at(0, base::ByteView{saved}));
    }
}

// FORMAT, then the log, then the header of the first segment.
constexpr std::uint64_t kReadOfFirstSegment = 3;
constexpr bool kAndLater = true;

TEST_F(StoreDamage, AReadThatFailsOnceWhileOpeningIsTriedAgain) {
    config_.segment_bytes = 4096;
    open();
    const auto blocks = fill(20);
    close();
    for (std::uint64_t read = kReadOfFirstSegment; read < kReadOfFirstSegment + 12; ++read) {
        node_.disk().fail(sim::DiskCall::read, read, base::Errc::io_failed);
        open();
        node_.disk().fail_nothing();
        EXPECT_EQ(store_->damage().unreadable_segments, 0U) << read;
        EXPECT_EQ(readable(blocks), 20U) << read;
        close();
    }
}

TEST_F(StoreDamage, OfASegmentThatCannotBeReadNobodyIsToldThatItsBlocksAreGone) {
    config_.segment_bytes = 4096;
    config_.checkpoint_bytes = 4096;
    config_.state_ahead_bytes = 1024;
    open();
    const auto blocks = fill(20);
    close();
    node_.disk().fail(sim::DiskCall::read, kReadOfFirstSegment, base::Errc::io_failed, kAndLater);
    open();
    node_.disk().fail_nothing();
    EXPECT_GT(store_->damage().unreadable_segments, 0U);
    const auto unknown = run(store_->get(blocks[0].id));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error(), base::Errc::io_failed);
    EXPECT_THAT(unknown.error().detail(), testing::HasSubstr("00000001.seg"));

    // The store serves, and what it writes down about its state must not be the end of what it could not see.
    const auto later = block_of(100, 600);
    ASSERT_TRUE(run(store_->put(guid_of("place"), kTag, {later})));
    for (std::uint64_t i = 0; i < 500; ++i) ASSERT_TRUE(run(store_->touch({kTag.volume, 100 + i}, {later.id})));
    EXPECT_TRUE(readable(later));
    close();
    open();
    EXPECT_EQ(readable(blocks), 20U);
    EXPECT_TRUE(readable(later));
}

TEST_F(StoreDamage, ACheckpointThatCannotBeReadCostsNothing) {
    config_.checkpoint_bytes = 4096;
    config_.state_ahead_bytes = 1024;
    open();
    const auto blocks = fill(3);
    for (std::uint64_t i = 0; i < 500; ++i) ASSERT_TRUE(run(store_->touch({kTag.volume, 100 + i}, {blocks[0].id})));
    close();
    node_.disk().fail(sim::DiskCall::read, 2, base::Errc::io_failed);  // after FORMAT
    open();
    EXPECT_FALSE(store_->damage().state_lost);
    EXPECT_EQ(readable(blocks), 3U);
    EXPECT_EQ(store_->tags(blocks[0].id), (std::vector<past::Tag>{{kTag.volume, 599}}));
}

TEST_F(StoreDamage, ABlockThatCannotBeReadIsForgottenForRepair) {
    open();
    const auto blocks = fill(2);
    node_.disk().fail(sim::DiskCall::read, 1, base::Errc::io_failed, kAndLater);
    EXPECT_EQ(run(store_->get(blocks[0].id)).error(), past::Errc::corrupt_block);
    node_.disk().fail_nothing();
    EXPECT_FALSE(store_->has(blocks[0].id));
    EXPECT_TRUE(readable(blocks[1]));
}

TEST_F(StoreDamage, ABlockThatReadsWellTheSecondTimeIsKept) {
    open();
    const auto blocks = fill(2);
    node_.disk().fail(sim::DiskCall::read, 1, base::Errc::io_failed);
    EXPECT_TRUE(readable(blocks[0]));
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
}

}  // namespace
}  // namespace store_test
