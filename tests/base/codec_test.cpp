#include "base/codec.hpp"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Codec, ReadsBackWhatWasWritten) {
    Writer out;
    out.u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0fU).i64(-5).varint(300).text("name");
    Reader in{out.view()};
    EXPECT_EQ(in.u8(), 1);
    EXPECT_EQ(in.u16(), 0x0203);
    EXPECT_EQ(in.u32(), 0x04050607U);
    EXPECT_EQ(in.u64(), 0x08090a0b0c0d0e0fU);
    EXPECT_EQ(in.i64(), -5);
    EXPECT_EQ(in.varint(), 300U);
    EXPECT_EQ(in.text(10), "name");
    EXPECT_TRUE(in.complete());
}

TEST(Codec, LittleEndianOnEveryMachine) {
    Writer out;
    out.u32(0x01020304);
    EXPECT_EQ(out.view(), (Bytes{4, 3, 2, 1}));
}

TEST(Codec, EveryTruncationIsNoticed) {
    Writer out;
    out.u32(7).text("hello").guid(Guid{});
    for (std::size_t length = 0; length < out.size(); ++length) {
        Reader in{ByteView{out.view()}.first(length)};
        (void)in.u32();
        (void)in.text(100);
        (void)in.guid();
        EXPECT_FALSE(in.complete()) << length;
    }
}

TEST(Codec, AfterAFailureEverythingReadsAsZero) {
    Reader in{Bytes{1, 2}};
    EXPECT_EQ(in.u32(), 0U);
    EXPECT_EQ(in.u8(), 0U);
    EXPECT_FALSE(in.ok());
}

TEST(Codec, OnlyTheShortestVarintIsAccepted) {
    for (const Bytes& bad : {Bytes{0x80, 0x00}, Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
                             Bytes(11, 0x80), Bytes{0x80}}) {
        Reader in{bad};
        (void)in.varint();
        EXPECT_FALSE(in.ok()) << to_hex(bad);
    }
    Writer out;
    out.varint(UINT64_MAX);
    Reader in{out.view()};
    EXPECT_EQ(in.varint(), UINT64_MAX);
    EXPECT_TRUE(in.complete());
}

TEST(Codec, ACountIsCheckedAgainstWhatIsLeftBeforeAnybodyAllocates) {
    Reader in{Bytes(100)};
    EXPECT_FALSE(in.fits(UINT64_MAX, 8));
    Reader enough{Bytes(100)};
    EXPECT_TRUE(enough.fits(12, 8));
}

TEST(Codec, ALengthAboveItsLimitFails) {
    Writer out;
    out.bytes(Bytes(300));
    Reader in{out.view()};
    EXPECT_TRUE(in.bytes(299).empty());
    EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace base
