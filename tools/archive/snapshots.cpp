// pelago archive snapshots
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

struct Options {
    FilterOptions filter;
    std::size_t latest = 0;
    std::string volume;
};

std::string joined(const std::vector<std::string>& words, const char* separator) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : separator) + word;
    return out;
}

void print_table(Console& console, const std::vector<objstore::Snapshot>& snapshots) {
    using enum Table::Align;
    Table table{{"ID", "TIME", "HOST", "TAGS", "FILES", "SIZE", "ADDED", "PATHS"},
                {left, left, left, left, right, right, right, left}};
    for (const auto& snapshot : snapshots) {
        table.add({snapshot.id().short_hex(), local_time(snapshot.time_ns), snapshot.host, joined(snapshot.tags, ","),
                   human_count(snapshot.files), human_size(snapshot.bytes), human_size(snapshot.added_bytes),
                   joined(snapshot.paths, " ")});
    }
    if (!table.empty()) console.print(table.str());
    console.note(plural(snapshots.size(), "snapshot", "snapshots"));
}

base::Result<ExitCode> list(Context& context, const Options& options) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    auto snapshots = access.session->run(objstore::archive::list_snapshots(*access.volume, options.filter.filter));
    if (!snapshots) return snapshots.error().with("cannot list the snapshots");
    if (options.latest > 0 && snapshots->size() > options.latest) {
        snapshots->erase(snapshots->begin(), snapshots->end() - static_cast<std::ptrdiff_t>(options.latest));
    }
    if (context.console.manner().json) {
        auto document = nlohmann::json::array();
        for (const auto& snapshot : *snapshots) document.push_back(to_json(snapshot));
        context.console.print_json(document);
    } else {
        print_table(context.console, *snapshots);
    }
    return report_damage(context, *access.volume, ExitCode::done);
}

}  // namespace

void add_snapshots(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive, {"snapshots", "List the snapshots, oldest first", "archive snapshots --tag weekly"},
                  [options](Context& context) { return list(context, *options); });
    options->filter.add_to(verb);
    verb.add_option("--latest", options->latest, "Only the newest N")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}))
        ->type_name("N");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
