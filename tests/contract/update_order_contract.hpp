// What every order of a live tree's updates keeps to. One file of a suite includes this and instantiates it:
//
//     INSTANTIATE_TEST_SUITE_P(RecordOrder, UpdateOrderContract, testing::Values(...));
//
// with a way to open one for a volume, and ways to make it fail. What is ordered is seen through a second object, as
// another mount sees it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "objstore/error.hpp"
#include "objstore/live/order.hpp"
#include "objstore/volume_fixture.hpp"
#include "past/error.hpp"

namespace contract {

struct UpdateOrderKind {
    std::string name;
    std::function<std::unique_ptr<objstore::UpdateOrder>(base::NodeEnv env, objstore::Volume& volume,
                                                         std::shared_ptr<objstore::NodeCache> nodes)>
        open;
    /// The next update is ordered, and its submitter told that nobody was reached.
    std::function<void(support::MemoryStorage& storage)> lose_next_answer;
    std::function<void(support::MemoryStorage& storage)> answer_again;
    /// The next update is not ordered, and its submitter told so.
    std::function<void(support::MemoryStorage& storage)> refuse_next;
    friend std::ostream& operator<<(std::ostream& out, const UpdateOrderKind& kind) { return out << kind.name; }
};

class UpdateOrderContract : public objstore::test::VolumeTest, public testing::WithParamInterface<UpdateOrderKind> {
  protected:
    using UpdatePtr = std::shared_ptr<objstore::Update>;

    /// What one mount has.
    struct Writer {
        std::unique_ptr<objstore::Volume> volume;
        std::unique_ptr<objstore::UpdateOrder> order;
        objstore::InodeNumbers numbers;
        std::uint32_t updates = 0;
    };

    void SetUp() override { create(); }

    Writer writer() {
        Writer out;
        out.volume = *open();
        out.order = GetParam().open(env_, *out.volume, std::make_shared<objstore::NodeCache>(1U << 20U));
        objstore::Inode root;
        root.type = base::FileType::directory;
        root.mode = 0755;
        root.nlink = 2;
        EXPECT_TRUE(world_.run(out.order->found(root)));
        const auto slot = world_.run(out.order->take_slot());
        EXPECT_TRUE(slot);
        out.numbers = objstore::InodeNumbers{slot ? *slot : 0};
        return out;
    }
    objstore::LiveVersion newest(Writer& from) {
        auto version = world_.run(from.order->newest());
        EXPECT_TRUE(version) << version.error().message();
        return version ? *version : objstore::LiveVersion{};
    }
    objstore::Inode root_of(Writer& from, const objstore::LiveVersion& version) {
        const objstore::Tree tree{from.volume->reader(), version.root};
        return **world_.run(objstore::find_inode(tree, objstore::kRootInode));
    }
    /// Makes an empty file in the root directory of `base`.
    UpdatePtr makes(Writer& from, const std::string& name, const objstore::LiveVersion& base) {
        auto update = std::make_shared<objstore::Update>();
        update->id = (std::uint64_t{from.numbers.slot()} << 32U) | ++from.updates;
        update->base = base.root;
        const auto number = from.numbers.next();
        auto& root = update->inodes[objstore::kRootInode];
        root.before = root.after = root_of(from, base);
        ++root.after->change;
        root.names[name] = {std::nullopt, objstore::EntryTarget{number, base::FileType::regular}, true};
        objstore::Inode file;
        file.mode = 0644;
        file.parent = objstore::kRootInode;
        update->inodes[number].after = file;
        update->inodes[number].known_as = std::pair{objstore::kRootInode, name};
        return update;
    }
    base::Result<objstore::Ordered> submit(Writer& from, UpdatePtr update, bool may_rebase = false,
                                           std::shared_ptr<objstore::BlockWriter> content = nullptr) {
        return world_.run(from.order->submit(std::move(update), std::move(content), may_rebase, from.numbers));
    }
    /// As the holders show them to somebody who has nothing in memory.
    std::vector<std::string> names() {
        auto looker = writer();
        const objstore::Tree tree{looker.volume->reader(), newest(looker).root};
        const auto items = world_.run(tree.range(objstore::TreeKey::first(objstore::kRootInode, objstore::Kind::entry),
                                                 objstore::TreeKey::first(objstore::kRootInode + 1)));
        EXPECT_TRUE(items);
        std::vector<std::string> out;
        for (const auto& item : *items) out.push_back(std::get<objstore::Entry>(item.value).name);
        std::sort(out.begin(), out.end());
        return out;
    }
    std::uint64_t conflicts() {
        auto looker = writer();
        const objstore::Tree tree{looker.volume->reader(), newest(looker).root};
        return world_.run(tree.range(objstore::TreeKey{}, objstore::TreeKey::first(1)))->size();
    }

