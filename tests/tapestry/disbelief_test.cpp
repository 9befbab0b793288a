// Whom a table does not believe, and for how long; and what it remembers of those.
#include "small_table.hpp"

namespace tapestry::testing {
namespace {

using DisbeliefTest = Table;

TEST_F(DisbeliefTest, APublisherThatLiedIsRefusedForAWhile) {
    take(ann.says({object, guid("43")}, kSecond));
    denies(ann, object);
    EXPECT_FALSE(table.known(now, object));
    EXPECT_EQ(take(ann.says({object}, 2 * kSecond)), Taken::news);  // once may be an accident
    denies(ann, object);
    EXPECT_EQ(take(ann.says({object}, 3 * kSecond)), Taken::refused);
    now += 11s;
    EXPECT_EQ(take(ann.says({object}, 4 * kSecond)), Taken::news);
    denies(ann, object);
    now += 11s;
    EXPECT_EQ(take(ann.says({object}, 5 * kSecond)), Taken::refused);  // twice as long
}

TEST_F(DisbeliefTest, ALieIsForgottenInTheEnd) {
    for (std::uint64_t hour = 0; hour < 10; ++hour) {
        EXPECT_EQ(take(ann.says({object}, (1 + hour * 3600) * kSecond)), Taken::news);
        denies(ann, object);
        now += 3600s;
    }
    EXPECT_LE(table.lies_of(ann.id()), 1U);
}

TEST_F(DisbeliefTest, WhoeverSignsThatItDoesNotHaveItIsNoLiarButNotTwiceOfOneObject) {
    for (std::uint64_t i = 0; i < 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        take(ann.says({other}, (10 + i) * kSecond));
        denies(ann, other, (20 + i) * kSecond);
        EXPECT_FALSE(table.known(now, other));
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
    take(ann.says({object}, 40 * kSecond));
    denies(ann, object, 41 * kSecond);
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
    take(ann.says({object}, 42 * kSecond));
    denies(ann, object, 43 * kSecond);
    EXPECT_EQ(table.lies_of(ann.id()), 1U);
}

TEST_F(DisbeliefTest, WhatWasDeniedIsNotBroughtBackByAReplay) {
    const auto before = ann.says({object}, kSecond);
    take(before);
    denies(ann, object, 2 * kSecond);
    EXPECT_EQ(take(before), Taken::nothing);
    EXPECT_TRUE(publishers(object).empty());
}

TEST_F(DisbeliefTest, AReplayMakesNoLiarOfWhoeverWithdrew) {
    // Withdrawn long ago, which we did not hear; somebody shows us the announcements one by one.
    for (std::uint64_t i = 1; i <= 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        take(ann.says({other}, i * kSecond));
        denies(ann, other, 100 * kSecond + i);
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
    EXPECT_EQ(take(ann.says({object}, 101 * kSecond)), Taken::news);
}

TEST_F(DisbeliefTest, NorDoesOneOfWhatWasSaidForItsOtherRoot) {
    for (std::uint64_t i = 1; i <= 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        const auto first = ann.says({other}, 2 * i);
        const auto second = ann.says_for(1, other, 2 * i + 1);
        take(first);
        take(second);
        denies(ann, other, kSecond + 2 * i);
        EXPECT_EQ(take(second), Taken::news);  // which she has not taken back for this root
        auto denial = denial_of(ann, other);
        denial.withdrawal = ann.says_for(1, other, kSecond + 2 * i + 1, 0s).announcement;
        table.denied(now, denial);
        EXPECT_EQ(take(first), Taken::nothing);
        EXPECT_EQ(take(second), Taken::nothing);
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, NorWhereAnEarlierWithdrawalForItsOtherRootIsRemembered) {
    for (std::uint64_t i = 1; i <= 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        take(ann.says_for(1, other, 10 * i, 0s));
        take(ann.says({other}, 10 * i + 1));
        const auto second = ann.says_for(1, other, 10 * i + 2);
        denies(ann, other, kSecond + 2 * i);
        EXPECT_EQ(take(second), Taken::news);
        denies(ann, other, kSecond + 2 * i + 1);
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, WhoeverWithdrawsUnaskedIsNoLiarHoweverOftenItsWithdrawalComesTooLate) {
    std::uint64_t stamp = kSecond;
    for (int times = 0; times < 10; ++times) {
        EXPECT_EQ(take(ann.says({object}, ++stamp)), Taken::news);
        const auto unasked = ann.says({object}, ++stamp, 0s);
        denies(ann, object, ++stamp);  // while it is on its way
        EXPECT_EQ(take(unasked), Taken::nothing);
        EXPECT_EQ(take(ann.says({object}, ++stamp)), Taken::news);
        denies(ann, object, ++stamp);  // before it is signed
        EXPECT_EQ(take(ann.says({object}, ++stamp, 0s)), Taken::news);
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, AWithdrawalOfSomebodyElseOrOfSomethingElseExcusesNobody) {
    take(ann.says({object}, kSecond));
    auto denial = denial_of(ann, object);
    denial.withdrawal = bob.says({object}, 2 * kSecond, 0s).announcement;
    table.denied(now, denial);
    EXPECT_EQ(table.lies_of(ann.id()), 1U);
    take(ann.says({guid("43")}, 3 * kSecond));
    denial = denial_of(ann, guid("43"));
    denial.withdrawal = ann.says({guid("44")}, 4 * kSecond, 0s).announcement;
    table.denied(now, denial);
    EXPECT_EQ(table.lies_of(ann.id()), 2U);
}

TEST_F(DisbeliefTest, WhatWasAnnouncedAfterTheDenialWasSignedStays) {
    take(ann.says({object}, 10 * kSecond));
    auto denial = denial_of(ann, object);
    denial.announced = 10 * kSecond;
    denial.withdrawal = ann.says({object}, 20 * kSecond, 0s).announcement;
    take(ann.says({object}, 30 * kSecond));  // while its signature is checked
    EXPECT_FALSE(table.denied(now, denial));
    EXPECT_EQ(publishers(object), (std::vector{ann.id()}));
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, AClockThatWasSetBackMakesNoLiarAndWhatIsDeniedIsLeftOut) {
    for (std::uint64_t i = 0; i < 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        take(ann.says({other}, 100 * kSecond));
        auto denial = denial_of(ann, other);
        denial.announced = 100 * kSecond;
        denial.born = 50 * kSecond;
        denial.withdrawal = ann.says({other}, 60 * kSecond, 0s).announcement;
        EXPECT_FALSE(table.denied(now, denial));
        EXPECT_TRUE(publishers(other).empty());
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, WhoeverRestartedWithoutItsObjectsIsNoLiarAndNothingOfBeforeIsBelieved) {
    std::vector<base::Guid> objects;
    for (const auto* digits : {"1", "2", "3", "4", "5", "6"}) objects.push_back(guid(digits));
    for (int life = 1; life <= 4; ++life) {
        const auto begun = static_cast<std::uint64_t>(life) * 10 * kSecond;
        for (const auto& each : objects) EXPECT_EQ(take(ann.says({each}, begun + kSecond)), Taken::news);
        auto denial = denial_of(ann, objects[0]);
        denial.born = begun + 5 * kSecond;
        denial.withdrawal = ann.says({objects[0]}, begun + 6 * kSecond, 0s).announcement;
        table.denied(now, denial);
        for (const auto& each : objects) EXPECT_FALSE(table.known(now, each));
        EXPECT_EQ(take(ann.says({objects[1]}, begun + 4 * kSecond)), Taken::refused);
    }
    EXPECT_EQ(table.lies_of(ann.id()), 0U);
}

TEST_F(DisbeliefTest, WhatALiarSaysWhileNobodyBelievesHimIsKnownNotToBeCertain) {
    for (std::uint64_t i = 1; i <= 2; ++i) {
        take(ann.says({object}, i * kSecond));
        denies(ann, object);
    }
    EXPECT_EQ(take(ann.says({guid("43")}, 3 * kSecond)), Taken::refused);
    EXPECT_TRUE(table.known(now, guid("43")));
    EXPECT_FALSE(table.known(now, guid("44")));  // one liar does not make everything uncertain
}

TEST_F(DisbeliefTest, ALiarThatSaysMoreThanIsRememberedOfHimMakesNothingElseUncertain) {
    PointerTable few{{.refused_objects = 8, .penalty = 10s, .forgiven = 0}};
    const auto number = [](const Publisher& who, int i) {
        return base::sha256({who.id().view(), base::as_bytes(std::to_string(i))});
    };
    const auto says = [&](const Publisher& who, int i) {
        return few.take(now, who.says({number(who, i)}, static_cast<std::uint64_t>(i) + 1), {0, 1}, true);
    };
    const auto known = [&](const Publisher& who) {
        std::size_t count = 0;
        for (int i = 1; i <= 20; ++i) count += few.known(now, number(who, i));
        return count;
    };
    for (const auto* liar : {&ann, &bob}) {
        says(*liar, 0);
        few.denied(now, denial_of(*liar, number(*liar, 0)));
        for (int i = 1; i <= 20; ++i) EXPECT_EQ(says(*liar, i), Taken::refused);
        EXPECT_FALSE(few.known(now, object));
        EXPECT_TRUE(few.refuses(now, liar->says({number(*liar, 21)}, 30), {0, 1})) << "nothing is learned from it";
        if (liar == &ann) {
            EXPECT_EQ(known(ann), 8U);
        }
    }
    EXPECT_EQ(known(ann), 4U) << "each has an equal share";
    EXPECT_EQ(known(bob), 4U);
    now += 11s;
    few.expire(now + 1h);
    EXPECT_EQ(known(ann) + known(bob), 0U);
}

TEST_F(DisbeliefTest, NorWhereAnotherThatIsAheadMakesItsShareSmaller) {
    PointerTable few{{.refused_objects = 2, .tombstone = 100s}};
    const auto first = ann.says({guid("1"), guid("2")}, 1000 * kSecond, 86'400s).announcement;
    EXPECT_TRUE(few.take_ahead(now, first, {0, 2}));
    EXPECT_TRUE(few.take_ahead(now, bob.says({guid("3")}, 1001 * kSecond).announcement, {0, 1}));
    for (const auto* object_of : {"1", "2", "3"}) EXPECT_TRUE(few.known(now, guid(object_of))) << object_of;
    now += 101s;
    EXPECT_FALSE(few.known(now, guid("1")));
}

TEST_F(DisbeliefTest, OfWhatIsFromTheFutureNothingIsForgottenSilently) {
    PointerTable few{{.refused_objects = 2, .tombstone = 100s}};
    const auto first = ann.says({guid("1"), guid("2")}, 1000 * kSecond, 86'400s).announcement;
    EXPECT_TRUE(few.take_ahead(now, first, {0, 2}));
    EXPECT_TRUE(few.known(now, guid("1")));
    EXPECT_FALSE(few.known(now, object));
    EXPECT_TRUE(few.take_ahead(now, ann.says({guid("3")}, 1001 * kSecond).announcement, {0, 1}));
    EXPECT_TRUE(few.known(now, object)) << "there was no room to remember which it was";
    now += 101s;
    EXPECT_FALSE(few.known(now, object));
    EXPECT_FALSE(few.known(now, guid("1"))) << "who is there says it again within a lease of ours";
    EXPECT_FALSE(few.take_ahead(now, ann.says({object}, 1002 * kSecond, 0s).announcement, {0, 1}));
}

}  // namespace
}  // namespace tapestry::testing
