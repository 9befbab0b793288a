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
    collected,           ///< A prune took a block of this session before it was committed; nothing was listed.
    conflict,            ///< Another writer's change was ordered first; this one was not made.
    stale,               ///< The holders offered an older state than this client has seen; it was not accepted.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

/// Damage, or a part of a disk that cannot be read (base::Errc::io_failed of the reader): it costs what lies there, and
/// the rest can be read all the same. Whatever else fails would befall the rest, too.
[[nodiscard]] bool is_isolated_damage(const std::error_code& code) noexcept;

/// Nodes that it takes were not reached, or were too few or too busy: the same call may succeed later.
[[nodiscard]] bool may_succeed_later(const std::error_code& code) noexcept;

}  // namespace objstore

template <>
struct std::is_error_code_enum<objstore::Errc> : std::true_type {};
