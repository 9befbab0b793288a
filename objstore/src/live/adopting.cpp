// From one base version to the next: our own commit, another mount's, or ours on top of another's.
#include <algorithm>
#include <utility>

#include "live/working_state.hpp"
#include "objstore/error.hpp"

namespace objstore {

/// What others changed, as far as a mount has to know.
struct WorkingTree::State::Foreign {
    std::map<InodeNumber, std::optional<Inode>> records;  // that differ, as they are now
    std::set<InodeNumber> inodes;                         // of which anything differs
    std::set<std::pair<InodeNumber, std::string>> names;
    std::map<InodeNumber, Inode> removed;  // that nobody names any more, as they were
};

void WorkingTree::State::replace_base(const LiveVersion& newest) {
    version = newest;
    base.emplace(volume.reader(), version.root, nodes);
    ++base_number;
    ++changes;
}

LiveNode* WorkingTree::State::node_to_reload(InodeNumber number, const std::optional<Inode>& record,
                                             const Foreign& foreign) {
    if (auto* const node = peek(number)) return node;
    const auto was = foreign.removed.find(number);
    if (was == foreign.removed.end() || !pins.contains(number) || (record && record->nlink > 0)) return nullptr;
    auto& node = add(number);
    node.now = was->second;
    node.base = was->second;
    return &node;
}

/// A clean inode becomes what the new base says of it.
void WorkingTree::State::reload(LiveNode& node, const std::optional<Inode>& record, const NamedTree& before) {
    if (record) {  // without a link too: a conflict keeps it, and with it what is written to it
        node.base = record;
        node.now = *record;
        node.gone = false;
        node.last.reset();
        node.known_as.reset();  // it may have been moved
        return;
    }
    node.leave_base(before);
    node.gone = true;
    node.now.nlink = 0;
}

void WorkingTree::State::adopt_own(const Frozen& frozen, const LiveVersion& newest) {
    const NamedTree before{*base, version.named_in};
    const auto upto = frozen.generation;
    durable = upto;
    replace_base(newest);
    for (const auto& [number, change] : frozen.update->inodes) {
        auto* const node = peek(number);
        if (node == nullptr) continue;
        if (change.after) {
            node->base = change.after;
        } else {
            node->leave_base(before);
        }
        node->forget(upto);
        for (auto at = node->names.begin(); at != node->names.end();) {
            const auto each = at++;
            auto& [key, name] = *each;
            const auto taken = change.names.find(key.second);
            if (taken != change.names.end()) name.before = taken->second.after;
            name.since = generation;
            // Made and unmade again since the freeze: the base is right as it is.
            if (name.before == name.after) node->forget(each);
        }
        if (!node->gone) {
            node->content.forget(upto);
            if (change.after) node->symlink.reset();
        }
        if (node->changed <= upto) {
            node->changed = 0;
            dirty.erase(number);
        }
        recount(*node);
        drop_if_unused(*node);
    }
    // Inodes that came and went before the freeze have nothing to commit.
    for (auto at = dirty.begin(); at != dirty.end();) {
        auto& node = *inodes.at(*at++);
        if (node.gone && !node.base && node.changed <= upto) set_clean(node);
    }
}

base::Task<base::Result<WorkingTree::State::Foreign>> WorkingTree::State::compare(State* self, BlockRefPtr newest) {
    Foreign found;
    const TreeDifference note = [&found](const Item* before, const Item* after) {
        const auto& key = before != nullptr ? before->key : after->key;
        if (key.inode == 0) return;  // conflicts
        found.inodes.insert(key.inode);
        if (key.kind == Kind::inode) {
            found.records[key.inode] =
                after == nullptr ? std::optional<Inode>{} : std::optional{std::get<Inode>(after->value)};
            const bool is_named = after != nullptr && std::get<Inode>(after->value).nlink > 0;
            if (before != nullptr && !is_named) found.removed.emplace(key.inode, std::get<Inode>(before->value));
        }
        if (key.kind != Kind::entry) return;
        for (const auto* item : {before, after}) {
            if (item != nullptr) found.names.emplace(key.inode, std::get<Entry>(item->value).name);
        }
    };
    Tree before = *self->base;
    Tree after{self->volume.reader(), std::move(newest), self->nodes};
    BASE_CO_CHECK(co_await diff_trees(std::move(before), std::move(after), note));
    co_return found;
}

void WorkingTree::State::adopt_foreign(const Foreign& foreign, const LiveVersion& newest) {
    const NamedTree before{*base, version.named_in};
    replace_base(newest);
    for (const auto& [number, record] : foreign.records) {
        auto* const node = node_to_reload(number, record, foreign);
        if (node == nullptr) continue;
        reload(*node, record, before);
        recount(*node);
        drop_if_unused(*node);
    }
    if (listener == nullptr) return;
    for (const auto number : foreign.inodes) listener->on_inode_changed(number);
    for (const auto& [directory, name] : foreign.names) listener->on_entry_changed(directory, name);
}

base::Task<base::Result<void>> WorkingTree::State::refresh(State* self) {
    if (self->order == nullptr) co_return base::ok();
    BASE_CO_TRY(const auto newest, co_await self->order->newest());
    if (newest.root == nullptr) co_return base::ok();
    if (newest.root->id == self->version.root->id) {
        self->version.named_in = std::max(self->version.named_in, newest.named_in);
        co_return base::ok();
    }
    if (newest.sequence < self->version.sequence) co_return base::ok();  // asked before our own commit
    if (self->committing) co_return base::ok();                          // it meets the other one by itself
    if (!self->dirty.empty()) co_return co_await commit(self);
    const auto of = self->base_number;
    const auto foreign = co_await compare(self, newest.root);
    if (!foreign && is_isolated_damage(foreign.error().code()))
        co_return co_await start_afresh(self, newest, foreign.error());
    if (!foreign) co_return foreign.error();
    // Something was changed, or committed, meanwhile: the next commit or the next look takes it in.
    if (of != self->base_number || !self->dirty.empty() || self->committing) co_return base::ok();
    self->adopt_foreign(*foreign, newest);
    co_return base::ok();
}

// Nobody can tell what others changed, for a block of one of the versions is lost. Nothing of the old one is believed
// any more, here or by the kernel; what is lost in the new one is damage to whoever asks for it. Requires: nothing here
// is unordered.
base::Task<base::Result<void>> WorkingTree::State::start_afresh(State* self, LiveVersion newest, base::Error damage) {
    const auto of = self->base_number;
    const Tree after{self->volume.reader(), newest.root, self->nodes};
    std::vector<InodeNumber> forgotten;
    std::vector<InodeNumber> nameless;
    for (const auto& [number, node] : self->inodes) (node->gone ? nameless : forgotten).push_back(number);
    for (const auto number : std::vector<InodeNumber>{nameless}) {
        const auto there = co_await find_inode(after, number);
        if (!there && !is_isolated_damage(there.error().code())) co_return there.error();
        if (there && !*there) continue;
        forgotten.push_back(number);  // others brought it back, or nobody knows
        std::erase(nameless, number);
    }
    if (self->gate_open && (of != self->base_number || !self->dirty.empty() || self->committing)) co_return base::ok();
    self->env.log.write(base::Log::Level::warning, "objstore",
                        "volume '" + self->volume.name() + "': what another mount changed cannot be told (" +
                            damage.message() + "); everything is read anew");
    const NamedTree before{*self->base, self->version.named_in};
    self->replace_base(newest);
    for (const auto number : forgotten) self->drop(number);
    for (const auto number : nameless) {
        auto* const node = self->peek(number);
        if (node == nullptr) continue;
        node->leave_base(before);
        self->set_clean(*node);
    }
    if (self->listener == nullptr) co_return base::ok();
    self->listener->on_inode_changed(kRootInode);
    std::vector<InodeNumber> pinned;
    for (const auto& [number, times] : self->pins) pinned.push_back(number);
    std::sort(pinned.begin(), pinned.end());
    for (const auto number : pinned) self->listener->on_inode_changed(number);
    co_return base::ok();
}

base::Task<base::Result<void>> WorkingTree::State::adopt_rebased(State* self, Frozen frozen, Ordered ordered) {
    auto done = co_await take_in(self, &frozen, &ordered);
    if (!done && is_isolated_damage(done.error().code()))
        done = co_await start_afresh(self, ordered.version, done.error());
    if (!done) {
        self->unadopted.emplace(std::move(frozen), std::move(ordered));
        co_return done;
    }
    self->durable = frozen.generation;
    ++self->counted.commits;
    ++self->counted.rebases;
    self->counted.conflicts += ordered.conflicts.size();
    self->open_gate();
    co_return base::ok();
}

// The gate is closed: nothing here differs from what was frozen. Everything in memory becomes what the new base says.
base::Task<base::Result<void>> WorkingTree::State::take_in(State* self, const Frozen* taken, const Ordered* order) {
    const auto& frozen = *taken;
    const auto& ordered = *order;
    BASE_CO_TRY(auto foreign, co_await compare(self, ordered.rebased_on));
    std::map<InodeNumber, std::optional<Inode>> records;
    for (const auto& [number, change] : frozen.update->inodes) records[number];
    for (const auto number : foreign.inodes) records[number];
    const Tree after{self->volume.reader(), ordered.version.root, self->nodes};
    std::set<std::pair<InodeNumber, std::string>> lost_names;
    std::set<InodeNumber> unread;  // nobody knew them then
    for (auto& [number, record] : records) {
        if (self->peek(number) == nullptr && !self->pins.contains(number)) {
            unread.insert(number);
            continue;
        }
        BASE_CO_TRY(record, co_await find_inode(after, number));
    }
    for (const auto& [number, change] : frozen.update->inodes) {
        for (const auto& [name, entry] : change.names) {
            BASE_CO_TRY(const auto there, co_await find_entry(after, self->volume.keys(), number, name));
            const auto now = there ? std::optional{there->target} : std::nullopt;
            if (now != entry.after) lost_names.emplace(number, name);
        }
    }
    const NamedTree before{*self->base, self->version.named_in};
    self->replace_base(ordered.version);
    for (const auto& [number, record] : records) {
        if (unread.contains(number)) {
            self->drop(number);  // whoever read it meanwhile has the old one
            continue;
        }
        auto* const node = self->node_to_reload(number, record, foreign);
        if (node == nullptr) continue;
        // Others wrote what was removed here: it is there again.
        const bool was_gone = node->gone && !(record && record->nlink > 0);
        if (frozen.update->inodes.contains(number) && !was_gone) {
            const bool differs = !record || record->size != node->now.size || record->mode != node->now.mode ||
                                 record->nlink != node->now.nlink;
            if (differs) foreign.inodes.insert(number);
            node->content.forget(frozen.generation);
            node->forget(frozen.generation);
        }
        if (was_gone) {
            node->leave_base(before);
        } else {
            self->reload(*node, record, before);
        }
        self->set_clean(*node);
    }
    foreign.names.merge(lost_names);
    if (self->listener != nullptr) {
        for (const auto number : foreign.inodes) self->listener->on_inode_changed(number);
        for (const auto& [directory, name] : foreign.names) self->listener->on_entry_changed(directory, name);
    }
    co_return base::ok();
}

}  // namespace objstore