    using Names = std::vector<std::string>;
};

TEST_P(UpdateOrderContract, ATreeIsFoundedOnce) {
    auto one = writer();
    auto update = makes(one, "a", newest(one));
    ASSERT_TRUE(submit(one, std::move(update)));
    auto two = writer();  // founds, too
    EXPECT_EQ(newest(two).root->id, newest(one).root->id);
    EXPECT_EQ(names(), Names{"a"});
}

TEST_P(UpdateOrderContract, NoTwoWritersHaveOneSlot) {
    std::set<std::uint32_t> slots;
    for (int i = 0; i < 3; ++i) {
        auto one = writer();
        EXPECT_TRUE(slots.insert(one.numbers.slot()).second);
        EXPECT_TRUE(slots.insert(*world_.run(one.order->take_slot())).second);
        EXPECT_FALSE(slots.contains(0));
    }
}

TEST_P(UpdateOrderContract, WhatIsOrderedIsWhatEverybodySeesNext) {
    auto one = writer();
    auto two = writer();
    const auto before = newest(one);
    auto update = makes(one, "a", before);
    const auto ordered = submit(one, std::move(update));
    ASSERT_TRUE(ordered) << ordered.error().message();
    EXPECT_EQ(ordered->rebased_on->id, before.root->id);
    EXPECT_TRUE(ordered->conflicts.empty());
    const auto after = newest(two);
    EXPECT_EQ(after.root->id, ordered->version.root->id);
    EXPECT_EQ(after.counts, ordered->version.counts);
    EXPECT_EQ(after.counts.files, before.counts.files + 1);
    EXPECT_GT(after.sequence, before.sequence);
    EXPECT_GT(after.time_ns, before.time_ns);
    EXPECT_EQ(names(), Names{"a"});
}

TEST_P(UpdateOrderContract, TheContentThatItNamesIsStoredFirst) {
    auto one = writer();
    const std::shared_ptr<objstore::BlockWriter> content = one.volume->make_writer(0);
    const std::string text(10'000, 'x');
    const auto block = world_.run(content->write(objstore::BlockType::pack, {}, base::to_bytes(base::as_bytes(text))));
    ASSERT_TRUE(block);
    auto update = makes(one, "a", newest(one));
    auto& file = update->inodes.rbegin()->second;
    file.after->size = text.size();
    file.data.emplace();
    objstore::Extent extent;
    extent.block = *block;
    extent.length = text.size();
    file.data->extents.emplace(0, extent);

    storage_.fail_put = [id = (*block)->id](const std::vector<past::Block>& blocks) -> std::optional<base::Error> {
        for (const auto& each : blocks) {
            if (each.id == id) return base::Error{past::Errc::no_space};
        }
        return std::nullopt;
    };
    const auto refused = submit(one, update, false, content);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), past::Errc::no_space);
    EXPECT_FALSE(one.order->in_doubt());
    EXPECT_EQ(names(), Names{});

    storage_.fail_put = nullptr;
    const std::shared_ptr<objstore::BlockWriter> again = one.volume->make_writer(0);
    ASSERT_TRUE(world_.run(again->write(objstore::BlockType::pack, {}, base::to_bytes(base::as_bytes(text)))));
    ASSERT_TRUE(submit(one, update, false, again));
    EXPECT_TRUE(storage_.blocks().contains((*block)->id));
    EXPECT_EQ(names(), Names{"a"});
}

TEST_P(UpdateOrderContract, OnALaterVersionItIsRefusedOrRebasedAsTheCallerWants) {
    auto one = writer();
    auto two = writer();
    const auto base = newest(one);
    auto first = makes(one, "a", base);
    auto second = makes(two, "b", base);
    const auto ordered = submit(one, std::move(first));
    ASSERT_TRUE(ordered);
    const auto refused = submit(two, second, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), objstore::Errc::conflict);
    EXPECT_FALSE(two.order->in_doubt());
    EXPECT_EQ(names(), Names{"a"});
    const auto rebased = submit(two, second, true);
    ASSERT_TRUE(rebased) << rebased.error().message();
    EXPECT_EQ(rebased->rebased_on->id, ordered->version.root->id);
    EXPECT_EQ(names(), (Names{"a", "b"}));
}

