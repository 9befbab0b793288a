// One node of a tree in memory, and its bytes. Pure; any thread. Format: docs/formats/tree.md.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.hpp"
#include "objstore/tree.hpp"

namespace objstore {

constexpr std::uint8_t kMaxTreeLevel = 16;
constexpr std::uint32_t kMinNodeBytes = 1U << 10U;
constexpr std::uint32_t kMaxNodeBytes = 256U << 10U;
/// An Opaque record, and with it the longest item.
constexpr std::size_t kMaxOpaqueBytes = 64U << 10U;

/// A child of an inner node: its first key, and where it is.
struct ChildLink {
    TreeKey first;
    BlockRefPtr ref;
    friend bool operator==(const ChildLink& a, const ChildLink& b) {
        return a.first == b.first && a.ref->id == b.ref->id;
    }
};

struct TreeNode {
    std::uint8_t level = 0;  ///< 0: a leaf
    TreeShape shape;
    std::vector<Item> items;          ///< of a leaf: keys strictly ascending
    std::vector<ChildLink> children;  ///< of an inner node: first keys strictly ascending, at least one

    [[nodiscard]] bool leaf() const { return level == 0; }
    friend bool operator==(const TreeNode&, const TreeNode&) = default;
};
using TreeNodePtr = std::shared_ptr<const TreeNode>;

struct EncodedNode {
    std::vector<BlockRefPtr> blocks;  ///< the block's children: each once, in order of first mention
    base::Bytes packed;
    base::Bytes raw;
};

/// Requires: values of the alternatives that their keys name, within the limits of records.hpp.
[[nodiscard]] EncodedNode encode_node(const TreeNode& node);
/// base::Errc::bad_format for what breaks docs/formats/tree.md; base::Errc::unsupported for a later version or kind.
[[nodiscard]] base::Result<TreeNode> decode_node(const OpenedBlock& block);

/// True if the item may stand in a tree: what decode_node() would accept.
[[nodiscard]] bool valid_item(const Item& item);

/// What an item adds to the size of its node, blocks that it is first to name not counted. Part of the format: where
/// nodes end follows from it.
[[nodiscard]] std::size_t item_weight(const Item& item);
constexpr std::size_t kBlockWeight = 72;   ///< of each block that a leaf names
constexpr std::size_t kMeanChildren = 16;  ///< of an inner node; half of it at least, twice at most

/// True if a leaf ends after the item of this key: `bytes` with it, `weight` its own.
[[nodiscard]] bool ends_leaf(const TreeShape& shape, const TreeKey& key, std::size_t weight, std::size_t bytes);
/// True if an inner node of `level` ends after the child of this first key: `children` with it.
[[nodiscard]] bool ends_inner(std::uint8_t level, const TreeKey& key, std::size_t children);

/// Blocks that a value names.
template <class Function>
void for_each_block(const Value& value, Function&& function) {
    if (const auto* extent = std::get_if<Extent>(&value)) {
        if (extent->block != nullptr) function(extent->block);
    } else if (const auto* xattr = std::get_if<XattrRecord>(&value)) {
        if (const auto* stored = std::get_if<Extent>(&xattr->value)) {
            if (stored->block != nullptr) function(stored->block);
        }
    } else if (const auto* opaque = std::get_if<Opaque>(&value)) {
        for (const auto& block : opaque->blocks) function(block);
    }
}

}  // namespace objstore
