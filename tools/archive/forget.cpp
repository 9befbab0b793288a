// pelago archive forget
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/prune.hpp"
#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/archive/retention.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::GroupKey;
using objstore::archive::Judged;
using objstore::archive::RetentionPolicy;

struct Options {
    std::vector<std::string> names;
    std::string last, hourly, daily, weekly, monthly, yearly;
    std::string within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
    std::vector<std::string> tags;
    std::string group_by = "host,paths";
    bool compact = false;
    bool dry_run = false;
    bool prune = false;
    bool at_once = false;
    bool remove_all = false;
    const CLI::App* verb = nullptr;
    FilterOptions filter;
    std::string volume;
};

struct Group {
    GroupKey key;
    std::vector<Judged> judged;
};

objstore::archive::LocalTime local_clock(std::int64_t wall_ns) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::time_t seconds = wall_ns / kSecond - (wall_ns % kSecond < 0 ? 1 : 0);
    std::tm time{};
    localtime_r(&seconds, &time);
    const auto positive = [](int value) { return static_cast<unsigned>(value); };
    return {time.tm_year + 1900,
            positive(time.tm_mon + 1),
            positive(time.tm_mday),
            positive(time.tm_hour),
            positive(time.tm_min),
            positive(time.tm_sec),
            static_cast<std::uint32_t>(wall_ns - seconds * kSecond)};
}

base::Result<int> count_of(const std::string& text, const char* option) {
    if (text.empty()) return 0;
    if (text == "unlimited" || text == "-1") return RetentionPolicy::kAll;
    const bool digits = text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) return usage_error(fmt::format("{} takes a number, or 'unlimited', not '{}'", option, text));
    return std::stoi(text);
}

base::Result<objstore::archive::Span> span_of(const std::string& text, const char* option) {
    if (text.empty()) return objstore::archive::Span{};
    auto span = objstore::archive::parse_span(text);
    if (!span) return usage_error(fmt::format("{}: {}", option, span.error().detail()));
    return span;
}

base::Result<RetentionPolicy> policy_of(const Options& options) {
    RetentionPolicy policy;
    BASE_TRY(policy.last, count_of(options.last, "--keep-last"));
    BASE_TRY(policy.hourly, count_of(options.hourly, "--keep-hourly"));
    BASE_TRY(policy.daily, count_of(options.daily, "--keep-daily"));
    BASE_TRY(policy.weekly, count_of(options.weekly, "--keep-weekly"));
    BASE_TRY(policy.monthly, count_of(options.monthly, "--keep-monthly"));
    BASE_TRY(policy.yearly, count_of(options.yearly, "--keep-yearly"));
    BASE_TRY(policy.within, span_of(options.within, "--keep-within"));
    BASE_TRY(policy.within_hourly, span_of(options.within_hourly, "--keep-within-hourly"));
    BASE_TRY(policy.within_daily, span_of(options.within_daily, "--keep-within-daily"));
    BASE_TRY(policy.within_weekly, span_of(options.within_weekly, "--keep-within-weekly"));
    BASE_TRY(policy.within_monthly, span_of(options.within_monthly, "--keep-within-monthly"));
    BASE_TRY(policy.within_yearly, span_of(options.within_yearly, "--keep-within-yearly"));
    for (const auto& list : options.tags) {
        auto tags = split_tags({list});
        if (tags.empty()) tags.emplace_back();  // "": what has no tags
        policy.tags.push_back(std::move(tags));
    }
    return policy;
}

/// What the command line names is all in one group and goes.
base::Result<std::vector<Group>> named(const Options& options, const std::vector<Snapshot>& all) {
    Group group;
    for (const auto& name : options.names) {
        auto found = objstore::find_snapshot(all, name, options.filter.filter);
        if (!found) return found.error().with("cannot forget '" + name + "'");
        const auto same = [&](const Judged& one) { return one.snapshot.id() == found->id(); };
        if (std::ranges::none_of(group.judged, same)) group.judged.push_back({std::move(*found), {}});
    }
    return std::vector<Group>{std::move(group)};
}

