// The owner's key as commands use it: unlocked, and made at first use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/crypto.hpp"
#include "base/result.hpp"
#include "cli/console.hpp"
#include "cli/verbs.hpp"
#include "keys/key_file.hpp"
#include "keys/passphrase.hpp"

namespace tools {

/// Nullopt if there is none yet. Warns if others may read it. base::Errc::corrupt if it is not what was written.
[[nodiscard]] base::Result<std::optional<KeyFile>> read_key_file(Context& context, const std::string& path);
/// With the passphrase that is given, else one typed on the terminal (three tries). Errc::no_passphrase, wrong_key.
[[nodiscard]] base::Result<KeyFile::Opened> unlock(Context& context, const KeyFile& file, const std::string& path);
/// Of a passphrase that is made now: user@host.
[[nodiscard]] KeyLabel label_of_now(const Context& context);
/// What is done where there is no key.
enum class IfNoKey : std::uint8_t {
    refuse,
    make_at_first_use,  ///< only where --key-file names none, and nothing was kept here yet that another key opens
    make,
};
/// The owner's key. One that is made gets the passphrase that is given, or none; it is said where it is and that a
/// recovery file is wanted. Errors: Errc::no_key where there never was one, key_missing where there was, key_damaged.
[[nodiscard]] base::Result<base::SigningKey> owner_key(Context& context, IfNoKey if_none);
/// The file that holds it. Errors as above.
[[nodiscard]] base::Result<KeyFile> owner_key_file(Context& context);

}  // namespace tools
