#include "bench/mount_bench.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.hpp"
#include "bench/statistics.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"

namespace tools::bench {

namespace {

using Steady = std::chrono::steady_clock;

constexpr auto* kWorkplace = "pelago-bench-mount";
constexpr std::size_t kSmall = 4096;
constexpr std::size_t kLarge = 1U << 20U;
constexpr unsigned kListed = 1000;

base::Error failed_on(const std::string& what, const std::string& path) {
    return {base::from_errno(errno), "cannot " + what + " " + path};
}

std::vector<char> noise(std::size_t size) {
    std::mt19937_64 random{size};
    std::vector<char> bytes(size);
    for (auto& byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

/// The operations on one file system. Each adds what it took to the figures of its kind.
class Contestant {
  public:
    Contestant(const MountBenchOptions& options, Caches caches, const Workplace& place, const std::stop_token& stop)
        : options_{options},
          caches_{caches},
          root_{place.path()},
          stop_{stop},
          small_{noise(kSmall)},
          large_{noise(kLarge)} {}

    using Values = std::vector<double>;

    base::Result<void> create(Values& values) {
        return each(values, "create", [this](const std::string& path) {
            const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
            if (fd < 0) return false;
            const bool wrote = ::write(fd, small_.data(), kSmall) == static_cast<ssize_t>(kSmall);
            return ::close(fd) == 0 && wrote;
        });
    }

    base::Result<void> read_warm(Values& values) {
        const auto read = [this](const std::string& path) {
            const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
            if (fd < 0) return false;
            const bool got = ::read(fd, small_.data(), kSmall) == static_cast<ssize_t>(kSmall);
            return ::close(fd) == 0 && got;
        };
        Values unused;
        BASE_CHECK(each(unused, "read", read));
        return each(values, "read", read);
    }

    base::Result<void> stat_cold(Values& values) {
        empty_caches(caches_, root_);
        return each(values, "stat", [](const std::string& path) {
            struct stat seen{};
            return ::lstat(path.c_str(), &seen) == 0;
        });
    }

    base::Result<void> rename(Values& values) {
        return each(values, "rename",
                    [](const std::string& path) { return ::rename(path.c_str(), (path + "-renamed").c_str()) == 0; });
    }

    base::Result<void> unlink(Values& values) {
        return each(values, "unlink",
                    [](const std::string& path) { return ::unlink((path + "-renamed").c_str()) == 0; });
    }

    base::Result<void> read_directory(Values& values) {
        const auto directory = join_path(root_, "listed");
        BASE_CHECK(fill(directory, kListed));
        for (unsigned i = 0; i < 20; ++i) {
            BASE_CHECK(timed(values, 1e6, "list", directory, [&] { return list(directory, false) == kListed; }));
        }
        return base::ok();
    }

    base::Result<void> fsync_small(Values& values) {
        const auto path = join_path(root_, "synced");
        const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0) return failed_on("make", path);
        base::Result<void> done = base::ok();
        for (unsigned i = 0; i < std::max(1U, options_.operations / 4) && done; ++i) {
            if (::pwrite(fd, small_.data(), kSmall, static_cast<off_t>(i * kSmall)) < 0)
                done = failed_on("write", path);
            if (done) done = timed(values, 1e6, "sync", path, [&] { return ::fsync(fd) == 0; });
        }
        ::close(fd);
        return done;
    }

    base::Result<void> write_large(Values& values) {
        const auto path = join_path(root_, "large");
        const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0) return failed_on("make", path);
        std::mt19937_64 random{options_.bytes};
        const auto done = timed(values, 0, "write", path, [&] {
            for (std::uint64_t at = 0; at < options_.bytes; at += kLarge) {
                const auto word = random();  // no two pieces are the same: nothing for a store to recognise
                std::copy_n(reinterpret_cast<const char*>(&word), sizeof word, large_.begin());
                for (std::size_t i = kSmall; i < kLarge; i += kSmall)
                    large_[i] = static_cast<char>(word >> (i / kSmall % 8));
                if (::write(fd, large_.data(), kLarge) != static_cast<ssize_t>(kLarge) || stop_.stop_requested())
                    return false;
            }
            return ::fsync(fd) == 0;
        });
        ::close(fd);
        return done;
    }

    base::Result<void> read_large(Values& values) {
        const auto path = join_path(root_, "large");
        empty_caches(caches_, root_);
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return failed_on("open", path);
        const auto done = timed(values, 0, "read", path, [&] {
            std::uint64_t bytes = 0;
            ssize_t got = 0;
            while ((got = ::read(fd, large_.data(), kLarge)) > 0 && !stop_.stop_requested())
                bytes += static_cast<std::uint64_t>(got);
            return bytes >= options_.bytes;
        });
        ::close(fd);
        return done;
    }

    base::Result<void> list_many(Values& values) {
        const auto directory = join_path(root_, "many");
        BASE_CHECK(fill(directory, options_.entries));
        empty_caches(caches_, root_);
        return timed(values, 1, "list", directory, [&] { return list(directory, true) == options_.entries; });
    }

  private:
    /// `scale` times the seconds; with 0 the megabytes of the large file a second.
    template <class Work>
    base::Result<void> timed(Values& values, double scale, const char* what, const std::string& path, Work&& work) {
        const auto begin = Steady::now();
        if (!work()) return stop_.stop_requested() ? base::Error{base::Errc::interrupted} : failed_on(what, path);
        const auto seconds = std::chrono::duration<double>(Steady::now() - begin).count();
        values.push_back(scale > 0 ? scale * seconds : static_cast<double>(options_.bytes) / 1e6 / seconds);
        return base::ok();
    }

    template <class Operation>
    base::Result<void> each(Values& values, const char* what, Operation&& operation) {
        for (unsigned i = 0; i < options_.operations; ++i) {
            const auto path = join_path(root_, fmt::format("file-{:06}", i));
            BASE_CHECK(timed(values, 1e6, what, path, [&] { return operation(path); }));
            if (stop_.stop_requested()) return base::Errc::interrupted;
        }
        return base::ok();
    }

    /// Makes a directory of so many empty files, if it is not there already.
    base::Result<void> fill(const std::string& directory, unsigned count) const {
        if (::mkdir(directory.c_str(), 0755) != 0) return errno == EEXIST ? base::ok() : failed_on("make", directory);
        for (unsigned i = 0; i < count; ++i) {
            const auto path = join_path(directory, fmt::format("entry-{:07}", i));
            const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
            if (fd < 0) return failed_on("make", path);
            ::close(fd);
            if (stop_.stop_requested()) return base::Errc::interrupted;
        }
        return base::ok();
    }

    /// How many names there are but "." and ".."; 0 if something failed.
    static unsigned list(const std::string& directory, bool attributes) {
        const std::unique_ptr<DIR, int (*)(DIR*)> open{::opendir(directory.c_str()), ::closedir};
        unsigned count = 0;
        while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {
            if (entry->d_name[0] == '.') continue;
            struct stat seen{};
            if (attributes && ::fstatat(::dirfd(open.get()), entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) != 0) return 0;
            ++count;
        }
        return count;
    }

    const MountBenchOptions& options_;
    Caches caches_;
    std::string root_;
    const std::stop_token& stop_;
    std::vector<char> small_;
    std::vector<char> large_;
};

struct Operation {
    std::string name;
    const char* unit;
    base::Result<void> (Contestant::*run)(Contestant::Values&);
};

std::vector<Operation> operations_of(const MountBenchOptions& options) {
    return {{"create, write 4 KiB, close", "us", &Contestant::create},
            {"open, read 4 KiB, close, warm", "us", &Contestant::read_warm},
            {"stat, cold", "us", &Contestant::stat_cold},
            {"rename", "us", &Contestant::rename},
            {"unlink", "us", &Contestant::unlink},
            {"readdir of 1,000", "us", &Contestant::read_directory},
            {"fsync after 4 KiB", "us", &Contestant::fsync_small},
            {fmt::format("write {} and fsync", human_size(options.bytes)), "MB/s", &Contestant::write_large},
            {fmt::format("read {}, cold", human_size(options.bytes)), "MB/s", &Contestant::read_large},
            {fmt::format("ls -l of {}, cold", human_count(options.entries)), "s", &Contestant::list_many}};
}

}  // namespace

base::Result<MountBenchResult> measure_mounts(const MountBenchOptions& options, const std::stop_token& stop,
                                              const std::function<void(const std::string&)>& progress) {
    MountBenchResult result;
    result.caches = options.warm ? Caches::warm : best_caches();
    std::vector<std::unique_ptr<Workplace>> places;
    std::vector<std::unique_ptr<Contestant>> contestants;
    for (const auto& directory : options.directories) {
        BASE_TRY(auto place, Workplace::make(directory, kWorkplace));
        result.kinds.push_back(place->kind());
        contestants.push_back(std::make_unique<Contestant>(options, result.caches, *place, stop));
        places.push_back(std::move(place));
    }
    const auto operations = operations_of(options);
    for (const auto& operation : operations) {
        result.operations.push_back({.name = operation.name, .unit = operation.unit, .values = {}});
        result.operations.back().values.resize(places.size());
    }
    for (unsigned round = 0; round < options.rounds; ++round) {
        for (std::size_t i = 0; i < operations.size(); ++i) {
            progress(fmt::format("{}, round {} of {}", operations[i].name, round + 1, options.rounds));
            for (std::size_t turn = 0; turn < places.size(); ++turn) {
                const auto which = (round + turn) % places.size();
                BASE_CHECK((*contestants[which].*operations[i].run)(result.operations[i].values[which]));
            }
        }
    }
    return result;
}

std::string describe(const MountBenchOptions& options, const MountBenchResult& result) {
    auto text = fmt::format("{} in turns, {} operations each; where it says cold: {}\n\n",
                            plural(options.rounds, "round", "rounds"), options.operations, describe(result.caches));
    std::vector<std::string> header{"median (99 of 100 within)"};
    std::vector<Table::Align> align{Table::Align::left};
    for (std::size_t i = 0; i < result.kinds.size(); ++i) {
        header.push_back(fmt::format("{} ({})", options.directories[i], result.kinds[i]));
        align.push_back(Table::Align::right);
        if (i > 0) {
            header.emplace_back("first/this");
            align.push_back(Table::Align::right);
        }
    }
    Table table{header, align};
    for (const auto& operation : result.operations) {
        const bool rate = std::string_view{operation.unit} == "MB/s";
        std::vector<std::string> row{operation.name};
        const auto first = quantile(operation.values.front(), 0.5);
        for (std::size_t i = 0; i < operation.values.size(); ++i) {
            const auto middle = quantile(operation.values[i], 0.5);
            const auto digits = middle < 10 ? 3 : middle < 100 ? 1 : 0;
            row.push_back(fmt::format("{:.{}f} ({:.{}f}) {}", middle, digits,
                                      quantile(operation.values[i], rate ? 0.01 : 0.99), digits, operation.unit));
            if (i > 0) row.push_back(middle > 0 ? fmt::format("{:.2f}", first / middle) : "-");
        }
        table.add(std::move(row));
    }
    return text + table.str();
}

nlohmann::json to_json(const MountBenchOptions& options, const MountBenchResult& result) {
    constexpr std::array kCaches{"dropped", "advised", "warm"};
    nlohmann::json document{{"rounds", options.rounds},
                            {"operations_a_round", options.operations},
                            {"bytes", options.bytes},
                            {"entries", options.entries},
                            {"caches", kCaches.at(static_cast<std::size_t>(result.caches))}};
    for (std::size_t i = 0; i < result.kinds.size(); ++i) {
        nlohmann::json one{{"directory", options.directories[i]}, {"file_system", result.kinds[i]}};
        for (const auto& operation : result.operations) {
            const auto& values = operation.values[i];
            one["operations"].push_back({{"operation", operation.name},
                                         {"unit", operation.unit},
                                         {"count", values.size()},
                                         {"p50", quantile(values, 0.5)},
                                         {"p99", quantile(values, 0.99)},
                                         {"p01", quantile(values, 0.01)}});
        }
        document["systems"].push_back(std::move(one));
    }
    return document;
}

}  // namespace tools::bench
