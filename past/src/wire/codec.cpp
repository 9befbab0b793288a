// What nodes say to each other.
#include "wire/codec_fields.hpp"

namespace past {

bool operator==(const RegisterValue& a, const RegisterValue& b) {
    return a.record.sequence == b.record.sequence && a.record.body == b.record.body && a.members == b.members &&
           a.previous == b.previous;
}

Bytes receipt_body(const base::NodeId& holder, const StoreRequest& request, std::int64_t time_ns) {
    base::Sha256 ids;
    for (const auto& id : request.ids) ids.update(id.view());
    base::Writer out;
    out.u8(1).guid(holder).guid(request.group).varint(request.tags.size());
    for (const auto& tag : request.tags) out.guid(tag.volume).u64(tag.generation);
    out.guid(ids.finish()).i64(time_ns);
    return out.take();
}

// --- blocks

Bytes encode(const StoreRequest& request) {
    pb::StoreRequest out;
    put(out.mutable_group(), request.group);
    for (const auto& tag : request.tags) put(out.add_tags(), tag);
    put(out.mutable_ids(), request.ids);
    out.mutable_lengths()->Add(request.lengths.begin(), request.lengths.end());
    out.set_cause(static_cast<std::uint32_t>(request.cause));
    return serialize(out);
}
template <>
base::Result<StoreRequest> decode(ByteView bytes) {
    pb::StoreRequest in;
    StoreRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group)) return bad("store request");
    if (in.tags_size() < 1 || static_cast<std::size_t>(in.tags_size()) > kMaxTagsPerRequest) return bad("tags");
    for (const auto& tag : in.tags()) {
        if (!get(tag, out.tags.emplace_back())) return bad("tag");
    }
    if (!get(in.ids(), out.ids, kMaxBlocksPerRequest, 1)) return bad("ids");
    if (!get_lengths(in.lengths(), out.ids.size(), out.lengths)) return bad("lengths");
    if (in.cause() > static_cast<std::uint32_t>(Cause::diverted_repair)) return bad("cause");
    out.cause = static_cast<Cause>(in.cause());
    return out;
}

Bytes encode(const StoreReply& reply) {
    pb::StoreReply out;
    out.set_time_ns(reply.time_ns);
    put(out.mutable_key(), ByteView{reply.key});
    put(out.mutable_salt(), ByteView{reply.salt});
    put(out.mutable_signature(), ByteView{reply.signature});
    return serialize(out);
}
template <>
base::Result<StoreReply> decode(ByteView bytes) {
    pb::StoreReply in;
    StoreReply out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || !get(in.salt(), out.salt) ||
        !get(in.signature(), out.signature)) {
        return bad("receipt");
    }
    out.time_ns = in.time_ns();
    return out;
}

Bytes encode(const FetchRequest& request) {
    pb::FetchRequest out;
    put(out.mutable_group(), request.group);
    put(out.mutable_id(), request.id);
    return serialize(out);
}
template <>
base::Result<FetchRequest> decode(ByteView bytes) {
    pb::FetchRequest in;
    FetchRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group) || !get(in.id(), out.id)) return bad("fetch request");
    return out;
}

Bytes encode(const FetchReply& reply) {
    pb::FetchReply out;
    for (const auto& node : reply.elsewhere) put(out.add_elsewhere(), node);
    return serialize(out);
}
template <>
base::Result<FetchReply> decode(ByteView bytes) {
    pb::FetchReply in;
    FetchReply out;
    if (!parse(in, bytes) || static_cast<std::size_t>(in.elsewhere_size()) > kMaxElsewhere) return bad("fetch reply");
    if (!get(in.elsewhere(), out.elsewhere)) return bad("fetch reply");
    return out;
}

Bytes encode(const TouchRequest& request) {
    pb::TouchRequest out;
    put(&out, request);
    return serialize(out);
}
template <>
base::Result<TouchRequest> decode(ByteView bytes) {
    pb::TouchRequest in;
    TouchRequest out;
    if (!parse(in, bytes) || !get(in, out)) return bad("touch request");
    return out;
}

Bytes encode(const BitsReply& reply) {
    pb::BitsReply out;
    put(out.mutable_bits(), ByteView{reply.bits});
    return serialize(out);
}
template <>
base::Result<BitsReply> decode(ByteView bytes) {
    pb::BitsReply in;
    if (!parse(in, bytes) || in.bits().size() > kMaxBlocksPerRequest) return bad("bits");
    BitsReply out{base::to_bytes(in.bits())};
    if (std::ranges::any_of(out.bits, [](std::uint8_t bit) { return bit > 3; })) return bad("bits");
    return out;
}

