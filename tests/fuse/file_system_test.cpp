#include "fuse/file_system.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "fuse/world.hpp"
#include "past/error.hpp"

namespace fusefs::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr Caller kAda{1000, 1000, 1, 022};

TEST(ErrorNumber, AnErrorOfTheStoreIsEioNeverNoSuchFile) {
    EXPECT_EQ(error_number(base::Error{std::make_error_code(std::errc::directory_not_empty)}), ENOTEMPTY);
    EXPECT_EQ(error_number(base::Errc::not_found), EIO);
    EXPECT_EQ(error_number(base::Errc::unreachable), EIO);
    EXPECT_EQ(error_number(base::Errc::timed_out), EIO);
    EXPECT_EQ(error_number(base::Errc::denied), EIO);
    EXPECT_EQ(error_number(past::Errc::block_not_found), EIO);
    EXPECT_EQ(error_number(base::Errc::no_space), ENOSPC);
    EXPECT_EQ(error_number(past::Errc::no_space), ENOSPC);
    EXPECT_EQ(error_number(base::Errc::read_only), EROFS);
}

// --- Names

TEST_F(FileSystemTest, ANameThatIsNotThereIsAnAnswer) {
    auto m = mount();
    const auto found = run(m->lookup(kRootNode, "none"));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->node, 0U);
}

TEST_F(FileSystemTest, AllNamesOfAFileAreOneNode) {
    auto m = mount();
    const auto file = make(m, "a");
    EXPECT_EQ(run(m->link(file, kRootNode, "b"))->node, file);
    EXPECT_EQ(run(m->lookup(kRootNode, "b"))->node, file);
    EXPECT_EQ(inode(m, file).nlink, 2U);
}

TEST_F(FileSystemTest, DotAndDotDotAreFoundByNumber) {
    auto m = mount();
    const auto above = make_directory(m, "d");
    const auto below = make_directory(m, "e", 0755, {}, above);
    EXPECT_EQ(run(m->lookup(below, "."))->node, below);
    EXPECT_EQ(run(m->lookup(below, ".."))->node, above);
    EXPECT_EQ(run(m->lookup(above, ".."))->node, kRootNode);
    EXPECT_EQ(run(m->lookup(kRootNode, ".."))->node, kRootNode);
}

TEST_F(FileSystemTest, AListingGoesOnWhereItWasWhileTheDirectoryChanges) {
    auto m = mount();
    for (int i = 0; i < 20; ++i) make(m, "f" + std::to_string(i));
    auto first = *run(m->list(kRootNode, 0, 7, false));
    ASSERT_EQ(first.size(), 7U);
    EXPECT_EQ(first[0].name, ".");
    EXPECT_EQ(first[0].offset, 1U);
    EXPECT_EQ(first[1].name, "..");
    EXPECT_EQ(first[1].offset, 2U);
    EXPECT_GE(first[2].offset, 3U);
    std::set<std::string> seen;
    for (const auto& entry : first) seen.insert(entry.name);
    EXPECT_EQ(number(m->unlink(kRootNode, first[4].name)), 0);
    make(m, "new");
    auto offset = first.back().offset;
    for (;;) {
        const auto more = *run(m->list(kRootNode, offset, 7, true));
        for (const auto& entry : more) {
            EXPECT_TRUE(seen.insert(entry.name).second) << entry.name << " twice";
            EXPECT_TRUE(entry.attributes) << entry.name;
        }
        if (more.size() < 7) break;
        offset = more.back().offset;
    }
    seen.erase("new");
    EXPECT_EQ(seen.size(), 22U);
}

TEST_F(FileSystemTest, ADirectoryOfTheVolumeCanBeTheRoot) {
    NodeId sub = 0;
    {
        auto m = mount();
        sub = make_directory(m, "sub");
        make(m, "inside", 0644, {}, sub);
        ASSERT_EQ(number(m->commit()), 0);
    }
    FileSystemConfig config;
    config.root = sub;
    auto m = mount(std::move(config));
    EXPECT_NE(run(m->lookup(kRootNode, "inside"))->node, 0U);
    EXPECT_EQ(run(m->lookup(kRootNode, ".."))->node, kRootNode);
    const auto deeper = make_directory(m, "deeper");
    EXPECT_EQ(run(m->lookup(deeper, ".."))->node, kRootNode);
}

