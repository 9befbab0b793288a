#include "wire/codec.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "tapestry.pb.h"
#include "wire/codec_parts.hpp"

namespace tapestry {

using base::Errc;
using base::Guid;
using base::Message;
using base::Result;

namespace {

template <class Proto>
Message wrap(Verb verb, const Proto& proto, base::SharedBytes payload = {}) {
    return tapestry::wrap(base::Service::tapestry, static_cast<std::uint8_t>(verb), proto, std::move(payload));
}

/// What adds up from hop to hop stops at the limit: a message must not be refused for it further on.
std::uint64_t microseconds_within_limit(base::Duration delay) {
    return microseconds(std::clamp(delay, base::Duration{}, kMaxDelay));
}

}  // namespace

Message encode(const std::vector<Parcel>& parcels, Verb verb) {
    v1::Publish out;
    base::Bytes payload;
    for (const auto& parcel : parcels) {
        auto* one = out.add_parcels();
        const auto sealed = parcel.announcement.sealed().view();
        one->set_bytes(static_cast<std::uint32_t>(sealed.size()));
        one->set_begin(static_cast<std::uint32_t>(parcel.range.begin));
        one->set_end(static_cast<std::uint32_t>(parcel.range.end));
        one->set_hops(std::min(parcel.hops, kMaxHops));
        one->set_delay_us(microseconds_within_limit(parcel.delay));
        one->set_last(parcel.last);
        const auto age = std::clamp<base::Duration>(parcel.age, base::Duration{}, kMaxLease);
        one->set_age_s(static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(age).count()));
        one->set_confirm(parcel.confirm);
        payload.insert(payload.end(), sealed.begin(), sealed.end());
    }
    return wrap(verb, out, std::move(payload));
}

Message encode(const Find& find, base::SharedBytes payload) {
    v1::Find out;
    out.set_object(bytes_of(find.object.view()));
    out.set_root(find.root);
    out.set_count(find.count);
    out.set_send(find.send);
    put(out.mutable_asker(), find.asker);
    out.set_number(find.number);
    for (const auto& id : find.tried) out.add_tried(bytes_of(id.view()));
    out.set_trace(find.trace);
    for (const auto& node : find.way) put(out.add_way(), node);
    out.set_message(find.message);
    out.set_round(find.round);
    out.set_doubt(find.doubt);
    return wrap(Verb::find, out, std::move(payload));
}

Message encode(const Found& found) {
    v1::Found out;
    out.set_number(found.number);
    out.set_root(found.root);
    for (const auto& place : found.places) {
        auto* one = out.add_places();
        put(one->mutable_holder(), place.holder);
        one->set_delay_us(microseconds_within_limit(place.delay));
    }
    out.set_last(found.last);
    out.set_certain(found.certain);
    for (const auto& node : found.way) put(out.add_way(), node);
    return wrap(Verb::found, out);
}

Message encode(const Deliver& deliver, base::SharedBytes payload, Verb verb) {
    v1::Deliver out;
    out.set_object(bytes_of(deliver.object.view()));
    if (!deliver.asker.id.is_zero()) put(out.mutable_asker(), deliver.asker);  // verb have: nobody
    out.set_root(deliver.root);
    out.set_message(deliver.message);
    return wrap(verb, out, std::move(payload));
}

Message encode(const Delivered& delivered) {
    v1::Delivered out;
    out.set_taken(delivered.taken);
    out.set_held(delivered.held);
    out.set_born(delivered.born);
    return wrap(Verb::deliver, out, delivered.withdrawal ? delivered.withdrawal->sealed() : base::SharedBytes{});
}

Message encode(const std::vector<Acknowledgement>& acknowledgements) {
    v1::Arrived out;
    for (const auto& acknowledgement : acknowledgements) {
        auto* one = out.add_acknowledgements();
        one->set_stamp(acknowledgement.stamp);
        one->set_begin(static_cast<std::uint32_t>(acknowledgement.range.begin));
        one->set_end(static_cast<std::uint32_t>(acknowledgement.range.end));
    }
    return wrap(Verb::arrived, out);
}

Message encode_hand_over(std::uint64_t born) {
    v1::HandOver out;
    out.set_born(born);
    return wrap(Verb::hand_over, out);
}

Message encode_handed_over(bool fresh) {
    v1::HandedOver out;
    out.set_fresh(fresh);
    return wrap(Verb::hand_over, out);
}

Message encode_beside(const Guid& object) {
    v1::Beside out;
    out.set_object(bytes_of(object.view()));
    return wrap(Verb::beside, out);
}

Message encode_done(Verb verb) { return {base::Service::tapestry, static_cast<std::uint8_t>(verb), {}}; }

