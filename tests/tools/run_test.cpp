#include "cli/run.hpp"

#include <gtest/gtest.h>

#include "recorded_io.hpp"

namespace tools {
namespace {

using testing::RecordedIo;
using testing::User;

TEST(Run, VersionIsOneLine) {
    User user;
    const auto outcome = user({"version"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "pelago 0.1.0\n");
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(user({"version", "--json"}).json().at("version"), "0.1.0");
    EXPECT_EQ(user({"--version", "--json"}).json(), user({"version", "--json"}).json());
    EXPECT_EQ(user({"--json", "--version"}).json(), user({"version", "--json"}).json());
}

TEST(Run, NothingAtAllShowsTheHelpAndIsAUsageError) {
    User user;
    const auto outcome = user({});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("archive"), std::string::npos);
}

TEST(Run, HelpGoesToStandardOutput) {
    User user;
    for (const std::vector<std::string>& args : {std::vector<std::string>{"--help"}, {"-h"}, {"key", "--help"}}) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 0);
        EXPECT_EQ(outcome.err, "");
        EXPECT_NE(outcome.out.find("Usage: pelago"), std::string::npos) << outcome.out;
    }
}

TEST(Run, AnUnknownVerbIsRefusedWithASuggestion) {
    User user;
    const auto outcome = user({"verison"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err,
              "pelago: 'verison' is not a verb of 'pelago'; did you mean 'version'? 'pelago --help' lists them all\n");
    EXPECT_EQ(
        user({"--dir", "/x", "key", "exprot"}).err,
        "pelago: 'exprot' is not a verb of 'pelago key'; did you mean 'export'? 'pelago key --help' lists them all\n");
}

TEST(Run, AnUnknownOptionIsRefusedAndNamesTheHelp) {
    User user;
    const auto outcome = user({"key", "show", "--frob"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, "pelago: cannot understand '--frob'; see 'pelago key show --help'\n");
}

TEST(Run, AMissingArgumentIsAUsageError) {
    User user;
    const auto outcome = user({"key", "export"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find("FILE"), std::string::npos) << outcome.err;
}

TEST(Run, WithJsonAnErrorIsAnObjectWithItsCode) {
    User user;
    for (const std::vector<std::string>& args : {std::vector<std::string>{"frobnicate", "--json"},
                                                 {"--json", "key", "show", "--frob"},
                                                 {"completion", "tcsh", "--json"}}) {
        const auto outcome = user(args);
        const auto object = nlohmann::json::parse(outcome.err);
        EXPECT_EQ(outcome.code, 2);
        EXPECT_EQ(object.at("message_type"), "exit_error");
        EXPECT_EQ(object.at("code"), 2);
        EXPECT_TRUE(object.at("message").is_string());
        EXPECT_EQ(outcome.out, "");
    }
}

TEST(Run, OutputThatWasLostIsAFailure) {
    RecordedIo io{User{}.around};
    io.finish_ = base::Error{base::Errc::no_space, "cannot write to standard output"};
    const std::vector<std::string> args{"version"};
    EXPECT_EQ(run(args, io), 6);
    EXPECT_EQ(std::ranges::count(io.err_, '\n'), 1) << io.err_;
}

TEST(Completion, EveryShellKnowsEveryVerb) {
    User user;
    for (const auto* shell : {"bash", "zsh", "fish"}) {
        const auto outcome = user({"completion", shell});
        EXPECT_EQ(outcome.code, 0);
        for (const auto* word : {"export", "new-password-file", "completion", "json"}) {
            EXPECT_NE(outcome.out.find(word), std::string::npos) << shell << " " << word;
        }
    }
}

}  // namespace
}  // namespace tools
