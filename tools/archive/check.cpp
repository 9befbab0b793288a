// pelago archive check
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "archive/reports.hpp"
#include "archive/verbs.hpp"
#include "cli/text.hpp"
#include "objstore/gc/check.hpp"
#include "volume/access.hpp"

namespace tools {

namespace {

using objstore::gc::CheckProgress;
using objstore::gc::CheckReport;
using objstore::gc::ReadData;

constexpr std::size_t kNamed = 10;

struct Options {
    bool read_data = false;
    std::string subset;
    std::string volume;
};

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// "2/5", "10%", "1.5G".
base::Result<ReadData> parse_subset(const std::string& text) {
    ReadData out;
    if (const auto slash = text.find('/'); slash != std::string::npos) {
        const auto part = number_in<std::uint32_t>(std::string_view{text}.substr(0, slash));
        const auto parts = number_in<std::uint32_t>(std::string_view{text}.substr(slash + 1));
        if (part && parts && *part >= 1 && *part <= *parts && *parts <= 65536) {
            out.part = *part;
            out.parts = *parts;
            return out;
        }
    } else if (text.ends_with('%')) {
        const auto share = number_in<double>(std::string_view{text}.substr(0, text.size() - 1));
        if (share && *share > 0 && *share <= 100) {
            out.share = *share / 100;
            return out;
        }
    } else if (const auto bytes = parse_size(text); bytes && *bytes > 0) {
        out.bytes = *bytes;
        return out;
    }
    return usage_error("--read-data-subset takes n/t (2/5), a share (10%) or a size (50G), not '" + text + "'");
}

nlohmann::json to_json(const std::vector<objstore::gc::BadBlock>& blocks) {
    auto list = nlohmann::json::array();
    for (const auto& block : blocks) list.push_back({{"id", block.id.hex()}, {"error", block.error.message()}});
    return list;
}

nlohmann::json summary(const CheckReport& report) {
    auto hurt = nlohmann::json::array();
    for (const auto& one : report.hurt) {
        nlohmann::json entry{{"tree_damaged", one.unreadable}, {"files", one.files}, {"paths", one.paths}};
        if (one.version.empty()) {
            entry["snapshot_id"] = one.snapshot.id().hex();
        } else {
            entry["version"] = one.version;
        }
        hurt.push_back(std::move(entry));
    }
    return {{"message_type", "summary"},
            {"num_errors", report.damaged.size()},
            {"snapshots", report.snapshots},
            {"blocks", report.blocks},
            {"bytes", report.bytes},
            {"blocks_read", report.blocks_read},
            {"bytes_read", report.bytes_read},
            {"blocks_unneeded", report.blocks_unneeded},
            {"bytes_unneeded", report.bytes_unneeded},
            {"suggest_prune", report.blocks_unneeded > 0},
            {"damaged", to_json(report.damaged)},
            {"unreachable", to_json(report.unreachable)},
            {"hurt", hurt}};
}

void print(Console& console, const CheckReport& report) {
    std::string text = fmt::format("{} need {} in {}\n", plural(report.snapshots, "snapshot", "snapshots"),
                                   human_size(report.bytes), plural(report.blocks, "block", "blocks"));
    if (report.blocks_read > 0) {
        text +=
            fmt::format("{} read: {}\n", plural(report.blocks_read, "block", "blocks"), human_size(report.bytes_read));
    }
    if (report.blocks_unneeded > 0) {
        text += fmt::format("{} in {} are not needed; 'pelago archive prune' gives them back\n",
                            human_size(report.bytes_unneeded), plural(report.blocks_unneeded, "block", "blocks"));
    }
    for (const auto& one : report.hurt) {
        const auto what = one.version.empty()    ? "snapshot " + one.snapshot.id().short_hex()
                          : one.version == "now" ? std::string{"the volume, now,"}
                                                 : "version " + one.version;
        text += fmt::format("{} of {}:{} {}\n", what, local_time(one.snapshot.time_ns),
                            one.unreadable ? " a part of its list of files is lost," : "",
                            plural(one.files, "path is hurt", "paths are hurt"));
        const auto most = console.output().verbose > 0 ? one.paths.size() : std::min(kNamed, one.paths.size());
        for (std::size_t i = 0; i < most; ++i) text += "  " + printable(one.paths[i]) + "\n";
        if (most < one.files) text += "  and " + human_count(one.files - most) + " more\n";
    }
    if (report.damaged.empty() && report.unreachable.empty()) text += "no damage was found\n";
    console.print(text);
}

base::Result<ExitCode> check(Context& context, const Options& options) {
    objstore::gc::CheckOptions wanted;
    if (options.read_data) wanted.read_data.emplace();
    if (!options.subset.empty()) {
        BASE_TRY(wanted.read_data, parse_subset(options.subset));
    }
    BASE_TRY(const VolumeAccess access, open_volume_to_read(context, context.settings.get("volume", options.volume)));
    Console& console = context.console;
    const auto show = [&console](const CheckProgress& now) {
        switch (now.step) {
            case CheckProgress::Step::holders:
                return console.status(plural(now.blocks, "block is held", "blocks are held"));
            case CheckProgress::Step::trees:
                return console.status(plural(now.blocks, "block is named", "blocks are named"));
            case CheckProgress::Step::data: return console.status(human_size(now.bytes) + " read");
        }
    };
    const auto report = access.session->run(objstore::gc::check(*access.volume, wanted, show));
    console.status("");
    if (!report) return report.error().with("cannot check");
    if (console.output().json) {
        console.print_json(summary(*report));
    } else if (!console.output().quiet) {
        print(console, *report);
    }
    auto code = ExitCode::done;
    if (!report->unreachable.empty()) {
        const auto& first = report->unreachable.front();
        code = console.fail(first.error.with(
            fmt::format("nothing is known of {}", plural(report->unreachable.size(), "block", "blocks"))));
    }
    if (!report->damaged.empty()) {
        const auto& first = report->damaged.front();
        code = console.fail(base::Error{
            objstore::Errc::damaged,
            fmt::format("{} of {} lost or damaged, the first is {}", plural(report->damaged.size(), "block", "blocks"),
                        human_count(report->blocks),
                        first.error == objstore::Errc::damaged ? first.error.detail() : first.error.message())});
    }
    return report_damage(context, *access.volume, code);
}

}  // namespace

void add_check(Verbs& verbs, CLI::App& archive) {
    const auto options = std::make_shared<Options>();
    CLI::App& verb = verbs.add(archive,
                               {"check", "See whether everything that snapshots need is there",
                                "archive check\narchive check --read-data-subset 1/7",
                                "Reads every tree of every snapshot and version, and asks the holders for every block. "
                                "What is damaged is named, with the "
                                "snapshots, versions and files that it costs (exit code 4)."},
                               [options](Context& context) { return check(context, *options); });
    auto* all = verb.add_flag("--read-data", options->read_data, "Read every block to its last byte, too");
    verb.add_option("--read-data-subset", options->subset, "Read a part of them: n/t (a t-th), x% or a size, at random")
        ->type_name("PART")
        ->excludes(all);
    add_volume_option(verb, options->volume);
}

}  // namespace tools
