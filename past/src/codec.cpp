#include <algorithm>
#include <bit>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "past.pb.h"
#include "past/messages.hpp"

namespace past {
namespace {

using base::Bytes;
using base::ByteView;
using base::Guid;
namespace pb = v1;

// --- from values
// ------------------------------------------------------------------------------------------------------

Bytes serialize(const google::protobuf::MessageLite& message) {
    Bytes out(message.ByteSizeLong());
    message.SerializeWithCachedSizesToArray(out.data());
    return out;
}

void put(std::string* field, ByteView bytes) { field->assign(base::as_text(bytes)); }
void put(std::string* field, const Guid& guid) { put(field, guid.view()); }
void put(std::string* field, const std::vector<Guid>& ids) {
    field->reserve(ids.size() * Guid::kBytes);
    for (const auto& id : ids) field->append(base::as_text(id.view()));
}
void put(pb::Tag* field, const Tag& tag) {
    put(field->mutable_volume(), tag.volume);
    field->set_generation(tag.generation);
}
void put(pb::NodeInfo* field, const pastry::NodeHandle& node) {
    put(field->mutable_id(), node.address.id);
    field->set_endpoint(node.address.endpoint);
    field->set_failure_domain(node.failure_domain);
}
void put(pb::Ballot* field, const Ballot& ballot) {
    field->set_counter(ballot.counter);
    put(field->mutable_nonce(), ByteView{ballot.nonce});
}
void put(pb::Member* field, const base::Address& member) {
    put(field->mutable_id(), member.id);
    field->set_endpoint(member.endpoint);
}
void put(pb::RegisterValue* field, const RegisterValue& value) {
    field->set_sequence(value.record.sequence);
    put(field->mutable_body(), ByteView{value.record.body});
    for (const auto& member : value.members) put(field->add_members(), member);
    for (const auto& member : value.previous) put(field->add_previous(), member);
}
void put(pb::RegisterState* field, const RegisterState& state) {
    put(field->mutable_promised(), state.promised);
    put(field->mutable_accepted(), state.accepted);
    if (state.value) put(field->mutable_value(), *state.value);
}
void put(pb::TouchRequest* field, const TouchRequest& request) {
    put(field->mutable_place(), request.place);
    put(field->mutable_tag(), request.tag);
    put(field->mutable_ids(), request.ids);
}
void put(pb::RemoveRequest* field, const Reclaim& reclaim) {
    put(field->mutable_place(), reclaim.place);
    put(field->mutable_tag(), reclaim.tag);
    put(field->mutable_owner(), ByteView{reclaim.owner});
    put(field->mutable_name_digest(), reclaim.name_digest);
    put(field->mutable_ids(), reclaim.blocks);
    field->set_at_once(reclaim.at_once);
    put(field->mutable_signature(), ByteView{reclaim.signature});
}

// --- into values: each returns false on anything that breaks a limit
// ----------------------------------------------------

bool get(const std::string& field, Guid& out) {
    const auto guid = Guid::from_bytes(base::as_bytes(field));
    if (guid) out = *guid;
    return guid.has_value();
}
template <std::size_t N>
bool get(const std::string& field, std::array<std::uint8_t, N>& out) {
    if (field.size() != N) return false;
    std::ranges::copy(base::as_bytes(field), out.begin());
    return true;
}
bool get(const std::string& field, std::vector<Guid>& out, std::size_t limit, std::size_t least = 0) {
    const auto count = field.size() / Guid::kBytes;
    if (field.size() % Guid::kBytes != 0 || count > limit || count < least) return false;
    out.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = *Guid::from_bytes(base::as_bytes(field).subspan(i * Guid::kBytes, Guid::kBytes));
    }
    return true;
}
bool get(const pb::Tag& field, Tag& out) {
    out.generation = field.generation();
    return get(field.volume(), out.volume);
}
bool get_endpoint(const std::string& field, std::string& out) {
    if (field.size() > base::kMaxEndpointBytes) return false;
    out = field;
    return true;
}
bool get(const pb::NodeInfo& field, pastry::NodeHandle& out) {
    if (field.failure_domain().size() > base::kMaxFailureDomainBytes) return false;
    out.failure_domain = field.failure_domain();
    return get(field.id(), out.address.id) && get_endpoint(field.endpoint(), out.address.endpoint);
}
bool get(const pb::Ballot& field, Ballot& out) {
    out.counter = field.counter();
    // The largest counter could not be outbid: refusing it keeps arithmetic on ballots from wrapping.
    return out.counter < (std::uint64_t{1} << 62U) && get(field.nonce(), out.nonce);
}
bool get(const google::protobuf::RepeatedPtrField<pb::Member>& field, std::vector<base::Address>& out) {
    if (static_cast<std::size_t>(field.size()) > kMaxRegisterMembers) return false;
    for (const auto& member : field) {
        base::Address address;
        if (!get(member.id(), address.id) || !get_endpoint(member.endpoint(), address.endpoint)) return false;
        const bool known = std::ranges::any_of(out, [&](const auto& other) { return other.id == address.id; });
        if (known) return false;  // a member that counted twice would make a majority of fewer nodes
        out.push_back(std::move(address));
    }
    return true;
}
bool get(const pb::RegisterValue& field, RegisterValue& out) {
    if (field.body().size() > kMaxRecordBytes) return false;
    out.record.sequence = field.sequence();
    out.record.body = base::to_bytes(field.body());
    return out.record.sequence > 0 && get(field.members(), out.members) && get(field.previous(), out.previous) &&
           !out.members.empty();
}
bool get(const pb::RegisterState& field, RegisterState& out) {
    if (!get(field.promised(), out.promised) || !get(field.accepted(), out.accepted)) return false;
    if (!field.has_value()) return out.accepted == Ballot{};
    return get(field.value(), out.value.emplace()) && out.accepted != Ballot{};
}
bool get(const pb::TouchRequest& field, TouchRequest& out) {
    return get(field.place(), out.place) && get(field.tag(), out.tag) &&
           get(field.ids(), out.ids, kMaxBlocksPerRequest, 1);
}
bool get(const pb::RemoveRequest& field, Reclaim& out) {
    out.at_once = field.at_once();
    return get(field.place(), out.place) && get(field.tag(), out.tag) && get(field.owner(), out.owner) &&
           get(field.name_digest(), out.name_digest) && get(field.ids(), out.blocks, kMaxBlocksPerRequest, 1) &&
           get(field.signature(), out.signature);
}
bool get_lengths(const google::protobuf::RepeatedField<std::uint32_t>& field, std::size_t count,
                 std::vector<std::uint32_t>& out) {
    if (static_cast<std::size_t>(field.size()) != count) return false;
    std::uint64_t sum = 0;
    for (const auto length : field) {
        sum += length;
        if (length > base::kMaxBlockBytes || sum > base::kMaxPayloadBytes) return false;
    }
    out.assign(field.begin(), field.end());
    return true;
}

template <class Message>
bool parse(Message& message, ByteView bytes) {
    return bytes.size() <= base::kMaxHeaderBytes &&
           message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

base::Error bad(const char* what) { return {base::Errc::bad_format, what}; }

}  // namespace

bool operator==(const RegisterValue& a, const RegisterValue& b) {
    return a.record.sequence == b.record.sequence && a.record.body == b.record.body && a.members == b.members &&
           a.previous == b.previous;
}

Bytes receipt_body(const base::NodeId& holder, const StoreRequest& request, std::int64_t time_ns) {
    base::Sha256 ids;
    for (const auto& id : request.ids) ids.update(id.view());
    base::Writer out;
    out.u8(1).guid(holder).guid(request.place).varint(request.tags.size());
    for (const auto& tag : request.tags) out.guid(tag.volume).u64(tag.generation);
    out.guid(ids.finish()).i64(time_ns);
    return out.take();
}

// --- blocks
// -------------------------------------------------------------------------------------------------------------

Bytes encode(const StoreRequest& request) {
    pb::StoreRequest out;
    put(out.mutable_place(), request.place);
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
    if (!parse(in, bytes) || !get(in.place(), out.place)) return bad("store request");
    if (in.tags_size() < 1 || static_cast<std::size_t>(in.tags_size()) > kMaxTagsPerRequest) return bad("tags");
    for (const auto& tag : in.tags()) {
        if (!get(tag, out.tags.emplace_back())) return bad("tag");
    }
    if (!get(in.ids(), out.ids, kMaxBlocksPerRequest, 1)) return bad("ids");
    if (!get_lengths(in.lengths(), out.ids.size(), out.lengths)) return bad("lengths");
    if (in.cause() > static_cast<std::uint32_t>(Cause::handover)) return bad("cause");
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
    put(out.mutable_place(), request.place);
    put(out.mutable_id(), request.id);
    return serialize(out);
}
template <>
base::Result<FetchRequest> decode(ByteView bytes) {
    pb::FetchRequest in;
    FetchRequest out;
    if (!parse(in, bytes) || !get(in.place(), out.place) || !get(in.id(), out.id)) return bad("fetch request");
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
    if (std::ranges::any_of(out.bits, [](std::uint8_t bit) { return bit > 2; })) return bad("bits");
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
// ---------------------------------------------------------------------------------------------------

Bytes encode(const HoldersRequest& request) {
    pb::HoldersRequest out;
    put(out.mutable_place(), request.place);
    out.set_count(request.count);
    return serialize(out);
}
template <>
base::Result<HoldersRequest> decode(ByteView bytes) {
    pb::HoldersRequest in;
    HoldersRequest out;
    if (!parse(in, bytes) || !get(in.place(), out.place)) return bad("holders request");
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
        put(field->mutable_place(), entry.place);
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
        if (!get(entry.place(), value.place) || !get(entry.digest(), value.digest)) return bad("compare");
    }
    return out;
}

Bytes encode(const CompareReply& reply) {
    pb::CompareReply out;
    for (const auto& entry : reply.entries) {
        auto* field = out.add_entries();
        field->set_blocks(entry.blocks);
        put(field->mutable_digest(), entry.digest);
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
        if (!get(entry.digest(), value.digest)) return bad("compare");
    }
    return out;
}

Bytes encode(const RangesRequest& request) {
    pb::RangesRequest out;
    put(out.mutable_place(), request.place);
    return serialize(out);
}
template <>
base::Result<RangesRequest> decode(ByteView bytes) {
    pb::RangesRequest in;
    RangesRequest out;
    if (!parse(in, bytes) || !get(in.place(), out.place)) return bad("ranges request");
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

Bytes encode(const OfferRequest& request) {
    pb::OfferRequest out;
    put(out.mutable_place(), request.place);
    put(out.mutable_tag(), request.tag);
    put(out.mutable_ids(), request.ids);
    return serialize(out);
}
template <>
base::Result<OfferRequest> decode(ByteView bytes) {
    pb::OfferRequest in;
    OfferRequest out;
    if (!parse(in, bytes) || !get(in.place(), out.place) || !get(in.tag(), out.tag) ||
        !get(in.ids(), out.ids, kMaxBlocksPerRequest, 1)) {
        return bad("offer");
    }
    return out;
}

// --- records
// --------------------------------------------------------------------------------------------------------------

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

// --- the local socket
// -------------------------------------------------------------------------------------------------------

Bytes encode(const LocalPut& request) {
    pb::LocalPut out;
    put(out.mutable_place(), request.place);
    put(out.mutable_tag(), request.tag);
    put(out.mutable_ids(), request.ids);
    out.mutable_lengths()->Add(request.lengths.begin(), request.lengths.end());
    out.set_full(request.wait == Wait::full);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalPut> decode(ByteView bytes) {
    pb::LocalPut in;
    LocalPut out;
    if (!parse(in, bytes) || !get(in.place(), out.place) || !get(in.tag(), out.tag) ||
        !get(in.ids(), out.ids, kMaxBlocksPerRequest, 1) || !get_lengths(in.lengths(), out.ids.size(), out.lengths)) {
        return bad("put");
    }
    out.wait = in.full() ? Wait::full : Wait::majority;
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const PutOutcome& outcome) {
    pb::LocalPutReply out;
    out.set_copies_wanted(outcome.copies_wanted);
    out.set_copies_stored(outcome.copies_stored);
    return serialize(out);
}
template <>
base::Result<PutOutcome> decode(ByteView bytes) {
    pb::LocalPutReply in;
    if (!parse(in, bytes)) return bad("put outcome");
    PutOutcome out;
    out.copies_wanted = in.copies_wanted();
    out.copies_stored = in.copies_stored();
    return out;
}

Bytes encode(const LocalGet& request) {
    pb::LocalGet out;
    put(out.mutable_place(), request.place);
    put(out.mutable_id(), request.id);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalGet> decode(ByteView bytes) {
    pb::LocalGet in;
    LocalGet out;
    if (!parse(in, bytes) || !get(in.place(), out.place) || !get(in.id(), out.id)) return bad("get");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalTouch& request) {
    pb::LocalTouch out;
    put(out.mutable_request(), request.request);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalTouch> decode(ByteView bytes) {
    pb::LocalTouch in;
    LocalTouch out;
    if (!parse(in, bytes) || !get(in.request(), out.request)) return bad("touch");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalRemove& request) {
    pb::LocalRemove out;
    put(out.mutable_request(), request.reclaim);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalRemove> decode(ByteView bytes) {
    pb::LocalRemove in;
    LocalRemove out;
    if (!parse(in, bytes) || !get(in.request(), out.reclaim)) return bad("remove");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalReadRecord& request) {
    pb::LocalReadRecord out;
    put(out.mutable_key(), request.key);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalReadRecord> decode(ByteView bytes) {
    pb::LocalReadRecord in;
    LocalReadRecord out;
    if (!parse(in, bytes) || !get(in.key(), out.key)) return bad("read record");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalRecord& reply) {
    pb::LocalRecord out;
    out.set_present(reply.record.has_value());
    if (reply.record) {
        out.set_sequence(reply.record->sequence);
        put(out.mutable_body(), ByteView{reply.record->body});
    }
    return serialize(out);
}
template <>
base::Result<LocalRecord> decode(ByteView bytes) {
    pb::LocalRecord in;
    if (!parse(in, bytes) || in.body().size() > kMaxRecordBytes) return bad("record");
    LocalRecord out;
    if (in.present()) {
        auto& record = out.record.emplace();
        record.sequence = in.sequence();
        record.body = base::to_bytes(in.body());
    }
    return out;
}

Bytes encode(const LocalWriteRecord& request) {
    pb::LocalWriteRecord out;
    put(out.mutable_key(), request.key);
    out.set_expected(request.expected);
    out.set_sequence(request.next.sequence);
    put(out.mutable_body(), ByteView{request.next.body});
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalWriteRecord> decode(ByteView bytes) {
    pb::LocalWriteRecord in;
    LocalWriteRecord out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || in.body().size() > kMaxRecordBytes) return bad("write record");
    out.expected = in.expected();
    out.next.sequence = in.sequence();
    out.next.body = base::to_bytes(in.body());
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalHolders& request) {
    pb::LocalHolders out;
    put(out.mutable_place(), request.place);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalHolders> decode(ByteView bytes) {
    pb::LocalHolders in;
    LocalHolders out;
    if (!parse(in, bytes) || !get(in.place(), out.place)) return bad("holders");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalHoldersReply& reply) {
    pb::LocalHoldersReply out;
    for (const auto& holder : reply.holders) {
        auto* field = out.add_holders();
        put(field->mutable_node(), holder.node);
        field->set_live(holder.live);
        field->set_stand_in(holder.stand_in);
    }
    return serialize(out);
}
template <>
base::Result<LocalHoldersReply> decode(ByteView bytes) {
    pb::LocalHoldersReply in;
    LocalHoldersReply out;
    if (!parse(in, bytes) || static_cast<std::size_t>(in.holders_size()) > 2 * kMaxHolders) return bad("holders");
    for (const auto& field : in.holders()) {
        auto& holder = out.holders.emplace_back();
        if (!get(field.node(), holder.node)) return bad("holder");
        holder.live = field.live();
        holder.stand_in = field.stand_in();
    }
    return out;
}

}  // namespace past
