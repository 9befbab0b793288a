// What can go wrong with volumes and archives, and what is true afterwards.
#pragma once

#include <system_error>

namespace objstore {

enum class Errc {
    no_such_volume = 1,  ///< The holders answered and there is no volume of that name under this key.
    no_such_snapshot,    ///< The volume was read whole, and no snapshot matches.
    no_such_path,        ///< The snapshot was read, and the path is not in it.
    damaged,             ///< A block opened to something that its parent does not describe; nothing of it was used.
    wrong_key,           ///< The volume exists, but this key does not open it.
    stale,               ///< The holders offered an older state than this client has seen; it was not accepted.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

}  // namespace objstore

template <>
struct std::is_error_code_enum<objstore::Errc> : std::true_type {};
