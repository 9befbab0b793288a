// pelago archive ls
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/node_text.hpp"
#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/files.hpp"
#include "objstore/archive/listing.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::ListedFile;

struct Options {
    std::string what;
    std::vector<std::string> paths;
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
    const bool json = console.output().json;
    if (json) {
        auto head = to_json(snapshot);
        head["message_type"] = "snapshot";
        console.print_json(head);
    }
    // As restic does: a snapshot is listed whole, a directory of it as ls(1) would.
    const bool whole = options.what.find(':') == std::string::npos && options.paths.empty();
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
    std::vector<std::string> paths;
    for (const auto& below : options.paths) paths.push_back(join_path(path, below));
    if (paths.empty()) paths.push_back(path);
    auto code = ExitCode::done;
    for (const auto& one : paths) {
        const auto listed =
            session.run(objstore::archive::list_files(*access.volume, snapshot, one, whole || options.recursive, show));
        if (!listed) return listed.error().with("cannot list '" + options.what + "'");
        print_warnings(console, *listed);
        code = worse(code, exit_code_of(*listed));
    }
    return report_damage(context, *access.volume, code);
}

}  // namespace

void add_ls(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"ls", "List the files of a snapshot",
                   "archive ls latest\narchive ls -l 40dc1520:/home/ann\narchive ls -r latest /etc /home/ann/.config",
                   "Of a snapshot, every path; of a directory, what is in it, with -r everything below it."},
                  [options](Context& context) { return list(context, *options); });
    verb.add_option("SNAP", options->what, "Snapshot id (its first digits), or 'latest'; SNAP:/path for a part of it")
        ->required();
    verb.add_option("PATH", options->paths, "Only these directories and files of it");
    verb.add_flag("-r,--recursive", options->recursive, "Everything below, too");
    verb.add_flag("-l,--long", options->long_format, "Mode, links, owner, size and time, too");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
