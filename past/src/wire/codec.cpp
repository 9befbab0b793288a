// What nodes say to each other.
#include "wire/codec_tables.hpp"

namespace past {

bool operator==(const RegisterValue& a, const RegisterValue& b) {
    return a.record.sequence == b.record.sequence && a.record.body == b.record.body && a.members == b.members &&
           a.previous == b.previous;
}

namespace {

/// None twice: who answers looks all of them up.
bool ascending(const std::vector<Guid>& ids) {
    return std::ranges::adjacent_find(ids, std::greater_equal{}) == ids.end();
}

}  // namespace
}  // namespace past

namespace base::proto {

constexpr Count kHolders{0, kMaxHolders};
constexpr Count kEntries{0, kMaxCompareEntries};
constexpr Count kGenesis{0, kGenesisMembers};
constexpr Count kAsManyAsFit{0, kMaxHeaderBytes};

// --- blocks

PROTO_TABLE(StoreRequest, pb::StoreRequest, PROTO_FIELD(group), PROTO_FIELD(tags, Count{1, kMaxTagsPerRequest}),
            PROTO_FIELD(ids, kIds), PROTO_FIELD(lengths, kIds), rule(lengths_fit),
            PROTO_FIELD(cause, AtMost{Cause::diverted_repair}))

PROTO_TABLE(FetchRequest, pb::FetchRequest, PROTO_FIELD(group), PROTO_FIELD(id))

PROTO_TABLE(FetchReply, pb::FetchReply, PROTO_FIELD(elsewhere, Count{0, kMaxElsewhere}),
            rule([](const FetchReply& reply) { return members_once(reply.elsewhere); }))

PROTO_TABLE(BitsReply, pb::BitsReply, PROTO_FIELD(bits, AtMost{kMaxBlocksPerRequest}), rule([](const BitsReply& reply) {
                return std::ranges::all_of(reply.bits, [](std::uint8_t bit) { return bit <= 3; });
            }))

// --- holders and repair

PROTO_TABLE(HoldersRequest, pb::HoldersRequest, PROTO_FIELD(group), PROTO_FIELD(count, Between{1, kMaxHolders}))

PROTO_TABLE(HoldersReply::Absent, pb::HoldersReply::Absent, PROTO_FIELD(node),
            PROTO_FIELD(age_ms, Capped{std::uint64_t{1} << 40U}))
PROTO_TABLE(HoldersReply, pb::HoldersReply, PROTO_FIELD(live, kHolders), PROTO_FIELD(absent, kHolders))

PROTO_TABLE(CompareRequest::Entry, pb::CompareRequest::Entry, PROTO_FIELD(group), PROTO_FIELD(blocks),
            PROTO_FIELD(digest))
PROTO_TABLE(CompareRequest, pb::CompareRequest, PROTO_FIELD(entries, kEntries))

PROTO_TABLE(CompareReply::Entry, pb::CompareReply::Entry, PROTO_FIELD(blocks), PROTO_FIELD(digest),
            PROTO_FIELD(unconfirmed),
            rule([](const CompareReply::Entry& entry) { return entry.unconfirmed <= entry.blocks; }))
PROTO_TABLE(CompareReply, pb::CompareReply, PROTO_FIELD(entries, kEntries))

PROTO_TABLE(RangesRequest, pb::RangesRequest, PROTO_FIELD(group))
PROTO_TABLE(RangesReply, pb::RangesReply, PROTO_FIELD(digests))

PROTO_TABLE(OfferRequest, pb::OfferRequest, PROTO_FIELD(group), PROTO_FIELD(tag), PROTO_FIELD(ids, kIds))

// --- diverted copies

PROTO_TABLE(RoomReply, pb::RoomReply, PROTO_FIELD(free_bytes, Capped{std::uint64_t{1} << 60U}))

PROTO_TABLE(ReviewRequest, pb::ReviewRequest, PROTO_FIELD(groups, Count{1, kMaxCompareEntries}),
            rule([](const ReviewRequest& request) { return ascending(request.groups); }))

PROTO_TABLE(ClaimRequest, pb::ClaimRequest, PROTO_FIELD(group), PROTO_FIELD(after), PROTO_FIELD(up_to),
            PROTO_FIELD(ids, kIdsOrNone), rule([](const ClaimRequest& request) {
                const auto& ids = request.ids;
                return ascending(ids) && (ids.empty() || (ids.front() > request.after && ids.back() <= request.up_to));
            }))

PROTO_TABLE(RetagRequest, pb::RetagRequest, PROTO_FIELD(request), PROTO_FIELD(untag))

// --- records

PROTO_TABLE(QueryRequest, pb::QueryRequest, PROTO_FIELD(key), PROTO_FIELD(genesis, kGenesis))
PROTO_TABLE(PrepareRequest, pb::PrepareRequest, PROTO_FIELD(key), PROTO_FIELD(genesis, kGenesis), PROTO_FIELD(ballot))
PROTO_TABLE(AcceptRequest, pb::AcceptRequest, PROTO_FIELD(key), PROTO_FIELD(genesis, kGenesis), PROTO_FIELD(ballot),
            PROTO_FIELD(value))
PROTO_TABLE(RegisterReply, pb::RegisterReply, PROTO_FIELD(done), PROTO_FIELD(settled), PROTO_FIELD(state))
PROTO_TABLE(PullRequest, pb::PullRequest, PROTO_FIELD(after))
PROTO_TABLE(PullReply::Entry, pb::PullReply::Entry, PROTO_FIELD(key), PROTO_FIELD(state))
PROTO_TABLE(PullReply, pb::PullReply, PROTO_FIELD(known), PROTO_FIELD(settled), PROTO_FIELD(more),
            PROTO_FIELD(entries, kAsManyAsFit))
PROTO_TABLE(StoredRegister, pb::PullReply::Entry, PROTO_FIELD(key), PROTO_FIELD(state))

}  // namespace base::proto

