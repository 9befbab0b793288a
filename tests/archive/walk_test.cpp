// What is named is kept or said not to be: walks over trees that hang, lie, grow and change under way.
#include <gtest/gtest.h>

#include "archive_world.hpp"

namespace objstore::archive::test {
namespace {

using base::sim::TreeCall;

std::vector<std::string> named(const BackupReport& report, WarningKind kind) {
    std::vector<std::string> paths;
    const auto found = report.warnings.kinds().find(kind);
    if (found == report.warnings.kinds().end()) return paths;
    for (const auto& each : found->second.first) paths.push_back(each.path);
    return paths;
}

using Paths = std::vector<std::string>;

/// What is below `path`.
Paths sorted_list(ArchiveWorld& world, const BackupReport& report, const std::string& path = "/src") {
    auto paths = world.list(*report.snapshot, path);
    std::erase(paths, path);
    std::sort(paths.begin(), paths.end());
    return paths;
}

void expect_restored(ArchiveWorld& world, const BackupReport& report, const std::string& path = "/src") {
    const auto restored = world.restore(*report.snapshot);
    EXPECT_EQ(restored.warnings.count(), 0U);
    EXPECT_EQ(world.tree.describe("/restored" + path), world.tree.describe(path));
}

// --- files that change between the walk and the open

TEST(Walk, ASmallFileThatGrewSinceIsKeptWhole) {
    for (const std::size_t size : {600'000, 3'000'000, 9'000'000}) {
        ArchiveWorld world;
        world.fill("/src", 40);
        world.tree.write("/src/log", "begun");
        world.tree.before("/src/log", TreeCall::open, [&] {
            world.tree.clear_failures();
            world.tree.write("/src/log", noise(size, 1));
        });
        const auto report = world.backup();
        EXPECT_EQ(report.warnings.count(), 0U);
        expect_restored(world, report);
        auto again = world.options();
        again.reread = true;
        EXPECT_EQ(world.backup(again).bytes_new, 0U) << "cut as the next backup cuts it";
    }
}

TEST(Walk, ALargeFileThatShrankSinceIsKeptAsItIs) {
    ArchiveWorld world;
    world.tree.write("/src/log", noise(3'000'000, 1));
    world.tree.before("/src/log", TreeCall::open, [&] {
        world.tree.clear_failures();
        world.tree.write("/src/log", "rotated");
    });
    expect_restored(world, world.backup());
}

TEST(Walk, AFileThatGrowsWhileItIsReadIsNamedAsChangedAndNeverUnreadable) {
    for (const std::size_t size : {0, 5, 700'000}) {
        ArchiveWorld world;
        world.tree.write("/src/log", noise(size, 1));
        auto grown = size;
        world.tree.before("/src/log", TreeCall::read, [&] {
            world.tree.write_at("/src/log", grown, noise(5000, 2));
            grown += 5000;
        });
        const auto report = world.backup();
        EXPECT_EQ(named(report, WarningKind::changed), Paths{"/src/log"});
        EXPECT_EQ(report.warnings.count(), 1U);
        EXPECT_EQ(report.snapshot->partial, 0U);
        EXPECT_EQ(sorted_list(world, report).size(), 1U);
    }
}

// --- a named path below another

TEST(Walk, APathBelowAMountPointThatIsNotEnteredIsKept) {
    ArchiveWorld world;
    world.tree.write("/top/beside", "text");
    world.tree.write("/top/m/k", "wanted");
    world.tree.write("/top/m/other", "not wanted");
    world.tree.mount("/top/m", 77);
    auto options = world.options({"/top", "/top/m/k"});
    options.scan.one_file_system = true;
    const auto report = world.backup(options);
    EXPECT_EQ(report.warnings.count(), 0U);
    EXPECT_EQ(sorted_list(world, report, "/top"), (Paths{"/top/beside", "/top/m", "/top/m/k"}));
    EXPECT_EQ(report.snapshot->paths, Paths{"/top"});
}

TEST(Walk, APathBelowWhatIsExcludedIsKept) {
    ArchiveWorld world;
    world.tree.write("/src/ex/deep/k", "wanted");
    world.tree.write("/src/ex/deep/d/k", "wanted");
    world.tree.write("/src/ex/deep/d/junk", "excluded there, too");
    world.tree.write("/src/ex/other", "not wanted");
    auto options = world.options({"/src", "/src/ex/deep/k", "/src/ex/deep/d"});
    options.scan.excludes.add("/src/ex").value();
    options.scan.excludes.add("junk").value();
    const auto report = world.backup(options);
    EXPECT_EQ(report.warnings.count(), 0U);
    EXPECT_EQ(sorted_list(world, report),
              (Paths{"/src/ex", "/src/ex/deep", "/src/ex/deep/d", "/src/ex/deep/d/k", "/src/ex/deep/k"}));
}

TEST(Walk, APathBelowACacheIsKept) {
    ArchiveWorld world;
    world.tree.write("/src/c/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    world.tree.write("/src/c/junk", "junk");
    world.tree.write("/src/c/kept/k", "wanted");
    auto options = world.options({"/src", "/src/c/kept/k"});
    options.scan.markers.push_back(cache_marker());
    EXPECT_EQ(sorted_list(world, world.backup(options)),
              (Paths{"/src/c", "/src/c/CACHEDIR.TAG", "/src/c/kept", "/src/c/kept/k"}));
}

TEST(Walk, WhatLiesBesideAMarkerFileIsLeftOutIfItBeginsAsItShould) {
    ArchiveWorld world;
    world.tree.write("/src/a/.nobackup", "");
    world.tree.write("/src/a/junk", "junk");
    world.tree.write("/src/b/MARK", "leave me out\n");
    world.tree.write("/src/b/junk", "junk");
    world.tree.write("/src/c/MARK", "leave");
    world.tree.write("/src/c/kept", "kept");
    auto options = world.options();
    options.scan.markers = {{".nobackup", ""}, {"MARK", "leave me out"}};
    EXPECT_EQ(sorted_list(world, world.backup(options)),
              (Paths{"/src/a", "/src/a/.nobackup", "/src/b", "/src/b/MARK", "/src/c", "/src/c/MARK", "/src/c/kept"}));
}

TEST(Walk, LargeFilesAreLeftOutUnlessTheyWereNamed) {
    ArchiveWorld world;
    world.tree.write("/src/a", "12345");
    world.tree.write("/src/b", "123456");
    world.tree.write("/src/c", "1234567");
    world.tree.make_directory("/src/d");
    auto options = world.options({"/src", "/src/c"});
    options.scan.exclude_above = 5;
    const auto report = world.backup(options);
    EXPECT_EQ(sorted_list(world, report), (Paths{"/src/a", "/src/c", "/src/d"}));
    EXPECT_EQ(report.warnings.count(), 0U);
}

TEST(Walk, APathThroughALinkThatIsKeptAsALinkIsKeptWhereTheLinkLeads) {
    for (const std::string target : {"real", "/src/real", "hop", "../src/real"}) {
        ArchiveWorld world;
        world.tree.write("/src/real/sub/x", "wanted");
        world.tree.write("/src/real/other", "not wanted");
        world.tree.symlink("/src/hop", "real");
        world.tree.symlink("/src/l", target);
        const auto report = world.backup(world.options({"/src/l", "/src/l/sub"}));
        EXPECT_EQ(report.warnings.count(), 0U);
        EXPECT_EQ(sorted_list(world, report), (Paths{"/src/l", "/src/real", "/src/real/sub", "/src/real/sub/x"}))
            << target;
    }
}

TEST(Walk, APathThroughALinkOutOfTheTreeIsKeptThere) {
    ArchiveWorld world;
    world.tree.write("/elsewhere/sub/x", "wanted");
    world.tree.write("/src/a/text", "text");
    world.tree.symlink("/src/a/l", "../../elsewhere");
    const auto report = world.backup(world.options({"/src", "/src/a/l/sub"}));
    EXPECT_EQ(report.warnings.count(), 0U);
    EXPECT_EQ(sorted_list(world, report, "/"),
              (Paths{"/elsewhere", "/elsewhere/sub", "/elsewhere/sub/x", "/src", "/src/a", "/src/a/l", "/src/a/text"}));
}

TEST(Walk, APathBelowAnotherThatIsKeptAnywayIsKeptOnce) {
    ArchiveWorld world;
    world.fill("/src", 40);
    const auto whole = world.backup(world.options({"/src"}));
    const auto both = world.backup(world.options({"/src", "/src/d0", "/src/d1/f20"}));
    EXPECT_EQ(both.snapshot->root->id, whole.snapshot->root->id);
    EXPECT_EQ(both.snapshot->paths, Paths{"/src"});
}

TEST(Walk, ANamedPathThatTheWalkDoesNotReachIsNamed) {
    ArchiveWorld world;
    world.tree.write("/src/d/e/k", "wanted");
    world.tree.write("/src/other", "text");
    world.tree.before("/src", TreeCall::list, [&] {
        world.tree.clear_failures();
        world.tree.rename("/src/d", "/src/moved");
    });
    const auto report = world.backup(world.options({"/src", "/src/d/e/k"}));
    EXPECT_EQ(named(report, WarningKind::vanished), Paths{"/src/d/e/k"});
}

TEST(Walk, ManyPathsArePlannedInTimeThatGrowsWithTheirNumber) {
    const auto seconds_for = [](unsigned count) {
        base::sim::LocalTree tree;
        Paths paths;
        for (unsigned i = 0; i < count; ++i) {
            paths.push_back("/src/" + std::to_string(i));
            tree.write(paths.back(), "");
        }
        Scanner scanner{tree, paths, {}};
        const auto begin = std::chrono::steady_clock::now();
        scanner.begin().value();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    EXPECT_LT(seconds_for(40'000), 100 * seconds_for(2'000) + 0.1) << "linear: 20 times; quadratic: 400";
}

// --- what is left out is not asked for anything

TEST(Walk, WhatIsExcludedIsNotLookedAt) {
    for (const bool types_hidden : {false, true}) {
        ArchiveWorld world;
        world.fill("/src", 20);
        world.tree.make_directory("/src/dead");
        if (types_hidden) world.tree.hide_types();
        world.tree.fail("/src/dead", TreeCall::stat, base::Errc::io_failed);
        auto options = world.options();
        options.scan.excludes.add("/src/dead").value();
        EXPECT_EQ(world.backup(options).warnings.count(), 0U);
    }
}

TEST(Walk, WithoutTypesOneEntryThatCannotBeLookedAtCostsItselfOnly) {
    ArchiveWorld world;
    world.tree.hide_types();
    world.fill("/src", 40);
    world.tree.write("/src/x.d/kept", "a directory's pattern");
    world.tree.write("/src/y.d", "is no directory");
    world.tree.fail("/src/d0/f3", TreeCall::stat, base::Errc::io_failed);
    auto options = world.options();
    options.scan.excludes.add("*.d/").value();
    const auto report = world.backup(options);
    EXPECT_EQ(named(report, WarningKind::unreadable), Paths{"/src/d0/f3"});
    const auto paths = sorted_list(world, report);
    EXPECT_EQ(std::count(paths.begin(), paths.end(), "/src/d0/f4"), 1);
    EXPECT_EQ(std::count(paths.begin(), paths.end(), "/src/y.d"), 1);
    EXPECT_EQ(std::count(paths.begin(), paths.end(), "/src/x.d"), 0);
}

// --- what no record can hold

TEST(Walk, ANameThatNoTreeCanHoldIsLeftOutAndNamed) {
    ArchiveWorld world;
    const auto long_name = "/src/" + std::string(300, 'n');
    world.tree.write(long_name, "text");
    world.tree.write(long_name + "d/inside", "text");
    world.tree.write("/src/kept", "text");
    const auto report = world.backup();
    EXPECT_EQ(named(report, WarningKind::unreadable), (Paths{long_name, long_name + "d"}));
    EXPECT_EQ(sorted_list(world, report), Paths{"/src/kept"});
}

TEST(Walk, AnAttributeWhoseNameNoTreeCanHoldIsLeftOutAndNamed) {
    ArchiveWorld world;
    world.tree.write("/src/a", "text");
    world.tree.set_xattr("/src/a", "user." + std::string(300, 'n'), base::as_bytes("value"));
    const auto report = world.backup();
    EXPECT_EQ(named(report, WarningKind::attributes), Paths{"/src/a"});
    EXPECT_EQ(sorted_list(world, report), Paths{"/src/a"});
}

// --- inode numbers that lie

TEST(Walk, TwoFilesOfOneInodeNumberAreTwoFiles) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    world.tree.write("/src/b", "another, longer");
    world.tree.write("/src/c", "two");
    world.tree.set_mtime("/src/c", {1, 0});
    world.tree.symlink("/src/l", "one");
    for (const auto* path : {"/src/a", "/src/b", "/src/c", "/src/l"}) world.tree.pretend_inode(path, 5, 2);
    const auto check = [&](const BackupReport& report) {
        RestoreOptions options;
        options.target = "/out" + std::to_string(world.ticks);
        EXPECT_EQ(world.restore(*report.snapshot, options).warnings.count(), 0U);
        for (const auto* path : {"/src/a", "/src/b", "/src/c"}) {
            EXPECT_EQ(world.tree.read(options.target + path), world.tree.read(path)) << path;
        }
    };
    check(world.backup());
    world.tree.write("/src/b", "changed");
    world.tree.pretend_inode("/src/b", 5, 2);
    check(world.backup());
}

// --- clocks that were wrong

TEST(Walk, ASnapshotFromTheFutureIsNeitherLatestNorEverybodysParent) {
    ArchiveWorld world;
    world.fill("/src", 20);
    auto ahead = world.options();
    ahead.time_ns = world.env.clock.wall_ns() + std::int64_t{1'000'000'000} * 86'400 * 365 * 100;
    const auto wrong = world.backup(ahead);
    world.tree.write("/src/new", "text");
    const auto next = world.backup();
    EXPECT_EQ(next.parent, wrong.snapshot->id());
    EXPECT_EQ(next.parent_ahead_ns, ahead.time_ns);
    const auto after = world.backup();
    EXPECT_EQ(after.parent, next.snapshot->id());
    EXPECT_FALSE(after.parent_ahead_ns);
    const auto listed = world.world.run(world.volume->snapshots()).value();
    EXPECT_EQ(find_snapshot(listed, "latest")->id(), after.snapshot->id());
}

// --- what is told

TEST(Walk, EachFileIsToldOfOnce) {
    ArchiveWorld world;
    world.tree.write("/src/d/a", "a");
    world.tree.write("/src/d/b", "b");
    world.tree.write("/src/e/c", "c");
    world.tree.hard_link("/src/e/d", "/src/d/a");
    const auto told = [&] {
        std::multimap<std::string, FileChange> all;
        auto options = world.options();
        options.each = [&](FileChange change, const std::string& path) { all.emplace(path, change); };
        world.backup(options);
        return all;
    };
    using enum FileChange;
    EXPECT_EQ(told(), (std::multimap<std::string, FileChange>{{"/src/", added},
                                                              {"/src/d/", added},
                                                              {"/src/d/a", added},
                                                              {"/src/d/b", added},
                                                              {"/src/e/", added},
                                                              {"/src/e/c", added},
                                                              {"/src/e/d", added}}));
    world.tree.write("/src/d/b", "B");
    EXPECT_EQ(told(), (std::multimap<std::string, FileChange>{{"/src/", unchanged},
                                                              {"/src/d/", unchanged},
                                                              {"/src/d/a", unchanged},
                                                              {"/src/d/b", changed},
                                                              {"/src/e/", unchanged},
                                                              {"/src/e/c", unchanged},
                                                              {"/src/e/d", unchanged}}));
}

TEST(Walk, ProgressTellsWhatWasNotRead) {
    ArchiveWorld world;
    world.fill("/src", 40);
    world.backup();
    world.tree.write("/src/new", noise(100'000, 3));
    Progress last;
    auto watch = [&last](const Progress& now) { last = now; };
    world.world.run_for(std::chrono::seconds{10});
    world.world.run(archive::backup(world.env, world.tree, *world.volume, world.options(), watch)).value();
    EXPECT_EQ(last.bytes - last.passed_over, 100'000U);
}

}  // namespace
}  // namespace objstore::archive::test
