// Rowstron & Druschel, SOSP 2001, section 3.3: the rules alone. What a network of nodes does with them:
// diversion_test.cpp; what they are worth: storage_sim_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>

#include "divert/diversion.hpp"

namespace past {
namespace {

constexpr DiversionThresholds kPast{0.1, 0.05};

DiversionCandidate candidate(const char* prefix, std::uint64_t free, std::string domain = {}) {
    return {*base::Guid::from_prefix(prefix), free, std::move(domain)};
}
base::NodeId id(const char* prefix) { return *base::Guid::from_prefix(prefix); }

TEST(DiversionPolicy, AHolderKeepsABlockOfATenthOfItsRoomAndADivertedOneOfATwentieth) {
    EXPECT_TRUE(accepts_primary(100, 1000, kPast));
    EXPECT_FALSE(accepts_primary(101, 1000, kPast));
    EXPECT_TRUE(accepts_diverted(50, 1000, kPast));
    EXPECT_FALSE(accepts_diverted(51, 1000, kPast));
}

TEST(DiversionPolicy, AFullNodeTakesNothingButWhatIsEmpty) {
    EXPECT_FALSE(accepts_primary(1, 0, kPast));
    EXPECT_FALSE(accepts_diverted(1, 0, kPast));
    EXPECT_TRUE(accepts_primary(0, 0, kPast));
    EXPECT_FALSE(accepts_primary(1, 9, kPast));
}

TEST(DiversionPolicy, WithOneAndZeroWhateverFitsIsKeptAndNothingIsTakenForOthers) {
    constexpr DiversionThresholds kNone{1.0, 0.0};
    EXPECT_TRUE(accepts_primary(1000, 1000, kNone));
    EXPECT_FALSE(accepts_primary(1001, 1000, kNone));
    EXPECT_FALSE(accepts_diverted(1, 1'000'000, kNone));
    EXPECT_EQ(choose_target({candidate("10", 1'000'000)}, 1, kNone), std::nullopt);
}

TEST(DiversionPolicy, NoThresholdMakesANodeTakeWhatDoesNotFit) {
    constexpr DiversionThresholds kGreedy{3.0, 2.0};
    EXPECT_TRUE(accepts_primary(1000, 1000, kGreedy));
    EXPECT_FALSE(accepts_primary(1001, 1000, kGreedy));
    EXPECT_FALSE(accepts_diverted(1001, 1000, kGreedy));
}

TEST(DiversionPolicy, ANegativeThresholdKeepsNothing) {
    EXPECT_FALSE(accepts_primary(1, 1'000'000, {-1.0, 1.0}));
    EXPECT_TRUE(accepts_diverted(1, 1'000'000, {-1.0, 1.0}));
}

TEST(DiversionPolicy, TheNeighbourWithTheMostRoomTakesIt) {
    EXPECT_EQ(choose_target({candidate("10", 4000), candidate("20", 9000), candidate("30", 8000)}, 100, kPast),
              id("20"));
}

TEST(DiversionPolicy, OfEqualRoomTheSmallestIdTakesItWhateverTheOrder) {
    std::vector<DiversionCandidate> candidates{candidate("30", 9000), candidate("10", 9000), candidate("20", 9000)};
    EXPECT_EQ(choose_target(candidates, 100, kPast), id("10"));
    std::ranges::reverse(candidates);
    EXPECT_EQ(choose_target(candidates, 100, kPast), id("10"));
}

TEST(DiversionPolicy, IfTheOneWithTheMostRoomDoesNotTakeItNobodyDoes) {
    EXPECT_EQ(choose_target({candidate("10", 1999), candidate("20", 1500)}, 100, kPast), std::nullopt);
    EXPECT_EQ(choose_target({candidate("10", 2000), candidate("20", 1500)}, 100, kPast), id("10"));
    EXPECT_EQ(choose_target({}, 100, kPast), std::nullopt);
}

TEST(DiversionPolicy, AFailureDomainWithoutACopyComesBeforeRoom) {
    const std::vector<DiversionCandidate> candidates{candidate("10", 9000, "rack 1"), candidate("20", 5000, "rack 3"),
                                                     candidate("30", 4000, "rack 4")};
    EXPECT_EQ(choose_target(candidates, 100, kPast, {"rack 1", "rack 2"}), id("20"));
    EXPECT_EQ(choose_target(candidates, 100, kPast), id("10"));
}

TEST(DiversionPolicy, AFailureDomainThatHasACopyIsBetterThanNobody) {
    const std::vector<DiversionCandidate> candidates{candidate("10", 9000, "rack 1"), candidate("20", 1000, "rack 3")};
    EXPECT_EQ(choose_target(candidates, 100, kPast, {"rack 1", "rack 2"}), id("10"));
}

TEST(DiversionPolicy, ANodeOfNoNamedDomainIsADomainOfItsOwn) {
    const std::vector<DiversionCandidate> candidates{candidate("10", 9000, "rack 1"), candidate("20", 5000)};
    EXPECT_EQ(choose_target(candidates, 100, kPast, {"rack 1", ""}), id("20"));
}

}  // namespace
}  // namespace past
