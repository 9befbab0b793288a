#include "codec.hpp"

#include <limits>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/proto_table.hpp"
#include "pastry.pb.h"

namespace base::proto {

using namespace pastry;  // NOLINT: whose tables these are

constexpr AtMost kRow{Guid::kDigits - 1};
constexpr Count kLeaves{0, kMaxLeafHandles};

PROTO_TABLE(NodeHandle, v1::Handle, PROTO_FIELD_AS(address.id, node_id),
            PROTO_FIELD_AS(address.endpoint, endpoint, AtMost{kMaxEndpointBytes}),
            PROTO_FIELD(failure_domain, AtMost{kMaxFailureDomainBytes}))

PROTO_TABLE(Routed, v1::Routed, PROTO_FIELD_AS(envelope.key, key), PROTO_FIELD_AS(envelope.origin, origin),
            PROTO_FIELD_AS(envelope.message_id, message_id), PROTO_FIELD_AS(envelope.hops, hops),
            PROTO_FIELD_AS(envelope.message.kind, inner_kind, AtMost{std::numeric_limits<std::uint16_t>::max()}),
            PROTO_FIELD_AS(envelope.message.header, inner_header, AtMost{kMaxHeaderBytes}), PROTO_FIELD(hop_id),
            PROTO_FIELD(transmission))
PROTO_TABLE(Ack, v1::Ack, PROTO_FIELD(hop_id), PROTO_FIELD(transmission))
PROTO_TABLE(Probe, v1::Probe, PROTO_FIELD(probe_id), PROTO_FIELD(leaf_exchange), PROTO_FIELD(converged),
            PROTO_FIELD(leaf_set, kLeaves), PROTO_FIELD(failed, Count{0, kMaxFailedSent}))
PROTO_TABLE(RowRequest, v1::RowRequest, PROTO_FIELD(row, kRow))
PROTO_TABLE(Row, v1::Row, PROTO_FIELD(row, kRow), PROTO_FIELD(nodes, Count{0, kMaxRowHandles}))
PROTO_TABLE(Lookup, v1::Lookup, PROTO_FIELD(key), PROTO_FIELD(exclude, Count{0, kMaxExcluded}),
            PROTO_FIELD(count, AtMost{kMaxReplicas}), PROTO_FIELD(join), PROTO_FIELD(first_row, AtMost{Guid::kDigits}))
PROTO_TABLE(LookupReply, v1::LookupReply, PROTO_FIELD(root), PROTO_FIELD(next, Count{0, kMaxNext}),
            PROTO_FIELD(replicas, Count{0, kMaxReplicas}), PROTO_FIELD(rows, Count{0, kMaxJoinRowHandles}),
            PROTO_FIELD(leaf_set, kLeaves))

}  // namespace base::proto

namespace pastry {
namespace {

using base::Errc;

base::Message wrap(Verb verb, base::Bytes header, base::SharedBytes payload = {}) {
    return {base::Service::pastry, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
}

base::Message encode_one(const Routed& routed) {
    return wrap(Verb::routed, base::proto::encode<v1::Routed>(routed), routed.envelope.message.payload);
}
base::Message encode_one(const Ack& ack) { return wrap(Verb::ack, base::proto::encode<v1::Ack>(ack)); }
base::Message encode_one(const Heartbeat&) { return wrap(Verb::heartbeat, {}); }
base::Message encode_one(const Probe& probe) {
    return wrap(probe.reply ? Verb::probe_reply : Verb::probe, base::proto::encode<v1::Probe>(probe));
}
base::Message encode_one(const RowRequest& request) {
    return wrap(Verb::row_request, base::proto::encode<v1::RowRequest>(request));
}
base::Message encode_one(const Row& row) { return wrap(Verb::row, base::proto::encode<v1::Row>(row)); }

template <class T, class Proto>
base::Result<T> take(base::ByteView header) {
    return base::proto::decode<T, Proto>(header, "a message of the ring");
}
/// The same as one of many.
template <class T, class Proto>
base::Result<Notice> notice(base::ByteView header) {
    BASE_TRY(auto taken, take<T, Proto>(header));
    return Notice{std::move(taken)};
}

}  // namespace

base::Message encode(const Notice& notice) {
    return std::visit([](const auto& each) { return encode_one(each); }, notice);
}

base::Message encode(const Lookup& lookup) { return wrap(Verb::lookup, base::proto::encode<v1::Lookup>(lookup)); }

base::Message encode(const LookupReply& reply) {
    return wrap(Verb::lookup, base::proto::encode<v1::LookupReply>(reply));
}

base::Message encode_ping() { return wrap(Verb::ping, {}); }

base::Result<Notice> decode_notice(base::Message message) {
    switch (static_cast<Verb>(message.verb())) {
        case Verb::routed: {
            BASE_TRY(auto routed, take<Routed, v1::Routed>(message.header));
            routed.envelope.message.payload = std::move(message.payload);
            return Notice{std::move(routed)};
        }
        case Verb::ack: return notice<Ack, v1::Ack>(message.header);
        case Verb::heartbeat: {
            v1::Heartbeat nothing;
            if (!base::proto::parse(nothing, message.header)) return Errc::bad_format;
            return Notice{Heartbeat{}};
        }
        case Verb::probe:
        case Verb::probe_reply: {
            BASE_TRY(auto probe, take<Probe, v1::Probe>(message.header));
            probe.reply = message.verb() == static_cast<std::uint8_t>(Verb::probe_reply);
            return Notice{std::move(probe)};
        }
        case Verb::row_request: return notice<RowRequest, v1::RowRequest>(message.header);
        case Verb::row: return notice<Row, v1::Row>(message.header);
        case Verb::lookup:
        case Verb::ping: break;
    }
    return Errc::unsupported;
}

base::Result<Lookup> decode_lookup(base::ByteView header) { return take<Lookup, v1::Lookup>(header); }

base::Result<LookupReply> decode_lookup_reply(base::ByteView header) {
    return take<LookupReply, v1::LookupReply>(header);
}

}  // namespace pastry
