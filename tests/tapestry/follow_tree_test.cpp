// A place in a tree of followers: whom one may be below, and that no order of events makes a circle.
#include "followers/follow_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/sim/world.hpp"

namespace tapestry {
namespace {

using namespace std::chrono_literals;

base::NodeId node(std::string_view digits) { return *base::Guid::from_prefix(digits); }
base::Address address(std::string_view digits) { return {node(digits), "host:1"}; }
base::TimePoint at(base::Duration since_start) { return base::TimePoint{} + since_start; }

Standing standing_at(const Rank& rank, std::vector<base::NodeId> path = {}) {
    return {.rank = rank, .path = std::move(path), .delay = 10ms};
}

class Tree : public ::testing::Test {
  protected:
    FollowTree tree{node("5"), {.children = 2, .silence = 12s}};
    void attach(std::string_view parent, const Rank& rank) {
        tree.hang_below(at(0s), address(parent), standing_at(rank), 20ms);
    }
};

TEST(Rank, RoundsCountFirstThenTopsThenTheFewerSteps) {
    EXPECT_GT((Rank{2, node("1"), 9}), (Rank{1, node("2"), 0}));
    EXPECT_GT((Rank{1, node("2"), 9}), (Rank{1, node("1"), 0}));
    EXPECT_GT((Rank{1, node("1"), 1}), (Rank{1, node("1"), 2}));
    EXPECT_LT((Rank{}), (Rank{1, node("0"), 64}));
}

TEST_F(Tree, ANewcomerMayHangBelowAnybodyWhoHasAPlace) {
    EXPECT_TRUE(tree.may_hang_below(node("7"), standing_at({1, node("7"), 0})));
    EXPECT_FALSE(tree.may_hang_below(node("7"), standing_at({})));
}

TEST_F(Tree, RanksAreTakenOverOneDeeper) {
    attach("7", {4, node("8"), 1});
    EXPECT_EQ(tree.rank(), (Rank{4, node("8"), 2}));
    EXPECT_EQ(tree.delay(), 20ms);
    EXPECT_EQ(tree.hear(at(5s), node("7"), standing_at({5, node("8"), 1})), FollowTree::Heard::changed);
    EXPECT_EQ(tree.rank(), (Rank{5, node("8"), 2}));
}

TEST_F(Tree, OfAWayUpThatIsLongerThanAnyNoMoreIsSaidThanIsUnderstood) {
    attach("7", {4, node("8"), 1});
    auto standing = standing_at({5, node("8"), 1});
    standing.delay = 1h;  // the most that is understood
    (void)tree.hear(at(5s), node("7"), standing);
    EXPECT_EQ(tree.delay(), 1h);
}

TEST_F(Tree, NobodyHangsBelowAnEqual) {
    attach("7", {4, node("8"), 1});
    EXPECT_FALSE(tree.may_hang_below(node("6"), standing_at({4, node("8"), 2})));
    EXPECT_TRUE(tree.may_hang_below(node("6"), standing_at({5, node("8"), 2}))) << "but it may in the next round";
    EXPECT_TRUE(tree.eligible(node("6"), standing_at({4, node("8"), 2})));
}

TEST_F(Tree, WhileHeldTheRankStaysSoThatOthersComeToRankHigher) {
    attach("7", {4, node("8"), 1});
    tree.hold();
    EXPECT_EQ(tree.hear(at(5s), node("7"), standing_at({5, node("8"), 1})), FollowTree::Heard::same);
    EXPECT_EQ(tree.rank(), (Rank{4, node("8"), 2}));
    EXPECT_TRUE(tree.may_hang_below(node("6"), standing_at({5, node("8"), 3})));
    EXPECT_TRUE(tree.let_go());
    EXPECT_EQ(tree.rank(), (Rank{5, node("8"), 2}));
}

TEST_F(Tree, WhoHangsBelowUsIsNoParent) {
    tree.become_top();
    EXPECT_FALSE(tree.take_child(address("6"), 0, 0));
    EXPECT_FALSE(tree.eligible(node("6"), standing_at({9, node("6"), 0}))) << "a child";
    EXPECT_FALSE(tree.eligible(node("7"), standing_at({9, node("9"), 3}, {node("6"), node("5"), node("9")})));
    EXPECT_FALSE(tree.eligible(node("5"), standing_at({9, node("9"), 0}))) << "ourselves";
}

TEST_F(Tree, AParentThatHangsBelowUsIsNoneAnyMore) {
    attach("7", {4, node("8"), 1});
    EXPECT_EQ(tree.hear(at(5s), node("7"), standing_at({5, node("8"), 1}, {node("5"), node("8")})),
              FollowTree::Heard::fallen);
    EXPECT_EQ(tree.hear(at(5s), node("7"), standing_at({1, node("7"), 0})), FollowTree::Heard::outdated);
    EXPECT_EQ(tree.silent_at(), at(12s)) << "nor does that count as heard";
    EXPECT_EQ(tree.hear(at(5s), node("6"), standing_at({9, node("8"), 1})), FollowTree::Heard::stranger);
}

TEST_F(Tree, AParentOfWhichNothingWasHeardIsSilent) {
    attach("7", {4, node("8"), 1});
    EXPECT_EQ(tree.silent_at(), at(12s));
    EXPECT_EQ(tree.hear(at(5s), node("7"), standing_at({5, node("8"), 1})), FollowTree::Heard::changed);
    EXPECT_EQ(tree.silent_at(), at(17s));
}

TEST_F(Tree, WithoutAPlaceNobodyIsTaken) {
    EXPECT_EQ(tree.judge(node("6"), {}, 0), Verdict::unplaced);
    tree.become_top();
    EXPECT_EQ(tree.judge(node("6"), {}, 0), Verdict::welcome);
    EXPECT_EQ(tree.judge(node("6"), {1, node("9"), 0}, 0), Verdict::not_higher);
}

TEST_F(Tree, WhoIsAboveUsIsNotTaken) {
    tree.hang_below(at(0s), address("7"), standing_at({4, node("8"), 1}, {node("8")}), 20ms);
    EXPECT_EQ(tree.judge(node("8"), {}, 0), Verdict::below) << "it began anew and does not know";
    EXPECT_EQ(tree.judge(node("7"), {}, 0), Verdict::below);
}

TEST_F(Tree, ALeafGivesWayToAForkButAForkDoesNot) {
    tree.become_top();
    EXPECT_FALSE(tree.take_child(address("1"), 0, 0));
    EXPECT_FALSE(tree.take_child(address("2"), 0, 0));
    EXPECT_EQ(tree.judge(node("3"), {}, 0), Verdict::full);
    EXPECT_EQ(tree.judge(node("1"), {}, 0), Verdict::welcome) << "it is there already";
    EXPECT_EQ(tree.judge(node("3"), {}, 1), Verdict::welcome);
    tree.child(node("1"))->rtt = 10ms;
    tree.child(node("2"))->rtt = 5ms;
    EXPECT_TRUE(tree.take_child(address("3"), 0, 1));
    EXPECT_TRUE(tree.child(node("2"))->evicted) << "the nearest";
    EXPECT_EQ(tree.room(), 0U);
    EXPECT_TRUE(tree.take_child(address("4"), 0, 1));
    EXPECT_TRUE(tree.child(node("1"))->evicted);
    EXPECT_EQ(tree.judge(node("6"), {}, 1), Verdict::full) << "only forks are left";
}

TEST_F(Tree, WhoWasEvictedAndAttachesHereAgainIsStillEvicted) {
    tree.become_top();
    tree.take_child(address("1"), 0, 0);
    tree.take_child(address("2"), 0, 0);
    ASSERT_TRUE(tree.take_child(address("3"), 0, 1));
    const auto* const leaf = tree.child(node("1"))->evicted ? "1" : "2";
    EXPECT_FALSE(tree.take_child(address(leaf), 7, 0));
    EXPECT_TRUE(tree.child(node(leaf))->evicted) << "else there would be three, and no end to it";
    EXPECT_EQ(tree.child(node(leaf))->sequence, 7U);
}

TEST(FollowTree, HasNoMoreChildrenThanAViewMayNameHoweverManyItsConfigAllows) {
    FollowTree tree{node("5"), {.children = 1000}};
    tree.become_top();
    for (const std::uint32_t children : {0U, 1U}) {
        for (int i = 0; i < 100; ++i) {
            const auto id = base::sha256({base::as_bytes(std::to_string(i + 1000 * children))});
            if (tree.judge(id, {}, children) == Verdict::welcome) tree.take_child({id, "host:1"}, 0, children);
        }
    }
    EXPECT_EQ(tree.children().size(), kMaxChildren);
}

TEST_F(Tree, NobodyCanUseUpTheRounds) {
    EXPECT_FALSE(tree.may_hang_below(node("7"), standing_at({~std::uint64_t{0}, node("7"), 0})));
    attach("7", {1, node("7"), 0});
    EXPECT_EQ(tree.hear(at(1s), node("7"), standing_at({~std::uint64_t{0}, node("7"), 0})), FollowTree::Heard::fallen);
    EXPECT_EQ(tree.hear(at(1s), node("7"), standing_at({2, node("7"), 0})), FollowTree::Heard::changed);
    EXPECT_EQ(tree.hear(at(1001ms), node("7"), standing_at({3, node("7"), 0})), FollowTree::Heard::same)
        << "only so many a second";
}

TEST_F(Tree, ATreeIsOnlySoDeep) {
    EXPECT_FALSE(tree.eligible(node("7"), standing_at({1, node("8"), kMaxDepth})));
    attach("7", {1, node("8"), kMaxDepth - 2});
    EXPECT_EQ(tree.judge(node("6"), {}, 0), Verdict::too_deep);
}

// ---- any order of events

/// Followers that hear each other late, out of order, twice, or never, and act on what is long outdated.
class Crowd {
  public:
    explicit Crowd(std::uint64_t seed) : world_{seed} {
        for (std::size_t i = 0; i < kSize; ++i) {
            ids_.push_back(rng().guid());
            trees_.emplace_back(ids_.back(), FollowTree::Limits{.children = 3, .silence = 12s});
        }
    }

