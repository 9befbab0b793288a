// Volumes: one signed state after another, whoever writes, whatever fails.
#include "objstore/volume.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "objstore/volume_fixture.hpp"

namespace objstore {
namespace {

using test::VolumeTest;

TEST_F(VolumeTest, ANewVolumeIsEmptyAndOpensAgain) {
    const auto made = create();
    EXPECT_EQ(made->state().sequence, 1U);
    EXPECT_TRUE(hosts(*made).empty());
    const auto again = open();
    ASSERT_TRUE(again);
    EXPECT_EQ((*again)->state().body_hash, made->state().body_hash);
}

TEST_F(VolumeTest, ThereIsOneVolumeOfAName) {
    create();
    EXPECT_EQ(world_.run(Volume::create(env_, storage_, *marks_, owner_, "photos")).error(), base::Errc::exists);
    EXPECT_EQ(open("letters").error(), Errc::no_such_volume);
    EXPECT_EQ(world_.run(Volume::open(env_, storage_, *marks_, test::owner_key(2), "photos")).error(),
              Errc::no_such_volume);
    EXPECT_EQ(world_.run(Volume::create(env_, storage_, *marks_, owner_, "")).error(), base::Errc::bad_argument);
}

TEST_F(VolumeTest, WhatWasCommittedIsListedAndItsTreeReadable) {
    const auto volume = create();
    const auto done = world_.run(back_up(*volume, 5, "atoll"));
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->state.sequence, 2U);
    EXPECT_EQ(done->copies.copies_stored, 3U);
    const auto fresh = *open();
    const auto listed = world_.run(fresh->snapshots());
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front(), done->snapshot);
    const Tree tree{fresh->reader(), listed->front().root};
    const auto inode = world_.run(tree.find(TreeKey::first(kRootInode, Kind::inode)));
    ASSERT_TRUE(inode && *inode);
    EXPECT_EQ(std::get<Inode>((*inode)->value), test::some_inode(5));
}

TEST_F(VolumeTest, HeartbeatsAreAChain) {
    const auto volume = create();
    const auto first = volume->state().body_hash;
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "a")));
    const auto record = Heartbeat::decode(storage_.records().at(aguid_).body);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->body.previous, first);
    EXPECT_EQ(record->body.root_sequence, 2U);
}

// Issue: "two hosts backing up one volume at once: both snapshots are listed".
TEST_F(VolumeTest, HostsThatCommitAtOnceAreAllListed) {
    create();
    base::TaskGroup group{env_.executor};
    std::vector<std::unique_ptr<Volume>> volumes;
    constexpr std::uint64_t kHosts = 12;
    constexpr auto one = [](Volume& volume, std::uint64_t number) -> base::Task<void> {
        const auto done = co_await back_up(volume, number, "host" + std::to_string(number));
        EXPECT_TRUE(done) << done.error().message();
    };
    for (std::uint64_t i = 0; i < kHosts; ++i) {
        volumes.push_back(*open());
        group.spawn(one(*volumes.back(), i));
    }
    world_.run(group.join());
    EXPECT_EQ(hosts(*volumes.front()).size(), kHosts);
}

/// Changes nothing but one item, and takes its time for it.
class SlowEditor final : public ForestEditor {
  public:
    SlowEditor(base::Clock& clock, base::Duration time) : clock_{clock}, time_{time} {}
    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree /*forest*/, BlockWriter& /*writer*/) override {
        co_await clock_.sleep_for(time_);
        Item item;
        item.key = TreeKey::first(0, static_cast<Kind>(40));
        item.value = Opaque{};
        ForestEdit out;
        out.put.push_back(std::move(item));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    base::Clock& clock_;
    base::Duration time_;
};

