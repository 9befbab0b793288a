// What a device does to the state of a lone store: whatever is lost of it, the next command goes on, and every snapshot
// that was acknowledged is listed and comes back.
#include <gtest/gtest.h>

#include "lone_stack.hpp"

namespace objstore::archive::test {
namespace {

class LoneStoreDamage : public testing::Test {
  protected:
    LoneStoreDamage() {
        node_.run(back_up_twice(node_.env(), story_));
        EXPECT_EQ(story_->kept.size(), 2U);
        for (const auto& path : disk().files()) before_[path] = *disk().contents(path);
    }

    sim::Disk& disk() { return node_.disk(); }
    std::vector<std::string> state_files() {
        auto files = disk().files();
        std::erase_if(files, [](const auto& path) { return path.find("/state/") == path.npos; });
        return files;
    }
    std::string newest_log() {
        std::string newest;
        for (const auto& path : state_files()) {
            if (path.ends_with(".log")) newest = path;
        }
        return newest;
    }
    /// The last record of a log: from its magic to its last byte that is not padding.
    static std::pair<std::size_t, std::size_t> last_record(const base::Bytes& log) {
        std::size_t end = log.size();
        while (end > 0 && log[end - 1] == 0) --end;
        const std::string_view text = base::as_text(base::ByteView{log}.first(end));
        return {text.rfind("OPS1"), end};
    }
    /// As it was before the damage, whatever was made of it since.
    void mend() {
        for (const auto& path : disk().files()) {
            const auto known = before_.find(path);
            if (known != before_.end() && disk().contents(path) == known->second) continue;
            disk().erase(path);
        }
        for (const auto& [path, bytes] : before_) {
            if (disk().contents(path)) continue;
            auto file = disk().open(path, base::Disk::Mode::create);
            ASSERT_TRUE(file && (*file)->write_at(0, bytes));
        }
    }
    /// "" if a command opens the volume and lists all that was acknowledged.
    static Task<std::string> list_all(NodeEnv env, std::shared_ptr<Story> story, std::size_t* given_back) {
        const auto opened = co_await Stack::open(env);
        if (!opened) co_return "does not open: " + opened.error().message();
        auto* const stack = opened->get();
        *given_back = stack->storage->given_back;
        const auto listed = co_await stack->volume->snapshots();
        if (!listed) co_return "no list: " + listed.error().message();
        if (stack->volume->damage()) co_return "the list is damaged";
        std::size_t found = 0;
        for (const auto& kept : story->kept) {
            const auto is_it = [&](const Snapshot& snapshot) { return snapshot.id() == kept.snapshot; };
            if (std::any_of(listed->begin(), listed->end(), is_it)) ++found;
        }
        co_await Stack::close(stack);
        co_return found == story->kept.size() ? "" : "an acknowledged snapshot is not listed";
    }
    std::string list(std::size_t* given_back) { return *node_.run(list_all(node_.env(), story_, given_back)); }
    /// The same; then everything is restored, and backed up twice again.
    std::string go_on() {
        const auto kept = story_->kept;
        auto wrong = *node_.run(check_and_go_on(node_.env(), story_, false));
        story_->kept = kept;
        return wrong;
    }

    sim::World world_{1};
    sim::Node& node_ = world_.add_node();
    std::shared_ptr<Story> story_ = std::make_shared<Story>();
    std::map<std::string, base::Bytes> before_;
};

TEST_F(LoneStoreDamage, AnyByteOfTheLastRecordMayFlip) {
    const auto log = newest_log();
    const auto [begin, end] = last_record(before_.at(log));
    ASSERT_GT(end - begin, 500U) << "the last record is that of the volume";
    for (auto at = begin; at < end; ++at) {
        disk().flip_bit(log, at, static_cast<unsigned>(at % 8));
        std::size_t given_back = 0;
        EXPECT_EQ(list(&given_back), "") << "byte " << at - begin;
        EXPECT_EQ(given_back, 1U) << "byte " << at - begin << " was no loss";
        EXPECT_EQ(list(&given_back), "");
        EXPECT_EQ(given_back, 0U) << "it had not been written back";
        mend();
    }
    RecordProperty("bytes", static_cast<int>(end - begin));
}

TEST_F(LoneStoreDamage, AnyByteOfTheStateMayFlip) {
    for (const auto& path : state_files()) {
        const auto size = last_record(before_.at(path)).second;
        for (std::size_t at = 0; at < size; at += 3) {
            disk().flip_bit(path, at, static_cast<unsigned>(at % 8));
            std::size_t given_back = 0;
            EXPECT_EQ(list(&given_back), "") << path << " byte " << at;
            mend();
        }
    }
}

TEST_F(LoneStoreDamage, BackupsGoOnAndEverythingComesBackAfterAFlippedByte) {
    const auto log = newest_log();
    const auto [begin, end] = last_record(before_.at(log));
    for (auto at = begin; at < end; at += 67) {
        disk().flip_bit(log, at, 3);
        EXPECT_EQ(go_on(), "") << "byte " << at - begin;
        mend();
    }
}

TEST_F(LoneStoreDamage, AnyFileOfTheStateMayBeLostCutOrEmptied) {
    for (const auto& path : state_files()) {
        disk().erase(path);
        EXPECT_EQ(go_on(), "") << path << " is gone";
        mend();
        disk().cut(path, 0);
        EXPECT_EQ(go_on(), "") << path << " is empty";
        mend();
        disk().cut(path, before_.at(path).size() / 3);
        EXPECT_EQ(go_on(), "") << path << " is cut";
        mend();
        disk().zero_page(path, 0);
        EXPECT_EQ(go_on(), "") << path << " begins with zeros";
        mend();
    }
}

TEST_F(LoneStoreDamage, AllOfTheStateMayBeLost) {
    for (const auto& path : state_files()) disk().erase(path);
    EXPECT_EQ(go_on(), "");
}

// What the tests above would say if the mark did not help.
TEST_F(LoneStoreDamage, WithoutTheRecordInTheMarkItIsFoundOut) {
    const auto aguid = VolumeKeys::of_owner(owner_key(), "archive").aguid;
    const auto marks = make_disk_high_water(node_.env(), "client/marks");
    auto mark = ***node_.run(marks->load(aguid));
    mark.record.clear();
    ASSERT_TRUE(base::replace_file(disk(), marks->where(aguid), mark.encode(aguid)));
    const auto log = newest_log();
    disk().flip_bit(log, last_record(before_.at(log)).second - 1, 3);
    std::size_t given_back = 0;
    const auto wrong = list(&given_back);
    EXPECT_NE(wrong.find("older state"), std::string::npos) << wrong;
    EXPECT_EQ(given_back, 0U);
}

}  // namespace
}  // namespace objstore::archive::test
