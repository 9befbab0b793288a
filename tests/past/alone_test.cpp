// A network of one: the embedded store of a command, and what its disk survives.
#include "pastry/alone.hpp"
#include "base/error.hpp"
#include "base/sim/crash_points.hpp"
#include "cluster.hpp"

namespace past::test {
namespace {

/// What a command opens where no network was ever joined.
struct Embedded {
    std::unique_ptr<pastry::Alone> kbr;
    std::unique_ptr<SegmentStore> store;
    MembershipView membership;
    std::unique_ptr<Node> node;
};

base::Task<std::unique_ptr<Embedded>> open_embedded(base::NodeEnv env, RecordVerifier verify = &verify_record) {
    auto embedded = std::make_unique<Embedded>();
    SegmentStore::Config config;
    config.capacity_bytes = 1U << 30U;
    auto opened = co_await SegmentStore::open(env, std::move(config));
    if (!opened) co_return nullptr;
    embedded->store = std::move(*opened);
    pastry::NodeHandle self{{base::node_id(base::SigningKey{base::Key{9}}.public_key(), {}), ""}, ""};
    embedded->kbr = std::make_unique<pastry::Alone>(env, std::move(self));
    embedded->node =
        std::make_unique<Node>(env, *embedded->kbr, *embedded->store, embedded->membership, std::move(verify));
    co_return embedded;
}

base::Task<void> close_embedded(std::unique_ptr<Embedded> embedded) {
    co_await embedded->node->stop();
    embedded->node.reset();
    co_await embedded->store->close();
}

TEST(Alone, OneCopyIsFullAndNothingIsSent) {
    sim::World world{1};
    auto& machine = world.add_node();
    auto embedded = *machine.run(open_embedded(machine.env()));
    auto& node = *embedded->node;
    const auto deadline = world.now() + 10s;
    for (std::uint64_t number = 1; number <= 20; ++number) {
        std::vector<Block> blocks{make_block(number), make_block(number + 1000)};
        const auto outcome =
            *machine.run(node.put(group_of(number), test_tag(), std::move(blocks), Wait::full, deadline));
        ASSERT_TRUE(outcome) << outcome.error().message();
        EXPECT_EQ(outcome->copies_wanted, 1U);
        EXPECT_EQ(outcome->copies_stored, 1U);
    }
    const auto bytes = *machine.run(node.get(group_of(3), make_block(3).id, deadline));
    ASSERT_TRUE(bytes);
    EXPECT_EQ(base::sha256(*bytes), make_block(3).id);
    EXPECT_EQ((*machine.run(node.get(group_of(3), make_block(77).id, deadline))).error(), Errc::block_not_found);
    const auto held =
        *machine.run(node.touch(group_of(3), test_tag(), {make_block(3).id, make_block(77).id}, deadline));
    EXPECT_EQ(*held, (std::vector<bool>{true, false}));
    EXPECT_EQ(world.network().traffic(machine.index()).requests_sent, 0U);
    const auto status = node.status();
    EXPECT_EQ(status.copies, 1U);
    EXPECT_EQ(status.blocks, 40U);
    EXPECT_EQ(status.blocks_whole, 40U) << "one copy is all there is to have";
    machine.run(close_embedded(std::move(embedded)));
}

TEST(Alone, RecordsCountUpAndConflict) {
    sim::World world{2};
    auto& machine = world.add_node();
    auto embedded = *machine.run(open_embedded(machine.env()));
    auto& node = *embedded->node;
    const auto key = group_of(5);
    const auto deadline = world.now() + 10s;
    EXPECT_FALSE((*machine.run(node.read_record(key, deadline)))->has_value());
    ASSERT_TRUE(*machine.run(node.write_record(key, 0, make_record(1, "a"), deadline)));
    ASSERT_TRUE(*machine.run(node.write_record(key, 1, make_record(2, "b"), deadline)));
    EXPECT_TRUE(*machine.run(node.write_record(key, 1, make_record(2, "b"), deadline))) << "again is no conflict";
    EXPECT_EQ((*machine.run(node.write_record(key, 1, make_record(2, "c"), deadline))).error(), Errc::conflict);
    EXPECT_EQ((*machine.run(node.write_record(key, 7, make_record(8, "c"), deadline))).error(), Errc::conflict);
    machine.run(close_embedded(std::move(embedded)));
    embedded = *machine.run(open_embedded(machine.env()));
    const auto found = *machine.run(embedded->node->read_record(key, world.now() + 10s));
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->sequence, 2U);
    machine.run(close_embedded(std::move(embedded)));
}

TEST(Alone, ARecordThatWasLostIsTakenBack) {
    sim::World world{3};
    auto& machine = world.add_node();
    auto embedded = *machine.run(open_embedded(machine.env()));
    const auto key = group_of(5);
    const auto deadline = world.now() + 10s;
    ASSERT_TRUE(*machine.run(embedded->node->write_record(key, 0, make_record(1, "a"), deadline)));
    ASSERT_TRUE(*machine.run(embedded->node->restore_record(key, make_record(4, "d"), deadline)));
    ASSERT_TRUE(*machine.run(embedded->node->restore_record(group_of(6), make_record(2, "b"), deadline)));
    machine.run(close_embedded(std::move(embedded)));
    embedded = *machine.run(open_embedded(machine.env()));
    EXPECT_EQ((**machine.run(embedded->node->read_record(key, world.now() + 10s)))->body, make_record(4, "d").body);
    ASSERT_TRUE(*machine.run(embedded->node->write_record(key, 4, make_record(5, "e"), world.now() + 10s)));
    EXPECT_EQ((**machine.run(embedded->node->read_record(group_of(6), world.now() + 10s)))->sequence, 2U);
    machine.run(close_embedded(std::move(embedded)));
}

/// Knows the records of the tests, and that those which say so are of a version to come.
base::Result<std::uint64_t> verify_known_version(const base::Guid& key, base::ByteView body) {
    if (base::as_text(body).find("later") != std::string_view::npos) return base::Errc::unsupported;
    return verify_record(key, body);
}

TEST(Alone, ARecordOfALaterVersionIsNotTakenForDamage) {
    sim::World world{4};
    auto& machine = world.add_node();
    auto embedded = *machine.run(open_embedded(machine.env()));
    const auto key = group_of(5);
    ASSERT_TRUE(*machine.run(embedded->node->write_record(key, 0, make_record(1, "of later"), world.now() + 10s)));
    machine.run(close_embedded(std::move(embedded)));
    embedded = *machine.run(open_embedded(machine.env(), &verify_known_version));
    EXPECT_EQ((*machine.run(embedded->node->read_record(key, world.now() + 10s))).error(), base::Errc::unsupported);
    const auto replaced = *machine.run(embedded->node->restore_record(key, make_record(4, "d"), world.now() + 10s));
    EXPECT_EQ(replaced.error(), base::Errc::unsupported);
    machine.run(close_embedded(std::move(embedded)));
    embedded = *machine.run(open_embedded(machine.env()));
    EXPECT_EQ((**machine.run(embedded->node->read_record(key, world.now() + 10s)))->sequence, 1U);
    machine.run(close_embedded(std::move(embedded)));
}

struct Kept {
    std::vector<std::uint64_t> blocks;
    std::uint64_t sequence = 0;
    bool restored = false;
    bool removed = false;
};

Reclaim raw_reclaim(std::uint64_t number, Tag* tag_out = nullptr) {
    const base::SigningKey owner{base::Key{3}};
    Reclaim reclaim;
    reclaim.group = group_of(number);
    reclaim.owner = owner.public_key();
    reclaim.name_digest = raw_name_digest();
    reclaim.tag = {volume_tag(volume_guid(reclaim.owner, reclaim.name_digest)), 1};
    reclaim.blocks = {make_block(number).id};
    reclaim.at_once = true;
    reclaim.signature = owner.sign("pelago reclaim", reclaim.body());
    if (tag_out != nullptr) *tag_out = reclaim.tag;
    return reclaim;
}

base::Task<void> work(base::NodeEnv env, Kept* kept) {
    auto embedded = co_await open_embedded(env);
    if (!embedded) co_return;  // a disk that failed: nothing was acknowledged
    auto& node = *embedded->node;
    const auto deadline = env.clock.now() + 1h;
    Tag raw;
    auto reclaim = raw_reclaim(50, &raw);
    std::vector<Block> raw_block{make_block(50)};
    (void)co_await node.put(group_of(50), raw, std::move(raw_block), Wait::full, deadline);
    for (std::uint64_t number = 1; number <= 3; ++number) {
        std::vector<Block> blocks{make_block(number)};
        const auto put = co_await node.put(group_of(number), test_tag(), std::move(blocks), Wait::full, deadline);
        if (put) kept->blocks.push_back(number);
        auto record = make_record(number, "r");
        const auto written = co_await node.write_record(group_of(9), number - 1, std::move(record), deadline);
        if (written) kept->sequence = number;
    }
    auto lost = make_record(7, "seen");
    const auto restored = co_await node.restore_record(group_of(10), std::move(lost), deadline);
    kept->restored = restored.has_value();
    const auto removed = co_await node.remove(std::move(reclaim), deadline);
    kept->removed = removed.has_value();
    co_await close_embedded(std::move(embedded));
}

base::Task<std::string> check(base::NodeEnv env, Kept* kept) {
    auto embedded = co_await open_embedded(env);
    if (!embedded) co_return "the store does not open";
    auto& node = *embedded->node;
    const auto deadline = env.clock.now() + 1h;
    std::string wrong;
    for (const auto number : kept->blocks) {
        const auto bytes = co_await node.get(group_of(number), make_block(number).id, deadline);
        if (!bytes) wrong += "block " + std::to_string(number) + " is gone; ";
    }
    const auto record = co_await node.read_record(group_of(9), deadline);
    if (!record) {
        wrong += "no answer about the record; ";
    } else if ((*record ? (*record)->sequence : 0) < kept->sequence) {
        wrong += "the record went back; ";
    }
    if (kept->restored) {
        const auto given = co_await node.read_record(group_of(10), deadline);
        if (!given || !*given || (*given)->sequence != 7) wrong += "a record that was given back is gone; ";
    }
    if (kept->removed) {
        co_await env.clock.sleep_for(20min);
        if (embedded->store->has(make_block(50).id)) wrong += "a reclaimed block came back; ";
    }
    co_await close_embedded(std::move(embedded));
    co_return wrong;
}

sim::CrashScenario scenario(Kept& kept) {
    sim::CrashScenario scenario;
    scenario.reset = [&kept] { kept = Kept{}; };
    scenario.workload = [&kept](base::NodeEnv& env) { return work(env, &kept); };
    scenario.check = [&kept](base::NodeEnv& env) { return check(env, &kept); };
    return scenario;
}

TEST(Alone, EveryCrashPointKeepsWhatWasAcknowledged) {
    Kept kept;
    const auto report = sim::for_each_crash_point(scenario(kept));
    EXPECT_TRUE(report.ok()) << report.text();
    EXPECT_GT(report.boundaries, 10U);
}

TEST(Alone, EveryFailingCallKeepsWhatWasAcknowledged) {
    Kept kept;
    const auto report = sim::for_each_failing_call(scenario(kept), base::Errc::io_failed);
    EXPECT_TRUE(report.ok()) << report.text();
}

TEST(PlantedBug, ASkippedSyncUnderARecordOrABlockIsFound) {
    Kept kept;
    sim::CrashPlan plan;
    plan.losses = {sim::PowerLoss::lost};
    plan.kill = false;
    bool found = false;
    for (std::uint64_t nth = 1; nth <= 12 && !found; ++nth) {
        plan.faults.skip_sync_number = nth;
        found = !sim::for_each_crash_point(scenario(kept), plan).ok();
    }
    EXPECT_TRUE(found);
}

base::Task<void> stop_and_destroy(Embedded& embedded) {
    co_await embedded.node->stop();
    embedded.node.reset();
}
template <class T>
base::Task<void> await_end(base::Task<T> call, bool& ended) {
    (void)co_await std::move(call);
    ended = true;
}

TEST(Alone, ACallThatIsUnderWayKeepsWhatItNeedsThoughTheNodeIsGone) {
    const auto key = group_of(5);
    using Call = std::function<base::Task<base::Result<void>>(Node & node, base::TimePoint deadline)>;
    const std::vector<Call> calls{
        [](Node& node, auto deadline) { return node.remove(raw_reclaim(1), deadline); },
        [&](Node& node, auto deadline) { return node.write_record(key, 0, make_record(1, "a"), deadline); },
        [&](Node& node, auto deadline) { return node.restore_record(key, make_record(2, "b"), deadline); }};
    for (const auto& call : calls) {
        sim::World world{8};
        auto& machine = world.add_node();
        auto token = std::make_shared<int>();
        auto embedded = *machine.run(
            open_embedded(machine.env(), [token](const auto& of, auto body) { return verify_record(of, body); }));
        machine.set_slowness(100'000);
        bool ended = false;
        machine.spawn(await_end(call(*embedded->node, world.now() + 1h), ended));
        machine.run(stop_and_destroy(*embedded));
        ASSERT_FALSE(ended);
        EXPECT_GT(token.use_count(), 1) << "the parts of the node";
        EXPECT_TRUE(world.run_until([&] { return ended; }, 1h));
        world.run_for(1s);
        EXPECT_EQ(token.use_count(), 1);
        machine.run(embedded->store->close());
    }
}

}  // namespace
}  // namespace past::test
