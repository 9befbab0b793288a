#include "config/settings.hpp"

#include <gtest/gtest.h>

#include "recorded_io.hpp"

namespace tools {
namespace {

using testing::User;

TEST(Settings, WithoutAnythingTheDefaultsAreInForce) {
    User user;
    const auto shown = user({"config", "show", "--json"}).json().at("settings");
    EXPECT_EQ(shown.at("volume").at("value"), "archive");
    EXPECT_EQ(shown.at("volume").at("source"), "default");
    EXPECT_EQ(shown.at("dir").at("value"), user.home.path(".local/share/pelago"));
    EXPECT_EQ(shown.at("key_file").at("value"), user.home.path(".local/share/pelago/owner.key"));
}

TEST(Settings, RootKeepsItsDataInVarLib) {
    User user;
    user.environment.user_id = 0;
    EXPECT_EQ(user({"config", "show", "--json"}).json().at("settings").at("dir").at("value"), "/var/lib/pelago");
    user.environment.variables["XDG_DATA_HOME"] = "/data";
    EXPECT_EQ(user({"config", "show", "--json"}).json().at("settings").at("dir").at("value"), "/data/pelago");
}

TEST(Settings, FlagsGoBeforeTheEnvironmentAndThatBeforeTheFile) {
    User user;
    user.home.write(".config/pelago/pelago.toml", "dir = '/from/file'\nvolume = 'photos'\n");
    auto value = [&](std::vector<std::string> args) { return user(std::move(args)).json().at("settings").at("dir"); };
    EXPECT_EQ(value({"config", "show", "--json"}).at("value"), "/from/file");
    EXPECT_EQ(value({"config", "show", "--json"}).at("source"), user.home.path(".config/pelago/pelago.toml"));
    user.environment.variables["PELAGO_DIR"] = "/from/env";
    EXPECT_EQ(value({"config", "show", "--json"}).at("value"), "/from/env");
    EXPECT_EQ(value({"config", "show", "--json"}).at("source"), "PELAGO_DIR");
    EXPECT_EQ(value({"--dir", "/from/flag", "config", "show", "--json"}).at("value"), "/from/flag");
    EXPECT_EQ(value({"config", "show", "--json", "--dir=/from/flag"}).at("source"), "--dir");
}

TEST(Settings, TheFileLivesWhereXdgSays) {
    User user;
    user.environment.variables["XDG_CONFIG_HOME"] = user.home.path("xdg");
    user.home.write("xdg/pelago/pelago.toml", "volume = 'x'\n");
    EXPECT_EQ(user({"config", "show", "--json"}).json().at("settings").at("volume").at("value"), "x");
}

TEST(Settings, AByteOrderMarkBeforeThemIsNoPartOfThem) {
    User user;
    user.home.write(".config/pelago/pelago.toml", "\xEF\xBB\xBFvolume = 'x'\r\n");
    EXPECT_EQ(user({"config", "show", "--json"}).json().at("settings").at("volume").at("value"), "x");
}

TEST(Settings, ARateIsKibibytesOrASize) {
    User user;
    for (const auto* good : {"500", "2M", "0", "1.5MiB"}) {
        EXPECT_EQ(user({"--limit-upload", good, "config", "show"}).err, "") << good;
    }
    for (const auto* bad : {"fast", "-1", "10X"}) {
        const auto outcome = user({"--limit-download", bad, "volume", "list"});
        EXPECT_EQ(outcome.code, 2) << bad;
        EXPECT_NE(outcome.err.find("it must be KiB a second, like 500, or a size a second, like 2M"), std::string::npos)
            << outcome.err;
    }
}

TEST(Settings, AnUnknownKeyIsRefusedByNameAndLine) {
    User user;
    user.home.write(".config/pelago/pelago.toml", "# mine\nvolum = 'photos'\n");
    const auto outcome = user({"volume", "list"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("line 2: 'volum' is not a setting; did you mean 'volume'?"), std::string::npos)
        << outcome.err;
    EXPECT_EQ(outcome.out, "");
}

TEST(Settings, AFileThatIsNoTomlIsRefusedWithItsLine) {
    User user;
    user.home.write(".config/pelago/pelago.toml", "volume = \n");
    const auto outcome = user({"volume", "list"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("line 1"), std::string::npos) << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
}

TEST(Settings, AValueOfTheWrongKindIsRefusedWithItsSource) {
    User user;
    user.environment.variables["PELAGO_CAPACITY"] = "lots";
    const auto outcome = user({"volume", "list"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("capacity = 'lots' from PELAGO_CAPACITY"), std::string::npos) << outcome.err;
}

TEST(Settings, ACacheOfNothingIsASize) {
    User user;
    user.environment.variables["PELAGO_CACHE"] = "0";
    EXPECT_EQ(user({"config", "show", "--json"}).json().at("settings").at("cache").at("value"), "0");
    user.environment.variables["PELAGO_CACHE"] = "off";
    EXPECT_EQ(user({"volume", "list"}).code, 2);
}

TEST(Settings, ANamedFileMustExist) {
    User user;
    user.environment.variables["PELAGO_CONFIG"] = user.home.path("none.toml");
    EXPECT_EQ(user({"volume", "list"}).code, 2);
}

TEST(Settings, ForPeopleTheyAreATable) {
    User user;
    const auto outcome = user({"config", "show"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.out.starts_with("SETTING")) << outcome.out;
}

}  // namespace
}  // namespace tools
