#include "objstore/tree.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "tree/load.hpp"

namespace objstore {
namespace {

constexpr std::size_t kOwnCacheBytes = 4U << 20U;  // of a tree that shares no cache: some 16 nodes

base::Error damaged(const BlockRef& ref, std::string_view what) {
    return base::Error{Errc::damaged, "block " + ref.id.hex() + ": " + std::string{what}};
}

bool as_expected(const TreeNode& node, const Expected& expected) {
    if (node.level != expected.level || node.shape != expected.shape) return false;
    if (node.leaf()) return !node.items.empty() && node.items.front().key == expected.first;
    return node.children.front().first == expected.first;
}

auto first_at_or_after(const std::vector<Item>& items, const TreeKey& key) {
    return std::lower_bound(items.begin(), items.end(), key,
                            [](const Item& item, const TreeKey& wanted) { return item.key < wanted; });
}

}  // namespace

base::Task<base::Result<TreeNodePtr>> load_node(std::shared_ptr<TreeState> tree, BlockRefPtr ref,
                                                std::optional<Expected> expected) {
    auto node = tree->cache->find(ref->id);
    if (node == nullptr) {
        BASE_CO_TRY(const auto block, co_await tree->reader.read(ref));
        auto decoded = decode_node(*block);
        if (!decoded) {
            if (decoded.error() == base::Errc::unsupported) co_return decoded.error().with("block " + ref->id.hex());
            co_return damaged(*ref, decoded.error().detail());
        }
        node = std::make_shared<const TreeNode>(*std::move(decoded));
        tree->cache->insert(ref->id, node);
    }
    if (expected && !as_expected(*node, *expected)) co_return damaged(*ref, "a node that its parent does not describe");
    co_return node;
}

base::Task<base::Result<TreeNodePtr>> load_child(std::shared_ptr<TreeState> tree, TreeNodePtr parent,
                                                 std::size_t index) {
    const auto& child = parent->children[index];
    Expected expected;
    expected.level = static_cast<std::uint8_t>(parent->level - 1);
    expected.first = child.first;
    expected.shape = parent->shape;
    return load_node(std::move(tree), child.ref, expected);
}

std::size_t child_index(const TreeNode& inner, const TreeKey& key) {
    const auto after =
        std::upper_bound(inner.children.begin(), inner.children.end(), key,
                         [](const TreeKey& wanted, const ChildLink& child) { return wanted < child.first; });
    return after == inner.children.begin() ? 0 : static_cast<std::size_t>(after - inner.children.begin()) - 1;
}

Tree::Tree(BlockReader& reader, BlockRefPtr root, std::shared_ptr<NodeCache> cache)
    : state_{std::make_shared<TreeState>(reader, std::move(root),
                                         cache ? std::move(cache) : std::make_shared<NodeCache>(kOwnCacheBytes))} {}

const BlockRefPtr& Tree::root() const { return state_->root; }

base::Task<base::Result<TreeShape>> Tree::shape() const {
    const auto state = state_;
    BASE_CO_TRY(const auto node, co_await load_node(state, state->root, std::nullopt));
    co_return node->shape;
}

base::Task<base::Result<std::optional<Item>>> Tree::find(TreeKey key) const {
    const auto state = state_;
    BASE_CO_TRY(auto node, co_await load_node(state, state->root, std::nullopt));
    while (!node->leaf()) {
        BASE_CO_TRY(node, co_await load_child(state, node, child_index(*node, key)));
    }
    const auto found = first_at_or_after(node->items, key);
    if (found == node->items.end() || found->key != key) co_return std::optional<Item>{};
    co_return std::optional<Item>{*found};
}

base::Task<base::Result<std::vector<Item>>> Tree::range(TreeKey from, TreeKey to, std::size_t limit) const {
    TreeCursor cursor{*this, from, to, 1};
    std::vector<Item> out;
    while (out.size() < limit) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        const auto taken = std::min(items.size(), limit - out.size());
        out.insert(out.end(), items.begin(), items.begin() + static_cast<std::ptrdiff_t>(taken));
    }
    co_return out;
}

base::Task<base::Result<Salvage>> Tree::salvage() const {
    const auto state = state_;
    Salvage out;
    struct Frame {
        TreeNodePtr node;
        std::size_t next = 0;
    };
    std::vector<Frame> path;
    // Takes a node, or counts it as lost; any other error ends the walk.
    const auto take = [&](base::Result<TreeNodePtr> node) -> base::Result<void> {
        if (!node && node.error() == Errc::damaged) {
            ++out.nodes_lost;
        } else if (!node) {
            return node.error();
        } else if ((*node)->leaf()) {
            out.items.insert(out.items.end(), (*node)->items.begin(), (*node)->items.end());
        } else {
            Frame frame;
            frame.node = std::move(*node);
            path.push_back(std::move(frame));
        }
        return base::ok();
    };
    BASE_CO_CHECK(take(co_await load_node(state, state->root, std::nullopt)));
    while (!path.empty()) {
        auto& frame = path.back();
        if (frame.next == frame.node->children.size()) {
            path.pop_back();
            continue;
        }
        const auto node = frame.node;
        BASE_CO_CHECK(take(co_await load_child(state, node, frame.next++)));
    }
    co_return out;
}

