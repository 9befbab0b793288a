// What every block store keeps to. One file of a store's suite includes this and instantiates it:
//
//     INSTANTIATE_TEST_SUITE_P(SegmentStore, BlockStoreContract, testing::Values(...));
//
// with a way to open one on a node's doors. A store that `survives` is opened again where a test says so.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/sim/world.hpp"
#include "base/task_group.hpp"
#include "contract/blocks.hpp"
#include "past/block_store.hpp"
#include "past/error.hpp"

namespace contract {

using StoreOpener = std::function<base::Task<base::Result<std::unique_ptr<past::BlockStore>>>(base::NodeEnv env)>;

/// Makes the bytes of a block that the store holds other ones, behind its back.
using BlockDamager = std::function<void(past::BlockStore& store, base::sim::Node& node, const past::Block& block)>;

struct BlockStoreKind {
    std::string name;
    StoreOpener open;
    BlockDamager damage;  ///< for DamagedBlockContract
    bool survives = true;
    friend std::ostream& operator<<(std::ostream& out, const BlockStoreKind& kind) { return out << kind.name; }
};

/// Wherever the bytes lie on the disk.
inline void damage_on_disk(past::BlockStore&, base::sim::Node& node, const past::Block& block) {
    for (const auto& name : node.disk().files()) {
        const auto bytes = *node.disk().contents(name);
        const auto wanted = block.bytes.view();
        const auto found = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
        if (found != bytes.end()) node.disk().flip_bit(name, static_cast<std::uint64_t>(found - bytes.begin()) + 9, 3);
    }
}

/// Asked for one by one, groups look as they do together.
inline void expect_same_summaries(const past::BlockStore& store) {
    for (const auto& summary : store.groups()) EXPECT_EQ(store.summary(summary.group), summary);
    EXPECT_EQ(store.summary(guid_of("nothing is here")), past::GroupSummary{.group = guid_of("nothing is here")});
}

class BlockStoreContract : public testing::TestWithParam<BlockStoreKind> {
  protected:
    BlockStoreContract() : node_{world_.add_node()} { open(); }
    ~BlockStoreContract() override { store_.reset(); }

    void open() {
        auto opened = node_.run(GetParam().open(node_.env()));
        ASSERT_TRUE(opened.has_value());
        ASSERT_TRUE(opened->has_value()) << opened->error().message();
        store_ = std::move(**opened);
    }
    /// Away and back, if this store outlives its process.
    void reopen() {
        if (!GetParam().survives) return;
        node_.kill();
        store_.reset();
        node_.restart();
        open();
    }

    template <class T>
    T run(base::Task<T> task) {
        auto value = node_.run(std::move(task));
        EXPECT_TRUE(value.has_value());
        return std::move(*value);
    }
    base::Result<void> put(const past::Tag& tag, std::vector<past::Block> blocks,
                           base::Guid placement_group = guid_of("place")) {
        return run(store_->put(placement_group, tag, std::move(blocks)));
    }
    base::Result<void> put(const past::Block& block) { return put(kTag, std::vector{block}); }
    const past::Tag kTag{guid_of("volume"), 5};
    const past::Tag kOther{guid_of("other volume"), 1};
    base::sim::World world_{1};
    base::sim::Node& node_;
    std::unique_ptr<past::BlockStore> store_;
};

/// Of stores that have the bytes themselves.
class DamagedBlockContract : public BlockStoreContract {
  protected:
    /// Put under these tags, damaged, and found so.
    void lose(const past::Block& block, const std::vector<past::Tag>& tags) {
        for (const auto& tag : tags) ASSERT_TRUE(put(tag, {block}));
        GetParam().damage(*store_, node_, block);
        ASSERT_EQ(run(store_->get(block.id)).error(), past::Errc::corrupt_block);
        ASSERT_FALSE(store_->has(block.id));
    }
    void expect_lost(const past::Block& block, bool lost = true) {
        const auto wanted = lost ? past::Errc::corrupt_block : past::Errc::block_not_found;
        EXPECT_EQ(run(store_->get(block.id)).error(), wanted);
        EXPECT_EQ(store_->usage().lost_blocks, lost ? 1U : 0U);
    }
};

TEST_P(BlockStoreContract, ABlockComesBackAsItWasPut) {
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put(block));
    reopen();
    EXPECT_TRUE(store_->has(block.id));
    const auto got = run(store_->get(block.id));
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(base::to_bytes(got->view()), base::to_bytes(block.bytes.view()));
}

