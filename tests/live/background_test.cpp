// A mount left to itself: what run() does while the network is slow, away, or full.
#include <algorithm>

#include "base/task_group.hpp"
#include "live/live_record.hpp"
#include "live/mounts.hpp"
#include "objstore/live/order.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using test::LiveTest;
using namespace std::chrono_literals;

class Background : public LiveTest {
  protected:
    Mount running(LiveConfig config = {}) {
        auto out = mount(config);
        group_.spawn(out->run());
        return out;
    }
    void stop() {
        group_.cancel();
        world_.run(group_.join());
    }
    base::Task<void> puts_succeed_after(base::Duration duration) {
        co_await env_.clock.sleep_for(duration);
        storage_.fail_put = nullptr;
    }
    /// How many inodes the newest version has, named or not.
    std::size_t inodes_stored() {
        auto volume = *open();
        const Tree forest{volume->reader(), volume->state().forest};
        const auto record = LiveRecord::decode(std::get<Opaque>(run(forest.find(kLiveKey))->value));
        const Tree live{volume->reader(), record->root};
        std::size_t count = 0;
        for (const auto& item : run(live.range(TreeKey{}, TreeKey::first(UINT64_MAX)))) {
            if (item.key.kind == Kind::inode) ++count;
        }
        return count;
    }
    base::Result<void> commit_result(const Mount& on) { return world_.run(on->commit()); }

    base::TaskGroup group_{env_.executor};
};

TEST_F(Background, ChangesMadeDuringALongCommitAreCommittedAfterIt) {
    const auto one = running();
    file(one, kRootInode, "0");
    commit(one);
    bool first = true;
    storage_.hold_put = [this, &first]() -> base::Task<void> {
        if (std::exchange(first, false)) co_await env_.clock.sleep_for(20s);
    };
    file(one, kRootInode, "a", "1");
    world_.run_for(6s);  // its commit is under way
    file(one, kRootInode, "b", "2");
    world_.run_for(10s);
    EXPECT_EQ(names(mount(), kRootInode), std::vector<std::string>{"0"});
    world_.run_for(12s);
    EXPECT_EQ(names(mount(), kRootInode), (std::vector<std::string>{"0", "a", "b"}));
    stop();
}

// Else each commit beside a writer that never stops carried what was written during the one before: a second and more
// of waiting for everybody who syncs a small file.
TEST_F(Background, ABigFileIsStoredBesideACommitAndTheNextFindsLittleToCarry) {
    LiveConfig config;
    config.stream_bytes = 1U << 20U;
    const auto one = running(config);
    const auto big = file(one, kRootInode, "big");
    commit(one);
    bool first = true;
    storage_.hold_put = [this, &first]() -> base::Task<void> {
        if (std::exchange(first, false)) co_await env_.clock.sleep_for(20s);
    };
    file(one, kRootInode, "small", "1");
    world_.run_for(6s);  // its commit is under way
    std::string text(64U << 10U, 'a');
    for (unsigned i = 0; i < 400; ++i) {
        text[i] = 'b';
        write(one, big, i * text.size(), text);
        world_.run_for(25ms);
    }
    EXPECT_EQ(names(mount(), kRootInode), std::vector<std::string>{"big"}) << "the first commit has not ended";
    EXPECT_LE(one->statistics().dirty_bytes, 2 * config.stream_bytes);
    world_.run_for(30s);
    const auto other = mount();
    EXPECT_EQ(names(other, kRootInode), (std::vector<std::string>{"big", "small"}));
    const auto stored = read(other, find(other, kRootInode, "big"));
    EXPECT_EQ(stored.size(), 400 * text.size());
    EXPECT_EQ(stored.substr(399 * text.size()), text);
    stop();
}

