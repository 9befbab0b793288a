// Several mounts of one volume over a PAST in memory, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "objstore/live/working_tree.hpp"
#include "objstore/volume_fixture.hpp"

namespace objstore::test {

class LiveTest : public VolumeTest {
  protected:
    struct Mount {
        Volume* volume = nullptr;  ///< of the fixture: what goes on behind commits outlives a mount that crashed
        std::unique_ptr<WorkingTree> tree;
        WorkingTree* operator->() const { return tree.get(); }
    };

    Mount mount(LiveConfig config = {}) {
        if (!made_) create();
        made_ = true;
        Mount out;
        auto opened = open();
        EXPECT_TRUE(opened) << opened.error().message();
        volumes_.push_back(*std::move(opened));
        out.volume = volumes_.back().get();
        auto tree = world_.run(WorkingTree::open(env_, *out.volume, 1000, 1000, config));
        EXPECT_TRUE(tree) << tree.error().message();
        out.tree = *std::move(tree);
        return out;
    }

    template <class T>
    T run(base::Task<base::Result<T>> task) {
        auto done = world_.run(std::move(task));
        EXPECT_TRUE(done) << done.error().message();
        if constexpr (!std::is_void_v<T>) return done ? *std::move(done) : T{};
    }
    template <class T>
    std::error_code fails(base::Task<base::Result<T>> task) {
        auto done = world_.run(std::move(task));
        EXPECT_FALSE(done);
        return done ? std::error_code{} : done.error().code();
    }

    InodeNumber file(const Mount& on, InodeNumber directory, const std::string& name, const std::string& text = {}) {
        NewInode what;
        what.mode = 0644;
        const auto number = run(on->create(directory, name, what));
        if (!text.empty()) write(on, number, 0, text);
        return number;
    }
    InodeNumber directory(const Mount& on, InodeNumber parent, const std::string& name) {
        NewInode what;
        what.type = base::FileType::directory;
        what.mode = 0755;
        return run(on->create(parent, name, what));
    }
    void write(const Mount& on, InodeNumber inode, std::uint64_t offset, const std::string& text) {
        run(on->write(inode, offset, base::as_bytes(text)));
    }
    std::string read(const Mount& on, InodeNumber inode, std::uint64_t offset = 0, std::uint64_t length = 1U << 30U) {
        std::string out;
        for (const auto& piece : run(on->read(inode, offset, length))) {
            if (piece.bytes.empty()) {
                out.append(piece.length, '\0');
            } else {
                out += base::as_text(piece.bytes);
            }
        }
        return out;
    }
    InodeNumber find(const Mount& on, InodeNumber directory, const std::string& name) {
        return run(on->lookup(directory, name)).inode;
    }
    std::string text(const Mount& on, InodeNumber directory, const std::string& name) {
        return read(on, find(on, directory, name));
    }
    std::vector<std::string> names(const Mount& on, InodeNumber directory) {
        std::vector<std::string> out;
        for (const auto& entry : run(on->list(directory, 0, 10'000))) out.push_back(entry.entry.name);
        std::sort(out.begin(), out.end());
        return out;
    }
    void commit(const Mount& on) { run(on->commit()); }
    void refresh(const Mount& on) { run(on->refresh()); }

  private:
    bool made_ = false;
    std::vector<std::unique_ptr<Volume>> volumes_;
};

}  // namespace objstore::test
