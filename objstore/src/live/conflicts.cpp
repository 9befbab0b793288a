// What could not stay as it was made: listed, and given a name again.
#include <algorithm>
#include <utility>

#include "live/working_state.hpp"

namespace objstore {
namespace {

/// Of a directory, from the top; "" if it is not there.
base::Task<base::Result<std::string>> path_of(Tree tree, InodeNumber directory) {
    std::string path;
    for (unsigned depth = 0; directory != kRootInode; ++depth) {
        BASE_CO_TRY(const auto inode, co_await find_inode(tree, directory));
        if (!inode || depth > kMaxDepth) co_return std::string{};
        const auto parent = inode->parent;
        BASE_CO_TRY(const auto items, co_await find_entries(tree, parent));
        const auto named = std::find_if(items.begin(), items.end(), [directory](const Item& item) {
            return std::get<Entry>(item.value).inode == directory;
        });
        if (named == items.end()) co_return std::string{};
        path = "/" + std::get<Entry>(named->value).name + path;
        directory = parent;
    }
    co_return path + "/";
}

}  // namespace

base::Task<base::Result<std::vector<ListedConflict>>> WorkingTree::conflicts() {
    BASE_CO_CHECK(co_await State::refresh(state_.get()));
    const Tree tree = *state_->base;
    BASE_CO_TRY(const auto items,
                co_await tree.range(TreeKey::first(0, Kind::conflict), TreeKey::behind(0, Kind::conflict)));
    std::vector<ListedConflict> out;
    for (const auto& item : items) {
        auto conflict = Conflict::decode(std::get<Opaque>(item.value));
        if (!conflict) continue;  // of a later version: carried
        ListedConflict listed;
        listed.key = item.key;
        listed.conflict = std::move(*conflict);
        if (listed.conflict.directory != 0) {
            BASE_CO_TRY(auto above, co_await path_of(tree, listed.conflict.directory));
            if (!above.empty()) listed.path = std::move(above) + listed.conflict.name;
        }
        out.push_back(std::move(listed));
    }
    co_return out;
}

base::Task<base::Result<void>> WorkingTree::restore_kept(ListedConflict conflict, InodeNumber directory,
                                                         std::string name) {
    auto* const state = state_.get();
    const auto number = conflict.conflict.kept;
    if (number == 0) co_return posix(std::errc::invalid_argument, "nothing was kept of this conflict");
    const auto turn = state->turn();
    for (;;) {
        BASE_CO_CHECK(co_await State::enter(state, turn));
        const auto seen = state->changes;
        BASE_CO_CHECK(co_await State::load_directory(state, directory));
        BASE_CO_TRY(const auto taken, co_await State::find_name(state, directory, name));
        if (taken) co_return posix(std::errc::file_exists);
        const Tree tree = *state->base;
        BASE_CO_TRY(const auto listed, co_await tree.find(conflict.key));
        BASE_CO_TRY(const auto kept, co_await find_inode(tree, number));
        if (!listed || !kept) co_return posix(std::errc::no_such_file_or_directory, "the conflict is resolved");
        auto* const parent = state->peek(directory);
        if (seen != state->changes || parent == nullptr || !state->may_change(turn)) continue;
        if (state->peek(number) == nullptr) {
            auto& fresh = state->add(number);
            fresh.base = kept;
            fresh.now = *kept;
        }
        auto& node = *state->peek(number);
        if (node.gone) co_return posix(std::errc::no_such_file_or_directory, "the conflict is resolved");
        const bool is_directory = kept->type == base::FileType::directory;
        if (!is_directory) ++node.now.nlink;
        node.now.parent = directory;
        node.known_as = std::pair{directory, name};
        const auto now = state->wall();
        state->set_name(*parent, name, std::nullopt, EntryTarget{number, kept->type}, true);
        if (is_directory) ++parent->now.nlink;
        parent->now.mtime = parent->now.ctime = now;
        state->resolved.push_back(conflict.key);
        state->touched(*parent);
        state->touched(node);
        co_return base::ok();
    }
}

}  // namespace objstore
