// Heartbeats: certified by themselves, and nothing else certifies them.
#include "objstore/heartbeat.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "objstore/world.hpp"

namespace objstore {
namespace {

Heartbeat some_heartbeat(const base::SigningKey& owner, std::string_view name, std::uint64_t sequence = 7) {
    const auto keys = VolumeKeys::of_owner(owner, name);
    Heartbeat out;
    out.owner = owner.public_key();
    out.name_digest = name_digest(name);
    out.body.aguid = keys.aguid;
    out.body.sequence = sequence;
    const auto root = test::some_block(3);
    out.body.vguid = root->id;
    out.body.root_sequence = sequence;
    out.body.tail_digest = empty_tail_digest();
    out.body.ring_digest = owner_ring_digest(owner.public_key());
    out.body.previous = base::sha256(base::as_bytes("before"));
    out.body.time_ns = 1'700'000'000'000'000'000;
    out.body.pointers.push_back(seal_pointer(keys.epoch, out.body, *root));
    out.votes.push_back(vote_for(owner, out.body, 0, Phase::commit));
    return out;
}

class HeartbeatTest : public testing::Test {
  protected:
    base::SigningKey owner_ = test::owner_key();
    VolumeKeys keys_ = VolumeKeys::of_owner(owner_, "test");
    Heartbeat good_ = some_heartbeat(owner_, "test");

    [[nodiscard]] bool accepted(const Heartbeat& heartbeat) const {
        const auto verified = verify_heartbeat(keys_.aguid, heartbeat.encode());
        EXPECT_TRUE(verified || verified.error() == past::Errc::bad_record);
        return verified.has_value();
    }
    /// Signed again after a change: only its content is wrong.
    [[nodiscard]] Heartbeat signed_by(const base::SigningKey& key, Heartbeat heartbeat) const {
        heartbeat.votes = {vote_for(key, heartbeat.body, 0, Phase::commit)};
        return heartbeat;
    }
};

TEST_F(HeartbeatTest, ItsSequenceComesOutWhenItVerifies) {
    EXPECT_EQ(*verify_heartbeat(keys_.aguid, good_.encode()), 7U);
    EXPECT_EQ(*Heartbeat::decode(good_.encode()), good_);
}

TEST_F(HeartbeatTest, EveryByteThatIsChangedIsNoticed) {
    const auto bytes = good_.encode();
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        auto changed = bytes;
        changed[at] ^= 1U;
        // The view of the one vote is signed too; nothing in a record is free.
        ASSERT_FALSE(verify_heartbeat(keys_.aguid, changed)) << at;
    }
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        ASSERT_FALSE(verify_heartbeat(keys_.aguid, base::ByteView{bytes}.first(size)));
    }
}

TEST_F(HeartbeatTest, AnotherKeyDoesNotSpeakForTheVolume) {
    const auto stranger = test::owner_key(9);
    EXPECT_FALSE(accepted(signed_by(stranger, good_)));
    auto claimed = signed_by(stranger, good_);
    claimed.owner = stranger.public_key();  // and then the AGUID does not follow
    EXPECT_FALSE(accepted(claimed));
}

TEST_F(HeartbeatTest, AnotherVolumeOfTheSameOwnerIsAnother) {
    EXPECT_FALSE(accepted(some_heartbeat(owner_, "other")));
    auto moved = some_heartbeat(owner_, "other");
    moved.name_digest = name_digest("test");
    EXPECT_FALSE(accepted(moved));
}

TEST_F(HeartbeatTest, APrepareVoteIsNoCommitVote) {
    auto prepared = good_;
    prepared.votes = {vote_for(owner_, prepared.body, 0, Phase::prepare)};
    EXPECT_FALSE(accepted(prepared));
    prepared.votes.front().phase = Phase::commit;  // relabelled: the phase is signed
    EXPECT_FALSE(accepted(prepared));
}

TEST_F(HeartbeatTest, NoVoteIsNoQuorum) {
    auto bare = good_;
    bare.votes.clear();
    EXPECT_FALSE(accepted(bare));
}

TEST_F(HeartbeatTest, AVoteTooManyIsRefusedSoThatAStateHasOneRecord) {
    auto padded = good_;
    padded.votes.push_back(vote_for(test::owner_key(9), padded.body, 0, Phase::commit));
    EXPECT_FALSE(accepted(padded));
    padded.votes.back() = padded.votes.front();
    EXPECT_FALSE(accepted(padded));
}

