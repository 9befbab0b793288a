#include "cli/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/error.hpp"
#include "cli/host_io.hpp"

extern char** environ;

namespace tools {

namespace {

/// A child must not inherit that we wait for signals elsewhere, or ignore some: Ctrl-C has to end it too.
void set_default_signals(posix_spawnattr_t& attributes) {
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (const int signal : signals_ignored_here()) sigaddset(&defaults, signal);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

base::Result<pid_t> spawn(std::vector<std::string> command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    set_default_signals(attributes);
    std::vector<char*> argv;
    for (auto& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    const int error = posix_spawnp(&child, argv.front(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return base::Error{base::from_errno(error), "cannot run " + command.front()};
    return child;
}

/// Waits for it. Nothing if it was successful, else how it ended.
std::string ending_of(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return WIFEXITED(status) ? "failed with exit code " + std::to_string(WEXITSTATUS(status))
                             : "was killed by signal " + std::to_string(WTERMSIG(status));
}

}  // namespace

base::Result<std::string> output_of_command(const std::string& command, std::size_t limit) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return base::Error{base::from_errno(errno), "cannot make a pipe"};
    const auto child = spawn({"/bin/sh", "-c", command}, pipe[1]);
    ::close(pipe[1]);
    std::string output;
    std::array<char, 4096> buffer{};
    while (child && output.size() <= limit) {
        const auto got = ::read(pipe[0], buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        output.append(buffer.data(), static_cast<std::size_t>(got));
    }
    ::close(pipe[0]);
    if (!child) return child.error();
    const auto ending = ending_of(*child);
    if (output.size() > limit) {
        return base::Error{base::Errc::bad_argument, "'" + command + "' prints more than a passphrase"};
    }
    if (!ending.empty()) return base::Error{base::Errc::bad_argument, "'" + command + "' " + ending};
    return output;
}

base::Result<std::unique_ptr<ChildOutput>> ChildOutput::start(std::vector<std::string> command, std::stop_token stop) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return base::Error{base::from_errno(errno), "cannot make a pipe"};
    const auto child = spawn(command, pipe[1]);
    ::close(pipe[1]);
    if (child) return std::unique_ptr<ChildOutput>{new ChildOutput{command.front(), *child, pipe[0], std::move(stop)}};
    ::close(pipe[0]);
    return child.error();
}

ChildOutput::~ChildOutput() {
    ::close(pipe_);
    if (ended_) return;
    ::kill(child_, SIGTERM);
    std::ignore = ending_of(child_);
}

base::Result<std::size_t> ChildOutput::read(std::span<std::uint8_t> out) {
    if (ended_) return 0;
    BASE_TRY(const auto got, read_when_ready(pipe_, out, stop_, "what " + name_ + " writes"));
    if (got > 0) return got;
    ended_ = true;
    const auto ending = ending_of(child_);
    if (!ending.empty()) return base::Error{base::Errc::io_failed, "'" + name_ + "' " + ending};
    return 0;
}

}  // namespace tools
