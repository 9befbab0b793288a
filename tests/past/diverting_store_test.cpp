// The store with its neighbours: what the contract says holds wherever a block lies.
#include "divert/diverting_store.hpp"

#include "base/error.hpp"
#include "contract/block_store_contract.hpp"
#include "past/segment_store.hpp"
#include "replication/tagged_put.hpp"

namespace contract {
namespace {

using namespace std::chrono_literals;
using past::Block;
using past::DivertingStore;
using past::Ledger;
using past::Tag;

const base::NodeId kNeighbour = guid_of("the neighbour");

/// A neighbour that has room for everything, or for nothing.
class OneNeighbour final : public past::DivertTarget {
  public:
    explicit OneNeighbour(past::BlockStore& store) : store_{store} {}

    base::Task<base::Result<std::vector<base::NodeId>>> keep(base::Guid group, std::vector<Tag> tags,
                                                             std::vector<Block> blocks, Among among,
                                                             past::Cause) override {
        const auto count = blocks.size();
        if (hangs) co_return base::Errc::timed_out;
        if (full && !(stranger && among == Among::anybody)) co_return past::Errc::no_space;
        BASE_CO_CHECK(co_await past::put_tagged(store_, group, std::move(tags), std::move(blocks)));
        if (meanwhile) co_await std::exchange(meanwhile, nullptr)();
        co_return std::vector<base::NodeId>(count, kNeighbour);
    }
    base::Task<base::Result<base::SharedBytes>> fetch(base::NodeId, base::Guid, base::Guid id) override {
        if (away) co_return base::Errc::unreachable;
        co_return co_await store_.get(id);
    }
    base::Task<base::Result<std::vector<bool>>> retag(base::NodeId, base::Guid, Tag tag, std::vector<base::Guid> ids,
                                                      bool untag) override {
        if (away) co_return base::Errc::unreachable;
        if (meanwhile) co_await std::exchange(meanwhile, nullptr)();
        if (!untag) co_return co_await store_.touch(tag, std::move(ids));
        std::vector<bool> held;
        for (const auto& id : ids) held.push_back(store_.has(id));
        BASE_CO_CHECK(co_await store_.untag(tag, std::move(ids)));
        co_return held;
    }
    bool full = false;
    bool stranger = false;  ///< has room all the same
    bool away = false;
    bool hangs = false;                           ///< when it is asked to keep something
    std::function<base::Task<void>()> meanwhile;  ///< happens while it is asked to keep or to tag something, once

