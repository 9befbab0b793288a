#include "tree/base_walk.hpp"

namespace objstore {

// One inner node above the root makes the root a subtree like any other.
BaseWalk::BaseWalk(std::shared_ptr<TreeState> tree, const TreeNodePtr& root) : tree_{std::move(tree)} {
    if (root->leaf() && root->items.empty()) return;
    auto above = std::make_shared<TreeNode>();
    above->level = static_cast<std::uint8_t>(root->level + 1);
    above->shape = root->shape;
    ChildLink link;
    link.first = root->leaf() ? root->items.front().key : root->children.front().first;
    link.ref = tree_->root;
    above->children.push_back(std::move(link));
    path_.push_back(Frame{.node = std::move(above)});
}

void BaseWalk::drop_finished() {
    while (leaf_ == nullptr && !path_.empty() && path_.back().next == path_.back().node->children.size()) {
        path_.pop_back();
    }
}

void BaseWalk::skip_item() {
    if (++item_ == leaf_->items.size()) leaf_ = nullptr;
    drop_finished();
}

BaseWalk::Subtree BaseWalk::subtree() const {
    const auto& top = path_.back();
    const auto& child = top.node->children[top.next];
    Subtree out;
    out.level = static_cast<std::uint8_t>(top.node->level - 1);
    out.first = child.first;
    out.ref = child.ref;
    auto next = top.next + 1;
    for (auto frame = path_.rbegin(); frame != path_.rend(); ++frame) {
        if (frame != path_.rbegin()) next = frame->next;
        if (next < frame->node->children.size()) {
            out.end = frame->node->children[next].first;
            break;
        }
    }
    return out;
}

void BaseWalk::skip_subtree() {
    ++path_.back().next;
    drop_finished();
}

base::Task<base::Result<TreeNodePtr>> BaseWalk::open(BaseWalk* self) {
    auto& top = self->path_.back();
    BASE_CO_TRY(auto node, co_await load_child(self->tree_, top.node, top.next));
    ++self->path_.back().next;
    if (node->leaf()) {
        self->leaf_ = node;
        self->item_ = 0;
    } else {
        Frame frame;
        frame.node = node;
        self->path_.push_back(std::move(frame));
    }
    co_return node;
}

}  // namespace objstore
