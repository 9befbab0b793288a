// pelago network create, invite, join, policy: membership and policy. How members
// go, move and are found again is in network/members.cpp.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/host_runtime.hpp"
#include "base/network_directory.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "daemon/control.hpp"
#include "daemon/daemon.hpp"
#include "daemon/questions.hpp"
#include "network/join.hpp"
#include "network/members.hpp"
#include "session/data_directory.hpp"
#include "session/lone_identity.hpp"

namespace tools {

namespace {

using base::NetworkDirectory;

constexpr std::size_t kMaxTokenBytes = 4096;
constexpr unsigned kMostCopies = 16;

struct PolicyFlags {
    std::optional<unsigned> copies;
    std::optional<unsigned> min_copies;
    std::string repair_after;

    void add_to(CLI::App& verb) {
        verb.add_option("--copies", copies, "How many nodes keep each block")
            ->type_name("N")
            ->check(CLI::Range(1U, kMostCopies));
        verb.add_option(
                "--min-copies", min_copies,
                "Refuse to store with fewer nodes up (while the network has no more members: with fewer than those)")
            ->type_name("N")
            ->check(CLI::Range(1U, kMostCopies));
        verb.add_option("--repair-after", repair_after, "Make new copies when a node is away for this long")
            ->type_name("TIME");
    }
    [[nodiscard]] bool given() const { return copies || min_copies || !repair_after.empty(); }

    [[nodiscard]] base::Result<base::Policy> apply(base::Policy policy) const {
        if (copies) {
            policy.copies = static_cast<std::uint8_t>(*copies);
            // Who asks for fewer copies than the old minimum means both.
            policy.min_copies = std::min(policy.min_copies, policy.copies);
        }
        if (min_copies) policy.min_copies = static_cast<std::uint8_t>(*min_copies);
        if (!repair_after.empty()) {
            const auto duration = parse_duration(repair_after);
            if (!duration) return usage_error("--repair-after takes a time, like 90s, 15m or 1h");
            policy.repair_after = *duration;
        }
        BASE_CHECK(policy.check());
        return policy;
    }
};

struct WishFlags {
    std::string failure_domain;
    std::string capacity;

