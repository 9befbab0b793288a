#include "base/membership_service.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace base {
namespace {

using std::chrono::seconds;

enum class Verb : std::uint8_t { join = 1, versions = 2, fetch = 3, hand_over = 4, leave = 5, drain = 6 };

constexpr seconds kGossipPeriod{30};
constexpr seconds kFetchTimeout{10};
constexpr seconds kDoubt{60};  // of a member that did not have what it claimed
constexpr std::size_t kMaxFetches = 8;
constexpr std::size_t kMaxDoubted = 1024;
constexpr seconds kDrainPeriod{60};
constexpr unsigned kDrainChanges = 4;  // of one member within that: each is signed and goes to everybody
constexpr std::size_t kMaxStateBytes = kMaxPayloadBytes;

Message message_of(Verb verb, Bytes header, Bytes payload = {}) {
    return {Service::membership, static_cast<std::uint8_t>(verb), std::move(header), SharedBytes{std::move(payload)}};
}

bool valid_role(std::uint8_t role) { return role == 1 || role == 2; }

Bytes state_of(const NetworkDirectory& directory) {
    Writer out;
    out.bytes(directory.policy().encode()).bytes(directory.roster().encode());
    return out.take();
}

}  // namespace

Message JoinRequest::encode() const {
    Writer out;
    out.raw(token_secret).u8(static_cast<std::uint8_t>(wish.role)).u64(wish.capacity_bytes).text(wish.failure_domain);
    return message_of(Verb::join, out.take());
}

Result<JoinRequest> JoinRequest::decode(ByteView bytes) {
    Reader in{bytes};
    JoinRequest request;
    request.token_secret = in.array<32>();
    const auto role = in.u8();
    request.wish.capacity_bytes = in.u64();
    request.wish.failure_domain = in.text(kMaxFailureDomainBytes);
    if (!in.complete() || !valid_role(role)) return Error{Errc::bad_format, "join request"};
    request.wish.role = static_cast<Role>(role);
    return request;
}

Message encode_admission(const NetworkDirectory::Admission& admission) {
    Writer out;
    out.bytes(admission.certificate.encode()).bytes(admission.policy.encode()).text(admission.network_name);
    out.bytes(admission.roster.encode());
    return message_of(Verb::join, {}, out.take());
}

Result<NetworkDirectory::Admission> decode_admission(ByteView bytes) {
    Reader in{bytes};
    const auto certificate = in.bytes(kMaxHeaderBytes);
    const auto policy = in.bytes(kMaxHeaderBytes);
    auto name = in.text(kMaxNameBytes);
    const auto roster = in.bytes(kMaxStateBytes);
    if (!in.complete()) return Error{Errc::bad_format, "the issuer's answer"};
    NetworkDirectory::Admission admission;
    BASE_TRY(admission.certificate, Certificate::decode(certificate));
    BASE_TRY(admission.policy, Policy::decode(policy));
    BASE_TRY(admission.roster, Roster::decode(roster));
    admission.network_name = std::move(name);
    return admission;
}

MembershipService::MembershipService(NodeEnv env, NetworkDirectory& directory, Neighbours neighbours,
                                     OnChange on_change, OnMember on_member)
    : env_{env},
      directory_{directory},
      neighbours_{std::move(neighbours)},
      on_change_{std::move(on_change)},
      on_member_{std::move(on_member)},
      tasks_{env.executor} {
    env_.transport.serve(
        Service::membership,
        [this](Peer from, Message message) { return on_request(std::move(from), std::move(message)); },
        [this](const Peer& from, Message message) { on_notify(from, std::move(message)); });
    tasks_.spawn(gossip_loop());
}

MembershipService::~MembershipService() { env_.transport.serve(Service::membership, {}, {}); }

Task<void> MembershipService::stop() {
    env_.transport.serve(Service::membership, {}, {});
    tasks_.cancel();
    co_await tasks_.join();
}

