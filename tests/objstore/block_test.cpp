// Sealed blocks: what opens, what does not, and what a block gives away.
#include "objstore/block.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/error.hpp"
#include "objstore/world.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

base::Bytes text(std::size_t size) {
    base::Bytes out;
    while (out.size() < size) out.push_back(static_cast<std::uint8_t>("the quick brown fox "[out.size() % 20]));
    return out;
}

base::Bytes noise(std::size_t size, std::uint64_t seed = 1) {
    std::mt19937_64 random{seed};
    base::Bytes out(size);
    for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
    return out;
}

class Block : public testing::Test {
  protected:
    VolumeKeys keys_ = VolumeKeys::of_owner(test::owner_key(), "test");
    SealContext context_ = test::seal_context(keys_);
    std::vector<BlockRefPtr> children_{test::some_block(1), test::some_block(2)};

    SealedBlock seal(BlockType type, std::vector<BlockRefPtr> children, const base::Bytes& packed,
                     const base::Bytes& raw = {}) {
        return *seal_block(context_, type, children, BlockContent{packed, raw});
    }
    /// `sealed` with one byte changed, under the id that the changed bytes have: only the sealing can notice.
    static SealedBlock flipped(const SealedBlock& sealed, std::size_t at) {
        auto bytes = base::to_bytes(sealed.bytes.view());
        bytes[at] ^= 1U;
        return renamed(sealed, std::move(bytes));
    }
    static SealedBlock renamed(const SealedBlock& sealed, base::Bytes bytes) {
        SealedBlock out;
        out.ref = sealed.ref;
        out.ref.id = base::sha256(bytes);
        out.ref.sealed_bytes = static_cast<std::uint32_t>(bytes.size());
        out.bytes = std::move(bytes);
        return out;
    }
    base::Result<OpenedBlock> open(const SealedBlock& sealed) {
        return open_block(sealed.ref, keys_.tag, sealed.bytes);
    }
};

TEST_F(Block, OpensToWhatWasSealed) {
    for (const auto& packed : {base::Bytes{}, base::Bytes{7}, text(100'000), noise(100'000)}) {
        for (const auto& raw : {base::Bytes{}, noise(300)}) {
            const auto sealed = seal(BlockType::tree_leaf, children_, packed, raw);
            const auto opened = open(sealed);
            ASSERT_TRUE(opened) << opened.error().message();
            EXPECT_EQ(base::to_bytes(opened->packed.view()), packed);
            EXPECT_EQ(base::to_bytes(opened->raw.view()), raw);
            ASSERT_EQ(opened->children.size(), 2U);
            EXPECT_EQ(*opened->children[0], *children_[0]);
            EXPECT_EQ(*opened->children[1], *children_[1]);
        }
    }
}

TEST_F(Block, TheSameContentGivesTheSameBytesInOneVolumeAndOthersInAnother) {
    const auto one = seal(BlockType::data, {}, text(5000));
    EXPECT_EQ(one.ref, seal(BlockType::data, {}, text(5000)).ref);
    context_ = test::seal_context(VolumeKeys::of_owner(test::owner_key(), "other"));
    const auto other = seal(BlockType::data, {}, text(5000));
    EXPECT_NE(one.ref.id, other.ref.id);
    EXPECT_NE(one.ref.body_key, other.ref.body_key);
}

// What a GCM tag covers decides the key: or two blocks that differ in their references only would share key and nonce.
TEST_F(Block, EqualBodiesUnderOtherReferencesHaveOtherKeys) {
    auto moved = std::make_shared<BlockRef>(*children_[0]);
    moved->group_bits = 9;  // not told in the body
    const auto one = seal(BlockType::tree_leaf, {children_[0]}, text(500));
    const auto other = seal(BlockType::tree_leaf, {moved}, text(500));
    EXPECT_NE(one.ref.ref_key, other.ref.ref_key);
    EXPECT_NE(one.ref.body_key, other.ref.body_key);
}

TEST_F(Block, TypeAndVolumeDecideTheKeys) {
    const auto data = seal(BlockType::data, {}, text(500));
    const auto pack = seal(BlockType::pack, {}, text(500));
    EXPECT_NE(data.ref.body_key, pack.ref.body_key);
}

// A holder files an id under one place: what a grown volume seals again for another place must be another block.
TEST_F(Block, AnIdBelongsToOneGroup) {
    const auto before = seal(BlockType::tree_leaf, children_, text(500));
    ++context_.group_bits;
    const auto after = seal(BlockType::tree_leaf, children_, text(500));
    EXPECT_NE(before.ref.id, after.ref.id);
    EXPECT_TRUE(open(before) && open(after));
    auto elsewhere = before;
    ++elsewhere.ref.group_bits;
    EXPECT_EQ(open(elsewhere).error(), Errc::damaged);
}

