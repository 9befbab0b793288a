#include "wire/codec.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "tapestry.pb.h"
#include "wire/codec_parts.hpp"

namespace base::proto {

using namespace tapestry;  // NOLINT: whose tables these are

constexpr AtMost kRoot{kMaxRoots - 1};
constexpr Count kNodesOfAWay{0, kMaxWay};

PROTO_TABLE(Address, v1::Node, PROTO_FIELD(id), PROTO_FIELD(endpoint, AtMost{kMaxEndpointBytes}), rule(is_somebody))
/// But for the announcement, whose bytes are in the payload.
PROTO_TABLE(Parcel, v1::Parcel, PROTO_FIELD_AS(range.begin, begin), PROTO_FIELD_AS(range.end, end),
            PROTO_FIELD(hops, AtMost{kMaxHops}), PROTO_FIELD_AS(delay, delay_us, kDelay), PROTO_FIELD(last),
            PROTO_FIELD_AS(age, age_s, In<std::chrono::seconds>{kMaxLease}), PROTO_FIELD(confirm))
PROTO_TABLE(Find, v1::Find, PROTO_FIELD(object), PROTO_FIELD(root, kRoot), PROTO_FIELD(count, Between{1, kMaxReplicas}),
            PROTO_FIELD(send), PROTO_FIELD(asker), PROTO_FIELD(number), PROTO_FIELD(tried, Count{0, kMaxTried}),
            PROTO_FIELD(trace), PROTO_FIELD(way, kNodesOfAWay), PROTO_FIELD(message),
            PROTO_FIELD(round, AtMost{kMaxRounds - 1}), PROTO_FIELD(doubt))
PROTO_TABLE(Place, v1::Place, PROTO_FIELD(holder), PROTO_FIELD_AS(delay, delay_us, kDelay))
PROTO_TABLE(Found, v1::Found, PROTO_FIELD(number), PROTO_FIELD(root, kRoot), PROTO_FIELD(places, Count{0, kMaxPlaces}),
            PROTO_FIELD(last), PROTO_FIELD(certain), PROTO_FIELD(way, kNodesOfAWay))
PROTO_TABLE(Deliver, v1::Deliver, PROTO_FIELD(object), PROTO_FIELD(asker, OrNone{}), PROTO_FIELD(root, kRoot),
            PROTO_FIELD(message))
PROTO_TABLE(Delivered, v1::Delivered, PROTO_FIELD(taken), PROTO_FIELD(held), PROTO_FIELD(born))
PROTO_TABLE(Acknowledgement, v1::Acknowledgement, PROTO_FIELD(stamp), PROTO_FIELD_AS(range.begin, begin),
            PROTO_FIELD_AS(range.end, end, AtMost{kMaxObjects}), rule([](const Acknowledgement& acknowledgement) {
                return acknowledgement.range.begin < acknowledgement.range.end;
            }))

}  // namespace base::proto

