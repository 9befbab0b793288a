#include <gtest/gtest.h>

#include <functional>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

TEST(Restore, OnlyWhatIsIncludedAndNotExcluded) {
    ArchiveWorld world;
    world.fill("/src", 60);
    world.tree.write("/src/docs/a.txt", "a");
    world.tree.write("/src/docs/deep/b.txt", "b");
    world.tree.write("/src/docs/deep/c.bin", "c");
    world.tree.make_directory("/src/empty");
    const auto report = world.backup();
    RestoreOptions options;
    options.includes.add("*.txt").value();
    options.includes.add("/src/d1").value();
    options.excludes.add("f25").value();
    world.restore(*report.snapshot, options);
    EXPECT_TRUE(world.tree.exists("/restored/src/docs/a.txt"));
    EXPECT_TRUE(world.tree.exists("/restored/src/docs/deep/b.txt"));
    EXPECT_FALSE(world.tree.exists("/restored/src/docs/deep/c.bin"));
    EXPECT_TRUE(world.tree.exists("/restored/src/d1/f24"));
    EXPECT_FALSE(world.tree.exists("/restored/src/d1/f25"));
    EXPECT_FALSE(world.tree.exists("/restored/src/d0"));
    EXPECT_FALSE(world.tree.exists("/restored/src/empty"));
}

TEST(Restore, WhatTheSnapshotDoesNotHaveGoesIfSoAskedAndNothingElse) {
    ArchiveWorld world;
    world.tree.write("/home/src/a/kept", "1");
    world.tree.write("/home/src/b/kept", "2");
    const auto snapshot = *world.backup(world.options({"/home/src"})).snapshot;
    world.restore(snapshot);
    world.tree.write("/restored/home/other", "beside what was backed up: nothing is known of it");
    world.tree.write("/restored/home/src/a/extra", "3");
    world.tree.write("/restored/home/src/b/extra/deep/file", "4");
    world.tree.write("/restored/home/src/c.keep", "5");
    world.tree.write("/outside/file", "6");
    world.tree.symlink("/restored/home/src/link", "/outside");
    std::vector<std::string> removed;
    RestoreOptions options;
    options.remove_others = true;
    options.on_removed = [&](const std::string& path) { removed.push_back(path); };
    options.excludes.add("*.keep").value();
    options.dry_run = true;
    const std::vector<std::string> all{"/home/src/link", "/home/src/a/extra", "/home/src/b/extra"};
    EXPECT_EQ(world.restore(snapshot, options).removed, 3U);
    EXPECT_EQ(removed, all);
    EXPECT_TRUE(world.tree.exists("/restored/home/src/a/extra"));
    removed.clear();
    options.dry_run = false;
    const auto report = world.restore(snapshot, options);
    EXPECT_EQ(report.removed, 3U);
    EXPECT_EQ(report.warnings.count(), 0U);
    EXPECT_EQ(removed, all);
    for (const auto& path : all) EXPECT_FALSE(world.tree.exists("/restored" + path)) << path;
    for (const auto* path : {"/home/other", "/home/src/c.keep", "/home/src/a/kept", "/home/src/b/kept"})
        EXPECT_TRUE(world.tree.exists(std::string{"/restored"} + path)) << path;
    EXPECT_TRUE(world.tree.exists("/outside/file"));
    EXPECT_EQ(world.restore(snapshot, options).removed, 0U);
}

TEST(Restore, WithPatternsOnlyWhatTheySelectGoes) {
    ArchiveWorld world;
    world.tree.write("/src/a/kept", "1");
    world.tree.write("/src/b/kept", "2");
    const auto snapshot = *world.backup().snapshot;
    world.restore(snapshot);
    world.tree.write("/restored/src/a/extra", "3");
    world.tree.write("/restored/src/b/extra", "4");
    RestoreOptions options;
    options.remove_others = true;
    options.includes.add("/src/a").value();
    EXPECT_EQ(world.restore(snapshot, options).removed, 1U);
    EXPECT_FALSE(world.tree.exists("/restored/src/a/extra"));
    EXPECT_TRUE(world.tree.exists("/restored/src/b/extra"));
}

