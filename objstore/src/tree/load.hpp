// Nodes of one version on their way from the block reader: checked against what their parent says.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "tree/node.hpp"

namespace objstore {

struct TreeState {
    TreeState(BlockReader& source, BlockRefPtr top, std::shared_ptr<NodeCache> nodes)
        : reader{source}, root{std::move(top)}, cache{std::move(nodes)} {}

    BlockReader& reader;
    BlockRefPtr root;
    std::shared_ptr<NodeCache> cache;
};

/// What the parent knows of a node; the root has none.
struct Expected {
    std::uint8_t level = 0;
    TreeKey first;
    TreeShape shape;
};

/// Errc::damaged, naming the block, unless it decodes to what is expected.
[[nodiscard]] base::Task<base::Result<TreeNodePtr>> load_node(std::shared_ptr<TreeState> tree, BlockRefPtr ref,
                                                              std::optional<Expected> expected);
/// Child `index` of `parent`.
[[nodiscard]] base::Task<base::Result<TreeNodePtr>> load_child(std::shared_ptr<TreeState> tree, TreeNodePtr parent,
                                                               std::size_t index);

/// The child of an inner node whose range holds `key`; the first for a key before all.
[[nodiscard]] std::size_t child_index(const TreeNode& inner, const TreeKey& key);

}  // namespace objstore