  private:
    past::BlockStore& store_;
};

/// Own store and the neighbour's, on one disk.
struct Parts {
    std::unique_ptr<past::BlockStore> own, other;
    std::unique_ptr<OneNeighbour> neighbour;
};

struct Diverting : Parts, DivertingStore {
    Diverting(base::Executor executor, Parts parts, past::DiversionThresholds thresholds)
        : Parts{std::move(parts)}, DivertingStore{std::move(executor), *own, *neighbour, thresholds} {
        DivertingStore::load();
    }
};

base::Task<base::Result<Parts>> open_parts(base::NodeEnv env, std::uint64_t capacity) {
    Parts parts;
    past::SegmentStore::Config config;
    config.capacity_bytes = capacity;
    config.segment_bytes = 64U << 10U;
    if (capacity > 0) config.reserve_bytes = 128U << 10U;
    config.state_ahead_bytes = 16U << 10U;
    BASE_CO_TRY(parts.own, co_await past::SegmentStore::open(env, config));
    config.capacity_bytes = 0;
    config.directory = "neighbour";
    BASE_CO_TRY(parts.other, co_await past::SegmentStore::open(env, config));
    parts.neighbour = std::make_unique<OneNeighbour>(*parts.other);
    co_return parts;
}

constexpr past::DiversionThresholds kEverything{-1.0, 1.0};  // goes to the neighbour

template <bool away>
base::Task<base::Result<std::unique_ptr<past::BlockStore>>> open_diverting(base::NodeEnv env) {
    BASE_CO_TRY(auto parts, co_await open_parts(env, 0));
    co_return std::make_unique<Diverting>(env.executor, std::move(parts),
                                          away ? kEverything : past::DiversionThresholds{});
}

const BlockStoreKind kHere{"here", open_diverting<false>, damage_on_disk};
const BlockStoreKind kElsewhere{"elsewhere", open_diverting<true>, {}};

INSTANTIATE_TEST_SUITE_P(Diverting, BlockStoreContract, testing::Values(kHere, kElsewhere));
INSTANTIATE_TEST_SUITE_P(Diverting, DamagedBlockContract, testing::Values(kHere));

class DivertingStoreTest : public testing::Test {
  protected:
    void open(past::DiversionThresholds thresholds = kEverything, std::uint64_t capacity = 0) {
        thresholds_ = thresholds;
        capacity_ = capacity;
        auto parts = run(open_parts(node_.env(), capacity));
        ASSERT_TRUE(parts) << parts.error().message();
        store_ = std::make_unique<Diverting>(node_.env().executor, std::move(*parts), thresholds);
        run(store_->tidy());
    }
    void reopen() {
        node_.kill();
        store_.reset();
        node_.restart();
        open(thresholds_, capacity_);
    }
    template <class T>
    T run(base::Task<T> task) {
        auto value = node_.run(std::move(task));
        EXPECT_TRUE(value.has_value());
        return std::move(*value);
    }
    void run(base::Task<void> task) { node_.run(std::move(task)); }
    base::Result<void> put(std::vector<Block> blocks) { return run(store_->put(kGroup, kTag, std::move(blocks))); }

    base::Task<void> touch_later(base::Duration delay, Tag tag, base::Guid id, bool* held) {
        co_await node_.env().clock.sleep_for(delay);
        std::vector<base::Guid> ids(1, id);
        const auto bits = co_await store_->touch(tag, std::move(ids));
        *held = bits && bits->front();
    }
    base::Task<void> untag_later(base::Duration delay, Tag tag, base::Guid id) {
        co_await node_.env().clock.sleep_for(delay);
        std::vector<base::Guid> ids(1, id);
        EXPECT_TRUE(co_await store_->untag(tag, std::move(ids)));
    }
    base::Task<void> discard(std::vector<base::Guid> ids) { EXPECT_TRUE(co_await store_->discard(std::move(ids))); }
    base::Task<void> take_home(base::Guid id) { (void)co_await store_->take_home(id); }
    base::Task<void> try_to_put(Block block, bool* done) {
        std::vector<Block> blocks(1, std::move(block));
        *done = (co_await store_->put(kGroup, kTag, std::move(blocks))).has_value();
    }
    base::Task<void> try_to_keep(Block block, bool* done) {
        std::vector<Block> blocks(1, std::move(block));
        std::vector<Tag> tags(1, kTag);
        *done = (co_await store_->keep_for(kPrimary, kGroup, std::move(tags), std::move(blocks))).has_value();
    }

