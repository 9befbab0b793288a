#include "registers/registers.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "replication/gather.hpp"

namespace past {

using base::Address;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

std::vector<NodeId> ids_of(const std::vector<Address>& addresses) {
    std::vector<NodeId> ids;
    for (const auto& address : addresses) ids.push_back(address.id);
    std::ranges::sort(ids);
    return ids;
}

namespace {

constexpr unsigned kMostSteps = 8;  // of a member that is led up to a ballot, in one attempt

bool same_members(const std::vector<Address>& a, const std::vector<Address>& b) { return ids_of(a) == ids_of(b); }

}  // namespace

// --- asking

/// One phase of one attempt: whom we asked, and what they said.
struct Registers::Round {
    Round(base::Executor executor, Verb verb_in, const Guid& key_in, Ballot ballot_in, const Genesis& counting_in)
        : verb{verb_in},
          key{key_in},
          ballot{ballot_in},
          counting{counting_in},
          gather{std::make_shared<Gather<Result<RegisterReply>>>(std::move(executor))} {}

    Verb verb;
    Guid key;
    Ballot ballot;
    const Genesis& counting;  // who counts
    std::vector<NodeId> genesis;
    std::vector<Address> named;  // who should be asked
    std::vector<NodeId> asked;   // by the index of the answer
    std::shared_ptr<Gather<Result<RegisterReply>>> gather;
    std::vector<bool> seen;
    std::map<NodeId, RegisterReply> answers;
    std::set<NodeId> unreachable;       // the call failed; a slow one has not
    std::optional<Record> signed_well;  // mostly all show the same: it is verified once
    Learned learned;

