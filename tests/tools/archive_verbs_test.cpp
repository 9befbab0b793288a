// The archive verbs over a real store in a scratch directory, in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "archivist.hpp"
#include "cli/base64.hpp"

namespace tools {
namespace {

using testing::Archivist;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Outcome;
using testing::Scratch;
using testing::User;

TEST(Archive, VerboseNamesEachFileAndWhatBecameOfIt) {
    Archivist user;
    const auto first = user({"archive", "backup", user.source.path(), "-v"});
    EXPECT_THAT(first.out, HasSubstr("new       " + user.source.path("a.txt") + "\n"));
    EXPECT_THAT(first.out, HasSubstr("new       " + user.source.path("sub") + "/\n"));
    user.source.write("sub/b.txt", "another text");
    const auto second = user({"archive", "backup", user.source.path(), "--json", "-v"});
    std::map<std::string, std::string> told;
    for (const auto& line : second.lines()) {
        if (line.at("message_type") == "verbose_status") told[line.at("item")] = line.at("action");
    }
    EXPECT_EQ(told.at(user.source.path("sub/b.txt")), "modified");
    EXPECT_EQ(told.at(user.source.path("a.txt")), "unchanged");
    EXPECT_THAT(user({"archive", "backup", user.source.path()}).out, Not(HasSubstr("unchanged ")));
}

TEST(Archive, AByteOrderMarkIsNoPartOfAListOfPathsOrPatternsOrAPassphrase) {
    Archivist user;
    const std::string mark = "\xEF\xBB\xBF";
    user.source.write("lists/paths", mark + user.source.path("sub") + "\n");
    user.source.write("lists/excludes", mark + "*.o\n");
    user.source.write("lists/password", mark + "secret\n");
    const auto outcome =
        user({"archive", "backup", "--json", "--files-from", user.source.path("lists/paths"), "--exclude-file",
              user.source.path("lists/excludes"), "--password-file", user.source.path("lists/password")});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.lines().back().at("files_new"), 1);
    user.source.write("lists/password", "secret\n");
    EXPECT_EQ(user({"archive", "snapshots", "--password-file", user.source.path("lists/password")}).code, 0);
    const auto key = user.home.read(".local/share/pelago/owner.key");
    user.home.write(".local/share/pelago/owner.key", mark + key);
    EXPECT_EQ(user({"archive", "snapshots", "--password-file", user.source.path("lists/password")}).code, 0);
}

TEST(Archive, ATimeInTheFutureIsWarnedOfAndATimeOutOfRangeRefused) {
    Archivist user;
    user.backup({"--time", "2200-01-01"});
    const auto next = user({"archive", "backup", user.source.path()});
    EXPECT_EQ(next.code, 0);
    EXPECT_THAT(next.err, HasSubstr("the snapshot before is dated 2200-01-01"));
    EXPECT_THAT(user({"archive", "backup", user.source.path()}).err, Not(HasSubstr("2200"))) << "not for ever";
    for (const auto* time : {"1600-01-01", "2300-01-01 00:00:00"}) {
        const auto refused = user({"archive", "backup", user.source.path(), "--time", time});
        EXPECT_EQ(refused.code, 2);
        EXPECT_THAT(refused.err, HasSubstr("between the years 1678 and 2261"));
    }
}

TEST(Archive, ABackupComesBack) {
    Archivist user;
    user.backup();
    EXPECT_EQ(user.restore("latest").code, 0);
    EXPECT_EQ(user.target.read(user.restored("a.txt")), "first");
    EXPECT_EQ(user.target.read(user.restored("sub/b.txt")), "second");
}

TEST(Archive, ASnapshotThatIsNotInADamagedListMayBeLostAndIsNoTypingMistake) {
    Archivist user;
    user.backup();
    for (const auto& args : std::vector<std::vector<std::string>>{{"restore", "ffff", "--target", user.target.path()},
                                                                  {"ls", "ffff"},
                                                                  {"backup", user.source.path(), "--parent", "ffff"}}) {
        auto words = args;
        words.insert(words.begin(), "archive");
        EXPECT_EQ(user(words).code, 1) << args[0];
    }
    user.lose_segments();
    for (const auto& args : std::vector<std::vector<std::string>>{{"restore", "ffff", "--target", user.target.path()},
                                                                  {"restore", "latest", "--target", user.target.path()},
                                                                  {"ls", "ffff"},
                                                                  {"ls", "latest"},
                                                                  {"backup", user.source.path(), "--parent", "ffff"}}) {
        auto words = args;
        words.insert(words.begin(), "archive");
        const auto outcome = user(words);
        EXPECT_EQ(outcome.code, 4) << args[0] << ": " << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("the list of snapshots is damaged, some may be missing from it"));
    }
}

