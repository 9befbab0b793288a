#include "bench/block_bench.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <random>

#include "base/env.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/host/host_disk.hpp"
#include "base/task_group.hpp"
#include "past/segment_store.hpp"

namespace tools::bench {
namespace {

using base::Result;
using base::Task;
using Steady = std::chrono::steady_clock;
namespace fs = std::filesystem;

double seconds_since(Steady::time_point from) { return std::chrono::duration<double>(Steady::now() - from).count(); }

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

Latency latency_of(std::vector<double> seconds) {
    if (seconds.empty()) return {};
    std::sort(seconds.begin(), seconds.end());
    const auto at = [&](double share) {
        return 1000 * seconds[std::min(seconds.size() - 1,
                                       static_cast<std::size_t>(share * static_cast<double>(seconds.size())))];
    };
    return {at(0.5), at(0.99), 1000 * seconds.back()};
}

base::Error system_error(const std::string& what) { return {base::from_errno(errno), what}; }

/// A descriptor that closes itself; the baselines use the system's calls directly.
struct Descriptor {
    explicit Descriptor(int number) : fd{number} {}
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int fd;
};

/// Incompressible blocks, made before the clock starts; ids are theirs.
std::vector<past::Block> make_blocks(std::uint64_t seed, std::size_t count, std::uint64_t size) {
    std::mt19937_64 random{seed};
    std::vector<past::Block> blocks(count);
    for (auto& block : blocks) {
        base::Bytes bytes(size);
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            const auto word = random();
            std::copy_n(reinterpret_cast<const std::uint8_t*>(&word), std::min<std::size_t>(8, bytes.size() - i),
                        bytes.begin() + static_cast<std::ptrdiff_t>(i));
        }
        block.id = base::sha256(bytes);
        block.bytes = base::SharedBytes{std::move(bytes)};
    }
    return blocks;
}

Result<void> write_fully(int fd, std::vector<iovec> parts, std::uint64_t offset, const std::string& path) {
    std::size_t at = 0;
    while (at < parts.size()) {
        const auto wrote = ::pwritev(fd, &parts[at], static_cast<int>(std::min<std::size_t>(parts.size() - at, 1024)),
                                     static_cast<off_t>(offset));
        if (wrote < 0) return system_error(path);
        offset += static_cast<std::uint64_t>(wrote);
        auto left = static_cast<std::size_t>(wrote);
        while (at < parts.size() && left >= parts[at].iov_len) left -= parts[at++].iov_len;
        if (at < parts.size()) {
            parts[at].iov_base = static_cast<char*>(parts[at].iov_base) + left;
            parts[at].iov_len -= left;
        }
    }
    return base::ok();
}

iovec part_of(base::ByteView bytes) { return {const_cast<std::uint8_t*>(bytes.data()), bytes.size()}; }

/// What one round of puts took.
struct PutRound {
    double seconds = 0;
    std::vector<double> commits;
};

Result<PutRound> put_log(const std::string& path, const std::vector<past::Block>& blocks, unsigned batch) {
    const Descriptor file{::open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600)};
    if (file.fd < 0) return system_error(path);
    PutRound round;
    std::uint64_t offset = 0;
    const auto begin = Steady::now();
    for (std::size_t i = 0; i < blocks.size(); i += batch) {
        const auto commit = Steady::now();
        std::vector<iovec> parts;
        std::uint64_t bytes = 0;
        for (std::size_t j = i; j < std::min(blocks.size(), i + batch); ++j) {
            parts.push_back(part_of(blocks[j].bytes.view()));
            bytes += blocks[j].bytes.size();
        }
        BASE_CHECK(write_fully(file.fd, std::move(parts), offset, path));
        if (::fdatasync(file.fd) != 0) return system_error(path);
        offset += bytes;
        round.commits.push_back(seconds_since(commit));
    }
    round.seconds = seconds_since(begin);
    return round;
}

Result<PutRound> put_files(const std::string& directory, const std::vector<past::Block>& blocks, unsigned batch) {
    std::error_code ignored;
    fs::create_directory(directory, ignored);
    const Descriptor folder{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (folder.fd < 0) return system_error(directory);
    PutRound round;
    const auto begin = Steady::now();
    for (std::size_t i = 0; i < blocks.size(); i += batch) {
        const auto commit = Steady::now();
        for (std::size_t j = i; j < std::min(blocks.size(), i + batch); ++j) {
            const auto path = directory + "/" + blocks[j].id.hex();
            const Descriptor file{::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)};
            if (file.fd < 0) return system_error(path);
            BASE_CHECK(write_fully(file.fd, {part_of(blocks[j].bytes.view())}, 0, path));
            if (::fdatasync(file.fd) != 0) return system_error(path);
        }
        if (::fsync(folder.fd) != 0) return system_error(directory);
        round.commits.push_back(seconds_since(commit));
    }
    round.seconds = seconds_since(begin);
    return round;
}

