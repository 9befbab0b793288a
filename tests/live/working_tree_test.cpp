// One mount: what is changed is there at once, and after a commit for good.
#include "base/task_group.hpp"
#include "live/mounts.hpp"
#include "objstore/error.hpp"
#include "objstore/live/order.hpp"

namespace objstore {
namespace {

using test::LiveTest;
using Names = std::vector<std::string>;

TEST_F(LiveTest, ANewVolumeIsAnEmptyDirectory) {
    const auto one = mount();
    const auto root = run(one->get(kRootInode));
    EXPECT_EQ(root.type, base::FileType::directory);
    EXPECT_EQ(root.nlink, 2U);
    EXPECT_EQ(root.uid, 1000U);
    EXPECT_EQ(names(one, kRootInode), Names{});
    EXPECT_EQ(fails(one->lookup(kRootInode, "a")), std::errc::no_such_file_or_directory);
}

TEST_F(LiveTest, WhatWasCommittedIsThereForTheNextMount) {
    InodeNumber number = 0;
    {
        const auto one = mount();
        const auto sub = directory(one, kRootInode, "sub");
        number = file(one, sub, "letter", "dear ada");
        EXPECT_EQ(text(one, sub, "letter"), "dear ada");
        commit(one);
        EXPECT_EQ(text(one, sub, "letter"), "dear ada");
    }
    const auto two = mount();
    EXPECT_EQ(names(two, kRootInode), Names{"sub"});
    const auto sub = find(two, kRootInode, "sub");
    EXPECT_EQ(find(two, sub, "letter"), number);
    EXPECT_EQ(text(two, sub, "letter"), "dear ada");
    EXPECT_EQ(run(two->get(kRootInode)).nlink, 3U);
    EXPECT_EQ(run(two->parent(sub)), kRootInode);
}

TEST_F(LiveTest, WhatWasNotCommittedIsNot) {
    {
        const auto one = mount();
        file(one, kRootInode, "a", "1");
        commit(one);
        file(one, kRootInode, "b", "2");
    }
    const auto two = mount();
    EXPECT_EQ(names(two, kRootInode), Names{"a"});
}

TEST_F(LiveTest, APartThatIsOverwrittenLeavesTheRest) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", std::string(300'000, 'a'));
    commit(one);
    write(one, number, 100, "bbb");
    auto expected = std::string(300'000, 'a').replace(100, 3, "bbb");
    EXPECT_EQ(read(one, number), expected);
    commit(one);
    EXPECT_EQ(read(one, number), expected);
    EXPECT_EQ(text(mount(), kRootInode, "a"), expected);
}

TEST_F(LiveTest, WhatIsCutOffComesBackAsZeros) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "0123456789");
    commit(one);
    run(one->resize(number, 4));
    run(one->resize(number, 8));
    const std::string expected{"0123\0\0\0\0", 8};
    EXPECT_EQ(read(one, number), expected);
    commit(one);
    EXPECT_EQ(read(one, number), expected);
    EXPECT_EQ(text(mount(), kRootInode, "a"), expected);
}

TEST_F(LiveTest, AFileThatIsUnlinkedStaysAsLongAsItIsHeld) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    one->pin(number);
    commit(one);
    run(one->unlink(kRootInode, "a"));
    EXPECT_EQ(run(one->get(number)).nlink, 0U);
    EXPECT_EQ(read(one, number), "text");
    commit(one);
    write(one, number, 4, " and more");
    EXPECT_EQ(read(one, number), "text and more");
    commit(one);
    EXPECT_EQ(read(one, number), "text and more");
    one->unpin(number);
    EXPECT_EQ(fails(one->get(number)), std::errc::no_such_file_or_directory);
    EXPECT_EQ(names(mount(), kRootInode), Names{});
}

TEST_F(LiveTest, OfWhatIsHeldOnlyTheMostRecentlyUsedIsInMemory) {
    LiveConfig config;
    config.max_clean_inodes = 10;
    const auto one = mount(config);
    std::vector<InodeNumber> numbers;
    for (int i = 0; i < 100; ++i) {
        numbers.push_back(file(one, kRootInode, std::to_string(i), "text " + std::to_string(i)));
        one->pin(numbers.back());
    }
    run(one->unlink(kRootInode, "0"));
    base::TaskGroup background{env_.executor};
    background.spawn(one->run());
    world_.run_for(config.flush_after + std::chrono::seconds{5});
    EXPECT_LE(one->statistics().inodes_in_memory, 10U + 1U);  // the one without a name cannot be read again
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(read(one, numbers[static_cast<std::size_t>(i)]), "text " + std::to_string(i));
    background.cancel();
    world_.run(background.join());
}

