// Frames and the X.509 extension as pure functions.
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/host/frame.hpp"
#include "base/host/tls_identity.hpp"
#include "base/limits.hpp"
#include "members.hpp"

namespace host_test {
namespace {

using base::host::FrameHeader;
using base::host::FrameType;
using base::host::Hello;

TEST(FrameCodec, AFrameHeaderIsTwentyBytesAndComesBack) {
    const FrameHeader head{FrameType::request, 0x0403, 0x1122334455667788, 300, 70'000};
    const auto bytes = head.encode();
    EXPECT_EQ(base::to_hex(bytes),
              "9c120100"
              "02"
              "00"
              "0304"
              "8877665544332211"
              "2c010000");
    EXPECT_EQ(*FrameHeader::decode(bytes), head);
}

TEST(FrameCodec, LimitsHoldForEachType) {
    const auto decodes = [](FrameType type, std::uint32_t header, std::uint32_t payload) {
        return FrameHeader::decode(FrameHeader{type, 0, 0, header, payload}.encode()).has_value();
    };
    EXPECT_TRUE(decodes(FrameType::request, base::kMaxHeaderBytes, base::kMaxPayloadBytes));
    EXPECT_FALSE(decodes(FrameType::request, base::kMaxHeaderBytes + 1, 0));
    EXPECT_FALSE(decodes(FrameType::request, 0, base::kMaxPayloadBytes + 1));
    EXPECT_FALSE(decodes(FrameType::hello, base::host::kMaxHelloBytes + 1, 0));
    EXPECT_FALSE(decodes(FrameType::error, base::host::kMaxErrorBytes, 1));
    EXPECT_FALSE(decodes(FrameType::ping, 1, 0));
    EXPECT_FALSE(decodes(static_cast<FrameType>(0), 0, 0));
    EXPECT_FALSE(decodes(static_cast<FrameType>(10), 0, 0));
    EXPECT_FALSE(FrameHeader::decode(Bytes(19)));
    EXPECT_FALSE(FrameHeader::decode(Bytes(21)));
}

TEST(FrameCodec, HellosComeBackAndAgreeOnAVersion) {
    Hello hello;
    hello.endpoint = "192.0.2.1:7400";
    hello.channel = base::host::Channel::bulk;
    EXPECT_EQ(base::to_hex(hello.encode()),
              "01000100"
              "02"
              "0e"
              "3139322e302e322e313a37343030");
    EXPECT_EQ(*Hello::decode(hello.encode()), hello);
    EXPECT_EQ(*hello.agree(), 1U);
    hello.oldest = hello.newest = 9;
    EXPECT_EQ(hello.agree().error(), Errc::unsupported);
    hello.oldest = 1;
    auto later = hello.encode();
    later.push_back(0);  // a field of version 9
    EXPECT_EQ(*Hello::decode(later)->agree(), 1U);
    hello.newest = 1;
    auto trailing = hello.encode();
    trailing.push_back(0);
    EXPECT_FALSE(Hello::decode(trailing));
}

TEST(FrameCodec, ErrorsComeBackAsThemselvesOrSayWhatTheyWere) {
    const auto known = base::host::decode_error(base::host::encode_error({Errc::no_space, "detail"}));
    ASSERT_TRUE(known);
    EXPECT_EQ(*known, Errc::no_space);
    EXPECT_EQ(known->detail(), "detail");
    const auto foreign =
        base::host::decode_error(base::host::encode_error({std::make_error_code(std::errc::io_error), "what"}));
    ASSERT_TRUE(foreign);
    EXPECT_EQ(*foreign, Errc::peer_failed);
    EXPECT_EQ(foreign->detail(), "generic 5: what");
    const auto huge = base::host::encode_error({Errc::no_space, std::string(100'000, 'x')});
    EXPECT_LE(huge.size(), base::host::kMaxErrorBytes);
    EXPECT_TRUE(base::host::decode_error(huge));
    EXPECT_FALSE(base::host::decode_error({}));
    EXPECT_FALSE(base::host::decode_error(Bytes(10, 0xFF)));
}

TEST(TlsIdentity, TheCertificateTravelsInTheExtension) {
    const Network network;
    const auto key = key_of(10);
    const auto certificate = network.issue(key);
    const auto der = base::host::encode_x509(key, &certificate);
    EXPECT_EQ(der, base::host::encode_x509(key, &certificate));
    const auto identity = base::host::decode_x509(der);
    ASSERT_TRUE(identity) << identity.error().message();
    EXPECT_EQ(identity->key, key.public_key());
    ASSERT_TRUE(identity->certificate);
    EXPECT_EQ(identity->certificate->encode(), certificate.encode());
    EXPECT_TRUE(check_member(*identity, network.trusted(), certificate.not_before_ns));

    const auto bare = base::host::decode_x509(base::host::encode_x509(key, nullptr));
    ASSERT_TRUE(bare);
    EXPECT_FALSE(bare->certificate);
    EXPECT_EQ(check_member(*bare, network.trusted(), 0).error(), Errc::not_a_member);
}

TEST(TlsIdentity, EveryCutAndEveryFlippedByteIsSafe) {
    const Network network;
    const auto certificate = network.issue(key_of(10));
    const auto der = base::host::encode_x509(key_of(10), &certificate);
    for (std::size_t i = 0; i < der.size(); ++i) {
        EXPECT_FALSE(base::host::decode_x509(base::ByteView{der}.first(i)));
        auto flipped = der;
        flipped[i] ^= 0x55;
        const auto identity = base::host::decode_x509(flipped);
        if (!identity || !identity->certificate) continue;
        const auto member = check_member(*identity, network.trusted(), certificate.not_before_ns);
        // What still passes differs only where TLS itself looks (names, dates, X.509 signature).
        EXPECT_TRUE(!member || member->encode() == certificate.encode());
    }
    EXPECT_FALSE(base::host::decode_x509(Bytes(base::host::kMaxX509Bytes + 1)));
}

}  // namespace
}  // namespace host_test
