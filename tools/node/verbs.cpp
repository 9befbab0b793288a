// pelago node run, status: this machine's peer.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/host/tcp_transport.hpp"
#include "cli/families.hpp"
#include "cli/host_io.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "daemon/control.hpp"
#include "daemon/daemon.hpp"
#include "daemon/health.hpp"
#include "node/drain.hpp"

namespace tools {

namespace {

// --- run

struct RunFlags {
    std::string listen = "0.0.0.0:7400";
    std::string advertise;
    std::string capacity;
    std::string cache;
    std::string heartbeat = "30s";
    std::string scrub = "30d";
    std::string metrics;
    bool share_with_group = false;
};

base::Result<ExitCode> run(Context& context, const RunFlags& flags) {
    DaemonOptions options;
    options.directory = context.settings.get("dir");
    options.socket = context.settings.get("socket");
    options.share_with_group = flags.share_with_group;
    options.listen = flags.listen;
    options.advertise = flags.advertise;
    options.metrics = flags.metrics;
    for (const auto& [flag, text] : {std::pair{"--listen", flags.listen}, std::pair{"--advertise", flags.advertise},
                                     std::pair{"--metrics", flags.metrics}}) {
        const bool given = !text.empty() || std::string_view{flag} == "--listen";
        if (given && !base::host::parse_host_port(text)) {
            return usage_error(std::string{flag} + " takes an address and a port, like 192.0.2.7:7400, not '" + text +
                               "'");
        }
    }
    const auto heartbeat = parse_duration(flags.heartbeat);
    if (!heartbeat || heartbeat->count() < 1) return usage_error("--heartbeat takes a time of at least 1s");
    options.heartbeat = *heartbeat;
    const auto scrub = parse_duration(flags.scrub);
    constexpr std::chrono::days kLongestScrub{3650};
    if (!scrub || *scrub > kLongestScrub) {
        return usage_error("--scrub takes a time of at most 3650d, like 30d, or 0s for never");
    }
    options.scrub = *scrub;
    const auto capacity = context.settings.get("capacity", flags.capacity);
    if (!capacity.empty()) {
        const auto size = parse_size(capacity);
        if (!size) return usage_error("--capacity takes a size, like 10G or 500MiB");
        options.capacity_bytes = *size;
    }
    const auto cache = context.settings.get("cache", flags.cache);
    if (!cache.empty()) {
        options.cache_bytes = parse_size(cache);
        if (!options.cache_bytes) return usage_error("--cache takes a size, like 10G or 500MiB, or 0 for no cache");
    }
    options.name = context.settings.get("host");
    if (options.name.empty()) options.name = context.io.environment().host;
    options.notify_socket = context.io.environment().variable("NOTIFY_SOCKET").value_or("");
    options.verbose = context.console.output().verbose > 0;
    if (context.console.output().json) {
        options.on_serving = [&context](const nlohmann::json& document) { context.console.print_json(document); };
    }
    let_stop_take_its_time();  // a daemon drains
    return run_daemon(std::move(options), context.io.environment().stop);
}

// --- status

std::string show_duration(std::int64_t seconds) { return human_duration(std::chrono::seconds{seconds}); }

std::string count_members(const nlohmann::json& members) {
    std::map<std::string, std::uint64_t> in_state;
    for (const auto& member : members) ++in_state[member["state"].get<std::string>()];
    std::string text = plural(members.size(), "storage peer", "storage peers") + ": " +
                       human_count(in_state["here"] + in_state["up"]) + " up";
    for (const auto& [state, words] :
         {std::pair{"silent", " not answering"}, std::pair{"away", " away"}, std::pair{"unknown", " not met yet"}}) {
        if (in_state[state] > 0) text += ", " + human_count(in_state[state]) + words;
    }
    return text;
}

/// Of a repair: how long until what is ours to send is sent, or for whom it waits.
std::string time_left(const nlohmann::json& status) {
    const auto& repair = status["repair"];
    if (repair.contains("left_s")) {
        return ", about " + show_duration(repair["left_s"]) + " left at " + human_size(repair["bytes_per_second"]) +
               "/s";
    }
    std::optional<std::int64_t> wait;
    for (const auto& gone : status["overlay"]["absent"]) {
        const auto left = status["policy"]["repair_after_s"].get<std::int64_t>() - gone["away_s"].get<std::int64_t>();
        if (left > 0) wait = std::min(wait.value_or(left), left);
    }
    return wait ? "; copies are made again in " + show_duration(*wait) + ", unless who is away comes back" : "";
}

std::string members_table(const nlohmann::json& members) {
    Table table{{"ID", "NAME", "STATE", "SINCE", "USED", "CAPACITY", "SEEN", "ADDRESS"},
                {Table::Align::left, Table::Align::left, Table::Align::left, Table::Align::right, Table::Align::right,
                 Table::Align::right, Table::Align::right}};
    const auto size = [](const nlohmann::json& member, const char* key) {
        return member.contains(key) ? human_size(member[key]) : std::string{"-"};
    };
    for (const auto& member : members) {
        const auto state = member["state"].get<std::string>();
        const auto* since = member.contains("up_s") ? "up_s" : "away_s";
        table.add({member["id"].get<std::string>().substr(0, 8), printable(member.value("name", std::string{"-"})),
                   state == "up" && member.contains("draining") ? "draining"
                   : state == "silent"                          ? "no answer"
                   : state == "unknown"                         ? "not met yet"
                                                                : state,
                   member.contains(since) ? show_duration(member[since]) : "-", size(member, "used_bytes"),
                   size(member, "capacity_bytes"),
                   state == "here" || state == "up" ? "now"
                   : member.contains("seen_s")      ? show_duration(member["seen_s"]) + " ago"
                                                    : "-",
                   printable(member["endpoint"].get<std::string>())});
    }
    return table.str();
}

std::string scrub_text(const nlohmann::json& scrub) {
    if (scrub["period_s"] == 0) return "off: contents are checked when they are read";
    const auto ended = scrub["ended_s"].get<std::int64_t>();
    auto text =
        ended == 0 ? "not once through yet" : "all was read and checked until " + local_time(base::Timestamp{ended, 0});
    if (scrub["damaged"] != 0) text += "; " + plural(scrub["damaged"], "damaged block", "damaged blocks") + " found";
    constexpr std::int64_t kDay = 86'400;
    const auto period = scrub["period_s"].get<std::int64_t>();
    const bool in_days = period >= kDay && period % kDay == 0;
    return text + "; every " +
           (in_days ? plural(static_cast<std::uint64_t>(period / kDay), "day", "days") : show_duration(period));
}

void print_status(Console& console, const nlohmann::json& status) {
    const auto& store = status["store"];
    const auto& blocks = status["past"];
    Table table{{"NODE", status["id"].get<std::string>()}};
    table.add({"network", status["network_name"].get<std::string>()});
    table.add({"state", status["state"].get<std::string>() + ", up " + show_duration(status["uptime_s"])});
    const auto address = status["endpoint"].get<std::string>();
    table.add({"address", address.empty() ? "none: it dials others, and nobody dials it" : address});
    table.add({"members", count_members(status["members"])});
    const auto copies = blocks["copies"].get<int>();
    const auto wanted = blocks["copies_wanted"].get<int>();
    table.add(
        {"copies",
         std::to_string(copies) + " of each block, " + std::to_string(blocks["min_copies"].get<int>()) + " at least" +
             (copies < wanted ? "; " + plural(static_cast<unsigned>(wanted - copies), "more machine", "more machines") +
                                    " would make the " + std::to_string(wanted) + " that the policy asks for"
                              : "")});
    table.add({"stored", plural(store["blocks"], "block", "blocks") + ", " + human_size(store["disk_bytes"]) + " of " +
                             human_size(store["capacity_bytes"])});
    const bool unasked = blocks["blocks_whole"] == 0 && blocks["blocks_short"] == 0 && blocks["blocks_ours"] != 0;
    table.add(
        {"whole", unasked ? "the holders of " + plural(blocks["blocks_ours"], "block", "blocks") + " were not asked yet"
                          : human_count(blocks["blocks_whole"]) + " of " +
                                plural(blocks["blocks_ours"], "block has all its", "blocks have all their") +
                                " copies, as the holders say"});
    if (store.value("state_lost", false)) {
        table.add({"damaged", "records or tags were lost from this disk before the node started: see its log"});
    }
    if (store["unreadable_segments"] != 0) {
        table.add({"damaged", plural(store["unreadable_segments"], "file", "files") +
                                  " of the store cannot be read: see the node's log"});
    }
    if (blocks["blocks_lost"] != 0) {
        table.add({"damaged",
                   plural(blocks["blocks_lost"], "block", "blocks") + " lost on this disk, waiting for a good copy"});
    }
    if (blocks["registers_without_majority"] != 0) {
        table.add(
            {"stuck", plural(blocks["registers_without_majority"], "volume", "volumes") +
                          " to which nothing can be added: too few of the nodes that keep its newest state are up"});
    }
    if (blocks["blocks_short"] != 0 || blocks["backlog_blocks"] != 0) {
        table.add({"repair", plural(blocks["blocks_short"], "block", "blocks") + " short of copies, " +
                                 human_count(blocks["backlog_blocks"]) + " to send" + time_left(status)});
    }
    if (blocks["draining"].get<bool>()) {
        const bool done = blocks["blocks_to_drain"] == 0 && blocks["records_to_drain"] == 0;
        table.add({"drain", done ? "done: leave now, 'pelago network leave'"
                                 : plural(blocks["blocks_to_drain"], "block", "blocks") + ", " +
                                       human_size(blocks["bytes_to_drain"]) + ", and " +
                                       plural(blocks["records_to_drain"], "record", "records") +
                                       " are still to go to others"});
    }
    if (blocks["blocks_moving"] != 0 || blocks["blocks_to_hand_over"] != 0) {
        table.add({"moving", plural(blocks["blocks_moving"], "block is", "blocks are") + " not yet in place, " +
                                 human_count(blocks["blocks_to_hand_over"]) + " kept here for others"});
    }
    if (blocks["blocks_surplus"] != 0) {
        table.add({"surplus",
                   plural(blocks["blocks_surplus"], "block", "blocks") + " kept beyond the copies that are wanted"});
    }
    if (blocks["blocks_diverted"] != 0) {
        table.add({"diverted",
                   plural(blocks["blocks_diverted"], "block is", "blocks are") + " kept by neighbours: no room here"});
    }
    if (blocks["blocks_for_others"] != 0) {
        table.add({"guests", plural(blocks["blocks_for_others"], "block", "blocks") + ", " +
                                 human_size(blocks["bytes_for_others"]) + ", for neighbours that have no room"});
    }
    if (blocks["blocks_cached"] != 0) {
        table.add({"cache", plural(blocks["blocks_cached"], "block", "blocks") + ", " +
                                human_size(blocks["bytes_cached"]) + ", in unused space"});
    }
    table.add({"scrub", scrub_text(blocks["scrub"])});
    table.add({"moved", human_size(blocks["bytes_repaired"]) + " repaired, " + human_size(blocks["bytes_handed_over"]) +
                            " handed over"});
    console.print(table.str() + "\n" + members_table(status["members"]));
}

base::Result<ExitCode> status(Context& context, bool check) {
    BASE_TRY(const auto document, ask_daemon(data_directory(context.settings), "status", nlohmann::json::object()));
    const auto trouble = diagnose(document);
    if (context.console.output().json) {
        auto extended = document;
        extended["healthy"] = !trouble;
        if (trouble) extended["trouble"] = trouble->sentence;
        context.console.print_json(extended);
    } else {
        if (!context.console.output().quiet || !check) print_status(context.console, document);
        if (trouble) context.console.warn(trouble->sentence);
    }
    return check && trouble ? trouble->exit : ExitCode::done;
}

}  // namespace

void add_node_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("node", "Run this machine's node and inspect it");

