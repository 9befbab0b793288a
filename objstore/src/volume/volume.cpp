#include "objstore/volume.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "past/error.hpp"
#include "volume/forest.hpp"
#include "volume/forest_edit.hpp"

namespace objstore {
namespace {

constexpr std::size_t kEarlierRoots = 4;  // that a heartbeat names

std::uint64_t stored_bytes(const std::vector<Snapshot>& snapshots) {
    std::uint64_t total = 0;
    for (const auto& snapshot : snapshots) total += snapshot.added_bytes;
    return total;
}

/// The write may or may not have happened: only reading again tells.
bool unknown_outcome(const base::Error& error) {
    return error == past::Errc::holders_unreachable || error == past::Errc::too_few_copies ||
           error == base::Errc::timed_out || error == base::Errc::unreachable;
}

Mark mark_of(const Heartbeat& heartbeat) {
    Mark mark;
    mark.sequence = heartbeat.body.sequence;
    mark.body_hash = heartbeat.body.hash();
    mark.record = heartbeat.encode();
    return mark;
}

past::PutOutcome worse(const past::PutOutcome& a, const past::PutOutcome& b) {
    if (a.copies_wanted == 0) return b;
    if (b.copies_wanted == 0) return a;
    return {.copies_wanted = std::max(a.copies_wanted, b.copies_wanted),
            .copies_stored = std::min(a.copies_stored, b.copies_stored),
            .copies_possible = std::max(a.copies_possible, b.copies_possible)};
}

}  // namespace

// --- Session

struct Session::State {
    VolumeState pinned;
    std::vector<Snapshot> snapshots;
    VolumeKeys keys;
    past::Wait wait = past::Wait::majority;
    past::Storage& storage;
    std::shared_ptr<BlockReader> reader;
    BlockWriter writer;
};

Session::Session(std::unique_ptr<State> state) : state_{std::move(state)} {}
Session::~Session() = default;

const VolumeState& Session::pinned() const { return state_->pinned; }
const std::vector<Snapshot>& Session::snapshots() const { return state_->snapshots; }
std::uint64_t Session::generation() const { return state_->pinned.sequence + 1; }
past::Tag Session::tag() const { return state_->writer.tag(); }
const VolumeKeys& Session::keys() const { return state_->keys; }
BlockWriter& Session::writer() { return state_->writer; }
BlockReader& Session::reader() { return *state_->reader; }
past::Storage& Session::storage() { return state_->storage; }

// --- Volume

namespace {

/// What the holders answered: the newest state, or that there is no such volume.
using Shown = std::optional<Heartbeat>;

struct NewForest {
    BlockRefPtr root;
    BlockRefPtr spare;
};

/// Writes what is left to write of the new list, and its second copy.
base::Task<base::Result<NewForest>> finish_forest(TreeUpdate& update) {
    NewForest out;
    BASE_CO_TRY(out.root, co_await update.finish());
    BASE_CO_TRY(out.spare, co_await update.write_spare(out.root));
    co_return out;
}

/// Puts and erases in the order of their keys.
base::Task<base::Result<void>> apply_edit(TreeUpdate& update, ForestEdit edit) {
    auto erase = edit.erase.begin();
    for (auto& item : edit.put) {
        for (; erase != edit.erase.end() && *erase < item.key; ++erase) BASE_CO_CHECK(co_await update.erase(*erase));
        BASE_CO_CHECK(co_await update.put(std::move(item)));
    }
    for (; erase != edit.erase.end(); ++erase) BASE_CO_CHECK(co_await update.erase(*erase));
    co_return base::ok();
}

}  // namespace

/// What this client remembers of a volume. It outlives the volume for as long as something of it is being written.
struct Marks {
    HighWater& high_water;
    base::Log& log;
    base::Guid aguid;
    std::string volume;
    std::optional<Mark> next;  // the newest that is to be remembered
    bool raising = false;

