// What a WorkingTree holds. Its operations are spread over reading, changing, committing and adopting.
//
// Generations order changes against commits: a change carries the present one, a commit takes all up to it and begins
// the next. An operation reads what it needs, looks whether anything changed meanwhile (`changes`), begins again if so,
// and then acts without suspending.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/task_group.hpp"
#include "live/live_node.hpp"
#include "objstore/live/order.hpp"
#include "objstore/live/working_tree.hpp"

namespace objstore {

[[nodiscard]] inline base::Error posix(std::errc code, std::string detail = {}) {
    return {std::make_error_code(code), std::move(detail)};
}

/// Sets a flag for as long as it lives, whatever ends the coroutine.
class Busy {
  public:
    Busy(bool& flag, const std::shared_ptr<base::Event>& ended) : flag_{flag}, ended_{ended} { flag_ = true; }
    ~Busy() {
        flag_ = false;
        ended_->pulse();
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

  private:
    bool& flag_;
    const std::shared_ptr<base::Event>& ended_;
};

struct WorkingTree::State : std::enable_shared_from_this<WorkingTree::State> {
    State(base::NodeEnv doors, Volume& store, LiveConfig settings)
        : env{doors},
          volume{store},
          config{settings},
          nodes{std::make_shared<NodeCache>(settings.node_cache_bytes)},
          progress{std::make_shared<base::Event>(doors.executor)},
          wanted{std::make_shared<base::Event>(doors.executor)},
          background{doors.executor} {}

    // --- Inodes

    /// Points into `inodes`: valid until this suspends.
    static base::Task<base::Result<LiveNode*>> load(State* self, InodeNumber number);
    static base::Task<base::Result<LiveNode*>> load_directory(State* self, InodeNumber number);
    /// What a name means, as find_name() said. Where the volume has lost the inode a damaged one stands in for it: it
    /// can be looked at and removed, and every other use of it is Errc::damaged.
    static base::Task<base::Result<void>> load_named(State* self, InodeNumber directory, std::string name,
                                                     EntryTarget target);
    /// Null if it is not in memory.
    [[nodiscard]] LiveNode* peek(InodeNumber number);
    LiveNode& add(InodeNumber number);
    void drop(InodeNumber number);
    /// Forgets clean inodes beyond the limit, the least recently used first; looks at `most`.
    void trim(std::size_t most);
    /// The inode is gone, and nobody holds it: nothing of it is kept, unless a commit has to remove it.
    void drop_if_unused(LiveNode& node);

    // --- Names

    [[nodiscard]] NameKey name_key(InodeNumber directory, std::string name) const;
    /// What the name means now. `directory` may be reloaded while this suspends: use its number.
    static base::Task<base::Result<std::optional<EntryTarget>>> find_name(State* self, InodeNumber directory,
                                                                          std::string name);
    void set_name(LiveNode& directory, const std::string& name, std::optional<EntryTarget> before,
                  std::optional<EntryTarget> after, bool exclusive);
    static base::Task<base::Result<bool>> is_empty(State* self, InodeNumber directory);
    static base::Task<base::Result<bool>> lies_below(State* self, InodeNumber directory, InodeNumber ancestor);

    // --- Content and attributes

    /// The version in which the base content of an inode lies; nullopt: it has none.
    [[nodiscard]] std::optional<NamedTree> base_of(const LiveNode& node) const;
    /// Stretches of the file with what each holds; the base's are resolved to extents and holes. Only the beginning if
    /// that is more than about `most`: never nothing.
    static base::Task<base::Result<std::vector<Content::Segment>>> segments(State* self, InodeNumber number,
                                                                            FileRange wanted,
                                                                            std::size_t most = SIZE_MAX);
    static base::Task<base::Result<std::optional<base::Bytes>>> xattr(State* self, InodeNumber number,
                                                                      std::string name);

    // --- Changing

    [[nodiscard]] base::Timestamp wall() const { return base::Timestamp::from_ns(env.clock.wall_ns()); }
    [[nodiscard]] base::Result<void> writable() const;
    /// A change that wants its turn.
    struct Turn {
        base::TimePoint began;
        bool removes = false;   ///< makes room in the end: some is kept for it where others wait
        InodeNumber grows = 0;  ///< what it takes more memory for; 0: for names, which a commit frees
    };
    [[nodiscard]] Turn turn(InodeNumber grows = 0) const { return {env.clock.now(), false, grows}; }
    [[nodiscard]] Turn removal() const { return {env.clock.now(), true, 0}; }
    /// The gate is open, and there is room.
    [[nodiscard]] bool may_change(const Turn& turn) const;
    /// There is no room, and no commit makes any.
    [[nodiscard]] bool nameless_fill(const Turn& turn) const;
    /// Waits until it may change something: ask again once everything is there that it needs.
    static base::Task<base::Result<void>> enter(State* self, Turn turn);
    static base::Task<base::Result<void>> have_numbers(State* self, std::uint64_t count);
    /// For a new inode. Peers that are away are waited for.
    static base::Task<base::Result<void>> wait_for_a_number(State* self, Turn turn);
    /// Whether what began then has waited long enough.
    [[nodiscard]] bool late(base::TimePoint began) const {
        const auto limit = config.write_timeout;
        return limit != base::Duration::zero() && env.clock.now() - began >= limit;
    }
    /// Something of the node has changed. `lazy`: only what may wait for the next other change.
    void touched(LiveNode& node, bool lazy = false);
    /// Keeps `memory` true: after whatever changes what a node takes.
    void recount(LiveNode& node);
    /// Nothing of it is left to commit. The node may be gone afterwards.
    void set_clean(LiveNode& node);
    /// Enough is in memory that could be committed, or stored ahead of it, to do so before it is old.
    [[nodiscard]] bool half_full() const;
    [[nodiscard]] bool nameless_can_be_stored() const;
    void lose_link(LiveNode& node, base::Timestamp now);
    void open_gate();

