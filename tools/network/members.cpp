#include "network/members.hpp"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/tcp_transport.hpp"
#include "base/network_directory.hpp"
#include "cli/base64.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "daemon/control.hpp"
#include "daemon/daemon.hpp"
#include "node/drain.hpp"
#include "session/data_directory.hpp"

namespace tools {

namespace {

using base::NetworkDirectory;
using namespace std::chrono_literals;

constexpr std::size_t kMaxAuthorityFile = 4096;
constexpr auto kAskPatience = 60s;  // other nodes may be asked in turn

/// The one whose id begins with these digits.
base::Result<base::NodeId> find_member(const NetworkDirectory& network, const std::string& digits) {
    std::vector<base::NodeId> meant;
    for (const auto& member : network.roster().members) {
        if (member.id.hex().starts_with(digits)) meant.push_back(member.id);
    }
    if (meant.size() == 1) return meant.front();
    if (meant.empty()) return base::Error{base::Errc::not_found, "no member begins with '" + digits + "'"};
    return base::Error{base::Errc::bad_argument, "several nodes begin with '" + digits + "': give more digits"};
}

/// The directory of a node that does not run, locked: nobody else changes it meanwhile.
struct OwnNetwork {
    std::unique_ptr<base::Disk> disk;
    std::unique_ptr<base::DirectoryLock> lock;
    std::optional<NetworkDirectory> directory;
};

base::Result<OwnNetwork> own_network(const std::string& directory) {
    OwnNetwork own;
    auto disk = base::host::HostDisk::open(DataDirectory{directory}.node());
    if (!disk && disk.error() == base::Errc::not_found) return base::Error{Errc::no_network, "cannot use " + directory};
    BASE_TRY(own.disk, std::move(disk));
    BASE_TRY(own.lock, own.disk->lock(kNetworkLock));
    auto network = NetworkDirectory::open(*own.disk);
    if (!network && network.error() == base::Errc::not_found) {
        return base::Error{Errc::no_network, "cannot use " + directory};
    }
    BASE_TRY(own.directory, std::move(network));
    return own;
}

/// Asks the running node, or does it here where none runs.
template <class Here>
base::Result<nlohmann::json> ask_or_do(const DataDirectory& directory, const std::string& question,
                                       const nlohmann::json& arguments, Here here) {
    auto answer = ask_daemon(directory, question, arguments, kAskPatience);
    if (answer || !(answer.error() == Errc::no_node) || !directory.other_socket.empty()) return answer;
    BASE_TRY(auto own, own_network(directory.path));
    return here(*own.directory);
}

// --- remove

base::Result<ExitCode> remove(Context& context, const std::string& node, bool force) {
    const auto here = [&](NetworkDirectory& network) -> base::Result<nlohmann::json> {
        BASE_TRY(const auto id, find_member(network, node));
        BASE_CHECK(network.remove(id));
        return nlohmann::json{{"node", id.hex()}, {"storage_peers", network.roster().storage_peers()}};
    };
    auto answer = ask_or_do(data_directory(context.settings), "remove", {{"node", node}, {"force", force}}, here);
    if (!answer) return answer.error().with("cannot remove " + printable(node));
    if (context.console.output().json) {
        context.console.print_json(*answer);
        return ExitCode::done;
    }
    const auto left = (*answer)["storage_peers"].get<std::uint64_t>();
    context.console.print("node " + (*answer)["node"].get<std::string>().substr(0, 8) + " was removed for good; " +
                          plural(left, "storage member is", "storage members are") + " left\n");
    context.console.note("its copies are made again; 'pelago node status' shows how far that is");
    return ExitCode::done;
}

// --- leave

/// Moved aside, never deleted: what it holds may be all that somebody has left.
base::Result<std::string> put_aside(const DataDirectory& directory, const std::string& name) {
    for (unsigned number = 0; number < 1000; ++number) {
        const auto target = directory.node() + "-left-" + name + (number == 0 ? "" : "-" + std::to_string(number));
        std::error_code failed;
        if (std::filesystem::exists(target, failed)) continue;
        std::filesystem::rename(directory.node(), target, failed);
        if (failed) return base::Error{failed, "cannot move " + directory.node() + " to " + target};
        return target;
    }
    return base::Error{base::Errc::exists, directory.node() + "-left-" + name};
}

base::Result<void> wait_until_it_ended(const DataDirectory& directory) {
    const auto give_up = std::chrono::steady_clock::now() + kAskPatience;
    while (somebody_listens(directory.socket())) {
        if (std::chrono::steady_clock::now() > give_up) return base::Error{Errc::node_runs, "the node still stops"};
        std::this_thread::sleep_for(100ms);
    }
    return base::ok();
}

base::Result<ExitCode> told_of_leaving(Context& context, const std::string& node, const std::string& aside,
                                       std::uint64_t blocks_short = 0) {
    if (context.console.output().json) {
        context.console.print_json({{"node", node}, {"moved_to", aside}, {"blocks_short", blocks_short}});
        return ExitCode::done;
    }
    if (blocks_short > 0) {
        context.console.note(plural(blocks_short, "block has", "blocks have") +
                             " one copy less until the others have made it again; --drain makes them first");
    }
    context.console.print("this machine left its network; what it kept for it lies in " + printable(aside) + "\n");
    context.console.note("nobody needs that any more once the others have made their copies: it can be deleted");
    return ExitCode::done;
}

/// Without a word to the others: they find out, and remove the node.
base::Result<ExitCode> forget(Context& context, const DataDirectory& directory) {
    if (somebody_listens(directory.socket())) {
        return base::Error{Errc::node_runs, "cannot forget the network; stop the node first"};
    }
    std::string node = "unknown";
    {
        BASE_TRY(const auto disk, base::host::HostDisk::open(directory.node()));
        const auto network = NetworkDirectory::open(*disk);
        if (!network && network.error() == base::Errc::not_found) {
            return base::Error{Errc::no_network, "cannot leave, in " + directory.path};
        }
        if (network) node = network->certificate().id().short_hex();
    }
    BASE_TRY(const auto aside, put_aside(directory, node));
    if (!context.console.output().json) {
        context.console.note("to the others it is a node that is away: 'pelago network remove " + node + "' there");
    }
    return told_of_leaving(context, node, aside);
}

base::Result<ExitCode> leave(Context& context, bool force, bool drain) {
    const DataDirectory directory{context.settings.get("dir")};
    if (force) return forget(context, directory);
    if (drain) BASE_CHECK(drain_node(context));
    auto answer = ask_daemon(directory, "leave", nlohmann::json::object(), kAskPatience);
    if (!answer) return answer.error().with("cannot leave");
    const auto node = (*answer)["node"].get<std::string>();
    BASE_CHECK(wait_until_it_ended(directory));
    BASE_TRY(const auto aside, put_aside(directory, node.substr(0, 8)));
    return told_of_leaving(context, node, aside, answer->value("blocks_short", std::uint64_t{0}));
}

// --- address

base::Result<ExitCode> address(Context& context, const std::string& node, const std::string& endpoint) {
    if (!base::host::parse_host_port(endpoint)) {
        return usage_error("'" + endpoint + "' is not an address and a port, like 192.0.2.7:7400");
    }
    const auto here = [&](NetworkDirectory& network) -> base::Result<nlohmann::json> {
        BASE_TRY(const auto id, find_member(network, node));
        const base::Address member{id, endpoint};
        BASE_CHECK(network.remember_seed(member));
        return nlohmann::json{{"node", id.hex()}, {"endpoint", endpoint}, {"answers", nullptr}};
    };
    auto answer =
        ask_or_do(data_directory(context.settings), "address", {{"node", node}, {"endpoint", endpoint}}, here);
    if (!answer) return answer.error().with("cannot look for " + printable(node));
    const auto& answers = (*answer)["answers"];
    const bool silent = answers.is_boolean() && !answers.get<bool>();
    if (context.console.output().json) {
        context.console.print_json(*answer);
    } else if (!silent) {
        const auto name = (*answer)["node"].get<std::string>().substr(0, 8);
        context.console.print("node " + name + " is looked for at " + endpoint + " from now on" +
                              (answers.is_boolean() ? ", and answers there" : "") + "\n");
    }
    if (!silent) return ExitCode::done;
    return base::Error{base::Errc::unreachable,
                       "node " + printable(node) + " does not answer at " + endpoint + " (it is looked for there on)"};
}

// --- authority

base::Result<ExitCode> export_authority(Context& context, const std::string& target) {
    const auto directory = context.settings.get("dir");
    BASE_TRY(const auto disk, base::host::HostDisk::open(DataDirectory{directory}.node()));
    const auto network = NetworkDirectory::open(*disk);
    if (!network && network.error() == base::Errc::not_found) {
        return base::Error{Errc::no_network, "cannot use " + directory};
    }
    if (!network) return network.error();
    BASE_TRY(const auto file, network->export_authority());
    if (auto written = write_new_file(target, file); !written) {
        return written.error().with("cannot write the authority's file");
    }
    if (context.console.output().json) {
        context.console.print_json({{"file", target}, {"network_name", network->name()}});
        return ExitCode::done;
    }
    context.console.print("the authority of network '" + printable(network->name()) + "' is in " + printable(target) +
                          "\n");
    context.console.note("who has this file can let machines in and remove them: keep it like a key");
    return ExitCode::done;
}

base::Result<ExitCode> import_authority(Context& context, const std::string& source) {
    BASE_TRY(const auto file, read_small_file(source, kMaxAuthorityFile));
    if (!file) return base::Error{base::Errc::not_found, "cannot read " + source};
    const auto here = [&](NetworkDirectory& network) -> base::Result<nlohmann::json> {
        BASE_CHECK(network.import_authority(*file));
        return nlohmann::json{
            {"network_name", network.name()}, {"acts_here", network.acts_here()}, {"why_not", "the node does not run"}};
    };
    auto answer = ask_or_do(data_directory(context.settings), "import_authority", {{"file", to_base64(*file)}}, here);
    if (!answer) return answer.error().with("cannot take over the authority");
    if (context.console.output().json) {
        context.console.print_json(*answer);
        return ExitCode::done;
    }
    const auto name = printable((*answer)["network_name"].get<std::string>());
    if ((*answer)["acts_here"].get<bool>()) {
        context.console.print("the authority of network '" + name + "' acts on this machine now\n");
        return ExitCode::done;
    }
    context.console.print("the authority of network '" + name + "' can act on this machine now\n");
    context.console.note("it does not yet: " + printable((*answer)["why_not"].get<std::string>()));
    return ExitCode::done;
}

void add_authority_verbs(Verbs& verbs, CLI::App& group) {
    CLI::App* authority =
        group.add_subcommand("authority", "Export and import the key that admits and removes machines");
    authority->require_subcommand(0, 1);
    auto target = std::make_shared<std::string>();
    CLI::App& export_verb = verbs.add(*authority,
                                      {"export", "Write the network's authority to a file, to be kept elsewhere",
                                       "network authority export home.authority",
                                       "With it another member can invite and remove machines, also when this one is "
                                       "lost. It is not encrypted."},
                                      [target](Context& context) { return export_authority(context, *target); });
    export_verb.add_option("file", *target, "A file that does not exist yet")->required()->type_name("FILE");

    auto source = std::make_shared<std::string>();
    CLI::App& import_verb = verbs.add(
        *authority,
        {"import", "Let this machine, a member, act for the network", "network authority import home.authority",
         "The authority acts on one machine at a time: on the one that is told to invite, remove or change the "
         "policy last, and has the key. That needs an answer of the one before, unless it is being removed."},
        [source](Context& context) { return import_authority(context, *source); });
    import_verb.add_option("file", *source, "What 'network authority export' wrote")->required()->type_name("FILE");
}

}  // namespace

void add_member_verbs(Verbs& verbs, CLI::App& group) {
    struct RemoveFlags {
        std::string node;
        bool force = false;
    };
    auto remove_flags = std::make_shared<RemoveFlags>();
    CLI::App& remove_verb = verbs.add(
        group,
        {"remove", "Remove a node that is gone for good", "network remove 3f2a9c01",
         "Also called 'revoke': for a machine that is lost, and for one that is not to be trusted any more. It never "
         "counts again: within seconds its connections are closed, and whoever asks with its certificate is refused; "
         "what "
         "it kept is copied again, and volumes no longer wait for it. Only where the authority's key is; 'network "
         "authority' brings that to another machine. A node that is only away for a while needs no removing."},
        [remove_flags](Context& context) { return remove(context, remove_flags->node, remove_flags->force); });
    remove_verb.alias("revoke");
    remove_verb.add_option("node", remove_flags->node, "Its id, or how that begins")->required()->type_name("NODE");
    remove_verb.add_flag("--force", remove_flags->force, "Also if it is up");

    auto force = std::make_shared<bool>(false);
    auto drain = std::make_shared<bool>(false);
    CLI::App& leave_verb =
        verbs.add(group,
                  {"leave", "Take this machine out of its network", "network leave\nnetwork leave --drain",
                   "The others go on without it at once, and make again what it kept; with --drain they have made it "
                   "before. What "
                   "it kept is put aside in the data directory; your key stays."},
                  [force, drain](Context& context) { return leave(context, *force, *drain); });
    leave_verb.add_flag("--drain", *drain, "First wait until others have all copies of what this node keeps");
    leave_verb.add_flag("--force", *force, "Ask nobody: only forget the network here")->excludes("--drain");

    struct AddressFlags {
        std::string node;
        std::string endpoint;
    };
    auto address_flags = std::make_shared<AddressFlags>();
    CLI::App& address_verb = verbs.add(
        group,
        {"address", "Give a member's new address when no member can reach another",
         "network address 3f2a9c01 192.168.7.2:7400",
         "One contact is enough for this machine: it tells that member where it is itself, and is told of the others."},
        [address_flags](Context& context) { return address(context, address_flags->node, address_flags->endpoint); });
    address_verb.add_option("node", address_flags->node, "Its id, or how that begins")->required()->type_name("NODE");
    address_verb.add_option("address", address_flags->endpoint, "Where it listens")->required()->type_name("HOST:PORT");

    add_authority_verbs(verbs, group);
}

}  // namespace tools
