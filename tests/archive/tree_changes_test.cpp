// What a backup writes into a tree, in whatever order it came.
#include "archive/tree_changes.hpp"

#include <gtest/gtest.h>

#include "archive_world.hpp"

namespace objstore::archive::test {
namespace {

base::Task<base::Result<BlockRefPtr>> apply(BlockWriter& writer, std::vector<Item> items) {
    TreeChanges changes;
    for (auto& item : items) changes.put(std::move(item));
    TreeUpdate update{writer, TreeShape{}};
    const DedupIndex index;
    co_return co_await changes.apply(update, index);
}

Item entry(std::uint64_t directory, std::uint64_t hash, std::string name) {
    Item item;
    item.key = TreeKey{.inode = directory, .kind = Kind::entry, .sub = hash};
    item.value = Entry{std::move(name), 7, base::FileType::regular};
    return item;
}

// No pair of names with one 63-bit hash is known, so the hash is given here.
TEST(TreeChanges, NamesOfOneHashAreNumbered) {
    ArchiveWorld world;
    const auto session = world.world.run(world.volume->begin()).value();
    std::vector<Item> items{entry(1, 5, "a"), entry(1, 9, "b"), entry(1, 9, "c"),
                            entry(1, 9, "d"), entry(2, 9, "e"), entry(2, 10, "f")};
    auto root = world.world.run(apply(session->writer(), std::move(items)));
    ASSERT_TRUE(root) << root.error().message();
    ASSERT_TRUE(world.world.run(session->writer().flush()));
    Tree tree{session->reader(), *root};
    const auto found = world.world.run(tree.range(TreeKey::first(1), TreeKey::first(3)));
    ASSERT_TRUE(found) << found.error().message();
    std::vector<std::pair<std::string, std::uint32_t>> names;
    for (const auto& item : *found) names.emplace_back(std::get<Entry>(item.value).name, item.key.tie);
    std::sort(names.begin(), names.end());
    ASSERT_EQ(names.size(), 6U);
    EXPECT_EQ(names[0], (std::pair<std::string, std::uint32_t>{"a", 0}));
    std::set<std::uint32_t> ties{names[1].second, names[2].second, names[3].second};
    EXPECT_EQ(ties, (std::set<std::uint32_t>{0, 1, 2}));
    EXPECT_EQ(names[4].second, 0U) << "another directory";
    EXPECT_EQ(names[5].second, 0U);
}

}  // namespace
}  // namespace objstore::archive::test
