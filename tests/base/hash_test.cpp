#include "base/hash.hpp"

#include <gtest/gtest.h>

#include "base/crypto.hpp"
#include "base/error.hpp"

namespace base {
namespace {

Key key_of(std::uint8_t byte) {
    Key key;
    key.fill(byte);
    return key;
}

TEST(Hash, Sha256MatchesFips180) {
    EXPECT_EQ(sha256(as_bytes("abc")).hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256({as_bytes("a"), as_bytes(""), as_bytes("bc")}), sha256(as_bytes("abc")));
}

TEST(Hash, InPiecesOrAtOnceIsTheSame) {
    Sha256 pieces;
    pieces.update(as_bytes("a"));
    const auto other = sha256(as_bytes("in between"));
    pieces.update(as_bytes("bc"));
    EXPECT_EQ(pieces.finish(), sha256(as_bytes("abc")));
    EXPECT_NE(other, sha256(as_bytes("abc")));
}

TEST(Hash, HmacMatchesRfc4231) {
    EXPECT_EQ(to_hex(hmac_sha256(Bytes(20, 0x0b), {as_bytes("Hi "), as_bytes("There")})),
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(
        to_hex(hmac_sha256(Bytes(131, 0xaa), {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hash, KeysOfDifferentLabelsOrContextsDiffer) {
    EXPECT_NE(derive_key(key_of(1), "a"), derive_key(key_of(1), "b"));
    EXPECT_NE(derive_key(key_of(1), "a", as_bytes("x")), derive_key(key_of(1), "a", as_bytes("y")));
    EXPECT_NE(derive_key(key_of(1), "ab", as_bytes("c")), derive_key(key_of(1), "a", as_bytes("bc")));
}

TEST(Hash, Crc32cMatchesRfc3720AndContinues) {
    EXPECT_EQ(crc32c(Bytes(32, 0)), 0x8A9136AAU);
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);
    EXPECT_EQ(crc32c(as_bytes("56789"), crc32c(as_bytes("1234"))), 0xE3069283U);
}

TEST(Crypto, Ed25519MatchesRfc8032KeyPair) {
    const auto seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    Key bytes;
    std::copy(seed->begin(), seed->end(), bytes.begin());
    EXPECT_EQ(to_hex(SigningKey{bytes}.public_key()),
              "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

TEST(Crypto, ASignatureCountsForItsDomainKeyAndMessageOnly) {
    const SigningKey key{key_of(7)};
    const auto signature = key.sign("receipt", as_bytes("hello"));
    EXPECT_TRUE(verify_signature(key.public_key(), "receipt", as_bytes("hello"), signature));
    EXPECT_FALSE(verify_signature(key.public_key(), "reclaim", as_bytes("hello"), signature));
    EXPECT_FALSE(verify_signature(key.public_key(), "receipt", as_bytes("hallo"), signature));
    EXPECT_FALSE(verify_signature(SigningKey{key_of(8)}.public_key(), "receipt", as_bytes("hello"), signature));
    EXPECT_FALSE(verify_signature(PublicKey{}, "receipt", as_bytes("hello"), Signature{}));
}

TEST(Crypto, WhatWasSealedOpensOnlyWithTheSameKeyAndContext) {
    const auto sealed = seal_once(key_of(1), as_bytes("type 1"), as_bytes("secret"));
    EXPECT_EQ(sealed.size(), 6 + kSealOverhead);
    EXPECT_EQ(as_text(*open_once(key_of(1), as_bytes("type 1"), sealed)), "secret");
    EXPECT_EQ(open_once(key_of(2), as_bytes("type 1"), sealed).error(), Errc::bad_signature);
    EXPECT_EQ(open_once(key_of(1), as_bytes("type 2"), sealed).error(), Errc::bad_signature);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto changed = sealed;
        changed[i] ^= 1;
        EXPECT_EQ(open_once(key_of(1), as_bytes("type 1"), changed).error(), Errc::bad_signature);
    }
    EXPECT_EQ(open_once(key_of(1), {}, Bytes(15)).error(), Errc::bad_signature);
    EXPECT_TRUE(open_once(key_of(1), {}, seal_once(key_of(1), {}, {}))->empty());
}

TEST(Crypto, ScryptRefusesCostsThatWouldEatTheMachine) {
    EXPECT_EQ(stretch_passphrase("x", {}, {.log2_n = 40}).error(), Errc::bad_format);
    EXPECT_EQ(stretch_passphrase("x", {}, {.log2_n = 4, .r = 9}).error(), Errc::bad_format);
    EXPECT_TRUE(stretch_passphrase("x", {}, {.log2_n = 4, .r = 1, .p = 1}));
}

TEST(Crc32c, AtTheEndCoversEverythingBeforeIt) {
    auto bytes = to_bytes("some bytes");
    const auto sum = crc32c(bytes);
    EXPECT_FALSE(ends_with_crc32c(bytes));
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(sum >> (8 * i)));
    EXPECT_TRUE(ends_with_crc32c(bytes));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        auto flipped = bytes;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        EXPECT_FALSE(ends_with_crc32c(flipped)) << bit;
    }
    EXPECT_FALSE(ends_with_crc32c(ByteView{bytes}.first(3)));
    EXPECT_TRUE(ends_with_crc32c(Bytes(4))) << "of nothing it is 0";
}

}  // namespace
}  // namespace base
