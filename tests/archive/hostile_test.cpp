// Archives that no backup made. Whatever they say, nothing is written outside the target, and what is honest in them
// comes back.
#include <gtest/gtest.h>

#include <algorithm>

#include "archive_world.hpp"
#include "objstore/error.hpp"

namespace objstore::archive::test {
namespace {

/// A tree made by hand.
class Hostile : public testing::Test {
  protected:
    Hostile() {
        world.tree.write("/outside/secret", "untouched");
        before = world.tree.describe("/outside");
        file(2, "honest", kRootInode, "honest bytes");
    }
    static Inode inode(base::FileType type, std::uint64_t size = 0) {
        Inode inode;
        inode.type = type;
        inode.mode = 0755;
        inode.size = size;
        inode.source_inode = 1;
        inode.mtime = base::Timestamp::from_ns(1);
        return inode;
    }
    void entry(InodeNumber directory, const std::string& name, InodeNumber number, base::FileType type) {
        items.push_back({{.inode = directory, .kind = Kind::entry, .sub = ++hash}, Entry{name, number, type}});
    }
    void directory(InodeNumber number, const std::string& name, InodeNumber in) {
        items.push_back({TreeKey::first(number, Kind::inode), inode(base::FileType::directory)});
        entry(in, name, number, base::FileType::directory);
    }
    void symlink(InodeNumber number, const std::string& name, InodeNumber in, std::string_view target) {
        items.push_back({TreeKey::first(number, Kind::inode), inode(base::FileType::symlink)});
        items.push_back({TreeKey::first(number, Kind::inline_data), InlineData{base::to_bytes(target)}});
        entry(in, name, number, base::FileType::symlink);
    }
    void file(InodeNumber number, const std::string& name, InodeNumber in, const std::string& text) {
        items.push_back({TreeKey::first(number, Kind::inode), inode(base::FileType::regular, text.size())});
        contents.emplace_back(number, text);
        entry(in, name, number, base::FileType::regular);
    }
    base::Task<base::Result<Snapshot>> commit() {
        BASE_CO_TRY(const auto session, co_await world.volume->begin());
        items.push_back({TreeKey::first(kRootInode, Kind::inode), inode(base::FileType::directory)});
        for (const auto& [number, text] : contents) {
            BASE_CO_TRY(auto block, co_await session->writer().write(BlockType::pack, {}, base::to_bytes(text)));
            Extent extent;
            extent.block = std::move(block);
            extent.length = text.size();
            items.push_back({TreeKey::first(number, Kind::extent), std::move(extent)});
        }
        for (auto& [key, extent] : more_extents) {
            if (!extent.block) {
                BASE_CO_TRY(extent.block, co_await session->writer().write(BlockType::pack, {}, noise(100, 1)));
            }
            items.push_back({key, extent});
        }
        std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
        TreeUpdate update{session->writer(), TreeShape{}};
        for (auto& item : items) BASE_CO_CHECK(co_await update.put(std::move(item)));
        Snapshot snapshot;
        BASE_CO_TRY(snapshot.root, co_await update.finish());
        snapshot.host = "evil";
        snapshot.paths = {"/"};
        BASE_CO_TRY(auto outcome, co_await world.volume->commit(*session, std::move(snapshot)));
        co_return std::move(outcome.snapshot);
    }
    /// Restores it, expects the honest file to be there and nothing to have happened outside.
    std::optional<RestoreReport> restore() {
        auto committed = world.world.run(commit());
        if (!committed) {  // the tree does not even write such a record
            EXPECT_EQ(committed.error(), base::Errc::bad_argument) << committed.error().message();
            return std::nullopt;
        }
        RestoreOptions options;
        options.target = "/restored/here";
        options.verify = true;
        auto report = world.restore(*committed, options);
        EXPECT_EQ(world.tree.describe("/outside"), before);
        EXPECT_TRUE(world.tree.exists("/restored/here/honest"));
        EXPECT_FALSE(world.tree.exists("/restored/evil"));
        EXPECT_FALSE(world.tree.exists("/evil"));
        return report;
    }

    ArchiveWorld world;
    std::string before;
    std::uint64_t hash = 0;
    std::vector<Item> items;
    std::vector<std::pair<InodeNumber, std::string>> contents;
    std::vector<std::pair<TreeKey, Extent>> more_extents;
};

TEST_F(Hostile, LinksThenFilesThroughThem) {
    symlink(3, "d", kRootInode, "/outside");
    directory(4, "d", kRootInode);
    file(5, "evil", 4, "through the link");
    symlink(6, "secret", kRootInode, "/outside/secret");
    file(7, "secret", kRootInode, "over the link");
    restore();
    EXPECT_FALSE(world.tree.exists("/outside/evil"));
}

TEST_F(Hostile, DirectoriesWithinThemselves) {
    directory(3, "a", kRootInode);
    directory(4, "b", 3);
    entry(4, "a again", 3, base::FileType::directory);
    entry(4, "root", kRootInode, base::FileType::directory);
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::refused), 2U);
    EXPECT_TRUE(world.tree.exists("/restored/here/a/b"));
}

