// A block that is lost while a mount goes over to another's commit: the mount goes on, and nothing wrong is shown.
#include <map>
#include <set>

#include "live/mounts.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

using test::LiveTest;
using namespace std::chrono_literals;

class Told final : public LiveListener {
  public:
    void on_inode_changed(InodeNumber inode) override { inodes.insert(inode); }
    void on_entry_changed(InodeNumber directory, const std::string& name) override { entries.emplace(directory, name); }
    std::set<InodeNumber> inodes;
    std::set<std::pair<InodeNumber, std::string>> entries;
};

class Damage : public LiveTest {
  protected:
    static std::string name(unsigned i) { return "file" + std::to_string(i); }

    void SetUp() override {
        one_ = mount();
        for (unsigned i = 0; i < kFiles; ++i) {
            texts_[name(i)] = "text " + std::to_string(i);
            file(one_, kRootInode, name(i), texts_[name(i)]);
        }
        commit(one_);
    }
    void change(const Mount& on, const std::string& name, const std::string& text) {
        const auto number = find(on, kRootInode, name);
        run(on->resize(number, 0));
        write(on, number, 0, text);
        texts_[name] = text;
    }
    /// What others do: here and there in the tree.
    void one_changes(unsigned round) {
        refresh(one_);
        for (unsigned i = round % 50; i < kFiles; i += 400) change(one_, name(i), "round " + std::to_string(round));
        const auto gone = name(kFiles - 1 - round);
        run(one_->unlink(kRootInode, gone));
        texts_.erase(gone);
        removed_ = gone;
        commit(one_);
    }
    /// Of what is asked for from now on the block that comes as `which` is lost.
    void lose(std::size_t which) {
        asked_.clear();
        lost_.reset();
        storage_.fail_get = [this, which](const base::Guid& id) -> std::optional<base::Error> {
            const bool is_new = std::find(asked_.begin(), asked_.end(), id) == asked_.end();
            if (is_new) asked_.push_back(id);
            if (is_new && asked_.size() == which + 1) lost_ = id;
            if (lost_ == id) return base::Error{past::Errc::block_not_found};
            return std::nullopt;
        };
    }
    static bool is_damage(const base::Error& error) { return error == Errc::damaged; }

    /// Nothing is shown but what is right, or was (`old`), or the error.
    void look_at(const Mount& on, const std::map<std::string, std::string>* old) {
        for (const auto& [name, text] : texts_) {
            std::string wanted = name;
            const auto found = world_.run(on->lookup(kRootInode, std::move(wanted)));
            ASSERT_TRUE(found || is_damage(found.error())) << name << ": " << found.error().message();
            if (!found) continue;
            const auto pieces = world_.run(on->read(found->inode, 0, 1000));
            ASSERT_TRUE(pieces || is_damage(pieces.error())) << name << ": " << pieces.error().message();
            if (!pieces) continue;
            std::string is;
            for (const auto& piece : *pieces) is += std::string{base::as_text(piece.bytes)};
            const bool was = old != nullptr && old->contains(name) && old->at(name) == is;
            ASSERT_TRUE(is == text || was) << name << ": " << is;
            ++right_;
        }
    }

    static constexpr unsigned kFiles = 1'200;
    Mount one_;
    std::map<std::string, std::string> texts_;
    std::string removed_;
    std::vector<base::Guid> asked_;
    std::optional<base::Guid> lost_;
    std::size_t right_ = 0;
};

TEST_F(Damage, AMountThatCannotTellWhatAnotherChangedBelievesNothingThatItKnew) {
    std::size_t went_over = 0;
    bool met = true;  // what was lost
    unsigned round = 0;
    for (; met && round < 40; ++round) {
        SCOPED_TRACE(round);
        const auto two = mount();
        Told told;
        two->set_listener(&told);
        const auto changes = round % 50;
        const auto held = find(two, kRootInode, name(changes));
        const auto removed = find(two, kRootInode, name(kFiles - 1 - round));
        two->pin(held);
        const auto old = texts_;
        one_changes(round);
        warnings_.texts.clear();
        lose(round);
        const auto done = world_.run(two->refresh());
        met = lost_.has_value();
        EXPECT_TRUE(done || is_damage(done.error())) << done.error().message();
        look_at(two, done ? nullptr : &old);
        if (done) {
            const auto is = world_.run(two->get(removed));
            EXPECT_FALSE(is) << "it was removed";
            EXPECT_TRUE(told.inodes.contains(held));
        }
        if (done && met) {
            ++went_over;
            EXPECT_EQ(warnings_.texts.size(), 1U);
        }
        const auto made = world_.run(two->create(kRootInode, "new", NewInode{}));
        EXPECT_TRUE(made || is_damage(made.error())) << made.error().message();
        two->set_listener(nullptr);
        storage_.fail_get = nullptr;
    }
    EXPECT_FALSE(met) << "every block of the way was lost once";
    EXPECT_GE(went_over, 4U);
    EXPECT_GE(right_, (round - 4) * kFiles / 2);
}

TEST_F(Damage, AMountThatMeetsItInAMergeGoesOnAndLosesNothingOfItsOwn) {
    std::size_t stored = 0;
    bool met = true;
    for (unsigned round = 0; met && round < 80; ++round) {
        SCOPED_TRACE(round);
        const auto two = mount();
        const auto mine = "mine" + std::to_string(round);
        const auto theirs = name(round % 50 + 400);
        const auto text = "written by two in round " + std::to_string(round);
        file(two, kRootInode, mine, text);
        const auto edited = find(two, kRootInode, name(77));
        run(two->resize(edited, 0));
        write(two, edited, 0, text);
        write(two, find(two, kRootInode, theirs), 0, text);
        one_changes(round);
        lose(round);
        for (int tries = 0; tries < 3 && !world_.run(two->commit()); ++tries) {
        }
        met = lost_.has_value();
        // It is not held up, whatever it lost.
        const auto began = world_.elapsed();
        const auto made = world_.run(two->create(kRootInode, "more" + mine, NewInode{}));
        EXPECT_TRUE(made || is_damage(made.error())) << made.error().message();
        EXPECT_LT(world_.elapsed() - began, 10s);
        if (two->statistics().dirty_inodes == (made ? 2U : 0U)) ++stored;
        storage_.fail_get = nullptr;
        commit(two);
        const auto three = mount();
        EXPECT_EQ(LiveTest::text(three, kRootInode, mine), text);
        EXPECT_EQ(LiveTest::text(three, kRootInode, name(77)), text);
        EXPECT_EQ(LiveTest::text(three, kRootInode, theirs), text);
        texts_[mine] = texts_[name(77)] = texts_[theirs] = text;
        look_at(three, nullptr);
        const auto conflicts = run(three->conflicts());
        const bool kept = std::any_of(conflicts.begin(), conflicts.end(), [&](const ListedConflict& listed) {
            return listed.conflict.name == theirs && listed.conflict.kind == ConflictKind::content;
        });
        EXPECT_TRUE(kept) << "what the other wrote";
    }
    EXPECT_FALSE(met) << "every block of the way was lost once";
    EXPECT_GE(stored, 4U);
}

}  // namespace
}  // namespace objstore
