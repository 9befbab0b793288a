// What a node keeps of the reclaims that it acknowledged, and for whom it has room.
#include "base/error.hpp"
#include "contract/memory_block_store.hpp"
#include "messages_of.hpp"
#include "owner.hpp"
#include "reclaim/reclaim_slots.hpp"

namespace past::test {
namespace {

std::vector<base::Guid> ids_of(std::uint64_t from, std::uint64_t count) {
    std::vector<base::Guid> ids;
    for (std::uint64_t i = 0; i < count; ++i) ids.push_back(base::sha256(base::as_bytes(std::to_string(from + i))));
    return ids;
}

// --- on disk

/// Slots in a store of which records may be refused.
class ReclaimSlotsTest : public ::testing::Test {
  protected:
    [[nodiscard]] StoredReclaim reclaim_of(std::uint64_t generation, std::uint64_t blocks) const {
        StoredReclaim one;
        one.reclaim = Owner{}.reclaim(group_of(1), generation, ids_of(generation, blocks));
        one.digest = base::sha256(encode(one.reclaim));
        one.left = 5s;
        return one;
    }
    bool save(StoredReclaim& one) { return machine_.run(slots_.save(one))->has_value(); }
    void clear() { machine_.run(slots_.clear()); }
    static std::vector<std::uint64_t> generations_in(BlockStore& store) {
        ReclaimSlots again{store};
        std::vector<std::uint64_t> found;
        for (const auto& one : again.load()) {
            found.push_back(one.reclaim.tag.generation);
            EXPECT_EQ(one.digest, base::sha256(encode(one.reclaim)));
        }
        std::ranges::sort(found);
        return found;
    }

    sim::World world_{1};
    sim::Node& machine_ = world_.add_node();
    contract::MemoryBlockStore store_;
    ReclaimSlots slots_{store_};
};

TEST_F(ReclaimSlotsTest, WhatWasSavedComesBackBehindAnyRecordThatIsMissing) {
    auto large = reclaim_of(1, 4096), small = reclaim_of(2, 3);
    ASSERT_TRUE(save(large) && save(small));
    EXPECT_EQ(generations_in(store_), (std::vector<std::uint64_t>{1, 2}));
    for (const auto& missing : store_.record_keys()) {
        contract::MemoryBlockStore others;
        for (const auto& key : store_.record_keys()) {
            if (key != missing) machine_.run(others.put_record(key, *store_.record(key)));
        }
        EXPECT_EQ(generations_in(others).size(), 1U) << "only the one that it is a piece of";
        ReclaimSlots again{others};
        (void)again.load();
        auto next = reclaim_of(3, 4096);
        ASSERT_TRUE(*machine_.run(again.save(next)));
        EXPECT_EQ(generations_in(others).size(), 2U) << "it took the place of none";
    }
}

TEST_F(ReclaimSlotsTest, OneThatCouldNotBeWrittenTakesUpNoRoom) {
    auto large = reclaim_of(1, 4096);
    for (std::size_t taken = 0; taken < 4; ++taken) {
        store_.refuse_a_record_after(taken);
        EXPECT_FALSE(save(large));
        EXPECT_EQ(generations_in(store_).size(), 0U);
    }
    ASSERT_TRUE(save(large));
    EXPECT_EQ(store_.record_keys().size(), 4U);
    EXPECT_EQ(generations_in(store_), (std::vector<std::uint64_t>{1}));
}

TEST_F(ReclaimSlotsTest, SlotsThatCannotBeEmptiedNowAreNobodysUntilTheyAre) {
    for (std::size_t emptied = 0; emptied < 4; ++emptied) {
        auto large = reclaim_of(10 + emptied, 4096), stays = reclaim_of(20 + emptied, 4096);
        ASSERT_TRUE(save(large));
        slots_.release(large);
        store_.refuse_a_record_after(emptied);
        clear();
        ASSERT_TRUE(save(stays));
        clear();
        const auto found = generations_in(store_);
        EXPECT_EQ(found.size(), emptied + 1) << "what comes later is not emptied with it";
        EXPECT_EQ(found.back(), 20 + emptied);
    }
    EXPECT_LE(store_.record_keys().size(), 20U);
}

// --- a peer

base::Task<void> remove_on(Node& node, Reclaim reclaim, base::TimePoint deadline, bool& acknowledged) {
    const auto done = co_await node.remove(std::move(reclaim), deadline);
    acknowledged = done.has_value();
}

class Reclaiming : public ::testing::Test {
  protected:
    Reclaiming() {
        options_.peers = 2;
        options_.copies = options_.min_copies = 1;
        options_.peer.config.repair = false;
        options_.reclaim_grace = 60s;
    }
    /// The group is the first peer's; the other one offers it blocks.
    void start() {
        cluster_.emplace(world_, options_);
        std::uint64_t number = 1;
        while (cluster_->ring.nearest(group_of(number), 1)[0].id() != cluster_->handle(0).id()) ++number;
        group_ = group_of(number);
    }
    bool* begin(const Reclaim& reclaim) {
        auto& acknowledged = flags_.emplace_back(false);
        cluster_->machine(0).spawn(remove_on(cluster_->node(0), reclaim, cluster_->in(30s), acknowledged));
        return &acknowledged;
    }
    void lose_power_and_come_back() {
        cluster_->power_off(0);
        world_.run_for(2s);
        cluster_->restart(0);
        world_.run_for(5s);
    }
    base::Result<void> remove(const Reclaim& reclaim) {
        const auto answer = ask(world_, *cluster_, 0, Verb::remove, encode(reclaim));
        if (!answer) return answer.error();
        return base::ok();
    }
    /// Numbers from `from` on, under the owner's tag.
    std::vector<base::Guid> put(const Owner& owner, std::uint64_t from, std::uint64_t count) {
        std::vector<Block> blocks;
        std::vector<base::Guid> ids;
        for (std::uint64_t i = 0; i < count; ++i) {
            blocks.push_back(make_block(from + i));
            ids.push_back(blocks.back().id);
        }
        auto& node = cluster_->node(0);
        EXPECT_TRUE(*cluster_->machine(0).run(
            node.put(group_, owner.tag(1), std::move(blocks), Wait::full, cluster_->in(30s))));
        return ids;
    }
    bool holds_any(const std::vector<base::Guid>& ids) {
        return std::ranges::any_of(ids, [&](const auto& id) { return cluster_->peer(0).store->has(id); });
    }
    Offered offer(const Tag& tag, const base::Guid& id) {
        const auto answer = ask_as(*cluster_, 1, 0, Verb::offer, encode(OfferRequest{group_, tag, {id}}));
        return static_cast<Offered>(decode<BitsReply>(answer->header)->bits.at(0));
    }
    std::size_t pending() { return cluster_->node(0).status().pending_reclaims; }

