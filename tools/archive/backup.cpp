// pelago archive backup
#include "objstore/archive/backup.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/selection.hpp"
#include "archive/stream_tree.hpp"
#include "archive/verbs.hpp"
#include "base/error.hpp"
#include "cli/files.hpp"
#include "cli/host_io.hpp"
#include "cli/process.hpp"
#include "cli/text.hpp"
#include "objstore/error.hpp"
#include "session/data_directory.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::archive::BackupOptions;
using objstore::archive::BackupReport;
using objstore::archive::ChangeCounts;

struct Options {
    std::vector<std::string> paths;
    PathListOptions lists;
    PatternOptions excludes;
    bool exclude_caches = false;
    std::vector<std::string> markers;
    std::string larger_than;
    bool one_file_system = false;
    bool from_stdin = false;
    bool from_command = false;
    std::string stdin_filename = "stdin";
    std::string host;
    std::vector<std::string> tags;
    std::string time;
    bool dry_run = false;
    bool force = false;
    bool skip_if_unchanged = false;
    bool ignore_inode = false;
    bool ignore_ctime = false;
    bool no_scan = false;
    std::string parent;
    std::string group_by = "host,paths";
    std::string compression = "auto";
    unsigned read_concurrency = BackupOptions{}.read_concurrency;
    std::string volume;
};

/// Not files of this machine but one stream.
struct Stream {
    std::unique_ptr<ChildOutput> child;
    std::unique_ptr<base::LocalTree> tree;
};

base::Result<std::unique_ptr<Stream>> open_stream(Context& context, const Options& options) {
    auto out = std::make_unique<Stream>();
    StreamFile file;
    file.path = std::filesystem::path{"/" + options.stdin_filename}.lexically_normal().string();
    if (file.path.ends_with('/'))
        return usage_error("--stdin-filename takes a file name, not '" + options.stdin_filename + "'");
    file.uid = ::geteuid();
    file.gid = ::getegid();
    file.time = base::Timestamp::from_ns(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    if (options.from_command) {
        BASE_TRY(out->child, ChildOutput::start(options.paths, context.io.environment().stop));
        file.read = [child = out->child.get()](std::span<std::uint8_t> into) { return child->read(into); };
    } else {
        file.read = [stop = context.io.environment().stop](std::span<std::uint8_t> into) {
            return read_when_ready(STDIN_FILENO, into, stop, "standard input");
        };
    }
    out->tree = make_stream_tree(std::move(file));
    return out;
}

/// "off", "auto", "max", or a level of zstd.
base::Result<int> zstd_level(const std::string& text) {
    if (text == "off") return 0;
    if (text == "auto") return 3;
    if (text == "max") return 19;
    int level = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), level);
    if (problem == std::errc{} && end == text.data() + text.size() && level >= 1 && level <= 19) return level;
    return usage_error("--compression takes off, auto, max or a level from 1 to 19, not '" + text + "'");
}

/// "FILE" or "FILE:HEADER".
base::Result<objstore::archive::MarkerFile> marker_of(const std::string& text) {
    const auto colon = text.find(':');
    objstore::archive::MarkerFile marker{text.substr(0, colon),
                                         colon == std::string::npos ? "" : text.substr(colon + 1)};
    if (marker.name.empty() || marker.name.find('/') != std::string::npos)
        return usage_error("--exclude-if-present takes a file name, or NAME:BEGINNING, not '" + text + "'");
    return marker;
}

/// A backup of a home directory must not keep its own store: it would grow with every run.
base::Result<void> leave_out_own_store(objstore::archive::Patterns& excludes, const DataDirectory& directory) {
    for (const auto& own : {directory.node(), directory.client()}) {
        std::error_code ignored;
        const auto absolute = std::filesystem::absolute(own, ignored).lexically_normal();
        const auto real = std::filesystem::weakly_canonical(own, ignored);
        for (const auto& path : {absolute.string(), real.string()}) {
            std::string pattern;
            for (const char c : path) {
                if (std::string_view{"*?[\\!"}.contains(c)) pattern += '\\';
                pattern += c;
            }
            if (!pattern.empty()) BASE_CHECK(excludes.add(pattern));
        }
    }
    return base::ok();
}

