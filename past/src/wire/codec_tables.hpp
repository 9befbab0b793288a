// What parts of messages, and messages inside others, are made of. Only the codecs of this layer include this.
#pragma once

#include "base/codec.hpp"
#include "base/proto_table.hpp"
#include "past.pb.h"
#include "past/messages.hpp"

namespace past {

namespace pb = v1;
using base::Bytes;
using base::ByteView;
using base::Guid;

// --- rules

inline bool members_once(const std::vector<base::Address>& members) {
    for (auto at = members.begin(); at != members.end(); ++at)
        if (std::ranges::find(members.begin(), at, at->id, &base::Address::id) != at) return false;
    return true;
}
/// One each, and no more than a request carries.
constexpr auto lengths_fit = [](const auto& request) {
    std::uint64_t sum = 0;
    for (const auto length : request.lengths) {
        sum += length;
        if (length > base::kMaxBlockBytes || sum > base::kMaxPayloadBytes) return false;
    }
    return request.lengths.size() == request.ids.size();
};
constexpr auto answered_of_holders = [](const auto& reply) { return reply.answered <= reply.holders; };

}  // namespace past

namespace base::proto {

using namespace past;  // NOLINT: whose tables these are

constexpr Count kIds{1, kMaxBlocksPerRequest};
constexpr Count kIdsOrNone{0, kMaxBlocksPerRequest};
constexpr Count kMembers{0, kMaxRegisterMembers};
constexpr AtMost kEndpoint{kMaxEndpointBytes};

PROTO_TABLE(Tag, pb::Tag, PROTO_FIELD(volume), PROTO_FIELD(generation))

PROTO_TABLE(pastry::NodeHandle, pb::NodeInfo, PROTO_FIELD_AS(address.id, id),
            PROTO_FIELD_AS(address.endpoint, endpoint, kEndpoint),
            PROTO_FIELD(failure_domain, AtMost{kMaxFailureDomainBytes}))

PROTO_TABLE(Address, pb::Member, PROTO_FIELD(id), PROTO_FIELD(endpoint, kEndpoint))

PROTO_TABLE(Ballot, pb::Ballot, PROTO_FIELD(counter, AtMost{kMaxBallotCounter}), PROTO_FIELD(nonce))

PROTO_TABLE(RegisterValue, pb::RegisterValue, PROTO_FIELD_AS(record.sequence, sequence, Between{1, UINT64_MAX}),
            PROTO_FIELD_AS(record.body, body, AtMost{kMaxRecordBytes}),
            PROTO_FIELD(members, Count{1, kMaxRegisterMembers}), PROTO_FIELD(previous, kMembers),
            // A member that counted twice would make a majority of fewer nodes.
            rule([](const RegisterValue& value) {
                return members_once(value.members) && members_once(value.previous);
            }))

PROTO_TABLE(RegisterState, pb::RegisterState, PROTO_FIELD(promised), PROTO_FIELD(accepted), PROTO_FIELD(value),
            rule([](const RegisterState& state) { return state.value.has_value() == (state.accepted != Ballot{}); }))

PROTO_TABLE(TouchRequest, pb::TouchRequest, PROTO_FIELD(group), PROTO_FIELD(tag), PROTO_FIELD(ids, kIds))

PROTO_TABLE(Reclaim, pb::RemoveRequest, PROTO_FIELD(group), PROTO_FIELD(tag), PROTO_FIELD(owner),
            PROTO_FIELD(name_digest), PROTO_FIELD_AS(blocks, ids, kIds), PROTO_FIELD(at_once), PROTO_FIELD(signature))

PROTO_TABLE(ListRequest, pb::ListRequest, PROTO_FIELD_AS(query.group, group), PROTO_FIELD_AS(query.tag, tag),
            PROTO_FIELD_AS(query.owner, owner), PROTO_FIELD_AS(query.name_digest, name_digest),
            PROTO_FIELD_AS(query.signature, signature), PROTO_FIELD(after), PROTO_FIELD_AS(query.all, all))

/// A block's id, generation and length travel in three lists.
struct ListColumns {
    std::vector<Guid> ids;
    std::vector<std::uint64_t> generations;
    std::vector<std::uint32_t> lengths;
    Guid up_to;
    bool more = false;
};
PROTO_TABLE(ListColumns, pb::ListReply, PROTO_FIELD(ids, kIdsOrNone), PROTO_FIELD(generations, kIdsOrNone),
            PROTO_FIELD(lengths, kIdsOrNone), PROTO_FIELD(up_to), PROTO_FIELD(more))

}  // namespace base::proto

namespace past {

using base::proto::ListColumns;

/// Of a ListReply or TaggedBlocks.
template <class Page>
ListColumns columns_of(const Page& page) {
    ListColumns columns{{}, {}, {}, page.up_to, page.more};
    for (const auto& block : page.blocks) {
        columns.ids.push_back(block.id);
        columns.generations.push_back(block.generation);
        columns.lengths.push_back(block.bytes);
    }
    return columns;
}
/// Ascending up to `up_to`; whether they lie behind what was asked for, the asker knows.
template <class Page>
bool take_columns(const ListColumns& columns, Page& page) {
    const auto& [ids, generations, lengths, up_to, more] = columns;
    page.up_to = up_to;
    page.more = more;
    if (generations.size() != ids.size() || lengths.size() != ids.size()) return false;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool ascends = i == 0 || ids[i - 1] < ids[i];
        if (!ascends || up_to < ids[i] || lengths[i] > base::kMaxBlockBytes) return false;
        page.blocks.push_back({ids[i], generations[i], lengths[i]});
    }
    return true;
}

inline base::Error bad(const char* what) { return {base::Errc::bad_format, what}; }

/// Both directions of a message that has a table.
#define PAST_CODEC(Type, Message, what)                                                 \
    Bytes encode(const Type& message) { return base::proto::encode<Message>(message); } \
    template <>                                                                         \
    base::Result<Type> decode(ByteView bytes) {                                         \
        return base::proto::decode<Type, Message>(bytes, what);                         \
    }

}  // namespace past