TEST_P(BlockStoreContract, BlocksOfEverySizeComeBack) {
    std::vector<past::Block> blocks;
    for (const std::size_t size : {0, 1, 7, 8, 9, 511, 512, 4095, 4096, 65536, 1'000'000})
        blocks.push_back(block_of(size, size));
    blocks.push_back(block_of(99, base::kMaxBlockBytes));
    ASSERT_TRUE(put(kTag, blocks));
    reopen();
    for (const auto& block : blocks) {
        const auto got = run(store_->get(block.id));
        ASSERT_TRUE(got) << block.bytes.size() << ": " << got.error().message();
        EXPECT_EQ(base::to_bytes(got->view()), base::to_bytes(block.bytes.view()));
    }
}

TEST_P(BlockStoreContract, GettingABlockThatWasNeverPutIsNotFound) {
    EXPECT_EQ(run(store_->get(guid_of("absent"))).error(), past::Errc::block_not_found);
    EXPECT_FALSE(store_->has(guid_of("absent")));
    EXPECT_TRUE(store_->tags(guid_of("absent")).empty());
}

TEST_P(BlockStoreContract, ABlockTwiceInOnePutIsStoredOnce) {
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put(kTag, {block, block}));
    EXPECT_EQ(store_->usage().blocks, 1U);
    EXPECT_EQ(store_->usage().block_bytes, 1000U);
}

TEST_P(BlockStoreContract, PuttingAgainUnderAnotherTagAddsTheTagOnly) {
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put(block));
    ASSERT_TRUE(put(kOther, {block}));
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, kOther));
    EXPECT_EQ(store_->usage().blocks, 1U);
}

TEST_P(BlockStoreContract, AVolumeHasOneTagOnABlockAtItsNewestGeneration) {
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put(kTag, {block}));
    ASSERT_TRUE(put({kTag.volume, 9}, {block}));
    ASSERT_TRUE(put({kTag.volume, 7}, {block}));
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(past::Tag{kTag.volume, 9}));
}

TEST_P(BlockStoreContract, TouchSaysWhatIsHeldAndTagsIt) {
    const auto held = block_of(1, 10);
    ASSERT_TRUE(put(held));
    std::vector<base::Guid> ids{guid_of("absent"), held.id};
    const auto known = run(store_->touch({kTag.volume, 8}, ids));
    ASSERT_TRUE(known);
    EXPECT_EQ(*known, (std::vector<bool>{false, true}));
    reopen();
    EXPECT_THAT(store_->tags(held.id), testing::ElementsAre(past::Tag{kTag.volume, 8}));
}

TEST_P(BlockStoreContract, UntagDropsATagUpToItsGenerationOnly) {
    const auto block = block_of(1, 10);
    ASSERT_TRUE(put(kTag, {block}));
    const std::vector<base::Guid> ids{block.id};
    EXPECT_EQ(*run(store_->untag({kTag.volume, kTag.generation - 1}, ids)), 0U);
    EXPECT_TRUE(store_->has(block.id));
    EXPECT_EQ(*run(store_->untag(kOther, ids)), 0U);
    EXPECT_TRUE(store_->has(block.id));
    EXPECT_EQ(*run(store_->untag(kTag, ids)), 1U);
    reopen();
    EXPECT_FALSE(store_->has(block.id));
    EXPECT_EQ(run(store_->get(block.id)).error(), past::Errc::block_not_found);
}

