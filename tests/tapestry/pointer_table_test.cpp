// What a node remembers, forgets, and refuses.
#include "small_table.hpp"

namespace tapestry::testing {
namespace {

using PointerTableTest = Table;

TEST_F(PointerTableTest, TheNearestPublisherComesFirst) {
    take(ann.says({object}, 1, 60s, 30ms));
    take(bob.says({object}, 1, 60s, 5ms));
    EXPECT_EQ(publishers(object), (std::vector{bob.id(), ann.id()}));
}

TEST_F(PointerTableTest, ALeaseEndsUnlessItIsRenewed) {
    take(ann.says({object}, kSecond));
    now += 50s;
    EXPECT_EQ(take(ann.says({object}, 51 * kSecond)), Taken::news);
    now += 50s;
    EXPECT_EQ(publishers(object).size(), 1U);
    now += 11s;
    EXPECT_TRUE(publishers(object).empty());
    table.expire(now);
    EXPECT_EQ(table.pointers(), 0U);
    EXPECT_EQ(table.announcements(), 0U);
}

TEST_F(PointerTableTest, AReplayedAnnouncementRenewsNothing) {
    const auto first = ann.says({object}, kSecond);
    take(first);
    now += 50s;
    EXPECT_EQ(take(first), Taken::nothing);
    now += 11s;
    EXPECT_TRUE(publishers(object).empty());
}

TEST_F(PointerTableTest, NorDoesItAfterItsLeaseHasEnded) {
    const auto first = ann.says({object}, kSecond);
    take(first);
    now += 61s;
    EXPECT_EQ(take(first), Taken::refused);
    EXPECT_TRUE(publishers(object).empty());
}

TEST_F(PointerTableTest, WhatWasKeptBackLivesNoLongerForIt) {
    const auto before = ann.says({object}, kSecond);
    take(ann.says({guid("43")}, 31 * kSecond));
    EXPECT_EQ(take(before), Taken::news);  // half a minute older than what we know of her
    now += 29s;
    EXPECT_EQ(publishers(object).size(), 1U);
    now += 2s;
    EXPECT_TRUE(publishers(object).empty());
}

TEST_F(PointerTableTest, WhatIsHandedOnKeepsItsAge) {
    auto handed = ann.says({object}, kSecond);
    handed.age = 50s;
    take(handed);
    now += 11s;
    EXPECT_TRUE(publishers(object).empty());
}

TEST_F(PointerTableTest, WhoeverLiesAboutAnAgeShortensNothingForLong) {
    auto handed = ann.says({object}, kSecond);
    handed.age = 59s;
    take(handed);
    take(ann.says({object}, kSecond));  // the same, from somebody else
    now += 50s;
    EXPECT_EQ(publishers(object).size(), 1U);
}

TEST_F(PointerTableTest, AWithdrawalIsNotUndoneByWhatWasSignedBefore) {
    const auto before = ann.says({object}, kSecond);
    take(ann.says({object}, 2 * kSecond, 0s));
    EXPECT_EQ(take(before), Taken::nothing);
    EXPECT_TRUE(publishers(object).empty());
    EXPECT_FALSE(table.known(now, object));
}

TEST_F(PointerTableTest, NorByWhatIsOlderThanTheMemoryOfWithdrawals) {
    const auto before = ann.says({object}, kSecond);
    take(ann.says({object}, 2 * kSecond, 0s));
    now += 101s;  // the withdrawal is forgotten, but not that the publisher has said newer things
    take(ann.says({guid("1")}, 103 * kSecond));
    EXPECT_EQ(take(before), Taken::refused);
}

TEST_F(PointerTableTest, NobodyCanSpeakForAnother) {
    take(ann.says({object}, kSecond));
    take(bob.says({object}, 9 * kSecond, 0s));  // bob withdraws what ann has
    EXPECT_EQ(publishers(object), (std::vector{ann.id()}));
}

TEST_F(PointerTableTest, KnownFromABackupPointerItIsStillPassedOnOnce) {
    const auto said = ann.says({object}, kSecond);
    EXPECT_EQ(table.take(now, said, {0, 1}, false), Taken::news);
    EXPECT_EQ(table.take(now, said, {0, 1}, true), Taken::news);
    EXPECT_EQ(table.take(now, said, {0, 1}, true), Taken::nothing);
}

/// Copies of one announcement, as members on its way and beside it may send them.
struct Copies : Table {
    [[nodiscard]] Held copy(unsigned hops, base::Duration age) const {
        auto held = said;
        held.hops = hops;
        held.age = age;
        return held;
    }
    Held said = ann.says({object}, kSecond);
};

using CopiesOfAnAnnouncement = Copies;

TEST_F(CopiesOfAnAnnouncement, OneThatCameByManyHopsDoesNotStopTheNext) {
    EXPECT_EQ(take(copy(31, 0s)), Taken::news);
    EXPECT_EQ(take(copy(2, 0s)), Taken::news) << "the first may not come to the root";
    EXPECT_EQ(take(copy(2, 0s)), Taken::nothing);
    EXPECT_EQ(take(copy(31, 0s)), Taken::nothing);
}

TEST_F(CopiesOfAnAnnouncement, NorDoesOneThatIsSaidToBeOld) {
    EXPECT_EQ(take(copy(2, 59s)), Taken::news);
    EXPECT_EQ(take(copy(2, 0s)), Taken::news) << "else the pointer at the root ends in a second";
    EXPECT_EQ(take(copy(2, 0s)), Taken::nothing);
}

TEST_F(CopiesOfAnAnnouncement, NorDoesOneThatIsNotToBePassedOn) {
    EXPECT_EQ(take(copy(2, 59s)), Taken::news);
    for (auto age = 58s; age >= 0s; --age) {
        EXPECT_EQ(table.take(now, copy(2, age), {0, 1}, false), Taken::nothing);
    }
    EXPECT_EQ(take(copy(2, 0s)), Taken::news);
}

TEST_F(CopiesOfAnAnnouncement, NorDoTwoEachOfWhichIsGoodForSomething) {
    for (const bool near_first : {true, false}) {
        said = ann.says({object}, (near_first ? 1 : 2) * kSecond);
        take(near_first ? copy(1, 59s) : copy(31, 0s));
        take(near_first ? copy(31, 0s) : copy(1, 59s));
        EXPECT_EQ(take(copy(3, 0s)), Taken::news);
    }
}

TEST_F(CopiesOfAnAnnouncement, NorDoesOneThatNobodyIsToConfirm) {
    EXPECT_EQ(take(copy(2, 0s)), Taken::news);
    auto to_confirm = copy(2, 0s);
    to_confirm.confirm = true;
    EXPECT_EQ(take(to_confirm), Taken::news);
    EXPECT_EQ(take(to_confirm), Taken::nothing);
    EXPECT_EQ(take(copy(2, 0s)), Taken::nothing);
    EXPECT_EQ(take(to_confirm), Taken::nothing);
}

TEST_F(CopiesOfAnAnnouncement, ALittleOlderThanTheNextAreAsGood) {
    EXPECT_EQ(take(copy(3, 3s)), Taken::news);
    EXPECT_EQ(take(copy(2, 0s)), Taken::nothing);
}

TEST_F(CopiesOfAnAnnouncement, WithoutEndArePassedOnAFewTimes) {
    std::size_t passed = 0;
    for (int times = 0; times < 3; ++times) {
        for (unsigned hops = 31; hops > 0; --hops) {
            for (auto age = 59s; age >= 0s; --age) passed += take(copy(hops, age)) == Taken::news ? 1 : 0;
        }
    }
    EXPECT_LE(passed, 34U);
}

TEST_F(PointerTableTest, OfTooManyPublishersThoseThatStayAreDiverseByDistance) {
    std::vector<int> milliseconds;
    for (int i = 1; i <= 64; ++i) milliseconds.push_back(i);
    for (std::size_t i = milliseconds.size(); i-- > 1;) std::swap(milliseconds[i], milliseconds[(i * 7919) % (i + 1)]);
    PointerTable wide{{.per_object = 7, .seniors = 0}};
    for (const int each : milliseconds) {
        const Publisher publisher{static_cast<std::uint8_t>(each)};
        (void)wide.take(now, publisher.says({object}, 1, 60s, std::chrono::milliseconds{each}), {0, 1}, true);
    }
    const auto kept = wide.find(now, object);
    ASSERT_EQ(kept.size(), 7U);
    EXPECT_EQ(kept.front().delay, 1ms);
    EXPECT_EQ(kept.back().delay, 64ms);
    for (std::size_t i = 1; i < kept.size(); ++i) {  // six steps from 1 to 64: twice as far each, about
        const auto step = static_cast<double>(kept[i].delay.count()) / static_cast<double>(kept[i - 1].delay.count());
        EXPECT_LT(step, 4.0) << i;
        EXPECT_GT(step, 1.1) << i;
    }
}

TEST_F(PointerTableTest, ACrowdOfLateComersDoesNotPushOutWhoWasThereFirst) {
    take(ann.says({object}, 1, 600s, 20ms));
    now += 1s;
    for (std::uint8_t i = 10; i < 250; ++i) {
        take(Publisher{i}.says({object}, 1, 600s, std::chrono::microseconds{std::uint64_t{i} * 1000}));
        take(Publisher{i}.says({object}, 2, 600s));  // as near as can be
    }
    EXPECT_EQ(table.find(now, object).size(), 4U);
    EXPECT_TRUE(std::ranges::count(publishers(object), ann.id()) == 1);
}

TEST_F(PointerTableTest, OfAsGoodAsEqualsTheLatestGoes) {
    std::vector<base::NodeId> first;
    for (std::uint8_t i = 10; i < 30; ++i) {
        take(Publisher{i}.says({object}, 1, 600s));
        if (i < 14) first.push_back(Publisher{i}.id());
        now += 1s;
    }
    auto kept = publishers(object);
    std::ranges::sort(kept);
    std::ranges::sort(first);
    EXPECT_EQ(kept, first);
}

TEST_F(PointerTableTest, WhoeverIsOneTooManyIsPassedOnAndSoIsItsWithdrawal) {
    for (std::uint8_t i = 10; i < 14; ++i) take(Publisher{i}.says({object}, kSecond, 600s));
    now += 1s;
    EXPECT_EQ(take(ann.says({object}, 2 * kSecond)), Taken::news);
    ASSERT_EQ(std::ranges::count(publishers(object), ann.id()), 0);
    EXPECT_EQ(take(ann.says({object}, 3 * kSecond, 0s)), Taken::news);
    EXPECT_EQ(publishers(object).size(), 4U);
    EXPECT_EQ(take(ann.says({object}, 3 * kSecond, 0s)), Taken::nothing);
}

TEST_F(PointerTableTest, WhenAllThatStayedHaveWithdrawnWhoWasOneTooManyIsNotForgotten) {
    for (std::uint8_t i = 10; i < 14; ++i) take(Publisher{i}.says({object}, kSecond, 600s));
    take(ann.says({object}, 2 * kSecond, 60s));
    ASSERT_EQ(std::ranges::count(publishers(object), ann.id()), 0);
    for (std::uint8_t i = 10; i < 14; ++i) take(Publisher{i}.says({object}, 2 * kSecond, 0s));
    EXPECT_TRUE(publishers(object).empty());
    EXPECT_TRUE(table.known(now, object)) << "she publishes it";
    EXPECT_FALSE(table.known(now, guid("43")));
    take(ann.says({object}, 3 * kSecond, 60s));
    EXPECT_EQ(publishers(object), (std::vector{ann.id()}));
    now += 61s;
    EXPECT_FALSE(table.known(now, object));
}

TEST_F(PointerTableTest, WhoDoesNotAnswerMakesRoomForTheNextPublisher) {
    for (std::uint8_t i = 10; i < 14; ++i) {
        take(Publisher{i}.says({object}, kSecond, 600s, 0ms));
        now += 1s;
    }
    const auto eldest = Publisher{10}.id();
    table.suspect(object, eldest);
    take(ann.says({object}, 5 * kSecond, 60s, 50ms));
    take(bob.says({object}, 5 * kSecond, 60s, 50ms));
    EXPECT_EQ(std::ranges::count(publishers(object), ann.id()), 1);
    EXPECT_EQ(publishers(object).size(), 4U);
    for (std::uint8_t i = 11; i < 14; ++i) take(Publisher{i}.says({object}, 9 * kSecond, 0s));
    now += 61s;  // she and bob are gone too
    EXPECT_TRUE(table.known(now, object)) << "who did not answer may be there again";
}

TEST_F(PointerTableTest, AmongManyPublishersWhatIsWithdrawnIsNotBroughtBackByAReplay) {
    const auto before = ann.says({object}, kSecond, 60s, 0ms);  // the nearest: it would find a place
    take(before);
    for (std::uint8_t i = 10; i < 20; ++i) take(Publisher{i}.says({object}, kSecond, 600s));
    ASSERT_EQ(publishers(object).front(), ann.id());
    EXPECT_EQ(take(ann.says({object}, 2 * kSecond, 0s)), Taken::news);
    for (std::uint8_t i = 20; i < 30; ++i) take(Publisher{i}.says({object}, kSecond, 600s));
    EXPECT_EQ(take(before), Taken::nothing);
    EXPECT_EQ(std::ranges::count(publishers(object), ann.id()), 0);
}

TEST_F(PointerTableTest, OfTooManyWithdrawalsTheFirstIsForgotten) {
    for (std::uint8_t i = 10; i < 110; ++i) {
        EXPECT_EQ(take(Publisher{i}.says({object}, kSecond, 0s)), Taken::news);
        now += 100ms;
    }
    EXPECT_EQ(table.pointers(), 64U);
    EXPECT_EQ(take(Publisher{109}.says({object}, kSecond - 1)), Taken::nothing);
    EXPECT_EQ(take(Publisher{10}.says({object}, kSecond - 1)), Taken::news);
}

TEST_F(PointerTableTest, OnePublisherTakesOnePlaceOfAnObjectByHoweverManyRoots) {
    take(bob.says({object}, 1, 60s, 9ms));
    for (std::uint8_t root = 0; root < 2; ++root) {
        Held held{Announcement::sign(ann.identity, {"h:1", root, 1, 60s}, std::vector{object}), 1ms, 1, {}, {}};
        EXPECT_EQ(table.take(now, held, {0, 1}, true), Taken::news);
    }
    EXPECT_EQ(publishers(object), (std::vector{ann.id(), bob.id()}));
}

TEST_F(PointerTableTest, WhoeverFloodsMakesRoomForOthers) {
    std::uint64_t next = 0;
    const auto some = [&](std::size_t count) {
        std::vector<base::Guid> objects;
        for (std::size_t i = 0; i < count; ++i) {
            const auto number = ++next;
            objects.push_back(base::sha256({base::ByteView{reinterpret_cast<const std::uint8_t*>(&number), 8}}));
        }
        return objects;
    };
    for (std::uint64_t stamp = 1; stamp <= 10; ++stamp) take(ann.says(some(500), stamp));
    EXPECT_EQ(table.pointers(), 2000U);
    EXPECT_EQ(take(bob.says({object}, 1)), Taken::news);
    EXPECT_LE(table.pointers(), 2000U);
    for (std::uint64_t stamp = 11; stamp <= 20; ++stamp) EXPECT_EQ(take(ann.says(some(500), stamp)), Taken::news);
    EXPECT_EQ(publishers(object), (std::vector{bob.id()}));  // in place of her own
    EXPECT_LE(table.pointers(), 2000U);
    EXPECT_GT(table.pointers(), 1500U);
}

TEST_F(PointerTableTest, WhoeverFillsATableRenewsAndWithdrawsInIt) {
    std::vector<std::vector<base::Guid>> groups(4);
    for (std::size_t i = 0; i < 2000; ++i) {
        groups[i / 500].push_back(base::sha256({object.view(), base::as_bytes(std::to_string(i))}));
    }
    std::uint64_t stamp = 0;
    for (const auto& group : groups) take(ann.says(group, kSecond + ++stamp));
    ASSERT_EQ(table.pointers(), 2000U);
    now += 50s;
    for (const auto& group : groups) EXPECT_EQ(take(ann.says(group, 51 * kSecond + ++stamp)), Taken::news);
    now += 50s;
    for (const auto& group : groups) {
        for (const auto& each : group) ASSERT_EQ(publishers(each).size(), 1U);
    }
    EXPECT_EQ(take(ann.says({groups[1][7]}, 101 * kSecond, 0s)), Taken::news);
    EXPECT_TRUE(publishers(groups[1][7]).empty());
    EXPECT_EQ(table.pointers(), 2000U);
}

TEST_F(PointerTableTest, WhereSomethingHadToGoNobodyIsSureThatNothingIsPublishedForAsLongAsItWouldHaveStayed) {
    PointerTable tiny{{.pointers = 2, .tombstone = 100s}};
    const auto says = [&](Held held) { return tiny.take(now, std::move(held), {0, 1}, true); };
    says(ann.says({guid("1")}, 1, 60s));
    says(ann.says({guid("2")}, 2, 60s));
    EXPECT_FALSE(tiny.known(now, object));
    says(ann.says({guid("3")}, 3, 600s));  // in place of the first
    EXPECT_TRUE(tiny.known(now, guid("1")));
    EXPECT_TRUE(tiny.known(now, object)) << "it may have been any";
    now += 59s;
    EXPECT_TRUE(tiny.known(now, guid("1")));
    now += 1s;
    EXPECT_FALSE(tiny.known(now, guid("1")));
}

TEST_F(PointerTableTest, NorWhereWhatCameHadToGo) {
    PointerTable tiny{{.bytes = 512}};
    ASSERT_EQ(tiny.take(now, ann.says({object}, 1), {0, 1}, true), Taken::refused);
    EXPECT_TRUE(tiny.known(now, object));
}

TEST_F(PointerTableTest, WhereOnlyWithdrawalsHadToGoEverybodyIsAsSureAsBefore) {
    PointerTable tiny{{.pointers = 2}};
    for (std::uint64_t i = 1; i <= 10; ++i) {
        const auto other = base::sha256({ann.id().view(), base::as_bytes(std::to_string(i))});
        (void)tiny.take(now, ann.says({other}, i, 0s), {0, 1}, true);
    }
    EXPECT_FALSE(tiny.known(now, object));
}

TEST_F(PointerTableTest, AWithdrawalIsTakenAlthoughTheTableHasNoRoomToRememberIt) {
    PointerTable tiny{{.bytes = 1024}};
    ASSERT_EQ(tiny.take(now, ann.says({object}, kSecond), {0, 1}, true), Taken::news);
    auto next = object;
    for (std::uint64_t i = 2; i < 6; ++i) {  // many objects in the announcement: more than all the room
        std::vector<base::Guid> objects{object};
        for (int more = 0; more < 20; ++more) objects.push_back(next = base::sha256({next.view()}));
        EXPECT_EQ(tiny.take(now, ann.says(objects, i * kSecond, 0s), {0, 21}, true), Taken::news);
        EXPECT_TRUE(tiny.find(now, object).empty());
        EXPECT_LE(tiny.bytes(), 1024U);
    }
}

TEST_F(PointerTableTest, BytesCountNotOnlyPointers) {
    // Announcements of 512 objects of which we are to keep one each: half a megabyte for 32 pointers.
    PointerTable small{{.pointers = 2000, .bytes = 512U << 10U}};
    std::vector<base::Guid> objects;
    for (std::size_t i = 0; i < 512; ++i)
        objects.push_back(base::sha256({object.view(), base::as_bytes(std::to_string(i))}));
    std::size_t taken = 0;
    for (std::uint64_t stamp = 1; stamp <= 512; ++stamp) {
        const auto said = ann.says(objects, stamp);
        if (small.take(now, said, {stamp - 1, stamp}, true) == Taken::news) ++taken;
        ASSERT_LE(small.bytes(), 512U << 10U);
    }
    EXPECT_EQ(taken, 512U);  // each in place of an older one of hers
    EXPECT_LT(small.pointers(), 32U);
    EXPECT_EQ(small.take(now, bob.says({object}, 1), {0, 1}, true), Taken::news);
    EXPECT_LE(small.bytes(), 512U << 10U);
}

TEST_F(PointerTableTest, ManyFloodersTogetherLeaveTheOnlyPointerOfEachOther) {
    take(bob.says({object}, 1, 600s));
    std::uint64_t next = 0;
    for (int round = 0; round < 20; ++round) {
        for (std::uint8_t flooder = 10; flooder < 50; ++flooder) {
            std::vector<base::Guid> objects;
            for (std::size_t i = 0; i < 50; ++i) {
                const auto number = ++next;
                objects.push_back(base::sha256({base::ByteView{reinterpret_cast<const std::uint8_t*>(&number), 8}}));
            }
            take(Publisher{flooder}.says(objects, static_cast<std::uint64_t>(round) + 1, 600s));
        }
    }
    EXPECT_GE(table.pointers(), 1950U);
    EXPECT_LE(table.pointers(), 2000U);
    EXPECT_EQ(publishers(object), (std::vector{bob.id()}));
    EXPECT_EQ(take(ann.says({guid("43")}, 1)), Taken::news);  // a newcomer with little finds room
    EXPECT_EQ(publishers(object), (std::vector{bob.id()}));
}

TEST_F(PointerTableTest, EverythingIsGivenBackInTheEnd) {
    take(ann.says({object, guid("43"), guid("44")}, kSecond));
    take(bob.says({object}, kSecond));
    take(ann.says({guid("43")}, 2 * kSecond));
    denies(bob, object, 5 * kSecond);
    now += 3600s;
    table.expire(now);
    EXPECT_EQ(table.pointers(), 0U);
    EXPECT_EQ(table.bytes(), 0U);
    EXPECT_EQ(table.announcements(), 0U);
    EXPECT_EQ(table.publishers(), 0U);
}

TEST_F(PointerTableTest, ASilentPublisherIsLeftOutButNotForgotten) {
    take(ann.says({object}, kSecond));
    table.suspect(object, ann.id());
    EXPECT_TRUE(publishers(object).empty());
    EXPECT_TRUE(table.known(now, object));
    take(ann.says({object}, 2 * kSecond));
    EXPECT_EQ(publishers(object).size(), 1U);
}

TEST_F(PointerTableTest, WhatIsAnnouncedAgainAndAgainTakesNoMoreRoom) {
    for (std::uint64_t stamp = 1; stamp <= 1000; ++stamp) take(ann.says({object, guid("43")}, stamp, 86'400s));
    EXPECT_EQ(table.pointers(), 2U);
    EXPECT_EQ(table.announcements(), 1U);
}

TEST_F(PointerTableTest, APublisherWhoseClockWasAheadOnceIsHeardAgain) {
    take(ann.says({object}, 1'000'000 * kSecond));
    Taken taken = Taken::refused;
    for (int i = 0; i < 30 && taken == Taken::refused; ++i) {
        now += 10s;
        taken = take(ann.says({object}, static_cast<std::uint64_t>(2 + i) * kSecond));
    }
    EXPECT_EQ(taken, Taken::news);
}

TEST_F(PointerTableTest, TheRunsOfWantedKeysAreVisited) {
    take(ann.says({guid("1"), guid("2"), guid("3"), guid("4"), guid("5")}, kSecond));
    std::vector<Range> runs;
    const auto rest = table.for_some(
        PointerTable::kBegin, 100, [](const base::Guid& key) { return key != guid("3"); },
        [&](const Held&, Range range) { runs.push_back(range); });
    EXPECT_FALSE(rest);
    EXPECT_EQ(runs, (std::vector<Range>{{0, 2}, {3, 5}}));
}

TEST_F(PointerTableTest, InSlicesEachAnnouncementIsVisitedOnceAndWhatComesBetweenDisturbsNothing) {
    const std::vector<std::string> digits{"1", "2", "3", "4", "5", "6"};
    for (std::size_t i = 0; i < digits.size(); ++i)
        take(ann.says({guid(digits[i]), guid("a" + digits[i])}, kSecond + i));
    std::vector<base::Guid> visited;
    std::size_t slices = 0;
    for (auto from = std::optional{PointerTable::kBegin}; from; ++slices) {
        from = table.for_some(
            *from, 4, [](const base::Guid&) { return true; },
            [&](const Held& held, Range range) {
                for (auto i = range.begin; i < range.end; ++i) visited.push_back(held.announcement.object(i));
            });
        if (slices == 0) take(ann.says({guid("1"), guid("b")}, kSecond + 100));
    }
    EXPECT_EQ(slices, 4U) << "of two announcements each, and one that came late";
    EXPECT_EQ(visited.size(), 14U) << "that names one of the others again";
}

}  // namespace
}  // namespace tapestry::testing
