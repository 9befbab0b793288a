// copy: a snapshot in another volume, with all that is known of its files.
#include "objstore/archive/copy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "archive_world.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/error.hpp"
#include "objstore/gc/check.hpp"
#include "past/error.hpp"

namespace objstore::archive::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct CopyWorld : ArchiveWorld {
    CopyWorld() { other = make("mirror"); }

    std::unique_ptr<Volume> make(const std::string& name) {
        return world.run(Volume::create(env, storage, *high_water, owner_key(), name)).value();
    }
    void begin_again() {
        copier.reset();
        volume = world.run(Volume::open(env, storage, *high_water, owner_key(), "archive")).value();
        other = world.run(Volume::open(env, storage, *high_water, owner_key(), "mirror")).value();
    }
    base::Result<CopyReport> try_copy(const Snapshot& snapshot) {
        if (!copier) {
            CopyOptions options;
            options.cache_path = "cache/dedup-mirror";
            options.on_left_out = [this](const std::string& path, LeftOut) { left_out.push_back(path); };
            copier = std::make_unique<Copier>(env, *volume, *other, options);
        }
        left_out.clear();
        return world.run(copier->copy(snapshot));
    }
    CopyReport copy(const Snapshot& snapshot) { return try_copy(snapshot).value(); }

    struct File {
        Inode inode;
        std::vector<std::pair<std::string, base::Bytes>> xattrs;
        base::Bytes link;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;
        base::Bytes content;
        friend bool operator==(const File&, const File&) = default;
    };
    /// Everything that can be read of it: by path, without what keys and groups make of it.
    std::map<std::string, File> all_of(Volume& in, const Snapshot& snapshot) {
        SnapshotReader reader{in, snapshot};
        std::map<std::string, File> files;
        std::map<InodeNumber, std::string> first_names;
        std::vector<std::pair<std::string, InodeNumber>> todo{{"", kRootInode}};
        while (!todo.empty()) {
            const auto [path, number] = todo.back();
            todo.pop_back();
            const auto node = world.run(reader.nodes({number})).value().front();
            auto& file = files[path];
            file.inode = node.inode.value();
            for (const auto& xattr : node.xattrs)
                file.xattrs.emplace_back(xattr.name, world.run(reader.value_of(xattr)).value());
            std::ranges::sort(file.xattrs);
            file.link = node.inline_data;
            for (const auto& [offset, extent] : node.extents) {
                if (!extent.block) {
                    file.holes.emplace_back(offset, extent.length);
                    continue;
                }
                const auto block = world.run(in.reader().read(extent.block)).value();
                const auto bytes = bytes_of(extent, *block).value();
                file.content.resize(offset);
                file.content.insert(file.content.end(), bytes.begin(), bytes.end());
            }
            for (const auto& entry : world.run(reader.entries(number)).value())
                todo.emplace_back(path + "/" + entry.name, entry.inode);
        }
        return files;
    }
    void expect_equal(const Snapshot& snapshot, const Snapshot& made) {
        const auto before = all_of(*volume, snapshot), after = all_of(*other, made);
        ASSERT_EQ(before.size(), after.size());
        for (const auto& [path, file] : before) EXPECT_TRUE(after.at(path) == file) << path;
        EXPECT_EQ(made.time_ns, snapshot.time_ns);
        EXPECT_EQ(made.host, snapshot.host);
        EXPECT_EQ(made.user, snapshot.user);
        EXPECT_EQ(made.paths, snapshot.paths);
        EXPECT_EQ(made.tags, snapshot.tags);
        EXPECT_EQ(made.files, snapshot.files);
        EXPECT_EQ(made.directories, snapshot.directories);
        EXPECT_EQ(made.bytes, snapshot.bytes);
        EXPECT_EQ(made.program_version, snapshot.program_version);
    }
    /// A snapshot of the same files, whose tree has one record more.
    Snapshot with_record(const Snapshot& snapshot, TreeKey key) {
        const auto session = world.run(volume->begin()).value();
        TreeUpdate update{session->writer(), Tree{session->reader(), snapshot.root}};
        Item item{key, Opaque{.bytes = base::to_bytes("whatever it says"), .blocks = {snapshot.root}}};
        EXPECT_TRUE(world.run(update.put(std::move(item))));
        auto next = snapshot;
        next.root = world.run(update.finish()).value();
        ++next.time_ns;
        return world.run(volume->commit(*session, std::move(next))).value().snapshot;
    }
    std::vector<Snapshot> copies() { return world.run(other->snapshots()).value(); }

    std::unique_ptr<Volume> other;
    std::unique_ptr<Copier> copier;
    std::vector<std::string> left_out;
};

