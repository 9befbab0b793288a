// The archive verbs that look into history and change it, over a real store, in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "archive/tar.hpp"
#include "archivist.hpp"

namespace tools {
namespace {

using testing::Archivist;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Historian : Archivist {
    /// The id of a new snapshot.
    std::string snapshot(std::vector<std::string> more = {}) { return backup(std::move(more)).at("snapshot_id"); }
    [[nodiscard]] std::string in_source(const std::string& name) const { return source.path(name); }
};

TEST(ArchiveDiff, SpeaksResticsWords) {
    Historian user;
    const auto first = user.snapshot();
    user.source.write("a.txt", "something longer");
    user.source.write("new/d.txt", "new");
    std::filesystem::remove(user.source.path("sub/c.o"));
    const auto second = user.snapshot();
    const auto told = user({"archive", "diff", first.substr(0, 8), "latest"});
    EXPECT_EQ(told.code, 0) << told.err;
    EXPECT_THAT(told.out, HasSubstr("comparing snapshot " + first.substr(0, 8) + " to " + second.substr(0, 8) +
                                    ":\n\n" + "M    " + user.in_source("a.txt") + "\n" +  //
                                    "+    " + user.in_source("new/") + "\n" +             //
                                    "+    " + user.in_source("new/d.txt") + "\n" +        //
                                    "-    " + user.in_source("sub/c.o") + "\n\n" +        //
                                    "Files:           1 new,     1 removed,     1 changed\n"
                                    "Dirs:            1 new,     0 removed\n"));
    const auto lines = user({"archive", "diff", first, second, "--json"}).lines();
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[0], nlohmann::json::parse(R"({"message_type":"change","path":")" + user.in_source("a.txt") +
                                              R"(","modifier":"M"})"));
    const auto& statistics = lines.back();
    EXPECT_EQ(statistics.at("message_type"), "statistics");
    EXPECT_EQ(statistics.at("source_snapshot"), first);
    EXPECT_EQ(statistics.at("target_snapshot"), second);
    EXPECT_EQ(statistics.at("changed_files"), 1);
    EXPECT_EQ(statistics.at("added").at("files"), 1);
    EXPECT_EQ(statistics.at("removed").at("bytes"), 5 + 5) << "the old a.txt and c.o";
}

TEST(ArchiveDiff, OfASnapshotThatIsNotThereOrAPathInItIsAnErrorInOneLine) {
    Historian user;
    user.snapshot();
    const auto missing = user({"archive", "diff", "latest", "ffff"});
    EXPECT_EQ(missing.code, 1);
    EXPECT_THAT(missing.err, HasSubstr("cannot compare 'latest' and 'ffff'"));
    EXPECT_EQ(user({"archive", "diff", "latest:/home", "latest"}).code, 2);
}

TEST(ArchiveFind, LooksIntoEverySnapshotTheNewestFirst) {
    Historian user;
    const auto first = user.snapshot();
    std::filesystem::remove(user.source.path("sub/b.txt"));
    const auto second = user.snapshot();
    const auto all = user({"archive", "find", "*.txt", "--json"}).json();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].at("snapshot"), second);
    EXPECT_EQ(all[0].at("hits"), 1);
    EXPECT_EQ(all[1].at("snapshot"), first);
    EXPECT_EQ(all[1].at("hits"), 2);
    EXPECT_EQ(all[1].at("matches")[0].at("path"), user.in_source("a.txt"));
    EXPECT_EQ(all[1].at("matches")[1].at("path"), user.in_source("sub/b.txt"));
    EXPECT_EQ(all[1].at("matches")[1].at("type"), "file");
    EXPECT_EQ(user({"archive", "find", "*.txt", "--json", "-R"}).json()[0].at("snapshot"), first);
    const auto text = user({"archive", "find", "b.txt"});
    EXPECT_THAT(text.out, ::testing::StartsWith("Found matching entries in snapshot " + first.substr(0, 8) + " from "));
    EXPECT_THAT(text.out, ::testing::EndsWith("\n" + user.in_source("sub/b.txt") + "\n"));
    EXPECT_EQ(user({"archive", "find", "b.txt", "-s", "latest", "--json"}).json().size(), 0U);
    EXPECT_EQ(user({"archive", "find", "b.txt", "--host", "another", "--json"}).json().size(), 0U);
    EXPECT_EQ(user({"archive", "find", "no such", "-q"}).code, 0);
}