TEST(Restore, NothingGoesFromADirectoryThatIsDamagedInTheSnapshot) {
    ArchiveWorld world;
    world.fill("/src", 3000);
    const auto snapshot = *world.backup().snapshot;
    world.restore(snapshot);
    const auto nodes = world.world.run(Tree{world.volume->reader(), snapshot.root}.nodes()).value();
    world.storage.lose_block(nodes.back().id);
    world.volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
    RestoreOptions options;
    options.remove_others = true;
    const auto report = world.restore(snapshot, options);
    EXPECT_GT(report.warnings.count(WarningKind::damaged), 0U);
    EXPECT_EQ(report.removed, 0U);
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

TEST(Restore, ASubPathGoesStraightIntoTheTarget) {
    ArchiveWorld world;
    world.fill("/src", 60);
    const auto report = world.backup();
    RestoreOptions options;
    options.sub_path = "/src/d1/";
    world.restore(*report.snapshot, options);
    EXPECT_TRUE(world.tree.exists("/restored/f25"));
    options.sub_path = "/src/d2/f45";
    world.restore(*report.snapshot, options);
    EXPECT_TRUE(world.tree.exists("/restored/f45"));
    options.sub_path = "/src/missing";
    const auto missing = world.try_restore(*report.snapshot, options);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(), Errc::no_such_path);
}

class Overwriting : public testing::Test {
  protected:
    Overwriting() {
        world.tree.write("/src/file", "of the snapshot");
        world.tree.write("/src/same", "the same");
        world.tree.symlink("/src/link", "file");
        snapshot = *world.backup().snapshot;
        world.restore(snapshot);
        world.tree.write("/restored/src/file", "newer");
        world.tree.write("/elsewhere", "must stay as it is");
    }
    RestoreReport restore(Overwrite overwrite) {
        RestoreOptions options;
        options.overwrite = overwrite;
        return world.restore(snapshot, options);
    }
    std::string text(const std::string& path) {
        const auto bytes = world.tree.read(path);
        return std::string{base::as_text(bytes)};
    }

    ArchiveWorld world;
    Snapshot snapshot;
};

