// A mount beside collections of garbage: no state names what one took, and what only the mount needs is kept in time.
#include <set>

#include "base/task_group.hpp"
#include "gc/walk.hpp"
#include "live/mounts.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/live/history.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using namespace std::chrono_literals;
using test::LiveTest;

class CollectingBeside : public LiveTest {
  protected:
    gc::PruneReport prune(const Mount& on) {
        const auto report = world_.run(gc::prune(*on.volume, {}));
        EXPECT_TRUE(report) << report.error().message();
        return report ? *report : gc::PruneReport{};
    }
    /// What is replaced is garbage at once.
    void keep_the_present() {
        HistoryPolicy policy;
        policy.last = 1;
        run(set_history_policy(*mount().volume, policy));
    }
    void let_run(const Mount& on, base::Duration time) {
        base::TaskGroup group{env_.executor};
        group.spawn(on->run());
        world_.run_for(time);
        group.cancel();
        world_.run(group.join());
    }
    /// The holders have everything that the newest state leads to.
    bool whole() {
        const auto fresh = *open();
        std::set<base::Guid> met;
        gc::WalkHooks hooks;
        hooks.meet = [&met](const BlockRef& ref) { return met.insert(ref.id).second; };
        const auto walked =
            world_.run(gc::walk(env_, fresh->storage(), fresh->keys().tag, fresh->roots(), std::move(hooks)));
        return walked && std::ranges::all_of(met, [&](const auto& id) { return storage_.blocks().contains(id); });
    }
    static std::string content(char letter) { return std::string(40'000, letter); }
};

/// One mount goes on writing a file that the other removes: the file is brought back, and its old blocks with it.
class CollectingBesideARebase : public CollectingBeside {
  protected:
    void SetUp() override {
        a_ = mount();
        b_ = mount();
        keep_the_present();
        const auto number = file(a_, kRootInode, "f", content('x'));
        commit(a_);
        refresh(b_);
        write(a_, number, content('x').size(), content('y'));
        run(b_->unlink(kRootInode, "f"));
        commit(b_);
    }
    Mount a_, b_;
};

TEST_F(CollectingBesideARebase, ACommitDoesNotNameWhatAPruneTook) {
    EXPECT_GE(prune(b_).blocks_released, 1U);
    EXPECT_EQ(fails(a_->commit()), Errc::collected);
    EXPECT_TRUE(whole());
}

TEST_F(CollectingBesideARebase, ACommitInTimeKeepsWhatItBringsBack) {
    run(b_.volume->begin_collection());
    commit(a_);
    prune(b_);
    EXPECT_TRUE(whole());
    EXPECT_EQ(text(mount(), kRootInode, "f"), content('x') + content('y'));
}

/// A file is open and has no name any more.
class CollectingBesideAnOpenFile : public CollectingBeside {
  protected:
    void SetUp() override {
        a_ = mount();
        b_ = mount();
        keep_the_present();
        open_ = file(a_, kRootInode, "f", content('x'));
        commit(a_);
        a_->pin(open_);
        run(a_->unlink(kRootInode, "f"));
        commit(a_);
        refresh(b_);
    }
    void copy() {
        const auto to = file(a_, kRootInode, "copy");
        EXPECT_EQ(run(a_->copy_range(open_, 0, to, 0, content('x').size())), content('x').size());
    }
    Mount a_, b_;
    InodeNumber open_ = 0;
};

TEST_F(CollectingBesideAnOpenFile, ACopyByReferenceOfWhatAPruneTookIsNotCommitted) {
    EXPECT_GE(prune(b_).blocks_released, 1U);
    copy();
    EXPECT_EQ(fails(a_->commit()), Errc::collected);
    EXPECT_TRUE(whole());
}

TEST_F(CollectingBesideAnOpenFile, TheMountKeepsItsContentOverAnyNumberOfPrunes) {
    for (int i = 0; i < 3; ++i) {
        run(b_.volume->begin_collection());
        let_run(a_, 2s);
        prune(b_);
    }
    copy();
    commit(a_);
    EXPECT_TRUE(whole());
    EXPECT_EQ(text(mount(), kRootInode, "copy"), content('x'));
    a_->unpin(open_);
    run(a_->unlink(kRootInode, "copy"));
    commit(a_);
    EXPECT_GE(prune(b_).blocks_released, 1U) << "nobody holds it any more";
    EXPECT_TRUE(whole());
}

/// Content left the memory of a mount long before it is committed.
class CollectingBesideAStream : public CollectingBeside {
  protected:
    void SetUp() override {
        LiveConfig config;
        config.stream_bytes = 1000;
        config.flush_after = 1h;
        a_ = mount(config);
        b_ = mount();
        refresh(a_);
        file(a_, kRootInode, "f", content('x'));
        let_run(a_, 2s);
        EXPECT_EQ(a_->statistics().dirty_bytes, 0U) << "it is stored";
        // Others' states pass by.
        for (const char* const name : {"one", "two"}) {
            file(b_, kRootInode, name, "something");
            commit(b_);
        }
    }
    Mount a_, b_;
};

TEST_F(CollectingBesideAStream, ACommitDoesNotNameWhatAPruneTook) {
    EXPECT_GE(prune(b_).blocks_released, 1U);
    EXPECT_EQ(fails(a_->commit()), Errc::collected);
    EXPECT_TRUE(whole());
}

TEST_F(CollectingBesideAStream, TheMountKeepsIt) {
    run(b_.volume->begin_collection());
    storage_.fail_write_record = [](const base::Guid&) {
        return std::optional<base::Error>{past::Errc::holders_unreachable};
    };
    let_run(a_, 2s);  // it cannot commit, only touch
    storage_.fail_write_record = {};
    prune(b_);
    commit(a_);
    EXPECT_TRUE(whole());
    EXPECT_EQ(text(mount(), kRootInode, "f"), content('x'));
}

}  // namespace
}  // namespace objstore