    static base::Task<void> raise(std::shared_ptr<Marks> self, Mark mark) {
        auto raised = co_await self->high_water.raise(self->aguid, std::move(mark));
        if (!raised) {  // the state is durable; only this client's memory of it is not
            self->log.write(base::Log::Level::warning, "objstore",
                            "high-water mark of volume " + self->volume + ": " + raised.error().message());
        }
    }
    /// Of several states that follow each other quickly only the newest is remembered.
    static base::Task<void> raise_all(std::shared_ptr<Marks> self) {
        while (self->next) {
            auto mark = std::move(*self->next);
            self->next.reset();
            co_await raise(self, std::move(mark));
        }
        self->raising = false;
    }
};

struct Volume::State {
    State(base::NodeEnv doors, past::Storage& store, HighWater& marks, base::SigningKey key, std::string volume_name,
          VolumeConfig settings)
        : env{doors},
          storage{store},
          high_water{marks},
          owner{std::move(key)},
          name{std::move(volume_name)},
          config{settings},
          keys{VolumeKeys::of_owner(owner, name)},
          turn{env.executor, 1},
          reader{std::make_shared<BlockReader>(env, storage, keys.tag, config.reader)},
          remembered{std::make_shared<Marks>(high_water, env.log, keys.aguid, name)},
          background{env.executor} {}

    [[nodiscard]] base::TimePoint deadline() const { return env.clock.now() + config.record_timeout; }
    [[nodiscard]] SealContext seal_context(std::uint64_t birth, std::uint64_t volume_bytes) const;
    /// `collecting`: tags of generations up to this one go, and with them the way back to earlier states.
    [[nodiscard]] Heartbeat next_heartbeat(const NewForest& forest,
                                           std::optional<std::uint64_t> collecting = std::nullopt) const;
    /// For blocks of this generation.
    [[nodiscard]] BlockWriter writer(std::uint64_t generation, std::uint64_t volume_bytes, past::Wait wait) const {
        const past::Tag tag{.volume = keys.tag, .generation = generation};
        return BlockWriter{env, storage, seal_context(generation, volume_bytes), tag, wait, config.writer};
    }
    /// What a record says, if its signature is good.
    [[nodiscard]] base::Result<Heartbeat> verified(const past::Record& record) const;
    /// Errc::stale if `shown` is older than what this client has seen, or another state of that number.
    [[nodiscard]] base::Result<void> compare(const Shown& shown, const Mark& mark) const;
    base::Result<void> adopt(const Heartbeat& heartbeat);

    static base::Task<base::Result<Shown>> ask_holders(State* self);
    static base::Task<bool> holds_a_root(State* self, HeartbeatBody body);
    static base::Task<base::Result<bool>> give_back(State* self, Mark mark, std::string had);
    static base::Task<base::Result<bool>> read_newest(State* self);
    static base::Task<base::Result<bool>> read_any(State* self, base::Error why);
    static base::Task<base::Result<bool>> read_to_look(State* self);
    static base::Task<base::Result<void>> believe(State* self, Heartbeat heartbeat, std::optional<Mark> mark);
    static base::Task<base::Result<Forest>> read_list(State* self);
    static base::Task<base::Result<bool>> list_is_held(State* self, past::Tag tag);
    static base::Task<base::Result<NewForest>> write_list(State* self, BlockWriter& writer, Forest list);
    static base::Task<base::Result<void>> publish(State* self, Heartbeat heartbeat);
    static base::Task<base::Result<void>> publish_unmarked(State* self, Heartbeat heartbeat);
    void raise_mark_later(Mark mark);
    static base::Task<base::Result<past::PutOutcome>> flush_all(State* self, BlockWriter* writer, ForestEditor* editor);
    static base::Task<base::Result<void>> create(State* self);
    static base::Task<base::Result<void>> mend_list(State* self, past::Wait wait);
    static base::Task<base::Result<ForestOutcome>> edit_once(State* self, ForestEditor* editor, ForestCheck check,
                                                             past::Wait wait, std::uint64_t* held);
    static base::Task<base::Result<ForestOutcome>> edit_forest(State* self, ForestEditor* editor, ForestCheck check,
                                                               past::Wait wait);
    static base::Task<void> back_off(State* self, unsigned attempt);