TEST_F(Overwriting, AlwaysReplacesInOneStep) {
    const auto report = restore(Overwrite::always);
    EXPECT_EQ(text("/restored/src/file"), "of the snapshot");
    EXPECT_EQ(report.files, 1U);
    EXPECT_EQ(report.kept, 2U);  // byte for byte the same already
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

TEST_F(Overwriting, NeverKeepsWhatIsThere) {
    const auto report = restore(Overwrite::never);
    EXPECT_EQ(text("/restored/src/file"), "newer");
    EXPECT_EQ(report.kept, 3U);
    EXPECT_FALSE(report.warnings.partial());
}

TEST_F(Overwriting, IfChangedLeavesTheSameAlone) {
    const auto report = restore(Overwrite::if_changed);
    EXPECT_EQ(text("/restored/src/file"), "of the snapshot");
    EXPECT_EQ(report.kept, 2U);
}

TEST_F(Overwriting, IfNewerKeepsTheNewer) {
    const auto report = restore(Overwrite::if_newer);
    EXPECT_EQ(text("/restored/src/file"), "newer");
    EXPECT_EQ(report.kept, 3U);
}

TEST_F(Overwriting, ALinkInTheWayIsReplacedNotFollowed) {
    world.tree.remove("/restored/src/file");
    world.tree.symlink("/restored/src/file", "/elsewhere");
    restore(Overwrite::always);
    EXPECT_EQ(text("/elsewhere"), "must stay as it is");
    EXPECT_EQ(text("/restored/src/file"), "of the snapshot");
}

TEST_F(Overwriting, ALinkInPlaceOfADirectoryIsReplacedNotFollowed) {
    world.tree.remove("/restored/src");
    world.tree.make_directory("/outside");
    world.tree.symlink("/restored/src", "/outside");
    restore(Overwrite::always);
    EXPECT_FALSE(world.tree.exists("/outside/file"));
    EXPECT_EQ(world.tree.describe("/restored/src"), world.tree.describe("/src"));
}

TEST(Restore, WithoutPrivilegesDoesWhatItCanAndSaysTheRestOnce) {
    ArchiveWorld world;
    for (int i = 0; i < 5; ++i) {
        const auto path = "/src/file" + std::to_string(i);
        world.tree.write(path, "x");
        world.tree.set_owner(path, 1000 + i, 1000);
        world.tree.set_mode(path, 04755);
        world.tree.special("/src/device" + std::to_string(i), base::FileType::character, 5);
    }
    world.tree.set_xattr("/src/file0", "trusted.x", base::as_bytes("x"));
    const auto report = world.backup();
    world.tree.set_privileged(false);
    const auto restored = world.restore(*report.snapshot);
    EXPECT_TRUE(restored.warnings.partial());
    EXPECT_EQ(restored.warnings.count(WarningKind::owner), 5U);
    EXPECT_EQ(restored.warnings.count(WarningKind::unprivileged), 6U);
    EXPECT_TRUE(world.tree.exists("/restored/src/file4"));
    EXPECT_FALSE(world.tree.exists("/restored/src/device0"));
    EXPECT_EQ(world.tree.stat("/restored/src/file0").mode & 06000U, 0U);
}

/// `lose`: what happens to the largest block.
void costs_its_files_and_no_others(const std::function<void(ArchiveWorld&, const base::Guid&)>& lose) {
    ArchiveWorld world;
    world.fill("/src", 1000);
    const auto report = world.backup();
    base::Guid largest;
    std::size_t size = 0;
    for (const auto& [id, stored] : world.storage.blocks()) {
        if (stored.bytes.size() > size) {
            size = stored.bytes.size();
            largest = id;
        }
    }
    lose(world, largest);
    world.volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
    const auto restored = world.restore(*report.snapshot);
    EXPECT_GT(restored.warnings.count(WarningKind::damaged), 50U);
    EXPECT_EQ(restored.files + restored.warnings.count(WarningKind::damaged), 1000U);
    EXPECT_EQ(restored.warnings.count(), restored.warnings.count(WarningKind::damaged));
}

TEST(Restore, ADamagedPackCostsItsFilesAndNoOthers) {
    costs_its_files_and_no_others([](auto& world, const auto& id) { world.storage.lose_block(id); });
}

TEST(Restore, NorDoesOneThatTheDiskDoesNotGive) {
    costs_its_files_and_no_others([](auto& world, const base::Guid& lost) {
        world.storage.fail_get = [lost](const base::Guid& id) -> std::optional<base::Error> {
            if (id != lost) return {};
            return base::Error{base::Errc::io_failed, "this store cannot read 00000001.seg"};
        };
    });
}

TEST(Restore, UnreachableHoldersEndIt) {
    ArchiveWorld world;
    world.fill("/src", 1000);
    const auto report = world.backup();
    world.volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
    world.world.run(world.volume->snapshots()).value();
    unsigned gets = 0;
    world.storage.fail_get = [&](const auto&) -> std::optional<base::Error> {
        if (++gets > 4) return base::Error{past::Errc::holders_unreachable};
        return std::nullopt;
    };
    const auto restored = world.try_restore(*report.snapshot, {});
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error(), past::Errc::holders_unreachable);
}

TEST(Restore, EachPackIsFetchedOnce) {
    ArchiveWorld world;
    world.fill("/src", 3000);
    const auto report = world.backup();
    world.volume =
        world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
    const auto restored = world.restore(*report.snapshot);
    EXPECT_LE(restored.blocks_read, world.storage.blocks().size());
}

TEST(Restore, AFullTargetEndsItAndIsNamed) {
    ArchiveWorld world;
    world.fill("/src", 100);
    const auto report = world.backup();
    world.tree.set_capacity(1'000'000);
    const auto restored = world.try_restore(*report.snapshot, {});
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error(), base::Errc::no_space);
    EXPECT_TRUE(restored.error().detail().starts_with("/src/d")) << restored.error().detail();
}

TEST(Restore, AUserWhoMadeTheTreeGetsItBackWithoutAWarning) {
    ArchiveWorld world;
    world.fill("/home/ann/letters", 30);
    world.tree.set_owner("/home", 5, 5);  // somebody else's; what is made anew in this world is ours, 0:0
    const auto report = world.backup(world.options({"/home/ann/letters"}));
    world.tree.set_privileged(false);
    const auto restored = world.restore(*report.snapshot);
    EXPECT_EQ(restored.warnings.count(), 0U);
    EXPECT_EQ(world.tree.describe("/restored/home/ann/letters"), world.tree.describe("/home/ann/letters"));
}