Task<Result<Message>> MembershipService::admit(PublicKey joiner, Message request) {
    if (request.service() != Service::membership || request.verb() != static_cast<std::uint8_t>(Verb::join)) {
        co_return Error{Errc::denied, "only a join request is accepted here"};
    }
    BASE_CO_TRY(const auto join, JoinRequest::decode(request.header));
    // On the executor, although it writes a few small files: the directory has one owner, and joins are rare.
    BASE_CO_TRY(const auto admission,
                directory_.admit(env_.rng, joiner, join.token_secret, join.wish, env_.clock.wall_ns()));
    env_.log.write(Log::Level::info, "membership",
                   "admitted node " + admission.certificate.id().short_hex() + ", serial " +
                       std::to_string(admission.certificate.serial));
    if (on_change_) on_change_();
    spread();
    co_return encode_admission(admission);
}

Message MembershipService::versions() const {
    Writer out;
    out.u64(directory_.policy().version).u64(directory_.roster().version);
    return message_of(Verb::versions, out.take());
}

void MembershipService::spread() {
    for (const auto& neighbour : neighbours_()) env_.transport.notify(neighbour, versions());
}

Task<void> MembershipService::gossip_loop() {
    for (;;) {
        // Jittered, so that a network started at once does not talk at once.
        const auto jitter = env_.rng.below(static_cast<std::uint64_t>(Duration{kGossipPeriod}.count()));
        co_await env_.clock.sleep_for(kGossipPeriod / 2 + Duration{static_cast<std::int64_t>(jitter)});
        const auto known = neighbours_();
        if (!known.empty()) env_.transport.notify(known[env_.rng.below(known.size())], versions());
    }
}

void MembershipService::on_notify(const Peer& from, Message message) {
    if (message.verb() != static_cast<std::uint8_t>(Verb::versions)) return;
    Reader in{message.header};
    Versions theirs;
    theirs.policy = in.u64();
    theirs.roster = in.u64();
    if (!in.complete()) return;
    if (on_member_ && !from.address.endpoint.empty()) on_member_(from.address);
    if (ours().behind(theirs) && worth_asking(from.address.id)) {
        asked_.insert(from.address.id);
        tasks_.spawn(catch_up(from.address, theirs));
    } else if (theirs.behind(ours())) {
        env_.transport.notify(from.address, versions());
    }
}

/// Whoever claims what it does not have takes one of several places, and not again for a while.
bool MembershipService::worth_asking(const NodeId& member) {
    const auto now = env_.clock.now();
    if (not_before_.size() >= kMaxDoubted) not_before_.clear();
    const auto doubted = not_before_.find(member);
    if (doubted != not_before_.end() && now >= doubted->second) not_before_.erase(doubted);
    return asked_.size() < kMaxFetches && !asked_.contains(member) && !not_before_.contains(member);
}

Task<void> MembershipService::catch_up(Address from, Versions claimed) {
    auto request = message_of(Verb::fetch, {});
    const auto member = from.id;
    const auto answer =
        co_await env_.transport.request(std::move(from), std::move(request), env_.clock.now() + kFetchTimeout);
    asked_.erase(member);
    not_before_[member] = env_.clock.now() + kDoubt;
    if (answer) take_state(answer->payload);
    if (!ours().behind(claimed)) not_before_.erase(member);
}

/// True if it was newer in anything.
bool MembershipService::take_state(ByteView state) {
    Reader in{state};
    const auto policy_bytes = in.bytes(kMaxHeaderBytes);
    const auto roster_bytes = in.bytes(kMaxStateBytes);
    if (!in.complete()) return false;
    bool changed = false;
    if (const auto policy = Policy::decode(policy_bytes)) {
        const auto adopted = directory_.adopt(*policy);
        changed = adopted && *adopted;
    }
    if (const auto roster = Roster::decode(roster_bytes)) {
        const auto adopted = directory_.adopt(*roster);
        changed = (adopted && *adopted) || changed;
    }
    if (!changed) return false;
    if (on_change_) on_change_();
    spread();
    return true;
}

