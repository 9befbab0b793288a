#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "samples.hpp"

namespace past::test {
namespace {

/// Decodes whatever the name says; the value encoded anew.
template <class T>
base::Result<base::Bytes> again(base::ByteView bytes) {
    BASE_TRY(const auto value, decode<T>(bytes));
    return encode(value);
}
base::Result<base::Bytes> again_stored(base::ByteView bytes) {
    BASE_TRY(const auto value, decode_stored_register(bytes));
    return encode_stored(value);
}

using Again = base::Result<base::Bytes> (*)(base::ByteView);
const std::map<std::string, Again> kDecoders{
    {"store_request", &again<StoreRequest>},
    {"fetch_request", &again<FetchRequest>},
    {"touch_request", &again<TouchRequest>},
    {"bits_reply", &again<BitsReply>},
    {"reclaim", &again<Reclaim>},
    {"holders_request", &again<HoldersRequest>},
    {"holders_reply", &again<HoldersReply>},
    {"compare_request", &again<CompareRequest>},
    {"compare_reply", &again<CompareReply>},
    {"ranges_request", &again<RangesRequest>},
    {"ranges_reply", &again<RangesReply>},
    {"offer_request", &again<OfferRequest>},
    {"fetch_reply", &again<FetchReply>},
    {"room_reply", &again<RoomReply>},
    {"review_request", &again<ReviewRequest>},
    {"claim_request", &again<ClaimRequest>},
    {"retag_request", &again<RetagRequest>},
    {"list_request", &again<ListRequest>},
    {"list_reply", &again<ListReply>},
    {"query_request", &again<QueryRequest>},
    {"prepare_request", &again<PrepareRequest>},
    {"accept_request", &again<AcceptRequest>},
    {"register_reply", &again<RegisterReply>},
    {"pull_request", &again<PullRequest>},
    {"pull_reply", &again<PullReply>},
    {"local_put", &again<LocalPut>},
    {"put_outcome", &again<PutOutcome>},
    {"local_get", &again<LocalGet>},
    {"local_touch", &again<LocalTouch>},
    {"local_remove", &again<LocalRemove>},
    {"local_list", &again<LocalList>},
    {"tagged_blocks", &again<TaggedBlocks>},
    {"local_read_record", &again<LocalReadRecord>},
    {"local_record", &again<LocalRecord>},
    {"local_shown_record", &again<ShownRecord>},
    {"local_write_record", &again<LocalWriteRecord>},
    {"local_restore_record", &again<LocalRestoreRecord>},
    {"local_holders", &again<LocalHolders>},
    {"local_holders_reply", &again<LocalHoldersReply>},
    {"stored_register", &again_stored},
};

TEST(Codec, WhatIsDecodedIsWhatWasEncoded) {
    for (const auto& [name, bytes] : samples()) {
        const auto back = kDecoders.at(name)(bytes);
        ASSERT_TRUE(back) << name << ": " << back.error().message();
        EXPECT_EQ(*back, bytes) << name;
    }
    EXPECT_EQ(samples().size(), kDecoders.size());
}

/// What is taken has one form: encoded anew it is what every decoder, ours of tomorrow too, reads as the same value.
void expect_stable(const std::string& name, base::ByteView bytes) {
    const auto taken = kDecoders.at(name)(bytes);
    if (!taken) {
        EXPECT_TRUE(taken.error() == base::Errc::bad_format || taken.error() == base::Errc::unsupported ||
                    taken.error() == base::Errc::corrupt || taken.error() == base::Errc::bad_signature)
            << name << ": " << taken.error().message();
        return;
    }
    const auto once_more = kDecoders.at(name)(*taken);
    ASSERT_TRUE(once_more) << name;
    EXPECT_EQ(*once_more, *taken) << name;
}

TEST(Codec, TruncatedAndChangedBytesAreRefusedOrHaveOneMeaning) {
    for (const auto& [name, bytes] : samples()) {
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            const auto shorter = base::ByteView{bytes}.first(length);
            expect_stable(name, shorter);
            const auto taken = kDecoders.at(name)(shorter);
            EXPECT_FALSE(taken && *taken == bytes) << name << " of " << length << " bytes passes for all of it";
        }
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            for (const auto bit : {0x01U, 0x80U}) {
                auto changed = bytes;
                changed[i] = static_cast<std::uint8_t>(changed[i] ^ bit);
                for (const auto& [other, decoder] : kDecoders) expect_stable(other, changed);
            }
        }
    }
}

// A change of bytes on the wire changes docs/formats/wire.md, this file and a version (CONTRIBUTING.md, rule 16).
// PELAGO_GOLDEN=write makes it anew.
TEST(Codec, BytesOnTheWireAreThoseOfTheGoldenFile) {
    const std::string path = std::string{PELAGO_GOLDEN_DIR} + "/past_messages.txt";
    std::string now;
    for (const auto& [name, bytes] : samples()) now += name + " " + base::to_hex(bytes) + "\n";
    if (const char* mode = std::getenv("PELAGO_GOLDEN"); mode != nullptr && std::string{mode} == "write") {
        std::ofstream{path} << now;
    }
    std::ifstream file{path};
    const std::string then{std::istreambuf_iterator<char>{file}, {}};
    EXPECT_EQ(now, then);
}

