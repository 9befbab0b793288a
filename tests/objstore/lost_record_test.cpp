// A network of one that lost its newest record: the client's mark has it still.
#include "base/error.hpp"
#include "objstore/volume_fixture.hpp"

namespace objstore {
namespace {

using test::VolumeTest;

/// This node is the only holder of everything.
class LoneVolumeTest : public VolumeTest {
  protected:
    LoneVolumeTest() { storage_.alone = true; }
    [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_.texts; }
};

TEST_F(LoneVolumeTest, AnOlderStateIsReplacedByTheOneThatWasSeen) {
    const auto volume = create();
    const auto old = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "reef")));
    const auto newest = storage_.records().at(aguid_);
    storage_.replace_record(aguid_, old);
    const auto again = open();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(storage_.records().at(aguid_).body, newest.body);
    EXPECT_EQ(hosts(**again), (std::vector<std::string>{"atoll", "reef"}));
    EXPECT_EQ(warnings(), (std::vector<std::string>{"the store had lost the newest state of volume 'photos' (it had 1, "
                                                    "this machine has seen 3); it was written back"}));
    ASSERT_TRUE(world_.run(back_up(**again, 3, "lagoon")));
    EXPECT_EQ(hosts(**again).size(), 3U);
    EXPECT_EQ(storage_.records().at(aguid_).sequence, 4U);
    EXPECT_EQ(warnings().size(), 1U) << "told once";
}

TEST_F(LoneVolumeTest, SoIsNone) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    storage_.lose_record(aguid_);
    const auto again = open();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(hosts(**again), (std::vector<std::string>{"atoll"}));
    ASSERT_EQ(warnings().size(), 1U);
    EXPECT_NE(warnings().front().find("it had none"), std::string::npos);
    storage_.lose_record(aguid_);
    EXPECT_EQ(world_.run(Volume::create(env_, storage_, *marks_, owner_, "photos")).error(), base::Errc::exists);
}

TEST_F(LoneVolumeTest, SoIsOneThatDoesNotVerify) {
    const auto volume = create();
    auto record = storage_.records().at(aguid_);
    record.body[100] ^= 1U;
    storage_.replace_record(aguid_, record);
    const auto again = open();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ((*again)->state().body_hash, volume->state().body_hash);
    ASSERT_EQ(warnings().size(), 1U);
    EXPECT_NE(warnings().front().find("it had a damaged one"), std::string::npos);
}

TEST_F(LoneVolumeTest, ARecordThatIsLostWhileAVolumeIsOpenIsGivenBackToo) {
    const auto volume = create();
    const auto old = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    const auto session = *world_.run(volume->begin());
    const auto root = world_.run(write_tree(*session, 2));
    storage_.replace_record(aguid_, old);
    const auto done = world_.run(volume->commit(*session, snapshot_of(*root, 2, "reef")));
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->state.sequence, 3U);
    EXPECT_EQ(hosts(*volume), (std::vector<std::string>{"atoll", "reef"}));
}

TEST_F(LoneVolumeTest, AForkStaysStale) {
    const auto volume = create();
    const auto parent = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    storage_.replace_record(aguid_, parent);
    const auto naive = make_disk_high_water(env_, "elsewhere");
    const auto fork = *world_.run(Volume::open(env_, storage_, *naive, owner_, "photos"));
    ASSERT_TRUE(world_.run(back_up(*fork, 2, "reef")));
    EXPECT_EQ(world_.run(volume->refresh()).error(), Errc::stale);
    EXPECT_EQ(open().error(), Errc::stale);
    EXPECT_EQ(hosts(*fork), (std::vector<std::string>{"reef"})) << "what it wrote was left alone";
    EXPECT_TRUE(warnings().empty());
}

TEST_F(LoneVolumeTest, OfTwoClientsTheOneThatSawMoreGivesItBack) {
    const auto volume = create();
    const auto first = storage_.records().at(aguid_);
    const auto other_marks = make_disk_high_water(env_, "elsewhere");
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    ASSERT_TRUE(world_.run(Volume::open(env_, storage_, *other_marks, owner_, "photos")));
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "reef")));
    storage_.replace_record(aguid_, first);
    const auto other = *world_.run(Volume::open(env_, storage_, *other_marks, owner_, "photos"));
    EXPECT_EQ(other->state().sequence, 2U) << "all that this one has seen";
    EXPECT_EQ(hosts(**open()), (std::vector<std::string>{"atoll", "reef"}));
    EXPECT_EQ(warnings().size(), 2U);
}