Result<std::vector<Parcel>> decode_publish(const Message& message) {
    v1::Publish in;
    if (!parse(in, message.header) || static_cast<std::size_t>(in.parcels_size()) > kMaxParcels) {
        return Errc::bad_format;
    }
    Taker take;
    std::vector<Parcel> parcels;
    std::size_t at = 0;
    for (const auto& one : in.parcels()) {
        if (one.bytes() > message.payload.size() - at) return Errc::bad_format;
        BASE_TRY(auto announcement, Announcement::decode(message.payload.slice(at, one.bytes())));
        at += one.bytes();
        take.require(one.begin() < one.end() && one.end() <= announcement.size() && one.hops() <= kMaxHops);
        take.require(one.age_s() <= kMaxLease.count());
        parcels.push_back({.announcement = std::move(announcement),
                           .range = {one.begin(), one.end()},
                           .hops = one.hops(),
                           .delay = take.delay(one.delay_us()),
                           .last = one.last(),
                           .age = std::chrono::seconds{one.age_s()},
                           .confirm = one.confirm()});
    }
    if (!take.ok() || at != message.payload.size()) return Errc::bad_format;
    return parcels;
}

Result<Find> decode_find(base::ByteView header) {
    v1::Find in;
    if (!parse(in, header)) return Errc::bad_format;
    Taker take;
    take.require(in.root() < kMaxRoots && in.count() >= 1 && in.count() <= kMaxReplicas);
    take.require(in.round() < kMaxRounds);
    take.require(static_cast<std::size_t>(in.tried_size()) <= kMaxTried);
    if (!take.ok()) return Errc::bad_format;
    Find find;
    find.object = take.guid(in.object());
    find.root = in.root();
    find.count = in.count();
    find.send = in.send();
    find.asker = take.node(in.asker());
    find.number = in.number();
    for (const auto& id : in.tried()) find.tried.push_back(take.guid(id));
    find.trace = in.trace();
    find.way = take.nodes(in.way(), kMaxWay);
    find.message = in.message();
    find.round = in.round();
    find.doubt = in.doubt();
    if (!take.ok()) return Errc::bad_format;
    return find;
}

Result<Found> decode_found(base::ByteView header) {
    v1::Found in;
    if (!parse(in, header)) return Errc::bad_format;
    Taker take;
    take.require(in.root() < kMaxRoots);
    take.require(static_cast<std::size_t>(in.places_size()) <= kMaxPlaces);
    if (!take.ok()) return Errc::bad_format;
    Found found;
    found.number = in.number();
    found.root = in.root();
    for (const auto& place : in.places()) {
        auto holder = take.node(place.holder());
        found.places.push_back({std::move(holder), take.delay(place.delay_us())});
    }
    found.last = in.last();
    found.certain = in.certain();
    found.way = take.nodes(in.way(), kMaxWay);
    if (!take.ok()) return Errc::bad_format;
    return found;
}

Result<Deliver> decode_deliver(base::ByteView header) {
    v1::Deliver in;
    if (!parse(in, header)) return Errc::bad_format;
    Taker take;
    Deliver deliver;
    deliver.object = take.guid(in.object());
    if (in.has_asker()) deliver.asker = take.node(in.asker());
    take.require(in.root() < kMaxRoots);
    deliver.root = in.root();
    deliver.message = in.message();
    if (!take.ok()) return Errc::bad_format;
    return deliver;
}

Result<Delivered> decode_delivered(const Message& message) {
    v1::Delivered in;
    if (!parse(in, message.header)) return Errc::bad_format;
    Delivered delivered{.taken = in.taken(), .held = in.held(), .born = in.born(), .withdrawal = {}};
    if (!message.payload.empty()) {
        BASE_TRY(delivered.withdrawal, Announcement::decode(message.payload));
    }
    return delivered;
}

Result<std::uint64_t> decode_hand_over(base::ByteView header) {
    v1::HandOver in;
    if (!parse(in, header)) return Errc::bad_format;
    return in.born();
}

Result<bool> decode_handed_over(base::ByteView header) {
    v1::HandedOver in;
    if (!parse(in, header)) return Errc::bad_format;
    return in.fresh();
}

Result<Guid> decode_beside(base::ByteView header) {
    v1::Beside in;
    Taker take;
    if (!parse(in, header)) return Errc::bad_format;
    const auto object = take.guid(in.object());
    if (!take.ok()) return Errc::bad_format;
    return object;
}

Result<std::vector<Acknowledgement>> decode_arrived(base::ByteView header) {
    v1::Arrived in;
    if (!parse(in, header) || static_cast<std::size_t>(in.acknowledgements_size()) > kMaxParcels)
        return Errc::bad_format;
    std::vector<Acknowledgement> acknowledgements;
    for (const auto& one : in.acknowledgements()) {
        if (one.begin() >= one.end() || one.end() > kMaxObjects) return Errc::bad_format;
        acknowledgements.push_back({one.stamp(), {one.begin(), one.end()}});
    }
    return acknowledgements;
}

}  // namespace tapestry