TEST_F(FileSystemTest, CreateOfATakenNameIsRefusedOrLookedUpAgain) {
    auto m = mount();
    make(m, "f");
    OpenFlags flags;
    flags.exclusive = true;
    EXPECT_EQ(number(m->create(kAda, kRootNode, "f", 0644, flags)), EEXIST);
    flags.exclusive = false;
    EXPECT_EQ(number(m->create(kAda, kRootNode, "f", 0644, flags)), ESTALE);
}

// --- Owners and modes

TEST_F(FileSystemTest, WhatIsMadeBelongsToTheCallerWithinHisUmask) {
    auto m = mount();
    const auto made = inode(m, make(m, "f", 04666, kAda));
    EXPECT_EQ(made.uid, 1000U);
    EXPECT_EQ(made.gid, 1000U);
    EXPECT_EQ(made.mode, 04644U);
}

TEST_F(FileSystemTest, ASetGroupIdDirectoryPassesItsGroupOn) {
    auto m = mount();
    const auto directory = make_directory(m, "d");
    AttributeRequest change;
    change.gid = 50;
    change.mode = 02775;
    ASSERT_EQ(number(m->set_attributes(directory, change)), 0);
    const auto file = inode(m, make(m, "f", 0644, kAda, directory));
    EXPECT_EQ(file.gid, 50U);
    EXPECT_EQ(file.mode, 0644U);
    const auto below = inode(m, make_directory(m, "e", 0755, kAda, directory));
    EXPECT_EQ(below.gid, 50U);
    EXPECT_EQ(below.mode, 02755U);
}

TEST_F(FileSystemTest, ANewOwnerAndAWriteTakeSetIdBitsAway) {
    auto m = mount();
    const auto file = make(m, "f", 06755);
    WriteRequest request;
    request.node = file;
    request.handle = open(m, file);
    EXPECT_EQ(number(m->write(request, base::as_bytes("x"))), 0);
    EXPECT_EQ(inode(m, file).mode, 06755U) << "root may";
    request.drop_set_ids = true;
    EXPECT_EQ(number(m->write(request, base::as_bytes("x"))), 0);
    EXPECT_EQ(inode(m, file).mode, 0755U);
    AttributeRequest set;
    set.mode = 06755;
    EXPECT_EQ(number(m->set_attributes(file, set)), 0);
    AllocateRequest allocation;
    allocation.node = file;
    allocation.handle = request.handle;
    allocation.length = 1;
    allocation.drop_set_ids = true;
    EXPECT_EQ(number(m->allocate(allocation)), 0);
    EXPECT_EQ(inode(m, file).mode, 0755U);
    AttributeRequest mode;
    mode.mode = 06745;
    EXPECT_EQ(number(m->set_attributes(file, mode)), 0);
    AttributeRequest owner;
    owner.uid = 7;
    EXPECT_EQ(run(m->set_attributes(file, owner))->inode.mode, 02745U) << "without x it means mandatory locks";
}

TEST_F(FileSystemTest, OwnersOfAMountCanBeShownAsOne) {
    FileSystemConfig config;
    config.uid = 5;
    config.umask = 077;
    auto m = mount(std::move(config));
    const auto file = make(m, "f", 0644, kAda);
    EXPECT_EQ(inode(m, file).uid, 5U);
    EXPECT_EQ(inode(m, file).gid, 1000U);
    EXPECT_EQ(inode(m, file).mode, 0600U);
    AttributeRequest change;
    change.uid = 6;
    EXPECT_EQ(number(m->set_attributes(file, change)), EPERM);
}

// --- Times

TEST_F(FileSystemTest, ReadingMovesAtimeOnceAfterAChangeAndOnceADay) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    world_.run_for(1s);
    write(m, file, handle, 0, "x");
    const auto written = inode(m, file);
    world_.run_for(1s);
    read(m, file, handle);
    const auto first = inode(m, file);
    EXPECT_GT(first.atime, written.mtime);
    EXPECT_EQ(first.ctime, written.ctime);
    world_.run_for(1h);
    read(m, file, handle);
    EXPECT_EQ(inode(m, file).atime, first.atime);
    world_.run_for(24h);
    read(m, file, handle);
    EXPECT_GT(inode(m, file).atime, first.atime);
}

