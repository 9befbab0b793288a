// The owner key file. Format: docs/formats/keyfile.md. Pure functions; parsers of foreign bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"
#include "base/rng.hpp"

namespace tools {

constexpr std::size_t kMaxKeyFileBytes = 4096;
constexpr std::size_t kMaxKeySlots = 8;
constexpr std::size_t kMaxKeyLabelBytes = 64;

/// What people know a passphrase by, since nobody can read it.
struct KeyLabel {
    std::string text;             ///< 1 to kMaxKeyLabelBytes bytes without control characters
    std::int64_t created_ns = 0;  ///< since 1970

    friend bool operator==(const KeyLabel&, const KeyLabel&) = default;
};

/// One way to open the file.
struct KeySlot {
    enum class Kdf : std::uint8_t { none = 0, scrypt = 1 };

    Kdf kdf = Kdf::none;
    base::ScryptCost cost{0, 0, 0};
    base::Key salt{};
    KeyLabel label;
    std::array<std::uint8_t, 32> commitment{};
    std::array<std::uint8_t, 48> sealed_seed{};
};

/// What is in the file: the seed only sealed, once in each slot.
struct KeyFile {
    struct Opened {
        base::SigningKey key;
        std::size_t slot = 0;
    };

    base::PublicKey public_key{};
    std::vector<KeySlot> slots;  ///< 1 to kMaxKeySlots; one without passphrase is the only one

    [[nodiscard]] bool has_passphrase() const { return slots.front().kdf != KeySlot::Kdf::none; }
    /// First hexadecimal digits of the public key, as people see it.
    [[nodiscard]] std::string name() const;

    [[nodiscard]] std::string encode() const;
    /// Errc::bad_format, corrupt (checksum), unsupported (a later version). No key is derived: limits are checked, so
    /// that open() takes no more memory and time than they allow.
    [[nodiscard]] static base::Result<KeyFile> decode(base::ByteView text);

    /// Of one slot; without passphrase if `passphrase` is empty.
    [[nodiscard]] static base::Result<KeyFile> seal(const base::SigningKey& key, std::string_view passphrase,
                                                    KeyLabel label, base::Rng& rng, base::ScryptCost cost = {});
    /// Another way to open it, or (`slot`) one in place of that one. base::Errc::bad_argument, saying why: too many, a
    /// label that is used, no passphrase beside others. Requires: `key` is the one in it.
    [[nodiscard]] base::Result<void> put(std::optional<std::size_t> slot, const base::SigningKey& key,
                                         std::string_view passphrase, KeyLabel label, base::Rng& rng,
                                         base::ScryptCost cost = {});
    /// Tries one slot after the other. `passphrase` is ignored if the file has none. Errc::wrong_key, corrupt.
    [[nodiscard]] base::Result<Opened> open(std::string_view passphrase) const;

    friend bool operator==(const KeyFile& a, const KeyFile& b) { return a.encode() == b.encode(); }
};

/// Errc::bad_argument says why it cannot be one.
[[nodiscard]] base::Result<void> check_key_label(std::string_view text);

}  // namespace tools
