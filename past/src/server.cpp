#include "server.hpp"

#include <algorithm>
#include <numeric>

#include "cache/block_cache.hpp"
#include "divert/diverter.hpp"
#include "registers/registers.hpp"

namespace past {

using base::Message;
using base::Peer;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kReclaimsAtOnce = 16;

Message reply(base::Bytes header, base::SharedBytes payload = {}) {
    return {base::Service::past, 0, std::move(header), std::move(payload)};
}

/// Counts bytes for as long as a request is worked on.
class Hold {
  public:
    Hold(std::size_t& total, std::size_t bytes) : total_{total}, bytes_{bytes} { total_ += bytes_; }
    ~Hold() { total_ -= bytes_; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

  private:
    std::size_t& total_;
    std::size_t bytes_;
};

}  // namespace

Task<Result<Message>> Server::answer(Peer from, Message message) {
    if (context_.membership.roster().removed(from.address.id)) co_return base::Errc::removed;
    switch (static_cast<Verb>(message.verb())) {
        case Verb::store: co_return co_await store(std::move(from), std::move(message));
        case Verb::fetch: co_return co_await fetch(std::move(from), std::move(message));
        case Verb::touch: co_return co_await touch(std::move(message));
        case Verb::remove: co_return co_await remove(std::move(message));
        case Verb::list: co_return co_await list(std::move(message));
        case Verb::holders: co_return co_await holders(std::move(message));
        case Verb::query:
        case Verb::prepare:
        case Verb::accept: co_return co_await registers_.answer(std::move(from), std::move(message));
        case Verb::compare:
        case Verb::ranges:
        case Verb::offer:
        case Verb::pull:
        case Verb::room:
        case Verb::review:
        case Verb::claim:
        case Verb::retag: co_return co_await between_holders(std::move(from), std::move(message));
    }
    co_return base::Errc::unsupported;
}

namespace {

/// Over the simulator or a local socket there may be no certificate: then the transport has checked whom to let in.
bool is_client(const Peer& from) { return from.certificate && from.certificate->role == base::Role::client; }

}  // namespace

/// What is none of a client's business.
Task<Result<Message>> Server::between_holders(Peer from, Message message) {
    if (is_client(from)) co_return base::Error{base::Errc::denied, "only storage peers compare copies"};
    switch (static_cast<Verb>(message.verb())) {
        case Verb::compare: co_return co_await compare(std::move(from), std::move(message));
        case Verb::ranges: co_return co_await ranges(std::move(message));
        case Verb::offer: co_return co_await offer(std::move(from), std::move(message));
        case Verb::pull: co_return co_await registers_.answer(std::move(from), std::move(message));
        default: co_return co_await diverted(std::move(from), std::move(message));
    }
}

Task<Result<Message>> Server::diverted(Peer from, Message message) {
    const auto primary = from.address.id;
    switch (static_cast<Verb>(message.verb())) {
        case Verb::room: co_return reply(encode(diverter_.on_room()));
        case Verb::review: {
            BASE_CO_TRY(const auto request, decode<ReviewRequest>(message.header));
            co_return reply(encode(diverter_.on_review(primary, request)));
        }
        case Verb::claim: {
            BASE_CO_TRY(auto request, decode<ClaimRequest>(message.header));
            BASE_CO_TRY(const auto kept, co_await diverter_.on_claim(primary, std::move(request)));
            co_return reply(encode(kept));
        }
        case Verb::retag: {
            BASE_CO_TRY(auto request, decode<RetagRequest>(message.header));
            BASE_CO_TRY(const auto kept, co_await diverter_.on_retag(primary, std::move(request)));
            co_return reply(encode(kept));
        }
        default: co_return base::Errc::unsupported;
    }
}

Task<Result<Message>> Server::store(Peer from, Message message) {
    BASE_CO_TRY(auto request, decode<StoreRequest>(message.header));
    const auto bytes = std::accumulate(request.lengths.begin(), request.lengths.end(), std::size_t{0});
    if (bytes != message.payload.size()) co_return base::Error{base::Errc::bad_format, "payload"};
    if (is_diversion(request.cause) && is_client(from)) {
        co_return base::Error{base::Errc::denied, "only storage peers divert"};
    }
    if (context_.draining()) co_return base::Error{base::Errc::busy, "this node is about to leave"};
    if (bytes_in_flight_ + bytes > context_.config.max_served_bytes_in_flight) {
        ++context_.counters.puts_refused;
        co_return base::Error{base::Errc::busy, "too many blocks are being stored"};
    }
    const Hold hold{bytes_in_flight_, bytes};
    std::optional<PriorityThrottle::Call> call;
    if (a_client_waits(request.cause)) {
        call.emplace(context_.priority_throttle);
    } else if (context_.priority_throttle.waiting_bytes() > context_.config.max_repair_bytes_waiting) {
        co_return base::Error{base::Errc::busy, "clients go first"};
    } else {
        co_await context_.priority_throttle.yield_to_clients(bytes);
    }
    auto blocks = cut_blocks(request.ids, request.lengths, message.payload);
    auto verified = co_await verify_blocks(context_.env.workers, blocks);
    if (!verified) {
        ++context_.counters.wrong_blocks;
        co_return std::move(verified).error();
    }
    Result<void> stored = base::ok();
    if (is_diversion(request.cause)) {
        stored = co_await diverter_.on_store(from.address.id, request, std::move(blocks));
    } else {
        stored = co_await context_.put(request.group, request.tags, std::move(blocks), request.cause);
    }
    if (!stored) {
        if (stored.error() == Errc::no_space) ++context_.counters.puts_refused;
        co_return std::move(stored).error();
    }
    if (request.cause == Cause::put) context_.counters.bytes_put += bytes;
    co_return reply({});
}

Task<Result<Message>> Server::fetch(Peer from, Message message) {
    BASE_CO_TRY(const auto request, decode<FetchRequest>(message.header));
    const PriorityThrottle::Call call{context_.priority_throttle};
    const auto* pointer = store_.holds_bytes(request.id) ? nullptr : store_.pointers().find(request.id);
    if (pointer != nullptr) {  // the asker goes there itself: so the bytes travel once
        const auto attempt = context_.now() + context_.config.call_timeout;
        const auto node = pointer->node;
        auto address = co_await holders_.resolve(node, attempt);
        if (!address) co_return base::Error{base::Errc::unreachable, node.short_hex()};
        FetchReply elsewhere;
        elsewhere.elsewhere.push_back(std::move(*address));
        co_return reply(encode(elsewhere));
    }
    const bool held = context_.store.has(request.id);
    auto bytes = co_await context_.store.get(request.id);
    const bool lacking = !bytes && (bytes.error() == Errc::block_not_found || bytes.error() == base::Errc::io_failed);
    if (lacking) {
        if (auto cached = co_await cache_.get(request.id)) co_return reply({}, std::move(*cached));
        // We may be new here: those who kept the group before us have it until it was handed over.
        FetchReply elsewhere;
        const auto set = holders_.local(request.group, context_.membership.copies());
        for (auto& earlier : context_.hints.for_group(request.group)) {
            const bool asked = set && (set->placed_on(earlier.id) || set->written_by(earlier.id));
            const bool known = asked || earlier.id == from.address.id || earlier.id == context_.self();
            if (!known && elsewhere.elsewhere.size() < kMaxElsewhere) elsewhere.elsewhere.push_back(std::move(earlier));
        }
        if (!elsewhere.elsewhere.empty()) co_return reply(encode(elsewhere));
    }
    if (!bytes) {
        if (held && bytes.error() == Errc::corrupt_block) ++context_.counters.corrupt_blocks;
        co_return std::move(bytes).error();
    }
    co_return reply({}, std::move(*bytes));
}

Task<Result<Message>> Server::touch(Message message) {
    BASE_CO_TRY(auto request, decode<TouchRequest>(message.header));
    const PriorityThrottle::Call call{context_.priority_throttle};
    BASE_CO_TRY(const auto held, co_await context_.touch(request.group, request.tag, std::move(request.ids)));
    BitsReply bits;
    for (const bool one : held) bits.bits.push_back(one ? 1 : 0);
    co_return reply(encode(bits));
}

Task<Result<Message>> Server::remove(Message message) {
    BASE_CO_TRY(auto reclaim, decode<Reclaim>(message.header));
    BASE_CO_CHECK(co_await reclaims_.add(std::move(reclaim)));
    co_return reply({});
}

Task<Result<Message>> Server::list(Message message) {
    BASE_CO_TRY(const auto request, decode<ListRequest>(message.header));
    BASE_CO_TRY(const auto page, lister_.page(request.query, request.after));
    co_return reply(encode(page));
}

Task<Result<Message>> Server::holders(Message message) {
    BASE_CO_TRY(const auto request, decode<HoldersRequest>(message.header));
    BASE_CO_TRY(const auto known, holders_.serve(request));
    co_return reply(encode(known));
}

Task<Result<Message>> Server::compare(Peer from, Message message) {
    BASE_CO_TRY(const auto request, decode<CompareRequest>(message.header));
    CompareReply answer;
    for (const auto& entry : request.entries) {
        context_.hints.heard(entry.group, from.address, entry.blocks, entry.digest);
        const auto mine = context_.store.summary(entry.group);
        answer.entries.push_back({mine.blocks, mine.digest, mine.unconfirmed});
    }
    co_return reply(encode(answer));
}

Task<Result<Message>> Server::ranges(Message message) {
    BASE_CO_TRY(const auto request, decode<RangesRequest>(message.header));
    co_return reply(encode(range_digests(context_.store, request.group)));
}

Task<Result<Message>> Server::offer(Peer from, Message message) {
    BASE_CO_TRY(const auto request, decode<OfferRequest>(message.header));
    BitsReply bits;
    // Held, but under an older generation than the offerer's, or none of this volume.
    std::vector<base::Guid> behind;
    std::vector<std::size_t> which;
    std::vector<const Reclaim*> missed;  // by the offerer; none twice
    for (const auto& id : request.ids) {
        const auto* taken = reclaims_.reclaimed(id, request.tag);
        if (taken != nullptr && std::ranges::find(missed, taken) == missed.end()) missed.push_back(taken);
        // Who keeps it for us asks: it has forgotten that, and we would count its copy for both.
        const auto* pointer = store_.pointers().find(id);
        const bool with_asker = pointer != nullptr && pointer->node == from.address.id;
        const bool held = context_.store.has(id) && !with_asker;
        const bool kept = store_.diverted_replicas().contains(id);
        bits.bits.push_back(static_cast<std::uint8_t>(held               ? Offered::held
                                                      : taken != nullptr ? Offered::reclaimed
                                                      : kept             ? Offered::kept
                                                                         : Offered::lacking));
        if (!held || taken != nullptr) continue;
        const auto tags = context_.store.tags(id);
        const bool covered = std::ranges::any_of(tags, [&](const Tag& tag) {
            return tag.volume == request.tag.volume && tag.generation >= request.tag.generation;
        });
        if (covered) continue;
        behind.push_back(id);
        which.push_back(bits.bits.size() - 1);
    }
    if (!missed.empty() && !sending_reclaims_.contains(from.address.id) && !from.address.endpoint.empty()) {
        context_.work.spawn(send_reclaims(from.address, some_of(std::move(missed))));
    }
    if (behind.empty()) co_return reply(encode(bits));
    BASE_CO_TRY(const auto raised, co_await context_.touch(request.group, request.tag, std::move(behind)));
    for (std::size_t i = 0; i < which.size(); ++i) {
        // Gone meanwhile, or with a diversion host that cannot be asked: who offers it must not take it for safe here.
        if (!raised[i]) bits.bits[which[i]] = static_cast<std::uint8_t>(Offered::lacking);
    }
    co_return reply(encode(bits));
}

/// No more than are sent in a moment: who missed many offers again, and is sent others.
std::vector<Reclaim> Server::some_of(std::vector<const Reclaim*> reclaims) {
    std::vector<Reclaim> some;
    while (!reclaims.empty() && some.size() < kReclaimsAtOnce) {
        std::swap(reclaims[context_.env.rng.below(reclaims.size())], reclaims.back());
        some.push_back(*reclaims.back());
        reclaims.pop_back();
    }
    return some;
}

/// To who was away when their owner asked. The signatures speak for themselves.
Task<void> Server::send_reclaims(base::Address to, std::vector<Reclaim> reclaims) {
    const auto id = to.id;
    sending_reclaims_.insert(id);
    for (const auto& reclaim : reclaims) {
        auto header = encode(reclaim);
        auto address = to;
        const auto attempt = context_.now() + context_.config.call_timeout;
        const auto done = co_await context_.call(std::move(address), Verb::remove, std::move(header), attempt);
        if (!done) break;
    }
    sending_reclaims_.erase(id);
}

RangesReply range_digests(const BlockStore& store, const base::Guid& group) {
    RangesReply ranges;
    base::Guid after;
    for (;;) {
        const auto ids = store.list(group, after, kMaxBlocksPerRequest);
        for (const auto& id : ids) {
            const auto hash = base::sha256(id.view());
            auto& digest = ranges.digests[id.bytes()[base::Guid::kBytes - 1]];
            for (std::size_t i = 0; i < digest.size(); ++i) digest[i] ^= hash.bytes()[i];
        }
        if (ids.size() < kMaxBlocksPerRequest) return ranges;
        after = ids.back();
    }
}

}  // namespace past
