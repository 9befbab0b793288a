// The signed newest state of a volume: a body, and a quorum of votes for it.
//
// Format: docs/formats/volume.md, section "Heartbeat". Pure functions and plain values; any thread.
// Paper: Kubiatowicz et al. 2000 (OceanStore) and Rhea et al. 2003 (Pond), the heartbeat. Where we differ:
// docs/papers.md#heartbeat.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "objstore/block.hpp"
#include "objstore/keys.hpp"

namespace objstore {

constexpr std::size_t kMaxHeartbeatBytes = 32U << 10U;  ///< certificate included
constexpr std::size_t kMaxVotes = 64;
constexpr std::size_t kMaxPointers = 16;
constexpr std::size_t kMaxPointerBytes = 512;

/// Who can open a root pointer.
enum class PointerKind : std::uint8_t {
    read = 1,     ///< sealed for holders of the key epoch's pointer key: everything in BlockRef
    verify = 2,   ///< reserved for the verify capability: K_ref, length, place
    spare = 3,    ///< as read, of a second copy of the root: the same content under other keys, so another block
    earlier = 4,  ///< as read, of the root of a state before this one; the newest first
};

struct SealedPointer {
    PointerKind kind = PointerKind::read;
    std::uint32_t key_epoch = 0;
    base::Bytes sealed;
    friend bool operator==(const SealedPointer&, const SealedPointer&) = default;
};

struct HeartbeatBody {
    base::Guid aguid;
    std::uint32_t epoch = 0;          ///< of the ring; 0: the owner alone
    std::uint64_t sequence = 0;       ///< from 1, one more each time
    base::Guid vguid;                 ///< BGUID of the forest's root
    std::uint64_t root_sequence = 0;  ///< of the state that the root holds; the log tail holds the rest
    base::Guid tail_digest;
    base::Guid ring_digest;
    base::Guid previous;       ///< hash of the body before; zero at sequence 1
    std::int64_t time_ns = 0;  ///< wall clock of the signer, for people
    /// Blocks that nobody names may have lost their tags of generations up to this one (docs/decisions/
    /// garbage-collection.md); below `sequence`.
    std::uint64_t collected = 0;
    /// The writer that the next state is left to, by a number it drew; 0: nobody (docs/decisions/live-tree.md,
    /// "Turns").
    std::uint64_t turn = 0;
    std::vector<SealedPointer> pointers;

    [[nodiscard]] base::Bytes encode() const;
    [[nodiscard]] static base::Result<HeartbeatBody> decode(base::ByteView bytes);
    /// SHA-256("pelago heartbeat", encoding): its identity, and what is voted for.
    [[nodiscard]] base::Guid hash() const;
    friend bool operator==(const HeartbeatBody&, const HeartbeatBody&) = default;
};

enum class Phase : std::uint8_t { prepare = 1, commit = 2 };

struct Vote {
    base::PublicKey signer{};
    std::uint64_t view = 0;
    Phase phase = Phase::commit;
    base::Signature signature{};
    friend bool operator==(const Vote&, const Vote&) = default;
};

/// What PAST keeps as the volume's record.
struct Heartbeat {
    base::PublicKey owner{};
    base::Guid name_digest;  ///< with owner it proves the AGUID
    HeartbeatBody body;
    std::vector<Vote> votes;

    [[nodiscard]] base::Bytes encode() const;
    [[nodiscard]] static base::Result<Heartbeat> decode(base::ByteView bytes);
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

/// A vote of `key` for a body.
[[nodiscard]] Vote vote_for(const base::SigningKey& key, const HeartbeatBody& body, std::uint64_t view, Phase phase);

/// past::Errc::bad_record unless `bytes` are a heartbeat of the volume that `aguid` names, with a quorum of commit
/// votes of one view by the members of its epoch (epoch 0: the owner). base::Errc::unsupported if it is of a format or
/// epoch that only later versions know: nothing is wrong with it. Returns the sequence. Fits past::RecordVerifier.
[[nodiscard]] base::Result<std::uint64_t> verify_heartbeat(const base::Guid& aguid, base::ByteView bytes);

/// Digest of a log tail without updates.
[[nodiscard]] base::Guid empty_tail_digest();
/// Digest of the ring state of epoch 0: one member, the owner, and no updates remembered.
[[nodiscard]] base::Guid owner_ring_digest(const base::PublicKey& owner);

/// Roots that a reader finds in a heartbeat.
struct RootPointers {
    BlockRef root;
    std::optional<BlockRef> spare;  ///< to read when the root cannot be
    std::vector<BlockRef> earlier;  ///< to fall back to when neither can
};

/// Seals the reference of a root for readers; bound to the volume, the root and its sequence in `body`, and to `kind`.
[[nodiscard]] SealedPointer seal_pointer(const EpochKeys& keys, const HeartbeatBody& body, const BlockRef& root,
                                         PointerKind kind = PointerKind::read);
/// Errc::wrong_key if none of the body's pointers opens with these keys.
[[nodiscard]] base::Result<RootPointers> open_pointers(const EpochKeys& keys, const HeartbeatBody& body);

}  // namespace objstore
