// Paper: Xia et al., FastCDC, USENIX ATC 2016.
#include "objstore/archive/chunker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace objstore::archive {
namespace {

base::Bytes noise(std::size_t size, std::uint32_t seed) {
    std::mt19937 random{seed};
    base::Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

base::Key key_of(std::uint8_t value) {
    base::Key key{};
    key[0] = value;
    return key;
}

std::vector<std::size_t> lengths(const Chunker& chunker, base::ByteView data) {
    std::vector<std::size_t> lengths;
    while (!data.empty()) {
        lengths.push_back(chunker.cut(data, true));
        data = data.subspan(lengths.back());
    }
    return lengths;
}

TEST(Chunker, KeepsToItsSizes) {
    const Chunker chunker{key_of(1)};
    const auto data = noise(64U << 20U, 1);
    const auto cut = lengths(chunker, data);
    for (std::size_t i = 0; i + 1 < cut.size(); ++i) {
        EXPECT_GE(cut[i], chunker.sizes().smallest);
        EXPECT_LE(cut[i], chunker.sizes().largest);
    }
    const auto mean = data.size() / cut.size();
    EXPECT_GE(mean, 512U << 10U);
    EXPECT_LE(mean, 768U << 10U);
}

TEST(Chunker, CutsTheSameWhereverTheBufferEnds) {
    const Chunker chunker{key_of(1)};
    const auto data = noise(16U << 20U, 2);
    const auto whole = lengths(chunker, data);
    std::vector<std::size_t> piecewise;
    for (std::size_t at = 0; at < data.size();) {
        const auto window = std::min<std::size_t>(data.size() - at, chunker.sizes().largest + at % 4096);
        const bool last = at + window == data.size();
        piecewise.push_back(chunker.cut(base::ByteView{data}.subspan(at, window), last));
        at += piecewise.back();
    }
    EXPECT_EQ(piecewise, whole);
}

TEST(Chunker, FindsItsBoundariesAgainAfterAnInsertion) {
    const Chunker chunker{key_of(1)};
    const auto data = noise(32U << 20U, 3);
    auto edited = data;
    const auto inserted = noise(1000, 4);
    edited.insert(edited.begin() + (5 << 20), inserted.begin(), inserted.end());
    const auto ends = [&](const base::Bytes& bytes) {
        std::set<std::size_t> from_end;
        std::size_t at = 0;
        for (const auto length : lengths(chunker, bytes)) from_end.insert(bytes.size() - (at += length));
        return from_end;
    };
    const auto before = ends(data);
    const auto after = ends(edited);
    std::vector<std::size_t> common;
    std::set_intersection(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(common));
    EXPECT_GE(common.size() * 10, before.size() * 7);
}

TEST(Chunker, CutsElsewhereUnderAnotherKey) {
    const auto data = noise(16U << 20U, 5);
    EXPECT_NE(lengths(Chunker{key_of(1)}, data), lengths(Chunker{key_of(2)}, data));
}

TEST(Chunker, CutsZeroesAtTheLargestSizeOrTheSmallest) {
    const Chunker chunker{key_of(1)};
    const base::Bytes zeroes(4U << 20U);
    const auto cut = lengths(chunker, zeroes);
    for (const auto length : cut) EXPECT_EQ(length, cut.front());
}

TEST(Chunker, LeavesShortDataWhole) {
    const Chunker chunker{key_of(1)};
    const auto data = noise(chunker.sizes().smallest, 6);
    EXPECT_EQ(chunker.cut(data, true), data.size());
    EXPECT_EQ(chunker.cut({}, true), 0U);
}

// docs/formats/chunks.md: what is cut today must be cut the same in ten years, or nothing deduplicates.
TEST(Chunker, CutsAsTheFormatSays) {
    const Chunker chunker{key_of(7)};
    std::uint64_t state = 1;
    base::Bytes data(8U << 20U);
    for (auto& byte : data) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        byte = static_cast<std::uint8_t>(state >> 56U);
    }
    const std::vector<std::size_t> golden{721269, 524593, 535251, 658766, 295766, 391059, 495211, 646199,
                                          525948, 555134, 714243, 805880, 582060, 534712, 372671, 29846};
    EXPECT_EQ(lengths(chunker, data), golden);
}

}  // namespace
}  // namespace objstore::archive
