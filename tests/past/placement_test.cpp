#include "replication/placement.hpp"

#include <gtest/gtest.h>

#include "registers/genesis.hpp"

namespace past {
namespace {

pastry::NodeHandle node(const char* prefix, std::string domain = {}) {
    return {{*base::Guid::from_prefix(prefix), prefix}, std::move(domain)};
}
std::vector<std::string> names(const std::vector<pastry::NodeHandle>& nodes) {
    std::vector<std::string> names;
    for (const auto& one : nodes) names.push_back(one.address.endpoint);
    return names;
}
std::vector<std::string> names(const std::vector<Holder>& holders) {
    std::vector<std::string> names;
    for (const auto& one : holders) names.push_back((one.live ? "" : "-") + one.node.address.endpoint);
    return names;
}
using Names = std::vector<std::string>;
const base::Guid kKey = *base::Guid::from_prefix("50");

// SOSP 2001, section 2.2: the k nodes whose ids are numerically closest to the file's.
TEST(Placement, TheNearestHold) {
    const auto set = choose_holders(kKey, 3, {node("51"), node("4e"), node("53"), node("60"), node("20")}, {});
    EXPECT_EQ(names(set.placement), (Names{"51", "4e", "53"}));
    EXPECT_EQ(names(set.writers), (Names{"51", "4e", "53"}));
    EXPECT_EQ(names(set.spare), (Names{"60", "20"}));
}

TEST(Placement, AnAbsentHolderKeepsItsPlaceAndTheNextStandsIn) {
    const auto set = choose_holders(kKey, 3, {node("51"), node("53"), node("60"), node("20")}, {node("4e")});
    EXPECT_EQ(names(set.placement), (Names{"51", "-4e", "53"}));
    EXPECT_EQ(names(set.writers), (Names{"51", "53", "60"}));
}

TEST(Placement, DistinctFailureDomainsComeFirstAsFarAsThereAreEnough) {
    const auto live = std::vector{node("51", "a"), node("4e", "a"), node("53", "b"), node("60", "a"), node("20", "b")};
    EXPECT_EQ(names(choose_holders(kKey, 2, live, {}).placement), (Names{"51", "53"}));
    EXPECT_EQ(names(choose_holders(kKey, 3, live, {}).placement), (Names{"51", "4e", "53"}));
}

TEST(Placement, AbsenceNeverMovesALiveHolderOutOfItsPlace) {
    const auto live = std::vector{node("51", "a"), node("53", "b"), node("60", "c"), node("70", "a"), node("20", "d")};
    for (const auto& absent : {node("4f", "a"), node("4f", "b"), node("4f", "c"), node("4f")}) {
        const auto set = choose_holders(kKey, 3, live, {absent});
        for (const auto& holder : set.placement) {
            EXPECT_TRUE(!holder.live || set.written_by(holder.node.id())) << absent.failure_domain;
        }
    }
}

TEST(Placement, ANodeInBothListsIsAlive) {
    const auto set = choose_holders(kKey, 2, {node("51"), node("53")}, {node("51")});
    EXPECT_EQ(names(set.placement), (Names{"51", "53"}));
}

// --- who may say "none"

base::Roster roster_of(std::size_t count) {
    base::Roster roster;
    for (std::size_t i = 0; i < count; ++i) {
        const auto id = base::sha256(base::as_bytes("member " + std::to_string(i)));
        roster.members.push_back({id, base::Role::storage, "", i + 1, false});
    }
    std::ranges::sort(roster.members, {}, &base::Roster::Member::id);
    return roster;
}
base::NodeId member(std::size_t index) { return base::sha256(base::as_bytes("member " + std::to_string(index))); }

TEST(Genesis, TheFiveNearestOfTheRosterWhateverLives) {
    for (const std::size_t count : {1U, 3U, 5U, 11U, 40U}) {
        Genesis genesis{member(0)};
        genesis.replace(roster_of(count));
        for (int i = 0; i < 50; ++i) {
            const auto key = base::sha256(base::as_bytes("key " + std::to_string(i)));
            std::vector<base::NodeId> all;
            for (std::size_t j = 0; j < count; ++j) all.push_back(member(j));
            std::ranges::sort(all, [&](const auto& a, const auto& b) { return base::closer(key, a, b); });
            all.resize(std::min<std::size_t>(count, 5));
            std::ranges::sort(all);
            EXPECT_EQ(genesis.members(key), all);
        }
    }
}

TEST(Genesis, TheFirstMemberNeedsNoTeacher) {
    Genesis genesis{member(0)};
    genesis.replace(roster_of(20));
    EXPECT_TRUE(genesis.settled());
    EXPECT_TRUE(genesis.bootstrap_quorum().empty());
}

TEST(Genesis, SettledForAllMeansSettledForEveryKeyItAnswers) {
    Genesis genesis{member(29)};
    genesis.replace(roster_of(30));
    EXPECT_FALSE(genesis.settled());
    const auto teachers = genesis.bootstrap_quorum();
    EXPECT_EQ(teachers.size(), 10U);
    for (const auto& teacher : teachers) {
        if (genesis.settled()) break;
        genesis.transferred_from(teacher);
    }
    ASSERT_TRUE(genesis.settled());
    for (int i = 0; i < 2000; ++i) {
        const auto key = base::sha256(base::as_bytes("key " + std::to_string(i)));
        EXPECT_TRUE(!genesis.member_of(key, member(29)) || genesis.settled(key));
    }
}

TEST(Genesis, WhoeverIsNotAdmittedNeverAnswers) {
    Genesis genesis{member(99)};
    genesis.replace(roster_of(3));
    EXPECT_FALSE(genesis.settled());
    EXPECT_FALSE(genesis.settled(kKey));
}

}  // namespace
}  // namespace past