    const base::Guid kGroup = guid_of("place");
    const Tag kTag{guid_of("volume"), 5};
    const base::NodeId kPrimary = guid_of("somebody with no room");
    base::sim::World world_{1};
    base::sim::Node& node_ = world_.add_node();
    past::DiversionThresholds thresholds_;
    std::uint64_t capacity_ = 0;
    std::unique_ptr<Diverting> store_;
};

// PAST 3.3: a node keeps a block if size / free <= t_pri, else a neighbour takes it.
TEST_F(DivertingStoreTest, WhatIsLargeForTheRoomThatIsLeftGoesToANeighbour) {
    open({0.1, 0.05}, 1U << 20U);
    const auto room = store_->room();
    ASSERT_GT(room, 200'000U);
    ASSERT_LT(room, 1U << 20U);
    const auto small = block_of(1, room / 20);
    const auto large = block_of(2, room / 5);
    ASSERT_TRUE(put({small, large}));
    EXPECT_TRUE(store_->holds_bytes(small.id));
    EXPECT_FALSE(store_->holds_bytes(large.id));
    ASSERT_NE(store_->pointers().find(large.id), nullptr);
    EXPECT_EQ(store_->pointers().find(large.id)->node, kNeighbour);
    EXPECT_TRUE(store_->has(large.id));
}

TEST_F(DivertingStoreTest, IfNobodyHasRoomWhatStillFitsStaysHere) {
    open({0.1, 0.05}, 1U << 20U);
    store_->neighbour->full = true;
    const auto large = block_of(2, store_->room() / 3);
    ASSERT_TRUE(put({large}));
    EXPECT_TRUE(store_->holds_bytes(large.id));
    const auto too_large = block_of(3, store_->room() + 100'000);
    EXPECT_EQ(put({too_large}).error(), past::Errc::no_space);
    EXPECT_FALSE(store_->has(too_large.id));
}

TEST_F(DivertingStoreTest, WhatDoesNotFitHereGoesToWhomeverHasRoom) {
    open({0.1, 0.05}, 1U << 20U);
    store_->neighbour->full = true;
    store_->neighbour->stranger = true;
    const auto fits = block_of(2, store_->room() / 3);
    const auto too_large = block_of(3, store_->room() + 100'000);
    ASSERT_TRUE(put({fits}));
    ASSERT_TRUE(put({too_large}));
    EXPECT_TRUE(store_->holds_bytes(fits.id)) << "as long as it fits nobody far away is bothered";
    EXPECT_FALSE(store_->holds_bytes(too_large.id));
    EXPECT_NE(store_->pointers().find(too_large.id), nullptr);
}

TEST_F(DivertingStoreTest, WhereNeighboursHangWhatFitsStaysHere) {
    open();
    store_->neighbour->hangs = true;
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    EXPECT_TRUE(store_->holds_bytes(block.id));
    EXPECT_TRUE(store_->pointers().empty());
}

// A pointer has fewer tags than a block may have: where the block fits it comes home for the one more.
TEST_F(DivertingStoreTest, ABlockOfMoreVolumesThanAPointerHasIsPutHereIfItFits) {
    open(kEverything, 1U << 20U);
    const auto fits = block_of(1, 1000), too_large = block_of(2, store_->room() + 100'000);
    const auto volume = [&](std::size_t number) { return Tag{guid_of("volume " + std::to_string(number)), 5}; };
    for (std::size_t number = 0; number < Ledger::kMaxTags; ++number) {
        ASSERT_TRUE(run(store_->put(kGroup, volume(number), {fits, too_large})));
    }
    ASSERT_EQ(store_->pointers().blocks(), 2U);
    const auto one_more = volume(Ledger::kMaxTags);
    EXPECT_EQ(run(store_->put(kGroup, one_more, {too_large})).error(), past::Errc::too_many_tags);
    EXPECT_EQ(store_->tags(too_large.id).size(), Ledger::kMaxTags);
    ASSERT_TRUE(run(store_->put(kGroup, one_more, {fits})));
    EXPECT_TRUE(store_->holds_bytes(fits.id));
    EXPECT_EQ(store_->tags(fits.id).size(), Ledger::kMaxTags + 1);
    EXPECT_EQ(store_->pointers().blocks(), 1U);
}

TEST_F(DivertingStoreTest, PointersTakeAShareOfTheReserveAndNoMore) {
    open(kEverything, 1U << 20U);
    const auto most = store_->max_entries();
    ASSERT_GT(most, 10U);
    ASSERT_LT(most, 200U);
    for (std::uint64_t number = 0; number < 200; ++number) ASSERT_TRUE(put({block_of(number, 100)})) << number;
    EXPECT_EQ(store_->pointers().blocks(), most);
    EXPECT_TRUE(store_->holds_bytes(block_of(199, 100).id)) << "as long as it fits";
    EXPECT_EQ(put({block_of(200, store_->room() + 100'000)}).error(), past::Errc::no_space);
    ASSERT_TRUE(put({block_of(0, 100)})) << "it has its pointer";
}

TEST_F(DivertingStoreTest, APointerSurvivesARestartWithItsTags) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    const Tag other{guid_of("other volume"), 9};
    ASSERT_EQ(*run(store_->touch(other, {block.id})), std::vector<bool>{true});
    reopen();
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, other));
    EXPECT_TRUE(run(store_->get(block.id)));
    EXPECT_EQ(store_->groups().size(), 1U);
}

TEST_F(DivertingStoreTest, WhatItsDiversionHostLostIsNoLongerHeld) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    ASSERT_TRUE(run(store_->other->discard({block.id})));
    EXPECT_EQ(run(store_->get(block.id)).error(), past::Errc::block_not_found);
    EXPECT_FALSE(store_->has(block.id));
    EXPECT_TRUE(store_->groups().empty());
}

TEST_F(DivertingStoreTest, OldNewsOfALossDropsNoNewPointer) {
    open();
    const auto block = block_of(1, 1000), untouched = block_of(2, 1000);
    ASSERT_TRUE(put({block, untouched}));
    const auto asked = store_->pointers().of_node(kNeighbour, kGroup);
    const Tag later{kTag.volume, kTag.generation + 3};
    ASSERT_TRUE(run(store_->other->discard({block.id})));
    ASSERT_TRUE(run(store_->put(kGroup, later, {block})));
    ASSERT_TRUE(run(store_->drop_pointers(asked)));
    EXPECT_TRUE(store_->has(block.id));
    EXPECT_FALSE(store_->has(untouched.id));
}

TEST_F(DivertingStoreTest, AGoodCopyElsewhereEndsTheLossHere) {
    open({0.1, 0.05}, 1U << 20U);
    const auto block = block_of(1, 10'000);
    ASSERT_TRUE(put({block}));
    damage_on_disk(*store_, node_, block);
    ASSERT_EQ(run(store_->get(block.id)).error(), past::Errc::corrupt_block);
    ASSERT_EQ(store_->usage().lost_blocks, 1U);
    for (std::uint64_t seed = 100; accepts_primary(10'000, store_->room(), thresholds_); ++seed) {
        ASSERT_TRUE(put({block_of(seed, 9'000)}));
    }
    ASSERT_TRUE(put({block}));
    EXPECT_FALSE(store_->holds_bytes(block.id));
    EXPECT_TRUE(run(store_->get(block.id)));
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
}

TEST_F(DivertingStoreTest, ADivertedReplicaThatIsDamagedIsNoLossOfOurs) {
    open({0.1, 1.0});
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {block})));
    damage_on_disk(*store_, node_, block);
    EXPECT_EQ(run(store_->get(block.id)).error(), past::Errc::corrupt_block);
    EXPECT_TRUE(store_->diverted_replicas().empty()) << "whose copy it was hears of it by a review";
    EXPECT_EQ(store_->usage().lost_blocks, 0U);
}

base::Task<void> put_when_lost(past::BlockStore& store, base::Clock& clock, base::Duration later, Tag tag,
                               Block block) {
    while (store.has(block.id)) co_await clock.sleep_for(std::chrono::microseconds{1});
    co_await clock.sleep_for(later);
    const std::vector<Block> again{block};
    const auto done = co_await store.put(guid_of("place"), tag, again);
    EXPECT_TRUE(done);
}
base::Task<void> meet_damage(past::BlockStore& store, base::Guid id) {
    const auto got = co_await store.get(id);
    EXPECT_FALSE(got);
}

TEST_F(DivertingStoreTest, AGoodCopyThatComesWhileALossIsBeingForgottenStays) {
    open({0.1, 1.0});
    for (int later = 0; later < 100; ++later) {
        const auto block = block_of(static_cast<std::uint64_t>(later), 1000);
        ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {block})));
        damage_on_disk(*store_, node_, block);
        base::TaskGroup both{node_.env().executor};
        both.spawn(meet_damage(*store_, block.id));
        both.spawn(put_when_lost(*store_->own, node_.env().clock, std::chrono::microseconds{later}, kTag, block));
        ASSERT_TRUE(node_.run(both.join()));
        EXPECT_TRUE(run(store_->own->get(block.id))) << later << " us after the loss";
    }
}

TEST_F(DivertingStoreTest, ADiversionHostThatIsAwayIsNoLoss) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    store_->neighbour->away = true;
    EXPECT_EQ(run(store_->get(block.id)).error(), base::Errc::unreachable);
    EXPECT_TRUE(store_->has(block.id));
    EXPECT_EQ(*run(store_->touch(kTag, {block.id})), std::vector<bool>{false}) << "nobody can say that it is there";
}

TEST_F(DivertingStoreTest, WhatADiversionHostDoesNotAnswerForStaysHereWhereThereIsRoom) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    thresholds_ = {1.0, 1.0};
    reopen();
    store_->neighbour->away = true;
    const Tag other{guid_of("other volume"), 9};
    ASSERT_TRUE(run(store_->put(kGroup, other, {block})));
    EXPECT_TRUE(store_->holds_bytes(block.id));
    EXPECT_TRUE(store_->pointers().empty());
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, other));
}

TEST_F(DivertingStoreTest, ABlockComesHomeWithAllItsTags) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    const Tag other{guid_of("other volume"), 9};
    ASSERT_TRUE(run(store_->touch(other, {block.id})));
    const auto before = store_->groups();
    ASSERT_TRUE(run(store_->take_home(block.id)));
    reopen();
    EXPECT_TRUE(store_->pointers().empty());
    EXPECT_TRUE(store_->holds_bytes(block.id));
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, other));
    EXPECT_EQ(store_->groups().front().digest, before.front().digest) << "others see no difference";
}