Bytes encode(const ListRequest& request) {
    pb::ListRequest out;
    put(&out, request);
    return serialize(out);
}
template <>
base::Result<ListRequest> decode(ByteView bytes) {
    pb::ListRequest in;
    ListRequest out;
    if (!parse(in, bytes) || !get(in, out)) return bad("list");
    return out;
}

Bytes encode(const ListReply& reply) {
    pb::ListReply out;
    put(&out, reply.blocks, reply.up_to, reply.more);
    return serialize(out);
}
template <>
base::Result<ListReply> decode(ByteView bytes) {
    pb::ListReply in;
    ListReply out;
    if (!parse(in, bytes) || !get(in, out.blocks, out.up_to, out.more)) return bad("list reply");
    return out;
}

Bytes encode(const Reclaim& reclaim) {
    pb::RemoveRequest out;
    put(&out, reclaim);
    return serialize(out);
}
template <>
base::Result<Reclaim> decode(ByteView bytes) {
    pb::RemoveRequest in;
    Reclaim out;
    if (!parse(in, bytes) || !get(in, out)) return bad("reclaim");
    return out;
}

// --- holders and repair

Bytes encode(const HoldersRequest& request) {
    pb::HoldersRequest out;
    put(out.mutable_group(), request.group);
    out.set_count(request.count);
    return serialize(out);
}
template <>
base::Result<HoldersRequest> decode(ByteView bytes) {
    pb::HoldersRequest in;
    HoldersRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group)) return bad("holders request");
    if (in.count() < 1 || in.count() > kMaxHolders) return bad("count");
    out.count = in.count();
    return out;
}

Bytes encode(const HoldersReply& reply) {
    pb::HoldersReply out;
    for (const auto& node : reply.live) put(out.add_live(), node);
    for (const auto& absent : reply.absent) {
        auto* entry = out.add_absent();
        put(entry->mutable_node(), absent.node);
        entry->set_age_ms(absent.age_ms);
    }
    return serialize(out);
}
template <>
base::Result<HoldersReply> decode(ByteView bytes) {
    pb::HoldersReply in;
    HoldersReply out;
    if (!parse(in, bytes)) return bad("holders");
    if (static_cast<std::size_t>(in.live_size()) > kMaxHolders ||
        static_cast<std::size_t>(in.absent_size()) > kMaxHolders) {
        return bad("too many holders");
    }
    for (const auto& node : in.live()) {
        if (!get(node, out.live.emplace_back())) return bad("holder");
    }
    for (const auto& entry : in.absent()) {
        auto& absent = out.absent.emplace_back();
        if (!get(entry.node(), absent.node)) return bad("holder");
        absent.age_ms = std::min<std::uint64_t>(entry.age_ms(), std::uint64_t{1} << 40U);
    }
    return out;
}

Bytes encode(const CompareRequest& request) {
    pb::CompareRequest out;
    for (const auto& entry : request.entries) {
        auto* field = out.add_entries();
        put(field->mutable_group(), entry.group);
        field->set_blocks(entry.blocks);
        put(field->mutable_digest(), entry.digest);
    }
    return serialize(out);
}
template <>
base::Result<CompareRequest> decode(ByteView bytes) {
    pb::CompareRequest in;
    CompareRequest out;
    if (!parse(in, bytes) || static_cast<std::size_t>(in.entries_size()) > kMaxCompareEntries) return bad("compare");
    for (const auto& entry : in.entries()) {
        auto& value = out.entries.emplace_back();
        value.blocks = entry.blocks();
        if (!get(entry.group(), value.group) || !get(entry.digest(), value.digest)) return bad("compare");
    }
    return out;
}

Bytes encode(const CompareReply& reply) {
    pb::CompareReply out;
    for (const auto& entry : reply.entries) {
        auto* field = out.add_entries();
        field->set_blocks(entry.blocks);
        put(field->mutable_digest(), entry.digest);
        field->set_unconfirmed(entry.unconfirmed);
    }
    return serialize(out);
}
template <>
base::Result<CompareReply> decode(ByteView bytes) {
    pb::CompareReply in;
    CompareReply out;
    if (!parse(in, bytes) || static_cast<std::size_t>(in.entries_size()) > kMaxCompareEntries) return bad("compare");
    for (const auto& entry : in.entries()) {
        auto& value = out.entries.emplace_back();
        value.blocks = entry.blocks();
        value.unconfirmed = entry.unconfirmed();
        if (!get(entry.digest(), value.digest) || value.unconfirmed > value.blocks) return bad("compare");
    }
    return out;
}

Bytes encode(const RangesRequest& request) {
    pb::RangesRequest out;
    put(out.mutable_group(), request.group);
    return serialize(out);
}
template <>
base::Result<RangesRequest> decode(ByteView bytes) {
    pb::RangesRequest in;
    RangesRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group)) return bad("ranges request");
    return out;
}

