// The owner key file. Format: docs/formats/keyfile.md. Pure functions; parsers of foreign bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"
#include "base/rng.hpp"

namespace tools {

constexpr std::size_t kMaxKeyFileBytes = 4096;

/// What is in the file: the seed only sealed.
struct KeyFile {
    enum class Kdf : std::uint8_t { none = 0, scrypt = 1 };

    Kdf kdf = Kdf::none;
    base::ScryptCost cost{0, 0, 0};
    base::Key salt{};
    base::PublicKey public_key{};
    std::array<std::uint8_t, 32> commitment{};
    std::array<std::uint8_t, 48> sealed_seed{};

    [[nodiscard]] bool has_passphrase() const { return kdf == Kdf::scrypt; }
    /// First hexadecimal digits of the public key, as people see it.
    [[nodiscard]] std::string name() const;

    [[nodiscard]] std::string encode() const;
    /// Errc::bad_format, corrupt (checksum), unsupported (a later version). No key is derived: limits are checked, so
    /// that open() takes no more memory than they allow.
    [[nodiscard]] static base::Result<KeyFile> decode(base::ByteView text);

    /// Without passphrase if `passphrase` is empty.
    [[nodiscard]] static base::Result<KeyFile> seal(const base::SigningKey& key, std::string_view passphrase,
                                                    base::Rng& rng, base::ScryptCost cost = {});
    /// `passphrase` is ignored if the file has none. Errc::wrong_key, corrupt.
    [[nodiscard]] base::Result<base::SigningKey> open(std::string_view passphrase) const;

    friend bool operator==(const KeyFile& a, const KeyFile& b) { return a.encode() == b.encode(); }
};

}  // namespace tools