TEST_F(DivertingStoreTest, ANewDiversionHostIsToldAllTagsOfTheOneBefore) {
    open();
    const auto block = block_of(1, 1000);
    const Tag other{guid_of("other volume"), 9};
    ASSERT_TRUE(put({block}));
    ASSERT_EQ(*run(store_->touch(other, {block.id})), std::vector<bool>{true});
    ASSERT_TRUE(run(store_->other->discard({block.id})));  // the one before; now the next one has an empty disk
    const auto fresh = block_of(2, 1000);
    ASSERT_TRUE(put({block, fresh}));
    EXPECT_THAT(store_->tags(block.id), testing::UnorderedElementsAre(kTag, other));
    EXPECT_THAT(store_->other->tags(block.id), testing::UnorderedElementsAre(kTag, other));
    EXPECT_THAT(store_->tags(fresh.id), testing::ElementsAre(kTag));
    EXPECT_THAT(store_->other->tags(fresh.id), testing::ElementsAre(kTag));
}

TEST_F(DivertingStoreTest, ATouchWhileABlockGetsANewDiversionHostIsNotLost) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    ASSERT_TRUE(run(store_->other->discard({block.id})));
    const Tag later{kTag.volume, kTag.generation + 3};
    // What the old diversion host was told is on the pointer, and at the new diversion host nothing yet.
    store_->neighbour->meanwhile = [&]() -> base::Task<void> {
        store_->neighbour->meanwhile = [&]() -> base::Task<void> {
            auto entry = *store_->pointers().find(block.id);
            EXPECT_TRUE(past::raise_tag(entry.tags, later));
            Ledger::Entries entries;
            entries.emplace(block.id, std::move(entry));
            (void)co_await const_cast<Ledger&>(store_->pointers()).add(std::move(entries));
        };
        co_return;
    };
    ASSERT_TRUE(put({block}));
    EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(later));
    EXPECT_THAT(store_->other->tags(block.id), testing::ElementsAre(later));
}

