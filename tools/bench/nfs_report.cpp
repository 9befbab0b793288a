// How the figures of the five phases look: a table, JSON, a plot.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/nfs_bench.hpp"
#include "cli/text.hpp"

namespace tools::bench {

namespace {

std::string seconds(double value) { return value < 0.1 ? fmt::format("{:.4f}", value) : fmt::format("{:.2f}", value); }

std::string with_spread(const Spread& spread) {
    return fmt::format("{} ({}-{})", seconds(spread.median), seconds(spread.least), seconds(spread.most));
}

std::string ratio(double first, double other) { return other > 0 ? fmt::format("{:.2f}", first / other) : "-"; }

/// "DIR (ext4)", told apart where two are alike by their directories.
std::string name_of(const SystemFigures& system) { return fmt::format("{} ({})", system.directory, system.kind); }

/// A row of the table: what the first system has, then what each other has and how many times that the first has.
template <class Value>
std::vector<std::string> row(const std::string& name, const NfsBenchResult& result, Value value) {
    std::vector<std::string> cells{name};
    const auto first = value(result.systems.front());
    for (const auto& system : result.systems) {
        const auto spread = value(system);
        cells.push_back(with_spread(spread));
        if (&system != &result.systems.front()) cells.push_back(ratio(first.median, spread.median));
    }
    return cells;
}

nlohmann::json to_json(const Spread& spread, const std::vector<double>& rounds = {}) {
    nlohmann::json document{{"median", spread.median}, {"min", spread.least}, {"max", spread.most}};
    if (!rounds.empty()) document["rounds"] = rounds;
    return document;
}

std::size_t phases_of(const NfsBenchResult& result) { return result.no_compile.empty() ? kPhases.size() : kCompile; }

}  // namespace

std::string describe(const NfsBenchOptions& options, const NfsBenchResult& result) {
    auto text = fmt::format("{}: {} files in {} directories, {}; {} in turns, seed {}; before phases 3, 4 and 5: {}\n",
                            options.tree.empty() ? "a made-up tree in C" : printable(options.tree), result.files,
                            result.subdirectories, human_size(result.bytes), plural(options.rounds, "round", "rounds"),
                            options.seed, bench::describe(result.caches));
    if (!result.no_compile.empty()) text += "phase 5 is left out: " + printable(result.no_compile) + "\n";
    std::vector<std::string> header{"seconds: median (least-most)"};
    std::vector<Table::Align> align{Table::Align::left};
    for (const auto& system : result.systems) {
        header.push_back(name_of(system));
        align.push_back(Table::Align::right);
        if (&system != &result.systems.front()) {
            header.emplace_back("first/this");
            align.push_back(Table::Align::right);
        }
    }
    Table table{header, align};
    for (std::size_t i = 0; i < phases_of(result); ++i) {
        table.add(
            row(kPhases.at(i), result, [i](const auto& system) { return spread_of(system.phases.at(i).seconds); }));
    }
    table.add(row("total", result, [](const auto& system) { return system.total(&PhaseFigures::seconds); }));
    table.add(row("then until all is durable", result,
                  [](const auto& system) { return system.total(&PhaseFigures::durable_seconds); }));
    table.add(row("CPU of pelago processes", result,
                  [](const auto& system) { return system.total(&PhaseFigures::cpu_seconds); }));
    return text + "\n" + table.str();
}

nlohmann::json to_json(const NfsBenchOptions& options, const NfsBenchResult& result) {
    constexpr std::array kCaches{"dropped", "advised", "warm"};
    nlohmann::json document{
        {"tree", options.tree.empty() ? nlohmann::json{} : nlohmann::json(options.tree)},
        {"files", result.files},
        {"directories", result.subdirectories},
        {"bytes", result.bytes},
        {"seed", options.seed},
        {"rounds", options.rounds},
        {"caches", kCaches.at(static_cast<std::size_t>(result.caches))},
        {"no_compile", result.no_compile.empty() ? nlohmann::json{} : nlohmann::json(result.no_compile)}};
    for (const auto& system : result.systems) {
        nlohmann::json one{{"directory", system.directory},
                           {"file_system", system.kind},
                           {"total_seconds", to_json(system.total(&PhaseFigures::seconds))},
                           {"total_durable_seconds", to_json(system.total(&PhaseFigures::durable_seconds))},
                           {"total_cpu_seconds", to_json(system.total(&PhaseFigures::cpu_seconds))}};
        for (std::size_t i = 0; i < phases_of(result); ++i) {
            const auto& phase = system.phases.at(i);
            one["phases"].push_back(
                {{"phase", kPhases.at(i)},
                 {"seconds", to_json(spread_of(phase.seconds), phase.seconds)},
                 {"durable_seconds", to_json(spread_of(phase.durable_seconds), phase.durable_seconds)},
                 {"cpu_seconds", to_json(spread_of(phase.cpu_seconds), phase.cpu_seconds)}});
        }
        document["systems"].push_back(std::move(one));
    }
    return document;
}

namespace {

std::string escaped(const std::string& text) {
    std::string out;
    for (const char letter : printable(text)) {
        switch (letter) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            default: out += letter;
        }
    }
    return out;
}

/// Where the bars go: seconds upwards on a logarithmic scale.
struct Canvas {
    static constexpr double kLeft = 70, kTop = 40, kHeight = 320, kBar = 26, kGap = 34;
    double low = -4, high = 1;  // decades