TEST_P(BlockStoreContract, ABlockStaysWhileAnybodyTagsIt) {
    const auto block = block_of(1, 10);
    ASSERT_TRUE(put(kTag, {block}));
    ASSERT_TRUE(put(kOther, {block}));
    const std::vector<base::Guid> ids{block.id};
    EXPECT_EQ(*run(store_->untag(kTag, ids)), 0U);
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(kOther));
    EXPECT_EQ(*run(store_->untag(kOther, ids)), 1U);
    EXPECT_FALSE(store_->has(block.id));
}

TEST_P(BlockStoreContract, DiscardForgetsWhateverTheTags) {
    const auto block = block_of(1, 10);
    const auto stays = block_of(2, 10);
    ASSERT_TRUE(put(kTag, {block, stays}));
    ASSERT_TRUE(put(kOther, {block}));
    std::vector<base::Guid> ids{block.id, guid_of("absent")};
    ASSERT_TRUE(run(store_->discard(ids)));
    reopen();
    EXPECT_FALSE(store_->has(block.id));
    EXPECT_TRUE(store_->has(stays.id));
}

TEST_P(BlockStoreContract, ADroppedBlockCanBePutAgain) {
    const auto block = block_of(1, 10);
    const std::vector<base::Guid> ids{block.id};
    ASSERT_TRUE(put(block));
    ASSERT_TRUE(run(store_->discard(ids)));
    ASSERT_TRUE(put(kOther, {block}));
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(kOther));
    EXPECT_TRUE(run(store_->get(block.id)));
}

TEST_P(DamagedBlockContract, ADamagedBlockIsSaidToBeDamagedEveryTime) {
    const auto block = block_of(1, 1000);
    lose(block, {kTag});
    expect_lost(block);
    reopen();
    expect_lost(block);
    EXPECT_FALSE(store_->has(block.id)) << "repair would send no good copy";
    EXPECT_EQ(store_->lost(), (std::vector<past::LostBlock>{{block.id, guid_of("place"), {kTag}}}));
    EXPECT_THAT(store_->record_keys(), testing::IsEmpty()) << "how it is kept is nobody's business";
}

TEST_P(DamagedBlockContract, ALostBlockThatIsPutAgainIsThere) {
    const auto block = block_of(1, 1000);
    lose(block, {kTag});
    ASSERT_TRUE(put(kOther, {block}));
    EXPECT_TRUE(run(store_->get(block.id)));
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
    const std::vector<base::Guid> ids{block.id};
    EXPECT_EQ(*run(store_->untag(kOther, ids)), 1U);
    reopen();
    expect_lost(block, false);
}

TEST_P(DamagedBlockContract, ALostBlockThatNobodyWantsAnyMoreIsForgotten) {
    const auto block = block_of(1, 1000);
    const std::vector<base::Guid> ids{block.id};
    lose(block, {kTag, kOther});
    EXPECT_EQ(*run(store_->untag(kTag, ids)), 0U) << "it is not held";
    expect_lost(block);
    EXPECT_EQ(*run(store_->untag({kOther.volume, kOther.generation - 1}, ids)), 0U);
    reopen();
    expect_lost(block);
    EXPECT_EQ(*run(store_->untag(kOther, ids)), 0U);
    expect_lost(block, false);
    reopen();
    expect_lost(block, false);
}

TEST_P(DamagedBlockContract, DiscardForgetsALostBlock) {
    const auto block = block_of(1, 1000);
    const std::vector<base::Guid> ids{block.id};
    lose(block, {kTag, kOther});
    ASSERT_TRUE(run(store_->discard(ids)));
    reopen();
    expect_lost(block, false);
}

TEST_P(DamagedBlockContract, ALossIsForgottenWithoutTouchingWhatIsHeld) {
    const auto block = block_of(1, 1000), held = block_of(2, 1000);
    const std::vector<base::Guid> ids{held.id, block.id, block_of(3, 1000).id};
    lose(block, {kTag, kOther});
    ASSERT_TRUE(put(held));
    ASSERT_TRUE(run(store_->forget_lost(ids)));
    expect_lost(block, false);
    EXPECT_TRUE(run(store_->get(held.id)));
    lose(block, {kTag});
    ASSERT_TRUE(put(block));
    ASSERT_TRUE(run(store_->forget_lost(ids)));
    reopen();
    EXPECT_TRUE(run(store_->get(block.id))) << "a good copy has come meanwhile";
    EXPECT_THAT(store_->tags(held.id), testing::ElementsAre(kTag));
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
}

