// pelago archive ls
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/node_text.hpp"
#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "objstore/archive/listing.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::ListedFile;

struct Options {
    std::string what;
    bool recursive = false;
    bool long_format = false;
    FilterOptions filter;
    std::string volume;
};

base::Result<ExitCode> list(Context& context, const Options& options) {
    const auto [name, path] = objstore::archive::parse_snapshot_path(options.what);
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    Session& session = *access.session;
    BASE_TRY(const auto snapshot, choose_snapshot(access, name, options.filter, "cannot list '" + options.what + "'"));
    Console& console = context.console;
    const bool json = console.manner().json;
    if (json) {
        auto head = to_json(snapshot);
        head["message_type"] = "snapshot";
        console.print_json(head);
    }
    // As restic does: a snapshot is listed whole, a directory of it as ls(1) would.
    const bool whole = options.what.find(':') == std::string::npos;
    const auto show = [&](const ListedFile& file) {
        if (whole && file.path == "/") return;
        if (json) {
            auto node = to_json(file);
            node["message_type"] = "node";
            console.print_json(node);
        } else {
            console.print(line_of(file, options.long_format));
        }
    };
    const auto listed =
        session.run(objstore::archive::list_files(*access.volume, snapshot, path, whole || options.recursive, show));
    if (!listed) return listed.error().with("cannot list '" + options.what + "'");
    print_warnings(console, *listed);
    return report_damage(context, *access.volume, exit_code_of(*listed));
}

}  // namespace

void add_ls(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"ls", "List the files of a snapshot", "archive ls latest\narchive ls -l 40dc1520:/home/ann",
                   "Of a snapshot, every path; of SNAP:/directory, what is in it, with -r everything below it."},
                  [options](Context& context) { return list(context, *options); });
    verb.add_option("SNAP", options->what, "Snapshot id (its first digits), or 'latest'; SNAP:/path for a part of it")
        ->required();
    verb.add_flag("-r,--recursive", options->recursive, "Everything below, too");
    verb.add_flag("-l,--long", options->long_format, "Mode, links, owner, size and time, too");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