TEST(Codec, LimitsAreKept) {
    const auto group = sample_guid(1);
    const auto page = [](std::vector<TaggedBlock> blocks) {
        return decode<ListReply>(encode(ListReply{std::move(blocks), sample_guid(5), false})).has_value();
    };
    EXPECT_TRUE(page({{sample_guid(1), 1, 1}, {sample_guid(5), 1, base::kMaxBlockBytes}}));
    EXPECT_FALSE(page({{sample_guid(5), 1, 1}, {sample_guid(1), 1, 1}})) << "not ascending";
    EXPECT_FALSE(page({{sample_guid(6), 1, 1}})) << "beyond what it says it covers";
    EXPECT_FALSE(page({{sample_guid(1), 1, base::kMaxBlockBytes + 1}}));
    LocalRestoreRecord restore{group, {7, base::Bytes(kMaxRecordBytes)}, 1};
    EXPECT_TRUE(decode<LocalRestoreRecord>(encode(restore)));
    restore.lost.body.push_back(0);
    EXPECT_FALSE(decode<LocalRestoreRecord>(encode(restore)));
    ShownRecord shown{{7, base::Bytes(kMaxRecordBytes)}, kMaxRegisterMembers, kMaxRegisterMembers};
    EXPECT_TRUE(decode<ShownRecord>(encode(shown)));
    ++shown.answered;
    EXPECT_FALSE(decode<ShownRecord>(encode(shown))) << "more answers than holders";
    ++shown.holders;
    EXPECT_FALSE(decode<ShownRecord>(encode(shown))) << "more holders than a register has";
    shown.answered = shown.holders = 1;
    shown.record.body.push_back(0);
    EXPECT_FALSE(decode<ShownRecord>(encode(shown)));
    const Tag tag{sample_guid(2), 1};
    const std::vector<base::Guid> too_many(kMaxBlocksPerRequest + 1, group);
    EXPECT_FALSE(decode<TouchRequest>(encode(TouchRequest{group, tag, too_many})));
    EXPECT_FALSE(decode<TouchRequest>(encode(TouchRequest{group, tag, {}})));
    EXPECT_FALSE(decode<OfferRequest>(encode(OfferRequest{group, tag, too_many})));
    EXPECT_FALSE(decode<BitsReply>(encode(BitsReply{{4}})));
    EXPECT_TRUE(decode<CompareReply>(encode(CompareReply{{{5, group, 5}}})));
    EXPECT_FALSE(decode<CompareReply>(encode(CompareReply{{{5, group, 6}}}))) << "more in doubt than there are";
    StoreRequest store{group, {tag}, {group}, {base::kMaxBlockBytes}, Cause::put};
    EXPECT_TRUE(decode<StoreRequest>(encode(store)));
    store.cause = static_cast<Cause>(5);
    EXPECT_FALSE(decode<StoreRequest>(encode(store)));
    store.cause = Cause::diverted_repair;
    EXPECT_TRUE(decode<StoreRequest>(encode(store)));
    store.lengths[0] += 1;
    EXPECT_FALSE(decode<StoreRequest>(encode(store)));
    store.ids.assign(5, group);
    store.lengths.assign(5, base::kMaxBlockBytes);
    EXPECT_FALSE(decode<StoreRequest>(encode(store))) << "more than a payload in all";
    store.lengths.assign(4, 1);
    EXPECT_FALSE(decode<StoreRequest>(encode(store))) << "a length for each id";
    store.lengths.assign(5, 1);
    store.tags.clear();
    EXPECT_FALSE(decode<StoreRequest>(encode(store)));
    store.tags.assign(kMaxTagsPerRequest + 1, tag);
    EXPECT_FALSE(decode<StoreRequest>(encode(store)));
    EXPECT_FALSE(decode<HoldersRequest>(encode(HoldersRequest{group, 0})));
    EXPECT_FALSE(decode<HoldersRequest>(encode(HoldersRequest{group, kMaxHolders + 1})));
}

// Whoever answers counts the diverted replicas of each group: one that stood there a thousand times would keep it busy
// for seconds.
TEST(Codec, AReviewNamesEachGroupOnce) {
    std::vector<base::Guid> groups;
    for (std::uint32_t i = 0; i < kMaxCompareEntries; ++i) {
        auto bytes = sample_guid(1).bytes();
        bytes[0] = static_cast<std::uint8_t>(i >> 8U);
        bytes[1] = static_cast<std::uint8_t>(i);
        groups.emplace_back(bytes);
    }
    const auto decodes = [](std::vector<base::Guid> named) {
        return decode<ReviewRequest>(encode(ReviewRequest{std::move(named)})).has_value();
    };
    EXPECT_TRUE(decodes(groups));
    EXPECT_FALSE(decodes({}));
    EXPECT_FALSE(decodes({groups[1], groups[1]}));
    EXPECT_FALSE(decodes({groups[1], groups[0]}));
    groups.push_back(sample_guid(0xFF));
    EXPECT_FALSE(decodes(groups)) << "too many";
}

TEST(Codec, AMemberThatIsNamedTwiceIsRefused) {
    RegisterReply reply;
    reply.state = sample_state();
    EXPECT_TRUE(decode<RegisterReply>(encode(reply)));
    reply.state.value->members.push_back(reply.state.value->members[0]);
    EXPECT_FALSE(decode<RegisterReply>(encode(reply)));
    reply.state = sample_state();
    reply.state.value->members.clear();
    EXPECT_FALSE(decode<RegisterReply>(encode(reply)));
    reply.state = sample_state();
    reply.state.value->record.body.resize(kMaxRecordBytes + 1);
    EXPECT_FALSE(decode<RegisterReply>(encode(reply)));
    reply.state = sample_state();
    reply.state.promised.counter = ~std::uint64_t{0};
    EXPECT_FALSE(decode<RegisterReply>(encode(reply))) << "nobody could outbid it";
}

}  // namespace
}  // namespace past::test