TEST(Copy, HasEverythingThatIsKnownOfTheFiles) {
    CopyWorld w;
    w.fill("/src", 300);
    w.tree.write("/src/large", noise(5'000'000, 1));
    w.tree.write_at("/src/sparse", 3'000'000, base::as_bytes("after a hole"));
    w.tree.hard_link("/src/other-name", "/src/large");
    w.tree.symlink("/src/link", "large");
    w.tree.set_xattr("/src/large", "user.short", base::as_bytes("value"));
    const auto value = prose(10'000, 7);
    w.tree.set_xattr("/src/large", "user.long", base::as_bytes(value));
    auto options = w.options();
    options.tags = {"daily", "first"};
    const auto old = *w.backup(options).snapshot;
    const auto report = w.copy(old);
    EXPECT_FALSE(report.was_there);
    EXPECT_EQ(report.left_out, 0U);
    EXPECT_EQ(report.snapshot.original, old.id());
    w.expect_equal(old, report.snapshot);
    EXPECT_THAT(w.world.run(gc::check(*w.other, {})).value().damaged, IsEmpty());
    EXPECT_EQ(w.copies().size(), 1U);
}

TEST(Copy, NothingOfItCanBeReadWithTheOtherVolumesBlocks) {
    CopyWorld w;
    w.fill("/src", 100);
    const auto old = *w.backup().snapshot;
    const auto before = w.block_ids();
    const auto made = w.copy(old).snapshot;
    for (const auto& id : before) w.storage.lose_block(id);
    w.begin_again();
    EXPECT_EQ(w.all_of(*w.other, made).size(), old.files + old.directories + 1);
}

TEST(Copy, ConflictsOfALiveTreeStayWithIt) {
    for (const bool with_base : {false, true}) {
        SCOPED_TRACE(with_base);
        CopyWorld w;
        w.fill("/src", 50);
        const auto first = *w.backup().snapshot;
        if (with_base) w.copy(first);
        auto key = TreeKey::first(0, Kind::conflict);
        key.sub = 7;
        const auto old = w.with_record(first, key);
        const auto made = w.copy(old).snapshot;
        w.expect_equal(old, made);
        EXPECT_EQ(w.world.run(Tree{w.other->reader(), made.root}.find(key)).value(), std::nullopt);
        EXPECT_THAT(w.world.run(gc::check(*w.other, {})).value().damaged, IsEmpty());
    }
}

TEST(Copy, ATreeWithRecordsOfALaterVersionIsRefused) {
    for (const bool with_base : {false, true}) {
        SCOPED_TRACE(with_base);
        CopyWorld w;
        w.fill("/src", 50);
        const auto first = *w.backup().snapshot;
        if (with_base) w.copy(first);
        const auto old = w.with_record(first, TreeKey::first(kRootInode, Kind{200}));
        const auto before = w.copies().size();
        const auto blocks = w.block_ids();
        const auto report = w.try_copy(old);
        ASSERT_FALSE(report);
        EXPECT_EQ(report.error(), base::Errc::unsupported);
        EXPECT_EQ(w.copies().size(), before);
        EXPECT_EQ(w.block_ids(), blocks) << "nothing was stored";
    }
}

TEST(Copy, ReadsEachBlockOnceHoweverManyFilesAreInIt) {
    CopyWorld w;
    w.fill("/src", 1000);
    w.tree.write("/src/large", noise(5'000'000, 1));
    w.tree.write("/src/twin", noise(5'000'000, 1));
    const auto old = *w.backup().snapshot;
    std::set<base::Guid> blocks;
    for (const auto& item : w.world.run(Tree{w.volume->reader(), old.root}.range({}, {.inode = UINT64_MAX})).value()) {
        if (const auto* extent = std::get_if<Extent>(&item.value)) blocks.insert(extent->block->id);
    }
    const auto report = w.copy(old);
    EXPECT_EQ(report.blocks_read, blocks.size());
    EXPECT_EQ(report.bytes_read, old.bytes - 5'000'000) << "the twins share their chunks";
    EXPECT_EQ(report.bytes_new, report.bytes_read);
}

TEST(Copy, WhatWasCopiedIsPassedOverAlsoByAnotherRun) {
    CopyWorld w;
    w.fill("/src", 50);
    const auto old = *w.backup().snapshot;
    const auto made = w.copy(old).snapshot;
    for (int again = 0; again < 2; ++again) {
        const auto report = w.copy(old);
        EXPECT_TRUE(report.was_there);
        EXPECT_EQ(report.snapshot.id(), made.id());
        w.begin_again();
    }
    EXPECT_EQ(w.copies().size(), 1U);
}

TEST(Copy, OtherTagsMakeAnotherCopyWithoutReading) {
    CopyWorld w;
    w.fill("/src", 50);
    const auto old = *w.backup().snapshot;
    w.copy(old);
    auto tagged = old;
    tagged.tags = {"kept"};
    tagged.original = old.id();
    EXPECT_EQ(w.world.run(w.volume->replace({{old.id(), tagged}})).value(), 1U);
    w.begin_again();
    const auto report = w.copy(tagged);
    EXPECT_FALSE(report.was_there);
    EXPECT_EQ(report.snapshot.original, old.id());
    EXPECT_EQ(report.snapshot.tags, tagged.tags);
    EXPECT_EQ(report.bytes_new, 0U);
    w.expect_equal(tagged, report.snapshot);
}

TEST(Copy, TheWayBackFindsTheOriginal) {
    CopyWorld w;
    w.fill("/src", 50);
    const auto old = *w.backup().snapshot;
    const auto made = w.copy(old).snapshot;
    Copier back{w.env, *w.other, *w.volume, {}};
    const auto report = w.world.run(back.copy(made)).value();
    EXPECT_TRUE(report.was_there);
    EXPECT_EQ(report.snapshot.id(), old.id());
}

TEST(Copy, TheNextOneReadsOnlyWhatChanged) {
    for (const bool another_run : {false, true}) {
        SCOPED_TRACE(another_run);
        CopyWorld w;
        w.fill("/src", 600);
        w.tree.write("/src/large", noise(9'000'000, 1));
        const auto first = *w.backup().snapshot;
        w.copy(first);
        w.tree.write("/src/d7/f140", "changed");
        w.tree.write("/src/d7/new", "new");
        w.tree.remove("/src/d9/f180");
        w.tree.remove("/src/d10");
        w.tree.rename("/src/d12", "/src/d12-renamed");
        w.tree.set_xattr("/src/d14/f280", "user.x", base::as_bytes("1"));
        w.tree.write_at("/src/large", 5'000'000, base::as_bytes("changed"));
        const auto second = *w.backup().snapshot;
        if (another_run) w.begin_again();
        const auto report = w.copy(second);
        EXPECT_LE(report.blocks_read, 6U);
        EXPECT_LT(report.bytes_stored, 8'000'000U);
        EXPECT_EQ(report.snapshot.parent, w.copies().front().id());
        w.expect_equal(second, report.snapshot);
    }
}

TEST(Copy, TheNextBackupToTheOtherVolumeGoesOnFromIt) {
    CopyWorld w;
    w.fill("/src", 200);
    for (int i = 0; i < 5; ++i) {  // the generations of the other volume are behind
        w.tree.write("/src/again", std::to_string(i));
        w.backup();
    }
    const auto old = *w.backup().snapshot;
    const auto made = w.copy(old).snapshot;
    std::swap(w.volume, w.other);
    w.tree.write("/src/d3/fresh", "fresh");
    auto options = w.options();
    options.cache_path = "cache/dedup-mirror";
    const auto next = w.backup(options);
    EXPECT_EQ(next.parent, made.id());
    EXPECT_EQ(next.files.added, 1U);
    EXPECT_EQ(next.files.changed, 0U);
    for (int i = 0; i < 8; ++i) {  // until its generations are those of the files that were copied
        w.tree.write("/src/more" + std::to_string(i), std::to_string(i));
        const auto report = w.backup(options);
        EXPECT_EQ(report.files.added, 1U);
        EXPECT_EQ(report.removed, 0U);
        w.restore(*report.snapshot);
        EXPECT_EQ(w.tree.read("/restored/src/again"), w.tree.read("/src/again"));
        for (int j = 0; j <= i; ++j) {
            EXPECT_EQ(base::as_text(w.tree.read("/restored/src/more" + std::to_string(j))), std::to_string(j));
        }
    }
}

TEST(Copy, AnOlderOneThatIsCopiedLaterIsNotTheLatest) {
    CopyWorld w;
    w.tree.write("/src/a", "1");
    const auto first = *w.backup().snapshot;
    w.tree.write("/src/a", "2");
    const auto second = *w.backup().snapshot;
    const auto newest = w.copy(second).snapshot;
    w.copy(first);
    const auto listed = w.copies();
    EXPECT_EQ(find_snapshot(listed, "latest").value().id(), newest.id());
    std::swap(w.volume, w.other);
    const auto own = *w.backup().snapshot;
    std::swap(w.volume, w.other);
    EXPECT_EQ(find_snapshot(w.copies(), "latest").value().id(), own.id());
}

TEST(Copy, AFileThatLostABlockIsNamedAndTheRestIsCopied) {
    CopyWorld w;
    w.fill("/src", 100);
    w.tree.write("/src/large", noise(3'000'000, 1));
    const auto old = *w.backup().snapshot;
    SnapshotReader reader{*w.volume, old};
    const auto node = w.world.run(reader.resolve("/src/large")).value();
    w.storage.lose_block(node.extents.at(1).extent.block->id);
    w.begin_again();
    const auto report = w.copy(old);
    EXPECT_THAT(w.left_out, ElementsAre("/src/large"));
    EXPECT_EQ(report.left_out, 1U);
    EXPECT_EQ(report.snapshot.files, old.files - 1);
    EXPECT_EQ(report.snapshot.partial, 1U);
    EXPECT_THAT(w.world.run(gc::check(*w.other, {})).value().damaged, IsEmpty());
    // Again: it is named again, and makes no second copy. The next snapshot names it, too.
    w.begin_again();
    EXPECT_TRUE(w.copy(old).was_there);
    EXPECT_THAT(w.left_out, ElementsAre("/src/large"));
    EXPECT_EQ(w.copies().size(), 1U);
    auto next = old;
    next.time_ns += 1;
    EXPECT_EQ(w.copy(next).left_out, 1U);
    EXPECT_THAT(w.left_out, ElementsAre("/src/large"));
}

TEST(Copy, WhateverNodeOfItsTreeIsLostTheRestIsCopied) {
    CopyWorld probe;
    probe.fill("/src", 1500);
    const auto nodes = probe.world.run(Tree{probe.volume->reader(), probe.backup().snapshot->root}.nodes()).value();
    ASSERT_GE(nodes.size(), 3U);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        SCOPED_TRACE(i);
        CopyWorld w;
        w.fill("/src", 1500);
        const auto old = *w.backup().snapshot;
        w.storage.lose_block(nodes[i].id);
        w.begin_again();
        const auto report = w.try_copy(old);
        if (i == 0) {
            EXPECT_EQ(report.error(), Errc::damaged) << "nothing can be read of it";
            continue;
        }
        ASSERT_TRUE(report) << report.error().message();
        EXPECT_GT(report->left_out, 0U);
        EXPECT_FALSE(w.left_out.empty());
        EXPECT_LT(report->snapshot.files, old.files);
        EXPECT_THAT(w.world.run(gc::check(*w.other, {})).value().damaged, IsEmpty());
    }
}

