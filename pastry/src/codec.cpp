#include "codec.hpp"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "pastry.pb.h"

namespace pastry {
namespace {

using base::Errc;

// ---- values into messages

template <class Proto>
void put(std::string* field, const Proto& guid) {
    const auto view = guid.view();
    field->assign(reinterpret_cast<const char*>(view.data()), view.size());
}

void put(v1::Handle* out, const NodeHandle& handle) {
    put(out->mutable_node_id(), handle.id());
    out->set_endpoint(handle.address.endpoint);
    out->set_failure_domain(handle.failure_domain);
}

template <class Repeated>
void put_handles(Repeated* out, const std::vector<NodeHandle>& handles) {
    for (const auto& handle : handles) put(out->Add(), handle);
}

template <class Repeated>
void put_ids(Repeated* out, const std::vector<base::NodeId>& ids) {
    for (const auto& id : ids) put(out->Add(), id);
}

template <class Proto>
base::Message wrap(Verb verb, const Proto& proto, base::SharedBytes payload = {}) {
    base::Bytes header(proto.ByteSizeLong());
    (void)proto.SerializeToArray(header.data(), static_cast<int>(header.size()));
    return {base::Service::pastry, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
}

base::Message encode_one(const Routed& routed) {
    const Envelope& envelope = routed.envelope;
    v1::Routed out;
    put(out.mutable_key(), envelope.key);
    put(out.mutable_origin(), envelope.origin);
    out.set_message_id(envelope.message_id);
    out.set_hops(envelope.hops);
    out.set_inner_kind(envelope.message.kind);
    out.set_inner_header(envelope.message.header.data(), envelope.message.header.size());
    out.set_hop_id(routed.hop_id);
    out.set_transmission(routed.transmission);
    return wrap(Verb::routed, out, envelope.message.payload);
}

base::Message encode_one(const Ack& ack) {
    v1::Ack out;
    out.set_hop_id(ack.hop_id);
    out.set_transmission(ack.transmission);
    return wrap(Verb::ack, out);
}

base::Message encode_one(const Heartbeat&) { return wrap(Verb::heartbeat, v1::Heartbeat{}); }

base::Message encode_one(const Probe& probe) {
    v1::Probe out;
    out.set_probe_id(probe.probe_id);
    out.set_leaf_exchange(probe.leaf_exchange);
    out.set_settled(probe.settled);
    put_handles(out.mutable_leaf_set(), probe.leaf_set);
    put_ids(out.mutable_failed(), probe.failed);
    return wrap(probe.reply ? Verb::probe_reply : Verb::probe, out);
}

base::Message encode_one(const RowRequest& request) {
    v1::RowRequest out;
    out.set_row(request.row);
    return wrap(Verb::row_request, out);
}

base::Message encode_one(const Row& row) {
    v1::Row out;
    out.set_row(row.row);
    put_handles(out.mutable_nodes(), row.nodes);
    return wrap(Verb::row, out);
}

// ---- messages into values; the first thing that breaks a limit spoils the whole

class Taker {
  public:
    base::Guid guid(const std::string& bytes) {
        const auto guid = base::Guid::from_bytes(base::as_bytes(bytes));
        ok_ = ok_ && guid.has_value();
        return guid.value_or(base::Guid{});
    }

    NodeHandle handle(const v1::Handle& in) {
        ok_ = ok_ && in.endpoint().size() <= base::kMaxEndpointBytes &&
              in.failure_domain().size() <= base::kMaxFailureDomainBytes;
        if (!ok_) return {};
        return {.address = {.id = guid(in.node_id()), .endpoint = in.endpoint()},
                .failure_domain = in.failure_domain()};
    }

    template <class Repeated>
    std::vector<NodeHandle> handles(const Repeated& in, std::size_t limit) {
        if (!within(in, limit)) return {};
        std::vector<NodeHandle> out;
        out.reserve(static_cast<std::size_t>(in.size()));
        for (const auto& each : in) out.push_back(handle(each));
        return out;
    }

    template <class Repeated>
    std::vector<base::NodeId> ids(const Repeated& in, std::size_t limit) {
        if (!within(in, limit)) return {};
        std::vector<base::NodeId> out;
        out.reserve(static_cast<std::size_t>(in.size()));
        for (const auto& each : in) out.push_back(guid(each));
        return out;
    }

    std::uint32_t at_most(std::uint32_t value, std::uint32_t limit) {
        ok_ = ok_ && value <= limit;
        return value;
    }

    template <class T>
    base::Result<T> finish(T value) const {
        if (!ok_) return Errc::bad_format;
        return value;
    }

  private:
    template <class Repeated>
    bool within(const Repeated& in, std::size_t limit) {
        ok_ = ok_ && static_cast<std::size_t>(in.size()) <= limit;
        return ok_;
    }

    bool ok_ = true;
};

// Errc::bad_format unless the header parses as Proto.
template <class Proto>
base::Result<Proto> parse(base::ByteView header) {
    Proto proto;
    if (header.size() > base::kMaxHeaderBytes ||
        !proto.ParseFromArray(header.data(), static_cast<int>(header.size()))) {
        return Errc::bad_format;
    }
    return proto;
}

base::Result<Notice> take_routed(base::Message message) {
    BASE_TRY(auto in, parse<v1::Routed>(message.header));
    Taker take;
    Routed out;
    out.hop_id = in.hop_id();
    out.transmission = in.transmission();
    out.envelope.key = take.guid(in.key());
    out.envelope.origin = take.handle(in.origin());
    out.envelope.message_id = in.message_id();
    out.envelope.hops = in.hops();
    out.envelope.message.kind =
        static_cast<std::uint16_t>(take.at_most(in.inner_kind(), std::numeric_limits<std::uint16_t>::max()));
    out.envelope.message.header = base::to_bytes(in.inner_header());
    out.envelope.message.payload = std::move(message.payload);
    return take.finish(Notice{std::move(out)});
}

base::Result<Notice> take_ack(base::ByteView header) {
    BASE_TRY(const auto in, parse<v1::Ack>(header));
    return Notice{Ack{.hop_id = in.hop_id(), .transmission = in.transmission()}};
}

base::Result<Notice> take_heartbeat(base::ByteView header) {
    BASE_CHECK(parse<v1::Heartbeat>(header));
    return Notice{Heartbeat{}};
}

base::Result<Notice> take_probe(base::ByteView header, bool reply) {
    BASE_TRY(const auto in, parse<v1::Probe>(header));
    Taker take;
    Probe out;
    out.probe_id = in.probe_id();
    out.reply = reply;
    out.leaf_exchange = in.leaf_exchange();
    out.settled = in.settled();
    out.leaf_set = take.handles(in.leaf_set(), kMaxLeafHandles);
    out.failed = take.ids(in.failed(), kMaxFailedSent);
    return take.finish(Notice{std::move(out)});
}

base::Result<Notice> take_row_request(base::ByteView header) {
    BASE_TRY(const auto in, parse<v1::RowRequest>(header));
    Taker take;
    RowRequest out{.row = take.at_most(in.row(), base::Guid::kDigits - 1)};
    return take.finish(Notice{out});
}

base::Result<Notice> take_row(base::ByteView header) {
    BASE_TRY(const auto in, parse<v1::Row>(header));
    Taker take;
    Row out;
    out.row = take.at_most(in.row(), base::Guid::kDigits - 1);
    out.nodes = take.handles(in.nodes(), kMaxRowHandles);
    return take.finish(Notice{std::move(out)});
}

}  // namespace

base::Message encode(const Notice& notice) {
    return std::visit([](const auto& each) { return encode_one(each); }, notice);
}

base::Message encode(const Lookup& lookup) {
    v1::Lookup out;
    put(out.mutable_key(), lookup.key);
    put_ids(out.mutable_exclude(), lookup.exclude);
    out.set_count(lookup.count);
    out.set_join(lookup.join);
    out.set_first_row(lookup.first_row);
    return wrap(Verb::lookup, out);
}

base::Message encode(const LookupReply& reply) {
    v1::LookupReply out;
    out.set_root(reply.root);
    put_handles(out.mutable_next(), reply.next);
    put_handles(out.mutable_replicas(), reply.replicas);
    put_handles(out.mutable_rows(), reply.rows);
    put_handles(out.mutable_leaf_set(), reply.leaf_set);
    return wrap(Verb::lookup, out);
}

base::Message encode_ping() { return wrap(Verb::ping, v1::Ping{}); }

base::Result<Notice> decode_notice(base::Message message) {
    switch (static_cast<Verb>(message.verb())) {
        case Verb::routed: return take_routed(std::move(message));
        case Verb::ack: return take_ack(message.header);
        case Verb::heartbeat: return take_heartbeat(message.header);
        case Verb::probe: return take_probe(message.header, false);
        case Verb::probe_reply: return take_probe(message.header, true);
        case Verb::row_request: return take_row_request(message.header);
        case Verb::row: return take_row(message.header);
        case Verb::lookup:
        case Verb::ping: break;
    }
    return Errc::unsupported;
}

base::Result<Lookup> decode_lookup(base::ByteView header) {
    BASE_TRY(const auto in, parse<v1::Lookup>(header));
    Taker take;
    Lookup out;
    out.key = take.guid(in.key());
    out.exclude = take.ids(in.exclude(), kMaxExcluded);
    out.count = take.at_most(in.count(), kMaxReplicas);
    out.join = in.join();
    out.first_row = take.at_most(in.first_row(), base::Guid::kDigits);
    return take.finish(std::move(out));
}

base::Result<LookupReply> decode_lookup_reply(base::ByteView header) {
    BASE_TRY(const auto in, parse<v1::LookupReply>(header));
    Taker take;
    LookupReply out;
    out.root = in.root();
    out.next = take.handles(in.next(), kMaxNext);
    out.replicas = take.handles(in.replicas(), kMaxReplicas);
    out.rows = take.handles(in.rows(), kMaxJoinRowHandles);
    out.leaf_set = take.handles(in.leaf_set(), kMaxLeafHandles);
    return take.finish(std::move(out));
}

}  // namespace pastry
