#include "base/membership.hpp"

#include <algorithm>

#include "base/byte_order_mark.hpp"
#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace base {
namespace {

constexpr std::uint8_t kCertificateVersion = 1;
constexpr std::uint8_t kPolicyVersion = 1;
constexpr std::uint8_t kRosterVersion = 1;
constexpr std::uint8_t kTokenVersion = 1;
constexpr std::size_t kMinMemberBytes = 32 + 1 + 1 + 8 + 1;
constexpr unsigned kMaxCopies = 16;

Bytes with_signature(Bytes body, const Signature& signature) {
    body.insert(body.end(), signature.begin(), signature.end());
    return body;
}

Error malformed(const char* what) { return {Errc::bad_format, what}; }

/// The version byte that every value begins with.
Result<void> check_version(Reader& in, std::uint8_t known, const char* what) {
    const auto version = in.u8();
    if (!in.ok() || version == 0) return malformed(what);
    if (version > known) return Error{Errc::unsupported, std::string{what} + " of a later version"};
    return ok();
}

bool valid_role(std::uint8_t value) {
    return value == static_cast<std::uint8_t>(Role::storage) || value == static_cast<std::uint8_t>(Role::client);
}

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string to_base64url(ByteView bytes) {
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const auto byte : bytes) {
        bits = (bits << 8U) | byte;
        for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 0x3FU];
    }
    if (count > 0) text += kAlphabet[(bits << (6 - count)) & 0x3FU];
    return text;
}

std::optional<Bytes> from_base64url(std::string_view text) {
    Bytes bytes;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto value = kAlphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<std::uint8_t>(bits >> count));
        }
    }
    if (count >= 6 || (bits & ((1U << count) - 1U)) != 0) return std::nullopt;  // not the shortest form
    return bytes;
}

constexpr std::string_view kTokenPrefix = "pelago1-";

}  // namespace

Guid network_id(const PublicKey& authority, std::string_view name) {
    return sha256({as_bytes("pelago network"), authority, as_bytes(name)});
}

NodeId node_id(const PublicKey& key, const Key& salt) { return sha256({as_bytes("pelago node"), key, salt}); }

// --- Certificate
// ------------------------------------------------------------------------------------------------------

Bytes Certificate::body() const {
    Writer out;
    out.u8(kCertificateVersion).guid(network).raw(key).raw(salt).u8(static_cast<std::uint8_t>(role));
    out.u8(ring_eligible ? 1 : 0).u64(capacity_bytes).u64(serial).i64(not_before_ns).i64(not_after_ns);
    out.text(failure_domain);
    return out.take();
}

Bytes Certificate::encode() const { return with_signature(body(), signature); }

Result<Certificate> Certificate::decode(ByteView bytes) {
    Reader in{bytes};
    BASE_CHECK(check_version(in, kCertificateVersion, "membership certificate"));
    Certificate certificate;
    certificate.network = in.guid();
    certificate.key = in.array<32>();
    certificate.salt = in.array<32>();
    const auto role = in.u8();
    const auto ring_eligible = in.u8();
    certificate.capacity_bytes = in.u64();
    certificate.serial = in.u64();
    certificate.not_before_ns = in.i64();
    certificate.not_after_ns = in.i64();
    certificate.failure_domain = in.text(kMaxFailureDomainBytes);
    certificate.signature = in.array<64>();
    if (!in.complete() || !valid_role(role) || ring_eligible > 1) return malformed("membership certificate");
    certificate.role = static_cast<Role>(role);
    certificate.ring_eligible = ring_eligible == 1;
    return certificate;
}

Result<void> check_certificate(const Certificate& certificate, const Guid& network, const PublicKey& authority,
                               std::int64_t wall_ns) {
    if (certificate.network != network) return Error{Errc::not_a_member, "a certificate of another network"};
    if (!verify_signature(authority, "pelago certificate", certificate.body(), certificate.signature)) {
        return Error{Errc::not_a_member, "a certificate that the authority did not sign"};
    }
    // Compared by subtraction from the known side only: the times are the peer's, but signed by the authority.
    if (wall_ns > certificate.not_after_ns && wall_ns - certificate.not_after_ns > kClockSlackNs) {
        return Error{Errc::not_a_member, "an expired certificate"};
    }
    if (wall_ns < certificate.not_before_ns && certificate.not_before_ns - wall_ns > kClockSlackNs) {
        return Error{Errc::not_a_member, "a certificate that is not valid yet"};
    }
    return ok();
}

// --- Policy
// -----------------------------------------------------------------------------------------------------------

Bytes Policy::body() const {
    Writer out;
    out.u8(kPolicyVersion).guid(network).u64(version).u8(copies).u8(min_copies);
    out.u64(static_cast<std::uint64_t>(repair_after.count())).u64(static_cast<std::uint64_t>(reclaim_grace.count()));
    return out.take();
}

Bytes Policy::encode() const { return with_signature(body(), signature); }

Result<Policy> Policy::decode(ByteView bytes) {
    Reader in{bytes};
    BASE_CHECK(check_version(in, kPolicyVersion, "network policy"));
    Policy policy;
    policy.network = in.guid();
    policy.version = in.u64();
    policy.copies = in.u8();
    policy.min_copies = in.u8();
    // Clamped: a duration from the wire must not overflow time arithmetic.
    constexpr std::uint64_t kLongestMs = 1000ULL * 86'400 * 3650;
    policy.repair_after = std::chrono::milliseconds{static_cast<std::int64_t>(std::min(in.u64(), kLongestMs))};
    policy.reclaim_grace = std::chrono::milliseconds{static_cast<std::int64_t>(std::min(in.u64(), kLongestMs))};
    policy.signature = in.array<64>();
    if (!in.complete()) return malformed("network policy");
    BASE_CHECK(policy.check());
    return policy;
}

