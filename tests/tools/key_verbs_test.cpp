#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.hpp"
#include "base/host/host_rng.hpp"
#include "cli/files.hpp"
#include "keys/key_file.hpp"
#include "recorded_io.hpp"

namespace tools {
namespace {

using testing::User;

/// Of a key without passphrase.
std::string recovery_file(std::uint8_t seed_byte) {
    base::Key seed{};
    seed.fill(seed_byte);
    base::host::HostRng rng;
    return KeyFile::seal(base::SigningKey{seed}, "", {"ann@desk", 0}, rng)->encode();
}

/// A user who has a key, made in a way that needs no store.
struct KeyOwner : User {
    KeyOwner() {
        home.write("recovery.key", recovery_file(0x42));
        EXPECT_EQ((*this)({"key", "import", home.path("recovery.key")}).code, 0);
    }
    std::string key_path() const { return home.path(".local/share/pelago/owner.key"); }
};

mode_t mode_of(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

TEST(Keys, WithoutAKeyTheErrorSaysHowToGetOne) {
    User user;
    const auto outcome = user({"key", "show"});
    EXPECT_EQ(outcome.code, 10);
    EXPECT_NE(outcome.err.find("'pelago key import FILE'"), std::string::npos) << outcome.err;
}

TEST(Keys, AnImportedKeyIsPrivate) {
    KeyOwner user;
    EXPECT_EQ(mode_of(user.key_path()), 0600U);
    EXPECT_FALSE(user({"key", "show", "--json"}).json().at("passphrase"));
}

TEST(Keys, ExportAndImportCarryTheSameKey) {
    KeyOwner user;
    const auto before = user({"key", "show", "--json"}).json().at("public_key");
    EXPECT_EQ(user({"key", "export", user.home.path("copy.key")}).code, 0);
    EXPECT_EQ(mode_of(user.home.path("copy.key")), 0600U);
    User other;
    EXPECT_EQ(other({"key", "import", user.home.path("copy.key")}).code, 0);
    EXPECT_EQ(other({"key", "show", "--json"}).json().at("public_key"), before);
}

TEST(Keys, APassphraseIsChangedWhereTheKeyIsNotWhereItIsNamed) {
    KeyOwner user;
    namespace fs = std::filesystem;
    fs::create_directories(user.home.path("elsewhere"));
    fs::rename(user.key_path(), user.home.path("elsewhere/the.key"));
    fs::create_symlink("../../elsewhere/the.key", user.home.path(".local/share/link"));
    fs::create_symlink("../link", user.key_path());
    user.home.write("passphrase", "correct horse");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("passphrase")}).code, 0);
    EXPECT_TRUE(fs::is_symlink(user.key_path()));
    const auto file = KeyFile::decode(base::as_bytes(user.home.read("elsewhere/the.key")));
    ASSERT_TRUE(file);
    EXPECT_TRUE(file->has_passphrase());
    EXPECT_EQ(std::distance(fs::directory_iterator{user.home.path("elsewhere")}, {}), 1);

    user.home.write("other.key", recovery_file(0x43));
    user.environment.variables["PELAGO_PASSWORD"] = "correct horse";
    EXPECT_EQ(user({"key", "import", user.home.path("other.key"), "--replace"}).code, 0);
    EXPECT_TRUE(fs::is_symlink(user.key_path()));
    EXPECT_EQ(user.home.read("elsewhere/the.key"), user.home.read("other.key"));
}

TEST(Keys, AKeyIsMadeWhereADanglingLinkLeads) {
    User user;
    std::filesystem::create_directories(user.home.path(".local/share/pelago"));
    std::filesystem::create_symlink(user.home.path("the.key"), user.home.path(".local/share/pelago/owner.key"));
    user.home.write("recovery.key", recovery_file(0x42));
    EXPECT_EQ(user({"key", "import", user.home.path("recovery.key")}).code, 0);
    EXPECT_TRUE(user.home.has("the.key"));
    EXPECT_EQ(user({"key", "show"}).code, 0);
}

