// Every write, sync and rename of a workload, cut there in every way: what was acknowledged is there afterwards.
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/sim/crash_points.hpp"
#include "ledger.hpp"
#include "store/format.hpp"

namespace store_test {
namespace {

using base::NodeEnv;
namespace sim = base::sim;

const Tag kFirst{guid_of("volume a"), 1};
const Tag kSecond{guid_of("volume b"), 4};

std::vector<Block> some_blocks(std::uint64_t from, std::uint64_t count) {
    std::vector<Block> blocks;
    for (auto i = from; i < from + count; ++i) blocks.push_back(block_of(i, 100 + i * 177 % 900));
    return blocks;
}

std::vector<Guid> ids_of(std::uint64_t from, std::uint64_t count) {
    std::vector<Guid> ids;
    for (const auto& block : some_blocks(from, count)) ids.push_back(block.id);
    return ids;
}

/// Puts alone and together, dedup hits, touches, drops, records; segments and checkpoints roll over on the way.
Task<void> use_store(NodeEnv& env, SegmentStore::Config config, std::shared_ptr<Ledger> ledger) {
    const auto opened = co_await SegmentStore::open(env, config);
    if (!opened) co_return;
    auto& store = **opened;
    const auto key = guid_of("key");
    co_await ledger->put(store, kFirst, some_blocks(0, 6));
    co_await ledger->put_record(store, key, "one");
    co_await ledger->put(store, kSecond, some_blocks(4, 4));  // two of them held already
    {
        base::TaskGroup group{env.executor};
        group.spawn(ledger->put(store, kFirst, some_blocks(10, 3)));
        group.spawn(ledger->put(store, kFirst, some_blocks(13, 3)));
        group.spawn(ledger->put_record(store, guid_of("other key"), "x"));
        group.spawn(ledger->untag(store, kFirst, ids_of(0, 3)));
        co_await group.join();
    }
    const Tag touched{kFirst.volume, 2};
    const Tag dropped{kFirst.volume, 1};
    const Tag all_of_second{kSecond.volume, 9};
    co_await ledger->touch(store, touched, ids_of(3, 5));
    co_await ledger->put_record(store, key, "two");
    co_await ledger->discard(store, ids_of(10, 2));
    co_await ledger->put(store, kSecond, some_blocks(0, 2));  // again, after they were dropped
    co_await ledger->untag(store, dropped, ids_of(3, 12));
    co_await ledger->untag(store, all_of_second, ids_of(0, 8));
    co_await ledger->put_record(store, key, "three");
    co_await ledger->put(store, kFirst, some_blocks(20, 4));
    co_await (*opened)->close();
}

/// Everything promised is there; and the store works, and keeps what it then showed.
Task<std::string> check_store(NodeEnv& env, std::shared_ptr<Ledger> ledger) {
    for (int round = 0; round < 2; ++round) {
        const auto opened = co_await SegmentStore::open(env, tiny_config());
        if (!opened) co_return "does not open: " + opened.error().message();
        auto& store = **opened;
        const auto wrong = co_await ledger->check(store);
        if (!wrong.empty()) co_return (round == 0 ? "" : "opened again: ") + wrong;
        if (store.damage().state_lost || store.damage().skipped_bytes > 0 || store.usage().lost_blocks > 0)
            co_return "takes a crash for damage";
        const auto errors = ledger->errors().size();
        co_await ledger->put(store, kFirst, some_blocks(30 + static_cast<std::uint64_t>(round), 1));
        if (ledger->errors().size() > errors) co_return "takes no puts: " + ledger->errors().back().message();
        co_await store.close();
    }
    co_return "";
}

struct Shared {
    std::shared_ptr<Ledger> ledger = std::make_shared<Ledger>();
};

sim::CrashScenario scenario_with(SegmentStore::Config config) {
    const auto shared = std::make_shared<Shared>();
    sim::CrashScenario scenario;
    scenario.reset = [shared] { shared->ledger = std::make_shared<Ledger>(); };
    scenario.workload = [shared, config](NodeEnv& env) { return use_store(env, config, shared->ledger); };
    scenario.check = [shared](NodeEnv& env) { return check_store(env, shared->ledger); };
    return scenario;
}

TEST(StoreCrash, EverythingAcknowledgedSurvivesACrashAtEveryBoundary) {
    sim::CrashPlan plan;
    plan.losses = {sim::PowerLoss::lost, sim::PowerLoss::torn, sim::PowerLoss::reordered, sim::PowerLoss::kept};
    plan.repeats = 3;
    const auto report = sim::for_each_crash_point(scenario_with(tiny_config()), plan);
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GT(report.boundaries, 80U) << "the workload became too small to mean anything";
    RecordProperty("crashes", static_cast<int>(report.crashes));
}

/// Drops every second block, has the rest moved, and drops some of that.
Task<void> compact_store(NodeEnv& env, std::shared_ptr<Ledger> ledger) {
    const auto opened = co_await SegmentStore::open(env, tiny_config());
    if (!opened) co_return;
    auto& store = **opened;
    co_await ledger->put(store, kFirst, some_blocks(0, 8));
    co_await ledger->put(store, kSecond, some_blocks(8, 8));
    co_await ledger->put(store, kSecond, some_blocks(0, 1));  // of two volumes: it cannot be moved
    const Tag raised{kFirst.volume, 2}, raised_again{kFirst.volume, 3}, all_of_second{kSecond.volume, 9};
    co_await ledger->touch(store, raised, ids_of(4, 4));
    for (std::uint64_t i = 0; i < 16; i += 2) co_await ledger->discard(store, ids_of(i, 1));
    co_await store.give_back();
    co_await ledger->untag(store, all_of_second, ids_of(9, 3));
    co_await ledger->touch(store, raised_again, ids_of(1, 3));
    co_await ledger->put(store, kFirst, some_blocks(20, 2));
    co_await store.give_back();
    co_await store.close();
}

TEST(StoreCrash, NothingIsLostAndNothingComesBackWhileBlocksAreMoved) {
    const auto shared = std::make_shared<Shared>();
    sim::CrashScenario scenario;
    scenario.reset = [shared] { shared->ledger = std::make_shared<Ledger>(); };
    scenario.workload = [shared](NodeEnv& env) { return compact_store(env, shared->ledger); };
    scenario.check = [shared](NodeEnv& env) { return check_store(env, shared->ledger); };
    sim::CrashPlan plan;
    plan.losses = {sim::PowerLoss::lost, sim::PowerLoss::torn, sim::PowerLoss::reordered, sim::PowerLoss::kept};
    const auto report = sim::for_each_crash_point(scenario, plan);
    EXPECT_TRUE(report.ok()) << report.text();
    for (const auto error : {base::Errc::io_failed, base::Errc::no_space}) {
        const auto failing = sim::for_each_failing_call(scenario, error);
        EXPECT_TRUE(failing.ok()) << failing.text();
    }
}

TEST(StoreCrash, ACrashWhileAStoreIsOpenedAfterACrashHarmsNothing) {
    // The workload of the enumeration is the recovery itself, on what a torn workload left.
    const auto shared = std::make_shared<Shared>();
    sim::CrashScenario scenario;
    scenario.reset = [shared] { shared->ledger = std::make_shared<Ledger>(); };
    scenario.setup = [shared](NodeEnv& env) { return use_store(env, tiny_config(), shared->ledger); };
    scenario.workload = [shared](NodeEnv& env) -> Task<void> {
        const auto wrong = co_await check_store(env, shared->ledger);
        if (!wrong.empty()) throw std::runtime_error{wrong};
    };
    scenario.check = [shared](NodeEnv& env) { return check_store(env, shared->ledger); };
    const auto report = sim::for_each_crash_point(scenario, {});
    EXPECT_TRUE(report.ok()) << report.text();
}

TEST(StoreCrash, AnIoErrorAtAnyCallLosesNothingAcknowledged) {
    const auto report = sim::for_each_failing_call(scenario_with(tiny_config()), base::Errc::io_failed);
    EXPECT_TRUE(report.ok()) << report.text();
}

TEST(StoreCrash, AFullDiskAtAnyCallLosesNothingAcknowledged) {
    const auto report = sim::for_each_failing_call(scenario_with(tiny_config()), base::Errc::no_space);
    EXPECT_TRUE(report.ok()) << report.text();
}

// --- what was seen after a kill stays after a power loss -------------------------------------------------------------

Task<void> snapshot_into(NodeEnv& env, std::shared_ptr<std::map<Guid, std::vector<Tag>>> out) {
    const auto opened = co_await SegmentStore::open(env, tiny_config());
    if (!opened) co_return;
    for (std::uint64_t i = 0; i < 24; ++i) {
        const auto id = ids_of(i, 1)[0];
        auto tags = (*opened)->tags(id);
        if (!tags.empty() && co_await (*opened)->get(id)) (*out)[id] = std::move(tags);
    }
}

TEST(StoreCrash, WhatWasShownAfterAKillIsStillThereAfterAPowerLoss) {
    std::uint64_t boundaries = 200;
    for (std::uint64_t at = 1; at <= boundaries; ++at) {
        sim::World world{at};
        auto& node = world.add_node();
        const auto ledger = std::make_shared<Ledger>();
        node.crash_on_disk(at, sim::CrashSide::after);
        node.run(use_store(node.env(), tiny_config(), ledger));
        if (!node.disk().crashed()) break;
        node.restart();
        const auto shown = std::make_shared<std::map<Guid, std::vector<Tag>>>();
        node.run(snapshot_into(node.env(), shown));
        node.power_off(sim::PowerLoss::lost);
        node.restart();
        const auto later = std::make_shared<std::map<Guid, std::vector<Tag>>>();
        node.run(snapshot_into(node.env(), later));
        ASSERT_EQ(*shown, *later) << "boundary " << at << ": " << node.disk().crash_site();
    }
}

// The store that is opened between the two meets a full disk at one of its writes, or none.
TEST(StoreCrash, NorDoesAFullDiskWhileItWasShownLoseIt) {
    std::uint64_t refused = 0;
    for (std::uint64_t nth = 1; nth <= 4; ++nth) {
        for (std::uint64_t at = 1; at <= 200; ++at) {
            sim::World world{at};
            auto& node = world.add_node();
            node.crash_on_disk(at, sim::CrashSide::after);
            node.run(use_store(node.env(), tiny_config(), std::make_shared<Ledger>()));
            if (!node.disk().crashed()) break;
            node.restart();
            const auto shown = std::make_shared<std::map<Guid, std::vector<Tag>>>();
            node.disk().fail(sim::DiskCall::write, nth, base::Errc::no_space);
            node.run(snapshot_into(node.env(), shown));
            node.disk().fail_nothing();
            refused += shown->empty() ? 0U : 1U;
            node.power_off(sim::PowerLoss::lost);
            node.restart();
            const auto later = std::make_shared<std::map<Guid, std::vector<Tag>>>();
            node.run(snapshot_into(node.env(), later));
            for (const auto& [id, tags] : *shown) {
                ASSERT_TRUE(later->contains(id)) << "boundary " << at << ", write " << nth;
                ASSERT_EQ(later->at(id), tags) << "boundary " << at << ", write " << nth;
            }
        }
    }
    EXPECT_GT(refused, 80U) << "opened all the same";
}

// --- a block that damage took is never taken for one that never was --------------------------------------------------

/// How far the story of the damaged block has come, for sure or perhaps.
struct Loss {
    bool put_begun = false, put_done = false, untag_begun = false, untag_done = false;
};

/// `last`: of the blocks put here, the last one is damaged, of which opening reads the bytes.
Task<void> put_and_damage(NodeEnv& env, bool last) {
    const auto opened = co_await SegmentStore::open(env, tiny_config());
    auto blocks = some_blocks(0, 1);
    auto more = some_blocks(1, 1);
    if (!last) std::swap(blocks, more);
    auto first = co_await (*opened)->put(Ledger::group(), kFirst, std::move(more));
    auto second = co_await (*opened)->put(Ledger::group(), kFirst, std::move(blocks));
    EXPECT_TRUE(first && second);
    co_await (*opened)->close();
    const auto path = past::store::file_name("blocks", past::store::FileKind::segment, 1);
    const auto bytes = base::read_file(env.disk, path, 1U << 20U);
    const auto file = env.disk.open(path, base::Disk::Mode::read_write);
    const auto damaged = some_blocks(0, 1)[0].bytes;
    const auto at = std::search(bytes->begin(), bytes->end(), damaged.view().begin(), damaged.view().end());
    const base::Bytes other(8, 0xA5);
    EXPECT_TRUE((*file)->write_at(static_cast<std::uint64_t>(at - bytes->begin()), base::ByteView{other}));
    EXPECT_TRUE((*file)->sync());
}

Task<void> lose_and_replace(NodeEnv& env, std::shared_ptr<Loss> loss) {
    const auto opened = co_await SegmentStore::open(env, tiny_config());
    if (!opened) co_return;
    auto& store = **opened;
    const auto ids = ids_of(0, 1);
    const auto damaged = co_await store.get(ids[0]);
    if (damaged) throw std::runtime_error{"the damage is not there"};
    if (damaged.error() != past::Errc::corrupt_block) co_return;  // the whole segment could not be read this time
    loss->put_begun = true;
    const auto put = co_await store.put(Ledger::group(), kSecond, some_blocks(0, 1));
    loss->put_done = put.has_value();
    if (!put) co_return;
    loss->untag_begun = true;
    const auto untagged = co_await store.untag(kSecond, ids);
    loss->untag_done = untagged.has_value();
    co_await store.close();
}

Task<std::string> check_loss(NodeEnv& env, std::shared_ptr<Loss> loss) {
    for (int round = 0; round < 2; ++round) {
        const auto opened = co_await SegmentStore::open(env, tiny_config());
        if (!opened) co_return "does not open: " + opened.error().message();
        auto& store = **opened;
        const auto got = co_await store.get(ids_of(0, 1)[0]);
        const auto lost = store.usage().lost_blocks == 1;
        const bool damaged = !got && got.error() == past::Errc::corrupt_block;
        const bool unknown = !got && got.error() == past::Errc::block_not_found;
        if (lost != damaged) co_return "says one thing and counts another";
        if (damaged && loss->put_done) co_return "lost again after it was put";
        if (unknown && !loss->untag_begun) co_return "taken for a block that never was";
        if (got && !loss->put_begun) co_return "bytes from nowhere";
        if (loss->untag_done && !unknown) co_return "there although nobody wants it";
        const auto other = co_await store.get(ids_of(1, 1)[0]);
        if (!other) co_return "the other block: " + other.error().message();
        co_await store.close();
    }
    co_return "";
}

TEST(StoreCrash, ALostBlockIsRememberedWhereverACrashComes) {
    for (const bool last : {false, true}) {
        const auto loss = std::make_shared<Loss>();
        sim::CrashScenario scenario;
        scenario.reset = [loss] { *loss = Loss{}; };
        scenario.setup = [last](NodeEnv& env) { return put_and_damage(env, last); };
        scenario.workload = [loss](NodeEnv& env) { return lose_and_replace(env, loss); };
        scenario.check = [loss](NodeEnv& env) { return check_loss(env, loss); };
        sim::CrashPlan plan;
        plan.losses = {sim::PowerLoss::lost, sim::PowerLoss::torn, sim::PowerLoss::reordered, sim::PowerLoss::kept};
        const auto report = sim::for_each_crash_point(scenario, plan);
        EXPECT_TRUE(report.ok()) << report.text();
        EXPECT_GT(report.boundaries, 10U);
        for (const auto error : {base::Errc::io_failed, base::Errc::no_space}) {
            const auto failing = sim::for_each_failing_call(scenario, error);
            EXPECT_TRUE(failing.ok()) << failing.text();
        }
    }
}

// --- the harness finds planted bugs ----------------------------------------------------------------------------------

bool found(void (*plant)(SegmentStore::Testing&)) {
    auto config = tiny_config();
    plant(config.testing);
    return !sim::for_each_crash_point(scenario_with(config), {}).ok();
}

TEST(StoreHarness, FindsAMissingSyncOfBlocks) {
    EXPECT_TRUE(found([](SegmentStore::Testing& testing) { testing.skip_segment_sync = true; }));
}

TEST(StoreHarness, FindsAMissingSyncOfTheLog) {
    EXPECT_TRUE(found([](SegmentStore::Testing& testing) { testing.skip_state_sync = true; }));
}

TEST(StoreHarness, FindsAFileThatIsSyncedWithoutItsName) {
    EXPECT_TRUE(found([](SegmentStore::Testing& testing) { testing.skip_directory_sync = true; }));
}

TEST(StoreHarness, FindsADiskThatLiesAboutOneSyncInTheMiddle) {
    // Not every sync matters to this workload; of the first forty at least some must.
    unsigned noticed = 0;
    for (std::uint64_t number = 8; number <= 24; number += 4) {
        sim::CrashPlan plan;
        plan.losses = {sim::PowerLoss::lost};
        plan.faults.skip_sync_number = number;
        noticed += sim::for_each_crash_point(scenario_with(tiny_config()), plan).ok() ? 0U : 1U;
    }
    EXPECT_GE(noticed, 2U);
}

}  // namespace
}  // namespace store_test
