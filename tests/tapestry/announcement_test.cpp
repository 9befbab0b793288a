// Announcements as bytes: docs/formats/tapestry.md.
#include "announcing/announcement.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/membership.hpp"
#include "wire/codec.hpp"

namespace tapestry {
namespace {

base::Guid guid(std::string_view digits) { return *base::Guid::from_prefix(digits); }

Identity some_identity() { return {base::SigningKey{base::Key{1}}, base::Key{2}, guid("ab")}; }

Announcement some_announcement() {
    return Announcement::sign(some_identity(), {"host:1", 0, 5, std::chrono::seconds{60}},
                              std::vector{guid("1"), guid("2"), guid("3")});
}

base::Bytes bytes_of(const Announcement& announcement) { return base::to_bytes(announcement.sealed().view()); }

TEST(Announcement, ComesBackAsItWasSigned) {
    const auto sent = some_announcement();
    const auto got = Announcement::decode(bytes_of(sent));
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->verify(guid("ab")));
    EXPECT_EQ(got->publisher(),
              (base::Address{base::node_id(some_identity().key.public_key(), base::Key{2}), "host:1"}));
    EXPECT_EQ(got->stamp(), 5U);
    EXPECT_EQ(got->lease(), std::chrono::seconds{60});
    ASSERT_EQ(got->size(), 3U);
    EXPECT_EQ(got->object(2), guid("3"));
    EXPECT_EQ(got->key(2), guid("3"));  // root 0: the object itself
}

TEST(Announcement, NoByteCanBeChanged) {
    const auto good = bytes_of(some_announcement());
    for (std::size_t i = 0; i < good.size(); ++i) {
        auto bad = good;
        bad[i] ^= 1U;
        const auto got = Announcement::decode(bad);
        EXPECT_TRUE(!got || !got->verify(guid("ab"))) << i;
    }
}

TEST(Announcement, NoTruncationAndNoTrailingByteParses) {
    const auto good = bytes_of(some_announcement());
    for (std::size_t length = 0; length < good.size(); ++length) {
        EXPECT_FALSE(
            Announcement::decode(base::Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length))));
    }
    auto longer = good;
    longer.push_back(0);
    EXPECT_FALSE(Announcement::decode(longer));
}

TEST(Announcement, OfAnotherNetworkIsNotForUs) {
    EXPECT_EQ(some_announcement().verify(guid("cd")).error(), base::Errc::not_a_member);
}

TEST(Announcement, UnsortedOrRepeatedObjectsAreMalformed) {
    for (const auto& objects : {std::vector{guid("2"), guid("1")}, std::vector{guid("1"), guid("1")}}) {
        const auto bad = Announcement::sign(some_identity(), {"h:1", 0, 1, std::chrono::seconds{1}}, objects);
        EXPECT_EQ(Announcement::decode(bytes_of(bad)).error(), base::Errc::bad_format);
    }
}

TEST(Announcement, ALeaseOfMoreThanADayIsMalformed) {
    const auto bad =
        Announcement::sign(some_identity(), {"h:1", 0, 1, kMaxLease + std::chrono::seconds{1}}, std::vector{guid("1")});
    EXPECT_FALSE(Announcement::decode(bytes_of(bad)));
}

TEST(Messages, AParcelsRangeLiesWithinItsAnnouncement) {
    for (const Range range : {Range{0, 4}, Range{2, 2}, Range{3, 1}}) {
        EXPECT_FALSE(decode_publish(encode({{.announcement = some_announcement(), .range = range}})));
    }
    const auto got = decode_publish(encode({{.announcement = some_announcement(), .range = {1, 3}, .hops = 2}}));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->at(0).range, (Range{1, 3}));
    EXPECT_EQ(got->at(0).hops, 2U);
}

TEST(Messages, FindComesBackAsItWas) {
    Find find{.object = guid("77"), .root = 1, .count = 3, .send = true, .asker = {guid("5"), "h:2"}, .number = 9};
    find.tried = {guid("8"), guid("9")};
    const auto got = decode_find(encode(find, {}).header);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->object, find.object);
    EXPECT_EQ(got->tried, find.tried);
    EXPECT_EQ(got->asker, find.asker);
    EXPECT_TRUE(got->send);
    EXPECT_EQ(got->count, 3U);
    find.count = kMaxReplicas + 1;
    EXPECT_FALSE(decode_find(encode(find, {}).header));
    find.count = 1;
    find.tried.assign(kMaxTried + 1, guid("1"));
    EXPECT_FALSE(decode_find(encode(find, {}).header));
}

}  // namespace
}  // namespace tapestry
