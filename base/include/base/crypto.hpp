// Signatures, authenticated encryption and passphrases, over OpenSSL. Pure functions: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "base/result.hpp"

struct evp_pkey_st;  // of OpenSSL

namespace base {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

/// An Ed25519 key pair (RFC 8032), kept as its 32-byte seed; the seed is wiped on destruction.
class SigningKey {
  public:
    /// Deterministic in `seed`. Draw the seed from Rng::secret().
    explicit SigningKey(const Key& seed);
    ~SigningKey();
    SigningKey(const SigningKey&) = default;
    SigningKey& operator=(const SigningKey&) = default;

    [[nodiscard]] const PublicKey& public_key() const { return public_; }
    [[nodiscard]] const Key& seed() const { return seed_; }
    /// Over `domain`, a zero byte, and the message: a signature for one purpose is never valid for another.
    [[nodiscard]] Signature sign(std::string_view domain, ByteView message) const;

  private:
    Key seed_;
    PublicKey public_;
    std::shared_ptr<evp_pkey_st> prepared_;  // copies share it; nothing changes it
};

[[nodiscard]] bool verify_signature(const PublicKey& key, std::string_view domain, ByteView message,
                                    const Signature& signature);

constexpr std::size_t kSealOverhead = 16;  ///< bytes that sealing adds: the GCM tag

/// AES-256-GCM with an all-zero nonce: `key` MUST be derived from the plaintext (or otherwise be used for one plaintext
/// only). Returns ciphertext then 16 bytes of tag.
[[nodiscard]] Bytes seal_once(const Key& key, ByteView associated, ByteView plaintext);
/// Appends to `out` instead; for building a block in place.
void seal_once_to(Bytes& out, const Key& key, ByteView associated, ByteView plaintext);
/// Errc::bad_signature if anything was altered or the key is another one; then nothing is returned.
[[nodiscard]] Result<Bytes> open_once(const Key& key, ByteView associated, ByteView sealed);

/// Cost of turning a passphrase into a key (RFC 7914). Read from a file, so limits are checked before any memory is
/// taken: log2_n <= 20, r <= 8, p <= 4.
struct ScryptCost {
    std::uint8_t log2_n = 17;
    std::uint8_t r = 8;
    std::uint8_t p = 1;
};
/// Errc::bad_format beyond the limits. About 0.6 s and 128 MiB at the default cost.
[[nodiscard]] Result<Key> stretch_passphrase(std::string_view passphrase, ByteView salt, ScryptCost cost);

/// Overwrites memory so that the compiler cannot leave it out.
void wipe(std::span<std::uint8_t> secret);

}  // namespace base
