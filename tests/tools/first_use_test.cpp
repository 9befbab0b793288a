// What was here once and is not any more: keys, identities, marks. Nothing is made anew in silence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/hash.hpp"
#include "recorded_io.hpp"

namespace tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::Scratch;
using testing::User;

struct FirstUser : User {
    FirstUser() { source.write("a.txt", "first"); }

    testing::Outcome backup(std::vector<std::string> more = {}) {
        std::vector<std::string> args{"archive", "backup", source.path()};
        args.insert(args.end(), more.begin(), more.end());
        return (*this)(args);
    }
    [[nodiscard]] std::string data(const std::string& name) const { return home.path(".local/share/pelago/" + name); }
    [[nodiscard]] std::string mark() const {
        for (const auto& file : std::filesystem::directory_iterator{data("client/marks")}) return file.path();
        return {};
    }
    void damage(const std::string& path, int at = 50) const {
        std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
        file.seekg(at);
        const int was = file.get();
        file.seekp(at);
        file.put(was == 'A' ? 'B' : 'A');
    }

    Scratch source;
};

TEST(FirstUse, ALostKeyIsNotReplacedByAnother) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    ASSERT_EQ(user({"key", "export", user.home.path("recovery")}).code, 0);
    std::filesystem::remove(user.data("owner.key"));
    for (const std::vector<std::string>& args : {std::vector<std::string>{"archive", "backup", user.source.path()},
                                                 {"archive", "snapshots"},
                                                 {"key", "show"}}) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 12) << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("pelago key import FILE"));
        EXPECT_THAT(outcome.err, HasSubstr(user.data("owner.key")));
    }
    EXPECT_FALSE(std::filesystem::exists(user.data("owner.key")));
    EXPECT_EQ(user({"key", "import", user.home.path("recovery")}).code, 0);
    EXPECT_EQ(user({"archive", "snapshots", "--json"}).json().size(), 1U);
}

TEST(FirstUse, ADryRunAsTheVeryFirstCommandSaysWhatABackupWouldDoAndMakesNothing) {
    FirstUser user;
    const auto before = user.home.path("");
    const auto outcome = user.backup({"--dry-run", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.json().at("files_new"), 1);
    EXPECT_EQ(outcome.json().at("data_added"), 5);
    EXPECT_TRUE(std::filesystem::is_empty(before)) << "no key, no store";
    EXPECT_EQ(user.backup({"--dry-run", "--volume", "letters"}).code, 10) << "as the backup itself would say";
    ASSERT_EQ(user({"volume", "create", "letters"}).code, 0);
    EXPECT_EQ(user.backup({"--dry-run"}).code, 0) << "a key, and no volume yet";
}

TEST(FirstUse, ALostKeyIsNoticedByTheBlocksAlone) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    std::filesystem::remove(user.data("owner.key"));
    std::filesystem::remove_all(user.data("client"));
    EXPECT_EQ(user.backup().code, 12);
}

TEST(FirstUse, AKeyFileThatWasNamedIsNeverMadeByABackup) {
    FirstUser user;
    const auto named = user.home.path("my.key");
    const auto outcome = user.backup({"--key-file", named});
    EXPECT_EQ(outcome.code, 12);
    EXPECT_THAT(outcome.err, HasSubstr(named + " (from --key-file)"));
    EXPECT_FALSE(std::filesystem::exists(named));
    EXPECT_EQ(user({"volume", "create", "archive", "--key-file", named}).code, 0);
    EXPECT_EQ(user.backup({"--key-file", named}).code, 0);
}

TEST(FirstUse, AnEmptyPathIsNoPath) {
    FirstUser user;
    for (const auto* flag : {"--dir", "--key-file"}) {
        const auto outcome = user.backup({flag, ""});
        EXPECT_EQ(outcome.code, 2) << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr(std::string{"from "} + flag));
    }
    user.environment.variables["PELAGO_DIR"] = "";
    const auto outcome = user.backup();
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("from PELAGO_DIR: it must be a path"));
}

TEST(FirstUse, ADamagedKeyIsDamageAndTheRecoveryFileMendsIt) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    ASSERT_EQ(user({"key", "export", user.home.path("recovery")}).code, 0);
    user.damage(user.data("owner.key"));
    const auto outcome = user.backup();
    EXPECT_EQ(outcome.code, 4) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("pelago key import FILE --replace"));
    EXPECT_EQ(user({"key", "import", user.home.path("recovery")}).code, 1);
    EXPECT_EQ(user({"key", "import", user.home.path("recovery"), "--replace"}).code, 0);
    EXPECT_TRUE(std::filesystem::exists(user.data("owner.key.damaged")));
    EXPECT_EQ(user.backup().code, 0);
}

