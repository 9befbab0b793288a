// What can go wrong in locating objects, and what is true afterwards.
#pragma once

#include <system_error>

namespace tapestry {

enum class Errc {
    not_published = 1,  ///< Every root said that nobody publishes the object, and each would know.
    roots_unreachable,  ///< No pointer was met, and not every root could say; nothing is known about the object.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

}  // namespace tapestry

template <>
struct std::is_error_code_enum<tapestry::Errc> : std::true_type {};
