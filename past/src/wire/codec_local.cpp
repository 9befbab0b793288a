// What a command says to the node of its machine.
#include "wire/codec_tables.hpp"

namespace past {
namespace {

/// As LocalRecord travels.
struct MaybeRecord {
    bool present = false;
    Record record;
};
struct LocalPage {
    base::proto::ListColumns reply;
    unsigned answered = 0;
    unsigned holders = 0;
};

}  // namespace
}  // namespace past

namespace base::proto {

constexpr AtMost kBody{kMaxRecordBytes};

PROTO_TABLE(LocalPut, pb::LocalPut, PROTO_FIELD(group), PROTO_FIELD(tag), PROTO_FIELD(ids, kIds),
            PROTO_FIELD(lengths, kIds), rule(lengths_fit), PROTO_FIELD_AS(wait, full), PROTO_FIELD(deadline_ms))
PROTO_TABLE(PutOutcome, pb::LocalPutReply, PROTO_FIELD(copies_wanted), PROTO_FIELD(copies_stored),
            PROTO_FIELD(copies_possible))
PROTO_TABLE(LocalGet, pb::LocalGet, PROTO_FIELD(group), PROTO_FIELD(id), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalTouch, pb::LocalTouch, PROTO_FIELD(request), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalRemove, pb::LocalRemove, PROTO_FIELD_AS(reclaim, request), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalList, pb::LocalList, PROTO_FIELD(request), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalPage, pb::LocalListReply, PROTO_FIELD(reply), PROTO_FIELD(answered),
            PROTO_FIELD(holders, AtMost{kMaxHolders}), rule(answered_of_holders))
PROTO_TABLE(LocalReadRecord, pb::LocalReadRecord, PROTO_FIELD(key), PROTO_FIELD(deadline_ms))
PROTO_TABLE(MaybeRecord, pb::LocalRecord, PROTO_FIELD(present), PROTO_FIELD_AS(record.sequence, sequence),
            PROTO_FIELD_AS(record.body, body, kBody))
PROTO_TABLE(ShownRecord, pb::LocalShownRecord, PROTO_FIELD_AS(record.sequence, sequence),
            PROTO_FIELD_AS(record.body, body, kBody), PROTO_FIELD(answered),
            PROTO_FIELD(holders, AtMost{kMaxRegisterMembers}), rule(answered_of_holders))
PROTO_TABLE(LocalWriteRecord, pb::LocalWriteRecord, PROTO_FIELD(key), PROTO_FIELD(expected),
            PROTO_FIELD_AS(next.sequence, sequence), PROTO_FIELD_AS(next.body, body, kBody), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalRestoreRecord, pb::LocalRestoreRecord, PROTO_FIELD(key), PROTO_FIELD_AS(lost.sequence, sequence),
            PROTO_FIELD_AS(lost.body, body, kBody), PROTO_FIELD(deadline_ms))
PROTO_TABLE(LocalHolders, pb::LocalHolders, PROTO_FIELD(group), PROTO_FIELD(deadline_ms))
PROTO_TABLE(Holder, pb::LocalHoldersReply::Holder, PROTO_FIELD(node), PROTO_FIELD(live), PROTO_FIELD(stand_in))
PROTO_TABLE(LocalHoldersReply, pb::LocalHoldersReply, PROTO_FIELD(holders, Count{0, 2 * kMaxHolders}))

}  // namespace base::proto

namespace past {

PAST_CODEC(LocalPut, pb::LocalPut, "put")
PAST_CODEC(PutOutcome, pb::LocalPutReply, "put outcome")
PAST_CODEC(LocalGet, pb::LocalGet, "get")
PAST_CODEC(LocalTouch, pb::LocalTouch, "touch")
PAST_CODEC(LocalRemove, pb::LocalRemove, "remove")
PAST_CODEC(LocalList, pb::LocalList, "list")
PAST_CODEC(LocalReadRecord, pb::LocalReadRecord, "read record")
PAST_CODEC(ShownRecord, pb::LocalShownRecord, "shown record")
PAST_CODEC(LocalWriteRecord, pb::LocalWriteRecord, "write record")
PAST_CODEC(LocalRestoreRecord, pb::LocalRestoreRecord, "restore record")
PAST_CODEC(LocalHolders, pb::LocalHolders, "holders")
PAST_CODEC(LocalHoldersReply, pb::LocalHoldersReply, "holders")

Bytes encode(const TaggedBlocks& page) {
    return base::proto::encode<pb::LocalListReply>(LocalPage{columns_of(page), page.answered, page.holders});
}
template <>
base::Result<TaggedBlocks> decode(ByteView bytes) {
    BASE_TRY(const auto page, base::proto::decode<LocalPage, pb::LocalListReply>(bytes, "list reply"));
    TaggedBlocks out;
    out.answered = page.answered;
    out.holders = page.holders;
    if (!take_columns(page.reply, out)) return bad("list reply");
    return out;
}

Bytes encode(const LocalRecord& reply) {
    return base::proto::encode<pb::LocalRecord>(MaybeRecord{reply.record.has_value(), reply.record.value_or(Record{})});
}
template <>
base::Result<LocalRecord> decode(ByteView bytes) {
    BASE_TRY(auto maybe, base::proto::decode<MaybeRecord, pb::LocalRecord>(bytes, "record"));
    LocalRecord out;
    if (maybe.present) out.record = std::move(maybe.record);
    return out;
}

}  // namespace past
