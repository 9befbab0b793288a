// pelago archive prune
#include "archive/prune.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "objstore/gc/prune.hpp"

namespace tools {

namespace {

using objstore::gc::PruneReport;

struct Options {
    bool dry_run = false;
    bool at_once = false;
    std::string volume;
};

nlohmann::json summary(const PruneReport& report, const PruneRequest& request) {
    return {{"message_type", "summary"},
            {"blocks_kept", report.blocks},
            {"bytes_kept", report.bytes},
            {"blocks_released", report.blocks_released - report.blocks_refused},
            {"bytes_released", report.bytes_released},
            {"blocks_refused", report.blocks_refused},
            {"blocks_young", report.blocks_young},
            {"bytes_young", report.bytes_young},
            {"places_in_part", report.places_in_part},
            {"tree_nodes_read", report.nodes_read},
            {"at_once", report.at_once},
            {"dry_run", request.dry_run}};
}

std::string report_text(const PruneReport& report, bool dry_run) {
    std::string text =
        fmt::format("{} in {} are needed\n", human_size(report.bytes), plural(report.blocks, "block", "blocks"));
    const auto freed = fmt::format("{} in {}", human_size(report.bytes_released),
                                   plural(report.blocks_released - report.blocks_refused, "block", "blocks"));
    if (report.blocks_released == 0) {
        text += "nothing else is there\n";
    } else if (dry_run) {
        text += freed + " would be given back\n";
    } else {
        text += freed + (report.at_once ? " were given back\n" : " go when the time of grace is over\n");
    }
    if (report.blocks_young > 0) {
        text += fmt::format("{} in {} are left for a backup that may be under way\n", human_size(report.bytes_young),
                            plural(report.blocks_young, "block", "blocks"));
    }
    return text;
}

base::Result<ExitCode> prune(Context& context, const Options& options) {
    BASE_TRY(VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    BASE_TRY(const auto code, prune_volume(context, access, {options.at_once, options.dry_run, std::nullopt, false}));
    return report_damage(context, *access.volume, code);
}

}  // namespace

base::Result<ExitCode> prune_volume(Context& context, VolumeAccess& access, PruneRequest request) {
    Session& session = *access.session;
    Console& console = context.console;
    objstore::gc::PruneOptions options;
    options.at_once = request.at_once;
    options.alone = [&session] { return session.alone(); };
    options.dry_run = request.dry_run;
    options.up_to = request.up_to;
    const auto show = [&console](const objstore::gc::PruneProgress& now) {
        console.status(now.sweeping ? fmt::format("{} blocks released", human_count(now.blocks))
                                    : fmt::format("{} blocks found that are needed", human_count(now.blocks)));
    };
    auto report = session.run(objstore::gc::prune(*access.volume, options, show));
    console.status("");
    if (!report && report.error() == objstore::Errc::damaged) {
        return report.error().with("cannot tell what is needed, so nothing was given back; see 'pelago archive check'");
    }
    if (!report) return report.error().with("cannot prune");

    if (console.manner().json && !request.only_words) console.print_json(summary(*report, request));
    if (!console.manner().json && !console.manner().quiet) console.print(report_text(*report, request.dry_run));
    auto code = ExitCode::done;
    if (report->places_in_part > 0) {
        console.warn("some nodes did not answer: what only they have is given back by a later prune");
        code = ExitCode::partial;
    }
    if (report->refused) {
        console.warn(fmt::format("{} could not be given back ({}); prune again later",
                                 plural(report->blocks_refused, "block", "blocks"), report->refused->message()));
        code = ExitCode::partial;
    }
    return code;
}

void add_prune(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"prune", "Give back the room of what no snapshot needs", "archive prune\narchive prune --dry-run",
         "Backups, restores, mounts and other prunes may run at the same time; nothing is locked. In a network, and "
         "while "
         "other commands use this machine's own store, blocks go after a time of grace (7 days, unless the network's "
         "policy says otherwise): until then a backup can still use them, and who reads them can go on."},
        [options](Context& context) { return prune(context, *options); });
    verb.add_flag("-n,--dry-run", options->dry_run, "Say what would be given back, change nothing");
    verb.add_flag(
        "--no-grace", options->at_once,
        "Now, not after the time of grace: whoever reads what was forgotten, or has a file open that was removed, "
        "loses it; so does a mount that wrote it and could not commit it yet");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
