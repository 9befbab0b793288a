// rewrite: a snapshot without some of its files, and whatever it lost, the rest.
#include "objstore/archive/rewrite.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "objstore/archive/diff.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"
#include "objstore/gc/check.hpp"

namespace objstore::archive::test {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

struct RewriteWorld : ArchiveWorld {
    void reopen() { volume = world.run(Volume::open(env, storage, *high_water, owner_key(), "archive")).value(); }
    base::Result<RewriteReport> rewrite(const Snapshot& snapshot, RewriteOptions options) {
        told.clear();
        options.on_left_out = [this](const std::string& path, LeftOut why) { told.emplace_back(path, why); };
        return world.run(archive::rewrite(*volume, snapshot, std::move(options)));
    }
    RewriteOptions without(std::vector<std::string> patterns) {
        RewriteOptions options;
        for (const auto& pattern : patterns) options.excludes.add(pattern).value();
        return options;
    }
    RewriteOptions after_check() {
        RewriteOptions options;
        const auto report = world.run(gc::check(*volume, {})).value();
        for (const auto& block : report.damaged) options.lost.insert(block.id);
        return options;
    }
    /// How many paths can be listed, whatever is damaged.
    std::size_t listed(const Snapshot& snapshot) {
        std::size_t paths = 0;
        auto show = [&paths](const ListedFile&) { ++paths; };
        (void)world.run(list_files(*volume, snapshot, "/", true, show));
        return paths;
    }
    std::vector<Snapshot> snapshots() { return world.run(volume->snapshots()).value(); }

    std::vector<std::pair<std::string, LeftOut>> told;
};

TEST(Rewrite, LeavesOutWhatIsExcludedAndSharesTheRest) {
    RewriteWorld w;
    w.fill("/src", 1000);
    w.tree.write("/src/secret/deep/key", "key");
    w.tree.write("/src/b.iso", "iso");
    auto options = w.options();
    options.tags = {"daily"};
    const auto old = *w.backup(options).snapshot;
    auto wanted = w.without({"secret", "*.iso"});
    wanted.tags = {"rewrite"};
    wanted.dry_run = true;
    EXPECT_EQ(w.rewrite(old, wanted).value().left_out, 2U);
    EXPECT_EQ(w.snapshots().size(), 1U);
    wanted.dry_run = false;
    const auto done = w.rewrite(old, wanted).value();
    EXPECT_THAT(w.told, UnorderedElementsAre(std::pair{"/src/secret", LeftOut::excluded},
                                             std::pair{"/src/b.iso", LeftOut::excluded}));
    const auto made = *done.snapshot;
    EXPECT_EQ(made.original, old.id());
    EXPECT_EQ(made.tags, (std::vector<std::string>{"daily", "rewrite"}));
    EXPECT_EQ(made.time_ns, old.time_ns);
    EXPECT_EQ(made.files, old.files - 2);
    EXPECT_EQ(made.directories, old.directories - 2);
    EXPECT_EQ(made.bytes, old.bytes - 6);
    EXPECT_LT(made.added_bytes, 100'000U) << "only the nodes that lost something are new";
    EXPECT_EQ(w.snapshots().size(), 2U) << "the old one stays";
    EXPECT_EQ(w.rewrite(made, w.without({"secret"})).value().left_out, 0U);
    w.tree.remove("/src/secret");
    w.tree.remove("/src/b.iso");
    EXPECT_EQ(w.list(made), w.list(*w.backup().snapshot));
    EXPECT_EQ(w.restore(made).warnings.count(), 0U);
}

TEST(Rewrite, MakesWhatABackupWithoutTheFilesMakes) {
    RewriteWorld w;
    w.fill("/src", 300);
    w.tree.write("/src/d3/secret", "x");
    const auto old = *w.backup().snapshot;
    auto options = w.options();
    options.scan.excludes.add("secret").value();
    const auto backed_up = *w.backup(options).snapshot;
    const auto made = *w.rewrite(old, w.without({"secret"})).value().snapshot;
    std::vector<std::string> differences;
    auto show = [&](const Difference& one) { differences.push_back(one.path); };
    w.world.run(diff_snapshots(*w.volume, made, backed_up, true, show)).value();
    EXPECT_THAT(differences, testing::IsEmpty());
    EXPECT_EQ(made.files, backed_up.files);
    EXPECT_EQ(made.bytes, backed_up.bytes);
}

TEST(Rewrite, AFileStaysWhileItHasANameThatIsNotExcluded) {
    RewriteWorld w;
    w.tree.write("/src/a", "1");
    w.tree.hard_link("/src/b", "/src/a");
    const auto old = *w.backup().snapshot;
    const auto made = *w.rewrite(old, w.without({"a"})).value().snapshot;
    w.restore(made);
    EXPECT_FALSE(w.tree.exists("/restored/src/a"));
    EXPECT_EQ(base::as_text(w.tree.read("/restored/src/b")), "1");
}

TEST(Rewrite, AFileThatLostABlockIsLeftOutAndNothingElse) {
    RewriteWorld w;
    w.tree.write("/src/large", noise(3'000'000, 1));
    w.tree.write("/src/small", "small");
    const auto old = *w.backup().snapshot;
    SnapshotReader reader{*w.volume, old};
    const auto node = w.world.run(reader.resolve("/src/large")).value();
    w.storage.lose_block(node.extents.at(1).extent.block->id);
    w.reopen();
    const auto done = w.rewrite(old, w.after_check()).value();
    EXPECT_THAT(w.told, ElementsAre(std::pair{"/src/large", LeftOut::content}));
    EXPECT_EQ(w.restore(*done.snapshot).warnings.count(), 0U);
    EXPECT_EQ(base::as_text(w.tree.read("/restored/src/small")), "small");
}

TEST(Rewrite, WhateverNodeOfItsTreeIsLostTheRestIsThereAndSound) {
    constexpr unsigned kFiles = 1500;
    RewriteWorld w;
    w.fill("/src", kFiles);
    const auto old = *w.backup().snapshot;
    const auto nodes = w.world.run(Tree{w.volume->reader(), old.root}.nodes()).value();
    const auto all = w.listed(old);
    ASSERT_GE(nodes.size(), 3U);
    for (std::size_t i = 1; i < nodes.size(); ++i) {
        SCOPED_TRACE(i);
        RewriteWorld hurt;
        hurt.fill("/src", kFiles);
        const auto snapshot = *hurt.backup().snapshot;
        hurt.storage.lose_block(nodes[i].id);
        hurt.reopen();
        const auto readable = hurt.listed(snapshot);
        const auto done = hurt.rewrite(snapshot, hurt.after_check());
        ASSERT_TRUE(done) << done.error().message();
        EXPECT_FALSE(hurt.told.empty());
        const auto left = hurt.listed(*done->snapshot);
        EXPECT_GE(left, readable) << "whatever could be listed is there";
        EXPECT_LT(left, all);
        EXPECT_EQ(hurt.restore(*done->snapshot).warnings.count(), 0U);
    }
}

TEST(Rewrite, OfATreeWithoutARootNothingCanBeMade) {
    RewriteWorld w;
    w.fill("/src", 1000);
    const auto old = *w.backup().snapshot;
    w.storage.lose_block(old.root->id);
    w.reopen();
    EXPECT_EQ(w.rewrite(old, w.after_check()).error(), Errc::damaged);
    EXPECT_EQ(w.snapshots().size(), 1U);
}

}  // namespace
}  // namespace objstore::archive::test
