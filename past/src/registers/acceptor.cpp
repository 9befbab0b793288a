#include <algorithm>

#include "base/codec.hpp"
#include "registers/registers.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::Task;

namespace {

/// Above the ballots of attempts whose promise was lost with a record and that may still be under way; so far below
/// kMaxBallotStep that a register can be given back often and still move on to others.
constexpr std::uint64_t kForgotten = std::uint64_t{1} << 14U;

Guid record_key(const Guid& key) { return base::sha256({base::as_bytes("pelago past register"), key.view()}); }

}  // namespace

bool kept_only_by(const RegisterValue& value, const base::NodeId& node, const Genesis& genesis) {
    const std::vector<base::NodeId> alone{node};
    const auto previous = genesis.counting(ids_of(value.previous));
    return genesis.counting(ids_of(value.members)) == alone && (previous.empty() || previous == alone);
}

void Acceptor::load() {
    promises_.load();
    for (const auto& name : context_.store.record_keys()) {
        const auto record = context_.store.record(name);
        if (!record) continue;
        const auto stored = decode_stored_register(*record);
        if (!stored || record_key(stored->key) != name || !stored->state.value) continue;
        if (!is_from_before_joining(*stored->state.value)) keys_.insert(stored->key);
    }
}

/// A lone node's only holder is itself, under an id that no roster ever has: the network gave it another one.
bool Acceptor::is_from_before_joining(const RegisterValue& value) const {
    return genesis_.joined() && value.previous.empty() && value.members.size() == 1 &&
           !genesis_.knows(value.members[0].id);
}

std::vector<std::pair<Guid, Record>> Acceptor::from_before_joining() const {
    std::vector<std::pair<Guid, Record>> found;
    for (const auto& name : context_.store.record_keys()) {
        const auto record = context_.store.record(name);
        if (!record) continue;
        auto stored = decode_stored_register(*record);
        if (!stored || record_key(stored->key) != name || !stored->state.value) continue;
        if (is_from_before_joining(*stored->state.value)) {
            found.emplace_back(stored->key, std::move(stored->state.value->record));
        }
    }
    return found;
}

Result<StoredRegister> Acceptor::state(const Guid& key) const {
    const auto fresh = [&]() -> Result<StoredRegister> {
        BASE_TRY(const auto promised, promises_.of(key));
        StoredRegister none;
        none.key = key;
        none.state.promised = promised;
        return none;
    };
    const auto record = context_.store.record(record_key(key));
    if (!record) return fresh();
    auto stored = decode_stored_register(*record);
    if (!stored || stored->key != key) return base::Error{base::Errc::corrupt, "register " + key.short_hex()};
    if (stored->state.value && is_from_before_joining(*stored->state.value)) return fresh();
    return stored;
}

Task<Acceptor::Lock> Acceptor::lock(Guid key) {
    if (locks_.size() > 1024) std::erase_if(locks_, [](const auto& entry) { return entry.second.expired(); });
    auto semaphore = locks_[key].lock();
    if (!semaphore) {
        semaphore = std::make_shared<base::Semaphore>(context_.env.executor, 1);
        locks_[key] = semaphore;
    }
    Lock held;
    held.permit = co_await semaphore->acquire();
    held.semaphore = std::move(semaphore);
    co_return held;
}

Task<Result<void>> Acceptor::save(StoredRegister stored) {
    const auto key = stored.key;
    if (!stored.state.value && !stored.exists) co_return co_await promises_.raise(key, stored.state.promised);
    auto bytes = encode_stored(stored);
    auto saved = co_await context_.store.put_record(record_key(key), std::move(bytes));
    if (!saved) co_return saved;
    promises_.release(key);
    if (stored.state.value) keys_.insert(key);
    co_return base::ok();
}

/// A value names storage members of this network and nobody else: who they are says the signed roster, not the
/// proposer.
bool Acceptor::are_members(const RegisterValue& value) const {
    const auto known = [&](const base::Address& member) { return genesis_.knows(member.id); };
    return std::ranges::all_of(value.members, known) && std::ranges::all_of(value.previous, known);
}

bool Acceptor::may_say_none(const StoredRegister& stored, const std::vector<base::NodeId>& genesis) const {
    return !stored.state.value && !stored.exists && !genesis.empty() && genesis_.settled(stored.key) &&
           genesis == genesis_.members(stored.key) && std::ranges::binary_search(genesis, context_.self());
}

RegisterReply Acceptor::reply(const StoredRegister& stored, const std::vector<base::NodeId>& genesis, bool done) const {
    return {done, may_say_none(stored, genesis), stored.state};
}

Task<Result<RegisterReply>> Acceptor::query(QueryRequest request) {
    const auto lock_held = co_await lock(request.key);  // what is being synced must not be told yet
    BASE_CO_TRY(const auto stored, state(request.key));
    co_return reply(stored, request.genesis, true);
}

