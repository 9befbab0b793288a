// Stories of a cluster that changes: peers flap, join in numbers, go away and come back. What moves between peers is
// counted on the wire, and what was acknowledged is read and counted on the disks all the time.
#pragma once

#include <limits>

#include "cluster.hpp"

namespace past::test {

/// Bytes of blocks that peers sent each other, by why; restarts do not make it forget.
class Meter {
  public:
    struct Counts {
        std::uint64_t put = 0;
        std::uint64_t repaired = 0;
        std::uint64_t handed_over = 0;
        std::map<std::size_t, std::uint64_t> moved_to;  ///< by peer, the latter two
    };

    void watch(Cluster& cluster, std::size_t index);
    [[nodiscard]] const Counts& counts() const { return *counts_; }
    [[nodiscard]] std::uint64_t moved() const { return counts_->repaired + counts_->handed_over; }
    /// Of these, to the peers `first` to `last`.
    [[nodiscard]] std::uint64_t moved_to(std::size_t first,
                                         std::size_t last = std::numeric_limits<std::size_t>::max()) const;

  private:
    std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();  // letters may be under way when the story is over
};

class Story {
  public:
    struct Options {
        std::size_t peers = 20;
        std::chrono::milliseconds repair_after = 1h;
        std::size_t groups = 40;
        std::size_t blocks = 240;
        std::size_t block_bytes = 4000;
        base::Duration write_every{};  ///< 0: nothing is written while peers change
        std::uint64_t capacity_bytes = 1U << 30U;
        std::function<void(ClusterOptions&)> tune;
    };
    Story(sim::World& world, Options options);

    /// Time passes; blocks are written if the options say so, read, and counted. Every second `step` is called.
    void live(base::Duration span, const std::function<void()>& step = {});
    /// Until every block is at all its copies, by the disks and by what the nodes say; false if it takes longer.
    bool comes_to_rest(base::Duration limit);
    /// And until every copy is where it belongs.
    bool all_in_place(base::Duration limit);

    void kill(std::size_t index, bool for_good = false);
    void restart(std::size_t index);
    std::size_t join();

    [[nodiscard]] base::TimePoint begun() const { return begun_; }                ///< the change
    [[nodiscard]] std::uint64_t stored_bytes() const { return stored_bytes_; }    ///< before it, once
    [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }  ///< since then, once
    [[nodiscard]] std::uint64_t copies_bytes() const { return stored_bytes_ * cluster.options.copies; }
    [[nodiscard]] std::size_t unreadable() const { return unreadable_; }
    /// Of any block that was put at all its copies, ever: on running peers and on those that will come back.
    [[nodiscard]] std::size_t fewest_disks() const { return fewest_disks_; }
    [[nodiscard]] std::size_t lost();
    [[nodiscard]] std::uint64_t control_bytes();  ///< sent by all peers since the change began, beside blocks

    const Options options;
    sim::World& world;
    Cluster cluster;
    Meter meter;

  private:
    struct Kept {
        std::uint64_t number = 0;
        base::Guid group;
        base::Guid id;
    };

    static ClusterOptions cluster_options(const Options& options);
    bool write(Wait wait);
    void read_one(const Kept& kept);
    void count_disks(const Kept& kept);
    [[nodiscard]] std::size_t somebody();
    [[nodiscard]] std::size_t live_copies(const Kept& kept);

    std::vector<Kept> kept_;
    std::map<std::size_t, std::set<base::Guid>> down_;  ///< what peers hold that are down
    base::TimePoint begun_;
    std::uint64_t next_number_ = 1;
    std::uint64_t stored_bytes_ = 0;
    std::uint64_t written_bytes_ = 0;
    std::size_t unreadable_ = 0;
    std::size_t fewest_disks_ = 0;
};

// The stories of the issue. Each runs to its end and leaves the cluster to be looked at.

/// A tenth of the peers, always the same, die and come back in a loop: `period` from one death to the next, half of it
/// down.
void flap(Story& story, base::Duration lasts, base::Duration period = 10s);
/// Every ten seconds another tenth, drawn at random, is restarted.
void restart_everywhere(Story& story, base::Duration lasts);
/// Half as many peers again join at once.
void join_in_numbers(Story& story, base::Duration lasts);
/// One holder is away for so long, and back for so long.
void go_away(Story& story, base::Duration away, base::Duration back);
/// Peers join, live for `each`, and die for good; one of the old ones dies for good in the middle of it.
void come_and_go(Story& story, base::Duration lasts, base::Duration each);
/// One peer that nobody knew joins and dies in a loop.
void newcomer_flaps(Story& story, base::Duration lasts, base::Duration period);

}  // namespace past::test
