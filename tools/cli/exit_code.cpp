#include "cli/exit_code.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"
#include "pastry/error.hpp"
#include "tapestry/error.hpp"

namespace tools {

namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "tools"; }

    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::usage: return "that is not how it is used";
            case Errc::bad_setting: return "that setting cannot be used";
            case Errc::no_node: return "this machine joined a network, but its node is not running";
            case Errc::node_gone: return "this machine's node ended meanwhile";
            case Errc::node_runs: return "its node is running already";
            case Errc::no_network: return "no network was joined there";
            case Errc::no_key: return "there is no owner key yet";
            case Errc::no_passphrase: return "the key has a passphrase, and none was given";
            case Errc::key_exists: return "there is an owner key already";
            case Errc::key_missing: return "the owner key is missing";
            case Errc::key_damaged: return "the file of the owner key is damaged";
            case Errc::no_cluster: return "no cluster was made there";
            case Errc::no_block: return "there is no such block";
            case Errc::not_mounted: return "no volume is mounted there";
            case Errc::other_node: return "it belongs to another store than the one beside it";
        }
        return "unknown error";
    }

    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::usage: return std::errc::invalid_argument;
            case Errc::bad_setting: return std::errc::invalid_argument;
            case Errc::no_node: return std::errc::not_connected;
            case Errc::node_gone: return std::errc::connection_aborted;
            case Errc::node_runs: return std::errc::device_or_resource_busy;
            case Errc::no_network: return std::errc::network_unreachable;
            case Errc::no_key: return std::errc::no_such_file_or_directory;
            case Errc::no_passphrase: return std::errc::permission_denied;
            case Errc::key_exists: return std::errc::file_exists;
            case Errc::key_missing: return std::errc::no_such_file_or_directory;
            case Errc::key_damaged: return std::errc::io_error;
            case Errc::no_cluster: return std::errc::no_such_file_or_directory;
            case Errc::no_block: return std::errc::no_such_file_or_directory;
            case Errc::not_mounted: return std::errc::invalid_argument;
            case Errc::other_node: return std::errc::invalid_argument;
        }
        return {value, *this};
    }
};

struct Row {
    std::error_code code;
    ExitCode exit;
    std::string_view advice;
};

constexpr std::string_view kPassphraseAdvice =
    "give the passphrase in PELAGO_PASSWORD_FILE, PELAGO_PASSWORD_COMMAND, PELAGO_PASSWORD_FD or PELAGO_PASSWORD";
constexpr std::string_view kStatusAdvice = "see who is up with 'pelago node status'";
constexpr std::string_view kQuorumAdvice =
    "see who is up with 'pelago node status'; 'pelago network remove NODE' lets the others go on without one that is "
    "gone for good";
constexpr std::string_view kStaleAdvice =
    "start the nodes that have the newer one; if it is lost for good, remove the file named above from client/ in "
    "the data directory to go on with what is left";
constexpr std::string_view kSpaceAdvice =
    "make room on their disks (part of each is kept free), or raise their capacity; what was stored before is intact";
constexpr std::string_view kLocalSpaceAdvice = "make room there, or raise the limit, and run the command again";
constexpr std::string_view kAgainAdvice = "run the command again; it resumes where it stopped";
constexpr std::string_view kLockedAdvice = "another pelago command is using it; try again when that has ended";