base::Task<base::Result<std::vector<BlockName>>> Tree::nodes() const {
    const auto state = state_;
    std::vector<BlockName> names{{state->root->id, state->root->group_bits}};
    BASE_CO_TRY(const auto root, co_await load_node(state, state->root, std::nullopt));
    std::vector<TreeNodePtr> inner;
    if (!root->leaf()) inner.push_back(root);
    while (!inner.empty()) {
        const auto node = std::move(inner.back());
        inner.pop_back();
        for (std::size_t i = 0; i < node->children.size(); ++i) {
            names.push_back({node->children[i].ref->id, node->children[i].ref->group_bits});
            if (node->level == 1) continue;
            BASE_CO_TRY(auto child, co_await load_child(state, node, i));
            inner.push_back(std::move(child));
        }
    }
    co_return names;
}

// --- TreeCursor

struct TreeCursor::State {
    struct Frame {
        TreeNodePtr node;
        std::size_t index = 0;
    };

    static base::Task<base::Result<void>> next_leaf(State* self);
    static base::Task<base::Result<void>> descend(State* self, TreeNodePtr node);
    void prefetch_after(const Frame& frame) const;
    void trim();

    std::shared_ptr<TreeState> tree;
    TreeKey from;
    std::optional<TreeKey> to;
    unsigned ahead = 0;
    std::vector<Frame> path;  // inner nodes from the root; index: the child we are in
    TreeNodePtr leaf;
    std::span<const Item> rest;
    bool started = false;
    bool ended = false;
};

void TreeCursor::State::prefetch_after(const Frame& frame) const {
    if (frame.node->level != 1) return;
    const auto& children = frame.node->children;
    const auto end = std::min(children.size(), frame.index + 1 + ahead);
    for (auto i = frame.index + 1; i < end && (!to || children[i].first < *to); ++i) {
        tree->reader.prefetch(children[i].ref);
    }
}

// Down to the leaf that holds `from` at the start, to the first leaf below `node` later on.
base::Task<base::Result<void>> TreeCursor::State::descend(State* self, TreeNodePtr node) {
    while (!node->leaf()) {
        Frame frame;
        frame.index = self->started ? 0 : child_index(*node, self->from);
        frame.node = node;
        self->prefetch_after(frame);
        const auto index = frame.index;
        self->path.push_back(std::move(frame));
        BASE_CO_TRY(node, co_await load_child(self->tree, node, index));
    }
    self->leaf = node;
    self->rest = node->items;
    if (!self->started) self->rest = {first_at_or_after(node->items, self->from), node->items.end()};
    self->started = true;
    co_return base::ok();
}

base::Task<base::Result<void>> TreeCursor::State::next_leaf(State* self) {
    if (!self->started) {
        BASE_CO_TRY(auto root, co_await load_node(self->tree, self->tree->root, std::nullopt));
        co_return co_await descend(self, std::move(root));
    }
    while (!self->path.empty()) {
        auto& frame = self->path.back();
        if (++frame.index == frame.node->children.size()) {
            self->path.pop_back();
            continue;
        }
        self->prefetch_after(frame);
        BASE_CO_TRY(auto child, co_await load_child(self->tree, frame.node, frame.index));
        co_return co_await descend(self, std::move(child));
    }
    self->ended = true;
    self->rest = {};
    co_return base::ok();
}

void TreeCursor::State::trim() {
    if (!to || rest.empty() || rest.back().key < *to) return;
    const auto end = std::lower_bound(rest.begin(), rest.end(), *to,
                                      [](const Item& item, const TreeKey& wanted) { return item.key < wanted; });
    rest = rest.first(static_cast<std::size_t>(end - rest.begin()));
    ended = true;
}

TreeCursor::TreeCursor(Tree tree, TreeKey from, std::optional<TreeKey> to, unsigned ahead)
    : state_{std::make_unique<State>()} {
    state_->tree = tree.state_;
    state_->from = from;
    state_->to = to;
    state_->ahead = ahead;
}
TreeCursor::~TreeCursor() = default;
TreeCursor::TreeCursor(TreeCursor&&) noexcept = default;
TreeCursor& TreeCursor::operator=(TreeCursor&&) noexcept = default;

base::Task<base::Result<const Item*>> TreeCursor::next() {
    auto* const state = state_.get();
    while (state->rest.empty() && !state->ended) {
        BASE_CO_CHECK(co_await State::next_leaf(state));
        state->trim();
    }
    if (state->rest.empty()) co_return nullptr;
    const Item* item = &state->rest.front();
    state->rest = state->rest.subspan(1);
    co_return item;
}

base::Task<base::Result<std::span<const Item>>> TreeCursor::next_items() {
    auto* const state = state_.get();
    while (state->rest.empty() && !state->ended) {
        BASE_CO_CHECK(co_await State::next_leaf(state));
        state->trim();
    }
    co_return std::exchange(state->rest, {});
}

}  // namespace objstore