base::Result<std::vector<Group>> judged(const Options& options, const RetentionPolicy& policy,
                                        std::vector<Snapshot> all, std::int64_t now_ns) {
    const auto by = objstore::archive::parse_group_by(options.group_by);
    if (!by) return usage_error("--group-by: " + by.error().detail());
    std::erase_if(all, [&](const Snapshot& snapshot) { return !matches(snapshot, options.filter.filter); });
    std::vector<Group> groups;
    for (auto& [key, snapshots] : objstore::archive::group_snapshots(std::move(all), *by)) {
        groups.push_back({key, apply_policy(policy, std::move(snapshots), now_ns, local_clock)});
    }
    return groups;
}

nlohmann::json to_json(const Group& group, const std::string& group_by) {
    const auto has = [&](const char* word) { return group_by.find(word) != std::string::npos; };
    auto keep = nlohmann::json::array(), remove = nlohmann::json::array(), reasons = nlohmann::json::array();
    for (const auto& one : group.judged) {
        (one.kept() ? keep : remove).push_back(tools::to_json(one.snapshot));
        if (one.kept()) reasons.push_back({{"snapshot", tools::to_json(one.snapshot)}, {"matches", one.reasons}});
    }
    nlohmann::json object{{"host", group.key.host}, {"keep", keep}, {"remove", remove}, {"reasons", reasons}};
    object["tags"] = has("tag") ? nlohmann::json(group.key.tags) : nlohmann::json();
    object["paths"] = has("path") ? nlohmann::json(group.key.paths) : nlohmann::json();
    return object;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : separator) + word;
    return out;
}

void print_part(Console& console, const Group& group, bool kept, const std::string& verb, bool compact) {
    Table table{{"ID", "TIME", "HOST", "TAGS", "REASONS", "PATHS"}};
    std::uint64_t count = 0;
    for (const auto& one : group.judged) {
        if (one.kept() != kept) continue;
        ++count;
        table.add({one.snapshot.id().short_hex(), local_time(one.snapshot.time_ns), one.snapshot.host,
                   joined(one.snapshot.tags, ","), joined(one.reasons, ", "), joined(one.snapshot.paths, " ")});
    }
    if (count == 0) return;
    console.print(verb + " " + plural(count, "snapshot", "snapshots") + ":\n");
    if (!compact) console.print(table.str());
    console.print("\n");
}

void print_groups(Console& console, const std::vector<Group>& groups, const Options& options) {
    for (const auto& group : groups) {
        std::string what;
        if (!group.key.host.empty()) what += " host " + group.key.host;
        if (!group.key.paths.empty()) what += " paths " + joined(group.key.paths, " ");
        if (!group.key.tags.empty()) what += " tags " + joined(group.key.tags, ",");
        if (!what.empty()) console.print("snapshots of" + printable(what) + "\n\n");
        print_part(console, group, true, "keep", options.compact);
        print_part(console, group, false, options.dry_run ? "would forget" : "forget", options.compact);
    }
}