TEST_F(Hostile, ExtentsBeyondTheirBlockOrFile) {
    for (const InodeNumber number : {10U, 11U, 12U}) {
        items.push_back({TreeKey::first(number, Kind::inode), inode(base::FileType::regular, 100)});
        entry(kRootInode, "file" + std::to_string(number), number, base::FileType::regular);
    }
    const auto add = [this](InodeNumber number, std::uint64_t at, std::uint32_t offset, std::uint64_t length) {
        Extent extent;
        extent.offset = offset;
        extent.length = length;
        more_extents.push_back({{.inode = number, .kind = Kind::extent, .sub = at}, extent});
    };
    add(10, 0, 50, 100);  // beyond the block
    add(11, 50, 0, 100);  // beyond the file
    add(12, 0, 0, 60);    // overlapping
    add(12, 30, 0, 60);
    const auto report = restore();
    ASSERT_TRUE(report) << "a tree may say so";
    EXPECT_EQ(report->warnings.count(), 3U);
    for (const auto number : {10, 11, 12}) {
        EXPECT_FALSE(world.tree.exists("/restored/here/file" + std::to_string(number)));
    }
}

TEST_F(Hostile, ExtentsBeyondWhatAnyFileCanHave) {
    items.push_back({TreeKey::first(10, Kind::inode), inode(base::FileType::regular, 100)});
    entry(kRootInode, "file10", 10, base::FileType::regular);
    Extent extent;
    extent.length = 100;
    more_extents.push_back({{.inode = 10, .kind = Kind::extent, .sub = UINT64_MAX - 10}, extent});
    EXPECT_FALSE(restore()) << "no tree says so";
}

TEST_F(Hostile, SizesThatNoFileHas) {
    items.push_back({TreeKey::first(10, Kind::inode), inode(base::FileType::regular, UINT64_MAX)});
    entry(kRootInode, "huge", 10, base::FileType::regular);
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::refused), 1U);
}

TEST_F(Hostile, EntriesThatNameNothingOrSomethingElse) {
    entry(kRootInode, "dangling", 99, base::FileType::regular);
    directory(10, "is a directory", kRootInode);
    entry(kRootInode, "says it is a file", 10, base::FileType::regular);
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::damaged), 2U);
}

TEST_F(Hostile, AListingGoesOnPastEntriesThatNameNothingAndNamesThem) {
    entry(kRootInode, "a dangling", 99, base::FileType::regular);
    directory(10, "deep", kRootInode);
    entry(10, "dangling", 98, base::FileType::directory);
    file(11, "z", 10, "behind it");
    const auto snapshot = world.world.run(commit()).value();
    std::vector<std::string> paths;
    auto show = [&paths](const ListedFile& listed) { paths.push_back(listed.path); };
    const auto warnings = world.world.run(list_files(*world.volume, snapshot, "/", true, show)).value();
    EXPECT_EQ(paths, (std::vector<std::string>{"/", "/deep", "/deep/z", "/honest"}));
    ASSERT_EQ(warnings.count(WarningKind::damaged), 2U);
    EXPECT_EQ(warnings.kinds().at(WarningKind::damaged).first[0].path, "/a dangling");
    EXPECT_EQ(warnings.kinds().at(WarningKind::damaged).first[1].path, "/deep/dangling");
}

TEST_F(Hostile, TheSameNameTwice) {
    file(10, "twice", kRootInode, "first");
    file(11, "twice", kRootInode, "second");
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::refused), 1U);
}

TEST_F(Hostile, AttributesNobodyAskedFor) {
    items.push_back({{.inode = 2, .kind = Kind::xattr, .sub = 1}, XattrRecord{"trusted.evil", base::to_bytes("x")}});
    world.tree.set_privileged(false);
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::unprivileged), 1U);
}

TEST_F(Hostile, TreesDeeperThanAnyPath) {
    for (InodeNumber number = 100; number < 5000; ++number) {
        directory(number, "d", number == 100 ? kRootInode : number - 1);
    }
    const auto report = restore();
    if (!report) return;
    EXPECT_EQ(report->warnings.count(WarningKind::refused), 1U);
}

// The tree's codec may refuse such names already; then the whole leaf is damaged, and that is said.
TEST(HostileNames, AreRefusedByTheTreeOrByTheTarget) {
    for (const std::string name : {"..", ".", "", "a/b", "/etc/passwd"}) {
        ArchiveWorld world;
        world.tree.make_directory("/restored");
        auto directory = world.tree.open("/restored").value();
        EXPECT_EQ(directory->create_file(name).error(), base::Errc::bad_argument) << name;
        EXPECT_EQ(directory->make_directory(name).error(), base::Errc::bad_argument) << name;
        EXPECT_EQ(directory->make_symlink(name, "x").error(), base::Errc::bad_argument) << name;
    }
}

}  // namespace
}  // namespace objstore::archive::test