TEST_F(Background, ACommitBesideABigFileStoresNothingTwice) {
    LiveConfig config;
    config.stream_bytes = 1U << 20U;
    const auto one = running(config);
    const auto big = file(one, kRootInode, "big");
    commit(one);
    const auto before = storage_.bytes_stored();
    storage_.hold_put = [this]() -> base::Task<void> { co_await env_.clock.sleep_for(1s); };
    base::Bytes noise(4U << 20U);
    std::ranges::generate(noise, [this] { return static_cast<std::uint8_t>(env_.rng.below(256)); });
    run(one->write(big, 0, noise));
    world_.run_for(100ms);  // it is on its way
    run(one->write(big, noise.size(), base::as_bytes("more")));
    commit(one);
    EXPECT_LE(storage_.bytes_stored() - before, noise.size() + (64U << 10U));
    EXPECT_EQ(read(one, big).size(), noise.size() + 4);
    stop();
}

TEST_F(Background, WhoLeavesEndsACommitThatHangs) {
    const auto one = running();
    file(one, kRootInode, "a");
    commit(one);
    storage_.hold_put = [this]() -> base::Task<void> { co_await env_.clock.sleep_for(1h); };
    file(one, kRootInode, "b");
    world_.run_for(6s);
    const auto began = world_.now();
    world_.run(one->abandon());
    EXPECT_LT(world_.now() - began, 1s);
    stop();
    storage_.hold_put = nullptr;
    EXPECT_EQ(names(mount(), kRootInode), std::vector<std::string>{"a"});
}

TEST_F(Background, WhenTheNetworkIsBackWhatWasChangedIsStoredWithinSeconds) {
    const auto one = running();
    file(one, kRootInode, "before", "0");
    commit(one);
    storage_.holders_up = 0;
    file(one, kRootInode, "a", "1");
    world_.run_for(1min);
    EXPECT_FALSE(commit_result(one));
    file(one, kRootInode, "b", "2");
    world_.run_for(1min);
    storage_.holders_up = storage_.holders;
    world_.run_for(2s);
    EXPECT_EQ(names(mount(), kRootInode), (std::vector<std::string>{"a", "b", "before"}));
    world_.run_for(1min);
    stop();
}

TEST_F(Background, AfterALostAnswerTheMountGoesOn) {
    const auto one = running();
    file(one, kRootInode, "0");
    commit(one);
    storage_.lose_answer = [this](const base::Guid&) -> std::optional<base::Error> {
        storage_.holders_up = 0;
        return base::Error{past::Errc::holders_unreachable};
    };
    file(one, kRootInode, "a", "1");
    EXPECT_FALSE(commit_result(one));
    world_.run_for(10s);
    storage_.lose_answer = nullptr;
    storage_.holders_up = storage_.holders;
    world_.run_for(30s);
    EXPECT_EQ(one->statistics().dirty_inodes, 0U);
    EXPECT_EQ(names(mount(), kRootInode), (std::vector<std::string>{"0", "a"}));
    stop();
}

// Whether it was stored is not known when its name goes: it goes with the commit after that, held or not.
TEST_F(Background, AFileThatLosesItsNameAfterALostAnswerLeavesNothingBehind) {
    for (const bool held : {false, true}) {
        SCOPED_TRACE(held);
        const auto one = mount();
        if (!held) file(one, kRootInode, "keep");
        commit(one);
        const auto number = file(one, kRootInode, "a", "text");
        storage_.lose_answer = [this](const base::Guid&) -> std::optional<base::Error> {
            storage_.holders_up = 0;
            return base::Error{past::Errc::holders_unreachable};
        };
        EXPECT_FALSE(commit_result(one));
        storage_.lose_answer = nullptr;
        if (held) one->pin(number);
        run(one->unlink(kRootInode, "a"));
        EXPECT_FALSE(commit_result(one));
        if (held) {
            EXPECT_EQ(read(one, number), "text");
        }
        storage_.holders_up = storage_.holders;
        commit(one);
        commit(one);
        EXPECT_EQ(inodes_stored(), 2U) << "the root, and what is kept";
        if (held) {
            EXPECT_EQ(read(one, number), "text");
            one->unpin(number);
        }
        EXPECT_EQ(one->statistics().dirty_inodes, 0U);
        EXPECT_EQ(one->statistics().memory_bytes, 0U);
        EXPECT_EQ(names(mount(), kRootInode), std::vector<std::string>{"keep"});
    }
}