base::Result<ExitCode> forget(Context& context, const Options& options) {
    BASE_TRY(const auto policy, policy_of(options));
    if (options.names.empty() && policy.empty() && !options.remove_all) {
        return usage_error("nothing says what to keep: give --keep-last or another --keep option, or the snapshots");
    }
    if (!options.names.empty() && !policy.empty()) {
        return usage_error("snapshots are named one by one, or a --keep option chooses, not both");
    }
    const auto& verb = *options.verb;
    if (options.remove_all && verb.count("--host") + verb.count("--tag") + verb.count("--path") == 0) {
        return usage_error("--unsafe-allow-remove-all needs a filter: --host, --tag or --path");
    }
    BASE_TRY(VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    Session& session = *access.session;
    auto all = session.run(access.volume->snapshots());
    if (!all) return all.error().with("cannot list the snapshots");
    const auto began_at = access.volume->state().sequence;
    const auto now = session.env().clock.wall_ns();
    auto groups = options.names.empty() ? judged(options, policy, std::move(*all), now) : named(options, *all);
    if (!groups) return in_view_of_damage(groups.error(), *access.volume);

    std::vector<base::Guid> gone;
    for (const auto& group : *groups) {
        const auto before = gone.size();
        for (const auto& one : group.judged) {
            if (!one.kept()) gone.push_back(one.snapshot.id());
        }
        const bool everything = gone.size() - before == group.judged.size();
        if (options.names.empty() && everything && !options.remove_all && !group.judged.empty()) {
            return base::Error{Errc::usage,
                               "that would forget every snapshot of a group; name them one by one, or give "
                               "--unsafe-allow-remove-all and a filter"};
        }
    }
    if (!gone.empty() && !options.dry_run) {
        const auto done = session.run(access.volume->forget(gone));
        if (!done) return done.error().with("cannot forget " + plural(gone.size(), "snapshot", "snapshots"));
    }
    Console& console = context.console;
    if (console.output().json) {
        auto document = nlohmann::json::array();
        for (const auto& group : *groups) document.push_back(to_json(group, options.group_by));
        console.print_json(document);
    } else if (!console.output().quiet) {
        print_groups(console, *groups, options);
    }
    if (options.prune && !gone.empty() && !options.dry_run) {
        PruneRequest request;
        request.at_once = options.at_once;
        request.only_words = true;
        // What a backup stored that was interrupted since the last state before this one is left for it.
        request.up_to = began_at;
        BASE_TRY(const auto code, prune_volume(context, access, request));
        return report_damage(context, *access.volume, code);
    }
    if (options.prune && options.dry_run) console.note("a dry run does not prune: what would come back is not known");
    return report_damage(context, *access.volume, ExitCode::done);
}

void add_keep_options(CLI::App& verb, Options& options) {
    const auto count = [&](const char* name, std::string& value, const char* help) {
        verb.add_option(name, value, help)->type_name("N");
    };
    count("-l,--keep-last", options.last, "Keep the newest N ('unlimited': all)");
    count("-H,--keep-hourly", options.hourly, "Keep the newest of each hour, of the last N hours that have one");
    count("-d,--keep-daily", options.daily, "The same for days");
    count("-w,--keep-weekly", options.weekly, "The same for weeks");
    count("-m,--keep-monthly", options.monthly, "The same for months");
    count("-y,--keep-yearly", options.yearly, "The same for years");
    const auto span = [&](const char* name, std::string& value, const char* help) {
        verb.add_option(name, value, help)->type_name("SPAN");
    };
    span("--keep-within", options.within, "Keep what is less than SPAN (2y5m7d3h) older than the newest");
    span("--keep-within-hourly", options.within_hourly, "Of that, the newest of each hour");
    span("--keep-within-daily", options.within_daily, "Of that, the newest of each day");
    span("--keep-within-weekly", options.within_weekly, "Of that, the newest of each week");
    span("--keep-within-monthly", options.within_monthly, "Of that, the newest of each month");
    span("--keep-within-yearly", options.within_yearly, "Of that, the newest of each year");
    verb.add_option("--keep-tag", options.tags, "Keep what has all these tags (a,b; again for others)")
        ->type_name("TAGS")
        ->allow_extra_args(false);
}

}  // namespace

void add_forget(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"forget", "Take snapshots off the list",
         "archive forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune\narchive forget 40dc1520 --dry-run",
         "The --keep options choose in each group of snapshots (of one host and set of paths) which stay. Room comes "
         "back with 'archive prune', or with --prune."},
        [options](Context& context) { return forget(context, *options); });
    options->verb = &verb;
    verb.add_option("SNAP", options->names, "Snapshots to forget, instead of a --keep option");
    add_keep_options(verb, *options);
    verb.add_option("-g,--group-by", options->group_by, "What the snapshots of a group have in common")
        ->type_name("host,paths,tags")
        ->default_str("host,paths");
    verb.add_flag("-c,--compact", options->compact, "Say how many, not which");
    verb.add_flag("-n,--dry-run", options->dry_run, "Say what would be forgotten, change nothing");
    verb.add_flag("--prune", options->prune, "Give back the room of what was forgotten");
    verb.add_flag("--no-grace", options->at_once, "With --prune: now, not after the network's time of grace");
    verb.add_flag("--unsafe-allow-remove-all", options->remove_all, "Even every snapshot that matches the filter");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
