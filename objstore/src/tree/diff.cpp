#include "tree/base_walk.hpp"

namespace objstore {
namespace {

/// Which of two walks, neither of which has an item open, is opened next; or that both skip what they share.
enum class Next { skip_both, open_before, open_after };

Next next_of(const BaseWalk::Subtree& a, const BaseWalk::Subtree& b) {
    if (a.ref->id == b.ref->id) return Next::skip_both;
    if (a.level != b.level) return a.level > b.level ? Next::open_before : Next::open_after;
    return a.first <= b.first ? Next::open_before : Next::open_after;
}

void report(BaseWalk& a, BaseWalk& b, const TreeDifference& sink) {
    const Item* const before = a.item();
    const Item* const after = b.item();
    const bool only_before = after == nullptr || (before != nullptr && before->key < after->key);
    const bool only_after = before == nullptr || (after != nullptr && after->key < before->key);
    if (only_before) {
        sink(before, nullptr);
        a.skip_item();
    } else if (only_after) {
        sink(nullptr, after);
        b.skip_item();
    } else {
        if (!(*before == *after)) sink(before, after);
        a.skip_item();
        b.skip_item();
    }
}

}  // namespace

base::Task<base::Result<void>> diff_trees(Tree before, Tree after, TreeDifference sink) {
    if (before.root()->id == after.root()->id) co_return base::ok();
    BASE_CO_TRY(const auto root_a, co_await load_node(before.state_, before.state_->root, std::nullopt));
    BASE_CO_TRY(const auto root_b, co_await load_node(after.state_, after.state_->root, std::nullopt));
    BaseWalk a{before.state_, root_a};
    BaseWalk b{after.state_, root_b};
    while (!a.at_end() || !b.at_end()) {
        const bool item_a = a.item() != nullptr;
        const bool item_b = b.item() != nullptr;
        // A subtree is opened if the other side is at or behind its first key, or has nothing more.
        bool open_a = !item_a && !a.at_end() && (b.at_end() || (item_b && a.subtree().first <= b.item()->key));
        bool open_b = !item_b && !b.at_end() && (a.at_end() || (item_a && b.subtree().first <= a.item()->key));
        if (!item_a && !item_b && !a.at_end() && !b.at_end()) {
            const auto next = next_of(a.subtree(), b.subtree());
            if (next == Next::skip_both) {
                a.skip_subtree();
                b.skip_subtree();
                continue;
            }
            open_a = next == Next::open_before;
            open_b = !open_a;
        }
        if (open_a) {
            BASE_CO_CHECK(co_await BaseWalk::open(&a));
        } else if (open_b) {
            BASE_CO_CHECK(co_await BaseWalk::open(&b));
        } else {
            report(a, b, sink);
        }
    }
    co_return base::ok();
}

}  // namespace objstore
