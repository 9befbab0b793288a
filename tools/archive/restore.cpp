// pelago archive restore
#include "objstore/archive/restore.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/selection.hpp"
#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::Overwrite;
using objstore::archive::RestoreOptions;
using objstore::archive::RestoreReport;
using objstore::archive::WarningKind;

struct Options {
    std::string what;
    std::string target;
    PatternOptions includes;
    PatternOptions excludes;
    FilterOptions filter;
    std::string overwrite = "always";
    bool remove_others = false;
    bool verify = false;
    bool dry_run = false;
    std::string volume;
};

const std::map<std::string, Overwrite>& overwrite_words() {
    static const std::map<std::string, Overwrite> kWords{{"always", Overwrite::always},
                                                         {"if-changed", Overwrite::if_changed},
                                                         {"if-newer", Overwrite::if_newer},
                                                         {"never", Overwrite::never}};
    return kWords;
}

base::Result<RestoreOptions> make_restore_options(const Options& options, const std::string& sub_path) {
    if (options.target.empty()) return usage_error("--target takes a directory");
    RestoreOptions out;
    out.target = options.target;
    out.sub_path = sub_path;
    BASE_TRY(out.includes, options.includes.read());
    BASE_TRY(out.excludes, options.excludes.read());
    if (!out.includes.empty() && !out.excludes.empty()) {
        return usage_error("cannot take --include and --exclude together; give one of them");
    }
    out.overwrite = overwrite_words().at(options.overwrite);
    out.remove_others = options.remove_others;
    out.verify = options.verify;
    out.dry_run = options.dry_run;
    return out;
}

nlohmann::json summary(const RestoreReport& report, const objstore::Snapshot& snapshot, const Options& options) {
    return {{"message_type", "summary"},
            {"snapshot_id", snapshot.id().hex()},
            {"target", options.target},
            {"files_restored", report.files},
            {"dirs_restored", report.directories},
            {"files_skipped", report.kept},
            {"files_failed", report.failed},
            {"files_deleted", report.removed},
            {"bytes_restored", report.bytes},
            {"blocks_read", report.blocks_read},
            {"files_verified", report.verified},
            {"total_duration", std::chrono::duration<double>(report.duration).count()},
            {"warnings", to_json(report.warnings)},
            {"dry_run", options.dry_run}};
}

/// "restored snapshot 40dc1520 to /tmp/restored", or how much of it.
std::string headline(const RestoreReport& report, const objstore::Snapshot& snapshot, const Options& options) {
    const auto there = report.files + report.kept;
    const bool missing = report.failed > 0 || report.warnings.count(WarningKind::damaged) > 0 ||
                         report.warnings.count(WarningKind::refused) > 0;
    std::string text = options.dry_run ? "would restore " : "restored ";
    if (missing) text += there > 0 ? "a part of " : "nothing of ";
    text += "snapshot " + snapshot.id().short_hex() + " to " + printable(options.target);
    if (missing) text += ": " + human_count(there) + " of " + plural(there + report.failed, "file", "files");
    return text + "\n";
}

/// Done in part only if a part was done.
ExitCode outcome_of(const RestoreReport& report) {
    const ExitCode exit = exit_code_of(report.warnings);
    const bool nothing = report.failed > 0 && report.files + report.kept == 0;
    return exit == ExitCode::partial && nothing ? ExitCode::fatal : exit;
}

