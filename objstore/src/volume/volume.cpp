#include "objstore/volume.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

constexpr Kind kAfterSnapshots = static_cast<Kind>(static_cast<std::uint8_t>(Kind::snapshot) + 1);

TreeKey snapshot_key(const base::Guid& id) {
    TreeKey key = TreeKey::first(0, Kind::snapshot);
    for (std::size_t i = 0; i < 8; ++i) key.sub = (key.sub << 8U) | id.bytes()[i];
    return key;
}

base::Task<base::Result<std::vector<Snapshot>>> read_snapshots(Tree forest) {
    BASE_CO_TRY(const auto items,
                co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::first(0, kAfterSnapshots)));
    std::vector<Snapshot> out;
    for (const auto& item : items) {
        auto snapshot = Snapshot::decode(std::get<Opaque>(item.value));
        if (!snapshot) {
            const auto forest_id = forest.root()->id.hex();
            if (snapshot.error() == base::Errc::unsupported) co_return snapshot.error().with("forest " + forest_id);
            co_return base::Error{Errc::damaged, "forest " + forest_id + ": " + snapshot.error().detail()};
        }
        out.push_back(*std::move(snapshot));
    }
    std::sort(out.begin(), out.end(), [](const Snapshot& a, const Snapshot& b) {
        return a.time_ns != b.time_ns ? a.time_ns < b.time_ns : a.id() < b.id();
    });
    co_return out;
}

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

