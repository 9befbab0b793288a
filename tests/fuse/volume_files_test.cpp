// The live tree and its past, as the kernel asks for them.
#include "fuse/volume_files.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/task_group.hpp"
#include "fuse/world.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/live/history.hpp"
#include "past/error.hpp"

namespace fusefs::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class VolumeFilesTest : public FileSystemTest {
  protected:
    struct Whole {
        std::unique_ptr<objstore::Volume> volume;
        std::unique_ptr<objstore::WorkingTree> tree;
        std::unique_ptr<DropsKept> kernel = std::make_unique<DropsKept>();
        std::unique_ptr<VolumeFiles> files;
        VolumeFiles* operator->() const { return files.get(); }
    };
    void SetUp() override {
        FileSystemTest::SetUp();
        on_ = show();
    }
    void TearDown() override { run(on_.volume->finish()); }

    Whole show(VolumeFilesConfig config = {}) {
        Whole out;
        std::string name = "v";
        out.volume = *run(objstore::Volume::open(env_, storage_, *marks_, owner_, std::move(name)));
        out.tree = *run(objstore::WorkingTree::open(env_, *out.volume, 0, 0));
        auto files = run(VolumeFiles::open(env_, *out.volume, *out.tree, *out.kernel, std::move(config)));
        EXPECT_TRUE(files) << files.error().message();
        out.files = std::move(*files);
        return out;
    }
    void commit() {
        world_.run_for(10ms);  // versions have names to the millisecond
        EXPECT_TRUE(run(on_.tree->commit()));
    }
    NodeId look(NodeId directory, const std::string& name) {
        const auto found = run(on_->lookup(directory, name));
        EXPECT_TRUE(found) << name << ": " << found.error().message();
        return found ? found->node : 0;
    }
    /// 0: there is none.
    NodeId at(const std::string& path) {
        NodeId node = kRootNode;
        for (std::size_t begin = 0; begin < path.size() && node != 0;) {
            const auto end = std::min(path.find('/', begin), path.size());
            node = look(node, path.substr(begin, end - begin));
            begin = end + 1;
        }
        return node;
    }
    NodeId directory(NodeId above, const std::string& name, std::uint32_t mode = 0755) {
        return run(on_->make_node(Caller{}, above, name, base::FileType::directory, mode, 0))->node;
    }
    NodeId file(NodeId above, const std::string& name, const std::string& text) {
        const auto node = run(on_->make_node(Caller{}, above, name, base::FileType::regular, 0644, 0))->node;
        put(node, text);
        return node;
    }
    void put(NodeId node, const std::string& text) {
        OpenFlags flags;
        flags.write = true;
        const auto opened = run(on_->open(node, flags));
        WriteRequest request;
        request.node = node;
        request.handle = opened->handle;
        EXPECT_TRUE(run(on_->write(request, base::as_bytes(text))));
        on_->release(node, opened->handle, std::nullopt);
    }
    std::string text(NodeId node) {
        const auto pieces = run(on_->read(node, 0, 0, 1U << 20U));
        EXPECT_TRUE(pieces) << pieces.error().message();
        std::string out;
        for (const auto& piece : *pieces) out += base::as_text(piece.bytes);
        return out;
    }
    std::vector<DirectoryEntry> entries(NodeId node, bool with_attributes = false) {
        auto some = run(on_->list(node, 0, 1000, with_attributes));
        EXPECT_TRUE(some) << some.error().message();
        if (!some) return {};
        std::erase_if(*some, [](const DirectoryEntry& entry) { return entry.is_dot(); });
        std::ranges::sort(*some, {}, &DirectoryEntry::name);
        return *some;
    }
    std::vector<std::string> names(NodeId node) {
        std::vector<std::string> out;
        for (const auto& entry : entries(node)) out.push_back(entry.name);
        return out;
    }
    Whole on_;
};

TEST_F(VolumeFilesTest, TheHiddenDirectoryIsFoundEverywhereAndListedNowhere) {
    const auto d = directory(kRootNode, "d");
    file(d, "f", "one");
    commit();
    EXPECT_THAT(names(kRootNode), ElementsAre("d"));
    EXPECT_THAT(names(d), ElementsAre("f"));
    EXPECT_NE(at(".snapshots"), 0U);
    EXPECT_NE(at("d/.snapshots"), 0U);
    EXPECT_NE(at(".snapshots"), at("d/.snapshots"));
    EXPECT_EQ(look(at("d/.snapshots"), ".."), d);
}

TEST_F(VolumeFilesTest, ADirectoryIsShownAsItWasByItsNumberAndNotWhereItWasNot) {
    const auto d = directory(kRootNode, "d");
    const auto f = file(d, "f", "one");
    commit();
    put(f, "two");
    EXPECT_TRUE(run(on_->rename(kRootNode, "d", kRootNode, "renamed", RenameFlag::replace)));
    const auto fresh = directory(kRootNode, "fresh");
    commit();
    put(f, "now");
    commit();
    const auto versions = names(at("renamed/.snapshots"));
    ASSERT_THAT(versions, SizeIs(2));
    EXPECT_EQ(text(at("renamed/.snapshots/" + versions[0] + "/f")), "one");
    EXPECT_EQ(text(at("renamed/.snapshots/" + versions[1] + "/f")), "two");
    EXPECT_THAT(names(at(".snapshots/" + versions[0])), ElementsAre("d"));
    EXPECT_THAT(names(at("fresh/.snapshots")), ElementsAre(versions[1]));
    EXPECT_EQ(look(at("fresh/.snapshots"), versions[0]), 0U);
    EXPECT_EQ(look(look(fresh, ".snapshots"), "2020-01-01T00.00.00.000Z"), 0U);
}