std::string report_text(const RestoreReport& report, const objstore::Snapshot& snapshot, const Options& options) {
    const double seconds = std::chrono::duration<double>(report.duration).count();
    const double rate = seconds > 0 ? static_cast<double>(report.bytes) / seconds : 0;
    std::string text = headline(report, snapshot, options) +
                       fmt::format("{}, {}, {} in {} ({}/s)\n", plural(report.files, "file", "files"),
                                   plural(report.directories, "directory", "directories"), human_size(report.bytes),
                                   human_duration(std::chrono::duration_cast<std::chrono::seconds>(report.duration)),
                                   human_size(static_cast<std::uint64_t>(rate)));
    if (report.removed > 0) {
        text += plural(report.removed, "file or directory", "files or directories") +
                (options.dry_run ? " would be deleted\n" : " deleted: the snapshot does not have them\n");
    }
    if (report.kept > 0) text += plural(report.kept, "file was", "files were") + " there already and kept\n";
    if (options.verify && !options.dry_run) {
        const auto checked = report.verified + report.warnings.count(WarningKind::differs);
        text += plural(report.verified, "file", "files") + " read back and found equal";
        if (checked < report.files)
            text +=
                "; the other " + human_count(report.files - checked) + " are links or special files, without content";
        text += "\n";
    }
    return text;
}

base::Result<ExitCode> restore(Context& context, const Options& options) {
    const auto [name, sub_path] = objstore::archive::parse_snapshot_path(options.what);
    BASE_TRY(RestoreOptions restore_options, make_restore_options(options, sub_path));
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    Session& session = *access.session;
    BASE_TRY(const auto snapshot,
             choose_snapshot(access, name, options.filter, "cannot restore '" + options.what + "'"));
    if (restore_options.remove_others && (options.dry_run || context.console.output().verbose > 0)) {
        restore_options.on_removed = [&console = context.console](const std::string& path) {
            if (console.output().json) {
                console.print_json({{"message_type", "verbose_status"}, {"action", "deleted"}, {"item", path}});
            } else if (!console.output().quiet) {
                console.print("deleted   " + printable(path) + "\n");
            }
        };
    }
    Progress progress{context.console, "restore"};
    auto report = session.run(objstore::archive::restore(session.env(), session.files(), *access.volume, snapshot,
                                                         std::move(restore_options), show_progress(progress)),
                              [&progress] { progress.tick(); });
    context.console.status("");
    if (!report && report.error() == base::Errc::interrupted) {
        return base::Error{base::Errc::interrupted,
                           "interrupted: files that were finished are there; the same command goes on where this "
                           "one was (what is unfinished is called .pelago-*.restoring until then)"};
    }
    if (!report) return report.error().with("cannot restore '" + options.what + "' to " + options.target);

    print_warnings(context.console, report->warnings);
    if (context.console.output().json) {
        context.console.print_json(summary(*report, snapshot, options));
    } else if (!context.console.output().quiet) {
        context.console.print(report_text(*report, snapshot, options));
    }
    return report_damage(context, *access.volume, outcome_of(*report));
}

}  // namespace

void add_restore(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"restore", "Restore the files of a snapshot",
                   "archive restore latest --target /tmp/restored\n"
                   "archive restore 40dc1520:/home/ann/letters --target . --verify\n"
                   "archive restore latest:/srv/www --target /srv/www --delete --dry-run",
                   "The source path is made below the target; of SNAP:/a/b, what is in /a/b. Nothing is ever "
                   "written outside the target."},
                  [options](Context& context) { return restore(context, *options); });
    verb.add_option("SNAP", options->what, "Snapshot id (its first digits), or 'latest'; SNAP:/path for a part of it")
        ->required();
    verb.add_option("-t,--target", options->target, "Directory to restore into; made if absent")
        ->required()
        ->type_name("DIR");
    options->includes.add_to(verb, "include", "Restore only what matches");
    options->excludes.add_to(verb, "exclude", "Leave out what matches");
    std::vector<std::string> words;
    for (const auto& [word, policy] : overwrite_words()) words.push_back(word);
    verb.add_option("--overwrite", options->overwrite,
                    "Files that are there already: always, if-changed, if-newer, never")
        ->check(CLI::IsMember(words))
        ->type_name("WHEN")
        ->default_str("always");
    verb.add_flag("--delete", options->remove_others,
                  "Delete what the snapshot does not have from its directories in the target; see it first with -n");
    verb.add_flag("--verify", options->verify, "Read every file back and compare");
    verb.add_flag("-n,--dry-run", options->dry_run, "Report what would be restored; write nothing");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
