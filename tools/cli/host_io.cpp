#include "cli/host_io.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <stop_token>
#include <thread>

#include "base/error.hpp"
#include "cli/exit_code.hpp"
#include "cli/text.hpp"

extern char** environ;

namespace tools {

namespace {

constexpr long kGraceNs = 900'000'000;  // after the first signal: the promise is "within a second"

std::stop_source g_stop;                         // NOLINT: a process has one set of signals
std::atomic<bool> g_stop_takes_its_time{false};  // NOLINT
std::vector<int> g_ignored_here;                 // NOLINT: signals, since take_over_signals()

/// The terminal as it was before a passphrase was asked for, so that being killed does not leave it without echo.
struct SavedTerminal {
    std::mutex mutex;
    int fd = -1;
    termios settings{};

    void restore() {
        const std::lock_guard lock{mutex};
        if (fd >= 0) tcsetattr(fd, TCSAFLUSH, &settings);
        fd = -1;
    }
} g_terminal;  // NOLINT

/// A standard stream that is closed gives its number to the first file we open, which would then get our output.
/// Whoever closed it wants no output; reading is an error, as it was, not an empty input.
void hold_standard_streams() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        const int held = ::open("/dev/null", O_WRONLY);  // the lowest number that is free: this one
        if (held != fd) std::_Exit(static_cast<int>(ExitCode::fatal));
    }
}

bool is_ignored(int signal) {
    struct sigaction action{};
    return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// Whoever ignored one of them for us (nohup, a shell's background job) has decided.
sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        if (!is_ignored(signal)) sigaddset(&set, signal);
    }
    return set;
}

[[noreturn]] void end_now() {
    g_terminal.restore();
    constexpr std::string_view kText = "\npelago: interrupted\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText.data(), kText.size());
    std::_Exit(static_cast<int>(ExitCode::interrupted));
}

/// Whoever meets it, in whatever task of whichever layer: nothing that went on without its memory would tell the truth.
/// As safe at every point as kill -9 is.
[[noreturn]] void out_of_memory() {
    static std::atomic_flag told;
    while (told.test_and_set()) ::pause();  // another thread says it, and ends us
    g_terminal.restore();
    constexpr std::string_view kText =
        "pelago: cannot go on: out of memory (is there a limit, 'ulimit -v'?); run the command again with more: it "
        "goes "
        "on where it was\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText.data(), kText.size());
    std::_Exit(static_cast<int>(ExitCode::fatal));
}

void wait_for_signals(sigset_t set) {
    int signal = 0;
    while (sigwait(&set, &signal) != 0) {
    }
    g_stop.request_stop();
    if (g_stop_takes_its_time) {
        while (sigwait(&set, &signal) != 0) {
        }
    } else {
        const timespec grace{0, kGraceNs};
        while (sigtimedwait(&set, nullptr, &grace) < 0 && errno == EINTR) {
        }
    }
    end_now();
}

void take_over_signals() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    // A lost peer and a limit on file sizes are error codes; a lost reader of our output ends us below.
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
        if (is_ignored(signal)) continue;
        std::signal(signal, SIG_IGN);
        g_ignored_here.push_back(signal);
    }
    std::thread{wait_for_signals, set}.detach();
}

base::Error from_errno(std::string_view what) {
    const auto code = errno == EPIPE ? base::Errc::io_failed : base::from_errno(errno);  // a pipe of ours is no peer
    return {code, std::string{what} + ": " + std::strerror(errno)};
}

Environment read_environment() {
    Environment environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const auto equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        environment.variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) == 0) environment.host = name.data();
    environment.user_id = geteuid();
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(environment.user_id, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
        environment.user = found->pw_name;
        if (!environment.variable("HOME")) environment.variables["HOME"] = found->pw_dir;
    }
    environment.in_is_terminal = isatty(STDIN_FILENO) == 1;
    environment.out_is_terminal = isatty(STDOUT_FILENO) == 1;
    environment.err_is_terminal = isatty(STDERR_FILENO) == 1;
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) environment.columns = size.ws_col;
    environment.stop = g_stop.get_token();
    return environment;
}

class HostIo final : public Io {
  public:
    HostIo() : Io{read_environment()} {}

