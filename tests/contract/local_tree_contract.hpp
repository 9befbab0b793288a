// What every LocalTree promises (base/local_tree.hpp), hostile names above all.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/local_tree.hpp"

namespace base {

/// A tree, and a fresh, empty directory in it.
class TreeUnderTest {
  public:
    virtual ~TreeUnderTest() = default;
    [[nodiscard]] virtual LocalTree& tree() = 0;
    /// Absolute; exists, empty.
    [[nodiscard]] virtual std::string path() = 0;
};

struct TreeMaker {
    std::string name;
    std::function<std::unique_ptr<TreeUnderTest>()> make;
};
inline std::ostream& operator<<(std::ostream& out, const TreeMaker& maker) { return out << maker.name; }

class LocalTreeContract : public testing::TestWithParam<TreeMaker> {
  protected:
    LocalTree& tree() { return under_test_->tree(); }
    LocalDirectory& top() { return *top_; }
    std::string path(std::string_view name) { return under_test_->path() + "/" + std::string{name}; }

    std::unique_ptr<LocalFile> make(LocalDirectory& in, std::string_view name, std::string_view text) {
        auto file = in.create_file(name);
        EXPECT_TRUE(file) << file.error().message();
        if (!file) return nullptr;
        EXPECT_TRUE((*file)->write_at(0, as_bytes(text)));
        return std::move(*file);
    }
    std::string read(LocalDirectory& in, std::string_view name) {
        auto file = in.open_file(name);
        if (!file) return "<" + file.error().message() + ">";
        Bytes out(4096);
        const auto size = (*file)->read_at(0, out);
        if (!size) return "<" + size.error().message() + ">";
        return std::string{as_text(ByteView{out}.first(*size))};
    }
    std::string names(LocalDirectory& in) {
        std::string out;
        for (const auto& entry : in.list().value()) out += entry.name + " ";
        return out;
    }