TEST_F(FileSystemTest, TimesAreSetToTheNanosecondAndChangeTheInode) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto before = inode(m, file);
    world_.run_for(1s);
    AttributeRequest change;
    change.atime = base::Timestamp{-5, 999'999'999};
    const auto after = run(m->set_attributes(file, change))->inode;
    EXPECT_EQ(after.atime, (base::Timestamp{-5, 999'999'999}));
    EXPECT_EQ(after.mtime, before.mtime);
    EXPECT_GT(after.ctime, before.ctime);
    AttributeRequest now;
    now.mtime_now = true;
    EXPECT_GT(run(m->set_attributes(file, now))->inode.mtime, before.mtime);
}

// --- Access control lists and extended attributes

base::Bytes acl(std::uint8_t owner, std::uint8_t named, std::uint8_t mask) {
    const std::vector<std::array<std::uint8_t, 3>> lines{
        {1, owner, 255}, {2, named, 9}, {4, 5, 255}, {16, mask, 255}, {32, 0, 255}};
    base::Bytes out{2, 0, 0, 0};
    for (const auto& [tag, permissions, id] : lines) {
        const auto high = static_cast<std::uint8_t>(id == 255 ? 255 : 0);
        out.insert(out.end(), {tag, 0, permissions, 0, id, high, high, high});
    }
    return out;
}

TEST_F(FileSystemTest, ModeAndAccessListAreKeptInStep) {
    auto m = mount();
    const auto file = make(m, "f", 0640);
    ASSERT_EQ(number(m->set_xattr({}, file, "system.posix_acl_access", acl(6, 7, 6), SetXattrFlag::any)), 0);
    EXPECT_EQ(inode(m, file).mode, 0660U);
    AttributeRequest change;
    change.mode = 0710;
    ASSERT_EQ(number(m->set_attributes(file, change)), 0);
    EXPECT_EQ(*run(m->get_xattr(file, "system.posix_acl_access")), acl(7, 7, 1));
}

TEST_F(FileSystemTest, ADefaultListIsInheritedInPlaceOfTheUmask) {
    auto m = mount();
    const auto directory = make_directory(m, "d");
    ASSERT_EQ(number(m->set_xattr({}, directory, "system.posix_acl_default", acl(7, 7, 7), SetXattrFlag::any)), 0);
    const auto file = make(m, "f", 0666, kAda, directory);
    EXPECT_EQ(inode(m, file).mode, 0660U);
    EXPECT_EQ(*run(m->get_xattr(file, "system.posix_acl_access")), acl(6, 7, 6));
    EXPECT_EQ(number(m->get_xattr(file, "system.posix_acl_default")), ENODATA);
    const auto below = make_directory(m, "e", 0777, kAda, directory);
    EXPECT_EQ(*run(m->get_xattr(below, "system.posix_acl_default")), acl(7, 7, 7));
    EXPECT_EQ(number(m->set_xattr({}, file, "system.posix_acl_default", acl(7, 7, 7), SetXattrFlag::any)), EACCES);
}

TEST_F(FileSystemTest, ExtendedAttributesHaveTheirErrors) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto set = [&](std::string name, std::size_t size, SetXattrFlag flag) {
        return number(m->set_xattr(kAda, file, std::move(name), base::Bytes(size, 'x'), flag));
    };
    EXPECT_EQ(set("user.a", 10, SetXattrFlag::replace), ENODATA);
    EXPECT_EQ(set("user.a", 10, SetXattrFlag::create), 0);
    EXPECT_EQ(set("user.a", 10, SetXattrFlag::create), EEXIST);
    EXPECT_EQ(set("user.b", 65536, SetXattrFlag::any), 0);
    EXPECT_EQ(set("user.c", 65537, SetXattrFlag::any), E2BIG);
    EXPECT_EQ(set("user." + std::string(251, 'x'), 1, SetXattrFlag::any), ERANGE);
    EXPECT_EQ(set("user.", 1, SetXattrFlag::any), EINVAL);
    EXPECT_EQ(set("system.nfs4_acl", 1, SetXattrFlag::any), EOPNOTSUPP);
    EXPECT_EQ(set("user.pelago.pid", 1, SetXattrFlag::any), EPERM);
    EXPECT_EQ(set("trusted.t", 1, SetXattrFlag::any), 0);
    EXPECT_EQ(number(m->get_xattr(file, "security.capability")), ENODATA);
    // So that who asks it of every file of a directory asks once.
    EXPECT_EQ(number(m->get_xattr(file, "security.selinux")), EOPNOTSUPP);
    EXPECT_EQ(set("security.selinux", 5, SetXattrFlag::any), 0);
    EXPECT_EQ(number(m->get_xattr(file, "security.selinux")), 0);
    EXPECT_EQ(number(m->remove_xattr(file, "security.selinux")), 0);
    EXPECT_THAT(*run(m->list_xattrs(kAda, file)), testing::UnorderedElementsAre("user.a", "user.b"));
    EXPECT_EQ(run(m->list_xattrs({}, file))->size(), 3U);
    EXPECT_EQ(number(m->remove_xattr(file, "user.a")), 0);
    EXPECT_EQ(number(m->remove_xattr(file, "user.a")), ENODATA);
}

