#include "acl.hpp"

#include <gtest/gtest.h>

namespace fusefs {
namespace {

struct Line {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id = UINT32_MAX;
};

base::Bytes encoded(const std::vector<Line>& lines) {
    base::Bytes out{2, 0, 0, 0};
    for (const auto& line : lines) {
        out.insert(out.end(), {static_cast<std::uint8_t>(line.tag), 0, static_cast<std::uint8_t>(line.permissions), 0});
        for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(line.id >> shift));
    }
    return out;
}

const base::Bytes kPlain = encoded({{AclEntry::owner, 7}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}});
const base::Bytes kNamed = encoded({{AclEntry::owner, 6},
                                    {AclEntry::user, 7, 1000},
                                    {AclEntry::user, 4, 1001},
                                    {AclEntry::group_owner, 6},
                                    {AclEntry::mask, 5},
                                    {AclEntry::others, 0}});

TEST(Acl, ComesOutAsItWentIn) {
    EXPECT_EQ(Acl::parse(kPlain)->encode(), kPlain);
    EXPECT_EQ(Acl::parse(kNamed)->encode(), kNamed);
    EXPECT_TRUE(Acl::parse(kPlain)->is_plain());
    EXPECT_FALSE(Acl::parse(kNamed)->is_plain());
}

TEST(Acl, ShowsAsTheModeItsMaskForTheGroup) {
    EXPECT_EQ(Acl::parse(kPlain)->mode(04000), 04754U);
    EXPECT_EQ(Acl::parse(kNamed)->mode(0777), 0650U);
}

TEST(Acl, ChmodChangesTheMaskNotTheOwningGroup) {
    auto acl = *Acl::parse(kNamed);
    acl.change_mode(0717);
    EXPECT_EQ(acl.encode(), encoded({{AclEntry::owner, 7},
                                     {AclEntry::user, 7, 1000},
                                     {AclEntry::user, 4, 1001},
                                     {AclEntry::group_owner, 6},
                                     {AclEntry::mask, 1},
                                     {AclEntry::others, 7}}));
}

TEST(Acl, ANewFileGetsNoMoreThanItsModeAsksFor) {
    auto acl = *Acl::parse(kNamed);
    EXPECT_EQ(acl.inherit(0644), 0640U);
    EXPECT_EQ(acl.mode(0), 0640U);
    auto plain = *Acl::parse(kPlain);
    EXPECT_EQ(plain.inherit(02666), 02644U);
}

TEST(Acl, WhatTheKernelWouldNotMakeIsRefused) {
    const std::vector<base::Bytes> bad{
        {},
        {2, 0, 0},
        {1, 0, 0, 0},
        encoded({}),
        encoded({{AclEntry::owner, 7}, {AclEntry::group_owner, 5}}),
        encoded({{AclEntry::owner, 7}, {AclEntry::owner, 7}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 9}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}}),
        encoded({{AclEntry::group_owner, 5}, {AclEntry::owner, 7}, {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 7}, {AclEntry::user, 7, 5}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 7},
                 {AclEntry::user, 7, 5},
                 {AclEntry::user, 7, 5},
                 {AclEntry::group_owner, 5},
                 {AclEntry::mask, 7},
                 {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 7},
                 {AclEntry::user, 7},
                 {AclEntry::group_owner, 5},
                 {AclEntry::mask, 7},
                 {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 7}, {64, 7}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}}),
        encoded({{AclEntry::owner, 7}, {3, 7}, {AclEntry::group_owner, 5}, {AclEntry::others, 4}}),
    };
    for (std::size_t i = 0; i < bad.size(); ++i) EXPECT_FALSE(Acl::parse(bad[i])) << i;
    auto cut = kNamed;
    cut.pop_back();
    EXPECT_FALSE(Acl::parse(cut));
}

}  // namespace
}  // namespace fusefs
