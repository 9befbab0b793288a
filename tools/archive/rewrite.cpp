// pelago archive rewrite
#include "objstore/archive/rewrite.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/selection.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::LeftOut;
using objstore::archive::RewriteOptions;

struct Options {
    std::vector<std::string> snapshots;
    PatternOptions excludes;
    bool forget = false;
    bool dry_run = false;
    FilterOptions filter;
    std::string volume;
};

base::Result<ExitCode> rewrite(Context& context, const Options& options) {
    RewriteOptions wanted;
    BASE_TRY(wanted.excludes, options.excludes.read());
    if (wanted.excludes.empty()) return usage_error("nothing to leave out: give --exclude or another of its kind");
    wanted.dry_run = options.dry_run;
    if (!options.forget) wanted.tags = {"rewrite"};
    Console& console = context.console;
    const bool json = console.output().json;
    if (!json && (options.dry_run || console.output().verbose > 0)) {
        wanted.on_left_out = [&console](const std::string& path, LeftOut) {
            console.print("excluding " + printable(path) + "\n");
        };
    }
    BASE_TRY(const VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    Session& session = *access.session;
    BASE_TRY(const auto snapshots, choose_snapshots(access, options.snapshots, options.filter, "cannot rewrite"));
    std::vector<base::Guid> old;
    for (const auto& snapshot : snapshots) {
        const auto id = snapshot.id();
        const auto done = session.run(objstore::archive::rewrite(*access.volume, snapshot, wanted));
        if (!done) return done.error().with("cannot rewrite snapshot " + id.short_hex());
        if (done->left_out == 0) continue;
        old.push_back(id);
        if (json) {
            nlohmann::json object{{"message_type", "changed"},
                                  {"old_snapshot_id", id.hex()},
                                  {"paths_left_out", done->left_out},
                                  {"dry_run", options.dry_run}};
            if (done->snapshot) object["new_snapshot_id"] = done->snapshot->id().hex();
            console.print_json(object);
        } else if (!console.output().quiet) {
            console.print(
                fmt::format("snapshot {}: {} {}{}\n", id.short_hex(), plural(done->left_out, "path", "paths"),
                            options.dry_run ? "would be left out" : "left out",
                            done->snapshot ? " of the new snapshot " + done->snapshot->id().short_hex() : ""));
        }
    }
    if (options.forget && !options.dry_run && !old.empty()) {
        const auto done = session.run(access.volume->forget(old));
        if (!done) return done.error().with("cannot forget the old snapshots; the new ones are there");
    }
    if (json) {
        console.print_json({{"message_type", "summary"}, {"rewritten_snapshots", old.size()}});
    } else if (old.empty()) {
        console.note("no snapshot has anything to leave out");
    } else if (!options.forget && !options.dry_run) {
        console.note("the old snapshots are still there; with --forget they go");
    }
    return report_damage(context, *access.volume, ExitCode::done);
}

}  // namespace

void add_rewrite(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"rewrite", "Make snapshots again without some files",
         "archive rewrite --exclude '*.iso' --dry-run\narchive rewrite --exclude /home/ann/secret --forget 40dc1520",
         "Of those named, or of all that match the filters. A new snapshot of the same time takes the place of each "
         "that "
         "has such files: with --forget the old ones go, without it the new ones are tagged 'rewrite'."},
        [options](Context& context) { return rewrite(context, *options); });
    verb.add_option("SNAP", options->snapshots, "Snapshot ids (their first digits), or 'latest'; none: all that match");
    options->excludes.add_to(verb, "exclude", "Leave out what matches");
    verb.add_flag("--forget", options->forget, "Forget the old snapshots");
    verb.add_flag("-n,--dry-run", options->dry_run, "Say what would be left out, change nothing");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
