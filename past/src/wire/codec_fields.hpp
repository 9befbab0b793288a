// Single fields from and into Protocol Buffers: what the codecs of this layer are made of. Only they include this.
#pragma once

#include <algorithm>
#include <bit>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "past.pb.h"
#include "past/messages.hpp"

namespace past {

using base::Bytes;
using base::ByteView;
using base::Guid;
namespace pb = v1;

// --- from values

inline Bytes serialize(const google::protobuf::MessageLite& message) {
    Bytes out(message.ByteSizeLong());
    message.SerializeWithCachedSizesToArray(out.data());
    return out;
}

inline void put(std::string* field, ByteView bytes) { field->assign(base::as_text(bytes)); }
inline void put(std::string* field, const Guid& guid) { put(field, guid.view()); }
inline void put(std::string* field, const std::vector<Guid>& ids) {
    field->reserve(ids.size() * Guid::kBytes);
    for (const auto& id : ids) field->append(base::as_text(id.view()));
}
inline void put(pb::Tag* field, const Tag& tag) {
    put(field->mutable_volume(), tag.volume);
    field->set_generation(tag.generation);
}
inline void put(pb::NodeInfo* field, const pastry::NodeHandle& node) {
    put(field->mutable_id(), node.address.id);
    field->set_endpoint(node.address.endpoint);
    field->set_failure_domain(node.failure_domain);
}
inline void put(pb::Ballot* field, const Ballot& ballot) {
    field->set_counter(ballot.counter);
    put(field->mutable_nonce(), ByteView{ballot.nonce});
}
inline void put(pb::Member* field, const base::Address& member) {
    put(field->mutable_id(), member.id);
    field->set_endpoint(member.endpoint);
}
inline void put(pb::RegisterValue* field, const RegisterValue& value) {
    field->set_sequence(value.record.sequence);
    put(field->mutable_body(), ByteView{value.record.body});
    for (const auto& member : value.members) put(field->add_members(), member);
    for (const auto& member : value.previous) put(field->add_previous(), member);
}
inline void put(pb::RegisterState* field, const RegisterState& state) {
    put(field->mutable_promised(), state.promised);
    put(field->mutable_accepted(), state.accepted);
    if (state.value) put(field->mutable_value(), *state.value);
}
inline void put(pb::TouchRequest* field, const TouchRequest& request) {
    put(field->mutable_group(), request.group);
    put(field->mutable_tag(), request.tag);
    put(field->mutable_ids(), request.ids);
}
inline void put(pb::RemoveRequest* field, const Reclaim& reclaim) {
    put(field->mutable_group(), reclaim.group);
    put(field->mutable_tag(), reclaim.tag);
    put(field->mutable_owner(), ByteView{reclaim.owner});
    put(field->mutable_name_digest(), reclaim.name_digest);
    put(field->mutable_ids(), reclaim.blocks);
    field->set_at_once(reclaim.at_once);
    put(field->mutable_signature(), ByteView{reclaim.signature});
}

inline void put(pb::ListRequest* field, const ListRequest& request) {
    const auto& query = request.query;
    put(field->mutable_group(), query.group);
    put(field->mutable_tag(), query.tag);
    put(field->mutable_owner(), ByteView{query.owner});
    put(field->mutable_name_digest(), query.name_digest);
    put(field->mutable_signature(), ByteView{query.signature});
    put(field->mutable_after(), request.after);
    field->set_all(query.all);
}
inline void put(pb::ListReply* field, const std::vector<TaggedBlock>& blocks, const Guid& up_to, bool more) {
    auto* ids = field->mutable_ids();
    ids->reserve(blocks.size() * Guid::kBytes);
    for (const auto& block : blocks) {
        ids->append(base::as_text(block.id.view()));
        field->add_generations(block.generation);
        field->add_lengths(block.bytes);
    }
    put(field->mutable_up_to(), up_to);
    field->set_more(more);
}

// --- into values: each returns false on anything that breaks a limit

inline bool get(const std::string& field, Guid& out) {
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
inline bool get(const std::string& field, std::vector<Guid>& out, std::size_t limit, std::size_t least = 0) {
    const auto count = field.size() / Guid::kBytes;
    if (field.size() % Guid::kBytes != 0 || count > limit || count < least) return false;
    out.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = *Guid::from_bytes(base::as_bytes(field).subspan(i * Guid::kBytes, Guid::kBytes));
    }
    return true;
}
inline bool get(const pb::Tag& field, Tag& out) {
    out.generation = field.generation();
    return get(field.volume(), out.volume);
}
inline bool get_endpoint(const std::string& field, std::string& out) {
    if (field.size() > base::kMaxEndpointBytes) return false;
    out = field;
    return true;
}
inline bool get(const pb::NodeInfo& field, pastry::NodeHandle& out) {
    if (field.failure_domain().size() > base::kMaxFailureDomainBytes) return false;
    out.failure_domain = field.failure_domain();
    return get(field.id(), out.address.id) && get_endpoint(field.endpoint(), out.address.endpoint);
}
inline bool get(const pb::Ballot& field, Ballot& out) {
    out.counter = field.counter();
    return out.counter <= kMaxBallotCounter && get(field.nonce(), out.nonce);
}
inline bool get(const google::protobuf::RepeatedPtrField<pb::Member>& field, std::vector<base::Address>& out) {
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
inline bool get(const pb::RegisterValue& field, RegisterValue& out) {
    if (field.body().size() > kMaxRecordBytes) return false;
    out.record.sequence = field.sequence();
    out.record.body = base::to_bytes(field.body());
    return out.record.sequence > 0 && get(field.members(), out.members) && get(field.previous(), out.previous) &&
           !out.members.empty();
}
inline bool get(const pb::RegisterState& field, RegisterState& out) {
    if (!get(field.promised(), out.promised) || !get(field.accepted(), out.accepted)) return false;
    if (!field.has_value()) return out.accepted == Ballot{};
    return get(field.value(), out.value.emplace()) && out.accepted != Ballot{};
}
inline bool get(const pb::TouchRequest& field, TouchRequest& out) {
    return get(field.group(), out.group) && get(field.tag(), out.tag) &&
           get(field.ids(), out.ids, kMaxBlocksPerRequest, 1);
}
inline bool get(const pb::RemoveRequest& field, Reclaim& out) {
    out.at_once = field.at_once();
    return get(field.group(), out.group) && get(field.tag(), out.tag) && get(field.owner(), out.owner) &&
           get(field.name_digest(), out.name_digest) && get(field.ids(), out.blocks, kMaxBlocksPerRequest, 1) &&
           get(field.signature(), out.signature);
}
inline bool get_lengths(const google::protobuf::RepeatedField<std::uint32_t>& field, std::size_t count,
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

inline bool get(const pb::ListRequest& field, ListRequest& out) {
    auto& query = out.query;
    query.all = field.all();
    return get(field.group(), query.group) && get(field.tag(), query.tag) && get(field.owner(), query.owner) &&
           get(field.name_digest(), query.name_digest) && get(field.signature(), query.signature) &&
           get(field.after(), out.after);
}
/// Ascending up to `up_to`; whether they lie behind what was asked for, the asker knows.
inline bool get(const pb::ListReply& field, std::vector<TaggedBlock>& blocks, Guid& up_to, bool& more) {
    std::vector<Guid> ids;
    more = field.more();
    if (!get(field.ids(), ids, kMaxBlocksPerRequest) || !get(field.up_to(), up_to)) return false;
    if (static_cast<std::size_t>(field.generations_size()) != ids.size()) return false;
    if (static_cast<std::size_t>(field.lengths_size()) != ids.size()) return false;
    for (int i = 0; i < field.lengths_size(); ++i) {
        const auto& id = ids[static_cast<std::size_t>(i)];
        const bool ascends = i == 0 || ids[static_cast<std::size_t>(i) - 1] < id;
        if (!ascends || up_to < id || field.lengths(i) > base::kMaxBlockBytes) return false;
        blocks.push_back({id, field.generations(i), field.lengths(i)});
    }
    return true;
}

template <class Message>
bool parse(Message& message, ByteView bytes) {
    return bytes.size() <= base::kMaxHeaderBytes &&
           message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

inline base::Error bad(const char* what) { return {base::Errc::bad_format, what}; }

}  // namespace past
