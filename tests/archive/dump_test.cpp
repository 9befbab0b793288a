// dump: the files of a snapshot in one stream, whole and in order.
#include "objstore/archive/dump.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive_world.hpp"
#include "base/error.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"

namespace objstore::archive::test {
namespace {

using testing::ElementsAre;

struct Recorded final : DumpSink {
    base::Result<void> begin(const DumpedFile& file) override {
        files.push_back(file);
        contents.emplace_back();
        return base::ok();
    }
    base::Result<void> write(base::ByteView bytes) override {
        if (full) return base::Errc::no_space;
        contents.back() += base::as_text(bytes);
        return base::ok();
    }
    [[nodiscard]] std::vector<std::string> paths() const {
        std::vector<std::string> out;
        for (const auto& file : files) out.push_back(file.path);
        return out;
    }

    std::vector<DumpedFile> files;
    std::vector<std::string> contents;
    bool full = false;
};

struct DumpWorld : ArchiveWorld {
    base::Result<DumpReport> dump(const std::string& path) {
        sink = Recorded{};
        auto fresh = world.run(Volume::open(env, storage, *high_water, owner_key(), "archive")).value();
        return world.run(archive::dump(env, *fresh, snapshot, path, sink));
    }
    void lose_where(BlockType type) {
        for (const auto& id : block_ids()) {
            if (BlockHeader::decode(storage.blocks().at(id).bytes)->type == type) return storage.lose_block(id);
        }
    }
    Snapshot snapshot;
    Recorded sink;
};

TEST(Dump, GivesADirectoryInOrderWithEverythingThatIsKnownOfIt) {
    DumpWorld w;
    const auto large = noise(3'000'000, 1);
    w.tree.write("/src/a/large", large);
    w.tree.write("/src/a/deep/file", "deep");
    w.tree.write("/src/z", "last");
    w.tree.symlink("/src/link", "a/large");
    w.tree.hard_link("/src/other", "/src/a/large");
    w.tree.set_xattr("/src/z", "user.note", base::to_bytes("remember"));
    w.tree.write_at("/src/sparse", 100, base::to_bytes("end"));
    w.snapshot = *w.backup().snapshot;
    const auto report = w.dump("/src").value();
    EXPECT_THAT(w.sink.paths(), ElementsAre("/src", "/src/link", "/src/other", "/src/sparse", "/src/z", "/src/a",
                                            "/src/a/large", "/src/a/deep", "/src/a/deep/file"));
    EXPECT_EQ(report.files, 6U);
    EXPECT_EQ(report.directories, 3U);
    EXPECT_EQ(w.sink.files[1].target, "a/large");
    EXPECT_EQ(w.sink.contents[2], base::as_text(large));
    EXPECT_EQ(w.sink.contents[3], std::string(100, '\0') + "end");
    ASSERT_EQ(w.sink.files[4].xattrs.size(), 1U);
    EXPECT_EQ(base::as_text(w.sink.files[4].xattrs[0].value), "remember");
    EXPECT_EQ(w.sink.files[6].first_name, "/src/other");
    EXPECT_EQ(w.sink.contents[6], "");
    EXPECT_EQ(report.bytes, large.size() + 103 + 4 + 4);
}

TEST(Dump, GivesOneFile) {
    DumpWorld w;
    w.tree.write("/src/a/file", "content");
    w.snapshot = *w.backup().snapshot;
    ASSERT_TRUE(w.dump("/src/a/file"));
    EXPECT_EQ(w.sink.contents, std::vector<std::string>{"content"});
    EXPECT_EQ(w.dump("/src/none").error(), Errc::no_such_path);
}

TEST(Dump, WhatIsDamagedIsLeftOutWholeAndNamed) {
    DumpWorld w;
    w.tree.write("/src/large", noise(3'000'000, 1));
    w.tree.write("/src/small", "small");
    w.snapshot = *w.backup().snapshot;
    w.lose_where(BlockType::data);
    const auto report = w.dump("/src").value();
    EXPECT_THAT(w.sink.paths(), ElementsAre("/src", "/src/small"));
    EXPECT_EQ(w.sink.contents.back(), "small");
    EXPECT_EQ(report.warnings.count(WarningKind::damaged), 1U);
    EXPECT_EQ(report.warnings.kinds().at(WarningKind::damaged).first[0].path, "/src/large");
}

TEST(Dump, DamageBehindTheWindowEndsItAndIsNamed) {
    DumpWorld w;
    w.tree.write("/src/large", noise(30'000'000, 1));
    w.snapshot = *w.backup().snapshot;
    SnapshotReader reader{*w.volume, w.snapshot};
    const auto node = w.world.run(reader.resolve("/src/large")).value();
    w.storage.lose_block(node.extents.back().extent.block->id);
    const auto done = w.dump("/src");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), Errc::damaged);
    EXPECT_THAT(done.error().detail(), testing::HasSubstr("/src/large"));
}

TEST(Dump, WhoCannotBeReachedAndWhoCannotTakeMoreEndIt) {
    DumpWorld w;
    w.tree.write("/src/large", noise(3'000'000, 1));
    w.snapshot = *w.backup().snapshot;
    const auto run = [&](Recorded& sink) {
        auto fresh = w.world.run(Volume::open(w.env, w.storage, *w.high_water, owner_key(), "archive")).value();
        return w.world.run(archive::dump(w.env, *fresh, w.snapshot, "/src/large", sink)).error();
    };
    Recorded full;
    full.full = true;
    EXPECT_EQ(run(full), base::Errc::no_space);
    SnapshotReader reader{*w.volume, w.snapshot};
    const auto id = w.world.run(reader.resolve("/src/large")).value().extents.at(1).extent.block->id;
    w.storage.fail_get = [id](const base::Guid& asked) -> std::optional<base::Error> {
        if (asked == id) return base::Error{past::Errc::holders_unreachable};
        return std::nullopt;
    };
    Recorded away;
    EXPECT_EQ(run(away), past::Errc::holders_unreachable);
}

}  // namespace
}  // namespace objstore::archive::test
