// How help looks: what it does, how it is called, what goes into it, an example. Wrapped to the eye, not to the screen.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace tools {

class HelpFormatter final : public CLI::Formatter {
  public:
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// `text` broken at blanks so that no line is longer than `columns`; lines after the first begin with `indent` blanks.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

}  // namespace tools