TEST_F(Background, ACommitThatEndsInABugLosesNothingAndTheNextOneGoesOn) {
    for (const bool merges : {false, true}) {
        SCOPED_TRACE(merges);
        const auto one = mount();
        const auto two = mount();
        const auto name = merges ? std::string{"b"} : std::string{"a"};
        commit(one);
        if (merges) {
            file(two, kRootInode, "other");
            commit(two);
        }
        file(one, kRootInode, name, "text");
        int puts = 0;
        storage_.fail_put = [&puts](const auto&) -> std::optional<base::Error> {
            if (++puts > 1) throw std::runtime_error{"a bug"};
            return std::nullopt;
        };
        const auto done = commit_result(one);
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error(), base::Errc::io_failed);
        EXPECT_NE(done.error().message().find("a bug"), std::string::npos);
        EXPECT_EQ(LiveTest::text(one, kRootInode, name), "text");
        file(one, kRootInode, name + "2", "more");  // nobody is held up
        storage_.fail_put = nullptr;
        commit(one);
        EXPECT_EQ(LiveTest::text(mount(), kRootInode, name), "text");
        EXPECT_EQ(LiveTest::text(mount(), kRootInode, name + "2"), "more");
    }
}

TEST_F(Background, WhatWasOnlyReadIsNothingToBeLost) {
    const auto one = mount();
    const auto number = file(one, kRootInode, "a", "text");
    commit(one);
    world_.run_for(1s);
    one->note_read(number);
    EXPECT_EQ(one->statistics().dirty_inodes, 0U);
    run(one->resize(number, 2));
    one->note_read(number);
    EXPECT_EQ(one->statistics().dirty_inodes, 1U);
    commit(one);
    EXPECT_EQ(one->statistics().dirty_inodes, 0U);
}