TEST_F(VolumeFilesTest, WhatIsShownOfThePastHasNumbersOfItsOwnAndTheAttributesOfThen) {
    const auto d = directory(kRootNode, "private", 0700);
    const auto f = file(d, "f", "one");
    commit();
    AttributeRequest open_to_all;
    open_to_all.mode = 0755;
    EXPECT_TRUE(run(on_->set_attributes(d, open_to_all)));
    commit();
    const auto version = names(at("private/.snapshots")).at(0);
    const auto top = at("private/.snapshots/" + version);
    EXPECT_EQ(run(on_->attributes(top))->inode.mode, 0700U) << "who could not look into it then cannot now";
    EXPECT_EQ(run(on_->attributes(top))->number, top);
    const auto old = look(top, "f");
    EXPECT_NE(old, f);
    for (const auto node : {top, old, at("private/.snapshots")}) EXPECT_TRUE(SnapshotFiles::owns(node));
    EXPECT_NE(at(".snapshots/" + version + "/private/f"), old) << "the same file by another way is another";
    for (const auto& entry : entries(at("private/.snapshots"), true)) {
        EXPECT_EQ(entry.node, top);
        EXPECT_EQ(entry.attributes->inode.mode, 0700U);
    }
    EXPECT_EQ(base::as_text(*run(on_->get_xattr(top, "user.pelago.time"))).substr(0, 4),
              std::to_string(run(objstore::read_history(*on_.volume))->versions[0].time_ns).substr(0, 4));
}

TEST_F(VolumeFilesTest, ThePastCannotBeChangedAndItsNameIsTaken) {
    const auto f = file(kRootNode, "f", "one");
    commit();
    put(f, "two");
    commit();
    const auto past = at(".snapshots");
    const auto top = look(past, names(past).at(0));
    const auto old = look(top, "f");
    const Caller me{};
    OpenFlags flags;
    flags.write = true;
    EXPECT_EQ(number(on_->open(old, flags)), EROFS);
    EXPECT_EQ(number(on_->unlink(top, "f")), EROFS);
    EXPECT_EQ(number(on_->rename(top, "f", kRootNode, "g", RenameFlag::replace)), EROFS);
    EXPECT_EQ(number(on_->rename(kRootNode, "f", top, "g", RenameFlag::replace)), EROFS);
    EXPECT_EQ(number(on_->link(old, kRootNode, "g")), EXDEV);
    EXPECT_EQ(number(on_->link(f, top, "g")), EROFS);
    EXPECT_EQ(number(on_->make_node(me, top, "d", base::FileType::directory, 0755, 0)), EROFS);
    EXPECT_EQ(number(on_->make_node(me, past, "f", base::FileType::regular, 0644, 0)), EROFS);
    EXPECT_EQ(number(on_->remove_directory(past, "never")), ENOENT);
    EXPECT_EQ(number(on_->make_node(me, kRootNode, ".snapshots", base::FileType::directory, 0755, 0)), EEXIST);
    EXPECT_EQ(number(on_->make_symlink(me, kRootNode, ".snapshots", "x")), EEXIST);
    EXPECT_EQ(number(on_->link(f, kRootNode, ".snapshots")), EEXIST);
    EXPECT_EQ(number(on_->create(me, kRootNode, ".snapshots", 0644, flags)), EISDIR);
    EXPECT_EQ(number(on_->unlink(kRootNode, ".snapshots")), EISDIR);
    EXPECT_EQ(number(on_->remove_directory(kRootNode, ".snapshots")), EPERM);
    EXPECT_EQ(number(on_->rename(kRootNode, "f", kRootNode, ".snapshots", RenameFlag::replace)), EPERM);
    EXPECT_EQ(number(on_->rename(kRootNode, ".snapshots", kRootNode, "g", RenameFlag::replace)), EPERM);
    EXPECT_EQ(text(f), "two");
    // But any of it can be forgotten.
    const auto name = names(past).at(0);
    EXPECT_EQ(number(on_->remove_directory(past, name)), 0);
    EXPECT_EQ(std::ranges::count(names(past), name), 0);
}