// A commit that takes longer than another host takes from one to the next would lose every race.
TEST_F(VolumeTest, AHostWhoseCommitsTakeLongGetsItsTurnBesideOneThatNeverStops) {
    create();
    const auto slow = *open();
    const auto busy = *open();
    bool done = false;
    std::uint64_t others = 0;
    base::Duration longest{};
    constexpr auto keep_writing = [](base::Clock& clock, Volume& volume, const bool& stop, std::uint64_t& count,
                                     base::Duration& slowest) -> base::Task<void> {
        while (!stop) {
            SlowEditor editor{clock, std::chrono::milliseconds{10}};
            const auto began = clock.now();
            const auto written = co_await volume.edit_forest(editor, ForestCheck::paths);
            EXPECT_TRUE(written) << written.error().message();
            slowest = std::max(slowest, clock.now() - began);
            ++count;
        }
    };
    base::TaskGroup group{env_.executor};
    group.spawn(keep_writing(env_.clock, *busy, done, others, longest));
    SlowEditor editor{env_.clock, std::chrono::milliseconds{500}};
    const auto began = env_.clock.now();
    const auto written = world_.run(slow->edit_forest(editor, ForestCheck::paths));
    const auto took = env_.clock.now() - began;
    done = true;
    world_.run(group.join());
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_LE(took, std::chrono::seconds{3});
    EXPECT_GE(others, 50U) << "the other went on";
    EXPECT_LE(longest, std::chrono::milliseconds{1500});
}

TEST_F(VolumeTest, WhoAskedForATurnAndDiedCostsTheOthersAFewSecondsOnce) {
    create();
    const auto other = *open();
    {
        const auto slow = *open();
        int races = 0;
        // Loses twice, asks, and is gone.
        storage_.fail_write_record = [&](const base::Guid&) -> std::optional<base::Error> {
            ++races;
            if (races == 3) return std::nullopt;
            return base::Error{races < 3 ? past::Errc::conflict : past::Errc::not_owner};
        };
        SlowEditor editor{env_.clock, std::chrono::milliseconds{1}};
        EXPECT_FALSE(world_.run(slow->edit_forest(editor, ForestCheck::paths)));
        storage_.fail_write_record = nullptr;
    }
    ASSERT_TRUE(world_.run(other->refresh()));
    EXPECT_NE(other->state().turn, 0U);
    for (const auto most : {std::chrono::milliseconds{3200}, std::chrono::milliseconds{200}}) {
        SlowEditor editor{env_.clock, std::chrono::milliseconds{1}};
        const auto began = env_.clock.now();
        ASSERT_TRUE(world_.run(other->edit_forest(editor, ForestCheck::paths)));
        EXPECT_LE(env_.clock.now() - began, most);
    }
}

TEST_F(VolumeTest, AConflictIsTriedAgainOnTheNewestForest) {
    const auto volume = create();
    const auto other = *open();
    int races = 0;
    // Each time the first writer comes to the register, another was there just before.
    storage_.fail_write_record = [&](const base::Guid&) -> std::optional<base::Error> {
        if (++races > 3) return std::nullopt;
        return base::Error{past::Errc::conflict};
    };
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "slow")));
    EXPECT_GT(races, 3);
    ASSERT_TRUE(world_.run(back_up(*other, 2, "late")));
    EXPECT_EQ(hosts(*volume), (std::vector<std::string>{"slow", "late"}));
}

TEST_F(VolumeTest, AnAnswerThatWasLostIsFoundOutNotDoneTwice) {
    const auto volume = create();
    int lost = 0;
    storage_.lose_answer = [&](const base::Guid&) -> std::optional<base::Error> {
        if (++lost > 1) return std::nullopt;
        return base::Error{past::Errc::holders_unreachable};
    };
    const auto done = world_.run(back_up(*volume, 1, "atoll"));
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(volume->state().sequence, 2U);
    EXPECT_EQ(hosts(*volume).size(), 1U);
}

TEST_F(VolumeTest, CreatingSurvivesALostAnswerToo) {
    storage_.lose_answer = [](const base::Guid&) { return std::optional<base::Error>{base::Errc::timed_out}; };
    EXPECT_EQ(create()->state().sequence, 1U);
}

TEST_F(VolumeTest, CommittingTheSameSnapshotAgainChangesNothing) {
    const auto volume = create();
    const auto session = *world_.run(volume->begin());
    const auto root = world_.run(write_tree(*session, 1));
    const auto snapshot = snapshot_of(*root, 1, "atoll");
    ASSERT_TRUE(world_.run(volume->commit(*session, snapshot)));
    const auto again = world_.run(volume->commit(*session, snapshot));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->state.sequence, 2U);
    EXPECT_EQ(hosts(*volume).size(), 1U);
}