TEST(Keys, AnotherHardLinkOfTheKeyFileIsTold) {
    KeyOwner user;
    std::filesystem::create_hard_link(user.key_path(), user.home.path("second"));
    user.home.write("passphrase", "correct horse");
    const auto outcome = user({"key", "passwd", "--new-password-file", user.home.path("passphrase")});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.err.find("has 1 other name (hard links): the key is still there as it was"), std::string::npos)
        << outcome.err;
}

TEST(Keys, AKeyFileThatIsCutShortIsDamage) {
    KeyOwner user;
    const auto whole = user.home.read(".local/share/pelago/owner.key");
    for (std::size_t length = 0; length + 1 < whole.size(); ++length) {
        user.home.write(".local/share/pelago/owner.key", whole.substr(0, length));
        const auto outcome = user({"key", "show"});
        ASSERT_EQ(outcome.code, 4) << length << ": " << outcome.err;
        ASSERT_NE(outcome.err.find("'pelago key import FILE --replace'"), std::string::npos) << outcome.err;
    }
}

TEST(Keys, VerbsThatOnlyActPrintADocumentForProgramsAllTheSame) {
    KeyOwner user;
    const auto verbs = std::vector<std::vector<std::string>>{{"key", "export", user.home.path("copy.key"), "--json"},
                                                             {"key", "import", user.home.path("copy.key"), "--json"},
                                                             {"key", "passwd", "--no-password", "--json"}};
    for (const auto& words : verbs) {
        EXPECT_TRUE(user(words).json().is_object()) << words[1];
    }
}

TEST(Keys, ExportNeverOverwrites) {
    KeyOwner user;
    user.home.write("precious", "do not touch");
    const auto outcome = user({"key", "export", user.home.path("precious")});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(user.home.read("precious"), "do not touch");
}

TEST(Keys, ImportingAnotherKeyNeedsReplaceAndKeepsTheOldOne) {
    KeyOwner user;
    const auto old_key = user.home.read(".local/share/pelago/owner.key");
    const auto old_name = user({"key", "show", "--json"}).json().at("public_key").get<std::string>().substr(0, 16);
    user.home.write("other.key", recovery_file(0x43));
    const auto refused = user({"key", "import", user.home.path("other.key")});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("--replace"), std::string::npos) << refused.err;
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key"), old_key);

    EXPECT_EQ(user({"key", "import", "--replace", user.home.path("other.key")}).code, 0);
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key"), user.home.read("other.key"));
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key.old-" + old_name), old_key);
}

TEST(Keys, ImportingTheSameKeyWithOtherPassphrasesNeedsReplaceToo) {
    KeyOwner user;
    EXPECT_EQ(user({"key", "import", user.home.path("recovery.key")}).code, 0) << "nothing would change";
    user.home.write("pass", "one\n");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("pass")}).code, 0);
    const auto protected_key = user.home.read(".local/share/pelago/owner.key");
    const auto refused = user({"key", "import", user.home.path("recovery.key")});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("the same key, with other passphrases; --replace"), std::string::npos) << refused.err;
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key"), protected_key);

    const auto name = user({"key", "show", "--json"}).json().at("public_key").get<std::string>().substr(0, 16);
    user.home.write(".local/share/pelago/owner.key.old-" + name, "kept earlier");
    EXPECT_EQ(user({"key", "import", "--replace", user.home.path("recovery.key")}).code, 0);
    EXPECT_FALSE(user({"key", "show", "--json"}).json().at("passphrase"));
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key.old-" + name), "kept earlier");
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key.old-" + name + "-2"), protected_key);
}

