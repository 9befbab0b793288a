// Several mounts of one volume: whoever commits second stands on what came first, and nothing acknowledged is lost.
#include "base/task_group.hpp"
#include "live/live_record.hpp"
#include "live/mounts.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using test::LiveTest;
using Names = std::vector<std::string>;

class TwoMounts : public LiveTest {
  protected:
    /// What the newest version lists.
    std::vector<Conflict> conflicts() {
        auto volume = *open();
        Tree forest{volume->reader(), volume->state().forest};
        const auto record = LiveRecord::decode(std::get<Opaque>(run(forest.find(kLiveKey))->value));
        Tree live{volume->reader(), record->root};
        std::vector<Conflict> out;
        for (const auto& item : run(live.range(TreeKey{}, TreeKey::first(1)))) {
            out.push_back(*Conflict::decode(std::get<Opaque>(item.value)));
        }
        return out;
    }
    static base::Task<void> append(WorkingTree* tree, InodeNumber inode, std::string text,
                                   std::optional<base::Result<std::uint64_t>>* done) {
        *done = co_await tree->append(inode, base::as_bytes(text));
    }
    static base::Task<void> commit_of(WorkingTree* tree) { (void)co_await tree->commit(); }
    /// Both see what the other committed.
    void meet(const Mount& one, const Mount& two) {
        commit(one);
        commit(two);
        refresh(one);
        refresh(two);
    }
    /// A file that `two` has changed on top of a version that `one` has left, and found no room to commit.
    InodeNumber file_to_merge(const Mount& one, const Mount& two) {
        const auto number = file(one, kRootInode, "a", "one");
        commit(one);
        refresh(two);
        file(two, kRootInode, "it has numbers for inodes");
        meet(one, two);
        file(one, kRootInode, "b");
        commit(one);
        write(two, number, 0, "two");
        storage_.fail_put = [](const auto&) -> std::optional<base::Error> { return base::Error{past::Errc::no_space}; };
        EXPECT_EQ(fails(two->commit()), past::Errc::no_space);
        storage_.fail_put = nullptr;
        return number;
    }
};

TEST_F(TwoMounts, ACommitIsSeenAfterARefresh) {
    const auto one = mount();
    const auto two = mount();
    file(one, kRootInode, "a", "from one");
    commit(one);
    EXPECT_EQ(names(two, kRootInode), Names{});
    refresh(two);
    EXPECT_EQ(text(two, kRootInode, "a"), "from one");
}

// While it waits for room, or for a merge, the end of the file moves.
TEST_F(TwoMounts, AnAppendGoesBehindWhatTheOtherAppendedWhileItWaited) {
    LiveConfig config;
    config.max_dirty_bytes = 4000;
    const auto one = mount();
    const auto two = mount(config);
    const auto log = file(one, kRootInode, "log", "first ");
    commit(one);
    refresh(two);
    file(two, kRootInode, "big", std::string(4000, 'x'));
    std::optional<base::Result<std::uint64_t>> appended;
    base::TaskGroup group{env_.executor};
    group.spawn(append(two.tree.get(), log, "third", &appended));
    world_.run_for(std::chrono::milliseconds{200});
    EXPECT_FALSE(appended) << "there is no room";
    write(one, log, 6, "second ");
    commit(one);
    commit(two);
    world_.run(group.join());
    ASSERT_TRUE(appended && *appended);
    EXPECT_EQ(**appended, 13U);
    EXPECT_EQ(read(two, log), "first second third");
}

// The answer to a commit that met another one was lost: until it is known nothing can be changed.
TEST_F(TwoMounts, AChangeWaitsForAMergeNoLongerThanItMayAndIsToldTheCause) {
    LiveConfig config;
    config.write_timeout = std::chrono::seconds{5};
    const auto one = mount();
    const auto two = mount(config);
    const auto number = file_to_merge(one, two);
    int writes = 0;
    storage_.fail_write_record = [&writes](const auto&) -> std::optional<base::Error> {
        if (++writes == 1) return std::nullopt;  // which meets the other's commit
        return base::Error{past::Errc::holders_unreachable};
    };
    EXPECT_EQ(fails(two->commit()), past::Errc::holders_unreachable);
    const auto began = world_.elapsed();
    EXPECT_EQ(fails(two->write(number, 0, base::as_bytes("more"))), past::Errc::holders_unreachable);
    EXPECT_EQ(fails(two->create(kRootInode, "c", NewInode{})), past::Errc::holders_unreachable);
    EXPECT_GE(world_.elapsed() - began, 2 * config.write_timeout);
    EXPECT_LE(world_.elapsed() - began, 2 * config.write_timeout + std::chrono::seconds{1});
    storage_.fail_write_record = nullptr;
    commit(two);
    write(two, number, 0, "more");
}