TEST_F(DivertingStoreTest, ATouchWhileABlockComesHomeIsNotLost) {
    const Tag later{kTag.volume, kTag.generation + 3};
    open();
    node_.disk().set_speed(0us, 500us, 0);
    int granted = 0;
    for (int moment = 0; moment < 40; ++moment) {
        const auto block = block_of(static_cast<std::uint64_t>(moment), 1000);
        ASSERT_TRUE(put({block}));
        bool held = false;
        base::TaskGroup both{node_.env().executor};
        both.spawn(take_home(block.id));
        both.spawn(touch_later(moment * 50us, later, block.id, &held));
        run(both.join());
        ASSERT_TRUE(store_->holds_bytes(block.id));
        granted += held ? 1 : 0;
        EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(held ? later : kTag)) << moment;
    }
    EXPECT_GT(granted, 0);
    EXPECT_LT(granted, 40) << "at some moment its keeper could not be told any more";
}

TEST_F(DivertingStoreTest, NoTouchIsGrantedOfWhatIsBeingDiscarded) {
    const Tag later{kTag.volume, kTag.generation + 3};
    open({0.1, 0.05}, 1U << 20U);
    node_.disk().set_speed(0us, 500us, 0);
    for (int moment = 1; moment < 40; ++moment) {
        const auto number = static_cast<std::uint64_t>(moment);
        const auto home = block_of(2 * number, 1000), away = block_of(2 * number + 1, store_->room() / 5);
        ASSERT_TRUE(put({home, away}));
        ASSERT_TRUE(store_->holds_bytes(home.id));
        ASSERT_FALSE(store_->holds_bytes(away.id));
        ASSERT_TRUE(run(store_->other->touch(later, {away.id})));  // so it answers at once
        bool home_held = false, away_held = false;
        base::TaskGroup all{node_.env().executor};
        all.spawn(discard({home.id, away.id}));
        all.spawn(touch_later(moment * 50us, later, home.id, &home_held));
        all.spawn(touch_later(moment * 50us, later, away.id, &away_held));
        run(all.join());
        EXPECT_FALSE(store_->has(home.id));
        EXPECT_FALSE(store_->has(away.id));
        EXPECT_FALSE(home_held) << moment;
        EXPECT_FALSE(away_held) << moment;
    }
}