namespace past {

PAST_CODEC(StoreRequest, pb::StoreRequest, "store request")
PAST_CODEC(FetchRequest, pb::FetchRequest, "fetch request")
PAST_CODEC(FetchReply, pb::FetchReply, "fetch reply")
PAST_CODEC(TouchRequest, pb::TouchRequest, "touch request")
PAST_CODEC(BitsReply, pb::BitsReply, "bits")
PAST_CODEC(ListRequest, pb::ListRequest, "list")
PAST_CODEC(Reclaim, pb::RemoveRequest, "reclaim")
PAST_CODEC(HoldersRequest, pb::HoldersRequest, "holders request")
PAST_CODEC(HoldersReply, pb::HoldersReply, "holders")
PAST_CODEC(CompareRequest, pb::CompareRequest, "compare")
PAST_CODEC(CompareReply, pb::CompareReply, "compare")
PAST_CODEC(RangesRequest, pb::RangesRequest, "ranges request")
PAST_CODEC(RangesReply, pb::RangesReply, "ranges")
PAST_CODEC(OfferRequest, pb::OfferRequest, "offer")
PAST_CODEC(RoomReply, pb::RoomReply, "room")
PAST_CODEC(ReviewRequest, pb::ReviewRequest, "review")
PAST_CODEC(ClaimRequest, pb::ClaimRequest, "claim")
PAST_CODEC(RetagRequest, pb::RetagRequest, "retag")
PAST_CODEC(QueryRequest, pb::QueryRequest, "query")
PAST_CODEC(PrepareRequest, pb::PrepareRequest, "prepare")
PAST_CODEC(AcceptRequest, pb::AcceptRequest, "accept")
PAST_CODEC(RegisterReply, pb::RegisterReply, "register")
PAST_CODEC(PullRequest, pb::PullRequest, "pull")
PAST_CODEC(PullReply, pb::PullReply, "pull")

Bytes encode(const ListReply& reply) { return base::proto::encode<pb::ListReply>(columns_of(reply)); }
template <>
base::Result<ListReply> decode(ByteView bytes) {
    BASE_TRY(const auto columns, base::proto::decode<ListColumns, pb::ListReply>(bytes, "list reply"));
    ListReply out;
    if (!take_columns(columns, out)) return bad("list reply");
    return out;
}

Bytes encode_stored(const StoredRegister& stored) {
    base::Writer framed;
    framed.u8(1).u8(stored.exists ? 1 : 0).raw(base::proto::encode<pb::PullReply::Entry>(stored));
    return framed.take();
}
base::Result<StoredRegister> decode_stored_register(ByteView bytes) {
    if (bytes.size() < 2 || bytes[0] != 1 || bytes[1] > 1) return base::Error{base::Errc::unsupported, "register"};
    BASE_TRY(auto out, base::proto::decode<StoredRegister, pb::PullReply::Entry>(bytes.subspan(2), "register"));
    out.exists = bytes[1] == 1;
    return out;
}

namespace {

constexpr std::uint8_t kPromises = 5;  // first byte of the record; 1 is a register

void put_ballot(base::Writer& out, const Ballot& ballot) { out.u64(ballot.counter).raw(ballot.nonce); }

Ballot get_ballot(base::Reader& in) {
    Ballot ballot;
    ballot.counter = in.u64();
    if (ballot.counter > kMaxBallotCounter) in.fail();
    const auto nonce = in.raw(ballot.nonce.size());
    if (in.ok()) std::ranges::copy(nonce, ballot.nonce.begin());
    return ballot;
}

}  // namespace

Bytes encode_stored(const StoredPromises& stored) {
    base::Writer out;
    out.u8(kPromises);
    put_ballot(out, stored.floor);
    for (const auto& entry : stored.entries) {
        out.guid(entry.key);
        put_ballot(out, entry.ballot);
    }
    return out.take();
}
base::Result<StoredPromises> decode_stored_promises(ByteView bytes) {
    base::Reader in{bytes};
    StoredPromises out;
    if (in.u8() != kPromises) return base::Error{base::Errc::unsupported, "promises"};
    out.floor = get_ballot(in);
    while (in.ok() && in.remaining() > 0) {
        if (out.entries.size() == kMaxPromises) return bad("promises");
        const auto key = in.guid();
        out.entries.push_back({key, get_ballot(in)});
    }
    if (!in.complete()) return bad("promises");
    return out;
}

}  // namespace past
