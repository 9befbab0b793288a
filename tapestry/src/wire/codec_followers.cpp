#include "wire/codec_followers.hpp"

#include "base/error.hpp"
#include "followers.pb.h"
#include "wire/codec_parts.hpp"

namespace tapestry {

using base::Errc;
using base::Guid;
using base::Message;
using base::Result;

namespace wire = followers::v1;

namespace {

using tapestry::put;

constexpr std::chrono::hours kLongestAge{24 * 365};

template <class Proto>
Message wrap(FollowVerb verb, const Proto& proto, base::SharedBytes payload = {}) {
    return tapestry::wrap(base::Service::followers, static_cast<std::uint8_t>(verb), proto, std::move(payload));
}

void put(wire::Rank* out, const Rank& rank) {
    out->set_round(rank.round);
    if (rank.round > 0) out->set_top(bytes_of(rank.top.view()));
    out->set_depth(rank.depth);
}

void put(wire::Standing* out, const Standing& standing) {
    put(out->mutable_rank(), standing.rank);
    std::string path;
    for (const auto& id : standing.path) path += base::as_text(id.view());
    out->set_path(std::move(path));
    out->set_delay_us(microseconds(standing.delay));
    out->set_sequence(standing.sequence);
    if (standing.sequence > 0) out->set_hash(bytes_of(standing.hash.view()));
    if (!standing.parent.id.is_zero()) put(out->mutable_parent(), standing.parent);
}

void put(wire::View* out, const View& view) {
    put(out->mutable_standing(), view.standing);
    out->set_room(view.room);
    out->set_yielding(view.yielding);
    for (const auto& child : view.children) put(out->add_children(), child);
    const auto age = std::min<base::Duration>(view.age, kLongestAge);
    out->set_age_ms(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(age).count()));
}

Rank take_rank(Taker& take, const wire::Rank& in) {
    take.require(in.depth() <= kMaxDepth && (in.round() > 0 || (in.top().empty() && in.depth() == 0)));
    if (!take.ok() || in.round() == 0) return {};
    return {in.round(), take.guid(in.top()), in.depth()};
}

std::vector<base::NodeId> take_path(Taker& take, const std::string& in) {
    std::vector<base::NodeId> path;
    take.require(in.size() % Guid::kBytes == 0 && in.size() / Guid::kBytes <= kMaxDepth);
    if (!take.ok()) return path;
    for (std::size_t at = 0; at < in.size(); at += Guid::kBytes) {
        path.push_back(take.guid(in.substr(at, Guid::kBytes)));
    }
    return path;
}

Standing take_standing(Taker& take, const wire::Standing& in) {
    Standing standing;
    standing.rank = take_rank(take, in.rank());
    standing.path = take_path(take, in.path());
    standing.delay = take.delay(in.delay_us());
    standing.sequence = in.sequence();
    if (in.sequence() > 0) standing.hash = take.guid(in.hash());
    if (in.has_parent()) standing.parent = take.node(in.parent());
    return standing;
}

View take_view(Taker& take, const wire::View& in) {
    View view;
    view.standing = take_standing(take, in.standing());
    take.require(in.room() <= kMaxChildren && in.yielding() <= kMaxChildren);
    view.room = in.room();
    view.yielding = in.yielding();
    view.children = take.nodes(in.children(), kMaxChildren);
    take.require(in.age_ms() <= static_cast<std::uint64_t>(std::chrono::milliseconds{kLongestAge}.count()));
    if (take.ok()) view.age = std::chrono::milliseconds{in.age_ms()};
    return view;
}

/// Decodes `message` by `read(take, proto)`; its payload may be as long as `most`.
template <class Proto, class Read>
auto decode(const Message& message, std::size_t most, Read read)
    -> Result<decltype(read(std::declval<Taker&>(), std::declval<const Proto&>()))> {
    Proto in;
    if (message.payload.size() > most || !parse(in, message.header)) return Errc::bad_format;
    Taker take;
    auto value = read(take, in);
    if (!take.ok()) return Errc::bad_format;
    return value;
}

}  // namespace

Message encode(const Look& look) {
    wire::Look out;
    out.set_object(bytes_of(look.object.view()));
    put(out.mutable_rank(), look.rank);
    out.set_sequence(look.sequence);
    out.set_want(look.want);
    return wrap(FollowVerb::look, out);
}

Message encode(const View& view, base::SharedBytes news) {
    wire::View out;
    put(&out, view);
    return wrap(FollowVerb::look, out, std::move(news));
}

