// pelago archive prune
#include "archive/prune.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/gc/repack.hpp"
#include "past/error.hpp"

namespace tools {

namespace {

using objstore::gc::PruneReport;
using objstore::gc::RepackReport;

struct Options {
    bool dry_run = false;
    bool at_once = false;
    std::string max_unused = "5%";
    std::string volume;
};

nlohmann::json summary(const RepackReport& repacked, const PruneReport& report, const PruneRequest& request) {
    return {{"message_type", "summary"},
            {"packs_replaced", repacked.packs},
            {"packs_unreadable", repacked.packs_unreadable},
            {"bytes_moved", repacked.bytes_moved},
            {"bytes_unused_in_packs", repacked.bytes_unused},
            {"bytes_unused_left_in_packs", repacked.bytes_unused_left},
            {"blocks_kept", report.blocks},
            {"bytes_kept", report.bytes},
            {"blocks_released", report.blocks_released - report.blocks_refused},
            {"bytes_released", report.bytes_released},
            {"blocks_refused", report.blocks_refused},
            {"blocks_young", report.blocks_young},
            {"bytes_young", report.bytes_young},
            {"groups_in_part", report.groups_in_part},
            {"tree_nodes_read", report.nodes_read},
            {"at_once", report.at_once},
            {"dry_run", request.dry_run}};
}

std::string repack_text(const RepackReport& report, bool dry_run) {
    if (report.packs == 0) return "";
    return fmt::format("{} repacked: {} needed, {} not\n",
                       dry_run ? plural(report.packs, "pack would be", "packs would be")
                               : plural(report.packs, "pack was", "packs were"),
                       human_size(report.bytes_moved), human_size(report.bytes_unused));
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

/// The value of --max-unused.
base::Result<double> parse_max_unused(const std::string& text) {
    if (text == "unlimited") return std::numeric_limits<double>::infinity();
    double percent = 0;
    const auto end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, percent);
    const bool right = error == std::errc{} && at + 1 == end && *at == '%' && percent >= 0 && percent < 100;
    if (right) return percent / 100;
    return base::Error{base::Errc::bad_argument, "--max-unused " + text + ": give a share such as 5%, or 'unlimited'"};
}

base::Result<ExitCode> prune(Context& context, const Options& options) {
    BASE_TRY(VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    PruneRequest request;
    request.at_once = options.at_once;
    request.dry_run = options.dry_run;
    BASE_TRY(request.max_unused, parse_max_unused(options.max_unused));
    BASE_TRY(const auto code, prune_volume(context, access, request));
    return report_damage(context, *access.volume, code);
}

base::Result<RepackReport> repack(Context& context, VolumeAccess& access, const PruneRequest& request) {
    using objstore::gc::RepackProgress;
    if (std::isinf(request.max_unused)) return RepackReport{};
    Console& console = context.console;
    objstore::gc::RepackOptions options;
    options.max_unused = request.max_unused;
    options.dry_run = request.dry_run;
    options.cache_path = dedup_cache_path(*access.volume);
    const auto show = [&console](const RepackProgress& now) {
        switch (now.step) {
            case RepackProgress::Step::look: return console.status(human_count(now.count) + " tree leaves read");
            case RepackProgress::Step::move: return console.status(human_count(now.count) + " packs rewritten");
            case RepackProgress::Step::trees: return console.status(human_count(now.count) + " tree nodes rewritten");
        }
    };
    auto report = access.session->run(objstore::gc::repack(*access.volume, std::move(options), show));
    console.status("");
    return report;
}

base::Result<PruneReport> collect(Context& context, VolumeAccess& access, const PruneRequest& request) {
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
    if (report) return report;
    if (report.error() == objstore::Errc::damaged) {
        return report.error().with(
            "cannot tell what is needed, so nothing was given back; 'pelago archive check' names the snapshot or "
            "version "
            "that lost it: repair it, or forget it ('pelago archive forget', 'pelago volume forget')");
    }
    return report.error().with("cannot prune");
}

}  // namespace

base::Result<ExitCode> prune_volume(Context& context, VolumeAccess& access, PruneRequest request) {
    Console& console = context.console;
    auto repacked = repack(context, access, request);
    if (!repacked && repacked.error() == base::Errc::interrupted) return repacked.error();
    BASE_TRY(auto report, collect(context, access, request));
    // What a repack had stored when it found no more room is not needed, and younger than this collection.
    const bool was_full = !repacked && repacked.error() == past::Errc::no_space;
    if (was_full) {
        BASE_TRY(report, collect(context, access, request));
    }

    auto code = ExitCode::done;
    if (!repacked) {
        console.warn("packs with much that is not needed stay as they are: " + repacked.error().message() +
                     (was_full ? "; '--max-unused unlimited' does not try" : ""));
        repacked = RepackReport{};
        code = ExitCode::partial;
    }
    if (repacked->packs_unreadable > 0) {
        console.warn(plural(repacked->packs_unreadable, "pack", "packs") +
                     " could not be read and stay; see 'pelago archive check'");
        code = ExitCode::partial;
    }
    if (console.output().json && !request.only_words) console.print_json(summary(*repacked, report, request));
    if (!console.output().json && !console.output().quiet) {
        console.print(repack_text(*repacked, request.dry_run) + report_text(report, request.dry_run));
    }
    if (report.groups_in_part > 0) {
        console.warn("some nodes did not answer: what only they have is given back by a later prune");
        code = ExitCode::partial;
    }
    if (report.refused) {
        console.warn(fmt::format("{} could not be given back ({}); prune again later",
                                 plural(report.blocks_refused, "block", "blocks"), report.refused->message()));
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
    verb.add_option("--max-unused", options->max_unused,
                    "How much that nothing needs may stay in packs beside what is needed, as a share of that; more is "
                    "repacked: '0%' all, 'unlimited' nothing")
        ->type_name("SHARE")
        ->capture_default_str();
    verb.add_flag(
        "--no-grace", options->at_once,
        "Now, not after the time of grace: whoever reads what was forgotten, or has a file open that was removed, "
        "loses it; so does a mount that wrote it and could not commit it yet");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
