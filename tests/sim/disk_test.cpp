// What a power loss leaves, boundary by boundary.
#include "base/sim/disk.hpp"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <set>
#include <string>

namespace base::sim {
namespace {

using Mode = Disk::Mode;
using namespace std::chrono_literals;

void write(base::Disk& disk, std::string_view path, std::string_view text, bool sync = false) {
    auto file = disk.open(path, Mode::create).value();
    ASSERT_TRUE(file->write_at(0, as_bytes(text)));
    if (sync) {
        ASSERT_TRUE(file->sync());
    }
}
std::string text_of(const Disk& disk, std::string_view path) {
    const auto bytes = disk.contents(path);
    return bytes ? std::string{as_text(*bytes)} : "<absent>";
}

TEST(SimDisk, AKillKeepsTheCache) {
    Disk disk;
    write(disk, "a", "text");
    disk.kill();
    EXPECT_EQ(text_of(disk, "a"), "text");
    EXPECT_EQ(disk.pending(), 2U);
}

TEST(SimDisk, WhatWasNotSyncedIsLost) {
    Disk disk;
    write(disk, "a", "one", true);
    ASSERT_TRUE(disk.sync_directory(""));
    write(disk, "a", "two");
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "one");
    EXPECT_EQ(disk.pending(), 0U);
}

TEST(SimDisk, ASyncedFileWhoseDirectoryWasNotSyncedIsLost) {
    Disk disk;
    write(disk, "a", "text", true);
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "<absent>");
}

TEST(SimDisk, ASyncedNameOfAFileThatWasNotSyncedIsAnEmptyFile) {
    Disk disk;
    write(disk, "a", "text");
    ASSERT_TRUE(disk.sync_directory(""));
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "");
}

TEST(SimDisk, ASyncedFileInADirectoryThatWasLostIsLost) {
    Disk disk;
    ASSERT_TRUE(disk.make_directory("d"));
    write(disk, "d/a", "text", true);
    ASSERT_TRUE(disk.sync_directory("d"));
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(disk.list("").value().size(), 0U);
}

TEST(SimDisk, ARenameThatWasNotSyncedLeavesTheOldFile) {
    Disk disk;
    write(disk, "a", "old", true);
    write(disk, "b", "new", true);
    ASSERT_TRUE(disk.sync_directory(""));
    ASSERT_TRUE(disk.rename("b", "a"));
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "old");
    EXPECT_EQ(text_of(disk, "b"), "new");
}

TEST(SimDisk, AFileRenamedAcrossDirectoriesIsNeverInNeither) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Disk disk{seed};
        ASSERT_TRUE(disk.make_directory("d"));
        write(disk, "a", "text", true);
        ASSERT_TRUE(disk.sync_directory(""));
        ASSERT_TRUE(disk.rename("a", "d/a"));
        disk.power_off(PowerLoss::reordered);
        outcomes.insert(text_of(disk, "a") + " " + text_of(disk, "d/a"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"text <absent>", "<absent> text", "text text"}));
}

TEST(SimDisk, ARemovalThatWasNotSyncedIsUndoneWithTheContents) {
    Disk disk;
    write(disk, "a", "text", true);
    ASSERT_TRUE(disk.sync_directory(""));
    ASSERT_TRUE(disk.remove("a"));
    EXPECT_EQ(disk.used_bytes(), 0U);
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "text");
    EXPECT_EQ(disk.used_bytes(), 4096U);
}

TEST(SimDisk, ATruncateThatWasNotSyncedIsUndone) {
    Disk disk;
    write(disk, "a", "0123456789", true);
    ASSERT_TRUE(disk.sync_directory(""));
    const auto file = disk.open("a", Mode::read_write).value();
    ASSERT_TRUE(file->truncate(3));
    ASSERT_TRUE(file->write_at(3, as_bytes("xyz")));
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "0123456789");
}

/// Four writes of 1 KiB over synced zeros, then the power goes: how many sectors of each are new, per write.
std::vector<int> survivors(std::uint64_t seed, PowerLoss loss) {
    Disk disk{seed};
    const auto file = disk.open("a", Mode::create).value();
    EXPECT_TRUE(file->write_at(0, Bytes(4096)));
    EXPECT_TRUE(file->sync());
    EXPECT_TRUE(disk.sync_directory(""));
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(file->write_at(i * 1024, Bytes(1024, 1)));
    disk.power_off(loss);
    const auto bytes = *disk.contents("a");
    std::vector<int> out;
    for (std::size_t i = 0; i < 4; ++i) out.push_back((bytes[i * 1024] + bytes[i * 1024 + 512]));
    return out;
}