TEST_F(VolumeFilesTest, ADirectoryMadeInItIsASnapshotOfWhatWasNotStoredYet) {
    const auto d = directory(kRootNode, "d");
    const auto f = file(d, "f", "before");
    const auto past = look(d, ".snapshots");
    const Caller me{};
    const auto made = run(on_->make_node(me, past, "named", base::FileType::directory, 0755, 0));
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(text(look(made->node, "f")), "before");
    EXPECT_EQ(number(on_->make_node(me, past, "named", base::FileType::directory, 0755, 0)), EEXIST);
    EXPECT_EQ(number(on_->make_node(me, past, "2026-11-30T20.15.03.123Z", base::FileType::directory, 0755, 0)), EINVAL);
    EXPECT_EQ(number(on_->make_node(me, past, "latest", base::FileType::directory, 0755, 0)), EINVAL);
    put(f, "later.");
    commit();
    EXPECT_EQ(text(at(".snapshots/named/d/f")), "before");
    EXPECT_EQ(number(on_->remove_directory(past, "named")), 0);
    EXPECT_EQ(look(past, "named"), 0U);
    EXPECT_EQ(number(on_->remove_directory(past, "named")), ENOENT);
}

// Two `ls -l` at once: what the one is offered is not taken back because the other begins.
TEST_F(VolumeFilesTest, OfTwoListingsAtOnceTheKernelKnowsEveryNodeThatItTook) {
    directory(kRootNode, "d");
    const auto f = file(kRootNode, "f", "0");
    for (int i = 1; i <= 4; ++i) {
        commit();
        put(f, std::to_string(i));
    }
    commit();
    const auto other = show();  // which has read none of the versions
    const auto d = run(other->lookup(kRootNode, "d"))->node;
    std::vector<NodeId> taken;
    const auto list = [&](NodeId of) -> base::Task<void> {
        const auto past = co_await other->lookup(of, ".snapshots");
        const auto some = co_await other->list(past->node, 0, 1000, true);
        EXPECT_TRUE(some) << some.error().message();
        if (!some) co_return;
        for (const auto& entry : *some) {
            if (!entry.attributes) continue;
            other->remember(entry.node);
            taken.push_back(entry.node);
        }
    };
    base::TaskGroup group{env_.executor};
    std::size_t reads = 0;
    storage_.fail_get = [&](const base::Guid&) -> std::optional<base::Error> {
        if (++reads == 3) group.spawn(list(d));  // while the first one reads its third version
        return std::nullopt;
    };
    group.spawn(list(kRootNode));
    run(group.join());
    ASSERT_THAT(taken, SizeIs(8)) << "four versions of each";
    for (const auto node : taken) EXPECT_EQ(number(other->attributes(node)), 0);
    run(other.volume->finish());
}

TEST_F(VolumeFilesTest, AFileOfASnapshotThatIsGoneIsAnErrorOnceItsBlocksAre) {
    const std::string big(100'000, 'x');
    const auto f = file(kRootNode, "f", big);
    const auto past = at(".snapshots");
    ASSERT_TRUE(run(on_->make_node(Caller{}, past, "named", base::FileType::directory, 0755, 0)));
    put(f, std::string(100'000, 'y'));
    commit();
    run(objstore::set_history_policy(*on_.volume, {.last = 1}));
    const auto other = show();  // has read nothing of it
    const auto top = run(other->lookup(run(other->lookup(kRootNode, ".snapshots"))->node, "named"))->node;
    const auto old = run(other->lookup(top, "f"))->node;
    ASSERT_EQ(number(other->open(old, {})), 0);
    ASSERT_EQ(number(on_->remove_directory(past, "named")), 0);
    EXPECT_GT(run(objstore::gc::prune(*on_.volume, {.at_once = true}))->blocks, 0U);
    EXPECT_EQ(number(other->read(old, 0, 0, 1U << 20U)), EIO);
    world_.run_for(10s);
    EXPECT_EQ(run(other->lookup(run(other->lookup(kRootNode, ".snapshots"))->node, "named"))->node, 0U);
    run(other.volume->finish());
}

TEST_F(VolumeFilesTest, UnreachableIsAnErrorAndNeverAShorterList) {
    const auto d = directory(kRootNode, "d");
    const auto f = file(d, "f", "one");
    commit();
    put(f, "two");
    commit();
    const auto past = look(d, ".snapshots");
    const auto other = show();
    storage_.fail_get = [](const base::Guid&) { return std::optional{base::Error{past::Errc::holders_unreachable}}; };
    const auto there = run(other->lookup(kRootNode, ".snapshots"));
    ASSERT_TRUE(there);
    EXPECT_EQ(number(other->list(there->node, 0, 100, false)), EIO);
    storage_.fail_get = nullptr;
    EXPECT_THAT(names(past), SizeIs(1));
    run(other.volume->finish());
}

TEST_F(VolumeFilesTest, WhoCopiesOutOfThePastReadsAndWrites) {
    const auto f = file(kRootNode, "f", "one");
    commit();
    put(f, "two");
    commit();
    CopyRequest request;
    request.from = at(".snapshots/" + names(at(".snapshots")).at(0) + "/f");
    request.to = file(kRootNode, "copy", "");
    request.length = 3;
    EXPECT_EQ(number(on_->copy_range(request)), EXDEV) << "which makes the kernel do so";
    request.to = request.from;
    request.from = f;
    EXPECT_EQ(number(on_->copy_range(request)), EROFS);
}

}  // namespace
}  // namespace fusefs::test
