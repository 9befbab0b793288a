#include <gtest/gtest.h>

#include <random>

#include "base/sim/disk.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "objstore/archive/dedup_index.hpp"

namespace objstore::archive {
namespace {

ChunkHash hash_of(std::uint64_t number) {
    const auto digest = base::sha256(base::as_bytes(std::to_string(number)));
    ChunkHash hash{};
    std::copy_n(digest.bytes().begin(), hash.size(), hash.begin());
    return hash;
}

VolumeKeys keys_of(std::string_view name) {
    base::Key seed{};
    seed.fill(3);
    return VolumeKeys::of_owner(base::SigningKey{seed}, name);
}

CacheRecord record_of(std::uint64_t number) {
    CacheRecord record;
    record.block.id = base::sha256(base::as_bytes("block " + std::to_string(number)));
    record.block.sealed_bytes = 1000;
    record.block.type = BlockType::pack;
    record.block.body_key = base::sha256(base::as_bytes("key")).bytes();
    record.block.birth = number;
    for (std::uint32_t i = 0; i < 5; ++i) record.chunks.push_back({i * 100, 90, hash_of(number * 10 + i)});
    return record;
}

CacheSalt salt_of(std::uint64_t number) {
    CacheSalt salt{};
    salt[0] = static_cast<std::uint8_t>(number);
    salt[1] = static_cast<std::uint8_t>(number >> 8U);
    return salt;
}

TEST(DedupIndex, FindsWhatWasAddedAndNothingElse) {
    DedupIndex index;
    for (std::uint32_t i = 0; i < 100'000; ++i) index.add(hash_of(i), {i / 80, i % 80, 10});
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        const auto found = index.find(hash_of(i));
        ASSERT_TRUE(found);
        EXPECT_EQ(*found, (ChunkLocation{i / 80, i % 80, 10}));
    }
    EXPECT_FALSE(index.find(hash_of(100'001)));
    index.add(hash_of(5), {7, 7, 7});
    EXPECT_EQ(index.find(hash_of(5)), (ChunkLocation{7, 7, 7}));
    EXPECT_EQ(index.chunks(), 100'000U);
}

TEST(DedupIndex, TakesAtMostFortyBytesAChunk) {
    DedupIndex index;
    for (std::uint32_t i = 0; i < 200'000; ++i) {
        index.add(hash_of(i), {});
        if (i > 2000 && i % 997 == 0) {
            EXPECT_LE(index.chunk_memory_bytes(), index.chunks() * 40) << i;
        }
    }
}

class Cache : public testing::Test {
  protected:
    std::unique_ptr<DedupCache> open(DedupIndex& index) { return DedupCache::open(disk, "c/d", keys, index).value(); }
    base::Errc failure() {
        DedupIndex index;
        const auto opened = DedupCache::open(disk, "c/d", keys, index);
        return opened ? base::Errc{} : static_cast<base::Errc>(opened.error().code().value());
    }
    void fill(std::uint64_t from, std::uint64_t to) {
        DedupIndex index;
        auto cache = from == 0 ? DedupCache::create(disk, "c/d", keys).value() : open(index);
        for (auto i = from; i < to; ++i) cache->append(record_of(i), salt_of(i)).value();
        cache->sync().value();
    }

    base::sim::Disk disk{1};
    VolumeKeys keys = keys_of("archive");
};

TEST_F(Cache, RemembersWhatWasAppended) {
    fill(0, 10);
    fill(10, 20);
    DedupIndex index;
    const auto cache = open(index);
    EXPECT_EQ(index.blocks(), 20U);
    EXPECT_EQ(index.chunks(), 100U);
    const auto found = index.find(hash_of(123));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->offset, 300U);
    EXPECT_EQ(*index.block(found->block), record_of(12).block);
    EXPECT_EQ(index.presence(found->block), DedupIndex::Presence::unknown);
}

TEST_F(Cache, ATailTornAnywhereCostsOnlyTheLastRecord) {
    fill(0, 3);
    const auto whole = disk.contents("c/d").value();
    DedupIndex two;
    const auto record = (whole.size() - 52) / 3;
    for (auto size = whole.size() - record + 1; size < whole.size(); ++size) {
        disk.cut("c/d", size);
        DedupIndex index;
        open(index);
        EXPECT_EQ(index.blocks(), 2U) << size;
        EXPECT_EQ(disk.contents("c/d")->size(), whole.size() - record);
        auto file = disk.open("c/d", base::Disk::Mode::read_write).value();
        file->write_at(0, base::ByteView{whole}).value();
    }
}

TEST_F(Cache, WhatWasAppendedAfterATornTailIsThere) {
    fill(0, 3);
    disk.cut("c/d", disk.contents("c/d")->size() - 5);
    fill(10, 12);
    DedupIndex index;
    open(index);
    EXPECT_EQ(index.blocks(), 4U);
}

TEST_F(Cache, RotInTheMiddleIsFound) {
    fill(0, 10);
    for (const std::uint64_t at : {0U, 20U, 51U, 60U, 200U}) {
        disk.flip_bit("c/d", at, 3);
        EXPECT_EQ(failure(), base::Errc::corrupt) << at;
        disk.flip_bit("c/d", at, 3);
    }
    EXPECT_EQ(failure(), base::Errc{});
}

TEST_F(Cache, AnotherVolumesFileIsRefused) {
    fill(0, 10);
    keys = keys_of("another");
    EXPECT_EQ(failure(), base::Errc::corrupt);
}

TEST_F(Cache, HasOneUserAtATime) {
    fill(0, 10);
    DedupIndex index;
    const auto first = open(index);
    EXPECT_EQ(failure(), base::Errc::locked);
}

TEST_F(Cache, NothingInItIsReadable) {
    fill(0, 3);
    const auto bytes = disk.contents("c/d").value();
    const auto key = base::sha256(base::as_bytes("key")).bytes();
    EXPECT_EQ(std::search(bytes.begin(), bytes.end(), key.begin(), key.end()), bytes.end());
}

TEST(CacheRecord, DecodesWhatItEncodesAndRefusesTheRest) {
    const auto record = record_of(4);
    const auto bytes = record.encode();
    EXPECT_EQ(CacheRecord::decode(bytes).value(), record);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(CacheRecord::decode(base::ByteView{bytes}.first(length)));
    }
    auto beyond = record;
    beyond.chunks.back().length = 5U << 20U;
    EXPECT_FALSE(CacheRecord::decode(beyond.encode()));
}

}  // namespace
}  // namespace objstore::archive