TEST_F(FileSystemTest, TheRootTellsWhatIsMountedAndByWhom) {
    FileSystemConfig config;
    config.volume = "v";
    config.pid = 42;
    auto m = mount(std::move(config));
    EXPECT_EQ(base::as_text(*run(m->get_xattr(kRootNode, "user.pelago.volume"))), "v");
    EXPECT_EQ(base::as_text(*run(m->get_xattr(kRootNode, "user.pelago.pid"))), "42");
    EXPECT_TRUE(run(m->list_xattrs({}, kRootNode))->empty()) << "copies of the directory would have them";
}

// --- Files

TEST_F(FileSystemTest, AppendGoesToTheEndWhereverTheKernelBelievesItToBe) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    EXPECT_EQ(write(m, file, handle, 0, "hello", true), 0);
    EXPECT_TRUE(m.kernel->inodes.empty());
    EXPECT_EQ(write(m, file, handle, 2, " world", true), 0);
    EXPECT_EQ(read(m, file), "hello world");
    EXPECT_THAT(m.kernel->inodes, ElementsAre(file)) << "its cache has them elsewhere";
}

TEST_F(FileSystemTest, AFileWithoutANameLivesUntilItIsClosed) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    write(m, file, handle, 0, "text");
    EXPECT_EQ(number(m->unlink(kRootNode, "f")), 0);
    EXPECT_EQ(write(m, file, handle, 4, " and more"), 0);
    EXPECT_EQ(read(m, file, handle), "text and more");
    m->release(file, handle, std::nullopt);
    m->forget(file, 1);
    EXPECT_NE(number(m->attributes(file)), 0);
}

TEST_F(FileSystemTest, AllocationGrowsPunchesAndZeroes) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    write(m, file, handle, 0, "0123456789");
    const auto allocate = [&](Allocation what, std::uint64_t offset, std::uint64_t length) {
        AllocateRequest request;
        request.node = file;
        request.handle = handle;
        request.what = what;
        request.offset = offset;
        request.length = length;
        return number(m->allocate(request));
    };
    EXPECT_EQ(allocate(Allocation::keep_size, 0, 100), 0);
    EXPECT_EQ(inode(m, file).size, 10U);
    EXPECT_EQ(allocate(Allocation::extend, 0, 12), 0);
    EXPECT_EQ(allocate(Allocation::extend, 0, 4), 0);
    EXPECT_EQ(inode(m, file).size, 12U);
    EXPECT_EQ(allocate(Allocation::punch, 2, 3), 0);
    EXPECT_EQ(read(m, file), std::string("01\0\0\0"
                                         "56789\0\0",
                                         12));
    EXPECT_EQ(allocate(Allocation::zero, 11, 4), 0);
    EXPECT_EQ(inode(m, file).size, 15U);
    EXPECT_EQ(allocate(Allocation::extend, INT64_MAX, 1), EFBIG);
}