TEST_F(DivertingStoreTest, AReclaimWhileABlockComesHomeIsNotUndone) {
    const Tag other{guid_of("other volume"), 9};
    open();
    node_.disk().set_speed(0us, 500us, 0);
    for (int moment = 0; moment < 40; ++moment) {
        const auto block = block_of(static_cast<std::uint64_t>(moment), 1000);
        ASSERT_TRUE(put({block}));
        ASSERT_EQ(*run(store_->touch(other, {block.id})), std::vector<bool>{true});
        base::TaskGroup both{node_.env().executor};
        both.spawn(take_home(block.id));
        both.spawn(untag_later(moment * 50us, other, block.id));
        run(both.join());
        EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(kTag)) << moment;
    }
}

TEST_F(DivertingStoreTest, WhoDoesNotKeepABlockAnyMoreTagsItForNobody) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(put({block}));
    store_->neighbour->meanwhile = [&]() -> base::Task<void> {
        auto entry = *store_->pointers().find(block.id);
        entry.node = guid_of("another neighbour");
        Ledger::Entries entries;
        entries.emplace(block.id, std::move(entry));
        (void)co_await const_cast<Ledger&>(store_->pointers()).add(std::move(entries));
    };
    const Tag later{kTag.volume, kTag.generation + 3};
    EXPECT_EQ(*run(store_->touch(later, {block.id})), std::vector<bool>{false});
    EXPECT_THAT(store_->tags(block.id), testing::ElementsAre(kTag));
}

