// Collecting garbage of a volume: what is needed stays, what is not goes, whoever writes meanwhile.
#include "objstore/gc/prune.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "gc/mark_set.hpp"
#include "objstore/volume_fixture.hpp"

namespace objstore::gc {
namespace {

base::Guid numbered(std::uint64_t number) { return base::sha256(base::as_bytes("block " + std::to_string(number))); }

TEST(MarkSet, KnowsWhatWasMetAndNothingElse) {
    MarkSet set{100'000};
    for (std::uint64_t i = 0; i < 50'000; ++i) EXPECT_TRUE(set.insert(numbered(i)));
    for (std::uint64_t i = 0; i < 50'000; ++i) EXPECT_FALSE(set.insert(numbered(i)));
    for (std::uint64_t i = 0; i < 50'000; ++i) EXPECT_TRUE(set.contains(numbered(i)));
    for (std::uint64_t i = 50'000; i < 100'000; ++i) EXPECT_FALSE(set.contains(numbered(i)));
    EXPECT_EQ(set.size(), 50'000U);
    EXPECT_LE(set.memory_bytes(), 20 * set.size());
    EXPECT_TRUE(set.insert(base::Guid{})) << "an id of zeros is one as well";
    EXPECT_TRUE(set.contains(base::Guid{}));
}

TEST(MarkSet, SaysThatItIsFull) {
    MarkSet set{3};
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(!set.full() && set.insert(numbered(i)));
    EXPECT_TRUE(set.full());
    EXPECT_FALSE(set.contains(numbered(9)));
}

class PruneTest : public test::VolumeTest {
  protected:
    /// A snapshot of `files` files with a block of its own each, of which those below `shared` are everybody's.
    static base::Task<base::Result<BlockRefPtr>> write_files(Session& session, std::string host, unsigned files,
                                                             unsigned shared) {
        TreeShape shape;
        shape.node_bytes = 1024;  // many nodes
        TreeUpdate update{session.writer(), shape};
        for (unsigned i = 0; i < files; ++i) {
            const auto text = (i < shared ? "everybody's " : host + "'s ") + std::to_string(i);
            auto bytes = base::to_bytes(base::as_bytes(text));
            Extent extent;
            extent.length = bytes.size();
            BASE_CO_TRY(extent.block, co_await session.writer().write(BlockType::data, {}, std::move(bytes)));
            Item inode, content;
            inode.key = TreeKey::first(kRootInode + i, Kind::inode);
            auto some = test::some_inode(i);
            some.size = extent.length;
            inode.value = some;
            content.key = TreeKey::first(kRootInode + i, Kind::extent);
            content.value = extent;
            BASE_CO_CHECK(co_await update.put(std::move(inode)));
            BASE_CO_CHECK(co_await update.put(std::move(content)));
        }
        co_return co_await update.finish();
    }
    static base::Task<base::Result<Snapshot>> keep_files(Volume& volume, std::string host, unsigned files,
                                                         unsigned shared) {
        BASE_CO_TRY(const auto session, co_await volume.begin());
        BASE_CO_TRY(auto root, co_await write_files(*session, host, files, shared));
        auto snapshot = snapshot_of(std::move(root), files, host);
        BASE_CO_TRY(auto done, co_await volume.commit(*session, std::move(snapshot)));
        co_return std::move(done.snapshot);
    }
    Snapshot keep(Volume& volume, std::string host, unsigned files = 200, unsigned shared = 100) {
        auto kept = world_.run(keep_files(volume, std::move(host), files, shared));
        EXPECT_TRUE(kept) << kept.error().message();
        return kept ? *kept : Snapshot{};
    }
    base::Result<std::uint64_t> forget(Volume& volume, const std::vector<Snapshot>& snapshots) {
        std::vector<base::Guid> ids;
        for (const auto& snapshot : snapshots) ids.push_back(snapshot.id());
        return world_.run(volume.forget(std::move(ids)));
    }
    PruneReport prune(Volume& volume, PruneOptions options = {}) {
        auto report = world_.run(gc::prune(volume, options));
        EXPECT_TRUE(report) << report.error().message();
        return report ? *report : PruneReport{};
    }
    /// Everything that the snapshot leads to is there.
    bool readable(Volume& volume, const Snapshot& snapshot) {
        return world_.run(read_all(volume, snapshot)).has_value();
    }
    static base::Task<base::Result<void>> read_all(Volume& volume, Snapshot snapshot) {
        TreeCursor cursor{Tree{volume.reader(), snapshot.root}};
        for (;;) {
            BASE_CO_TRY(const auto items, co_await cursor.next_items());
            if (items.empty()) co_return base::ok();
            for (const auto& item : items) {
                const auto* extent = std::get_if<Extent>(&item.value);
                if (extent != nullptr) BASE_CO_CHECK(co_await volume.reader().read(extent->block));
            }
        }
    }
    std::set<base::Guid> ids() const {
        std::set<base::Guid> out;
        for (const auto& [id, stored] : storage_.blocks()) out.insert(id);
        return out;
    }
    /// Another client, which has nothing in its cache.
    bool all_readable(std::size_t count) {
        const auto fresh = *open();
        const auto listed = world_.run(fresh->snapshots());
        if (!listed || listed->size() != count) return false;
        return std::ranges::all_of(*listed, [&](const Snapshot& snapshot) { return readable(*fresh, snapshot); });
    }
};

TEST_F(PruneTest, WhatOnlyForgottenSnapshotsNeedGoesAndTheRestStays) {
    const auto volume = create();
    const auto first = keep(*volume, "ann"), second = keep(*volume, "ben");
    const auto before = ids();
    EXPECT_LE(prune(*volume).blocks_released, 4U) << "lists of old";
    EXPECT_EQ(prune(*volume).blocks_released, 0U);
    EXPECT_TRUE(all_readable(2));
    ASSERT_EQ(*forget(*volume, {first}), 1U);
    const auto report = prune(*volume);
    EXPECT_GE(report.blocks_released, 100U);
    EXPECT_TRUE(all_readable(1));
    // What is left is what a volume would have in which there never was the first.
    EXPECT_EQ(ids().size(), report.blocks);
    EXPECT_LT(ids().size(), before.size() - 100);
    EXPECT_EQ(prune(*volume).blocks_released, 0U) << "a second one finds nothing";
    ASSERT_EQ(*forget(*volume, {second}), 1U);
    prune(*volume);
    EXPECT_LE(ids().size(), 2U) << "an empty list and its spare copy";
}

TEST_F(PruneTest, ADryRunChangesNothing) {
    const auto volume = create();
    const auto first = keep(*volume, "ann");
    keep(*volume, "ben");
    ASSERT_EQ(*forget(*volume, {first}), 1U);
    const auto before = ids();
    const auto sequence = volume->state().sequence;
    PruneOptions options;
    options.dry_run = true;
    const auto said = prune(*volume, options);
    EXPECT_EQ(ids(), before);
    EXPECT_EQ((*open())->state().sequence, sequence);
    EXPECT_EQ(prune(*volume).blocks_released, said.blocks_released);
    EXPECT_EQ(before.size() - ids().size(), said.blocks_released);
}

TEST_F(PruneTest, ASessionThatBeganBeforeIsToldIfItsBlocksWereTaken) {
    const auto volume = create();
    const auto other = *open();
    const auto old = keep(*volume, "old");
    const auto session = *world_.run(volume->begin());
    const auto root = *world_.run(write_files(*session, "ann", 200, 100));
    ASSERT_TRUE(world_.run(session->writer().flush()));
    // Two states later nobody knows of it.
    keep(*other, "ben", 50, 0);
    keep(*other, "cid", 50, 0);
    ASSERT_EQ(*forget(*other, {old}), 1U);
    EXPECT_GE(prune(*other).blocks_released, 200U);
    const auto done = world_.run(volume->commit(*session, snapshot_of(root, 1, "ann")));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), Errc::collected);
    EXPECT_TRUE(all_readable(2));
    keep(*volume, "ann");
    EXPECT_TRUE(all_readable(3));
}

TEST_F(PruneTest, ASessionThatBeganBeforeGoesOnIfItsBlocksAreThereStill) {
    const auto volume = create();
    const auto other = *open();
    const auto session = *world_.run(volume->begin());
    const auto root = *world_.run(write_files(*session, "ann", 200, 100));
    ASSERT_TRUE(world_.run(session->writer().flush()));
    keep(*other, "ben");
    keep(*other, "cid");
    // The collection has begun, and its reclaims wait for their grace.
    ASSERT_TRUE(world_.run(other->begin_collection()));
    ASSERT_TRUE(world_.run(volume->commit(*session, snapshot_of(root, 1, "ann"))));
    // What it named was touched again: a reclaim up to that generation takes nothing of it.
    const auto limit = other->state().collected;
    std::set<base::Guid> needed;
    EXPECT_TRUE(all_readable(3));
    std::size_t young = 0;
    for (const auto& [id, stored] : storage_.blocks()) young += stored.tags.begin()->second > limit ? 1 : 0;
    EXPECT_GE(young, 200U);
}

TEST_F(PruneTest, WhatASessionOfTheNewestStateStoredStays) {
    const auto volume = create();
    const auto other = *open();
    keep(*volume, "old");
    const auto session = *world_.run(volume->begin());
    const auto root = *world_.run(write_files(*session, "ann", 200, 100));
    ASSERT_TRUE(world_.run(session->writer().flush()));
    const auto report = prune(*other);
    EXPECT_GE(report.blocks_young, 100U);
    const auto puts = storage_.blocks_sent();
    ASSERT_TRUE(world_.run(volume->commit(*session, snapshot_of(root, 1, "ann"))));
    EXPECT_LE(storage_.blocks_sent() - puts, 4U) << "a list, not the content";
    EXPECT_TRUE(all_readable(2));
}

TEST_F(PruneTest, NothingGoesWhereATreeCannotBeRead) {
    const auto volume = create();
    const auto first = keep(*volume, "ann"), second = keep(*volume, "ben");
    ASSERT_EQ(*forget(*volume, {first}), 1U);
    storage_.lose_block(second.root->id);
    const auto before = ids();
    const auto report = world_.run(gc::prune(*volume, {}));
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error(), Errc::damaged);
    EXPECT_EQ(ids(), before);
}

TEST_F(PruneTest, WithLittleMemoryTheTreesAreReadSeveralTimes) {
    const auto volume = create();
    const auto first = keep(*volume, "ann", 2000, 100);
    keep(*volume, "ben", 2000, 100);
    ASSERT_EQ(*forget(*volume, {first}), 1U);
    PruneOptions options;
    options.max_marked_blocks = 700;
    const auto report = prune(*volume, options);
    EXPECT_GE(report.passes, 4U);
    EXPECT_TRUE(all_readable(1));
    EXPECT_EQ(prune(*volume).blocks_released, 0U) << "it took everything";
    EXPECT_EQ(report.blocks, ids().size()) << "and counted each once";
}

TEST_F(PruneTest, WhatIsRefusedIsSaidAndGoesNextTime) {
    const auto volume = create();
    const auto first = keep(*volume, "ann");
    keep(*volume, "ben");
    ASSERT_EQ(*forget(*volume, {first}), 1U);
    storage_.fail_remove = [](const past::Reclaim&) { return std::optional<base::Error>{base::Errc::busy}; };
    const auto report = prune(*volume);
    ASSERT_TRUE(report.refused);
    EXPECT_EQ(*report.refused, base::Errc::busy);
    EXPECT_EQ(report.blocks_refused, report.blocks_released);
    storage_.fail_remove = {};
    EXPECT_EQ(prune(*volume).blocks_released, report.blocks_released);
    EXPECT_TRUE(all_readable(1));
}

/// What another version lists: this one cannot read it.
class AddLater final : public ForestEditor {
  public:
    AddLater(TreeKey key, BlockRefPtr root, std::uint64_t stored_since) : key_{key}, stored_since_{stored_since} {
        record_.bytes = {99, 1, 2, 3};
        record_.blocks = {std::move(root)};
    }
    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree /*forest*/, BlockWriter& /*writer*/) override {
        Item item;
        item.key = key_;
        item.value = record_;
        ForestEdit out;
        out.put.push_back(std::move(item));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return stored_since_; }

  private:
    TreeKey key_;
    Opaque record_;
    std::uint64_t stored_since_;
};

TEST_F(PruneTest, WhatLaterVersionsListIsNeededToo) {
    const auto volume = create();
    for (const auto kind : {Kind::snapshot, static_cast<Kind>(77)}) {
        const auto session = *world_.run(volume->begin());
        const auto root = *world_.run(write_files(*session, "later" + std::to_string(static_cast<int>(kind)), 50, 0));
        ASSERT_TRUE(world_.run(session->writer().flush()));
        TreeKey key;
        key.kind = kind;
        key.sub = 5;
        AddLater editor{key, root, session->generation()};
        ASSERT_TRUE(world_.run(volume->edit_forest(editor, ForestCheck::whole)));
        keep(*volume, "ann");
        keep(*volume, "ben");
        prune(*volume);
        prune(*volume);
        Snapshot readable_as;
        readable_as.root = root;
        const auto fresh = *open();
        EXPECT_TRUE(readable(*fresh, readable_as));
    }
}

TEST_F(PruneTest, OfTwoStatesItCanBeToldWhetherACollectionBeganBetweenThem) {
    const auto volume = create();
    for (int i = 0; i < 3; ++i) {
        const auto before = volume->state().sequence;
        EXPECT_LT(volume->state().collected, before);
        ASSERT_EQ(world_.run(volume->begin_collection()).value(), before);
        EXPECT_EQ(volume->state().collected, before) << "also where nothing else was written";
    }
}

TEST_F(PruneTest, ForgettingWhatIsNotListedChangesNothing) {
    const auto volume = create();
    const auto first = keep(*volume, "ann");
    auto unknown = first;
    unknown.host = "nobody";
    const auto sequence = volume->state().sequence;
    EXPECT_EQ(*forget(*volume, {unknown}), 0U);
    EXPECT_EQ(volume->state().sequence, sequence);
    EXPECT_EQ(*forget(*volume, {unknown, first}), 1U);
    EXPECT_TRUE(all_readable(0));
}

}  // namespace
}  // namespace objstore::gc
