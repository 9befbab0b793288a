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
    EXPECT_EQ(user({"backup", "/x"}).err,
              "pelago: 'backup' is not a verb of 'pelago'; did you mean 'pelago archive backup'? 'pelago --help' lists "
              "them all\n");
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
    RecordedIo io{User{}.environment};
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

TEST(Completion, ADescriptionGoesOnAfterADotWithinAWord) {
    User user;
    EXPECT_NE(user({"completion", "zsh"}).out.find("owner.key in the data directory"), std::string::npos);
}

TEST(Run, AMistypedOptionNamesTheOneThatWasMeant) {
    User user;
    for (const auto& [args, meant] : std::vector<std::pair<std::vector<std::string>, const char*>>{
             {{"archive", "backup", "--exlude", "x"}, "did you mean '--exclude'?"},
             {{"node", "status", "--jsn"}, "did you mean '--json'?"}}) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 2);
        EXPECT_NE(outcome.err.find(meant), std::string::npos) << outcome.err;
    }
    EXPECT_EQ(user({"node", "status", "--frobnicate"}).err.find("did you mean"), std::string::npos);
}

TEST(Run, HelpIsAVerbToo) {
    User user;
    EXPECT_EQ(user({"help"}).out, user({"--help"}).out);
    EXPECT_EQ(user({"help", "archive", "backup"}).out, user({"archive", "backup", "--help"}).out);
    EXPECT_EQ(user({"help", "archive", "bakup"}).code, 2);
}

TEST(Run, ASettingThatCannotBeUsedIsShownAndStopsEverythingElse) {
    User user;
    user.home.write(".config/pelago/pelago.toml", "capacity = \"much\"\n");
    const auto shown = user({"config", "show"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_NE(shown.err.find("capacity = 'much'"), std::string::npos) << shown.err;
    EXPECT_NE(shown.out.find("volume"), std::string::npos);
    EXPECT_EQ(user({"archive", "snapshots"}).code, 2);
    user.home.write(".config/pelago/pelago.toml", "capacity = [\n");
    EXPECT_EQ(user({"config", "show"}).code, 0);
}

TEST(Run, ColoursAreForTerminalsThatWantThem) {
    User user;
    const auto colored = [&](std::vector<std::string> args) {
        return user(std::move(args)).err.find("\x1b[31m") != std::string::npos;
    };
    EXPECT_FALSE(colored({"key", "show"}));
    user.environment.err_is_terminal = true;
    user.environment.variables["TERM"] = "xterm";
    EXPECT_TRUE(colored({"key", "show"}));
    EXPECT_FALSE(colored({"key", "show", "--no-color"}));
    user.environment.variables["NO_COLOR"] = "1";
    EXPECT_FALSE(colored({"key", "show"}));
}

TEST(Run, WithJsonEveryVerbOfTheKeyPrintsADocument) {
    User user;
    ASSERT_EQ(user({"volume", "create", "v"}).code, 0);
    EXPECT_EQ(user({"key", "export", user.home.path("recovery"), "--json"}).json().at("file"),
              user.home.path("recovery"));
    EXPECT_EQ(user({"key", "import", user.home.path("recovery"), "--json"}).json().at("replaced"), false);
    user.home.write("new", "secret\n");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("new"), "--json"}).json().at("passphrase"),
              true);
    EXPECT_EQ(user({"completion", "bash", "--json"}).json().at("shell"), "bash");
}

}  // namespace
}  // namespace tools