base::Result<objstore::archive::ScanOptions> scan_options(Context& context, const Options& options) {
    objstore::archive::ScanOptions out;
    BASE_TRY(out.excludes, options.excludes.read());
    BASE_CHECK(leave_out_own_store(out.excludes, DataDirectory{context.settings.get("dir")}));
    if (options.exclude_caches) out.markers.push_back(objstore::archive::cache_marker());
    for (const auto& text : options.markers) {
        BASE_TRY(auto marker, marker_of(text));
        out.markers.push_back(std::move(marker));
    }
    if (!options.larger_than.empty()) {
        out.exclude_above = parse_size(options.larger_than);
        if (!out.exclude_above)
            return usage_error("--exclude-larger-than takes a size (10M), not '" + options.larger_than + "'");
    }
    out.one_file_system = options.one_file_system;
    return out;
}

base::Result<std::vector<std::string>> paths_of(Context& context, const Options& options) {
    const bool lists = !options.lists.lists.empty() || !options.lists.verbatim.empty() || !options.lists.raw.empty();
    if (options.from_command) {
        if (options.paths.empty()) return usage_error("--stdin-from-command takes a program: -- PROGRAM ARGUMENT...");
        if (lists || options.from_stdin)
            return usage_error("--stdin-from-command goes without --stdin and --files-from");
        return std::vector<std::string>{options.stdin_filename};
    }
    if (options.from_stdin) {
        if (lists || !options.paths.empty()) return usage_error("--stdin goes without paths and --files-from");
        if (context.io.environment().in_is_terminal)
            return usage_error(
                "--stdin reads what another program writes, not a terminal: PROGRAM | pelago archive backup --stdin");
        return std::vector<std::string>{options.stdin_filename};
    }
    auto out = options.paths;
    BASE_TRY(const auto listed, options.lists.read(context));
    out.insert(out.end(), listed.begin(), listed.end());
    if (out.empty()) return usage_error("cannot back up nothing; name a directory, or give --files-from FILE");
    return out;
}

base::Result<BackupOptions> make_backup_options(Context& context, const Options& options) {
    BackupOptions out;
    BASE_TRY(out.paths, paths_of(context, options));
    BASE_TRY(out.scan, scan_options(context, options));
    out.all_or_nothing = options.from_stdin || options.from_command;
    out.host = context.settings.get("host", options.host);
    if (out.host.empty()) out.host = context.io.environment().host;
    out.user = context.io.environment().user;
    out.tags = split_tags(options.tags);
    out.program_version = "pelago " PELAGO_VERSION;
    if (!options.time.empty()) {
        out.time_ns = parse_time(options.time);
        if (!out.time_ns) {
            return usage_error("cannot use the time '" + options.time +
                               "'; write it like 2026-11-20 14:30:00, between the years 1678 and 2261");
        }
    }
    out.dry_run = options.dry_run;
    out.reread = options.force;
    if (!options.parent.empty()) out.parent = options.parent;
    const auto group_by = objstore::archive::parse_group_by(options.group_by);
    if (!group_by) return usage_error("--group-by: " + group_by.error().detail());
    out.group_by = *group_by;
    out.ignored = {options.ignore_inode || options.ignore_ctime, options.ignore_inode};
    out.skip_if_unchanged = options.skip_if_unchanged;
    out.read_concurrency = options.read_concurrency;
    out.estimate =
        !options.no_scan && !out.all_or_nothing && (context.console.draws() || context.console.output().json);
    BASE_TRY(out.zstd_level, zstd_level(options.compression));
    return out;
}