// Of a merge that does not end what the commit before it met is the cause.
TEST_F(TwoMounts, WhereThereIsNoSpaceAMergeThatDoesNotEndSaysSo) {
    LiveConfig config;
    config.write_timeout = std::chrono::seconds{5};
    const auto one = mount();
    const auto two = mount(config);
    const auto number = file_to_merge(one, two);
    bool met = false;  // the other's commit
    storage_.fail_write_record = [&met](const auto&) -> std::optional<base::Error> {
        met = true;
        return std::nullopt;
    };
    storage_.hold_put = [this, &met]() -> base::Task<void> {
        if (met) co_await env_.clock.sleep_for(std::chrono::minutes{10});
    };
    base::TaskGroup group{env_.executor};
    group.spawn(commit_of(two.tree.get()));
    world_.run_for(std::chrono::seconds{1});
    const auto began = world_.elapsed();
    EXPECT_EQ(fails(two->write(number, 0, base::as_bytes("more"))), past::Errc::no_space);
    EXPECT_GE(world_.elapsed() - began, config.write_timeout);
    EXPECT_LE(world_.elapsed() - began, config.write_timeout + std::chrono::seconds{1});
    storage_.hold_put = nullptr;
    world_.run(group.join());
    write(two, number, 0, "more");
}

TEST_F(TwoMounts, ChangesApartFromEachOtherAllStay) {
    const auto one = mount();
    const auto two = mount();
    file(one, kRootInode, "a", "1");
    file(two, kRootInode, "b", "2");
    directory(two, kRootInode, "d");
    meet(one, two);
    for (const auto* each : {&one, &two}) {
        EXPECT_EQ(names(*each, kRootInode), (Names{"a", "b", "d"}));
        EXPECT_EQ(text(*each, kRootInode, "a"), "1");
        EXPECT_EQ(text(*each, kRootInode, "b"), "2");
        EXPECT_EQ(run((*each)->get(kRootInode)).nlink, 3U);
    }
    EXPECT_TRUE(conflicts().empty());
    EXPECT_EQ(two->statistics().rebases, 1U);
}

TEST_F(TwoMounts, OfTwoThatMakeOneNameTheFirstHasItAndTheOtherIsKept) {
    const auto one = mount();
    const auto two = mount();
    file(one, kRootInode, "a", "first");
    const auto second = file(two, kRootInode, "a", "second");
    meet(one, two);
    EXPECT_EQ(text(one, kRootInode, "a"), "first");
    EXPECT_EQ(text(two, kRootInode, "a"), "first");
    const auto listed = conflicts();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].kind, ConflictKind::name);
    EXPECT_EQ(listed[0].name, "a");
    EXPECT_EQ(listed[0].kept, second);
}

TEST_F(TwoMounts, DirectoriesThatBothMadeBecomeOne) {
    const auto one = mount();
    const auto two = mount();
    file(one, directory(one, kRootInode, "build"), "x", "1");
    file(two, directory(two, kRootInode, "build"), "y", "2");
    meet(one, two);
    for (const auto* each : {&one, &two}) {
        const auto build = find(*each, kRootInode, "build");
        EXPECT_EQ(names(*each, build), (Names{"x", "y"}));
        EXPECT_EQ(text(*each, build, "y"), "2");
    }
    EXPECT_TRUE(conflicts().empty());
}

TEST_F(TwoMounts, AFileThatBothWroteIsNeverAMixture) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", std::string(20'000, 'a'));
    commit(one);
    const auto two = mount();
    write(one, number, 0, "one");
    write(two, number, 10'000, "two");
    meet(one, two);
    const auto expected = std::string(20'000, 'a').replace(10'000, 3, "two");
    EXPECT_EQ(read(one, number), expected);
    EXPECT_EQ(read(two, number), expected);
    const auto listed = conflicts();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].kind, ConflictKind::content);
    EXPECT_EQ(listed[0].winner, number);
    EXPECT_NE(listed[0].kept, 0U);
}

