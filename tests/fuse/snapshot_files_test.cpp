#include "fuse/snapshot_files.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>

#include "fuse/world.hpp"
#include "objstore/live/order.hpp"

namespace fusefs::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr std::int64_t kSecond = 1'000'000'000;

/// Puts another record in the place of a snapshot's.
class WriteAgain final : public objstore::ForestEditor {
  public:
    explicit WriteAgain(objstore::Snapshot snapshot) : snapshot_{std::move(snapshot)} {}
    base::Task<base::Result<std::optional<objstore::ForestEdit>>> edit(objstore::Tree /*forest*/,
                                                                       objstore::BlockWriter& /*writer*/) override {
        objstore::ForestEdit edit;
        edit.put.push_back({objstore::snapshot_key(snapshot_.id()), snapshot_.encode()});
        co_return std::optional{std::move(edit)};
    }

    /// Nothing but what the forest names as its live tree.
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    objstore::Snapshot snapshot_;
};

/// Snapshots are made of what a mount of the volume holds.
class SnapshotFilesTest : public FileSystemTest {
  protected:
    void SetUp() override {
        FileSystemTest::SetUp();
        live_.emplace(mount());
    }
    void TearDown() override { run(live_->volume->finish()); }

    /// A file of the live tree with this content.
    void write_live(const std::string& name, const std::string& text) {
        const auto found = run((*live_)->lookup(kRootNode, name));
        const auto node = found->node != 0 ? found->node : make(*live_, name);
        const auto handle = open(*live_, node);
        EXPECT_EQ(write(*live_, node, handle, 0, text), 0);
        (*live_)->release(node, handle, std::nullopt);
    }
    objstore::BlockRefPtr live_root() {
        EXPECT_TRUE(run(live_->tree->commit()));
        const auto nodes = std::make_shared<objstore::NodeCache>(1U << 20U);
        return run(objstore::make_record_order(env_, *live_->volume, nodes)->newest())->root;
    }
    void take_snapshot(std::string host, std::int64_t time_ns) {
        objstore::Snapshot snapshot;
        snapshot.root = live_root();
        snapshot.host = std::move(host);
        snapshot.time_ns = time_ns;
        const auto session = *run(live_->volume->begin());
        snapshot.sequence = session->generation();
        ASSERT_TRUE(run(live_->volume->commit(*session, std::move(snapshot))));
    }

    /// "all/N" for each, "hosts/HOST/N", a link "latest" beside, and an empty directory.
    static std::vector<SnapshotName> names(const std::vector<objstore::Snapshot>& snapshots) {
        std::vector<SnapshotName> all{{"empty", std::nullopt, {}}};
        for (std::size_t i = 0; i < snapshots.size(); ++i) {
            all.push_back({"all/" + std::to_string(i), i, {}});
            all.push_back({"hosts/" + snapshots[i].host + "/" + std::to_string(i), i, {}});
        }
        if (!snapshots.empty()) all.push_back({"all/latest", std::nullopt, std::to_string(snapshots.size() - 1)});
        return all;
    }
    void show(SnapshotFilesConfig config = {}) {
        std::string name = "v";
        shown_of_ = *run(objstore::Volume::open(env_, storage_, *marks_, owner_, std::move(name)));
        config.names = names;
        auto opened = run(SnapshotFiles::open(env_, *shown_of_, std::move(config)));
        ASSERT_TRUE(opened) << opened.error().message();
        files_ = std::move(*opened);
    }

    /// The node at a path; 0: there is none. The kernel remembers all on the way.
    NodeId at(const std::string& path) {
        NodeId node = kRootNode;
        for (std::size_t begin = 0; begin < path.size() && node != 0;) {
            const auto end = std::min(path.find('/', begin), path.size());
            const auto found = run(files_->lookup(node, path.substr(begin, end - begin)));
            EXPECT_TRUE(found) << path << ": " << found.error().message();
            node = found ? found->node : 0;
            begin = end + 1;
        }
        return node;
    }
    std::vector<std::string> list(NodeId node) {
        std::vector<std::string> out;
        std::uint64_t offset = 0;
        for (;;) {
            const auto some = run(files_->list(node, offset, 3, true));
            EXPECT_TRUE(some) << some.error().message();
            if (!some) return out;
            for (const auto& entry : *some) {
                if (!entry.is_dot()) out.push_back(entry.name);
            }
            if (some->size() < 3) return out;
            offset = some->back().offset;
        }
    }
    std::string content(NodeId node) {
        const auto pieces = run(files_->read(node, 0, 0, 1U << 20U));
        EXPECT_TRUE(pieces) << pieces.error().message();
        std::string text;
        for (const auto& piece : *pieces) text += base::as_text(piece.bytes);
        return text;
    }

