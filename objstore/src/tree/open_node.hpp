// A node that is being filled, at one level of a tree that is being made. Decides where it ends; does nothing else.
#pragma once

#include <unordered_set>
#include <utility>

#include "tree/node.hpp"

namespace objstore {

class OpenNode {
  public:
    OpenNode(std::uint8_t level, TreeShape shape) : level_{level}, shape_{shape} {}

    [[nodiscard]] bool empty() const { return items_.empty() && children_.empty(); }
    [[nodiscard]] std::size_t children() const { return children_.size(); }
    [[nodiscard]] const BlockRefPtr& first_child() const { return children_.front().ref; }

    /// True if the node ends with it.
    [[nodiscard]] bool add(Item item) {
        auto weight = item_weight(item);
        for_each_block(item.value, [&](const BlockRefPtr& block) {
            if (blocks_.insert(block->id).second) weight += kBlockWeight;
        });
        bytes_ += weight;
        items_.push_back(std::move(item));
        return ends_leaf(shape_, items_.back().key, weight, bytes_);
    }
    [[nodiscard]] bool add(ChildLink child) {
        children_.push_back(std::move(child));
        return ends_inner(level_, children_.back().first, children_.size());
    }

    /// The finished node; this one is empty again.
    [[nodiscard]] TreeNode take() {
        TreeNode node;
        node.level = level_;
        node.shape = shape_;
        node.items = std::exchange(items_, {});
        node.children = std::exchange(children_, {});
        blocks_.clear();
        bytes_ = 0;
        return node;
    }

  private:
    std::uint8_t level_;
    TreeShape shape_;
    std::vector<Item> items_;
    std::vector<ChildLink> children_;
    std::unordered_set<base::Guid> blocks_;  // that the items name
    std::size_t bytes_ = 0;
};

}  // namespace objstore