TEST(Copy, HoldersThatDoNotAnswerAreNoDamage) {
    CopyWorld w;
    w.fill("/src", 100);
    const auto old = *w.backup().snapshot;
    w.begin_again();
    w.storage.fail_get = [](const base::Guid&) { return base::Error{past::Errc::holders_unreachable}; };
    const auto report = w.try_copy(old);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error(), past::Errc::holders_unreachable);
    EXPECT_THAT(w.left_out, IsEmpty());
}

TEST(Copy, ARunThatWasCutOffIsNotDoneTwice) {
    CopyWorld w;
    w.fill("/src", 100);
    w.tree.write("/src/large", noise(9'000'000, 1));
    const auto old = *w.backup().snapshot;
    int puts = 0;
    w.storage.fail_put = [&](const auto&) {
        return ++puts > 3 ? std::optional{base::Error{past::Errc::holders_unreachable}} : std::nullopt;
    };
    EXPECT_EQ(w.try_copy(old).error(), past::Errc::holders_unreachable);
    EXPECT_THAT(w.copies(), IsEmpty());
    w.storage.fail_put = nullptr;
    w.begin_again();
    const auto report = w.copy(old);
    EXPECT_LT(report.bytes_new, old.bytes - 2'000'000) << "what had arrived is not stored again";
    w.expect_equal(old, report.snapshot);
}

TEST(Copy, ABlockOfTheLastCopyThatIsLostIsStoredAgain) {
    CopyWorld w;
    w.fill("/src", 200);
    const auto first = *w.backup().snapshot;
    const auto made = w.copy(first).snapshot;
    SnapshotReader reader{*w.other, made};
    const auto node = w.world.run(reader.resolve("/src/d1/f20")).value();
    w.storage.lose_block(node.extents.at(0).extent.block->id);
    w.tree.write("/src/new", "new");
    const auto second = *w.backup().snapshot;
    w.begin_again();
    const auto report = w.copy(second);
    w.expect_equal(second, report.snapshot);
    EXPECT_EQ(report.snapshot.parent, std::nullopt);
}

}  // namespace
}  // namespace objstore::archive::test
