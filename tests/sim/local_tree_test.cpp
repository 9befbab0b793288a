// What the simulated tree can do beyond its contract: be described, fail, and change under a reader.
#include "base/sim/local_tree.hpp"

#include <gtest/gtest.h>

#include <string>

namespace base::sim {
namespace {

void make_odd_tree(LocalTree& tree, const std::string& top) {
    tree.write(top + "/a/b.txt", "text");
    tree.hard_link(top + "/c", top + "/a/b.txt");
    tree.symlink(top + "/l", "a/b.txt");
    tree.special(top + "/device", FileType::character, 0x103);
    tree.write_at(top + "/sparse", 1 << 20, as_bytes("far"));
    tree.set_xattr(top + "/a/b.txt", "user.x", as_bytes("1"));
    tree.make_directory(top + "/empty");
    for (const char* name : {"", "/a", "/a/b.txt", "/l", "/device", "/sparse", "/empty"}) {
        tree.set_mtime(top + name, Timestamp::from_ns(1'000'000'007));
    }
}

TEST(SimLocalTree, EqualTreesAreDescribedAlike) {
    LocalTree tree;
    make_odd_tree(tree, "one");
    make_odd_tree(tree, "two");
    EXPECT_EQ(tree.describe("one"), tree.describe("two"));
}

TEST(SimLocalTree, EveryDifferenceShows) {
    LocalTree tree;
    make_odd_tree(tree, "one");
    const auto before = tree.describe("one");
    const auto differs = [&](const std::function<void(const std::string&)>& change) {
        make_odd_tree(tree, "two");
        change("two");
        const bool different = tree.describe("two") != before;
        tree.remove("two");
        return different;
    };
    EXPECT_FALSE(differs([](const std::string&) {}));
    EXPECT_TRUE(differs([&](const std::string& top) {
        tree.write_at(top + "/c", 1, as_bytes("E"));
        tree.set_mtime(top + "/c", Timestamp::from_ns(1'000'000'007));
    }));
    EXPECT_TRUE(differs([&](const std::string& top) { tree.set_mode(top + "/a", 0700); }));
    EXPECT_TRUE(differs([&](const std::string& top) { tree.set_owner(top + "/l", 1, 0); }));
    EXPECT_TRUE(
        differs([&](const std::string& top) { tree.set_mtime(top + "/empty", Timestamp::from_ns(1'000'000'008)); }));
    EXPECT_TRUE(differs([&](const std::string& top) { tree.set_xattr(top + "/c", "user.x", as_bytes("2")); }));
    EXPECT_TRUE(differs([&](const std::string& top) {
        tree.remove(top + "/c");
        tree.write(top + "/c", "text");  // no hard link any more
        tree.set_xattr(top + "/c", "user.x", as_bytes("1"));
        tree.set_mtime(top + "/c", Timestamp::from_ns(1'000'000'007));
    }));
    EXPECT_TRUE(differs([&](const std::string& top) {
        tree.write_at(top + "/sparse", 0, Bytes(4096));  // zeros where a hole was
        tree.set_mtime(top + "/sparse", Timestamp::from_ns(1'000'000'007));
    }));
}

TEST(SimLocalTree, CallsFailOnThePathsTheyWereToldTo) {
    LocalTree tree;
    tree.write("d/a", "text");
    tree.write("d/b", "text");
    tree.fail("d/a", TreeCall::open, Errc::denied);
    const auto directory = tree.open("d").value();
    EXPECT_EQ(directory->open_file("a").error(), Errc::denied);
    EXPECT_TRUE(directory->open_file("b"));
    tree.clear_failures();
    EXPECT_TRUE(directory->open_file("a"));
}

TEST(SimLocalTree, AFileCanChangeWhileItIsRead) {
    LocalTree tree;
    tree.write("a", "before");
    const auto file = tree.open("/").value()->open_file("a").value();
    const auto stat = file->stat().value();
    tree.before("a", TreeCall::read, [&] { tree.write("a", "after, and longer"); });
    Bytes out(100);
    EXPECT_EQ(file->read_at(0, out).value(), 17U);
    EXPECT_NE(file->stat()->ctime, stat.ctime);
}

TEST(SimLocalTree, RightsAndRoomCanBeTakenAway) {
    LocalTree tree;
    tree.set_xattr("/", "trusted.x", as_bytes("1"));
    tree.set_privileged(false);
    tree.set_capacity(4096);
    const auto top = tree.open("/").value();
    EXPECT_EQ(top->make_special("device", FileType::block, 1).error(), Errc::denied);
    EXPECT_EQ(top->set_metadata(Metadata{.uid = 17}).error(), Errc::denied);
    EXPECT_TRUE(top->set_metadata(Metadata{.uid = 0}));
    EXPECT_TRUE(top->xattrs()->empty());
    EXPECT_EQ(top->create_file("a").value()->write_at(0, Bytes(4097)).error(), Errc::no_space);
}

TEST(SimLocalTree, AMountedDirectoryHasAnotherDevice) {
    LocalTree tree;
    tree.write("d/mnt/a", "text");
    tree.mount("d/mnt", 42);
    EXPECT_EQ(tree.stat("d/mnt/a").device, 42U);
    const auto directory = tree.open("d").value();
    EXPECT_NE(directory->stat()->device, 42U);
    EXPECT_EQ(directory->stat("mnt")->device, 42U);
    EXPECT_EQ(directory->open_directory("mnt").value()->stat("a")->device, 42U);
}

}  // namespace
}  // namespace base::sim
