// pelago archive diff
#include "archive/diff.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/diff.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::DiffCounts;
using objstore::archive::Difference;
using objstore::archive::DiffReport;

struct Options {
    std::string before;
    std::string after;
    bool metadata = false;
    FilterOptions filter;
    std::string volume;
};

/// restic's letters.
std::string modifier(const Difference& one) {
    if (one.added) return "+";
    if (one.removed) return "-";
    std::string out;
    if (one.type) out += 'T';
    if (one.content) out += 'M';
    if (one.suspicious) out += '?';
    if (one.metadata) out += 'U';
    return out;
}

nlohmann::json counts_json(const DiffCounts& counts) {
    return {{"files", counts.files},       {"dirs", counts.directories},      {"others", counts.others},
            {"data_blobs", counts.chunks}, {"tree_blobs", counts.tree_nodes}, {"bytes", counts.bytes}};
}

nlohmann::json statistics(const DiffReport& report, const std::string& before, const std::string& after) {
    return {{"message_type", "statistics"},
            {"source_snapshot", before},
            {"target_snapshot", after},
            {"changed_files", report.changed_files},
            {"added", counts_json(report.added)},
            {"removed", counts_json(report.removed)},
            {"warnings", to_json(report.warnings)}};
}

std::string report_text(const DiffReport& report) {
    const auto& [added, removed] = std::tie(report.added, report.removed);
    return fmt::format(
        "\nFiles:       {:>5} new, {:>5} removed, {:>5} changed\n"
        "Dirs:        {:>5} new, {:>5} removed\n"
        "Others:      {:>5} new, {:>5} removed\n"
        "Data Blobs:  {:>5} new, {:>5} removed\n"
        "Tree Blobs:  {:>5} new, {:>5} removed\n"
        "  Added:   {}\n"
        "  Removed: {}\n",
        added.files, removed.files, report.changed_files, added.directories, removed.directories, added.others,
        removed.others, added.chunks, removed.chunks, added.tree_nodes, removed.tree_nodes, human_size(added.bytes),
        human_size(removed.bytes));
}

base::Result<ExitCode> diff(Context& context, const Options& options) {
    for (const auto& name : {options.before, options.after}) {
        if (name.find(':') != std::string::npos)
            return usage_error("cannot compare '" + name + "'; give whole snapshots, without a path");
    }
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    const std::string what = "cannot compare '" + options.before + "' and '" + options.after + "'";
    BASE_TRY(auto before, choose_snapshot(access, options.before, options.filter, what));
    BASE_TRY(auto after, choose_snapshot(access, options.after, options.filter, what));
    const auto compared = [](Snapshot snapshot) {
        auto id = snapshot.id();
        return Compared{std::move(snapshot), id.hex(), "snapshot " + id.short_hex()};
    };
    return show_difference(context, access, compared(std::move(before)), compared(std::move(after)), options.metadata);
}

}  // namespace

base::Result<ExitCode> show_difference(Context& context, const VolumeAccess& access, Compared before, Compared after,
                                       bool metadata) {
    Console& console = context.console;
    const bool json = console.output().json;
    constexpr std::string_view kSnapshot = "snapshot ";  // once is enough
    std::string_view to = after.shown;
    if (before.shown.starts_with(kSnapshot) && to.starts_with(kSnapshot)) to.remove_prefix(kSnapshot.size());
    if (!json && !console.output().quiet) console.print(fmt::format("comparing {} to {}:\n\n", before.shown, to));
    const auto show = [&console, json](const Difference& one) {
        if (json) {
            console.print_json({{"message_type", "change"}, {"path", one.path}, {"modifier", modifier(one)}});
        } else {
            console.print(fmt::format("{:<5}{}\n", modifier(one), printable(one.path)));
        }
    };
    const auto report = access.session->run(objstore::archive::diff_snapshots(
        *access.volume, std::move(before.snapshot), std::move(after.snapshot), metadata, show));
    if (!report) return report.error().with("cannot compare " + before.shown + " to " + after.shown);
    print_warnings(console, report->warnings);
    if (json) {
        console.print_json(statistics(*report, before.name, after.name));
    } else if (!console.output().quiet) {
        console.print(report_text(*report));
    }
    return report_damage(context, *access.volume, exit_code_of(report->warnings));
}

void add_diff(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"diff", "Show what differs between two snapshots",
         "archive diff 40dc1520 latest\narchive diff 40dc 9a3b --metadata",
         "+ was added, - removed, M has another content (M? though its times are the same: look at the disk), T is of "
         "another type, U (with --metadata) has other attributes."},
        [options](Context& context) { return diff(context, *options); });
    verb.add_option("SNAP1", options->before, "Snapshot id (its first digits), or 'latest'")->required();
    verb.add_option("SNAP2", options->after, "The one it is compared with")->required();
    verb.add_flag("--metadata", options->metadata,
                  "Name what differs in nothing but mode, owner, times or attributes, too");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
