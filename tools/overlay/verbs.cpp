// pelago route, trace, ping: Pastry seen from the command line.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/families.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "daemon/control.hpp"

namespace tools {

namespace {

std::string milliseconds(const nlohmann::json& microseconds) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f ms", microseconds.get<double>() / 1000);
    return text;
}

base::Result<ExitCode> trace(Context& context, const std::string& key) {
    BASE_TRY(const auto answer, ask_daemon(context.settings.get("dir"), "trace", {{"key", key}}));
    if (context.console.manner().json) {
        context.console.print_json(answer);
        return ExitCode::done;
    }
    Table table{{"HOP", "NODE", "PREFIX", "RTT", "ADDRESS"},
                {Table::Align::right, Table::Align::left, Table::Align::right, Table::Align::right}};
    int hop = 0;
    for (const auto& node : answer["hops"]) {
        table.add({std::to_string(hop), node["id"].get<std::string>().substr(0, 16),
                   std::to_string(node["prefix"].get<int>()), hop == 0 ? "-" : milliseconds(node["rtt_us"]),
                   node["endpoint"]});
        ++hop;
    }
    context.console.print(table.str());
    return ExitCode::done;
}

base::Result<ExitCode> route(Context& context, const std::string& key) {
    BASE_TRY(const auto answer, ask_daemon(context.settings.get("dir"), "route", {{"key", key}}));
    if (context.console.manner().json) {
        context.console.print_json(answer);
    } else {
        context.console.print("delivered at " + answer["root"]["id"].get<std::string>() + " (" +
                              printable(answer["root"]["endpoint"].get<std::string>()) + ") after " +
                              plural(answer["hops"].get<std::uint64_t>(), "hop", "hops") + " in " +
                              milliseconds(answer["rtt_us"]) + "\n");
    }
    return ExitCode::done;
}

base::Result<ExitCode> ping(Context& context, const std::string& node) {
    BASE_TRY(const auto answer, ask_daemon(context.settings.get("dir"), "ping", {{"node", node}}));
    if (context.console.manner().json) {
        context.console.print_json(answer);
    } else {
        context.console.print(answer["id"].get<std::string>() + " answers in " + milliseconds(answer["rtt_us"]) + "\n");
    }
    return ExitCode::done;
}

}  // namespace

void add_overlay_verbs(Verbs& verbs) {
    auto route_key = std::make_shared<std::string>();
    verbs
        .add({"route", "Send a message to the root of a key, and say where it arrived", "route 65a1fc",
              "A key is 64 hexadecimal digits; fewer are filled up with zeros."},
             [route_key](Context& context) { return route(context, *route_key); })
        .add_option("key", *route_key, "Hexadecimal digits")
        ->required()
        ->type_name("KEY");

    auto trace_key = std::make_shared<std::string>();
    verbs
        .add({"trace", "Show every hop towards the root of a key", "trace 65a1fc"},
             [trace_key](Context& context) { return trace(context, *trace_key); })
        .add_option("key", *trace_key, "Hexadecimal digits")
        ->required()
        ->type_name("KEY");

    auto node = std::make_shared<std::string>();
    verbs
        .add({"ping", "Ask a node whether it is there", "ping 4228",
              "A node is named by the first digits of its id, as 'pelago node status' shows them."},
             [node](Context& context) { return ping(context, *node); })
        .add_option("node", *node, "First digits of its id")
        ->required()
        ->type_name("NODE");
}

}  // namespace tools
