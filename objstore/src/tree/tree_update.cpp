#include <algorithm>
#include <cassert>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "tree/base_walk.hpp"
#include "tree/open_node.hpp"

namespace objstore {
namespace {

TreeKey after(TreeKey key) {
    if (++key.tie == 0 && ++key.sub == 0) ++key.inode;  // kinds in between hold nothing at their largest sub and tie
    return key;
}

const TreeKey& first_key(const TreeNode& node) {
    return node.leaf() ? node.items.front().key : node.children.front().first;
}

}  // namespace

// The base is consumed in key order up to each edit. What lies between edits goes over as whole subtrees wherever the
// nodes being filled below their level are empty, since a node's end depends only on what it holds; otherwise it is
// opened and filled in again until both fall into step.
struct TreeUpdate::State {
    struct Known {
        TreeNodePtr node;
        BlockRefPtr ref;
    };
    struct Level {
        Level(std::uint8_t number, TreeShape shape) : open{number, shape} {}
        OpenNode open;
        std::uint64_t fed = 0;          // items or children it ever got
        std::map<TreeKey, Known> base;  // nodes of the base that were opened here, by first key: to be shared if they
                                        // come out the same
    };

    State(BlockWriter& sink, TreeShape form) : writer{sink}, shape{form} {}
    State(BlockWriter& sink, Tree before) : writer{sink}, base{std::move(before)} {}

    Level& level(std::size_t number) {
        while (levels.size() <= number) levels.emplace_back(static_cast<std::uint8_t>(levels.size()), shape);
        return levels[number];
    }
    [[nodiscard]] bool nothing_open_up_to(std::size_t number) {
        for (std::size_t i = 0; i <= number && i < levels.size(); ++i) {
            if (!levels[i].open.empty()) return false;
        }
        return true;
    }
    /// Adds to the open leaf; true if that ends with it. Not a coroutine: there is one call an item.
    [[nodiscard]] bool take(Item item) {
        auto& leaves = level(0);
        ++leaves.fed;
        return leaves.open.add(std::move(item));
    }
    [[nodiscard]] bool nothing_above(std::size_t number) const {
        return std::all_of(levels.begin() + static_cast<std::ptrdiff_t>(std::min(number + 1, levels.size())),
                           levels.end(), [](const Level& above) { return above.fed == 0; });
    }
    [[nodiscard]] bool erased(const TreeKey& key) const { return erase_from <= key && key < erase_to; }

    static base::Task<base::Result<void>> begin(State* self);
    static base::Task<base::Result<void>> advance(State* self, std::optional<TreeKey> limit);
    static base::Task<base::Result<void>> pass_or_open(State* self, std::optional<TreeKey> limit);
    static base::Task<base::Result<void>> open(State* self);
    static base::Task<base::Result<void>> drop(State* self, TreeKey key);
    static base::Task<base::Result<void>> feed_child(State* self, std::size_t number, TreeKey first, BlockRefPtr ref);
    static base::Task<base::Result<void>> close(State* self, std::size_t number);
    static base::Task<base::Result<BlockRefPtr>> store(State* self, std::size_t number, TreeNode node);
    static base::Task<base::Result<BlockRefPtr>> top(State* self);
    static base::Task<base::Result<BlockRefPtr>> shorten(State* self, BlockRefPtr root);