    const Owner owner_;
    sim::World world_{3};
    ClusterOptions options_;
    std::optional<Cluster> cluster_;
    base::Guid group_;
    std::deque<bool> flags_;
};

TEST_F(Reclaiming, AnAcknowledgedOneOutlivesAnotherThatTheCrashCutOff) {
    start();
    const auto* large = begin(owner_.reclaim(group_, 5, ids_of(1, 4096)));
    const auto* small = begin(owner_.reclaim(group_, 6, ids_of(9000, 1)));
    ASSERT_TRUE(world_.run_until([&] { return *small; }, 10s));
    ASSERT_FALSE(*large);
    lose_power_and_come_back();
    EXPECT_EQ(pending(), 1U);
}

TEST_F(Reclaiming, WhoAsksTheSameAgainIsAnsweredOnceItIsDurable) {
    start();
    const auto reclaim = owner_.reclaim(group_, 5, ids_of(1, 4096));
    const auto *first = begin(reclaim), *second = begin(reclaim);
    ASSERT_TRUE(world_.run_until([&] { return *first || *second; }, 10s));
    lose_power_and_come_back();
    EXPECT_EQ(pending(), 1U);
}

// --- for whom there is room

TEST_F(Reclaiming, OfBlocksThatNobodyHasKeepNoOwnerFromRemoving) {
    options_.peer.config.max_pending_reclaims = 4;
    options_.peer.config.max_reclaim_ids = 1000;
    start();
    for (std::uint8_t i = 0; i < 50; ++i) {
        Owner stranger;
        stranger.key = base::SigningKey{base::Key{100, i}};
        EXPECT_TRUE(remove(stranger.reclaim(group_, 1, ids_of(i * 100ULL, 100))));
    }
    const auto blocks = put(owner_, 1, 20);
    ASSERT_TRUE(remove(owner_.reclaim(group_, 1, blocks)));
    EXPECT_LT(pending(), 5U) << "most of the others are forgotten";
    world_.run_for(2min);
    EXPECT_FALSE(holds_any(blocks));
}

TEST_F(Reclaiming, ThatWereExecutedMakeRoomForThoseThatCome) {
    options_.peer.config.max_reclaim_ids = 200;
    start();
    std::vector<base::Guid> blocks;
    for (std::uint64_t round = 0; round < 10; ++round) {
        blocks = put(owner_, round * 100, 50);
        ASSERT_TRUE(remove(owner_.reclaim(group_, 1, blocks))) << round;
        world_.run_for(2min);
        ASSERT_FALSE(holds_any(blocks));
    }
    EXPECT_EQ(offer(owner_.tag(1), blocks[7]), Offered::reclaimed);
    lose_power_and_come_back();
    EXPECT_EQ(offer(owner_.tag(1), blocks[7]), Offered::reclaimed);
}

TEST_F(Reclaiming, OfOneOwnerLeaveRoomForAnother) {
    options_.peer.config.max_reclaim_ids = 400;
    start();
    Owner other;
    other.key = base::SigningKey{base::Key{8}};
    const auto first = put(owner_, 0, 100), second = put(owner_, 100, 100), others = put(other, 200, 100);
    EXPECT_TRUE(remove(owner_.reclaim(group_, 1, first)));
    EXPECT_EQ(remove(owner_.reclaim(group_, 1, second)).error(), base::Errc::busy);
    EXPECT_TRUE(remove(other.reclaim(group_, 1, others)));
    world_.run_for(2min);
    EXPECT_TRUE(remove(owner_.reclaim(group_, 1, second))) << "once the first was executed";
}

TEST_F(Reclaiming, TakeWhatCameBackWhenTheyAreSentAgain) {
    start();
    const auto reclaim = owner_.reclaim(group_, 1, put(owner_, 1, 3));
    ASSERT_TRUE(remove(reclaim));
    world_.run_for(2min);
    ASSERT_FALSE(holds_any(reclaim.blocks));
    // From a peer that had not heard of it.
    ASSERT_TRUE(*cluster_->machine(0).run(cluster_->peer(0).store->put(group_, owner_.tag(1), {make_block(2)})));
    ASSERT_TRUE(holds_any(reclaim.blocks));
    ASSERT_TRUE(remove(reclaim));
    EXPECT_FALSE(holds_any(reclaim.blocks));
    ASSERT_TRUE(*cluster_->machine(0).run(cluster_->peer(0).store->put(group_, owner_.tag(2), {make_block(2)})));
    ASSERT_TRUE(remove(reclaim));
    EXPECT_TRUE(holds_any(reclaim.blocks)) << "a later session wants it";
}

TEST_F(Reclaiming, AllThatTookSomethingAreSentToWhoOffersIt) {
    start();
    std::vector<base::Guid> ids;
    auto& other = *cluster_->peer(1).store;
    for (std::uint64_t i = 0; i < 5; ++i) {
        ids.push_back(make_block(i).id);
        ASSERT_TRUE(remove(owner_.reclaim(group_, 1 + i, {ids.back()})));
        ASSERT_TRUE(*cluster_->machine(1).run(other.put(group_, owner_.tag(1), {make_block(i)})));
    }
    world_.run_for(2min);
    const auto offered = ask_as(*cluster_, 1, 0, Verb::offer, encode(OfferRequest{group_, owner_.tag(1), ids}));
    ASSERT_TRUE(offered);
    world_.run_for(2min);
    for (const auto& id : ids) EXPECT_FALSE(other.has(id));
}

TEST_F(Reclaiming, AreKnownToWhomeverOffersWhatTheyTookThoughWeNeverHadIt) {
    start();
    const auto ids = ids_of(1, 4096);
    ASSERT_TRUE(remove(owner_.reclaim(group_, 5, ids)));
    EXPECT_EQ(offer(owner_.tag(5), ids[9]), Offered::lacking) << "its grace lasts";
    world_.run_for(2min);
    EXPECT_EQ(offer(owner_.tag(5), ids[9]), Offered::reclaimed);
    EXPECT_EQ(offer(owner_.tag(6), ids[9]), Offered::lacking) << "a later session wants it";
    EXPECT_EQ(offer(test_tag(), ids[9]), Offered::lacking) << "another volume's";
}

}  // namespace
}  // namespace past::test
