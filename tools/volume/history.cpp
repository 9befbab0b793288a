#include "volume/history.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/diff.hpp"
#include "archive/keep_options.hpp"
#include "archive/reports.hpp"
#include "base/error.hpp"
#include "cli/text.hpp"
#include "mount/version.hpp"
#include "objstore/archive/diff.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/error.hpp"
#include "objstore/live/history.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::History;
using objstore::HistoryPolicy;
using objstore::Snapshot;
using objstore::archive::Span;

constexpr std::string_view kPresent = "now";

base::Result<History> read(const VolumeAccess& access) {
    auto history = access.session->run(objstore::read_history(*access.volume));
    if (!history) return history.error().with("cannot read the history of volume '" + access.volume->name() + "'");
    return history;
}

/// The present first.
std::vector<Snapshot> all_of(const History& history) {
    auto versions = history.versions;
    if (history.live) versions.insert(versions.begin(), *history.live);
    return versions;
}

std::string name_of(const History& history, const Snapshot& version) {
    const bool present = history.live && version.root->id == history.live->root->id &&
                         version.time_ns == history.live->time_ns && version.name.empty();
    return present ? std::string{kPresent} : objstore::version_name(version);
}

// --- policy

struct PolicyOptions {
    std::string volume;
    KeepOptions keep;
    bool usual = false;
};

struct Rule {
    const char* name;
    int HistoryPolicy::* count;
    Span HistoryPolicy::* within;
};
constexpr std::array kRules{Rule{"last", &HistoryPolicy::last, &HistoryPolicy::within},
                            Rule{"hourly", &HistoryPolicy::hourly, &HistoryPolicy::within_hourly},
                            Rule{"daily", &HistoryPolicy::daily, &HistoryPolicy::within_daily},
                            Rule{"weekly", &HistoryPolicy::weekly, &HistoryPolicy::within_weekly},
                            Rule{"monthly", &HistoryPolicy::monthly, &HistoryPolicy::within_monthly},
                            Rule{"yearly", &HistoryPolicy::yearly, &HistoryPolicy::within_yearly}};

std::string text_of(const Span& span) {
    std::string text;
    for (const auto& [count, unit] : {std::pair{span.years, 'y'}, std::pair{span.months, 'm'},
                                      std::pair{span.days, 'd'}, std::pair{span.hours, 'h'}}) {
        if (count != 0) text += std::to_string(count) + unit;
    }
    return text;
}

/// Option and value of each rule that keeps anything.
std::vector<std::pair<std::string, std::string>> rules_of(const HistoryPolicy& policy) {
    std::vector<std::pair<std::string, std::string>> rules;
    for (const auto& rule : kRules) {
        if (policy.*rule.count != 0) rules.emplace_back(rule.name, std::to_string(policy.*rule.count));
    }
    for (const auto& rule : kRules) {
        const bool plain = rule.within == &HistoryPolicy::within;
        if (!(policy.*rule.within).empty())
            rules.emplace_back(plain ? "within" : std::string{"within-"} + rule.name, text_of(policy.*rule.within));
    }
    return rules;
}

void print_policy(Console& console, const History& history) {
    const auto rules = rules_of(history.policy);
    if (console.output().json) {
        auto keep = nlohmann::json::object();
        for (const auto& [name, value] : rules) keep[name] = value;
        console.print_json({{"keep", keep}, {"versions", history.versions.size()}});
        return;
    }
    std::string text;
    for (const auto& [name, value] : rules) text += (text.empty() ? "--keep-" : " --keep-") + name + " " + value;
    console.print(text + "\n");
    console.note(plural(history.versions.size(), "version", "versions") + " beside the present");
}

base::Result<ExitCode> policy(Context& context, const PolicyOptions& options) {
    BASE_TRY(auto wanted, policy_of(options.keep));
    if (options.usual && !wanted.empty()) return usage_error("--default and the --keep options do not go together");
    if (options.usual) wanted = objstore::default_history_policy();
    const bool change = !wanted.empty();
    if (const auto good = objstore::check_history_policy(wanted); change && !good)
        return usage_error(good.error().detail());
    BASE_TRY(const VolumeAccess access, change ? open_volume(context, options.volume, IfAbsent::refuse)
                                               : open_volume_to_read(context, options.volume));
    if (change) {
        const auto done = access.session->run(objstore::set_history_policy(*access.volume, std::move(wanted)));
        if (!done) return done.error().with("cannot set the policy of volume '" + options.volume + "'");
    }
    BASE_TRY(const auto history, read(access));
    print_policy(context.console, history);
    return report_damage(context, *access.volume, ExitCode::done);
}

// --- log

struct LogOptions {
    std::string volume;
    std::string path;
};

struct Logged {
    Snapshot version;
    std::string change;  // of the path: "+", "-", or "M"
};

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path.starts_with('/') ? path : "/" + path;
}