TEST_F(VolumeTest, ANetworkThatStaysAwayIsToldToTheCaller) {
    const auto volume = create();
    storage_.fail_write_record = [](const auto&) {
        return std::optional<base::Error>{past::Errc::holders_unreachable};
    };
    EXPECT_EQ(world_.run(back_up(*volume, 1, "atoll")).error(), past::Errc::holders_unreachable);
}

TEST_F(VolumeTest, NothingIsCommittedBeforeEveryBlockIsAcknowledged) {
    const auto volume = create();
    storage_.fail_put = [](const auto&) { return std::optional<base::Error>{past::Errc::no_space}; };
    storage_.fail_write_record = [](const auto&) {
        ADD_FAILURE() << "the register was written although blocks are missing";
        return std::nullopt;
    };
    EXPECT_EQ(world_.run(back_up(*volume, 1, "atoll")).error(), past::Errc::no_space);
    EXPECT_EQ(storage_.records().at(aguid_).sequence, 1U);
}

TEST_F(VolumeTest, EveryBlockOfEveryStateIsStoredWhenItIsWritten) {
    const auto volume = create();
    // Whenever the register changes, everything reachable from its root must be there.
    storage_.lose_answer = [&](const base::Guid& key) -> std::optional<base::Error> {
        const auto heartbeat = Heartbeat::decode(storage_.records().at(key).body);
        EXPECT_TRUE(storage_.blocks().contains(heartbeat->body.vguid));
        return std::nullopt;
    };
    for (std::uint64_t i = 0; i < 40; ++i) {
        const auto done = world_.run(back_up(*volume, i, "atoll"));
        ASSERT_TRUE(done);
        EXPECT_TRUE(storage_.blocks().contains(done->snapshot.root->id));
    }
    EXPECT_EQ(hosts(*volume).size(), 40U);
}

TEST_F(VolumeTest, AnOlderStateIsStaleHoweverWellSigned) {
    const auto volume = create();
    const auto old = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    storage_.replace_record(aguid_, old);
    EXPECT_EQ(world_.run(volume->refresh()).error(), Errc::stale);
    EXPECT_EQ(open().error(), Errc::stale);
    EXPECT_EQ(world_.run(back_up(*volume, 2, "atoll")).error(), Errc::stale);
    // Another client, which never saw the newer one, cannot know.
    const auto naive = make_disk_high_water(env_, "elsewhere");
    EXPECT_TRUE(world_.run(Volume::open(env_, storage_, *naive, owner_, "photos")));
}

TEST_F(VolumeTest, ASecondStateOfOneNumberIsStale) {
    const auto volume = create();
    const auto parent = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    // The owner's key on another machine, fed the older state, makes a fork.
    storage_.replace_record(aguid_, parent);
    const auto naive = make_disk_high_water(env_, "elsewhere");
    const auto fork = *world_.run(Volume::open(env_, storage_, *naive, owner_, "photos"));
    ASSERT_TRUE(world_.run(back_up(*fork, 2, "reef")));
    EXPECT_EQ(world_.run(volume->refresh()).error(), Errc::stale);
}

TEST_F(VolumeTest, AVolumeThatVanishedIsStaleNotAbsent) {
    create();
    support::MemoryStorage empty{env_.executor, verify_heartbeat};
    EXPECT_EQ(world_.run(Volume::open(env_, empty, *marks_, owner_, "photos")).error(), Errc::stale);
    EXPECT_EQ(world_.run(Volume::create(env_, empty, *marks_, owner_, "photos")).error(), Errc::stale);
}

TEST_F(VolumeTest, AForgedRecordIsNotBelieved) {
    create();
    auto record = storage_.records().at(aguid_);
    record.body[100] ^= 1U;
    storage_.replace_record(aguid_, record);
    EXPECT_EQ(open().error(), past::Errc::bad_record);
}

