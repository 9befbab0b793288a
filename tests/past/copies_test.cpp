// Who has what, as one node knows it, and what follows.
#include "repair/copies.hpp"

#include <gtest/gtest.h>

#include "base/sim/world.hpp"
#include "cluster.hpp"
#include "repair/presence.hpp"
#include "replication/hints.hpp"

namespace past::test {
namespace {

using Counting = GroupCopies::Counting;

pastry::NodeHandle node(const char* prefix) { return {{*base::Guid::from_prefix(prefix), prefix}, {}}; }
base::Guid block(std::uint64_t number) { return make_block(number).id; }
const base::Guid kDigest = group_of(1);
const base::Guid kOther = group_of(2);
const auto kSelf = node("51").id();

std::vector<base::Guid> sorted(std::vector<base::Guid> ids) {
    std::ranges::sort(ids);
    return ids;
}

/// A group near 50 of which 51 (ourselves) has four blocks; 4e and 53 are its other holders, 60 and 20 are near.
GroupCopies group_with(const std::vector<const char*>& live, const std::vector<const char*>& absent = {}) {
    std::vector<pastry::NodeHandle> up;
    std::vector<pastry::NodeHandle> away;
    for (const auto* name : live) up.push_back(node(name));
    for (const auto* name : absent) away.push_back(node(name));
    GroupCopies group;
    group.summary = {*base::Guid::from_prefix("50"), 4, 4000, kDigest};
    group.set = choose_holders(group.summary.group, 3, up, away);
    for (const auto& one : up) {
        if (one.id() == kSelf) continue;
        auto& peer = group.peers[one.id()];
        peer.node = one;
        peer.live = peer.stable = true;
        peer.placed = group.set.placed_on(one.id());
    }
    for (const auto& one : away) {
        auto& peer = group.peers[one.id()];
        peer.node = one;
        peer.placed = group.set.placed_on(one.id());
    }
    return group;
}

PeerCopy& peer(GroupCopies& group, const char* name) { return group.peers.at(node(name).id()); }
void says(GroupCopies& group, const char* name, std::uint64_t blocks, const base::Guid& digest) {
    peer(group, name).answered(group.summary, {blocks, digest}, {});
}

TEST(Copies, ANewcomerIsSentNothingThatEnoughOthersHave) {
    auto group = group_with({"51", "4e", "53", "60", "20"});  // 53 has just come, and 60 held in its stead
    auto& newcomer = peer(group, "53");
    newcomer.waits = newcomer.newcomer = true;
    says(group, "53", 0, {});
    says(group, "4e", 4, kDigest);
    says(group, "60", 4, kDigest);
    says(group, "20", 0, {});
    EXPECT_TRUE(group.under_replicated());
    EXPECT_EQ(group.holding_all(Counting::seen), 3U);
    EXPECT_TRUE(group.held_by_few(sorted({block(1), block(2)}), 3, Counting::expected).empty());
}

TEST(Copies, WhoRefusesIsLeftAloneForTwiceAsLongEachTimeUpToABound) {
    PeerCopy full;
    base::TimePoint now{};
    for (const auto pause : {1min, 2min, 4min, 8min, 8min}) {
        full.refused(now, 1min);
        EXPECT_EQ(full.refused_until - now, pause);
        now = full.refused_until;
    }
    full.forget_refusals();
    EXPECT_LE(full.refused_until, now);
    full.refused(now, 1min);
    EXPECT_EQ(full.refused_until - now, 1min);
}

TEST(Copies, BlocksAreCountedOneByOneWhereNobodyElseHasThemAll) {
    auto group = group_with({"51", "4e", "53", "60"});
    auto& newcomer = peer(group, "53");
    newcomer.waits = newcomer.newcomer = true;
    says(group, "4e", 4, kDigest);
    says(group, "53", 2, kOther);  // what was written since it came
    says(group, "60", 2, kOther);  // what was written before
    (void)newcomer.found_lacking({block(1), block(2)}, false, {});
    (void)peer(group, "60").found_lacking({block(2), block(3), block(4)}, false, {});
    const auto ids = sorted({block(1), block(2), block(3), block(4)});
    EXPECT_EQ(group.held_by_few(ids, 3, Counting::expected), std::vector{block(2)});
    EXPECT_EQ(group.held_by_few(ids, 3, Counting::seen), std::vector{block(2)});
    const auto shares = group.shares({block(2)}, 3);
    ASSERT_EQ(shares.size(), 1U);
    EXPECT_EQ(shares[0].first.id(), node("60").id()) << "rather to one that has been here for long";
    EXPECT_EQ(shares[0].second, std::vector{block(2)});
}

TEST(Copies, NewcomersAreSentWhatTooFewHaveIfThereIsNobodyElse) {
    auto group = group_with({"51", "4e", "53"});
    auto& newcomer = peer(group, "53");
    newcomer.waits = newcomer.newcomer = true;
    says(group, "4e", 4, kDigest);
    says(group, "53", 0, {});
    const auto few = group.held_by_few({block(1)}, 3, Counting::expected);
    ASSERT_EQ(few.size(), 1U);
    ASSERT_EQ(group.shares(few, 3).size(), 1U);
    EXPECT_EQ(group.shares(few, 3)[0].first.id(), node("53").id());
    newcomer.stable = false;
    EXPECT_TRUE(group.shares(few, 3).empty()) << "not before it has settled";
}

TEST(Copies, AHolderThatIsSentWhatItLacksIsExpectedToHaveIt) {
    auto group = group_with({"51", "4e", "53", "60"});
    says(group, "4e", 4, kDigest);
    says(group, "53", 0, {});
    EXPECT_EQ(group.held_by_few({block(1)}, 3, Counting::seen).size(), 1U);
    EXPECT_TRUE(group.held_by_few({block(1)}, 3, Counting::expected).empty());
}

TEST(Copies, AnAbsentHolderIsTakenAtItsWord) {
    PeerCopy silent;
    EXPECT_TRUE(taken_to_have_its_blocks(silent, false));
    EXPECT_FALSE(taken_to_have_its_blocks(silent, true)) << "a visitor";
    const GroupSummary mine{group_of(3), 10, 10'000, kDigest};
    PeerCopy known;
    known.answered(mine, {2, kOther}, {});
    EXPECT_TRUE(taken_to_have_its_blocks(known, false)) << "the rest was written while it was away";
    known.answered(mine, {0, {}}, {});
    EXPECT_FALSE(taken_to_have_its_blocks(known, false)) << "its disk is new";
    PeerCopy newcomer;
    newcomer.newcomer = true;
    newcomer.answered(mine, {2, kOther}, {});
    EXPECT_FALSE(taken_to_have_its_blocks(newcomer, true));
    newcomer.answered(mine, {10, kDigest}, {});
    EXPECT_TRUE(taken_to_have_its_blocks(newcomer, true));
}

TEST(Copies, WhoHadAllOfOursAndOnlyGrewHasIt) {
    const GroupSummary mine{group_of(3), 10, 10'000, kDigest};
    PeerCopy peer;
    peer.answered(mine, {10, kDigest}, {});
    peer.answered(mine, {12, kOther}, {});
    EXPECT_FALSE(peer.has_all_of_ours) << "letting go asks for more than that";
    EXPECT_TRUE(peer.has_all(kDigest));
    peer.answered(mine, {9, group_of(4)}, {});
    EXPECT_FALSE(peer.has_all(kDigest));
}

TEST(Copies, WhoIsFoundToLackSomeHasNotAllHoweverMuchItGrew) {
    const GroupSummary mine{group_of(3), 10, 10'000, kDigest};
    PeerCopy peer;
    peer.answered(mine, {10, kDigest}, {});
    peer.answered(mine, {12, kOther}, {});  // three came, and one was reclaimed
    peer.found_lacking({block(1)}, false, {});
    EXPECT_FALSE(peer.has_all(kDigest));
}

TEST(Copies, OnlyWhatLastsIsLacking) {
    PeerCopy peer;
    const auto now = base::TimePoint{} + 1h;
    EXPECT_TRUE(peer.found_lacking({block(1), block(2)}, false, now).empty());
    EXPECT_FALSE(peer.lasts);
    EXPECT_TRUE(peer.found_lacking({block(3)}, false, now + 4s).empty());
    EXPECT_EQ(peer.lacking_since, now + 4s) << "others, which may be on their way as well";
    EXPECT_EQ(peer.found_lacking({block(3), block(4)}, false, now + 8s), std::vector{block(3)});
    EXPECT_EQ(peer.lacking_since, now + 4s);
}

TEST(Copies, HoldersActBeforeEarlierHoldersAndTheNearestFirst) {
    auto group = group_with({"51", "4e", "53", "60"});
    says(group, "4e", 4, kDigest);
    says(group, "53", 0, {});
    says(group, "60", 4, kDigest);
    EXPECT_EQ(group.rank(kSelf, node("53").id()), 0U) << "we are the nearest that has something";
    EXPECT_EQ(group.rank(node("60").id(), node("53").id()), 1U) << "4e is a holder";
}

TEST(Copies, LooksBecomeRareWhileNothingIsAmiss) {
    GroupCopies group;
    const auto now = base::TimePoint{} + 1h;
    EXPECT_TRUE(group.looked_at_all({}, 0, now, 1min).empty());
    EXPECT_EQ(group.look_at, now + 1min);
    for (int i = 0; i < 6; ++i) (void)group.looked_at_all({}, 0, now, 1min);
    EXPECT_EQ(group.look_at, now + 8min);
    EXPECT_TRUE(group.looked_at_all({block(1)}, 1, now, 1min).empty());
    EXPECT_EQ(group.look_at, now) << "there is something to do";
    EXPECT_EQ(group.looked_at_all({block(1)}, 1, now, 1min), std::vector{block(1)});
}

TEST(Copies, WhatAHolderHasInDoubtLetsNobodyGoAndMovesNothing) {
    auto group = group_with({"4e", "53", "60", "51"});  // we are no holder
    for (const auto* name : {"4e", "53", "60"}) {
        peer(group, name).placed = true;
        says(group, name, 4, kDigest);
        peer(group, name).offered = true;
    }
    group.set.placement.clear();
    for (const auto* name : {"4e", "53", "60"}) group.set.placement.push_back({node(name)});
    EXPECT_TRUE(group.let_go_safely(kSelf, 3));
    peer(group, "53").answered(group.summary, {4, kDigest, 1}, {});
    EXPECT_FALSE(group.let_go_safely(kSelf, 3));
    EXPECT_EQ(group.holding_all(Counting::seen), 3U) << "and we";
    EXPECT_EQ(group.holding_all(Counting::expected), 4U);
    EXPECT_EQ(group.held_by_few({block(1)}, 4, Counting::seen).size(), 1U) << "which one is in doubt it did not say";
    EXPECT_TRUE(group.held_by_few({block(1)}, 4, Counting::expected).empty());
    EXPECT_FALSE(group.under_replicated());
    group.summary.unconfirmed = 2;
    EXPECT_EQ(group.holding_all(Counting::seen), 2U) << "not even we";
    peer(group, "53").answered(group.summary, {4, kDigest}, {});
    EXPECT_TRUE(group.let_go_safely(kSelf, 3));
}

// --- what other holders said

TEST(Copies, AGroupIsHandedOverOnlyWhileAllItsHoldersHaveItNow) {
    auto group = group_with({"4e", "53", "60"});
    for (const auto* name : {"4e", "53", "60"}) says(group, name, 4, kDigest);
    EXPECT_FALSE(group.handed_over(group.summary)) << "never seen to be so";
    group.surplus_since = base::TimePoint{};
    group.surplus_of = group.placed();
    group.surplus_digest = kDigest;
    EXPECT_TRUE(group.handed_over(group.summary));
    peer(group, "53").unconfirmed = 1;
    EXPECT_FALSE(group.handed_over(group.summary)) << "in doubt";
    peer(group, "53").unconfirmed = 0;
    EXPECT_TRUE(group.handed_over(group.summary));
    says(group, "53", 1, kOther);
    EXPECT_FALSE(group.handed_over(group.summary)) << "lost since";
}

TEST(Hints, AreBoundedAndFadeAway) {
    sim::World world{1};
    Config config;
    config.max_hinted_groups = 3;
    Hints hints{world.env().clock, config};
    hints.heard(group_of(1), node("51").address, 4, kDigest);
    hints.heard(group_of(1), node("53").address, 6, kOther);
    const auto who = hints.for_group(group_of(1));
    ASSERT_EQ(who.size(), 2U);
    EXPECT_EQ(who[0].endpoint, "53") << "who has most";
    hints.heard(group_of(1), node("53").address, 0, {});
    EXPECT_EQ(hints.for_group(group_of(1)).size(), 1U);
    for (std::uint64_t i = 2; i < 10; ++i) hints.heard(group_of(i), node("51").address, 1, kDigest);
    EXPECT_EQ(hints.groups(), 3U);
    EXPECT_TRUE(hints.for_group(group_of(9)).empty());
    for (std::uint64_t i = 0; i < 20; ++i) {
        hints.heard(group_of(1), {group_of(100 + i), std::to_string(i)}, 1, kDigest);
    }
    EXPECT_EQ(hints.for_group(group_of(1)).size(), kMaxHintsPerGroup);
    world.run_for(config.hints_kept_for + 1s);
    EXPECT_TRUE(hints.for_group(group_of(1)).empty());
    hints.heard(group_of(9), node("51").address, 1, kDigest);
    EXPECT_EQ(hints.for_group(group_of(9)).size(), 1U) << "what was old made room";
}

// --- how long others have been here

struct Watched {
    sim::World world{3};
    std::shared_ptr<FixedRing> ring = std::make_shared<FixedRing>();
    MembershipView membership;
    Config config;
    FixedKbr kbr{world.env(), ring, node("51"), 1000};
    Presence presence{world.env().clock, kbr, membership, config};

    void change(const char* name, bool live) {
        live ? ring->join(node(name), world.now()) : ring->leave(node(name), world.now());
        presence.refresh();
    }
    [[nodiscard]] base::Duration back_off(const char* name) {
        return presence.stable_at(node(name).id()) - world.now();
    }
};

TEST(Presence, ANewcomerIsKnownAfterItStayedAndRemainsSo) {
    Watched w;
    w.world.run_for(5min);
    w.change("53", true);
    EXPECT_TRUE(w.presence.newcomer(node("53").id()));
    w.world.run_for(10min);
    EXPECT_FALSE(w.presence.newcomer(node("53").id()));
    w.change("53", false);
    EXPECT_TRUE(w.presence.just_left(node("53").id()));
    EXPECT_FALSE(w.presence.transient(node("53").id()));
    w.world.run_for(30min);
    w.change("53", true);
    EXPECT_FALSE(w.presence.newcomer(node("53").id()));
}

TEST(Presence, AVisitorNeverStayed) {
    Watched w;
    w.change("4e", true);  // there when we came, by all we know
    w.world.run_for(5min);
    w.change("53", true);
    w.world.run_for(30s);
    w.change("53", false);
    w.change("4e", false);
    EXPECT_TRUE(w.presence.transient(node("53").id()));
    EXPECT_FALSE(w.presence.transient(node("4e").id()));
    w.change("53", true);
    w.world.run_for(9min);
    EXPECT_TRUE(w.presence.newcomer(node("53").id())) << "its time begins anew";
}

TEST(Presence, WhoKeepsLeavingIsGivenTimeThatDoubles) {
    Watched w;
    w.change("53", true);
    w.world.run_for(20min);
    std::vector<base::Duration> pauses;
    for (int flap = 0; flap < 9; ++flap) {
        w.change("53", false);
        w.world.run_for(5s);
        w.change("53", true);
        pauses.push_back(w.back_off("53"));
        w.world.run_for(5s);
    }
    EXPECT_EQ(pauses[0], 3s);
    EXPECT_EQ(pauses[1], 6s);
    EXPECT_EQ(pauses[2], 12s);
    EXPECT_EQ(pauses[8], 192s) << "but not for ever";
    w.world.run_for(10min);
    w.change("53", false);
    w.change("53", true);
    EXPECT_EQ(w.back_off("53"), 3s) << "it stayed meanwhile";
}

TEST(Presence, WithoutRoomForAllThoseNearAndThoseMetLatelyAreRemembered) {
    Watched w;
    w.config.max_remembered_nodes = 5;
    w.change("4e", true);
    w.change("53", true);
    w.presence.met(node("a0").id());
    w.world.run_for(20min);
    w.presence.met(node("b0").id());
    w.world.run_for(1s);
    w.presence.met(node("a0").id());
    w.change("60", true);
    for (const auto* far : {"c0", "d0", "e0"}) {
        w.world.run_for(1s);
        w.presence.met(node("a0").id());
        w.world.run_for(1s);
        w.presence.met(node(far).id());
        w.presence.refresh();
    }
    for (const auto* name : {"4e", "53", "a0"}) EXPECT_FALSE(w.presence.newcomer(node(name).id())) << name;
    w.world.run_for(10min);
    EXPECT_FALSE(w.presence.newcomer(node("60").id())) << "seen all the time since it came";
}

}  // namespace
}  // namespace past::test
