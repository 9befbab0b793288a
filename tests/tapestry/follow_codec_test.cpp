// Messages of followers as bytes: docs/formats/tapestry.md#followers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "follow_samples.hpp"

namespace tapestry::testing {
namespace {

using Again = std::function<base::Result<base::Message>(const base::Message&)>;

template <class T, base::Result<T> (*decode)(const base::Message&)>
base::Result<base::Message> again(const base::Message& message) {
    BASE_TRY(const auto value, decode(message));
    if constexpr (requires { encode(value, message.payload); }) {
        return encode(value, message.payload);
    } else {
        return encode(value);
    }
}

const std::map<std::string, Again> kDecoders{
    {"look", &again<Look, decode_look>},
    {"look_of_a_newcomer", &again<Look, decode_look>},
    {"view", &again<View, decode_view>},
    {"attach", &again<Attach, decode_attach>},
    {"attach_reply", &again<AttachReply, decode_attach_reply>},
    {"digest", &again<Digest, decode_digest>},
    {"digested", &again<Digested, decode_digested>},
    {"push", &again<Push, decode_push>},
    {"pushed", &again<Pushed, decode_pushed>},
    {"leave", &again<Leave, decode_leave>},
};

TEST(FollowCodec, WhatIsDecodedIsWhatWasEncoded) {
    for (const auto& [name, message] : follow_samples()) {
        const auto back = kDecoders.at(name)(message);
        ASSERT_TRUE(back) << name << ": " << back.error().message();
        EXPECT_EQ(back->header, message.header) << name;
        EXPECT_EQ(base::to_bytes(back->payload.view()), base::to_bytes(message.payload.view())) << name;
        EXPECT_EQ(message.service(), base::Service::followers);
    }
    EXPECT_EQ(follow_samples().size(), kDecoders.size());
}

/// What these bytes mean, if anything, is what the bytes that we write for it mean.
void expect_one_meaning(const std::string& name, const base::Message& message) {
    const auto written = kDecoders.at(name)(message);
    if (!written) return;
    const auto again = kDecoders.at(name)(*written);
    ASSERT_TRUE(again) << name << ": " << again.error().message();
    EXPECT_EQ(again->header, written->header) << name;
}

TEST(FollowCodec, TruncatedAndChangedBytesAreRefusedOrHaveOneMeaning) {
    for (const auto& [name, message] : follow_samples()) {
        for (std::size_t length = 0; length < message.header.size(); ++length) {
            auto shorter = message;
            shorter.header.resize(length);
            expect_one_meaning(name, shorter);
            const auto taken = kDecoders.at(name)(shorter);
            // An empty part may be left out: that means the same.
            const bool same = message.header.size() - length == 2 && message.header.back() == 0;
            EXPECT_FALSE(!same && taken && taken->header == message.header)
                << name << " of " << length << " bytes passes for all of it";
        }
        for (std::size_t i = 0; i < message.header.size(); ++i) {
            for (const auto bit : {0x01U, 0x80U}) {
                auto changed = message;
                changed.header[i] = static_cast<std::uint8_t>(changed.header[i] ^ bit);
                for (const auto& [other, decoder] : kDecoders) expect_one_meaning(other, changed);
            }
        }
    }
}

// A change of bytes on the wire changes docs/formats/tapestry.md, this file and a version (CONTRIBUTING.md, rule 16).
// PELAGO_GOLDEN=write makes it anew.
TEST(FollowCodec, BytesOnTheWireAreThoseOfTheGoldenFile) {
    const std::string path = std::string{PELAGO_GOLDEN_DIR} + "/followers_messages.txt";
    std::string now;
    for (const auto& [name, message] : follow_samples()) {
        now += name + " " + std::to_string(message.verb()) + " " + base::to_hex(message.header) + " " +
               base::to_hex(message.payload.view()) + "\n";
    }
    if (const char* mode = std::getenv("PELAGO_GOLDEN"); mode != nullptr && std::string{mode} == "write") {
        std::ofstream{path} << now;
    }
    std::ifstream file{path};
    const std::string then{std::istreambuf_iterator<char>{file}, {}};
    EXPECT_EQ(now, then);
}

TEST(FollowCodec, LimitsAreKept) {
    const base::SharedBytes most{base::Bytes(kMaxNewsBytes)};
    const base::SharedBytes more{base::Bytes(kMaxNewsBytes + 1)};
    EXPECT_TRUE(decode_push(encode(Push{sample_guid(1), 1}, most)));
    EXPECT_FALSE(decode_push(encode(Push{sample_guid(1), 1}, more)));
    EXPECT_FALSE(decode_push(encode(Push{sample_guid(1), 1}, {}))) << "no body";
    EXPECT_FALSE(decode_push(encode(Push{sample_guid(1), 0}, most))) << "sequences begin at 1";
    EXPECT_FALSE(decode_view(encode(sample_view(), more)));
    auto standing = sample_standing();
    standing.path.assign(kMaxDepth, sample_guid(9));
    EXPECT_TRUE(decode_digest(encode(Digest{sample_guid(1), standing})));
    standing.path.push_back(sample_guid(9));
    EXPECT_FALSE(decode_digest(encode(Digest{sample_guid(1), standing})));
    standing = sample_standing();
    standing.rank.depth = kMaxDepth + 1;
    EXPECT_FALSE(decode_digest(encode(Digest{sample_guid(1), standing})));
    standing = sample_standing();
    standing.delay = std::chrono::hours{2};
    const auto sent = decode_digest(encode(Digest{sample_guid(1), standing}));
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->standing.delay, std::chrono::hours{1}) << "no more is sent";
    auto view = sample_view();
    view.children.assign(kMaxChildren + 1, {sample_guid(1), "h:1"});
    EXPECT_FALSE(decode_view(encode(view, {})));
    view = sample_view();
    view.room = kMaxChildren + 1;
    EXPECT_FALSE(decode_view(encode(view, {})));
    EXPECT_FALSE(decode_attach_reply(encode(AttachReply{static_cast<Verdict>(99), sample_view()}, {})));
    EXPECT_FALSE(decode_leave(encode(Leave{sample_guid(1), {}, {sample_guid(2), std::string(256, 'x')}})));
}

}  // namespace
}  // namespace tapestry::testing
