// pelago route, trace, ping, publish, unpublish, locate, send: Pastry and Tapestry seen from the command line.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "base/limits.hpp"
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

/// Before anybody is asked.
base::Result<void> check_digits(const std::string& text) {
    if (!text.empty() && base::Guid::from_prefix(text)) return base::ok();
    return usage_error("'" + text + "' is not 1 to 64 hexadecimal digits");
}

/// An object is named by the digits of its GUID, or by any other name, whose hash is its GUID.
base::Result<std::string> object_named(const std::string& text) {
    constexpr std::string_view kDomain = "pelago object ";
    if (text.empty() || text.size() > base::kMaxNameBytes || printable(text) != text)
        return usage_error("an object has a name of at most 255 bytes of plain text, or a GUID");
    if (base::Guid::from_prefix(text)) return text;
    return base::sha256(base::as_bytes(std::string{kDomain} + text)).hex();
}

/// As a person calls it, and its GUID where that is another thing.
std::string both_names(const std::string& name, const nlohmann::json& answer) {
    const auto guid = answer["object"].get<std::string>();
    return guid.starts_with(name) ? guid : printable(name) + " (" + guid + ")";
}

base::Result<ExitCode> trace(Context& context, const std::string& key) {
    BASE_CHECK(check_digits(key));
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "trace", {{"key", key}}));
    if (context.console.output().json) {
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
    BASE_CHECK(check_digits(key));
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "route", {{"key", key}}));
    if (context.console.output().json) {
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
    BASE_CHECK(check_digits(node));
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "ping", {{"node", node}}));
    if (context.console.output().json) {
        context.console.print_json(answer);
    } else {
        context.console.print(answer["id"].get<std::string>() + " answers in " + milliseconds(answer["rtt_us"]) + "\n");
    }
    return ExitCode::done;
}

base::Result<ExitCode> publish(Context& context, const std::string& name, bool withdraw) {
    BASE_TRY(const auto object, object_named(name));
    const auto* question = withdraw ? "unpublish" : "publish";
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), question, {{"object", object}}));
    const bool confirmed = answer["confirmed"].get<bool>();
    if (context.console.output().json) {
        context.console.print_json(answer);
    } else {
        context.console.print(std::string{withdraw ? "withdrawn" : "published"} + ": " + both_names(name, answer) +
                              "\n");
    }
    if (confirmed) return ExitCode::done;
    context.console.warn(
        withdraw ? "not all nodes that others will ask for it have confirmed that; the node says it again every five "
                   "minutes, and who does not hear it forgets the object a quarter of an hour from now at the latest"
                 : "not all nodes that others will ask for it have confirmed it; the node says it again every five "
                   "minutes, and 'pelago node status' shows whether it is part of the ring");
    return ExitCode::partial;
}

/// The way of the question, and what it met.
void draw(Console& console, const nlohmann::json& answer) {
    Table table{{"HOP", "NODE", "PREFIX", "ADDRESS"}, {Table::Align::right, Table::Align::left, Table::Align::right}};
    const auto object = *base::Guid::from_hex(answer["object"].get<std::string>());
    std::size_t hop = 0;
    for (const auto& node : answer["way"]) {
        const auto id = base::Guid::from_hex(node["id"].get<std::string>());
        table.add({std::to_string(hop++), node["id"].get<std::string>().substr(0, 16),
                   std::to_string(id->common_prefix(object)), printable(node["endpoint"].get<std::string>())});
    }
    console.print(table.str() + "a pointer was met at the last of these; who publishes the object:\n");
}

base::Result<ExitCode> locate(Context& context, const std::string& name, bool trace) {
    BASE_TRY(const auto object, object_named(name));
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "locate", {{"object", object}}));
    if (context.console.output().json) {
        context.console.print_json(answer);
        return ExitCode::done;
    }
    if (trace) draw(context.console, answer);
    Table table{{"HOLDER", "DISTANCE", "ADDRESS"}, {Table::Align::left, Table::Align::right}};
    for (const auto& holder : answer["holders"]) {
        table.add({holder["id"].get<std::string>().substr(0, 16), milliseconds(holder["delay_us"]),
                   printable(holder["endpoint"].get<std::string>())});
    }
    context.console.print(table.str());
    return ExitCode::done;
}

