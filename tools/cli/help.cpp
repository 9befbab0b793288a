#include "cli/help.hpp"

#include <algorithm>

#include "cli/text.hpp"

namespace tools {

namespace {

constexpr std::size_t kColumns = 96;
constexpr std::size_t kNames = 30;  // columns of the names on the left

std::string rows_text(const char* title, const std::vector<HelpRow>& rows) {
    if (rows.empty()) return {};
    std::size_t widest = 0;
    for (const HelpRow& row : rows) widest = std::max(widest, row.name.size());
    const std::size_t indent = std::min(widest, kNames) + 4;
    std::string out = std::string{"\n"} + title + ":\n";
    for (const HelpRow& row : rows) {
        out += "  " + row.name;
        if (row.name.size() + 4 > indent) {
            out += "\n" + std::string(indent, ' ');
        } else {
            out += std::string(indent - row.name.size() - 2, ' ');
        }
        out += wrapped(row.help, kColumns, indent) + "\n";
    }
    return out;
}

std::string first_line(const std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    if (line.ends_with('.')) line.pop_back();
    return line;
}

HelpRow row_of(const CLI::Option& option) {
    const bool positional = option.get_positional();
    HelpRow row{option.get_name(positional, !positional), option.get_description()};
    std::ranges::replace(row.name, ',', ' ');
    if (!positional && option.get_items_expected_max() > 0) row.name += " " + option.get_type_name();
    if (const auto end = row.name.find(':'); end != std::string::npos) row.name.resize(end);  // checks say enough
    if (!option.get_default_str().empty()) row.help += " (default: " + option.get_default_str() + ")";
    return row;
}

/// Paragraphs, each wrapped.
std::string description_text(const std::string& description) {
    std::string out;
    std::string_view rest{description};
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        out += wrapped(rest.substr(0, end), kColumns, 0) + "\n";
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return out;
}

}  // namespace

std::vector<HelpRow> option_rows(const CLI::App& app, bool positional) {
    std::vector<HelpRow> rows;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_positional() == positional) rows.push_back(row_of(*option));
    }
    return rows;
}

std::vector<HelpRow> verb_rows(const CLI::App& app) {
    std::vector<HelpRow> rows;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        rows.push_back({verb->get_name(), first_line(verb->get_description())});
    }
    return rows;
}

std::string usage_line(const CLI::App& app, const std::string& path) {
    std::string out = path.empty() ? "pelago" : "pelago " + path;
    if (!verb_rows(app).empty()) out += " VERB";
    out += " [OPTIONS]";
    for (const CLI::Option* option : app.get_options()) {
        if (!option->get_positional()) continue;
        std::string name = option->get_name(true);
        if (option->get_expected_max() > 1) name += "...";
        out += option->get_required() ? " " + name : " [" + name + "]";
    }
    return out;
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
    std::string out;
    std::size_t column = indent;
    while (!text.empty()) {
        const auto end = text.find(' ');
        const std::string_view word = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        const std::size_t width = display_width(word);
        if (!out.empty() && column + 1 + width > columns) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (!out.empty()) {
            out += " ";
            ++column;
        }
        out += word;
        column += width;
    }
    return out;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode /*mode*/) const {
    if (name.starts_with("pelago ")) name.erase(0, 7);
    const bool program = app->get_parent() == nullptr;
    std::string out = description_text(app->get_description());
    out += "\nUsage: " + usage_line(*app, program ? "" : name) + "\n";
    out += rows_text("Arguments", option_rows(*app, true)) + rows_text("Verbs", verb_rows(*app));
    out += rows_text(program ? "Options of every verb" : "Options", option_rows(*app, false));
    if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
    return out;
}

}  // namespace tools
