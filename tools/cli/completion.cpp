#include "cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/families.hpp"
#include "cli/verbs.hpp"

namespace tools {

namespace {

/// A dot within a word ends nothing: "owner.key".
std::string first_sentence(const std::string& text) {
    auto sentence = text.substr(0, std::min(text.find('\n'), text.find(". ")));
    if (sentence.ends_with('.')) sentence.pop_back();
    return sentence;
}

/// Of a check for certain words, which CLI11 shows as "TYPE:{a,b}".
std::vector<std::string> values_of(const CLI::Option& option) {
    const auto type = option.get_type_name();
    const auto begin = type.find('{'), end = type.find('}');
    std::vector<std::string> values;
    if (begin == std::string::npos || end == std::string::npos) return values;
    std::istringstream words{type.substr(begin + 1, end - begin - 1)};
    for (std::string word; std::getline(words, word, ',');) values.push_back(word);
    return values;
}

void collect(const CLI::App& app, const std::string& path, std::vector<CompletionPlace>& out) {
    CompletionPlace place{path, {}, {}};
    for (const CLI::Option* option : app.get_options()) {
        const CompletionPlace::Word about{"", first_sentence(option->get_description()),
                                          option->get_items_expected_max() > 0, values_of(*option)};
        const auto add = [&](const std::string& word) { place.options.emplace_back(about).word = word; };
        for (const auto& name : option->get_snames()) add("-" + name);
        for (const auto& name : option->get_lnames()) add("--" + name);
    }
    const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* verb : verbs)
        place.verbs.push_back({verb->get_name(), first_sentence(verb->get_description()), false, {}});
    out.push_back(std::move(place));
    for (const CLI::App* verb : verbs)
        collect(*verb, path.empty() ? verb->get_name() : path + " " + verb->get_name(), out);
}

/// Between single quotes of a shell.
std::string shell_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
    return out + "'";
}

std::string joined(const std::vector<CompletionPlace::Word>& words) {
    std::string text;
    for (const auto& each : words) text += (text.empty() ? "" : " ") + each.word;
    return text;
}

/// bash and zsh share the walk: `path` is the verbs typed so far.
std::string walk(const std::vector<CompletionPlace>& places, std::string_view word_list) {
    std::string known;
    for (const auto& place : places) {
        if (!place.path.empty()) known += (known.empty() ? "" : "|") + shell_quoted(place.path);
    }
    return fmt::format(
        "    local path='' word\n"
        "    for word in {}; do\n"
        "        case \"${{path:+$path }}$word\" in\n"
        "            {}) path=\"${{path:+$path }}$word\" ;;\n"
        "        esac\n"
        "    done\n",
        word_list, known);
}

