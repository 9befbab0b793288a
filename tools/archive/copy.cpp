// pelago archive copy
#include "objstore/archive/copy.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "keys/owner_key.hpp"
#include "objstore/error.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::Snapshot;
using objstore::archive::CopyOptions;
using objstore::archive::CopyReport;
using objstore::archive::WarningKind;
using objstore::archive::Warnings;

struct Options {
    std::vector<std::string> snapshots;
    std::string to_volume;
    std::string to_dir;
    std::string to_socket;
    std::string to_key_file;
    std::string to_password_file;
    std::string to_password_command;
    bool dry_run = false;
    FilterOptions filter;
    std::string volume;

    [[nodiscard]] bool elsewhere() const { return !to_dir.empty() || !to_socket.empty() || !to_key_file.empty(); }
};

/// Where the copies go. The session is one of its own, or that of the source.
struct Target {
    std::unique_ptr<Session> own_session;
    Session* session = nullptr;
    FinishedVolume volume;  // goes before what it stands on
};

struct Totals {
    std::uint64_t copied = 0, passed_over = 0, bytes_read = 0, bytes_stored = 0;
};

/// What is set here says nothing about the other archive, but for a passphrase that may open both keys.
base::Result<Settings> settings_of_target(const Context& context, const Options& options) {
    auto environment = context.io.environment();
    const bool own_passphrase = !options.to_password_file.empty() || !options.to_password_command.empty();
    std::erase_if(environment.variables, [&](const auto& variable) {
        const bool passphrase = variable.first.starts_with("PELAGO_PASSWORD");
        return variable.first.starts_with("PELAGO_") && (own_passphrase || !passphrase);
    });
    environment.variables["PELAGO_CONFIG"] = "/dev/null";
    std::map<std::string, std::string, std::less<>> given;
    given["dir"] = options.to_dir.empty() ? context.settings.get("dir") : options.to_dir;
    if (options.to_dir.empty()) given["key_file"] = context.settings.get("key_file");
    if (!options.to_socket.empty()) given["socket"] = options.to_socket;
    if (!options.to_key_file.empty()) given["key_file"] = options.to_key_file;
    if (!options.to_password_file.empty()) given["password_file"] = options.to_password_file;
    if (!options.to_password_command.empty()) given["password_command"] = options.to_password_command;
    return load_settings(given, environment);
}

bool same_directory(const std::string& a, const std::string& b) {
    std::error_code ignored;
    return std::filesystem::weakly_canonical(a, ignored) == std::filesystem::weakly_canonical(b, ignored);
}

base::Result<Target> open_target(Context& context, const VolumeAccess& source, const Options& options) {
    const auto name = options.to_volume.empty() ? source.volume->name() : options.to_volume;
    BASE_TRY(const auto settings, settings_of_target(context, options));
    Context there{context.io, context.console, settings, context.program};
    const bool same_store = options.to_socket.empty() && context.settings.get("socket").empty() &&
                            same_directory(settings.get("dir"), context.settings.get("dir"));
    const bool same_node =
        !options.elsewhere() || data_directory(settings).socket() == source.session->directory().socket();
    Target target;
    if (same_store || same_node) {
        BASE_TRY(const auto owner, owner_key(there, IfNoKey::refuse));
        target.session = source.session.get();
        auto volume = open_by_name(*target.session, owner, name);
        if (!volume) return volume.error().with("cannot open volume '" + name + "'");
        target.volume = FinishedVolume{volume->release(), {target.session}};
        if (target.volume->keys().aguid == source.volume->keys().aguid)
            return usage_error("cannot copy volume '" + name + "' to itself; give --to-volume NAME or --to-dir DIR");
        return target;
    }
    BASE_TRY(auto access, open_volume_beside(there, *source.session, name,
                                             options.dry_run ? IfAbsent::refuse : IfAbsent::make_default));
    target.own_session = std::move(access.session);
    target.session = target.own_session.get();
    target.volume = std::move(access.volume);
    return target;
}

void tell(Console& console, const Snapshot& from, const CopyReport& report) {
    const auto id = from.id();
    if (console.output().json) {
        return console.print_json({{"message_type", "copied"},
                                   {"source_snapshot_id", id.hex()},
                                   {"snapshot_id", report.snapshot.id().hex()},
                                   {"was_there", report.was_there},
                                   {"paths_left_out", report.left_out},
                                   {"bytes_read", report.bytes_read},
                                   {"data_added", report.bytes_new},
                                   {"data_stored", report.bytes_stored}});
    }
    if (console.output().quiet) return;
    const auto copy = report.snapshot.id().short_hex();
    if (report.was_there) {
        console.print(fmt::format("snapshot {} is there already: {}\n", id.short_hex(), copy));
    } else {
        console.print(fmt::format("snapshot {} copied: {}, {} read, {} stored\n", id.short_hex(), copy,
                                  human_size(report.bytes_read), human_size(report.bytes_stored)));
    }
}

base::Result<ExitCode> try_out(Context& context, const VolumeAccess& source, Target& target,
                               const std::vector<Snapshot>& snapshots) {
    Console& console = context.console;
    const auto there = target.session->run(target.volume->snapshots());
    if (!there) return there.error().with("cannot list what was copied before");
    std::uint64_t left = 0;
    for (const auto& snapshot : snapshots) {
        const auto copy = objstore::archive::find_copy(snapshot, *there);
        if (!copy) ++left;
        if (console.output().json) {
            nlohmann::json object{{"message_type", "copied"},
                                  {"source_snapshot_id", snapshot.id().hex()},
                                  {"was_there", copy.has_value()},
                                  {"dry_run", true}};
            if (copy) object["snapshot_id"] = copy->id().hex();
            console.print_json(object);
        } else if (!console.output().quiet) {
            console.print("snapshot " + snapshot.id().short_hex() +
                          (copy ? " is there already: " + copy->id().short_hex()
                                : " would be copied: " + plural(snapshot.files, "file", "files") + ", " +
                                      human_size(snapshot.bytes)) +
                          "\n");
        }
    }
    if (console.output().json) {
        console.print_json({{"message_type", "summary"},
                            {"snapshots_copied", left},
                            {"snapshots_passed_over", snapshots.size() - left},
                            {"dry_run", true}});
    }
    return report_damage(context, *source.volume, ExitCode::done);
}

