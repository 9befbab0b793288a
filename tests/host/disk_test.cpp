// HostDisk where it differs from what tests/contract asks of every Disk: the real file system's oddities.
#include "base/host/host_disk.hpp"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "scratch.hpp"

namespace host_test {
namespace {

using base::Bytes;
using base::Disk;
using base::Errc;
using base::host::HostDisk;
using ::testing::HasSubstr;

class DiskTest : public ::testing::Test {
  protected:
    Scratch scratch;
    std::unique_ptr<Disk> disk = *HostDisk::open(scratch.root());

    [[nodiscard]] unsigned mode_of(const std::string& name) const {
        struct stat status{};
        EXPECT_EQ(::lstat(scratch.path(name).c_str(), &status), 0);
        return status.st_mode & 07777U;
    }
};

TEST_F(DiskTest, FilesArePrivate) {
    ASSERT_TRUE(disk->make_directory("d"));
    ASSERT_TRUE(disk->open("d/f", Disk::Mode::create));
    EXPECT_EQ(mode_of("d"), 0700U);
    EXPECT_EQ(mode_of("d/f"), 0600U);
}

TEST_F(DiskTest, ErrorsNameTheWholePath) {
    const auto missing = disk->open("a/b", Disk::Mode::read);
    EXPECT_EQ(missing.error(), Errc::not_found);
    EXPECT_EQ(missing.error().detail(), scratch.path("a/b"));
}

TEST_F(DiskTest, RunningOutOfDescriptorsSaysWhatToRaise) {
    scratch.write("f", "x");
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto opened = disk->open("f", Disk::Mode::read);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), Errc::busy);
    EXPECT_THAT(opened.error().detail(), HasSubstr("ulimit -n"));
}

TEST_F(DiskTest, PathsThatLeaveTheDirectoryAreRefused) {
    scratch.write("f", "x");
    for (const std::string_view path :
         {"..", "../f", "a/../../f", "/etc/passwd", "a//b", "./f", "f/", "", ".", "f/.."}) {
        EXPECT_EQ(disk->open(path, Disk::Mode::create).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk->remove(path).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk->make_directory(path).error(), Errc::bad_argument) << path;
        EXPECT_EQ(disk->rename("f", path).error(), Errc::bad_argument) << path;
    }
    EXPECT_EQ(disk->open(std::string_view{"f\0g", 3}, Disk::Mode::read).error(), Errc::bad_argument);
}

TEST_F(DiskTest, NoSymbolicLinkIsFollowed) {
    const Scratch outside;
    outside.write("secret", "x");
    std::filesystem::create_symlink(outside.root(), scratch.path("link"));
    std::filesystem::create_symlink(outside.path("secret"), scratch.path("file"));
    EXPECT_FALSE(disk->open("link/secret", Disk::Mode::read));
    EXPECT_FALSE(disk->open("file", Disk::Mode::read));
    EXPECT_FALSE(disk->open("link/new", Disk::Mode::create));
    EXPECT_FALSE(disk->remove("link/secret"));
    EXPECT_FALSE(disk->list("link"));
    EXPECT_EQ(disk->make_directory("link").error(), Errc::exists);
    EXPECT_EQ(outside.read("secret"), "x");
}

