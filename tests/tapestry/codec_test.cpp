// Messages as bytes: docs/formats/tapestry.md.
#include "wire/codec.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>

#include "base/codec.hpp"
#include "base/error.hpp"

namespace tapestry {
namespace {

base::Guid guid(std::string_view digits) { return *base::Guid::from_prefix(digits); }

Announcement an_announcement(std::chrono::seconds lease) {
    const Identity identity{base::SigningKey{base::Key{1}}, base::Key{2}, guid("ab")};
    return Announcement::sign(identity, {"host:1", 0, 5, lease}, std::vector{guid("1"), guid("2"), guid("3")});
}

struct Sample {
    base::Message message;
    std::function<base::Result<base::Message>(const base::Message&)> again;  ///< decoded, and encoded anew
};

std::map<std::string, Sample> samples() {
    const base::Address ada{guid("aa"), "ada:4000"};
    const base::Address bob{guid("bb"), "bob:4000"};
    std::map<std::string, Sample> all;
    const auto parcels = [](const base::Message& message) -> base::Result<base::Message> {
        BASE_TRY(const auto value, decode_publish(message));
        return encode(value, static_cast<Verb>(message.verb()));
    };
    const std::vector<Parcel> way{{.announcement = an_announcement(std::chrono::seconds{60}),
                                   .range = {1, 3},
                                   .hops = 2,
                                   .delay = std::chrono::milliseconds{7},
                                   .last = true,
                                   .age = std::chrono::seconds{11},
                                   .confirm = true},
                                  {.announcement = an_announcement(std::chrono::seconds{0}), .range = {0, 1}}};
    all["publish"] = {encode(way), parcels};
    all["neighbour_query_reply"] = {encode(way, Verb::neighbour_query), parcels};
    const Find find{.object = guid("77"),
                    .root = 1,
                    .count = 3,
                    .send = true,
                    .asker = ada,
                    .number = 9,
                    .tried = {guid("8"), guid("9")},
                    .trace = true,
                    .way = {ada, bob},
                    .message = 10,
                    .round = 2,
                    .doubt = true};
    all["find"] = {encode(find, base::SharedBytes{base::to_bytes("letter")}),
                   [](const base::Message& message) -> base::Result<base::Message> {
                       BASE_TRY(const auto value, decode_find(message.header));
                       return encode(value, message.payload);
                   }};
    const Found found{.number = 9,
                      .root = 1,
                      .places = {{ada, std::chrono::milliseconds{3}}, {bob, {}}},
                      .last = true,
                      .certain = true,
                      .way = {bob}};
    all["found"] = {encode(found), [](const base::Message& message) -> base::Result<base::Message> {
                        BASE_TRY(const auto value, decode_found(message.header));
                        return encode(value);
                    }};
    const auto delivers = [](const base::Message& message) -> base::Result<base::Message> {
        BASE_TRY(const auto value, decode_deliver(message.header));
        return encode(value, message.payload, static_cast<Verb>(message.verb()));
    };
    all["deliver"] = {encode(Deliver{guid("77"), 1, ada, 10}, base::SharedBytes{base::to_bytes("letter")}), delivers};
    all["have"] = {encode(Deliver{guid("77"), 1, {}, 0}, {}, Verb::have), delivers};
    const auto delivered = [](const base::Message& message) -> base::Result<base::Message> {
        BASE_TRY(const auto value, decode_delivered(message));
        return encode(value);
    };
    all["delivered"] = {encode(Delivered{.taken = true, .held = true, .born = 4, .withdrawal = {}}), delivered};
    all["denied"] = {
        encode(Delivered{.taken = false, .born = 4, .withdrawal = an_announcement(std::chrono::seconds{0})}),
        delivered};
    all["neighbour_query"] = {encode_neighbour_query(guid("77")),
                              [](const base::Message& message) -> base::Result<base::Message> {
                                  BASE_TRY(const auto value, decode_neighbour_query(message.header));
                                  return encode_neighbour_query(value);
                              }};
    const std::vector<Acknowledgement> acknowledgements{{.stamp = 5, .range = {0, 3}}, {.stamp = 6, .range = {2, 512}}};
    all["arrived"] = {encode(acknowledgements), [](const base::Message& message) -> base::Result<base::Message> {
                          BASE_TRY(const auto value, decode_arrived(message.header));
                          return encode(value);
                      }};
    all["hand_over"] = {encode_hand_over(77), [](const base::Message& message) -> base::Result<base::Message> {
                            BASE_TRY(const auto born, decode_hand_over(message.header));
                            return encode_hand_over(born);
                        }};
    all["handed_over"] = {encode_handed_over(true), [](const base::Message& message) -> base::Result<base::Message> {
                              BASE_TRY(const auto fresh, decode_handed_over(message.header));
                              return encode_handed_over(fresh);
                          }};
    return all;
}

TEST(TapestryCodec, WhatIsDecodedIsWhatWasEncoded) {
    for (const auto& [name, sample] : samples()) {
        const auto back = sample.again(sample.message);
        ASSERT_TRUE(back) << name << ": " << back.error().message();
        EXPECT_EQ(back->kind, sample.message.kind) << name;
        EXPECT_EQ(back->header, sample.message.header) << name;
        EXPECT_TRUE(std::ranges::equal(back->payload.view(), sample.message.payload.view())) << name;
    }
}

// A change of bytes on the wire changes docs/formats/tapestry.md, this file and a version (CONTRIBUTING.md, rule 16).
// PELAGO_GOLDEN=write makes it anew.
TEST(TapestryCodec, BytesOnTheWireAreThoseOfTheGoldenFile) {
    const std::string path = std::string{PELAGO_GOLDEN_DIR} + "/tapestry_messages.txt";
    std::string now;
    for (const auto& [name, sample] : samples()) {
        now += name + " " + std::to_string(sample.message.verb()) + " " + base::to_hex(sample.message.header) + " " +
               base::to_hex(sample.message.payload) + "\n";
    }
    if (const char* mode = std::getenv("PELAGO_GOLDEN"); mode != nullptr && std::string{mode} == "write") {
        std::ofstream{path} << now;
    }
    std::ifstream file{path};
    const std::string then{std::istreambuf_iterator<char>{file}, {}};
    EXPECT_EQ(now, then);
}

TEST(TapestryCodec, LimitsAreKept) {
    Find find{.object = guid("77"), .asker = {guid("1"), "h:1"}, .round = kMaxRounds - 1};
    EXPECT_TRUE(decode_find(encode(find, {}).header));
    find.round = kMaxRounds;
    EXPECT_FALSE(decode_find(encode(find, {}).header));
    Found found;
    found.places.assign(kMaxPlaces, {{guid("1"), "h:1"}, {}});
    EXPECT_TRUE(decode_found(encode(found).header));
    found.places.push_back({{guid("1"), "h:1"}, {}});
    EXPECT_FALSE(decode_found(encode(found).header));
    EXPECT_FALSE(decode_deliver(encode(Deliver{guid("1"), kMaxRoots, {}, 0}, {}).header));
    std::vector<Acknowledgement> acknowledgements(kMaxParcels, Acknowledgement{1, {0, 1}});
    EXPECT_TRUE(decode_arrived(encode(acknowledgements).header));
    acknowledgements.push_back({1, {0, 1}});
    EXPECT_FALSE(decode_arrived(encode(acknowledgements).header));
    for (const Range range : {Range{0, kMaxObjects + 1}, Range{2, 2}, Range{3, 1}}) {
        EXPECT_FALSE(decode_arrived(encode(std::vector<Acknowledgement>{{1, range}}).header));
    }
    std::vector<Parcel> parcels{{.announcement = an_announcement(std::chrono::seconds{60}), .range = {0, 1}}};
    parcels.assign(kMaxParcels + 1, parcels[0]);
    EXPECT_FALSE(decode_publish(encode(parcels)));
}

/// One parcel as somebody may write it who keeps to no limit: Protocol Buffers by hand.
base::Message written_by_hand(const Announcement& announcement, std::uint64_t hops, std::uint64_t delay_us,
                              std::uint64_t age_s) {
    constexpr std::uint8_t kParcels = (1U << 3U) | 2U;
    const auto number = [](base::Writer& out, unsigned field, std::uint64_t value) {
        out.u8(static_cast<std::uint8_t>(field << 3U)).varint(value);
    };
    base::Writer parcel;
    number(parcel, 1, announcement.sealed().size());
    number(parcel, 3, 1);  // objects [0, 1)
    number(parcel, 4, hops);
    number(parcel, 5, delay_us);
    number(parcel, 7, age_s);
    base::Writer all;
    all.u8(kParcels).bytes(parcel.view());
    return {base::Service::tapestry, static_cast<std::uint8_t>(Verb::publish), all.take(), announcement.sealed()};
}

TEST(TapestryCodec, HopsDelayAndAgeBeyondTheirLimitsAreRefused) {
    const auto said = an_announcement(std::chrono::seconds{60});
    constexpr std::uint64_t kHourUs = 3'600'000'000;
    EXPECT_TRUE(decode_publish(written_by_hand(said, kMaxHops, kHourUs, 86'400)));
    EXPECT_FALSE(decode_publish(written_by_hand(said, kMaxHops + 1, kHourUs, 86'400)));
    EXPECT_FALSE(decode_publish(written_by_hand(said, kMaxHops, kHourUs + 1, 86'400)));
    EXPECT_FALSE(decode_publish(written_by_hand(said, kMaxHops, kHourUs, 86'401)));
}

TEST(TapestryCodec, WhatIsPassedOnAtItsLimitsIsTakenByTheNext) {
    auto at_limits =
        decode_publish(written_by_hand(an_announcement(std::chrono::seconds{60}), kMaxHops, 3'600'000'000, 86'400));
    ASSERT_TRUE(at_limits);
    auto& parcel = at_limits->at(0);
    ++parcel.hops;
    parcel.delay += std::chrono::milliseconds{1};
    parcel.age += std::chrono::milliseconds{1};
    const auto next = decode_publish(encode(*at_limits));
    ASSERT_TRUE(next) << next.error().message();
    EXPECT_EQ(next->at(0).hops, kMaxHops);
    EXPECT_EQ(next->at(0).delay, std::chrono::hours{1});
    EXPECT_EQ(next->at(0).age, kMaxLease);
    auto negative = *next;
    negative[0].delay = std::chrono::milliseconds{-1};
    EXPECT_TRUE(decode_publish(encode(negative)));
}

TEST(TapestryCodec, AWithdrawalThatDoesNotParseIsNone) {
    auto message = encode(Delivered{.taken = false, .born = 4, .withdrawal = an_announcement(std::chrono::seconds{0})});
    message.payload = message.payload.slice(0, message.payload.size() - 1);
    EXPECT_EQ(decode_delivered(message).error(), base::Errc::bad_format);
}

}  // namespace
}  // namespace tapestry