TEST(FirstUse, ADamagedMarkIsDamageAndNamesItsFile) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    user.damage(user.mark());
    const auto outcome = user({"archive", "snapshots"});
    EXPECT_EQ(outcome.code, 4) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(std::filesystem::path{user.mark()}.filename().string()));
    std::filesystem::remove(user.mark());
    EXPECT_EQ(user({"archive", "snapshots", "--json"}).json().size(), 1U);
}

TEST(FirstUse, AnIdentityThatIsLostOrDamagedComesBackFromTheStore) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    const auto identity = user.data("node/lone.id");
    const auto before = user.home.read(".local/share/pelago/node/lone.id");
    for (const bool lost : {true, false}) {
        if (lost) {
            std::filesystem::remove(identity);
        } else {
            user.damage(identity);
        }
        const auto outcome = user({"archive", "snapshots"});
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr(lost ? "lone.id was missing" : "lone.id was damaged"));
        EXPECT_EQ(user.home.read(".local/share/pelago/node/lone.id"), before);
        EXPECT_THAT(user({"archive", "snapshots"}).err, Not(HasSubstr("lone.id")));
    }
    EXPECT_EQ(user.backup().code, 0);
}

TEST(FirstUse, ADamagedIdentityIsNotTakenForOneOfALaterVersion) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    for (const int at : {0, 1, 2, 3, 40, 71}) {
        user.damage(user.data("node/lone.id"), at);
        const auto outcome = user({"archive", "snapshots"});
        EXPECT_EQ(outcome.code, 0) << at << ": " << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("lone.id was damaged"));
    }
    std::filesystem::resize_file(user.data("node/lone.id"), 0);
    EXPECT_EQ(user({"archive", "snapshots"}).code, 0);
    auto later = user.home.read(".local/share/pelago/node/lone.id").substr(0, 68);
    later[3] = '2';
    const auto sum = base::crc32c(base::as_bytes(later));
    for (unsigned i = 0; i < 4; ++i) later.push_back(static_cast<char>(sum >> (8 * i)));
    user.home.write(".local/share/pelago/node/lone.id", later);
    const auto outcome = user({"archive", "snapshots"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("a later version of pelago may know it"));
    EXPECT_EQ(user.home.read(".local/share/pelago/node/lone.id"), later);
}

TEST(FirstUse, AnIdentityOfAnotherStoreIsRefused) {
    FirstUser user;
    FirstUser other;
    ASSERT_EQ(user.backup().code, 0);
    ASSERT_EQ(other.backup().code, 0);
    const auto replace = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(other.data("node/lone.id"), user.data("node/lone.id"), replace);
    const auto outcome = user.backup();
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("another store"));
    EXPECT_THAT(outcome.err, HasSubstr("node/lone.id"));
    std::filesystem::remove(user.data("node/lone.id"));
    EXPECT_EQ(user.backup().code, 0);
}

TEST(FirstUse, AnEmptyKeyFileIsDamageAndNotMistakenForAKeyOfOldOrNoKey) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    ASSERT_EQ(user({"key", "export", user.home.path("recovery")}).code, 0);
    std::filesystem::resize_file(user.data("owner.key"), 0);
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"archive", "snapshots"}, {"key", "show"}, {"volume", "create", "photos"}}) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 4) << outcome.err;
        EXPECT_EQ(outcome.err, "pelago: cannot use " + user.data("owner.key") +
                                   ", which is empty: the file of the owner key is damaged; 'pelago key import FILE "
                                   "--replace' brings the key back from its recovery file\n");
    }
    EXPECT_EQ(user({"key", "import", user.home.path("recovery"), "--replace"}).code, 0);
    EXPECT_EQ(user({"archive", "snapshots"}).code, 0);
}

TEST(FirstUse, AFileThatIsNoKeyIsToldApartFromADamagedOne) {
    FirstUser user;
    user.home.write(".local/share/pelago/owner.key", "dear ada\n");
    const auto outcome = user({"key", "show"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.err, "pelago: cannot use " + user.data("owner.key") +
                               ": the key file does not hold an owner key; 'pelago key import FILE --replace' "
                               "puts another one there: malformed data\n");
}

TEST(FirstUse, ADamagedMarkIsNamedWithItsWholePath) {
    FirstUser user;
    ASSERT_EQ(user.backup().code, 0);
    const auto mark = user.mark();
    for (const bool empty : {false, true}) {
        empty ? std::filesystem::resize_file(mark, 0) : user.damage(mark);
        const auto outcome = user({"archive", "snapshots"});
        EXPECT_EQ(outcome.code, 4);
        EXPECT_THAT(outcome.err,
                    HasSubstr("cannot open volume 'archive': " + mark + ", this client's note of the newest state"));
    }
    EXPECT_THAT(user({"volume", "list"}).err, HasSubstr("volume 'archive': cannot open it: " + mark));
}

}  // namespace
}  // namespace tools
