#include "bench/nfs_bench.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>

#include "base/error.hpp"
#include "bench/source_tree.hpp"
#include "cli/files.hpp"

namespace tools::bench {

namespace {

using Steady = std::chrono::steady_clock;

constexpr auto* kWorkplace = "pelago-bench-nfs";
constexpr std::size_t kBufferBytes = 64U << 10U;

double seconds_since(Steady::time_point from) { return std::chrono::duration<double>(Steady::now() - from).count(); }

base::Error failed_on(const std::string& what, const std::string& path) {
    return {base::from_errno(errno), "cannot " + what + " " + path};
}

/// Closes itself.
class File {
  public:
    File(const std::string& path, int flags, mode_t mode = 0) : fd_{::open(path.c_str(), flags | O_CLOEXEC, mode)} {}
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    [[nodiscard]] int fd() const { return fd_; }
    /// What close() says: a file system may tell of a failed write only here.
    [[nodiscard]] bool close() {
        const int failed = ::close(fd_);
        fd_ = -1;
        return failed == 0;
    }

  private:
    int fd_;
};

/// One round on one file system.
class Round {
  public:
    Round(const NfsBenchOptions& options, const SourceTree& tree, const Workplace& place, const std::stop_token& stop)
        : options_{options},
          tree_{tree},
          root_{join_path(place.path(), "tree")},
          log_{join_path(place.path(), "compile.log")},
          stop_{stop},
          buffer_(kBufferBytes) {}

    base::Result<void> phase(std::size_t number) {
        switch (number) {
            case 0: return make_directories();
            case 1: return copy();
            case 2: return stat_all(root_);
            case 3: return read_all();
            default: return compile();
        }
    }

  private:
    [[nodiscard]] base::Result<void> check_stop() const {
        if (stop_.stop_requested()) return base::Errc::interrupted;
        return base::ok();
    }

    base::Result<void> make_directories() {
        if (::mkdir(root_.c_str(), 0755) != 0) return failed_on("make", root_);
        for (const auto& name : tree_.directories) {
            const auto path = join_path(root_, name);
            if (::mkdir(path.c_str(), 0755) != 0) return failed_on("make", path);
        }
        return check_stop();
    }

    base::Result<void> copy() {
        for (const auto& name : tree_.files) {
            BASE_CHECK(check_stop());
            BASE_CHECK(copy_file(join_path(tree_.root, name), join_path(root_, name)));
        }
        return base::ok();
    }

    base::Result<void> copy_file(const std::string& source, const std::string& target) {
        const File from{source, O_RDONLY};
        struct stat seen{};
        if (!from.is_open() || ::fstat(from.fd(), &seen) != 0) return failed_on("read", source);
        File to{target, O_WRONLY | O_CREAT | O_EXCL, static_cast<mode_t>(seen.st_mode & 0777)};
        if (!to.is_open()) return failed_on("make", target);
        for (;;) {
            const auto got = ::read(from.fd(), buffer_.data(), buffer_.size());
            if (got < 0) return failed_on("read", source);
            if (got == 0) break;
            for (ssize_t at = 0; at < got;) {
                const auto wrote = ::write(to.fd(), buffer_.data() + at, static_cast<std::size_t>(got - at));
                if (wrote < 0) return failed_on("write", target);
                at += wrote;
            }
        }
        if (!to.close()) return failed_on("write", target);
        return base::ok();
    }

    /// As a person's `find -ls` goes: from directory to directory.
    base::Result<void> stat_all(const std::string& directory) {
        BASE_CHECK(check_stop());
        const std::unique_ptr<DIR, int (*)(DIR*)> open{::opendir(directory.c_str()), ::closedir};
        if (!open) return failed_on("list", directory);
        std::vector<std::string> below;
        while (const dirent* entry = ::readdir(open.get())) {
            const std::string name = entry->d_name;
            if (name == "." || name == "..") continue;
            const auto path = join_path(directory, name);
            struct stat seen{};
            if (::lstat(path.c_str(), &seen) != 0) return failed_on("stat", path);
            if (S_ISDIR(seen.st_mode)) below.push_back(path);
        }
        for (const auto& path : below) BASE_CHECK(stat_all(path));
        return base::ok();
    }

