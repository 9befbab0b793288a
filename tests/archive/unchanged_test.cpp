// What the next backup takes for unchanged, and reads no more.
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "base/error.hpp"

namespace objstore::archive::test {
namespace {

TEST(Unchanged, AFileOfTheSameSizeAndTimeIsReadAgainIfItsChangeTimeMoved) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    world.tree.write("/src/b", "one");
    world.backup();
    const auto before = world.tree.stat("/src/a").mtime;
    world.tree.write("/src/a", "two");
    world.tree.set_mtime("/src/a", before);
    const auto report = world.backup();
    EXPECT_EQ(report.files.changed, 1U);
    EXPECT_EQ(report.files.unchanged, 1U);
    world.restore(*report.snapshot);
    const auto restored = world.tree.read("/restored/src/a");
    EXPECT_EQ(base::as_text(restored), "two");
}

TEST(Unchanged, AChangeTimeOrInodeNumberThatIsToBeIgnoredIsIgnored) {
    ArchiveWorld world;
    world.tree.write("/src/touched", "one");
    world.tree.write("/src/copied", "one");
    world.backup();
    const auto touched = world.tree.stat("/src/touched").mtime;
    const auto copied = world.tree.stat("/src/copied").mtime;
    world.tree.write("/src/touched", "two");
    world.tree.set_mtime("/src/touched", touched);
    world.tree.remove("/src/copied");
    world.tree.write("/src/copied", "two");
    world.tree.set_mtime("/src/copied", copied);
    const auto changed = [&](bool ctime, bool inode) {
        auto options = world.options();
        options.dry_run = true;
        options.ignored = {ctime, inode};
        return world.backup(options).files.changed;
    };
    EXPECT_EQ(changed(false, false), 2U);
    EXPECT_EQ(changed(true, false), 1U);
    EXPECT_EQ(changed(true, true), 0U);
}

TEST(Unchanged, NoSnapshotIsMadeOfATreeThatIsThatOfTheParentIfSoAsked) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    auto options = world.options();
    options.skip_if_unchanged = true;
    EXPECT_TRUE(world.backup(options).snapshot) << "the first";
    const auto same = world.backup(options);
    EXPECT_TRUE(same.skipped);
    EXPECT_FALSE(same.snapshot);
    world.tree.set_mode("/src/a", 0600);
    const auto other = world.backup(options);
    EXPECT_FALSE(other.skipped);
    EXPECT_TRUE(other.snapshot);
    EXPECT_EQ(world.world.run(world.volume->snapshots()).value().size(), 2U);
}

TEST(Unchanged, TheParentHasInCommonWhatItIsGroupedBy) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    auto options = world.options();
    options.tags = {"x"};
    const auto first = *world.backup(options).snapshot;
    options.host = "another";
    EXPECT_FALSE(world.backup(options).parent);
    options.host = "third";
    options.group_by = {false, true, true};
    EXPECT_TRUE(world.backup(options).parent);
    options.tags = {"y"};
    EXPECT_FALSE(world.backup(options).parent);
}

TEST(Unchanged, WhereEverythingIsWantedAFileThatCannotBeReadMeansNoSnapshot) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    world.tree.write("/src/b", "two");
    world.tree.fail("/src/b", base::sim::TreeCall::read, base::Error{base::Errc::io_failed});
    auto options = world.options();
    options.all_or_nothing = true;
    EXPECT_EQ(world.try_backup(options).error(), base::Errc::io_failed);
    EXPECT_TRUE(world.world.run(world.volume->snapshots()).value().empty());
}

}  // namespace
}  // namespace objstore::archive::test
