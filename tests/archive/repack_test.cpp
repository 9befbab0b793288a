// Packs of which much is not needed any more give way to new ones; snapshots stay what they were, under their ids.
#include "objstore/gc/repack.hpp"

#include "archive_world.hpp"
#include "base/task_group.hpp"
#include "objstore/gc/prune.hpp"

namespace objstore::archive::test {
namespace {

class Repacking : public testing::Test {
  protected:
    /// Half of the small files at random, and one large one.
    void delete_half() {
        std::mt19937 random{7};
        for (unsigned i = 0; i < kFiles; ++i) {
            if (random() % 2 == 0) w_.tree.remove("/src/d" + std::to_string(i / 20) + "/f" + std::to_string(i));
        }
        w_.tree.remove("/src/large");
    }
    void fill() {
        w_.fill("/src", kFiles);
        w_.tree.write("/src/large", noise(3'000'000, 1));
        w_.tree.set_xattr("/src/d0", "user.large", noise(9000, 4));
    }
    void forget(const Snapshot& snapshot) {
        std::vector<base::Guid> ids{snapshot.id()};
        ASSERT_TRUE(w_.world.run(w_.volume->forget(std::move(ids))));
    }
    gc::RepackReport repack(gc::RepackOptions options = {}) {
        options.cache_path = "cache/dedup";
        auto report = w_.world.run(gc::repack(*w_.volume, std::move(options)));
        EXPECT_TRUE(report) << report.error().message();
        return report ? *report : gc::RepackReport{};
    }
    gc::PruneReport prune() {
        gc::PruneOptions options;
        options.at_once = true;
        auto report = w_.world.run(gc::prune(*w_.volume, options));
        EXPECT_TRUE(report) << report.error().message();
        return report ? *report : gc::PruneReport{};
    }
    [[nodiscard]] std::uint64_t stored() const { return w_.storage.bytes_stored(); }
    std::string picture(const Snapshot& snapshot) {
        RestoreOptions options;
        options.target = "/restored" + std::to_string(++restored_);
        const auto target = options.target;
        EXPECT_EQ(w_.restore(snapshot, std::move(options)).warnings.count(), 0U);
        return w_.tree.describe(target + "/src");
    }
    std::vector<Snapshot> listed() {
        EXPECT_TRUE(w_.world.run(w_.volume->refresh()));
        return w_.world.run(w_.volume->snapshots()).value();
    }