TEST_P(UpdateOrderContract, WhatContradictsIsToldToTheLaterAndListed) {
    auto one = writer();
    auto two = writer();
    const auto base = newest(one);
    auto first = makes(one, "a", base);
    auto second = makes(two, "a", base);
    ASSERT_TRUE(submit(one, std::move(first)));
    const auto rebased = submit(two, std::move(second), true);
    ASSERT_TRUE(rebased);
    ASSERT_EQ(rebased->conflicts.size(), 1U);
    EXPECT_EQ(rebased->conflicts[0].kind, objstore::ConflictKind::name);
    EXPECT_EQ(names(), Names{"a"});
    EXPECT_EQ(conflicts(), 1U);
}

TEST_P(UpdateOrderContract, ManyAtOnceAreAllOrderedOneAfterTheOther) {
    constexpr std::size_t kWriters = 5;
    std::vector<Writer> writers;
    for (std::size_t i = 0; i < kWriters; ++i) writers.push_back(writer());
    const auto base = newest(writers[0]);
    std::vector<std::optional<objstore::Ordered>> done(kWriters);
    const auto one = [](Writer& from, UpdatePtr update, std::optional<objstore::Ordered>& out) -> base::Task<void> {
        auto ordered = co_await from.order->submit(std::move(update), nullptr, true, from.numbers);
        EXPECT_TRUE(ordered) << ordered.error().message();
        if (ordered) out = std::move(*ordered);
    };
    base::TaskGroup group{env_.executor};
    for (std::size_t i = 0; i < kWriters; ++i) {
        group.spawn(one(writers[i], makes(writers[i], "f" + std::to_string(i), base), done[i]));
    }
    world_.run(group.join());
    EXPECT_EQ(names(), (Names{"f0", "f1", "f2", "f3", "f4"}));
    for (const auto& ordered : done) ASSERT_TRUE(ordered);
    // Each stands on exactly one other, and nothing stands beside it.
    std::sort(done.begin(), done.end(),
              [](const auto& a, const auto& b) { return a->version.sequence < b->version.sequence; });
    auto before = base.root->id;
    for (const auto& ordered : done) {
        EXPECT_EQ(ordered->rebased_on->id, before);
        before = ordered->version.root->id;
    }
}

TEST_P(UpdateOrderContract, WhatWasRefusedCanBeSubmittedAgain) {
    auto one = writer();
    auto update = makes(one, "a", newest(one));
    GetParam().refuse_next(storage_);
    EXPECT_FALSE(submit(one, update));
    EXPECT_FALSE(one.order->in_doubt());
    EXPECT_EQ(names(), Names{});
    ASSERT_TRUE(submit(one, update));
    EXPECT_EQ(names(), Names{"a"});
}

TEST_P(UpdateOrderContract, AfterALostAnswerItIsNotOrderedTwiceHoweverManyCameInBetween) {
    for (const int others : {0, 1, 40}) {
        SCOPED_TRACE(others);
        auto one = writer();
        auto two = writer();
        const auto tag = std::to_string(others);
        auto update = makes(one, "mine" + tag, newest(one));
        GetParam().lose_next_answer(storage_);
        ASSERT_FALSE(submit(one, update));
        ASSERT_TRUE(one.order->in_doubt());
        GetParam().answer_again(storage_);
        for (int i = 0; i < others; ++i) {
            auto other = makes(two, "other" + tag + "-" + std::to_string(i), newest(two));
            ASSERT_TRUE(submit(two, std::move(other)));
        }
        const auto version = newest(two);
        const auto again = submit(one, update, true);
        ASSERT_TRUE(again) << again.error().message();
        EXPECT_FALSE(one.order->in_doubt());
        EXPECT_TRUE(again->conflicts.empty());
        EXPECT_EQ(again->rebased_on->id, update->base->id);
        EXPECT_EQ(newest(two).root->id, version.root->id) << "it was ordered again";
    }
    EXPECT_EQ(conflicts(), 0U);
}

}  // namespace contract
