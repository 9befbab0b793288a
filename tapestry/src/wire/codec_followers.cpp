#include "wire/codec_followers.hpp"

#include "base/error.hpp"
#include "followers.pb.h"
#include "wire/codec_parts.hpp"

namespace tapestry {
namespace wire = followers::v1;
}

namespace base::proto {

using namespace tapestry;  // NOLINT: whose tables these are

constexpr AtMost kChildren{kMaxChildren};

PROTO_TABLE(Address, wire::Node, PROTO_FIELD(id), PROTO_FIELD(endpoint, AtMost{kMaxEndpointBytes}), rule(is_somebody))
PROTO_TABLE(Rank, wire::Rank, PROTO_FIELD(round), PROTO_FIELD(top, OrNone{}), PROTO_FIELD(depth, AtMost{kMaxDepth}),
            rule([](const Rank& rank) { return rank.round > 0 || rank == Rank{}; }))
PROTO_TABLE(Standing, wire::Standing, PROTO_FIELD(rank), PROTO_FIELD(path, Count{0, kMaxDepth}),
            PROTO_FIELD_AS(delay, delay_us, kDelay), PROTO_FIELD(sequence), PROTO_FIELD(hash, OrNone{}),
            PROTO_FIELD(parent, OrNone{}))
PROTO_TABLE(View, wire::View, PROTO_FIELD(standing), PROTO_FIELD(room, kChildren), PROTO_FIELD(yielding, kChildren),
            PROTO_FIELD(children, Count{0, kMaxChildren}),
            PROTO_FIELD_AS(age, age_ms, In<std::chrono::milliseconds>{std::chrono::hours{24 * 365}}))
PROTO_TABLE(Look, wire::Look, PROTO_FIELD(object), PROTO_FIELD(rank), PROTO_FIELD(sequence), PROTO_FIELD(want))
PROTO_TABLE(Attach, wire::Attach, PROTO_FIELD(object), PROTO_FIELD(rank), PROTO_FIELD(sequence),
            PROTO_FIELD(children, kChildren))
PROTO_TABLE(AttachReply, wire::AttachReply, PROTO_FIELD(verdict, AtMost{Verdict::too_many}), PROTO_FIELD(view))
PROTO_TABLE(tapestry::Digest, wire::Digest, PROTO_FIELD(object), PROTO_FIELD(standing), PROTO_FIELD(evicted))
PROTO_TABLE(Digested, wire::Digested, PROTO_FIELD(yours), PROTO_FIELD(sequence), PROTO_FIELD(children, kChildren))
PROTO_TABLE(Push, wire::Push, PROTO_FIELD(object), PROTO_FIELD(sequence, Between{1, UINT64_MAX}))
PROTO_TABLE(Pushed, wire::Pushed, PROTO_FIELD(taken), PROTO_FIELD(sequence))
PROTO_TABLE(Leave, wire::Leave, PROTO_FIELD(object), PROTO_FIELD(rank), PROTO_FIELD(to, OrNone{}))

}  // namespace base::proto

namespace tapestry {

using base::Errc;
using base::Message;
using base::Result;

namespace {

template <class Proto, class T>
Message send(FollowVerb verb, const T& value, base::SharedBytes payload = {}) {
    return {base::Service::followers, static_cast<std::uint8_t>(verb), base::proto::encode<Proto>(value),
            std::move(payload)};
}

/// The payload may be as long as `most`.
template <class T, class Proto>
Result<T> take(const Message& message, std::size_t most = 0) {
    if (message.payload.size() > most) return Errc::bad_format;
    return base::proto::decode<T, Proto>(message.header, "a message of followers");
}

}  // namespace

Message encode(const Look& look) { return send<wire::Look>(FollowVerb::look, look); }
Message encode(const View& view, base::SharedBytes news) {
    return send<wire::View>(FollowVerb::look, view, std::move(news));
}
Message encode(const Attach& request) { return send<wire::Attach>(FollowVerb::attach, request); }
Message encode(const AttachReply& reply, base::SharedBytes news) {
    return send<wire::AttachReply>(FollowVerb::attach, reply, std::move(news));
}
Message encode(const Digest& digest) { return send<wire::Digest>(FollowVerb::digest, digest); }
Message encode(const Digested& digested) { return send<wire::Digested>(FollowVerb::digest, digested); }
Message encode(const Push& push, base::SharedBytes news) {
    return send<wire::Push>(FollowVerb::push, push, std::move(news));
}
Message encode(const Pushed& pushed) { return send<wire::Pushed>(FollowVerb::push, pushed); }
Message encode(const Leave& leave) { return send<wire::Leave>(FollowVerb::leave, leave); }

Result<Look> decode_look(const Message& message) { return take<Look, wire::Look>(message); }
Result<View> decode_view(const Message& message) { return take<View, wire::View>(message, kMaxNewsBytes); }
Result<Attach> decode_attach(const Message& message) { return take<Attach, wire::Attach>(message); }
Result<AttachReply> decode_attach_reply(const Message& message) {
    return take<AttachReply, wire::AttachReply>(message, kMaxNewsBytes);
}
Result<Digest> decode_digest(const Message& message) { return take<Digest, wire::Digest>(message); }
Result<Digested> decode_digested(const Message& message) { return take<Digested, wire::Digested>(message); }
Result<Push> decode_push(const Message& message) {
    if (message.payload.empty()) return Errc::bad_format;
    return take<Push, wire::Push>(message, kMaxNewsBytes);
}
Result<Pushed> decode_pushed(const Message& message) { return take<Pushed, wire::Pushed>(message); }
Result<Leave> decode_leave(const Message& message) { return take<Leave, wire::Leave>(message); }

}  // namespace tapestry