TEST(SimDisk, TornKeepsAPrefixOfTheWrites) {
    std::set<std::vector<int>> outcomes;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const auto kept = survivors(seed, PowerLoss::torn);
        EXPECT_TRUE(std::is_sorted(kept.rbegin(), kept.rend()));
        outcomes.insert(kept);
    }
    EXPECT_TRUE(outcomes.contains({0, 0, 0, 0}));
    EXPECT_TRUE(outcomes.contains({2, 1, 0, 0}));
    EXPECT_TRUE(outcomes.contains({2, 2, 2, 2}));
}

TEST(SimDisk, ReorderedKeepsAnySubset) {
    std::set<std::vector<int>> outcomes;
    for (std::uint64_t seed = 0; seed < 400; ++seed) outcomes.insert(survivors(seed, PowerLoss::reordered));
    EXPECT_TRUE(outcomes.contains({0, 2, 0, 2}));
    EXPECT_TRUE(outcomes.contains({0, 0, 0, 2}));
    EXPECT_GT(outcomes.size(), 30U);
}

TEST(SimDisk, AnAppendCanGrowTheFileWithoutItsBytes) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Disk disk{seed};
        write(disk, "a", "", true);
        ASSERT_TRUE(disk.sync_directory(""));
        write(disk, "a", "text");
        disk.power_off(PowerLoss::reordered);
        outcomes.insert(text_of(disk, "a"));
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"", std::string(4, '\0'), "text"}));
}

// --- errors

TEST(SimDisk, WhatAFailedSyncLeftBehindIsLostEvenIfALaterSyncSucceeds) {
    Disk disk;
    const auto file = disk.open("a", Mode::create).value();
    ASSERT_TRUE(disk.sync_directory(""));
    ASSERT_TRUE(file->write_at(0, as_bytes("doomed--")));
    disk.fail(DiskCall::sync, 1);
    EXPECT_EQ(file->sync().error(), Errc::io_failed);
    ASSERT_TRUE(file->write_at(4, as_bytes("good")));
    EXPECT_TRUE(file->sync());
    EXPECT_EQ(text_of(disk, "a"), "doomgood");
    disk.power_off(PowerLoss::kept);
    EXPECT_EQ(text_of(disk, "a"), std::string(4, '\0') + "good");
}

TEST(SimDisk, CallsFailWhenTold) {
    Disk disk;
    const auto file = disk.open("a", Mode::create).value();
    disk.fail(DiskCall::write, 2);
    EXPECT_TRUE(file->write_at(0, as_bytes("1")));
    EXPECT_EQ(file->write_at(0, as_bytes("2")).error(), Errc::io_failed);
    EXPECT_TRUE(file->write_at(0, as_bytes("3")));
    disk.fail(DiskCall::read, 1, Errc::io_failed, /*and_later=*/true);
    Bytes out(1);
    EXPECT_FALSE(file->read_at(0, out));
    EXPECT_FALSE(file->read_at(0, out));
    disk.fail_nothing();
    EXPECT_TRUE(file->read_at(0, out));
}

TEST(SimDisk, AFullDiskRefusesWholeWritesAndTakesDeletes) {
    Disk disk{0, {.capacity_bytes = 3 * 4096}};
    write(disk, "a", std::string(8192, 'x'));
    EXPECT_EQ(disk.space()->free_bytes, 4096U);
    const auto file = disk.open("b", Mode::create).value();
    EXPECT_EQ(file->write_at(0, Bytes(8192)).error(), Errc::no_space);
    EXPECT_EQ(file->size().value(), 0U);
    EXPECT_TRUE(file->write_at(0, Bytes(4096)));
    EXPECT_TRUE(disk.remove("a"));
    EXPECT_TRUE(file->write_at(4096, Bytes(8192)));
}