    void out(std::string_view text) override { write(STDOUT_FILENO, text); }
    void err(std::string_view text) override { write(STDERR_FILENO, text); }

    base::Result<void> finish() override {
        const std::lock_guard lock{mutex_};
        if (error_) return *error_;
        return base::ok();
    }

    base::Result<base::Bytes> read_input(std::size_t limit) override {
        base::Bytes all;
        std::array<std::uint8_t, 65536> buffer{};
        for (;;) {
            BASE_TRY(const auto got, read_when_ready(STDIN_FILENO, buffer, environment().stop, "standard input"));
            if (got == 0) return all;
            if (all.size() + got > limit) {
                return base::Error{base::Errc::bad_argument,
                                   "standard input is longer than " + plural(limit, "byte", "bytes")};
            }
            all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
        }
    }

    base::Result<std::string> ask_secret(std::string_view prompt) override {
        if (!environment().in_is_terminal || !environment().err_is_terminal) {
            return base::Error{base::Errc::denied, "there is no terminal to ask for it on"};
        }
        err(prompt);
        hide_typing();
        auto line = read_line();
        g_terminal.restore();
        err("\n");
        return line;
    }

  private:
    void write(int fd, std::string_view text) {
        const std::lock_guard lock{mutex_};
        while (!text.empty()) {
            const auto written = ::write(fd, text.data(), text.size());
            if (written >= 0) {
                text.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno == EPIPE && fd == STDOUT_FILENO && std::ranges::count(g_ignored_here, SIGPIPE) > 0) {
                // Whoever read our output has seen enough (`| head`): end as every Unix program does, without a word.
                std::signal(SIGPIPE, SIG_DFL);
                sigset_t pipe;
                sigemptyset(&pipe);
                sigaddset(&pipe, SIGPIPE);
                pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
                raise(SIGPIPE);
            } else if (errno == EAGAIN) {
                pollfd ready{fd, POLLOUT, 0};
                poll(&ready, 1, 1000);
            } else if (errno != EINTR) {
                if (!error_ && fd == STDOUT_FILENO) error_ = from_errno("cannot write to standard output");
                return;
            }
        }
    }

    static void hide_typing() {
        const std::lock_guard lock{g_terminal.mutex};
        if (tcgetattr(STDIN_FILENO, &g_terminal.settings) != 0) return;
        g_terminal.fd = STDIN_FILENO;
        termios quiet = g_terminal.settings;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }

    /// The terminal hands over whole lines; what came is looked at every 100 ms so that Ctrl-C is obeyed.
    base::Result<std::string> read_line() {
        std::string line;
        for (;;) {
            if (environment().stop.stop_requested()) return base::Errc::interrupted;
            pollfd ready{STDIN_FILENO, POLLIN, 0};
            if (poll(&ready, 1, 100) <= 0) continue;
            char byte = 0;
            const auto got = ::read(STDIN_FILENO, &byte, 1);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return from_errno("terminal");
            if (got == 0 || byte == '\n') return line;
            if (line.size() < 4096) line.push_back(byte);
        }
    }

    std::mutex mutex_;
    std::optional<base::Error> error_;
};

}  // namespace

std::optional<std::string> Environment::variable(std::string_view name) const {
    const auto found = variables.find(name);
    if (found == variables.end() || found->second.empty()) return std::nullopt;
    return found->second;
}

std::unique_ptr<Io> host_io() {
    hold_standard_streams();
    std::set_new_handler(out_of_memory);
    take_over_signals();
    return std::make_unique<HostIo>();
}

std::vector<int> signals_ignored_here() { return g_ignored_here; }

base::Result<std::size_t> read_when_ready(int fd, std::span<std::uint8_t> out, const std::stop_token& stop,
                                          const std::string& what) {
    for (;;) {
        if (stop.stop_requested()) return base::Errc::interrupted;
        pollfd ready{fd, POLLIN, 0};
        if (poll(&ready, 1, 100) == 0) continue;
        const auto got = ::read(fd, out.data(), out.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return from_errno(what);
        return static_cast<std::size_t>(got);
    }
}

void let_stop_take_its_time() { g_stop_takes_its_time = true; }

}  // namespace tools
