// The messages of PAST as plain values, and their codec (docs/formats/wire.md#past).
//
// Decoding is a pure function of the bytes: limits are checked before anything is allocated, every list by its count.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/transport.hpp"
#include "past/storage.hpp"
#include "pastry/kbr.hpp"

namespace past {

enum class Verb : std::uint8_t {
    store = 1,
    fetch = 2,
    touch = 3,
    remove = 4,
    holders = 5,
    compare = 6,
    ranges = 7,
    offer = 8,
    query = 9,
    prepare = 10,
    accept = 11,
    pull = 12,
    room = 13,
    review = 14,
    claim = 15,
    retag = 16,
    list = 17,
};

/// Verbs of Service::local that belong to PAST; the daemon keeps the others for itself.
enum class LocalVerb : std::uint8_t {
    put = 0x40,
    get = 0x41,
    touch = 0x42,
    remove = 0x43,
    read_record = 0x44,
    write_record = 0x45,
    holders = 0x46,
    restore_record = 0x47,
    read_any_record = 0x48,
    list = 0x49,
};

/// Why bytes move between nodes.
enum class Cause : std::uint8_t {
    put = 0,
    repair = 1,
    handover = 2,
    diversion = 3,        ///< of a put
    diverted_repair = 4,  ///< of a repair or a handover
};
[[nodiscard]] constexpr bool is_diversion(Cause cause) {
    return cause == Cause::diversion || cause == Cause::diverted_repair;
}
[[nodiscard]] constexpr bool a_client_waits(Cause cause) { return cause == Cause::put || cause == Cause::diversion; }

constexpr std::size_t kMaxTagsPerRequest = kMaxTagsPerBlock;
constexpr std::size_t kMaxCompareEntries = 1024;
constexpr std::size_t kMaxHolders = 64;
constexpr std::size_t kMaxRegisterMembers = 31;  ///< 2 x 16 - 1
constexpr std::size_t kGenesisMembers = 5;
constexpr std::size_t kMaxPromises = 256;  ///< about keys without a value
constexpr std::size_t kRanges = 256;
constexpr std::size_t kMaxElsewhere = 4;
constexpr std::size_t kMaxHintsPerGroup = 16;

struct StoreRequest {
    base::Guid group;
    std::vector<Tag> tags;
    std::vector<base::Guid> ids;
    std::vector<std::uint32_t> lengths;
    Cause cause = Cause::put;
    friend bool operator==(const StoreRequest&, const StoreRequest&) = default;
};
struct FetchRequest {
    base::Guid group;
    base::Guid id;
    friend bool operator==(const FetchRequest&, const FetchRequest&) = default;
};
/// In place of the block: who keeps it for the answerer.
struct FetchReply {
    std::vector<base::Address> elsewhere;
    friend bool operator==(const FetchReply&, const FetchReply&) = default;
};
struct TouchRequest {
    base::Guid group;
    Tag tag;
    std::vector<base::Guid> ids;
    friend bool operator==(const TouchRequest&, const TouchRequest&) = default;
};
struct BitsReply {
    base::Bytes bits;
    friend bool operator==(const BitsReply&, const BitsReply&) = default;
};
struct HoldersRequest {
    base::Guid group;
    std::uint32_t count = 0;
    friend bool operator==(const HoldersRequest&, const HoldersRequest&) = default;
};
struct HoldersReply {
    struct Absent {
        pastry::NodeHandle node;
        std::uint64_t age_ms = 0;
        friend bool operator==(const Absent&, const Absent&) = default;
    };
    std::vector<pastry::NodeHandle> live;
    std::vector<Absent> absent;
    friend bool operator==(const HoldersReply&, const HoldersReply&) = default;
};
struct CompareRequest {
    struct Entry {
        base::Guid group;
        std::uint64_t blocks = 0;
        base::Guid digest;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    std::vector<Entry> entries;
    friend bool operator==(const CompareRequest&, const CompareRequest&) = default;
};
struct CompareReply {
    struct Entry {
        std::uint64_t blocks = 0;
        base::Guid digest;
        std::uint64_t unconfirmed = 0;  ///< of these blocks: diverted to a node that is away
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    std::vector<Entry> entries;
    friend bool operator==(const CompareReply&, const CompareReply&) = default;
};
struct RangesRequest {
    base::Guid group;
    friend bool operator==(const RangesRequest&, const RangesRequest&) = default;
};
using RangeDigest = std::array<std::uint8_t, 16>;
struct RangesReply {
    std::array<RangeDigest, kRanges> digests{};
    friend bool operator==(const RangesReply&, const RangesReply&) = default;
};
struct OfferRequest {
    base::Guid group;
    Tag tag;
    std::vector<base::Guid> ids;
    friend bool operator==(const OfferRequest&, const OfferRequest&) = default;
};
/// How many bytes a diverted block may be weighed against.
struct RoomReply {
    std::uint64_t free_bytes = 0;
    friend bool operator==(const RoomReply&, const RoomReply&) = default;
};
/// About the diverted replicas that are kept for the asker; answered by a CompareReply. What it expects it does not
/// say.
struct ReviewRequest {
    std::vector<base::Guid> groups;  ///< ascending
    friend bool operator==(const ReviewRequest&, const ReviewRequest&) = default;
};
/// All diverted replicas of the asker in (after, up_to] of the group: what is kept for it there and not listed is
/// unclaimed.
struct ClaimRequest {
    base::Guid group;
    base::Guid after;
    base::Guid up_to;
    std::vector<base::Guid> ids;  ///< may be empty
    friend bool operator==(const ClaimRequest&, const ClaimRequest&) = default;
};
/// Of diverted replicas that are kept for the asker.
struct RetagRequest {
    TouchRequest request;
    bool untag = false;  ///< they lose the tag, as far as its generation goes
    friend bool operator==(const RetagRequest&, const RetagRequest&) = default;
};
struct ListRequest {
    BlockQuery query;
    base::Guid after;
    friend bool operator==(const ListRequest&, const ListRequest&) = default;
};
/// At most kMaxBlocksPerRequest blocks, ascending, all behind the request's `after` and up to `up_to`.
struct ListReply {
    std::vector<TaggedBlock> blocks;
    base::Guid up_to;
    bool more = false;
    friend bool operator==(const ListReply&, const ListReply&) = default;
};
enum class Offered : std::uint8_t {
    lacking = 0,
    held = 1,
    reclaimed = 2,
    kept = 3,  ///< for another holder, which counts it: lacking, but sent in vain
};

/// Orders the attempts to change a register; the nonce, drawn anew for each attempt, makes every ballot unique.
struct Ballot {
    std::uint64_t counter = 0;
    std::array<std::uint8_t, 16> nonce{};
    friend auto operator<=>(const Ballot&, const Ballot&) = default;
    friend bool operator==(const Ballot&, const Ballot&) = default;
};
constexpr std::uint64_t kMaxBallotCounter = (std::uint64_t{1} << 62U) - 1;
/// Never wraps: at the end of the counters the nonce alone decides.
[[nodiscard]] constexpr std::uint64_t next_counter(std::uint64_t counter) {
    return counter < kMaxBallotCounter ? counter + 1 : kMaxBallotCounter;
}
/// What a register holds: the record and who keeps it. While `previous` is not empty both sets must agree to a change.
struct RegisterValue {
    Record record;
    std::vector<base::Address> members;
    std::vector<base::Address> previous;
};
[[nodiscard]] bool operator==(const RegisterValue& a, const RegisterValue& b);
struct RegisterState {
    Ballot promised;
    Ballot accepted;
    std::optional<RegisterValue> value;  ///< of the ballot `accepted`
    friend bool operator==(const RegisterState&, const RegisterState&) = default;
};
struct QueryRequest {
    base::Guid key;
    std::vector<base::NodeId> genesis;
    friend bool operator==(const QueryRequest&, const QueryRequest&) = default;
};
struct PrepareRequest {
    base::Guid key;
    std::vector<base::NodeId> genesis;
    Ballot ballot;
    friend bool operator==(const PrepareRequest&, const PrepareRequest&) = default;
};
struct AcceptRequest {
    base::Guid key;
    std::vector<base::NodeId> genesis;
    Ballot ballot;
    RegisterValue value;
    friend bool operator==(const AcceptRequest&, const AcceptRequest&) = default;
};
struct RegisterReply {
    bool done = false;
    bool settled = false;
    RegisterState state;
    friend bool operator==(const RegisterReply&, const RegisterReply&) = default;
};
struct PullRequest {
    base::Guid after;
    friend bool operator==(const PullRequest&, const PullRequest&) = default;
};
struct PullReply {
    struct Entry {
        base::Guid key;
        RegisterState state;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    bool known = false;
    bool settled = false;
    bool more = false;
    std::vector<Entry> entries;
    friend bool operator==(const PullReply&, const PullReply&) = default;
};

struct LocalPut {
    base::Guid group;
    Tag tag;
    std::vector<base::Guid> ids;
    std::vector<std::uint32_t> lengths;
    Wait wait = Wait::majority;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalPut&, const LocalPut&) = default;
};
struct LocalGet {
    base::Guid group;
    base::Guid id;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalGet&, const LocalGet&) = default;
};
struct LocalTouch {
    TouchRequest request;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalTouch&, const LocalTouch&) = default;
};
struct LocalRemove {
    Reclaim reclaim;
    std::uint64_t deadline_ms = 0;
};
struct LocalList {
    ListRequest request;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalList&, const LocalList&) = default;
};
struct LocalReadRecord {
    base::Guid key;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalReadRecord&, const LocalReadRecord&) = default;
};
struct LocalRecord {
    std::optional<Record> record;
};
struct LocalWriteRecord {
    base::Guid key;
    std::uint64_t expected = 0;
    Record next;
    std::uint64_t deadline_ms = 0;
};
struct LocalRestoreRecord {
    base::Guid key;
    Record lost;
    std::uint64_t deadline_ms = 0;
};
struct LocalHolders {
    base::Guid group;
    std::uint64_t deadline_ms = 0;
    friend bool operator==(const LocalHolders&, const LocalHolders&) = default;
};
/// One node that keeps, or will keep, the blocks of a group.
struct Holder {
    pastry::NodeHandle node;
    bool live = true;
    bool stand_in = false;  ///< takes the writes of an absent one
    friend bool operator==(const Holder&, const Holder&) = default;
};
struct LocalHoldersReply {
    std::vector<Holder> holders;
    friend bool operator==(const LocalHoldersReply&, const LocalHoldersReply&) = default;
};