    static constexpr unsigned kFiles = 800;
    ArchiveWorld w_;
    unsigned restored_ = 0;
};

TEST_F(Repacking, TheRoomOfDeletedSmallFilesComesBackAndSnapshotsKeepIdAndContent) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    const auto second = *w_.backup().snapshot;
    w_.tree.write("/src/d0/new", prose(20'000, 5));
    const auto third = *w_.backup().snapshot;
    const auto was_second = picture(second), was_third = picture(third);
    forget(first);
    prune();
    const auto before = stored();

    const auto report = repack();
    EXPECT_GT(report.packs, 0U);
    EXPECT_EQ(report.snapshots, 2U);
    prune();
    EXPECT_LT(stored(), before * 7 / 10);
    const auto now = listed();
    ASSERT_EQ(now.size(), 2U);
    EXPECT_EQ(now[0].id(), second.id());
    EXPECT_EQ(now[1].id(), third.id());
    EXPECT_NE(now[0].root->id, second.root->id);
    EXPECT_EQ(picture(now[0]), was_second);
    EXPECT_EQ(picture(now[1]), was_third);

    EXPECT_EQ(repack().packs, 0U) << "what is packed well stays";
}

TEST_F(Repacking, LeavesNoMoreUnusedThanItIsTold) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    w_.backup();
    forget(first);
    prune();
    gc::RepackOptions all;
    all.dry_run = true;
    all.max_unused = 0;
    const auto before = stored();
    const auto most = repack(all);
    EXPECT_EQ(stored(), before) << "a dry run changes nothing";
    all.max_unused = 10;
    EXPECT_EQ(repack(all).packs, 0U);
    all.max_unused = 0.3;
    const auto some = repack(all);
    EXPECT_LE(some.packs, most.packs);
    all.dry_run = false;
    all.max_unused = 0;
    EXPECT_EQ(repack(all).packs, most.packs);
}

// What is left of it and its compressed length do not tell how long it was.
TEST_F(Repacking, AnEndOfAPackThatCompressesWellIsSeenToBeUnused) {
    for (unsigned i = 100; i < 220; ++i)
        w_.tree.write("/src/f" + std::to_string(i), std::string(4000, 'a') + prose(4000, i));
    const auto first = *w_.backup().snapshot;
    for (unsigned i = 136; i < 220; ++i) w_.tree.remove("/src/f" + std::to_string(i));
    const auto second = *w_.backup().snapshot;
    const auto was = picture(second);
    forget(first);
    const auto report = repack();
    EXPECT_GE(report.packs, 1U);
    EXPECT_GT(report.bytes_unused, 84U * 8000 * 9 / 10);
    prune();
    EXPECT_EQ(picture(listed().front()), was);
}

TEST_F(Repacking, SmallBatchesComeToTheSame) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    const auto second = *w_.backup().snapshot;
    const auto was = picture(second);
    forget(first);
    gc::RepackOptions options;
    options.batch_bytes = 1;
    EXPECT_GT(repack(options).packs, 1U);
    prune();
    EXPECT_EQ(picture(listed().front()), was);
}

TEST_F(Repacking, TheNextBackupStoresNothingAgain) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    w_.backup();
    forget(first);
    repack();
    prune();
    const auto unchanged = w_.backup();
    EXPECT_EQ(unchanged.files.added + unchanged.files.changed, 0U);
    EXPECT_EQ(unchanged.bytes_new, 0U);
    // Known to this machine's cache alone: another name, no parent.
    for (unsigned i = 0; i < kFiles; ++i) {
        const auto path = "/d" + std::to_string(i / 20) + "/f" + std::to_string(i);
        if (w_.tree.exists("/src" + path)) w_.tree.write("/elsewhere" + path, w_.tree.read("/src" + path));
    }
    EXPECT_EQ(w_.backup(w_.options({"/elsewhere"})).bytes_new, 0U);
}

TEST_F(Repacking, APackThatCannotBeReadStaysAndCostsTheOthersNothing) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    w_.backup();
    forget(first);
    prune();
    gc::RepackOptions look;
    look.dry_run = true;
    const auto all = repack(look).packs;
    ASSERT_GT(all, 1U);
    for (const auto& [id, block] : w_.storage.blocks()) {
        if (BlockHeader::decode(block.bytes)->type != BlockType::pack) continue;
        w_.storage.lose_block(id);
        break;
    }
    w_.volume = w_.world.run(Volume::open(w_.env, w_.storage, *w_.high_water, owner_key(), "archive")).value();
    const auto report = repack();
    EXPECT_EQ(report.packs_unreadable, 1U);
    EXPECT_EQ(report.packs, all - 1);
    EXPECT_EQ(listed().size(), 1U);
}

// A snapshot that is made, or forgotten, while packs are rewritten.
TEST_F(Repacking, BesideABackupAndAForgetNothingIsLost) {
    fill();
    const auto first = *w_.backup().snapshot;
    delete_half();
    const auto second = *w_.backup().snapshot;
    const auto third = *w_.backup().snapshot;
    forget(first);
    const auto was = picture(third);
    base::TaskGroup group{w_.env.executor};
    const auto other = w_.world.run(Volume::open(w_.env, w_.storage, *w_.high_water, owner_key(), "archive")).value();
    constexpr auto run = [](Volume& volume) -> base::Task<void> {
        gc::RepackOptions options;
        std::function<void(const gc::RepackProgress&)> quietly;
        const auto done = co_await gc::repack(volume, std::move(options), std::move(quietly));
        EXPECT_TRUE(done) << done.error().message();
    };
    group.spawn(run(*other));
    auto options = w_.options();
    const auto fourth = w_.world.run(archive::backup(w_.env, w_.tree, *w_.volume, std::move(options))).value();
    forget(second);
    w_.world.run(group.join());
    prune();
    const auto now = listed();
    ASSERT_EQ(now.size(), 2U);
    EXPECT_EQ(picture(now[0]), was);
    EXPECT_EQ(picture(now[1]), was);
}

}  // namespace
}  // namespace objstore::archive::test
