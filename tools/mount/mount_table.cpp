#include "mount/mount_table.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "cli/files.hpp"

extern char** environ;

namespace tools {

namespace {

/// "\040" stands for a space.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '\\' && i + 3 < text.size();
        unsigned code = 0;
        const auto* digits = text.data() + i + 1;
        if (escape && std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3) {
            out += static_cast<char>(code);
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::vector<MountedAt> mount_table() {
    std::ifstream in{"/proc/self/mountinfo"};
    std::stringstream text;
    text << in.rdbuf();
    return parse_mount_table(text.str());
}

base::Error from_errno(int code, const std::string& what) {
    return {base::from_errno(code), what + ": " + std::strerror(code)};
}

/// Nullopt if it could not be run at all.
std::optional<int> exit_of(std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    const int failed = ::posix_spawnp(&pid, pointers[0], &quiet, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (failed != 0) return std::nullopt;
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

std::vector<MountedAt> parse_mount_table(std::string_view text) {
    std::vector<MountedAt> table;
    std::istringstream lines{std::string{text}};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words{line};
        std::vector<std::string> before;
        std::string word;
        while (words >> word && word != "-") before.push_back(word);
        MountedAt entry;
        constexpr std::size_t kDirectory = 4;
        if (before.size() <= kDirectory || !(words >> entry.type >> entry.source)) continue;
        entry.directory = unescaped(before[kDirectory]);
        entry.source = unescaped(entry.source);
        table.push_back(std::move(entry));
    }
    return table;
}

std::optional<MountedAt> mounted_at(const std::string& directory) {
    const auto table = mount_table();
    const auto found = std::find_if(table.rbegin(), table.rend(),
                                    [&](const MountedAt& entry) { return entry.directory == directory; });
    if (found == table.rend()) return std::nullopt;
    return *found;
}

std::optional<MountedAt> mount_of(const std::string& path) {
    std::optional<MountedAt> innermost;
    for (auto& entry : mount_table()) {
        const bool holds = path == entry.directory || entry.directory == "/" || path.starts_with(entry.directory + "/");
        if (holds && (!innermost || entry.directory.size() >= innermost->directory.size()))
            innermost = std::move(entry);
    }
    return innermost;
}

base::Result<std::string> real_directory(const std::string& path) {
    std::string wanted = path;
    while (wanted.size() > 1 && wanted.ends_with('/')) wanted.pop_back();
    std::array<char, PATH_MAX> buffer{};
    if (::realpath(wanted.c_str(), buffer.data()) != nullptr) return std::string{buffer.data()};
    if (errno != ENOTCONN) return from_errno(errno, "cannot use " + path);
    const auto slash = wanted.rfind('/');
    const std::string above = slash == std::string::npos ? "." : slash == 0 ? "/" : wanted.substr(0, slash);
    if (::realpath(above.c_str(), buffer.data()) == nullptr) return from_errno(errno, "cannot use " + above);
    return join_path(buffer.data(), wanted.substr(slash == std::string::npos ? 0 : slash + 1));
}

bool is_dead(const std::string& directory) {
    struct statfs found{};  // stat may be answered from the kernel's memory of it
    return ::statfs(directory.c_str(), &found) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

std::optional<pid_t> server_of(const std::string& directory) {
    std::array<char, 32> text{};
    const auto size = ::getxattr(directory.c_str(), "user.pelago.pid", text.data(), text.size());
    pid_t pid = 0;
    if (size <= 0 || std::from_chars(text.data(), text.data() + size, pid).ec != std::errc{}) return std::nullopt;
    return pid;
}

base::Result<void> unmount_directory(const std::string& directory, bool lazy) {
    if (::umount2(directory.c_str(), lazy ? MNT_DETACH : 0) == 0) return base::ok();
    if (errno == EBUSY)
        return base::Error{base::Errc::busy, "cannot unmount " + directory + ": files of it are in use"};
    if (errno != EPERM) return from_errno(errno, "cannot unmount " + directory);
    std::vector<std::string> words{"fusermount3", "-u", "-q"};
    if (lazy) words.emplace_back("-z");
    words.push_back(directory);
    const auto exit = exit_of(std::move(words));
    if (!exit) return base::Error{base::Errc::denied, "cannot unmount " + directory + ": fusermount3 is not installed"};
    if (*exit == 0) return base::ok();
    if (!mounted_at(directory)) return base::ok();
    return base::Error{base::Errc::busy,
                       "cannot unmount " + directory + ": files of it are in use, or it is another's"};
}

}  // namespace tools