TEST_F(LoneVolumeTest, WhoComesSecondToGiveItBackReadsWhatIsThereByThen) {
    const auto volume = create();
    const auto old = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    const auto newest = storage_.records().at(aguid_);
    storage_.replace_record(aguid_, old);
    storage_.fail_restore_record = [&](const auto&) {
        storage_.replace_record(aguid_, newest);  // somebody else did, and perhaps went on from it
        return std::optional<base::Error>{past::Errc::conflict};
    };
    const auto again = open();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(hosts(**again).size(), 1U);
    EXPECT_TRUE(warnings().empty()) << "it was not we";
}

TEST_F(LoneVolumeTest, AStoreThatCannotTakeItBackIsToldAsWhatItIs) {
    create();
    storage_.lose_record(aguid_);
    storage_.fail_restore_record = [](const auto&) { return std::optional<base::Error>{past::Errc::no_space}; };
    EXPECT_EQ(open().error(), past::Errc::no_space);
    // The daemon may be of a version before there was such a call.
    storage_.fail_restore_record = [](const auto&) { return std::optional<base::Error>{base::Errc::unsupported}; };
    EXPECT_EQ(open().error(), Errc::stale);
    EXPECT_TRUE(warnings().empty());
}

TEST_F(LoneVolumeTest, AnotherStoreIsNotToldTheHistoryOfThisOne) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    support::MemoryStorage other{env_.executor, verify_heartbeat};
    other.alone = true;
    EXPECT_EQ(world_.run(Volume::open(env_, other, *marks_, owner_, "photos")).error(), Errc::stale);
    EXPECT_TRUE(other.records().empty());
}

TEST_F(LoneVolumeTest, AnyRootThatIsLeftShowsThatItIsTheStore) {
    const auto volume = create();
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    ASSERT_TRUE(world_.run(back_up(*volume, 2, "reef")));
    storage_.lose_record(aguid_);
    storage_.lose_block(volume->state().forest->id);
    storage_.lose_block(volume->state().spare->id);
    const auto again = open();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(hosts(**again), (std::vector<std::string>{"atoll"})) << "of the state before";
    EXPECT_FALSE((*again)->damage()->complete);
}

TEST_F(LoneVolumeTest, AMarkOfFormat1CannotHelpAndTheErrorNamesIt) {
    const auto volume = create();
    storage_.lose_record(aguid_);
    const Mark bare{.sequence = 1, .body_hash = volume->state().body_hash, .record = {}};
    ASSERT_TRUE(base::replace_file(env_.disk, marks_->where(aguid_), bare.encode(aguid_)));
    const auto refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), Errc::stale);
    EXPECT_NE(refused.error().message().find(marks_->where(aguid_)), std::string::npos);
}

TEST_F(LoneVolumeTest, AMarkOfFormat1LearnsTheRecordWhenTheStateIsSeenAgain) {
    const auto volume = create();
    const Mark bare{.sequence = 1, .body_hash = volume->state().body_hash, .record = {}};
    ASSERT_TRUE(base::replace_file(env_.disk, marks_->where(aguid_), bare.encode(aguid_)));
    ASSERT_TRUE(open());
    storage_.lose_record(aguid_);
    EXPECT_TRUE(open());
}

TEST_F(LoneVolumeTest, AMarkWhoseRecordIsOfAnotherStateGivesNothingBack) {
    const auto volume = create();
    const auto first = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    Mark mark{.sequence = 2, .body_hash = volume->state().body_hash, .record = first.body};
    ASSERT_TRUE(base::replace_file(env_.disk, marks_->where(aguid_), mark.encode(aguid_)));
    storage_.lose_record(aguid_);
    EXPECT_EQ(open().error(), Errc::stale);
    EXPECT_FALSE(storage_.records().contains(aguid_));
}

}  // namespace
}  // namespace objstore
