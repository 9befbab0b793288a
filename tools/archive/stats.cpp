// pelago archive stats
#include "objstore/archive/stats.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::Stats;
using objstore::archive::StatsMode;

struct Options {
    std::vector<std::string> snapshots;
    std::string mode = "restore-size";
    FilterOptions filter;
    std::string volume;
};

const std::map<std::string, StatsMode>& mode_words() {
    static const std::map<std::string, StatsMode> kWords{{"restore-size", StatsMode::restore_size},
                                                         {"files-by-contents", StatsMode::files_by_contents},
                                                         {"blobs-per-file", StatsMode::blobs_per_file},
                                                         {"raw-data", StatsMode::raw_data}};
    return kWords;
}

std::string report_text(const Stats& stats, const std::string& mode) {
    std::string text = "Stats in " + mode + " mode:\n";
    text += fmt::format("{:>22}  {}\n", "Snapshots processed:", stats.snapshots);
    if (stats.blobs > 0) text += fmt::format("{:>22}  {}\n", "Total Blob Count:", human_count(stats.blobs));
    if (stats.files > 0) text += fmt::format("{:>22}  {}\n", "Total File Count:", human_count(stats.files));
    return text + fmt::format("{:>22}  {}\n", "Total Size:", human_size(stats.bytes));
}

nlohmann::json summary(const Stats& stats) {
    nlohmann::json object{
        {"message_type", "summary"}, {"total_size", stats.bytes}, {"snapshots_count", stats.snapshots}};
    if (stats.files > 0) object["total_file_count"] = stats.files;
    if (stats.blobs > 0) object["total_blob_count"] = stats.blobs;
    return object;
}

base::Result<ExitCode> stats(Context& context, const Options& options) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    BASE_TRY(auto snapshots, choose_snapshots(access, options.snapshots, options.filter, "cannot count"));
    Console& console = context.console;
    const auto show = [&console](const Stats& now) {
        console.status(human_size(now.bytes) + " in " + plural(now.snapshots, "snapshot", "snapshots"));
    };
    const auto counted = access.session->run(
        objstore::archive::count_stats(*access.volume, std::move(snapshots), mode_words().at(options.mode), show));
    console.status("");
    if (!counted) return counted.error().with("cannot count");
    if (console.output().json) {
        console.print_json(summary(*counted));
    } else {
        console.print(report_text(*counted, options.mode));
    }
    return report_damage(context, *access.volume, ExitCode::done);
}

}  // namespace

void add_stats(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"stats", "Count what is in snapshots", "archive stats latest\narchive stats --mode raw-data --host laptop",
         "restore-size: what a restore of each would make. files-by-contents: files of different content. "
         "blobs-per-file: of those, the different chunks. raw-data: what one copy of all of it takes in storage."},
        [options](Context& context) { return stats(context, *options); });
    verb.add_option("SNAP", options->snapshots, "Snapshot ids (their first digits), or 'latest'; none: all");
    std::vector<std::string> words;
    for (const auto& [word, mode] : mode_words()) words.push_back(word);
    verb.add_option("--mode", options->mode,
                    "What is counted: restore-size, files-by-contents, blobs-per-file, raw-data")
        ->check(CLI::IsMember(words))
        ->type_name("MODE")
        ->default_str("restore-size");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