    void add_to(CLI::App& verb) {
        verb.add_option(
                "--failure-domain", failure_domain,
                "Name of what fails together with this machine (a room, a site): copies go to different domains")
            ->type_name("NAME");
        verb.add_option("--capacity", capacity, "Space offered to the network (default: from the settings)")
            ->type_name("SIZE");
    }
    [[nodiscard]] base::Result<NetworkDirectory::Wish> wish(const Settings& settings) const {
        NetworkDirectory::Wish wish;
        wish.failure_domain = failure_domain;
        const auto text = settings.get("capacity", capacity);
        if (!text.empty()) {
            const auto size = parse_size(text);
            if (!size) return usage_error("--capacity takes a size, like 10G or 500MiB");
            wish.capacity_bytes = *size;
        }
        return wish;
    }
};

nlohmann::json describe_policy(const base::Policy& policy) {
    return {{"version", policy.version},
            {"copies", policy.copies},
            {"min_copies", policy.min_copies},
            {"repair_after_s", policy.repair_after.count() / 1000},
            {"reclaim_grace_s", policy.reclaim_grace.count() / 1000}};
}

void print_policy(Console& console, const nlohmann::json& policy) {
    if (console.output().json) return console.print_json(policy);
    Table table{{"SETTING", "VALUE"}};
    table.add({"copies", std::to_string(policy["copies"].get<unsigned>())});
    table.add({"min-copies", std::to_string(policy["min_copies"].get<unsigned>())});
    table.add({"repair-after", human_duration(std::chrono::seconds{policy["repair_after_s"].get<std::int64_t>()})});
    console.print(table.str());
}

// --- create

struct CreateFlags {
    std::string name;
    WishFlags wish;
    PolicyFlags policy;
};

base::Result<ExitCode> create(Context& context, const CreateFlags& flags) {
    if (printable(flags.name) != flags.name) return usage_error("a network's name is plain text");
    const auto directory = DataDirectory{context.settings.get("dir")}.node();
    BASE_TRY(const auto policy, flags.policy.apply(base::Policy{}));
    BASE_TRY(const auto wish, flags.wish.wish(context.settings));
    BASE_CHECK(check_new(data_directory(context.settings)));
    BASE_TRY(const auto disk, base::host::HostDisk::create(directory));
    base::host::HostRuntime runtime{base::Log::Level::warning, 1};
    // The node of a network of one keeps its identity, and so its archive: from now on others may hold copies of it.
    BASE_TRY(const auto identity, lone_identity(*disk, runtime.rng()));
    auto made = NetworkDirectory::create(*disk, runtime.rng(), flags.name, identity.key, identity.salt, wish, policy,
                                         runtime.clock().wall_ns());
    if (!made) return made.error().with("cannot create a network in " + directory);
    const nlohmann::json document{{"network", made->network().hex()},
                                  {"name", made->name()},
                                  {"node", made->certificate().id().hex()},
                                  {"directory", directory}};
    if (context.console.output().json) {
        context.console.print_json(document);
    } else {
        context.console.print("network '" + printable(made->name()) + "' created; this node is " +
                              made->certificate().id().short_hex() + "\n");
        context.console.note(
            "keep a copy of the network's authority elsewhere: 'pelago network authority export FILE'");
        context.console.note("next: 'pelago node run', then 'pelago network invite' for each other machine");
    }
    return ExitCode::done;
}

// --- invite

base::Result<ExitCode> invite(Context& context, const std::string& lifetime) {
    const auto duration = parse_duration(lifetime);
    if (!duration || duration->count() < 1 || *duration > kLongestInvitation) {
        return usage_error("--valid takes a time, like 1h or 7d, of at most a year");
    }
    BASE_TRY(const auto answer,
             ask_daemon(data_directory(context.settings), "invite", {{"valid_s", duration->count()}}));
    if (context.console.output().json) {
        context.console.print_json(answer);
    } else {
        context.console.print(answer["token"].get<std::string>() + "\n");
        context.console.note("good for one machine, for " + lifetime +
                             ": there, 'pelago network join' reads it from standard input");
    }
    return ExitCode::done;
}

// --- join

struct JoinFlags {
    std::string token_file;
    WishFlags wish;
    bool client = false;
};

base::Result<std::string> read_token(Context& context, const JoinFlags& flags) {
    if (flags.token_file.empty()) {
        BASE_TRY(const auto input, context.io.read_input(kMaxTokenBytes));
        return std::string{base::as_text(input)};
    }
    BASE_TRY(const auto file, read_small_file(flags.token_file, kMaxTokenBytes));
    if (!file) return base::Error{base::Errc::not_found, "cannot read the token file " + flags.token_file};
    return std::string{base::as_text(*file)};
}

bool has_an_archive(base::Disk& disk) {
    const auto blocks = disk.list("blocks");
    return blocks && !blocks->empty();
}

/// A member that joined again would be another node, and the one that it was would be gone for good.
base::Result<void> refuse_a_member(const base::Result<NetworkDirectory>& known, const DataDirectory& directory) {
    if (!known && known.error() == base::Errc::not_found) return base::ok();
    if (!known) return known.error().with("cannot join: " + directory.node());
    const bool runs = somebody_listens(directory.socket());
    return base::Error{base::Errc::exists,
                       "cannot join: this machine is node " + known->certificate().id().short_hex() + " of network '" +
                           printable(known->name()) + "' already, and its node " + (runs ? "runs" : "does not run") +
                           "; 'pelago network leave' takes it out, another --dir makes a second node"};
}

base::Result<ExitCode> join(Context& context, const JoinFlags& flags) {
    const DataDirectory data{context.settings.get("dir")};
    const auto directory = data.node();
    BASE_TRY(const auto text, read_token(context, flags));
    BASE_TRY(const auto token, base::Token::parse(text));
    BASE_TRY(auto wish, flags.wish.wish(context.settings));
    if (flags.client) wish.role = base::Role::client;
    BASE_CHECK(check_new(data_directory(context.settings)));
    BASE_TRY(const auto disk, base::host::HostDisk::create(directory));
    BASE_CHECK(refuse_a_member(NetworkDirectory::open(*disk), data));
    const bool brings_archive = has_an_archive(*disk);
    if (brings_archive && flags.client) {
        return base::Error{base::Errc::exists, "cannot join as a client, which keeps nothing: " + directory +
                                                   " has an archive of this machine alone; join without --client, and "
                                                   "it comes along"};
    }
    BASE_TRY(const auto lock, disk->lock(kNetworkLock));
    base::host::HostRuntime runtime{base::Log::Level::warning, 1};
    const auto joined = runtime.run(join_network(runtime, *disk, token, wish));
    if (!joined) return joined.error().with("cannot join through " + token.issuer_endpoint);
    const nlohmann::json document{{"network", joined->network().hex()},
                                  {"name", joined->name()},
                                  {"node", joined->certificate().id().hex()},
                                  {"directory", directory}};
    if (context.console.output().json) {
        context.console.print_json(document);
    } else {
        context.console.print("joined network '" + printable(joined->name()) + "' as " +
                              (flags.client ? "client " : "node ") + joined->certificate().id().short_hex() + "\n");
        if (brings_archive)
            context.console.note("this machine's archive comes along: its node copies it to the others");
        context.console.note("next: 'pelago node run'");
    }
    return ExitCode::done;
}

// --- policy

/// Without a running node the directory is ours to change, and says so if somebody else has it.
base::Result<base::Policy> change_policy_directly(const std::string& directory, const PolicyFlags& flags) {
    BASE_TRY(const auto disk, base::host::HostDisk::open(DataDirectory{directory}.node()));
    BASE_TRY(auto network, NetworkDirectory::open(*disk));
    if (!flags.given()) return network.policy();
    BASE_TRY(const auto lock, disk->lock(kNetworkLock));
    BASE_TRY(const auto policy, flags.apply(network.policy()));
    return network.change_policy(policy);
}

base::Result<ExitCode> policy(Context& context, const PolicyFlags& flags) {
    if (flags.min_copies && flags.copies && *flags.min_copies > *flags.copies) {
        return usage_error("--min-copies cannot be more than --copies");
    }
    nlohmann::json arguments = nlohmann::json::object();
    if (flags.copies) arguments["copies"] = *flags.copies;
    if (flags.min_copies) arguments["min_copies"] = *flags.min_copies;
    if (!flags.repair_after.empty()) {
        const auto duration = parse_duration(flags.repair_after);
        if (!duration) return usage_error("--repair-after takes a time, like 90s, 15m or 1h");
        arguments["repair_after_s"] = duration->count();
    }
    const auto data = data_directory(context.settings);
    auto answer = ask_daemon(data, "policy", arguments);
    if (!answer && answer.error() == Errc::no_node && data.other_socket.empty()) {
        auto changed = change_policy_directly(data.path, flags);
        if (!changed && changed.error() == base::Errc::not_found) {
            return base::Error{Errc::no_network, "cannot use " + data.path};
        }
        BASE_TRY(const auto now, std::move(changed));
        answer = describe_policy(now);
    }
    BASE_TRY(const auto document, std::move(answer));
    print_policy(context.console, document);
    return ExitCode::done;
}

}  // namespace

void add_network_verbs(Verbs& verbs) {
    CLI::App& group =
        verbs.group("network", "Peers that keep each other's blocks: create, invite, join, leave, remove");

    auto create_flags = std::make_shared<CreateFlags>();
    CLI::App& create_verb = verbs.add(
        group,
        {"create", "Create a network, with this machine as its first node and its authority", "network create home",
         "The directory of this node then holds the network's authority, which invites and removes members: keep a "
         "copy "
         "elsewhere with 'pelago network authority export'."},
        [create_flags](Context& context) { return create(context, *create_flags); });
    create_verb.add_option("name", create_flags->name, "What people call it")->required()->type_name("NAME");
    create_flags->wish.add_to(create_verb);
    create_flags->policy.add_to(create_verb);

    auto lifetime = std::make_shared<std::string>("1d");
    CLI::App& invite_verb =
        verbs.add(group,
                  {"invite", "Print a token with which one machine can join", "network invite > token",
                   "It names this node, is spent by the first machine that uses it, and is a secret until then."},
                  [lifetime](Context& context) { return invite(context, *lifetime); });
    invite_verb.add_option("--valid", *lifetime, "How long it can be used")->type_name("TIME")->capture_default_str();

    auto join_flags = std::make_shared<JoinFlags>();
    CLI::App& join_verb = verbs.add(
        group,
        {"join", "Join a network with a token", "network join --token-file token\nnetwork join < token",
         "The token is read from standard input unless a file is named: never from the command line, where everybody "
         "on this machine could see it. A join that broke off can be repeated with the same token."},
        [join_flags](Context& context) { return join(context, *join_flags); });
    join_verb.add_option("--token-file", join_flags->token_file, "Where the token is")->type_name("FILE");
    join_verb.add_flag(
        "--client", join_flags->client,
        "Use the network without storing for it: to restore on a new machine, or on one that is seldom on");
    join_flags->wish.add_to(join_verb);

    auto policy_flags = std::make_shared<PolicyFlags>();
    CLI::App& policy_verb =
        verbs.add(group,
                  {"policy", "Show the policy of the network, or change it where the authority's key is",
                   "network policy\nnetwork policy --copies 4 --repair-after 30m"},
                  [policy_flags](Context& context) { return policy(context, *policy_flags); });
    policy_flags->add_to(policy_verb);

    add_member_verbs(verbs, group);
}

}  // namespace tools
