// The tree against std::map: whatever is done to both, they hold the same; and how it was done leaves no trace.
#include <gtest/gtest.h>

#include <random>

#include "objstore/world.hpp"
#include "tree/node.hpp"

namespace objstore {
namespace {

using Model = std::map<TreeKey, Value>;
using Random = std::mt19937_64;

TreeShape small_nodes() {
    TreeShape shape;
    shape.node_bytes = 1024;
    return shape;
}

TreeKey random_key(Random& random, std::uint64_t inodes) {
    TreeKey key;
    key.inode = 1 + random() % inodes;
    switch (random() % 4) {
        case 0: key.kind = Kind::inode; break;
        case 1: key.kind = Kind::inline_data; break;
        case 2:
            key.kind = Kind::extent;
            key.sub = random() % 4 * 4096;
            break;
        case 3:
            key.kind = Kind::entry;
            key.sub = random() >> 1U;
            key.tie = static_cast<std::uint32_t>(random() % 2);
            break;
    }
    return key;
}

Value random_value(const TreeKey& key, Random& random) {
    switch (key.kind) {
        case Kind::inode: return test::some_inode(random() % 1000);
        case Kind::inline_data: return InlineData{base::Bytes(random() % 300, static_cast<std::uint8_t>(random()))};
        case Kind::extent: {
            Extent extent;
            extent.length = 1 + random() % 4096;
            if (random() % 4 != 0) {
                extent.block = test::some_block(random() % 20);
                extent.offset = static_cast<std::uint32_t>(random() % 100'000);
                if (random() % 4 != 0) extent.hash.emplace().fill(static_cast<std::uint8_t>(random()));
            }
            return extent;
        }
        default: {
            Entry entry;
            entry.name = "name-" + std::to_string(random() % 100'000);
            entry.inode = random() % 5000;
            return entry;
        }
    }
}

Model random_model(Random& random, std::size_t items, std::uint64_t inodes) {
    Model model;
    while (model.size() < items) {
        const auto key = random_key(random, inodes);
        model[key] = random_value(key, random);
    }
    return model;
}

// Names: rule 9 (coroutines take values).
base::Task<base::Result<BlockRefPtr>> bulk_load(BlockWriter& writer, Model model, TreeShape shape) {
    TreeUpdate update{writer, shape};
    for (const auto& [key, value] : model) {
        Item item{key, value};
        BASE_CO_CHECK(co_await update.put(std::move(item)));
    }
    BASE_CO_TRY(auto root, co_await update.finish());
    BASE_CO_CHECK(co_await writer.flush());
    co_return root;
}

struct Edits {
    std::map<TreeKey, std::optional<Value>> points;
    std::optional<std::pair<TreeKey, TreeKey>> erased;  // a range, before whose start no point lies behind
};

struct Edited {
    BlockRefPtr root;
    TreeChange change;
};

base::Task<base::Result<Edited>> apply(BlockWriter& writer, Tree base, Edits edits) {
    TreeUpdate update{writer, std::move(base)};
    bool range_done = !edits.erased;
    for (const auto& [key, value] : edits.points) {
        if (!range_done && edits.erased->first <= key) {
            BASE_CO_CHECK(co_await update.erase(edits.erased->first, edits.erased->second));
            range_done = true;
        }
        if (value) {
            Item item{key, *value};
            BASE_CO_CHECK(co_await update.put(std::move(item)));
        } else {
            BASE_CO_CHECK(co_await update.erase(key));
        }
    }
    if (!range_done) BASE_CO_CHECK(co_await update.erase(edits.erased->first, edits.erased->second));
    Edited out;
    BASE_CO_TRY(out.root, co_await update.finish());
    out.change = update.change();
    BASE_CO_CHECK(co_await writer.flush());
    co_return out;
}

void apply_to_model(Model& model, const Edits& edits) {
    if (edits.erased) {
        model.erase(model.lower_bound(edits.erased->first), model.lower_bound(edits.erased->second));
    }
    for (const auto& [key, value] : edits.points) {
        if (value) {
            model[key] = *value;
        } else {
            model.erase(key);
        }
    }
}

base::Task<base::Result<Model>> read_all(Tree tree) {
    Model out;
    TreeCursor cursor{std::move(tree)};
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        for (const auto& item : items) out.emplace(item.key, item.value);
    }
    co_return out;
}

Edits random_edits(Random& random, const Model& model, std::uint64_t inodes) {
    Edits edits;
    if (random() % 4 == 0) {
        const auto from = 1 + random() % inodes;
        const auto to = from + 1 + random() % (random() % 2 == 0 ? 3 : inodes);
        edits.erased = {TreeKey::first(from), TreeKey::first(to)};
    }
    const auto count = random() % 3 == 0 ? random() % 400 : random() % 8;
    for (std::uint64_t i = 0; i < count; ++i) {
        if (!model.empty() && random() % 2 == 0) {
            auto at = model.lower_bound(random_key(random, inodes));
            if (at == model.end()) at = model.begin();
            if (random() % 2 == 0) {
                edits.points[at->first] = std::nullopt;
            } else {
                edits.points[at->first] = random_value(at->first, random);
            }
        } else {
            const auto key = random_key(random, inodes + 5);
            edits.points[key] = random_value(key, random);
        }
    }
    return edits;
}

TEST(TreeProperty, RandomEditsGiveWhatAMapGivesAndTheRootThatABulkLoadGives) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        test::VolumeWorld on{seed};
        Random random{seed};
        const std::uint64_t inodes = 1 + random() % 300;
        auto model = random_model(random, random() % 3 == 0 ? random() % 4 : 200 + random() % 1500, inodes + 500);
        auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
        ASSERT_TRUE(root) << root.error().message();
        for (int round = 0; round < 12; ++round) {
            const auto edits = random_edits(random, model, inodes + 500);
            auto edited = on.world.run(apply(on.writer, Tree{on.reader, *root}, edits));
            ASSERT_TRUE(edited) << edited.error().message();
            apply_to_model(model, edits);
            auto held = on.world.run(read_all(Tree{on.reader, edited->root}));
            ASSERT_TRUE(held) << held.error().message();
            ASSERT_EQ(*held, model) << "seed " << seed << " round " << round;
            const auto again = on.world.run(bulk_load(on.writer, model, small_nodes()));
            ASSERT_TRUE(again);
            ASSERT_EQ((*again)->id, edited->root->id) << "seed " << seed << " round " << round;
            root = edited->root;
        }
    }
}

TEST(TreeProperty, EverythingErasedIsTheEmptyTree) {
    test::VolumeWorld on;
    Random random{3};
    const auto root = on.world.run(bulk_load(on.writer, random_model(random, 900, 200), small_nodes()));
    ASSERT_TRUE(root);
    Edits all;
    all.erased = {TreeKey::first(0), TreeKey::first(UINT64_MAX)};
    const auto edited = on.world.run(apply(on.writer, Tree{on.reader, *root}, all));
    ASSERT_TRUE(edited);
    const auto empty = on.world.run(bulk_load(on.writer, Model{}, small_nodes()));
    EXPECT_EQ(edited->root->id, (*empty)->id);
    EXPECT_TRUE(on.world.run(read_all(Tree{on.reader, edited->root}))->empty());
}

TEST(TreeProperty, EditsThatChangeNothingGiveTheSameRootAndWriteNothing) {
    test::VolumeWorld on;
    Random random{4};
    const auto model = random_model(random, 2000, 400);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    Edits same;
    for (const auto& [key, value] : model) {
        if (random() % 10 == 0) same.points[key] = value;
    }
    const auto edited = on.world.run(apply(on.writer, Tree{on.reader, *root}, same));
    ASSERT_TRUE(edited);
    EXPECT_EQ(edited->root->id, (*root)->id);
    EXPECT_EQ(edited->change.leaves_written + edited->change.inner_written, 0U);
}

TEST(TreeProperty, OneEditRewritesOnePathAndSharesTheRest) {
    test::VolumeWorld on;
    Random random{5};
    const auto model = random_model(random, 20'000, 4000);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    const auto total = on.writer.totals().blocks;
    ASSERT_GT(total, 500U);
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    constexpr std::uint64_t kEdits = 60;
    for (std::uint64_t i = 0; i < kEdits; ++i) {
        Edits one;
        auto at = model.lower_bound(random_key(random, 4000));
        if (at == model.end()) at = model.begin();
        one.points[at->first] = random_value(at->first, random);
        const auto edited = on.world.run(apply(on.writer, Tree{on.reader, *root}, one));
        ASSERT_TRUE(edited);
        written += edited->change.leaves_written + edited->change.inner_written;
        read += edited->change.nodes_read;
    }
    // One path; now and then an end moves and a neighbour is read and written too.
    Edits same;
    same.points[model.begin()->first] = model.begin()->second;
    const auto path = on.world.run(apply(on.writer, Tree{on.reader, *root}, same));
    const auto depth = path->change.nodes_read;
    EXPECT_LE(depth, 8U);
    EXPECT_LE(written, kEdits * (depth + 1));
    EXPECT_LE(read, kEdits * (depth + 2));
}

TEST(TreeProperty, AnAppendReadsAndWritesTheRightEdgeOnly) {
    test::VolumeWorld on;
    Random random{6};
    const auto model = random_model(random, 20'000, 4000);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    Edits append;
    TreeKey key;
    key.inode = 1'000'000;
    key.kind = Kind::inode;
    append.points[key] = test::some_inode(1);
    const auto edited = on.world.run(apply(on.writer, Tree{on.reader, *root}, append));
    ASSERT_TRUE(edited);
    EXPECT_LE(edited->change.nodes_read, 7U);
    EXPECT_LE(edited->change.leaves_written + edited->change.inner_written, 7U);
}

TEST(TreeProperty, NodesKeepTheirSizeLimits) {
    for (const std::uint32_t node_bytes : {1024U, 32U << 10U, 64U << 10U}) {
        TreeShape shape;
        shape.node_bytes = node_bytes;
        Random random{7};
        std::uint64_t bytes = 0;
        std::uint64_t nodes = 0;
        std::uint64_t in_node = 0;
        for (std::uint64_t i = 0; i < 400'000; ++i) {
            TreeKey key;
            key.inode = i;
            key.kind = Kind::inode;
            in_node += 28;
            if (!ends_leaf(shape, key, 28, in_node)) continue;
            EXPECT_GE(in_node, node_bytes / 2);
            EXPECT_LT(in_node, node_bytes * 2 + 28);
            bytes += in_node;
            in_node = 0;
            ++nodes;
        }
        const auto mean = static_cast<double>(bytes) / static_cast<double>(nodes);
        EXPECT_NEAR(mean, node_bytes, node_bytes * 0.1) << node_bytes;
    }
}

TEST(TreeProperty, InnerNodesHaveSixteenChildrenOnAverageWhateverTheLevel) {
    for (const std::uint8_t level : {1, 2, 5}) {
        constexpr std::size_t kChildren = 200'000;
        std::size_t nodes = 0;
        std::size_t in_node = 0;
        for (std::uint64_t i = 0; i < kChildren; ++i) {
            ++in_node;
            if (!ends_inner(level, TreeKey::first(i, Kind::inode), in_node)) continue;
            EXPECT_GE(in_node, kMeanChildren / 2);
            EXPECT_LE(in_node, kMeanChildren * 2);
            in_node = 0;
            ++nodes;
        }
        EXPECT_NEAR(static_cast<double>(kChildren) / static_cast<double>(nodes), kMeanChildren, 1.6) << int{level};
    }
}

TEST(Tree, FindsWhatIsThereAndNothingElse) {
    test::VolumeWorld on;
    Random random{8};
    const auto model = random_model(random, 3000, 500);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    const Tree tree{on.reader, *root};
    for (int i = 0; i < 200; ++i) {
        const auto key = random_key(random, 520);
        const auto found = on.world.run(tree.find(key));
        ASSERT_TRUE(found);
        const auto expected = model.find(key);
        ASSERT_EQ(found->has_value(), expected != model.end());
        if (*found) {
            EXPECT_EQ((*found)->value, expected->second);
        }
    }
}

TEST(Tree, ARangeIsHalfOpenAndLimited) {
    test::VolumeWorld on;
    Random random{9};
    const auto model = random_model(random, 3000, 300);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    const Tree tree{on.reader, *root};
    for (std::uint64_t inode = 0; inode < 300; inode += 7) {
        const auto from = TreeKey::first(inode);
        const auto to = TreeKey::first(inode + 3);
        const auto items = on.world.run(tree.range(from, to));
        ASSERT_TRUE(items);
        auto expected = model.lower_bound(from);
        for (const auto& item : *items) {
            ASSERT_EQ(item.key, expected->first);
            ASSERT_EQ(item.value, expected->second);
            ++expected;
        }
        EXPECT_EQ(expected, model.lower_bound(to));
        EXPECT_LE(on.world.run(tree.range(from, to, 5))->size(), 5U);
    }
}

TEST(Tree, TheCursorGivesTheSameOneByOne) {
    test::VolumeWorld on;
    Random random{10};
    const auto model = random_model(random, 1000, 100);
    const auto root = on.world.run(bulk_load(on.writer, model, small_nodes()));
    TreeCursor cursor{Tree{on.reader, *root}, TreeKey::first(50)};
    for (auto expected = model.lower_bound(TreeKey::first(50)); expected != model.end(); ++expected) {
        const auto item = on.world.run(cursor.next());
        ASSERT_TRUE(item);
        ASSERT_NE(*item, nullptr);
        EXPECT_EQ((*item)->key, expected->first);
    }
    EXPECT_EQ(*on.world.run(cursor.next()), nullptr);
}

TEST(Tree, ARecordBeyondItsLimitsIsRefused) {
    test::VolumeWorld on;
    TreeUpdate update{on.writer, small_nodes()};
    for (const std::string name : {"", ".", "..", "a/b"}) {
        Item item;
        item.key = TreeKey::first(1, Kind::entry);
        Entry entry;
        entry.name = name;
        item.value = entry;
        EXPECT_EQ(on.world.run(update.put(item)).error(), base::Errc::bad_argument) << name;
    }
}

TEST(Tree, ANodeUnderAnotherParentIsDamage) {
    test::VolumeWorld on;
    Random random{11};
    const auto root = on.world.run(bulk_load(on.writer, random_model(random, 500, 100), small_nodes()));
    // A writer that lies: an inner node whose first child holds other keys than it says.
    const auto opened = on.world.run(on.reader.read(*root));
    auto node = decode_node(**opened);
    ASSERT_TRUE(node && node->children.size() > 1);
    node->children.front().ref = node->children.back().ref;
    node->children.pop_back();
    auto encoded = encode_node(*node);
    const auto forged =
        on.world.run(on.writer.write(BlockType::tree_inner, std::move(encoded.blocks), std::move(encoded.packed)));
    ASSERT_TRUE(forged && on.world.run(on.writer.flush()));
    EXPECT_EQ(on.world.run(read_all(Tree{on.reader, *forged})).error(), Errc::damaged);
}

}  // namespace
}  // namespace objstore
