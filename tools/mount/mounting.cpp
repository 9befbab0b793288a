#include "mount/mounting.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "cli/files.hpp"
#include "dev/spawn.hpp"
#include "mount/mount_table.hpp"

namespace tools {

namespace {

constexpr std::chrono::milliseconds kPause{20};  // between two looks at another process

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

void tell_mounted(Context& context, const std::string& volume, const std::string& directory, pid_t pid) {
    if (!context.console.output().json) return;
    context.console.print_json(
        {{"message_type", "mounted"}, {"volume", volume}, {"directory", directory}, {"pid", pid}});
}

std::string log_of(Context& context, std::string directory) {
    for (char& c : directory) c = c == '/' ? '-' : c;
    constexpr std::size_t kLongest = 200;
    if (directory.size() > kLongest) directory.erase(0, directory.size() - kLongest);
    return join_path(DataDirectory{context.settings.get("dir")}.client(), "mount" + directory + ".log");
}

/// What this command line says of where everything is, and the verb.
std::vector<std::string> with_settings(Context& context, const std::vector<std::string>& verb) {
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
    words.insert(words.end(), verb.begin(), verb.end());
    return words;
}

}  // namespace

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

base::Result<void> check_rights(const MountOptions& options) {
    if (options.no_symlinks && ::geteuid() != 0) return usage_error("mount option nosymfollow is root's");
    return base::ok();
}

fusefs::FileSystemConfig file_system_config(Session& session, const Mounting& what) {
    const auto& options = what.options;
    fusefs::FileSystemConfig config;
    config.durability = options.durability;
    config.timeout = options.timeout;
    config.coherence = options.coherence;
    config.atime = options.atime && !options.read_only;
    config.uid = options.uid;
    config.gid = options.gid;
    config.umask = options.umask;
    config.volume = what.volume;
    config.pid = static_cast<std::uint32_t>(::getpid());
    config.space = space_of(session);
    return config;
}

fusefs::MountConfig mount_config(const Mounting& what) {
    fusefs::MountConfig config;
    config.directory = what.directory;
    config.source = what.volume;
    config.options = what.options.kernel;
    config.timeout = what.options.timeout;
    config.dies = is_being_killed;
    return config;
}

base::Result<void> begin_mount(Context& context, fusefs::Mount& mount, const Mounting& what) {
    const auto& [volume, directory, options] = what;
    BASE_CHECK(mount.mount());
    if (options.no_symlinks) BASE_CHECK(forbid_symlinks(directory, options));
    context.console.note("volume '" + volume + "' is mounted on " + directory +
                         (options.read_only ? ", read-only" : "") + "; 'pelago umount " + directory +
                         "' or Ctrl-C ends it");
    tell_mounted(context, volume, directory, ::getpid());
    return base::ok();
}

void tell_statistics(Context& context, const fusefs::Mount& mount) {
    if (context.console.output().verbose == 0) return;
    const auto statistics = mount.statistics();
    std::string text = std::to_string(statistics.requests) + " requests, " + std::to_string(statistics.answered_later) +
                       " answered later, " + std::to_string(statistics.wake_ups) + " wake-ups:";
    for (const auto& [name, count] : statistics.by_kind) text += " " + name + " " + std::to_string(count);
    context.console.note(text);
}

base::Result<ExitCode> mount_in_background(Context& context, const std::vector<std::string>& verb,
                                           const std::string& volume, const std::string& directory) {
    const auto log = log_of(context, directory);
    BASE_CHECK(make_directories(parent_path(log)));
    BASE_TRY(const pid_t child, spawn_self(with_settings(context, verb), log));
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
        if (context.io.environment().stop.stop_requested()) {
            ::kill(child, SIGTERM);
            return base::Error{base::Errc::interrupted};
        }
        std::this_thread::sleep_for(kPause);
    }
    tell_mounted(context, volume, directory, child);
    context.console.note("volume '" + volume + "' is mounted on " + directory + "; 'pelago umount " + directory +
                         "' ends it, " + log + " is its log");
    return ExitCode::done;
}

}  // namespace tools
