// The volume's record: its next state, what its holders show of it, and what this client has seen.
#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "past/error.hpp"
#include "volume/volume_state.hpp"

namespace objstore {
namespace {

constexpr std::size_t kEarlierRoots = 4;  // that a heartbeat names

}  // namespace

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

SealContext Volume::State::seal_context(std::uint64_t birth, std::uint64_t volume_bytes) const {
    SealContext context;
    context.dedup_key = keys.epoch.dedup;
    context.volume_tag = keys.tag;
    context.key_epoch = keys.epoch.epoch;
    context.birth = birth;
    context.group_bits = group_bits_for(volume_bytes);
    return context;
}

Heartbeat Volume::State::next_heartbeat(const NewForest& forest, Notice notice) const {
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
    out.body.collected = std::max(newest.collected, notice.collecting.value_or(0));
    out.body.turn = notice.turn;
    const auto point_to = [&](const BlockRef& root, PointerKind kind) {
        out.body.pointers.push_back(seal_pointer(keys.epoch, out.body, root, kind));
    };
    point_to(*forest.root, PointerKind::read);
    if (forest.spare) point_to(*forest.spare, PointerKind::spare);
    if (newest.forest && !notice.collecting) {
        auto earlier = newest.earlier;
        if (newest.forest->id != forest.root->id) earlier.insert(earlier.begin(), newest.forest);
        for (std::size_t i = 0; i < earlier.size() && i < kEarlierRoots; ++i)
            point_to(*earlier[i], PointerKind::earlier);
    }
    out.votes.push_back(vote_for(owner, out.body, 0, Phase::commit));
    return out;
}

base::Result<Heartbeat> Volume::State::verified(const past::Record& record) const {
    BASE_TRY(const auto sequence, verify_heartbeat(keys.aguid, record.body));
    if (sequence != record.sequence) return base::Error{past::Errc::bad_record, "a record of another sequence"};
    return Heartbeat::decode(record.body);
}

base::Result<void> Volume::State::compare(const Observed& shown, const Mark& mark) const {
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
    newest.turn = heartbeat.body.turn;
    newest.forest = std::make_shared<const BlockRef>(pointers.root);
    newest.spare = pointers.spare ? std::make_shared<const BlockRef>(*pointers.spare) : nullptr;
    newest.earlier.clear();
    for (const auto& root : pointers.earlier) newest.earlier.push_back(std::make_shared<const BlockRef>(root));
    return base::ok();
}

base::Task<base::Result<Observed>> Volume::State::ask_holders(State* self) {
    BASE_CO_TRY(const auto record, co_await self->storage.read_record(self->keys.aguid, self->deadline()));
    if (!record) co_return Observed{};
    BASE_CO_TRY(auto heartbeat, self->verified(*record));
    co_return Observed{std::move(heartbeat)};
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
base::Task<base::Result<bool>> Volume::State::restore(State* self, Mark mark, std::string had) {
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
        BASE_CO_TRY(const bool given, co_await restore(self, *mark, std::move(had)));
        if (given) shown = co_await ask_holders(self);
    }
    if (!shown) co_return shown.error();
    if (mark) BASE_CO_CHECK(self->compare(*shown, *mark));
    if (!*shown) co_return false;
    BASE_CO_CHECK(co_await adopt(self, std::move(**shown), mark));
    co_return true;
}

base::Task<base::Result<void>> Volume::State::adopt(State* self, Heartbeat heartbeat, std::optional<Mark> mark) {
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
    const Observed seen{*heartbeat};
    if (mark) BASE_CO_CHECK(self->compare(seen, *mark));
    if (shown->agreed()) {  // the others answer again
        BASE_CO_CHECK(co_await adopt(self, std::move(*heartbeat), mark));
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

// The forest as it is, in a state that says something.
base::Task<base::Result<void>> Volume::State::publish_notice(State* self, Notice notice) {
    const NewForest same{self->newest.forest, self->newest.spare};
    auto heartbeat = self->next_heartbeat(same, notice);
    co_return co_await publish(self, std::move(heartbeat));
}

}  // namespace objstore
