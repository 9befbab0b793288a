#include "cli/run.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/console.hpp"
#include "cli/help.hpp"
#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "cli/version.hpp"
#include "config/settings.hpp"

namespace tools {

namespace {

constexpr const char* kSummary = "Pelago: archival storage without servers";
constexpr const char* kShowSettings = "pelago config show";
constexpr const char* kFooter =
    "Start here:\n"
    "  pelago archive backup ~/Documents            keep a directory\n"
    "  pelago archive restore latest --target DIR   and get it back\n"
    "  pelago dev up                                try it with five peers on this machine\n\n"
    "'pelago VERB --help' explains a verb and shows an example.";

struct Invocation {
    bool json = false;
    bool quiet = false;
    bool no_color = false;
    int verbose = 0;
    std::map<std::string, std::string, std::less<>> overrides;  // setting -> what a flag said
};

void add_common_options(CLI::App& app, Invocation& invocation) {
    app.add_flag("--json", invocation.json, "Write JSON: one document, or one object a line");
    app.add_flag("-q,--quiet", invocation.quiet, "Print results and errors only");
    app.add_flag("-v,--verbose", invocation.verbose, "Print more; twice for everything");
    app.add_flag("--no-color", invocation.no_color, "No colours (also: NO_COLOR)");
    for (const SettingSpec& spec : setting_specs()) {
        if (spec.flag == nullptr) continue;
        app.add_option_function<std::string>(
               spec.flag,
               [&invocation, key = std::string{spec.key}](const std::string& value) {
                   invocation.overrides[key] = value;
               },
               std::string{spec.help} + " (also: " + spec.variable + ")")
            ->type_name(spec.placeholder);
    }
}

std::vector<std::string> verb_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(verb->get_name());
        names.insert(names.end(), verb->get_aliases().begin(), verb->get_aliases().end());
    }
    return names;
}

/// The full name of the first verb below `app`, whose full name is `path`, that is called `word`.
std::optional<std::string> verb_called(const CLI::App& app, const std::string& path, const std::string& word) {
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        const auto full = path + " " + verb->get_name();
        if (verb->get_name() == word) return full;
        if (auto deeper = verb_called(*verb, full, word)) return deeper;
    }
    return std::nullopt;
}

/// CLI11 would say "the following arguments were not expected"; a person wants to know which verb was meant.
base::Result<void> check_verbs(const CLI::App& program, std::span<const std::string> args) {
    const CLI::App* app = &program;
    std::string path = "pelago";
    for (std::size_t i = 0; i < args.size(); ++i) {
        const auto verbs = verb_names(*app);
        if (verbs.empty()) return base::ok();
        const std::string& word = args[i];
        if (word == "--") return base::ok();
        if (word.starts_with("-")) {
            const bool alone = word.find('=') == std::string::npos;
            const CLI::Option* option = program.get_option_no_throw(word);
            if (alone && option != nullptr && option->get_items_expected_min() > 0) ++i;
            continue;
        }
        if (std::ranges::find(verbs, word) == verbs.end()) {
            std::string sentence = "'" + word + "' is not a verb of '" + path + "'";
            auto meant = nearest_word(word, verbs);
            if (!meant) meant = verb_called(program, "pelago", word);
            if (meant) sentence += "; did you mean '" + *meant + "'?";
            return usage_error(sentence + (sentence.ends_with('?') ? " " : "; ") + "'" + path +
                               " --help' lists them all");
        }
        app = app->get_subcommand(word);
        path += " " + word;
    }
    return base::ok();
}

/// The innermost verb that was parsed, for "see 'pelago archive backup --help'".
std::string parsed_path(const CLI::App& program) {
    std::string path = "pelago";
    const CLI::App* app = &program;
    for (;;) {
        const auto parsed = app->get_subcommands();
        if (parsed.empty()) return path;
        app = parsed.front();
        path += " " + app->get_name();
    }
}

std::string help_of_parsed(const CLI::App& program) {
    const std::string path = parsed_path(program);
    const CLI::App* app = &program;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return app->help(app == &program ? "" : path.substr(0, path.rfind(' ')));
}

std::string lower_first(std::string text) {
    if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0) {
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    }
    return text;
}

/// Of an option that is mistyped, the one that was meant: of this verb, or of every verb.
std::optional<std::string> meant_option(const std::string& what, const CLI::App& program) {
    const auto begin = what.find("--");
    if (begin == std::string::npos) return std::nullopt;
    const auto word = what.substr(begin, what.find_first_of(" ='", begin) - begin);
    std::vector<std::string> known;
    for (const CLI::App* app = &program;; app = app->get_subcommands().front()) {
        for (const CLI::Option* option : app->get_options()) {
            for (const auto& name : option->get_lnames()) known.push_back("--" + name);
        }
        if (app->get_subcommands().empty()) break;
    }
    return nearest_word(word, known);
}

base::Error explain(const CLI::ParseError& error, const CLI::App& program) {
    std::string what = error.what();
    std::ranges::replace(what, '\n', ' ');
    if (const auto at = what.find("were not expected: "); at != std::string::npos) {
        what = "cannot understand '" + what.substr(at + 19) + "'";
    } else if (const auto one = what.find("was not expected: "); one != std::string::npos) {
        what = "cannot understand '" + what.substr(one + 18) + "'";
    } else {
        what = lower_first(what);
        while (what.ends_with(' ') || what.ends_with('.')) what.pop_back();
    }
    if (const auto meant = meant_option(what, program)) what += "; did you mean '" + *meant + "'?";
    return usage_error(what + (what.ends_with('?') ? " See '" : "; see '") + parsed_path(program) + " --help'");
}

