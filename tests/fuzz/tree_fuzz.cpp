// Nodes of trees, as a writer with the keys may have made them.
#include <cstdlib>

#include "../../objstore/src/tree/node.hpp"
#include "base/hash.hpp"

namespace {

using namespace objstore;

std::vector<BlockRefPtr> some_children(std::size_t count, BlockType type) {
    std::vector<BlockRefPtr> out;
    for (std::size_t i = 0; i < count; ++i) {
        BlockRef ref;
        ref.id = base::sha256(base::ByteView{reinterpret_cast<const std::uint8_t*>(&i), sizeof i});
        ref.type = type;
        out.push_back(std::make_shared<const BlockRef>(ref));
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    // Two bytes say how many children the block has and how much of the rest is its raw part.
    const base::ByteView rest{data + 3, size - 3};
    const auto raw = std::min<std::size_t>(data[1] * 8U, rest.size());
    OpenedBlock block;
    block.type = (data[0] & 1U) != 0 ? BlockType::tree_inner : BlockType::tree_leaf;
    block.children = some_children(data[2] % 32, (data[0] & 2U) != 0 ? BlockType::tree_leaf : BlockType::pack);
    block.raw = base::to_bytes(rest.first(raw));
    block.packed = base::to_bytes(rest.subspan(raw));
    const auto node = decode_node(block);
    if (!node) return 0;
    for (const auto& item : node->items) {
        if (!valid_item(item)) std::abort();
    }
    const auto encoded = encode_node(*node);
    OpenedBlock again;
    again.type = block.type;
    again.children = encoded.blocks;
    again.raw = encoded.raw;
    again.packed = encoded.packed;
    const auto same = decode_node(again);
    if (!same || *same != *node) std::abort();
    if (encoded.raw != base::to_bytes(block.raw.view())) std::abort();
    return 0;
}