/// Everything under `directory` out of the page cache.
void drop_cache(const std::string& directory) {
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(directory, ignored)) {
        if (!entry.is_regular_file(ignored)) continue;
        const Descriptor file{::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC)};
        if (file.fd < 0) continue;
        (void)::fdatasync(file.fd);
        (void)::posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED);
    }
}

/// The store does not talk to anybody.
class NoTransport final : public base::Transport {
  public:
    [[nodiscard]] const base::Address& self() const override { return self_; }
    Task<Result<base::Message>> request(base::Address, base::Message, base::TimePoint) override {
        co_return base::Errc::unreachable;
    }
    void notify(const base::Address&, base::Message) override {}
    void serve(base::Service, RequestHandler, NotifyHandler) override {}

  private:
    base::Address self_;
};

using Store = std::unique_ptr<past::SegmentStore>;

struct Bench {
    base::host::HostRuntime& runtime;
    const BlockBenchOptions& options;
    const std::function<void(const std::string&)>& progress;
    std::string root;
    std::unique_ptr<base::Disk> disk;
    NoTransport transport;

    base::NodeEnv env() {
        return {runtime.executor(), runtime.clock(), runtime.rng(), transport, *disk, runtime.workers(), runtime.log()};
    }
    static base::Guid placement_group() { return base::sha256(base::as_bytes("bench")); }
    static past::Tag tag() { return {base::sha256(base::as_bytes("volume")), 1}; }

    Result<Store> open(const std::string& name) {
        past::SegmentStore::Config config;
        config.directory = name;
        config.reserve_bytes = 0;
        return runtime.run(past::SegmentStore::open(env(), config));
    }

    // --- puts ------------------------------------------------------------------------------------------------------

    static Task<void> put_some(past::SegmentStore& store, const std::vector<past::Block>& blocks, unsigned batch,
                               std::size_t& next, PutRound& round, Result<void>& failure) {
        while (next < blocks.size() && failure) {
            const auto from = next;
            next = std::min(blocks.size(), next + batch);
            std::vector<past::Block> some(blocks.begin() + static_cast<std::ptrdiff_t>(from),
                                          blocks.begin() + static_cast<std::ptrdiff_t>(next));
            const auto commit = Steady::now();
            const auto done = co_await store.put(placement_group(), tag(), std::move(some));
            if (!done) failure = done;
            round.commits.push_back(seconds_since(commit));
        }
    }

    static Task<Result<PutRound>> put_store(base::Executor executor, past::SegmentStore& store,
                                            const std::vector<past::Block>& blocks, unsigned batch, unsigned writers) {
        PutRound round;
        Result<void> failure = base::ok();
        std::size_t next = 0;
        const auto begin = Steady::now();
        base::TaskGroup group{executor};
        for (unsigned i = 0; i < writers; ++i) group.spawn(put_some(store, blocks, batch, next, round, failure));
        co_await group.join();
        round.seconds = seconds_since(begin);
        if (!failure) co_return failure.error();
        co_return round;
    }

    Result<PutRound> put_round(const std::string& name, const std::vector<past::Block>& blocks) {
        if (name == "append log") {
            auto round = put_log(root + "/log", blocks, options.batch);
            fs::remove(root + "/log");
            return round;
        }
        if (name == "file per block") {
            auto round = put_files(root + "/files", blocks, options.batch);
            fs::remove_all(root + "/files");
            return round;
        }
        BASE_TRY(auto store, open("store"));
        auto round = runtime.run(put_store(runtime.executor(), *store, blocks, options.batch, options.writers));
        runtime.run(store->close());
        return round;
    }

    Result<void> puts(BlockBenchResult& out) {
        std::map<std::string, std::vector<PutRound>> rounds;
        const auto count = std::size_t{options.batches} * options.batch;
        for (unsigned i = 0; i < options.rounds; ++i) {
            progress(fmt::format("durable puts, round {} of {}", i + 1, options.rounds));
            const auto blocks = make_blocks(i + 1, count, options.block_bytes);
            // Whoever goes first may meet a disk that is busy with something else: not always the same one.
            std::vector<std::string> order{"append log", "pelago"};
            if (options.files) order.emplace_back("file per block");
            std::rotate(order.begin(), order.begin() + i % static_cast<unsigned>(order.size()), order.end());
            for (const auto& name : order) {
                BASE_TRY(auto round, put_round(name, blocks));
                rounds[name].push_back(std::move(round));
            }
            if (i + 1 < options.rounds) fs::remove_all(root + "/store");
        }
        for (const auto* name : {"append log", "pelago", "file per block"}) {
            if (!rounds.contains(name)) continue;
            BlockBenchRow row;
            row.engine = name;
            std::vector<double> speeds, commits;
            for (const auto& round : rounds[name]) {
                speeds.push_back(static_cast<double>(count) / round.seconds);
                commits.insert(commits.end(), round.commits.begin(), round.commits.end());
            }
            row.blocks_per_s = median(speeds);
            row.mb_per_s = row.blocks_per_s * static_cast<double>(options.block_bytes) / 1e6;
            row.commit = latency_of(commits);
            out.puts.push_back(row);
        }
        out.put_ratio = out.puts[1].mb_per_s / out.puts[0].mb_per_s;
        return base::ok();
    }

