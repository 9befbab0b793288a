// HostLocalTree on a real file system: every kind of file, and every trick that would lead a walk astray.
#include "base/host/host_local_tree.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <thread>

#include "base/error.hpp"
#include "scratch.hpp"

namespace host_test {
namespace {

using base::Bytes;
using base::Errc;
using base::FileType;
using base::Metadata;
using base::Xattr;

class LocalTreeTest : public ::testing::Test {
  protected:
    Scratch scratch;
    std::unique_ptr<base::LocalTree> tree = base::host::make_local_tree();
    std::unique_ptr<base::LocalDirectory> top = *tree->open(scratch.root());

    [[nodiscard]] struct stat status_of(const std::string& name) const {
        struct stat status{};
        EXPECT_EQ(::lstat(scratch.path(name).c_str(), &status), 0) << name;
        return status;
    }
};

TEST_F(LocalTreeTest, EveryKindOfFileIsSeenAsWhatItIs) {
    scratch.write("file", "12345");
    ASSERT_EQ(::mkdir(scratch.path("dir").c_str(), 0750), 0);
    ASSERT_EQ(::symlink("nowhere", scratch.path("link").c_str()), 0);
    ASSERT_EQ(::mkfifo(scratch.path("fifo").c_str(), 0640), 0);
    ASSERT_TRUE(top->make_special("socket", FileType::socket, 0));

    const auto entries = top->list();
    ASSERT_TRUE(entries);
    std::vector<std::pair<std::string, FileType>> seen;
    for (const auto& entry : *entries) seen.emplace_back(entry.name, entry.type);
    EXPECT_EQ(seen, (std::vector<std::pair<std::string, FileType>>{{"dir", FileType::directory},
                                                                   {"fifo", FileType::fifo},
                                                                   {"file", FileType::regular},
                                                                   {"link", FileType::symlink},
                                                                   {"socket", FileType::socket}}));
    EXPECT_EQ(top->stat("file")->size, 5U);
    EXPECT_EQ(top->stat("dir")->mode, 0750U);
    EXPECT_EQ(*top->read_link("link"), "nowhere");
    EXPECT_EQ(top->read_link("file").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_file("dir").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_file("link").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_file("fifo").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_directory("file").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_directory("link").error(), Errc::bad_argument);
    EXPECT_EQ(top->open_file("absent").error(), Errc::not_found);
}

TEST_F(LocalTreeTest, NamesThatAreNoNamesAreRefusedEverywhere) {
    for (const std::string_view name : {"", ".", "..", "a/b", "/etc", "../x"}) {
        EXPECT_EQ(top->stat(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->open_file(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->open_directory(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->create_file(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->make_directory(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->make_symlink(name, "x").error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->make_link(name, *top, "x").error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->make_special(name, FileType::fifo, 0).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->remove(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->rename("x", name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->xattrs(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(top->set_metadata(name, Metadata{}).error(), Errc::bad_argument) << name;
    }
    EXPECT_EQ(top->stat(std::string_view{"a\0b", 3}).error(), Errc::bad_argument);
}

TEST_F(LocalTreeTest, TheLongestAndTheOddestNamesWork) {
    for (const std::string& name : {std::string(255, 'n'), std::string{"new\nline"}, std::string{"\xff\xfe"},
                                    std::string{" "}, std::string{"-rf"}, std::string{"..."}}) {
        ASSERT_TRUE(top->create_file(name)) << name;
        EXPECT_TRUE(top->stat(name)) << name;
        EXPECT_TRUE(top->xattrs(name)) << name;
    }
    EXPECT_EQ(top->create_file(std::string(256, 'n')).error(), Errc::bad_argument);
    EXPECT_EQ(top->list()->size(), 6U);
}

TEST_F(LocalTreeTest, HardLinksShareAnInode) {
    scratch.write("one", "x");
    auto sub = *top->make_directory("sub");
    ASSERT_TRUE(sub->make_link("two", *top, "one"));
    EXPECT_EQ(top->stat("one")->inode, sub->stat("two")->inode);
    EXPECT_EQ(top->stat("one")->nlink, 2U);
    ASSERT_TRUE(top->make_symlink("soft", "one"));
    ASSERT_TRUE(top->make_link("soft2", *top, "soft"));  // of the link itself, not of its target
    EXPECT_EQ(top->stat("soft2")->type, FileType::symlink);
}

TEST_F(LocalTreeTest, HolesAreFoundAndMade) {
    constexpr std::uint64_t kFar = std::uint64_t{5} << 30U;
    auto file = *top->create_file("sparse");
    const Bytes block(4096, 0xAB);
    ASSERT_TRUE(file->write_at(1 << 20, block));
    ASSERT_TRUE(file->write_at(kFar, block));
    ASSERT_TRUE(file->truncate(kFar + (1 << 20)));
    const auto ranges = *file->data_ranges();
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_LE(ranges[0].offset, std::uint64_t{1} << 20U);
    EXPECT_GE(ranges[0].offset + ranges[0].length, (std::uint64_t{1} << 20U) + 4096);
    EXPECT_LE(ranges[1].offset, kFar);
    EXPECT_LT(file->stat()->allocated_bytes, 1U << 20U);
    EXPECT_EQ(file->stat()->size, kFar + (1 << 20));

    auto hole = *top->create_file("hole");
    ASSERT_TRUE(hole->truncate(1 << 20));
    EXPECT_TRUE(hole->data_ranges()->empty());
    EXPECT_TRUE((*top->create_file("empty"))->data_ranges()->empty());
}

TEST_F(LocalTreeTest, XattrsOfFilesDirectoriesAndByName) {
    auto file = *top->create_file("f");
    const Xattr small{"user.small", base::to_bytes("1")};
    const Xattr large{"user.large", Bytes(3000, 7)};
    const Xattr empty{"user.empty", {}};
    for (const auto& xattr : {small, large, empty}) {
        const auto set = file->set_xattr(xattr);
        if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "no user xattrs here";
        ASSERT_TRUE(set) << set.error().message();
    }
    EXPECT_EQ(*file->xattrs(), (std::vector{empty, large, small}));
    EXPECT_EQ(*top->xattrs("f"), (std::vector{empty, large, small}));
    ASSERT_TRUE(top->set_xattr(small));
    EXPECT_EQ(*top->xattrs(), std::vector{small});
    ASSERT_TRUE(top->set_xattr("f", Xattr{"user.small", base::to_bytes("2")}));
    EXPECT_EQ((*file->xattrs())[2].value, base::to_bytes("2"));
}

TEST_F(LocalTreeTest, ManyXattrsAreListed) {
    auto file = *top->create_file("f");
    for (int i = 0; i < 100; ++i) {
        const auto set = file->set_xattr({"user.attribute-with-a-long-name-" + std::to_string(1000 + i), Bytes(8)});
        if (!set && i == 0) GTEST_SKIP() << "no user xattrs here";
        if (!set) break;  // a file system with one block of them
    }
    EXPECT_GT(file->xattrs()->size(), 25U);  // more than the first, small buffer holds
}

TEST_F(LocalTreeTest, AnAccessControlListIsAnXattr) {
    // Version 2; user::rw-, user:1000:r--, group::---, mask::r--, other::---
    const Bytes acl{2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   4,  0, 232, 3, 0,   0,   4,   0,
                    0, 0, 255, 255, 255, 255, 16, 0, 4,   0,   255, 255, 255, 255, 32, 0, 0,   0, 255, 255, 255, 255};
    auto file = *top->create_file("f");
    const auto set = file->set_xattr({"system.posix_acl_access", acl});
    if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "no ACLs here";
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_EQ(*top->xattrs("f"), (std::vector<Xattr>{{"system.posix_acl_access", acl}}));
}

TEST_F(LocalTreeTest, RootSeesAndSetsTrustedXattrsAlsoOfLinksAndSpecials) {
    if (!tree->privileged()) GTEST_SKIP() << "needs root";
    ASSERT_TRUE(top->make_symlink("link", "target"));
    ASSERT_TRUE(top->make_special("fifo", FileType::fifo, 0));
    const Xattr xattr{"trusted.pelago", base::to_bytes("yes")};
    for (const auto* name : {"link", "fifo"}) {
        const auto set = top->set_xattr(name, xattr);
        if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "no trusted xattrs here";
        ASSERT_TRUE(set) << name << ": " << set.error().message();
        EXPECT_EQ(*top->xattrs(name), std::vector{xattr}) << name;
    }
}

TEST_F(LocalTreeTest, TimesAreSetToTheNanosecondAlsoBefore1970AndOfLinks) {
    ASSERT_TRUE(top->create_file("f"));
    ASSERT_TRUE(top->make_symlink("l", "nowhere"));
    auto sub = *top->make_directory("d");
    const base::Timestamp read_at{1'600'000'000, 5};
    for (const base::Timestamp time : {base::Timestamp{1'700'000'000, 123'456'789}, base::Timestamp{-1, 999'999'999},
                                       base::Timestamp{}, base::Timestamp{-6, 999'999'999}}) {
        Metadata metadata;
        metadata.mtime = time;
        metadata.atime = read_at;
        for (const auto* name : {"f", "l"}) {
            ASSERT_TRUE(top->set_metadata(name, metadata));
            EXPECT_EQ(top->stat(name)->mtime, time) << name;
            EXPECT_EQ(top->stat(name)->atime, read_at) << name;
        }
        ASSERT_TRUE(sub->set_metadata(metadata));
        EXPECT_EQ(top->stat("d")->mtime, time);
    }
}

TEST_F(LocalTreeTest, TimesBeyondSixtyFourBitsOfNanosecondsAreSetAndSeen) {
    ASSERT_TRUE(top->create_file("f"));
    for (const base::Timestamp time : {base::Timestamp{10'413'792'000, 0}, base::Timestamp{-2'147'483'647, 1},
                                       base::Timestamp{15'032'385'534, 999'999'999}}) {
        const timespec times[2]{{0, UTIME_OMIT}, {time.seconds, static_cast<long>(time.nanoseconds)}};
        ASSERT_EQ(::utimensat(AT_FDCWD, scratch.path("f").c_str(), times, 0), 0);
        const auto held = status_of("f").st_mtim;
        if (held.tv_sec != time.seconds) GTEST_SKIP() << "this file system holds no such times";
        EXPECT_EQ(top->stat("f")->mtime, time);
        Metadata metadata;
        metadata.mtime = base::Timestamp{};
        ASSERT_TRUE(top->set_metadata("f", metadata));
        metadata.mtime = time;
        ASSERT_TRUE(top->set_metadata("f", metadata));
        EXPECT_EQ(status_of("f").st_mtim.tv_sec, time.seconds);
        EXPECT_EQ(status_of("f").st_mtim.tv_nsec, static_cast<long>(time.nanoseconds));
    }
}

// As long as it lives, root has an ordinary user's rights.
struct OrdinaryUser {
    OrdinaryUser() { EXPECT_EQ(::seteuid(65'534), 0); }
    ~OrdinaryUser() { EXPECT_EQ(::seteuid(0), 0); }
};

TEST_F(LocalTreeTest, ADirectoryThatMayOnlyBeSearchedLeadsToWhatIsInIt) {
    if (!tree->privileged()) GTEST_SKIP() << "needs root";
    ASSERT_TRUE(std::filesystem::create_directories(scratch.path("home/ann")));
    scratch.write("home/ann/file", "text");
    for (const auto* path : {"", "home"}) ASSERT_EQ(::chmod(scratch.path(path).c_str(), 0711), 0);
    ASSERT_EQ(::chmod(scratch.path("home/ann").c_str(), 0755), 0);
    const OrdinaryUser user;
    const auto home = tree->open(scratch.path("home"));
    ASSERT_TRUE(home) << home.error().message();
    EXPECT_EQ((*home)->stat()->type, FileType::directory);
    EXPECT_EQ((*home)->stat("ann")->type, FileType::directory);
    EXPECT_EQ((*home)->list().error(), Errc::denied);
    EXPECT_EQ((*(*home)->open_directory("ann"))->list()->size(), 1U);
}

TEST_F(LocalTreeTest, ModesKeepTheirSetIdBitsAcrossAChangeOfOwner) {
    auto file = *top->create_file("f");
    Metadata metadata;
    metadata.mode = 06755;
    if (tree->privileged()) {
        metadata.uid = 1234;
        metadata.gid = 4321;
    }
    ASSERT_TRUE(file->set_metadata(metadata));
    EXPECT_EQ(status_of("f").st_mode & 07777U, 06755U);
    ASSERT_TRUE(top->set_metadata("f", metadata));
    EXPECT_EQ(status_of("f").st_mode & 07777U, 06755U);
    EXPECT_TRUE(!tree->privileged() || status_of("f").st_uid == 1234U);
}

TEST_F(LocalTreeTest, TheModeOfALinkIsLeftAloneAndItsTargetToo) {
    scratch.write("target", "x");
    const auto before = status_of("target");
    ASSERT_TRUE(top->make_symlink("link", "target"));
    Metadata metadata;
    metadata.mode = 0777;
    metadata.mtime = base::Timestamp::from_ns(5);
    ASSERT_TRUE(top->set_metadata("link", metadata));
    EXPECT_EQ(status_of("target").st_mode, before.st_mode);
    EXPECT_EQ(status_of("target").st_mtim.tv_sec, before.st_mtim.tv_sec);
}

TEST_F(LocalTreeTest, RootMakesDeviceNodes) {
    if (!tree->privileged()) GTEST_SKIP() << "needs root";
    const auto made = top->make_special("null", FileType::character, makedev(1, 3));
    if (!made && made.error() == Errc::denied) GTEST_SKIP() << "not in this container";
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(top->stat("null")->type, FileType::character);
    EXPECT_EQ(top->stat("null")->rdev, makedev(1, 3));
    EXPECT_EQ(top->open_file("null").error(), Errc::bad_argument);
}

TEST_F(LocalTreeTest, WhatIsThereIsNotOverwritten) {
    scratch.write("f", "precious");
    ASSERT_TRUE(top->make_symlink("dangling", scratch.path("outside")));
    for (const auto* name : {"f", "dangling"}) {
        EXPECT_EQ(top->create_file(name).error(), Errc::exists) << name;
        EXPECT_EQ(top->make_symlink(name, "x").error(), Errc::exists) << name;
        EXPECT_EQ(top->make_directory(name).error(), Errc::exists) << name;
        EXPECT_EQ(top->make_special(name, FileType::fifo, 0).error(), Errc::exists) << name;
    }
    EXPECT_EQ(scratch.read("f"), "precious");
    EXPECT_FALSE(std::filesystem::exists(scratch.path("outside")));
    ASSERT_TRUE(top->make_directory("d"));
    EXPECT_TRUE(top->make_directory("d"));
}

TEST_F(LocalTreeTest, ALinkToADirectoryIsNoDirectoryToRestoreInto) {
    const Scratch outside;
    ASSERT_TRUE(top->make_symlink("d", outside.root()));
    EXPECT_EQ(top->make_directory("d").error(), Errc::exists);
    EXPECT_EQ(top->open_directory("d").error(), Errc::bad_argument);
}

TEST_F(LocalTreeTest, AnOpenDirectoryStaysItselfWhenItsNameBecomesALink) {
    const Scratch outside;
    outside.write("secret", "x");
    auto sub = *top->make_directory("sub");
    ASSERT_TRUE(sub->create_file("mine"));
    std::filesystem::rename(scratch.path("sub"), scratch.path("moved"));
    std::filesystem::create_directory_symlink(outside.root(), scratch.path("sub"));
    EXPECT_TRUE(sub->stat("mine"));
    EXPECT_EQ(sub->stat("secret").error(), Errc::not_found);
    ASSERT_TRUE(sub->create_file("new"));
    EXPECT_FALSE(std::filesystem::exists(outside.path("new")));
}

TEST_F(LocalTreeTest, AFileThatTurnsIntoAFifoAndBackNeverHangsAReader) {
    std::atomic<bool> stop{false};
    std::thread swapper{[&] {
        while (!stop) {
            ::mkfifo(scratch.path("new").c_str(), 0600);
            ::rename(scratch.path("new").c_str(), scratch.path("f").c_str());
            ::close(::open(scratch.path("new").c_str(), O_CREAT | O_WRONLY, 0600));
            ::rename(scratch.path("new").c_str(), scratch.path("f").c_str());
        }
    }};
    for (int i = 0; i < 2000; ++i) {
        const auto opened = top->open_file("f");
        EXPECT_TRUE(!opened || (*opened)->stat()->type == FileType::regular);
    }
    stop = true;
    swapper.join();
}

TEST_F(LocalTreeTest, ReadingDoesNotTouchTheAccessTime) {
    scratch.write("f", "x");
    const timespec old[2] = {{1000, 0}, {2000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, scratch.path("f").c_str(), old, 0), 0);
    auto file = *top->open_file("f");
    Bytes buffer(10);
    ASSERT_EQ(*file->read_at(0, buffer), 1U);
    EXPECT_EQ(status_of("f").st_atim.tv_sec, 1000);
}

TEST_F(LocalTreeTest, RemoveTakesFilesLinksAndEmptyDirectories) {
    scratch.write("f", "x");
    ASSERT_TRUE(top->make_symlink("l", "f"));
    auto sub = *top->make_directory("d");
    ASSERT_TRUE(sub->create_file("inside"));
    EXPECT_EQ(top->remove("d").error(), Errc::exists);  // not empty
    ASSERT_TRUE(sub->remove("inside"));
    for (const auto* name : {"l", "f", "d"}) EXPECT_TRUE(top->remove(name)) << name;
    EXPECT_TRUE(top->list()->empty());
    EXPECT_EQ(top->remove("f").error(), Errc::not_found);
}

TEST_F(LocalTreeTest, PathsThatTheUserTypesMayLeadThroughLinks) {
    ASSERT_TRUE(top->make_directory("real"));
    ASSERT_TRUE(top->make_symlink("alias", "real"));
    EXPECT_TRUE(tree->open(scratch.path("alias/")));
    EXPECT_TRUE(tree->create(scratch.path("alias/new/deep")));
    EXPECT_TRUE(std::filesystem::is_directory(scratch.path("real/new/deep")));
    EXPECT_EQ(tree->open(scratch.path("absent")).error(), Errc::not_found);
    scratch.write("f", "x");
    EXPECT_EQ(tree->open(scratch.path("f")).error(), Errc::bad_argument);
    EXPECT_EQ(*tree->absolute("/etc/./../c//d/"), "/c/d");
    EXPECT_EQ(tree->absolute("/no such/../etc").error(), Errc::not_found);
    EXPECT_EQ(*tree->absolute("/../.."), "/");
    EXPECT_EQ(*tree->absolute("x"), std::filesystem::current_path().string() + "/x");
    EXPECT_EQ(tree->absolute("").error(), Errc::bad_argument);
}

}  // namespace
}  // namespace host_test
