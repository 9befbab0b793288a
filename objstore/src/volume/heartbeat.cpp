#include "objstore/heartbeat.hpp"

#include <array>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "past/error.hpp"
#include "past/storage.hpp"

namespace objstore {
namespace {

constexpr std::array<std::uint8_t, 4> kBodyMagic{'P', 'L', 'H', '1'};
constexpr std::array<std::uint8_t, 4> kRecordMagic{'P', 'L', 'C', '1'};
constexpr std::uint8_t kFormat = 1;
constexpr std::string_view kVoteDomain = "pelago heartbeat vote";
constexpr std::size_t kPointerFields = 32 + 32 + 32 + 4 + 1 + 1 + 4 + 8;

// Everything but the pointers.
base::Bytes encode_state(const HeartbeatBody& body) {
    base::Writer out;
    out.raw(kBodyMagic).u8(kFormat).guid(body.aguid).u32(body.epoch).u64(body.sequence).guid(body.vguid);
    out.u64(body.root_sequence).guid(body.tail_digest).guid(body.ring_digest).guid(body.previous).i64(body.time_ns);
    out.u64(body.collected).u64(body.turn);
    return out.take();
}

base::Bytes vote_message(const HeartbeatBody& body, std::uint64_t view, Phase phase) {
    base::Writer out;
    out.u8(static_cast<std::uint8_t>(phase)).u32(body.epoch).u64(view).guid(body.hash());
    return out.take();
}

base::Bytes encode_root(const BlockRef& root) {
    base::Writer out;
    out.guid(root.id).raw(root.ref_key).raw(root.body_key).u32(root.sealed_bytes);
    out.u8(static_cast<std::uint8_t>(root.type)).u8(root.group_bits).u32(root.key_epoch).u64(root.birth);
    return out.take();
}

std::optional<BlockRef> decode_root(base::ByteView bytes) {
    if (bytes.size() != kPointerFields) return std::nullopt;
    base::Reader in{bytes};
    BlockRef out;
    out.id = in.guid();
    out.ref_key = in.array<32>();
    out.body_key = in.array<32>();
    out.sealed_bytes = in.u32();
    out.type = static_cast<BlockType>(in.u8());
    out.group_bits = in.u8();
    out.key_epoch = in.u32();
    out.birth = in.u64();
    if (out.group_bits < kMinGroupBits || out.group_bits > kMaxGroupBits) return std::nullopt;
    return out;
}

base::Error bad_record(std::string_view what) { return base::Error{past::Errc::bad_record, std::string{what}}; }

}  // namespace

base::Bytes HeartbeatBody::encode() const {
    base::Writer out;
    out.raw(encode_state(*this));
    out.u8(static_cast<std::uint8_t>(pointers.size()));
    for (const auto& pointer : pointers) {
        out.u8(static_cast<std::uint8_t>(pointer.kind)).u32(pointer.key_epoch).bytes(pointer.sealed);
    }
    return out.take();
}

base::Result<HeartbeatBody> HeartbeatBody::decode(base::ByteView bytes) {
    base::Reader in{bytes};
    HeartbeatBody out;
    const auto magic = in.array<4>();
    const auto format = in.u8();
    if (!in.ok() || magic != kBodyMagic) return base::Error{base::Errc::bad_format, "not a heartbeat"};
    if (format != kFormat) return base::Error{base::Errc::unsupported, "a heartbeat of a later version"};
    out.aguid = in.guid();
    out.epoch = in.u32();
    out.sequence = in.u64();
    out.vguid = in.guid();
    out.root_sequence = in.u64();
    out.tail_digest = in.guid();
    out.ring_digest = in.guid();
    out.previous = in.guid();
    out.time_ns = in.i64();
    out.collected = in.u64();
    out.turn = in.u64();
    const auto count = in.u8();
    if (count > kMaxPointers || !in.fits(count, 6)) return base::Error{base::Errc::bad_format, "too many pointers"};
    for (unsigned i = 0; i < count; ++i) {
        SealedPointer pointer;
        pointer.kind = static_cast<PointerKind>(in.u8());
        pointer.key_epoch = in.u32();
        pointer.sealed = base::to_bytes(in.bytes(kMaxPointerBytes));
        out.pointers.push_back(std::move(pointer));
    }
    if (!in.complete()) return base::Error{base::Errc::bad_format, "a heartbeat that does not parse"};
    if (out.sequence == 0 || out.root_sequence > out.sequence || out.collected >= out.sequence) {
        return base::Error{base::Errc::bad_format, "a heartbeat of an impossible sequence"};
    }
    return out;
}

base::Guid HeartbeatBody::hash() const { return base::sha256({base::as_bytes("pelago heartbeat"), encode()}); }

base::Bytes Heartbeat::encode() const {
    base::Writer out;
    out.raw(kRecordMagic).u8(kFormat).raw(owner).guid(name_digest).bytes(body.encode());
    out.u8(static_cast<std::uint8_t>(votes.size()));
    for (const auto& vote : votes) {
        out.raw(vote.signer).u64(vote.view).u8(static_cast<std::uint8_t>(vote.phase)).raw(vote.signature);
    }
    return out.take();
}

base::Result<Heartbeat> Heartbeat::decode(base::ByteView bytes) {
    if (bytes.size() > kMaxHeartbeatBytes) return base::Error{base::Errc::bad_format, "a heartbeat that is too long"};
    base::Reader in{bytes};
    Heartbeat out;
    const auto magic = in.array<4>();
    const auto format = in.u8();
    if (!in.ok() || magic != kRecordMagic) return base::Error{base::Errc::bad_format, "not a heartbeat"};
    if (format != kFormat) return base::Error{base::Errc::unsupported, "a heartbeat of a later version"};
    out.owner = in.array<32>();
    out.name_digest = in.guid();
    const auto body = in.bytes(kMaxHeartbeatBytes);
    const auto count = in.u8();
    if (!in.ok() || count > kMaxVotes || !in.fits(count, 105)) {
        return base::Error{base::Errc::bad_format, "a heartbeat that does not parse"};
    }
    BASE_TRY(out.body, HeartbeatBody::decode(body));
    for (unsigned i = 0; i < count; ++i) {
        Vote vote;
        vote.signer = in.array<32>();
        vote.view = in.u64();
        vote.phase = static_cast<Phase>(in.u8());
        vote.signature = in.array<64>();
        out.votes.push_back(vote);
    }
    if (!in.complete()) return base::Error{base::Errc::bad_format, "a heartbeat that does not parse"};
    return out;
}

Vote vote_for(const base::SigningKey& key, const HeartbeatBody& body, std::uint64_t view, Phase phase) {
    Vote vote;
    vote.signer = key.public_key();
    vote.view = view;
    vote.phase = phase;
    vote.signature = key.sign(kVoteDomain, vote_message(body, view, phase));
    return vote;
}

base::Result<std::uint64_t> verify_heartbeat(const base::Guid& aguid, base::ByteView bytes) {
    const auto heartbeat = Heartbeat::decode(bytes);
    if (!heartbeat && heartbeat.error() == base::Errc::unsupported) return heartbeat.error();
    if (!heartbeat) return bad_record(heartbeat.error().detail());
    const auto& body = heartbeat->body;
    if (past::volume_guid(heartbeat->owner, heartbeat->name_digest) != aguid || body.aguid != aguid) {
        return bad_record("a heartbeat of another volume");
    }
    // The members of epoch 0 are the owner alone, so its quorum is one vote. Later epochs bring their members with
    // them.
    if (body.epoch != 0) {
        return base::Error{base::Errc::unsupported, "a heartbeat of an epoch this version does not know"};
    }
    if (body.ring_digest != owner_ring_digest(heartbeat->owner)) return bad_record("a heartbeat of another ring");
    // Exactly one: a vote more would be a second encoding of the same certified state, for anybody to make.
    const auto& votes = heartbeat->votes;
    if (votes.size() != 1 || votes.front().signer != heartbeat->owner || votes.front().phase != Phase::commit ||
        !base::verify_signature(votes.front().signer, kVoteDomain,
                                vote_message(body, votes.front().view, votes.front().phase), votes.front().signature)) {
        return bad_record("a heartbeat without a quorum of votes");
    }
    return body.sequence;
}

base::Guid empty_tail_digest() { return base::sha256(base::as_bytes("pelago log tail")); }

base::Guid owner_ring_digest(const base::PublicKey& owner) {
    base::Writer state;
    state.u8(kFormat).u32(0).u8(1).raw(owner);  // format, epoch, number of members, the member
    return base::sha256({base::as_bytes("pelago ring state"), state.view()});
}

namespace {

// What a pointer is bound to: what the writer of the root knows. So a later state of the same root, which others may
// order, carries it unchanged.
base::Bytes pointer_context(const HeartbeatBody& body, std::uint32_t key_epoch, PointerKind kind) {
    base::Writer out;
    out.guid(body.aguid).guid(body.vguid).u64(body.root_sequence).u32(key_epoch).u8(static_cast<std::uint8_t>(kind));
    return out.take();
}

std::optional<BlockRef> open_pointer(const EpochKeys& keys, const HeartbeatBody& body, const SealedPointer& pointer) {
    if (pointer.key_epoch != keys.epoch || pointer.sealed.size() < 32) return std::nullopt;
    const auto context = pointer_context(body, pointer.key_epoch, pointer.kind);
    const auto tag = base::ByteView{pointer.sealed}.first(32);
    const auto key = base::derive_key(keys.pointer, "pelago root pointer", tag);
    const auto plaintext = base::open_once(key, context, base::ByteView{pointer.sealed}.subspan(32));
    if (!plaintext) return std::nullopt;
    if (!base::equal_in_constant_time(base::hmac_sha256(keys.pointer, {context, *plaintext}), tag)) return std::nullopt;
    return decode_root(*plaintext);
}

}  // namespace

// A synthetic nonce in the manner of SIV: the tag of what is sealed, under the pointer key, is both the proof that the
// key is right (it commits to it) and what the one-time key follows from. So two heartbeats never share a key, whatever
// a writer does.
SealedPointer seal_pointer(const EpochKeys& keys, const HeartbeatBody& body, const BlockRef& root, PointerKind kind) {
    const auto context = pointer_context(body, keys.epoch, kind);
    const auto plaintext = encode_root(root);
    const auto tag = base::hmac_sha256(keys.pointer, {context, plaintext});
    const auto key = base::derive_key(keys.pointer, "pelago root pointer", tag);
    SealedPointer out;
    out.kind = kind;
    out.key_epoch = keys.epoch;
    out.sealed.assign(tag.begin(), tag.end());
    base::seal_once_to(out.sealed, key, context, plaintext);
    return out;
}

base::Result<RootPointers> open_pointers(const EpochKeys& keys, const HeartbeatBody& body) {
    RootPointers out;
    bool found = false;
    for (const auto& pointer : body.pointers) {
        if (pointer.kind == PointerKind::verify) continue;
        auto root = open_pointer(keys, body, pointer);
        if (!root) continue;
        switch (pointer.kind) {
            case PointerKind::read:
                if (found || root->id != body.vguid) break;
                out.root = std::move(*root);
                found = true;
                break;
            case PointerKind::spare: out.spare = std::move(root); break;
            case PointerKind::earlier: out.earlier.push_back(std::move(*root)); break;
            case PointerKind::verify: break;
        }
    }
    if (!found) return base::Error{Errc::wrong_key};
    return out;
}

}  // namespace objstore