Result<void> Policy::check() const {
    if (copies < 1 || copies > kMaxCopies) return Error{Errc::bad_argument, "copies must be 1 to 16"};
    if (min_copies < 1 || min_copies > copies) {
        return Error{Errc::bad_argument, "min-copies must be at least 1 and at most copies"};
    }
    if (repair_after < std::chrono::seconds{1}) return Error{Errc::bad_argument, "repair-after must be at least 1 s"};
    if (reclaim_grace < std::chrono::seconds{0}) return Error{Errc::bad_argument, "the grace time is negative"};
    return ok();
}

// --- Roster
// -----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::uint8_t kRevoked = 1;
constexpr std::uint8_t kDraining = 2;

std::uint8_t state_of(const Roster::Member& member) {
    if (member.revoked) return kRevoked;
    return member.draining ? kDraining : 0;
}

}  // namespace

Bytes Roster::body() const {
    Writer out;
    out.u8(kRosterVersion).guid(network).u64(version).guid(seat).u32(static_cast<std::uint32_t>(members.size()));
    for (const auto& member : members) {
        out.guid(member.id).u8(static_cast<std::uint8_t>(member.role)).u8(state_of(member)).u64(member.serial);
        out.text(member.failure_domain);
    }
    return out.take();
}

Bytes Roster::encode() const { return with_signature(body(), signature); }

Result<Roster> Roster::decode(ByteView bytes) {
    Reader in{bytes};
    BASE_CHECK(check_version(in, kRosterVersion, "network roster"));
    Roster roster;
    roster.network = in.guid();
    roster.version = in.u64();
    roster.seat = in.guid();
    const auto count = in.u32();
    if (count > kMaxRosterMembers || !in.fits(count, kMinMemberBytes)) return malformed("network roster");
    roster.members.reserve(count);
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        Member member;
        member.id = in.guid();
        const auto role = in.u8();
        const auto state = in.u8();
        member.serial = in.u64();
        member.failure_domain = in.text(kMaxFailureDomainBytes);
        const bool sorted = roster.members.empty() || roster.members.back().id < member.id;
        if (!valid_role(role) || state > kDraining || !sorted) return malformed("network roster");
        member.role = static_cast<Role>(role);
        member.revoked = state == kRevoked;
        member.draining = state == kDraining;
        roster.members.push_back(std::move(member));
    }
    roster.signature = in.array<64>();
    if (!in.complete()) return malformed("network roster");
    return roster;
}

std::size_t Roster::storage_peers() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        members, [](const Member& member) { return member.role == Role::storage && !member.revoked; }));
}

std::size_t Roster::holders() const {
    return static_cast<std::size_t>(std::ranges::count_if(members, [](const Member& member) {
        return member.role == Role::storage && !member.revoked && !member.draining;
    }));
}

const Roster::Member* Roster::find(const NodeId& id) const {
    const auto found = std::ranges::lower_bound(members, id, {}, &Member::id);
    return found != members.end() && found->id == id ? &*found : nullptr;
}

bool Roster::removed(const NodeId& id) const {
    const auto* member = find(id);
    return member != nullptr && member->revoked;
}

bool Roster::draining(const NodeId& id) const {
    const auto* member = find(id);
    return member != nullptr && member->draining;
}

unsigned effective_copies(const Policy& policy, const Roster& roster) {
    const auto peers = std::max<std::size_t>(roster.holders(), 1);
    return static_cast<unsigned>(std::min<std::size_t>(policy.copies, peers));
}

// --- Token
// ------------------------------------------------------------------------------------------------------------

std::string Token::text() const {
    Writer out;
    out.u8(kTokenVersion).guid(network).raw(authority).guid(issuer).raw(secret).i64(not_after_ns).text(issuer_endpoint);
    // Four bytes of checksum, so that a token cut short in the clipboard is told from a refused one.
    const auto check = sha256(out.view());
    out.raw(check.view().first(4));
    return std::string{kTokenPrefix} + to_base64url(out.view());
}

Result<Token> Token::parse(std::string_view text) {
    constexpr std::size_t kMaxTokenText = 1024;
    text = without_byte_order_mark(text);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    if (!text.starts_with(kTokenPrefix) || text.size() > kMaxTokenText) {
        return malformed("this is not a join token (one begins with \"pelago1-\")");
    }
    const auto bytes = from_base64url(text.substr(kTokenPrefix.size()));
    if (!bytes || bytes->size() < 4) return malformed("the join token is damaged; copy it again, whole");
    const ByteView all{*bytes};
    const auto content = all.first(all.size() - 4);
    const auto expected = sha256(content);
    if (!equal_in_constant_time(expected.view().first(4), all.last(4))) {
        return malformed("the join token is damaged; copy it again, whole");
    }
    Reader in{content};
    BASE_CHECK(check_version(in, kTokenVersion, "join token"));
    Token token;
    token.network = in.guid();
    token.authority = in.array<32>();
    token.issuer = in.guid();
    token.secret = in.array<32>();
    token.not_after_ns = in.i64();
    token.issuer_endpoint = in.text(kMaxEndpointBytes);
    if (!in.complete()) return malformed("join token");
    return token;
}

}  // namespace base
