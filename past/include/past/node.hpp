// A peer of PAST: keeps copies for others, and puts and gets for the layers above in the same process.
//
// Paper: Rowstron & Druschel, SOSP 2001. Where we differ: docs/papers.md#past. On the node's executor.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "base/membership.hpp"
#include "past/block_store.hpp"
#include "past/latency.hpp"
#include "past/messages.hpp"
#include "past/storage.hpp"
#include "pastry/kbr.hpp"

namespace tapestry {
class Dolr;
}

namespace past {

/// The policy and roster in force. The wiring calls replace() whenever a newer one was adopted; versions never go back,
/// also over restarts, and serials in the roster rise in the order of admission (docs/formats/register.md).
class MembershipView {
  public:
    MembershipView() = default;  ///< a network of one: one copy
    MembershipView(base::Policy policy, base::Roster roster);

    [[nodiscard]] const base::Policy& policy() const { return policy_; }
    [[nodiscard]] const base::Roster& roster() const { return roster_; }
    /// Effective: min(policy's copies, members that hold copies), at least 1; 1 without a roster.
    [[nodiscard]] unsigned copies() const { return copies_; }
    [[nodiscard]] unsigned min_copies() const;
    /// What the policy asks for: more than copies() while there are fewer storage peers than that. 1 without a roster.
    [[nodiscard]] unsigned copies_wanted() const;

    void replace(base::Policy policy, base::Roster roster);
    void on_change(std::function<void()> callback) { on_change_ = std::move(callback); }

  private:
    base::Policy policy_;
    base::Roster roster_;
    unsigned copies_ = 1;  // the roster is long
    std::function<void()> on_change_;
};

struct Config {
    using Milliseconds = std::chrono::milliseconds;

