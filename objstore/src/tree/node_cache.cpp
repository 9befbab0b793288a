#include "objstore/tree.hpp"
#include "tree/node.hpp"

namespace objstore {
namespace {

// What vectors, strings and shared pointers take beside the encoded bytes, about.
std::size_t footprint(const TreeNode& node) {
    std::size_t bytes = sizeof(TreeNode) + node.items.capacity() * sizeof(Item) +
                        node.children.capacity() * (sizeof(ChildLink) + sizeof(BlockRef));
    for (const auto& item : node.items) bytes += item_weight(item);
    return bytes;
}

}  // namespace

std::shared_ptr<const TreeNode> NodeCache::find(const base::Guid& id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->node;
}

void NodeCache::insert(const base::Guid& id, std::shared_ptr<const TreeNode> node) {
    if (by_id_.contains(id)) return;
    Held held{id, std::move(node), 0};
    held.bytes = footprint(*held.node);
    bytes_ += held.bytes;
    recent_.push_front(std::move(held));
    by_id_.emplace(id, recent_.begin());
    while (bytes_ > limit_ && recent_.size() > 1) {
        bytes_ -= recent_.back().bytes;
        by_id_.erase(recent_.back().id);
        recent_.pop_back();
    }
}

}  // namespace objstore