TEST(Keys, OfTwoChangesAtTheSameMomentTheSecondIsRefused) {
    KeyOwner user;
    const auto path = user.home.path(".local/share/pelago/owner.key");
    const auto before = user.home.read(".local/share/pelago/owner.key");
    const auto change = [&](std::string_view text) {
        const auto is_as_before = [&](base::ByteView now) { return base::as_text(now) == before; };
        return change_small_file(path, 10'000, is_as_before, base::as_bytes(text));
    };
    ASSERT_TRUE(change("first"));
    const auto second = change("second");
    EXPECT_EQ(second.error(), base::Errc::busy);
    EXPECT_NE(second.error().detail().find("run this one again"), std::string::npos);
    EXPECT_EQ(user.home.read(".local/share/pelago/owner.key"), "first");
}

TEST(Keys, APassphraseCanBeSetChangedAndRemoved) {
    KeyOwner user;
    user.home.write("one", "correct horse\n");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("one")}).code, 0);
    EXPECT_TRUE(user({"key", "show", "--json"}).json().at("passphrase"));
    EXPECT_EQ(mode_of(user.key_path()), 0600U);

    // Without the passphrase, without a terminal: refused, with the way to give it.
    const auto refused = user({"key", "export", user.home.path("out.key")});
    EXPECT_EQ(refused.code, 12);
    EXPECT_NE(refused.err.find("PELAGO_PASSWORD_FILE"), std::string::npos) << refused.err;
    EXPECT_FALSE(user.home.has("out.key"));

    user.environment.variables["PELAGO_PASSWORD"] = "wrong horse";
    EXPECT_EQ(user({"key", "export", user.home.path("out.key")}).code, 12);
    user.environment.variables["PELAGO_PASSWORD"] = "correct horse";
    EXPECT_EQ(user({"key", "passwd", "--no-password"}).code, 0);
    EXPECT_FALSE(user({"key", "show", "--json"}).json().at("passphrase"));
}

TEST(Keys, OnATerminalThePassphraseIsAskedFor) {
    KeyOwner user;
    user.environment.in_is_terminal = true;
    user.typed = {"battery", "staple"};
    EXPECT_EQ(user({"key", "passwd"}).code, 2) << "the two differ";
    user.typed = {"battery", "battery"};
    EXPECT_EQ(user({"key", "passwd"}).code, 0);
    user.typed = {"no", "no", "no", "battery"};
    EXPECT_EQ(user({"key", "passwd", "--no-password"}).code, 12) << "three tries";
    user.typed = {"no", "battery"};
    EXPECT_EQ(user({"key", "passwd", "--no-password"}).code, 0);
}

TEST(Keys, WithoutATerminalNothingIsAskedFor) {
    KeyOwner user;
    user.typed = {"battery", "battery"};
    const auto outcome = user({"key", "passwd"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("--new-password-file"), std::string::npos) << outcome.err;
}

TEST(Passphrases, ComeFromFileCommandOrDescriptor) {
    KeyOwner user;
    user.home.write("pass", "correct horse\nsecond line\n");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("pass")}).code, 0);
    const auto opens = [&](int n) { return user({"key", "export", user.home.path("out" + std::to_string(n))}).code; };

    user.environment.variables["PELAGO_PASSWORD_FILE"] = user.home.path("pass");
    EXPECT_EQ(opens(1), 0);
    user.environment.variables.erase("PELAGO_PASSWORD_FILE");
    user.environment.variables["PELAGO_PASSWORD_COMMAND"] = "echo correct horse";
    EXPECT_EQ(opens(2), 0);
    user.environment.variables["PELAGO_PASSWORD_COMMAND"] = "exit 3";
    EXPECT_NE(opens(3), 0);
    user.environment.variables["PELAGO_PASSWORD"] = "correct horse";
    EXPECT_EQ(opens(4), 2) << "two at one level";
}

TEST(Passphrases, AFlagGoesBeforeTheEnvironment) {
    KeyOwner user;
    user.home.write("pass", "correct horse\n");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("pass")}).code, 0);
    user.environment.variables["PELAGO_PASSWORD"] = "wrong";
    EXPECT_EQ(user({"key", "export", user.home.path("out"), "--password-file", user.home.path("pass")}).code, 0);
}

/// A key with the passphrases "first" and "second".
struct TwoPassphrases : KeyOwner {
    TwoPassphrases() {
        home.write("first", "first\n");
        home.write("second", "second\n");
        EXPECT_EQ((*this)({"key", "passwd", "--new-password-file", home.path("first")}).code, 0);
        give("first");
        EXPECT_EQ((*this)({"key", "add", "--label", "bob", "--new-password-file", home.path("second")}).code, 0);
    }
    void give(const std::string& passphrase) { environment.variables["PELAGO_PASSWORD"] = passphrase; }
    bool opens(const std::string& passphrase) {
        give(passphrase);
        const bool opened = (*this)({"key", "export", home.path("out")}).code == 0;
        std::filesystem::remove(home.path("out"));
        return opened;
    }
    std::vector<std::string> labels() {
        std::vector<std::string> out;
        for (const auto& one : (*this)({"key", "list", "--json"}).json()) out.push_back(one.at("label"));
        return out;
    }
};

