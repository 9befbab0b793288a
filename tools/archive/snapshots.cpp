// pelago archive snapshots
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/archive/retention.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;

struct Options {
    FilterOptions filter;
    std::size_t latest = 0;
    std::string group_by;
    bool compact = false;
    std::string volume;
};

std::string joined(const std::vector<std::string>& words, const char* separator) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : separator) + word;
    return out;
}

void print_table(Console& console, const std::vector<Snapshot>& snapshots, bool compact) {
    using enum Table::Align;
    Table table = compact ? Table{{"ID", "TIME", "HOST", "TAGS", "SIZE"}, {left, left, left, left, right}}
                          : Table{{"ID", "TIME", "HOST", "TAGS", "FILES", "SIZE", "ADDED", "PATHS"},
                                  {left, left, left, left, right, right, right, left}};
    for (const auto& snapshot : snapshots) {
        std::vector<std::string> row{snapshot.id().short_hex(), local_time(snapshot.time_ns), snapshot.host,
                                     joined(snapshot.tags, ",")};
        if (compact) {
            row.push_back(human_size(snapshot.bytes));
        } else {
            row.insert(row.end(), {human_count(snapshot.files), human_size(snapshot.bytes),
                                   human_size(snapshot.added_bytes), joined(snapshot.paths, " ")});
        }
        table.add(std::move(row));
    }
    if (!table.empty()) console.print(table.str());
    console.note(plural(snapshots.size(), "snapshot", "snapshots"));
}

nlohmann::json to_json(const std::vector<Snapshot>& snapshots) {
    auto list = nlohmann::json::array();
    for (const auto& snapshot : snapshots) list.push_back(tools::to_json(snapshot));
    return list;
}

void keep_latest(std::vector<Snapshot>& snapshots, std::size_t count) {
    if (count == 0 || snapshots.size() <= count) return;
    snapshots.erase(snapshots.begin(), snapshots.end() - static_cast<std::ptrdiff_t>(count));
}

base::Result<void> print_groups(Console& console, std::vector<Snapshot> snapshots, const Options& options) {
    const auto by = objstore::archive::parse_group_by(options.group_by);
    if (!by) return usage_error("--group-by: " + by.error().detail());
    auto document = nlohmann::json::array();
    for (auto& [key, group] : objstore::archive::group_snapshots(std::move(snapshots), *by)) {
        keep_latest(group, options.latest);
        if (console.output().json) {
            nlohmann::json names{{"hostname", key.host}, {"paths", nullptr}, {"tags", nullptr}};
            if (by->paths) names["paths"] = key.paths;
            if (by->tags) names["tags"] = key.tags;
            document.push_back({{"group_key", names}, {"snapshots", to_json(group)}});
            continue;
        }
        std::string what;
        if (by->host) what += " host " + key.host;
        if (by->paths) what += " paths " + joined(key.paths, " ");
        if (by->tags) what += " tags " + joined(key.tags, ",");
        console.print("snapshots of" + printable(what) + "\n");
        print_table(console, group, options.compact);
        console.print("\n");
    }
    if (console.output().json) console.print_json(document);
    return base::ok();
}

base::Result<ExitCode> list(Context& context, const Options& options) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    auto snapshots = access.session->run(objstore::archive::list_snapshots(*access.volume, options.filter.filter));
    if (!snapshots) return snapshots.error().with("cannot list the snapshots");
    Console& console = context.console;
    if (!options.group_by.empty()) {
        BASE_CHECK(print_groups(console, std::move(*snapshots), options));
        return report_damage(context, *access.volume, ExitCode::done);
    }
    keep_latest(*snapshots, options.latest);
    if (console.output().json) {
        console.print_json(to_json(*snapshots));
    } else {
        print_table(console, *snapshots, options.compact);
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
    verb.add_option("--latest", options->latest, "Only the newest N (of each group)")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}))
        ->type_name("N");
    verb.add_option("-g,--group-by", options->group_by, "Show those together that have this in common")
        ->type_name("host,paths,tags");
    verb.add_flag("-c,--compact", options->compact, "Without files, added and paths");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