constexpr std::size_t kMaxMessageBytes = 16U << 10U;

struct SendOptions {
    std::string object;
    std::string message;
    unsigned replicas = 1;
};

base::Result<ExitCode> send(Context& context, const SendOptions& options) {
    BASE_TRY(const auto object, object_named(options.object));
    if (options.message.size() > kMaxMessageBytes) {
        return usage_error("a message on the command line has at most " + plural(kMaxMessageBytes, "byte", "bytes"));
    }
    if (printable(options.message) != options.message) {
        return usage_error("a message on the command line is one line of text (UTF-8)");
    }
    const nlohmann::json question{{"object", object}, {"message", options.message}, {"replicas", options.replicas}};
    BASE_TRY(const auto answer, ask_daemon(data_directory(context.settings), "send", question));
    const auto reached = answer["reached"].get<std::uint64_t>();
    if (context.console.output().json) {
        context.console.print_json(answer);
    } else {
        const std::string of = reached < options.replicas ? " of " + std::to_string(options.replicas) : "";
        context.console.print("taken by " + plural(reached, "replica", "replicas") + of + "\n");
    }
    return reached < options.replicas ? ExitCode::partial : ExitCode::done;
}

void add_location_verbs(Verbs& verbs) {
    const auto object_option = [](CLI::App& verb, std::string& object) {
        verb.add_option("object", object, "A name of your choice, or hexadecimal digits of its GUID")
            ->required()
            ->type_name("OBJECT");
    };
    auto published = std::make_shared<std::string>();
    object_option(
        verbs.add({"publish", "Announce that this node holds an object", "publish my-photos\npublish 4378",
                   "Until 'unpublish', or until the node stops. What is sent to the object is written to the\n"
                   "node's log. A name of hexadecimal digits only is a GUID, filled up with zeros. Returns when\n"
                   "others find it. Exit 3: said, but not every node that they will ask has confirmed it."},
                  [published](Context& context) { return publish(context, *published, false); }),
        *published);
    auto withdrawn = std::make_shared<std::string>();
    object_option(verbs.add({"unpublish", "Withdraw an announced object", "unpublish 4378",
                             "Of what 'publish' said. Exit 3: said, but not every node that others will ask has\n"
                             "confirmed it. Can be repeated for a while."},
                            [withdrawn](Context& context) { return publish(context, *withdrawn, true); }),
                  *withdrawn);
    auto located = std::make_shared<std::string>();
    auto traced = std::make_shared<bool>(false);
    auto& locate_verb =
        verbs.add({"locate", "Find who holds an object, nearest first", "locate 4378 --trace",
                   "Exit 1: nobody publishes it, and the nodes that would know say so. Exit 5: they do\n"
                   "not answer."},
                  [located, traced](Context& context) { return locate(context, *located, *traced); });
    object_option(locate_verb, *located);
    locate_verb.add_flag("--trace", *traced, "Also draw the route, and where a pointer was found");
    auto sending = std::make_shared<SendOptions>();
    auto& send_verb =
        verbs.add({"send", "Send a message to the nearest holder of an object",
                   "send my-photos 'who else has these?' --replicas 2",
                   "The message is written to the log of the node that publishes the object, for whoever looks\n"
                   "after that node; nothing else is done with it. Exit 3: fewer replicas than asked for took it."},
                  [sending](Context& context) { return send(context, *sending); });
    object_option(send_verb, sending->object);
    send_verb.add_option("message", sending->message, "Text")->required()->type_name("MESSAGE");
    send_verb.add_option("--replicas", sending->replicas, "Number of distinct holders to send to")
        ->type_name("N")
        ->check(CLI::Range(1U, 16U))
        ->capture_default_str();
}

}  // namespace

void add_overlay_verbs(Verbs& verbs) {
    auto route_key = std::make_shared<std::string>();
    verbs
        .add({"route", "Send a message to the root of a key and print where it arrived", "route 65a1fc",
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
        .add({"ping", "Check whether a node answers", "ping 4228",
              "A node is named by the first digits of its id, as 'pelago node status' shows them."},
             [node](Context& context) { return ping(context, *node); })
        .add_option("node", *node, "First digits of its id")
        ->required()
        ->type_name("NODE");

    add_location_verbs(verbs);
}

}  // namespace tools