TEST(SimDisk, AReadOnlyDiskIsRead) {
    Disk disk;
    write(disk, "a", "text");
    disk.set_read_only(true);
    EXPECT_EQ(disk.open("b", Mode::create).error(), Errc::read_only);
    EXPECT_EQ(disk.open("a", Mode::read_write).error(), Errc::read_only);
    EXPECT_EQ(disk.remove("a").error(), Errc::read_only);
    EXPECT_TRUE(disk.open("a", Mode::read));
}

TEST(SimDisk, DamageIsSeenByReaders) {
    Disk disk;
    write(disk, "a", "aaaa");
    write(disk, "b", "bbbbbb");
    disk.flip_bit("a", 1, 0);
    EXPECT_EQ(text_of(disk, "a"), "a`aa");
    disk.swap("a", "b");
    EXPECT_EQ(text_of(disk, "b"), "a`aa");
    disk.cut("a", 2);
    EXPECT_EQ(text_of(disk, "a"), "bb");
    disk.zero_page("a", 1);
    EXPECT_EQ(text_of(disk, "a"), std::string(2, '\0'));
    disk.erase("b");
    EXPECT_EQ(disk.files(), std::vector<std::string>{"a"});
}

// --- crashes

void expect_cancelled(const std::function<void()>& call) {
    try {
        call();
        FAIL() << "it returned";
    } catch (const boost::system::system_error& error) {
        EXPECT_EQ(error.code(), boost::asio::error::operation_aborted);
    }
}

TEST(SimDisk, ACrashBeforeABoundaryHasNoEffectAndAfterItHas) {
    for (const CrashSide side : kCrashSides) {
        Disk disk;
        write(disk, "a", "text");
        const auto door = disk.process_door();
        disk.crash_at(disk.boundaries() + 1, side);
        expect_cancelled([&] { static_cast<void>(door->rename("a", "b")); });
        EXPECT_TRUE(disk.crashed());
        EXPECT_EQ(disk.crash_site(), "rename a b");
        EXPECT_EQ(text_of(disk, "b"), side == CrashSide::after ? "text" : "<absent>");
        expect_cancelled([&] { static_cast<void>(door->list("")); });
        EXPECT_TRUE(disk.list(""));
    }
}

TEST(SimDisk, ACrashInsideAWriteLeavesAPrefix) {
    std::set<std::size_t> lengths;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Disk disk{seed};
        const auto file = disk.open("a", Mode::create).value();
        disk.crash_at(2, CrashSide::during);
        expect_cancelled([&] { static_cast<void>(file->write_at(0, as_bytes("0123456789"))); });
        const auto text = text_of(disk, "a");
        EXPECT_EQ(text, std::string{"0123456789"}.substr(0, text.size()));
        lengths.insert(text.size());
    }
    EXPECT_GT(lengths.size(), 5U);
}

TEST(SimDisk, ADeadProcessLosesItsLocks) {
    Disk disk;
    const auto lock = disk.lock("lock");
    ASSERT_TRUE(lock);
    EXPECT_EQ(disk.lock("lock").error(), Errc::locked);
    disk.kill();
    EXPECT_TRUE(disk.lock("lock"));
}

TEST(SimDisk, ALiarSkipsTheSyncsItWasToldToSkip) {
    Disk disk;
    LyingDisk liar{disk, {.skip_sync_number = 2}};
    for (const char* name : {"a", "b", "c"}) {
        write(liar, name, "text", true);
        ASSERT_TRUE(liar.sync_directory(""));
    }
    EXPECT_EQ(liar.syncs(), 3U);
    disk.power_off(PowerLoss::lost);
    EXPECT_EQ(text_of(disk, "a"), "text");
    EXPECT_EQ(text_of(disk, "b"), "");
    EXPECT_EQ(text_of(disk, "c"), "text");
}

TEST(SimDisk, CallsTakeTheTimeThatTheyAreSetTo) {
    Disk disk{0, {.call_time = 1ms, .sync_time = 5ms, .bytes_per_second = 1'000'000}};
    const auto file = disk.open("a", Mode::create).value();
    EXPECT_EQ(disk.take_time(), 1ms);
    ASSERT_TRUE(file->write_at(0, Bytes(10'000)));
    EXPECT_EQ(disk.take_time(), 11ms);
    ASSERT_TRUE(file->sync());
    EXPECT_EQ(disk.take_time(), 6ms);
}

}  // namespace
}  // namespace base::sim
