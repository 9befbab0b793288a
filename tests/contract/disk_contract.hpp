// What every Disk promises (base/disk.hpp). Instantiate it with a way to make one:
//
//     INSTANTIATE_TEST_SUITE_P(Sim, DiskContract, testing::Values(DiskMaker{"sim", [] { ... }}), maker_name);
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace base {

/// An empty directory, and what keeps it there.
class DiskUnderTest {
  public:
    virtual ~DiskUnderTest() = default;
    [[nodiscard]] virtual Disk& disk() = 0;
    /// The same directory, as another process would open it.
    [[nodiscard]] virtual std::unique_ptr<Disk> another_process() = 0;
};

struct DiskMaker {
    std::string name;
    std::function<std::unique_ptr<DiskUnderTest>()> make;
};
inline std::ostream& operator<<(std::ostream& out, const DiskMaker& maker) { return out << maker.name; }

class DiskContract : public testing::TestWithParam<DiskMaker> {
  protected:
    using Mode = Disk::Mode;

    Disk& disk() { return under_test_->disk(); }
    DiskUnderTest& under_test() { return *under_test_; }

    std::unique_ptr<File> open(std::string_view path, Mode mode) {
        auto file = disk().open(path, mode);
        EXPECT_TRUE(file) << path << ": " << file.error().message();
        return file ? std::move(*file) : nullptr;
    }
    void write(std::string_view path, std::string_view text) {
        const auto file = open(path, Mode::create);
        ASSERT_NE(file, nullptr);
        EXPECT_TRUE(file->truncate(0));
        EXPECT_TRUE(file->write_at(0, as_bytes(text)));
    }
    std::string read(std::string_view path) {
        auto bytes = read_file(disk(), path, 1U << 20U);
        if (!bytes) return "<" + bytes.error().message() + ">";
        return std::string{as_text(*bytes)};
    }
    std::string names(std::string_view path) {
        const auto entries = disk().list(path);
        if (!entries) return "<" + entries.error().message() + ">";
        std::string out;
        for (const auto& entry : *entries) out += entry.name + (entry.directory ? "/ " : " ");
        return out;
    }

  private:
    std::unique_ptr<DiskUnderTest> under_test_ = GetParam().make();
};

inline std::string maker_name(const testing::TestParamInfo<DiskMaker>& info) { return info.param.name; }

// --- files

TEST_P(DiskContract, WhatIsWrittenIsRead) {
    const auto file = open("a", Mode::create);
    EXPECT_TRUE(file->write_at(0, as_bytes("hello ")));
    const std::vector<ByteView> parts{as_bytes("wor"), as_bytes(""), as_bytes("ld")};
    EXPECT_TRUE(file->write_at(6, parts));
    EXPECT_EQ(read("a"), "hello world");
    EXPECT_EQ(file->size().value(), 11U);
}

TEST_P(DiskContract, AReadEndsAtTheEndOfTheFile) {
    write("a", "0123456789");
    const auto file = open("a", Mode::read);
    Bytes out(6);
    EXPECT_EQ(file->read_at(7, out).value(), 3U);
    EXPECT_EQ(as_text(ByteView{out}.first(3)), "789");
    EXPECT_EQ(file->read_at(10, out).value(), 0U);
    EXPECT_EQ(file->read_at(4000, out).value(), 0U);
}

TEST_P(DiskContract, AGapReadsAsZeros) {
    const auto file = open("a", Mode::create);
    EXPECT_TRUE(file->write_at(10'000, as_bytes("end")));
    Bytes out(10'003, 0xFF);
    EXPECT_EQ(file->read_at(0, out).value(), out.size());
    EXPECT_EQ(std::count(out.begin(), out.begin() + 10'000, 0), 10'000);
}

TEST_P(DiskContract, WhatIsCutOffReadsAsZerosWhenTheFileGrowsAgain) {
    write("a", "0123456789");
    const auto file = open("a", Mode::read_write);
    EXPECT_TRUE(file->truncate(4));
    EXPECT_EQ(file->size().value(), 4U);
    EXPECT_TRUE(file->truncate(8));
    EXPECT_EQ(read("a"), std::string("0123\0\0\0\0", 8));
}

TEST_P(DiskContract, AnOffsetBeyondAnyFileIsRefused) {
    const auto file = open("a", Mode::create);
    Bytes out(1);
    constexpr auto kFar = std::uint64_t{1} << 63U;
    EXPECT_EQ(file->write_at(kFar, as_bytes("x")).error(), Errc::bad_argument);
    EXPECT_EQ(file->read_at(kFar, out).error(), Errc::bad_argument);
    EXPECT_EQ(file->truncate(kFar).error(), Errc::bad_argument);
    EXPECT_EQ(file->size().value(), 0U);
}

TEST_P(DiskContract, AFileOpenToReadTakesNoWrites) {
    write("a", "text");
    const auto file = open("a", Mode::read);
    EXPECT_FALSE(file->write_at(0, as_bytes("TEXT")));
    EXPECT_FALSE(file->truncate(0));
    EXPECT_EQ(read("a"), "text");
}

TEST_P(DiskContract, SyncOfAFileSucceeds) {
    const auto file = open("a", Mode::create);
    EXPECT_TRUE(file->write_at(0, as_bytes("text")));
    EXPECT_TRUE(file->sync());
    EXPECT_TRUE(file->sync());
}

// --- opening

TEST_P(DiskContract, OnlyCreateModesMakeAFile) {
    EXPECT_EQ(disk().open("a", Mode::read).error(), Errc::not_found);
    EXPECT_EQ(disk().open("a", Mode::read_write).error(), Errc::not_found);
    EXPECT_TRUE(disk().open("a", Mode::create_new));
    EXPECT_EQ(disk().open("a", Mode::create_new).error(), Errc::exists);
    EXPECT_TRUE(disk().open("a", Mode::create));
}

TEST_P(DiskContract, CreateKeepsTheContentsOfAFileThatIsThere) {
    write("a", "text");
    EXPECT_TRUE(disk().open("a", Mode::create));
    EXPECT_EQ(read("a"), "text");
}

TEST_P(DiskContract, PathsThatLeadOutAreRefused) {
    for (const char* path : {"..", "../a", "a/../b", "/etc/passwd", "", "a//b", "a/", "./a", "."}) {
        EXPECT_EQ(disk().open(path, Mode::create).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk().make_directory(path).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk().remove(path).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk().rename("a", path).error(), Errc::bad_argument) << path;
    }
    EXPECT_EQ(disk().open(std::string_view{"a\0b", 3}, Mode::create).error(), Errc::bad_argument);
    EXPECT_EQ(disk().open(std::string(kMaxNameBytes + 1, 'x'), Mode::create).error(), Errc::bad_argument);
    EXPECT_EQ(names(""), "");
}

TEST_P(DiskContract, ANameThatIsTooLongForTheDeviceButNot255BytesIsTaken) {
    const std::string name(kMaxNameBytes, 'x');
    write(name, "text");
    EXPECT_EQ(read(name), "text");
}

TEST_P(DiskContract, ADirectoryIsNoFile) {
    ASSERT_TRUE(disk().make_directory("d"));
    EXPECT_EQ(disk().open("d", Mode::read).error(), Errc::bad_argument);
    EXPECT_EQ(disk().open("d", Mode::create).error(), Errc::bad_argument);
    write("a", "text");
    EXPECT_EQ(disk().open("a/b", Mode::create).error(), Errc::bad_argument);
    EXPECT_EQ(disk().list("a").error(), Errc::bad_argument);
}

TEST_P(DiskContract, AMissingParentIsNotFound) {
    EXPECT_EQ(disk().open("d/a", Mode::create).error(), Errc::not_found);
    EXPECT_EQ(disk().make_directory("d/e").error(), Errc::not_found);
    EXPECT_EQ(disk().list("d").error(), Errc::not_found);
    EXPECT_EQ(disk().sync_directory("d").error(), Errc::not_found);
}

// --- names

TEST_P(DiskContract, ListsAreSortedByName) {
    write("b", "");
    write("a", "");
    ASSERT_TRUE(disk().make_directory("aa"));
    write("B", "");
    EXPECT_EQ(names(""), "B a aa/ b ");
    EXPECT_EQ(names("aa"), "");
}

TEST_P(DiskContract, MakingADirectoryTwiceIsSuccess) {
    EXPECT_TRUE(disk().make_directory("d"));
    EXPECT_TRUE(disk().make_directory("d"));
    EXPECT_TRUE(disk().make_directory("d/e"));
    EXPECT_TRUE(disk().sync_directory("d"));
    EXPECT_TRUE(disk().sync_directory(""));
    write("f", "");
    EXPECT_EQ(disk().make_directory("f").error(), Errc::exists);
}

TEST_P(DiskContract, RenameReplacesAndKeepsOpenFilesOpen) {
    write("a", "new");
    write("b", "old");
    const auto old = open("b", Mode::read_write);
    EXPECT_TRUE(disk().rename("a", "b"));
    EXPECT_EQ(names(""), "b ");
    EXPECT_EQ(read("b"), "new");
    Bytes out(3);
    EXPECT_EQ(old->read_at(0, out).value(), 3U);
    EXPECT_EQ(as_text(out), "old");
}

TEST_P(DiskContract, RenameMovesBetweenDirectories) {
    ASSERT_TRUE(disk().make_directory("d"));
    ASSERT_TRUE(disk().make_directory("d/e"));
    write("d/e/a", "text");
    EXPECT_TRUE(disk().rename("d/e/a", "b"));
    EXPECT_TRUE(disk().rename("d/e", "f"));
    EXPECT_EQ(names(""), "b d/ f/ ");
    EXPECT_EQ(read("b"), "text");
    EXPECT_EQ(disk().rename("absent", "b").error(), Errc::not_found);
    EXPECT_EQ(read("b"), "text");
}

TEST_P(DiskContract, RenameToItselfChangesNothing) {
    write("a", "text");
    EXPECT_TRUE(disk().rename("a", "a"));
    EXPECT_EQ(read("a"), "text");
}

TEST_P(DiskContract, RenameOfADirectoryIntoItselfIsRefused) {
    ASSERT_TRUE(disk().make_directory("d"));
    EXPECT_EQ(disk().rename("d", "d/e").error(), Errc::bad_argument);
    write("a", "");
    EXPECT_EQ(disk().rename("a", "d").error(), Errc::bad_argument);
    EXPECT_EQ(disk().rename("d", "a").error(), Errc::bad_argument);
}

TEST_P(DiskContract, RemoveTakesFilesAndEmptyDirectories) {
    ASSERT_TRUE(disk().make_directory("d"));
    write("d/a", "text");
    EXPECT_EQ(disk().remove("d").error(), Errc::exists);
    EXPECT_TRUE(disk().remove("d/a"));
    EXPECT_TRUE(disk().remove("d"));
    EXPECT_EQ(disk().remove("d").error(), Errc::not_found);
    EXPECT_EQ(names(""), "");
}

TEST_P(DiskContract, ARemovedFileCanBeReadByWhoeverHasItOpen) {
    write("a", "text");
    const auto file = open("a", Mode::read_write);
    EXPECT_TRUE(disk().remove("a"));
    Bytes out(4);
    EXPECT_EQ(file->read_at(0, out).value(), 4U);
    EXPECT_TRUE(file->write_at(0, as_bytes("TEXT")));
    EXPECT_EQ(names(""), "");
}

// --- locks, space, helpers

TEST_P(DiskContract, ALockKeepsEverybodyElseOut) {
    auto lock = disk().lock("lock");
    ASSERT_TRUE(lock) << lock.error().message();
    EXPECT_EQ(disk().lock("lock").error(), Errc::locked);
    const auto other = under_test().another_process();
    EXPECT_EQ(other->lock("lock").error(), Errc::locked);
    lock->reset();
    EXPECT_TRUE(other->lock("lock"));
    EXPECT_TRUE(disk().lock("lock"));
}

TEST_P(DiskContract, SpaceIsCounted) {
    const auto before = disk().space();
    ASSERT_TRUE(before);
    EXPECT_GT(before->free_bytes, 0U);
    EXPECT_LE(before->free_bytes, before->total_bytes);
}

TEST_P(DiskContract, ReadFileChecksTheLimitFirst) {
    write("a", "0123456789");
    EXPECT_TRUE(read_file(disk(), "a", 10));
    EXPECT_EQ(read_file(disk(), "a", 9).error(), Errc::bad_format);
    EXPECT_EQ(read_file(disk(), "b", 9).error(), Errc::not_found);
}

TEST_P(DiskContract, ReplaceFileLeavesOnlyTheNewFile) {
    EXPECT_TRUE(replace_file(disk(), "a", as_bytes("one")));
    EXPECT_TRUE(replace_file(disk(), "a", as_bytes("two")));
    EXPECT_EQ(read("a"), "two");
    EXPECT_EQ(names(""), "a ");
}

TEST_P(DiskContract, AnotherProcessSeesWhatThisOneWrote) {
    write("a", "text");
    const auto other = under_test().another_process();
    EXPECT_EQ(as_text(read_file(*other, "a", 10).value()), "text");
}

}  // namespace base
