// Copies of files and directories, and the directories that undelete works in.
#include "mount/copy_tree.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/error.hpp"
#include "mount/directory.hpp"
#include "recorded_io.hpp"

namespace tools {
namespace {

using ::testing::HasSubstr;
using testing::Scratch;

/// An ordinary user while it lives, if it is root who tests.
class OrdinaryUser {
  public:
    explicit OrdinaryUser(const std::string& owns) {
        constexpr uid_t kNobody = 65534;
        if (::geteuid() != 0) return;
        EXPECT_EQ(::chown(owns.c_str(), kNobody, kNobody), 0);
        EXPECT_EQ(::seteuid(kNobody), 0);
    }
    ~OrdinaryUser() { EXPECT_EQ(::seteuid(::getuid()), 0); }
    OrdinaryUser(const OrdinaryUser&) = delete;
    OrdinaryUser& operator=(const OrdinaryUser&) = delete;
};

TEST(CopyTree, AttributesAreSetBeforeAModeThatForbidsIt) {
    const Scratch scratch;
    const OrdinaryUser user{scratch.path()};
    const auto from = scratch.path("from");
    const int file = ::open(from.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    ::close(file);
    ASSERT_EQ(::setxattr(from.c_str(), "user.colour", "blue", 4, 0), 0);
    ASSERT_EQ(::chmod(from.c_str(), 0400), 0);
    const auto to = scratch.path("to");
    ASSERT_TRUE(copy_tree(from, to));
    std::array<char, 8> value{};
    ASSERT_EQ(::getxattr(to.c_str(), "user.colour", value.data(), value.size()), 4);
    EXPECT_STREQ(value.data(), "blue");
    struct stat made{};
    ASSERT_EQ(::stat(to.c_str(), &made), 0);
    EXPECT_EQ(made.st_mode & 07777U, 0400U);
}

TEST(Directory, StaysTheSameWhateverIsPutInItsPlace) {
    const Scratch scratch;
    const auto real = std::filesystem::canonical(scratch.path()).string();
    scratch.write("d/mine", "");
    scratch.write("other/f", "");
    const auto held = Directory::open(real + "/d");
    ASSERT_TRUE(held) << held.error().message();
    std::filesystem::rename(real + "/d", real + "/moved");
    std::filesystem::create_directory_symlink("other", real + "/d");
    EXPECT_TRUE(std::filesystem::exists(held->at("mine")));
    EXPECT_FALSE(std::filesystem::exists(held->at("f")));
    for (const auto& path : {"/d", "/d/below"}) {
        const auto refused = Directory::open(real + path);
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().message(), HasSubstr("cannot enter " + real + "/d: it is a symbolic link"));
    }
    EXPECT_EQ(Directory::open(real + "/never").error(), base::Errc::not_found);
    EXPECT_EQ(held->in_words({base::Errc::denied, "cannot make " + held->at("x")}).detail(),
              "cannot make " + real + "/d/x");
}

TEST(Directory, IsOursAloneIfNobodyElseMayWriteIntoIt) {
    const Scratch scratch;
    const auto real = std::filesystem::canonical(scratch.path()).string();
    for (const auto& [mode, alone] : {std::pair{0700U, true}, {0770U, false}, {0707U, false}}) {
        std::filesystem::permissions(real, std::filesystem::perms{mode});
        EXPECT_EQ(Directory::open(real)->is_ours_alone(), alone) << mode;
    }
}

}  // namespace
}  // namespace tools