TEST(ArchiveFind, TakesCaseTimesAndDirectoriesAsAsked) {
    Historian user;
    user.snapshot();
    const auto hits = [&](std::vector<std::string> args) {
        args.insert(args.begin(), {"archive", "find", "--json"});
        std::vector<std::string> names;
        for (const auto& snapshot : user(args).json()) {
            for (const auto& match : snapshot.at("matches"))
                names.push_back(match.at("path").get<std::string>().substr(user.source.path().size()));
        }
        return names;
    };
    EXPECT_THAT(hits({"A.TXT"}), ElementsAre());
    EXPECT_THAT(hits({"A.TXT", "-i"}), ElementsAre("/a.txt"));
    EXPECT_THAT(hits({"sub"}), ElementsAre("/sub", "/sub/b.txt", "/sub/c.o"));
    EXPECT_THAT(hits({user.source.path() + "/*/*.o", "a*"}), ElementsAre("/a.txt", "/sub/c.o"));
    EXPECT_THAT(hits({"*.txt", "--newest", "2001-01-01"}), ElementsAre());
    EXPECT_THAT(hits({"*.txt", "--oldest", "2001-01-01"}), ElementsAre("/a.txt", "/sub/b.txt"));
    EXPECT_EQ(user({"archive", "find", "x", "--oldest", "yesterday"}).code, 2);
    EXPECT_EQ(user({"archive", "find", "["}).code, 2);
}

TEST(ArchiveDump, AFileGoesToStandardOutputAsItIs) {
    Historian user;
    user.source.write("binary", std::string{"\0\xff\n", 3});
    user.snapshot();
    EXPECT_EQ(user({"archive", "dump", "latest", user.in_source("binary")}).out, (std::string{"\0\xff\n", 3}));
    EXPECT_EQ(user({"archive", "dump", "latest:" + user.source.path("sub"), "b.txt"}).out, "second");
    const auto missing = user({"archive", "dump", "latest", "/no/such"});
    EXPECT_EQ(missing.code, 1);
    EXPECT_THAT(missing.err, HasSubstr("cannot dump '/no/such' of 'latest'"));
    EXPECT_EQ(user({"archive", "dump", "latest", "/", "--json"}).code, 2);
}

TEST(ArchiveDump, ADirectoryIsATarThatTarUnderstands) {
    Historian user;
    const std::string long_name = "sub/" + std::string(150, 'n') + "/" + std::string(120, 'm');
    user.source.write(long_name, "long");
    user.source.write(
        "sub/gr\xc3\xbc\xc3\x9f"
        "e",
        "utf-8");
    user.source.write("sub/bytes\xff", "bytes");
    std::filesystem::create_symlink(std::string(130, 'x'), user.source.path("sub/link"));
    std::filesystem::create_hard_link(user.source.path("sub/b.txt"), user.source.path("sub/same"));
    user.snapshot();
    const auto told =
        user({"archive", "dump", "latest", user.source.path("sub"), "--target", user.target.path("x.tar"), "--json"});
    EXPECT_EQ(told.code, 0) << told.err;
    EXPECT_EQ(told.lines().back().at("files_dumped"), 7);
    std::filesystem::create_directory(user.target.path("out"));
    ASSERT_EQ(std::system(("tar -C " + user.target.path("out") + " -xf " + user.target.path("x.tar")).c_str()), 0);
    const auto compared =
        "diff -r --no-dereference " + user.source.path("sub") + " " + user.target.path("out" + user.source.path("sub"));
    EXPECT_EQ(std::system(compared.c_str()), 0);
    const auto out = [&](const std::string& name) { return user.target.path("out" + user.source.path(name)); };
    EXPECT_EQ(std::filesystem::hard_link_count(out("sub/same")), 2U);
    for (const auto* name : {"sub", "sub/b.txt"}) {
        struct stat was{}, is{};
        ASSERT_EQ(::stat(user.source.path(name).c_str(), &was) + ::stat(out(name).c_str(), &is), 0);
        EXPECT_EQ(was.st_mtim.tv_sec, is.st_mtim.tv_sec);
        EXPECT_EQ(was.st_mtim.tv_nsec, is.st_mtim.tv_nsec) << name;
        EXPECT_EQ(was.st_mode, is.st_mode);
    }
}

