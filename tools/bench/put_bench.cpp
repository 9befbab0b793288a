#include "bench/put_bench.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/host/counters.hpp"
#include "bench/statistics.hpp"
#include "cli/files.hpp"
#include "dev/cluster.hpp"
#include "objstore/block.hpp"
#include "session/session.hpp"

namespace tools::bench {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr auto kTimeout = 60s;
constexpr unsigned kWarmUp = 20;  // puts that are not counted: connections are made

double milliseconds_since(Steady::time_point begin) {
    return std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
}

/// Adds what the kernel knows of a process's threads (proc(5): schedstat, status).
void add_threads(pid_t process, PutCost& cost) {
    std::error_code ignored;
    for (const auto& thread : fs::directory_iterator{fmt::format("/proc/{}/task", process), ignored}) {
        double ran_ns = 0;
        std::ifstream{thread.path() / "schedstat"} >> ran_ns;
        cost.cpu_us += ran_ns / 1000;
        std::ifstream status{thread.path() / "status"};
        for (std::string word; status >> word;) {
            if (word == "voluntary_ctxt_switches:") {
                std::uint64_t switches = 0;
                status >> switches;
                cost.switches += switches;
            }
        }
    }
}

PutCost cost_of_client() {
    PutCost cost;
    cost.process = "client";
    add_threads(::getpid(), cost);
    const auto& counters = base::host::counters();
    cost.syncs = counters.syncs;
    cost.written_bytes = counters.written_bytes;
    cost.messages = counters.messages;
    cost.sent_bytes = counters.sent_bytes;
    return cost;
}

base::Result<std::vector<PutCost>> costs_now(const DevCluster& cluster) {
    BASE_TRY(const auto document, cluster.status());
    std::vector<PutCost> costs;
    for (const auto& node : document["nodes"]) {
        if (!node.contains("status") || !node["status"].contains("process")) {
            return base::Error{base::Errc::unreachable, node["name"].get<std::string>()};
        }
        const auto& process = node["status"]["process"];
        auto& cost = costs.emplace_back();
        cost.process = node["name"];
        add_threads(node["pid"].get<pid_t>(), cost);
        cost.syncs = process["syncs"];
        cost.written_bytes = process["written_bytes"];
        cost.messages = process["messages"];
        cost.sent_bytes = process["sent_bytes"];
    }
    costs.push_back(cost_of_client());
    return costs;
}

/// Changes each number of `cost` by that of `other`.
template <class Operation>
void combine(PutCost& cost, const PutCost& other, Operation operation) {
    cost.cpu_us = operation(cost.cpu_us, other.cpu_us);
    for (const auto number :
         {&PutCost::switches, &PutCost::syncs, &PutCost::written_bytes, &PutCost::messages, &PutCost::sent_bytes}) {
        cost.*number = operation(cost.*number, other.*number);
    }
}

/// A file that grows by a block and is synced: what the disk asks for a durable append.
class BareAppend {
  public:
    explicit BareAppend(std::string path) : path_{std::move(path)} {
        file_ = ::open(path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    }
    ~BareAppend() {
        if (file_ >= 0) ::close(file_);
    }
    BareAppend(const BareAppend&) = delete;
    BareAppend& operator=(const BareAppend&) = delete;

    [[nodiscard]] base::Result<void> append(base::ByteView bytes) const {
        const bool written = ::write(file_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
        if (!written || ::fdatasync(file_) != 0)
            return base::Error{base::from_errno(errno), "cannot append to " + path_};
        return base::ok();
    }

  private:
    std::string path_;
    int file_ = -1;
};

past::Block random_block(base::NodeEnv& env, std::size_t bytes) {
    base::Bytes content(bytes);
    env.rng.fill(content);
    const auto id = base::sha256(content);
    return {id, std::move(content)};
}

base::Result<PutBenchResult> measure(Session& session, const DevCluster& cluster, const PutBenchOptions& options,
                                     const std::function<void(const std::string&)>& progress) {
    PutBenchResult result;
    auto env = session.env();
    const auto tag = past::Tag{base::sha256(base::as_bytes("pelago bench put")), 1};
    const BareAppend bare{join_path(options.directory, "bare-append")};
    std::vector<PutCost> before;
    for (unsigned i = 0; i < kWarmUp + options.puts; ++i) {
        if (i == kWarmUp) {
            progress(fmt::format("{} puts of {} bytes", options.puts, options.block_bytes));
            BASE_TRY(before, costs_now(cluster));
        }
        std::vector<past::Block> blocks;
        blocks.push_back(random_block(env, options.block_bytes));
        const auto group = objstore::group_of(tag.volume, objstore::kMinGroupBits, blocks.front().id);
        const auto bytes = blocks.front().bytes;
        const auto put = Steady::now();
        auto stored = session.run(
            session.storage().put(group, tag, std::move(blocks), past::Wait::full, env.clock.now() + kTimeout));
        if (!stored) return stored.error().with("cannot put a block");
        if (i < kWarmUp) continue;
        result.put_ms.push_back(milliseconds_since(put));
        const auto sync = Steady::now();
        BASE_CHECK(bare.append(bytes.view()));
        result.sync_ms.push_back(milliseconds_since(sync));
    }
    BASE_TRY(auto after, costs_now(cluster));
    for (std::size_t i = 0; i < after.size(); ++i) combine(after[i], before[i], std::minus<>{});
    result.costs = std::move(after);
    return result;
}

}  // namespace

base::Result<PutBenchResult> measure_puts(Context& context, const PutBenchOptions& options,
                                          const std::function<void(const std::string&)>& progress) {
    DevCluster cluster{options.directory};
    DevCluster::Options nodes;
    nodes.nodes = options.nodes;
    nodes.policy.copies = static_cast<std::uint8_t>(options.copies);
    nodes.policy.min_copies = static_cast<std::uint8_t>(std::min(2U, options.copies));
    progress(fmt::format("a network of {}", options.nodes));
    BASE_CHECK(cluster.up(context.console, nodes));
    struct Down {
        DevCluster& cluster;
        Console& console;
        ~Down() { [[maybe_unused]] const auto stopped = cluster.down(console); }
    } const at_end{cluster, context.console};
    BASE_TRY(const auto settings, load_settings({{"dir", cluster.node_directory(1)}}, context.io.environment()));
    Context at_node{context.io, context.console, settings, context.program};
    BASE_TRY(const auto session, Session::open(at_node));
    return measure(*session, cluster, options, progress);
}

std::string describe(const PutBenchOptions& options, const PutBenchResult& result) {
    const auto puts = static_cast<double>(result.put_ms.size());
    const auto sync = quantile(result.sync_ms, 0.5);
    const auto put = quantile(result.put_ms, 0.5);
    auto text = fmt::format("{} puts of {} bytes, one at a time, {} copies in a network of {}\n", result.put_ms.size(),
                            options.block_bytes, options.copies, options.nodes);
    text += fmt::format("  {:24} {:>8} {:>8}\n", "", "p50 ms", "p99 ms");
    text += fmt::format("  {:24} {:>8.3f} {:>8.3f}\n", "put", put, quantile(result.put_ms, 0.99));
    text += fmt::format("  {:24} {:>8.3f} {:>8.3f}\n", "append and fdatasync", sync, quantile(result.sync_ms, 0.99));
    text += fmt::format("  put = 2 syncs of the disk {:+.3f} ms\n", put - 2 * sync);
    text += fmt::format("\nof each process, a put\n  {:10} {:>8} {:>9} {:>7} {:>9} {:>9} {:>11}\n", "", "CPU us",
                        "switches", "syncs", "KB to disk", "messages", "KB sent");
    PutCost total;
    const auto row = [&](const PutCost& cost) {
        return fmt::format("  {:10} {:>8.1f} {:>9.2f} {:>7.2f} {:>10.2f} {:>9.2f} {:>11.2f}\n", cost.process,
                           cost.cpu_us / puts, static_cast<double>(cost.switches) / puts,
                           static_cast<double>(cost.syncs) / puts, static_cast<double>(cost.written_bytes) / puts / 1e3,
                           static_cast<double>(cost.messages) / puts,
                           static_cast<double>(cost.sent_bytes) / puts / 1e3);
    };
    for (const auto& cost : result.costs) {
        text += row(cost);
        combine(total, cost, std::plus<>{});
    }
    total.process = "all";
    return text + row(total);
}

nlohmann::json to_json(const PutBenchOptions& options, const PutBenchResult& result) {
    nlohmann::json document{{"puts", result.put_ms.size()},
                            {"block_bytes", options.block_bytes},
                            {"nodes", options.nodes},
                            {"copies", options.copies},
                            {"put_p50_ms", quantile(result.put_ms, 0.5)},
                            {"put_p99_ms", quantile(result.put_ms, 0.99)},
                            {"sync_p50_ms", quantile(result.sync_ms, 0.5)},
                            {"sync_p99_ms", quantile(result.sync_ms, 0.99)}};
    for (const auto& cost : result.costs) {
        document["processes"].push_back({{"process", cost.process},
                                         {"cpu_us", cost.cpu_us},
                                         {"context_switches", cost.switches},
                                         {"syncs", cost.syncs},
                                         {"written_bytes", cost.written_bytes},
                                         {"messages", cost.messages},
                                         {"sent_bytes", cost.sent_bytes}});
    }
    return document;
}

}  // namespace tools::bench
