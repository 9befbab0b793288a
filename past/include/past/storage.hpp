// What the layers above see of PAST: immutable blocks in groups, and one small mutable record a volume.
//
// Implemented by past::Node (this process is a peer, or a network of one) and by the client of a daemon's local socket.
// Paper: Rowstron & Druschel, SOSP 2001. Where we differ: docs/papers.md#past.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "past/block_store.hpp"
#include "past/error.hpp"

namespace past {

/// When a put returns.
enum class Wait : std::uint8_t {
    majority,  ///< synced on a majority of the effective copies: survives the loss of majority - 1 at once
    full,      ///< on all of them, or the outcome says how many are short when the deadline comes
};

struct PutOutcome {
    unsigned copies_wanted = 0;    ///< by the policy, even if the network has fewer storage peers
    unsigned copies_stored = 0;    ///< synced and signed for, by the time it returned
    unsigned copies_possible = 0;  ///< what there are storage peers for, at most the policy's
};

/// Asks the holders to drop a tag. Signed by the owner of the volume, domain "pelago reclaim".
struct Reclaim {
    base::Guid group;
    Tag tag;  ///< drops tags of this volume up to this generation
    base::PublicKey owner{};
    base::Guid name_digest;          ///< with `owner` it proves the tag: see volume_tag()
    std::vector<base::Guid> blocks;  ///< at most 4096
    bool at_once = false;            ///< without the policy's grace
    base::Signature signature{};

    [[nodiscard]] base::Bytes body() const;  ///< what is signed
};

/// Asks which blocks of a group carry a tag. Signed by the owner of the volume, domain "pelago list": whoever knows ids
/// can tag the blocks, so they are told to nobody else.
struct BlockQuery {
    base::Guid group;
    Tag tag;  ///< of this volume, up to this generation
    base::PublicKey owner{};
    base::Guid name_digest;  ///< with `owner` it proves the tag
    bool all = false;        ///< also what a reclaim waits to take
    base::Signature signature{};

    [[nodiscard]] base::Bytes body() const;  ///< what is signed
    friend bool operator==(const BlockQuery&, const BlockQuery&) = default;
};
struct TaggedBlock {
    base::Guid id;
    std::uint64_t generation = 0;  ///< the greatest of those that its holders have
    std::uint32_t bytes = 0;
    friend bool operator==(const TaggedBlock&, const TaggedBlock&) = default;
};
/// A page of the answer: every block of the query behind the id that was asked for, and up to `up_to`.
struct TaggedBlocks {
    std::vector<TaggedBlock> blocks;  ///< ascending by id
    base::Guid up_to;
    bool more = false;      ///< there may be blocks behind up_to
    unsigned answered = 0;  ///< of the holders
    unsigned holders = 0;
    friend bool operator==(const TaggedBlocks&, const TaggedBlocks&) = default;
};

/// SHA-256("pelago volume", owner, name digest): names a volume without a registry.
[[nodiscard]] base::Guid volume_guid(const base::PublicKey& owner, const base::Guid& name_digest);
/// SHA-256("pelago tag", AGUID): what storage nodes see of it.
[[nodiscard]] base::Guid volume_tag(const base::Guid& aguid);

/// What stands for a volume's name in the tag of a raw put: such blocks belong to a key, not to a volume.
[[nodiscard]] base::Guid raw_name_digest();
/// Errc::not_owner unless owner and name digest give the tag and the owner signed it; bad_argument beyond its limits.
[[nodiscard]] base::Result<void> check_reclaim(const Reclaim& reclaim);
/// Errc::not_owner likewise.
[[nodiscard]] base::Result<void> check_query(const BlockQuery& query);

constexpr std::size_t kMaxBlocksPerRequest = 4096;
constexpr std::size_t kMaxRecordBytes = 32U << 10U;

/// The newest state of a volume as its holders keep it. `body` is opaque here; the verifier below knows it.
struct Record {
    std::uint64_t sequence = 0;
    base::Bytes body;  ///< at most 32 KiB
};

/// A record as some of its holders showed it: truly its owner's, and maybe not the newest.
struct ShownRecord {
    Record record;
    unsigned answered = 0;  ///< of the holders; where the holders change, of the set that is shortest of a majority
    unsigned holders = 0;

