// Snapshot records, and which one a user means.
#include "objstore/snapshot.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "objstore/world.hpp"

namespace objstore {
namespace {

Snapshot some_snapshot(std::int64_t time_ns, std::string host = "atoll") {
    Snapshot snapshot;
    snapshot.root = test::some_block(static_cast<std::uint64_t>(time_ns));
    snapshot.host = std::move(host);
    snapshot.user = "ann";
    snapshot.paths = {"/home/ann", "/etc"};
    snapshot.tags = {"daily"};
    snapshot.time_ns = time_ns;
    snapshot.files = 80'000;
    snapshot.bytes = 1'300'000'000;
    snapshot.program_version = "0.1.0";
    return snapshot;
}

TEST(Snapshot, ComesBackAsItWas) {
    auto snapshot = some_snapshot(5);
    EXPECT_EQ(*Snapshot::decode(snapshot.encode()), snapshot);
    snapshot.parent = some_snapshot(4).id();
    EXPECT_EQ(*Snapshot::decode(snapshot.encode()), snapshot);
    EXPECT_EQ(Snapshot::decode(snapshot.encode())->id(), snapshot.id());
}

TEST(Snapshot, ItsIdFollowsFromAllOfIt) {
    const auto one = some_snapshot(5);
    auto other = one;
    other.tags.push_back("weekly");
    EXPECT_NE(one.id(), other.id());
    other = one;
    other.root = test::some_block(99);
    EXPECT_NE(one.id(), other.id());
}

TEST(Snapshot, ItKeepsItsIdWhenItsTreeIsWrittenAgain) {
    const auto made = some_snapshot(5);
    auto moved = made;
    moved.root = test::some_block(99);
    moved.first_root = made.root->id;
    EXPECT_EQ(moved.id(), made.id());
    EXPECT_EQ(*Snapshot::decode(moved.encode()), moved);
    EXPECT_EQ(Snapshot::decode(moved.encode())->id(), made.id());
}

TEST(Snapshot, TruncatedRecordsDoNotParse) {
    const auto whole = some_snapshot(5).encode();
    for (std::size_t size = 0; size < whole.bytes.size(); ++size) {
        auto cut = whole;
        cut.bytes.resize(size);
        EXPECT_EQ(Snapshot::decode(cut).error(), base::Errc::bad_format) << size;
    }
    auto longer = whole;
    longer.bytes.push_back(0);
    EXPECT_EQ(Snapshot::decode(longer).error(), base::Errc::bad_format);
    auto rootless = whole;
    rootless.blocks.clear();
    EXPECT_EQ(Snapshot::decode(rootless).error(), base::Errc::bad_format);
}

TEST(Snapshot, LimitsAreToldBeforeItIsWritten) {
    auto snapshot = some_snapshot(5);
    EXPECT_TRUE(snapshot.check());
    snapshot.paths.assign(kMaxSnapshotPaths + 1, "/x");
    EXPECT_EQ(snapshot.check().error(), base::Errc::bad_argument);
    snapshot = some_snapshot(5);
    snapshot.tags.assign(20, std::string(4000, 't'));
    EXPECT_EQ(snapshot.check().error(), base::Errc::bad_argument);
}

TEST(FindSnapshot, LatestIsTheNewestThatMatches) {
    const std::vector<Snapshot> all{some_snapshot(1, "atoll"), some_snapshot(3, "reef"), some_snapshot(2, "atoll")};
    EXPECT_EQ(find_snapshot(all, "latest")->time_ns, 3);
    EXPECT_EQ(find_snapshot(all, "latest", {.hosts = {"atoll"}})->time_ns, 2);
    EXPECT_EQ(find_snapshot(all, "latest", {.paths = {"/etc"}, .tags = {{"daily"}}})->time_ns, 3);
    EXPECT_EQ(find_snapshot(all, "latest", {.paths = {"/var"}}).error(), Errc::no_such_snapshot);
    EXPECT_EQ(find_snapshot({}, "latest").error(), Errc::no_such_snapshot);
}

TEST(FindSnapshot, TheVolumesOwnSequenceDecidesWhatIsLatestAndNotAClockThatWasWrong) {
    std::vector<Snapshot> all{some_snapshot(1), some_snapshot(4'000'000), some_snapshot(3)};
    for (std::size_t i = 0; i < all.size(); ++i) all[i].sequence = i + 1;
    EXPECT_EQ(find_snapshot(all, "latest")->time_ns, 3);
    std::swap(all[1], all[2]);
    EXPECT_EQ(find_snapshot(all, "latest")->time_ns, 3);
    for (auto& snapshot : all) snapshot.sequence = 7;
    EXPECT_EQ(find_snapshot(all, "latest")->time_ns, 4'000'000) << "side by side: the time decides";
}

TEST(FindSnapshot, TakesAnUnambiguousBeginningOfAnId) {
    std::vector<Snapshot> all;
    for (std::int64_t i = 1; i <= 40; ++i) all.push_back(some_snapshot(i));
    for (const auto& snapshot : all) {
        EXPECT_EQ(find_snapshot(all, snapshot.id().hex())->time_ns, snapshot.time_ns);
        EXPECT_EQ(find_snapshot(all, snapshot.id().short_hex(12))->time_ns, snapshot.time_ns);
    }
    auto upper = all[3].id().short_hex(12);
    for (auto& digit : upper) digit = static_cast<char>(std::toupper(static_cast<unsigned char>(digit)));
    EXPECT_EQ(find_snapshot(all, upper)->time_ns, all[3].time_ns);
    // 40 ids, 16 first digits: some digit begins several.
    bool ambiguous = false;
    for (const auto* digit : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"}) {
        const auto found = find_snapshot(all, digit);
        if (found) continue;
        if (found.error() == Errc::no_such_snapshot) continue;
        EXPECT_EQ(found.error(), base::Errc::bad_argument);
        ambiguous = true;
    }
    EXPECT_TRUE(ambiguous);
    EXPECT_EQ(find_snapshot(all, "").error(), Errc::no_such_snapshot);
    EXPECT_EQ(find_snapshot(all, "xyz").error(), Errc::no_such_snapshot);
}

}  // namespace
}  // namespace objstore