/// One row for each error that has an exit code or an advice of its own. All others are fatal, and their text suffices.
const auto& table() {
    static const std::array kRows{
        Row{Errc::usage, ExitCode::usage, ""},
        Row{Errc::bad_setting, ExitCode::usage,
            "'pelago config show' prints the effective settings and where each comes from"},
        Row{Errc::no_node, ExitCode::unreachable, "start it with 'pelago node run'"},
        Row{Errc::node_gone, ExitCode::unreachable,
            "start it with 'pelago node run' and run the command again; it resumes where it stopped"},
        Row{Errc::node_runs, ExitCode::busy, "'pelago node status' tells how it is"},
        Row{Errc::no_network, ExitCode::unreachable, "join one with 'pelago network join'"},
        Row{Errc::no_key, ExitCode::no_volume,
            "'pelago archive backup' makes one, 'pelago key import FILE' brings yours from another machine"},
        Row{Errc::no_passphrase, ExitCode::wrong_key, kPassphraseAdvice},
        Row{Errc::key_exists, ExitCode::fatal, ""},
        Row{Errc::key_missing, ExitCode::wrong_key,
            "'pelago key import FILE' brings it back from its recovery file; only 'pelago volume create NAME' makes "
            "another one"},
        Row{Errc::key_damaged, ExitCode::damage,
            "'pelago key import FILE --replace' brings the key back from its recovery file"},
        Row{Errc::no_block, ExitCode::fatal, ""},
        Row{Errc::no_cluster, ExitCode::fatal, "'pelago dev up' makes one"},
        Row{Errc::not_mounted, ExitCode::fatal, "'pelago mount VOLUME DIR' mounts one"},
        Row{Errc::other_node, ExitCode::fatal,
            "put back the one that was made with it, or move this one away: a new one is made then"},

        Row{base::Errc::bad_argument, ExitCode::usage, ""},
        Row{base::Errc::corrupt, ExitCode::damage, ""},
        Row{base::Errc::bad_signature, ExitCode::damage, ""},
        Row{base::Errc::unreachable, ExitCode::unreachable, kStatusAdvice},
        Row{base::Errc::timed_out, ExitCode::unreachable, kStatusAdvice},
        Row{base::Errc::not_a_member, ExitCode::unreachable, "join its network with 'pelago network join'"},
        Row{base::Errc::removed, ExitCode::unreachable,
            "'pelago network leave --force' forgets that network here, and then this machine can join one again"},
        Row{base::Errc::no_space, ExitCode::no_space, kLocalSpaceAdvice},
        Row{base::Errc::locked, ExitCode::busy, kLockedAdvice},
        Row{base::Errc::busy, ExitCode::busy, "try again in a moment"},
        Row{base::Errc::interrupted, ExitCode::interrupted, ""},
        Row{base::Errc::wrong_key, ExitCode::wrong_key, kPassphraseAdvice},
        Row{base::Errc::unsupported, ExitCode::fatal, "a later version of pelago may know it"},
        Row{base::Errc::read_only, ExitCode::fatal, "choose another data directory with --dir"},

        Row{pastry::Errc::not_active, ExitCode::unreachable, kStatusAdvice},
        Row{pastry::Errc::no_route, ExitCode::unreachable, kStatusAdvice},
        Row{pastry::Errc::join_failed, ExitCode::unreachable, "is any peer of the network up and dialable?"},

        Row{tapestry::Errc::not_published, ExitCode::fatal, "'pelago publish' on the node that holds it"},
        Row{tapestry::Errc::roots_unreachable, ExitCode::unreachable, kStatusAdvice},

        Row{past::Errc::block_not_found, ExitCode::damage, ""},
        Row{past::Errc::corrupt_block, ExitCode::damage, ""},
        Row{past::Errc::bad_record, ExitCode::damage, ""},
        Row{past::Errc::holders_unreachable, ExitCode::unreachable, kQuorumAdvice},
        Row{past::Errc::too_few_copies, ExitCode::unreachable, kAgainAdvice},
        Row{past::Errc::below_min_copies, ExitCode::unreachable, kQuorumAdvice},
        Row{past::Errc::no_space, ExitCode::no_space, kSpaceAdvice},
        Row{past::Errc::conflict, ExitCode::busy, kAgainAdvice},
        Row{past::Errc::too_large, ExitCode::usage, "'pelago archive backup' takes files of any size"},
        Row{past::Errc::not_owner, ExitCode::wrong_key, ""},

        Row{objstore::Errc::no_such_volume, ExitCode::no_volume,
            "'pelago volume list' prints those there are, 'pelago volume create NAME' makes one"},
        Row{objstore::Errc::no_such_snapshot, ExitCode::fatal, "'pelago archive snapshots' prints those there are"},
        Row{objstore::Errc::no_such_path, ExitCode::fatal, "'pelago archive ls' prints what is in it"},
        Row{objstore::Errc::damaged, ExitCode::damage, ""},
        Row{objstore::Errc::wrong_key, ExitCode::wrong_key, "is this the key that made the volume?"},
        Row{objstore::Errc::collected, ExitCode::busy, kAgainAdvice},
        Row{objstore::Errc::stale, ExitCode::damage, kStaleAdvice},

        Row{std::make_error_code(std::errc::operation_canceled), ExitCode::interrupted, ""},
        Row{std::make_error_code(std::errc::no_space_on_device), ExitCode::no_space, kLocalSpaceAdvice},
        Row{std::make_error_code(std::errc::is_a_directory), ExitCode::usage, ""},
    };
    return kRows;
}

const Row* find(const std::error_code& code) {
    for (const Row& row : table()) {
        if (row.code == code) return &row;
    }
    return nullptr;
}

}  // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

ExitCode exit_code(const std::error_code& code) {
    if (!code) return ExitCode::done;
    const Row* row = find(code);
    return row != nullptr ? row->exit : ExitCode::fatal;
}

ExitCode worse(ExitCode a, ExitCode b) {
    using enum ExitCode;
    constexpr std::array kFromTheLeast{done,  partial,   busy,  unreachable, no_space,   no_volume,
                                       usage, wrong_key, fatal, damage,      interrupted};
    const auto rank = [&](ExitCode code) { return std::ranges::find(kFromTheLeast, code); };
    return rank(a) < rank(b) ? b : a;
}

std::string_view advice(const std::error_code& code) {
    const Row* row = find(code);
    return row != nullptr ? row->advice : std::string_view{};
}

}  // namespace tools