Bytes encode(const RangesReply& reply) {
    pb::RangesReply out;
    for (const auto& digest : reply.digests) out.mutable_digests()->append(base::as_text(digest));
    return serialize(out);
}
template <>
base::Result<RangesReply> decode(ByteView bytes) {
    pb::RangesReply in;
    RangesReply out;
    if (!parse(in, bytes) || in.digests().size() != sizeof out.digests) return bad("ranges");
    base::Reader reader{base::as_bytes(in.digests())};
    for (auto& digest : out.digests) digest = reader.array<sizeof(RangeDigest)>();
    return out;
}

// --- diverted copies

namespace {

/// None twice: who answers looks all of them up.
bool ascending(const std::vector<Guid>& ids) {
    return std::ranges::adjacent_find(ids, std::greater_equal{}) == ids.end();
}

}  // namespace

Bytes encode(const RoomReply& reply) {
    pb::RoomReply out;
    out.set_free_bytes(reply.free_bytes);
    return serialize(out);
}
template <>
base::Result<RoomReply> decode(ByteView bytes) {
    pb::RoomReply in;
    if (!parse(in, bytes)) return bad("room");
    return RoomReply{std::min<std::uint64_t>(in.free_bytes(), std::uint64_t{1} << 60U)};
}

Bytes encode(const ReviewRequest& request) {
    pb::ReviewRequest out;
    put(out.mutable_groups(), request.groups);
    return serialize(out);
}
template <>
base::Result<ReviewRequest> decode(ByteView bytes) {
    pb::ReviewRequest in;
    ReviewRequest out;
    if (!parse(in, bytes) || !get(in.groups(), out.groups, kMaxCompareEntries) || out.groups.empty()) {
        return bad("review");
    }
    if (!ascending(out.groups)) return bad("review");
    return out;
}

Bytes encode(const ClaimRequest& request) {
    pb::ClaimRequest out;
    put(out.mutable_group(), request.group);
    put(out.mutable_after(), request.after);
    put(out.mutable_up_to(), request.up_to);
    put(out.mutable_ids(), request.ids);
    return serialize(out);
}
template <>
base::Result<ClaimRequest> decode(ByteView bytes) {
    pb::ClaimRequest in;
    ClaimRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group) || !get(in.after(), out.after) ||
        !get(in.up_to(), out.up_to) || !get(in.ids(), out.ids, kMaxBlocksPerRequest)) {
        return bad("claim");
    }
    const bool inside = out.ids.empty() || (out.ids.front() > out.after && out.ids.back() <= out.up_to);
    if (!ascending(out.ids) || !inside) return bad("claim");
    return out;
}

Bytes encode(const RetagRequest& request) {
    pb::RetagRequest out;
    put(out.mutable_request(), request.request);
    out.set_untag(request.untag);
    return serialize(out);
}
template <>
base::Result<RetagRequest> decode(ByteView bytes) {
    pb::RetagRequest in;
    RetagRequest out;
    if (!parse(in, bytes) || !get(in.request(), out.request)) return bad("retag");
    out.untag = in.untag();
    return out;
}

Bytes encode(const OfferRequest& request) {
    pb::OfferRequest out;
    put(out.mutable_group(), request.group);
    put(out.mutable_tag(), request.tag);
    put(out.mutable_ids(), request.ids);
    return serialize(out);
}
template <>
base::Result<OfferRequest> decode(ByteView bytes) {
    pb::OfferRequest in;
    OfferRequest out;
    if (!parse(in, bytes) || !get(in.group(), out.group) || !get(in.tag(), out.tag) ||
        !get(in.ids(), out.ids, kMaxBlocksPerRequest, 1)) {
        return bad("offer");
    }
    return out;
}

// --- records

Bytes encode(const QueryRequest& request) {
    pb::QueryRequest out;
    put(out.mutable_key(), request.key);
    put(out.mutable_genesis(), request.genesis);
    return serialize(out);
}
template <>
base::Result<QueryRequest> decode(ByteView bytes) {
    pb::QueryRequest in;
    QueryRequest out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || !get(in.genesis(), out.genesis, kGenesisMembers)) {
        return bad("query");
    }
    return out;
}

Bytes encode(const PrepareRequest& request) {
    pb::PrepareRequest out;
    put(out.mutable_key(), request.key);
    put(out.mutable_genesis(), request.genesis);
    put(out.mutable_ballot(), request.ballot);
    return serialize(out);
}
template <>
base::Result<PrepareRequest> decode(ByteView bytes) {
    pb::PrepareRequest in;
    PrepareRequest out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || !get(in.genesis(), out.genesis, kGenesisMembers) ||
        !get(in.ballot(), out.ballot)) {
        return bad("prepare");
    }
    return out;
}