TEST_F(VolumeTest, ASessionPinsWhatItBeganWith) {
    const auto volume = create();
    const auto session = *world_.run(volume->begin());
    const auto other = *open();
    ASSERT_TRUE(world_.run(back_up(*other, 1, "reef")));
    EXPECT_EQ(session->pinned().sequence, 1U);
    EXPECT_TRUE(session->snapshots().empty());
    EXPECT_EQ(session->generation(), 2U);
    EXPECT_EQ(session->tag().volume, past::volume_tag(aguid_));
    const auto root = world_.run(write_tree(*session, 7));
    const auto done = world_.run(volume->commit(*session, snapshot_of(*root, 7, "atoll")));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->state.sequence, 3U);
    EXPECT_EQ(done->snapshot.root->birth, 2U);
    EXPECT_EQ(hosts(*volume).size(), 2U);
}

// --- blocks that are lost

TEST_F(VolumeTest, TheSpareCopyStandsInForALostRoot) {
    const auto volume = create();
    for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(world_.run(back_up(*volume, i, "host" + std::to_string(i))));
    storage_.lose_block(volume->state().forest->id);
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh), (std::vector<std::string>{"host1", "host2", "host3"}));
    ASSERT_TRUE(fresh->damage());
    EXPECT_TRUE(fresh->damage()->complete);
    EXPECT_EQ(fresh->damage()->error, Errc::damaged);

    ASSERT_TRUE(world_.run(back_up(*fresh, 4, "host4")));
    const auto after = *open();
    EXPECT_EQ(hosts(*after).size(), 4U);
    EXPECT_FALSE(after->damage());
}

TEST_F(VolumeTest, RootAndSpareAreTwoBlocks) {
    const auto volume = create();
    for (std::uint64_t i = 0; i < 3; ++i) {
        const auto& state = volume->state();
        ASSERT_TRUE(state.spare);
        EXPECT_NE(state.spare->id, state.forest->id);
        EXPECT_TRUE(storage_.blocks().contains(state.spare->id));
        EXPECT_EQ(state.earlier.size(), i);
        ASSERT_TRUE(world_.run(back_up(*volume, i + 1, "atoll")));
    }
}

TEST_F(VolumeTest, WithoutAnyRootTheStateBeforeIsListedAndSaidToBeIncomplete) {
    const auto volume = create();
    for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(world_.run(back_up(*volume, i, "host" + std::to_string(i))));
    storage_.lose_block(volume->state().forest->id);
    storage_.lose_block(volume->state().spare->id);
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh), (std::vector<std::string>{"host1", "host2"}));
    ASSERT_TRUE(fresh->damage());
    EXPECT_FALSE(fresh->damage()->complete);

    ASSERT_TRUE(world_.run(back_up(*fresh, 4, "host4")));
    const auto after = *open();
    EXPECT_EQ(hosts(*after), (std::vector<std::string>{"host1", "host2", "host4"}));
    EXPECT_FALSE(after->damage());
}

TEST_F(VolumeTest, AVolumeThatLostEveryListStillTakesSnapshots) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    while (!storage_.blocks().empty()) storage_.lose_block(storage_.blocks().begin()->first);
    const auto fresh = *open();
    EXPECT_TRUE(hosts(*fresh).empty());
    EXPECT_FALSE(fresh->damage()->complete);
    ASSERT_TRUE(world_.run(back_up(*fresh, 2, "reef")));
    EXPECT_EQ(hosts(**open()), (std::vector<std::string>{"reef"}));
}

TEST_F(VolumeTest, ALeafOfALongListThatIsLostCostsOnlyWhatOnlyItKnew) {
    const auto volume = create();
    constexpr std::uint64_t kMost = 2000;  // where the list is cut follows from the keys
    std::uint64_t count = 0;
    std::vector<BlockName> nodes;
    while (nodes.size() <= 3 && count < kMost) {
        ASSERT_TRUE(world_.run(back_up(*volume, ++count, "atoll")));
        if (count % 50 == 0) nodes = *world_.run(Tree{volume->reader(), volume->state().forest}.nodes());
    }
    ASSERT_GT(nodes.size(), 3U);
    storage_.lose_block(nodes.back().id);
    const auto fresh = *open();
    const auto left = hosts(*fresh).size();
    EXPECT_LT(left, count);
    EXPECT_GT(left, 0U);
    EXPECT_FALSE(fresh->damage()->complete);
    ASSERT_TRUE(world_.run(back_up(*fresh, count + 1, "atoll")));
    const auto after = *open();
    EXPECT_EQ(hosts(*after).size(), left + 1);
    EXPECT_FALSE(after->damage());
}