TEST_F(LiveTest, AFileThatIsGoneBeforeItIsCommittedIsNeverStored) {
    const auto one = mount();
    file(one, kRootInode, "keep", "1");
    commit(one);
    const auto before = one->statistics().commits;
    file(one, kRootInode, "temporary", std::string(100'000, 'x'));
    run(one->unlink(kRootInode, "temporary"));
    EXPECT_EQ(one->statistics().dirty_bytes, 0U);
    commit(one);
    EXPECT_EQ(names(one, kRootInode), Names{"keep"});
    EXPECT_LE(one->statistics().commits, before + 1);
}

TEST_F(LiveTest, ARenameReplacesInOneStep) {
    const auto one = mount();
    file(one, kRootInode, "new", "new");
    file(one, kRootInode, "old", "old");
    commit(one);
    run(one->rename(kRootInode, "new", kRootInode, "old"));
    EXPECT_EQ(names(one, kRootInode), Names{"old"});
    EXPECT_EQ(text(one, kRootInode, "old"), "new");
    commit(one);
    const auto two = mount();
    EXPECT_EQ(names(two, kRootInode), Names{"old"});
    EXPECT_EQ(text(two, kRootInode, "old"), "new");
}

TEST_F(LiveTest, ADirectoryNeverMovesBelowItself) {
    const auto one = mount();
    const auto a = directory(one, kRootInode, "a");
    const auto b = directory(one, a, "b");
    EXPECT_EQ(fails(one->rename(kRootInode, "a", b, "c")), std::errc::invalid_argument);
    run(one->rename(a, "b", kRootInode, "b"));
    EXPECT_EQ(run(one->get(a)).nlink, 2U);
    EXPECT_EQ(run(one->get(kRootInode)).nlink, 4U);
    EXPECT_EQ(run(one->parent(b)), kRootInode);
}

TEST_F(LiveTest, ListingGoesOnWhereItWasWhileEntriesComeAndGo) {
    const auto one = mount();
    for (int i = 0; i < 300; ++i) file(one, kRootInode, "f" + std::to_string(i));
    commit(one);
    std::set<std::string> seen;
    std::uint64_t offset = 0;
    int round = 0;
    for (;;) {
        const auto some = run(one->list(kRootInode, offset, 7));
        if (some.empty()) break;
        for (const auto& entry : some) EXPECT_TRUE(seen.insert(entry.entry.name).second) << entry.entry.name;
        offset = some.back().offset;
        file(one, kRootInode, "new" + std::to_string(round));
        run(one->unlink(kRootInode, some.front().entry.name));
        if (++round % 5 == 0) commit(one);
    }
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(seen.contains("f" + std::to_string(i))) << i;
}

TEST_F(LiveTest, HardLinksAreOneInode) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "x");
    run(one->link(number, kRootInode, "b"));
    EXPECT_EQ(run(one->get(number)).nlink, 2U);
    commit(one);
    run(one->unlink(kRootInode, "a"));
    commit(one);
    const auto two = mount();
    EXPECT_EQ(find(two, kRootInode, "b"), number);
    EXPECT_EQ(run(two->get(number)).nlink, 1U);
}

TEST_F(LiveTest, ExtendedAttributesAreKept) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a");
    const base::Bytes big(5000, 7);
    run(one->set_xattr(number, "user.big", big, XattrMode::create));
    run(one->set_xattr(number, "user.small", base::Bytes{1}, XattrMode::set));
    EXPECT_EQ(fails(one->set_xattr(number, "user.small", base::Bytes{}, XattrMode::create)), std::errc::file_exists);
    commit(one);
    run(one->remove_xattr(number, "user.small"));
    commit(one);
    const auto two = mount();
    EXPECT_EQ(run(two->list_xattrs(number)), Names{"user.big"});
    EXPECT_EQ(run(two->get_xattr(number, "user.big")), big);
    EXPECT_EQ(fails(two->get_xattr(number, "user.small")), std::errc::no_message_available);
}

