// Versions of the live tree that stay when it changes: which, beside whom, and what they cost.
#include "objstore/live/history.hpp"
#include "base/task_group.hpp"
#include "live/keep_version.hpp"
#include "live/mounts.hpp"
#include "objstore/gc/check.hpp"
#include "objstore/gc/prune.hpp"
#include "objstore/gc/repack.hpp"

namespace objstore {
namespace {

using namespace std::chrono_literals;
using test::LiveTest;

constexpr std::int64_t kMinute = 60'000'000'000;

/// How many of versions that are `step` apart stay, where each is judged when the next one comes.
std::vector<std::int64_t> kept_of(const HistoryPolicy& policy, int count, std::int64_t step) {
    std::vector<std::int64_t> kept;  // the newest first
    for (int i = 1; i <= count; ++i) {
        kept.insert(kept.begin(), i * step);
        const auto stays = versions_to_keep(policy, kept);
        std::vector<std::int64_t> next;
        for (std::size_t k = 0; k < kept.size(); ++k) {
            if (stays[k]) next.push_back(kept[k]);
        }
        kept = std::move(next);
    }
    return kept;
}

TEST(HistoryPolicy, KeepsTheNewestOfEachHourOnceTheNextHasBegun) {
    HistoryPolicy policy;
    policy.hourly = 3;
    // Every ten minutes from 0:10 to 5:00: the present, and the last of the two hours before it.
    EXPECT_EQ(kept_of(policy, 30, 10 * kMinute),
              (std::vector<std::int64_t>{300 * kMinute, 290 * kMinute, 230 * kMinute}));
}

TEST(HistoryPolicy, OneThatKeepsTheLastAloneKeepsThePresent) {
    HistoryPolicy policy;
    policy.last = 1;
    EXPECT_EQ(kept_of(policy, 30, kMinute), std::vector<std::int64_t>{30 * kMinute});
}

TEST(HistoryPolicy, TheDefaultKeepsAFewDozenOfAYearOfMinutes) {
    const auto kept = kept_of(default_history_policy(), 60 * 24 * 60, kMinute);  // sixty days of minutes
    EXPECT_LE(kept.size(), 52U);
    EXPECT_GE(kept.size(), 30U);
    EXPECT_LE(kept.back(), 31LL * 24 * 60 * kMinute) << "January's last";
}

TEST(HistoryPolicy, BeyondAThousandTheOldestGoThatOnlyWithinKeeps) {
    HistoryPolicy policy;
    policy.within = {.years = 0, .months = 0, .days = 2, .hours = 0};
    policy.monthly = 12;
    const auto kept = kept_of(policy, 5'000, kMinute / 2);
    EXPECT_EQ(kept.size(), 1'001U) << "and the present";
    EXPECT_EQ(kept.back(), kMinute / 2) << "the first of all, which a count keeps";
}

TEST(HistoryPolicy, OneThatMayComeToMoreThanAThousandIsRefused) {
    HistoryPolicy policy;
    EXPECT_FALSE(check_history_policy(policy)) << "keeps nothing";
    policy.hourly = 900;
    EXPECT_TRUE(check_history_policy(policy));
    policy.within_daily = {.years = 1, .months = 0, .days = 0, .hours = 0};
    EXPECT_FALSE(check_history_policy(policy));
    policy.within_daily = {};
    policy.hourly = HistoryPolicy::kAll;
    EXPECT_FALSE(check_history_policy(policy));
}

TEST(HistoryRecord, ComesBackFromItsBytesAndForeignOnesAreRefused) {
    HistoryRecord record;
    record.policy = default_history_policy();
    record.policy->within_weekly = {.years = 1, .months = 2, .days = 3, .hours = 4};
    record.older = test::some_block(3);
    const auto bytes = record.encode();
    const auto back = HistoryRecord::decode(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->encode(), bytes);
    EXPECT_EQ(back->policy->within_weekly, record.policy->within_weekly);
    EXPECT_FALSE(HistoryRecord::decode(HistoryRecord{}.encode())->policy);
    for (std::size_t length = 0; length < bytes.bytes.size(); ++length) {
        auto shorter = bytes;
        shorter.bytes.resize(length);
        EXPECT_EQ(HistoryRecord::decode(shorter).error(), base::Errc::bad_format) << length;
    }
    auto later = bytes;
    later.bytes[0] = 2;
    EXPECT_EQ(HistoryRecord::decode(later).error(), base::Errc::unsupported);
    auto huge = bytes;
    huge.bytes[2] = 0xFF;
    EXPECT_FALSE(HistoryRecord::decode(huge));
}

class LiveHistory : public LiveTest {
  protected:
    static HistoryPolicy last(int count) {
        HistoryPolicy policy;
        policy.last = count;
        return policy;
    }
    static HistoryPolicy hourly() {
        auto policy = last(2);
        policy.hourly = 20;
        return policy;
    }
    /// A file "f" that was "0" to "12", an hour apart, under hourly(): some of its versions are in the tree of older
    /// ones.
    InodeNumber rewritten_each_hour(const Mount& on) {
        run(set_history_policy(*on.volume, hourly()));
        const auto f = file(on, kRootInode, "f", "0");
        for (int i = 1; i <= 12; ++i) {
            rewrite(on, f, std::to_string(i));
            world_.run_for(1h);
        }
        return f;
    }
    History history() {
        const auto fresh = open();
        return run(read_history(**fresh));
    }
    std::vector<std::string> texts_of(const std::string& name) {
        std::vector<std::string> out;
        for (const auto& version : history().versions) out.push_back(text_in(version, name));
        return out;
    }
    std::string text_in(const Snapshot& version, const std::string& name) {
        Mount at;
        volumes_.push_back(*open());
        at.volume = volumes_.back().get();
        at.tree = run(WorkingTree::open_version(env_, *at.volume, version.root));
        const auto entry = world_.run(at->lookup(kRootInode, name));
        return entry ? read(at, entry->inode) : "-";
    }
    void rewrite(const Mount& on, InodeNumber file, const std::string& text) {
        run(on->resize(file, 0));
        write(on, file, 0, text);
        commit(on);
    }
    /// A record of the history, whatever it says.
    void put_in_forest(const Mount& on, const Opaque& record) {
        struct Put final : ForestEditor {
            explicit Put(Opaque what) : record{std::move(what)} {}
            base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree, BlockWriter&) override {
                ForestEdit out;
                Item item;
                item.key = TreeKey::first(0, Kind::policy);
                item.value = record;
                out.put.push_back(std::move(item));
                co_return std::optional{std::move(out)};
            }
            [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }
            Opaque record;
        } editor{record};
        run(on.volume->edit_forest(editor, ForestCheck::whole));
    }
    /// Root of the tree of older versions.
    BlockRefPtr older_of(const Mount& on) {
        refresh(on);
        const Tree forest{on.volume->reader(), on.volume->state().forest};
        const auto item = run(forest.find(TreeKey::first(0, Kind::policy)));
        return item ? HistoryRecord::decode(std::get<Opaque>(item->value))->older : nullptr;
    }
    [[nodiscard]] std::uint64_t stored() const { return storage_.bytes_stored(); }
    std::vector<std::unique_ptr<Volume>> volumes_;
};

TEST_F(LiveHistory, WhatACommitReplacesCanBeReadAndTheEmptyBeginningIsNotKept) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", "one");
    commit(a);
    EXPECT_TRUE(history().versions.empty());
    rewrite(a, f, "two");
    rewrite(a, f, "three");
    EXPECT_EQ(texts_of("f"), (std::vector<std::string>{"two", "one"}));
    const auto now = history();
    EXPECT_EQ(now.live->time_ns > now.versions[0].time_ns, true);
    EXPECT_EQ(now.versions[0].files, 1U);
    EXPECT_EQ(now.versions[0].bytes, 3U);
}

TEST_F(LiveHistory, WhatThePolicyKeepsNoMoreGoesWithTheNextCommit) {
    const auto a = mount();
    run(set_history_policy(*a.volume, last(3)));
    const auto f = file(a, kRootInode, "f", "0");
    for (int i = 1; i < 8; ++i) rewrite(a, f, std::to_string(i));
    EXPECT_EQ(texts_of("f"), (std::vector<std::string>{"6", "5"}));
}

TEST_F(LiveHistory, AStricterPolicyTakesEffectAtOnce) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", "0");
    for (int i = 1; i < 8; ++i) rewrite(a, f, std::to_string(i));
    EXPECT_EQ(history().versions.size(), 5U) << "the last, and the oldest";
    run(set_history_policy(*a.volume, last(2)));
    EXPECT_EQ(texts_of("f"), std::vector<std::string>{"6"});
    EXPECT_EQ(history().policy.last, 2);
    EXPECT_EQ(fails(set_history_policy(*a.volume, last(5'000))), base::Errc::bad_argument);
}

TEST_F(LiveHistory, OfTwoMountsTheLaterCommitKeepsWhatTheEarlierOneCommitted) {
    const auto a = mount();
    const auto b = mount();
    file(a, kRootInode, "a", "of a");
    commit(a);
    refresh(b);
    file(b, kRootInode, "b", "of b");
    file(a, kRootInode, "a2", "of a, too");
    commit(a);
    commit(b);  // rebased onto what a committed
    const auto kept = history().versions;
    ASSERT_EQ(kept.size(), 2U);
    EXPECT_EQ(text_in(kept[0], "a2"), "of a, too");
    EXPECT_EQ(text_in(kept[0], "b"), "-");
    EXPECT_EQ(text_in(kept[1], "a2"), "-");
}

TEST_F(LiveHistory, ATakenSlotOfInodeNumbersIsNoNewVersion) {
    const auto a = mount();
    file(a, kRootInode, "f", "one");
    commit(a);
    const auto b = mount();
    file(b, kRootInode, "g", "two");  // takes a slot
    EXPECT_TRUE(history().versions.empty());
    commit(b);
    EXPECT_EQ(history().versions.size(), 1U);
}

TEST_F(LiveHistory, AFileRewrittenAThousandTimesCostsAFewVersions) {
    const auto a = mount();
    const auto content = [](int i) {
        std::string text(40'000, ' ');
        std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761U + 1;
        for (auto& c : text) c = static_cast<char>(x = x * 1664525U + 1013904223U, x >> 24U);
        return text;
    };
    const auto f = file(a, kRootInode, "f", content(0));
    commit(a);
    for (int i = 1; i <= 1'000; ++i) {
        world_.run_for(1min);  // 16 hours and 40 minutes in all
        rewrite(a, f, content(i));
    }
    const auto kept = history().versions.size();
    EXPECT_GE(kept, 18U);
    EXPECT_LE(kept, 24U) << "a few, and the last of each hour";
    EXPECT_GT(stored(), std::uint64_t{40'000} * 1'000);
    run(gc::prune(*a.volume, {.at_once = true}));
    EXPECT_LT(stored(), (kept + 2) * 44'000);
    for (const auto& version : history().versions) EXPECT_EQ(text_in(version, "f").size(), 40'000U);
    run(set_history_policy(*a.volume, last(1)));
    run(gc::prune(*a.volume, {.at_once = true}));
    EXPECT_LT(stored(), 2U * 44'000);
    EXPECT_EQ(text(a, kRootInode, "f"), content(1'000));
}

TEST_F(LiveHistory, ACommitWritesFewBytesMoreForWhatIsKept) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", "0");
    const auto cost = [&] {
        rewrite(a, f, std::to_string(world_.now().time_since_epoch().count()));
        const auto before = stored();
        constexpr int kCommits = 10;
        for (int i = 0; i < kCommits; ++i) rewrite(a, f, std::to_string(i));
        return (stored() - before) / kCommits;
    };
    run(set_history_policy(*a.volume, last(1)));
    const auto without = cost();
    run(set_history_policy(*a.volume, default_history_policy()));
    for (int day = 0; day < 100; ++day) {
        world_.run_for(24h);
        for (int hour = 0; day > 98 && hour < 24; ++hour) {
            world_.run_for(1h);
            rewrite(a, f, std::to_string(hour));
        }
        rewrite(a, f, std::to_string(day));
    }
    const auto kept = history().versions.size();
    const auto with = cost();
    std::printf("%llu bytes a commit without history, %llu with %zu versions\n",
                static_cast<unsigned long long>(without), static_cast<unsigned long long>(with), kept);
    EXPECT_GE(kept, 30U);
    EXPECT_LT(with - without, 3'000U) << "the older ones are not written again";
}

TEST_F(LiveHistory, ACommitAfterACollectionTouchesOnlyWhatIsNew) {
    LiveConfig config;
    config.stream_bytes = 20'000;
    const auto a = mount(config);
    for (int i = 0; i < 300; ++i)
        file(a, kRootInode, "f" + std::to_string(i), std::string(3'000, static_cast<char>(i)));
    commit(a);
    const auto g = file(a, kRootInode, "g", std::string(60'000, 'g'));
    {
        base::TaskGroup group{env_.executor};  // its content goes ahead of the commit
        group.spawn(a->run());
        world_.run_for(2s);
        group.cancel();
        world_.run(group.join());
    }
    const auto b = mount();
    file(b, kRootInode, "h", "of another");
    commit(b);
    run(b.volume->begin_collection());
    std::size_t touched = 0;
    storage_.fail_touch = [&](const std::vector<base::Guid>& ids) {
        touched += ids.size();
        return std::optional<base::Error>{};
    };
    commit(a);
    EXPECT_GT(touched, 0U) << "nothing was at stake";
    EXPECT_LT(touched, 12U);
    EXPECT_EQ(read(a, g).size(), 60'000U);
}

// Be it in the forest or on the list of older ones.
TEST_F(LiveHistory, ACommitAfterACollectionDoesNotReadTheVersionsThatItDrops) {
    auto hourly = last(1);
    hourly.hourly = 5;
    const auto a = mount();
    const auto b = mount();
    const auto f = file(a, kRootInode, "f", "0");
    for (const auto& policy : {last(3), hourly}) {
        run(set_history_policy(*a.volume, policy));
        for (int i = 1; i <= 12; ++i) {
            rewrite(a, f, std::to_string(i));
            world_.run_for(1h);
        }
        refresh(b);
        file(b, kRootInode, "g" + std::to_string(policy.hourly), "of another");
        rewrite(a, f, "13");
        world_.run_for(1h);
        run(a.volume->begin_collection());  // what b has may be taken: its commit looks
        const auto dropped = history().versions.back();
        std::size_t asked = 0;
        storage_.fail_get = [&](const base::Guid& id) -> std::optional<base::Error> {
            if (id != dropped.root->id) return std::nullopt;
            ++asked;
            return past::Errc::holders_unreachable;
        };
        std::size_t touched = 0;
        storage_.fail_touch = [&](const std::vector<base::Guid>& ids) {
            touched += ids.size();
            return std::optional<base::Error>{};
        };
        commit(b);
        storage_.fail_get = {};
        storage_.fail_touch = {};
        EXPECT_GT(touched, 0U) << "nothing was at stake";
        EXPECT_EQ(asked, 0U);
        EXPECT_GT(history().versions.back().time_ns, dropped.time_ns) << "it was not dropped";
        EXPECT_TRUE(policy.hourly < 1 || older_of(a)) << "there is no list of older ones";
        refresh(a);
    }
}

TEST_F(LiveHistory, WhereTheOlderVersionsCannotBeReadCommitsGoOnAndKeepTheYoungOnes) {
    const auto a = mount();
    const auto f = rewritten_each_hour(a);
    const auto before = texts_of("f");
    ASSERT_EQ(before.size(), 11U);
    const auto older = older_of(a);
    ASSERT_TRUE(older);
    storage_.lose_block(older->id);
    const auto b = mount();
    run(b->resize(f, 0));
    write(b, f, 0, "13");
    commit(b);
    const auto after = texts_of("f");
    EXPECT_EQ(after.at(0), "12");
    EXPECT_LT(after.size(), before.size()) << "the lost block held some";
    run(set_history_policy(*b.volume, hourly()));
    EXPECT_NE(older_of(b) ? older_of(b)->id : base::Guid{}, older->id) << "a policy makes a new list of what is left";
    EXPECT_TRUE(run(gc::prune(*b.volume, {.at_once = true})).blocks > 0);
}

// Only the list of older versions is away: no commit waits for it as long as the mount would for what it shows.
TEST_F(LiveHistory, CommitsDoNotWaitForHoldersOfOlderVersionsThatAreAway) {
    const auto a = mount();
    const auto f = rewritten_each_hour(a);
    const auto older = older_of(a);
    ASSERT_TRUE(older);
    std::size_t asked = 0;
    storage_.fail_get = [&](const base::Guid& id) -> std::optional<base::Error> {
        if (id != older->id) return std::nullopt;
        ++asked;
        return past::Errc::holders_unreachable;
    };
    const auto b = mount();
    b.volume->reader().set_patience(24h);
    const auto began = world_.now();
    for (int i = 13; i <= 20; ++i) rewrite(b, f, std::to_string(i));
    EXPECT_LT(world_.now() - began, 5s);
    EXPECT_EQ(asked, 1U);
    storage_.fail_get = {};
    EXPECT_EQ(older_of(b)->id, older->id) << "they stayed as they were";
    EXPECT_EQ(texts_of("f").at(0), "19");
    world_.run_for(1h);
    for (int i = 21; i <= 30; ++i) {
        rewrite(b, f, std::to_string(i));
        world_.run_for(1h);
    }
    EXPECT_NE(older_of(b)->id, older->id) << "once they can be read again they are thinned and added to";
    EXPECT_EQ(texts_of("f").size(), 19U) << "of twenty hours, with the present";
}

TEST_F(LiveHistory, APolicyDoesNotReplaceTheHistoryOfALaterVersion) {
    const auto a = mount();
    file(a, kRootInode, "f", "0");
    commit(a);
    auto later = HistoryRecord{.policy = last(3), .older = nullptr}.encode();
    later.bytes[0] = 2;
    put_in_forest(a, later);
    EXPECT_EQ(fails(set_history_policy(*a.volume, last(1))), base::Errc::unsupported);
    refresh(a);
    const Tree forest{a.volume->reader(), a.volume->state().forest};
    EXPECT_EQ(std::get<Opaque>(run(forest.find(TreeKey::first(0, Kind::policy)))->value), later);
}

TEST_F(LiveHistory, AnyVersionCanBeForgottenAndTheOthersStay) {
    const auto a = mount();
    rewritten_each_hour(a);
    ASSERT_TRUE(older_of(a));
    const auto before = history().versions;
    ASSERT_EQ(before.size(), 11U);
    for (const std::size_t number : {0U, 9U}) {  // in the forest, and in the tree of the older ones
        run(forget_version(*a.volume, before[number]));
        run(forget_version(*a.volume, before[number]));  // the answer to the first was lost
    }
    auto left = before;
    left.erase(left.begin() + 9);
    left.erase(left.begin());
    const auto after = history().versions;
    ASSERT_EQ(after.size(), left.size());
    for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(after[i].time_ns, left[i].time_ns);
    EXPECT_EQ(text_in(after[0], "f"), "10");
}

// What it needs cannot be told, so nothing is given back; it can be taken off the list without reading it.
TEST_F(LiveHistory, AVersionThatLostItsTreeIsForgottenAndPruneGoesOn) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", "one");
    commit(a);
    rewrite(a, f, "two");
    rewrite(a, f, "three");
    const auto versions = history().versions;
    ASSERT_EQ(versions.size(), 2U);
    storage_.lose_block(versions[1].root->id);
    EXPECT_EQ(fails(gc::prune(*a.volume, {.at_once = true})), Errc::damaged);
    const auto report = run(gc::check(*a.volume, {}));
    ASSERT_EQ(report.hurt.size(), 1U);
    EXPECT_EQ(report.hurt[0].version, version_name(versions[1])) << "it is named, so that it can be forgotten";
    EXPECT_TRUE(report.hurt[0].unreadable);
    EXPECT_EQ(text_in(versions[0], "f"), "two");
    run(forget_version(*a.volume, versions[1]));
    run(gc::prune(*a.volume, {.at_once = true}));
    EXPECT_EQ(history().versions.size(), 1U);
    EXPECT_EQ(text_in(versions[0], "f"), "two");
}

// --- Named

TEST_F(LiveHistory, AVersionIsNamedOnceAndIsASnapshotLikeAnyOther) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", "before");
    commit(a);
    Snapshot words;
    words.host = "atoll";
    words.name = "before-upgrade";
    words.tags = {"before-upgrade"};
    const auto made = run(name_version(*a.volume, words));
    EXPECT_EQ(made.files, 1U);
    EXPECT_EQ(fails(name_version(*a.volume, words)), std::make_error_code(std::errc::file_exists));
    run(set_history_policy(*a.volume, last(1)));
    rewrite(a, f, "after");
    run(gc::prune(*a.volume, {.at_once = true}));
    const auto kept = history().versions;
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(version_name(kept[0]), "before-upgrade");
    EXPECT_EQ(text_in(kept[0], "f"), "before");
    const auto snapshots = run(a.volume->snapshots());
    EXPECT_EQ(find_snapshot(snapshots, "before-upgrade")->id(), made.id());
    run(a.volume->forget({made.id()}));
    EXPECT_TRUE(history().versions.empty());
}

TEST_F(LiveHistory, PacksOfKeptVersionsAreNotRepacked) {
    const auto a = mount();
    const auto f = file(a, kRootInode, "f", std::string(100'000, 'a') + std::string(100'000, 'b'));
    file(a, kRootInode, "g", std::string(100'000, 'c'));
    commit(a);
    run(a->unlink(kRootInode, "g"));
    rewrite(a, f, "short");
    const auto report = run(gc::repack(*a.volume, {.max_unused = 0}));
    EXPECT_EQ(report.packs, 0U);
    EXPECT_EQ(texts_of("f")[0].size(), 200'000U);
}

TEST(VersionName, IsItsTimeToTheMillisecondAndSortsByIt) {
    Snapshot version;
    version.time_ns = 1'796'155'503'023'456'789;
    EXPECT_EQ(version_name(version), "2026-12-01T20.05.03.023Z");
}

}  // namespace
}  // namespace objstore