TEST_F(TwoMounts, AnEditIsNotLostToARemoval) {
    for (const bool edit_first : {false, true}) {
        const auto name = std::string{"a"} + (edit_first ? "1" : "0");
        const auto one = mount();
        const auto number = file(one, kRootInode, name, "text");
        commit(one);
        const auto two = mount();
        const auto& editor = edit_first ? one : two;
        const auto& remover = edit_first ? two : one;
        write(editor, number, 0, "edited");
        run(remover->unlink(kRootInode, name));
        meet(one, two);
        EXPECT_EQ(text(one, kRootInode, name), "edited");
        EXPECT_EQ(text(two, kRootInode, name), "edited");
        EXPECT_EQ(run(two->get(number)).nlink, 1U);
    }
}

TEST_F(TwoMounts, WhatIsMadeInADirectoryThatIsRemovedBringsItBack) {
    for (const bool made_first : {false, true}) {
        const auto name = std::string{"d"} + (made_first ? "1" : "0");
        const auto one = mount();
        const auto parent = directory(one, kRootInode, name);
        const auto inner = directory(one, parent, "inner");
        commit(one);
        const auto two = mount();
        const auto& maker = made_first ? one : two;
        const auto& remover = made_first ? two : one;
        file(maker, inner, "kept", "text");
        run(remover->remove_directory(parent, "inner"));
        run(remover->remove_directory(kRootInode, name));
        meet(one, two);
        for (const auto* each : {&one, &two}) {
            const auto again = find(*each, find(*each, kRootInode, name), "inner");
            EXPECT_EQ(text(*each, again, "kept"), "text");
            EXPECT_EQ(run((*each)->get(find(*each, kRootInode, name))).nlink, 3U);
        }
    }
}

TEST_F(TwoMounts, TheLaterOfTwoRenamesThatCloseALoopIsRefused) {
    const auto one = mount();
    const auto a = directory(one, kRootInode, "a");
    const auto b = directory(one, kRootInode, "b");
    commit(one);
    const auto two = mount();
    run(one->rename(kRootInode, "a", b, "a"));
    run(two->rename(kRootInode, "b", a, "b"));
    meet(one, two);
    for (const auto* each : {&one, &two}) {
        EXPECT_EQ(names(*each, kRootInode), Names{"b"});
        EXPECT_EQ(names(*each, b), Names{"a"});
        EXPECT_EQ(names(*each, a), Names{});
        EXPECT_EQ(run((*each)->get(kRootInode)).nlink, 3U);
        EXPECT_EQ(run((*each)->get(a)).nlink, 2U);
        EXPECT_EQ(run((*each)->get(b)).nlink, 3U);
    }
    ASSERT_EQ(conflicts().size(), 1U);
    EXPECT_EQ(conflicts()[0].kind, ConflictKind::rename);
}

TEST_F(TwoMounts, ADirectoryThatBothMovedLiesWhereTheFirstPutIt) {
    const auto one = mount();
    const auto moved = directory(one, kRootInode, "moved");
    directory(one, kRootInode, "x");
    directory(one, kRootInode, "y");
    commit(one);
    const auto two = mount();
    const auto x = find(one, kRootInode, "x");
    const auto y = find(one, kRootInode, "y");
    run(one->rename(kRootInode, "moved", x, "moved"));
    run(two->rename(kRootInode, "moved", y, "moved"));
    meet(one, two);
    for (const auto* each : {&one, &two}) {
        EXPECT_EQ(names(*each, x), Names{"moved"});
        EXPECT_EQ(names(*each, y), Names{});
        EXPECT_EQ(run((*each)->parent(moved)), x);
    }
}

TEST_F(TwoMounts, OfTwoRenamesOverOneNameTheLaterHasItAndTheOtherIsKept) {
    const auto one = mount();
    file(one, kRootInode, "index", "old");
    commit(one);
    const auto two = mount();
    const auto first = file(one, kRootInode, "lock1", "first");
    run(one->rename(kRootInode, "lock1", kRootInode, "index"));
    file(two, kRootInode, "lock2", "second");
    run(two->rename(kRootInode, "lock2", kRootInode, "index"));
    meet(one, two);
    EXPECT_EQ(text(one, kRootInode, "index"), "second");
    EXPECT_EQ(names(two, kRootInode), Names{"index"});
    const auto listed = conflicts();
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].kept, first);
}

