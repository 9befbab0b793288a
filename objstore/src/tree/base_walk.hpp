// The version before, walked in key order by a writer that opens only what it must: whole subtrees are offered first.
#pragma once

#include <optional>
#include <vector>

#include "tree/load.hpp"

namespace objstore {

class BaseWalk {
  public:
    /// What comes next and has not been opened.
    struct Subtree {
        std::uint8_t level = 0;  ///< of its node
        TreeKey first;
        std::optional<TreeKey> end;  ///< first key after it; none: the last of its level
        BlockRefPtr ref;
    };

    /// Nothing to walk.
    BaseWalk() = default;
    /// `root`: the decoded root of `tree`.
    BaseWalk(std::shared_ptr<TreeState> tree, const TreeNodePtr& root);

    [[nodiscard]] bool at_end() const { return leaf_ == nullptr && path_.empty(); }
    /// The next item, if a leaf is open.
    [[nodiscard]] const Item* item() const { return leaf_ == nullptr ? nullptr : &leaf_->items[item_]; }
    void skip_item();
    /// Requires: no leaf is open, and not at_end().
    [[nodiscard]] Subtree subtree() const;
    void skip_subtree();
    /// Opens the next subtree by one level. Returns its node. Requires what subtree() requires.
    static base::Task<base::Result<TreeNodePtr>> open(BaseWalk* self);

  private:
    struct Frame {
        TreeNodePtr node;
        std::size_t next = 0;  ///< child not yet opened or skipped
    };
    void drop_finished();

    std::shared_ptr<TreeState> tree_;
    std::vector<Frame>
        path_;  ///< inner nodes that are open, from the top; each has a next child unless a deeper one is open
    TreeNodePtr leaf_;
    std::size_t item_ = 0;
};

}  // namespace objstore
