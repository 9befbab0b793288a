// pelago bench ...
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/host/host_runtime.hpp"
#include "bench/block_bench.hpp"
#include "bench/mount_verbs.hpp"
#include "bench/put_bench.hpp"
#include "cli/families.hpp"
#include "cli/files.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

nlohmann::json to_json(const bench::Latency& latency) {
    return {{"p50_ms", latency.p50_ms}, {"p99_ms", latency.p99_ms}, {"max_ms", latency.max_ms}};
}

nlohmann::json to_json(const bench::BlockBenchResult& result) {
    nlohmann::json document{{"put_ratio", result.put_ratio}, {"get_ratio", result.get_ratio}};
    for (const auto& row : result.puts) {
        document["puts"].push_back({{"engine", row.engine},
                                    {"blocks_per_s", row.blocks_per_s},
                                    {"mb_per_s", row.mb_per_s},
                                    {"commit", to_json(row.commit)}});
    }
    for (const auto& row : result.gets) {
        document["gets"].push_back({{"engine", row.engine},
                                    {"cold_per_s", row.cold_per_s},
                                    {"cold", to_json(row.cold)},
                                    {"warm_per_s", row.warm_per_s},
                                    {"warm_parallel_per_s", row.warm_parallel_per_s}});
    }
    for (const auto& row : result.opens) {
        document["opens"].push_back({{"blocks", row.blocks},
                                     {"seconds", row.seconds},
                                     {"from_data_seconds", row.from_data_seconds},
                                     {"index_bytes_per_block", row.index_bytes_per_block},
                                     {"disk_bytes_per_block", row.disk_bytes_per_block}});
    }
    return document;
}

base::Result<ExitCode> blocks(Context& context, bench::BlockBenchOptions options) {
    const std::string parent = options.directory.empty() ? context.settings.get("dir") : options.directory;
    BASE_TRY(const auto directory, TemporaryDirectory::make(parent, "pelago-bench-"));
    options.directory = directory->path();
    base::host::HostRuntime runtime{std::make_unique<ConsoleLog>(context.console)};
    const auto tell = [&](const std::string& what) { context.console.status("measuring " + what); };
    const auto result = bench::measure_blocks(runtime, options, tell);
    context.console.status("");
    if (!result) return result.error().with("cannot measure in " + parent);
    if (context.console.output().json) {
        context.console.print_json(to_json(*result));
    } else {
        context.console.print(bench::describe(options, *result));
    }
    return ExitCode::done;
}

base::Result<ExitCode> puts(Context& context, bench::PutBenchOptions options) {
    if (options.copies > options.nodes) return usage_error("--copies cannot be more than --nodes");
    const std::string parent = options.directory.empty() ? context.settings.get("dir") : options.directory;
    BASE_TRY(const auto directory, TemporaryDirectory::make(parent, "pelago-bench-"));
    options.directory = directory->path();
    const auto tell = [&](const std::string& what) { context.console.status("measuring " + what); };
    const auto result = bench::measure_puts(context, options, tell);
    context.console.status("");
    if (!result) return result.error().with("cannot measure in " + parent);
    if (context.console.output().json) {
        context.console.print_json(bench::to_json(options, *result));
    } else {
        context.console.print(bench::describe(options, *result));
    }
    return ExitCode::done;
}

void add_put(Verbs& verbs, CLI::App& group) {
    const auto options = std::make_shared<bench::PutBenchOptions>();
    CLI::App& verb =
        verbs.add(group,
                  {"put", "Measure what one durable put of a block costs", "bench put\nbench put /mnt/disk --puts 2000",
                   "Starts a network of real processes in a new directory, stores blocks in it one at a time, and "
                   "removes it. Beside the "
                   "time of a put: CPU, context switches, syncs, messages and bytes of each process."},
                  [options](Context& context) { return puts(context, *options); });
    verb.add_option("DIR", options->directory, "On the disk to be measured; default: the data directory");
    verb.add_option("--puts", options->puts, "How many")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--block-bytes", options->block_bytes, "Size of a block")
        ->check(CLI::Range(1, 1 << 20))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--nodes", options->nodes, "Nodes of the network")
        ->check(CLI::Range(1, 16))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--copies", options->copies, "Copies of a block")
        ->check(CLI::Range(1, 16))
        ->type_name("N")
        ->capture_default_str();
}

}  // namespace

void add_bench_verbs(Verbs& verbs) {
    CLI::App& group = verbs.group("bench", "Measure this machine");
    const auto options = std::make_shared<bench::BlockBenchOptions>();
    CLI::App& verb =
        verbs.add(group,
                  {"blocks", "Measure the block store beside what bounds it",
                   "bench blocks\nbench blocks /mnt/disk --rounds 5 --open 1000000",
                   "Durable puts beside a bare append-only log and one file a block; cold reads beside one "
                   "pread and SHA-256. All in turns, in a new directory that is removed afterwards."},
                  [options](Context& context) { return blocks(context, *options); });
    verb.add_option("DIR", options->directory, "On the disk to be measured; default: the data directory");
    verb.add_option("--block-bytes", options->block_bytes, "Size of a block")
        ->check(CLI::Range(512, 1 << 20))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--batch", options->batch, "Blocks a durable put")
        ->check(CLI::Range(1, 64))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--batches", options->batches, "Puts a round")
        ->check(CLI::Range(1, 100'000))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--rounds", options->rounds, "Rounds")
        ->check(CLI::Range(1, 100))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--writers", options->writers, "Puts under way at once")
        ->check(CLI::Range(1, 64))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--gets", options->gets, "Reads a round")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--open", options->open_blocks, "Also measure opening a store of N small blocks")->type_name("N");
    add_put(verbs, group);
    add_mount_bench_verbs(verbs, group);
}

}  // namespace tools