namespace tapestry {

using base::Errc;
using base::Guid;
using base::Message;
using base::Result;

namespace {

Message wrap(Verb verb, base::Bytes header, base::SharedBytes payload = {}) {
    return {base::Service::tapestry, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
}

template <class T, class Proto>
Result<T> take(base::ByteView header) {
    return base::proto::decode<T, Proto>(header, "a message of Tapestry");
}

}  // namespace

Message encode(const std::vector<Parcel>& parcels, Verb verb) {
    v1::Publish out;
    base::Bytes payload;
    for (const auto& parcel : parcels) {
        auto* one = out.add_parcels();
        base::proto::put(*one, parcel);
        // What adds up from hop to hop stops at the limit: a message must not be refused for it further on.
        one->set_hops(std::min(parcel.hops, kMaxHops));
        const auto age = std::clamp<base::Duration>(parcel.age, base::Duration{}, kMaxLease);
        one->set_age_s(static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(age).count()));
        const auto sealed = parcel.announcement.sealed().view();
        one->set_bytes(static_cast<std::uint32_t>(sealed.size()));
        payload.insert(payload.end(), sealed.begin(), sealed.end());
    }
    return wrap(verb, base::proto::serialize(out), std::move(payload));
}

Message encode(const Find& find, base::SharedBytes payload) {
    return wrap(Verb::find, base::proto::encode<v1::Find>(find), std::move(payload));
}

Message encode(const Found& found) { return wrap(Verb::found, base::proto::encode<v1::Found>(found)); }

Message encode(const Deliver& deliver, base::SharedBytes payload, Verb verb) {
    return wrap(verb, base::proto::encode<v1::Deliver>(deliver), std::move(payload));
}

Message encode(const Delivered& delivered) {
    return wrap(Verb::deliver, base::proto::encode<v1::Delivered>(delivered),
                delivered.withdrawal ? delivered.withdrawal->sealed() : base::SharedBytes{});
}

Message encode(const std::vector<Acknowledgement>& acknowledgements) {
    v1::Arrived out;
    base::proto::put(*out.mutable_acknowledgements(), acknowledgements);
    return wrap(Verb::arrived, base::proto::serialize(out));
}

Message encode_hand_over(std::uint64_t born) {
    v1::HandOver out;
    out.set_born(born);
    return wrap(Verb::hand_over, base::proto::serialize(out));
}

Message encode_handed_over(bool fresh) {
    v1::HandedOver out;
    out.set_fresh(fresh);
    return wrap(Verb::hand_over, base::proto::serialize(out));
}

Message encode_neighbour_query(const Guid& object) {
    v1::NeighbourQuery out;
    base::proto::put(*out.mutable_object(), object);
    return wrap(Verb::neighbour_query, base::proto::serialize(out));
}

Message encode_done(Verb verb) { return wrap(verb, {}); }

Result<std::vector<Parcel>> decode_publish(const Message& message) {
    v1::Publish in;
    if (!base::proto::parse(in, message.header) || static_cast<std::size_t>(in.parcels_size()) > kMaxParcels) {
        return Errc::bad_format;
    }
    std::vector<Parcel> parcels;
    std::size_t at = 0;
    for (const auto& one : in.parcels()) {
        if (one.bytes() > message.payload.size() - at) return Errc::bad_format;
        BASE_TRY(auto announcement, Announcement::decode(message.payload.slice(at, one.bytes())));
        at += one.bytes();
        const auto objects = announcement.size();
        auto& parcel = parcels.emplace_back(Parcel{.announcement = std::move(announcement)});
        if (!base::proto::get(one, parcel)) return Errc::bad_format;
        if (parcel.range.begin >= parcel.range.end || parcel.range.end > objects) return Errc::bad_format;
    }
    if (at != message.payload.size()) return Errc::bad_format;
    return parcels;
}

Result<Find> decode_find(base::ByteView header) { return take<Find, v1::Find>(header); }
Result<Found> decode_found(base::ByteView header) { return take<Found, v1::Found>(header); }
Result<Deliver> decode_deliver(base::ByteView header) { return take<Deliver, v1::Deliver>(header); }

Result<Delivered> decode_delivered(const Message& message) {
    BASE_TRY(auto delivered, (take<Delivered, v1::Delivered>(message.header)));
    if (!message.payload.empty()) {
        BASE_TRY(delivered.withdrawal, Announcement::decode(message.payload));
    }
    return delivered;
}

Result<std::uint64_t> decode_hand_over(base::ByteView header) {
    v1::HandOver in;
    if (!base::proto::parse(in, header)) return Errc::bad_format;
    return in.born();
}

Result<bool> decode_handed_over(base::ByteView header) {
    v1::HandedOver in;
    if (!base::proto::parse(in, header)) return Errc::bad_format;
    return in.fresh();
}

Result<Guid> decode_neighbour_query(base::ByteView header) {
    v1::NeighbourQuery in;
    Guid object;
    if (!base::proto::parse(in, header) || !base::proto::get(in.object(), object)) return Errc::bad_format;
    return object;
}

Result<std::vector<Acknowledgement>> decode_arrived(base::ByteView header) {
    v1::Arrived in;
    std::vector<Acknowledgement> acknowledgements;
    const base::proto::Count limit{0, kMaxParcels};
    if (!base::proto::parse(in, header) || !base::proto::get(in.acknowledgements(), acknowledgements, limit))
        return Errc::bad_format;
    return acknowledgements;
}

}  // namespace tapestry