/// The word before is an option with a value: one of these, or a file. Else options after a dash, verbs where there are
/// some, and files.
std::string bash_script(const std::vector<CompletionPlace>& places) {
    std::string cases;
    std::map<std::string, std::string> values;  // of options that take one, wherever they stand
    for (const auto& place : places) {
        cases += fmt::format("        {}) verbs={} options={} ;;\n", shell_quoted(place.path),
                             shell_quoted(joined(place.verbs)), shell_quoted(joined(place.options)));
        for (const auto& option : place.options) {
            if (option.takes_value) values[option.word] = fmt::format("{}", fmt::join(option.values, " "));
        }
    }
    std::string of_option;
    for (const auto& [option, words] : values)
        of_option += fmt::format("        {}) values={} ;;\n", option, shell_quoted(words));
    return "# bash completion for pelago: source it, or save it as /etc/bash_completion.d/pelago\n"
           "_pelago() {\n" +
           walk(places, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") +
           "    local verbs='' options='' values=- common=" + shell_quoted(joined(places.front().options)) +
           "\n"
           "    local now=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
           "    case \"$path\" in\n" +
           cases +
           "    esac\n"
           "    case \"$before\" in\n" +
           of_option +
           "    esac\n"
           "    COMPREPLY=()\n"
           "    if [[ $values != - ]]; then\n"
           "        [[ -n $values ]] && COMPREPLY=($(compgen -W \"$values\" -- \"$now\"))\n"
           "    elif [[ $now == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$options $common\" -- \"$now\"))\n"
           "    elif [[ -n $verbs ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$verbs\" -- \"$now\"))\n"
           "    fi\n"
           "    return 0\n"
           "}\n"
           "complete -o default -o bashdefault -F _pelago pelago\n";
}

std::string zsh_script(const std::vector<CompletionPlace>& places) {
    std::string cases;
    const auto described = [](const CompletionPlace::Word& word) { return shell_quoted(word.word + ":" + word.help); };
    for (const auto& place : places) {
        std::string verbs;
        std::string options;
        for (const auto& verb : place.verbs) verbs += " " + described(verb);
        for (const auto& option : place.options) options += " " + described(option);
        cases += fmt::format("        {})\n            verbs=({} )\n            options=({} ) ;;\n",
                             shell_quoted(place.path), verbs, options);
    }
    std::string common;
    for (const auto& option : places.front().options) common += " " + described(option);
    return "#compdef pelago\n"
           "# zsh completion for pelago: save it as _pelago in a directory of $fpath\n"
           "_pelago() {\n" +
           walk(places, "\"${(@)words[2,CURRENT-1]}\"") +
           "    local -a verbs options common\n"
           "    common=(" +
           common +
           " )\n"
           "    case \"$path\" in\n" +
           cases +
           "    esac\n"
           "    if [[ \"${words[CURRENT]}\" == -* ]]; then\n"
           "        _describe -o option options -- common\n"
           "    elif (( ${#verbs} )); then\n"
           "        _describe verb verbs\n"
           "    else\n"
           "        _files\n"
           "    fi\n"
           "}\n"
           "compdef _pelago pelago 2>/dev/null || true\n";
}

std::string fish_script(const std::vector<CompletionPlace>& places) {
    std::string lines =
        "# fish completion for pelago: save it as ~/.config/fish/completions/pelago.fish\n"
        "function __pelago_at\n"
        "    set -l path ''\n"
        "    for word in (commandline -opc)[2..-1]\n"
        "        switch (string trim -- \"$path $word\")\n";
    std::string known;
    for (const auto& place : places) {
        if (!place.path.empty()) known += " " + shell_quoted(place.path);
    }
    lines += "            case" + known +
             "\n"
             "                set path (string trim -- \"$path $word\")\n"
             "        end\n"
             "    end\n"
             "    test \"$path\" = \"$argv[1]\"\n"
             "end\n";
    for (const auto& place : places) {
        const std::string at = "-n " + shell_quoted("__pelago_at \"" + place.path + "\"");
        for (const auto& verb : place.verbs) {
            lines += fmt::format("complete -c pelago -f {} -a {} -d {}\n", at, shell_quoted(verb.word),
                                 shell_quoted(verb.help));
        }
        for (const auto& option : place.options) {
            const bool is_long = option.word.starts_with("--");
            lines += fmt::format("complete -c pelago {} {} {} -d {}\n", place.path.empty() ? "" : at,
                                 is_long ? "-l" : "-s", option.word.substr(is_long ? 2 : 1), shell_quoted(option.help));
        }
    }
    return lines;
}

base::Result<ExitCode> print_script(Context& context, const std::string& shell) {
    const std::string script = completion_script(shell, completion_places(context.program));
    if (script.empty()) return usage_error("cannot complete for '" + shell + "': it is none of bash, zsh and fish");
    if (context.console.output().json) {
        context.console.print_json({{"shell", shell}, {"script", script}});
    } else {
        context.console.print(script);
    }
    return ExitCode::done;
}

}  // namespace

std::vector<CompletionPlace> completion_places(const CLI::App& program) {
    std::vector<CompletionPlace> places;
    collect(program, "", places);
    return places;
}

std::string completion_script(std::string_view shell, const std::vector<CompletionPlace>& places) {
    if (shell == "bash") return bash_script(places);
    if (shell == "zsh") return zsh_script(places);
    if (shell == "fish") return fish_script(places);
    return {};
}

void add_completion_verbs(Verbs& verbs) {
    const auto shell = std::make_shared<std::string>();
    verbs
        .add({"completion", "Print a completion script for bash, zsh or fish",
              "completion bash > ~/.local/share/bash-completion/completions/pelago"},
             [shell](Context& context) { return print_script(context, *shell); })
        .add_option("SHELL", *shell, "bash, zsh or fish")
        ->required();
}

}  // namespace tools