    std::optional<Mounted> live_;
    std::unique_ptr<objstore::Volume> shown_of_;
    std::unique_ptr<SnapshotFiles> files_;
};

TEST_F(SnapshotFilesTest, EachSnapshotIsBehindItsNames) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    write_live("f", "two");
    take_snapshot("bert", 2 * kSecond);
    show();
    EXPECT_THAT(list(kRootNode), UnorderedElementsAre("all", "empty", "hosts"));
    EXPECT_THAT(list(at("all")), UnorderedElementsAre("0", "1", "latest"));
    EXPECT_THAT(list(at("hosts")), UnorderedElementsAre("ada", "bert"));
    EXPECT_THAT(list(at("empty")), ElementsAre());
    EXPECT_EQ(content(at("all/0/f")), "one");
    EXPECT_EQ(content(at("all/1/f")), "two");
    EXPECT_EQ(content(at("hosts/ada/0/f")), "one");
    EXPECT_EQ(*run(files_->read_link(at("all/latest"))), "1");
    EXPECT_EQ(at("all/2"), 0U);
    EXPECT_EQ(at("all/0/none"), 0U);
}

TEST_F(SnapshotFilesTest, DirectoriesOnTheWaySayHowManyAreInThemAndWhenTheNewestWasMade) {
    take_snapshot("ada", 1 * kSecond);
    take_snapshot("bert", 2 * kSecond);
    show();
    const auto root = *run(files_->attributes(kRootNode));
    EXPECT_EQ(root.inode.nlink, 2U + 3U);
    EXPECT_EQ(root.inode.mode, 0555U);
    EXPECT_EQ(root.inode.mtime, base::Timestamp::from_ns(2 * kSecond));
    EXPECT_EQ(run(files_->attributes(at("all")))->inode.nlink, 2U + 2U);
    EXPECT_EQ(run(files_->attributes(at("all/0")))->inode.mtime, base::Timestamp::from_ns(1 * kSecond));
    EXPECT_EQ(run(files_->attributes(at("all/latest")))->inode.size, 1U);
}

TEST_F(SnapshotFilesTest, AFileHasItsOwnNumberInEachPlaceAndTheSameOnEveryMount) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    take_snapshot("ada", 2 * kSecond);
    std::vector<NodeId> before;
    for (int i = 0; i < 2; ++i) {
        show();
        std::vector<NodeId> numbers;
        for (const auto* path : {"all", "all/0", "all/1", "all/0/f", "all/1/f", "hosts/ada/0/f", "all/latest"}) {
            const auto node = at(path);
            EXPECT_EQ(run(files_->attributes(node))->number, node) << path;
            numbers.push_back(node);
        }
        EXPECT_EQ(std::set(numbers.begin(), numbers.end()).size(), numbers.size());
        if (i > 0) {
            EXPECT_EQ(numbers, before);
        }
        before = numbers;
    }
    for (const auto& entry : *run(files_->list(at("all/0"), 0, 10, false))) {
        if (entry.is_dot()) continue;
        EXPECT_EQ(entry.name, "f");
        EXPECT_EQ(entry.node, at("all/0/f"));
    }
}

TEST_F(SnapshotFilesTest, ANewSnapshotAppearsAndALinkToTheLatestIsAnotherNode) {
    take_snapshot("ada", 1 * kSecond);
    show();
    const auto old_link = at("all/latest");
    EXPECT_EQ(at("all/1"), 0U);
    take_snapshot("carl", 2 * kSecond);
    world_.run_for(SnapshotFilesConfig{}.look_again);
    EXPECT_NE(at("all/1"), 0U);
    EXPECT_THAT(list(at("hosts")), UnorderedElementsAre("ada", "carl"));
    const auto link = at("all/latest");
    EXPECT_NE(link, old_link);
    EXPECT_EQ(*run(files_->read_link(link)), "1");
    EXPECT_EQ(*run(files_->read_link(old_link)), "0");
}

TEST_F(SnapshotFilesTest, NobodyAsksAgainWithinTheTimeToLookAgain) {
    take_snapshot("ada", 1 * kSecond);
    show();
    EXPECT_NE(at("all/0"), 0U);
    take_snapshot("ada", 2 * kSecond);
    EXPECT_EQ(at("all/1"), 0U);
}

TEST_F(SnapshotFilesTest, AListThatCannotBeReadIsAnErrorNotAnEmptyDirectory) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    show();
    const auto file = at("all/0/f");
    EXPECT_EQ(content(file), "one");
    storage_.holders_up = 0;
    world_.run_for(1min);
    EXPECT_EQ(number(files_->lookup(kRootNode, "all")), EIO);
    EXPECT_EQ(number(files_->list(kRootNode, 0, 10, true)), EIO);
    EXPECT_EQ(content(file), "one");  // who is inside needs no list
    storage_.holders_up = storage_.holders;
    world_.run_for(1min);
    EXPECT_NE(at("all/0"), 0U);
}