TEST(Keys, EachOfSeveralPassphrasesOpensTheKey) {
    TwoPassphrases user;
    EXPECT_TRUE(user.opens("first"));
    EXPECT_TRUE(user.opens("second"));
    EXPECT_FALSE(user.opens("third"));
    EXPECT_EQ(user.labels(), (std::vector<std::string>{"ann@desk", "bob"}));
    EXPECT_EQ(mode_of(user.key_path()), 0600U);
}

TEST(Keys, PasswdChangesThePassphraseThatWasGiven) {
    TwoPassphrases user;
    user.home.write("third", "third\n");
    user.give("second");
    EXPECT_EQ(user({"key", "passwd", "--new-password-file", user.home.path("third")}).code, 0);
    EXPECT_TRUE(user.opens("first"));
    EXPECT_TRUE(user.opens("third"));
    EXPECT_FALSE(user.opens("second"));
    EXPECT_EQ(user.labels(), (std::vector<std::string>{"ann@desk", "bob"}));
    user.give("first");
    EXPECT_EQ(user({"key", "passwd", "--no-password"}).code, 2) << "while there is another";
}

TEST(Keys, APassphraseThatIsRemovedOpensNothingAnyMore) {
    TwoPassphrases user;
    user.give("second");
    EXPECT_EQ(user({"key", "remove", "bob"}).code, 2) << "it is the one that was given";
    EXPECT_EQ(user({"key", "remove", "3"}).code, 2);
    EXPECT_EQ(user({"key", "remove", "1"}).code, 0);
    EXPECT_FALSE(user.opens("first"));
    EXPECT_TRUE(user.opens("second"));
    EXPECT_EQ(user({"key", "remove", "bob"}).code, 2) << "it is the last";
    EXPECT_EQ(user.labels(), std::vector<std::string>{"bob"});
}

TEST(Keys, NoPassphraseIsAddedTwiceUnderOneLabelOrToAnOpenKey) {
    TwoPassphrases user;
    user.home.write("third", "third\n");
    user.give("first");
    EXPECT_EQ(user({"key", "add", "--new-password-file", user.home.path("second")}).code, 2);
    EXPECT_EQ(user({"key", "add", "--label", "bob", "--new-password-file", user.home.path("third")}).code, 2);
    user.give("fourth");
    EXPECT_EQ(user({"key", "add", "--new-password-file", user.home.path("third")}).code, 12);
    KeyOwner open;
    open.home.write("pass", "pass\n");
    const auto refused = open({"key", "add", "--new-password-file", open.home.path("pass")});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("'pelago key passwd'"), std::string::npos) << refused.err;
}

TEST(Keys, ResticsVerbsOfArchiveKeyAreTheSameOnes) {
    TwoPassphrases user;
    user.give("first");
    EXPECT_EQ(user({"archive", "key", "list", "--json"}).json(), user({"key", "list", "--json"}).json());
    EXPECT_EQ(user({"archive", "key", "remove", "bob"}).code, 0);
    EXPECT_EQ(user.labels(), std::vector<std::string>{"ann@desk"});
}

TEST(Keys, ADamagedKeyFileIsDamageAndAStrangeOneIsNot) {
    KeyOwner user;
    auto text = user.home.read(".local/share/pelago/owner.key");
    const auto at = text.find('\n') + 20;
    text[at] = text[at] == 'A' ? 'B' : 'A';
    user.home.write(".local/share/pelago/owner.key", text);
    EXPECT_EQ(user({"key", "show"}).code, 4);
    user.home.write(".local/share/pelago/owner.key", "not a key\n");
    EXPECT_EQ(user({"key", "show"}).code, 1);
}

TEST(Keys, AKeyThatOthersCanReadIsWarnedOf) {
    KeyOwner user;
    ASSERT_EQ(::chmod(user.key_path().c_str(), 0644), 0);
    EXPECT_NE(user({"key", "show"}).err.find("warning"), std::string::npos);
}

}  // namespace
}  // namespace tools