    void step() {
        now_ += 100ms;
        const auto who = rng().below(kSize);
        auto& tree = trees_[who];
        const auto before = tree.rank();
        switch (rng().below(12)) {
            case 0:
                if (tree.parent() && rng().below(4) == 0) tree.lose_parent(now_);
                break;
            case 1:
                if (!tree.placed() && rng().below(4) == 0) tree.become_top();
                break;
            case 2:
                if (tree.top()) tree.next_round();
                break;
            case 3: rng().below(2) == 0 ? tree.hold() : static_cast<void>(tree.let_go()); break;
            case 4:
            case 5: send_digests(who); break;
            case 6: deliver(); break;
            case 7: deliver(); break;
            case 8:
            case 9:
            case 10:
            case 11: try_to_hang(who); break;
        }
        EXPECT_GE(tree.rank(), before);
    }

    [[nodiscard]] bool has_cycle() const {
        for (std::size_t start = 0; start < kSize; ++start) {
            auto here = parent(start);
            for (std::size_t steps = 0; here && steps <= kSize; ++steps) here = parent(*here);
            if (here) return true;
        }
        return false;
    }
    [[nodiscard]] std::size_t attached() const { return attached_; }
    [[nodiscard]] std::size_t deepest() const {
        std::size_t most = 0;
        for (const auto& tree : trees_) most = std::max<std::size_t>(most, tree.rank().depth);
        return most;
    }