TEST_F(SnapshotFilesTest, ASnapshotWhoseTreeWasWrittenAgainIsReadFromTheNewOne) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    show();
    const auto file = at("all/0/f");
    EXPECT_EQ(content(file), "one");
    auto snapshot = run(live_->volume->snapshots())->front();
    const auto id = snapshot.id();
    write_live("f", "two");  // the same content would not tell which of the trees is read
    snapshot.first_root = snapshot.root->id;
    snapshot.root = live_root();
    ASSERT_EQ(snapshot.id(), id);
    WriteAgain editor{std::move(snapshot)};
    ASSERT_TRUE(run(live_->volume->edit_forest(editor, objstore::ForestCheck::paths)));
    world_.run_for(SnapshotFilesConfig{}.look_again);
    EXPECT_EQ(at("all/0/f"), file);
    EXPECT_EQ(content(file), "two");
}

TEST_F(SnapshotFilesTest, NothingCanBeChanged) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    show();
    const auto directory = at("all/0");
    const auto file = at("all/0/f");
    EXPECT_EQ(number(files_->unlink(directory, "f")), EROFS);
    EXPECT_EQ(number(files_->make_node({}, kRootNode, "g", base::FileType::directory, 0755, 0)), EROFS);
    OpenFlags flags;
    flags.write = true;
    EXPECT_EQ(number(files_->open(file, flags)), EROFS);
    EXPECT_EQ(number(files_->create({}, directory, "g", 0644, flags)), EROFS);
    EXPECT_EQ(number(files_->set_attributes(file, {})), EROFS);
}

TEST_F(SnapshotFilesTest, LocksHoldBetweenAllWhoOpenAFileOfASnapshot) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    SnapshotFilesConfig config;
    config.max_trees = 1;
    show(std::move(config));
    const auto file = at("all/0/f");
    const auto mine = *run(files_->open(file, {}));
    Lock lock;
    lock.type = Lock::Type::read;
    lock.owner = 1;
    EXPECT_EQ(number(files_->set_lock(file, mine.handle, lock, false)), 0);
    write_live("g", "");
    take_snapshot("ada", 2 * kSecond);
    world_.run_for(1min);
    EXPECT_EQ(content(at("all/1/f")), "one");  // the other tree is not the most recent one any more
    Lock other = lock;
    other.type = Lock::Type::write;
    other.owner = 2;
    EXPECT_EQ(number(files_->set_lock(at("hosts/ada/0/f"), 0, other, false)), EAGAIN);
    files_->release(file, mine.handle, std::nullopt);
    EXPECT_EQ(number(files_->set_lock(file, 0, other, false)), 0);
}

TEST_F(SnapshotFilesTest, WhatTheKernelForgetsIsForgottenAndTreesAreClosed) {
    write_live("f", "one");
    for (int i = 0; i < 6; ++i) {
        write_live("g", std::to_string(i));
        take_snapshot("ada", (i + 1) * kSecond);
    }
    SnapshotFilesConfig config;
    config.max_trees = 2;
    show(std::move(config));
    const auto before = files_->statistics().nodes;
    const auto all = at("all");
    std::vector<NodeId> nodes{all};
    for (int i = 0; i < 6; ++i) {
        const auto found = run(files_->lookup(all, std::to_string(i)));
        nodes.push_back(found->node);
        nodes.push_back(run(files_->lookup(found->node, "f"))->node);
        EXPECT_EQ(content(nodes.back()), "one");
    }
    EXPECT_EQ(files_->statistics().trees, 2U);
    EXPECT_EQ(files_->statistics().nodes, before + nodes.size());
    for (const auto node : nodes) files_->forget(node, 1);
    (void)run(files_->list(kRootNode, 0, 10, true));   // offered ...
    (void)run(files_->list(kRootNode, 0, 10, false));  // ... and not taken
    EXPECT_EQ(files_->statistics().nodes, before);
    EXPECT_EQ(number(files_->attributes(nodes.back())), ESTALE);
}

TEST_F(SnapshotFilesTest, WhatAListingOffersIsRememberedIfTheKernelTakesIt) {
    write_live("f", "one");
    take_snapshot("ada", 1 * kSecond);
    show();
    const auto listed = *run(files_->list(at("all/0"), 0, 10, true));
    const auto& entry = listed.back();
    ASSERT_EQ(entry.name, "f");
    files_->remember(entry.node);
    (void)list(kRootNode);
    EXPECT_EQ(content(entry.node), "one");
    EXPECT_EQ(run(files_->lookup(entry.node, "."))->node, entry.node);
    EXPECT_EQ(run(files_->lookup(at("all/0"), ".."))->node, at("all"));
}

}  // namespace
}  // namespace fusefs::test