    base::Result<void> read_all() {
        std::uint64_t bytes = 0;
        for (const auto& name : tree_.files) {
            BASE_CHECK(check_stop());
            const auto path = join_path(root_, name);
            const File file{path, O_RDONLY};
            if (!file.is_open()) return failed_on("open", path);
            ssize_t got = 0;
            while ((got = ::read(file.fd(), buffer_.data(), buffer_.size())) > 0)
                bytes += static_cast<std::uint64_t>(got);
            if (got < 0) return failed_on("read", path);
        }
        if (bytes != tree_.bytes) {
            return base::Error{base::Errc::corrupt, fmt::format("{} has {} bytes of {}", root_, bytes, tree_.bytes)};
        }
        return base::ok();
    }

    base::Result<void> compile() {
        BASE_TRY(const auto code, run_in(root_, options_.compile, log_, stop_));
        if (code == 0) return base::ok();
        const auto log = read_small_file(log_, 1U << 20U);
        std::string text = log && *log ? std::string{(*log)->begin(), (*log)->end()} : "";
        text.erase(text.find_last_not_of('\n') + 1);
        return base::Error{base::Errc::io_failed, fmt::format("'{}' in {} ended with {}: {}", options_.compile, root_,
                                                              code, text.substr(text.rfind('\n') + 1))};
    }

    const NfsBenchOptions& options_;
    const SourceTree& tree_;
    std::string root_;
    std::string log_;
    const std::stop_token& stop_;
    std::vector<char> buffer_;
};

/// Why the tree cannot be compiled here; empty if it can, or if the user says how.
std::string why_no_compile(const NfsBenchOptions& options) {
    if (!options.compile.starts_with("make ")) return {};
    if (!have_program("make")) return "there is no 'make'";
    if (options.tree.empty() && !have_program("cc")) return "there is no C compiler 'cc'";
    if (!options.tree.empty() && ::access(join_path(options.tree, "Makefile").c_str(), R_OK) != 0) {
        return options.tree + " has no Makefile; say how with --compile";
    }
    return {};
}

}  // namespace

base::Result<NfsBenchResult> measure_nfs(const NfsBenchOptions& options, const std::stop_token& stop,
                                         const std::function<void(const std::string&)>& progress) {
    NfsBenchResult result;
    result.caches = options.warm ? Caches::warm : best_caches();
    result.no_compile = why_no_compile(options);
    std::unique_ptr<Workplace> made_up;
    auto root = options.tree;
    if (root.empty()) {
        const char* temporary = std::getenv("TMPDIR");
        BASE_TRY(made_up, Workplace::make(temporary == nullptr ? "/tmp" : temporary,
                                          fmt::format("pelago-bench-tree-{}", ::getpid())));
        BASE_CHECK(write_small_tree(made_up->path(), options.seed));
        root = made_up->path();
    }
    BASE_TRY(const auto tree, read_source_tree(root));
    result.files = tree.files.size();
    result.subdirectories = tree.directories.size();
    result.bytes = tree.bytes;

    std::vector<std::unique_ptr<Workplace>> places;
    for (const auto& directory : options.directories) {
        BASE_TRY(auto place, Workplace::make(directory, kWorkplace));
        result.systems.push_back({.directory = directory, .kind = place->kind(), .phases = {}});
        places.push_back(std::move(place));
    }
    const std::size_t phases = result.no_compile.empty() ? kPhases.size() : kCompile;
    BASE_CHECK(in_turns(options.rounds, places.size(), [&](unsigned number, std::size_t which) -> base::Result<void> {
        auto& place = *places[which];
        Round round{options, tree, place, stop};
        for (std::size_t phase = 0; phase < phases; ++phase) {
            progress(fmt::format("{} on {}, round {} of {}", kPhases.at(phase), result.systems[which].directory,
                                 number + 1, options.rounds));
            if (phase >= 2) empty_caches(result.caches, place.path());
            auto& figures = result.systems[which].phases.at(phase);
            const auto cpu = cpu_seconds_of_pelago();
            const auto begin = Steady::now();
            BASE_CHECK(round.phase(phase));
            figures.seconds.push_back(seconds_since(begin));
            const auto end = Steady::now();
            BASE_CHECK(place.make_durable());
            figures.durable_seconds.push_back(seconds_since(end));
            figures.cpu_seconds.push_back(cpu_seconds_between(cpu, cpu_seconds_of_pelago()));
        }
        BASE_CHECK(place.empty());
        return place.make_durable();
    }));
    return result;
}

Spread SystemFigures::total(std::vector<double> PhaseFigures::* what) const {
    std::vector<double> sums((phases[0].*what).size());
    for (const auto& phase : phases) {
        for (std::size_t i = 0; i < (phase.*what).size(); ++i) sums[i] += (phase.*what)[i];
    }
    return spread_of(std::move(sums));
}

}  // namespace tools::bench