TEST(ArchiveDump, ATarHasWhatUstarHasNoRoomFor) {
    objstore::archive::DumpedFile file;
    file.path = "/a";
    file.inode.size = 9ULL << 30U;
    file.inode.uid = 3'000'000;
    file.inode.mtime = {-2, 500'000'000};
    file.xattrs.push_back({"user.a=b", base::to_bytes("v")});
    const auto header = tar_header(file).value();
    EXPECT_EQ(header.size(), 3U * 512U);
    EXPECT_THAT(header, HasSubstr("19 size=9663676416\n"));
    EXPECT_THAT(header, HasSubstr("15 uid=3000000\n"));
    EXPECT_THAT(header, HasSubstr("22 mtime=-1.500000000\n"));
    EXPECT_THAT(header, HasSubstr("29 SCHILY.xattr.user.a%3Db=v\n"));
    file.inode.type = base::FileType::socket;
    EXPECT_FALSE(tar_header(file));
}

TEST(ArchiveStats, HasResticsFields) {
    Historian user;
    const auto first = user.snapshot();
    user.snapshot();
    const auto all = user({"archive", "stats", "--json"}).json();
    EXPECT_EQ(all.at("snapshots_count"), 2);
    EXPECT_EQ(all.at("total_size"), 2 * 16);
    const auto one =
        user({"archive", "stats", "latest", first, first.substr(0, 6), "--mode", "files-by-contents", "--json"});
    EXPECT_EQ(one.json().at("snapshots_count"), 2) << "each once";
    EXPECT_EQ(one.json().at("total_file_count"), 3);
    EXPECT_GT(user({"archive", "stats", "--mode", "raw-data", "--json"}).json().at("total_blob_count"), 1);
    EXPECT_THAT(user({"archive", "stats"}).out, HasSubstr("Stats in restore-size mode:\n  Snapshots processed:  2\n"));
    EXPECT_EQ(user({"archive", "stats", "--mode", "other"}).code, 2);
    EXPECT_EQ(user({"archive", "stats", "--host", "nobody", "--json"}).json().at("snapshots_count"), 0);
}

