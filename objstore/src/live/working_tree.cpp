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
    found->second->changed = 0;
    found->second->gone = false;
    recount(*found->second);
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
    if (in_flight) dirty.insert(node.number);  // it is looked at again when that is known
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
    const auto [at, first] = directory.name(std::move(key));
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
    if (change.before == change.after && !in_flight) directory.forget(at);
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

bool WorkingTree::State::may_change(const Turn& turn) const {
    const auto most = config.max_dirty_bytes;
    if (!gate_open || memory.all >= (turn.removes ? most + most / 8 : most)) return false;
    // No commit makes room of what nobody names: the other half is for those that can be committed.
    if (memory.nameless < most / 2) return true;
    const auto grows = inodes.find(turn.grows);
    return grows == inodes.end() || !grows->second->gone;
}

bool WorkingTree::State::nameless_fill(const Turn& turn) const {
    if (!gate_open || may_change(turn) || nameless_can_be_stored()) return false;
    const auto most = config.max_dirty_bytes;
    const auto grows = inodes.find(turn.grows);
    const bool is_nameless = grows != inodes.end() && grows->second->gone;
    return memory.nameless >= (is_nameless ? most / 2 : most);
}

base::Task<base::Result<void>> WorkingTree::State::enter(State* self, Turn turn) {
    BASE_CO_CHECK(self->writable());
    for (bool asked = false; !self->may_change(turn); asked = true) {
        if (self->nameless_fill(turn)) {
            if (!std::exchange(self->told_of_nameless, true)) {
                self->env.log.write(base::Log::Level::warning, "objstore",
                                    "volume '" + self->volume.name() + "': open files without a name take " +
                                        std::to_string(self->memory.nameless >> 20U) +
                                        " MiB of memory in small pieces; until they are closed there is no room");
            }
            co_return posix(std::errc::no_space_on_device, "open files without a name take all memory for changes");
        }
        if (!asked) self->wanted->pulse();
        const bool late = self->late(turn.began);
        // The commit under way may yet go well.
        const bool in_vain = self->last_error && !self->committing && !may_succeed_later(self->last_error->code());
        if (self->last_error && (late || in_vain)) co_return *self->last_error;
        if (late) {
            const char* const why = self->gate_open ? "too much is unwritten" : "another mount's changes are not known";
            co_return base::Error{base::Errc::timed_out, why};
        }
        if (self->config.write_timeout == base::Duration::zero()) {
            co_await self->progress->wait();
        } else {
            co_await base::wait_until(self->env.clock, self->progress, turn.began + self->config.write_timeout);
        }
    }
    co_return base::ok();
}

void WorkingTree::State::open_gate() {
    gate_open = true;
    progress->pulse();
}

base::Task<base::Result<void>> WorkingTree::State::have_numbers(State* self, std::uint64_t count) {
    while (self->numbers.left() < count) {
        if (self->taking_slot) {
            co_await self->progress->wait();
            continue;
        }
        const Busy busy{self->taking_slot, self->progress};
        auto slot = co_await self->order->take_slot();
        if (!slot) co_return slot.error();
        self->numbers = InodeNumbers{*slot};
    }
    co_return base::ok();
}

base::Task<base::Result<void>> WorkingTree::State::wait_for_a_number(State* self, Turn turn) {
    constexpr std::chrono::milliseconds kPause{250};
    for (;;) {
        auto done = co_await have_numbers(self, 1);
        if (done || self->late(turn.began) || !may_succeed_later(done.error().code())) co_return done;
        co_await self->env.clock.sleep_for(kPause);
    }
}

void WorkingTree::State::touched(LiveNode& node, bool lazy) {
    ++changes;
    node.only_read = lazy && (node.changed == 0 || node.only_read);
    node.changed = generation;
    if (!lazy) ++node.now.change;
    const bool first = dirty.empty() || !oldest_change;
    dirty.insert(node.number);
    recount(node);
    const bool streams = node.content.buffer_bytes() >= config.stream_bytes;
    if (!committing && (streams || half_full() || nameless_can_be_stored())) wanted->pulse();
    if (lazy) return;
    if (!oldest_change) oldest_change = env.clock.now();
    if (first) wanted->pulse();
}

void WorkingTree::State::recount(LiveNode& node) {
    const auto before = memory.all;
    memory -= node.counted;
    node.counted = node.memory(pins.contains(node.number));
    memory += node.counted;
    if (memory.nameless < config.max_dirty_bytes / 2) told_of_nameless = false;
    if (memory.all < before) progress->pulse();
}

void WorkingTree::State::set_clean(LiveNode& node) {
    node.changed = 0;
    dirty.erase(node.number);
    recount(node);
    drop_if_unused(node);
}

bool WorkingTree::State::half_full() const {
    const auto named = memory.all - memory.nameless;
    return named > 0 && named >= (config.max_dirty_bytes - std::min(config.max_dirty_bytes, memory.nameless)) / 2;
}

bool WorkingTree::State::nameless_can_be_stored() const {
    constexpr std::size_t kShare = 16;  // of the memory: not a block for each small write
    return memory.nameless >= config.max_dirty_bytes / 4 && memory.nameless_buffers >= config.max_dirty_bytes / kShare;
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
    if (auto* const node = state_->peek(inode); node != nullptr && node->gone) state_->recount(*node);
}

void WorkingTree::unpin(InodeNumber inode, std::uint64_t times) {
    const auto pinned = state_->pins.find(inode);
    if (pinned == state_->pins.end()) return;
    pinned->second -= std::min(times, pinned->second);
    if (pinned->second > 0) return;
    state_->pins.erase(pinned);
    auto* const node = state_->peek(inode);
    if (node == nullptr) return;
    state_->recount(*node);
    state_->drop_if_unused(*node);
}

LiveStatistics WorkingTree::statistics() const {
    auto out = state_->counted;
    out.inodes_in_memory = state_->inodes.size();
    out.dirty_inodes = static_cast<std::uint64_t>(
        std::count_if(state_->dirty.begin(), state_->dirty.end(),
                      [this](InodeNumber number) { return !state_->inodes.at(number)->only_read; }));
    out.dirty_bytes = state_->memory.content;
    out.memory_bytes = state_->memory.all;
    return out;
}

LiveCounts WorkingTree::counts() const { return state_->version.counts; }

base::Task<base::Result<void>> WorkingTree::commit() { return State::commit(state_.get()); }
base::Task<base::Result<void>> WorkingTree::refresh() { return State::refresh(state_.get()); }

}  // namespace objstore
