#include "base/membership.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace base {
namespace {

const SigningKey kAuthority{Key{1}};
const Guid kNetwork = network_id(kAuthority.public_key(), "home");
constexpr std::int64_t kDay = 86'400'000'000'000;

Certificate issued(const SigningKey& by = kAuthority) {
    Certificate certificate;
    certificate.network = kNetwork;
    certificate.key = SigningKey{Key{2}}.public_key();
    certificate.salt = Key{3};
    certificate.failure_domain = "attic";
    certificate.serial = 9;
    certificate.not_before_ns = 100 * kDay;
    certificate.not_after_ns = 200 * kDay;
    certificate.signature = by.sign("pelago certificate", certificate.body());
    return certificate;
}

TEST(Membership, ACertificateSurvivesEncoding) {
    const auto certificate = issued();
    const auto decoded = Certificate::decode(certificate.encode());
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->encode(), certificate.encode());
    EXPECT_EQ(decoded->id(), certificate.id());
    EXPECT_EQ(decoded->failure_domain, "attic");
    EXPECT_TRUE(check_certificate(*decoded, kNetwork, kAuthority.public_key(), 150 * kDay));
}

TEST(Membership, OtherNetworkForgedExpiredAndFutureCertificatesAreNoMembers) {
    const auto& authority = kAuthority.public_key();
    const auto good = issued();
    EXPECT_EQ(check_certificate(good, Guid{}, authority, 150 * kDay).error(), Errc::not_a_member);
    EXPECT_EQ(check_certificate(issued(SigningKey{Key{66}}), kNetwork, authority, 150 * kDay).error(),
              Errc::not_a_member);
    EXPECT_EQ(check_certificate(good, kNetwork, authority, 202 * kDay).error(), Errc::not_a_member);
    EXPECT_EQ(check_certificate(good, kNetwork, authority, 98 * kDay).error(), Errc::not_a_member);
    auto altered = good;
    altered.capacity_bytes = 1;
    EXPECT_EQ(check_certificate(altered, kNetwork, authority, 150 * kDay).error(), Errc::not_a_member);
}

TEST(Membership, ExpiryLeavesADayOfSlackForWrongClocks) {
    const auto& authority = kAuthority.public_key();
    EXPECT_TRUE(check_certificate(issued(), kNetwork, authority, 201 * kDay));
    EXPECT_TRUE(check_certificate(issued(), kNetwork, authority, 99 * kDay));
}

TEST(Membership, EveryTruncatedOrPaddedCertificateIsMalformed) {
    auto bytes = issued().encode();
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_EQ(Certificate::decode(ByteView{bytes}.first(length)).error(), Errc::bad_format);
    }
    bytes.push_back(0);
    EXPECT_EQ(Certificate::decode(bytes).error(), Errc::bad_format);
    bytes[0] = 2;
    EXPECT_EQ(Certificate::decode(bytes).error(), Errc::unsupported);
}

TEST(Membership, ANodeCannotChooseItsId) {
    const auto key = SigningKey{Key{2}}.public_key();
    EXPECT_NE(node_id(key, Key{1}), node_id(key, Key{2}));
}

TEST(Membership, APolicyOutOfRangeIsRefusedByName) {
    Policy policy;
    policy.copies = 2;
    policy.min_copies = 3;
    EXPECT_EQ(policy.check().error(), Errc::bad_argument);
    policy.min_copies = 0;
    EXPECT_EQ(policy.check().error(), Errc::bad_argument);
    EXPECT_TRUE(Policy{}.check());
    EXPECT_EQ(Policy::decode(Policy{}.encode())->repair_after, std::chrono::hours{1});
}

TEST(Membership, EffectiveCopiesCountStorageMembersOfTheRosterOnly) {
    Roster roster;
    for (std::uint8_t i = 1; i <= 4; ++i) {
        Roster::Member member;
        member.id = *Guid::from_prefix(std::string(1, static_cast<char>('0' + i)));
        member.role = i == 3 ? Role::client : Role::storage;
        member.revoked = i == 4;
        roster.members.push_back(member);
    }
    EXPECT_EQ(effective_copies(Policy{}, roster), 2U);
    EXPECT_EQ(effective_copies(Policy{}, Roster{}), 1U);
    const auto decoded = Roster::decode(roster.encode());
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->encode(), roster.encode());
    EXPECT_NE(decoded->find(roster.members[1].id), nullptr);
    EXPECT_EQ(decoded->find(Guid{}), nullptr);
}

TEST(Membership, AMemberThatDrainsIsAMemberAndCountsForNoCopies) {
    Roster roster;
    for (std::uint8_t i = 1; i <= 4; ++i) {
        Roster::Member member;
        member.id = *Guid::from_prefix(std::string(1, static_cast<char>('0' + i)));
        member.draining = i == 2;
        roster.members.push_back(member);
    }
    EXPECT_EQ(roster.storage_peers(), 4U);
    EXPECT_EQ(roster.holders(), 3U);
    Policy policy;
    policy.copies = 4;
    EXPECT_EQ(effective_copies(policy, roster), 3U);
    const auto decoded = Roster::decode(roster.encode());
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(decoded->draining(roster.members[1].id));
    EXPECT_FALSE(decoded->draining(roster.members[0].id));
    EXPECT_FALSE(decoded->removed(roster.members[1].id));
    EXPECT_EQ(decoded->encode(), roster.encode());
}

TEST(Membership, AStateOfAMemberThatNobodyKnowsIsMalformed) {
    Roster roster;
    roster.members.resize(1);
    auto bytes = roster.encode();
    const auto state = 1 + 32 + 8 + 32 + 4 + 32 + 1;
    ASSERT_EQ(bytes[state], 0);
    bytes[state] = 2;
    EXPECT_TRUE(Roster::decode(bytes)->members[0].draining);
    bytes[state] = 3;
    EXPECT_EQ(Roster::decode(bytes).error(), Errc::bad_format);
}

TEST(Membership, ARosterThatPromisesMoreThanItHoldsIsMalformed) {
    auto bytes = Roster{}.encode();
    bytes[73] = 0xff;  // the count, far above what follows
    bytes[74] = 0xff;
    EXPECT_EQ(Roster::decode(bytes).error(), Errc::bad_format);
}

TEST(Membership, ATokenIsTextThatNoticesDamage) {
    Token token;
    token.network = kNetwork;
    token.authority = kAuthority.public_key();
    token.issuer_endpoint = "127.0.0.1:7000";
    token.secret = Key{5};
    const auto text = token.text();
    const auto parsed = Token::parse(text + "\n");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->issuer_endpoint, token.issuer_endpoint);
    EXPECT_EQ(parsed->secret, token.secret);
    EXPECT_TRUE(Token::parse("\xEF\xBB\xBF" + text + "\r\n")) << "as some editors save it";
    EXPECT_EQ(Token::parse(text.substr(0, text.size() - 3)).error(), Errc::bad_format);
    auto damaged = text;
    damaged[20] = damaged[20] == 'A' ? 'B' : 'A';
    EXPECT_EQ(Token::parse(damaged).error(), Errc::bad_format);
    EXPECT_EQ(Token::parse("hello").error(), Errc::bad_format);
}

}  // namespace
}  // namespace base