nlohmann::json summary(const BackupReport& report) {
    const double seconds = std::chrono::duration<double>(report.duration).count();
    nlohmann::json object{{"message_type", "summary"},
                          {"files_new", report.files.added},
                          {"files_changed", report.files.changed},
                          {"files_unmodified", report.files.unchanged},
                          {"dirs_new", report.directories.added},
                          {"dirs_changed", report.directories.changed},
                          {"dirs_unmodified", report.directories.unchanged},
                          {"removed", report.removed},
                          {"total_files_processed", report.files.added + report.files.changed + report.files.unchanged},
                          {"total_bytes_processed", report.bytes},
                          {"bytes_read", report.bytes_read},
                          {"data_added", report.bytes_new},
                          {"data_stored", report.bytes_stored},
                          {"blocks_stored", report.blocks_stored},
                          {"total_duration", seconds},
                          {"copies_wanted", report.copies.copies_wanted},
                          {"copies_possible", report.copies.copies_possible},
                          {"copies_stored", report.copies.copies_stored},
                          {"parent_damaged", report.parent_lost.has_value()},
                          {"blocks_lost", report.blocks_lost},
                          {"warnings", to_json(report.warnings)},
                          {"skipped", report.skipped},
                          {"dry_run", !report.snapshot && !report.skipped}};
    if (report.parent) object["parent"] = report.parent->hex();
    if (report.snapshot) object["snapshot_id"] = report.snapshot->id().hex();
    return object;
}

std::string counts_line(const char* name, const ChangeCounts& counts) {
    return fmt::format("{:<8}{} new, {} changed, {} unchanged\n", name, human_count(counts.added),
                       human_count(counts.changed), human_count(counts.unchanged));
}

/// Where it went: that a second machine would be safer is to be seen where there is none.
std::string copies_text(const past::PutOutcome& copies, const std::optional<std::string>& network) {
    if (copies.copies_wanted == 0) return "";  // nothing was stored
    if (!network) return "Copies: one, on this disk\n";
    std::string text = fmt::format("Copies: {} of {}, in network '{}'", copies.copies_stored, copies.copies_possible,
                                   printable(*network));
    const auto more = copies.copies_wanted - std::min(copies.copies_wanted, copies.copies_possible);
    if (more > 0) {
        text += fmt::format("; {} would make the {} that its policy asks for",
                            plural(more, "more machine", "more machines"), copies.copies_wanted);
    }
    return text + "\n";
}

std::string report_text(const BackupReport& report, const std::optional<std::string>& network) {
    const double seconds = std::chrono::duration<double>(report.duration).count();
    const double rate = seconds > 0 ? static_cast<double>(report.bytes_read) / seconds : 0;
    std::string text = counts_line("Files:", report.files) + counts_line("Dirs:", report.directories);
    text += fmt::format("Added:  {} of new content, {} stored\n", human_size(report.bytes_new),
                        human_size(report.bytes_stored));
    text += fmt::format("Total:  {} in {} ({} read, {}/s)\n", human_size(report.bytes),
                        human_duration(std::chrono::duration_cast<std::chrono::seconds>(report.duration)),
                        human_size(report.bytes_read), human_size(static_cast<std::uint64_t>(rate)));
    return text + copies_text(report.copies, network);
}

/// What the storage lost of the snapshot before. The new one is whole.
void warn_of_losses(Console& console, const BackupReport& report) {
    if (report.parent_lost) {
        console.warn("the snapshot before is damaged (" + report.parent_lost->message() +
                     "): all files were read, and what was missing was stored again");
    }
    if (report.blocks_lost > 0) {
        console.warn(plural(report.blocks_lost, "block", "blocks") +
                     " of the snapshot before could not be had: the files in them were read and stored again");
    }
    if (report.parent_ahead_ns) {
        console.warn("the snapshot before is dated " + local_time(*report.parent_ahead_ns) +
                     ", in the future: the clock of this machine was wrong then, or is now");
    }
}

ExitCode report_outcome(Context& context, const BackupReport& report, const std::string& volume,
                        const std::optional<std::string>& network) {
    Console& console = context.console;
    warn_of_losses(console, report);
    print_warnings(console, report.warnings);
    if (console.output().json) {
        console.print_json(summary(report));
    } else if (!console.output().quiet) {
        const std::string saved = report.snapshot ? "snapshot " + report.snapshot->id().short_hex() +
                                                        " saved in volume '" + printable(volume) + "'\n"
                                  : report.skipped ? "nothing has changed: no snapshot was made\n"
                                                   : "dry run: nothing was stored\n";
        console.print(report_text(report, network) + saved);
    }
    const ExitCode exit = exit_code_of(report.warnings);
    if (report.snapshot && report.copies.copies_stored < report.copies.copies_possible) {
        console.warn(
            fmt::format("some blocks have {} of {} copies; the nodes make the others as soon as enough of them are up",
                        report.copies.copies_stored, report.copies.copies_possible));
        return exit == ExitCode::done ? ExitCode::partial : exit;
    }
    return exit;
}

