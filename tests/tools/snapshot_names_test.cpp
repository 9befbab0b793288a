#include "archive/snapshot_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "cli/exit_code.hpp"

namespace tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kTime = 1'795'353'255 * kSecond;  // Sunday, 22 November 2026, 13:14:15 UTC

/// Times are local ones.
class SnapshotNames : public testing::Test {
  protected:
    void SetUp() override { zone("UTC"); }
    void TearDown() override { zone("UTC"); }
    static void zone(const char* name) {
        ::setenv("TZ", name, 1);  // NOLINT: one thread
        ::tzset();
    }
    static objstore::Snapshot snapshot(std::string host, std::int64_t time_ns, std::vector<std::string> tags = {}) {
        objstore::Snapshot made;
        made.root = std::make_shared<objstore::BlockRef>();
        made.host = std::move(host);
        made.user = "ann";
        made.time_ns = time_ns;
        made.sequence = ++sequence_;
        made.tags = std::move(tags);
        return made;
    }
    /// "PATH = number of the snapshot", "PATH -> LINK", "PATH/".
    static std::vector<std::string> named(const std::vector<objstore::Snapshot>& snapshots, SnapshotNaming naming,
                                          const objstore::SnapshotFilter& filter = {}) {
        EXPECT_TRUE(check(naming));
        std::vector<std::string> out;
        for (const auto& name : name_snapshots(naming, filter, snapshots)) {
            if (name.snapshot) {
                out.push_back(name.path + " = " + std::to_string(*name.snapshot));
            } else {
                out.push_back(name.path + (name.link.empty() ? "/" : " -> " + name.link));
            }
        }
        return out;
    }
    static SnapshotNaming paths(std::vector<std::string> templates) {
        SnapshotNaming naming;
        naming.paths = std::move(templates);
        return naming;
    }
    static inline std::uint64_t sequence_ = 0;
};

TEST_F(SnapshotNames, WithoutTemplatesTheyAreThoseOfRestic) {
    const std::vector snapshots{snapshot("ada", kTime, {"weekly"})};
    const auto id = snapshots[0].id().short_hex();
    EXPECT_THAT(named(snapshots, {}),
                ElementsAre("ids/", "snapshots/", "hosts/", "tags/", "ids/" + id + " = 0",
                            "snapshots/2026-11-22T13:14:15Z = 0", "hosts/ada/2026-11-22T13:14:15Z = 0",
                            "tags/weekly/2026-11-22T13:14:15Z = 0", "hosts/ada/latest -> 2026-11-22T13:14:15Z",
                            "snapshots/latest -> 2026-11-22T13:14:15Z", "tags/weekly/latest -> 2026-11-22T13:14:15Z"));
}

TEST_F(SnapshotNames, WhereNothingIsTheDirectoriesAre) {
    EXPECT_THAT(named({}, {}), ElementsAre("ids/", "snapshots/", "hosts/", "tags/"));
}

TEST_F(SnapshotNames, OfTheSameSecondTheLaterGetsANumber) {
    const std::vector snapshots{snapshot("a", kTime), snapshot("a", kTime + 1), snapshot("a", kTime + 2)};
    EXPECT_THAT(named(snapshots, paths({"%T"})),
                ElementsAre("/", "2026-11-22T13:14:15Z = 0", "2026-11-22T13:14:15Z-1 = 1", "2026-11-22T13:14:15Z-2 = 2",
                            "latest -> 2026-11-22T13:14:15Z-2"));
}

TEST_F(SnapshotNames, LatestIsTheOneThatWasBegunLastWhateverTheClocksSaid) {
    std::vector snapshots{snapshot("a", kTime), snapshot("a", kTime + 60 * kSecond)};
    std::swap(snapshots[0].sequence, snapshots[1].sequence);
    EXPECT_THAT(named(snapshots, paths({"%T"})), testing::Contains("latest -> 2026-11-22T13:14:15Z"));
}

TEST_F(SnapshotNames, EachTagHasIt) {
    const std::vector snapshots{snapshot("a", kTime, {"x", "y"}), snapshot("a", kTime + kSecond)};
    EXPECT_THAT(named(snapshots, paths({"by tag/%t/%T"})),
                ElementsAre("by tag/", "by tag/x/2026-11-22T13:14:15Z = 0", "by tag/y/2026-11-22T13:14:15Z = 0",
                            "by tag/x/latest -> 2026-11-22T13:14:15Z", "by tag/y/latest -> 2026-11-22T13:14:15Z"));
}

TEST_F(SnapshotNames, OnlyThoseThatMatchAreShown) {
    const std::vector snapshots{snapshot("a", kTime), snapshot("b", kTime)};
    objstore::SnapshotFilter filter;
    filter.hosts = {"b"};
    EXPECT_THAT(named(snapshots, paths({"%h/%u %T"}), filter),
                ElementsAre("/", "b/ann 2026-11-22T13:14:15Z = 1", "b/latest -> ann 2026-11-22T13:14:15Z"));
}

TEST_F(SnapshotNames, TextThatIsNoNameBecomesOne) {
    const std::vector snapshots{snapshot("..", kTime), snapshot("a/b", kTime), snapshot("", kTime),
                                snapshot(std::string(300, 'h'), kTime)};
    const auto id = [&](std::size_t i) { return snapshots[i].id().hex(); };
    EXPECT_THAT(named(snapshots, paths({"%h/%I"})),
                ElementsAre("/", "__/" + id(0) + " = 0", "a_b/" + id(1) + " = 1", "_/" + id(2) + " = 2",
                            std::string(255, 'h') + "/" + id(3) + " = 3"));
}

TEST_F(SnapshotNames, ATimeIsWrittenLikeItsExample) {
    EXPECT_EQ(time_like(kTime, "2006-01-02_15-04-05"), "2026-11-22_13-14-15");
    EXPECT_EQ(time_like(kTime, "Mon, 02 Jan 06 03.04 PM MST"), "Sun, 22 Nov 26 01.14 PM UTC");
    EXPECT_EQ(time_like(kTime - 13 * 3600 * kSecond, "03PM"), "12AM");
    zone("EST5");
    EXPECT_EQ(time_like(kTime, "2006-01-02T15:04:05Z07:00"), "2026-11-22T08:14:15-05:00");
    EXPECT_EQ(time_like(kTime, "15:04 -0700"), "08:14 -0500");
    zone("<+0530>-5:30");
    EXPECT_EQ(time_like(kTime, "15:04Z0700"), "18:44+0530");
}

TEST_F(SnapshotNames, ATemplateThatCannotBeUsedIsNamed) {
    for (const auto* path : {"%x/%T", "all/%", "same for all", "%h", ""}) {
        const auto refused = check(paths({path}));
        ASSERT_FALSE(refused) << path;
        EXPECT_EQ(refused.error(), Errc::usage);
        EXPECT_THAT(refused.error().message(), HasSubstr("'" + std::string{path} + "'"));
    }
    SnapshotNaming naming;
    naming.time = "/";
    EXPECT_FALSE(check(naming));
}

}  // namespace
}  // namespace tools