past::PutOutcome worse(const past::PutOutcome& a, const past::PutOutcome& b) {
    if (a.copies_wanted == 0) return b;
    if (b.copies_wanted == 0) return a;
    return {.copies_wanted = std::max(a.copies_wanted, b.copies_wanted),
            .copies_stored = std::min(a.copies_stored, b.copies_stored)};
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
          reader{std::make_shared<BlockReader>(env, storage, keys.tag, config.reader)} {}

    [[nodiscard]] base::TimePoint deadline() const { return env.clock.now() + config.record_timeout; }
    [[nodiscard]] SealContext seal_context(std::uint64_t birth, std::uint64_t volume_bytes) const;
    [[nodiscard]] Heartbeat next_heartbeat(const BlockRef& forest) const;
    /// Takes a record over if it is good and no older than what was seen.
    base::Result<Heartbeat> accept(const past::Record& record, const std::optional<Mark>& mark) const;
    base::Result<void> adopt(const Heartbeat& heartbeat);

    static base::Task<base::Result<bool>> read_newest(State* self);
    static base::Task<base::Result<BlockRefPtr>> list_snapshot(State* self, BlockWriter& writer, Snapshot snapshot);
    static base::Task<base::Result<void>> publish(State* self, Heartbeat heartbeat);
    static base::Task<base::Result<void>> create(State* self);
    static base::Task<base::Result<past::PutOutcome>> commit_once(State* self, Snapshot snapshot, past::Wait wait);
    static base::Task<void> back_off(State* self, unsigned attempt);

    base::NodeEnv env;
    past::Storage& storage;
    HighWater& high_water;
    base::SigningKey owner;
    std::string name;
    VolumeConfig config;
    VolumeKeys keys;
    std::shared_ptr<BlockReader> reader;
    VolumeState newest;  // sequence 0: nothing was read yet
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

Heartbeat Volume::State::next_heartbeat(const BlockRef& forest) const {
    Heartbeat out;
    out.owner = owner.public_key();
    out.name_digest = name_digest(name);
    out.body.aguid = keys.aguid;
    out.body.sequence = newest.sequence + 1;
    out.body.vguid = forest.id;
    out.body.root_sequence = out.body.sequence;  // the tail is empty: the root holds everything
    out.body.tail_digest = empty_tail_digest();
    out.body.ring_digest = owner_ring_digest(owner.public_key());
    out.body.previous = newest.body_hash;
    out.body.time_ns = env.clock.wall_ns();
    out.body.pointers.push_back(seal_pointer(keys.epoch, out.body, forest));
    out.votes.push_back(vote_for(owner, out.body, 0, Phase::commit));
    return out;
}

base::Result<Heartbeat> Volume::State::accept(const past::Record& record, const std::optional<Mark>& mark) const {
    BASE_TRY(const auto sequence, verify_heartbeat(keys.aguid, record.body));
    BASE_TRY(auto heartbeat, Heartbeat::decode(record.body));
    if (sequence != record.sequence) return base::Error{past::Errc::bad_record, "a record of another sequence"};
    if (!mark) return heartbeat;
    if (sequence < mark->sequence) {
        return base::Error{Errc::stale, "volume " + name + " at " + std::to_string(sequence) + ", seen at " +
                                            std::to_string(mark->sequence)};
    }
    if (sequence == mark->sequence && heartbeat.body.hash() != mark->body_hash) {
        return base::Error{Errc::stale, "volume " + name + ": a second state of number " + std::to_string(sequence)};
    }
    return heartbeat;
}

base::Result<void> Volume::State::adopt(const Heartbeat& heartbeat) {
    BASE_TRY(auto root, open_pointer(keys.epoch, heartbeat.body));
    newest.sequence = heartbeat.body.sequence;
    newest.body_hash = heartbeat.body.hash();
    newest.time_ns = heartbeat.body.time_ns;
    newest.forest = std::make_shared<const BlockRef>(std::move(root));
    return base::ok();
}

// False if the holders answered and there is no such volume.
base::Task<base::Result<bool>> Volume::State::read_newest(State* self) {
    BASE_CO_TRY(const auto mark, co_await self->high_water.load(self->keys.aguid));
    BASE_CO_TRY(const auto record, co_await self->storage.read_record(self->keys.aguid, self->deadline()));
    if (!record) {
        if (mark)
            co_return base::Error{Errc::stale, "volume " + self->name + " was seen before, and now there is none"};
        co_return false;
    }
    BASE_CO_TRY(const auto heartbeat, self->accept(*record, mark));
    BASE_CO_CHECK(self->adopt(heartbeat));
    const Mark seen{.sequence = self->newest.sequence, .body_hash = self->newest.body_hash};
    if (!mark || *mark != seen) BASE_CO_CHECK(co_await self->high_water.raise(self->keys.aguid, seen));
    co_return true;
}

base::Task<base::Result<void>> Volume::State::publish(State* self, Heartbeat heartbeat) {
    past::Record record;
    record.sequence = heartbeat.body.sequence;
    record.body = heartbeat.encode();
    const auto expected = record.sequence - 1;
    BASE_CO_CHECK(co_await self->storage.write_record(self->keys.aguid, expected, std::move(record), self->deadline()));
    BASE_CO_CHECK(self->adopt(heartbeat));
    const Mark seen{.sequence = self->newest.sequence, .body_hash = self->newest.body_hash};
    auto raised = co_await self->high_water.raise(self->keys.aguid, seen);
    if (!raised) {  // the state is durable; only this client's memory of it is not
        self->env.log.write(base::Log::Level::warning, "objstore",
                            "high-water mark of volume " + self->name + ": " + raised.error().message());
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Volume::State::create(State* self) {
    const past::Tag tag{.volume = self->keys.tag, .generation = 1};
    BlockWriter writer{self->env, self->storage,        self->seal_context(1, 0),
                       tag,       past::Wait::majority, self->config.writer};
    const TreeShape shape{.node_bytes = kLiveNodeBytes, .name_epoch = self->keys.epoch.epoch};
    TreeUpdate forest{writer, shape};
    BASE_CO_TRY(const auto root, co_await forest.finish());
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = self->next_heartbeat(*root);
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

// The newest forest with the snapshot in it: the forest's own root if it is listed already.
base::Task<base::Result<BlockRefPtr>> Volume::State::list_snapshot(State* self, BlockWriter& writer,
                                                                   Snapshot snapshot) {
    const Tree forest{*self->reader, self->newest.forest};
    const auto id = snapshot.id();
    Item item;
    item.key = snapshot_key(id);
    auto after = item.key;
    ++after.sub;
    if (after.sub == 0) after = TreeKey::first(0, kAfterSnapshots);
    BASE_CO_TRY(const auto alike, co_await forest.range(item.key, after));
    for (const auto& other : alike) {
        const auto listed = Snapshot::decode(std::get<Opaque>(other.value));
        if (listed && listed->id() == id) co_return self->newest.forest;
        item.key.tie = other.key.tie + 1;
    }
    item.value = snapshot.encode();
    TreeUpdate update{writer, forest};
    BASE_CO_CHECK(co_await update.put(std::move(item)));
    co_return co_await update.finish();
}

base::Task<base::Result<past::PutOutcome>> Volume::State::commit_once(State* self, Snapshot snapshot, past::Wait wait) {
    BASE_CO_TRY(const auto exists, co_await read_newest(self));
    if (!exists) co_return base::Error{Errc::no_such_volume, self->name};
    const auto generation = self->newest.sequence + 1;
    const past::Tag tag{.volume = self->keys.tag, .generation = generation};
    BlockWriter writer{self->env, self->storage, self->seal_context(generation, 0), tag, wait, self->config.writer};
    BASE_CO_TRY(const auto root, co_await list_snapshot(self, writer, std::move(snapshot)));
    if (root == self->newest.forest) co_return past::PutOutcome{};
    BASE_CO_TRY(const auto copies, co_await writer.flush());
    auto heartbeat = self->next_heartbeat(*root);
    BASE_CO_CHECK(co_await publish(self, std::move(heartbeat)));
    co_return copies;
}

// Hosts that lose a race try again after a random while that grows: of n at once one gets through each round.
base::Task<void> Volume::State::back_off(State* self, unsigned attempt) {
    const std::uint64_t most_ms = std::uint64_t{10} << std::min(attempt, 7U);
    return self->env.clock.sleep_for(std::chrono::milliseconds{1 + self->env.rng.below(most_ms)});
}

Volume::Volume(std::unique_ptr<State> state) : state_{std::move(state)} {}
Volume::~Volume() = default;

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
    BASE_CO_TRY(const auto exists, co_await State::read_newest(state.get()));
    if (!exists) co_return base::Error{Errc::no_such_volume, state->name};
    co_return std::unique_ptr<Volume>{new Volume{std::move(state)}};
}

base::Task<base::Result<void>> Volume::refresh() {
    BASE_CO_TRY(const auto exists, co_await State::read_newest(state_.get()));
    if (!exists) co_return base::Error{Errc::no_such_volume, state_->name};
    co_return base::ok();
}

base::Task<base::Result<std::vector<Snapshot>>> Volume::snapshots() {
    Tree forest{*state_->reader, state_->newest.forest};
    return read_snapshots(std::move(forest));
}

base::Task<base::Result<std::unique_ptr<Session>>> Volume::begin(past::Wait wait) {
    auto* const state = state_.get();
    BASE_CO_CHECK(co_await refresh());
    const auto pinned = state->newest;
    BASE_CO_TRY(auto listed, co_await snapshots());
    const auto context = state->seal_context(pinned.sequence + 1, stored_bytes(listed));
    const past::Tag tag{.volume = state->keys.tag, .generation = pinned.sequence + 1};
    auto session = std::unique_ptr<Session::State>{
        new Session::State{pinned, std::move(listed), state->keys, wait, state->storage, state->reader,
                           BlockWriter{state->env, state->storage, context, tag, wait, state->config.writer}}};
    co_return std::unique_ptr<Session>{new Session{std::move(session)}};
}

base::Task<base::Result<CommitOutcome>> Volume::commit(Session& session, Snapshot snapshot) {
    auto* const state = state_.get();
    const auto wait = session.state_->wait;
    BASE_CO_CHECK(snapshot.check());
    BASE_CO_TRY(const auto of_session, co_await session.writer().flush());
    base::Error last{base::Errc::busy};
    for (unsigned attempt = 0; attempt < state->config.commit_attempts; ++attempt) {
        auto done = co_await State::commit_once(state, snapshot, wait);
        if (done) {
            CommitOutcome outcome;
            outcome.snapshot = std::move(snapshot);
            outcome.state = state->newest;
            outcome.copies = worse(of_session, *done);
            co_return outcome;
        }
        // A conflict is progress of somebody else's. After an unknown outcome the next round finds the snapshot listed,
        // or lists it; but a network that stays away is told to the caller.
        last = done.error();
        const bool again = last == past::Errc::conflict || (unknown_outcome(last) && attempt < 3);
        if (!again) co_return last;
        co_await State::back_off(state, attempt);
    }
    co_return base::Error{base::Errc::busy, "volume " + state->name + " is being written by too many others"};
}

}  // namespace objstore