TEST_P(DamagedBlockContract, ATouchDoesNotFindALostBlock) {
    const auto block = block_of(1, 1000);
    const std::vector<base::Guid> ids{block.id};
    lose(block, {kTag});
    EXPECT_EQ(*run(store_->touch(kTag, ids)), std::vector<bool>{false});
    expect_lost(block);
}

TEST_P(DamagedBlockContract, LostBlocksAreToldTheLatestLast) {
    std::vector<base::Guid> order;
    for (std::uint64_t number : {3, 1, 2}) {
        lose(block_of(number, 100), {kTag});
        order.push_back(block_of(number, 100).id);
    }
    reopen();
    std::vector<base::Guid> told;
    for (const auto& block : store_->lost()) told.push_back(block.id);
    EXPECT_EQ(told, order);
}

TEST_P(BlockStoreContract, GroupsAreSummedUpWithADigestOfTheirBlocks) {
    const auto a = block_of(1, 10);
    const auto b = block_of(2, 20);
    const auto c = block_of(3, 30);
    ASSERT_TRUE(put(kTag, {a, b}, guid_of("here")));
    ASSERT_TRUE(put(kTag, {c}, guid_of("there")));
    expect_same_summaries(*store_);
    const auto together = store_->groups();
    ASSERT_EQ(together.size(), 2U);
    EXPECT_LT(together[0].group, together[1].group);
    for (const auto& summary : together) {
        const bool here = summary.group == guid_of("here");
        EXPECT_EQ(summary.blocks, here ? 2U : 1U);
        EXPECT_EQ(summary.bytes, 30U);
        if (!here) {
            EXPECT_EQ(summary.digest, base::sha256(c.id.view()));
        }
    }
    std::vector<base::Guid> ids{b.id, c.id};
    ASSERT_TRUE(run(store_->discard(ids)));
    reopen();
    const auto left = store_->groups();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].digest, base::sha256(a.id.view()));
    EXPECT_EQ(left[0].bytes, 10U);
    expect_same_summaries(*store_);
}

TEST_P(BlockStoreContract, ABlockThatHasAllTheTagsItMayHaveTakesNoOtherAndStaysAsItIs) {
    const auto block = block_of(1, 100), other = block_of(2, 100);
    std::vector<past::Tag> tags;
    base::Result<void> done = base::ok();
    for (std::uint64_t i = 0; done && i <= past::kMaxTagsPerBlock; ++i) {
        const past::Tag tag{guid_of("volume " + std::to_string(i)), 7};
        done = put(tag, {block});
        if (done) tags.push_back(tag);
    }
    ASSERT_EQ(done.error(), past::Errc::too_many_tags);
    EXPECT_EQ(done.error(), std::errc::too_many_links);
    EXPECT_EQ(put(kTag, {other, block}).error(), past::Errc::too_many_tags);
    EXPECT_FALSE(store_->has(other.id)) << "none of the put";
    const std::vector<base::Guid> ids{block.id};
    EXPECT_EQ(*run(store_->touch(kTag, ids)), std::vector<bool>{false});
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAreArray(tags));
    EXPECT_TRUE(run(store_->get(block.id)));
    // Those that it has still rise, and one that goes makes room.
    tags[0].generation = 8;
    EXPECT_TRUE(put(tags[0], {block}));
    ASSERT_TRUE(run(store_->untag(tags[1], ids)));
    EXPECT_TRUE(put(kTag, {block}));
    tags[1] = kTag;
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAreArray(tags));
}