/// Whether the version has the path.
base::Result<bool> has(const VolumeAccess& access, const Snapshot& version, const std::string& path) {
    const auto none = [](const objstore::archive::ListedFile&) {};
    const auto found = access.session->run(objstore::archive::list_files(*access.volume, version, path, false, none));
    if (!found && found.error() == objstore::Errc::no_such_path) return false;
    if (!found) return found.error();
    return true;
}

/// Whether what is at the path, or below it, differs.
base::Result<bool> differs(const VolumeAccess& access, const Snapshot& before, const Snapshot& after,
                           const std::string& path) {
    bool found = false;
    const auto below = path == "/" ? path : path + "/";
    const auto look = [&](const objstore::archive::Difference& one) {
        found = found || one.path == path || one.path.starts_with(below);
    };
    BASE_CHECK(access.session->run(objstore::archive::diff_snapshots(*access.volume, before, after, true, look)));
    return found;
}

/// Those in which the path is not what it was in the version before.
base::Result<std::vector<Logged>> log_of_path(const VolumeAccess& access, const std::vector<Snapshot>& versions,
                                              const std::string& path) {
    std::vector<Logged> out;  // the oldest first
    bool had = false;
    for (auto i = versions.size(); i-- > 0;) {
        BASE_TRY(const bool has_it, has(access, versions[i], path));
        if (has_it != had) {
            out.push_back({versions[i], has_it ? "+" : "-"});
        } else if (has_it) {
            BASE_TRY(const bool changed, differs(access, versions[i + 1], versions[i], path));
            if (changed) out.push_back({versions[i], "M"});
        }
        had = has_it;
    }
    std::ranges::reverse(out);
    return out;
}

void print_log(Console& console, const History& history, const std::vector<Logged>& log) {
    if (console.output().json) {
        auto document = nlohmann::json::array();
        for (const auto& [version, change] : log) {
            nlohmann::json one{{"version", name_of(history, version)},
                               {"time", rfc3339(version.time_ns)},
                               {"files", version.files},
                               {"directories", version.directories},
                               {"bytes", version.bytes}};
            if (!version.name.empty()) one["snapshot"] = version.id().hex();
            if (!change.empty()) one["change"] = change;
            document.push_back(std::move(one));
        }
        console.print_json(document);
        return;
    }
    using enum Table::Align;
    const bool with_change = !log.empty() && !log.front().change.empty();
    std::vector<std::string> header{"VERSION", "TIME", "FILES", "SIZE"};
    if (with_change) header.insert(header.begin(), "");
    Table table{std::move(header),
                with_change ? std::vector{left, left, left, right, right} : std::vector{left, left, right, right}};
    for (const auto& [version, change] : log) {
        std::vector<std::string> row{name_of(history, version), local_time(version.time_ns), human_count(version.files),
                                     human_size(version.bytes)};
        if (with_change) row.insert(row.begin(), change);
        table.add(std::move(row));
    }
    if (!table.empty()) console.print(table.str());
    console.note(plural(log.size(), "version", "versions"));
}

base::Result<ExitCode> log(Context& context, const LogOptions& options) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, options.volume));
    BASE_TRY(const auto history, read(access));
    const auto versions = all_of(history);
    std::vector<Logged> shown;
    if (options.path.empty()) {
        for (const auto& version : versions) shown.push_back({version, {}});
    } else {
        const auto path = without_slash(options.path);
        auto of_path = log_of_path(access, versions, path);
        if (!of_path) return of_path.error().with("cannot tell what became of " + path);
        shown = std::move(*of_path);
        if (shown.empty())
            return base::Error{objstore::Errc::no_such_path,
                               path + " is in no version of volume '" + options.volume + "' that is kept"};
    }
    print_log(context.console, history, shown);
    return report_damage(context, *access.volume, ExitCode::done);
}

// --- forget

struct ForgetOptions {
    std::string volume;
    std::vector<std::string> versions;
};

base::Result<ExitCode> forget(Context& context, const ForgetOptions& options) {
    BASE_TRY(const VolumeAccess access, open_volume(context, options.volume, IfAbsent::refuse));
    BASE_TRY(const auto history, read(access));
    std::vector<Snapshot> chosen;
    for (const auto& text : options.versions) {
        const auto* found = version_named(history, text);
        if (found == nullptr)
            return base::Error{objstore::Errc::no_such_snapshot, "volume '" + options.volume + "' keeps no version '" +
                                                                     text + "'; 'pelago volume log " + options.volume +
                                                                     "' lists them"};
        chosen.push_back(*found);
    }
    for (const auto& version : chosen) {
        const auto done = access.session->run(objstore::forget_version(*access.volume, version));
        if (!done) return done.error().with("cannot forget version " + objstore::version_name(version));
    }
    if (context.console.output().json) {
        context.console.print_json({{"message_type", "summary"}, {"versions_forgotten", chosen.size()}});
    } else {
        context.console.print(plural(chosen.size(), "version", "versions") +
                              " forgotten; 'pelago archive prune' gives their room back\n");
    }
    return report_damage(context, *access.volume, ExitCode::done);
}

