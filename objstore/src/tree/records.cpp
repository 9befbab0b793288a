#include "objstore/records.hpp"

#include <algorithm>

namespace objstore {
namespace {

// Bytes decide, not which object happens to hold the reference: one pack may be known through several.
bool same_block(const BlockRefPtr& a, const BlockRefPtr& b) {
    return a == b || (a != nullptr && b != nullptr && a->id == b->id);
}

}  // namespace

bool operator==(const Extent& a, const Extent& b) {
    return same_block(a.block, b.block) && a.offset == b.offset && a.length == b.length && a.hash == b.hash;
}

bool operator==(const Opaque& a, const Opaque& b) {
    return a.bytes == b.bytes &&
           std::equal(a.blocks.begin(), a.blocks.end(), b.blocks.begin(), b.blocks.end(), same_block);
}

}  // namespace objstore