TEST_P(BlockStoreContract, ABlockStaysAtTheGroupWhereItWasPutFirst) {
    const auto a = block_of(1, 10);
    ASSERT_TRUE(put(kTag, {a}, guid_of("here")));
    ASSERT_TRUE(put(kOther, {a}, guid_of("there")));
    reopen();
    EXPECT_THAT(store_->list(guid_of("here"), base::Guid{}, 10), testing::ElementsAre(a.id));
    EXPECT_THAT(store_->list(guid_of("there"), base::Guid{}, 10), testing::IsEmpty());
}

TEST_P(BlockStoreContract, ListGoesThroughAGroupInOrderPieceByPiece) {
    std::vector<past::Block> blocks;
    std::set<base::Guid> expected;
    for (std::uint64_t i = 0; i < 100; ++i) {
        blocks.push_back(block_of(i, 10));
        expected.insert(blocks.back().id);
    }
    ASSERT_TRUE(put(kTag, blocks, guid_of("here")));
    ASSERT_TRUE(put(kTag, {block_of(1000, 10)}, guid_of("there")));
    std::vector<base::Guid> listed;
    for (base::Guid after;;) {
        const auto some = store_->list(guid_of("here"), after, 7);
        if (some.empty()) break;
        ASSERT_LE(some.size(), 7U);
        listed.insert(listed.end(), some.begin(), some.end());
        after = some.back();
    }
    EXPECT_EQ(listed, std::vector<base::Guid>(expected.begin(), expected.end()));
}

TEST_P(BlockStoreContract, RecordsAreReplacedAsAWhole) {
    const auto key = guid_of("key");
    EXPECT_FALSE(store_->record(key));
    ASSERT_TRUE(run(store_->put_record(key, base::to_bytes(std::string_view{"first"}))));
    ASSERT_TRUE(run(store_->put_record(key, base::to_bytes(std::string_view{"second"}))));
    ASSERT_TRUE(run(store_->put_record(guid_of("empty"), base::Bytes{})));
    reopen();
    EXPECT_EQ(store_->record(key), base::to_bytes(std::string_view{"second"}));
    EXPECT_EQ(store_->record(guid_of("empty")), base::Bytes{});
    EXPECT_THAT(store_->record_keys(), testing::UnorderedElementsAre(key, guid_of("empty")));
}

TEST_P(BlockStoreContract, ARecordOfMoreThan64KiBIsRefused) {
    EXPECT_TRUE(run(store_->put_record(guid_of("key"), base::Bytes(64U << 10U))));
    EXPECT_EQ(run(store_->put_record(guid_of("key"), base::Bytes((64U << 10U) + 1))).error(), past::Errc::too_large);
}

TEST_P(BlockStoreContract, UsageFollowsPutsAndDrops) {
    ASSERT_TRUE(put(kTag, {block_of(1, 1000), block_of(2, 500)}));
    EXPECT_EQ(store_->usage().blocks, 2U);
    EXPECT_EQ(store_->usage().block_bytes, 1500U);
    EXPECT_GE(store_->usage().disk_bytes, 1500U);
    std::vector<base::Guid> ids{block_of(2, 500).id};
    ASSERT_TRUE(run(store_->untag(kTag, ids)));
    reopen();
    EXPECT_EQ(store_->usage().blocks, 1U);
    EXPECT_EQ(store_->usage().block_bytes, 1000U);
}

TEST_P(BlockStoreContract, ConcurrentPutsOfOneBlockUnderTwoTagsKeepBoth) {
    const auto block = block_of(1, 100);
    const std::vector<past::Block> blocks{block};
    base::TaskGroup group{node_.env().executor};
    for (const auto& tag : {kTag, kOther}) {
        group.spawn([](past::BlockStore& store, past::Tag with, std::vector<past::Block> what) -> base::Task<void> {
            const auto done = co_await store.put(guid_of("place"), with, std::move(what));
            EXPECT_TRUE(done);
        }(*store_, tag, blocks));
    }
    ASSERT_TRUE(node_.run(group.join()));
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, kOther));
    EXPECT_EQ(store_->usage().blocks, 1U);
}

}  // namespace contract
