// The bytes of docs/formats/store.md: golden, so that a change of them is seen.
#include "store/format.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "contract/blocks.hpp"
#include "store/lost_blocks.hpp"

namespace past::store {
namespace {

constexpr StoreId kStore{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

PutRecord put_record() {
    PutRecord record;
    record.sequence = 7;
    record.segment = 3;
    record.unit = 8;
    PutBatch batch;
    batch.group = contract::guid_of("place");
    batch.tags = {{contract::guid_of("volume"), 5}};
    batch.blocks = {{contract::guid_of("a"), 100, 0}, {contract::guid_of("b"), 0, 0}};
    record.batches.push_back(batch);
    record.place_payloads();
    return record;
}

OpsRecord ops_record() {
    OpsRecord record;
    record.sequence = 9;
    record.log = 2;
    record.unit = 8;
    const Tag tag{contract::guid_of("volume"), 6};
    record.ops = {TagOp{tag, {{3, 24}}}, UntagOp{tag, {{3, 37}, {4, 9}}}, DropOp{{{3, 24}}},
                  RecordOp{contract::guid_of("key"), base::to_bytes("value")}};
    return record;
}

Checkpoint checkpoint() {
    Checkpoint out;
    out.sequence = 8;
    out.tag_sets = {{{contract::guid_of("volume"), 5}}};
    out.segments[3] = {{24, 0}, {300, 0}};
    out.records[contract::guid_of("key")] = base::to_bytes("value");
    return out;
}

std::string digest(const base::Bytes& bytes) { return std::to_string(bytes.size()) + " " + base::sha256(bytes).hex(); }

TEST(StoreFormat, BytesAreAsTheyWereInVersion1) {
    EXPECT_EQ(base::to_hex(encode_format(kStore)),
              "504c4753544f524501000000000000000102030405060708090a0b0c0d0e0f10d185869d");
    FileHeader header;
    header.kind = FileKind::segment;
    header.number = 42;
    header.store = kStore;
    EXPECT_EQ(base::to_hex(header.encode()),
              "504c475345474d54010000002a0000000102030405060708090a0b0c0d0e0f100000000000000000000000000000000000000000"
              "00000000000000004dd61595");
    EXPECT_EQ(digest(put_record().encode(kStore)),
              "192 18f550fbe4b50d02bf9d6859e0e7ab28aff49d0e6325c110fc816fc1d5dbff9e");
    EXPECT_EQ(digest(ops_record().encode(kStore)),
              "208 6b086accc8009dc6b1689bd0dac6788b0fd11b851e89a6d2cefde7a170e861a7");
    EXPECT_EQ(digest(checkpoint().encode(kStore, 2)),
              "172 1070a56b54394d62adfaa14178f874de403479e6ba12ae6282e747de8f34d665");
}

LostBlocks lost_blocks() {
    LostBlocks lost;
    lost.add({contract::guid_of("b"), contract::guid_of("place"), {{contract::guid_of("volume"), 5}}});
    std::vector<Tag> tags{{contract::guid_of("volume"), 6}, {contract::guid_of("another volume"), 1}};
    std::ranges::sort(tags, {}, &Tag::volume);
    lost.add({contract::guid_of("a"), contract::guid_of("place"), tags});
    return lost;
}

TEST(StoreFormat, LostBlocksAreWrittenAsTheyWereAtFirst) {
    EXPECT_EQ(LostBlocks::record_key().hex(), "21baf7c97054282247a1f3bda59f57b062946a55bf31c53b9d0fdcccfb042ac8");
    EXPECT_EQ(digest(lost_blocks().encode()), "253 fbbc2f0fc287aa95aab71f3de5487ccd57277c1c9a30f41f8547c40d1d834cc1");
    EXPECT_EQ(LostBlocks::decode(lost_blocks().encode()).all(), lost_blocks().all());
    EXPECT_EQ(LostBlocks{}.encode(), base::Bytes{});
}

TEST(StoreFormat, AListOfLostBlocksThatIsCutOrGoesOnCountsAsEmpty) {
    const auto whole = lost_blocks().encode();
    const auto first = std::size_t{1 + 32 + 32 + 2 + 40};
    for (std::size_t size = 0; size < whole.size(); ++size) {
        if (size == first) continue;  // a list of one
        EXPECT_TRUE(LostBlocks::decode(base::ByteView{whole}.first(size)).empty()) << size;
    }
    auto longer = whole;
    longer.push_back(0);
    EXPECT_TRUE(LostBlocks::decode(longer).empty());
    auto twice = whole;
    twice.insert(twice.end(), whole.begin() + 1, whole.end());
    EXPECT_TRUE(LostBlocks::decode(twice).empty()) << "a block is lost once";
}

TEST(StoreFormat, ARecordIsOnlyAcceptedWhereItWasWritten) {
    const auto bytes = put_record().encode(kStore);
    EXPECT_TRUE(decode_put(bytes, kStore, 3, 8));
    EXPECT_FALSE(decode_put(bytes, kStore, 4, 8));
    EXPECT_FALSE(decode_put(bytes, kStore, 3, 16));
    auto other = kStore;
    other[0] ^= 1;
    EXPECT_FALSE(decode_put(bytes, other, 3, 8)) << "a record of another store";
    const auto ops = ops_record().encode(kStore);
    EXPECT_TRUE(decode_ops(ops, kStore, 2, 8));
    EXPECT_FALSE(decode_ops(ops, kStore, 1, 8));
    EXPECT_FALSE(decode_ops(ops, other, 2, 8));
}

TEST(StoreFormat, NoBitOfARecordMayDiffer) {
    for (const bool put : {true, false}) {
        const auto whole = put ? put_record().encode(kStore) : ops_record().encode(kStore);
        const auto covered = put ? whole.size() : peek_ops(whole)->head_bytes;
        for (std::size_t bit = 0; bit < covered * 8; ++bit) {
            auto bytes = whole;
            bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
            if (put) {
                EXPECT_FALSE(decode_put(bytes, kStore, 3, 8)) << bit;
            } else {
                EXPECT_FALSE(decode_ops(bytes, kStore, 2, 8)) << bit;
            }
        }
    }
}

TEST(StoreFormat, NoBitOfACheckpointMayDifferAndNoneMayBeMissing) {
    const auto whole = checkpoint().encode(kStore, 2);
    EXPECT_TRUE(Checkpoint::decode(whole, kStore, 2));
    EXPECT_FALSE(Checkpoint::decode(whole, kStore, 3));
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        auto bytes = whole;
        bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
        EXPECT_FALSE(Checkpoint::decode(bytes, kStore, 2)) << bit;
    }
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_FALSE(Checkpoint::decode(base::ByteView{whole}.first(size), kStore, 2));
}

TEST(StoreFormat, ALaterVersionIsUnsupportedNotCorrupt) {
    auto bytes = encode_format(kStore);
    bytes[8] = 2;
    EXPECT_EQ(decode_format(bytes).error(), base::Errc::corrupt) << "the checksum covers the version";
    bytes.resize(64);
    EXPECT_EQ(decode_format(bytes).error(), base::Errc::unsupported);
}

TEST(StoreFormat, NamesAndNumbersGoTogether) {
    EXPECT_EQ(file_name("blocks", FileKind::segment, 42), "blocks/segments/0000002a.seg");
    EXPECT_EQ(number_in("0000002a.seg", FileKind::segment), 42U);
    for (const auto* name : {"0000002a.idx", "2a.seg", "0000002g.seg", "0000002a.seg.new", "00000000.seg"})
        EXPECT_EQ(number_in(name, FileKind::segment), 0U) << name;
}

}  // namespace
}  // namespace past::store
