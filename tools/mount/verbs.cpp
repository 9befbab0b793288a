// pelago mount, umount, sync: a volume as a directory.
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/host_io.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "dev/spawn.hpp"
#include "mount/mount_table.hpp"
#include "mount/options.hpp"
#include "mount/serve.hpp"
#include "mount/version.hpp"
#include "volume/access.hpp"
#include "volume/known_names.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;

constexpr auto kPause = 20ms;  // between two looks at another process

/// Whether SIGKILL waits for this thread or its process; any signal that ends a process becomes one. Of a thread in
/// another PID namespace nothing is known: false.
bool is_being_killed(std::uint32_t thread) {
    std::ifstream status{"/proc/" + std::to_string(thread) + "/status"};
    constexpr std::uint64_t kKill = 1U << (SIGKILL - 1U);
    for (std::string line; std::getline(status, line);) {
        if (!line.starts_with("SigPnd:") && !line.starts_with("ShdPnd:")) continue;
        if ((std::strtoull(line.c_str() + 7, nullptr, 16) & kKill) != 0) return true;
    }
    return false;
}

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

/// The directory to mount on, absolute. What a mount that died left there is taken away.
base::Result<std::string> prepare_directory(Context& context, const std::string& path) {
    BASE_TRY(const auto directory, real_directory(path));
    if (is_dead(directory)) {
        const auto there = mounted_at(directory);
        if (!there || there->type != kMountType)
            return base::Error{base::Errc::busy,
                               "cannot mount on " + directory + ": a dead mount of another kind is there"};
        BASE_CHECK(unmount_directory(directory, true));
        context.console.note("took away what a mount that died had left on " + directory);
    }
    struct stat found{};
    if (::stat(directory.c_str(), &found) != 0) return from_errno(errno, "cannot mount on " + directory);
    if (!S_ISDIR(found.st_mode)) return usage_error("cannot mount on " + directory + ": it is no directory");
    if (const auto there = mounted_at(directory); there && there->type == kMountType) {
        return base::Error{base::Errc::busy, "volume '" + there->source + "' is mounted on " + directory +
                                                 " already; 'pelago umount " + directory + "' takes it away"};
    }
    return directory;
}

/// Of the disk that the store of this machine lies on; nothing where peers keep the blocks.
std::function<fusefs::SpaceReply()> space_of(Session& session) {
    if (session.network()) return {};
    return [directory = session.directory().node()] {
        struct statvfs disk{};
        fusefs::SpaceReply reply;
        if (::statvfs(directory.c_str(), &disk) != 0) return reply;
        reply.total_bytes = disk.f_blocks * disk.f_frsize;
        reply.free_bytes = disk.f_bavail * disk.f_frsize;
        return reply;
    };
}

fusefs::FileSystemConfig file_system_config(Session& session, const MountOptions& options, const std::string& volume) {
    fusefs::FileSystemConfig config;
    config.durability = options.durability;
    config.coherence = options.coherence;
    config.atime = options.atime && !options.read_only;
    config.uid = options.uid;
    config.gid = options.gid;
    config.umask = options.umask;
    config.volume = volume;
    config.pid = static_cast<std::uint32_t>(::getpid());
    config.space = space_of(session);
    return config;
}

/// libfuse 3.14 does not know the flag.
base::Result<void> forbid_symlinks(const std::string& directory, const MountOptions& options) {
    constexpr unsigned long kNoSymFollow = 256;  // MS_NOSYMFOLLOW of Linux 5.10
    unsigned long flags = MS_REMOUNT | MS_BIND | kNoSymFollow;
    const auto given = [&](std::string_view name) {
        return std::ranges::find(options.kernel, name) != options.kernel.end();
    };
    if (!given("suid")) flags |= MS_NOSUID;
    if (!given("dev")) flags |= MS_NODEV;
    if (given("noexec")) flags |= MS_NOEXEC;
    if (given("noatime")) flags |= MS_NOATIME;
    if (given("ro")) flags |= MS_RDONLY;
    if (::mount(nullptr, directory.c_str(), nullptr, flags, nullptr) == 0) return base::ok();
    return from_errno(errno, "cannot set nosymfollow on " + directory);
}

/// With --json: what came of the command, in one document.
void tell(Context& context, nlohmann::json document) {
    if (context.console.manner().json) context.console.print_json(document);
}