Message encode(const Hang& hang) {
    wire::Hang out;
    out.set_object(bytes_of(hang.object.view()));
    put(out.mutable_rank(), hang.rank);
    out.set_sequence(hang.sequence);
    out.set_children(hang.children);
    return wrap(FollowVerb::hang, out);
}

Message encode(const Hung& hung, base::SharedBytes news) {
    wire::Hung out;
    out.set_verdict(static_cast<std::uint32_t>(hung.verdict));
    put(out.mutable_view(), hung.view);
    return wrap(FollowVerb::hang, out, std::move(news));
}

Message encode(const Digest& digest) {
    wire::Digest out;
    out.set_object(bytes_of(digest.object.view()));
    put(out.mutable_standing(), digest.standing);
    out.set_evicted(digest.evicted);
    return wrap(FollowVerb::digest, out);
}

Message encode(const Digested& digested) {
    wire::Digested out;
    out.set_yours(digested.yours);
    out.set_sequence(digested.sequence);
    out.set_children(digested.children);
    return wrap(FollowVerb::digest, out);
}

Message encode(const Push& push, base::SharedBytes news) {
    wire::Push out;
    out.set_object(bytes_of(push.object.view()));
    out.set_sequence(push.sequence);
    return wrap(FollowVerb::push, out, std::move(news));
}

Message encode(const Pushed& pushed) {
    wire::Pushed out;
    out.set_taken(pushed.taken);
    out.set_sequence(pushed.sequence);
    return wrap(FollowVerb::push, out);
}

Message encode(const Leave& leave) {
    wire::Leave out;
    out.set_object(bytes_of(leave.object.view()));
    put(out.mutable_rank(), leave.rank);
    if (!leave.to.id.is_zero()) put(out.mutable_to(), leave.to);
    return wrap(FollowVerb::leave, out);
}

Result<Look> decode_look(const Message& message) {
    return decode<wire::Look>(message, 0, [](Taker& take, const wire::Look& in) {
        return Look{take.guid(in.object()), take_rank(take, in.rank()), in.sequence(), in.want()};
    });
}

Result<View> decode_view(const Message& message) {
    return decode<wire::View>(message, kMaxNewsBytes,
                              [](Taker& take, const wire::View& in) { return take_view(take, in); });
}

Result<Hang> decode_hang(const Message& message) {
    return decode<wire::Hang>(message, 0, [](Taker& take, const wire::Hang& in) {
        take.require(in.children() <= kMaxChildren);
        return Hang{take.guid(in.object()), take_rank(take, in.rank()), in.sequence(), in.children()};
    });
}

Result<Hung> decode_hung(const Message& message) {
    return decode<wire::Hung>(message, kMaxNewsBytes, [](Taker& take, const wire::Hung& in) {
        take.require(in.verdict() <= static_cast<std::uint32_t>(Verdict::too_many));
        return Hung{static_cast<Verdict>(in.verdict()), take_view(take, in.view())};
    });
}

Result<Digest> decode_digest(const Message& message) {
    return decode<wire::Digest>(message, 0, [](Taker& take, const wire::Digest& in) {
        return Digest{take.guid(in.object()), take_standing(take, in.standing()), in.evicted()};
    });
}

Result<Digested> decode_digested(const Message& message) {
    return decode<wire::Digested>(message, 0, [](Taker& take, const wire::Digested& in) {
        take.require(in.children() <= kMaxChildren);
        return Digested{in.yours(), in.sequence(), in.children()};
    });
}

Result<Push> decode_push(const Message& message) {
    return decode<wire::Push>(message, kMaxNewsBytes, [&](Taker& take, const wire::Push& in) {
        take.require(in.sequence() > 0 && !message.payload.empty());
        return Push{take.guid(in.object()), in.sequence()};
    });
}

Result<Pushed> decode_pushed(const Message& message) {
    return decode<wire::Pushed>(message, 0,
                                [](Taker&, const wire::Pushed& in) { return Pushed{in.taken(), in.sequence()}; });
}

Result<Leave> decode_leave(const Message& message) {
    return decode<wire::Leave>(message, 0, [](Taker& take, const wire::Leave& in) {
        Leave leave{take.guid(in.object()), take_rank(take, in.rank()), {}};
        if (in.has_to()) leave.to = take.node(in.to());
        return leave;
    });
}

}  // namespace tapestry