    auto run_flags = std::make_shared<RunFlags>();
    CLI::App& run_verb = verbs.add(
        group,
        {"run", "Run a node of the network until stopped", "node run\nnode run --listen 192.0.2.7:7400 --capacity 200G",
         "Runs in the foreground; tools/pelago.service runs it under systemd. SIGTERM stops it cleanly, kill -9 loses "
         "nothing either."},
        [run_flags](Context& context) { return run(context, *run_flags); });
    run_verb.add_option("--listen", run_flags->listen, "Address and port to listen on; port 0 for any")
        ->type_name("HOST:PORT")
        ->capture_default_str();
    run_verb
        .add_option("--advertise", run_flags->advertise, "Address that others dial (default: the listening address)")
        ->type_name("HOST:PORT");
    run_verb.add_option("--capacity", run_flags->capacity, "Space that the store may take")->type_name("SIZE");
    run_verb
        .add_option("--cache", run_flags->cache,
                    "Unused space in which to cache what was read (default 1G, never more than half); 0 for no cache")
        ->type_name("SIZE");
    run_verb
        .add_option("--metrics", run_flags->metrics,
                    "Address and port of a page for Prometheus, /metrics, like 127.0.0.1:9480; plain HTTP")
        ->type_name("HOST:PORT");
    run_verb.add_option("--scrub", run_flags->scrub, "Time within which every stored block is read and checked once")
        ->type_name("TIME")
        ->capture_default_str();
    run_verb.add_option("--heartbeat", run_flags->heartbeat, "Interval at which neighbours are probed")
        ->type_name("TIME")
        ->capture_default_str();

    run_verb.add_flag("--share-with-group", run_flags->share_with_group,
                      "Let members of this process's group use the node, not only its user and root");

    auto check = std::make_shared<bool>(false);
    CLI::App& status_verb =
        verbs.add(group,
                  {"status", "Show the health of the running node, and whether every block has its copies",
                   "node status\nnode status --check --quiet || echo needs attention"},
                  [check](Context& context) { return status(context, *check); });
    add_drain_verb(verbs, group);
    status_verb.add_flag("--check", *check, "Exit non-zero if something needs attention, and name it");
}

}  // namespace tools