[[nodiscard]] base::Bytes encode(const StoreRequest&);
[[nodiscard]] base::Bytes encode(const FetchRequest&);
[[nodiscard]] base::Bytes encode(const TouchRequest&);
[[nodiscard]] base::Bytes encode(const BitsReply&);
[[nodiscard]] base::Bytes encode(const Reclaim&);
[[nodiscard]] base::Bytes encode(const HoldersRequest&);
[[nodiscard]] base::Bytes encode(const HoldersReply&);
[[nodiscard]] base::Bytes encode(const CompareRequest&);
[[nodiscard]] base::Bytes encode(const CompareReply&);
[[nodiscard]] base::Bytes encode(const RangesRequest&);
[[nodiscard]] base::Bytes encode(const RangesReply&);
[[nodiscard]] base::Bytes encode(const OfferRequest&);
[[nodiscard]] base::Bytes encode(const FetchReply&);
[[nodiscard]] base::Bytes encode(const RoomReply&);
[[nodiscard]] base::Bytes encode(const ReviewRequest&);
[[nodiscard]] base::Bytes encode(const ClaimRequest&);
[[nodiscard]] base::Bytes encode(const RetagRequest&);
[[nodiscard]] base::Bytes encode(const QueryRequest&);
[[nodiscard]] base::Bytes encode(const PrepareRequest&);
[[nodiscard]] base::Bytes encode(const AcceptRequest&);
[[nodiscard]] base::Bytes encode(const RegisterReply&);
[[nodiscard]] base::Bytes encode(const PullRequest&);
[[nodiscard]] base::Bytes encode(const PullReply&);
[[nodiscard]] base::Bytes encode(const ListRequest&);
[[nodiscard]] base::Bytes encode(const ListReply&);
[[nodiscard]] base::Bytes encode(const LocalPut&);
[[nodiscard]] base::Bytes encode(const PutOutcome&);
[[nodiscard]] base::Bytes encode(const LocalGet&);
[[nodiscard]] base::Bytes encode(const LocalTouch&);
[[nodiscard]] base::Bytes encode(const LocalRemove&);
[[nodiscard]] base::Bytes encode(const LocalList&);
[[nodiscard]] base::Bytes encode(const TaggedBlocks&);
[[nodiscard]] base::Bytes encode(const LocalReadRecord&);
[[nodiscard]] base::Bytes encode(const LocalRecord&);
[[nodiscard]] base::Bytes encode(const ShownRecord&);
[[nodiscard]] base::Bytes encode(const LocalWriteRecord&);
[[nodiscard]] base::Bytes encode(const LocalRestoreRecord&);
[[nodiscard]] base::Bytes encode(const LocalHolders&);
[[nodiscard]] base::Bytes encode(const LocalHoldersReply&);

/// For each type above. base::Errc::bad_format if the bytes do not parse or break a limit.
template <class T>
[[nodiscard]] base::Result<T> decode(base::ByteView bytes);

/// A register's state as one node keeps it in its store (docs/formats/register.md).
struct StoredRegister {
    base::Guid key;
    RegisterState state;
    bool exists = false;  ///< there is a value, though a promise kept us from taking it over: never answer "none"
    friend bool operator==(const StoredRegister&, const StoredRegister&) = default;
};
[[nodiscard]] base::Bytes encode_stored(const StoredRegister& stored);
[[nodiscard]] base::Result<StoredRegister> decode_stored_register(base::ByteView bytes);

/// What one node promised about keys without a value, as it keeps it in its store.
struct StoredPromises {
    struct Entry {
        base::Guid key;
        Ballot ballot;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    Ballot floor;                ///< holds for every key
    std::vector<Entry> entries;  ///< at most kMaxPromises; the one raised last comes last
    friend bool operator==(const StoredPromises&, const StoredPromises&) = default;
};
[[nodiscard]] base::Bytes encode_stored(const StoredPromises& stored);
[[nodiscard]] base::Result<StoredPromises> decode_stored_promises(base::ByteView bytes);

}  // namespace past
