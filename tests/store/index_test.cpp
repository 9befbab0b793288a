// The index against a plain map, under growth and deletion.
#include "store/index.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>

#include "contract/blocks.hpp"

namespace past::store {
namespace {

base::Guid numbered(std::uint64_t number) {
    const auto text = std::to_string(number);
    return base::sha256(base::as_bytes(text));
}

TEST(Index, AgreesWithAMapThroughInsertionsAndDeletions) {
    Index index{42};
    std::map<base::Guid, Index::Where> reference;
    std::mt19937_64 random{7};
    for (int step = 0; step < 200'000; ++step) {
        const auto id = numbered(random() % 30'000);
        const auto found = index.find(id);
        ASSERT_EQ(found != Index::kNone, reference.contains(id));
        if (found != Index::kNone) {
            ASSERT_EQ(index.where(found), reference[id]);
            (void)index.erase(found);
            reference.erase(id);
        } else if (random() % 3 != 0) {
            const Index::Where where{static_cast<std::uint32_t>(random() & Index::kMaxSlot),
                                     static_cast<std::uint32_t>(random() & Index::kMaxUnit),
                                     static_cast<std::uint32_t>(random() % (1U << 20U))};
            const auto tags = static_cast<TagSets::Ref>(random() & TagSets::kMax);
            index.insert(id, where, numbered(random() % 5), tags);
            reference[id] = where;
            ASSERT_EQ(index.tags(index.find(id)), tags);
        }
        ASSERT_EQ(index.size(), reference.size());
    }
    std::size_t visited = 0;
    std::uint64_t listed = 0;
    index.for_each([&](Index::Handle block) { visited += reference.contains(index.id(block)) ? 1 : 0; });
    for (const auto& summary : index.groups()) listed += index.list(summary.group, base::Guid{}, 1U << 20U).size();
    EXPECT_EQ(visited, reference.size());
    EXPECT_EQ(listed, reference.size());
}

// A page must cost what it lists: who has a million blocks of one place is asked for all of them, page by page.
TEST(Index, APageOfAGroupIsInOrderAndCostsNoWalkOverAllOfIt) {
    Index index{7};
    std::set<base::Guid> reference;
    const auto group = numbered(0);
    constexpr std::uint64_t count = 200'000;
    for (std::uint64_t i = 1; i <= count; ++i) {
        index.insert(numbered(i), {1, static_cast<std::uint32_t>(i), 8}, group, 1);
        reference.insert(numbered(i));
    }
    for (std::uint64_t i = 1; i <= count; i += 3) {
        (void)index.erase(index.find(numbered(i)));
        reference.erase(numbered(i));
    }
    const auto began = std::chrono::steady_clock::now();
    std::vector<base::Guid> all;
    for (base::Guid after;;) {
        const auto page = index.list(group, after, 64);
        if (page.empty()) break;
        all.insert(all.end(), page.begin(), page.end());
        after = page.back();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    EXPECT_TRUE(std::ranges::equal(all, reference));
    EXPECT_LT(took.count(), 2) << "2,084 pages that each look at 133,000 blocks take ten times as long";
}

TEST(Index, AMillionBlocksOfOneGroupCostAtMostSixtyFourBytesEach) {
    Index index{1};
    constexpr std::uint32_t count = 1'000'000;
    const auto group = numbered(0);
    for (std::uint32_t i = 1; i <= count; ++i) {
        index.insert(numbered(i), {i / 4096, i % 4096, 65536}, group, 1);
        if (i % 100'000 == 0) {
            EXPECT_LE(index.memory_bytes() / i, 64U) << i;
        }
    }
    RecordProperty("bytes_per_block", std::to_string(index.memory_bytes() / count));
}

TEST(TagSets, ASetIsForgottenWithItsLastUser) {
    TagSets sets;
    const Tag a{contract::guid_of("a"), 1};
    const Tag b{contract::guid_of("b"), 2};
    auto first = sets.intern({a});
    auto second = sets.intern({a});
    EXPECT_EQ(first, second);
    EXPECT_EQ(sets.size(), 2U);  // the empty one, too
    first = sets.with(first, b);
    EXPECT_NE(first, second);
    EXPECT_EQ(sets.tags(first).size(), 2U);
    first = sets.without(first, {a.volume, 0});
    EXPECT_EQ(sets.tags(first).size(), 2U) << "its generation is newer";
    first = sets.without(first, a);
    first = sets.without(first, b);
    EXPECT_EQ(first, TagSets::kEmpty);
    sets.release(second);
    EXPECT_EQ(sets.size(), 1U);
}

}  // namespace
}  // namespace past::store