// --- diff

struct DiffOptions {
    std::string volume;
    std::string before;
    std::string after{kPresent};
    bool metadata = false;
};

base::Result<Snapshot> choose(const History& history, const std::string& text, const std::string& volume) {
    if (text == kPresent && history.live) return *history.live;
    if (const auto* named = version_named(history, text)) return *named;
    const auto time = parse_time(text);
    const auto versions = all_of(history);
    const auto* found = time ? newest_until(versions, *time) : nullptr;
    if (found == nullptr)
        return base::Error{objstore::Errc::no_such_snapshot, "volume '" + volume + "' has no version '" + text +
                                                                 "'; 'pelago volume log " + volume + "' lists them"};
    return *found;
}

base::Result<ExitCode> diff(Context& context, const DiffOptions& options) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, options.volume));
    BASE_TRY(const auto history, read(access));
    const auto compared = [&](Snapshot version) {
        auto name = name_of(history, version);
        return Compared{std::move(version), name, "version " + printable(name)};
    };
    BASE_TRY(auto before, choose(history, options.before, options.volume));
    BASE_TRY(auto after, choose(history, options.after, options.volume));
    return show_difference(context, access, compared(std::move(before)), compared(std::move(after)), options.metadata);
}

}  // namespace

void add_history_verbs(Verbs& verbs, CLI::App& group) {
    const auto kept = std::make_shared<PolicyOptions>();
    auto& policy_verb = verbs.add(
        group,
        {"policy", "Say which versions of a mounted volume are kept",
         "volume policy photos\nvolume policy photos --keep-last 20 --keep-hourly 48 --keep-daily 30",
         "Each commit of a mount makes a version. The policy chooses among them as 'archive forget' does among "
         "snapshots: the present is the newest of them, hours and days are those of UTC, and at most 1000 are kept. "
         "Without an option the policy is shown. --keep-last 1 keeps the present alone. Room comes back with 'archive "
         "prune'. Snapshots that were made with mkdir in a .snapshots are under no policy."},
        [kept](Context& context) { return policy(context, *kept); });
    policy_verb.add_option("NAME", kept->volume, "The volume")->required();
    add_keep_options(policy_verb, kept->keep);
    policy_verb.add_flag("--default", kept->usual, "What a volume has that was given no policy");

    const auto logged = std::make_shared<LogOptions>();
    auto& log_verb =
        verbs.add(group,
                  {"log", "List the versions of a mounted volume that are kept, the newest first",
                   "volume log photos\nvolume log photos /2026/coast.jpg",
                   "With a path, those in which it differs from the version before: + it came, - it went, M it was "
                   "changed, or something in it. The names are those that a mount shows in each .snapshots directory."},
                  [logged](Context& context) { return log(context, *logged); });
    log_verb.add_option("NAME", logged->volume, "The volume")->required();
    log_verb.add_option("PATH", logged->path, "A path within the volume");

    const auto forgotten = std::make_shared<ForgetOptions>();
    auto& forget_verb = verbs.add(
        group,
        {"forget", "Forget single versions of a mounted volume", "volume forget photos 2026-11-20T08.15.00.123Z",
         "Named as 'volume log' lists them; one whose data is damaged, too. The present cannot be forgotten. In a "
         "mount, "
         "rmdir .snapshots/VERSION does the same."},
        [forgotten](Context& context) { return forget(context, *forgotten); });
    forget_verb.add_option("NAME", forgotten->volume, "The volume")->required();
    forget_verb.add_option("VERSION", forgotten->versions, "The versions")->required();

    const auto compared = std::make_shared<DiffOptions>();
    auto& diff_verb = verbs.add(group,
                                {"diff", "Show what differs between two versions of a mounted volume",
                                 "volume diff photos before-upgrade\nvolume diff photos 2026-11-20 2026-11-27",
                                 "A version is named as 'volume log' lists it, or by a time: then the newest that is "
                                 "not younger. The letters are those of 'archive diff'."},
                                [compared](Context& context) { return diff(context, *compared); });
    diff_verb.add_option("NAME", compared->volume, "The volume")->required();
    diff_verb.add_option("A", compared->before, "The earlier version")->required();
    diff_verb.add_option("B", compared->after, "The later one (default: now, what is in the volume)");
    diff_verb.add_flag("--metadata", compared->metadata,
                       "Name what differs in nothing but mode, owner, times or attributes, too");
}

}  // namespace tools
