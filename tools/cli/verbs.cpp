#include "cli/verbs.hpp"

#include <CLI/CLI.hpp>

namespace tools {

CLI::App& Verbs::group(const char* name, const char* summary) {
    CLI::App* app = program_.add_subcommand(name, summary);
    app->require_subcommand(0, 1);
    app->footer("'pelago " + std::string{name} + " VERB --help' explains a verb and shows an example.");
    return *app;
}

CLI::App& Verbs::add(CLI::App& parent, const Help& help, Action action) {
    std::string text = help.summary;
    if (*help.more != 0) text += std::string{"\n\n"} + help.more;
    CLI::App* app = parent.add_subcommand(help.name, text);
    std::string footer = "Example:";
    std::string_view examples{help.example};
    while (!examples.empty()) {
        const auto end = examples.find('\n');
        const std::string line{examples.substr(0, end)};
        footer += line.find("pelago ") == std::string::npos ? "\n  pelago " + line : "\n  " + line;
        examples = end == std::string_view::npos ? std::string_view{} : examples.substr(end + 1);
    }
    app->footer(footer + "\n\n'pelago --help' lists the options that every verb takes.");
    app->callback([this, action = std::move(action)] { chosen_ = action; });
    return *app;
}

CLI::App& Verbs::add(const Help& help, Action action) { return add(program_, help, std::move(action)); }

base::Error usage_error(std::string sentence) { return {Errc::usage, std::move(sentence)}; }

}  // namespace tools
