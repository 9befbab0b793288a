// What registers need besides reading and writing: answers to others, lessons for newcomers, members that are alive.
#include <algorithm>

#include "base/codec.hpp"
#include "registers/registers.hpp"

namespace past {

using base::Address;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr std::size_t kPullBytes = 128U << 10U;  // of a page; one register more may follow
constexpr std::chrono::seconds kAskAgain{30};    // those who did not answer when most were away
constexpr std::size_t kLooksInRound = 64;        // each asks all members of a record
constexpr std::uint8_t kTransferred = 4;         // first byte of the record that lists our teachers

Guid transferred_key() { return base::sha256(base::as_bytes("pelago past teachers")); }

}  // namespace

void Registers::load() {
    genesis_.replace(context_.membership.roster());
    acceptor_.load();
    const auto record = context_.store.record(transferred_key());
    if (!record) return;
    base::Reader in{*record};
    if (in.u8() != kTransferred) return;
    while (in.ok() && in.remaining() > 0) genesis_.transferred_from(in.guid());
}

void Registers::membership_changed() { genesis_.replace(context_.membership.roster()); }

Task<Result<Message>> Registers::answer(base::Peer from, Message message) {
    const auto verb = static_cast<Verb>(message.verb());
    if (verb == Verb::pull) co_return co_await pull(std::move(from), std::move(message));
    RegisterReply reply;
    if (verb == Verb::query) {
        BASE_CO_TRY(auto request, decode<QueryRequest>(message.header));
        BASE_CO_TRY(reply, co_await acceptor_.query(std::move(request)));
    } else if (verb == Verb::prepare) {
        BASE_CO_TRY(auto request, decode<PrepareRequest>(message.header));
        BASE_CO_TRY(reply, co_await acceptor_.prepare(std::move(request)));
    } else {
        BASE_CO_TRY(auto request, decode<AcceptRequest>(message.header));
        const bool client = from.certificate && from.certificate->role == base::Role::client;
        if (client && changes_members(request)) co_return base::Error{base::Errc::denied, "a client names no holders"};
        BASE_CO_TRY(reply, co_await acceptor_.accept(std::move(request)));
    }
    co_return Message{base::Service::past, message.verb(), encode(reply)};
}

bool Registers::changes_members(const AcceptRequest& request) const {
    const auto stored = acceptor_.state(request.key);
    if (!stored) return true;
    const auto& value = stored->state.value;
    if (value)
        return ids_of(value->members) != ids_of(request.value.members) ||
               ids_of(value->previous) != ids_of(request.value.previous);
    return !request.value.previous.empty() || ids_of(request.value.members) != genesis_.members(request.key);
}

// --- newcomers

Task<Result<Message>> Registers::pull(base::Peer from, Message message) {
    BASE_CO_TRY(const auto request, decode<PullRequest>(message.header));
    PullReply reply;
    // From here on this node's roster has the newcomer, so it takes part in no first write that leaves it out.
    reply.known = genesis_.knows(from.address.id);
    reply.settled = genesis_.settled();
    std::size_t bytes = 0;
    const auto keys = acceptor_.keys();
    for (auto key = std::ranges::upper_bound(keys, request.after); key != keys.end(); ++key) {
        if (!genesis_.member_of(*key, from.address.id)) continue;
        if (bytes > kPullBytes) {
            reply.more = true;
            break;
        }
        const auto stored = acceptor_.state(*key);
        if (!stored) co_return stored.error();
        if (stored->exists) co_return base::Error{base::Errc::busy, "not up to date"};
        if (!stored->state.value) continue;
        bytes += stored->state.value->record.body.size() + 1024;
        reply.entries.push_back({*key, stored->state});
    }
    co_return Message{base::Service::past, message.verb(), encode(reply)};
}

Task<bool> Registers::pull_from(NodeId teacher) {
    PullRequest request;
    for (;;) {
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto address = co_await holders_.resolve(teacher, deadline);
        if (!address) co_return false;
        auto header = encode(request);
        const auto answer = co_await context_.call(std::move(*address), Verb::pull, std::move(header), deadline);
        if (!answer) co_return false;
        auto reply = decode<PullReply>(answer->header);
        if (!reply || !reply->known || !reply->settled) co_return false;
        for (auto& entry : reply->entries) {
            request.after = std::max(request.after, entry.key);
            const auto learned = co_await acceptor_.learn(entry.key, std::move(entry.state));
            if (!learned) co_return false;
        }
        if (!reply->more || reply->entries.empty()) co_return true;
    }
}

