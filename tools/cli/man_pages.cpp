#include "cli/man_pages.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "cli/exit_code.hpp"
#include "cli/help.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"

namespace tools {
namespace {

constexpr std::array kExitCodes{
    std::pair{ExitCode::done, "Done."},
    std::pair{ExitCode::fatal, "Not done."},
    std::pair{ExitCode::usage, "The command line or a setting is wrong; nothing was done."},
    std::pair{ExitCode::partial,
              "Done in part: files that could not be read, fewer copies than asked for, an older state."},
    std::pair{ExitCode::damage, "Stored bytes are missing or wrong."},
    std::pair{ExitCode::unreachable, "No majority of the holders, no peer, or no running node."},
    std::pair{ExitCode::no_space, "No space is left."},
    std::pair{ExitCode::no_volume, "There is no such volume."},
    std::pair{ExitCode::busy, "Locked, or changed by somebody else at the same moment."},
    std::pair{ExitCode::wrong_key, "The key or its passphrase is wrong."},
    std::pair{ExitCode::interrupted, "Interrupted."},
};

/// As roff wants it: a dot or a quote at the beginning of a line is a request, a backslash an escape.
std::string escaped(std::string_view text) {
    std::string out;
    bool begins = true;
    for (const char c : text) {
        if (begins && (c == '.' || c == '\'')) out += "\\&";
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
        begins = c == '\n';
    }
    return out;
}

std::string section(std::string_view title) { return ".SH " + std::string{title} + "\n"; }

std::string rows_section(std::string_view title, const std::vector<HelpRow>& rows) {
    if (rows.empty()) return {};
    std::string out = section(title);
    for (const auto& row : rows) out += ".TP\n.B " + escaped(row.name) + "\n" + escaped(row.help) + "\n";
    return out;
}

std::string paragraphs(std::string_view text) {
    std::string out = escaped(text);
    for (std::size_t at = 0; (at = out.find('\n', at)) != std::string::npos; at += 5) out.replace(at, 1, "\n.PP\n");
    return out + "\n";
}

std::string page_of(const CLI::App& app, const std::string& path) {
    const auto name = path.empty() ? std::string{"pelago"} : "pelago " + path;
    auto dashed = name;
    std::ranges::replace(dashed, ' ', '-');
    const auto& about = app.get_description();
    const auto first = about.substr(0, about.find('\n'));
    std::string out = ".TH \"" + dashed + "\" 1 \"\" \"Pelago\" \"\"\n";
    out += section("NAME") + escaped(dashed) + " \\- " + escaped(first) + "\n";
    out += section("SYNOPSIS") + ".B " + escaped(usage_line(app, path)) + "\n";
    if (first.size() < about.size()) out += section("DESCRIPTION") + paragraphs(about.substr(first.size() + 1));
    out += rows_section("ARGUMENTS", option_rows(app, true)) + rows_section("VERBS", verb_rows(app));
    out += rows_section("OPTIONS", option_rows(app, false));
    if (!app.get_footer().empty()) {
        out += section("EXAMPLES AND MORE") + ".nf\n" + escaped(app.get_footer()) + "\n.fi\n";
    }
    out += section("EXIT STATUS");
    for (const auto& [code, meaning] : kExitCodes) {
        out += ".TP\n.B " + std::to_string(std::to_underlying(code)) + "\n" + escaped(meaning) + "\n";
    }
    if (!path.empty()) out += section("SEE ALSO") + ".BR pelago (1)\n";
    return out;
}

void collect(const CLI::App& app, const std::string& path, std::map<std::string, std::string>& pages) {
    auto file = path.empty() ? std::string{"pelago.1"} : "pelago-" + path + ".1";
    std::ranges::replace(file, ' ', '-');
    pages.emplace(std::move(file), page_of(app, path));
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        collect(*verb, path.empty() ? verb->get_name() : path + " " + verb->get_name(), pages);
    }
}

base::Result<ExitCode> write_pages(Context& context, const std::string& directory) {
    const auto pages = man_pages(context.program);
    for (const auto& [file, text] : pages) {
        const auto path = directory + "/" + file;
        std::ofstream out{path, std::ios::binary};
        out << text;
        out.close();
        if (!out) return base::Error{base::Errc::io_failed, "cannot write " + path};
    }
    if (context.console.output().json) {
        context.console.print_json({{"directory", directory}, {"pages", pages.size()}});
    } else if (!context.console.output().quiet) {
        context.console.print(plural(pages.size(), "page", "pages") + " written to " + directory + "\n");
    }
    return ExitCode::done;
}

}  // namespace

std::map<std::string, std::string> man_pages(const CLI::App& program) {
    std::map<std::string, std::string> pages;
    collect(program, "", pages);
    return pages;
}

void add_man_pages_verb(Verbs& verbs) {
    const auto directory = std::make_shared<std::string>();
    verbs
        .add({"man-pages", "Write a man page for every verb", "man-pages ~/.local/share/man/man1"},
             [directory](Context& context) { return write_pages(context, *directory); })
        .add_option("DIR", *directory, "Directory that is there already")
        ->required();
}

}  // namespace tools
