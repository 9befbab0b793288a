// How help looks: what it does, how it is called, what goes into it, an example. Wrapped to the eye, not to the screen.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tools {

class HelpFormatter final : public CLI::Formatter {
  public:
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// One line of a help text: an option, an argument or a verb, and what it is.
struct HelpRow {
    std::string name;
    std::string help;
};
/// Of its arguments (`positional`) or its options.
[[nodiscard]] std::vector<HelpRow> option_rows(const CLI::App& app, bool positional);
[[nodiscard]] std::vector<HelpRow> verb_rows(const CLI::App& app);
/// "pelago archive backup [OPTIONS] PATH..."; `path` is "" for the program itself.
[[nodiscard]] std::string usage_line(const CLI::App& app, const std::string& path);

/// `text` broken at blanks so that no line is longer than `columns`; lines after the first begin with `indent` blanks.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

}  // namespace tools
