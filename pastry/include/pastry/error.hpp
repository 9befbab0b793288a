// What can go wrong in routing, and what is true afterwards.
#pragma once

#include <system_error>

namespace pastry {

enum class Errc {
    not_active = 1,  ///< This node has not joined yet, or stalled and left its place; nothing was sent.
    no_route,        ///< Every next hop was tried; the message did not leave this node.
    join_failed,     ///< No seed answered; the node is not part of the ring.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

}  // namespace pastry

template <>
struct std::is_error_code_enum<pastry::Errc> : std::true_type {};
