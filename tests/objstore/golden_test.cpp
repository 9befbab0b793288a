// The bytes that are kept for years. A failure here means that stored volumes would no longer be read: change the
// format number, the document and its history, then PELAGO_WRITE_GOLDEN=1.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/codec.hpp"
#include "objstore/world.hpp"
#include "tree/node.hpp"

namespace objstore {
namespace {

constexpr std::size_t kDigitsPerLine = 100;

base::Bytes read_golden(const std::filesystem::path& path) {
    std::ifstream in{path};
    std::string digits;
    for (std::string line; std::getline(in, line);) digits += line;
    return base::from_hex(digits).value_or(base::Bytes{});
}

void write_golden(const std::filesystem::path& path, base::ByteView bytes) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out{path};
    const auto digits = base::to_hex(bytes);
    for (std::size_t at = 0; at < digits.size(); at += kDigitsPerLine) out << digits.substr(at, kDigitsPerLine) << '\n';
}

void expect_golden(const std::string& name, base::ByteView bytes) {
    const auto path = std::filesystem::path{PELAGO_GOLDEN_DIR} / (name + ".hex");
    if (std::getenv("PELAGO_WRITE_GOLDEN") != nullptr) write_golden(path, bytes);
    EXPECT_EQ(base::to_hex(read_golden(path)), base::to_hex(bytes)) << path;
}

// One leaf with a record of each kind and every form of each.
TreeNode leaf_of_everything() {
    TreeNode node;
    node.shape = TreeShape{.node_bytes = 32U << 10U, .name_epoch = 0};
    const auto add = [&](std::uint64_t inode, Kind kind, std::uint64_t sub, std::uint32_t tie, Value value) {
        TreeKey key;
        key.inode = inode;
        key.kind = kind;
        key.sub = sub;
        key.tie = tie;
        node.items.push_back(Item{key, std::move(value)});
    };
    const auto extent = [](std::uint64_t block, std::uint32_t offset, std::uint64_t length) {
        Extent out;
        out.block = test::some_block(block);
        out.offset = offset;
        out.length = length;
        out.hash.emplace().fill(static_cast<std::uint8_t>(block + 0xA0));
        return out;
    };
    Extent hole;
    hole.length = 1U << 20U;
    Opaque opaque;
    opaque.bytes = base::to_bytes("snapshot record");
    opaque.blocks = {test::some_block(3), test::some_block(1)};
    add(0, Kind::snapshot, 0x8877665544332211U, 1, opaque);
    auto directory = test::some_inode(1);
    directory.type = base::FileType::directory;
    directory.mode = 0755;
    directory.nlink = 3;
    add(1, Kind::inode, 0, 0, directory);
    add(1, Kind::entry, 0x1122334455667788U, 0, Entry{"hello.txt", 2, base::FileType::regular});
    add(1, Kind::entry, 0x1122334455667788U, 1, Entry{"link", 3, base::FileType::symlink});
    auto file = test::some_inode(2);
    file.size = (1U << 20U) + 5000;
    file.mtime = base::Timestamp::from_ns(-1'500'000'001);  // before 1970
    add(2, Kind::inode, 0, 0, file);
    add(2, Kind::xattr, 99, 0, XattrRecord{"user.note", base::to_bytes("short")});
    add(2, Kind::xattr, 100, 0, XattrRecord{"user.long", extent(2, 77, 5000)});
    add(2, Kind::extent, 0, 0, hole);
    add(2, Kind::extent, 1U << 20U, 0, extent(2, 5077, 3000));
    add(2, Kind::extent, (1U << 20U) + 3000, 0, extent(1, 0, 2000));
    auto link = test::some_inode(3);
    link.type = base::FileType::symlink;
    link.mode = 0777;
    add(3, Kind::inode, 0, 0, link);
    add(3, Kind::inline_data, 0, 0, InlineData{base::to_bytes("hello.txt")});
    auto device = test::some_inode(4);
    device.type = base::FileType::character;
    device.rdev = 0x501;
    device.mode = 04620;
    add(4, Kind::inode, 0, 0, device);
    return node;
}

OpenedBlock as_block(const EncodedNode& encoded, BlockType type) {
    OpenedBlock block;
    block.type = type;
    block.children = encoded.blocks;
    block.packed = encoded.packed;
    block.raw = encoded.raw;
    return block;
}

TEST(Golden, TreeLeaf) {
    const auto node = leaf_of_everything();
    const auto encoded = encode_node(node);
    expect_golden("tree_leaf_packed", encoded.packed);
    expect_golden("tree_leaf_raw", encoded.raw);
    const auto decoded = decode_node(as_block(encoded, BlockType::tree_leaf));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(*decoded, node);
}

// What only the live tree writes: every time of a file, beyond what 64 bits of nanoseconds hold, and no chunk hash.
TEST(Golden, TreeLeafOfTheLiveTree) {
    TreeNode node;
    node.shape = TreeShape{.node_bytes = 32U << 10U, .name_epoch = 0};
    auto file = test::some_inode(2);
    file.size = 9000;
    file.mtime = {15'032'385'535, 999'999'999};  // 2446
    file.ctime = {-2'147'483'648, 1};            // 1901
    file.atime = {INT64_MAX, 0};
    file.btime = {INT64_MIN, 999'999'999};
    file.change = UINT64_MAX;
    file.flags = UINT32_MAX;
    node.items.push_back(Item{TreeKey::first(2, Kind::inode), file});
    Extent extent;
    extent.block = test::some_block(1);
    extent.length = 4000;
    node.items.push_back(Item{TreeKey::first(2, Kind::extent), extent});
    extent.offset = 4000;
    extent.length = 5000;
    extent.hash.emplace().fill(0xA1);
    auto key = TreeKey::first(2, Kind::extent);
    key.sub = 4000;
    node.items.push_back(Item{key, extent});
    const auto encoded = encode_node(node);
    expect_golden("tree_leaf_live_packed", encoded.packed);
    expect_golden("tree_leaf_live_raw", encoded.raw);
    const auto decoded = decode_node(as_block(encoded, BlockType::tree_leaf));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(*decoded, node);
}

TEST(Golden, ALeafWithColumnsOfALaterVersionIsUnsupported) {
    TreeNode node;
    node.items.push_back(Item{TreeKey::first(2, Kind::inode), test::some_inode(2)});
    auto encoded = encode_node(node);
    constexpr std::size_t kCount = 7;  // version, level, node size in three bytes, name epoch, one item
    encoded.packed[kCount] = 35;
    encoded.packed.push_back(0);
    EXPECT_EQ(decode_node(as_block(encoded, BlockType::tree_leaf)).error(), base::Errc::unsupported);
}

// Else one leaf had two encodings, and equal content two blocks.
TEST(Golden, AColumnOfZerosIsLeftEmptyAndEmptyOnesAtTheEndAreLeftOut) {
    TreeNode node;
    node.items.push_back(Item{TreeKey::first(2, Kind::inline_data), InlineData{base::Bytes(1)}});
    const auto encoded = encode_node(node);
    constexpr std::size_t kCount = 7;
    EXPECT_EQ(encoded.packed[kCount], 25) << "up to the data";
    EXPECT_EQ(*decode_node(as_block(encoded, BlockType::tree_leaf)), node) << "data are not numbers";
    auto spelled_out = encoded;
    constexpr std::size_t kTieColumn = 3;
    spelled_out.packed[kCount + 1 + kTieColumn] = 1;
    spelled_out.packed.insert(spelled_out.packed.begin() + kCount + 1 + 25 + 2, 0);  // after kind and inode
    EXPECT_EQ(decode_node(as_block(spelled_out, BlockType::tree_leaf)).error(), base::Errc::bad_format);
    auto longer = encoded;
    longer.packed[kCount] = 26;
    longer.packed.insert(longer.packed.begin() + kCount + 1 + 25, 0);
    EXPECT_EQ(decode_node(as_block(longer, BlockType::tree_leaf)).error(), base::Errc::bad_format);
}

TEST(Golden, TreeInner) {
    TreeNode node;
    node.level = 1;
    node.shape = TreeShape{.node_bytes = 32U << 10U, .name_epoch = 3};
    for (std::uint64_t i = 0; i < 3; ++i) {
        auto ref = *test::some_block(i);
        ref.type = BlockType::tree_leaf;
        ref.ref_key = ref.body_key;
        TreeKey key = TreeKey::first(10 * i, Kind::entry);
        key.sub = i * 1'000'000'007;
        key.tie = static_cast<std::uint32_t>(i);
        node.children.push_back(ChildLink{key, std::make_shared<const BlockRef>(ref)});
    }
    const auto encoded = encode_node(node);
    expect_golden("tree_inner", encoded.packed);
    EXPECT_EQ(*decode_node(as_block(encoded, BlockType::tree_inner)), node);
}

TEST(Golden, SealedBlock) {
    const auto keys = VolumeKeys::of_owner(test::owner_key(), "golden");
    auto context = test::seal_context(keys, 5);
    context.zstd_level = 0;  // the compressor's bytes are not ours to promise
    auto inner = *test::some_block(2);
    inner.type = BlockType::tree_leaf;
    inner.ref_key = base::sha256(base::as_bytes("reference key")).bytes();
    inner.group_bits = 9;
    inner.key_epoch = 2;
    inner.birth = 4;
    const std::vector<BlockRefPtr> children{test::some_block(1), std::make_shared<const BlockRef>(inner)};
    const auto packed = base::to_bytes("packed payload");
    const auto raw = base::to_bytes("raw part");
    const auto sealed = seal_block(context, BlockType::tree_inner, children, BlockContent{packed, raw});
    ASSERT_TRUE(sealed);
    expect_golden("block_with_references", sealed->bytes);
    expect_golden("block_with_references_id_and_keys",
                  base::Writer{}.guid(sealed->ref.id).raw(sealed->ref.ref_key).raw(sealed->ref.body_key).view());
    const auto plain = seal_block(context, BlockType::data, {}, BlockContent{packed, {}});
    expect_golden("block_data", plain->bytes);
    // Whatever the compressor does tomorrow, what it did today must open.
    const auto path = std::filesystem::path{PELAGO_GOLDEN_DIR} / "block_zstd.hex";
    context.zstd_level = 3;
    const base::Bytes zeros(10'000);
    const auto compressed = seal_block(context, BlockType::data, {}, BlockContent{zeros, {}});
    if (std::getenv("PELAGO_WRITE_GOLDEN") != nullptr) {
        const auto record = base::Writer{}.raw(compressed->ref.body_key).raw(compressed->bytes).take();
        write_golden(path, record);
    }
    const auto kept = read_golden(path);
    ASSERT_GT(kept.size(), 32U);
    BlockRef ref;
    std::copy_n(kept.begin(), 32, ref.body_key.begin());
    const auto bytes = base::ByteView{kept}.subspan(32);
    ref.id = base::sha256(bytes);
    ref.sealed_bytes = static_cast<std::uint32_t>(bytes.size());
    const auto opened = open_block(ref, keys.tag, bytes);
    ASSERT_TRUE(opened) << opened.error().message();
    EXPECT_EQ(base::to_bytes(opened->packed.view()), zeros);
}

TEST(Golden, KeysAndNames) {
    const auto keys = VolumeKeys::of_owner(test::owner_key(), "golden");
    base::Writer out;
    out.guid(keys.aguid).guid(keys.tag);
    for (const auto* key :
         {&keys.epoch.dedup, &keys.epoch.chunk, &keys.epoch.gear, &keys.epoch.name, &keys.epoch.pointer}) {
        out.raw(*key);
    }
    out.u64(entry_hash(keys.epoch, 1, "hello.txt")).u64(xattr_hash(keys.epoch, 1, "user.note"));
    out.raw(chunk_hash(keys.epoch, base::as_bytes("chunk")));
    out.guid(group_of(keys.tag, 11, keys.aguid));
    expect_golden("keys_and_names", out.view());
}

TEST(Golden, Snapshot) {
    Snapshot snapshot;
    snapshot.root = test::some_block(1);
    snapshot.host = "atoll";
    snapshot.user = "ann";
    snapshot.paths = {"/home/ann", "/etc"};
    snapshot.tags = {"daily", "kept"};
    snapshot.time_ns = 1'700'000'000'123'456'789;
    snapshot.sequence = 77;
    snapshot.parent = base::sha256(base::as_bytes("parent"));
    snapshot.files = 80'000;
    snapshot.directories = 7000;
    snapshot.bytes = 1'300'000'000;
    snapshot.added_bytes = 270'000'000;
    snapshot.partial = 2;
    snapshot.program_version = "0.1.0";
    expect_golden("snapshot", snapshot.encode().bytes);
    expect_golden("snapshot_id", snapshot.id().view());
    snapshot.original = base::sha256(base::as_bytes("original"));
    snapshot.first_root = base::sha256(base::as_bytes("first root"));
    expect_golden("snapshot_written_again", snapshot.encode().bytes);
}

TEST(Golden, Heartbeat) {
    const auto owner = test::owner_key();
    const auto keys = VolumeKeys::of_owner(owner, "golden");
    Heartbeat heartbeat;
    heartbeat.owner = owner.public_key();
    heartbeat.name_digest = name_digest("golden");
    heartbeat.body.aguid = keys.aguid;
    heartbeat.body.sequence = 7;
    heartbeat.body.vguid = test::some_block(1)->id;
    heartbeat.body.root_sequence = 7;
    heartbeat.body.tail_digest = empty_tail_digest();
    heartbeat.body.ring_digest = owner_ring_digest(owner.public_key());
    heartbeat.body.previous = base::sha256(base::as_bytes("before"));
    heartbeat.body.time_ns = 1'700'000'000'123'456'789;
    heartbeat.body.collected = 5;
    heartbeat.body.pointers.push_back(seal_pointer(keys.epoch, heartbeat.body, *test::some_block(1)));
    heartbeat.votes.push_back(vote_for(owner, heartbeat.body, 0, Phase::commit));
    expect_golden("heartbeat", heartbeat.encode());
    EXPECT_EQ(*verify_heartbeat(keys.aguid, heartbeat.encode()), 7U);
}

TEST(Golden, MarkAndReclaim) {
    const auto aguid = base::sha256(base::as_bytes("volume"));
    Mark mark{.sequence = 12, .body_hash = base::sha256(base::as_bytes("body")), .record = {}};
    expect_golden("mark", mark.encode(aguid));
    mark.record = base::to_bytes("the record of that state");
    expect_golden("mark_with_record", mark.encode(aguid));
    past::Reclaim reclaim;
    reclaim.group = base::sha256(base::as_bytes("place"));
    reclaim.tag = past::Tag{past::volume_tag(aguid), 9};
    reclaim.owner = test::owner_key().public_key();
    reclaim.name_digest = name_digest("golden");
    reclaim.blocks = {test::some_block(1)->id, test::some_block(2)->id};
    expect_golden("reclaim", reclaim.body());
}

}  // namespace
}  // namespace objstore
