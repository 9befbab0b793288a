// pelago archive mount
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "archive/snapshot_names.hpp"
#include "archive/verbs.hpp"
#include "fuse/snapshot_files.hpp"
#include "mount/mounting.hpp"
#include "mount/serve.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

struct Options {
    std::string directory;
    std::vector<std::string> options;
    bool background = false;
    FilterOptions filter;
    SnapshotNaming naming;
    std::string volume;
};

/// Those of `pelago mount` that mean something of an archive.
base::Result<MountOptions> parse_options(const std::vector<std::string>& texts) {
    auto all = texts;
    all.insert(all.begin(), "ro");
    BASE_TRY(auto options, parse_mount_options(all));
    if (!options.read_only) return usage_error("an archive is mounted to read: mount option rw is not for it");
    if (!options.at.empty() || !options.subdir.empty())
        return usage_error("mount options at= and subdir= are for 'pelago mount'; 'archive mount' shows all snapshots");
    if (options.coherence != fusefs::Coherence::close || options.durability != fusefs::Durability::fsync)
        return usage_error("mount options cache= and durability= are for 'pelago mount': a snapshot does not change");
    return options;
}

base::Result<ExitCode> serve(Context& context, const Options& flags, const Mounting& what) {
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, what.volume));
    Session& session = *access.session;
    fusefs::SnapshotFilesConfig config;
    config.files = file_system_config(session, what);
    if (what.options.cache_bytes) config.tree.node_cache_bytes = *what.options.cache_bytes;
    config.owner_uid = ::geteuid();
    config.owner_gid = ::getegid();
    config.names = [&flags](const std::vector<objstore::Snapshot>& snapshots) {
        return name_snapshots(flags.naming, flags.filter.filter, snapshots);
    };
    auto files = session.run(fusefs::SnapshotFiles::open(session.env(), *access.volume, std::move(config)));
    if (!files) return files.error().with("cannot list the snapshots");
    const auto damaged = report_damage(context, *access.volume, ExitCode::done);
    fusefs::Mount mount{session.env(), mount_config(what)};
    BASE_CHECK(begin_mount(context, mount, what));
    BASE_CHECK(session.run(serve_until_unmounted(session.env(), **files, mount, context.io.environment().stop)));
    tell_statistics(context, mount);
    return damaged;
}

std::vector<std::string> words_for_background(const Options& flags, const Mounting& what) {
    std::vector<std::string> words{"archive", "mount", what.directory, "--volume", what.volume};
    const auto add = [&words](const char* flag, const std::string& value) { words.insert(words.end(), {flag, value}); };
    for (const auto& option : flags.options) add("-o", option);
    const auto& filter = flags.filter.filter;
    for (const auto& host : filter.hosts) add("--host", host);
    for (const auto& tags : filter.tags) {
        std::string list;
        for (const auto& tag : tags) list += (list.empty() ? "" : ",") + tag;
        add("--tag", list);
    }
    for (const auto& path : filter.paths) add("--path", path);
    for (const auto& path : flags.naming.paths) add("--path-template", path);
    add("--time-template", flags.naming.time);
    return words;
}

base::Result<ExitCode> mount(Context& context, const Options& flags) {
    Mounting what;
    BASE_TRY(what.options, parse_options(flags.options));
    BASE_CHECK(check(flags.naming));
    what.volume = context.settings.get("volume", flags.volume);
    BASE_TRY(what.directory, prepare_directory(context, flags.directory));
    BASE_CHECK(check_rights(what.options));
    if (flags.background)
        return mount_in_background(context, words_for_background(flags, what), what.volume, what.directory);
    return serve(context, flags, what);
}

constexpr const char* kOptionsHelp =
    "allow_other, uid=, gid=, umask=, suid, dev, noexec, nosymfollow, timeout=60s, cachesize=";

}  // namespace

void add_mount(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(
        archive,
        {"mount", "Show all snapshots as directories, to look for a file or copy it out",
         "archive mount ~/mnt\narchive mount -d ~/mnt --host laptop -o allow_other\n"
         "archive mount ~/mnt --path-template '%h/%T' --time-template 2006-01-02_15-04",
         "There are snapshots/TIME, hosts/HOST/TIME and tags/TAG/TIME, each with a link 'latest', and ids/ID; new "
         "snapshots appear by themselves. Runs in the foreground until the directory is unmounted or Ctrl-C; -d "
         "returns "
         "as soon as it can be used; 'pelago umount' ends it. Nothing can be changed in it. Files belong to whom they "
         "belonged to: to read all of them as an ordinary user add -o uid=$(id -u). A path template may hold %i (id), "
         "%I (all of its digits), %h (host), %u (user), %t (tag), %T (time); a time template shows how the second of "
         "January 2006, 15:04:05, would be written."},
        [options](Context& context) { return mount(context, *options); });
    const auto once = [](CLI::Option* option) {
        option->type_size(1)->expected(1)->take_all()->allow_extra_args(false);
    };
    verb.add_option("directory", options->directory, "Where")->type_name("DIR")->required();
    verb.add_option("-o,--options", options->options, kOptionsHelp)->type_name("LIST");
    verb.add_flag("-d,--daemon", options->background, "Go on in the background once the mount answers");
    once(verb.add_option("--path-template", options->naming.paths, "Where each snapshot is shown (again for more)")
             ->type_name("TEMPLATE"));
    verb.add_option("--time-template", options->naming.time, "How %T is written")->type_name("TEMPLATE");
    options->filter.add_to(verb);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