    /// A majority answered, so this is what read_record() says.
    [[nodiscard]] bool agreed() const { return answered > holders / 2; }
};

/// Given by the layer above at wiring: checks a record's certificate against its key and returns its sequence, or
/// Errc::bad_record, or base::Errc::unsupported for one of a later version. Pure; called before anything is stored or
/// believed.
using RecordVerifier = std::function<base::Result<std::uint64_t>(const base::Guid& key, base::ByteView body)>;

class Storage {
  public:
    virtual ~Storage() = default;

    /// Stores blocks at the n closest nodes of `group`, of distinct failure domains as far as there are enough. At most
    /// kMaxPayloadBytes in all. Idempotent. Errors: below_min_copies, too_few_copies, no_space, too_large.
    virtual base::Task<base::Result<PutOutcome>> put(base::Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                                     base::TimePoint deadline) = 0;
    /// From the nearest holder that answers; a slow one is hedged, a wrong one skipped and reported.
    /// Errors: block_not_found, holders_unreachable, corrupt_block (only where every copy is).
    virtual base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id,
                                                            base::TimePoint deadline) = 0;
    /// For each id whether a majority of its holders has it; those are tagged anew. At most 4096 ids. A holder that
    /// does not answer has nothing, so false may be said of what is there. Errors: holders_unreachable if none answers
    /// but ourselves.
    virtual base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids,
                                                              base::TimePoint deadline) = 0;
    /// Executed by each holder after the policy's grace time, or now if the reclaim asks for none. Errors: not_owner;
    /// base::Errc::busy where holders have no room for one more that waits.
    virtual base::Task<base::Result<void>> remove(Reclaim reclaim, base::TimePoint deadline) = 0;
    /// Blocks behind `after` that some holder has under the query's tag and, unless it asks for all, that no reclaim
    /// waits to take there; the next page. What only a holder has that does not answer is missing. Errors: not_owner;
    /// holders_unreachable if nobody answers.
    virtual base::Task<base::Result<TaggedBlocks>> list(BlockQuery query, base::Guid after,
                                                        base::TimePoint deadline) = 0;

    /// The newest record under `key`, agreed by a majority of its 2 x copies - 1 holders; nullopt if there certainly is
    /// none. Linearizable with write_record(). Errors: holders_unreachable; bad_record where the only holder's own copy
    /// is damaged.
    virtual base::Task<base::Result<std::optional<Record>>> read_record(base::Guid key, base::TimePoint deadline) = 0;
    /// For who only reads, and where read_record() says holders_unreachable: the newest record that any holder shows
    /// which answers. Nothing is written, and nothing may be built on it. Errors: holders_unreachable, also if those
    /// that answer have none (only a majority says that there is none), or if a write is under way.
    virtual base::Task<base::Result<ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) = 0;
    /// Replaces the record whose sequence is `expected` (0: there is none) by one of sequence expected + 1. Of two
    /// writers exactly one succeeds, the other gets Errc::conflict. After holders_unreachable or timed_out the write
    /// may or may not have happened: read again.
    virtual base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, Record next,
                                                        base::TimePoint deadline) = 0;
    /// Puts a record that the register has lost back in place of an older one, a damaged one or none. Only where this
    /// node is the register's only holder (a network of one): elsewhere a majority speaks, and one holder that claims
    /// to be alone must not be helped to fork history. Done as well if the register has that very record.
    /// Errors: kept_by_others; conflict (it has a later record, or another one of that sequence); bad_record;
    /// base::Errc::unsupported (what it has is of a later version).
    virtual base::Task<base::Result<void>> restore_record(base::Guid key, Record lost, base::TimePoint deadline) = 0;
};

}  // namespace past
