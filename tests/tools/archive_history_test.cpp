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

}  // namespace
}  // namespace tools