TEST_F(FileSystemTest, HolesOfABigFileTakeNoBlocks) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    const std::string text(100'000, 'x');
    write(m, file, handle, 10'000'000, text);
    write(m, file, handle, 30'000'000, text);
    for (int committed = 0; committed < 2; ++committed) {
        EXPECT_EQ(run(m->attributes(file))->allocated_bytes, 200'000U);
        ASSERT_EQ(number(m->commit()), 0);
    }
    AllocateRequest punch;
    punch.node = file;
    punch.handle = handle;
    punch.what = Allocation::punch;
    punch.offset = 30'000'000;
    punch.length = 100'000;
    ASSERT_EQ(number(m->allocate(punch)), 0);
    EXPECT_EQ(run(m->attributes(file))->allocated_bytes, 100'000U);
    EXPECT_EQ(inode(m, file).size, 30'100'000U);
}

TEST_F(FileSystemTest, ACloseIsNotToldOfWhereItMeansNothing) {
    auto m = mount();
    const auto file = make(m, "f");
    OpenFlags flags;
    EXPECT_TRUE(run(m->open(file, flags))->no_flush);
    flags.write = true;
    EXPECT_FALSE(run(m->open(file, flags))->no_flush);
    Lock lock;
    lock.type = Lock::Type::read;
    lock.owner = 1;
    ASSERT_EQ(number(m->set_lock(file, open(m, file), lock, false)), 0);
    flags.write = false;
    EXPECT_FALSE(run(m->open(file, flags))->no_flush) << "it gives back the locks of the process";
}

TEST_F(FileSystemTest, LocksGoWithTheProcessThatClosesOrEnds) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    Lock lock;
    lock.type = Lock::Type::write;
    lock.owner = 1;
    lock.pid = 77;
    ASSERT_EQ(number(m->set_lock(file, handle, lock, false)), 0);
    lock.owner = 2;
    EXPECT_EQ(number(m->set_lock(file, handle, lock, false)), EAGAIN);
    EXPECT_EQ((*run(m->test_lock(file, lock)))->pid, 77U);
    EXPECT_EQ(number(m->flush(file, open(m, file), 1)), 0) << "any descriptor of the file";
    EXPECT_EQ(number(m->set_lock(file, handle, lock, false)), 0);
    m->release(file, handle, std::nullopt);
    lock.owner = 3;
    EXPECT_FALSE(*run(m->test_lock(file, lock)));
}

// --- Durability

TEST_F(FileSystemTest, WhatIsDurableWhenDependsOnTheMount) {
    for (const auto durability : {Durability::fsync, Durability::close, Durability::write}) {
        FileSystemConfig config;
        config.durability = durability;
        auto m = mount(std::move(config));
        const auto commits = [&] { return m.tree->statistics().commits; };
        auto last = commits();
        const auto grew = [&] { return std::exchange(last, commits()) != last; };
        OpenFlags flags;
        flags.write = true;
        const auto made =
            run(m->create({}, kRootNode, "f" + std::to_string(static_cast<int>(durability)), 0644, flags));
        ASSERT_TRUE(made);
        EXPECT_EQ(grew(), durability == Durability::write);
        write(m, made->entry.node, made->open.handle, 0, "x");
        EXPECT_EQ(grew(), durability == Durability::write);
        EXPECT_EQ(number(m->flush(made->entry.node, made->open.handle, 1)), 0);
        EXPECT_EQ(grew(), durability == Durability::close);
        EXPECT_EQ(number(m->flush(made->entry.node, made->open.handle, 1)), 0);
        EXPECT_FALSE(grew()) << "nothing was written since";
        write(m, made->entry.node, made->open.handle, 0, "y");
        EXPECT_EQ(number(m->sync(made->entry.node, made->open.handle)), 0);
        EXPECT_TRUE(grew());
    }
}

TEST_F(FileSystemTest, AfterAFailedSyncTheFileSaysSoUntilItIsOpenedAnew) {
    auto m = mount();
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    const auto other = open(m, file);
    EXPECT_EQ(write(m, file, handle, 0, "text"), 0);
    storage_.fail_put = [](const auto&) { return std::optional<base::Error>{past::Errc::no_space}; };
    storage_.fail_write_record = [](const auto&) { return std::optional<base::Error>{past::Errc::no_space}; };
    EXPECT_EQ(number(m->sync(file, handle)), ENOSPC);
    storage_.fail_put = nullptr;
    storage_.fail_write_record = nullptr;
    for (const auto each : {handle, other}) {
        EXPECT_EQ(write(m, file, each, 0, "more"), EIO);
        EXPECT_EQ(number(m->sync(file, each)), EIO);
        EXPECT_EQ(number(m->flush(file, each, 1)), EIO);
        AttributeRequest change;
        change.size = 1;
        change.handle = each;
        EXPECT_EQ(number(m->set_attributes(file, change)), EIO);
    }
    const auto anew = open(m, file);
    EXPECT_EQ(write(m, file, anew, 4, "!"), 0);
    EXPECT_EQ(number(m->sync(file, anew)), 0);
    auto again = mount();
    EXPECT_EQ(read(again, run(again->lookup(kRootNode, "f"))->node), "text!");
}

TEST_F(FileSystemTest, ASyncWaitsForPeersThatAreAwayAsLongAsTheTimeOutSays) {
    FileSystemConfig config;
    config.timeout = std::chrono::seconds{20};
    auto m = mount(config);
    const auto file = make(m, "f");
    const auto handle = open(m, file);
    EXPECT_EQ(write(m, file, handle, 0, "text"), 0);
    const auto away = world_.elapsed();
    storage_.fail_put = [this, away](const auto&) -> std::optional<base::Error> {
        if (world_.elapsed() > away + std::chrono::seconds{10}) return std::nullopt;
        return base::Error{past::Errc::below_min_copies};
    };
    EXPECT_EQ(number(m->sync(file, handle)), 0);
    EXPECT_LE(world_.elapsed(), away + std::chrono::seconds{11});
    EXPECT_EQ(write(m, file, handle, 0, "more"), 0);
    storage_.holders_up = 0;
    storage_.fail_put = nullptr;
    const auto gone = world_.elapsed();
    EXPECT_EQ(number(m->sync(file, handle)), EIO);
    EXPECT_GE(world_.elapsed(), gone + std::chrono::seconds{19});
    EXPECT_LE(world_.elapsed(), gone + std::chrono::seconds{25});
    EXPECT_EQ(write(m, file, handle, 0, "text"), EIO);
    storage_.holders_up = storage_.holders;
    EXPECT_EQ(number(m->sync(file, open(m, file))), 0);
}

TEST_F(FileSystemTest, AReadWaitsForPeersThatAreAway) {
    {
        auto m = mount();
        const auto file = make(m, "f");
        write(m, file, open(m, file), 0, std::string(50'000, 'x'));
        ASSERT_EQ(number(m->commit()), 0);
    }
    auto m = mount();
    const auto file = run(m->lookup(kRootNode, "f"))->node;
    m.volume->reader().set_patience(std::chrono::seconds{20});
    const auto away = world_.elapsed();
    storage_.fail_get = [this, away](const base::Guid&) -> std::optional<base::Error> {
        if (world_.elapsed() > away + std::chrono::seconds{10}) return std::nullopt;
        return base::Error{past::Errc::holders_unreachable};
    };
    EXPECT_EQ(read(m, file), std::string(50'000, 'x'));
    EXPECT_GE(world_.elapsed(), away + std::chrono::seconds{10});
    auto other = mount();
    const auto same = run(other->lookup(kRootNode, "f"))->node;
    storage_.fail_get = [](const base::Guid&) { return std::optional{base::Error{past::Errc::holders_unreachable}}; };
    const auto gone = world_.elapsed();
    EXPECT_EQ(number(other->read(same, 0, 0, 1000)), EIO);  // one without patience
    EXPECT_LE(world_.elapsed(), gone + std::chrono::seconds{1});
    other.volume->reader().set_patience(std::chrono::seconds{20});
    EXPECT_EQ(number(other->read(same, 0, 0, 1000)), EIO);
    EXPECT_LE(world_.elapsed(), gone + std::chrono::seconds{22});
}

// --- Several mounts

TEST_F(FileSystemTest, WhatAnotherMountCommittedIsSeenAndTheKernelToldToDropIt) {
    auto here = mount();
    const auto file = make(here, "f");
    ASSERT_EQ(number(here->commit()), 0);
    auto there = mount();
    const auto same = run(there->lookup(kRootNode, "f"))->node;
    ASSERT_EQ(same, file);
    EXPECT_TRUE(run(there->open(same, {}))->keep_cache);
    EXPECT_EQ(run(there->lookup(kRootNode, "g"))->node, 0U);

    write(here, file, open(here, file), 0, "text");
    make(here, "g");
    ASSERT_EQ(number(here->commit()), 0);
    ASSERT_TRUE(run(there.tree->refresh()));
    EXPECT_THAT(there.kernel->inodes, testing::Contains(same));
    EXPECT_THAT(there.kernel->entries, testing::Contains(std::pair{kRootNode, std::string{"g"}}));
    EXPECT_FALSE(run(there->open(same, {}))->keep_cache);
    EXPECT_TRUE(run(there->open(same, {}))->keep_cache);
    EXPECT_EQ(read(there, same), "text");
    EXPECT_NE(run(there->lookup(kRootNode, "g"))->node, 0U);
}

base::Task<void> make_and_tell(FileSystem* files, std::string name, bool* done) {
    const auto made = co_await files->make_node({}, kRootNode, std::move(name), base::FileType::regular, 0644, 0);
    *done = made.has_value();
}

TEST_F(FileSystemTest, WhatTheKernelDoesNotKnowItIsNotToldToDrop) {
    auto here = mount();
    const auto file = make(here, "f");
    const auto directory = make_directory(here, "d");
    ASSERT_EQ(number(here->commit()), 0);
    auto there = mount();
    const auto same = run(there->lookup(kRootNode, "f"))->node;
    there->forget(same, 1);
    write(here, file, open(here, file), 0, "text");
    make(here, "g", 0644, {}, directory);
    ASSERT_EQ(number(here->commit()), 0);
    ASSERT_TRUE(run(there.tree->refresh()));
    EXPECT_TRUE(there.kernel->entries.empty());
    EXPECT_TRUE(there.kernel->inodes.empty());
    const auto again = run(there->lookup(kRootNode, "f"))->node;
    EXPECT_TRUE(run(there->open(again, {}))->keep_cache) << "nothing of it is remembered";
}

// While it is not known whether a merge with another mount's commit was ordered nothing can be changed, and everything
// can be read.
TEST_F(FileSystemTest, AReadDoesNotWaitToNoteThatItWasMade) {
    auto here = mount();
    const auto file = make(here, "f");
    write(here, file, open(here, file), 0, "text");
    const auto link = run(here->make_symlink({}, kRootNode, "l", "target"))->node;
    ASSERT_EQ(number(here->commit()), 0);
    auto there = mount();
    make(here, "a");
    make(there, "b");
    ASSERT_EQ(number(here->commit()), 0);
    storage_.fail_write_record = [](const auto&) {
        return std::optional<base::Error>{past::Errc::holders_unreachable};
    };
    ASSERT_FALSE(run(there.tree->commit()));
    bool changed = false;
    base::TaskGroup group{env_.executor};
    group.spawn(make_and_tell(there.files.get(), "c", &changed));
    world_.run_for(std::chrono::seconds{1});
    EXPECT_FALSE(changed);
    const auto began = world_.elapsed();
    EXPECT_EQ(read(there, file), "text");
    EXPECT_EQ(*run(there->read_link(link)), "target");
    EXPECT_EQ(number(there->list(kRootNode, 0, 100, false)), 0);
    EXPECT_LE(world_.elapsed(), began + 1s);
    storage_.fail_write_record = nullptr;
    ASSERT_TRUE(run(there.tree->commit()));
    world_.run(group.join());
    EXPECT_TRUE(changed);
}

TEST_F(FileSystemTest, AStrictMountAsksAtEveryLookUpAndOpen) {
    auto here = mount();
    FileSystemConfig config;
    config.coherence = Coherence::strict;
    auto there = mount(std::move(config));
    EXPECT_EQ(there->cache_time(), base::Duration::zero());
    const auto file = make(here, "f");
    ASSERT_EQ(number(here->commit()), 0);
    EXPECT_EQ(run(there->lookup(kRootNode, "f"))->node, file);
    write(here, file, open(here, file), 0, "text");
    ASSERT_EQ(number(here->commit()), 0);
    EXPECT_FALSE(run(there->open(file, {}))->keep_cache);
    EXPECT_EQ(read(there, file), "text");
    write(here, file, open(here, file), 0, "longer text");
    ASSERT_EQ(number(here->commit()), 0);
    EXPECT_EQ(inode(there, file).size, 11U);
}

}  // namespace
}  // namespace fusefs::test