TEST_F(Block, EveryByteThatIsChangedIsNoticed) {
    const auto sealed = seal(BlockType::tree_leaf, children_, text(300), noise(40));
    for (std::size_t at = 0; at < sealed.bytes.size(); ++at) {
        const auto opened = open(flipped(sealed, at));
        ASSERT_FALSE(opened) << at;
        EXPECT_TRUE(opened.error() == Errc::damaged || opened.error() == base::Errc::unsupported) << at;
        EXPECT_NE(opened.error().detail().find("block "), std::string::npos);
    }
}

TEST_F(Block, EveryTruncationAndExtensionIsNoticed) {
    const auto sealed = seal(BlockType::tree_leaf, children_, text(300));
    for (std::size_t size = 0; size < sealed.bytes.size(); ++size) {
        ASSERT_FALSE(open(renamed(sealed, base::to_bytes(sealed.bytes.view().first(size))))) << size;
    }
    auto longer = base::to_bytes(sealed.bytes.view());
    longer.push_back(0);
    EXPECT_EQ(open(renamed(sealed, longer)).error(), Errc::damaged);
}

TEST_F(Block, BytesThatAreNotItsOwnAreDamageNamingTheBlock) {
    const auto sealed = seal(BlockType::data, {}, text(300));
    const auto other = seal(BlockType::data, {}, text(301));
    const auto opened = open_block(sealed.ref, keys_.tag, other.bytes);
    EXPECT_EQ(opened.error(), Errc::damaged);
    EXPECT_NE(opened.error().detail().find(sealed.ref.id.hex()), std::string::npos);
}

TEST_F(Block, NothingButItsOwnDescriptionOpensIt) {
    const auto sealed = seal(BlockType::tree_leaf, children_, text(300));
    const auto with = [&](auto change) {
        auto ref = sealed.ref;
        change(ref);
        return open_block(ref, keys_.tag, sealed.bytes, /*check_id=*/false);
    };
    EXPECT_TRUE(with([](BlockRef&) {}));
    EXPECT_EQ(with([](BlockRef& ref) { ref.type = BlockType::tree_inner; }).error(), Errc::damaged);
    EXPECT_EQ(with([](BlockRef& ref) { ++ref.sealed_bytes; }).error(), Errc::damaged);
    EXPECT_EQ(with([](BlockRef& ref) { ref.ref_key[0] ^= 1U; }).error(), Errc::damaged);
    EXPECT_EQ(with([](BlockRef& ref) { ref.ref_key = {}; }).error(), Errc::damaged);
    EXPECT_EQ(with([](BlockRef& ref) { ref.body_key[31] ^= 1U; }).error(), Errc::damaged);
    EXPECT_EQ(with([](BlockRef& ref) { std::swap(ref.ref_key, ref.body_key); }).error(), Errc::damaged);
    EXPECT_EQ(open_block(sealed.ref, test::seal_context(VolumeKeys::of_owner(test::owner_key(2), "x")).volume_tag,
                         sealed.bytes)
                  .error(),
              Errc::damaged);
}

TEST_F(Block, BytesUnderAnotherIdAreDamageHoweverWellTheyOpen) {
    const auto sealed = seal(BlockType::data, {}, text(300));
    auto ref = sealed.ref;
    ref.id = test::some_block(9)->id;
    EXPECT_EQ(open_block(ref, keys_.tag, sealed.bytes).error(), Errc::damaged);
}

TEST_F(Block, SectionsOfTwoBlocksDoNotMix) {
    const auto one = seal(BlockType::tree_leaf, {children_[0]}, text(300));
    const auto two = seal(BlockType::tree_leaf, {children_[1]}, text(300));
    ASSERT_EQ(one.bytes.size(), two.bytes.size());
    const auto references = BlockHeader::decode(one.bytes)->references_bytes;
    auto mixed = base::to_bytes(one.bytes.view());
    std::copy_n(two.bytes.view().begin() + kBlockHeaderBytes, references, mixed.begin() + kBlockHeaderBytes);
    auto sealed = renamed(one, mixed);
    sealed.ref.ref_key = two.ref.ref_key;  // the references open; the body is bound to others
    EXPECT_EQ(open(sealed).error(), Errc::damaged);
}

// Architecture, section 4: "the K_ref of a root walks the tree without seeing names or contents".
TEST_F(Block, TheReferenceKeyAloneShowsTheChildrenAndNothingElse) {
    const auto inner = seal(BlockType::tree_leaf, children_, text(300));
    const auto root = seal(BlockType::tree_inner, {std::make_shared<BlockRef>(inner.ref)}, text(80));
    auto capability = root.ref;
    capability.body_key = {};
    EXPECT_FALSE(open_block(capability, keys_.tag, root.bytes));
    const auto nodes = open_references(capability, keys_.tag, root.bytes);
    ASSERT_TRUE(nodes);
    ASSERT_EQ(nodes->size(), 1U);
    EXPECT_EQ(nodes->front().id, inner.ref.id);
    EXPECT_EQ(nodes->front().body_key, base::Key{});
    const auto packs = open_references(nodes->front(), keys_.tag, inner.bytes);
    ASSERT_TRUE(packs);
    ASSERT_EQ(packs->size(), 2U);
    EXPECT_EQ(packs->at(1).id, children_[1]->id);
    EXPECT_EQ(packs->at(1).group_bits, children_[1]->group_bits);
}

