#include "bench/mount_verbs.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.hpp"
#include "bench/mount_bench.hpp"
#include "bench/nfs_bench.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

struct Flags {
    std::string directory;
    std::vector<std::string> others;
    bool warm = false;

    [[nodiscard]] std::vector<std::string> directories() const {
        std::vector<std::string> all{directory};
        all.insert(all.end(), others.begin(), others.end());
        return all;
    }
};

struct NfsFlags : Flags {
    bench::NfsBenchOptions options;
    std::string plot;
};

struct MountFlags : Flags {
    bench::MountBenchOptions options;
    std::string bytes = "1GiB";
};

void add_common(CLI::App& verb, Flags& flags, unsigned& rounds) {
    verb.add_option("--dir", flags.directory, "On the file system to be measured")->required()->type_name("DIR");
    verb.add_option("--vs", flags.others, "On another, to be compared with it; may be repeated")
        ->type_name("DIR")
        ->allow_extra_args(false);
    verb.add_option("--rounds", rounds, "Rounds, in turns")
        ->check(CLI::Range(1, 1000))
        ->type_name("N")
        ->capture_default_str();
    verb.add_flag("--warm", flags.warm, "Leave the caches alone");
}

base::Result<void> write_plot(const std::string& path, const std::string& text) {
    std::ofstream out{path, std::ios::binary};
    out << text;
    out.close();
    if (!out) return base::Error{base::Errc::io_failed, "cannot write the plot " + path};
    return base::ok();
}

base::Result<ExitCode> nfs(Context& context, NfsFlags flags) {
    auto& options = flags.options;
    options.directories = flags.directories();
    options.warm = flags.warm;
    const auto tell = [&](const std::string& what) { context.console.status("measuring " + what); };
    const auto result = bench::measure_nfs(options, context.io.environment().stop, tell);
    context.console.status("");
    if (!result) return result.error();
    if (!flags.plot.empty()) BASE_CHECK(write_plot(flags.plot, bench::plot(options, *result)));
    if (context.console.output().json) {
        context.console.print_json(bench::to_json(options, *result));
    } else {
        context.console.print(bench::describe(options, *result));
    }
    return ExitCode::done;
}

base::Result<ExitCode> mount(Context& context, MountFlags flags) {
    auto& options = flags.options;
    options.directories = flags.directories();
    options.warm = flags.warm;
    const auto bytes = parse_size(flags.bytes);
    if (!bytes || *bytes == 0) return usage_error("--bytes takes a size, like 1GiB or 64M");
    options.bytes = (*bytes + (1U << 20U) - 1) >> 20U << 20U;
    const auto tell = [&](const std::string& what) { context.console.status("measuring " + what); };
    const auto result = bench::measure_mounts(options, context.io.environment().stop, tell);
    context.console.status("");
    if (!result) return result.error();
    if (context.console.output().json) {
        context.console.print_json(bench::to_json(options, *result));
    } else {
        context.console.print(bench::describe(options, *result));
    }
    return ExitCode::done;
}

void add_nfs(Verbs& verbs, CLI::App& group) {
    const auto flags = std::make_shared<NfsFlags>();
    flags->options.compile = "make -s -j" + std::to_string(std::max(1U, std::thread::hardware_concurrency()));
    CLI::App& verb =
        verbs.add(group,
                  {"nfs", "Measure the five phases of the Andrew benchmark on directories beside each other",
                   "bench nfs --dir /mnt/volume --vs /tmp\nbench nfs --dir /mnt/volume --vs /tmp --tree ~/linux "
                   "--compile 'make -s tinyconfig'",
                   "Makes directories, copies a source tree into them, stats every file, reads every file, compiles; "
                   "in rounds, each "
                   "directory in its turn, in a directory of its own below it that is removed afterwards. Before "
                   "phases 3, 4 and 5 the "
                   "machine's caches are dropped, which needs root. Beside the phases: the time until all is durable, "
                   "and the CPU time of "
                   "all other processes of pelago."},
                  [flags](Context& context) { return nfs(context, *flags); });
    add_common(verb, *flags, flags->options.rounds);
    verb.add_option("--tree", flags->options.tree, "The source tree; default: about 70 files in C that are made up")
        ->type_name("DIR");
    verb.add_option("--compile", flags->options.compile, "How the tree is compiled, in its copy")
        ->type_name("COMMAND")
        ->capture_default_str();
    verb.add_option("--seed", flags->options.seed, "Of the tree that is made up")
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--plot", flags->plot, "Write the medians as bars, an SVG file")->type_name("FILE");
}

void add_mount(Verbs& verbs, CLI::App& group) {
    const auto flags = std::make_shared<MountFlags>();
    CLI::App& verb = verbs.add(group,
                               {"mount", "Measure single operations on directories beside each other",
                                "bench mount --dir /mnt/volume --vs /mnt/passthrough",
                                "Create, read, stat, rename, unlink, list, fsync, large files: median and 99th "
                                "percentile of each, in rounds, each directory "
                                "in its turn, in a directory of its own below it that is removed afterwards."},
                               [flags](Context& context) { return mount(context, *flags); });
    add_common(verb, *flags, flags->options.rounds);
    verb.add_option("--operations", flags->options.operations, "Of each kind, a round")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    verb.add_option("--bytes", flags->bytes, "Size of the large file")->type_name("SIZE")->capture_default_str();
    verb.add_option("--entries", flags->options.entries, "Entries of the directory that is listed")
        ->check(CLI::Range(1, 10'000'000))
        ->type_name("N")
        ->capture_default_str();
}

}  // namespace

void add_mount_bench_verbs(Verbs& verbs, CLI::App& group) {
    add_nfs(verbs, group);
    add_mount(verbs, group);
}

}  // namespace tools