/// What an exception that reached the top says. Cancellation is how Ctrl-C unwinds.
base::Error explain(const std::exception& error, bool stopped) {
    if (stopped) return base::Errc::interrupted;
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
        return {std::make_error_code(std::errc::not_enough_memory), "cannot go on"};
    }
    if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
        if (system->code() == std::errc::resource_unavailable_try_again) {
            return {system->code(), "cannot start another thread ('ulimit -u' and 'ulimit -v' limit them)"};
        }
        const std::string_view what{system->what()};
        const bool more = !what.starts_with(system->code().message());
        return {system->code(), "cannot go on" + (more ? ": " + std::string{what} : "")};
    }
    return {base::Errc::io_failed, std::string{"cannot go on, this is a fault of pelago itself: "} + error.what()};
}

OutputOptions output_options_of(const Invocation& invocation, const Environment& environment) {
    const bool color = environment.err_is_terminal && !invocation.no_color && !environment.variable("NO_COLOR") &&
                       environment.variable("TERM").value_or("dumb") != "dumb";
    return {invocation.json, invocation.quiet, color && !invocation.json, static_cast<unsigned>(invocation.verbose)};
}

base::Result<ExitCode> run_chosen(const CLI::App& program, const Verbs& verbs, const Invocation& invocation,
                                  Console& console, Io& io) {
    if (!verbs.chosen()) {
        const std::string path = parsed_path(program);
        if (invocation.json) return usage_error("'" + path + "' needs a verb; '" + path + " --help' lists them all");
        io.err(help_of_parsed(program));
        return ExitCode::usage;
    }
    std::vector<base::Error> problems;
    // What shows the settings shows what is wrong with them, too.
    const bool tolerant = parsed_path(program) == kShowSettings;
    BASE_TRY(const Settings settings,
             load_settings(invocation.overrides, io.environment(), tolerant ? &problems : nullptr));
    for (const auto& problem : problems) console.warn(problem.message());
    Context context{io, console, settings, program};
    try {
        auto result = verbs.chosen()(context);
        const bool stopped = !result && io.environment().stop.stop_requested();
        if (stopped && !(result.error() == base::Errc::interrupted)) return base::Error{base::Errc::interrupted};
        return result;
    } catch (const std::exception& error) {
        return explain(error, io.environment().stop.stop_requested());
    }
}

/// The command line with everything that it can say.
struct Program {
    Program() {
        app.footer(kFooter);
        app.fallthrough();  // common options may stand after the verb
        app.require_subcommand(0, 1);
        app.formatter(std::make_shared<HelpFormatter>());
        app.set_version_flag("--version", "pelago " PELAGO_VERSION, "Print the version");
        add_common_options(app, invocation);
        add_all_verbs(verbs);
    }
    /// Text that was asked for instead of a run (--help, --version), or nothing. Errc::usage.
    base::Result<std::optional<std::string>> parse(std::span<const std::string> args) {
        try {
            // `pelago help archive backup`: as git has it.
            std::vector<std::string> words{args.begin(), args.end()};
            if (!words.empty() && words.front() == "help") {
                words.erase(words.begin());
                words.emplace_back("--help");
            }
            BASE_CHECK(check_verbs(app, words));
            std::vector<std::string> reversed{words.rbegin(), words.rend()};  // as CLI11 wants them
            app.parse(std::move(reversed));
            return std::optional<std::string>{};
        } catch (const CLI::CallForHelp&) {
            return std::optional{help_of_parsed(app)};
        } catch (const CLI::CallForVersion& version) {
            return std::optional{std::string{version.what()} + "\n"};
        } catch (const CLI::ParseError& error) {
            return explain(error, app);
        }
    }

    CLI::App app{kSummary, "pelago"};
    Invocation invocation;
    Verbs verbs{app};
};

}  // namespace

base::Result<void> check_command_line(std::span<const std::string> args) {
    Program program;
    BASE_CHECK(program.parse(args));
    return base::ok();
}

int run(std::span<const std::string> args, Io& io) {
    Program program;
    Invocation& invocation = program.invocation;
    const auto parsed = program.parse(args);
    if (parsed && *parsed) {
        const auto given = [&](std::string_view flag) { return std::ranges::find(args, flag) != args.end(); };
        io.out(given("--version") && given("--json") ? version_document().dump() + "\n" : **parsed);
        return static_cast<int>(io.finish() ? ExitCode::done : ExitCode::fatal);
    }
    // A flag may stand after what did not parse: a script that asked for JSON gets JSON.
    if (!parsed) invocation.json = invocation.json || std::ranges::find(args, "--json") != args.end();

    Console console{io, output_options_of(invocation, io.environment())};
    ExitCode exit = ExitCode::done;
    if (!parsed) {
        exit = console.fail(parsed.error());
    } else if (const auto result = run_chosen(program.app, program.verbs, invocation, console, io); result) {
        exit = *result;
        // Whoever asked for JSON and reads standard output gets a document, also of what has nothing to say.
        if (invocation.json && !console.has_printed()) {
            const auto verb = parsed_path(program.app).substr(std::string_view{"pelago "}.size());
            console.print_json({{"message_type", "done"}, {"verb", verb}, {"code", static_cast<int>(exit)}});
        }
    } else {
        exit = console.fail(result.error());
    }
    if (const auto finished = io.finish(); !finished && exit == ExitCode::done) exit = console.fail(finished.error());
    return static_cast<int>(exit);
}

}  // namespace tools