    [[nodiscard]] double y(double value) const {
        const double decades = std::clamp(std::log10(std::max(value, 1e-9)), low, high);
        return kTop + kHeight * (high - decades) / (high - low);
    }
};

}  // namespace

std::string plot(const NfsBenchOptions& options, const NfsBenchResult& result) {
    constexpr std::array kColours{"#1f6f8b", "#e07a3f", "#6a994e", "#8d5a97", "#b8a12f", "#555555"};
    struct Group {
        std::string name;
        std::vector<double> seconds;
    };
    std::vector<Group> groups;
    for (std::size_t i = 0; i < phases_of(result); ++i) {
        groups.push_back({kPhases.at(i), {}});
        for (const auto& system : result.systems)
            groups.back().seconds.push_back(spread_of(system.phases.at(i).seconds).median);
    }
    groups.push_back({"total", {}});
    for (const auto& system : result.systems)
        groups.back().seconds.push_back(system.total(&PhaseFigures::seconds).median);

    Canvas canvas;
    double least = 1e9, most = 0;
    for (const auto& group : groups) {
        for (const auto value : group.seconds) {
            least = std::min(least, value);
            most = std::max(most, value);
        }
    }
    canvas.low = std::floor(std::log10(std::max(least, 1e-6)) - 0.2);
    canvas.high = std::max(canvas.low + 1, std::ceil(std::log10(std::max(most, 1e-6))));
    const double wide = Canvas::kBar * static_cast<double>(result.systems.size()) + Canvas::kGap;
    const double width = std::max(Canvas::kLeft + wide * static_cast<double>(groups.size()) + 20, 520.0);
    const double bottom = Canvas::kTop + Canvas::kHeight;
    const double height = bottom + 40 + 18 * static_cast<double>(result.systems.size());

    auto out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
        "{1:.0f}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        "<text x=\"10\" y=\"20\">Seconds, median of {2}; {3} files, {4}; logarithmic</text>\n",
        width, height, plural(options.rounds, "round", "rounds"), result.files, human_size(result.bytes));
    for (double decade = canvas.low; decade <= canvas.high; ++decade) {
        const double y = canvas.y(std::pow(10, decade));
        out += fmt::format(
            "<line x1=\"{0}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ccc\"/>"
            "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:g} s</text>\n",
            Canvas::kLeft, width - 10, y, Canvas::kLeft - 6, y + 4, std::pow(10, decade));
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const double left = Canvas::kLeft + Canvas::kGap / 2 + wide * static_cast<double>(i);
        for (std::size_t j = 0; j < groups[i].seconds.size(); ++j) {
            const double value = groups[i].seconds[j];
            const double x = left + Canvas::kBar * static_cast<double>(j);
            const double y = canvas.y(value);
            out += fmt::format(
                "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>"
                "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"8\" text-anchor=\"middle\">{}</text>\n",
                x, y, Canvas::kBar - 2, bottom - y, kColours.at(j % kColours.size()), x + Canvas::kBar / 2 - 1, y - 3,
                seconds(value));
        }
        out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"10\">{}</text>\n",
                           left + (wide - Canvas::kGap) / 2, bottom + 16, groups[i].name);
    }
    for (std::size_t j = 0; j < result.systems.size(); ++j) {
        const double y = bottom + 40 + 18 * static_cast<double>(j);
        out += fmt::format(
            "<rect x=\"{}\" y=\"{:.1f}\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{}\" "
            "y=\"{:.1f}\">{}</text>\n",
            Canvas::kLeft, y - 9, kColours.at(j % kColours.size()), Canvas::kLeft + 16, y,
            escaped(name_of(result.systems[j])));
    }
    return out + "</svg>\n";
}

}  // namespace tools::bench
