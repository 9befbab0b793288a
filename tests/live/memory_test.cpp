// What is not committed is bounded in memory, whatever kind of change it is.
#include <malloc.h>

#include "base/task_group.hpp"
#include "live/mounts.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using test::LiveTest;
using namespace std::chrono_literals;

constexpr std::size_t kBound = 256U << 10U;
constexpr std::size_t kOneOperation = 8U << 10U;  // none of those here takes more
constexpr auto kPatience = 5s;

class Memory : public LiveTest {
  protected:
    static LiveConfig small() {
        LiveConfig config;
        config.max_dirty_bytes = kBound;
        config.write_timeout = kPatience;
        return config;
    }
    struct Kind {
        std::string name;
        std::function<std::error_code(const Mount&, unsigned)> change;
    };
    template <class T>
    std::error_code code(base::Task<base::Result<T>> task) {
        const auto done = world_.run(std::move(task));
        return done ? std::error_code{} : done.error().code();
    }

    /// Nothing but files that are committed, one for each change.
    void prepare(const Mount& for_whom, unsigned count) {
        const auto on = mount();
        files_.clear();
        for (const auto& name : names(on, kRootInode)) run(on->unlink(kRootInode, name));
        big_ = file(on, kRootInode, "big", std::string(3, 'x'));
        run(on->resize(big_, 1U << 30U));
        for (unsigned i = 0; i < count; ++i) files_.push_back(file(on, kRootInode, "f" + std::to_string(i), "text"));
        commit(on);
        refresh(for_whom);
        for (const auto number : files_) run(for_whom->get(number));
    }
    std::vector<Kind> kinds() {
        const auto number = [](unsigned i) { return std::to_string(i); };
        const auto byte = base::as_bytes("x");
        NewInode symlink;
        symlink.type = base::FileType::symlink;
        symlink.symlink_target = std::string(1000, 't');
        return {
            {"a byte here and there",
             [=, this](const Mount& on, unsigned i) { return code(on->write(big_, i * 5000ULL, byte)); }},
            {"holes", [=, this](const Mount& on, unsigned i) { return code(on->punch(big_, i * 9000ULL, 4096)); }},
            {"extended attributes",
             [=, this](const Mount& on, unsigned i) {
                 return code(on->set_xattr(big_, "user." + number(i), base::Bytes(i % 500), XattrMode::set));
             }},
            {"removed extended attributes",
             [=, this](const Mount& on, unsigned i) {
                 const auto name = "user." + number(i) + std::string(200, 'n');
                 const auto set = code(on->set_xattr(big_, name, base::Bytes(1), XattrMode::set));
                 return set ? set : code(on->remove_xattr(big_, name));
             }},
            {"symbolic links",
             [=, this](const Mount& on, unsigned i) { return code(on->create(kRootInode, "s" + number(i), symlink)); }},
            {"long names",
             [=, this](const Mount& on, unsigned i) {
                 return code(on->create(kRootInode, number(i) + std::string(240, 'n'), NewInode{}));
             }},
            {"hard links",
             [=, this](const Mount& on, unsigned i) {
                 return code(on->link(big_, kRootInode, number(i) + std::string(240, 'l')));
             }},
            {"copies by reference",
             [=, this](const Mount& on, unsigned i) {
                 return code(on->copy_range(files_[0], 0, big_, i * 5000ULL, 4));
             }},
            {"renames",
             [=, this](const Mount& on, unsigned i) {
                 return code(on->rename(kRootInode, "f" + number(i), kRootInode, "to" + number(i)));
             }},
            {"attributes",
             [=, this](const Mount& on, unsigned i) {
                 AttributeChange change;
                 change.mode = 0600;
                 return code(on->set_attributes(files_.at(i), change));
             }},
            {"sizes", [=, this](const Mount& on, unsigned i) { return code(on->resize(files_.at(i), 10)); }},
            {"removals",
             [=, this](const Mount& on, unsigned i) { return code(on->unlink(kRootInode, "f" + number(i))); }},
        };
    }
    static std::size_t bound_of(const std::string& kind) {
        const bool removes = kind == "removals" || kind == "sizes";
        return (removes ? kBound + kBound / 8 : kBound) + kOneOperation;
    }

    std::vector<InodeNumber> files_;
    InodeNumber big_ = 0;
};

TEST_F(Memory, AChangeOfAnyKindWaitsForRoomAndNoLongerThanItMay) {
    for (const auto& kind : kinds()) {
        SCOPED_TRACE(kind.name);
        const auto one = mount(small());
        prepare(one, 900);
        world_.run_for(100ms);  // the other mount's memory is given back
        const auto heap_before = mallinfo2().uordblks;
        std::error_code refused;
        unsigned changes = 0;
        auto began = world_.elapsed();
        while (!refused && changes < 20'000) {
            began = world_.elapsed();
            refused = kind.change(one, changes++);
            ASSERT_LE(one->statistics().memory_bytes, bound_of(kind.name));
        }
        EXPECT_EQ(refused, base::Errc::timed_out);
        EXPECT_GE(world_.elapsed() - began, kPatience);
        EXPECT_LE(world_.elapsed() - began, kPatience + 100ms);
        EXPECT_GE(one->statistics().memory_bytes, kBound);
        // The measure is true: the process takes no more.
        const auto heap = mallinfo2().uordblks - heap_before;
        EXPECT_LE(heap, one->statistics().memory_bytes * 5 / 4) << changes << " changes";
        commit(one);
        EXPECT_EQ(one->statistics().memory_bytes, 0U);
        EXPECT_EQ(kind.change(one, changes), std::error_code{});
        commit(one);
    }
}

