#include "objstore/live/working_tree.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/wait.hpp"
#include "live/working_state.hpp"
#include "objstore/error.hpp"

namespace objstore {

// --- Inodes

LiveNode* WorkingTree::State::peek(InodeNumber number) {
    const auto found = inodes.find(number);
    if (found == inodes.end()) return nullptr;
    recent.splice(recent.begin(), recent, found->second->in_recent);
    return found->second.get();
}

LiveNode& WorkingTree::State::add(InodeNumber number) {
    auto node = std::make_unique<LiveNode>();
    node->number = number;
    recent.push_front(number);
    node->in_recent = recent.begin();
    return *inodes.emplace(number, std::move(node)).first->second;
}

void WorkingTree::State::drop(InodeNumber number) {
    const auto found = inodes.find(number);
    if (found == inodes.end()) return;
    dirty_bytes -= found->second->content.memory_bytes();
    dirty.erase(number);
    recent.erase(found->second->in_recent);
    inodes.erase(found);
    ++changes;
}

void WorkingTree::State::trim(std::size_t most) {
    for (; most > 0 && inodes.size() > config.max_clean_inodes + dirty.size(); --most) {
        const auto& oldest = *inodes.at(recent.back());
        if (oldest.changed > 0 || oldest.gone) {
            recent.splice(recent.begin(), recent, oldest.in_recent);
        } else {
            drop(oldest.number);
        }
    }
}

void WorkingTree::State::drop_if_unused(LiveNode& node) {
    if (!node.gone || pins.contains(node.number)) return;
    // The commit under way, or one whose answer was lost, may bring it into the base: then it is removed from there.
    const bool in_flight = node.made > 0 && node.made <= (unsettled ? unsettled->generation : freezing);
    if (!node.base && !in_flight) drop(node.number);
}

base::Task<base::Result<LiveNode*>> WorkingTree::State::load(State* self, InodeNumber number) {
    for (;;) {
        if (auto* const node = self->peek(number)) {
            if (node->damaged) co_return base::Error{Errc::damaged, "an entry without its inode"};
            co_return node;
        }
        const auto of = self->base_number;
        BASE_CO_TRY(const auto record, co_await find_inode(*self->base, number));
        if (of != self->base_number || self->inodes.contains(number)) continue;
        if (!record || record->nlink == 0) co_return posix(std::errc::no_such_file_or_directory, "a removed inode");
        constexpr std::size_t kMoreThanOneComes = 2;
        self->trim(kMoreThanOneComes);
        auto& node = self->add(number);
        node.now = *record;
        node.base = *record;
        co_return &node;
    }
}

base::Task<base::Result<void>> WorkingTree::State::load_named(State* self, InodeNumber directory, std::string name,
                                                              EntryTarget target) {
    while (self->peek(target.inode) == nullptr) {
        const auto of = self->base_number;
        const auto loaded = co_await load(self, target.inode);
        if (loaded) break;
        if (!(loaded.error() == std::make_error_condition(std::errc::no_such_file_or_directory)))
            co_return loaded.error();
        // Lost, or another mount has just removed both: what one version says counts.
        BASE_CO_TRY(const auto now, co_await find_name(self, directory, name));
        if (!now || now->inode != target.inode) co_return loaded.error();
        if (of != self->base_number || self->inodes.contains(target.inode)) continue;
        auto& node = self->add(target.inode);
        node.damaged = true;
        node.now.type = target.type;
        node.now.nlink = node.directory() ? 2 : 1;
    }
    co_return base::ok();
}

base::Task<base::Result<LiveNode*>> WorkingTree::State::load_directory(State* self, InodeNumber number) {
    BASE_CO_TRY(auto* const node, co_await load(self, number));
    if (!node->directory()) co_return posix(std::errc::not_a_directory);
    co_return node;
}

// --- Names

NameKey WorkingTree::State::name_key(InodeNumber directory, std::string name) const {
    const auto hash = entry_hash(volume.keys().epoch, directory, name);
    return {hash, std::move(name)};
}

base::Task<base::Result<std::optional<EntryTarget>>> WorkingTree::State::find_name(State* self, InodeNumber directory,
                                                                                   std::string name) {
    if (name.size() > base::kMaxNameBytes) co_return posix(std::errc::filename_too_long);
    for (;;) {
        BASE_CO_TRY(auto* const node, co_await load_directory(self, directory));
        if (!node->names.empty()) {
            const auto changed = node->names.find(self->name_key(directory, name));
            if (changed != node->names.end()) co_return changed->second.after;
        }
        const auto tree = self->base_of(*node);
        if (!tree) co_return std::optional<EntryTarget>{};
        const auto of = self->base_number;
        const auto seen = self->changes;
        BASE_CO_TRY(const auto found, co_await find_entry(tree->tree, self->volume.keys(), directory, name));
        if (of != self->base_number || seen != self->changes) continue;
        if (!found) co_return std::optional<EntryTarget>{};
        co_return std::optional{found->target};
    }
}

void WorkingTree::State::set_name(LiveNode& directory, const std::string& name, std::optional<EntryTarget> before,
                                  std::optional<EntryTarget> after, bool exclusive) {
    auto key = name_key(directory.number, name);
    const auto [at, first] = directory.names.try_emplace(std::move(key));
    auto& change = at->second;
    if (first) {
        change.before = before;
        change.since = generation;
    }
    // A name that came and went since the last commit has nothing to tell, unless the commit under way has it: as it
    // was at the freeze, however often it came and went again after that.
    const bool in_flight = change.since <= (unsettled ? unsettled->generation : freezing);
    change.after = after;
    change.exclusive = exclusive;
    change.generation = generation;
    if (change.before == change.after && !in_flight) directory.names.erase(at);
}

base::Task<base::Result<bool>> WorkingTree::State::is_empty(State* self, InodeNumber directory) {
    for (;;) {
        auto* node = self->peek(directory);
        const bool damaged = node != nullptr && node->damaged;
        if (!damaged) {
            BASE_CO_TRY(node, co_await load_directory(self, directory));
        }
        const bool names_some = std::any_of(node->names.begin(), node->names.end(),
                                            [](const auto& name) { return name.second.after.has_value(); });
        if (names_some) co_return false;
        const auto tree =
            damaged ? std::optional{NamedTree{*self->base, self->version.named_in}} : self->base_of(*node);
        if (!tree) co_return true;
        const auto seen = self->changes;
        const auto of = self->base_number;
        // Each name that was removed hides one of the base: one more than these tells.
        const auto limit = node->names.size() + 1;
        BASE_CO_TRY(const auto items, co_await find_entries(tree->tree, directory, limit));
        if (seen != self->changes || of != self->base_number) continue;
        const bool all_removed = std::all_of(items.begin(), items.end(), [node](const Item& item) {
            const auto& entry = std::get<Entry>(item.value);
            return node->names.contains({item.key.sub, entry.name});
        });
        co_return all_removed;
    }
}

base::Task<base::Result<bool>> WorkingTree::State::lies_below(State* self, InodeNumber directory,
                                                              InodeNumber ancestor) {
    for (unsigned depth = 0; depth < 2 * kMaxDepth && directory != kRootInode; ++depth) {
        if (directory == ancestor) co_return true;
        BASE_CO_TRY(auto* const node, co_await load_directory(self, directory));
        directory = node->now.parent;
    }
    co_return directory == ancestor;
}

// --- Changing, in general

base::Result<void> WorkingTree::State::writable() const {
    if (order == nullptr) return posix(std::errc::read_only_file_system);
    return base::ok();
}

base::Task<base::Result<void>> WorkingTree::State::enter(State* self) {
    BASE_CO_CHECK(self->writable());
    if (self->gate.is_set()) co_return base::ok();
    co_await self->gate.wait();
    co_return base::ok();
}

base::Task<base::Result<void>> WorkingTree::State::have_numbers(State* self, std::uint64_t count) {
    while (self->numbers.left() < count) {
        if (self->taking_slot) {
            co_await self->committed.wait();
            continue;
        }
        const Busy busy{self->taking_slot, self->committed};
        auto slot = co_await self->order->take_slot();
        if (!slot) co_return slot.error();
        self->numbers = InodeNumbers{*slot};
    }
    co_return base::ok();
}

base::Task<base::Result<void>> WorkingTree::State::wait_for_a_number(State* self) {
    constexpr std::chrono::milliseconds kPause{250};
    const auto began = self->env.clock.now();
    for (;;) {
        auto done = co_await have_numbers(self, 1);
        if (done || self->late(began) || !may_succeed_later(done.error().code())) co_return done;
        co_await self->env.clock.sleep_for(kPause);
    }
}

base::Task<base::Result<void>> WorkingTree::State::wait_for_room(State* self) {
    constexpr std::chrono::milliseconds kLook{50};
    auto& clock = self->env.clock;
    const auto began = clock.now();
    while (self->dirty_bytes >= self->config.max_dirty_bytes) {
        self->wanted->pulse();
        const bool late = self->late(began);
        if (self->last_error && (late || !may_succeed_later(self->last_error->code()))) co_return *self->last_error;
        if (late) co_return base::Error{base::Errc::timed_out, "too much is unwritten"};
        co_await base::wait_until(clock, self->wanted, clock.now() + kLook);
    }
    co_return base::ok();
}

void WorkingTree::State::touched(LiveNode& node, bool lazy) {
    ++changes;
    node.changed = generation;
    if (!lazy) ++node.now.change;
    const bool first = dirty.empty() || !oldest_change;
    dirty.insert(node.number);
    if (lazy) return;
    if (!oldest_change) oldest_change = env.clock.now();
    if (first) wanted->pulse();
}

void WorkingTree::State::recount(const LiveNode& node, std::size_t memory_before) {
    dirty_bytes = dirty_bytes - memory_before + node.content.memory_bytes();
}

void WorkingTree::State::content_changed(LiveNode& node, std::size_t memory_before) {
    recount(node, memory_before);
    const bool streams = node.content.memory_bytes() >= config.stream_bytes;
    if (streams || dirty_bytes >= config.max_dirty_bytes / 2) wanted->pulse();
}

void WorkingTree::State::lose_link(LiveNode& node, base::Timestamp now) {
    node.now.ctime = now;
    if (node.directory()) {
        node.now.nlink = 0;
    } else {
        --node.now.nlink;
    }
    node.gone = node.now.nlink == 0;
    touched(node);
    drop_if_unused(node);
}

// --- The tree itself

WorkingTree::WorkingTree(std::shared_ptr<State> state) : state_{std::move(state)} {}
WorkingTree::~WorkingTree() { state_->background.cancel(); }

base::Task<base::Result<std::unique_ptr<WorkingTree>>> WorkingTree::open(base::NodeEnv env, Volume& volume,
                                                                         std::uint32_t owner_uid,
                                                                         std::uint32_t owner_gid, LiveConfig config) {
    auto state = std::make_shared<State>(env, volume, config);
    state->order = make_record_order(env, volume, state->nodes);
    BASE_CO_TRY(auto newest, co_await state->order->newest());
    if (newest.root == nullptr) {
        Inode root;
        root.type = base::FileType::directory;
        root.mode = 0755;
        root.uid = owner_uid;
        root.gid = owner_gid;
        root.nlink = 2;
        root.parent = kRootInode;
        root.mtime = root.ctime = root.atime = root.btime = state->wall();
        BASE_CO_TRY(newest, co_await state->order->found(root));
    }
    state->replace_base(newest);
    co_return std::unique_ptr<WorkingTree>{new WorkingTree{std::move(state)}};
}

base::Task<base::Result<std::unique_ptr<WorkingTree>>> WorkingTree::open_version(base::NodeEnv env, Volume& volume,
                                                                                 BlockRefPtr root, LiveConfig config,
                                                                                 std::shared_ptr<NodeCache> nodes) {
    auto state = std::make_shared<State>(env, volume, config);
    if (nodes != nullptr) state->nodes = std::move(nodes);
    LiveVersion only;
    only.root = std::move(root);
    state->replace_base(only);
    BASE_CO_TRY(const auto top, co_await find_inode(*state->base, kRootInode));
    if (!top) co_return base::Error{Errc::damaged, "a tree without a root directory"};
    co_return std::unique_ptr<WorkingTree>{new WorkingTree{std::move(state)}};
}

void WorkingTree::set_listener(LiveListener* listener) { state_->listener = listener; }

void WorkingTree::pin(InodeNumber inode, std::uint64_t times) {
    if (state_->order == nullptr) return;
    state_->pins[inode] += times;
}

void WorkingTree::unpin(InodeNumber inode, std::uint64_t times) {
    const auto pinned = state_->pins.find(inode);
    if (pinned == state_->pins.end()) return;
    pinned->second -= std::min(times, pinned->second);
    if (pinned->second > 0) return;
    state_->pins.erase(pinned);
    if (auto* const node = state_->peek(inode)) state_->drop_if_unused(*node);
}

LiveStatistics WorkingTree::statistics() const {
    auto out = state_->counted;
    out.inodes_in_memory = state_->inodes.size();
    out.dirty_inodes = state_->dirty.size();
    out.dirty_bytes = state_->dirty_bytes;
    return out;
}

LiveCounts WorkingTree::counts() const { return state_->version.counts; }

base::Task<base::Result<void>> WorkingTree::commit() { return State::commit(state_.get()); }
base::Task<base::Result<void>> WorkingTree::refresh() { return State::refresh(state_.get()); }

}  // namespace objstore
