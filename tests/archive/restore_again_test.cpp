// What a restore makes of what is in the target already: of an earlier restore that did not end, or the user's own.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

class RestoreAgain : public testing::Test {
  protected:
    /// As another process would: nothing is in memory.
    void open_again() {
        world.volume =
            world.world.run(Volume::open(world.env, world.storage, *world.high_water, owner_key(), "archive")).value();
    }
    RestoreReport restore(Overwrite overwrite = Overwrite::always, bool verify = false) {
        open_again();
        RestoreOptions options;
        options.overwrite = overwrite;
        options.verify = verify;
        return world.restore(snapshot, options);
    }
    std::string text(const std::string& path) { return std::string{base::as_text(world.tree.read(path))}; }
    bool same() { return world.tree.describe("/restored/src") == world.tree.describe("/src"); }
    std::vector<std::string> names(const std::string& path) {
        std::vector<std::string> names;
        for (const auto& entry : world.tree.open(path).value()->list().value()) names.push_back(entry.name);
        return names;
    }
    void lose_content() {
        std::set<base::Guid> content;
        for (const auto& [id, stored] : world.storage.blocks()) {
            const auto type = BlockHeader::decode(stored.bytes)->type;
            if (type == BlockType::pack || type == BlockType::data) content.insert(id);
        }
        for (const auto& id : content) world.storage.lose_block(id);
    }
    /// Ends a restore after so many blocks.
    void end_after(unsigned blocks) {
        unsigned gets = 0;
        world.storage.fail_get = [gets, blocks](const auto&) mutable -> std::optional<base::Error> {
            if (++gets > blocks) return base::Error{past::Errc::holders_unreachable};
            return std::nullopt;
        };
        open_again();
        EXPECT_EQ(world.try_restore(snapshot, {}).error(), past::Errc::holders_unreachable);
        world.storage.fail_get = {};
    }

    ArchiveWorld world;
    Snapshot snapshot;
};

TEST_F(RestoreAgain, AnotherNameIsNeverLinkedToWhatThisRestoreDidNotMake) {
    world.tree.write("/src/a", prose(6000, 1));
    world.tree.hard_link("/src/b", "/src/a");
    snapshot = *world.backup().snapshot;
    lose_content();
    world.tree.write("/restored/src/a", "of an earlier restore");
    world.tree.write("/restored/src/b", "the user's own");
    const auto report = restore();
    EXPECT_EQ(text("/restored/src/a"), "of an earlier restore");
    EXPECT_EQ(text("/restored/src/b"), "the user's own");
    ASSERT_EQ(report.warnings.count(WarningKind::damaged), 1U);
    EXPECT_EQ(report.warnings.kinds().at(WarningKind::damaged).first.front().path, "/src/a");
    ASSERT_EQ(report.warnings.count(WarningKind::unwritable), 1U);
    EXPECT_EQ(report.warnings.kinds().at(WarningKind::unwritable).first.front().path, "/src/b");
    EXPECT_EQ(report.files, 0U);
    EXPECT_EQ(report.failed, 2U);
}

TEST_F(RestoreAgain, AnotherNameOfAFileThatIsKeptAsItIsGetsTheContentOfTheSnapshot) {
    world.tree.write("/src/a", "of the snapshot");
    for (const auto* name : {"/src/b", "/src/c"}) world.tree.hard_link(name, "/src/a");
    snapshot = *world.backup().snapshot;
    world.tree.write("/restored/src/a", "the user's own");
    const auto report = restore(Overwrite::never);
    EXPECT_EQ(text("/restored/src/a"), "the user's own");
    EXPECT_EQ(text("/restored/src/b"), "of the snapshot");
    EXPECT_EQ(world.tree.stat("/restored/src/b").inode, world.tree.stat("/restored/src/c").inode);
    EXPECT_EQ(report.kept, 1U);
    EXPECT_EQ(report.files, 2U);
}

TEST_F(RestoreAgain, ARepeatedRestoreOfFilesWithSeveralNamesLeavesNothingBehind) {
    world.tree.write("/src/a", "text");
    world.tree.hard_link("/src/b", "/src/a");
    world.tree.symlink("/src/l", "a");
    world.tree.hard_link("/src/m", "/src/l");
    snapshot = *world.backup().snapshot;
    for (const auto overwrite : {Overwrite::always, Overwrite::always, Overwrite::if_changed, Overwrite::never}) {
        const auto report = restore(overwrite);
        EXPECT_EQ(names("/restored/src"), names("/src"));
        EXPECT_TRUE(same());
        EXPECT_FALSE(report.warnings.partial());
    }
}