    // --- Committing

    struct MemoryPiece {
        InodeNumber inode = 0;
        std::uint64_t offset = 0;
        ContentPiece piece;
    };
    struct Frozen {
        std::shared_ptr<Update> update;
        std::uint64_t generation = 0;
        std::vector<MemoryPiece> pieces;  // not stored yet
        bool rebases = false;             // the gate is closed
    };
    /// One commit, which goes on whatever becomes of those that wait for it.
    struct Attempt {
        std::optional<base::Result<void>> result;
    };
    static base::Task<base::Result<void>> commit(State* self);
    static base::Task<void> commit_once(std::shared_ptr<State> self, std::shared_ptr<Attempt> attempt);
    static base::Task<base::Result<void>> submit(State* self);
    static base::Task<base::Result<void>> commit_rebased(State* self);
    [[nodiscard]] Frozen freeze();
    void freeze_node(LiveNode& node, Frozen& frozen);
    struct Work;  // content on its way into blocks
    static base::Task<base::Result<std::shared_ptr<Work>>> seal_content(State* self, std::vector<MemoryPiece> pieces);
    static void tell(const Work& work, Update& update);
    void release(const Work& work);
    static base::Task<base::Result<void>> order_frozen(State* self, Frozen frozen, bool again);
    void give_up(const Frozen& frozen);
    static base::Task<base::Result<void>> stream(State* self);
    static base::Task<base::Result<void>> flush(State* self);
    static base::Task<void> flush_on(State* self);
    static base::Task<void> refresh_on(State* self);
    /// If a collection has begun since the last time: touches what only this mount still needs.
    static base::Task<base::Result<void>> keep_what_is_held(State* self);

    // --- Going over to another version

    struct Foreign;
    static base::Task<base::Result<Foreign>> compare(State* self, BlockRefPtr newest);
    static base::Task<base::Result<void>> refresh(State* self);
    void adopt_own(const Frozen& frozen, const LiveVersion& version);
    void adopt_foreign(const Foreign& foreign, const LiveVersion& version);
    /// Keeps what it could not take in yet as `unadopted`.
    static base::Task<base::Result<void>> adopt_rebased(State* self, Frozen frozen, Ordered ordered);
    static base::Task<base::Result<void>> take_in(State* self, const Frozen* frozen, const Ordered* ordered);
    static base::Task<base::Result<void>> start_afresh(State* self, LiveVersion newest, base::Error damage);
    void replace_base(const LiveVersion& version);
    /// The inode in memory; one that is pinned and loses its last name is brought there. Else null.
    LiveNode* node_to_reload(InodeNumber number, const std::optional<Inode>& record, const Foreign& foreign);
    void reload(LiveNode& node, const std::optional<Inode>& record, const NamedTree& before);

    base::NodeEnv env;
    Volume& volume;
    LiveConfig config;
    std::shared_ptr<NodeCache> nodes;
    std::unique_ptr<UpdateOrder> order;  // null: one version, to read
    LiveListener* listener = nullptr;

    LiveVersion version;
    std::optional<Tree> base;
    std::uint64_t base_number = 0;  // of the present base: one more each time
    std::uint64_t kept_from = 0;    // VolumeState::collected, of the collection that was last taken note of

    std::unordered_map<InodeNumber, std::unique_ptr<LiveNode>> inodes;
    std::list<InodeNumber> recent;                        // the most recently used first
    std::unordered_map<InodeNumber, std::uint64_t> pins;  // of those that somebody holds, in memory or not
    std::set<InodeNumber> dirty;
    std::vector<TreeKey> resolved;  // conflicts to take off the list with the next commit
    LiveMemory memory;              // of all inodes
    bool told_of_nameless = false;  // that they fill the memory
    std::uint64_t changes = 0;      // one more with each change of what operations see
    std::uint64_t generation = 1;   // of changes made now
    std::uint64_t freezing = 0;     // generation of the commit under way; 0: none
    std::optional<base::TimePoint> oldest_change;

    InodeNumbers numbers;
    std::uint32_t updates = 0;  // made so far
    bool taking_slot = false;
    bool gate_open = true;                  // closed while another mount's commit is being merged
    std::shared_ptr<base::Event> progress;  // pulsed whenever a commit ends, the gate opens, or memory is free again
    std::shared_ptr<base::Event> wanted;    // pulsed when there may be something to write
    std::shared_ptr<Attempt> attempt;       // of the commit under way, or the last
    bool committing = false;
    bool streaming = false;
    std::optional<Frozen> unsettled;                      // submitted, and the answer was lost
    std::optional<std::pair<Frozen, Ordered>> unadopted;  // ordered, on top of another mount's; the gate is closed
    std::uint64_t durable = 0;                            // generation: everything up to it is ordered
    std::optional<base::Error> last_error;                // of the last commit
    LiveStatistics counted;
    base::TaskGroup background;
};

}  // namespace objstore
