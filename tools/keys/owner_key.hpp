// The owner's key as commands use it: unlocked, and made at first use.
#pragma once

#include <optional>
#include <string>

#include "base/crypto.hpp"
#include "base/result.hpp"
#include "cli/console.hpp"
#include "cli/verbs.hpp"
#include "keys/key_file.hpp"
#include "keys/passphrase.hpp"

namespace tools {

/// Nullopt if there is none yet. Warns if others may read it.
[[nodiscard]] base::Result<std::optional<KeyFile>> read_key_file(Context& context, const std::string& path);
/// With the passphrase that is given, else one typed on the terminal (three tries). Errc::no_passphrase, wrong_key.
[[nodiscard]] base::Result<base::SigningKey> unlock(Context& context, const KeyFile& file, const std::string& path);
/// The owner's key; Errc::no_key if there is none.
[[nodiscard]] base::Result<base::SigningKey> existing_owner_key(Context& context);
/// The owner's key. First use makes one, with the passphrase that is given or without one, and says where it is and
/// that a recovery file is wanted.
[[nodiscard]] base::Result<base::SigningKey> owner_key(Context& context);

}  // namespace tools
