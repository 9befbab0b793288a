// A volume: a forest of trees behind one signed heartbeat, for its owner.
//
// Format: docs/formats/volume.md. Paper: OceanStore, Coulouris et al. section 10.6.2; docs/papers.md#oceanstore.
// On the node's executor. Calls may overlap: those that read or write the volume's record take turns.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/crypto.hpp"
#include "base/env.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "objstore/block_io.hpp"
#include "objstore/heartbeat.hpp"
#include "objstore/high_water.hpp"
#include "objstore/keys.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/tree.hpp"
#include "past/storage.hpp"

namespace objstore {

struct VolumeConfig {
    base::Duration record_timeout = std::chrono::seconds{30};
    /// open() and refresh() take the newest state that any holder shows where, and only where, too few answer to say
    /// what the newest is. For who only reads.
    bool take_unconfirmed = false;
    unsigned commit_attempts = 64;  ///< a conflict means that another host got through; then base::Errc::busy
    WriterConfig writer;
    ReaderConfig reader;
};

/// What a state of the volume is, as its heartbeat says.
struct VolumeState {
    std::uint64_t sequence = 0;
    base::Guid body_hash;
    BlockRefPtr forest;                ///< root of the forest
    BlockRefPtr spare;                 ///< its second copy, if there is one
    std::vector<BlockRefPtr> earlier;  ///< roots of the states before, the newest first
    std::int64_t time_ns = 0;
    std::uint64_t collected = 0;  ///< as in HeartbeatBody
    std::uint64_t turn = 0;       ///< as in HeartbeatBody
};

/// What reading the list of snapshots met. The next commit() writes a good list again.
struct ForestDamage {
    base::Error error;     ///< of the first block of it that could not be read
    bool complete = true;  ///< the spare copy told everything; else snapshots are missing, the newest before all
};

/// The state is the newest that some of the holders of the volume's record showed. It is the owner's and not older than
/// what this client has seen; whether there is a newer one, nobody who answered can know.
struct Unconfirmed {
    unsigned answered = 0;
    unsigned holders = 0;
};

/// A piece of work on a volume: pins the state it began with, so that blocks reachable from it may be used again, and
/// writes under one generation. Ends when destroyed; what was not committed stays until a later state is pruned.
class Session {
  public:
    [[nodiscard]] const VolumeState& pinned() const;
    /// Of the pinned state, sorted by time.
    [[nodiscard]] const std::vector<Snapshot>& snapshots() const;
    /// pinned().sequence + 1: the generation of its tags and the birth of its blocks.
    [[nodiscard]] std::uint64_t generation() const;
    [[nodiscard]] past::Tag tag() const;
    [[nodiscard]] const VolumeKeys& keys() const;
    [[nodiscard]] BlockWriter& writer();
    [[nodiscard]] BlockReader& reader();
    [[nodiscard]] past::Storage& storage();

    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

  private:
    friend class Volume;
    struct State;
    explicit Session(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct CommitOutcome {
    Snapshot snapshot;
    VolumeState state;
    past::PutOutcome copies;  ///< the worst of all blocks of the session
};

/// What a commit changes in the forest: items of inode 0, in ascending order of their keys.
struct ForestEdit {
    std::vector<Item> put;
    std::vector<TreeKey> erase;  ///< keys that `put` does not have
};

/// Makes the edit of one commit, against whatever is newest by then.
class ForestEditor {
  public:
    virtual ~ForestEditor() = default;
    /// Nothing to change: nullopt. Called again with a newer forest after a conflict. What it writes to `writer` is
    /// acknowledged before the new state is published. Errc::damaged (of the forest) has the forest mended first.
    virtual base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) = 0;
    /// Of the edit that was made last: the oldest generation under which anything was stored or touched that it names
    /// and has neither from `forest` nor wrote to `writer`; UINT64_MAX if there is no such thing. What is named because
    /// an earlier state did counts as of the generation after the newest state known to do so. If a collection has
    /// passed by since, all of it is touched once more before it counts (Errc::collected where that fails).
    [[nodiscard]] virtual std::uint64_t stored_since() const = 0;
    /// Resumes when everything else that the edit names is acknowledged. Awaited, beside what edit() wrote, before the
    /// new state is published; may be called more than once.
    virtual base::Task<base::Result<void>> stored() { co_return base::ok(); }
};

/// A snapshot of the list and what is to be listed in its place: the same tree under other words.
struct Replacement {
    base::Guid before;
    Snapshot after;
};

/// How much of the forest is looked at before it is built upon.
enum class ForestCheck : std::uint8_t {
    whole,  ///< all of it is read, and its holders are asked whether they have it
    paths,  ///< what the edit touches; without asking first whether there is a newer state: a conflict will tell. The
            ///< client's memory of the new state (HighWater) follows within moments
};

struct ForestOutcome {
    VolumeState state;        ///< the one that holds the edit
    past::PutOutcome copies;  ///< of the blocks that were written for it
    bool changed = false;     ///< false: the editor had nothing to change
};

class Volume {
  public:
    /// Makes an empty volume and returns it open. base::Errc::exists if there is one of that name under this key.
    static base::Task<base::Result<std::unique_ptr<Volume>>> create(base::NodeEnv env, past::Storage& storage,
                                                                    HighWater& high_water, base::SigningKey owner,
                                                                    std::string name, VolumeConfig config = {});
    /// Errors: no_such_volume, wrong_key, stale, damaged; past::Errc::holders_unreachable.
    static base::Task<base::Result<std::unique_ptr<Volume>>> open(base::NodeEnv env, past::Storage& storage,
                                                                  HighWater& high_water, base::SigningKey owner,
                                                                  std::string name, VolumeConfig config = {});
    ~Volume();
    /// Ends once what goes on behind commits has: this client's memory of them. Await before destroying it where
    /// anything was committed; until then its high-water marks and their disk must be there.
    base::Task<void> finish();
    Volume(const Volume&) = delete;
    Volume& operator=(const Volume&) = delete;

    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] const VolumeKeys& keys() const;
    [[nodiscard]] const VolumeState& state() const;  ///< as last read
    [[nodiscard]] BlockReader& reader();