TEST_F(TwoMounts, ALinkOfOneAndALinkOfTheOtherAreBothCounted) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "x");
    commit(one);
    const auto two = mount();
    run(one->link(number, kRootInode, "b"));
    run(two->link(number, kRootInode, "c"));
    meet(one, two);
    EXPECT_EQ(run(one->get(number)).nlink, 3U);
    EXPECT_EQ(run(two->get(number)).nlink, 3U);
}

TEST_F(TwoMounts, AnOpenFileThatTheOtherRemovedIsStillReadable) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    commit(one);
    const auto two = mount();
    EXPECT_EQ(text(two, kRootInode, "a"), "text");
    two->pin(number);
    run(one->unlink(kRootInode, "a"));
    commit(one);
    refresh(two);
    EXPECT_EQ(names(two, kRootInode), Names{});
    EXPECT_EQ(read(two, number), "text");
}

TEST_F(TwoMounts, AHeldFileThatTheOtherRemovedIsReadableEvenIfItWasNotInMemory) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    const auto other = file(one, kRootInode, "b", "more");
    commit(one);
    const auto two = mount();
    two->pin(number);
    two->pin(other);
    run(one->unlink(kRootInode, "a"));
    commit(one);
    refresh(two);
    EXPECT_EQ(run(two->get(number)).nlink, 0U);
    EXPECT_EQ(read(two, number), "text");
    run(one->unlink(kRootInode, "b"));
    commit(one);
    file(two, kRootInode, "c");
    commit(two);  // on top of what the other did
    EXPECT_EQ(names(two, kRootInode), Names{"c"});
    EXPECT_EQ(read(two, other), "more");
    two->unpin(number);
    EXPECT_EQ(fails(two->get(number)), std::errc::no_such_file_or_directory);
}

TEST_F(TwoMounts, WhatAConflictKeepsCanHaveANameAgain) {
    const auto one = mount();
    const auto two = mount();
    file(one, directory(one, kRootInode, "d"), "a", "first");
    file(two, directory(two, kRootInode, "d"), "a", "second");
    meet(one, two);
    const auto listed = run(one->conflicts());
    ASSERT_EQ(listed.size(), 1U);
    EXPECT_EQ(listed[0].path, "/d/a");
    run(one->restore_kept(listed[0], kRootInode, "a.other"));
    commit(one);
    refresh(two);
    EXPECT_EQ(text(two, kRootInode, "a.other"), "second");
    EXPECT_EQ(run(two->get(find(two, kRootInode, "a.other"))).nlink, 1U);
    EXPECT_TRUE(run(two->conflicts()).empty());
    EXPECT_TRUE(conflicts().empty());
}

class Heard final : public LiveListener {
  public:
    void on_inode_changed(InodeNumber inode) override { inodes.insert(inode); }
    void on_entry_changed(InodeNumber directory, const std::string& name) override { names.emplace(directory, name); }
    std::set<InodeNumber> inodes;
    std::set<std::pair<InodeNumber, std::string>> names;
};

TEST_F(TwoMounts, AMountIsToldWhatTheOtherChangedAndNothingElse) {
    const auto one = mount();
    const auto a = file(one, kRootInode, "a", "1");
    file(one, kRootInode, "b", "1");
    commit(one);
    const auto two = mount();
    Heard heard;
    two->set_listener(&heard);
    write(one, a, 0, "2");
    file(one, kRootInode, "c");
    commit(one);
    refresh(two);
    EXPECT_TRUE(heard.inodes.contains(a));
    EXPECT_EQ(heard.names, (std::set<std::pair<InodeNumber, std::string>>{{kRootInode, "c"}}));
    EXPECT_LE(heard.inodes.size(), 3U);
    two->set_listener(nullptr);
}