TEST(ArchiveTag, GivesSnapshotsOtherTagsAndKeepsWhatTheyWereFirst) {
    Historian user;
    const auto first = user.snapshot({"--tag", "x"});
    user.snapshot({"--tag", "y", "--host", "another"});
    const auto tags = [&] {
        std::vector<std::vector<std::string>> all;
        for (const auto& one : user({"archive", "snapshots", "--json"}).json()) all.push_back(one.at("tags"));
        return all;
    };
    using All = std::vector<std::vector<std::string>>;
    const auto told = user({"archive", "tag", "--add", "kept,z", first.substr(0, 8), "--json"}).lines();
    EXPECT_EQ(tags(), (All{{"kept", "x", "z"}, {"y"}}));
    EXPECT_EQ(told.front().at("old_snapshot_id"), first);
    EXPECT_EQ(told.back().at("changed_snapshots"), 1);
    const std::string second = told.front().at("new_snapshot_id");
    EXPECT_NE(second, first);
    EXPECT_EQ(user({"archive", "tag", "--remove", "x", "--remove", "z", "--tag", "kept"}).code, 0);
    EXPECT_EQ(tags(), (All{{"kept"}, {"y"}}));
    EXPECT_EQ(user({"archive", "snapshots", "--json"}).json()[0].at("original"), first);
    EXPECT_EQ(user({"archive", "tag", "--set", ""}).code, 0);
    EXPECT_EQ(tags(), (All{{}, {}}));
    EXPECT_EQ(user({"archive", "tag", "--set", "", "--json"}).lines().back().at("changed_snapshots"), 0);
    EXPECT_EQ(user({"archive", "tag", "--add", "a", "--host", "another"}).code, 0);
    EXPECT_EQ(tags(), (All{{}, {"a"}}));
    EXPECT_EQ(user({"archive", "tag"}).code, 2);
    EXPECT_EQ(user({"archive", "tag", "--set", "a", "--add", "b"}).code, 2);
    EXPECT_EQ(user({"archive", "tag", "--add", "b", "ffff"}).code, 1);
    EXPECT_EQ(user({"archive", "check", "--read-data"}).code, 0);
    EXPECT_EQ(user({"archive", "prune"}).code, 0);
    EXPECT_EQ(user.restore("latest", {"--host", "another"}).code, 0);
}

TEST(ArchiveBackup, TakesAStreamAsAFile) {
    Historian user;
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919) + "\n";
    const auto backup = [&](const std::string& name, const std::string& content) {
        user.target.write("stream", content);
        return user({"archive", "backup", "--json", "--stdin-from-command", "--stdin-filename", name, "--", "cat",
                     user.target.path("stream")});
    };
    const auto told = backup("dumps/db.sql", text);
    EXPECT_EQ(told.code, 0) << told.err;
    EXPECT_EQ(told.lines().back().at("total_bytes_processed"), text.size());
    EXPECT_EQ(told.lines().back().at("files_new"), 1);
    EXPECT_TRUE(told.lines().back().at("warnings").empty());
    EXPECT_EQ(user({"archive", "dump", "latest", "/dumps/db.sql"}).out, text);
    EXPECT_EQ(user({"archive", "snapshots", "--json"}).json()[0].at("paths"),
              std::vector<std::string>{"/dumps/db.sql"});
    const auto again = backup("dumps/db.sql", text + "more").lines().back();
    EXPECT_LT(again.at("data_added"), 1'100'000) << "only the end is new";
    EXPECT_EQ(again.at("files_changed"), 1);
    EXPECT_EQ(backup("stdin", "").code, 0);
    EXPECT_EQ(user({"archive", "dump", "latest", "/stdin"}).out, "");
    EXPECT_EQ(user({"archive", "backup", "--stdin", user.source.path()}).code, 2);
    EXPECT_EQ(user({"archive", "backup", "--stdin", "--stdin-filename", "/"}).code, 2);
}

TEST(ArchiveBackup, TakesWhatAProgramWritesUnlessItFails) {
    Historian user;
    const auto good =
        user({"archive", "backup", "--stdin-from-command", "--stdin-filename", "x", "--", "printf", "%s-%s", "a", "b"});
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_EQ(user({"archive", "dump", "latest", "/x"}).out, "a-b");
    const auto bad = user({"archive", "backup", "--stdin-from-command", "--", "sh", "-c", "echo half; exit 7"});
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.err, HasSubstr("cannot back up stdin: 'sh' failed with exit code 7"));
    EXPECT_EQ(user({"archive", "backup", "--stdin-from-command", "--", "/no/such/program"}).code, 1);
    EXPECT_EQ(user({"archive", "backup", "--stdin-from-command"}).code, 2);
    EXPECT_EQ(user({"archive", "snapshots", "--json"}).json().size(), 1U);
}