base::Error explain(const base::Error& error, const BackupOptions& options) {
    if (error == base::Errc::interrupted) {
        return {error.code(), "interrupted: what was stored stays, and the same command goes on where this one was"};
    }
    if (options.paths.size() == 1 && error.detail().starts_with(options.paths.front())) {
        return error.with("cannot back up");
    }
    return error.with("cannot back up " + options.paths.front() +
                      (options.paths.size() > 1 ? fmt::format(" and {} more", options.paths.size() - 1) : ""));
}

/// The only snapshot that a backup can miss is the one of --parent.
base::Error judge(const base::Error& error, const objstore::Volume& volume, const BackupOptions& options) {
    if (!(error == objstore::Errc::no_such_snapshot) || !options.parent) return error;
    return in_view_of_damage(error.code(), volume).with("--parent " + *options.parent);
}

/// A mistyped path must not cost a key and a volume that nobody wanted.
base::Result<void> check_paths(const std::vector<std::string>& paths) {
    int why = 0;  // of the first
    for (const auto& path : paths) {
        struct stat info{};
        if (::lstat(path.c_str(), &info) == 0) return base::ok();
        if (why == 0) why = errno;
    }
    return base::Error{std::error_code{why, std::generic_category()},
                       "cannot back up " + (paths.front().empty() ? "''" : paths.front())};
}

/// With -v every file is named, as restic does it.
std::function<void(objstore::archive::FileChange, const std::string&)> name_each(Console& console) {
    if (console.output().verbose == 0 || console.output().quiet) return {};
    return [&console](objstore::archive::FileChange change, const std::string& path) {
        using enum objstore::archive::FileChange;
        const char* const word = change == added ? "new" : change == changed ? "modified" : "unchanged";
        if (console.output().json) {
            console.print_json({{"message_type", "verbose_status"}, {"action", word}, {"item", path}});
        } else {
            console.print(fmt::format("{:<10}{}\n", word, printable(path)));
        }
    };
}

base::Result<ExitCode> back_up_to(Context& context, const VolumeAccess& access, BackupOptions options,
                                  const Stream* stream) {
    Session& session = *access.session;
    base::LocalTree& files = stream != nullptr ? *stream->tree : session.files();
    options.cache_path = dedup_cache_path(*access.volume);
    Progress progress{context.console, "backup"};
    auto report =
        session.run(objstore::archive::backup(session.env(), files, *access.volume, options, show_progress(progress)),
                    [&progress] { progress.tick(); });
    context.console.status("");
    if (!report) return explain(judge(report.error(), *access.volume, options), options);
    return report_damage(context, *access.volume,
                         report_outcome(context, *report, access.volume->name(), session.network()));
}

/// As the first backup would go, which makes key and volume.
base::Result<ExitCode> try_out_first(Context& context, BackupOptions options, const Stream* stream) {
    std::error_code failed;
    const auto parent = std::filesystem::temp_directory_path(failed).string();
    if (failed) return base::Error{base::from_errno(failed.value()), "cannot make a temporary directory"};
    BASE_TRY(const auto directory, TemporaryDirectory::make(parent, "pelago-dry-run-"));
    BASE_CHECK(leave_out_own_store(options.scan.excludes, DataDirectory{directory->path()}));
    BASE_TRY(const auto settings, load_settings({{"dir", directory->path()}}, context.io.environment()));
    auto output = context.console.output();
    output.quiet = true;  // what is made there is nobody's business
    Console silent{context.io, output};
    Context apart{context.io, silent, settings, context.program};
    BASE_TRY(const VolumeAccess access, open_volume(apart, kDefaultVolume, IfAbsent::make_default));
    return back_up_to(context, access, std::move(options), stream);
}

