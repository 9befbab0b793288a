#include "codec.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "ids.hpp"

namespace pastry {
namespace {

using testing::id;
using testing::Ids;
using testing::node;

NodeHandle some_node(std::string_view prefix) {
    auto handle = node(prefix);
    handle.address.endpoint = "192.0.2.1:7000";
    handle.failure_domain = "rack-1";
    return handle;
}

Routed some_routed() {
    Routed routed{.hop_id = 7, .transmission = 2};
    routed.envelope = {.key = id("d46a1c"), .origin = some_node("65a1fc"), .message_id = 99, .hops = 3};
    routed.envelope.message =
        base::Message{base::Service::past, 5, base::to_bytes("header"), base::to_bytes("payload")};
    return routed;
}

template <class T>
T round_trip(const T& value) {
    const auto decoded = decode_notice(encode(Notice{value}));
    EXPECT_TRUE(decoded.has_value());
    return std::get<T>(*decoded);
}

TEST(PastryCodec, EveryNoticeComesBackAsItself) {
    EXPECT_EQ(round_trip(Ack{.hop_id = 1, .transmission = 2}), (Ack{.hop_id = 1, .transmission = 2}));
    EXPECT_EQ(round_trip(Heartbeat{}), Heartbeat{});
    EXPECT_EQ(round_trip(RowRequest{.row = 63}), RowRequest{.row = 63});
    const Probe probe{.probe_id = 5,
                      .reply = true,
                      .leaf_exchange = true,
                      .converged = true,
                      .leaf_set = {some_node("1"), some_node("2")},
                      .failed = {id("3"), id("4")}};
    EXPECT_EQ(round_trip(probe), probe);
    const Row row{.row = 2, .nodes = {some_node("65b")}};
    EXPECT_EQ(round_trip(row), row);

    const auto routed = round_trip(some_routed());
    EXPECT_EQ(routed.hop_id, 7U);
    EXPECT_EQ(routed.envelope.key, id("d46a1c"));
    EXPECT_EQ(routed.envelope.origin, some_node("65a1fc"));
    EXPECT_EQ(routed.envelope.hops, 3U);
    EXPECT_EQ(routed.envelope.message.service(), base::Service::past);
    EXPECT_EQ(base::as_text(routed.envelope.message.header), "header");
    EXPECT_EQ(base::as_text(routed.envelope.message.payload), "payload");
}

TEST(PastryCodec, ThePayloadOfARoutedMessageIsNotCopied) {
    const auto routed = some_routed();
    const auto message = encode(Notice{routed});
    EXPECT_EQ(message.payload.view().data(), routed.envelope.message.payload.view().data());
}

TEST(PastryCodec, LookupsComeBackAsThemselves) {
    const Lookup lookup{.key = id("aa"), .exclude = {id("1")}, .count = 5, .join = true, .first_row = 2};
    EXPECT_EQ(*decode_lookup(encode(lookup).header), lookup);
    const LookupReply reply{.root = true,
                            .next = {some_node("1")},
                            .replicas = {some_node("2")},
                            .rows = {some_node("3")},
                            .leaf_set = {some_node("4"), some_node("5")}};
    EXPECT_EQ(*decode_lookup_reply(encode(reply).header), reply);
}

// The bytes on the wire; a change here is a change of the protocol (docs/formats/wire.md).
TEST(PastryCodec, GoldenBytes) {
    const auto hex = [](const Notice& notice) { return base::to_hex(encode(notice).header); };
    EXPECT_EQ(hex(Ack{.hop_id = 300, .transmission = 1}), "08ac021001");
    EXPECT_EQ(hex(Heartbeat{}), "");
    EXPECT_EQ(hex(RowRequest{.row = 3}), "0803");
    EXPECT_EQ(hex(Probe{.probe_id = 1, .leaf_exchange = true, .converged = true, .failed = {id("ab")}}),
              "080110012220ab000000000000000000000000000000000000000000000000000000000000002801");
    EXPECT_EQ(encode(Notice{Heartbeat{}}).kind, 0x0203);
    EXPECT_EQ(encode(Lookup{}).kind, 0x0208);
}

TEST(PastryCodec, TooManyOrTooLongIsRefusedWhole) {
    Probe probe{.probe_id = 1};
    for (std::size_t i = 0; i <= kMaxLeafHandles; ++i) probe.leaf_set.push_back(some_node("1"));
    EXPECT_EQ(decode_notice(encode(Notice{probe})).error(), base::Errc::bad_format);
    probe.leaf_set.resize(kMaxLeafHandles);
    EXPECT_TRUE(decode_notice(encode(Notice{probe})).has_value());
    probe.failed.resize(kMaxFailedSent + 1);
    EXPECT_FALSE(decode_notice(encode(Notice{probe})).has_value());

    Row row{.row = 64};
    EXPECT_FALSE(decode_notice(encode(Notice{row})).has_value());
    row = {.row = 1, .nodes = {some_node("1")}};
    row.nodes[0].address.endpoint.assign(base::kMaxEndpointBytes + 1, 'x');
    EXPECT_FALSE(decode_notice(encode(Notice{row})).has_value());
    row.nodes[0] = some_node("1");
    row.nodes[0].failure_domain.assign(base::kMaxFailureDomainBytes + 1, 'x');
    EXPECT_FALSE(decode_notice(encode(Notice{row})).has_value());

    EXPECT_FALSE(decode_lookup(encode(Lookup{.count = kMaxReplicas + 1}).header).has_value());
    EXPECT_FALSE(decode_lookup(encode(Lookup{.first_row = 65}).header).has_value());
}

TEST(PastryCodec, AnIdOfAnotherLengthIsRefused) {
    // Probe.failed[0] of 31 bytes.
    base::Bytes header{0x22, 31};
    header.resize(2 + 31);
    const base::Message message{base::Service::pastry, static_cast<std::uint8_t>(Verb::probe), header};
    EXPECT_EQ(decode_notice(message).error(), base::Errc::bad_format);
}

/// What these bytes mean, if anything, is what the bytes that we write for it mean.
void expect_one_meaning(base::Message message) {
    const auto read = decode_notice(std::move(message));
    if (!read) return;
    const auto written = encode(*read);
    const auto again = decode_notice(base::Message{written});
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(encode(*again).header, written.header);
}

TEST(PastryCodec, TruncatedChangedAndRandomBytesAreRefusedOrHaveOneMeaning) {
    Ids ids{1};
    for (unsigned verb = 0; verb < 256; ++verb) {
        for (int i = 0; i < 20; ++i) {
            base::Bytes header = base::to_bytes(ids.next().view());
            header.resize(ids.below(header.size() + 1));
            expect_one_meaning({base::Service::pastry, static_cast<std::uint8_t>(verb), std::move(header)});
        }
    }
    const auto whole = encode(Notice{some_routed()});
    for (std::size_t length = 0; length < whole.header.size(); ++length) {
        auto part = whole;
        part.header.resize(length);
        expect_one_meaning(part);
        const auto read = decode_notice(std::move(part));
        EXPECT_FALSE(read && encode(*read).header == whole.header) << length << " bytes pass for all of them";
    }
    ::testing::internal::CaptureStderr();
    for (std::size_t i = 0; i < whole.header.size(); ++i) {
        for (const auto bit : {0x01U, 0x80U}) {
            auto changed = whole;
            changed.header[i] = static_cast<std::uint8_t>(changed.header[i] ^ bit);
            expect_one_meaning(std::move(changed));
        }
    }
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "who sends them would fill the log";
    EXPECT_EQ(decode_notice(base::Message{base::Service::pastry, 200, {}}).error(), base::Errc::unsupported);
}

}  // namespace
}  // namespace pastry