TEST_F(RestoreAgain, AFileWithMoreNamesThanTheTargetTakesIsCopied) {
    world.tree.write("/src/1", prose(5000, 1));
    for (int name = 2; name <= 7; ++name) world.tree.hard_link("/src/" + std::to_string(name), "/src/1");
    snapshot = *world.backup().snapshot;
    world.tree.set_most_links(3);
    const auto report = restore();
    for (int name = 1; name <= 7; ++name) {
        EXPECT_EQ(text("/restored/src/" + std::to_string(name)), prose(5000, 1));
        EXPECT_EQ(world.tree.stat("/restored/src/" + std::to_string(name)).nlink, name == 7 ? 1U : 3U) << name;
    }
    EXPECT_EQ(report.files, 7U);
    EXPECT_EQ(report.warnings.count(WarningKind::unlinked), 2U);
    EXPECT_EQ(report.warnings.count(), 2U);
}

TEST_F(RestoreAgain, WhatIsThereAlreadyIsNeitherFetchedNorWrittenAgain) {
    world.fill("/src", 100);
    world.tree.write("/src/large", noise(5'000'000, 1));
    world.tree.write_at("/src/sparse", 1U << 20U, noise(70'000, 2));
    world.tree.resize("/src/sparse", 3U << 20U);
    world.tree.write("/src/empty", "");
    world.tree.symlink("/src/link", "large");
    world.tree.special("/src/fifo", base::FileType::fifo);
    world.tree.set_xattr("/src/d1/f30", "user.x", base::as_bytes("1"));
    snapshot = *world.backup().snapshot;
    EXPECT_EQ(restore().files, 105U);
    const auto inode = [&](const std::string& name) { return world.tree.stat("/restored/src/" + name).inode; };
    const std::vector<std::uint64_t> before{inode("d1/f30"), inode("large"), inode("sparse"), inode("link")};
    lose_content();  // it will not be asked for
    for (const auto overwrite : {Overwrite::always, Overwrite::if_changed}) {
        const auto report = restore(overwrite, /*verify=*/true);
        EXPECT_EQ(report.files, 0U);
        EXPECT_EQ(report.kept, 105U);
        EXPECT_EQ(report.verified, 103U);
        EXPECT_EQ(report.warnings.count(), 0U);
        EXPECT_EQ(before, (std::vector{inode("d1/f30"), inode("large"), inode("sparse"), inode("link")}));
        EXPECT_TRUE(same());
    }
}

TEST_F(RestoreAgain, WhateverDiffersIsMadeAnewAndExactlyAsTheSnapshotHasIt) {
    world.tree.write("/src/file", prose(9000, 1));
    world.tree.write_at("/src/sparse", 1U << 20U, noise(70'000, 2));
    world.tree.make_directory("/src/directory");
    world.tree.set_xattr("/src/directory", "user.kept", base::as_bytes("1"));
    snapshot = *world.backup().snapshot;
    const auto now = [&] { return world.tree.stat("/src/file").mtime; };
    using Change = std::function<void()>;
    const std::string file = "/restored/src/file";
    for (const auto& change :
         {Change{[&] { world.tree.write_at(file, 5000, base::as_bytes("x")); }},
          Change{[&] { world.tree.write_at("/restored/src/sparse", 4096, base::as_bytes("x")); }},
          Change{[&] { world.tree.set_mode(file, 0666); }}, Change{[&] { world.tree.set_owner(file, 7, 0); }},
          Change{[&] { world.tree.set_xattr(file, "user.added", base::as_bytes("1")); }},
          Change{[&] { world.tree.set_xattr(file, "system.posix_acl_access", base::as_bytes("acl")); }},
          Change{[&] { world.tree.hard_link("/restored/other", file); }},
          Change{[&] { world.tree.set_xattr("/restored/src/directory", "user.added", base::as_bytes("1")); }},
          Change{[&] { world.tree.set_xattr("/restored/src", "system.posix_acl_default", base::as_bytes("acl")); }}}) {
        restore();
        ASSERT_TRUE(same());
        change();
        world.tree.set_mtime(file, now());
        world.tree.set_mtime("/restored/src/sparse", world.tree.stat("/src/sparse").mtime);
        ASSERT_EQ(restore().warnings.count(), 0U);
        EXPECT_TRUE(same()) << world.tree.describe("/restored");
    }
    EXPECT_EQ(text("/restored/other"), text("/src/file"));
    EXPECT_NE(world.tree.stat("/restored/other").inode, world.tree.stat(file).inode);
}

TEST_F(RestoreAgain, AnUnfinishedFileHasAnotherNameAndIsGoneOnWith) {
    world.tree.write("/src/large", noise(20'000'000, 1));
    snapshot = *world.backup().snapshot;
    end_after(12);
    const auto unfinished = names("/restored/src");
    ASSERT_EQ(unfinished.size(), 1U);
    EXPECT_TRUE(unfinished[0].ends_with(".restoring"));
    const auto there = world.tree.stat("/restored/src/" + unfinished[0]).size;
    EXPECT_GT(there, 2'000'000U);
    const auto report = restore();
    EXPECT_EQ(report.bytes, 20'000'000U - there);
    EXPECT_EQ(report.files, 1U);
    EXPECT_TRUE(same());
    EXPECT_EQ(names("/restored/src"), std::vector<std::string>{"large"});
}

TEST_F(RestoreAgain, OfAnUnfinishedFileOnlyWhatIsRightIsKept) {
    world.tree.write("/src/large", noise(20'000'000, 1));
    snapshot = *world.backup().snapshot;
    end_after(12);
    const auto path = "/restored/src/" + names("/restored/src").at(0);
    world.tree.write_at(path, 1'500'000, base::as_bytes("rot"));
    const auto report = restore();
    EXPECT_GT(report.bytes, 18'000'000U);
    EXPECT_LT(report.bytes, 20'000'000U);
    EXPECT_TRUE(same());
}

TEST_F(RestoreAgain, AnUnfinishedFileThatOthersCanReachIsNotUsed) {
    world.tree.write("/src/large", noise(20'000'000, 1));
    snapshot = *world.backup().snapshot;
    using Change = std::function<void(const std::string&)>;
    for (const auto& change :
         {Change{[&](const auto& path) { world.tree.set_mode(path, 0666); }},
          Change{[&](const auto& path) { world.tree.set_owner(path, 7, 0); }},
          Change{[&](const auto& path) { world.tree.hard_link("/mine", path); }}, Change{[&](const auto& path) {
              world.tree.remove(path);
              world.tree.symlink(path, "/mine");
          }}}) {
        if (world.tree.exists("/restored")) world.tree.remove("/restored");
        end_after(12);
        const auto path = "/restored/src/" + names("/restored/src").at(0);
        change(path);
        const auto mine = world.tree.exists("/mine") ? text("/mine") : "";
        EXPECT_EQ(restore().bytes, 20'000'000U);
        EXPECT_TRUE(same());
        EXPECT_EQ(world.tree.exists("/mine") ? text("/mine") : "", mine);
        EXPECT_EQ(names("/restored/src"), std::vector<std::string>{"large"});
    }
}

TEST_F(RestoreAgain, ACancelledRestoreShowsWholeFilesOnlyAndTheNextGoesOn) {
    world.fill("/src", 600);
    for (std::uint32_t i = 0; i < 4; ++i) {
        world.tree.write("/src/large" + std::to_string(i), noise(5'000'000, i));
    }
    snapshot = *world.backup().snapshot;
    const auto whole = restore();
    unsigned cut_short = 0;
    for (const int after_ms : {0, 1, 3, 8, 20, 60}) {
        world.tree.remove("/restored");
        open_again();
        boost::asio::cancellation_signal stop;
        bool done = false;
        RestoreOptions options;
        options.target = "/restored";
        boost::asio::co_spawn(world.env.executor,
                              archive::restore(world.env, world.tree, *world.volume, snapshot, options),
                              boost::asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr error, auto) {
                                  if (error) ++cut_short;
                                  done = true;
                              }));
        world.world.run_for(std::chrono::milliseconds{after_ms});
        stop.emit(boost::asio::cancellation_type::all);
        world.world.run_until([&] { return done; }, std::chrono::seconds{30});
        std::uint64_t finished = 0;
        for (const auto& path : world.list(snapshot)) {
            if (!world.tree.exists("/restored" + path)) continue;
            if (world.tree.stat(path).type != base::FileType::regular) continue;
            EXPECT_EQ(world.tree.stat("/restored" + path).mtime, world.tree.stat(path).mtime);
            EXPECT_TRUE(world.tree.read("/restored" + path) == world.tree.read(path)) << path;
            ++finished;
        }
        const auto again = restore();
        EXPECT_EQ(again.kept, finished);
        EXPECT_EQ(again.files, whole.files - finished);
        EXPECT_EQ(again.warnings.count(), 0U);
        EXPECT_TRUE(same());
    }
    EXPECT_GE(cut_short, 2U);
}

}  // namespace
}  // namespace objstore::archive::test