TEST(Archive, TheSummaryHasResticsFields) {
    Archivist user;
    const auto summary = user.backup({"--tag", "b,a", "--tag", "a", "--host", "elsewhere"});
    EXPECT_EQ(summary.at("message_type"), "summary");
    EXPECT_EQ(summary.at("files_new"), 3);
    EXPECT_EQ(summary.at("files_changed"), 0);
    EXPECT_EQ(summary.at("files_unmodified"), 0);
    EXPECT_EQ(summary.at("total_files_processed"), 3);
    EXPECT_EQ(summary.at("total_bytes_processed"), 16);
    EXPECT_EQ(summary.at("snapshot_id").get<std::string>().size(), 64U);
    EXPECT_EQ(summary.at("copies_wanted"), 1);
    EXPECT_TRUE(summary.at("warnings").empty());

    const auto snapshots = user({"archive", "snapshots", "--json"}).json();
    ASSERT_EQ(snapshots.size(), 1U);
    EXPECT_EQ(snapshots[0].at("id"), summary.at("snapshot_id"));
    EXPECT_EQ(snapshots[0].at("hostname"), "elsewhere");
    EXPECT_EQ(snapshots[0].at("username"), "ann");
    EXPECT_EQ(snapshots[0].at("tags"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(snapshots[0].at("paths"), std::vector<std::string>{user.source.path()});
    EXPECT_EQ(snapshots[0].at("files"), 3);
}

TEST(Archive, TagsWithACommaAreWantedTogetherAndRepeatedOnesAreAlternatives) {
    Archivist user;
    for (const auto* tags : {"x", "y", "x,y", "z"}) user.backup({"--tag", tags});
    const auto found = [&](std::vector<std::string> filter) {
        std::vector<std::string> args{"archive", "snapshots", "--json"};
        args.insert(args.end(), filter.begin(), filter.end());
        std::string tags;
        for (const auto& snapshot : user(args).json()) {
            for (const auto& tag : snapshot.at("tags")) tags += tag.get<std::string>();
            tags += " ";
        }
        return tags;
    };
    EXPECT_EQ(found({"--tag", "x,y"}), "xy ");
    EXPECT_EQ(found({"--tag", "x"}), "x xy ");
    EXPECT_EQ(found({"--tag", "x", "--tag", "z"}), "x xy z ");
    EXPECT_EQ(found({"--tag", "x,y", "--tag", "z"}), "xy z ");
    EXPECT_EQ(found({"--tag", "x,z"}), "");
    EXPECT_EQ(user({"archive", "ls", "latest", "--tag", "x,y", "--json"}).lines().front().at("tags"),
              (std::vector<std::string>{"x", "y"}));
    const auto restored = user.restore("latest", {"--tag", "x,y", "--json"}).lines().back().at("snapshot_id");
    EXPECT_EQ(restored, user({"archive", "ls", "latest", "--tag", "x,y", "--json"}).lines().front().at("id"));
    EXPECT_EQ(user.restore("latest", {"--tag", "y,z"}).code, 1);
}

TEST(Archive, ADirectoryThatOnlyLeadsToTheBackupHasNoTime) {
    Archivist user;
    user.backup();
    for (const auto& node : user({"archive", "ls", "latest", "--json"}).lines()) {
        if (node.at("message_type") != "node") continue;
        const bool leads = user.source.path().starts_with(node.at("path").get<std::string>() + "/");
        EXPECT_EQ(node.at("mtime").is_null(), leads) << node;
    }
    const auto list = user({"archive", "ls", "-l", "latest"}).out;
    EXPECT_THAT(list, Not(HasSubstr("1970")));
    EXPECT_THAT(list, ::testing::ContainsRegex(" -                   /tmp\n"));
}

TEST(Archive, ForPeopleItIsAFewLines) {
    Archivist user;
    const auto outcome = user({"archive", "backup", user.source.path()});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Files:  3 new, 0 changed, 0 unchanged\n"));
    EXPECT_THAT(outcome.out, HasSubstr(" saved in volume 'archive'\n"));
    EXPECT_THAT(outcome.err, HasSubstr("pelago key export FILE"));
    const auto quiet = user({"archive", "backup", user.source.path(), "-q"});
    EXPECT_EQ(quiet.out + quiet.err, "");
}

TEST(Archive, OnlyTheDefaultVolumeIsMadeByItself) {
    Archivist user;
    const auto outcome = user({"archive", "backup", user.source.path(), "--volume", "phtos"});
    EXPECT_EQ(outcome.code, 10);
    EXPECT_EQ(user({"volume", "create", "photos"}).code, 0);
    user.environment.variables["PELAGO_VOLUME"] = "photos";
    user.backup();
    user.environment.variables["PELAGO_VOLUME"] = "";
    EXPECT_EQ(user({"archive", "backup", user.source.path()}).code, 2) << "a script whose variable is unset";
    user.environment.variables.erase("PELAGO_VOLUME");
    EXPECT_EQ(user({"archive", "snapshots", "--volume", "photos", "--json"}).json().size(), 1U);
    EXPECT_EQ(user({"archive", "snapshots"}).code, 10);
}

TEST(Archive, AnExcludeTakesOnePatternAndLeavesThePathAlone) {
    Archivist user;
    const auto outcome =
        user({"archive", "backup", "--exclude", "*.o", "--iexclude", "B.TXT", user.source.path(), "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.lines().back().at("files_new"), 1);
}

TEST(Archive, LsWalksADirectoryOrEverything) {
    Archivist user;
    user.backup();
    const auto flat = user({"archive", "ls", "latest:" + user.source.path(), "--json"}).lines();
    EXPECT_EQ(flat.front().at("message_type"), "snapshot");
    EXPECT_EQ(flat.size(), 4U) << "snapshot, directory, a.txt, sub";
    const auto all = user({"archive", "ls", "-r", "latest:" + user.source.path()});
    EXPECT_EQ(all.out, user.source.path() + "\n" + user.source.path("a.txt") + "\n" + user.source.path("sub") + "\n" +
                           user.source.path("sub/b.txt") + "\n" + user.source.path("sub/c.o") + "\n");
    EXPECT_THAT(user({"archive", "ls", "-l", "latest:" + user.source.path("a.txt")}).out, HasSubstr(" 5 "));
}

TEST(Archive, APathInASnapshotMayBeWrittenInAnyWay) {
    Archivist user;
    user.backup();
    const auto plain = user({"archive", "ls", "latest:" + user.source.path("sub")});
    ASSERT_EQ(plain.code, 0) << plain.err;
    for (const auto* way : {"sub/", "//sub", "./sub", "sub/."}) {
        const auto other = user({"archive", "ls", "latest:" + user.source.path() + "/" + way});
        EXPECT_EQ(other.out, plain.out) << way << ": " << other.err;
    }
}

TEST(Archive, ANameThatIsNotUtf8IsWholeInJsonToo) {
    Archivist user;
    const std::string name = "caf\xe9";
    user.source.write(name, "latin-1");
    user.backup();
    const auto all = user({"archive", "ls", "latest:" + user.source.path(), "--json"}).lines();
    const auto foreign = std::ranges::find_if(all, [](const auto& node) { return node.contains("path_base64"); });
    ASSERT_NE(foreign, all.end());
    EXPECT_EQ(foreign->at("path"), user.source.path("caf\ufffd"));
    EXPECT_EQ(from_base64(foreign->at("path_base64").get<std::string>()), base::to_bytes(user.source.path(name)));
    EXPECT_EQ(std::ranges::count_if(all, [](const auto& node) { return node.contains("path_base64"); }), 1);

    const auto missing = user.source.path("gone\xff");
    const auto summary = user({"archive", "backup", user.source.path(), missing, "--json"}).lines().back();
    const auto named = summary.at("warnings").at(0);
    EXPECT_EQ(from_base64(named.at("paths_base64").at(0).get<std::string>()), base::to_bytes(missing));
}

TEST(Archive, LsOfASnapshotListsEveryPathAsTheSummaryCountsThem) {
    Archivist user;
    const auto summary = user.backup();
    const auto all = user({"archive", "ls", "latest", "--json"}).lines();
    std::uint64_t directories = 0;
    std::uint64_t files = 0;
    for (const auto& node : all) {
        if (node.at("message_type") != "node") continue;
        EXPECT_NE(node.at("path"), "/");
        ++(node.at("type") == "dir" ? directories : files);
    }
    EXPECT_EQ(files, 3U);
    EXPECT_EQ(directories, summary.at("dirs_new"));
    const auto restored = user.restore("latest", {"--json"}).lines().back();
    EXPECT_EQ(restored.at("dirs_restored"), directories);
    EXPECT_EQ(restored.at("files_restored"), files);
}

TEST(Archive, OnlyANumberOfSnapshotsThatMakesSenseIsTaken) {
    Archivist user;
    user.backup();
    for (const auto* number : {"--latest=-1", "--latest=0", "--latest=99999999999999999999", "--latest=x"}) {
        EXPECT_EQ(user({"archive", "snapshots", number}).code, 2) << number;
    }
    EXPECT_EQ(user({"archive", "snapshots", "--latest", "100", "--json"}).json().size(), 1U);
}

TEST(Archive, WhatIsNotThereIsNamed) {
    Archivist user;
    user.backup();
    EXPECT_THAT(user({"archive", "ls", "0000"}).err, HasSubstr("cannot list '0000': no such snapshot; "));
    EXPECT_THAT(user({"archive", "restore", "latest", "--target", user.source.path("a.txt/x")}).err,
                HasSubstr("a.txt/x (Not a directory)\n"));
    EXPECT_EQ(user({"archive", "ls", "0000"}).code, 1);
    EXPECT_EQ(user({"archive", "ls", "latest:/none"}).code, 1);
    EXPECT_EQ(user.restore("latest:/none").code, 1);
    EXPECT_EQ(user({"archive", "snapshots", "--volume", "none"}).code, 10);
    EXPECT_EQ(user({"archive", "backup", "/nowhere"}).code, 1);
}

TEST(Archive, WhatMakesNoSenseIsAUsageError) {
    Archivist user;
    const std::vector<std::vector<std::string>> wrong{
        {"archive"},
        {"archive", "backup"},
        {"archive", "backup", user.source.path(), "--exclude", "[x"},
        {"archive", "backup", user.source.path(), "--exclude-file", "/nowhere"},
        {"archive", "backup", "--files-from", "/nowhere"},
        {"archive", "backup", user.source.path(), "--volume", ""},
        {"archive", "backup", user.source.path(), "--time", "soon"},
        {"archive", "backup", user.source.path(), "--time", "2026-02-30"},
        {"archive", "backup", user.source.path(), "--compression", "99"},
        {"archive", "restore", "latest"},
        {"archive", "restore", "latest", "--target", ""},
        {"archive", "restore", "latest", "--target", "/tmp/x", "--include", "a", "--exclude", "b"},
        {"archive", "restore", "latest", "--target", "/tmp/x", "--overwrite", "maybe"},
        {"put", "/dev/zero"},
        {"get", "123"},
        {"volume", "create", ""},
        {"volume", "create", "a\x1b[2J"},
        {"network", "create", "a\x1b[2J"},
        {"dev", "up", "--nodes", "0"},
        {"dev", "up", "--nodes", "3", "--copies", "4"},
        {"dev", "up", "--copies", "3", "--min-copies", "4"},
        {"dev", "up", "--repair-after", "soon"},
        {"dev", "up", "--capacity", "much"},
    };
    for (const auto& args : wrong) {
        const auto outcome = user(args);
        EXPECT_EQ(outcome.code, 2) << args.back() << ": " << outcome.err;
        EXPECT_EQ(outcome.out, "") << args.back();
    }
    EXPECT_FALSE(user.home.has(".local/share/pelago/owner.key")) << "a mistake made a key";
}

TEST(Archive, RestoreKeepsWhatItIsToldToKeep) {
    Archivist user;
    user.backup();
    EXPECT_EQ(user.restore("latest").code, 0);
    user.target.write(user.restored("a.txt"), "mine");
    EXPECT_EQ(user.restore("latest", {"--overwrite", "never"}).code, 0);
    EXPECT_EQ(user.target.read(user.restored("a.txt")), "mine");
    EXPECT_EQ(user.restore("latest", {"--dry-run"}).code, 0);
    EXPECT_EQ(user.target.read(user.restored("a.txt")), "mine");
    EXPECT_EQ(user.restore("latest").code, 0);
    EXPECT_EQ(user.target.read(user.restored("a.txt")), "first");
}

TEST(Archive, TheSnapshotsOfATimeGivenAreSortedByIt) {
    Archivist user;
    user.backup({"--time", "2020-01-02 03:04:05"});
    user.backup({"--time", "2019-01-02T03:04:05Z"});
    const auto snapshots = user({"archive", "snapshots", "--json"}).json();
    ASSERT_EQ(snapshots.size(), 2U);
    EXPECT_EQ(snapshots[0].at("time"), "2019-01-02T03:04:05.000000000Z");
    EXPECT_EQ(user({"archive", "snapshots", "--latest", "1", "--json"}).json().size(), 1U);
}

TEST(Archive, AStopRequestIsExitCode130) {
    Archivist user;
    std::stop_source stop;
    stop.request_stop();
    user.environment.stop = stop.get_token();
    EXPECT_EQ(user({"archive", "backup", user.source.path()}).code, 130);
    user.environment.stop = {};
    user.backup();
    EXPECT_EQ(user.restore("latest").code, 0);
}

TEST(Archive, ABackupOfTheHomeLeavesItsOwnStoreOut) {
    Archivist user;
    user.home.write("letter", "dear ada");
    user.backup();
    for (int round = 0; round < 2; ++round) {
        const auto outcome = user({"archive", "backup", user.home.path(), "--json"});
        ASSERT_EQ(outcome.code, 0) << outcome.err;
    }
    const auto listed = user({"archive", "ls", "latest"});
    EXPECT_THAT(listed.out, HasSubstr("letter"));
    EXPECT_EQ(listed.out.find("/blocks"), std::string::npos) << listed.out;
    EXPECT_EQ(listed.out.find("/client"), std::string::npos) << listed.out;
}

TEST(Archive, AFileThatCannotBeReadIsAWarningAndExitCode3) {
    const testing::OrdinaryUser nobody;  // root reads everything
    Archivist user;
    ASSERT_EQ(::chmod(user.source.path("a.txt").c_str(), 0), 0);
    const auto outcome = user({"archive", "backup", user.source.path()});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(outcome.err, HasSubstr(user.source.path("a.txt")));
}

TEST(Archive, AnOrdinaryUserRestoresAgainOverDirectoriesThatTheirModesClose) {
    const testing::OrdinaryUser nobody;
    Archivist user;
    const auto original = user.source.path("sub");
    const auto copy = user.target.path(user.restored("sub"));
    const auto mode_of = [](const std::string& path) { return std::filesystem::status(path).permissions(); };
    const auto set_mode = [](const std::string& path, mode_t mode) { ASSERT_EQ(::chmod(path.c_str(), mode), 0); };
    set_mode(original, 0555);
    user.backup();
    for (const mode_t found : {0555U, 0U}) {
        const auto outcome = user.restore("latest");
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        EXPECT_EQ(mode_of(copy), std::filesystem::perms{0555});
        set_mode(copy, found);
    }
    const auto outcome = user.restore("latest");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(mode_of(copy), std::filesystem::perms{0555});
    for (const auto& path : {original, copy}) set_mode(path, 0755);  // so that they can be removed
}

TEST(Archive, APathThatIsGoneIsAWarningAndExitCode3) {
    Archivist user;
    const auto outcome = user({"archive", "backup", user.source.path(), "/nowhere/at/all", "--json"});
    EXPECT_EQ(outcome.code, 3);
    EXPECT_EQ(outcome.lines().back().at("warnings").at(0).at("first_path"), "/nowhere/at/all");
}

TEST(Volumes, AreListedInfoedAndNeverMadeTwice) {
    User user;
    EXPECT_EQ(user({"volume", "create", "photos"}).code, 0);
    EXPECT_EQ(user({"volume", "create", "photos"}).code, 1);
    const auto list = user({"volume", "list", "--json"}).json();
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].at("name"), "photos");
    EXPECT_EQ(list[0].at("snapshots"), 0);
    EXPECT_EQ(user({"volume", "info", "photos", "--json"}).json().at("aguid"), list[0].at("aguid"));
    EXPECT_EQ(user({"volume", "info", "other"}).code, 10);
}

TEST(Volumes, AreNotChangedByALookAtTheirConflicts) {
    User user;
    ASSERT_EQ(user({"volume", "create", "photos"}).code, 0);
    const auto before = user({"volume", "info", "photos", "--json"}).json().at("sequence");
    EXPECT_TRUE(user({"volume", "conflicts", "photos", "--json"}).json().empty());
    EXPECT_NE(user({"volume", "conflicts", "photos", "--restore", "1", "--as", "/x"}).code, 0);
    EXPECT_EQ(user({"volume", "info", "photos", "--json"}).json().at("sequence"), before);
}

TEST(Volumes, AreAllListedThoughOneOfThemIsBad) {
    Archivist user;
    for (const auto* name : {"archive", "letters", "photos"}) ASSERT_EQ(user({"volume", "create", name}).code, 0);
    // What this machine has seen of two of them is damaged: it must not believe what it is shown.
    for (const auto* name : {"letters", "photos"}) {
        const auto aguid = user({"volume", "info", name, "--json"}).json().at("aguid").get<std::string>();
        std::ofstream{user.home.path(".local/share/pelago/client/marks/" + aguid + ".mark")} << "no mark";
    }

    const auto outcome = user({"volume", "list"});
    EXPECT_EQ(outcome.code, 4) << outcome.err;
    for (const auto* name : {"archive", "letters", "photos"}) EXPECT_THAT(outcome.out, HasSubstr(name));
    EXPECT_THAT(outcome.err, HasSubstr("pelago: volume 'letters': cannot open it: "));
    EXPECT_THAT(outcome.err, HasSubstr("pelago: volume 'photos': cannot open it: "));
    EXPECT_THAT(outcome.err, Not(HasSubstr("'archive'")));

    const auto document = user({"volume", "list", "--json"}).json();
    ASSERT_EQ(document.size(), 3U);
    EXPECT_EQ(document[0].at("snapshots"), 0);
    EXPECT_FALSE(document[0].contains("error"));
    EXPECT_EQ(document[1].at("name"), "letters");
    EXPECT_EQ(document[1].at("error").at("code"), 4);
    EXPECT_EQ(document[1].at("aguid").get<std::string>().size(), 64U);
}

TEST(Volumes, WhoseListOfSnapshotsIsDamagedAreMarked) {
    Archivist user;
    user.backup();
    user.lose_segments();
    const auto outcome = user({"volume", "list", "--json"});
    EXPECT_EQ(outcome.code, 4);
    EXPECT_EQ(outcome.json().at(0).at("error").at("code"), 4);
    EXPECT_EQ(outcome.json().at(0).at("snapshots"), 0);
    EXPECT_THAT(outcome.err, HasSubstr("volume 'archive': the list of snapshots is damaged"));
}

TEST(Raw, ADirectoryIsNoBlock) {
    Archivist user;
    const auto outcome = user({"put", user.source.path()});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, "pelago: cannot put " + user.source.path() +
                               ": it is a directory; 'pelago archive backup' keeps directories\n");
}

TEST(Raw, ABlockComesBackByItsHash) {
    User user;
    user.input = "hello\n";
    const auto put = user({"put", "-"});
    EXPECT_EQ(put.out, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\n");
    EXPECT_THAT(put.err, HasSubstr("not encrypted"));
    EXPECT_EQ(user({"get", put.out.substr(0, 64)}).out, "hello\n");
    EXPECT_EQ(user({"remove", put.out.substr(0, 64), "--dry-run", "--json"}).json().at("bytes"), 6);
    EXPECT_EQ(user({"remove", put.out.substr(0, 64)}).code, 0);
    const auto gone = user({"get", put.out.substr(0, 64)});
    EXPECT_EQ(gone.code, 1) << "not there is no damage";
    EXPECT_EQ(gone.err, "pelago: cannot get " + put.out.substr(0, 64) + ": there is no such block\n");
    EXPECT_EQ(user({"remove", put.out.substr(0, 64)}).code, 1);
    user.input = std::string((1 << 20) + 1, 'x');
    EXPECT_EQ(user({"put", "-"}).code, 2);
}

TEST(Raw, BinaryDataIsKeptOffATerminal) {
    User user;
    user.input = std::string("\0\x1b[2J", 5);
    const auto id = user({"put", "-"}).out.substr(0, 64);
    user.environment.out_is_terminal = true;
    EXPECT_EQ(user({"get", id}).code, 2);
    EXPECT_EQ(user({"get", id, "--output", user.home.path("file")}).code, 0);
    EXPECT_EQ(user.home.read("file"), user.input);
    EXPECT_EQ(user({"get", id, "--output", user.home.path("file")}).code, 1) << "never overwritten";
}

TEST(Data, ADirectoryThatIsAFileIsToldInOneLine) {
    User user;
    user.home.write("file", "x");
    user.home.write("source/a", "x");
    const auto outcome = user({"--dir", user.home.path("file"), "archive", "backup", user.home.path("source")});
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(user.home.path("file")));
}

}  // namespace
}  // namespace tools