TEST_F(VolumeTest, AListThatWasLostBehindTheReadersBackIsStoredAgain) {
    const auto volume = create();
    for (std::uint64_t i = 1; i <= 300; ++i) ASSERT_TRUE(world_.run(back_up(*volume, i, "atoll")));
    const auto session = *world_.run(volume->begin());  // read, and in the cache from now on
    const auto root = world_.run(write_tree(*session, 301));
    const Tree forest{volume->reader(), volume->state().forest};
    for (const auto& node : *world_.run(forest.nodes())) storage_.lose_block(node.id);
    ASSERT_TRUE(world_.run(volume->commit(*session, snapshot_of(*root, 301, "atoll"))));
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh).size(), 301U);
    EXPECT_FALSE(fresh->damage());
}

// --- what later versions write

// A list as a later version leaves it: the present one with these items added, signed by the owner.
base::Task<base::Result<void>> add_items(base::NodeEnv env, past::Storage& storage, Volume& volume,
                                         base::SigningKey owner, std::vector<Item> items) {
    const auto& state = volume.state();
    const auto& keys = volume.keys();
    BlockWriter writer{env, storage, test::seal_context(keys, state.sequence + 1),
                       past::Tag{keys.tag, state.sequence + 1}};
    TreeUpdate update{writer, Tree{volume.reader(), state.forest}};
    for (auto& item : items) BASE_CO_CHECK(co_await update.put(std::move(item)));
    BASE_CO_TRY(const auto root, co_await update.finish());
    BASE_CO_CHECK(co_await writer.flush());
    auto heartbeat = *Heartbeat::decode((*co_await storage.read_record(keys.aguid, base::TimePoint::max()))->body);
    heartbeat.body.sequence = heartbeat.body.root_sequence = state.sequence + 1;
    heartbeat.body.previous = state.body_hash;
    heartbeat.body.vguid = root->id;
    heartbeat.body.pointers.clear();
    heartbeat.body.pointers.push_back(seal_pointer(keys.epoch, heartbeat.body, *root));
    heartbeat.votes = {vote_for(owner, heartbeat.body, 0, Phase::commit)};
    past::Record record;
    record.sequence = heartbeat.body.sequence;
    record.body = heartbeat.encode();
    const auto expected = state.sequence;
    co_return co_await storage.write_record(keys.aguid, expected, std::move(record), base::TimePoint::max());
}

Item opaque_item(Kind kind, std::uint64_t sub, std::string_view text) {
    Item item;
    item.key = TreeKey::first(0, kind);
    item.key.sub = sub;
    item.value = Opaque{base::to_bytes(text), {test::some_block(sub)}};
    return item;
}

class LaterItems : public VolumeTest {
  protected:
    const std::vector<Item> items_{opaque_item(Kind::live, 0, "the live tree"),
                                   opaque_item(Kind::snapshot, 0x40dc1520aabbccddU, "\x02 a snapshot of format 2"),
                                   opaque_item(static_cast<Kind>(18), 7, "nobody knows yet")};

    std::unique_ptr<Volume> with_later_items() {
        auto volume = create();
        EXPECT_TRUE(world_.run(back_up(*volume, 1, "host1")));
        EXPECT_TRUE(world_.run(add_items(env_, storage_, *volume, owner_, items_)));
        return *open();
    }
    std::vector<Item> carried(Volume& volume) {
        const Tree forest{volume.reader(), volume.state().forest};
        auto all = *world_.run(forest.range(TreeKey{}, TreeKey::first(UINT64_MAX)));
        std::erase_if(all,
                      [&](const Item& item) { return std::find(items_.begin(), items_.end(), item) == items_.end(); });
        return all;
    }
};

TEST_F(LaterItems, TheRestIsListedAndASnapshotOfALaterFormatNamed) {
    const auto volume = with_later_items();
    EXPECT_EQ(hosts(*volume), (std::vector<std::string>{"host1"}));
    EXPECT_FALSE(volume->damage());
    EXPECT_EQ(volume->later_snapshots(), (std::vector<std::string>{"40dc1520aabbccdd"}));
}