base::Error explain(const base::Error& error, const Snapshot& snapshot) {
    if (error == base::Errc::interrupted) {
        return {error.code(), "interrupted: what was stored stays, and the same command goes on where this one was"};
    }
    return error.with("cannot copy snapshot " + snapshot.id().short_hex());
}

/// Fails where the rest would fail, too. What is damaged is in `warnings`.
base::Result<ExitCode> copy_all(Context& context, Target& target, objstore::archive::Copier& copier,
                                const std::vector<Snapshot>& snapshots, Progress& progress, Warnings& warnings,
                                Totals& totals) {
    Console& console = context.console;
    auto exit = ExitCode::done;
    for (const auto& snapshot : snapshots) {
        auto report = target.session->run(copier.copy(snapshot), [&progress] { progress.tick(); });
        console.status("");
        if (!report && objstore::is_isolated_damage(report.error().code())) {
            warnings.add(WarningKind::damaged, "snapshot " + snapshot.id().short_hex(), report.error());
            continue;
        }
        if (!report) return explain(report.error(), snapshot);
        tell(console, snapshot, *report);
        ++(report->was_there ? totals.passed_over : totals.copied);
        totals.bytes_read += report->bytes_read;
        totals.bytes_stored += report->bytes_stored;
        if (report->was_there || report->copies.copies_stored >= report->copies.copies_possible) continue;
        console.warn(
            fmt::format("some blocks have {} of {} copies; the nodes make the others as soon as enough of "
                        "them are up",
                        report->copies.copies_stored, report->copies.copies_possible));
        exit = ExitCode::partial;
    }
    return exit;
}

base::Result<ExitCode> copy(Context& context, const Options& options) {
    if (options.to_volume.empty() && !options.elsewhere())
        return usage_error("cannot copy without knowing where to: give --to-volume NAME or --to-dir DIR");
    BASE_TRY(const VolumeAccess source, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    BASE_TRY(auto snapshots, choose_snapshots(source, options.snapshots, options.filter, "cannot copy"));
    std::ranges::sort(snapshots, [](const Snapshot& a, const Snapshot& b) { return later(b, a); });
    BASE_TRY(Target target, open_target(context, source, options));
    if (options.dry_run) return try_out(context, source, target, snapshots);

    Console& console = context.console;
    Warnings warnings;
    CopyOptions how;
    how.cache_path = dedup_cache_path(*target.volume);
    how.on_left_out = [&](const std::string& path, objstore::archive::LeftOut why) {
        warnings.add(WarningKind::damaged, path, {objstore::Errc::damaged, describe(why)});
    };
    Progress progress{console, "copy"};
    objstore::archive::Copier copier{target.session->env(), *source.volume, *target.volume, std::move(how),
                                     show_progress(progress)};
    Totals totals;
    auto exit = copy_all(context, target, copier, snapshots, progress, warnings, totals);
    print_warnings(console, warnings);
    if (!exit) return exit;
    if (console.output().json) {
        console.print_json({{"message_type", "summary"},
                            {"snapshots_copied", totals.copied},
                            {"snapshots_passed_over", totals.passed_over},
                            {"bytes_read", totals.bytes_read},
                            {"data_stored", totals.bytes_stored},
                            {"warnings", to_json(warnings)}});
    } else {
        console.note(plural(totals.copied, "snapshot", "snapshots") + " copied to volume '" + target.volume->name() +
                     "', " + human_count(totals.passed_over) + " there already");
    }
    return report_damage(context, *source.volume, worse(*exit, exit_code_of(warnings)));
}

}  // namespace

void add_copy(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"copy", "Copy snapshots to another volume, here or in another network",
         "archive copy --to-volume mirror\n"
         "archive copy latest --host laptop --to-dir /mnt/usb/pelago\n"
         "archive copy --to-dir /var/lib/pelago-offsite --to-socket /run/offsite/node.sock --dry-run",
         "Of those named, or of all that match the filters, the oldest first. Copies have the time, host, tags and "
         "files of what they were made from, and what was copied before is passed over. With --to-dir the owner key is "
         "DIR/owner.key, and the volume has the same name, unless told otherwise. Files that cannot be read are named, "
         "the rest is copied, and the exit code is 4."},
        [options](Context& context) { return copy(context, *options); });
    verb.add_option("SNAP", options->snapshots, "Snapshot ids (their first digits), or 'latest'; none: all that match");
    verb.add_option("--to-volume", options->to_volume, "Volume to copy to; it is there already")->type_name("NAME");
    verb.add_option("--to-dir", options->to_dir, "Data directory of the other archive")->type_name("DIR");
    verb.add_option("--to-socket", options->to_socket, "Socket of the node that keeps the other archive")
        ->type_name("FILE");
    verb.add_option("--to-key-file", options->to_key_file, "Owner key of the other archive")->type_name("FILE");
    auto* file =
        verb.add_option("--to-password-file", options->to_password_file, "Passphrase of that key")->type_name("FILE");
    verb.add_option("--to-password-command", options->to_password_command,
                    "Passphrase of that key: what this command prints")
        ->type_name("COMMAND")
        ->excludes(file);
    verb.add_flag("-n,--dry-run", options->dry_run, "Say which would be copied, change nothing");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