TEST(ArchiveBackup, ListsOfPathsMayHoldPatterns) {
    Historian user;
    user.source.write("sub/.hidden.txt", "hidden");
    user.source.write("odd/*.txt", "a star in its name");
    const auto backed_up = [&](const std::string& option, const std::string& list) {
        user.input = list;
        const auto told = user({"archive", "backup", option, "-", "--json"});
        EXPECT_EQ(told.code, 0) << told.err;
        std::vector<std::string> names;
        for (const auto& node : user({"archive", "ls", "latest", "--json"}).lines()) {
            if (node.value("type", "") == "file")
                names.push_back(node.at("path").get<std::string>().substr(user.source.path().size()));
        }
        return names;
    };
    const auto at = [&](const std::string& name) { return user.source.path(name) + "\n"; };
    EXPECT_THAT(backed_up("--files-from", "# these\n  " + at("*/*.txt") + "\n" + at("[a]?txt")),
                ElementsAre("/a.txt", "/odd/*.txt", "/sub/.hidden.txt", "/sub/b.txt"));
    EXPECT_THAT(backed_up("--files-from", at("s*/c.o")), ElementsAre("/sub/c.o"));
    EXPECT_THAT(backed_up("--files-from-verbatim", at("odd/*.txt")), ElementsAre("/odd/*.txt"));
    user.input = at("none*") + at("a.txt");
    const auto none = user({"archive", "backup", "--files-from", "-"});
    EXPECT_EQ(none.code, 0);
    EXPECT_THAT(none.err, HasSubstr("nothing matches " + user.source.path("none*")));
}

