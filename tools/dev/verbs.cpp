// pelago dev up, status, down: five peers on this machine, to try things out.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "daemon/control.hpp"
#include "dev/cluster.hpp"

namespace tools {

namespace {

/// As a shell reads it back, whatever is in it.
std::string shell_word(const std::string& text) {
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:@%,";
    if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return text;
    std::string out = "'";
    for (const char letter : text) out += letter == '\'' ? std::string{"'\\''"} : std::string(1, letter);
    return out + "'";
}

constexpr unsigned kMostNodes = 64;

/// Whoever uses a node of the cluster (PELAGO_DIR=.../dev/node-1, as `dev up` says) means the cluster it belongs to.
std::string dev_directory(const Settings& settings) {
    const auto path = std::filesystem::absolute(settings.get("dir")).lexically_normal();
    const auto parent = path.parent_path();
    const bool of_node = parent.filename() == "dev" && path.filename().string().starts_with("node-");
    return of_node ? parent.string() : join_path(settings.get("dir"), "dev");
}

struct UpFlags {
    std::optional<unsigned> nodes;  ///< default: those that are there, or five
    unsigned copies = 0;            ///< 0: three, or as many as there are nodes; of a cluster that is there, its own
    std::optional<unsigned> min_copies;  ///< default: two, or as many as there are copies
    std::string repair_after;            ///< "": 10s
    std::string capacity;
};

/// Of the policy of a cluster that was made before.
nlohmann::json changes_of(const UpFlags& flags) {
    auto change = nlohmann::json::object();
    if (flags.copies != 0) change["copies"] = flags.copies;
    if (flags.min_copies) change["min_copies"] = *flags.min_copies;
    if (const auto after = parse_duration(flags.repair_after)) change["repair_after_s"] = after->count();
    return change;
}

base::Result<ExitCode> up(Context& context, UpFlags flags) {
    DevCluster cluster{dev_directory(context.settings)};
    DevCluster::Options options;
    options.nodes = flags.nodes.value_or(cluster.size() > 0 ? cluster.size() : options.nodes);
    if (options.nodes < 1 || options.nodes > kMostNodes) return usage_error("--nodes takes a number from 1 to 64");
    if (options.nodes < cluster.size())
        return usage_error("the cluster has " + plural(cluster.size(), "node", "nodes") + " already: it only grows");
    if (!flags.capacity.empty() && cluster.any_runs())
        return usage_error("--capacity is for nodes that are started: 'pelago dev down' stops those that run");
    const auto change = cluster.size() > 0 ? changes_of(flags) : nlohmann::json::object();
    if (flags.copies == 0) flags.copies = std::min(3U, options.nodes);
    options.capacity = flags.capacity;
    const auto repair_after = parse_duration(flags.repair_after.empty() ? "10s" : flags.repair_after);
    if (!repair_after) return usage_error("--repair-after takes a time, like 10s or 1h");
    if (flags.copies > options.nodes)
        return usage_error("--copies cannot be more than --nodes: each is on a node of its own");
    if (flags.copies > 16) return usage_error("a block has at most 16 copies");
    if (flags.min_copies.value_or(0) > flags.copies) return usage_error("--min-copies cannot be more than --copies");
    if (!flags.capacity.empty() && !parse_size(flags.capacity)) {
        return usage_error("--capacity takes a size, like 10G or 500MiB");
    }
    options.policy.repair_after = *repair_after;
    options.policy.copies = static_cast<std::uint8_t>(flags.copies);
    options.policy.min_copies = static_cast<std::uint8_t>(flags.min_copies.value_or(std::min(2U, flags.copies)));
    BASE_CHECK(options.policy.check());
    BASE_CHECK(cluster.up(context.console, options));
    if (!change.empty()) BASE_CHECK(ask_daemon(DataDirectory{cluster.node_directory(1)}, "policy", change));
    if (context.console.output().json) {
        BASE_TRY(const auto status, cluster.status());
        context.console.print_json(status);
    } else {
        BASE_TRY(const auto status, cluster.status());
        context.console.print(plural(status["nodes"].size(), "peer is", "peers are") +
                              " up, each a process of its own\n");
        const auto directory = std::filesystem::absolute(cluster.node_directory(1)).lexically_normal().string();
        context.console.note("to use them: export PELAGO_DIR=" + printable(shell_word(directory)));
    }
    return ExitCode::done;
}

base::Result<ExitCode> status(Context& context) {
    const DevCluster cluster{dev_directory(context.settings)};
    BASE_TRY(const auto document, cluster.status());
    if (context.console.output().json) {
        context.console.print_json(document);
        return ExitCode::done;
    }
    if (document["nodes"].empty()) {
        return base::Error{Errc::no_cluster, "cannot look into " + dev_directory(context.settings)};
    }
    using Align = Table::Align;
    Table table{{"NODE", "ID", "PID", "STATE", "SEES", "BLOCKS", "STORED", "WHOLE", "SHORT"},
                {Align::left, Align::left, Align::right, Align::left, Align::right, Align::right, Align::right,
                 Align::right, Align::right}};
    for (const auto& node : document["nodes"]) {
        const auto id = node["id"].get<std::string>().substr(0, 8);
        if (!node.contains("status")) {
            const auto pid = node["pid"].is_null() ? "-" : std::to_string(node["pid"].get<int>());
            table.add({node["name"], id, pid, node["state"], "-", "-", "-", "-", "-"});
            continue;
        }
        const auto& seen = node["status"];
        table.add({node["name"], id, std::to_string(node["pid"].get<int>()), node["state"],
                   std::to_string(seen["overlay"]["neighbours"].size()), human_count(seen["store"]["blocks"]),
                   human_size(seen["store"]["block_bytes"]), human_count(seen["past"]["blocks_whole"]),
                   human_count(seen["past"]["blocks_short"])});
    }
    context.console.print(table.str());
    return ExitCode::done;
}

base::Result<ExitCode> down(Context& context) {
    DevCluster cluster{dev_directory(context.settings)};
    BASE_CHECK(cluster.down(context.console));
    if (context.console.output().json) {
        BASE_TRY(const auto status, cluster.status());
        context.console.print_json(status);
    }
    context.console.note("stopped; what they store stays in " + dev_directory(context.settings));
    return ExitCode::done;
}

}  // namespace

void add_dev_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("dev", "Run a cluster of peers on this machine, to try things out");

    auto flags = std::make_shared<UpFlags>();
    CLI::App& up_verb = verbs.add(group,
                                  {"up", "Start peers on this machine, each a process of its own", "dev up --nodes 5",
                                   "Safe to repeat: what runs stays, what was killed is started again."},
                                  [flags](Context& context) { return up(context, *flags); });
    up_verb.add_option("--nodes", flags->nodes, "How many (default: those that are there, or 5)")->type_name("N");
    up_verb.add_option("--copies", flags->copies, "Of each block (default: 3)")
        ->type_name("N")
        ->check(CLI::Range(1, 16));
    up_verb.add_option("--min-copies", flags->min_copies, "Refuse to store with fewer nodes up (default: 2)")
        ->type_name("N");
    up_verb
        .add_option("--repair-after", flags->repair_after,
                    "Make new copies when a node is away for this long (default: 10s)")
        ->type_name("TIME");
    up_verb.add_option("--capacity", flags->capacity, "Space that each store may take")->type_name("SIZE");

    verbs.add(group, {"status", "Show which peers run and what each stores", "dev status"},
              [](Context& context) { return status(context); });
    verbs.add(group, {"down", "Stop the peers; what they store stays", "dev down"},
              [](Context& context) { return down(context); });
}

}  // namespace tools
