// pelago archive repair
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/archive/rewrite.hpp"
#include "objstore/error.hpp"
#include "objstore/gc/check.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::LeftOut;
using objstore::archive::RewriteOptions;
using objstore::archive::RewriteReport;

struct Options {
    bool read_data = false;
    bool dry_run = false;
    std::string volume;
};

const char* words(LeftOut why) {
    switch (why) {
        case LeftOut::excluded: return "excluded";
        case LeftOut::content: return "lost a part of its content";
        case LeftOut::unknown: return "nothing is known of it but its name";
        case LeftOut::names: return "lost names, with what was below them";
        case LeftOut::metadata: return "lost its mode, owner, time or attributes";
    }
    return "";
}

const char* key_of(LeftOut why) {
    switch (why) {
        case LeftOut::excluded: return "excluded";
        case LeftOut::content: return "content";
        case LeftOut::unknown: return "unknown";
        case LeftOut::names: return "names";
        case LeftOut::metadata: return "metadata";
    }
    return "";
}

void tell(Console& console, const Snapshot& old, const base::Result<RewriteReport>& done, bool dry_run) {
    if (console.output().json) {
        nlohmann::json object{{"message_type", "changed"}, {"old_snapshot_id", old.id().hex()}, {"dry_run", dry_run}};
        if (done) object["paths_hurt"] = done->left_out;
        if (done && done->snapshot) object["new_snapshot_id"] = done->snapshot->id().hex();
        if (!done) object["error"] = done.error().message();
        return console.print_json(object);
    }
    if (console.output().quiet) return;
    std::string text =
        done ? plural(done->left_out, "path is hurt", "paths are hurt") : printable(done.error().message());
    if (done && done->snapshot) text += "; the rest is snapshot " + done->snapshot->id().short_hex();
    console.print("  " + text + "\n");
}

/// The snapshot of what is left of `hurt`, if there is one already.
const Snapshot* repaired_before(const Snapshot& hurt, const std::vector<Snapshot>& all) {
    const auto of_it = [&](const Snapshot& one) {
        return one.original == hurt.original.value_or(hurt.id()) && one.time_ns == hurt.time_ns &&
               one.id() != hurt.id() && std::ranges::find(one.tags, "repaired") != one.tags.end();
    };
    const auto found = std::ranges::find_if(all, of_it);
    return found == all.end() ? nullptr : &*found;
}

base::Result<ExitCode> repair(Context& context, const Options& options) {
    BASE_TRY(const VolumeAccess access,
             open_volume(context, context.settings.get("volume", options.volume), IfAbsent::refuse));
    Console& console = context.console;
    Session& session = *access.session;
    objstore::gc::CheckOptions how;
    if (options.read_data) how.read_data.emplace();
    const auto show = [&console](const objstore::gc::CheckProgress& now) {
        console.status(plural(now.blocks, "block", "blocks") + " looked at");
    };
    const auto checked = session.run(objstore::gc::check(*access.volume, how, show));
    console.status("");
    if (!checked) return checked.error().with("cannot repair");
    if (!checked->unreachable.empty()) {
        const auto& first = checked->unreachable.front();
        return first.error.with(fmt::format("nothing is known of {}, so nothing was changed",
                                            plural(checked->unreachable.size(), "block", "blocks")));
    }
    RewriteOptions wanted;
    wanted.tags = {"repaired"};
    wanted.dry_run = options.dry_run;
    for (const auto& block : checked->damaged) wanted.lost.insert(block.id);
    BASE_TRY(const auto all, session.run(access.volume->snapshots()));
    std::uint64_t made = 0;
    for (const auto& hurt : checked->hurt) {
        const auto id = hurt.snapshot.id();
        wanted.on_left_out = [&console, &id](const std::string& path, LeftOut why) {
            if (console.output().json) {
                console.print_json(
                    {{"message_type", "hurt"}, {"snapshot_id", id.hex()}, {"path", path}, {"lost", key_of(why)}});
            } else if (!console.output().quiet) {
                console.print(fmt::format("  {}: {}\n", printable(path), words(why)));
            }
        };
        if (!console.output().json && !console.output().quiet) {
            console.print(fmt::format("snapshot {} of {}:\n", id.short_hex(), local_time(hurt.snapshot.time_ns)));
        }
        const auto* const before = repaired_before(hurt.snapshot, all);
        wanted.dry_run = options.dry_run || before != nullptr;
        auto done = session.run(objstore::archive::rewrite(*access.volume, hurt.snapshot, wanted));
        if (done && before != nullptr) done->snapshot = *before;
        if (!done && !(done.error() == objstore::Errc::damaged))
            return done.error().with("cannot repair snapshot " + id.short_hex());
        made += done && done->snapshot && before == nullptr ? 1 : 0;
        tell(console, hurt.snapshot, done, options.dry_run);
    }
    if (console.output().json) {
        console.print_json({{"message_type", "summary"},
                            {"blocks_lost", checked->damaged.size()},
                            {"hurt_snapshots", checked->hurt.size()},
                            {"new_snapshots", made},
                            {"dry_run", options.dry_run}});
    } else if (!console.output().quiet) {
        if (checked->hurt.empty()) console.print("no damage was found\n");
        if (made > 0) console.note("the hurt snapshots are still there: what is whole in them can be restored");
    }
    const auto code = checked->damaged.empty() ? ExitCode::done : ExitCode::damage;
    return report_damage(context, *access.volume, code);
}

}  // namespace

void add_repair(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"repair", "Make hurt snapshots again without what is lost",
         "archive repair --dry-run\narchive repair --read-data",
         "Looks for damage as 'check' does, names each path that lost something, and makes a new snapshot, tagged "
         "'repaired', of the rest. Nothing is removed: the hurt snapshot stays, and of a file that lost a part the "
         "rest "
         "can be had there. A backup of the same files heals more: it stores again what is lost. Exit code 4 where "
         "damage was found."},
        [options](Context& context) { return repair(context, *options); });
    verb.add_flag("--read-data", options->read_data, "Read every block to its last byte, too");
    verb.add_flag("-n,--dry-run", options->dry_run, "Name what is hurt, change nothing");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
