// How a run ended, in the numbers that scripts rely on, and the one table from every layer's errors to them.
#pragma once

#include <string_view>
#include <system_error>

namespace tools {

/// The same in every version of Pelago (and, where restic has the case, the same as restic's).
enum class ExitCode : int {
    done = 0,
    fatal = 1,
    usage = 2,        ///< the command line or a setting is wrong; nothing was done
    partial = 3,      ///< done in part: files that could not be read, fewer copies than asked, an older state
    damage = 4,       ///< stored bytes are missing or wrong
    unreachable = 5,  ///< no quorum, no peer, or no running node
    no_space = 6,
    no_volume = 10,  ///< no such repository or volume
    busy = 11,       ///< locked, or changed by somebody else at the same moment
    wrong_key = 12,
    interrupted = 130,
};

/// What only the program itself can find wrong.
enum class Errc {
    usage = 1,      ///< The command line does not make sense; nothing was done.
    bad_setting,    ///< A settings file or variable does not make sense; nothing was done.
    no_node,        ///< A network was joined, but no node of ours runs; nothing was done.
    node_gone,      ///< Our node ended while a command used it; what it acknowledged is stored.
    node_runs,      ///< A node runs on this directory already; nothing was done.
    no_network,     ///< This needs a network, and none was joined; nothing was done.
    no_key,         ///< There is no owner key yet, so there can be no volume either; nothing was done.
    key_missing,    ///< The owner key that should be there is not; nothing was done, no other was made.
    key_damaged,    ///< The file of the owner key is not what was written; it is unchanged.
    no_passphrase,  ///< The key has a passphrase, and none was given; nothing was done.
    key_exists,     ///< A key is there already; it is unchanged.
    no_block,       ///< Every holder answered, and none has a block of that id.
    no_cluster,     ///< There is no cluster of development in this directory.
    not_mounted,    ///< No volume is mounted there; nothing was done.
    other_node,     ///< The node's identity is not the one that its store was made with; nothing was done.
};

[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Errc value) noexcept {
    return {static_cast<int>(value), error_category()};
}

/// The exit code of an error of any layer; fatal for what has no number of its own.
[[nodiscard]] ExitCode exit_code(const std::error_code& code);
/// Of two things that one command met, the one that it ends with: damage before what may only be away or busy.
[[nodiscard]] ExitCode worse(ExitCode a, ExitCode b);
/// What to do about it, as the end of a sentence ("; start it with ..."); empty if the message says it all.
[[nodiscard]] std::string_view advice(const std::error_code& code);

}  // namespace tools

template <>
struct std::is_error_code_enum<tools::Errc> : std::true_type {};
