// Completion scripts, made from the verbs themselves so that they cannot fall behind.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace tools {

/// One place on the command line: "archive backup", and what may follow.
struct CompletionPlace {
    struct Word {
        std::string word;
        std::string help;  ///< its first sentence
        bool takes_value = false;
        std::vector<std::string> values;  ///< if only these are taken; else any, and often a file
    };
    std::string path;  ///< "" is the program itself
    std::vector<Word> verbs;
    std::vector<Word> options;
};

[[nodiscard]] std::vector<CompletionPlace> completion_places(const CLI::App& program);
/// For "bash", "zsh" or "fish"; empty for any other.
[[nodiscard]] std::string completion_script(std::string_view shell, const std::vector<CompletionPlace>& places);

}  // namespace tools