    base::NodeEnv env;
    past::Storage& storage;
    HighWater& high_water;
    base::SigningKey owner;
    std::string name;
    VolumeConfig config;
    VolumeKeys keys;
    base::Semaphore turn;  // of those that read or write the record
    std::shared_ptr<BlockReader> reader;
    std::optional<Unconfirmed> unconfirmed;
    VolumeState newest;  // sequence 0: nothing was read yet
    std::optional<ForestDamage> damage;
    std::vector<std::string> later_snapshots;
    std::shared_ptr<Marks> remembered;
    base::TaskGroup background;
};

SealContext Volume::State::seal_context(std::uint64_t birth, std::uint64_t volume_bytes) const {
    SealContext context;
    context.dedup_key = keys.epoch.dedup;
    context.volume_tag = keys.tag;
    context.key_epoch = keys.epoch.epoch;
    context.birth = birth;
    context.place_bits = place_bits_for(volume_bytes);
    return context;
}

Heartbeat Volume::State::next_heartbeat(const NewForest& forest, std::optional<std::uint64_t> collecting) const {
    Heartbeat out;
    out.owner = owner.public_key();
    out.name_digest = name_digest(name);
    out.body.aguid = keys.aguid;
    out.body.sequence = newest.sequence + 1;
    out.body.vguid = forest.root->id;
    out.body.root_sequence = out.body.sequence;  // the tail is empty: the root holds everything
    out.body.tail_digest = empty_tail_digest();
    out.body.ring_digest = owner_ring_digest(owner.public_key());
    out.body.previous = newest.body_hash;
    out.body.time_ns = env.clock.wall_ns();
    out.body.collected = std::max(newest.collected, collecting.value_or(0));
    const auto point_to = [&](const BlockRef& root, PointerKind kind) {
        out.body.pointers.push_back(seal_pointer(keys.epoch, out.body, root, kind));
    };
    point_to(*forest.root, PointerKind::read);
    if (forest.spare) point_to(*forest.spare, PointerKind::spare);
    if (newest.forest && !collecting) {
        point_to(*newest.forest, PointerKind::earlier);
        for (std::size_t i = 0; i < newest.earlier.size() && i + 1 < kEarlierRoots; ++i)
            point_to(*newest.earlier[i], PointerKind::earlier);
    }
    out.votes.push_back(vote_for(owner, out.body, 0, Phase::commit));
    return out;
}

base::Result<Heartbeat> Volume::State::verified(const past::Record& record) const {
    BASE_TRY(const auto sequence, verify_heartbeat(keys.aguid, record.body));
    if (sequence != record.sequence) return base::Error{past::Errc::bad_record, "a record of another sequence"};
    return Heartbeat::decode(record.body);
}

base::Result<void> Volume::State::compare(const Shown& shown, const Mark& mark) const {
    const auto seen = " (" + high_water.where(keys.aguid) + ")";
    if (!shown)
        return base::Error{Errc::stale, "volume " + name + " was seen before" + seen + ", and now there is none"};
    const auto& body = shown->body;
    if (body.sequence < mark.sequence) {
        return base::Error{Errc::stale, "volume " + name + " at " + std::to_string(body.sequence) + ", seen at " +
                                            std::to_string(mark.sequence) + seen};
    }
    if (body.sequence == mark.sequence && body.hash() != mark.body_hash) {
        return base::Error{Errc::stale,
                           "volume " + name + ": a second state of number " + std::to_string(body.sequence) + seen};
    }
    return base::ok();
}

base::Result<void> Volume::State::adopt(const Heartbeat& heartbeat) {
    BASE_TRY(auto pointers, open_pointers(keys.epoch, heartbeat.body));
    unconfirmed.reset();
    newest.sequence = heartbeat.body.sequence;
    newest.body_hash = heartbeat.body.hash();
    newest.time_ns = heartbeat.body.time_ns;
    newest.collected = heartbeat.body.collected;
    newest.forest = std::make_shared<const BlockRef>(pointers.root);
    newest.spare = pointers.spare ? std::make_shared<const BlockRef>(*pointers.spare) : nullptr;
    newest.earlier.clear();
    for (const auto& root : pointers.earlier) newest.earlier.push_back(std::make_shared<const BlockRef>(root));
    return base::ok();
}

base::Task<base::Result<Shown>> Volume::State::ask_holders(State* self) {
    BASE_CO_TRY(const auto record, co_await self->storage.read_record(self->keys.aguid, self->deadline()));
    if (!record) co_return Shown{};
    BASE_CO_TRY(auto heartbeat, self->verified(*record));
    co_return Shown{std::move(heartbeat)};
}

// Whether the store was ever that of this state, or of the few before it that it names.
base::Task<bool> Volume::State::holds_a_root(State* self, HeartbeatBody body) {
    const auto pointers = open_pointers(self->keys.epoch, body);
    if (!pointers) co_return false;
    std::vector<BlockRef> roots{pointers->root};
    if (pointers->spare) roots.push_back(*pointers->spare);
    roots.insert(roots.end(), pointers->earlier.begin(), pointers->earlier.end());
    for (const auto& root : roots) {
        auto ref = std::make_shared<const BlockRef>(root);
        const auto block = co_await self->reader->read(std::move(ref));
        if (block) co_return true;
        if (!(block.error() == Errc::damaged)) co_return false;
    }
    co_return false;
}

// A holder that is the only one may have lost its newest record (a disk that flips a bit), and it alone had it, but for
// the marks of its clients. True if it took the record of `mark` back, or has a later one by now: ask it again.
base::Task<base::Result<bool>> Volume::State::give_back(State* self, Mark mark, std::string had) {
    past::Record lost;
    lost.sequence = mark.sequence;
    lost.body = std::move(mark.record);
    const auto heartbeat = self->verified(lost);
    if (!heartbeat || heartbeat->body.hash() != mark.body_hash) co_return false;
    // Another store than the one it was written to (this machine left its network) must not begin a second history.
    if (!co_await holds_a_root(self, heartbeat->body)) co_return false;
    const auto done = co_await self->storage.restore_record(self->keys.aguid, std::move(lost), self->deadline());
    if (!done && done.error() == past::Errc::conflict) co_return true;
    if (!done && (done.error() == past::Errc::kept_by_others || done.error() == base::Errc::unsupported)) {
        co_return false;
    }
    if (!done) co_return done.error().with("the store lost the newest state of volume " + self->name);
    self->env.log.write(base::Log::Level::warning, "objstore",
                        "the store had lost the newest state of volume '" + self->name + "' (it had " + had +
                            ", this machine has seen " + std::to_string(mark.sequence) + "); it was written back");
    co_return true;
}

// False if the holders answered and there is no such volume.
base::Task<base::Result<bool>> Volume::State::read_newest(State* self) {
    BASE_CO_TRY(const auto mark, co_await self->high_water.load(self->keys.aguid));
    auto shown = co_await ask_holders(self);
    const bool damaged = !shown && shown.error() == past::Errc::bad_record;
    const bool none = shown && !*shown;
    const bool older = mark && shown && *shown && (*shown)->body.sequence < mark->sequence;
    if (mark && (damaged || none || older)) {
        std::string had = damaged ? "a damaged one" : none ? "none" : std::to_string((*shown)->body.sequence);
        BASE_CO_TRY(const bool given, co_await give_back(self, *mark, std::move(had)));
        if (given) shown = co_await ask_holders(self);
    }
    if (!shown) co_return shown.error();
    if (mark) BASE_CO_CHECK(self->compare(*shown, *mark));
    if (!*shown) co_return false;
    BASE_CO_CHECK(co_await believe(self, std::move(**shown), mark));
    co_return true;
}

base::Task<base::Result<void>> Volume::State::believe(State* self, Heartbeat heartbeat, std::optional<Mark> mark) {
    BASE_CO_CHECK(self->adopt(heartbeat));
    auto seen = mark_of(heartbeat);
    if (seen.adds_to(mark)) BASE_CO_CHECK(co_await self->high_water.raise(self->keys.aguid, std::move(seen)));
    co_return base::ok();
}

// What any holder shows, if this client has seen nothing later; else `why` no majority could be asked. The mark stays
// where it is: the register may yet go on without a state that only a few have.
base::Task<base::Result<bool>> Volume::State::read_any(State* self, base::Error why) {
    auto shown = co_await self->storage.read_any_record(self->keys.aguid, self->deadline());
    if (!shown) co_return why;
    auto heartbeat = self->verified(shown->record);
    if (!heartbeat) co_return heartbeat.error();
    BASE_CO_TRY(const auto mark, co_await self->high_water.load(self->keys.aguid));
    const Shown seen{*heartbeat};
    if (mark) BASE_CO_CHECK(self->compare(seen, *mark));
    if (shown->agreed()) {  // the others answer again
        BASE_CO_CHECK(co_await believe(self, std::move(*heartbeat), mark));
        co_return true;
    }
    BASE_CO_CHECK(self->adopt(*heartbeat));
    self->unconfirmed = Unconfirmed{shown->answered, shown->holders};
    co_return true;
}

// For those that build nothing on it.
base::Task<base::Result<bool>> Volume::State::read_to_look(State* self) {
    auto exists = co_await read_newest(self);
    const bool may_be_older =
        !exists && exists.error() == past::Errc::holders_unreachable && self->config.take_unconfirmed;
    if (!may_be_older) co_return exists;
    co_return co_await read_any(self, exists.error());
}

base::Task<base::Result<void>> Volume::State::publish_unmarked(State* self, Heartbeat heartbeat) {
    past::Record record;
    record.sequence = heartbeat.body.sequence;
    record.body = heartbeat.encode();
    const auto expected = record.sequence - 1;
    BASE_CO_CHECK(co_await self->storage.write_record(self->keys.aguid, expected, std::move(record), self->deadline()));
    co_return self->adopt(heartbeat);
}

base::Task<base::Result<void>> Volume::State::publish(State* self, Heartbeat heartbeat) {
    auto mark = mark_of(heartbeat);
    BASE_CO_CHECK(co_await publish_unmarked(self, std::move(heartbeat)));
    co_await Marks::raise(self->remembered, std::move(mark));
    co_return base::ok();
}

void Volume::State::raise_mark_later(Mark mark) {
    remembered->next = std::move(mark);
    if (!std::exchange(remembered->raising, true)) background.spawn(Marks::raise_all(remembered));
}

// Side by side: a store syncs once for what comes together.
base::Task<base::Result<past::PutOutcome>> Volume::State::flush_all(State* self, BlockWriter* writer,
                                                                    ForestEditor* editor) {
    const auto others = std::make_shared<base::Result<void>>(base::ok());
    constexpr auto wait = [](ForestEditor* waited, std::shared_ptr<base::Result<void>> out) -> base::Task<void> {
        *out = co_await waited->stored();
    };
    base::TaskGroup group{self->env.executor};
    group.spawn(wait(editor, others));
    auto flushed = co_await writer->flush();
    co_await group.join();
    if (!*others) co_return others->error();
    co_return flushed;
}

base::Task<base::Result<void>> Volume::State::create(State* self) {
    BlockWriter writer = self->writer(1, 0, past::Wait::majority);
    BASE_CO_TRY(const auto forest, co_await write_list(self, writer, Forest{}));
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = self->next_heartbeat(forest);
    const auto ours = heartbeat.body.hash();
    auto published = co_await publish(self, std::move(heartbeat));
    if (published) co_return published;
    const bool beaten = published.error() == past::Errc::conflict;
    if (!beaten && !unknown_outcome(published.error())) co_return published;
    BASE_CO_TRY(const auto exists, co_await read_newest(self));
    if (exists && self->newest.body_hash == ours) co_return base::ok();
    if (exists) co_return base::Error{base::Errc::exists, "volume " + self->name};
    co_return published;
}

base::Task<base::Result<Forest>> Volume::State::read_list(State* self) {
    auto forest = co_await read_forest(*self->reader, self->newest);
    if (!forest) co_return forest.error();
    self->damage = forest->damage;
    self->later_snapshots.clear();
    for (const auto& item : forest->others) {
        if (item.key.kind == Kind::snapshot) self->later_snapshots.push_back(digits_of(item.key));
    }
    co_return forest;
}

// What a new list takes over from the present one has to be there still, like every block that is used again.
base::Task<base::Result<bool>> Volume::State::list_is_held(State* self, past::Tag tag) {
    const Tree forest{*self->reader, self->newest.forest};
    BASE_CO_TRY(auto names, co_await forest.nodes());
    BASE_CO_TRY(const auto held, co_await touch_blocks(self->env, self->storage, tag, std::move(names)));
    co_return std::find(held.begin(), held.end(), false) == held.end();
}

// From nothing. Equal content gives equal nodes: where the present list lost some, these are stored again, and the rest
// is there already.
base::Task<base::Result<NewForest>> Volume::State::write_list(State* self, BlockWriter& writer, Forest list) {
    auto items = std::move(list.others);
    for (const auto& snapshot : list.snapshots) {
        Item item;
        item.key = snapshot_key(snapshot.id());
        item.value = snapshot.encode();
        items.push_back(std::move(item));
    }
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
    TreeUpdate update{writer, TreeShape{.node_bytes = kLiveNodeBytes, .name_epoch = self->keys.epoch.epoch}};
    for (std::size_t i = 1; i < items.size(); ++i) {
        const auto& before = items[i - 1].key;
        auto& key = items[i].key;
        const bool alike = std::tie(key.inode, key.kind, key.sub) == std::tie(before.inode, before.kind, before.sub);
        if (alike && key.tie <= before.tie) key.tie = before.tie + 1;
    }
    for (auto& item : items) BASE_CO_CHECK(co_await update.put(std::move(item)));
    co_return co_await finish_forest(update);
}

// The list once more, as a state of its own, from what can be read of it.
base::Task<base::Result<void>> Volume::State::mend_list(State* self, past::Wait wait) {
    BASE_CO_TRY(auto list, co_await read_list(self));
    BlockWriter writer = self->writer(self->newest.sequence + 1, 0, wait);
    BASE_CO_TRY(const auto forest, co_await write_list(self, writer, std::move(list)));
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = self->next_heartbeat(forest);
    co_return co_await publish(self, std::move(heartbeat));
}

base::Task<base::Result<ForestOutcome>> Volume::State::edit_once(State* self, ForestEditor* editor, ForestCheck check,
                                                                 past::Wait wait, std::uint64_t* held) {
    const past::Tag tag{.volume = self->keys.tag, .generation = self->newest.sequence + 1};
    const bool wait_for_mark = check == ForestCheck::whole;
    if (check == ForestCheck::whole) {
        BASE_CO_TRY(const auto list, co_await read_list(self));
        bool sound = !list.damage;
        if (sound) {
            BASE_CO_TRY(sound, co_await list_is_held(self, tag));
        }
        if (!sound) {
            BASE_CO_CHECK(co_await mend_list(self, wait));
            check = ForestCheck::paths;
        }
    }
    BlockWriter writer = self->writer(self->newest.sequence + 1, 0, wait);
    Tree forest{*self->reader, self->newest.forest};
    BASE_CO_TRY(auto edit, co_await editor->edit(forest, writer));
    ForestOutcome out;
    if (edit && std::max(editor->stored_since(), *held) <= self->newest.collected) {
        BASE_CO_CHECK(co_await flush_all(self, &writer, editor));
        BASE_CO_CHECK(co_await hold_on_to(self->env, self->storage, tag, forest, *edit));
        *held = tag.generation;
    }
    if (edit) {
        TreeUpdate update{writer, forest};
        BASE_CO_CHECK(co_await apply_edit(update, std::move(*edit)));
        BASE_CO_TRY(const auto root, co_await finish_forest(update));
        BASE_CO_TRY(out.copies, co_await flush_all(self, &writer, editor));
        auto heartbeat = self->next_heartbeat(root);
        auto mark = mark_of(heartbeat);
        if (wait_for_mark) {
            BASE_CO_CHECK(co_await publish(self, std::move(heartbeat)));
        } else {
            BASE_CO_CHECK(co_await publish_unmarked(self, std::move(heartbeat)));
            self->raise_mark_later(std::move(mark));
        }
        out.changed = true;
    }
    out.state = self->newest;
    co_return out;
}

base::Task<base::Result<ForestOutcome>> Volume::State::edit_forest(State* self, ForestEditor* editor, ForestCheck check,
                                                                   past::Wait wait) {
    const auto turn = co_await self->turn.acquire();
    base::Error last{base::Errc::busy};
    std::uint64_t held = 0;  // generation under which all that the editor names was touched
    // Who looks at paths only trusts what it knows, once: whoever got in between makes it a conflict.
    bool known = check == ForestCheck::paths && self->newest.sequence > 0 && !self->unconfirmed;
    for (unsigned attempt = 0; attempt < self->config.commit_attempts; ++attempt) {
        if (!known) {
            BASE_CO_TRY(const auto exists, co_await read_newest(self));
            if (!exists) co_return base::Error{Errc::no_such_volume, self->name};
        }
        const bool first = std::exchange(known, false);
        auto done = co_await edit_once(self, editor, check, wait, &held);
        if (done) co_return done;
        last = done.error();
        // A conflict is progress of somebody else's. After an unknown outcome the next round finds the edit done, or
        // does it; but a network that stays away is told to the caller.
        const bool damaged = last == Errc::damaged && check == ForestCheck::paths;
        if (damaged) check = ForestCheck::whole;
        const bool again = last == past::Errc::conflict || damaged || (unknown_outcome(last) && attempt < 3);
        if (!again) co_return last;
        if (!first && !damaged) co_await back_off(self, attempt);
    }
    co_return base::Error{base::Errc::busy, "volume " + self->name + " is being written by too many others"};
}

// Hosts that lose a race try again after a random while that grows: of n at once one gets through each round.
base::Task<void> Volume::State::back_off(State* self, unsigned attempt) {
    const std::uint64_t most_ms = std::uint64_t{10} << std::min(attempt, 7U);
    return self->env.clock.sleep_for(std::chrono::milliseconds{1 + self->env.rng.below(most_ms)});
}

Volume::Volume(std::unique_ptr<State> state) : state_{std::move(state)} {}
Volume::~Volume() = default;

base::Task<void> Volume::finish() { co_await state_->background.join(); }

const std::string& Volume::name() const { return state_->name; }
const VolumeKeys& Volume::keys() const { return state_->keys; }
const VolumeState& Volume::state() const { return state_->newest; }
BlockReader& Volume::reader() { return *state_->reader; }

base::Task<base::Result<std::unique_ptr<Volume>>> Volume::create(base::NodeEnv env, past::Storage& storage,
                                                                 HighWater& high_water, base::SigningKey owner,
                                                                 std::string name, VolumeConfig config) {
    if (name.empty() || name.size() > base::kMaxNameBytes) {
        co_return base::Error{base::Errc::bad_argument, "a volume's name is 1 to 255 bytes"};
    }
    auto state = std::make_unique<State>(env, storage, high_water, std::move(owner), std::move(name), config);
    BASE_CO_TRY(const auto exists, co_await State::read_newest(state.get()));
    if (exists) co_return base::Error{base::Errc::exists, "volume " + state->name};
    BASE_CO_CHECK(co_await State::create(state.get()));
    co_return std::unique_ptr<Volume>{new Volume{std::move(state)}};
}

base::Task<base::Result<std::unique_ptr<Volume>>> Volume::open(base::NodeEnv env, past::Storage& storage,
                                                               HighWater& high_water, base::SigningKey owner,
                                                               std::string name, VolumeConfig config) {
    auto state = std::make_unique<State>(env, storage, high_water, std::move(owner), std::move(name), config);
    BASE_CO_TRY(const auto exists, co_await State::read_to_look(state.get()));
    if (!exists) co_return base::Error{Errc::no_such_volume, state->name};
    co_return std::unique_ptr<Volume>{new Volume{std::move(state)}};
}

base::Task<base::Result<void>> Volume::refresh() {
    auto* const state = state_.get();
    const auto turn = co_await state->turn.acquire();
    BASE_CO_TRY(const auto exists, co_await State::read_to_look(state));
    if (!exists) co_return base::Error{Errc::no_such_volume, state->name};
    co_return base::ok();
}

base::Task<base::Result<std::vector<Snapshot>>> Volume::snapshots() {
    BASE_CO_TRY(auto forest, co_await State::read_list(state_.get()));
    co_return std::move(forest.snapshots);
}
const std::optional<Unconfirmed>& Volume::unconfirmed() const { return state_->unconfirmed; }
const std::optional<ForestDamage>& Volume::damage() const { return state_->damage; }
const std::vector<std::string>& Volume::later_snapshots() const { return state_->later_snapshots; }

std::unique_ptr<BlockWriter> Volume::make_writer(std::uint64_t volume_bytes, past::Wait wait) const {
    return std::unique_ptr<BlockWriter>{
        new BlockWriter(state_->writer(state_->newest.sequence + 1, volume_bytes, wait))};
}

base::Task<base::Result<std::unique_ptr<Session>>> Volume::begin(past::Wait wait) {
    auto* const state = state_.get();
    const auto turn = co_await state->turn.acquire();
    BASE_CO_TRY(const auto exists, co_await State::read_newest(state));
    if (!exists) co_return base::Error{Errc::no_such_volume, state->name};
    const auto pinned = state->newest;
    BASE_CO_TRY(auto listed, co_await snapshots());
    const auto bytes = stored_bytes(listed);
    auto session = std::unique_ptr<Session::State>{new Session::State{pinned, std::move(listed), state->keys, wait,
                                                                      state->storage, state->reader,
                                                                      state->writer(pinned.sequence + 1, bytes, wait)}};
    co_return std::unique_ptr<Session>{new Session{std::move(session)}};
}

base::Task<base::Result<CommitOutcome>> Volume::commit(Session& session, Snapshot snapshot) {
    const auto wait = session.state_->wait;
    BASE_CO_CHECK(snapshot.check());
    BASE_CO_TRY(const auto of_session, co_await session.writer().flush());
    AddSnapshot editor{snapshot, session.generation()};
    BASE_CO_TRY(const auto done, co_await State::edit_forest(state_.get(), &editor, ForestCheck::whole, wait));
    CommitOutcome outcome;
    outcome.snapshot = std::move(snapshot);
    outcome.state = done.state;
    outcome.copies = worse(of_session, done.copies);
    co_return outcome;
}

base::Task<base::Result<std::uint64_t>> Volume::forget(std::vector<base::Guid> snapshots) {
    ForgetSnapshots editor{std::move(snapshots)};
    BASE_CO_CHECK(co_await State::edit_forest(state_.get(), &editor, ForestCheck::whole, past::Wait::full));
    co_return editor.forgotten();
}

base::Task<base::Result<std::uint64_t>> Volume::replace(std::vector<Replacement> replacements) {
    for (const auto& one : replacements) BASE_CO_CHECK(one.after.check());
    ReplaceSnapshots editor{std::move(replacements)};
    BASE_CO_CHECK(co_await State::edit_forest(state_.get(), &editor, ForestCheck::whole, past::Wait::full));
    co_return editor.replaced();
}

base::Task<base::Result<ForestOutcome>> Volume::edit_forest(ForestEditor& editor, ForestCheck check, past::Wait wait) {
    return State::edit_forest(state_.get(), &editor, check, wait);
}

// --- collecting garbage

base::Task<base::Result<std::uint64_t>> Volume::begin_collection() {
    auto* const state = state_.get();
    const auto turn = co_await state->turn.acquire();
    base::Error last{base::Errc::busy};
    for (unsigned attempt = 0; attempt < state->config.commit_attempts; ++attempt) {
        BASE_CO_TRY(const auto exists, co_await State::read_newest(state));
        if (!exists) co_return base::Error{Errc::no_such_volume, state->name};
        const NewForest same{state->newest.forest, state->newest.spare};
        const auto up_to = state->newest.sequence;
        auto heartbeat = state->next_heartbeat(same, up_to);
        const auto done = co_await State::publish(state, std::move(heartbeat));
        if (done) co_return up_to;
        last = done.error();
        // Having written it without being told does no harm: then it is written twice.
        if (!(last == past::Errc::conflict) && !(unknown_outcome(last) && attempt < 3)) co_return last;
        co_await State::back_off(state, attempt);
    }
    co_return last;
}

std::vector<BlockRef> Volume::roots() const {
    std::vector<BlockRef> roots{*state_->newest.forest};
    if (state_->newest.spare) roots.push_back(*state_->newest.spare);
    return roots;
}

const base::SigningKey& Volume::owner() const { return state_->owner; }
past::Storage& Volume::storage() { return state_->storage; }
base::NodeEnv Volume::env() const { return state_->env; }

}  // namespace objstore
