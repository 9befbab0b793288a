// A mounted volume without a kernel: the file system over a working tree over a PAST in memory, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fuse/file_system.hpp"
#include "objstore/world.hpp"

namespace fusefs::test {

/// What the kernel was told to drop.
class DropsKept final : public KernelCache {
  public:
    void drop_inode(NodeId node) override { inodes.push_back(node); }
    void drop_entry(NodeId directory, const std::string& name) override { entries.emplace_back(directory, name); }

    std::vector<NodeId> inodes;
    std::vector<std::pair<NodeId, std::string>> entries;
};

class FileSystemTest : public testing::Test {
  protected:
    struct Mounted {
        std::unique_ptr<objstore::Volume> volume;
        std::unique_ptr<objstore::WorkingTree> tree;
        std::unique_ptr<DropsKept> kernel = std::make_unique<DropsKept>();
        std::unique_ptr<FileSystem> files;
        FileSystem* operator->() const { return files.get(); }
    };

    void SetUp() override {
        std::string name = "v";
        auto made = world_.run(objstore::Volume::create(env_, storage_, *marks_, owner_, std::move(name)));
        ASSERT_TRUE(made) << made.error().message();
    }

    Mounted mount(FileSystemConfig config = {}) {
        Mounted mounted;
        std::string name = "v";
        mounted.volume = *world_.run(objstore::Volume::open(env_, storage_, *marks_, owner_, std::move(name)));
        mounted.tree = *world_.run(objstore::WorkingTree::open(env_, *mounted.volume, 0, 0));
        mounted.files = std::make_unique<FileSystem>(env_, *mounted.tree, *mounted.kernel, std::move(config));
        return mounted;
    }

    template <class T>
    T run(base::Task<T> task) {
        return world_.run(std::move(task));
    }
    /// The errno; 0 if it went well.
    template <class T>
    int number(base::Task<base::Result<T>> task) {
        const auto result = world_.run(std::move(task));
        return result ? 0 : error_number(result.error());
    }

    NodeId make(Mounted& m, std::string name, std::uint32_t mode = 0644, Caller caller = {},
                NodeId directory = kRootNode) {
        const auto made = run(m->make_node(caller, directory, std::move(name), base::FileType::regular, mode, 0));
        EXPECT_TRUE(made) << made.error().message();
        return made ? made->node : 0;
    }
    NodeId make_directory(Mounted& m, std::string name, std::uint32_t mode = 0755, Caller caller = {},
                          NodeId directory = kRootNode) {
        const auto made = run(m->make_node(caller, directory, std::move(name), base::FileType::directory, mode, 0));
        EXPECT_TRUE(made) << made.error().message();
        return made ? made->node : 0;
    }
    HandleId open(Mounted& m, NodeId node, bool to_write = true) {
        OpenFlags flags;
        flags.write = to_write;
        const auto opened = run(m->open(node, flags));
        EXPECT_TRUE(opened);
        return opened ? opened->handle : 0;
    }
    int write(Mounted& m, NodeId node, HandleId handle, std::uint64_t offset, std::string_view text,
              bool append = false) {
        WriteRequest request;
        request.node = node;
        request.handle = handle;
        request.offset = offset;
        request.append = append;
        return number(m->write(request, base::as_bytes(text)));
    }
    std::string read(Mounted& m, NodeId node, HandleId handle = 0) {
        const auto pieces = run(m->read(node, handle, 0, 1U << 20U));
        EXPECT_TRUE(pieces) << pieces.error().message();
        std::string text;
        for (const auto& piece : *pieces) {
            text += piece.bytes.empty() ? std::string(piece.length, '\0') : std::string{base::as_text(piece.bytes)};
        }
        return text;
    }
    objstore::Inode inode(Mounted& m, NodeId node) { return run(m->attributes(node))->inode; }

    base::sim::World world_{1};
    base::NodeEnv env_ = world_.env();
    support::MemoryStorage storage_{env_.executor, objstore::verify_heartbeat};
    std::unique_ptr<objstore::HighWater> marks_ = objstore::make_disk_high_water(env_, "marks");
    base::SigningKey owner_ = objstore::test::owner_key();
};

}  // namespace fusefs::test