TEST_F(DiskTest, AFifoDoesNotHangAnOpen) {
    ASSERT_EQ(::mkfifo(scratch.path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(disk->open("fifo", Disk::Mode::read).error(), Errc::bad_argument);
}

TEST_F(DiskTest, AGatherWriteOfManyPartsArrivesInOrder) {
    std::vector<Bytes> parts;
    std::vector<base::ByteView> views;
    Bytes whole;
    for (int i = 0; i < 300; ++i) parts.emplace_back(static_cast<std::size_t>(i % 7), static_cast<std::uint8_t>(i));
    for (const auto& part : parts) {
        views.emplace_back(part);
        whole.insert(whole.end(), part.begin(), part.end());
    }
    auto file = disk->open("f", Disk::Mode::create);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(1000, views));
    Bytes back(whole.size() + 10);
    EXPECT_EQ(*(*file)->read_at(1000, back), whole.size());
    back.resize(whole.size());
    EXPECT_EQ(back, whole);
    EXPECT_EQ(*(*file)->size(), 1000 + whole.size());
}

TEST_F(DiskTest, OffsetsBeyondAnyFileAreRefused) {
    auto file = disk->open("f", Disk::Mode::create);
    ASSERT_TRUE(file);
    const Bytes byte(1);
    EXPECT_EQ((*file)->write_at(~std::uint64_t{0}, byte).error(), Errc::bad_argument);
    EXPECT_EQ((*file)->truncate(~std::uint64_t{0}).error(), Errc::bad_argument);
}

TEST_F(DiskTest, TheDirectoryMayBeMovedWhileItIsUsed) {
    ASSERT_TRUE(disk->make_directory("d"));
    const auto elsewhere = scratch.root() + "-moved";
    std::filesystem::rename(scratch.root(), elsewhere);
    EXPECT_TRUE(disk->open("d/f", Disk::Mode::create));
    EXPECT_TRUE(std::filesystem::exists(elsewhere + "/d/f"));
    std::filesystem::rename(elsewhere, scratch.root());
}

TEST_F(DiskTest, ALockHoldsHereAndInOtherProcessesUntilItsHolderDies) {
    auto lock = disk->lock("lock");
    ASSERT_TRUE(lock);
    EXPECT_EQ(disk->lock("lock").error(), Errc::locked);
    const auto other = *HostDisk::open(scratch.root());
    EXPECT_EQ(other->lock("lock").error(), Errc::locked);
    lock->reset();
    EXPECT_TRUE(other->lock("lock"));
}

TEST_F(DiskTest, OpeningSaysWhatIsWrongWithTheDirectory) {
    EXPECT_EQ(HostDisk::open(scratch.path("absent")).error(), Errc::not_found);
    scratch.write("file", "x");
    EXPECT_EQ(HostDisk::open(scratch.path("file")).error(), Errc::bad_argument);
    EXPECT_EQ(HostDisk::open("").error(), Errc::bad_argument);
}

TEST_F(DiskTest, CreateMakesTheDirectoryWithItsParents) {
    auto made = HostDisk::create(scratch.path("a/b/c/"));
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(mode_of("a/b/c"), 0700U);
    EXPECT_TRUE(HostDisk::create(scratch.path("a/b/c")));
    EXPECT_TRUE((*made)->open("f", Disk::Mode::create_new));
}

TEST_F(DiskTest, AFullAndAReadOnlyFileSystemAreTheirOwnErrors) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
    // In a process and mount namespace of its own, so that nothing stays mounted whatever happens.
    const auto small = scratch.path("small");
    ASSERT_EQ(::mkdir(small.c_str(), 0700), 0);
    EXPECT_EXIT(
        {
            if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=256k") != 0) {
                ::_exit(0);  // no rights to mount in this container
            }
            auto full = HostDisk::open(small);
            auto file = (*full)->open("f", Disk::Mode::create);
            if (!(*full)->lock("lock")) ::_exit(4);
            const Bytes much(1 << 20);
            if ((*file)->write_at(0, much).error() != Errc::no_space) ::_exit(1);
            if (::mount(nullptr, small.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | MS_BIND, nullptr) != 0) ::_exit(0);
            full = HostDisk::open(small);
            if ((*full)->open("g", Disk::Mode::create).error() != Errc::read_only) ::_exit(2);
            if ((*full)->make_directory("d").error() != Errc::read_only) ::_exit(3);
            const auto one = (*full)->lock("lock");
            const auto other = (*full)->lock("lock");
            if (!one || !other) ::_exit(5);  // readers do not keep each other out
            if ((*full)->lock("absent").error() != Errc::not_found) ::_exit(6);
            ::_exit(0);
        },
        ::testing::ExitedWithCode(0), "");
}

TEST(HostDiskOwner, WhatRootMakesInAnotherUsersDirectoryIsThatUsers) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can try it";
    constexpr uid_t kUser = 12'345;
    const Scratch scratch;
    ASSERT_EQ(::chown(scratch.root().c_str(), kUser, kUser), 0);
    const auto disk = *HostDisk::create(scratch.path("data/node"));
    ASSERT_TRUE(disk->make_directory("marks"));
    const auto lock = disk->lock("marks.lock");
    ASSERT_TRUE(lock);
    ASSERT_TRUE(disk->open("marks/new", Disk::Mode::create_new));
    ASSERT_TRUE(disk->open("created", Disk::Mode::create));
    ASSERT_TRUE(base::replace_file(*disk, "replaced", base::as_bytes("text")));
    for (const auto* name : {"data", "data/node", "data/node/marks", "data/node/marks.lock", "data/node/marks/new",
                             "data/node/created", "data/node/replaced"}) {
        struct stat status{};
        ASSERT_EQ(::lstat(scratch.path(name).c_str(), &status), 0) << name;
        EXPECT_EQ(status.st_uid, kUser) << name;
    }
    // Somebody's file that was moved or linked here stays whose it is.
    scratch.write("secret", "of root");
    ASSERT_EQ(::link(scratch.path("secret").c_str(), scratch.path("data/node/linked").c_str()), 0);
    ASSERT_TRUE(disk->open("linked", Disk::Mode::create));
    struct stat status{};
    ASSERT_EQ(::lstat(scratch.path("data/node/linked").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 0U);
}

TEST(HostDiskLimit, ALimitOnFileSizesIsWantOfRoomAndNamed) {
    const auto write = [] {
        const Scratch scratch;
        const base::host::HostRuntime runtime{base::Log::Level::error, 1};  // ignores SIGXFSZ
        const rlimit few{10'000, 10'000};
        if (::setrlimit(RLIMIT_FSIZE, &few) != 0) ::_exit(2);
        const auto disk = *HostDisk::open(scratch.root());
        const auto file = *disk->open("file", Disk::Mode::create);
        const auto written = file->write_at(0, base::ByteView{Bytes(20'000)});
        const bool right = !written && written.error() == Errc::no_space &&
                           written.error().detail().find("ulimit -f") != std::string::npos;
        ::_exit(right ? 0 : 1);
    };
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(write(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace host_test