    // --- gets ------------------------------------------------------------------------------------------------------

    static Task<void> get_some(past::SegmentStore& store, const std::vector<base::Guid>& ids, std::size_t& next,
                               std::vector<double>& times, Result<void>& failure) {
        while (next < ids.size() && failure) {
            const auto id = ids[next++];
            const auto begin = Steady::now();
            const auto got = co_await store.get(id);
            times.push_back(seconds_since(begin));
            if (!got) failure = got.error();
        }
    }

    static Task<Result<std::vector<double>>> get_all(base::Executor executor, past::SegmentStore& store,
                                                     const std::vector<base::Guid>& ids, unsigned readers) {
        std::vector<double> times;
        Result<void> failure = base::ok();
        std::size_t next = 0;
        base::TaskGroup group{executor};
        for (unsigned i = 0; i < readers; ++i) group.spawn(get_some(store, ids, next, times, failure));
        co_await group.join();
        if (!failure) co_return failure.error();
        co_return times;
    }

    /// The same blocks from one plain file, the id checked: what a get cannot be faster than.
    Result<std::vector<double>> read_plain(const std::string& path, const std::vector<std::size_t>& order,
                                           const std::vector<past::Block>& blocks) const {
        const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        if (file.fd < 0) return system_error(path);
        std::vector<double> times;
        for (const auto i : order) {
            const auto begin = Steady::now();
            base::Bytes bytes(options.block_bytes);
            const auto got = ::pread(file.fd, bytes.data(), bytes.size(), static_cast<off_t>(i * options.block_bytes));
            if (got != static_cast<ssize_t>(bytes.size()) || base::sha256(bytes) != blocks[i].id)
                return system_error(path);
            times.push_back(seconds_since(begin));
        }
        return times;
    }

    Result<void> gets(BlockBenchResult& out) {
        const auto count = std::size_t{options.batches} * options.batch;
        const auto blocks = make_blocks(options.rounds, count, options.block_bytes);  // those of the last round
        BASE_CHECK(put_log(root + "/log", blocks, options.batch));
        BASE_TRY(auto store, open("store"));
        struct Times {
            std::vector<double> cold, cold_speed, warm_speed, parallel_speed;
        } plain, ours;
        const auto speed = [](const std::vector<double>& times) {
            double total = 0;
            for (const auto time : times) total += time;
            return static_cast<double>(times.size()) / total;
        };
        for (unsigned round = 0; round < options.rounds; ++round) {
            progress(fmt::format("gets, round {} of {}", round + 1, options.rounds));
            std::mt19937_64 random{round};
            std::vector<std::size_t> order(count);
            for (std::size_t i = 0; i < count; ++i) order[i] = i;
            std::shuffle(order.begin(), order.end(), random);
            order.resize(std::min<std::size_t>(count, options.gets));
            std::vector<base::Guid> ids;
            for (const auto i : order) ids.push_back(blocks[i].id);

            drop_cache(root);
            BASE_TRY(auto times, read_plain(root + "/log", order, blocks));
            plain.cold_speed.push_back(speed(times));
            plain.cold.insert(plain.cold.end(), times.begin(), times.end());
            BASE_TRY(times, read_plain(root + "/log", order, blocks));
            plain.warm_speed.push_back(speed(times));

            drop_cache(root);
            BASE_TRY(times, runtime.run(get_all(runtime.executor(), *store, ids, 1)));
            ours.cold_speed.push_back(speed(times));
            ours.cold.insert(ours.cold.end(), times.begin(), times.end());
            BASE_TRY(times, runtime.run(get_all(runtime.executor(), *store, ids, 1)));
            ours.warm_speed.push_back(speed(times));
            const auto begin = Steady::now();
            BASE_CHECK(runtime.run(get_all(runtime.executor(), *store, ids, 16)));
            ours.parallel_speed.push_back(static_cast<double>(ids.size()) / seconds_since(begin));
        }
        runtime.run(store->close());
        fs::remove(root + "/log");
        out.gets.push_back(
            {"pread + SHA-256", median(plain.cold_speed), latency_of(plain.cold), median(plain.warm_speed), 0});
        out.gets.push_back({"pelago", median(ours.cold_speed), latency_of(ours.cold), median(ours.warm_speed),
                            median(ours.parallel_speed)});
        out.get_ratio = out.gets[1].cold.p50_ms / out.gets[0].cold.p50_ms;
        return base::ok();
    }