TEST_F(Background, WithoutRoomNothingIsLostAndWithRoomItGoesOn) {
    LiveConfig config;
    config.max_dirty_bytes = 1U << 20U;
    const auto one = running(config);
    const auto number = file(one, kRootInode, "a", "kept");
    commit(one);
    storage_.fail_put = [](const auto&) -> std::optional<base::Error> { return base::Error{past::Errc::no_space}; };
    const std::string bytes(700'000, 'x');
    write(one, number, 4, bytes);
    EXPECT_EQ(commit_result(one).error(), past::Errc::no_space);
    write(one, number, 4 + bytes.size(), bytes);
    EXPECT_EQ(fails(one->write(number, 4 + 2 * bytes.size(), base::as_bytes(bytes))), past::Errc::no_space);
    EXPECT_EQ(LiveTest::text(mount(), kRootInode, "a"), "kept");
    storage_.fail_put = nullptr;
    world_.run_for(7s);
    EXPECT_EQ(LiveTest::text(mount(), kRootInode, "a"), "kept" + bytes + bytes);
    write(one, number, 4 + 2 * bytes.size(), bytes);
    stop();
}

TEST_F(Background, BesideALongCommitAFullStoreIsAskedAgainMoreAndMoreSeldom) {
    LiveConfig config;
    config.max_dirty_bytes = 8U << 20U;
    config.write_timeout = 5s;
    config.stream_bytes = 1U << 20U;
    const auto one = running(config);
    const auto small = file(one, kRootInode, "a");
    const auto big = file(one, kRootInode, "b");
    commit(one);
    bool holds = true;
    storage_.hold_put = [&]() -> base::Task<void> {
        if (std::exchange(holds, false)) co_await env_.clock.sleep_for(60s);
    };
    write(one, small, 0, std::string(20'000, 'x'));
    world_.run_for(10s);
    ASSERT_FALSE(holds) << "the commit is under way";
    bool full = true;
    std::size_t refused = 0;
    storage_.fail_put = [&](const auto&) -> std::optional<base::Error> {
        if (!full) return std::nullopt;
        ++refused;
        return base::Error{past::Errc::no_space};
    };
    const std::string bytes(7U << 20U, 'x');
    write(one, big, 0, bytes);
    world_.run_for(30s);
    EXPECT_GT(refused, 0U);
    EXPECT_LE(refused, 100U);
    const std::string more(2U << 20U, 'y');
    write(one, big, bytes.size(), more);  // as much as memory takes
    EXPECT_EQ(fails(one->write(big, bytes.size() + more.size(), base::as_bytes(more))), past::Errc::no_space);
    full = false;
    world_.run_for(150s);
    EXPECT_TRUE(LiveTest::text(mount(), kRootInode, "b") == bytes + more);
    stop();
}

TEST_F(Background, ANewFileIsRefusedForWantOfRoomIfThatIsWhatCommitsMeet) {
    const auto first = mount();
    const auto number = file(first, kRootInode, "a");
    commit(first);
    LiveConfig config;
    config.write_timeout = 5s;
    const auto one = mount(config);
    write(one, number, 0, std::string(100'000, 'x'));
    storage_.fail_put = [](const auto&) -> std::optional<base::Error> { return base::Error{past::Errc::no_space}; };
    EXPECT_EQ(commit_result(one).error(), past::Errc::no_space);
    storage_.fail_put = nullptr;
    storage_.fail_write_record = [](const auto&) -> std::optional<base::Error> {
        return base::Error{past::Errc::holders_unreachable};
    };
    EXPECT_EQ(fails(one->create(kRootInode, "b", NewInode{})), past::Errc::no_space);
}

TEST_F(Background, AWriterWaitsForRoomWhileThePeersAreAway) {
    LiveConfig config;
    config.max_dirty_bytes = 1U << 20U;
    const auto one = running(config);
    const auto number = file(one, kRootInode, "a");
    commit(one);
    storage_.fail_put = [](const auto&) -> std::optional<base::Error> {
        return base::Error{past::Errc::below_min_copies};
    };
    const std::string bytes(1U << 20U, 'x');
    write(one, number, 0, bytes);
    group_.spawn(puts_succeed_after(20s));
    write(one, number, bytes.size(), bytes);
    EXPECT_GE(world_.elapsed(), 20s);
    commit(one);
    EXPECT_EQ(LiveTest::text(mount(), kRootInode, "a"), bytes + bytes);
    stop();
}

TEST_F(Background, AFileWithoutANameMayBeLargerThanMemory) {
    LiveConfig config;
    config.max_dirty_bytes = 4U << 20U;
    const auto one = running(config);
    const auto number = file(one, kRootInode, "temporary");
    one->pin(number);
    run(one->unlink(kRootInode, "temporary"));
    std::string all;
    for (char c = 'a'; c < 'm'; ++c) {
        const std::string bytes(1U << 20U, c);
        write(one, number, all.size(), bytes);
        all += bytes;
    }
    EXPECT_LE(one->statistics().dirty_bytes, config.max_dirty_bytes);
    EXPECT_EQ(read(one, number), all);
    world_.run_for(30s);
    EXPECT_EQ(read(one, number), all);
    one->unpin(number);
    EXPECT_EQ(one->statistics().dirty_bytes, 0U);
    stop();
}

TEST_F(Background, WhatIsGoneBeforeACommitCostsNone) {
    const auto one = running();
    file(one, kRootInode, "keep");
    commit(one);
    const auto number = file(one, kRootInode, "temporary", "text");
    one->pin(number);
    run(one->unlink(kRootInode, "temporary"));
    commit(one);
    const auto before = one->statistics().commits;
    write(one, number, 0, "other");
    commit(one);
    world_.run_for(10s);
    EXPECT_EQ(one->statistics().commits, before);
    EXPECT_EQ(read(one, number), "other");
    stop();
}

}  // namespace
}  // namespace objstore