Bytes encode(const AcceptRequest& request) {
    pb::AcceptRequest out;
    put(out.mutable_key(), request.key);
    put(out.mutable_genesis(), request.genesis);
    put(out.mutable_ballot(), request.ballot);
    put(out.mutable_value(), request.value);
    return serialize(out);
}
template <>
base::Result<AcceptRequest> decode(ByteView bytes) {
    pb::AcceptRequest in;
    AcceptRequest out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || !get(in.genesis(), out.genesis, kGenesisMembers) ||
        !get(in.ballot(), out.ballot) || !in.has_value() || !get(in.value(), out.value)) {
        return bad("accept");
    }
    return out;
}

Bytes encode(const RegisterReply& reply) {
    pb::RegisterReply out;
    out.set_done(reply.done);
    out.set_settled(reply.settled);
    put(out.mutable_state(), reply.state);
    return serialize(out);
}
template <>
base::Result<RegisterReply> decode(ByteView bytes) {
    pb::RegisterReply in;
    RegisterReply out;
    if (!parse(in, bytes) || !get(in.state(), out.state)) return bad("register");
    out.done = in.done();
    out.settled = in.settled();
    return out;
}

Bytes encode(const PullRequest& request) {
    pb::PullRequest out;
    put(out.mutable_after(), request.after);
    return serialize(out);
}
template <>
base::Result<PullRequest> decode(ByteView bytes) {
    pb::PullRequest in;
    PullRequest out;
    if (!parse(in, bytes) || !get(in.after(), out.after)) return bad("pull");
    return out;
}

Bytes encode(const PullReply& reply) {
    pb::PullReply out;
    out.set_known(reply.known);
    out.set_settled(reply.settled);
    out.set_more(reply.more);
    for (const auto& entry : reply.entries) {
        auto* field = out.add_entries();
        put(field->mutable_key(), entry.key);
        put(field->mutable_state(), entry.state);
    }
    return serialize(out);
}
template <>
base::Result<PullReply> decode(ByteView bytes) {
    pb::PullReply in;
    PullReply out;
    if (!parse(in, bytes)) return bad("pull");
    out.known = in.known();
    out.settled = in.settled();
    out.more = in.more();
    for (const auto& entry : in.entries()) {
        auto& value = out.entries.emplace_back();
        if (!get(entry.key(), value.key) || !get(entry.state(), value.state)) return bad("pull");
    }
    return out;
}

Bytes encode_stored(const StoredRegister& stored) {
    pb::PullReply::Entry out;
    put(out.mutable_key(), stored.key);
    put(out.mutable_state(), stored.state);
    const auto body = serialize(out);
    base::Writer framed;
    framed.u8(1).u8(stored.exists ? 1 : 0).raw(body);
    return framed.take();
}
base::Result<StoredRegister> decode_stored_register(ByteView bytes) {
    if (bytes.size() < 2 || bytes[0] != 1 || bytes[1] > 1) return base::Error{base::Errc::unsupported, "register"};
    pb::PullReply::Entry in;
    StoredRegister out;
    out.exists = bytes[1] == 1;
    if (!parse(in, bytes.subspan(2)) || !get(in.key(), out.key) || !get(in.state(), out.state)) return bad("register");
    return out;
}

namespace {

constexpr std::uint8_t kPromises = 5;  // first byte of the record; 1 is a register

void put_ballot(base::Writer& out, const Ballot& ballot) { out.u64(ballot.counter).raw(ballot.nonce); }

Ballot get_ballot(base::Reader& in) {
    Ballot ballot;
    ballot.counter = in.u64();
    if (ballot.counter > kMaxBallotCounter) in.fail();
    const auto nonce = in.raw(ballot.nonce.size());
    if (in.ok()) std::ranges::copy(nonce, ballot.nonce.begin());
    return ballot;
}

}  // namespace

Bytes encode_stored(const StoredPromises& stored) {
    base::Writer out;
    out.u8(kPromises);
    put_ballot(out, stored.floor);
    for (const auto& entry : stored.entries) {
        out.guid(entry.key);
        put_ballot(out, entry.ballot);
    }
    return out.take();
}
base::Result<StoredPromises> decode_stored_promises(ByteView bytes) {
    base::Reader in{bytes};
    StoredPromises out;
    if (in.u8() != kPromises) return base::Error{base::Errc::unsupported, "promises"};
    out.floor = get_ballot(in);
    while (in.ok() && in.remaining() > 0) {
        if (out.entries.size() == kMaxPromises) return bad("promises");
        const auto key = in.guid();
        out.entries.push_back({key, get_ballot(in)});
    }
    if (!in.complete()) return bad("promises");
    return out;
}

}  // namespace past