  private:
    static constexpr std::size_t kSize = 12;
    struct Letter {
        std::size_t from;
        std::size_t to;
        Standing standing;
    };

    base::Rng& rng() { return world_.rng(); }
    [[nodiscard]] std::optional<std::size_t> parent(std::size_t who) const {
        if (!trees_[who].parent()) return {};
        return index_of(trees_[who].parent()->address.id);
    }
    [[nodiscard]] std::size_t index_of(const base::NodeId& id) const {
        return static_cast<std::size_t>(std::ranges::find(ids_, id) - ids_.begin());
    }
    Standing standing(std::size_t who) { return {.rank = trees_[who].rank(), .path = trees_[who].path()}; }

    void send_digests(std::size_t from) {
        for (const auto& [id, child] : trees_[from].children()) {
            letters_.push_back({from, index_of(id), standing(from)});
        }
    }
    void deliver() {
        if (letters_.empty()) return;
        const auto which = static_cast<std::ptrdiff_t>(rng().below(letters_.size()));
        auto letter = letters_[static_cast<std::size_t>(which)];
        if (rng().below(4) > 0) letters_.erase(letters_.begin() + which);  // else it comes again
        auto& tree = trees_[letter.to];
        if (tree.hear(now_, ids_[letter.from], letter.standing) == FollowTree::Heard::fallen) tree.lose_parent(now_);
    }
    // In two steps, between which all else goes on: what the other said when it took us, and when we hear of it.
    void try_to_hang(std::size_t who) {
        auto& tree = trees_[who];
        if (!answers_.empty() && rng().below(2) == 0) {
            const auto answer = answers_.front();
            answers_.pop_front();
            auto& asker = trees_[answer.to];
            if (!asker.may_hang_below(ids_[answer.from], answer.standing)) return;
            asker.hang_below(now_, {ids_[answer.from], "h:1"}, answer.standing, 1ms);
            ++attached_;
            return;
        }
        const auto other = rng().below(kSize);
        if (other == who || trees_[other].judge(ids_[who], tree.rank(), 1) != Verdict::welcome) return;
        trees_[other].take_child({ids_[who], "h:1"}, 0, 1);
        answers_.push_back({other, who, standing(other)});
        if (trees_[other].children().size() > 4) trees_[other].drop_child(trees_[other].children().begin()->first);
    }

    base::sim::World world_;
    std::vector<base::NodeId> ids_;
    std::vector<FollowTree> trees_;
    std::vector<Letter> letters_;
    std::deque<Letter> answers_;
    base::TimePoint now_{};
    std::size_t attached_ = 0;
};

TEST(FollowTree, NoOrderOfEventsMakesACycleAndNoRankFalls) {
    std::size_t attached = 0;
    std::size_t deepest = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Crowd crowd{seed};
        for (int i = 0; i < 5'000; ++i) {
            crowd.step();
            ASSERT_FALSE(crowd.has_cycle()) << "seed " << seed << ", step " << i;
            deepest = std::max(deepest, crowd.deepest());
        }
        attached += crowd.attached();
    }
    EXPECT_GT(attached, 4'000U) << "much happened";
    EXPECT_GT(deepest, 4U);
}

}  // namespace
}  // namespace tapestry
