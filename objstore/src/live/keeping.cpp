// What this mount alone still needs is kept from collections: content of open files that nobody names any more, and
// what was stored ahead of a commit that does not come about.
#include <algorithm>
#include <utility>

#include "live/working_state.hpp"

namespace objstore {
namespace {

void add_block(std::vector<BlockName>& names, const Extent& extent) {
    if (extent.block) names.push_back({extent.block->id, extent.block->group_bits});
}

/// All that it takes to read the inode in that version: its nodes, and the content.
base::Task<base::Result<std::vector<BlockName>>> blocks_of(Tree tree, InodeNumber inode) {
    BASE_CO_TRY(auto names, co_await tree.nodes());
    BASE_CO_TRY(const auto items, co_await tree.range(TreeKey::first(inode), TreeKey::first(inode + 1)));
    for (const auto& item : items) {
        if (const auto* extent = std::get_if<Extent>(&item.value)) add_block(names, *extent);
        const auto* xattr = std::get_if<XattrRecord>(&item.value);
        const auto* value = xattr != nullptr ? std::get_if<Extent>(&xattr->value) : nullptr;
        if (value != nullptr) add_block(names, *value);
    }
    co_return names;
}

}  // namespace

// A collection waits for its grace before it takes anything: a touch meanwhile keeps the block from it.
base::Task<base::Result<void>> WorkingTree::State::keep_what_is_held(State* self) {
    const auto collected = self->volume.state().collected;
    if (collected <= self->kept_from) co_return base::ok();
    const past::Tag tag{.volume = self->volume.keys().tag, .generation = self->volume.state().sequence + 1};
    std::vector<BlockName> names;
    std::vector<std::pair<Tree, InodeNumber>> gone;
    for (const auto& [number, node] : self->inodes) {
        if (node->last) gone.emplace_back(node->last->tree, number);
        for (const auto& [offset, piece] : node->content.pieces()) {
            if (piece.stored) add_block(names, *piece.stored);
        }
    }
    for (auto& [tree, number] : gone) {
        BASE_CO_TRY(const auto more, co_await blocks_of(std::move(tree), number));
        names.insert(names.end(), more.begin(), more.end());
    }
    if (!names.empty()) {
        BASE_CO_TRY(const auto held, co_await touch_blocks(self->env, self->volume.storage(), tag, std::move(names)));
        if (std::find(held.begin(), held.end(), false) != held.end()) {
            self->env.log.write(base::Log::Level::warning, "objstore",
                                "volume '" + self->volume.name() +
                                    "': a prune took blocks of a file that is open and has no name any more");
        }
    }
    self->kept_from = collected;
    co_return base::ok();
}

}  // namespace objstore
