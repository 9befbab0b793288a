#include "objstore/volume.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "past/error.hpp"
#include "volume/forest_edit.hpp"
#include "volume/volume_state.hpp"

namespace objstore {
namespace {

std::uint64_t stored_bytes(const std::vector<Snapshot>& snapshots) {
    std::uint64_t total = 0;
    for (const auto& snapshot : snapshots) total += snapshot.added_bytes;
    return total;
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
        const auto up_to = state->newest.sequence;
        State::Notice notice;
        notice.collecting = up_to;
        const auto done = co_await State::publish_notice(state, notice);
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