    // Asking others
    Milliseconds store_timeout{15'000};  ///< one attempt at one holder
    Milliseconds fetch_timeout{5'000};
    Milliseconds call_timeout{3'000};   ///< small questions
    Milliseconds suspect_after{1'000};  ///< without an answer: the ring looks whether that node lives
    Milliseconds holders_cached_for{30'000};
    std::size_t max_cached_groups = 4096;
    std::size_t max_put_bytes_in_flight = 64U << 20U;  ///< of this node's own puts; more wait
    std::size_t max_lagging_bytes =
        64U << 20U;                 ///< copies still on their way after a put returned; more are left to repair
    Milliseconds first_hedge{200};  ///< until enough fetches were timed
    Milliseconds least_hedge{5};
    Milliseconds greatest_hedge{2'000};

    // Serving others
    std::size_t max_served_bytes_in_flight = 256U << 20U;  ///< more are refused: busy
    std::size_t max_pending_reclaims = 4096;               ///< of blocks that are kept here; more are refused: busy
    /// Blocks named by reclaims that wait, of one owner at most half: more are refused. What was executed is remembered
    /// in the room that is left, 16 a reclaim more.
    std::size_t max_reclaim_ids = 1U << 20U;

    // Diverted and cached copies
    double divert_primary =
        0.1;  ///< a new block is kept here if it is at most this share of what is free (PAST's t_pri)
    double keep_diverted = 0.05;          ///< the same for what a neighbour has no room for (t_div)
    std::size_t divert_tries = 4;         ///< neighbours asked in turn for one block
    std::size_t divert_strangers = 32;    ///< peers anywhere, asked for room where no neighbour takes a block that does
                                          ///< not fit here
    Milliseconds room_known_for{10'000};  ///< what neighbours said of their room
    Milliseconds review_period{60'000};   ///< of asking neighbours whether they still keep what we diverted; jittered
    Milliseconds diverted_forgiveness{
        120'000};  ///< a diverted replica this young need not be claimed: its pointer may be on its way
    Milliseconds misplaced_period{10'000};  ///< of telling the DOLR which groups we keep copies of off their holders
    Milliseconds misplaced_cached_for{60'000};  ///< what it told us of others
    std::uint64_t max_cache_bytes =
        1U << 30U;  ///< of blocks that passed by; at most half of what is free, at most this. 0: none are kept
    std::size_t max_cache_writes_bytes = 8U << 20U;        ///< under way; what passes by meanwhile is not cached
    Milliseconds cache_period{2'000};                      ///< of fitting the cache to what is free
    std::uint64_t take_home_bytes_per_second = 4U << 20U;  ///< of diverted blocks, once there is room again

    // Repair
    bool repair = true;
    Milliseconds check_period{60'000};   ///< of comparing with the other holders, once all is well; jittered
    Milliseconds recheck_period{4'000};  ///< while copies are short or were not compared yet
    Milliseconds quiet_period{3'000};    ///< a difference must last as long before bytes move
    Milliseconds patience{20'000};       ///< the next nearest holder pushes if the nearest made no progress so long
    Milliseconds discard_grace{60'000};  ///< handed-over blocks are kept as long after all holders had them
    std::uint64_t repair_bytes_per_second = 64U << 20U;
    std::uint64_t repair_burst_bytes = 8U << 20U;
    std::size_t repair_jobs = 4;                 ///< (group, peer) pairs pushed at one time
    std::size_t repair_batch_bytes = 1U << 20U;  ///< sent at once; a single block may be larger
    /// While clients are served, sent and taken each: then they go first, but repair goes on.
    std::uint64_t repair_floor_bytes_per_second = 4U << 20U;
    std::size_t max_repair_bytes_waiting = 16U << 20U;  ///< sent to us while clients are served; more are refused: busy

    // Change (docs/decisions/change.md)
    /// A node that came less than this ago is given no copies while enough others have them; never more than half of
    /// the policy's repair_after.
    Milliseconds migrate_after{600'000};
    /// Copies beyond those that must be are kept so long, while less than half of the store's capacity is used.
    Milliseconds keep_surplus{24 * 3'600'000};
    Milliseconds surplus_check{600'000};  ///< how often these are compared block by block
    Milliseconds hints_kept_for{240'000};
    std::size_t max_hinted_groups = 1U << 16U;
    std::size_t max_remembered_nodes = 4096;  ///< of which we know how long they have been here

    /// Every block kept here is read and hashed once within it; zero: only when somebody asks for it.
    Milliseconds scrub_period{std::chrono::days{30}};

    /// Planted bugs, to prove that the tests can find them. All off but in those tests.
    struct Testing {
        bool acknowledge_one_copy_early = false;  ///< a put returns one synced copy before it may
        bool trust_fetched_bytes = false;         ///< what a peer sends is not hashed
        bool skip_previous_members = false;       ///< a register's holders change without asking the old ones
    } testing;
};

/// What `node status` shows. Counters since start. The cluster keeps every block at all its copies exactly if on every
/// node blocks_short, backlog_blocks and blocks_unchecked are 0.
struct NodeStatus {
    unsigned copies = 0;         ///< effective
    unsigned copies_wanted = 0;  ///< by the policy
    unsigned min_copies = 0;
    std::uint64_t groups = 0;  ///< of which blocks are held here
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;
    std::uint64_t blocks_ours =
        0;  ///< held here, and this node is among the holders of their group, or all of them are away
    std::uint64_t blocks_whole = 0;   ///< of those: as many live nodes as there shall be copies were seen to have them
    std::uint64_t blocks_moving = 0;  ///< of those: not yet on all the nodes where they belong
    std::uint64_t blocks_short = 0;   ///< of those: a holder, or who keeps a copy in its stead,
                                      ///< is away or lacks them (an estimate while repair runs)
    std::uint64_t blocks_unchecked = 0;     ///< of those: not compared since they changed
    std::uint64_t blocks_to_hand_over = 0;  ///< held here for others: absent holders, new holders
    std::uint64_t blocks_surplus = 0;     ///< held here although all the holders have them: the next outage costs less
    std::uint64_t backlog_blocks = 0;     ///< known to be missing elsewhere, and ours to send
    std::uint64_t blocks_diverted = 0;    ///< of those we answer for: kept by a neighbour, for want of room here
    std::uint64_t blocks_for_others = 0;  ///< kept here for a neighbour; not in `blocks`
    std::uint64_t bytes_for_others = 0;
    std::uint64_t blocks_cached = 0;  ///< that passed by; not in `blocks`
    std::uint64_t bytes_cached = 0;
    std::uint64_t groups_published = 0;  ///< of which something is kept here off its holders
    std::uint64_t blocks_lost = 0;       ///< our copy was damaged, and no good one has come yet
    std::uint64_t registers = 0;
    std::uint64_t registers_without_majority = 0;  ///< of those: too few of the nodes that keep them answer
    std::vector<base::NodeId> registers_missing;   ///< the nodes that keep those and do not answer
    std::uint64_t pending_reclaims = 0;
    std::chrono::seconds oldest_short{};  ///< how long blocks of some group have been short of copies; zero: none are

    bool draining = false;               ///< this node empties itself before it leaves; it is done once these are zero:
    std::uint64_t blocks_to_drain = 0;   ///< held here, and not seen to have all their copies on others
    std::uint64_t bytes_to_drain = 0;    ///< of these
    std::uint64_t records_to_drain = 0;  ///< held here, and not seen to be kept by others without this node
    std::vector<base::NodeId> refusing;  ///< nodes that take nothing of what they should have: no room, a broken disk

    std::uint64_t puts = 0, gets = 0, hedged_gets = 0;
    std::uint64_t cache_hits = 0;         ///< gets answered from our own cache
    std::uint64_t gets_of_misplaced = 0;  ///< gets answered by a copy that was found through the DOLR
    std::uint64_t bytes_put = 0;          ///< received from clients
    std::uint64_t bytes_repaired = 0;     ///< sent to holders that lacked them
    std::uint64_t bytes_handed_over = 0;  ///< sent by a node that is no longer a holder
    std::uint64_t bytes_diverted = 0;     ///< sent to neighbours for want of room
    std::uint64_t blocks_repaired = 0, blocks_handed_over = 0, blocks_discarded = 0;
    std::uint64_t blocks_taken_home = 0;
    std::uint64_t puts_refused = 0;    ///< full, busy or below min_copies
    std::uint64_t wrong_blocks = 0;    ///< bytes that did not hash to their id, from peers
    std::uint64_t corrupt_blocks = 0;  ///< in our own store
    std::uint64_t requests_sent = 0;
    RequestTimes times;  ///< by RequestKind

    std::chrono::milliseconds scrub_period{};  ///< zero: off
    std::int64_t scrub_began_ns = 0;           ///< wall clock, of the present round, or the last; 0: none yet
    std::int64_t scrub_ended_ns = 0;           ///< of the last that came to its end; 0: none yet
    std::uint64_t scrub_blocks = 0;            ///< read in that round
    std::uint64_t scrub_damaged = 0;           ///< of them; good copies take their place
};

class Node final : public Storage {
  public:
    /// Serves Service::past at once. Everything given by reference outlives this; `verifier` may not be empty.
    Node(base::NodeEnv env, pastry::Kbr& kbr, BlockStore& store, MembershipView& membership, RecordVerifier verifier,
         Config config = {});
    /// Without stop() before it the executor must not run any more (a killed process).
    ~Node() override;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Ends service and background work, and waits for what runs.
    base::Task<void> stop();

    base::Task<base::Result<PutOutcome>> put(base::Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                             base::TimePoint deadline) override;
    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id, base::TimePoint deadline) override;
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline) override;
    base::Task<base::Result<void>> remove(Reclaim reclaim, base::TimePoint deadline) override;
    base::Task<base::Result<TaggedBlocks>> list(BlockQuery query, base::Guid after, base::TimePoint deadline) override;
    base::Task<base::Result<std::optional<Record>>> read_record(base::Guid key, base::TimePoint deadline) override;
    base::Task<base::Result<ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override;
    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, Record next,
                                                base::TimePoint deadline) override;
    base::Task<base::Result<void>> restore_record(base::Guid key, Record lost, base::TimePoint deadline) override;

    /// Who keeps the blocks of a group, nearest first, absent ones and their stand-ins too.
    base::Task<base::Result<std::vector<Holder>>> holders(base::Guid group, base::TimePoint deadline);
    [[nodiscard]] NodeStatus status() const;
    /// Where copies off their holders are told of and found; outlives this, or is taken back with nullptr.
    void use(tapestry::Dolr* dolr);
    /// Groups of which this node has blocks without being one of their holders, as of its last look; sorted.
    [[nodiscard]] std::vector<base::Guid> misplaced() const;
    /// Who told us lately that it has blocks of this group, who has most first. Any of them may be down by now.
    [[nodiscard]] std::vector<base::Address> said_to_have(const base::Guid& group) const;
    /// Compares with the other holders now instead of at the next period.
    void check_now();

  private:
    struct Parts;
    std::shared_ptr<Parts> parts_;
};

}  // namespace past
