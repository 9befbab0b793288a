// A wrong argument is told as one (exit code 2) before anything is looked for that may not be there: a key, a network,
// a running node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorded_io.hpp"

namespace tools {
namespace {

using ::testing::HasSubstr;
using testing::User;

TEST(Arguments, AreCheckedBeforeAnythingIsContacted) {
    User user;  // has joined nothing
    const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
        {{"publish", ""}, "an object has a name"},
        {{"unpublish", "two\nlines"}, "an object has a name"},
        {{"locate", std::string(256, 'x')}, "an object has a name"},
        {{"send", "", "hello"}, "an object has a name"},
        {{"send", "41", "hello", "--replicas", "17"}, "--replicas"},
        {{"route", "zz"}, "'zz' is not 1 to 64 hexadecimal digits"},
        {{"route", ""}, "'' is not 1 to 64 hexadecimal digits"},
        {{"trace", std::string(65, 'a')}, "is not 1 to 64 hexadecimal digits"},
        {{"ping", "zz"}, "'zz' is not 1 to 64 hexadecimal digits"},
        {{"get", "zz"}, "'zz' is not the id of a block"},
        {{"remove", "zz"}, "'zz' is not the id of a block"},
        {{"network", "policy", "--copies", "17"}, "--copies"},
        {{"network", "policy", "--min-copies", "0"}, "--min-copies"},
        {{"network", "policy", "--copies", "2", "--min-copies", "3"}, "--min-copies cannot be more than --copies"},
        {{"network", "policy", "--repair-after", "soon"}, "--repair-after takes a time"},
        {{"network", "invite", "--valid", "soon"}, "--valid takes a time"},
        {{"network", "invite", "--valid", "400d"}, "at most a year"},
        {{"node", "run", "--listen", "here"}, "--listen takes an address and a port"},
        {{"node", "run", "--advertise", "here"}, "--advertise takes an address and a port"},
        {{"node", "run", "--heartbeat", "0"}, "--heartbeat takes a time"},
        {{"archive", "snapshots", "--volume", " x"}, "cannot name a volume"},
        {{"archive", "restore", "latest", "--target", user.home.path("out"), "--volume", "a\nb"},
         "cannot name a volume"},
        {{"volume", "info", "a\nb"}, "cannot name a volume"},
    };
    for (const auto& [args, words] : wrong) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 2) << args[0] << " " << args[1] << ": " << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr(words)) << args[0];
    }
    EXPECT_EQ(user({"publish", "41"}).code, 5) << "a right one needs its network";
    EXPECT_EQ(user({"publish", "my-photos"}).code, 5) << "and so does a name";
    EXPECT_FALSE(user.home.has(".local")) << "nothing was made on the way";
}

TEST(Arguments, AFileOfAPassphraseThatCannotBeReadIsNamedWithItsReason) {
    User user;
    const auto key = user.home.path("owner.key");
    user.home.write("pass", "correct horse\n");
    user.home.write("empty", "");
    user.home.write("long", std::string(5000, 'x'));
    ASSERT_EQ(user({"--key-file", key, "--password-file", user.home.path("pass"), "volume", "create", "archive"}).code,
              0);
    const std::vector<std::pair<std::string, std::string>> files{
        {user.home.path("none"), "no such file"},
        {user.home.path(), "Is a directory"},
        {user.home.path("empty"), "it is empty"},
        {user.home.path("long"), "it is longer than a passphrase"}};
    for (const auto& [path, reason] : files) {
        const auto by_flag = user({"--key-file", key, "--password-file", path, "archive", "snapshots"});
        EXPECT_EQ(by_flag.code, 2);
        EXPECT_EQ(by_flag.err, "pelago: cannot take a passphrase from " + path + " (--password-file): " + reason +
                                   "; 'pelago config show' prints the effective settings and where each comes from\n");
        user.environment.variables["PELAGO_PASSWORD_FILE"] = path;
        const auto by_variable = user({"--key-file", key, "archive", "snapshots"});
        EXPECT_EQ(by_variable.code, 2);
        EXPECT_THAT(by_variable.err, HasSubstr(path + " (PELAGO_PASSWORD_FILE): " + reason));
        user.environment.variables.erase("PELAGO_PASSWORD_FILE");
        user.environment.variables["PELAGO_PASSWORD"] = "correct horse";
        const auto changed = user({"--key-file", key, "key", "passwd", "--new-password-file", path});
        EXPECT_EQ(changed.code, 2);
        EXPECT_THAT(changed.err, HasSubstr(path + " (--new-password-file): " + reason));
        user.environment.variables.erase("PELAGO_PASSWORD");
    }
}

}  // namespace
}  // namespace tools
