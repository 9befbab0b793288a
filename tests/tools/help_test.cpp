// What the help says can be typed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>

#include "cli/exit_code.hpp"
#include "recorded_io.hpp"

namespace tools {
namespace {

using testing::User;

/// The words after "Verbs:" in a help text.
std::vector<std::string> verbs_of(const std::string& help) {
    std::vector<std::string> verbs;
    const auto begin = help.find("\nVerbs:\n");
    if (begin == std::string::npos) return verbs;
    std::istringstream lines{help.substr(begin + 8)};
    for (std::string line; std::getline(lines, line) && !line.empty();) {
        if (line.starts_with("  ") && line[2] != ' ') verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
    return verbs;
}

/// Calls `visit` with the path and the help of every group and verb of the program.
void walk(User& user, const std::vector<std::string>& path,
          const std::function<void(const std::vector<std::string>&, const std::string&)>& visit) {
    auto args = path;
    args.emplace_back("--help");
    const auto help = user(args);
    ASSERT_EQ(help.code, 0);
    visit(path, help.out);
    for (const auto& verb : verbs_of(help.out)) {
        auto below = path;
        below.push_back(verb);
        walk(user, below, visit);
    }
}

/// As a shell would split it: of several commands the one that is ours, up to a redirection.
std::vector<std::string> words_of(std::string line) {
    line.erase(0, std::min(line.find("pelago "), line.size()));
    line.resize(std::min(line.find(" |"), line.size()));
    std::vector<std::string> words;
    std::string word;
    bool quoted = false;
    for (const char c : line + " ") {
        if (c == '\'') {
            quoted = !quoted;
        } else if (c != ' ' || quoted) {
            word += c;
        } else if (!word.empty()) {
            words.push_back(std::exchange(word, {}));
        }
    }
    const auto end =
        std::find_if(words.begin(), words.end(), [](const auto& each) { return each[0] == '>' || each[0] == '<'; });
    words.erase(end, words.end());
    return words;
}

TEST(Help, EveryExampleParses) {
    User user;
    unsigned examples = 0;
    walk(user, {}, [&](const std::vector<std::string>& path, const std::string& help) {
        const auto begin = help.find("\nExample:\n");
        if (path.empty() || begin == std::string::npos) {
            EXPECT_FALSE(path.empty() ? false : verbs_of(help).empty()) << path.back() << " has no example";
            return;
        }
        std::istringstream lines{help.substr(begin + 10)};
        for (std::string line; std::getline(lines, line) && line.starts_with("  ");) {
            auto words = words_of(line);
            ASSERT_FALSE(words.empty()) << line;
            words.erase(words.begin());
            ++examples;
            const auto checked = check_command_line(words);
            EXPECT_TRUE(checked) << line << ": " << checked.error().detail();
            EXPECT_TRUE(std::equal(path.begin(), path.end(), words.begin())) << line << " is another verb's example";
        }
    });
    EXPECT_GT(examples, 20U);
}

TEST(Help, TheUsageLineSaysWhatIsTyped) {
    User user;
    walk(user, {}, [](const std::vector<std::string>& path, const std::string& help) {
        std::string usage = "\nUsage: pelago";
        for (const auto& word : path) usage += " " + word;
        const auto at = help.find(usage);
        ASSERT_NE(at, std::string::npos) << usage << help;
        const auto rest = help.substr(at + usage.size(), 5);
        EXPECT_TRUE(rest.starts_with(" [") || rest.starts_with(" VERB")) << usage << rest;
    });
}

TEST(Help, NamesNoVerbThatDoesNotExist) {
    User user;
    std::set<std::string> known;
    std::vector<std::string> texts;
    walk(user, {}, [&](const std::vector<std::string>& path, const std::string& help) {
        std::string name;
        for (const auto& word : path) name += (name.empty() ? "" : " ") + word;
        known.insert(name);
        texts.push_back(help);
    });
    for (int value = 1; value < 64; ++value) texts.emplace_back(advice({value, error_category()}));
    for (int value = 1; value < 64; ++value) texts.emplace_back(advice({value, base::error_category()}));
    const std::regex mention{"[' ]pelago ([a-z][a-z-]*)( [a-z][a-z-]*)?"};
    const std::set<std::string> prose{"may", "command",
                                      "node"};  // "another pelago command", "a later version of pelago may"
    for (const auto& text : texts) {
        for (std::sregex_iterator at{text.begin(), text.end(), mention}, end; at != end; ++at) {
            const std::string verb = (*at)[1];
            const std::string two = verb + (*at)[2].str();
            if (prose.contains(verb) && !at->str().starts_with("'")) continue;
            const bool group = std::any_of(known.begin(), known.end(),
                                           [&](const std::string& name) { return name.starts_with(verb + " "); });
            if (!group) {
                EXPECT_TRUE(known.contains(verb)) << at->str();
            } else if ((*at)[2].matched) {
                EXPECT_TRUE(known.contains(two)) << at->str();
            }
        }
    }
}

TEST(Help, TheVersionIsAFlagToo) {
    User user;
    const auto outcome = user({"--version"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, user({"version"}).out);
}

TEST(Help, WithJsonAMissingVerbIsAnError) {
    User user;
    for (const std::vector<std::string>& args : {std::vector<std::string>{"--json"}, {"archive", "--json"}}) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 2);
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(nlohmann::json::parse(outcome.err).at("code"), 2) << outcome.err;
    }
}

TEST(ManPages, EveryGroupAndVerbHasOneThatSaysWhatItsHelpSays) {
    User user;
    const auto directory = user.home.path() + "/man1";
    std::filesystem::create_directories(directory);
    ASSERT_EQ(user({"man-pages", directory}).code, 0);
    walk(user, {}, [&](const std::vector<std::string>& path, const std::string& help) {
        std::string file = directory + "/pelago";
        for (const auto& word : path) file += "-" + word;
        std::ifstream in{file + ".1"};
        ASSERT_TRUE(in) << file;
        const std::string page{std::istreambuf_iterator<char>{in}, {}};
        EXPECT_TRUE(page.starts_with(".TH \"pelago"));
        for (const auto& verb : verbs_of(help))
            EXPECT_NE(page.find(".B " + std::regex_replace(verb, std::regex{"-"}, "\\-")), std::string::npos);
        for (const auto* part : {".SH NAME\n", ".SH SYNOPSIS\n", ".SH OPTIONS\n", ".SH EXIT STATUS\n"})
            EXPECT_NE(page.find(part), std::string::npos) << file << part;
    });
    EXPECT_EQ(user({"man-pages", user.home.path() + "/nowhere"}).code, 1);
}

}  // namespace
}  // namespace tools