Task<void> Registers::settle() {
    for (auto pause = std::chrono::milliseconds{200}; genesis_.admitted() && !genesis_.settled();) {
        bool learned = false;
        for (const auto& teacher : genesis_.bootstrap_quorum()) {
            if (genesis_.transferred().contains(teacher) || !co_await pull_from(teacher)) continue;
            genesis_.transferred_from(teacher);
            learned = true;
        }
        if (learned) co_await save_taught();
        if (genesis_.settled()) break;
        co_await context_.env.clock.sleep_for(pause + std::chrono::milliseconds{context_.env.rng.below(200)});
        pause = std::min(pause * 2, std::chrono::milliseconds{15'000});
    }
    if (genesis_.admitted()) co_await bring_along();
}

Task<void> Registers::save_taught() {
    base::Writer out;
    out.u8(kTransferred);
    for (const auto& teacher : genesis_.transferred()) out.guid(teacher);
    auto bytes = out.take();
    // Lost, it costs asking again after the next start.
    (void)co_await context_.store.put_record(transferred_key(), std::move(bytes));
}

// --- members

Task<void> Registers::maintain() {
    const auto keys = acceptor_.keys();
    std::erase_if(without_majority_, [&](const auto& each) { return !std::ranges::binary_search(keys, each.first); });
    for (const auto& key : keys) {
        auto stored = acceptor_.state(key);
        if (stored && stored->state.value) co_await maintain_one(key, std::move(*stored));
    }
    if (!context_.draining()) kept_by_others_.clear();
    if (!context_.draining()) co_return;
    std::vector<Guid> left;
    std::ranges::copy_if(keys, std::back_inserter(left),
                         [&](const Guid& key) { return !kept_by_others_.contains(key); });
    std::ranges::rotate(left, std::ranges::upper_bound(left, last_looked_at_));
    if (left.size() > kLooksInRound) left.resize(kLooksInRound);
    for (const auto& key : left) {
        last_looked_at_ = key;
        co_await look_who_keeps(key);
    }
}

/// Our own state may be an older one: a change of members ends where we are asked no more.
Task<void> Registers::look_who_keeps(Guid key) {
    const auto learned = co_await learn(Verb::query, key, Ballot{}, context_.now() + context_.config.call_timeout);
    if (!learned.enough || !learned.best || !learned.chosen) co_return;
    const auto& value = learned.best->second;
    const bool ours = std::ranges::binary_search(ids_of(value.members), context_.self());
    if (!ours && value.previous.empty()) kept_by_others_.insert(key);
}

std::size_t Registers::left_to_drain() const {
    if (!context_.draining()) return 0;
    const auto keys = acceptor_.keys();
    return static_cast<std::size_t>(
        std::ranges::count_if(keys, [&](const Guid& key) { return !kept_by_others_.contains(key); }));
}

std::vector<NodeId> Registers::missing() const {
    std::set<NodeId> nodes;
    for (const auto& [key, asked] : without_majority_) nodes.insert(asked.silent.begin(), asked.silent.end());
    return {nodes.begin(), nodes.end()};
}

/// Those that are not near the key may be up all the same: where a majority is not seen they are asked, now and then.
Task<void> Registers::look_for_majority(Guid key, bool seen, TimePoint deadline) {
    const auto asked = without_majority_.find(key);
    if (!seen && asked != without_majority_.end() && context_.now() - asked->second.when < kAskAgain) co_return;
    if (!seen) {
        const auto learned = co_await learn(Verb::query, key, Ballot{}, deadline);
        if (!learned.enough) {
            without_majority_[key] = Asked{context_.now(), learned.silent};
            co_return;
        }
    }
    without_majority_.erase(key);
}

Task<void> Registers::maintain_one(Guid key, StoredRegister stored) {
    const auto& value = *stored.state.value;
    const auto is_self = [&](const Address& address) { return address.id == context_.self(); };
    if (std::ranges::none_of(value.members, is_self)) co_return;
    const auto deadline = context_.now() + 4 * context_.config.call_timeout;
    const auto width = 2 * context_.membership.copies() - 1;
    const auto near = co_await holders_.find(key, width, deadline);
    if (!near) co_return;
    const auto live = [&](const NodeId& id) {
        const auto is_it = [&](const auto& node) { return node.id() == id; };
        return near->written_by(id) || std::ranges::any_of(near->spare, is_it) ||
               std::ranges::any_of(near->draining, is_it);
    };
    const bool majority_seen = std::ranges::all_of(quorums(value), [&](const auto& members) {
        const auto needed = genesis_.needed(members);
        return needed > 0 && std::ranges::count_if(members, live) >= static_cast<std::ptrdiff_t>(needed);
    });
    co_await look_for_majority(key, majority_seen, deadline);
    // The nearest live member leads; the others step in, one after another, if it does not.
    const auto rank = std::ranges::count_if(value.members, [&](const Address& member) {
        return live(member.id) && base::closer(key, member.id, context_.self());
    });
    std::vector<Address> desired;
    std::size_t live_desired = 0;
    bool newcomers_live = true;
    bool same = value.previous.empty() && near->placement.size() == value.members.size();
    for (const auto& holder : near->placement) {
        const auto& id = holder.node.id();
        const bool member = std::ranges::any_of(value.members, [&](const Address& a) { return a.id == id; });
        desired.push_back(holder.node.address);
        live_desired += holder.live ? 1 : 0;
        if (!member && !holder.live) newcomers_live = false;
        if (!member) same = false;
    }
    if (same) {
        unwanted_since_.erase(key);
        if (rank != 0 || value.members.size() == 1) co_return;
        const auto learned = co_await learn(Verb::query, key, Ballot{}, deadline);
        if (!learned.enough || !learned.best || !(learned.lagging || !learned.chosen)) co_return;
        const auto ballot = new_ballot(learned.counter);
        auto prepared = co_await learn(Verb::prepare, key, ballot, deadline);
        if (!prepared.enough || !prepared.best) co_return;
        (void)co_await accept(key, ballot, std::move(prepared.best->second), false, deadline);
        co_return;
    }
    const auto [since, fresh] = unwanted_since_.try_emplace(key, context_.now());
    const auto patience = context_.config.quiet_period + static_cast<int>(rank) * context_.config.patience;
    if (fresh || context_.now() - since->second < patience) co_return;
    // Never let the register depend on a majority that is not there.
    if (!newcomers_live || live_desired < majority(desired.size())) co_return;
    const auto done = co_await reconfigure(key, std::move(desired), deadline);
    if (done) {
        unwanted_since_.erase(key);
        context_.log(base::Log::Level::debug, "record {}: other members", key.short_hex());
    }
}

}  // namespace past
