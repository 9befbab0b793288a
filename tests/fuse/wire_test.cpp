#include "adapter_wire.hpp"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <array>
#include <cstring>

namespace fusefs::wire {
namespace {

template <class T>
base::Bytes message(std::uint32_t opcode, const T& body) {
    fuse_in_header header{};
    header.opcode = opcode;
    header.unique = 77;
    base::Bytes out(sizeof header + sizeof body);
    std::memcpy(out.data(), &header, sizeof header);
    std::memcpy(out.data() + sizeof header, &body, sizeof body);
    return out;
}

TEST(Wire, SaysWhetherTheWriterMayKeepSetIdBits) {
    fuse_write_in write{};
    EXPECT_FALSE(look_at(message(FUSE_WRITE, write)).drop_set_ids);
    write.write_flags = FUSE_WRITE_KILL_SUIDGID;
    EXPECT_TRUE(look_at(message(FUSE_WRITE, write)).drop_set_ids);
    fuse_setattr_in change{};
    change.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
    EXPECT_TRUE(look_at(message(FUSE_SETATTR, change)).drop_set_ids);
    fuse_open_in open{};
    open.open_flags = FUSE_OPEN_KILL_SUIDGID;
    EXPECT_TRUE(look_at(message(FUSE_OPEN, open)).drop_set_ids);
    EXPECT_FALSE(look_at(message(FUSE_READ, open)).drop_set_ids);
}

TEST(Wire, WhatIsTooShortSaysNothing) {
    fuse_write_in write{};
    write.write_flags = FUSE_WRITE_KILL_SUIDGID;
    auto cut = message(FUSE_WRITE, write);
    cut.pop_back();
    EXPECT_FALSE(look_at(cut).drop_set_ids);
    EXPECT_EQ(look_at(base::ByteView{cut}.first(10)).opcode, 0U);
    EXPECT_EQ(name_of(FUSE_LOOKUP), "lookup");
    EXPECT_EQ(name_of(100'000), "other");
}

TEST(Wire, TheOfferIsTakenInTheFirstAnswerOnly) {
    fuse_init_in first{};
    first.flags = FUSE_HANDLE_KILLPRIV_V2 | FUSE_BIG_WRITES;
    const auto seen = look_at(message(FUSE_INIT, first));
    EXPECT_TRUE(seen.is_first);
    EXPECT_TRUE(seen.offers_killpriv_v2);

    fuse_out_header header{};
    header.unique = 77;
    fuse_init_out answer{};
    answer.flags = FUSE_BIG_WRITES;
    answer.max_write = 123;
    const std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{&answer, sizeof answer}};
    EXPECT_TRUE(take_killpriv_v2(parts.data(), 2, 78).empty());
    const auto taken = take_killpriv_v2(parts.data(), 2, 77);
    ASSERT_EQ(taken.size(), sizeof header + sizeof answer);
    std::memcpy(&answer, taken.data() + sizeof header, sizeof answer);
    EXPECT_EQ(answer.flags, static_cast<std::uint32_t>(FUSE_BIG_WRITES | FUSE_HANDLE_KILLPRIV_V2));
    EXPECT_EQ(answer.max_write, 123U);
    header.error = -22;
    EXPECT_TRUE(take_killpriv_v2(parts.data(), 2, 77).empty());
}

}  // namespace
}  // namespace fusefs::wire