TEST_F(Memory, WhileACommitDoesNotEndChangesGoOnUpToTheBound) {
    const auto one = mount(small());
    base::TaskGroup group{env_.executor};
    group.spawn(one->run());
    prepare(one, 1);
    storage_.hold_put = [this]() -> base::Task<void> { co_await env_.clock.sleep_for(60s); };
    unsigned made = 0;
    const auto fill = [&] {
        std::error_code refused;
        while (!refused && made < 5'000) {
            refused = code(one->write(big_, made * 5000ULL, base::as_bytes("x")));
            if (!refused) ++made;
            ASSERT_LE(one->statistics().memory_bytes, kBound + kOneOperation);
        }
        EXPECT_EQ(refused, base::Errc::timed_out);
    };
    fill();
    const auto first = made;
    EXPECT_GT(first, 500U);
    storage_.hold_put = nullptr;
    world_.run_for(70s);
    while (made < 5'000) ASSERT_FALSE(code(one->write(big_, made++ * 5000ULL, base::as_bytes("x"))));
    commit(one);
    for (unsigned i = 1; i < made; ++i) ASSERT_EQ(read(one, big_, i * 5000ULL, 1), "x") << i;
    group.cancel();
    world_.run(group.join());
}

TEST_F(Memory, WithCommitsEverythingGoesThrough) {
    const auto one = mount(small());
    base::TaskGroup group{env_.executor};
    group.spawn(one->run());
    for (const auto& kind : kinds()) {
        SCOPED_TRACE(kind.name);
        prepare(one, 2'000);
        for (unsigned i = 0; i < 2'000; ++i) {
            ASSERT_EQ(kind.change(one, i), std::error_code{}) << i;
            ASSERT_LE(one->statistics().memory_bytes, bound_of(kind.name));
        }
        commit(one);
    }
    group.cancel();
    world_.run(group.join());
}

TEST_F(Memory, OpenFilesWithoutANameLeaveRoomForOthers) {
    const auto one = mount(small());
    base::TaskGroup group{env_.executor};
    group.spawn(one->run());
    const auto number = file(one, kRootInode, "temporary");
    run(one->resize(number, 1U << 30U));
    commit(one);
    one->pin(number);
    run(one->unlink(kRootInode, "temporary"));
    for (const bool holes : {false, true}) {
        std::error_code refused;
        unsigned made = 0;
        for (; !refused && made < 20'000; ++made) {
            refused = holes ? code(one->punch(number, made * 9000ULL + 2, 10))
                            : code(one->write(number, made * 9000ULL, base::as_bytes("x")));
            ASSERT_LE(one->statistics().memory_bytes, kBound / 2 + kOneOperation);
        }
        EXPECT_EQ(refused, std::make_error_code(std::errc::no_space_on_device));
        EXPECT_TRUE(holes || made > 200U) << made;
    }
    EXPECT_EQ(std::count_if(warnings_.texts.begin(), warnings_.texts.end(),
                            [](const std::string& text) { return text.find("without a name") != std::string::npos; }),
              1);
    EXPECT_EQ(read(one, number, 9000, 2), std::string("x\0", 2));
    for (unsigned i = 0; i < 500; ++i) file(one, kRootInode, "n" + std::to_string(i), "text");
    one->unpin(number);
    commit(one);
    EXPECT_EQ(one->statistics().memory_bytes, 0U);
    group.cancel();
    world_.run(group.join());
}

TEST_F(Memory, ABigFileIsStoredWhileItIsWrittenWhateverTheSizeOfTheWrites) {
    for (const std::size_t each : {128U << 10U, 100'001U, 1U << 20U, 4096U}) {
        SCOPED_TRACE(each);
        LiveConfig config;
        config.flush_after = 1h;
        const auto one = mount(config);
        base::TaskGroup group{env_.executor};
        group.spawn(one->run());
        const auto number = file(one, kRootInode, "big" + std::to_string(each));
        commit(one);
        const auto commits = one->statistics().commits;
        std::string all;
        for (unsigned i = 0; all.size() < (40U << 20U); ++i) {
            const std::string text(each, static_cast<char>('a' + i % 26));
            write(one, number, all.size(), text);
            all += text;
        }
        world_.run_for(3s);
        EXPECT_LT(one->statistics().memory_bytes, config.stream_bytes);
        EXPECT_EQ(one->statistics().commits, commits);
        EXPECT_TRUE(read(one, number) == all);
        commit(one);
        EXPECT_TRUE(LiveTest::text(mount(), kRootInode, "big" + std::to_string(each)) == all);
        group.cancel();
        world_.run(group.join());
    }
}

}  // namespace
}  // namespace objstore