TEST_F(HeartbeatTest, AnEpochOrRingThatNobodyCanCheckIsRefused) {
    auto later = good_;
    later.body.epoch = 1;
    EXPECT_EQ(verify_heartbeat(keys_.aguid, signed_by(owner_, later).encode()).error(), base::Errc::unsupported)
        << "a later version's, no damage";
    auto ring = good_;
    ring.body.ring_digest = base::sha256(base::as_bytes("other ring"));
    EXPECT_FALSE(accepted(signed_by(owner_, ring)));
}

TEST_F(HeartbeatTest, SequenceZeroDoesNotExist) {
    auto zero = good_;
    zero.body.sequence = 0;
    zero.body.root_sequence = 0;
    EXPECT_FALSE(accepted(signed_by(owner_, zero)));
}

TEST_F(HeartbeatTest, WhatWasCollectedLiesBeforeIt) {
    auto state = good_;
    state.body.collected = state.body.sequence - 1;
    EXPECT_TRUE(accepted(signed_by(owner_, state)));
    state.body.collected = state.body.sequence;
    EXPECT_FALSE(accepted(signed_by(owner_, state)));
}

TEST_F(HeartbeatTest, ThePointerOpensForReadersOnly) {
    const auto root = open_pointers(keys_.epoch, good_.body);
    ASSERT_TRUE(root);
    EXPECT_EQ(root->root, *test::some_block(3));
    EXPECT_FALSE(root->spare);
    EXPECT_TRUE(root->earlier.empty());
    EXPECT_EQ(open_pointers(VolumeKeys::of_owner(owner_, "other").epoch, good_.body).error(), Errc::wrong_key);
}

TEST_F(HeartbeatTest, ALaterStateOfTheSameRootCarriesThePointerUnchanged) {
    auto later = good_.body;
    ++later.sequence;
    later.tail_digest = base::sha256(base::as_bytes("updates after the root"));
    later.previous = good_.body.hash();
    EXPECT_EQ(open_pointers(keys_.epoch, later)->root, *test::some_block(3));
}

TEST_F(HeartbeatTest, ThePointerIsBoundToItsRoot) {
    auto moved = good_.body;
    --moved.root_sequence;
    EXPECT_EQ(open_pointers(keys_.epoch, moved).error(), Errc::wrong_key);
    auto other_root = good_.body;
    other_root.vguid = base::sha256(base::as_bytes("other"));
    EXPECT_EQ(open_pointers(keys_.epoch, other_root).error(), Errc::wrong_key);
}

TEST_F(HeartbeatTest, SpareAndEarlierRootsComeBackInTheirOrder) {
    auto body = good_.body;
    body.pointers.push_back(seal_pointer(keys_.epoch, body, *test::some_block(4), PointerKind::spare));
    body.pointers.push_back(seal_pointer(keys_.epoch, body, *test::some_block(5), PointerKind::earlier));
    body.pointers.push_back(seal_pointer(keys_.epoch, body, *test::some_block(6), PointerKind::earlier));
    const auto roots = open_pointers(keys_.epoch, body);
    ASSERT_TRUE(roots);
    EXPECT_EQ(roots->root, *test::some_block(3));
    EXPECT_EQ(roots->spare, *test::some_block(4));
    EXPECT_EQ(roots->earlier, (std::vector<BlockRef>{*test::some_block(5), *test::some_block(6)}));
}

TEST_F(HeartbeatTest, APointerIsBoundToItsKind) {
    auto body = good_.body;
    auto pointer = seal_pointer(keys_.epoch, body, *test::some_block(4), PointerKind::earlier);
    pointer.kind = PointerKind::spare;
    body.pointers.push_back(pointer);
    EXPECT_FALSE(open_pointers(keys_.epoch, body)->spare);
    body.pointers = {seal_pointer(keys_.epoch, body, *test::some_block(3), PointerKind::spare)};
    EXPECT_EQ(open_pointers(keys_.epoch, body).error(), Errc::wrong_key);  // no root among them
}

TEST_F(HeartbeatTest, TwoPointersOfOneStateNeverShareAKey) {
    auto root = *test::some_block(3);
    const auto one = seal_pointer(keys_.epoch, good_.body, root);
    root.group_bits = 8;
    const auto two = seal_pointer(keys_.epoch, good_.body, root);
    EXPECT_FALSE(std::equal(one.sealed.begin(), one.sealed.begin() + 32, two.sealed.begin()));
}

}  // namespace
}  // namespace objstore