Task<Result<RegisterReply>> Acceptor::prepare(PrepareRequest request) {
    const auto lock_held = co_await lock(request.key);
    BASE_CO_TRY(auto stored, state(request.key));
    if (request.ballot < stored.state.promised || too_far(request.ballot, stored.state.promised)) {
        co_return reply(stored, request.genesis, false);
    }
    if (request.ballot > stored.state.promised) {
        stored.state.promised = request.ballot;
        BASE_CO_CHECK(co_await save(stored));
    }
    co_return reply(stored, request.genesis, true);
}

Task<Result<RegisterReply>> Acceptor::accept(AcceptRequest request) {
    const auto sequence = context_.verify(request.key, request.value.record.body);
    if (!sequence || *sequence != request.value.record.sequence) co_return Errc::bad_record;
    const auto lock_held = co_await lock(request.key);
    BASE_CO_TRY(auto stored, state(request.key));
    if (request.ballot < stored.state.promised || too_far(request.ballot, stored.state.promised)) {
        co_return reply(stored, request.genesis, false);
    }
    if (!are_members(request.value)) co_return reply(stored, request.genesis, false);  // or not yet in our roster
    const bool first = !request.genesis.empty();
    if (first && !stored.state.value && !may_say_none(stored, request.genesis)) {
        co_return reply(stored, request.genesis, false);  // the roster moved on since the proposer looked
    }
    // No honest proposer needs us for less than we hold; an old record, however well signed, does not come back.
    const auto held = stored.state.value ? stored.state.value->record.sequence : 0;
    if (request.value.record.sequence < held) co_return reply(stored, request.genesis, false);
    if (request.ballot != stored.state.accepted) {
        stored.state.promised = request.ballot;
        stored.state.accepted = request.ballot;
        stored.state.value = std::move(request.value);
        BASE_CO_CHECK(co_await save(stored));
    }
    co_return reply(stored, request.genesis, true);
}

Task<Result<RegisterReply>> Acceptor::replace_alone(Guid key, std::uint64_t expected, RegisterValue value) {
    const auto lock_held = co_await lock(key);
    BASE_CO_TRY(auto stored, state(key));
    const auto genesis = genesis_.members(key);
    const bool ours = stored.state.value ? kept_only_by(*stored.state.value, context_.self(), genesis_)
                                         : may_say_none(stored, genesis);
    const auto sequence = stored.state.value ? stored.state.value->record.sequence : 0;
    if (!ours || sequence != expected) co_return reply(stored, genesis, false);
    choose(stored, next_counter(stored.state.promised.counter), std::move(value));
    BASE_CO_CHECK(co_await save(stored));
    co_return reply(stored, genesis, true);
}

Task<Result<void>> Acceptor::restore_alone(Guid key, RegisterValue lost) {
    const auto lock_held = co_await lock(key);
    const auto genesis = genesis_.members(key);
    if (genesis_.counting(genesis) != std::vector{context_.self()}) co_return Errc::kept_by_others;
    StoredRegister stored;
    stored.key = key;
    // What does not decode is lost like what is not there: nobody else knows more of it.
    if (auto found = state(key)) stored = std::move(*found);
    if (!stored.state.value && !may_say_none(stored, genesis)) co_return Errc::kept_by_others;
    if (stored.state.value) {
        if (!kept_only_by(*stored.state.value, context_.self(), genesis_)) co_return Errc::kept_by_others;
        const auto& held = stored.state.value->record;
        const auto sequence = context_.verify(key, held.body);
        if (!sequence && sequence.error() == base::Errc::unsupported) co_return sequence.error();  // no damage
        const bool good = sequence && *sequence == held.sequence;
        if (good && held.body == lost.record.body) co_return base::ok();
        if (good && held.sequence >= lost.record.sequence) co_return Errc::conflict;
    }
    const auto counter = std::min(stored.state.promised.counter + kForgotten, kMaxBallotCounter);
    choose(stored, counter, std::move(lost));
    co_return co_await save(std::move(stored));
}

void Acceptor::choose(StoredRegister& stored, std::uint64_t counter, RegisterValue value) {
    stored.state.promised.counter = counter;
    context_.env.rng.fill(stored.state.promised.nonce);
    stored.state.accepted = stored.state.promised;
    stored.state.value = std::move(value);
}

Task<Result<void>> Acceptor::learn(Guid key, RegisterState learned) {
    if (!learned.value) co_return base::ok();
    const auto sequence = context_.verify(key, learned.value->record.body);
    if (!sequence || *sequence != learned.value->record.sequence) co_return Errc::bad_record;
    if (!are_members(*learned.value)) co_return Errc::bad_record;
    const auto lock_held = co_await lock(key);
    BASE_CO_TRY(auto stored, state(key));
    if (learned.accepted <= stored.state.accepted) co_return base::ok();
    if (learned.accepted >= stored.state.promised && !too_far(learned.accepted, stored.state.promised)) {
        stored.state.promised = learned.accepted;
        stored.state.accepted = learned.accepted;
        stored.state.value = std::move(learned.value);
    } else {
        stored.exists = true;
    }
    co_return co_await save(stored);
}

}  // namespace past