TEST_F(TwoMounts, WhatIsWrittenToAFileThatLostItsNameIsKept) {
    const auto one = mount();
    const auto two = mount();
    file(one, kRootInode, "a", "first");
    const auto second = file(two, kRootInode, "a");
    two->pin(second);  // it is open there
    meet(one, two);
    write(two, second, 0, "second");
    EXPECT_EQ(read(two, second), "second");
    EXPECT_EQ(fails(two->link(second, kRootInode, "b")), std::errc::no_such_file_or_directory);
    commit(two);
    write(two, second, 6, " and more");
    file(one, kRootInode, "apart");
    meet(one, two);
    const auto three = mount();
    const auto listed = run(three->conflicts());
    ASSERT_EQ(listed.size(), 1U);
    run(three->restore_kept(listed[0], kRootInode, "b"));
    EXPECT_EQ(text(three, kRootInode, "b"), "second and more");
    commit(three);
    refresh(two);
    EXPECT_EQ(text(two, kRootInode, "b"), "second and more");
    EXPECT_EQ(run(two->get(second)).nlink, 1U);
    EXPECT_TRUE(conflicts().empty());
}

TEST_F(TwoMounts, WhatOneWritesAfterAnotherRenamedOverItIsKeptUnlessItIsRemoved) {
    for (const bool removes : {false, true}) {
        const auto tag = std::string{removes ? "r" : "w"};
        const auto one = mount();
        const auto a = file(one, kRootInode, "a" + tag, "old");
        file(one, kRootInode, "b" + tag, "new");
        commit(one);
        const auto two = mount();
        write(two, a, 0, "edited");
        two->pin(a);
        commit(two);
        run(one->rename(kRootInode, "b" + tag, kRootInode, "a" + tag));
        commit(one);
        ASSERT_EQ(conflicts().size(), 1U);
        if (removes) {
            run(two->unlink(kRootInode, "a" + tag));
        } else {
            write(two, a, 6, " again");
        }
        commit(two);
        EXPECT_EQ(text(mount(), kRootInode, "a" + tag), "new");
        ASSERT_EQ(conflicts().size(), removes ? 0U : 1U);
        if (removes) continue;
        const auto three = mount();
        run(three->restore_kept(run(three->conflicts())[0], kRootInode, "c"));
        EXPECT_EQ(text(three, kRootInode, "c"), "edited again");
        commit(three);
    }
}

TEST_F(TwoMounts, WhatIsBroughtBackHasItsLongExtendedAttributes) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    const base::Bytes big(20'000, 7);
    run(one->set_xattr(number, "user.big", big, XattrMode::set));
    commit(one);
    const auto two = mount();
    run(one->unlink(kRootInode, "a"));
    write(two, number, 0, "edited");
    meet(one, two);
    EXPECT_EQ(run(two->get_xattr(find(two, kRootInode, "a"), "user.big")), big);
}

TEST_F(TwoMounts, WhatOneRemovedAndAnotherWroteIsThereForWhoeverHasItOpen) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "keep", "old content");
    commit(one);
    const auto two = mount();
    find(two, kRootInode, "keep");
    one->pin(number);
    write(two, number, 0, "new");
    run(one->unlink(kRootInode, "keep"));
    commit(two);
    commit(one);
    EXPECT_EQ(read(one, number), "new content");
    EXPECT_EQ(run(one->get(number)).nlink, 1U);
    write(one, number, 11, " and more");
    commit(one);
    refresh(two);
    EXPECT_EQ(text(two, kRootInode, "keep"), "new content and more");
    EXPECT_EQ(text(mount(), kRootInode, "keep"), "new content and more");
}

TEST_F(TwoMounts, WhatWasMovedByAnotherMountAndRemovedWhileItIsWrittenComesBackWhereItWas) {
    const auto one = mount();
    const auto unrelated = file(one, kRootInode, "unrelated", std::string(100, 'a'));
    const auto from = directory(one, kRootInode, "from");
    const auto to = directory(one, kRootInode, "to");
    const auto number = file(one, from, "m", "text");
    commit(one);
    const auto two = mount();
    write(one, unrelated, 0, "one");  // a conflict is on the list, whatever follows
    write(two, unrelated, 50, "two");
    meet(one, two);
    ASSERT_EQ(conflicts().size(), 1U);
    find(two, from, "m");
    two->pin(number);
    run(one->rename(from, "m", to, "m"));
    run(one->remove_directory(kRootInode, "from"));
    commit(one);
    refresh(two);
    write(two, number, 0, "edited");
    run(one->unlink(to, "m"));
    commit(one);
    commit(two);
    EXPECT_EQ(text(two, to, "m"), "edited");
    refresh(one);
    EXPECT_EQ(text(one, to, "m"), "edited");
    file(two, to, "later");
    commit(two);
    EXPECT_EQ(conflicts().size(), 1U);
}

}  // namespace
}  // namespace objstore
