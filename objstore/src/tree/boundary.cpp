// Where nodes end. By content alone, so that equal content gives equal nodes: docs/decisions/tree.md.
#include <algorithm>

#include "tree/node.hpp"

namespace objstore {
namespace {

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output.
std::uint64_t mix(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31U);
}

std::uint64_t key_hash(std::uint8_t level, const TreeKey& key) {
    auto value = mix((std::uint64_t{level} << 8U) | static_cast<std::uint8_t>(key.kind));
    value = mix(value ^ key.inode);
    value = mix(value ^ key.sub);
    return mix(value ^ key.tie);
}

struct WeightOf {
    std::size_t operator()(const Inode&) const { return 28; }
    std::size_t operator()(const InlineData& data) const { return 3 + data.bytes.size(); }
    std::size_t operator()(const Extent& extent) const { return extent.block == nullptr ? 8 : 24; }
    std::size_t operator()(const Entry& entry) const { return 14 + entry.name.size(); }
    std::size_t operator()(const Opaque& opaque) const { return 12 + opaque.bytes.size() + opaque.blocks.size(); }
    std::size_t operator()(const XattrRecord& xattr) const {
        const auto* bytes = std::get_if<base::Bytes>(&xattr.value);
        return 14 + xattr.name.size() + (bytes != nullptr ? bytes->size() : 24);
    }
};

}  // namespace

std::size_t item_weight(const Item& item) { return std::visit(WeightOf{}, item.value); }

namespace {

/// Between `half` and four times that, at a rate that makes the mean twice it.
bool ends(std::uint64_t half, std::uint64_t hash, std::size_t weight, std::size_t filled) {
    if (filled < half) return false;
    if (filled >= 4 * half) return true;
    // Of every `half` one ends a node: the probability is weight / half.
    const auto share = UINT64_MAX / half;
    return hash < share * std::min<std::uint64_t>(weight, half);
}

}  // namespace

bool ends_leaf(const TreeShape& shape, const TreeKey& key, std::size_t weight, std::size_t bytes) {
    return ends(shape.node_bytes / 2, key_hash(0, key), weight, bytes);
}

bool ends_inner(std::uint8_t level, const TreeKey& key, std::size_t children) {
    return ends(kMeanChildren / 2, key_hash(level, key), 1, children);
}

}  // namespace objstore
