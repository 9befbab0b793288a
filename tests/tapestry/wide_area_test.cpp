// What the wide area does to a mesh: pairs that cannot hear each other, lost messages, nodes that come and go. Zhao et
// al., JSAC 2004 (**Z**), section 5.4 and what they saw on PlanetLab; docs/papers.md#tapestry.
//
// What is larger than a sanitizer needs is called TapestryPaper; `mesh_bench` runs the same at greater sizes.
#include <gtest/gtest.h>

#include <cstdio>

#include "workload.hpp"

namespace tapestry::testing {
namespace {

TEST(WideArea, PairsThatCannotHearEachOtherAndLossHideNothingOfAFewNodes) {
    EXPECT_EQ(locates_with_bad_pairs(90, 40, 400, false).failed(), 0);
}

TEST(WideArea, OfAFewNodesThatComeAndGoEverythingIsFound) {
    EXPECT_EQ(locates_under_churn(91, 30, 20min, 400, 0.5).tally.failed(), 0);
}

// Z saw 5 % of all queries fail on PlanetLab.
TEST(TapestryPaper, WithNonTransitivePairsAndLossLocatesDoNotFail) {
    for (const bool changing : {false, true}) {
        auto tally = locates_with_bad_pairs(92, 400, 10'000, changing);
        EXPECT_GT(tally.asked, 9'000U);
        std::printf("2.3 %% of the pairs%s cut, 1 %% loss: %s\n", changing ? ", others every minute," : "",
                    tally.text().c_str());
        EXPECT_LT(tally.failed(), 0.0005);
    }
}

TEST(TapestryPaper, WithSessionsOfAnHourLocatesDoNotFail) {
    for (const double shape : {1.0, 0.5}) {
        auto lived = locates_under_churn(93, 100, 1h, 20'000, shape);
        std::printf("sessions of an hour, Weibull shape %.1f: %s\n", shape, lived.text().c_str());
        EXPECT_EQ(lived.live, 100U) << "the ring keeps its size";
        EXPECT_GT(lived.tally.asked, 16'000U);
        EXPECT_LT(lived.tally.failed(), 0.00015);
        EXPECT_LT(lived.bytes, 200);
        EXPECT_GT(lived.deaths, 60U);
    }
}

}  // namespace
}  // namespace tapestry::testing