  private:
    std::unique_ptr<TreeUnderTest> under_test_ = GetParam().make();
    std::unique_ptr<LocalDirectory> top_ = under_test_->tree().open(under_test_->path()).value();
};

inline std::string tree_maker_name(const testing::TestParamInfo<TreeMaker>& info) { return info.param.name; }

// --- confinement

TEST_P(LocalTreeContract, NamesThatAreNoSingleComponentAreRefusedEverywhere) {
    const auto inside = top().make_directory("inside").value();
    for (const std::string_view name : {"", ".", "..", "a/b", "/", "../x", "/etc"}) {
        EXPECT_EQ(inside->open_file(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->open_directory(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->create_file(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->make_directory(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->make_symlink(name, "target").error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->make_special(name, FileType::fifo, 0).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->make_link(name, top(), "inside").error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->make_link("link", top(), name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->remove(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->rename(name, "a").error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->rename("a", name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->stat(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->read_link(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->xattrs(name).error(), Errc::bad_argument) << name;
        EXPECT_EQ(inside->set_metadata(name, Metadata{.mode = 0777}).error(), Errc::bad_argument) << name;
    }
    EXPECT_EQ(inside->create_file(std::string_view{"a\0b", 3}).error(), Errc::bad_argument);
    EXPECT_EQ(names(*inside), "");
    EXPECT_EQ(names(top()), "inside ");
}

TEST_P(LocalTreeContract, ASymbolicLinkIsNeverFollowed) {
    make(top(), "secret", "text");
    const auto outside = top().make_directory("outside").value();
    const auto inside = top().make_directory("inside").value();
    ASSERT_TRUE(inside->make_symlink("file", "../secret"));
    ASSERT_TRUE(inside->make_symlink("directory", "../outside"));
    EXPECT_EQ(inside->open_file("file").error(), Errc::bad_argument);
    EXPECT_EQ(inside->open_directory("directory").error(), Errc::bad_argument);
    EXPECT_EQ(inside->create_file("file").error(), Errc::exists);
    EXPECT_EQ(inside->make_directory("directory").error(), Errc::exists);
    EXPECT_EQ(inside->stat("directory")->type, FileType::symlink);
    EXPECT_EQ(names(*outside), "");
    EXPECT_EQ(read(top(), "secret"), "text");
}

TEST_P(LocalTreeContract, MetadataOfALinkIsTheLinksOwn) {
    make(top(), "file", "text");
    const auto before = top().stat("file")->mtime;
    ASSERT_TRUE(top().make_symlink("link", "file"));
    EXPECT_TRUE(top().set_metadata("link", Metadata{.mtime = Timestamp::from_ns(1'000'000'007)}));
    EXPECT_EQ(top().stat("link")->mtime, Timestamp::from_ns(1'000'000'007));
    EXPECT_EQ(top().stat("file")->mtime, before);
}

TEST_P(LocalTreeContract, TheDirectoryThatIsOpenStaysTheSameWhenItsNameGoes) {
    const auto inside = top().make_directory("inside").value();
    ASSERT_TRUE(top().rename("inside", "moved"));
    make(*inside, "a", "text");
    EXPECT_EQ(names(*top().open_directory("moved").value()), "a ");
}

// --- files

TEST_P(LocalTreeContract, WhatIsWrittenIsRead) {
    const auto file = make(top(), "a", "hello");
    EXPECT_TRUE(file->write_at(5, as_bytes(" world")));
    EXPECT_EQ(read(top(), "a"), "hello world");
    EXPECT_EQ(top().stat("a")->size, 11U);
    EXPECT_EQ(top().stat("a")->mode, 0600U);
    EXPECT_EQ(file->stat()->inode, top().stat("a")->inode);
}

TEST_P(LocalTreeContract, CreateFileWantsAFreeName) {
    make(top(), "a", "text");
    EXPECT_EQ(top().create_file("a").error(), Errc::exists);
    EXPECT_EQ(top().open_file("b").error(), Errc::not_found);
    EXPECT_EQ(read(top(), "a"), "text");
}

TEST_P(LocalTreeContract, AFileThatWasLeftUnfinishedIsOpenedAgain) {
    make(top(), "a", "hello");
    const auto again = top().reopen_file("a").value();
    EXPECT_TRUE(again->write_at(5, as_bytes(" world")));
    EXPECT_EQ(read(top(), "a"), "hello world");
    EXPECT_EQ(top().reopen_file("b").error(), Errc::not_found);
}

TEST_P(LocalTreeContract, AFileIsOpenToOneWriter) {
    const auto first = make(top(), "a", "hello");
    EXPECT_EQ(top().reopen_file("a").error(), Errc::locked);
    const auto elsewhere = tree().open(path("")).value();
    EXPECT_EQ(elsewhere->reopen_file("a").error(), Errc::locked);
}

TEST_P(LocalTreeContract, OnlyWhatNobodyElseCanHaveOpenIsOpenedAgain) {
    make(top(), "linked", "text");
    ASSERT_TRUE(top().make_link("other", top(), "linked"));
    EXPECT_EQ(top().reopen_file("linked").error(), Errc::bad_argument);
    make(top(), "readable", "text")->set_metadata(Metadata{.mode = 0640}).value();
    EXPECT_EQ(top().reopen_file("readable").error(), Errc::bad_argument);
    make(top(), "file", "text");
    ASSERT_TRUE(top().make_symlink("symlink", "file"));
    EXPECT_EQ(top().reopen_file("symlink").error(), Errc::bad_argument);
    ASSERT_TRUE(top().make_special("fifo", FileType::fifo, 0));
    EXPECT_EQ(top().reopen_file("fifo").error(), Errc::bad_argument);
    EXPECT_EQ(top().reopen_file("../file").error(), Errc::bad_argument);
}

TEST_P(LocalTreeContract, HolesAreSeenAndReadAsZeros) {
    const auto file = top().create_file("sparse").value();
    constexpr std::uint64_t kFar = 5ULL << 30U;
    ASSERT_TRUE(file->write_at(1 << 20, as_bytes("middle")));
    ASSERT_TRUE(file->truncate(kFar));
    EXPECT_EQ(file->stat()->size, kFar);
    EXPECT_LT(file->stat()->allocated_bytes, 1U << 20U);
    const auto ranges = file->data_ranges().value();
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_LE(ranges[0].offset, 1U << 20U);
    EXPECT_GE(ranges[0].offset + ranges[0].length, (1U << 20U) + 6);
    EXPECT_LT(ranges[0].length, 1U << 18U);
    Bytes out(3, 0xFF);
    EXPECT_EQ(file->read_at(kFar - 3, out).value(), 3U);
    EXPECT_EQ(out, Bytes(3));
    EXPECT_TRUE(top().create_file("empty").value()->data_ranges()->empty());
}

TEST_P(LocalTreeContract, MetadataIsSetAndTimesAreExact) {
    const auto file = make(top(), "a", "text");
    EXPECT_TRUE(file->set_metadata(Metadata{.mode = 04751, .mtime = Timestamp::from_ns(-1'234'567'891)}));
    EXPECT_EQ(top().stat("a")->mode, 04751U);
    EXPECT_EQ(top().stat("a")->mtime, Timestamp::from_ns(-1'234'567'891));
    const auto directory = top().make_directory("d").value();
    EXPECT_TRUE(directory->set_metadata(Metadata{.mode = 01777, .mtime = Timestamp::from_ns(17)}));
    EXPECT_EQ(top().stat("d")->mode, 01777U);
    EXPECT_EQ(directory->stat()->mtime, Timestamp::from_ns(17));
    EXPECT_TRUE(directory->set_metadata(Metadata{.atime = Timestamp{-3, 4}}));
    EXPECT_EQ(directory->stat()->atime, (Timestamp{-3, 4}));
    EXPECT_EQ(directory->stat()->mtime, Timestamp::from_ns(17)) << "left alone";
}

TEST_P(LocalTreeContract, ChangingAFileMovesItsTimes) {
    const auto file = make(top(), "a", "text");
    EXPECT_TRUE(file->set_metadata(Metadata{.mtime = Timestamp::from_ns(1)}));
    const auto before = file->stat().value();
    EXPECT_TRUE(file->write_at(0, as_bytes("TEXT")));
    EXPECT_GT(file->stat()->mtime, before.mtime);
    EXPECT_GE(file->stat()->ctime, before.ctime);
}

TEST_P(LocalTreeContract, XattrsAreKeptAndSorted) {
    const auto file = make(top(), "a", "text");
    const auto set = file->set_xattr(Xattr{"user.b", to_bytes("2")});
    if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "this file system has no user xattrs";
    ASSERT_TRUE(set) << set.error().message();
    ASSERT_TRUE(top().set_xattr("a", Xattr{"user.a", Bytes(300, 7)}));
    const std::vector<Xattr> wanted{{"user.a", Bytes(300, 7)}, {"user.b", to_bytes("2")}};
    EXPECT_EQ(file->xattrs().value(), wanted);
    EXPECT_EQ(top().xattrs("a").value(), wanted);
    const auto directory = top().make_directory("d").value();
    ASSERT_TRUE(directory->set_xattr(Xattr{"user.c", {}}));
    EXPECT_EQ(top().xattrs("d").value(), (std::vector<Xattr>{{"user.c", {}}}));
    EXPECT_EQ(directory->xattrs()->size(), 1U);
}

TEST_P(LocalTreeContract, XattrsOfADirectoryAreRemoved) {
    const auto directory = top().make_directory("d").value();
    const auto set = directory->set_xattr(Xattr{"user.a", to_bytes("1")});
    if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "this file system has no user xattrs";
    ASSERT_TRUE(directory->remove_xattr("user.a"));
    EXPECT_TRUE(directory->xattrs()->empty());
    EXPECT_TRUE(directory->remove_xattr("user.a")) << "it need not be there";
}

TEST_P(LocalTreeContract, NothingIsInheritedFromTheDirectorysDefaultAcl) {
    // Version 2; owner rwx, user 12345 rwx, group r-x, mask rwx, others r-x.
    const Bytes acl{2, 0,    0,    0,    1,    0,    7,  0, 0xFF, 0xFF, 0xFF, 0xFF, 2,    0,   7,
                    0, 0x39, 0x30, 0,    0,    4,    0,  5, 0,    0xFF, 0xFF, 0xFF, 0xFF, 16,  0,
                    7, 0,    0xFF, 0xFF, 0xFF, 0xFF, 32, 0, 5,    0,    0xFF, 0xFF, 0xFF, 0xFF};
    const auto set = top().set_xattr(Xattr{"system.posix_acl_default", acl});
    if (!set && set.error() == Errc::unsupported) GTEST_SKIP() << "this file system has no ACLs";
    ASSERT_TRUE(set) << set.error().message();
    make(top(), "file", "text")->set_metadata(Metadata{.mode = 0640}).value();
    EXPECT_TRUE(top().make_directory("directory").value()->set_metadata(Metadata{.mode = 0750}));
    ASSERT_TRUE(top().make_special("fifo", FileType::fifo, 0));
    ASSERT_TRUE(top().make_symlink("link", "file"));
    for (const std::string_view name : {"file", "directory", "fifo", "link"}) {
        EXPECT_TRUE(top().xattrs(name)->empty()) << name;
    }
    EXPECT_EQ(top().stat("file")->mode, 0640U);
    EXPECT_EQ(top().stat("directory")->mode, 0750U);
}

// --- links and specials

TEST_P(LocalTreeContract, SymbolicLinksKeepTheirTargetsWhateverTheySay) {
    for (const std::string target : {"/etc/passwd", "../../x", "dangling", "with space\n"}) {
        ASSERT_TRUE(top().make_symlink("l", target));
        EXPECT_EQ(top().read_link("l").value(), target);
        EXPECT_EQ(top().make_symlink("l", "other").error(), Errc::exists);
        EXPECT_TRUE(top().remove("l"));
    }
    EXPECT_EQ(top().make_symlink("l", "").error(), Errc::bad_argument);
    make(top(), "file", "");
    EXPECT_EQ(top().read_link("file").error(), Errc::bad_argument);
}

TEST_P(LocalTreeContract, HardLinksShareOneInode) {
    make(top(), "a", "text");
    const auto directory = top().make_directory("d").value();
    ASSERT_TRUE(directory->make_link("b", top(), "a"));
    EXPECT_EQ(top().stat("a")->inode, directory->stat("b")->inode);
    EXPECT_EQ(top().stat("a")->nlink, 2U);
    EXPECT_EQ(directory->make_link("b", top(), "a").error(), Errc::exists);
    EXPECT_EQ(directory->make_link("c", top(), "absent").error(), Errc::not_found);
    EXPECT_EQ(top().make_link("e", top(), "d").error(), Errc::denied);
    ASSERT_TRUE(top().remove("a"));
    EXPECT_EQ(read(*directory, "b"), "text");
    EXPECT_EQ(directory->stat("b")->nlink, 1U);
}

TEST_P(LocalTreeContract, AHardLinkToASymlinkIsToTheLinkItself) {
    ASSERT_TRUE(top().make_symlink("l", "target"));
    ASSERT_TRUE(top().make_link("m", top(), "l"));
    EXPECT_EQ(top().read_link("m").value(), "target");
    EXPECT_EQ(top().stat("l")->nlink, 2U);
}

TEST_P(LocalTreeContract, SpecialsAreMadeAndNeverOpened) {
    ASSERT_TRUE(top().make_special("fifo", FileType::fifo, 0));
    ASSERT_TRUE(top().make_special("socket", FileType::socket, 0));
    EXPECT_EQ(top().stat("fifo")->type, FileType::fifo);
    EXPECT_EQ(top().stat("socket")->type, FileType::socket);
    EXPECT_EQ(top().open_file("fifo").error(), Errc::bad_argument);
    EXPECT_EQ(top().open_file("socket").error(), Errc::bad_argument);
    EXPECT_EQ(top().make_special("x", FileType::regular, 0).error(), Errc::bad_argument);
    if (!tree().privileged()) {
        EXPECT_EQ(top().make_special("device", FileType::character, 0x103).error(), Errc::denied);
    }
}

// --- directories

TEST_P(LocalTreeContract, ListsAreSortedByBytesAndSayTheType) {
    make(top(), "b", "");
    make(top(), "\xC3\xA4", "");
    make(top(), "a b", "");
    ASSERT_TRUE(top().make_directory("B"));
    ASSERT_TRUE(top().make_symlink("c", "x"));
    EXPECT_EQ(names(top()), "B a b b c \xC3\xA4 ");
    EXPECT_EQ(top().list()->at(0).type, FileType::directory);
    EXPECT_EQ(top().list()->at(3).type, FileType::symlink);
}

TEST_P(LocalTreeContract, OddNamesAreNames) {
    const std::string longest(kMaxNameBytes, 'n');
    for (const std::string& name : {std::string{"..."}, std::string{" "}, std::string{"-rf"}, std::string{"a\nb"},
                                    std::string{"\xFF\xFE"}, std::string{"back\\slash"}, longest}) {
        make(top(), name, "text");
        EXPECT_EQ(read(top(), name), "text");
        EXPECT_TRUE(top().remove(name));
    }
    EXPECT_EQ(top().create_file(longest + "n").error(), Errc::bad_argument);
}

TEST_P(LocalTreeContract, AnExistingDirectoryIsOpened) {
    make(*top().make_directory("d").value(), "a", "text");
    EXPECT_EQ(names(*top().make_directory("d").value()), "a ");
    make(top(), "f", "");
    EXPECT_EQ(top().make_directory("f").error(), Errc::exists);
    EXPECT_EQ(top().open_directory("f").error(), Errc::bad_argument);
}

TEST_P(LocalTreeContract, RemoveAndRenameStayInTheDirectory) {
    make(*top().make_directory("d").value(), "a", "text");
    make(top(), "b", "other");
    EXPECT_EQ(top().remove("d").error(), Errc::exists);
    EXPECT_EQ(top().rename("b", "d").error(), Errc::bad_argument);
    EXPECT_TRUE(top().rename("b", "c"));
    EXPECT_EQ(top().rename("b", "e").error(), Errc::not_found);
    make(top(), "e", "replaced");
    EXPECT_TRUE(top().rename("c", "e"));
    EXPECT_EQ(read(top(), "e"), "other");
    EXPECT_TRUE(top().open_directory("d").value()->remove("a"));
    EXPECT_TRUE(top().remove("d"));
    EXPECT_EQ(top().remove("d").error(), Errc::not_found);
    EXPECT_EQ(names(top()), "e ");
}

// --- paths that a user typed

TEST_P(LocalTreeContract, OpenFollowsLinksInTheTypedPath) {
    make(*top().make_directory("d").value(), "a", "text");
    ASSERT_TRUE(top().make_symlink("link", "d"));
    EXPECT_EQ(names(*tree().open(path("link")).value()), "a ");
    EXPECT_EQ(tree().open(path("absent")).error(), Errc::not_found);
    make(top(), "file", "");
    EXPECT_EQ(tree().open(path("file")).error(), Errc::bad_argument);
    EXPECT_EQ(tree().open("").error(), Errc::bad_argument);
}

TEST_P(LocalTreeContract, CreateMakesParents) {
    const auto made = tree().create(path("x/y/z")).value();
    make(*made, "a", "text");
    EXPECT_EQ(names(*tree().create(path("x/y/z")).value()), "a ");
    make(top(), "file", "");
    EXPECT_FALSE(tree().create(path("file/under")));
}

TEST_P(LocalTreeContract, AbsolutePathsAreTidyAndKeepLinks) {
    ASSERT_TRUE(tree().create(path("x/deep/er")));
    ASSERT_TRUE(top().make_symlink("link", "x/deep"));
    EXPECT_EQ(tree().absolute(path("x/.././link//y/")).value(), path("link/y"));
    EXPECT_EQ(tree().absolute(path("link/er/../y")).value(), path("link/y"));
    EXPECT_EQ(tree().absolute(path("link/../y")).value(), path("x/y")) << "as the kernel goes";
    EXPECT_EQ(tree().absolute(path("no such/../y")).error(), Errc::not_found);
    EXPECT_EQ(tree().absolute("/").value(), "/");
    EXPECT_EQ(tree().absolute("/../..").value(), "/");
    EXPECT_TRUE(tree().absolute("relative")->starts_with("/"));
}

}  // namespace base