TEST_F(LiveTest, ACopyByReferenceIsIndependent) {
    const auto one = mount();
    const auto a = file(one, kRootInode, "a", std::string(400'000, 'a'));
    commit(one);
    const auto b = file(one, kRootInode, "b");
    EXPECT_EQ(run(one->copy_range(a, 1000, b, 0, 300'000)), 300'000U);
    write(one, a, 1000, "zzz");
    commit(one);
    EXPECT_EQ(read(one, b), std::string(300'000, 'a'));
    EXPECT_EQ(text(mount(), kRootInode, "b"), std::string(300'000, 'a'));
}

TEST_F(LiveTest, HolesAreFound) {
    const auto one = mount();
    const auto a = file(one, kRootInode, "a", std::string(10'000, 'a'));
    write(one, a, 100'000, "end");
    EXPECT_EQ(run(one->seek(a, 0, true)), 10'000U);
    EXPECT_EQ(run(one->seek(a, 10'000, false)), 100'000U);
    commit(one);
    run(one->punch(a, 2'000, 3'000));
    EXPECT_EQ(run(one->seek(a, 0, true)), 2'000U);
    EXPECT_EQ(run(one->seek(a, 2'000, false)), 5'000U);
    EXPECT_EQ(read(one, a, 1'999, 3'002), "a" + std::string(3'000, '\0') + "a");
    commit(one);
    EXPECT_EQ(run(one->seek(a, 2'000, false)), 5'000U);
}

// More stretches than are looked at in one step, in memory and stored.
TEST_F(LiveTest, HolesAreFoundInAFileOfVeryManyStretches) {
    constexpr std::uint64_t kStretches = 20'000;
    constexpr std::uint64_t kCounted = 16'384;
    const auto one = mount();
    const auto a = file(one, kRootInode, "a");
    for (std::uint64_t i = 0; i < kStretches; ++i) write(one, a, i * 2, "x");
    const auto end = kStretches * 2 - 1;
    const auto holes = kCounted / 2;  // every other stretch is one; what is not looked at counts as data
    for (const bool stored : {false, true}) {
        EXPECT_NEAR(static_cast<double>(run(one->data_bytes(a))), static_cast<double>(end - holes), 1) << stored;
        EXPECT_EQ(run(one->seek(a, end - 2, true)), end - 2) << stored;
        EXPECT_EQ(run(one->seek(a, 101, false)), 102U) << stored;
        if (!stored) commit(one);
    }
    run(one->resize(a, 100'000));
    EXPECT_EQ(fails(one->seek(a, end, false)), std::make_error_condition(std::errc::no_such_device_or_address));
    const auto b = file(one, kRootInode, "b");
    for (std::uint64_t i = 0; i < 5'000; ++i) {  // all of it data, in pieces that do not touch in memory
        run(one->copy_range(a, 0, b, i, 1));
    }
    commit(one);
    EXPECT_EQ(run(one->seek(b, 0, true)), 5'000U);
    EXPECT_EQ(run(one->data_bytes(b)), 5'000U);
}

// A volume that lost an inode: the entry can be looked at and removed, and says what it is to everything else.
TEST_F(LiveTest, AnEntryWithoutItsInodeIsDamageThatCanBeRemoved) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    const auto below = directory(one, kRootInode, "d");
    file(one, kRootInode, "b", "other");
    commit(one);
    {
        auto volume = *open();
        const auto nodes = std::make_shared<NodeCache>(1U << 20U);
        const auto order = make_record_order(env_, *volume, nodes);
        const auto version = run(order->newest());
        const auto update = std::make_shared<Update>();
        update->base = version.root;
        for (const auto lost : {number, below}) update->inodes[lost].before = run(one->get(lost));
        InodeNumbers numbers;
        ASSERT_TRUE(world_.run(order->submit(update, nullptr, false, numbers)));
    }
    const auto two = mount();
    EXPECT_EQ(names(two, kRootInode), (Names{"a", "b", "d"}));
    EXPECT_EQ(find(two, kRootInode, "a"), number);
    EXPECT_EQ(run(two->get(number)).size, 0U);
    EXPECT_EQ(fails(two->read(number, 0, 10)), Errc::damaged);
    EXPECT_EQ(fails(two->write(number, 0, base::as_bytes(std::string{"x"}))), Errc::damaged);
    EXPECT_EQ(fails(two->rename(kRootInode, "a", kRootInode, "c")), Errc::damaged);
    run(two->unlink(kRootInode, "a"));
    run(two->rename(kRootInode, "b", kRootInode, "b2"));
    run(two->remove_directory(kRootInode, "d"));
    commit(two);
    const auto three = mount();
    EXPECT_EQ(names(three, kRootInode), Names{"b2"});
    EXPECT_EQ(run(three->get(kRootInode)).nlink, 2U);
}

}  // namespace
}  // namespace objstore