    BlockWriter& writer;
    TreeShape shape;
    std::optional<Tree> base;
    std::shared_ptr<TreeState> base_state;
    BaseWalk walk;
    std::deque<Level> levels;  // 0: leaves; a deque, since a level is in use while a higher one is made
    TreeKey erase_from;        // [erase_from, erase_to) of the base is dropped; what lies before has been consumed
    TreeKey erase_to;
    std::optional<TreeKey> last_put;
    BlockRefPtr written_last;
    TreeNodePtr last_node;  // what written_last holds
    bool begun = false;
    TreeChange change;
};

base::Task<base::Result<void>> TreeUpdate::State::begin(State* self) {
    if (self->begun) co_return base::ok();
    self->begun = true;
    if (!self->base) co_return base::ok();
    BASE_CO_TRY(const auto root, co_await load_node(self->base_state, self->base_state->root, std::nullopt));
    ++self->change.nodes_read;
    self->shape = root->shape;
    self->walk = BaseWalk{self->base_state, root};
    co_return base::ok();
}

// Consumes everything of the base below `limit`, or all of it.
base::Task<base::Result<void>> TreeUpdate::State::advance(State* self, std::optional<TreeKey> limit) {
    auto& walk = self->walk;
    while (!walk.at_end()) {
        if (const auto* item = walk.item()) {
            if (limit && item->key >= *limit) break;
            if (!self->erased(item->key)) {
                Item kept = *item;
                const bool full = self->take(std::move(kept));
                walk.skip_item();
                if (full) BASE_CO_CHECK(co_await close(self, 0));
            } else {
                walk.skip_item();
            }
        } else {
            if (limit && walk.subtree().first >= *limit) break;
            BASE_CO_CHECK(co_await pass_or_open(self, limit));
        }
    }
    co_return base::ok();
}

base::Task<base::Result<void>> TreeUpdate::State::pass_or_open(State* self, std::optional<TreeKey> limit) {
    const auto next = self->walk.subtree();
    const bool before_limit = !limit || (next.end && *next.end <= *limit);
    const bool all_erased = self->erase_from <= next.first && next.end && *next.end <= self->erase_to;
    const bool none_erased = self->erase_to <= next.first || (next.end && *next.end <= self->erase_from) ||
                             self->erase_from == self->erase_to;
    if (before_limit && all_erased) {
        self->walk.skip_subtree();
        co_return base::ok();
    }
    if (before_limit && none_erased && self->nothing_open_up_to(next.level)) {
        self->walk.skip_subtree();
        co_return co_await feed_child(self, next.level + std::size_t{1}, next.first, next.ref);
    }
    co_return co_await open(self);
}

base::Task<base::Result<void>> TreeUpdate::State::open(State* self) {
    Known known;
    known.ref = self->walk.subtree().ref;
    BASE_CO_TRY(known.node, co_await BaseWalk::open(&self->walk));
    ++self->change.nodes_read;
    const auto first = first_key(*known.node);
    self->level(known.node->level).base.insert_or_assign(first, std::move(known));
    co_return base::ok();
}

// Leaves out the base's item of this key. Requires: everything before it was consumed.
base::Task<base::Result<void>> TreeUpdate::State::drop(State* self, TreeKey key) {
    auto& walk = self->walk;
    while (!walk.at_end() && walk.item() == nullptr && walk.subtree().first == key) {
        BASE_CO_CHECK(co_await open(self));
    }
    if (const auto* item = walk.item(); item != nullptr && item->key == key) walk.skip_item();
    co_return base::ok();
}

base::Task<base::Result<void>> TreeUpdate::State::feed_child(State* self, std::size_t number, TreeKey first,
                                                             BlockRefPtr ref) {
    auto& level = self->level(number);
    ++level.fed;
    ChildLink link;
    link.first = first;
    link.ref = std::move(ref);
    if (level.open.add(std::move(link))) co_return co_await close(self, number);
    co_return base::ok();
}

base::Task<base::Result<void>> TreeUpdate::State::close(State* self, std::size_t number) {
    auto node = self->level(number).open.take();
    const auto first = first_key(node);
    BASE_CO_TRY(auto ref, co_await store(self, number, std::move(node)));
    co_return co_await feed_child(self, number + 1, first, std::move(ref));
}

base::Task<base::Result<BlockRefPtr>> TreeUpdate::State::store(State* self, std::size_t number, TreeNode node) {
    if (number > kMaxTreeLevel) co_return base::Error{base::Errc::bad_argument, "a tree of too many levels"};
    auto& known = self->level(number).base;
    if (!known.empty()) {
        const auto first = first_key(node);
        const auto same = known.find(first);
        BlockRefPtr shared;
        if (same != known.end() && *same->second.node == node) shared = same->second.ref;
        known.erase(known.begin(), known.upper_bound(first));
        if (shared != nullptr) co_return shared;
    }
    ++(number == 0 ? self->change.leaves_written : self->change.inner_written);
    auto encoded = encode_node(node);
    const auto type = number == 0 ? BlockType::tree_leaf : BlockType::tree_inner;
    BASE_CO_TRY(auto ref, co_await self->writer.write(type, std::move(encoded.blocks), std::move(encoded.packed),
                                                      std::move(encoded.raw)));
    self->change.bytes_written += ref->sealed_bytes;
    self->written_last = ref;
    self->last_node = std::make_shared<const TreeNode>(std::move(node));
    if (self->base_state != nullptr) self->base_state->cache->insert(ref->id, self->last_node);
    co_return ref;
}

// Closes what is open, from the leaves up, until one node is left.
base::Task<base::Result<BlockRefPtr>> TreeUpdate::State::top(State* self) {
    for (std::size_t number = 0;; ++number) {
        auto& level = self->level(number);
        const bool highest = self->nothing_above(number);
        if (number != 0 && highest && level.fed == 1) co_return level.open.first_child();
        if (!level.open.empty()) {
            BASE_CO_CHECK(co_await close(self, number));
        } else if (number == 0 && highest) {
            TreeNode empty;
            empty.shape = self->shape;
            auto encoded = encode_node(empty);
            ++self->change.leaves_written;
            BASE_CO_TRY(self->written_last,
                        co_await self->writer.write(BlockType::tree_leaf, {}, std::move(encoded.packed)));
            self->last_node = std::make_shared<const TreeNode>(std::move(empty));
            co_return self->written_last;
        }
    }
}

// A shared node may have one child only, as the last of its level; as a root it would be a second shape of its content.
// (A root that was written here has more: top() would have stopped below it.)
base::Task<base::Result<BlockRefPtr>> TreeUpdate::State::shorten(State* self, BlockRefPtr root) {
    while (root->type == BlockType::tree_inner && root != self->written_last && root != self->base_state->root) {
        BASE_CO_TRY(const auto node, co_await load_node(self->base_state, root, std::nullopt));
        if (node->children.size() != 1) break;
        root = node->children.front().ref;
    }
    co_return root;
}

TreeUpdate::TreeUpdate(BlockWriter& writer, TreeShape shape) : state_{std::make_unique<State>(writer, shape)} {
    assert(shape.node_bytes >= kMinNodeBytes && shape.node_bytes <= kMaxNodeBytes);
}
TreeUpdate::TreeUpdate(BlockWriter& writer, Tree base) : state_{std::make_unique<State>(writer, std::move(base))} {
    state_->base_state = state_->base->state_;
}
TreeUpdate::~TreeUpdate() = default;
TreeUpdate::TreeUpdate(TreeUpdate&&) noexcept = default;
TreeUpdate& TreeUpdate::operator=(TreeUpdate&&) noexcept = default;

const TreeChange& TreeUpdate::change() const { return state_->change; }

base::Task<base::Result<void>> TreeUpdate::put(Item item) {
    auto* const state = state_.get();
    if (!valid_item(item)) co_return base::Error{base::Errc::bad_argument, "a record breaks its limits"};
    assert((!state->last_put || *state->last_put < item.key) && state->erase_from <= item.key);
    state->last_put = item.key;
    BASE_CO_CHECK(co_await State::begin(state));
    if (!state->walk.at_end()) {
        BASE_CO_CHECK(co_await State::advance(state, item.key));
        BASE_CO_CHECK(co_await State::drop(state, item.key));
    }
    if (state->take(std::move(item))) co_return co_await State::close(state, 0);
    co_return base::ok();
}

base::Task<base::Result<void>> TreeUpdate::erase(TreeKey from, TreeKey to) {
    auto* const state = state_.get();
    assert((!state->last_put || *state->last_put < from) && state->erase_from <= from);
    if (to <= from) co_return base::ok();
    BASE_CO_CHECK(co_await State::begin(state));
    BASE_CO_CHECK(co_await State::advance(state, from));
    state->erase_to = from < state->erase_to ? std::max(to, state->erase_to) : to;
    state->erase_from = from;
    co_return base::ok();
}

base::Task<base::Result<void>> TreeUpdate::erase(TreeKey key) { return erase(key, after(key)); }

base::Task<base::Result<BlockRefPtr>> TreeUpdate::write_spare(BlockRefPtr root) {
    auto* const state = state_.get();
    if (root != state->written_last) co_return nullptr;
    auto encoded = encode_node(*state->last_node);
    const auto type = state->last_node->leaf() ? BlockType::tree_leaf : BlockType::tree_inner;
    co_return co_await state->writer.write_spare(type, std::move(encoded.blocks), std::move(encoded.packed),
                                                 std::move(encoded.raw));
}

base::Task<base::Result<BlockRefPtr>> TreeUpdate::finish() {
    auto* const state = state_.get();
    BASE_CO_CHECK(co_await State::begin(state));
    BASE_CO_CHECK(co_await State::advance(state, std::nullopt));
    BASE_CO_TRY(auto root, co_await State::top(state));
    co_return co_await State::shorten(state, std::move(root));
}

}  // namespace objstore
