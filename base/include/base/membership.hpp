// Who may enter a network: the values that the authority signs. Checked inside the TLS handshake.
//
// Formats: docs/formats/membership.md. Plain values; any thread. Joining itself is a conversation (tools/daemon).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"

namespace base {

enum class Role : std::uint8_t {
    storage = 1,  ///< a dialable daemon: leaf sets, tables, placement
    client = 2,   ///< authenticated, routes through storage peers, never holds a key range
};

/// SHA-256("pelago network", authority key, name).
[[nodiscard]] Guid network_id(const PublicKey& authority, std::string_view name);
/// SHA-256("pelago node", key, salt). The issuer draws the salt after it has seen the key, so nobody chooses an id.
[[nodiscard]] NodeId node_id(const PublicKey& key, const Key& salt);

/// What the authority says of one node. Immutable once issued.
struct Certificate {
    Guid network;
    PublicKey key{};
    Key salt{};
    Role role = Role::storage;
    std::string failure_domain;        ///< copies go to distinct ones; "" counts as the node's own
    std::uint64_t capacity_bytes = 0;  ///< offered; 0 = not said
    bool ring_eligible = false;        ///< may sit in inner rings
    std::uint64_t serial = 0;          ///< distinct per network
    std::int64_t not_before_ns = 0;    ///< wall clock, ns since 1970
    std::int64_t not_after_ns = 0;
    Signature signature{};  ///< by the authority, domain "pelago certificate"

    [[nodiscard]] NodeId id() const { return node_id(key, salt); }
    [[nodiscard]] Bytes body() const;    ///< what is signed
    [[nodiscard]] Bytes encode() const;  ///< body and signature
    /// Errc::bad_format, or Errc::unsupported for a later version. Verifies nothing.
    [[nodiscard]] static Result<Certificate> decode(ByteView bytes);
};

constexpr std::int64_t kClockSlackNs = 86'400'000'000'000;  ///< a day either way

/// Errc::not_a_member with the reason (other network, forged, expired, not yet valid), or success. Expiry stops new
/// handshakes only, with kClockSlackNs either way.
[[nodiscard]] Result<void> check_certificate(const Certificate& certificate, const Guid& network,
                                             const PublicKey& authority, std::int64_t wall_ns);

/// Network-wide settings; the highest version that verifies is in force.
struct Policy {
    Guid network;
    std::uint64_t version = 0;
    std::uint8_t copies = 3;
    std::uint8_t min_copies = 2;
    std::chrono::milliseconds repair_after = std::chrono::hours{1};
    std::chrono::milliseconds reclaim_grace = std::chrono::hours{24 * 7};
    Signature signature{};  ///< domain "pelago policy"

    [[nodiscard]] Bytes body() const;
    [[nodiscard]] Bytes encode() const;
    [[nodiscard]] static Result<Policy> decode(ByteView bytes);
    /// Errc::bad_argument naming the field: 1 <= min_copies <= copies <= 16, repair_after >= 1 s.
    [[nodiscard]] Result<void> check() const;
};

/// Who was admitted, and who was removed again for good. The authority signs each new version, always on the member
/// named by `seat`: so versions follow one another in one line. The highest that verifies is in force.
struct Roster {
    struct Member {
        NodeId id;
        Role role = Role::storage;
        std::string failure_domain;
        std::uint64_t serial = 0;
        bool revoked = false;   ///< removed: it counts for nothing any more, and never will
        bool draining = false;  ///< it is about to leave: given no copies, its own count for none; never with `revoked`
    };
    Guid network;
    std::uint64_t version = 0;
    NodeId seat;                  ///< where the authority acts
    std::vector<Member> members;  ///< sorted by id, no duplicates, at most kMaxRosterMembers
    Signature signature{};        ///< domain "pelago roster"

    /// Members that store and are not revoked.
    [[nodiscard]] std::size_t storage_peers() const;
    /// Of those, the ones that are not draining: what effective copies are counted from.
    [[nodiscard]] std::size_t holders() const;
    [[nodiscard]] const Member* find(const NodeId& id) const;
    [[nodiscard]] bool removed(const NodeId& id) const;
    [[nodiscard]] bool draining(const NodeId& id) const;
    [[nodiscard]] Bytes body() const;
    [[nodiscard]] Bytes encode() const;
    [[nodiscard]] static Result<Roster> decode(ByteView bytes);
};

/// min(copies, holders in the roster), at least 1.
[[nodiscard]] unsigned effective_copies(const Policy& policy, const Roster& roster);

/// What `network invite` prints: names one issuer, is spent once. Text form: "pelago1-" and base64url.
struct Token {
    Guid network;
    PublicKey authority{};
    std::string issuer_endpoint;  ///< host:port to dial
    NodeId issuer;                ///< pinned when dialling
    Key secret{};                 ///< 32 random bytes; the issuer keeps its SHA-256 until spent or expired
    std::int64_t not_after_ns = 0;

    [[nodiscard]] std::string text() const;
    /// Errc::bad_format with a sentence for the user.
    [[nodiscard]] static Result<Token> parse(std::string_view text);
};

}  // namespace base
