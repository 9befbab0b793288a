// pelago mount, umount, sync: a volume as a directory.
#include <poll.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/families.hpp"
#include "cli/host_io.hpp"
#include "cli/verbs.hpp"
#include "mount/mount_table.hpp"
#include "mount/mounting.hpp"
#include "mount/serve.hpp"
#include "mount/version.hpp"
#include "volume/access.hpp"
#include "volume/known_names.hpp"

namespace tools {

namespace {

base::Error from_errno(int code, const std::string& what) {
    return {base::from_errno(code), what + ": " + std::strerror(code)};
}

// --- mount

struct MountFlags {
    std::string volume;
    std::string directory;
    std::vector<std::string> options;
    bool background = false;
};

/// With --json: what came of the command, in one document.
void tell(Context& context, nlohmann::json document) {
    if (context.console.output().json) context.console.print_json(document);
}

base::Result<ExitCode> serve(Context& context, const Mounting& what) {
    let_stop_take_its_time();  // what was changed is stored first
    const auto& options = what.options;
    BASE_TRY(const VolumeAccess access, options.at.empty() ? open_volume(context, what.volume, IfAbsent::refuse)
                                                           : open_volume_to_read(context, what.volume));
    Session& session = *access.session;
    objstore::LiveConfig live;
    if (options.cache_bytes) live.node_cache_bytes = *options.cache_bytes;
    live.write_timeout = options.timeout;
    BASE_TRY(const auto tree,
             session.run(open_tree(session.env(), *access.volume, options.at, live), "volume '" + what.volume + "'"));
    const bool for_ever = options.timeout == base::Duration::zero();
    access.volume->reader().set_patience(for_ever ? base::Duration::max() : options.timeout);
    auto config = file_system_config(session, what);
    BASE_TRY(config.root, session.run(find_directory(*tree, options.subdir)));

    fusefs::Mount mount{session.env(), mount_config(what)};
    fusefs::FileSystem files{session.env(), *tree, mount.kernel_cache(), std::move(config)};
    BASE_CHECK(begin_mount(context, mount, what));
    Leaving leaving{options.timeout, [&context](const std::string& text) { context.console.warn(text); }};
    BASE_CHECK(session.run(serve_until_unmounted(session.env(), *access.volume, *tree, files, mount,
                                                 context.io.environment().stop, std::move(leaving))));
    tell_statistics(context, mount);
    return ExitCode::done;
}

base::Result<ExitCode> mount(Context& context, const MountFlags& flags) {
    BASE_TRY(auto options, parse_mount_options(flags.options));
    BASE_CHECK(check_volume_name(flags.volume));
    BASE_TRY(auto directory, prepare_directory(context, flags.directory));
    BASE_CHECK(check_rights(options));
    if (!flags.background) return serve(context, {flags.volume, std::move(directory), std::move(options)});
    std::vector<std::string> words{"mount", flags.volume, directory};
    for (const auto& option : flags.options) words.insert(words.end(), {"-o", option});
    return mount_in_background(context, words, flags.volume, directory);
}

// --- umount, sync

/// Makes everything that was changed in the mount durable. Not by fsync of the directory: while that waits the kernel
/// holds everybody up who wants to list or change it.
base::Result<void> sync_mount(const std::string& directory) {
    if (::getxattr(directory.c_str(), "user.pelago.sync", nullptr, 0) >= 0) return base::ok();
    return from_errno(errno, "cannot store what was changed in " + directory);
}

base::Result<MountedAt> pelago_mount(const std::optional<MountedAt>& found, const std::string& directory) {
    if (found && found->type == kMountType) return *found;
    return base::Error{Errc::not_mounted, "nothing to do with " + directory};
}

/// Returns when the process behind `pidfd` has ended.
base::Result<void> wait_for_end(Context& context, int pidfd) {
    pollfd ended{pidfd, POLLIN, 0};
    constexpr int kLookMs = 100;
    while (::poll(&ended, 1, kLookMs) <= 0) {
        if (context.io.environment().stop.stop_requested()) return base::Error{base::Errc::interrupted};
    }
    return base::ok();
}

base::Result<ExitCode> umount(Context& context, const std::string& path, bool wait) {
    BASE_TRY(const auto directory, real_directory(path));
    BASE_CHECK(pelago_mount(mounted_at(directory), directory));
    if (is_dead(directory)) {
        BASE_CHECK(unmount_directory(directory, true));
        context.console.note("took away what a mount that died had left on " + directory);
        tell(context, {{"message_type", "unmounted"}, {"directory", directory}, {"stored", false}});
        return ExitCode::done;
    }
    if (wait) BASE_CHECK(sync_mount(directory));
    const auto server = wait ? server_of(directory) : std::nullopt;
    const int pidfd = server ? static_cast<int>(::syscall(SYS_pidfd_open, *server, 0)) : -1;
    const auto unmounted = unmount_directory(directory, false);
    base::Result<void> ended = base::ok();
    if (unmounted && pidfd >= 0) ended = wait_for_end(context, pidfd);
    if (pidfd >= 0) ::close(pidfd);
    BASE_CHECK(unmounted);
    BASE_CHECK(ended);
    tell(context, {{"message_type", "unmounted"}, {"directory", directory}, {"stored", wait}});
    return ExitCode::done;
}

base::Result<ExitCode> sync(Context& context, const std::string& path) {
    BASE_TRY(const auto directory, real_directory(path));
    BASE_TRY(const auto where, pelago_mount(mount_of(directory), directory));
    BASE_CHECK(sync_mount(where.directory));
    tell(context, {{"message_type", "synced"}, {"volume", where.source}, {"directory", where.directory}});
    return ExitCode::done;
}

constexpr const char* kOptionsHelp =
    "ro, rw, allow_other, uid=, gid=, umask=, suid, dev, exec, noatime, nosymfollow, at=TIME|SNAPSHOT, subdir=, "
    "timeout=60s, cache=close|strict, durability=fsync|close|write, cachesize=";

}  // namespace

void add_mount_verbs(Verbs& verbs) {
    auto mount_flags = std::make_shared<MountFlags>();
    CLI::App& mount_verb = verbs.add(
        {"mount", "Mount a volume as a directory",
         "mount photos ~/photos\nmount -d photos ~/photos -o ro,at=2026-11-20\n"
         "mount -d photos /srv/photos -o allow_other,durability=close",
         "'pelago volume create' makes a volume. Runs in the foreground until the directory is unmounted or Ctrl-C; -d "
         "returns as soon as the directory can be used. What a program syncs (fsync) is stored when that returns, "
         "everything else within seconds. In /etc/fstab: photos /srv/photos pelago _netdev,nofail 0 0"},
        [mount_flags](Context& context) { return mount(context, *mount_flags); });
    mount_verb.add_option("volume", mount_flags->volume, "Volume to mount")->type_name("VOLUME")->required();
    mount_verb.add_option("directory", mount_flags->directory, "Where")->type_name("DIR")->required();
    mount_verb.add_option("-o,--options", mount_flags->options, kOptionsHelp)->type_name("LIST");
    mount_verb.add_flag("-d,--daemon", mount_flags->background, "Continue in the background once the mount answers");

    struct UmountFlags {
        std::string directory;
        bool wait = false;
    };
    auto umount_flags = std::make_shared<UmountFlags>();
    CLI::App& umount_verb = verbs.add(
        {"umount", "Unmount a volume", "umount ~/photos\numount ~/photos --wait",
         "With --wait everything is stored, and the process that served the mount has ended, when it returns."},
        [umount_flags](Context& context) { return umount(context, umount_flags->directory, umount_flags->wait); });
    umount_verb.add_option("directory", umount_flags->directory, "Where it is mounted")->type_name("DIR")->required();
    umount_verb.add_flag("--wait", umount_flags->wait, "Return only when everything is stored");

    auto sync_directory = std::make_shared<std::string>();
    CLI::App& sync_verb = verbs.add({"sync", "Commit all changes of a mounted volume", "sync ~/photos",
                                     "sync(1) does not reach a mounted volume: the kernel keeps it to itself."},
                                    [sync_directory](Context& context) { return sync(context, *sync_directory); });
    sync_verb.add_option("directory", *sync_directory, "Any directory of the mount")->type_name("DIR")->required();
}

}  // namespace tools
