// A volume most of whose record's holders are gone: it is read as the others show it, and not written.
#include "base/error.hpp"
#include "objstore/volume_fixture.hpp"

namespace objstore {
namespace {

class UnconfirmedTest : public test::VolumeTest {
  protected:
    base::Result<std::unique_ptr<Volume>> look(HighWater& marks) {
        VolumeConfig config;
        config.take_unconfirmed = true;
        return world_.run(Volume::open(env_, storage_, marks, owner_, "photos", config));
    }
    base::Result<std::unique_ptr<Volume>> look() { return look(*marks_); }
};

TEST_F(UnconfirmedTest, WhoOnlyReadsIsShownWhatIsLeftAndToldSo) {
    ASSERT_TRUE(world_.run(back_up(*create(), 1, "atoll")));
    storage_.holders_up = 2;
    EXPECT_EQ(open().error(), past::Errc::holders_unreachable) << "not unless it is asked for";
    const auto volume = look();
    ASSERT_TRUE(volume) << volume.error().message();
    ASSERT_TRUE((*volume)->unconfirmed());
    EXPECT_EQ((*volume)->unconfirmed()->answered, 2U);
    EXPECT_EQ((*volume)->unconfirmed()->holders, 5U);
    EXPECT_EQ(hosts(**volume), (std::vector<std::string>{"atoll"}));
    storage_.holders_up = 3;
    ASSERT_TRUE(world_.run((*volume)->refresh()));
    EXPECT_FALSE((*volume)->unconfirmed());
}

TEST_F(UnconfirmedTest, WhereAMajorityAnswersItIsAskedAlone) {
    ASSERT_TRUE(world_.run(back_up(*create(), 1, "atoll")));
    storage_.holders_up = 3;
    const auto volume = look();
    ASSERT_TRUE(volume);
    EXPECT_FALSE((*volume)->unconfirmed());
}

TEST_F(UnconfirmedTest, NothingIsBuiltOnIt) {
    ASSERT_TRUE(world_.run(back_up(*create(), 1, "atoll")));
    const auto volume = *look();
    const auto session = *world_.run(volume->begin());
    const auto root = world_.run(write_tree(*session, 2));
    storage_.holders_up = 2;
    ASSERT_TRUE(world_.run(volume->refresh()));
    ASSERT_TRUE(volume->unconfirmed());
    EXPECT_EQ(world_.run(volume->begin()).error(), past::Errc::holders_unreachable);
    EXPECT_EQ(world_.run(volume->commit(*session, snapshot_of(*root, 2, "reef"))).error(),
              past::Errc::holders_unreachable);
    storage_.holders_up = 5;
    EXPECT_EQ(storage_.records().at(aguid_).sequence, 2U);
    ASSERT_TRUE(world_.run(volume->commit(*session, snapshot_of(*root, 2, "reef"))));
    EXPECT_EQ(hosts(*volume), (std::vector<std::string>{"atoll", "reef"}));
}

TEST_F(UnconfirmedTest, WhatIsOlderThanThisClientHasSeenIsRefused) {
    const auto volume = create();
    const auto old = storage_.records().at(aguid_);
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    storage_.replace_record(aguid_, old);
    storage_.holders_up = 1;
    EXPECT_EQ(look().error(), Errc::stale);
    const auto new_machine = make_disk_high_water(env_, "elsewhere");
    const auto shown = look(*new_machine);
    ASSERT_TRUE(shown) << "who has seen nothing gets the older list";
    EXPECT_TRUE(hosts(**shown).empty());
}

TEST_F(UnconfirmedTest, ItRaisesNoMark) {
    const auto volume = create();
    const auto agreed = storage_.records().at(aguid_);
    const auto reader = make_disk_high_water(env_, "elsewhere");
    ASSERT_TRUE(look(*reader));
    ASSERT_TRUE(world_.run(back_up(*volume, 1, "atoll")));
    storage_.holders_up = 1;
    ASSERT_EQ((*look(*reader))->state().sequence, 2U);
    storage_.holders_up = 5;
    storage_.replace_record(aguid_, agreed);  // that write was broken off, and the register went on without it
    const auto later = look(*reader);
    ASSERT_TRUE(later) << later.error().message();
    EXPECT_EQ((*later)->state().sequence, 1U);
}

TEST_F(UnconfirmedTest, ThatThereIsNoVolumeIsNotSaid) {
    storage_.holders_up = 2;
    EXPECT_EQ(look().error(), past::Errc::holders_unreachable);
    storage_.holders_up = 5;
    EXPECT_EQ(look().error(), Errc::no_such_volume);
}

}  // namespace
}  // namespace objstore
