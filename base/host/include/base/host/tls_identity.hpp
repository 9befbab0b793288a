// A node's key and certificate as TLS carries them: a self-signed X.509 certificate over the node's Ed25519 key, with
// the membership certificate in an extension of our own. Format: docs/formats/membership.md.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/membership.hpp"
#include "base/result.hpp"

namespace base::host {

/// The extension's object identifier, not critical; its value is Certificate::encode() as it stands.
constexpr const char* kMembershipOid = "1.3.6.1.4.1.58888.1.1";
/// A longer X.509 certificate is refused before it is parsed.
constexpr std::size_t kMaxX509Bytes = 8192;

/// What a peer showed. TLS itself proves that the peer holds `key`; nothing else is verified yet.
struct X509Identity {
    PublicKey key{};
    std::optional<Certificate> certificate;
};

/// DER. Deterministic. Without `certificate` it proves the key only: what a joiner shows.
[[nodiscard]] Bytes encode_x509(const SigningKey& key, const Certificate* certificate);
/// Errc::bad_format, with a word on what is wrong: not X.509, not Ed25519, a malformed or doubled extension.
[[nodiscard]] Result<X509Identity> decode_x509(ByteView der);

/// Whom this node takes for a member.
struct TrustedNetwork {
    Guid network;
    PublicKey authority{};
};

/// The certificate if it is a member's: one is there, it is over the same key, and check_certificate() agrees.
/// Errc::not_a_member with the reason.
[[nodiscard]] Result<Certificate> check_member(const X509Identity& identity, const TrustedNetwork& network,
                                               std::int64_t wall_ns);

}  // namespace base::host