Task<Result<Message>> MembershipService::on_request(Peer from, Message message) {
    switch (static_cast<Verb>(message.verb())) {
        case Verb::fetch: break;
        case Verb::hand_over: {
            BASE_CO_TRY(const auto next, Roster::decode(message.payload));
            BASE_CO_TRY(const bool moved, directory_.hand_over(next));
            if (moved && on_change_) on_change_();
            if (moved) spread();
            break;
        }
        case Verb::leave: {
            if (!directory_.roster().removed(from.address.id)) {
                BASE_CO_CHECK(directory_.remove(from.address.id));
                if (on_change_) on_change_();
                spread();
            }
            break;
        }
        case Verb::drain: {
            Reader in{message.payload};
            const auto on = in.u8();
            if (!in.complete() || on > 1) co_return Errc::bad_format;
            BASE_CO_CHECK(drain_for(from.address.id, on == 1));
            break;
        }
        default: co_return Errc::unsupported;
    }
    co_return message_of(Verb::fetch, {}, state_of(directory_));
}

// --- where the authority acts

Task<Result<Message>> MembershipService::ask_seat(Message request) {
    Address to;
    to.id = directory_.roster().seat;
    for (const auto& known : {neighbours_(), directory_.seeds()}) {
        const auto found = std::ranges::find(known, to.id, &Address::id);
        if (found != known.end() && to.endpoint.empty()) to.endpoint = found->endpoint;
    }
    const auto seat = to.id.short_hex();
    auto answer = co_await env_.transport.request(std::move(to), std::move(request), env_.clock.now() + kFetchTimeout);
    if (!answer && (answer.error() == Errc::unreachable || answer.error() == Errc::timed_out)) {
        co_return Error{Errc::unreachable, "node " + seat + ", where the network's authority acts"};
    }
    co_return answer;
}

Task<Result<void>> MembershipService::take_seat() {
    constexpr int kTries = 3;  // others may be admitted, or take it, at the same moment
    for (int tries = 0; !directory_.acts_here() && tries < kTries; ++tries) {
        BASE_CO_TRY(const auto next, directory_.propose_seat());
        auto request = message_of(Verb::hand_over, {}, next.encode());
        BASE_CO_TRY(const auto answer, co_await ask_seat(std::move(request)));
        take_state(answer.payload);
    }
    if (!directory_.acts_here()) co_return Error{Errc::busy, "another node acts for the network at this moment"};
    co_return ok();
}

/// A member that changes its mind for ever cannot make everybody store and send rosters for ever.
Result<void> MembershipService::drain_for(const NodeId& member, bool on) {
    const auto now = env_.clock.now();
    std::erase_if(drains_, [&](const auto& each) { return now - each.second.since >= kDrainPeriod; });
    const auto changes = drains_.find(member);
    if (changes != drains_.end() && changes->second.count >= kDrainChanges &&
        directory_.roster().draining(member) != on) {
        const auto left = std::chrono::ceil<seconds>(changes->second.since + kDrainPeriod - now);
        return Error{Errc::busy, "node " + member.short_hex() + " began or ended draining " +
                                     std::to_string(kDrainChanges) + " times within a minute; try again in " +
                                     std::to_string(left.count()) + " s"};
    }
    const auto before = directory_.roster().version;
    BASE_CHECK(directory_.drain(member, on));
    if (directory_.roster().version == before) return ok();
    ++drains_.try_emplace(member, Changes{now, 0}).first->second.count;
    if (on_change_) on_change_();
    spread();
    return ok();
}

Task<Result<void>> MembershipService::drain(bool on) {
    const auto& us = directory_.certificate().id();
    if (directory_.acts_here()) co_return drain_for(us, on);
    Writer wish;
    wish.u8(on ? 1 : 0);
    auto request = message_of(Verb::drain, {}, wish.take());
    BASE_CO_TRY(const auto answer, co_await ask_seat(std::move(request)));
    take_state(answer.payload);
    if (directory_.roster().draining(us) != on) co_return Error{Errc::denied, "the authority did not say so"};
    co_return ok();
}

Task<Result<void>> MembershipService::leave() {
    auto request = message_of(Verb::leave, {});
    const auto answer = co_await ask_seat(std::move(request));
    if (!answer && answer.error() == Errc::removed) co_return ok();  // and whoever told us so knows it
    if (!answer) co_return answer.error();
    take_state(answer->payload);
    if (!directory_.was_removed()) co_return Error{Errc::denied, "the authority did not let this node go"};
    co_return ok();
}

}  // namespace base