TEST_F(DivertingStoreTest, AReclaimHereLeavesDivertedReplicasToThoseWhoseTheyAre) {
    open({0.1, 1.0});
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {block})));
    EXPECT_EQ(*run(store_->untag(kTag, {block.id})), 0U);
    EXPECT_TRUE(store_->holds_bytes(block.id));
    EXPECT_EQ(*run(store_->retag_for(kPrimary, kTag, {block.id}, false)), std::vector<bool>{true});
    EXPECT_TRUE(store_->groups().empty());
}

TEST_F(DivertingStoreTest, APutIsNotDoneIfABlockCannotGetAllItsTags) {
    open();
    store_->neighbour->away = true;  // it took the block; then it went
    const Tag other{guid_of("other volume"), 9};
    EXPECT_EQ(run(past::put_tagged(*store_, kGroup, {kTag, other}, {block_of(1, 1000)})).error(), base::Errc::busy);
    EXPECT_TRUE(run(past::put_tagged(*store_, kGroup, {kTag}, {block_of(2, 1000)})));
}

TEST_F(DivertingStoreTest, DivertedReplicasDoNotShowButTheirBytesAreThere) {
    open();
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {block})));
    reopen();
    EXPECT_FALSE(store_->has(block.id));
    EXPECT_TRUE(store_->groups().empty());
    EXPECT_EQ(store_->summary(kGroup), past::GroupSummary{.group = kGroup});
    EXPECT_TRUE(store_->list(kGroup, {}, 10).empty());
    EXPECT_EQ(store_->usage().blocks, 0U);
    EXPECT_EQ(store_->diverted_replicas().blocks(), 1U);
    EXPECT_TRUE(run(store_->get(block.id)));
    EXPECT_EQ(*run(store_->touch(kTag, {block.id})), std::vector<bool>{false});
}

TEST_F(DivertingStoreTest, DivertedReplicasTakeAShareOfTheReserveAndNoMore) {
    open({0.1, 1.0}, 1U << 20U);
    const auto most = store_->max_entries();
    ASSERT_GT(most, 10U);
    ASSERT_LT(most, 200U);
    const auto keep = [&](std::uint64_t number) {
        return run(store_->keep_for(kPrimary, kGroup, {kTag}, {block_of(number, 8)}));
    };
    for (std::uint64_t number = 0; number < most; ++number) ASSERT_TRUE(keep(number)) << number;
    EXPECT_EQ(keep(most).error(), past::Errc::no_space);
    EXPECT_EQ(store_->room_for_others(), 0U) << "nobody need ask";
    EXPECT_GT(store_->room(), 0U);
    EXPECT_TRUE(keep(0)) << "it is here";
    ASSERT_TRUE(run(store_->release({block_of(0, 8).id})));
    EXPECT_TRUE(keep(most));
}

TEST_F(DivertingStoreTest, OneCopyDoesNotCountTwice) {
    open({0.1, 1.0});
    const auto ours = block_of(1, 1000), diverted_replica = block_of(2, 1000);
    ASSERT_TRUE(put({ours}));
    EXPECT_EQ(run(store_->keep_for(kPrimary, kGroup, {kTag}, {ours})).error(), base::Errc::denied);
    ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {diverted_replica})));
    EXPECT_EQ(run(store_->keep_for(guid_of("another"), kGroup, {kTag}, {diverted_replica})).error(),
              base::Errc::denied);
    EXPECT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {diverted_replica}))) << "asked twice";
    EXPECT_EQ(put({diverted_replica}).error(), base::Errc::busy) << "its primary counts this disk";
    EXPECT_EQ(store_->diverted_replicas().blocks(), 1U);
    EXPECT_FALSE(store_->has(diverted_replica.id));
    ASSERT_TRUE(run(store_->release({diverted_replica.id})));
    ASSERT_TRUE(put({diverted_replica}));
    EXPECT_TRUE(store_->has(diverted_replica.id));
    EXPECT_EQ(store_->groups().front().blocks, 2U);
}