    /// Reads the newest state. Errors as open().
    base::Task<base::Result<void>> refresh();
    /// Whether state() is one of VolumeConfig::take_unconfirmed, and how many answered; nothing if a majority agreed.
    [[nodiscard]] const std::optional<Unconfirmed>& unconfirmed() const;
    /// Of state(), sorted by time. Blocks that are lost make it no error: what can be read is returned, and damage()
    /// says the rest.
    base::Task<base::Result<std::vector<Snapshot>>> snapshots();
    /// What snapshots() or begin() met when it last read the list; nothing if all is well.
    [[nodiscard]] const std::optional<ForestDamage>& damage() const;
    /// Of that list: the first 16 digits of the ids of snapshots whose records are of a later format. They are not
    /// among snapshots(); every new list keeps them.
    [[nodiscard]] const std::vector<std::string>& later_snapshots() const;
    /// Reads the newest state, never an unconfirmed one, then a session that pins it. `wait`: what its writer's puts,
    /// and commit(), wait for.
    base::Task<base::Result<std::unique_ptr<Session>>> begin(past::Wait wait = past::Wait::majority);
    /// Lists the snapshot in the newest forest, whoever wrote that meanwhile. Flushes the session's writer first:
    /// nothing is committed before every block it needs is acknowledged. Errors: those of put and write_record;
    /// base::Errc::busy after commit_attempts conflicts. After holders_unreachable or timed_out the snapshot may or may
    /// not be listed: repeating the call with the same snapshot is safe. Errc::collected: a prune has taken a block
    /// that the session counted on; a new session finds what is left of them and stores the others again.
    base::Task<base::Result<CommitOutcome>> commit(Session& session, Snapshot snapshot);
    /// Takes snapshots off the list, in one step; what they held stays until it is collected (gc/prune.hpp). Returns
    /// how many of them were listed. Errors as commit().
    base::Task<base::Result<std::uint64_t>> forget(std::vector<base::Guid> snapshots);
    /// Puts snapshots in the place of others, in one step; what is not listed (any more) is left out. Returns how many
    /// were replaced. Requires: each has the root of the one it replaces. Errors as commit().
    base::Task<base::Result<std::uint64_t>> replace(std::vector<Replacement> replacements);
    /// Changes the forest in one step: compare-and-set of the volume's record, again with the newest forest after a
    /// conflict. Errors: the editor's; else as commit(). After holders_unreachable or timed_out it may or may not have
    /// happened; repeating it is up to the editor. `editor` outlives the call.
    base::Task<base::Result<ForestOutcome>> edit_forest(ForestEditor& editor, ForestCheck check,
                                                        past::Wait wait = past::Wait::majority);
    /// Writes blocks of the volume, tagged with the generation after state().
    [[nodiscard]] std::unique_ptr<BlockWriter> make_writer(std::uint64_t volume_bytes,
                                                           past::Wait wait = past::Wait::majority) const;

    /// Writes a state from which garbage can be collected and returns the number of the one before it: what was stored
    /// up to that generation has to be made sure of before it is committed, and earlier states cannot be gone back to.
    /// Then what the new state does not lead to may lose its tags of generations up to this one.
    base::Task<base::Result<std::uint64_t>> begin_collection();
    /// The roots that state() leads from, all but those of earlier states.
    [[nodiscard]] std::vector<BlockRef> roots() const;
    [[nodiscard]] const base::SigningKey& owner() const;
    [[nodiscard]] past::Storage& storage();
    [[nodiscard]] base::NodeEnv env() const;

  private:
    struct State;
    explicit Volume(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace objstore
