// diff: what differs between two snapshots, whatever their trees share.
#include "objstore/archive/diff.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string text_of(const Difference& one) {
    std::string out;
    if (one.added) out += "+";
    if (one.removed) out += "-";
    if (one.type) out += "T";
    if (one.content) out += "M";
    if (one.suspicious) out += "?";
    if (one.metadata) out += "U";
    return out + " " + one.path;
}

struct DiffWorld : ArchiveWorld {
    base::Result<DiffReport> try_diff(const Snapshot& before, const Snapshot& after, bool metadata = false) {
        lines.clear();
        auto show = [this](const Difference& one) { lines.push_back(text_of(one)); };
        return world.run(diff_snapshots(*volume, before, after, metadata, show));
    }
    DiffReport diff(const Snapshot& before, const Snapshot& after, bool metadata = false) {
        return try_diff(before, after, metadata).value();
    }
    Snapshot take(BackupOptions given) { return *backup(std::move(given)).snapshot; }
    Snapshot take() { return take(options()); }

    std::vector<std::string> lines;
};

TEST(Diff, NamesWhatCameWentAndChangedInOrderOfThePaths) {
    DiffWorld w;
    w.tree.write("/src/a/same", "1");
    w.tree.write("/src/a/changed", "22");
    w.tree.write("/src/b/gone", "333");
    w.tree.write("/src/b/deep/gone", "4444");
    w.tree.symlink("/src/link", "a");
    const auto first = w.take();
    w.tree.write("/src/a/changed", "something else");
    w.tree.remove("/src/b");
    w.tree.write("/src/c/new", "55555");
    const auto second = w.take();
    const auto report = w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("M /src/a/changed", "- /src/b/", "- /src/b/deep/", "- /src/b/deep/gone",
                                     "- /src/b/gone", "+ /src/c/", "+ /src/c/new"));
    EXPECT_EQ(report.changed_files, 1U);
    EXPECT_EQ(report.added.files, 1U);
    EXPECT_EQ(report.added.directories, 1U);
    EXPECT_EQ(report.removed.files, 2U);
    EXPECT_EQ(report.removed.directories, 2U);
    EXPECT_EQ(report.added.bytes, 14U + 5U);
    EXPECT_EQ(report.removed.bytes, 2U + 3U + 4U);
    EXPECT_EQ(report.added.chunks, 2U);
    EXPECT_EQ(report.removed.chunks, 3U);
    EXPECT_GT(report.added.tree_nodes, 0U);
    w.diff(second, first);
    EXPECT_THAT(w.lines, ElementsAre("M /src/a/changed", "+ /src/b/", "+ /src/b/deep/", "+ /src/b/deep/gone",
                                     "+ /src/b/gone", "- /src/c/", "- /src/c/new"));
    w.diff(first, first);
    EXPECT_THAT(w.lines, IsEmpty());
}

TEST(Diff, ARenamedDirectoryIsGoneHereAndNewThereWithAllThatIsInIt) {
    DiffWorld w;
    w.tree.write("/src/old/x/file", "1");
    const auto first = w.take();
    w.tree.rename("/src/old", "/src/new");
    const auto second = w.take();
    const auto report = w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("+ /src/new/", "+ /src/new/x/", "+ /src/new/x/file", "- /src/old/",
                                     "- /src/old/x/", "- /src/old/x/file"));
    EXPECT_EQ(report.added.bytes, 0U) << "it has the content already";
}

TEST(Diff, MetadataIsComparedOnDemand) {
    DiffWorld w;
    w.tree.write("/src/file", "1");
    const auto first = w.take();
    w.tree.set_mode("/src/file", 0600);
    const auto second = w.take();
    w.diff(first, second);
    EXPECT_THAT(w.lines, IsEmpty());
    w.diff(first, second, true);
    EXPECT_THAT(w.lines, ElementsAre("U /src/file"));
}

TEST(Diff, AnotherTypeIsNamed) {
    DiffWorld w;
    w.tree.write("/src/one", "1");
    w.tree.write("/src/two", "1");
    const auto first = w.take();
    w.tree.remove("/src/one");
    w.tree.symlink("/src/one", "two");
    w.tree.remove("/src/two");
    w.tree.write("/src/two/inside", "1");
    const auto second = w.take();
    w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("T /src/one", "T /src/two/", "+ /src/two/inside"));
}

TEST(Diff, EveryNameOfAFileChanges) {
    DiffWorld w;
    w.tree.write("/src/a/one", "1");
    w.tree.hard_link("/src/b", "/src/a/one");
    const auto first = w.take();
    w.tree.write("/src/b", "22");
    const auto second = w.take();
    w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("M /src/a/one", "M /src/b"));
}

TEST(Diff, SnapshotsThatShareNoHistoryAreComparedByPath) {
    DiffWorld w;
    w.tree.write("/src/a", "1");
    w.tree.write("/src/b/c", "2");
    w.tree.write("/src/d", "3");
    const auto first = w.take();
    w.tree.remove("/src/a");  // all numbers of inodes move
    w.tree.write("/src/0/new", "4");
    auto apart = w.options();
    apart.no_parent = true;
    const auto second = w.take(apart);
    w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("+ /src/0/", "+ /src/0/new", "- /src/a"));
}

TEST(Diff, CostsWhatDiffersAndOnePassOverTheNames) {
    DiffWorld w;
    w.fill("/src", 4000);
    const auto first = w.take();
    w.tree.write("/src/d7/f140", "changed");
    const auto second = w.take();
    const auto nodes = w.world.run(Tree{w.volume->reader(), second.root}.nodes()).value().size();
    w.volume = w.world.run(Volume::open(w.env, w.storage, *w.high_water, owner_key(), "archive")).value();
    w.diff(first, second);
    EXPECT_THAT(w.lines, ElementsAre("M /src/d7/f140"));
    EXPECT_GE(nodes, 10U);
    EXPECT_LE(w.volume->reader().blocks_fetched(), nodes + 5) << "the first tree is not read but where it differs";
}

TEST(Diff, WhatIsLostIsSaidToBeDamagedNotRemoved) {
    DiffWorld w;
    w.fill("/src", 100);
    const auto first = w.take();
    w.tree.write("/src/d1/f20", "changed");
    const auto second = w.take();
    w.storage.lose_block(second.root->id);
    w.volume = w.world.run(Volume::open(w.env, w.storage, *w.high_water, owner_key(), "archive")).value();
    const auto report = w.try_diff(first, second);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error(), Errc::damaged);
    EXPECT_THAT(w.lines, IsEmpty());
}

}  // namespace
}  // namespace objstore::archive::test
