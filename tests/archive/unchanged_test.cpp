// What the next backup takes for unchanged, and reads no more.
#include <gtest/gtest.h>

#include "archive_world.hpp"

namespace objstore::archive::test {
namespace {

TEST(Unchanged, AFileOfTheSameSizeAndTimeIsReadAgainIfItsChangeTimeMoved) {
    ArchiveWorld world;
    world.tree.write("/src/a", "one");
    world.tree.write("/src/b", "one");
    world.backup();
    const auto before = world.tree.stat("/src/a").mtime;
    world.tree.write("/src/a", "two");
    world.tree.set_mtime("/src/a", before);
    const auto report = world.backup();
    EXPECT_EQ(report.files.changed, 1U);
    EXPECT_EQ(report.files.unchanged, 1U);
    world.restore(*report.snapshot);
    const auto restored = world.tree.read("/restored/src/a");
    EXPECT_EQ(base::as_text(restored), "two");
}

}  // namespace
}  // namespace objstore::archive::test
