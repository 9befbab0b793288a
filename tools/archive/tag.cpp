// pelago archive tag
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;

struct Options {
    std::vector<std::string> snapshots;
    std::vector<std::string> set, add, remove;
    const CLI::App* verb = nullptr;
    FilterOptions filter;
    std::string volume;
};

std::vector<std::string> retagged(const Options& options, std::vector<std::string> tags) {
    if (options.verb->count("--set") > 0) tags = options.set;
    tags.insert(tags.end(), options.add.begin(), options.add.end());
    const auto gone = split_tags(options.remove);
    auto out = split_tags(tags);
    std::erase_if(out, [&](const std::string& tag) { return std::ranges::binary_search(gone, tag); });
    return out;
}

base::Result<ExitCode> tag(Context& context, const Options& options) {
    const auto& verb = *options.verb;
    const auto changes = verb.count("--add") + verb.count("--remove");
    if (verb.count("--set") + changes == 0) return usage_error("nothing to change: give --set, --add or --remove");
    if (verb.count("--set") > 0 && changes > 0)
        return usage_error("--set replaces all tags; it goes without --add and --remove");
    BASE_TRY(const VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    BASE_TRY(const auto snapshots, choose_snapshots(access, options.snapshots, options.filter, "cannot tag"));
    std::vector<objstore::Replacement> replacements;
    for (const auto& before : snapshots) {
        auto after = before;
        after.tags = retagged(options, before.tags);
        if (after.tags == before.tags) continue;
        if (!after.original) after.original = before.id();
        replacements.push_back({before.id(), std::move(after)});
    }
    Console& console = context.console;
    if (!replacements.empty()) {
        const auto done = access.session->run(access.volume->replace(replacements));
        if (!done) return done.error().with("cannot tag " + plural(replacements.size(), "snapshot", "snapshots"));
    }
    for (const auto& [before, after] : replacements) {
        if (console.output().json) {
            console.print_json({{"message_type", "changed"},
                                {"old_snapshot_id", before.hex()},
                                {"new_snapshot_id", after.id().hex()}});
        } else if (!console.output().quiet) {
            console.print(fmt::format("snapshot {} is now {}\n", before.short_hex(), after.id().short_hex()));
        }
    }
    if (console.output().json) {
        console.print_json({{"message_type", "summary"}, {"changed_snapshots", replacements.size()}});
    } else if (!console.output().quiet) {
        console.print("modified " + plural(replacements.size(), "snapshot", "snapshots") + "\n");
    }
    return report_damage(context, *access.volume, ExitCode::done);
}

}  // namespace

void add_tag(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"tag", "Change the tags of snapshots",
         "archive tag --add kept 40dc1520\narchive tag --set '' --host laptop\narchive tag --remove weekly --tag "
         "weekly",
         "Of those named, or of all that match the filters. A snapshot gets another id; it stays the parent of later "
         "backups, and 'original' in snapshots --json is the id it had at first."},
        [options](Context& context) { return tag(context, *options); });
    options->verb = &verb;
    verb.add_option("SNAP", options->snapshots, "Snapshot ids (their first digits), or 'latest'; none: all that match");
    const auto tags = [&](const char* name, std::vector<std::string>& value, const char* help) {
        verb.add_option(name, value, help)->type_name("TAGS")->allow_extra_args(false);
    };
    tags("--set", options->set, "Exactly these (a,b; again for more; '' for none)");
    tags("--add", options->add, "These, too");
    tags("--remove", options->remove, "Without these");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