base::Result<ExitCode> serve(Context& context, const MountFlags& flags, const MountOptions& options,
                             const std::string& directory) {
    let_stop_take_its_time();  // what was changed is stored first
    BASE_TRY(const VolumeAccess access, options.at.empty() ? open_volume(context, flags.volume, IfAbsent::refuse)
                                                           : open_volume_to_read(context, flags.volume));
    Session& session = *access.session;
    objstore::LiveConfig live;
    if (options.cache_bytes) live.node_cache_bytes = *options.cache_bytes;
    BASE_TRY(const auto tree,
             session.run(open_tree(session.env(), *access.volume, options.at, live), "volume '" + flags.volume + "'"));
    auto config = file_system_config(session, options, flags.volume);
    BASE_TRY(config.root, session.run(find_directory(*tree, options.subdir)));

    fusefs::MountConfig where;
    where.directory = directory;
    where.source = flags.volume;
    where.options = options.kernel;
    where.timeout = options.timeout;
    where.dies = is_being_killed;
    fusefs::Mount mount{session.env(), std::move(where)};
    fusefs::FileSystem files{session.env(), *tree, mount.kernel_cache(), std::move(config)};
    BASE_CHECK(mount.mount());
    if (options.no_symlinks) BASE_CHECK(forbid_symlinks(directory, options));
    context.console.note("volume '" + flags.volume + "' is mounted on " + directory +
                         (options.read_only ? ", read-only" : "") + "; 'pelago umount " + directory +
                         "' or Ctrl-C ends it");
    tell(context,
         {{"message_type", "mounted"}, {"volume", flags.volume}, {"directory", directory}, {"pid", ::getpid()}});
    const auto served = session.run(
        serve_until_unmounted(session.env(), *access.volume, *tree, files, mount, context.io.around().stop));
    BASE_CHECK(served);
    if (context.console.manner().verbose > 0) {
        const auto statistics = mount.statistics();
        std::string text = std::to_string(statistics.requests) + " requests, " +
                           std::to_string(statistics.answered_later) + " answered later, " +
                           std::to_string(statistics.wake_ups) + " wake-ups:";
        for (const auto& [name, count] : statistics.by_kind) text += " " + name + " " + std::to_string(count);
        context.console.note(text);
    }
    return ExitCode::done;
}

// --- mount -d

std::string log_of(Context& context, std::string directory) {
    for (char& c : directory) c = c == '/' ? '-' : c;
    constexpr std::size_t kLongest = 200;
    if (directory.size() > kLongest) directory.erase(0, directory.size() - kLongest);
    return join_path(DataDirectory{context.settings.get("dir")}.client(), "mount" + directory + ".log");
}

std::vector<std::string> words_for_background(Context& context, const MountFlags& flags, const std::string& directory) {
    std::vector<std::string> words;
    const std::pair<const char*, const char*> same[] = {{"dir", "--dir"},
                                                        {"socket", "--socket"},
                                                        {"key_file", "--key-file"},
                                                        {"password_file", "--password-file"},
                                                        {"password_command", "--password-command"}};
    for (const auto& [setting, flag] : same) {
        const auto& value = context.settings.value(setting);
        if (!value.text.empty() && value.source != "default") words.insert(words.end(), {flag, value.text});
    }
    words.insert(words.end(), {"mount", flags.volume, directory});
    for (const auto& option : flags.options) words.insert(words.end(), {"-o", option});
    return words;
}

/// Starts it as a process of its own; returns once the mount answers, or with what kept it from that.
base::Result<ExitCode> serve_in_background(Context& context, const MountFlags& flags, const std::string& directory) {
    const auto log = log_of(context, directory);
    BASE_CHECK(make_directories(parent_path(log)));
    BASE_TRY(const pid_t child, spawn_self(words_for_background(context, flags, directory), log));
    for (;;) {
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child) {
            auto said = last_line(log);
            context.io.err((said.empty() ? "pelago: the mount ended at once; see " + log : said) + "\n");
            return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? static_cast<ExitCode>(WEXITSTATUS(status))
                                                                 : ExitCode::fatal;
        }
        const auto there = mounted_at(directory);
        if (there && there->type == kMountType && server_of(directory) == child) break;
        if (context.io.around().stop.stop_requested()) {
            ::kill(child, SIGTERM);
            return base::Error{base::Errc::interrupted};
        }
        std::this_thread::sleep_for(kPause);
    }
    tell(context, {{"message_type", "mounted"}, {"volume", flags.volume}, {"directory", directory}, {"pid", child}});
    context.console.note("volume '" + flags.volume + "' is mounted on " + directory + "; 'pelago umount " + directory +
                         "' ends it, " + log + " is its log");
    return ExitCode::done;
}

base::Result<ExitCode> mount(Context& context, const MountFlags& flags) {
    BASE_TRY(const auto options, parse_mount_options(flags.options));
    BASE_CHECK(check_volume_name(flags.volume));
    BASE_TRY(const auto directory, prepare_directory(context, flags.directory));
    if (options.no_symlinks && ::geteuid() != 0) return usage_error("mount option nosymfollow is root's");
    return flags.background ? serve_in_background(context, flags, directory)
                            : serve(context, flags, options, directory);
}

// --- umount, sync

/// Makes everything that was changed in the mount durable.
base::Result<void> sync_mount(const std::string& directory) {
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return from_errno(errno, "cannot open " + directory);
    const int failed = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (failed != 0) return from_errno(failed, "cannot store what was changed in " + directory);
    return base::ok();
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
        if (context.io.around().stop.stop_requested()) return base::Error{base::Errc::interrupted};
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