    // --- opening ---------------------------------------------------------------------------------------------------

    Result<void> opening(BlockBenchResult& out) {
        BlockOpenRow row;
        row.blocks = options.open_blocks;
        {
            BASE_TRY(auto store, open("many"));
            constexpr std::size_t chunk = 65536;
            for (std::uint64_t made = 0; made < options.open_blocks; made += chunk) {
                progress(fmt::format("{} of {} small blocks", made, options.open_blocks));
                const auto blocks =
                    make_blocks(1000 + made, std::min<std::uint64_t>(chunk, options.open_blocks - made), 1024);
                BASE_CHECK(runtime.run(put_store(runtime.executor(), *store, blocks, 256, 4)));
            }
            const auto usage = store->usage();
            row.index_bytes_per_block = static_cast<double>(usage.index_bytes) / static_cast<double>(usage.blocks);
            row.disk_bytes_per_block = static_cast<double>(usage.disk_bytes) / static_cast<double>(usage.blocks);
            runtime.run(store->close());
        }
        for (const bool from_data : {false, true}) {
            progress(from_data ? "opening without index files" : "opening");
            if (from_data) {
                for (const auto& entry : fs::directory_iterator(root + "/many/segments"))
                    if (entry.path().extension() == ".idx") fs::remove(entry.path());
            }
            drop_cache(root + "/many");
            const auto begin = Steady::now();
            BASE_TRY(auto store, open("many"));
            (from_data ? row.from_data_seconds : row.seconds) = seconds_since(begin);
            if (store->usage().blocks != options.open_blocks) return base::Error{base::Errc::corrupt, "blocks lost"};
            runtime.run(store->close());
        }
        out.opens.push_back(row);
        return base::ok();
    }
};

}  // namespace

Result<BlockBenchResult> measure_blocks(base::host::HostRuntime& runtime, const BlockBenchOptions& options,
                                        const std::function<void(const std::string&)>& progress) {
    Bench bench{runtime, options, progress, options.directory + "/pelago-bench-blocks", nullptr, {}};
    struct Clean {
        std::string path;
        ~Clean() {
            std::error_code ignored;
            fs::remove_all(path, ignored);
        }
    } const clean{bench.root};
    BASE_TRY(bench.disk, base::host::HostDisk::create(bench.root));
    BlockBenchResult out;
    BASE_CHECK(bench.puts(out));
    BASE_CHECK(bench.gets(out));
    if (options.open_blocks > 0) BASE_CHECK(bench.opening(out));
    return out;
}

std::string describe(const BlockBenchOptions& options, const BlockBenchResult& result) {
    std::string text =
        fmt::format("durable puts of {} x {} bytes, {} at once\n", options.batch, options.block_bytes, options.writers);
    text +=
        fmt::format("  {:16} {:>10} {:>8}  {:>8} {:>8} {:>8}\n", "", "blocks/s", "MB/s", "p50 ms", "p99 ms", "max ms");
    for (const auto& row : result.puts)
        text += fmt::format("  {:16} {:>10.0f} {:>8.0f}  {:>8.2f} {:>8.2f} {:>8.2f}\n", row.engine, row.blocks_per_s,
                            row.mb_per_s, row.commit.p50_ms, row.commit.p99_ms, row.commit.max_ms);
    text += fmt::format("  pelago / append log: {:.2f}\n", result.put_ratio);
    text += "gets, each checked against its id\n";
    text += fmt::format("  {:16} {:>8} {:>8} {:>8}  {:>8} {:>8}\n", "", "cold/s", "p50 ms", "p99 ms", "warm/s",
                        "16 wide/s");
    for (const auto& row : result.gets)
        text += fmt::format("  {:16} {:>8.0f} {:>8.3f} {:>8.3f}  {:>8.0f} {:>8.0f}\n", row.engine, row.cold_per_s,
                            row.cold.p50_ms, row.cold.p99_ms, row.warm_per_s, row.warm_parallel_per_s);
    text += fmt::format("  pelago / pread + SHA-256, cold p50: {:.2f}\n", result.get_ratio);
    for (const auto& row : result.opens)
        text += fmt::format(
            "opening {} blocks of 1 KiB: {:.2f} s, without index files {:.2f} s; index {:.1f} bytes a "
            "block in memory, {:.0f} on disk\n",
            row.blocks, row.seconds, row.from_data_seconds, row.index_bytes_per_block, row.disk_bytes_per_block);
    return text;
}

}  // namespace tools::bench