TEST(ArchiveBackup, TheOtherOptionsOfResticMeanWhatTheyMeanThere) {
    Historian user;
    user.source.write("large", std::string(20'000, 'x'));
    user.source.write("sub/.skip", "");
    const auto files = [&](std::vector<std::string> more) {
        return user.backup(std::move(more)).at("total_files_processed");
    };
    EXPECT_EQ(files({}), 5);
    EXPECT_EQ(files({"--exclude-larger-than", "10K"}), 4);
    EXPECT_EQ(files({"--exclude-if-present", ".skip"}), 3);
    EXPECT_EQ(files({"-e", "*.txt", "--no-scan", "--read-concurrency", "2", "--compression", "max"}), 3);
    EXPECT_EQ(user.backup({"-e", "*.txt", "--skip-if-unchanged"}).at("skipped"), true);
    user.source.write("off", std::string(300'000, 'y'));
    EXPECT_GT(user.backup({"--compression", "off", "--dry-run"}).at("data_stored"), 300'000);
    EXPECT_LT(user.backup({"--compression", "auto", "--dry-run"}).at("data_stored"), 30'000);
    for (const auto& wrong : std::vector<std::vector<std::string>>{{"--exclude-larger-than", "big"},
                                                                   {"--exclude-if-present", "a/b"},
                                                                   {"--compression", "20"},
                                                                   {"--read-concurrency", "0"},
                                                                   {"--group-by", "size"}}) {
        std::vector<std::string> args{"archive", "backup", user.source.path()};
        args.insert(args.end(), wrong.begin(), wrong.end());
        EXPECT_EQ(user(args).code, 2) << wrong[0];
    }
}

TEST(ArchiveRestore, DeletesWhatTheSnapshotDoesNotHave) {
    Historian user;
    user.snapshot();
    user.restore("latest");
    user.target.write(user.restored("sub/extra"), "extra");
    const auto tried = user.restore("latest", {"--delete", "-n"});
    EXPECT_THAT(tried.out, HasSubstr("deleted   " + user.source.path("sub/extra") + "\n"));
    EXPECT_THAT(tried.out, HasSubstr("1 file or directory would be deleted\n"));
    EXPECT_TRUE(user.target.has(user.restored("sub/extra")));
    EXPECT_EQ(user.restore("latest", {"--delete", "--json"}).lines().back().at("files_deleted"), 1);
    EXPECT_FALSE(user.target.has(user.restored("sub/extra")));
    EXPECT_TRUE(user.target.has(user.restored("sub/b.txt")));
}

TEST(ArchiveLs, ShowsTheDirectoriesThatWereAskedFor) {
    Historian user;
    user.snapshot();
    const auto sub = user.source.path("sub");
    EXPECT_EQ(user({"archive", "ls", "latest", sub, user.source.path("a.txt")}).out,
              sub + "\n" + sub + "/b.txt\n" + sub + "/c.o\n" + user.source.path("a.txt") + "\n");
    EXPECT_EQ(user({"archive", "ls", "latest:" + user.source.path(), "sub/b.txt"}).out, sub + "/b.txt\n");
    EXPECT_EQ(user({"archive", "ls", "latest", "/none"}).code, 1);
}

TEST(ArchiveSnapshots, AreGroupedAsAsked) {
    Historian user;
    user.snapshot({"--host", "one", "--tag", "x"});
    user.snapshot({"--host", "one", "--tag", "y"});
    user.snapshot({"--host", "two", "--tag", "x"});
    const auto groups = user({"archive", "snapshots", "--group-by", "host", "--latest", "1", "--json"}).json();
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_EQ(groups[0].at("group_key").at("hostname"), "one");
    EXPECT_TRUE(groups[0].at("group_key").at("paths").is_null());
    EXPECT_EQ(groups[0].at("snapshots").size(), 1U);
    EXPECT_EQ(groups[0].at("snapshots")[0].at("summary").at("total_files_processed"), 3);
    EXPECT_THAT(user({"archive", "snapshots", "-g", "tags", "-c"}).out, HasSubstr("snapshots of tags x\nID "));
    EXPECT_EQ(user({"archive", "snapshots", "--host", "one", "--host", "two", "--json"}).json().size(), 3U);
    EXPECT_EQ(user({"archive", "snapshots", "-H", "two", "--json"}).json().size(), 1U);
    EXPECT_EQ(user({"archive", "snapshots", "-g", "size"}).code, 2);
}

TEST(ArchiveRewrite, MakesSnapshotsWithoutFilesAndForgetsTheOldOnesIfSoAsked) {
    Historian user;
    const auto first = user.snapshot();
    const auto tried = user({"archive", "rewrite", "--exclude", "*.o", "-n"});
    EXPECT_EQ(tried.code, 0) << tried.err;
    EXPECT_THAT(tried.out, HasSubstr("excluding " + user.source.path("sub/c.o") + "\n"));
    EXPECT_THAT(tried.out, HasSubstr("snapshot " + first.substr(0, 8) + ": 1 path would be left out\n"));
    const auto told = user({"archive", "rewrite", "--exclude", "*.o", "latest", "--json"}).lines();
    EXPECT_EQ(told.front().at("old_snapshot_id"), first);
    EXPECT_EQ(told.back().at("rewritten_snapshots"), 1);
    auto snapshots = user({"archive", "snapshots", "--json"}).json();
    ASSERT_EQ(snapshots.size(), 2U);
    EXPECT_EQ(user({"archive", "snapshots", "--tag", "rewrite", "--json"}).json()[0].at("original"), first);
    EXPECT_EQ(user({"archive", "rewrite", "-e", "*.txt", "--forget"}).code, 0);
    snapshots = user({"archive", "snapshots", "--json"}).json();
    ASSERT_EQ(snapshots.size(), 2U);
    for (const auto& one : snapshots) EXPECT_LE(one.at("files").get<int>(), 1);
    EXPECT_EQ(user({"archive", "rewrite"}).code, 2);
    EXPECT_EQ(user({"archive", "check", "--read-data"}).code, 0);
}

TEST(ArchiveRepair, WhereNothingIsLostThereIsNothingToDo) {
    Historian user;
    user.snapshot();
    EXPECT_EQ(user({"archive", "repair"}).out, "no damage was found\n");
    EXPECT_EQ(user({"archive", "repair", "--read-data", "--json"}).json().at("new_snapshots"), 0);
}

}  // namespace
}  // namespace tools
