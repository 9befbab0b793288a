// What a client has seen of a volume, kept on its disk.
#include "objstore/high_water.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/sim/world.hpp"
#include "objstore/heartbeat.hpp"

namespace objstore {
namespace {

// The mark is what keeps a client from stepping back: it must survive the power going off right after it was raised.
TEST(HighWater, AMarkThatWasRaisedSurvivesAPowerCut) {
    base::sim::World world{1};
    auto& node = world.add_node();
    const auto aguid = base::sha256(base::as_bytes("volume"));
    for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) {
        const Mark mark{.sequence = sequence,
                        .body_hash = base::sha256(base::as_bytes(std::to_string(sequence))),
                        .record = base::Bytes(sequence * 500, std::uint8_t{7})};
        {
            const auto marks = make_disk_high_water(node.env(), "state/seen");
            const auto raised = node.run(marks->raise(aguid, mark));
            ASSERT_TRUE(raised && *raised);
        }
        node.power_off();
        node.restart();
        const auto marks = make_disk_high_water(node.env(), "state/seen");
        const auto loaded = node.run(marks->load(aguid));
        ASSERT_TRUE(loaded && *loaded && **loaded);
        EXPECT_EQ(***loaded, mark);
    }
}

TEST(HighWater, NeverGoesDown) {
    base::sim::World world{1};
    const auto marks = make_disk_high_water(world.env(), "seen");
    const auto aguid = base::sha256(base::as_bytes("volume"));
    const Mark high{.sequence = 9, .body_hash = aguid, .record = base::to_bytes("record")};
    ASSERT_TRUE(world.run(marks->raise(aguid, high)));
    ASSERT_TRUE(world.run(marks->raise(aguid, Mark{.sequence = 4, .body_hash = {}, .record = {}})));
    ASSERT_TRUE(world.run(marks->raise(aguid, Mark{.sequence = 9, .body_hash = aguid, .record = {}})));
    EXPECT_EQ(**world.run(marks->load(aguid)), high);
}

TEST(HighWater, TakesTheRecordOfAStateItKnewByItsHashAlone) {
    base::sim::World world{1};
    const auto marks = make_disk_high_water(world.env(), "seen");
    const auto aguid = base::sha256(base::as_bytes("volume"));
    const Mark bare{.sequence = 9, .body_hash = aguid, .record = {}};
    ASSERT_TRUE(world.run(marks->raise(aguid, bare)));
    const Mark fork{.sequence = 9, .body_hash = {}, .record = base::to_bytes("of another state")};
    ASSERT_TRUE(world.run(marks->raise(aguid, fork)));
    EXPECT_EQ(**world.run(marks->load(aguid)), bare);
    const Mark whole{.sequence = 9, .body_hash = aguid, .record = base::to_bytes("record")};
    ASSERT_TRUE(world.run(marks->raise(aguid, whole)));
    EXPECT_EQ(**world.run(marks->load(aguid)), whole);
}

TEST(HighWater, AnyChangedByteOfAMarkIsFoundAndNoneIsTakenForNothing) {
    base::sim::World world{1};
    const auto marks = make_disk_high_water(world.env(), "seen");
    const auto aguid = base::sha256(base::as_bytes("volume"));
    const Mark mark{.sequence = 9, .body_hash = aguid, .record = base::Bytes(300, std::uint8_t{1})};
    ASSERT_TRUE(world.run(marks->raise(aguid, mark)));
    const auto good = mark.encode(aguid);
    for (std::size_t at = 0; at < good.size(); ++at) {
        auto changed = good;
        changed[at] ^= 0x20U;
        ASSERT_TRUE(base::replace_file(world.env().disk, marks->where(aguid), changed));
        const auto loaded = world.run(marks->load(aguid));
        ASSERT_FALSE(loaded) << at;
        EXPECT_EQ(loaded.error(), base::Errc::corrupt);
        EXPECT_FALSE(Mark::decode(aguid, base::ByteView{good}.first(at)));
    }
}

TEST(Mark, IsOfOneVolumeAndOfAKnownVersion) {
    const auto aguid = base::sha256(base::as_bytes("volume"));
    const Mark bare{.sequence = 12, .body_hash = base::sha256(base::as_bytes("body")), .record = {}};
    Mark whole = bare;
    whole.record = base::to_bytes("record");
    for (const auto& mark : {bare, whole}) {
        const auto bytes = mark.encode(aguid);
        EXPECT_EQ(*Mark::decode(aguid, bytes), mark);
        EXPECT_EQ(Mark::decode(base::sha256(base::as_bytes("other")), bytes).error(), base::Errc::bad_format);
        base::Writer later;
        later.raw(base::ByteView{bytes}.first(4)).u8(3).text("whatever it will hold");
        later.u32(base::crc32c(later.view()));
        EXPECT_EQ(Mark::decode(aguid, later.view()).error(), base::Errc::unsupported);
    }
}

TEST(Mark, HoldsNoMoreThanAHeartbeat) {
    const auto aguid = base::sha256(base::as_bytes("volume"));
    Mark mark{.sequence = 9, .body_hash = aguid, .record = base::Bytes(kMaxHeartbeatBytes)};
    EXPECT_TRUE(Mark::decode(aguid, mark.encode(aguid)));
    mark.record.push_back(0);
    EXPECT_FALSE(Mark::decode(aguid, mark.encode(aguid)));
}

}  // namespace
}  // namespace objstore