TEST_F(LaterItems, ACommitKeepsThem) {
    const auto volume = with_later_items();
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "host2")));
    EXPECT_EQ(hosts(*volume), (std::vector<std::string>{"host1", "host2"}));
    EXPECT_EQ(carried(*volume), items_);
}

TEST_F(LaterItems, AListThatIsWrittenAgainFromItsSpareCopyKeepsThem) {
    const auto volume = with_later_items();
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "host2")));
    storage_.lose_block(volume->state().forest->id);
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh).size(), 2U);
    EXPECT_TRUE(fresh->damage()->complete);
    EXPECT_EQ(fresh->later_snapshots().size(), 1U);
    ASSERT_TRUE(world_.run(back_up(*fresh, 3, "host3")));
    EXPECT_EQ(carried(*fresh), items_);
    EXPECT_EQ(hosts(*fresh), (std::vector<std::string>{"host1", "host2", "host3"}));
    EXPECT_FALSE(fresh->damage());
}

TEST_F(LaterItems, AListThatIsWrittenAgainFromWhatIsLeftKeepsThem) {
    const auto volume = with_later_items();
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "host2")));
    storage_.lose_block(volume->state().forest->id);
    storage_.lose_block(volume->state().spare->id);
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh), (std::vector<std::string>{"host1"}));
    EXPECT_FALSE(fresh->damage()->complete);
    EXPECT_EQ(fresh->later_snapshots().size(), 1U);
    ASSERT_TRUE(world_.run(back_up(*fresh, 3, "host3")));
    EXPECT_EQ(carried(*fresh), items_);
    EXPECT_EQ(hosts(*fresh), (std::vector<std::string>{"host1", "host3"}));
}

TEST_F(VolumeTest, HoldersThatAreAwayAreNoDamage) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    const auto fresh = *open();
    storage_.fail_get = [](const auto&) { return std::optional<base::Error>{past::Errc::holders_unreachable}; };
    EXPECT_EQ(world_.run(fresh->snapshots()).error(), past::Errc::holders_unreachable);
    EXPECT_EQ(world_.run(back_up(*fresh, 2, "reef")).error(), past::Errc::holders_unreachable);
}

TEST_F(VolumeTest, AListThatTheDiskDoesNotGiveIsNotReplacedByWhatIsLeft) {
    const auto volume = create();
    for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(world_.run(back_up(*volume, i, "host" + std::to_string(i))));
    const auto root = volume->state().forest->id;
    const auto spare = volume->state().spare->id;
    std::set<base::Guid> unreadable{root};
    storage_.fail_get = [&](const base::Guid& id) -> std::optional<base::Error> {
        if (!unreadable.contains(id)) return {};
        return base::Error{base::Errc::io_failed, "this store cannot read 00000001.seg"};
    };
    const auto fresh = *open();
    EXPECT_EQ(hosts(*fresh).size(), 3U) << "the spare copy tells";
    unreadable.insert(spare);
    const auto later = *open();
    EXPECT_EQ(world_.run(later->snapshots()).error(), base::Errc::io_failed);
    EXPECT_EQ(world_.run(back_up(*later, 4, "host4")).error(), base::Errc::io_failed);
    unreadable.erase(root);
    storage_.lose_block(spare);
    EXPECT_EQ(hosts(**open()).size(), 3U);
}

TEST_F(VolumeTest, FewerCopiesThanWantedAreReported) {
    const auto volume = create();
    storage_.outcome = {.copies_wanted = 3, .copies_stored = 2};
    const auto done = world_.run(back_up(*volume, 1, "atoll"));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->copies.copies_wanted, 3U);
    EXPECT_EQ(done->copies.copies_stored, 2U);
}

TEST_F(VolumeTest, TheOwnersKeyAloneOpensItOnANewMachine) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    auto& elsewhere = world_.add_node();
    const auto fresh = make_disk_high_water(elsewhere.env(), "seen");
    const auto opened = world_.run(Volume::open(env_, storage_, *fresh, base::SigningKey{owner_.seed()}, "photos"));
    ASSERT_TRUE(opened);
    EXPECT_EQ(hosts(**opened).size(), 1U);
}

}  // namespace
}  // namespace objstore