TEST(Restore, VerifyFindsWhatTheDiskGotWrong) {
    ArchiveWorld world;
    world.fill("/src", 40);
    const auto report = world.backup();
    bool once = false;
    std::string temporary;  // what it is called while it is written
    auto show = [&temporary](const ListedFile& file) {
        if (file.path == "/src/d1/f30") temporary = ".pelago-" + std::to_string(file.number) + ".restoring";
    };
    world.world.run(list_files(*world.volume, *report.snapshot, "/src", true, show)).value();
    // Between writing and reading back, somebody changes the file.
    world.tree.before("/restored/src/d1/" + temporary, base::sim::TreeCall::read, [&] {
        if (!std::exchange(once, true)) world.tree.write_at("/restored/src/d1/f30", 0, base::as_bytes("rot"));
    });
    RestoreOptions options;
    options.verify = true;
    const auto restored = world.restore(*report.snapshot, options);
    EXPECT_EQ(restored.warnings.count(WarningKind::differs), 1U);
    EXPECT_EQ(restored.verified, 39U);
}

TEST(Restore, VerifyReadsBackWhatItsOwnModeForbidsToOpen) {
    ArchiveWorld world;
    world.fill("/src", 40);
    world.tree.write("/src/large", noise(3'000'000, 1));
    const auto report = world.backup();
    for (const auto* name : {"/restored/src/d1/f30", "/restored/src/large"}) {
        world.tree.fail(name, base::sim::TreeCall::open, base::Error{base::Errc::denied, name});
    }
    RestoreOptions options;
    options.verify = true;
    const auto restored = world.restore(*report.snapshot, options);
    EXPECT_EQ(restored.warnings.count(), 0U);
    EXPECT_EQ(restored.verified, 41U);
}

TEST(Restore, ADryRunMakesNothing) {
    ArchiveWorld world;
    world.fill("/src", 100);
    const auto report = world.backup();
    RestoreOptions options;
    options.dry_run = true;
    const auto restored = world.restore(*report.snapshot, options);
    EXPECT_EQ(restored.files, 100U);
    EXPECT_EQ(restored.bytes, report.bytes);
    EXPECT_FALSE(world.tree.exists("/restored"));
}

TEST(Restore, ARepeatedRestoreCleansUpAfterOneThatWasCutShort) {
    ArchiveWorld world;
    world.fill("/src", 40);
    const auto report = world.backup();
    world.restore(*report.snapshot);
    world.tree.write("/restored/src/d1/f30", "half");
    world.tree.write("/restored/src/d1/.pelago-33.restoring", "left by the other one");
    world.restore(*report.snapshot);
    EXPECT_EQ(base::to_hex(world.tree.read("/restored/src/d1/f30")), base::to_hex(world.tree.read("/src/d1/f30")));
}

TEST(Listing, ShowsPathsTypesAndTargets) {
    ArchiveWorld world;
    world.fill("/src", 30);
    world.tree.symlink("/src/link", "d0/f1");
    const auto report = world.backup();
    std::vector<ListedFile> files;
    auto show = [&files](const ListedFile& file) { files.push_back(file); };
    world.world.run(list_files(*world.volume, *report.snapshot, "/src", false, show)).value();
    ASSERT_EQ(files.size(), 4U);
    EXPECT_EQ(files[0].path, "/src");
    EXPECT_EQ(files[1].path, "/src/d0");
    EXPECT_EQ(files[3].path, "/src/link");
    EXPECT_EQ(files[3].target, "d0/f1");
    files.clear();
    world.world.run(list_files(*world.volume, *report.snapshot, "/", true, show)).value();
    EXPECT_EQ(files.size(), 1U + 1 + 2 + 30 + 1);
    EXPECT_TRUE(std::is_sorted(files.begin(), files.end(),
                               [](const auto& a, const auto& b) { return split(a.path) < split(b.path); }));
    const auto missing = world.world.run(list_files(*world.volume, *report.snapshot, "/src/x", true, show));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(), Errc::no_such_path);
}

TEST(Listing, ReadsASnapshotsNameAndPath) {
    EXPECT_EQ(parse_snapshot_path("latest").path, "/");
    EXPECT_EQ(parse_snapshot_path("1a2b:/home/ann").snapshot, "1a2b");
    EXPECT_EQ(parse_snapshot_path("1a2b:/home/ann").path, "/home/ann");
    EXPECT_EQ(parse_snapshot_path("1a2b:").path, "/");
}

}  // namespace
}  // namespace objstore::archive::test
