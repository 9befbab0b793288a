// Errors that belong to no layer in particular, and how errors of every layer cross the wire.
#pragma once

#include <string_view>
#include <system_error>

namespace base {

/// The comment of each value says what is true afterwards.
enum class Errc {
    bad_format = 1,  ///< Foreign bytes did not parse, or broke a limit; nothing was taken over from them.
    bad_signature,   ///< A signature or a keyed tag did not verify; the bytes were dropped.
    bad_argument,    ///< The caller's input is not acceptable; nothing was done.
    unsupported,     ///< A format or feature of a later version; nothing was touched.
    not_found,       ///< The named thing does not exist here, and that is certain.
    exists,          ///< The named thing is there already; it is unchanged.
    locked,          ///< Another process holds the directory; nothing was touched.
    no_space,        ///< No room on the device or under the cap; what was acknowledged before is intact.
    io_failed,       ///< The device failed; what was not yet acknowledged may be lost.
    read_only,       ///< The device or directory does not take writes; nothing was changed.
    denied,          ///< The operating system or a peer refused for lack of rights; nothing was done.
    corrupt,         ///< Bytes on disk do not match their checksum; they were not returned.
    unreachable,     ///< The peer could not be dialled, or broke off; whether it acted is unknown.
    timed_out,       ///< The deadline passed; whether the peer acted is unknown.
    not_a_member,    ///< The other side is no member of this network; the connection is closed.
    peer_failed,     ///< The peer answered with an error of a kind this version does not know.
    busy,            ///< A bounded queue is full; nothing was taken; try later.
    stopped,         ///< This node is shutting down; nothing was done.
    interrupted,     ///< The user stopped it; what was acknowledged stays.
    wrong_key,       ///< The passphrase or key does not open this; nothing was touched.
    removed,         ///< The authority removed that node, or this one, from the network for good; nothing was done.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

/// The base Errc for an errno of the operating system; io_failed for one that has no better name.
[[nodiscard]] Errc from_errno(int value) noexcept;

/// Categories by name, so that an error can be sent to another process and come out as itself. Each layer registers its
/// own from its error.cpp. Thread safe.
void register_error_category(const std::error_category& category);
/// Errc::peer_failed if no category of that name is registered.
[[nodiscard]] std::error_code error_from_wire(std::string_view category, int value) noexcept;

}  // namespace base

template <>
struct std::is_error_code_enum<base::Errc> : std::true_type {};
