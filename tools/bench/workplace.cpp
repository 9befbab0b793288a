#include "bench/workplace.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "cli/files.hpp"

extern char** environ;

namespace tools::bench {

namespace {

namespace fs = std::filesystem;

constexpr auto* kDropCaches = "/proc/sys/vm/drop_caches";

base::Error system_error(const std::string& what) { return {base::from_errno(errno), what}; }

/// mountinfo writes blanks in paths as \040.
std::string unescaped(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        int value = 0;
        if (text[i] == '\\' && i + 3 < text.size() &&
            std::from_chars(&text[i + 1], &text[i + 4], value, 8).ptr == &text[i + 4]) {
            out += static_cast<char>(value);
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

/// Where the mount that holds `path` begins, and what file system it is.
void find_mount(const std::string& path, std::string& root, std::string& kind) {
    std::ifstream mounts{"/proc/self/mountinfo"};
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words{line};
        std::string word, point, type;
        for (int i = 0; i < 5; ++i) words >> point;
        while (words >> word && word != "-") {
        }
        words >> type;
        point = unescaped(point);
        const auto below = point == "/" ? point : point + "/";
        if ((path == point || path.starts_with(below)) && point.size() >= root.size()) {
            root = point;
            kind = type;
        }
    }
}

base::Result<void> sync_directory(const std::string& path, bool whole_file_system) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return system_error("cannot open " + path);
    const int failed = whole_file_system ? ::syncfs(fd) : ::fsync(fd);
    const auto error = system_error("cannot sync " + path);
    ::close(fd);
    if (failed != 0) return error;
    return base::ok();
}

}  // namespace

base::Result<std::unique_ptr<Workplace>> Workplace::make(const std::string& directory, const std::string& name) {
    std::error_code failed;
    const auto whole = fs::canonical(directory, failed);
    if (failed) return base::Error{base::from_errno(failed.value()), "cannot use " + directory};
    const auto path = join_path(whole.string(), name);
    if (::mkdir(path.c_str(), 0755) != 0) {
        if (errno != EEXIST) return system_error("cannot make " + path);
        if (!fs::is_directory(path, failed) || !fs::is_empty(path, failed) || failed) {
            return base::Error{base::Errc::exists, path + " is not empty; remove it, or give another directory"};
        }
    }
    std::unique_ptr<Workplace> place{new Workplace{path}};
    find_mount(path, place->mount_, place->kind_);
    return place;
}

Workplace::~Workplace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

base::Result<void> Workplace::empty() {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{path_, failed}) {
        fs::remove_all(entry.path(), failed);
        if (failed) break;
    }
    if (failed) return base::Error{base::from_errno(failed.value()), "cannot empty " + path_};
    return base::ok();
}

base::Result<void> Workplace::make_durable() const {
    BASE_CHECK(sync_directory(mount_, false));
    return sync_directory(path_, true);
}

Caches best_caches() { return ::access(kDropCaches, W_OK) == 0 ? Caches::dropped : Caches::advised; }

const char* describe(Caches caches) {
    switch (caches) {
        case Caches::dropped: return "caches dropped (drop_caches)";
        case Caches::advised:
            return "file data dropped from the cache (posix_fadvise), names warm; drop_caches needs root";
        case Caches::warm: return "caches warm";
    }
    return "";
}

void empty_caches(Caches caches, const std::string& directory) {
    switch (caches) {
        case Caches::dropped:
            ::sync();  // dirty pages stay in the cache
            std::ofstream{kDropCaches} << "3\n";
            return;
        case Caches::advised: {
            std::error_code ignored;
            for (const auto& entry : fs::recursive_directory_iterator{directory, ignored}) {
                if (!entry.is_regular_file(ignored)) continue;
                const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
                if (fd < 0) continue;
                ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
                ::close(fd);
            }
            return;
        }
        case Caches::warm: return;
    }
}

CpuSeconds cpu_seconds_of_pelago() {
    CpuSeconds found;
    std::error_code ignored;
    const auto ours = std::to_string(::getpid());
    for (const auto& entry : fs::directory_iterator{"/proc", ignored}) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos || name == ours) continue;
        std::ifstream file{entry.path() / "stat"};
        std::string text;
        std::getline(file, text);
        const auto begin = text.find('(');
        const auto end = text.rfind(')');
        if (end == std::string::npos || text.substr(begin + 1, end - begin - 1) != "pelago") continue;
        std::istringstream rest{text.substr(end + 2)};  // the third field of proc(5) and on
        std::string skipped;
        for (int field = 3; field < 14; ++field) rest >> skipped;
        double user = 0, system = 0;
        rest >> user >> system;
        for (int field = 16; field < 22; ++field) rest >> skipped;
        std::uint64_t started = 0;
        rest >> started;
        found[{std::stol(name), started}] = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
    return found;
}

double cpu_seconds_between(const CpuSeconds& before, const CpuSeconds& after) {
    double seconds = 0;
    for (const auto& [process, now] : after) {
        const auto then = before.find(process);
        seconds += then == before.end() ? now : now - then->second;
    }
    return seconds;
}

base::Result<void> in_turns(unsigned rounds, std::size_t count,
                            const std::function<base::Result<void>(unsigned round, std::size_t which)>& turn) {
    for (unsigned round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < count; ++i) BASE_CHECK(turn(round, (round + i) % count));
    }
    return base::ok();
}

base::Result<int> run_in(const std::string& directory, const std::string& command, const std::string& log,
                         const std::stop_token& stop) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    std::string shell = "sh", flag = "-c", text = command;
    std::array<char*, 4> argv{shell.data(), flag.data(), text.data(), nullptr};
    pid_t child = 0;
    const int error = posix_spawn(&child, "/bin/sh", &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return base::Error{base::from_errno(error), "cannot run '" + command + "' in " + directory};
    const std::stop_callback end_it{stop, [child] { ::kill(-child, SIGTERM); }};
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (stop.stop_requested()) return base::Errc::interrupted;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool have_program(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::istringstream directories{path == nullptr ? "" : path};
    for (std::string directory; std::getline(directories, directory, ':');) {
        if (::access(join_path(directory, name).c_str(), X_OK) == 0) return true;
    }
    return false;
}

}  // namespace tools::bench
