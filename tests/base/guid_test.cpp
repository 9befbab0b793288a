#include "base/guid.hpp"

#include <gtest/gtest.h>

namespace base {
namespace {

Guid guid(std::string_view prefix) { return *Guid::from_prefix(prefix); }

TEST(Guid, PrintsAsTheDigitsItWasReadFrom) {
    const std::string digits = "65a1fc00000000000000000000000000000000000000000000000000000000ff";
    EXPECT_EQ(Guid::from_hex(digits)->hex(), digits);
}

TEST(Guid, RefusesTextOfAnotherLengthOrWithOtherLetters) {
    EXPECT_FALSE(Guid::from_hex("65a1"));
    EXPECT_FALSE(Guid::from_hex(std::string(64, 'g')));
    EXPECT_FALSE(Guid::from_hex(std::string(66, '0')));
    EXPECT_FALSE(Guid::from_bytes(Bytes(31)));
}

TEST(Guid, DigitsComeMostSignificantFirst) {
    const auto id = guid("65a1fc");
    EXPECT_EQ(id.digit(0), 6U);
    EXPECT_EQ(id.digit(3), 1U);
    EXPECT_EQ(id.digit(5), 0xcU);
    EXPECT_EQ(id.digit(6), 0U);
}

TEST(Guid, CommonPrefixCountsDigitsNotBits) {
    EXPECT_EQ(guid("d46a1c").common_prefix(guid("d467c4")), 3U);
    EXPECT_EQ(guid("d46a1c").common_prefix(guid("d46a1c")), 64U);
    EXPECT_EQ(guid("8").common_prefix(guid("7")), 0U);
}

TEST(Guid, DistanceGoesTheShorterWayRound) {
    EXPECT_EQ(ring_distance(guid("00"), guid("ff")), guid("01"));
    EXPECT_EQ(ring_distance(guid("ff"), guid("00")), guid("01"));
    EXPECT_EQ(clockwise_distance(guid("ff"), guid("01")), guid("02"));
    EXPECT_EQ(clockwise_distance(guid("01"), guid("ff")), guid("fe"));
}

TEST(Guid, DistanceBorrowsAcrossAllItsDigits) {
    const auto one = *Guid::from_hex(std::string(63, '0') + "1");
    EXPECT_EQ(clockwise_distance(one, Guid{}), *Guid::from_hex(std::string(64, 'f')));
    EXPECT_EQ(clockwise_distance(one, guid("8")), *Guid::from_hex("7" + std::string(63, 'f')));
    EXPECT_EQ(clockwise_distance(one, one), Guid{});
}

TEST(Guid, OfTwoEquallyCloseNodesTheSmallerIsCloser) {
    EXPECT_TRUE(closer(guid("50"), guid("4f"), guid("51")));
    EXPECT_FALSE(closer(guid("50"), guid("51"), guid("4f")));
    EXPECT_TRUE(closer(guid("00"), guid("01"), guid("ff")));
}

}  // namespace
}  // namespace base