base::Result<ExitCode> backup(Context& context, const Options& given) {
    BASE_TRY(BackupOptions options, make_backup_options(context, given));
    const bool streamed = given.from_stdin || given.from_command;
    if (!streamed) BASE_CHECK(check_paths(options.paths));
    options.each = name_each(context.console);
    const std::string name = context.settings.get("volume", given.volume);
    const auto if_absent = given.dry_run ? IfAbsent::refuse : IfAbsent::make_default;
    const auto access = open_volume(context, name, if_absent);
    const bool first = !access && name == kDefaultVolume &&
                       (access.error() == Errc::no_key || access.error() == objstore::Errc::no_such_volume);
    if (!access && !(given.dry_run && first)) return access.error();
    std::unique_ptr<Stream> stream;
    if (streamed) {
        BASE_TRY(stream, open_stream(context, given));
    }
    if (given.dry_run && first) return try_out_first(context, std::move(options), stream.get());
    return back_up_to(context, *access, std::move(options), stream.get());
}

}  // namespace

void add_backup(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb =
        verbs.add(archive,
                  {"backup", "Back up directories and files as a new snapshot",
                   "archive backup ~/Documents\n"
                   "archive backup /home --exclude '*.o' --exclude /home/*/.cache --tag weekly\n"
                   "find /etc -newer /var/lib/last -print0 | pelago archive backup --files-from-raw -\n"
                   "archive backup --stdin-filename /db.sql --stdin-from-command -- pg_dump db",
                   "Only what changed since the last snapshot is read, and only what is new is stored. Files "
                   "that cannot be read are named, the rest is kept, and the exit code is 3. The data directory's "
                   "own store is left out."},
                  [options](Context& context) { return backup(context, *options); });
    verb.add_option("PATH", options->paths, "Directories and files to keep");
    options->excludes.add_to(verb, "exclude", "Leave out what matches");
    verb.add_flag("--exclude-caches", options->exclude_caches, "Leave out directories that hold a CACHEDIR.TAG");
    verb.add_option("--exclude-if-present", options->markers,
                    "Leave out what lies beside a file of this name (and beginning; again for more)")
        ->type_name("FILE[:BEGINNING]")
        ->allow_extra_args(false);
    verb.add_option("--exclude-larger-than", options->larger_than, "Leave out files above this size (10M)")
        ->type_name("SIZE");
    options->lists.add_to(verb);
    verb.add_flag("--stdin", options->from_stdin, "Back up standard input as one file");
    verb.add_flag("--stdin-from-command", options->from_command,
                  "Back up what a program writes: -- PROGRAM ARGUMENT...; no snapshot if it fails");
    verb.add_option("--stdin-filename", options->stdin_filename, "The name of that file in the snapshot")
        ->type_name("NAME")
        ->default_str("stdin");
    verb.add_flag("-x,--one-file-system", options->one_file_system, "Do not enter other file systems");
    verb.add_option("-H,--host", options->host, "Name of this machine in the snapshot")->type_name("NAME");
    verb.add_option("--tag", options->tags, "Tag of the snapshot (again for more, or a,b)")
        ->type_name("TAG")
        ->allow_extra_args(false);
    verb.add_option("--time", options->time, "Time of the snapshot instead of now")->type_name("TIME");
    verb.add_flag("-n,--dry-run", options->dry_run, "Read everything and report what would be stored; store nothing");
    verb.add_flag("-f,--force", options->force, "Read every file again, changed or not");
    verb.add_option("--parent", options->parent, "Compare with this snapshot instead of the last one")
        ->type_name("SNAP");
    verb.add_option("-g,--group-by", options->group_by, "The last one that has this in common")
        ->type_name("host,paths,tags")
        ->default_str("host,paths");
    verb.add_flag("--skip-if-unchanged", options->skip_if_unchanged, "Make no snapshot if nothing has changed");
    verb.add_flag("--ignore-ctime", options->ignore_ctime, "A file whose ctime alone has changed is unchanged");
    verb.add_flag("--ignore-inode", options->ignore_inode, "The same, of the number of its inode, too");
    verb.add_flag("--no-scan", options->no_scan, "Do not count the files beforehand for the time left");
    verb.add_option("--read-concurrency", options->read_concurrency, "Batches of small files read side by side")
        ->check(CLI::Range(1U, 64U))
        ->type_name("N")
        ->default_str(std::to_string(options->read_concurrency));
    verb.add_option("--compression", options->compression, "off, auto, max, or a zstd level: 1 is fast, 19 is small")
        ->type_name("HOW")
        ->default_str("auto");
    add_volume_option(verb, options->volume);
}

}  // namespace tools