    void name(const std::vector<Address>& nodes) {
        for (const auto& node : nodes) {
            const bool known = std::ranges::any_of(named, [&](const Address& other) { return other.id == node.id; });
            if (!known && !counting.removed(node.id)) named.push_back(node);
        }
    }
    /// A quorum of `members` gave answers that `counts`. Who was removed was not asked.
    template <class Counts>
    [[nodiscard]] bool quorum_of(const std::vector<NodeId>& members, Counts counts) const {
        const auto votes = std::ranges::count_if(members, [&](const NodeId& id) {
            const auto found = answers.find(id);
            return found != answers.end() && counts(found->second);
        });
        const auto needed = counting.needed(members);
        return needed > 0 && static_cast<std::size_t>(votes) >= needed;
    }
};

std::vector<std::vector<NodeId>> Registers::quorums(const RegisterValue& value) const {
    std::vector<std::vector<NodeId>> sets{ids_of(value.members)};
    if (!value.previous.empty() && !context_.config.testing.skip_previous_members) {
        // Where nobody is left of them there is nobody to ask, and the new ones are all that there is.
        if (auto previous = ids_of(value.previous); genesis_.needed(previous) > 0) sets.push_back(std::move(previous));
    }
    return sets;
}

Task<Result<RegisterReply>> Registers::ask(Address member, Verb verb, Guid key, std::vector<NodeId> genesis,
                                           Ballot ballot, std::optional<RegisterValue> value, TimePoint deadline) {
    auto reply = co_await ask_once(member, verb, key, genesis, ballot, value, deadline);
    for (unsigned step = 0; step < kMostSteps; ++step) {
        if (!reply || reply->done || !too_far(ballot, reply->state.promised)) break;
        auto next = ballot;
        next.counter = reply->state.promised.counter + kMaxBallotStep;
        auto led = co_await ask_once(member, Verb::prepare, key, genesis, next, std::nullopt, deadline);
        if (!led) co_return std::move(led).error();
        reply = co_await ask_once(member, verb, key, genesis, ballot, value, deadline);
    }
    co_return reply;
}

Task<Result<RegisterReply>> Registers::ask_once(Address member, Verb verb, Guid key, std::vector<NodeId> genesis,
                                                Ballot ballot, std::optional<RegisterValue> value, TimePoint deadline) {
    const bool here = member.id == context_.self();
    base::Bytes header;
    if (verb == Verb::query) {
        QueryRequest request{key, std::move(genesis)};
        if (here) co_return co_await acceptor_.query(std::move(request));
        header = encode(request);
    } else if (verb == Verb::prepare) {
        PrepareRequest request{key, std::move(genesis), ballot};
        if (here) co_return co_await acceptor_.prepare(std::move(request));
        header = encode(request);
    } else {
        AcceptRequest request{key, std::move(genesis), ballot, std::move(*value)};
        if (here) co_return co_await acceptor_.accept(std::move(request));
        header = encode(request);
    }
    // Where the ring says it is now; else where the register says it was.
    auto address = co_await holders_.resolve(member.id, deadline);
    if (!address) address = std::move(member);
    if (address->endpoint.empty()) co_return base::Errc::unreachable;
    auto answer = co_await context_.call(std::move(*address), verb, std::move(header), deadline);
    if (!answer) co_return std::move(answer).error();
    co_return decode<RegisterReply>(answer->header);
}

/// What no honest node would say counts as not said.
bool Registers::credible(Round& round, const RegisterState& state) const {
    if (!state.value) return true;
    const auto& record = state.value->record;
    const auto& shown = round.signed_well;
    if (!shown || shown->sequence != record.sequence || shown->body != record.body) {
        const auto sequence = context_.verify(round.key, record.body);
        if (!sequence || *sequence != record.sequence) return false;
        round.signed_well = record;
    }
    const auto known = [&](const Address& member) { return genesis_.knows(member.id); };
    return std::ranges::all_of(state.value->members, known) && std::ranges::all_of(state.value->previous, known);
}

namespace {

/// The greatest counter that somebody promised, but for those far above what half of them say: honest ones are near
/// each other, and who believed the others would propose what honest acceptors refuse.
std::uint64_t greatest_counter(const std::map<NodeId, RegisterReply>& answers) {
    std::vector<std::uint64_t> counters;
    for (const auto& [id, reply] : answers) {
        if (reply.state.promised.counter > 0) counters.push_back(reply.state.promised.counter);
    }
    if (counters.empty()) return 0;
    std::ranges::sort(counters);
    const auto middle = counters[(counters.size() - 1) / 2];
    while (counters.back() - middle > kMaxBallotStep) counters.pop_back();
    return counters.back();
}

/// By its number, not by its ballot: an owner's signature is on that.
std::optional<Record> newest_of(const std::map<NodeId, RegisterReply>& answers) {
    const Record* newest = nullptr;
    for (const auto& [id, reply] : answers) {
        if (!reply.state.value) continue;
        const auto& record = reply.state.value->record;
        if (newest == nullptr || record.sequence > newest->sequence) newest = &record;
    }
    return newest == nullptr ? std::nullopt : std::optional{*newest};
}

}  // namespace

void Registers::take_answers(Round& round) const {
    auto& learned = round.learned;
    for (std::size_t i = 0; i < round.asked.size(); ++i) {
        const auto& answer = round.gather->answers[i];
        if (!answer || round.seen[i]) continue;
        round.seen[i] = true;
        if (!*answer && answer->error() == base::Errc::unreachable) round.unreachable.insert(round.asked[i]);
        if (!*answer || !credible(round, (*answer)->state)) continue;
        const auto& reply = **answer;
        round.answers[round.asked[i]] = reply;
        if (!reply.state.value) continue;
        // Who refuses to promise has no say in what the state is: else one that always did could keep all from writing.
        if (!reply.done) {
            round.name(reply.state.value->members);
            round.name(reply.state.value->previous);
        } else if (!learned.best || reply.state.accepted > learned.best->first) {
            learned.best.emplace(reply.state.accepted, *reply.state.value);
        }
    }
    learned.counter = greatest_counter(round.answers);
    const auto done = [](const RegisterReply& reply) { return reply.done; };
    const auto none = [](const RegisterReply& reply) { return reply.done && reply.settled; };
    learned.chosen = learned.lagging = false;
    if (!learned.best) {
        learned.enough = round.quorum_of(round.genesis, none);
        return;
    }
    const auto& [ballot, value] = *learned.best;
    round.name(value.members);
    round.name(value.previous);
    const auto current = [&](const RegisterReply& reply) { return reply.state.accepted == ballot; };
    const auto sets = quorums(value);
    learned.enough = std::ranges::all_of(sets, [&](const auto& set) { return round.quorum_of(set, done); });
    learned.chosen = std::ranges::all_of(sets, [&](const auto& set) { return round.quorum_of(set, current); });
    for (const auto& member : value.members) {
        const auto found = round.answers.find(member.id);
        if (found != round.answers.end() && !current(found->second)) learned.lagging = true;
    }
    if (round.verb == Verb::prepare) look_for_what_was_begun(round);
}

/// Whether waiting is in vain: everybody asked has answered or cannot be reached, and those leave no majority.
void Registers::count_the_unreachable(Round& round) const {
    auto& learned = round.learned;
    auto gone = round.unreachable;
    for (const auto& absent : context_.kbr.absent()) {
        if (!round.answers.contains(absent.node.id())) gone.insert(absent.node.id());
    }
    bool silent = false;  // somebody may still answer, and name others
    for (std::size_t i = 0; i < round.asked.size(); ++i) {
        if (!round.gather->answers[i] && !gone.contains(round.asked[i])) silent = true;
    }
    learned.hopeless = false;
    std::size_t shortest = 0;
    const auto sets = learned.best ? quorums(learned.best->second) : std::vector<std::vector<NodeId>>{round.genesis};
    for (const auto& set : sets) {
        auto missing = genesis_.counting(set);
        const auto members = missing.size();
        const auto needed = genesis_.needed(set);
        const auto lost = static_cast<std::size_t>(
            std::ranges::count_if(missing, [&](const NodeId& id) { return gone.contains(id); }));
        const auto answered = std::erase_if(missing, [&](const NodeId& id) { return round.answers.contains(id); });
        if (!silent && (needed == 0 || members - lost < needed)) learned.hopeless = true;
        const auto lacking = needed - std::min(answered, needed);
        if (lacking < shortest) continue;
        shortest = lacking;
        learned.answered = answered;
        learned.members = members;
        learned.needed = needed;
        learned.silent = std::move(missing);
    }
}

/// So many have promised a greater ballot than ours that it finds no majority among the others that may still answer:
/// a greater one does, and trying again is always safe. Judged by the members that we know of ourselves, so that one
/// who lies in a refusal ends no attempt that the honest would let succeed.
bool Registers::outbid(const Round& round) const {
    const auto refused = [](const auto& answer) { return !answer.second.done; };
    if (std::ranges::none_of(round.answers, refused)) return false;
    const auto own = acceptor_.state(round.key);
    const auto named = own && own->state.value ? ids_of(own->state.value->members) : genesis_.members(round.key);
    const auto members = genesis_.counting(named);
    const auto absent = context_.kbr.absent();
    const auto may_promise = [&](const NodeId& id) {
        if (const auto found = round.answers.find(id); found != round.answers.end()) return found->second.done;
        const auto asked = std::ranges::find(round.asked, id) - round.asked.begin();
        const bool failed = static_cast<std::size_t>(asked) < round.asked.size() &&
                            round.gather->answers[static_cast<std::size_t>(asked)].has_value();
        return !failed && std::ranges::none_of(absent, [&](const auto& gone) { return gone.node.id() == id; });
    };
    return static_cast<std::size_t>(std::ranges::count_if(members, may_promise)) < genesis_.needed(named);
}

base::Error Registers::unreachable(const Guid& key, const Learned& learned) const {
    if (learned.members == 0) {
        return {Errc::holders_unreachable,
                fmt::format("all nodes that kept record {} were removed from the network", key.short_hex())};
    }
    std::string silent;
    for (const auto& id : learned.silent) silent += (silent.empty() ? "; no answer from " : ", ") + id.short_hex();
    return {Errc::holders_unreachable,
            fmt::format("{} of the {} that keep record {} answered, {} are needed{}", learned.answered, learned.members,
                        key.short_hex(), learned.needed, silent)};
}

void Registers::ask_newly_named(Round& round, TimePoint deadline) {
    for (std::size_t i = round.asked.size(); i < round.named.size(); ++i) {
        round.asked.push_back(round.named[i].id);
        round.seen.push_back(false);
        spawn(context_.work, round.gather,
              ask(round.named[i], round.verb, round.key, round.genesis, round.ballot, std::nullopt, deadline));
    }
}

Task<Registers::Learned> Registers::learn(Verb verb, Guid key, Ballot ballot, TimePoint deadline) {
    const auto round = std::make_shared<Round>(context_.env.executor, verb, key, ballot, genesis_);
    round->genesis = genesis_.members(key);
    const auto start = co_await starting_points(key, deadline);
    round->name(start);
    std::optional<TimePoint> patience;
    for (;;) {
        ask_newly_named(*round, deadline);
        take_answers(*round);
        if (round->named.size() > round->asked.size()) continue;
        count_the_unreachable(*round);
        const auto& learned = round->learned;
        // A read that finds one ballot at a majority is done; a little patience may spare it writing that back.
        const bool certain = !learned.best || (verb == Verb::query ? learned.chosen : !learned.contested);
        const bool finished = learned.enough && certain;
        if (finished || learned.hopeless || round->gather->pending == 0 || outbid(*round)) break;
        if (learned.enough && !patience) patience = context_.now() + context_.latencies.hedge();
        const auto until = std::min(deadline, patience.value_or(deadline));
        if (context_.now() >= until) break;
        co_await next_answer(context_.env.clock, round->gather, until);
    }
    auto& learned = round->learned;
    if (verb == Verb::prepare || !learned.enough) learned.newest = newest_of(round->answers);
    if (learned.begun) learned.best->second.record = std::move(*learned.begun);
    co_return std::move(learned);
}

/// A write that was broken off may lie at lower ballots than the state before it, written back since. Its holder takes
/// no less any more, so a majority may need it: it is finished as if its writer came only now. Never that of a lone
/// member that is further ahead: nobody knows what it followed.
void Registers::look_for_what_was_begun(Round& round) const {
    auto& learned = round.learned;
    const auto& value = learned.best->second;
    const auto sets = quorums(value);
    learned.begun.reset();
    learned.contested = false;
    for (const auto& [id, reply] : round.answers) {
        if (!reply.done || !reply.state.value) continue;
        const auto& record = reply.state.value->record;
        if (record.sequence <= (learned.begun ? learned.begun->sequence : value.record.sequence)) continue;
        const auto as_late = [&](const RegisterReply& other) {
            return other.done && other.state.value && other.state.value->record.sequence >= record.sequence;
        };
        const bool known = std::ranges::all_of(sets, [&](const auto& set) { return round.quorum_of(set, as_late); });
        if (known || record.sequence == value.record.sequence + 1) {
            learned.begun = record;
        } else {
            learned.contested = true;
        }
    }
}

Task<std::vector<Address>> Registers::starting_points(Guid key, TimePoint deadline) {
    std::vector<Address> points;
    const auto stored = acceptor_.state(key);
    if (stored && stored->state.value) points = stored->state.value->members;
    const auto width = 2 * context_.membership.copies() - 1;
    const auto near = co_await holders_.find(key, width, deadline);
    std::vector<Address> known{context_.kbr.self().address};
    if (near) {
        for (const auto& node : near->writers) points.push_back(node.address);
        for (const auto& holder : near->placement) known.push_back(holder.node.address);
        for (const auto& node : near->spare) known.push_back(node.address);
        for (const auto& node : near->draining) known.push_back(node.address);
    }
    for (const auto& id : genesis_.members(key)) {
        const auto found = std::ranges::find(known, id, &Address::id);
        points.push_back(found != known.end() ? *found : Address{id, {}});
    }
    co_return points;
}

Ballot Registers::new_ballot(std::uint64_t above) {
    Ballot ballot;
    ballot.counter = next_counter(above);
    context_.env.rng.fill(ballot.nonce);
    return ballot;
}

Task<void> Registers::back_off(unsigned attempt) {
    const auto range = std::uint64_t{20} << std::min(attempt, 5U);
    co_await context_.env.clock.sleep_for(std::chrono::milliseconds{5 + context_.env.rng.below(range)});
}

Task<bool> Registers::accept(Guid key, Ballot ballot, RegisterValue value, bool first, TimePoint deadline) {
    const auto round = std::make_shared<Round>(context_.env.executor, Verb::accept, key, ballot, genesis_);
    if (first) round->genesis = genesis_.members(key);
    round->name(value.members);
    if (!context_.config.testing.skip_previous_members) round->name(value.previous);
    for (const auto& member : round->named) {
        round->asked.push_back(member.id);
        round->seen.push_back(false);
        spawn(context_.work, round->gather, ask(member, Verb::accept, key, round->genesis, ballot, value, deadline));
    }
    const auto sets = quorums(value);
    const auto done = [](const RegisterReply& reply) { return reply.done; };
    for (;;) {
        for (std::size_t i = 0; i < round->asked.size(); ++i) {
            const auto& answer = round->gather->answers[i];
            if (answer && *answer) round->answers[round->asked[i]] = **answer;
        }
        if (std::ranges::all_of(sets, [&](const auto& set) { return round->quorum_of(set, done); })) co_return true;
        if (round->gather->pending == 0 || context_.now() >= deadline || outbid(*round)) co_return false;
        co_await next_answer(context_.env.clock, round->gather, deadline);
    }
}

// --- reading and writing

Task<Result<std::optional<Record>>> Registers::read(Guid key, TimePoint deadline) {
    if (alone(key)) {
        BASE_CO_TRY(auto own, co_await ask_myself(key));
        if (own.settled) co_return std::optional<Record>{};
        auto& value = own.state.value;
        if (value && kept_only_by(*value, context_.self(), genesis_))
            co_return std::optional<Record>{std::move(value->record)};
    }
    std::uint64_t counter = 0;
    bool hopeless_before = false;
    for (unsigned tries = 0;; ++tries) {
        const auto until = context_.attempt(deadline, context_.config.call_timeout);
        auto learned = co_await learn(Verb::query, key, Ballot{}, until);
        if (learned.enough && !learned.best) co_return std::optional<Record>{};
        if (learned.enough && learned.chosen) co_return std::optional<Record>{std::move(learned.best->second.record)};
        if (learned.hopeless && hopeless_before) co_return unreachable(key, learned);
        hopeless_before = learned.hopeless;
        if (learned.counter > 0) counter = learned.counter;
        if (learned.enough) {
            // Somebody's write is under way or was broken off: finish it, so that whoever reads next sees it as well.
            const auto ballot = new_ballot(counter);
            learned = co_await learn(Verb::prepare, key, ballot, until);
            if (learned.counter > 0) counter = learned.counter;
            if (learned.enough && learned.best) {
                auto record = learned.best->second.record;
                if (co_await accept(key, ballot, std::move(learned.best->second), false, until)) {
                    co_return std::optional<Record>{std::move(record)};
                }
            }
        }
        if (context_.now() >= deadline) co_return unreachable(key, learned);
        co_await back_off(learned.hopeless ? std::max(tries, 4U) : tries);
    }
}

Task<Result<ShownRecord>> Registers::read_any(Guid key, TimePoint deadline) {
    Learned learned;
    for (unsigned tries = 0; tries < 2; ++tries) {
        if (tries > 0) co_await back_off(4);
        const auto until = context_.attempt(deadline, context_.config.call_timeout);
        learned = co_await learn(Verb::query, key, Ballot{}, until);
        if (learned.enough && learned.chosen) learned.newest = std::move(learned.best->second.record);
        if (learned.newest) {
            ShownRecord shown;
            shown.record = std::move(*learned.newest);
            // Some answer without having a say; then it is no majority, however many they are.
            shown.answered = static_cast<unsigned>(learned.enough ? learned.answered
                                                                  : std::min(learned.answered, learned.members / 2));
            shown.holders = static_cast<unsigned>(learned.members);
            co_return shown;
        }
    }
    if (!learned.enough) co_return unreachable(key, learned);
    co_return base::Error{Errc::holders_unreachable, "most of those that keep it answer again; read it once more"};
}

Task<Result<void>> Registers::write(Guid key, std::uint64_t expected, Record next, TimePoint deadline) {
    const auto sequence = context_.verify(key, next.body);
    if (!sequence || *sequence != expected + 1 || next.sequence != *sequence || next.body.size() > kMaxRecordBytes) {
        co_return Errc::bad_record;
    }
    if (alone(key)) {
        RegisterValue value{next, {context_.kbr.self().address}, {}};
        BASE_CO_TRY(const auto reply, co_await acceptor_.replace_alone(key, expected, std::move(value)));
        if (reply.done) co_return base::ok();
        if (reply.state.value && kept_only_by(*reply.state.value, context_.self(), genesis_)) {
            if (reply.state.value->record.body == next.body) co_return base::ok();
            co_return Errc::conflict;
        }
    }
    bool sent = false;
    const auto own = acceptor_.state(key);
    std::uint64_t counter = own ? own->state.promised.counter : 0;  // what is less would be refused
    bool hopeless_before = false;
    for (unsigned tries = 0;; ++tries) {
        const auto until = context_.attempt(deadline, context_.config.call_timeout);
        const auto ballot = new_ballot(counter);
        auto learned = co_await learn(Verb::prepare, key, ballot, until);
        if (learned.hopeless && hopeless_before) co_return unreachable(key, learned);
        hopeless_before = learned.hopeless;
        if (learned.counter > 0) counter = learned.counter;
        const base::Error unknown{Errc::holders_unreachable, "written to meanwhile; read again"};
        // Whoever wrote a later state knew the next one, so that cannot be written any more. The owner signed it: one
        // member that shows it is enough, where a majority may take long to win among many writers.
        if (learned.newest && learned.newest->sequence > expected + 1) {
            if (sent) co_return unknown;
            co_return Errc::conflict;
        }
        if (learned.enough) {
            const bool first = !learned.best;
            auto now = first ? RegisterValue{} : std::move(learned.best->second);
            const bool ours = now.record.sequence == expected + 1 && now.record.body == next.body;
            const bool free = now.record.sequence == expected;
            const bool certain = !sent || now.record.sequence == expected + 1;
            if (first) {
                auto genesis = genesis_.members(key);
                now.members = co_await addresses(std::move(genesis), until);
            }
            if (first && !free) co_return Errc::conflict;  // a majority says that there is none
            if (free) {
                now.record = next;
                sent = true;
            }
            // Also where somebody was faster: what we tell our caller must not be undone afterwards.
            const bool settled = !free && learned.chosen && !learned.begun;
            if (settled || co_await accept(key, ballot, std::move(now), first, until)) {
                if (free || ours) co_return base::ok();
                if (certain) co_return Errc::conflict;
                co_return unknown;
            }
        }
        if (context_.now() >= deadline) co_return unreachable(key, learned);
        co_await back_off(learned.hopeless ? std::max(tries, 4U) : tries);
    }
}

Task<std::vector<Address>> Registers::addresses(std::vector<NodeId> nodes, TimePoint deadline) {
    std::vector<Address> found;
    for (const auto& node : nodes) {
        auto address = co_await holders_.resolve(node, deadline);
        found.push_back(address ? std::move(*address) : Address{node, {}});
    }
    co_return found;
}

Task<Result<void>> Registers::reconfigure(Guid key, std::vector<Address> desired, TimePoint deadline) {
    std::uint64_t counter = 0;
    bool hopeless_before = false;
    std::optional<RegisterValue> joint;  // one that we know majorities of both sets have
    for (unsigned tries = 0;; ++tries) {
        const auto until = context_.attempt(deadline, context_.config.call_timeout);
        const auto ballot = new_ballot(counter);
        auto learned = co_await learn(Verb::prepare, key, ballot, until);
        if (learned.hopeless && hopeless_before) co_return unreachable(key, learned);
        hopeless_before = learned.hopeless;
        if (learned.counter > 0) counter = learned.counter;
        if (learned.enough) {
            if (!learned.best) co_return Errc::conflict;
            auto value = std::move(learned.best->second);
            const bool halfway = !value.previous.empty();
            if (!halfway && same_members(value.members, desired)) co_return base::ok();
            if (!halfway) {
                value.previous = std::move(value.members);
                value.members = desired;
            } else if (joint && same_members(joint->members, value.members) &&
                       same_members(joint->previous, value.previous)) {
                value.previous.clear();  // the old members can be let go
            }
            const auto proposed = value;
            if (co_await accept(key, ballot, std::move(value), false, until)) {
                if (proposed.previous.empty()) co_return base::ok();
                joint = proposed;
                continue;
            }
        }
        if (context_.now() >= deadline) co_return unreachable(key, learned);
        co_await back_off(learned.hopeless ? std::max(tries, 4U) : tries);
    }
}

}  // namespace past