TEST_F(Block, NoiseIsStoredAsItIsAndTextIsNot) {
    EXPECT_LE(seal(BlockType::data, {}, noise(1U << 20U)).bytes.size(), (1U << 20U) + 40);
    EXPECT_LE(seal(BlockType::data, {}, text(1U << 20U)).bytes.size(), 2000U);
    EXPECT_LE(seal(BlockType::tree_leaf, {}, text(5000), noise(5000)).bytes.size(), 5200U);
}

TEST_F(Block, LimitsHoldBeforeAnythingIsSealed) {
    const auto at = [&](BlockType type, const base::Bytes& content) {
        return seal_block(context_, type, {}, BlockContent{content, {}});
    };
    EXPECT_TRUE(at(BlockType::data, noise(1U << 20U)));
    EXPECT_EQ(at(BlockType::data, noise((1U << 20U) + 1)).error(), base::Errc::bad_argument);
    EXPECT_TRUE(at(BlockType::pack, text(4U << 20U)));
    EXPECT_EQ(at(BlockType::pack, text((4U << 20U) + 1)).error(), base::Errc::bad_argument);
    EXPECT_EQ(at(BlockType::pack, noise(2U << 20U)).error(), past::Errc::too_large);
}

// A writer with the keys seals a frame that declares or gives more than its type allows.
TEST_F(Block, ABombIsRefusedByItsDeclaredSize) {
    context_.zstd_level = 3;
    const auto bomb = seal(BlockType::pack, {}, base::Bytes(4U << 20U));  // 4 MiB of zeros
    EXPECT_LT(bomb.bytes.size(), 1000U);
    ASSERT_TRUE(open(bomb));
    // The same body, sealed as a data chunk, whose limit is 1 MiB: build it by hand from the opened pieces.
    const auto header = BlockHeader::decode(bomb.bytes);
    const auto associated = [&](BlockType type) {
        base::Bytes out = base::to_bytes("body");
        out.push_back(static_cast<std::uint8_t>(type));
        out.push_back(1);
        out.push_back(context_.group_bits);
        out.insert(out.end(), keys_.tag.bytes().begin(), keys_.tag.bytes().end());
        const auto none = base::sha256(base::ByteView{});
        out.insert(out.end(), none.bytes().begin(), none.bytes().end());
        return out;
    };
    const auto body =
        base::open_once(bomb.ref.body_key, associated(BlockType::pack), bomb.bytes.view().last(header->body_bytes));
    ASSERT_TRUE(body);
    auto bytes = base::to_bytes(bomb.bytes.view().first(kBlockHeaderBytes));
    bytes[5] = static_cast<std::uint8_t>(BlockType::data);
    base::seal_once_to(bytes, bomb.ref.body_key, associated(BlockType::data), *body);
    auto as_data = renamed(bomb, bytes);
    as_data.ref.type = BlockType::data;
    const auto opened = open(as_data);
    ASSERT_EQ(opened.error(), Errc::damaged);
    EXPECT_NE(opened.error().detail().find("limit"), std::string::npos);
}

TEST_F(Block, AHeaderOfALaterFormatIsUnsupported) {
    auto bytes = base::to_bytes(seal(BlockType::data, {}, text(10)).bytes.view());
    bytes[4] = 2;
    EXPECT_EQ(BlockHeader::decode(bytes).error(), base::Errc::unsupported);
    bytes[4] = 1;
    bytes[5] = 99;
    EXPECT_EQ(BlockHeader::decode(bytes).error(), base::Errc::unsupported);
    bytes[5] = 1;
    bytes[6] = 1;
    EXPECT_EQ(BlockHeader::decode(bytes).error(), base::Errc::bad_format);
}

TEST(Group, FollowsFromTheFirstBitsOnly) {
    const auto tag = base::sha256(base::as_bytes("tag"));
    auto id = *base::Guid::from_prefix("a5f0");
    const auto near = *base::Guid::from_prefix("a5ff");
    EXPECT_EQ(group_of(tag, 12, id), group_of(tag, 12, near));
    EXPECT_NE(group_of(tag, 13, id), group_of(tag, 13, near));
    EXPECT_NE(group_of(tag, 12, id), group_of(tag, 11, id));
    EXPECT_NE(group_of(tag, 12, id), group_of(base::sha256(base::as_bytes("other")), 12, id));
}

TEST(Group, AVolumeGetsMoreGroupsAsItGrows) {
    EXPECT_EQ(group_bits_for(0), 4);
    EXPECT_EQ(group_bits_for(std::uint64_t{32} << 30U), 4);
    EXPECT_EQ(group_bits_for((std::uint64_t{32} << 30U) + (16U << 20U)), 5);
    EXPECT_EQ(group_bits_for(std::uint64_t{65} << 30U), 6);
    EXPECT_EQ(group_bits_for(UINT64_MAX), kMaxGroupBits);
}

}  // namespace
}  // namespace objstore
