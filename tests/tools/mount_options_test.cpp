#include "mount/options.hpp"

#include <gmock/gmock.h>

#include "cli/exit_code.hpp"
#include "mount/mount_table.hpp"

namespace tools {
namespace {

using testing::ElementsAre;

base::Result<MountOptions> parse(const std::string& text) { return parse_mount_options({text}); }

TEST(MountOptions, OfTwoThatContradictTheLaterCounts) {
    EXPECT_FALSE(parse("ro,rw")->read_only);
    EXPECT_THAT(parse_mount_options({"rw,noexec", "ro,allow_other"})->kernel,
                ElementsAre("ro", "noexec", "allow_other"));
    EXPECT_THAT(parse("suid,nosuid,exec,noexec,exec")->kernel, ElementsAre());
}

TEST(MountOptions, ValuesAreRead) {
    const auto options =
        *parse("uid=1000,gid=100,umask=027,timeout=5s,cache=strict,durability=close,cachesize=16M,subdir=a/b");
    EXPECT_EQ(options.uid, 1000U);
    EXPECT_EQ(options.gid, 100U);
    EXPECT_EQ(options.umask, 027U);
    EXPECT_EQ(options.timeout, std::chrono::seconds{5});
    EXPECT_EQ(options.coherence, fusefs::Coherence::strict);
    EXPECT_EQ(options.durability, fusefs::Durability::close);
    EXPECT_EQ(options.cache_bytes, 16U << 20U);
    EXPECT_EQ(options.subdir, "a/b");
}

TEST(MountOptions, AnOldVersionIsReadOnly) {
    const auto options = *parse("at=latest,rw");
    EXPECT_TRUE(options.read_only);
    EXPECT_THAT(options.kernel, ElementsAre("ro"));
}

TEST(MountOptions, WhatOtherProgramsMeanIsLeftToThem) {
    EXPECT_THAT(parse("_netdev,nofail,defaults,noauto,x-systemd.automount,x-a=b,comment=c")->kernel, ElementsAre());
}

TEST(MountOptions, WhatIsNotKnownOrNotThereYetIsRefusedByName) {
    for (const std::string text : {"nosuch", "offline", "cache=lease", "durability=full", "umask=9", "umask=07777",
                                   "uid=ada", "timeout=soon", "at=", "cache", "ro=1", "cachesize=big"}) {
        const auto refused = parse("rw," + text);
        ASSERT_FALSE(refused) << text;
        EXPECT_EQ(refused.error(), Errc::usage) << text;
        const auto name = text.substr(0, text.find('='));
        EXPECT_NE(refused.error().detail().find(name), std::string::npos) << refused.error().detail();
    }
}

TEST(MountHelper, SaysWhatMountSays) {
    const auto words = [](std::vector<std::string> args) { return *words_of_mount_helper(args); };
    EXPECT_THAT(words({"photos", "/mnt"}), ElementsAre("mount", "-d", "photos", "/mnt"));
    EXPECT_THAT(words({"photos", "/mnt", "-o", "rw,noexec"}),
                ElementsAre("mount", "-d", "photos", "/mnt", "-o", "rw,noexec"));
    EXPECT_THAT(words({"photos", "/mnt", "-rsn", "-o", "noexec", "-t", "pelago"}),
                ElementsAre("mount", "-d", "photos", "/mnt", "-o", "ro,noexec"));
    EXPECT_THAT(words({"-f", "photos", "/mnt"}), ElementsAre());
    EXPECT_FALSE(words_of_mount_helper({"photos"}));
    EXPECT_FALSE(words_of_mount_helper({"photos", "/mnt", "-o"}));
    EXPECT_FALSE(words_of_mount_helper({"photos", "/mnt", "-z"}));
}

TEST(MountTable, IsReadAsTheKernelWritesIt) {
    const auto table = parse_mount_table(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:44 / /mnt/my\\040photos rw,nosuid,nodev,relatime shared:7 master:2 - fuse.pelago my\\040volume "
        "rw,user_id=0\n"
        "nonsense\n41 22 0:45 / /x rw - tmpfs\n");
    ASSERT_EQ(table.size(), 2U);
    EXPECT_EQ(table[1].directory, "/mnt/my photos");
    EXPECT_EQ(table[1].type, kMountType);
    EXPECT_EQ(table[1].source, "my volume");
}

}  // namespace
}  // namespace tools
