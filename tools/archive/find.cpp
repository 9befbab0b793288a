// pelago archive find
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/node_text.hpp"
#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/error.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::FindOptions;
using objstore::archive::ListedFile;

struct Options {
    std::vector<std::string> patterns;
    std::vector<std::string> snapshots;
    std::string oldest;
    std::string newest;
    bool ignore_case = false;
    bool long_format = false;
    bool reverse = false;
    FilterOptions filter;
    std::string volume;
};

base::Result<std::optional<base::Timestamp>> time_of(const std::string& text, const char* option) {
    if (text.empty()) return std::optional<base::Timestamp>{};
    const auto time = parse_time(text);
    if (!time) return usage_error(fmt::format("{} takes a time like 2026-11-20 14:30:00, not '{}'", option, text));
    return std::optional{base::Timestamp::from_ns(*time)};
}

base::Result<FindOptions> find_options(const Options& options) {
    FindOptions out;
    for (const auto& pattern : options.patterns) {
        if (const auto added = out.patterns.add(pattern, options.ignore_case); !added)
            return usage_error("cannot use the pattern '" + pattern + "': " + added.error().message());
    }
    BASE_TRY(out.oldest, time_of(options.oldest, "--oldest"));
    BASE_TRY(out.newest, time_of(options.newest, "--newest"));
    return out;
}

/// As it finds them for people; with --json one document at the end.
class Findings {
  public:
    Findings(Console& console, bool long_format) : console_{console}, long_format_{long_format} {}

    void begin(const Snapshot& snapshot) {
        matches_ = nlohmann::json::array();
        snapshot_ = &snapshot;
        found_here_ = false;
    }
    void take(const ListedFile& file) {
        if (console_.output().json) {
            matches_.push_back(to_json(file));
            return;
        }
        if (!found_here_) {
            console_.print(fmt::format("{}Found matching entries in snapshot {} from {}\n", found_ ? "\n" : "",
                                       snapshot_->id().short_hex(), local_time(snapshot_->time_ns)));
        }
        found_ = found_here_ = true;
        console_.print(line_of(file, long_format_));
    }
    void end() {
        if (matches_.empty()) return;
        const auto hits = matches_.size();
        document_.push_back({{"matches", std::move(matches_)}, {"hits", hits}, {"snapshot", snapshot_->id().hex()}});
    }
    void finish() {
        if (console_.output().json) console_.print_json(document_);
        if (!found_) console_.note("nothing was found");
    }

  private:
    Console& console_;
    const bool long_format_;
    const Snapshot* snapshot_ = nullptr;
    bool found_ = false;
    bool found_here_ = false;
    nlohmann::json matches_;
    nlohmann::json document_ = nlohmann::json::array();
};

base::Result<ExitCode> find(Context& context, const Options& options) {
    BASE_TRY(const auto wanted, find_options(options));
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    BASE_TRY(auto snapshots, choose_snapshots(access, options.snapshots, options.filter, "cannot search"));
    std::ranges::stable_sort(
        snapshots, [&](const Snapshot& a, const Snapshot& b) { return options.reverse ? later(b, a) : later(a, b); });
    Console& console = context.console;
    Findings findings{console, options.long_format};
    auto code = ExitCode::done;
    for (const auto& snapshot : snapshots) {
        findings.begin(snapshot);
        const auto take = [&findings](const ListedFile& file) { findings.take(file); };
        const auto found = access.session->run(objstore::archive::find_files(*access.volume, snapshot, wanted, take));
        findings.end();
        if (!found && found.error() == objstore::Errc::damaged) {
            code = worse(code, console.fail(found.error().with("cannot search " + snapshot.id().short_hex())));
            continue;
        }
        if (!found) return found.error().with("cannot search " + snapshot.id().short_hex());
        print_warnings(console, *found);
        code = worse(code, exit_code_of(*found));
    }
    findings.finish();
    return report_damage(context, *access.volume, code);
}

}  // namespace

void add_find(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"find", "Find files by name in snapshots",
         "archive find '*.tex'\narchive find -i 'letter*' /home/ann/notes --host laptop --newest 2026-11-20 -l",
         "In every snapshot, the newest first, or in those of --snapshot. A pattern without a leading slash matches at "
         "any depth; what matches a directory holds for everything below it."},
        [options](Context& context) { return find(context, *options); });
    verb.add_option("PATTERN", options->patterns, "Names or paths; '*', '?', '[a-z]' and '**' as with --exclude")
        ->required();
    verb.add_flag("-i,--ignore-case", options->ignore_case, "Upper and lower case alike");
    verb.add_option("-s,--snapshot", options->snapshots, "Only in this snapshot (again for more)")
        ->type_name("SNAP")
        ->allow_extra_args(false);
    verb.add_option("-O,--oldest", options->oldest, "Modified then or later")->type_name("TIME");
    verb.add_option("-N,--newest", options->newest, "Modified then or before")->type_name("TIME");
    verb.add_flag("-l,--long", options->long_format, "Mode, links, owner, size and time, too");
    verb.add_flag("-R,--reverse", options->reverse, "The oldest snapshot first");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