TEST_F(DivertingStoreTest, OfAPutAndADivertedReplicaAtTheSameTimeOneIsRefused) {
    open({0.1, 1.0});
    for (const bool put_first : {true, false}) {
        const auto block = block_of(put_first ? 1 : 2, 1000);
        bool is_put = false, is_kept = false;
        base::TaskGroup both{node_.env().executor};
        if (put_first) both.spawn(try_to_put(block, &is_put));
        both.spawn(try_to_keep(block, &is_kept));
        if (!put_first) both.spawn(try_to_put(block, &is_put));
        run(both.join());
        EXPECT_EQ(is_put, put_first);
        EXPECT_EQ(is_kept, !put_first);
        EXPECT_EQ(store_->diverted_replicas().contains(block.id), is_kept);
        EXPECT_EQ(store_->has(block.id), is_put);
    }
}

TEST_F(DivertingStoreTest, OnlyForWhomWeKeepThemMayTagThem) {
    open({0.1, 1.0});
    const auto block = block_of(1, 1000);
    ASSERT_TRUE(run(store_->keep_for(kPrimary, kGroup, {kTag}, {block})));
    const Tag later{kTag.volume, 8};
    EXPECT_EQ(*run(store_->retag_for(guid_of("another"), later, {block.id}, true)), std::vector<bool>{false});
    EXPECT_EQ(store_->diverted_replicas().blocks(), 1U);
    EXPECT_EQ(*run(store_->retag_for(kPrimary, later, {block.id}, false)), std::vector<bool>{true});
    EXPECT_EQ(*run(store_->retag_for(kPrimary, kTag, {block.id}, true)), std::vector<bool>{true});
    EXPECT_EQ(store_->diverted_replicas().blocks(), 1U) << "its tag is of a later generation";
    EXPECT_EQ(*run(store_->retag_for(kPrimary, later, {block.id}, true)), std::vector<bool>{true});
    EXPECT_EQ(store_->diverted_replicas().blocks(), 0U);
    EXPECT_FALSE(store_->holds_bytes(block.id));
}

TEST_F(DivertingStoreTest, ListsBothInOrder) {
    open({0.1, 1.0});
    std::vector<Block> here, there;
    for (std::uint64_t i = 0; i < 20; ++i) (i % 2 == 0 ? here : there).push_back(block_of(i, 500));
    ASSERT_TRUE(put(here));
    Ledger::Entries entries;
    for (const auto& block : there) entries.emplace(block.id, Ledger::Entry{kGroup, kNeighbour, 500, {kTag}});
    ASSERT_TRUE(run(const_cast<Ledger&>(store_->pointers()).add(entries)));
    std::vector<base::Guid> all;
    for (base::Guid after;;) {
        const auto some = store_->list(kGroup, after, 3);
        all.insert(all.end(), some.begin(), some.end());
        if (some.size() < 3) break;
        after = some.back();
    }
    EXPECT_EQ(all.size(), 20U);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_EQ(store_->groups().front().blocks, 20U);
    EXPECT_EQ(store_->groups().front().bytes, 10'000U);
    expect_same_summaries(*store_);
}

// A touch of that many has three seconds.
TEST_F(DivertingStoreTest, ManySlotsAreWrittenWithAFewSyncs) {
    open();
    Ledger::Entries entries;
    for (std::uint64_t i = 0; i < 4096; ++i) {
        entries.emplace(block_of(i, 8).id, Ledger::Entry{kGroup, kNeighbour, 8, {kTag}});
    }
    auto& ledger = const_cast<Ledger&>(store_->pointers());
    node_.disk().set_speed(0us, 20ms, 0);
    const auto before = world_.now();
    ASSERT_TRUE(run(ledger.add(entries)));
    EXPECT_LE(world_.now() - before, 200ms) << "64 slots";
    reopen();
    EXPECT_EQ(store_->pointers().blocks(), 4096U);
}

}  // namespace
}  // namespace contract
