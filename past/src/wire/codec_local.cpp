// What a command says to the node of its machine.
#include "wire/codec_fields.hpp"

namespace past {
// --- the local socket

Bytes encode(const LocalPut& request) {
    pb::LocalPut out;
    put(out.mutable_group(), request.group);
    put(out.mutable_tag(), request.tag);
    put(out.mutable_ids(), request.ids);
    out.mutable_lengths()->Add(request.lengths.begin(), request.lengths.end());
    out.set_full(request.wait == Wait::full);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalPut> decode(ByteView bytes) {
    pb::LocalPut in;
    LocalPut out;
    if (!parse(in, bytes) || !get(in.group(), out.group) || !get(in.tag(), out.tag) ||
        !get(in.ids(), out.ids, kMaxBlocksPerRequest, 1) || !get_lengths(in.lengths(), out.ids.size(), out.lengths)) {
        return bad("put");
    }
    out.wait = in.full() ? Wait::full : Wait::majority;
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const PutOutcome& outcome) {
    pb::LocalPutReply out;
    out.set_copies_wanted(outcome.copies_wanted);
    out.set_copies_stored(outcome.copies_stored);
    out.set_copies_possible(outcome.copies_possible);
    return serialize(out);
}
template <>
base::Result<PutOutcome> decode(ByteView bytes) {
    pb::LocalPutReply in;
    if (!parse(in, bytes)) return bad("put outcome");
    PutOutcome out;
    out.copies_wanted = in.copies_wanted();
    out.copies_stored = in.copies_stored();
    out.copies_possible = in.copies_possible();
    return out;
}

Bytes encode(const LocalGet& request) {
    pb::LocalGet out;
    put(out.mutable_group(), request.group);
    put(out.mutable_id(), request.id);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalGet> decode(ByteView bytes) {
    pb::LocalGet in;
    LocalGet out;
    if (!parse(in, bytes) || !get(in.group(), out.group) || !get(in.id(), out.id)) return bad("get");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalTouch& request) {
    pb::LocalTouch out;
    put(out.mutable_request(), request.request);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalTouch> decode(ByteView bytes) {
    pb::LocalTouch in;
    LocalTouch out;
    if (!parse(in, bytes) || !get(in.request(), out.request)) return bad("touch");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalRemove& request) {
    pb::LocalRemove out;
    put(out.mutable_request(), request.reclaim);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalRemove> decode(ByteView bytes) {
    pb::LocalRemove in;
    LocalRemove out;
    if (!parse(in, bytes) || !get(in.request(), out.reclaim)) return bad("remove");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalList& request) {
    pb::LocalList out;
    put(out.mutable_request(), request.request);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalList> decode(ByteView bytes) {
    pb::LocalList in;
    LocalList out;
    if (!parse(in, bytes) || !get(in.request(), out.request)) return bad("list");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const TaggedBlocks& page) {
    pb::LocalListReply out;
    put(out.mutable_reply(), page.blocks, page.up_to, page.more);
    out.set_answered(page.answered);
    out.set_holders(page.holders);
    return serialize(out);
}
template <>
base::Result<TaggedBlocks> decode(ByteView bytes) {
    pb::LocalListReply in;
    TaggedBlocks out;
    if (!parse(in, bytes) || !get(in.reply(), out.blocks, out.up_to, out.more)) return bad("list reply");
    if (in.holders() > kMaxHolders || in.answered() > in.holders()) return bad("list reply");
    out.answered = in.answered();
    out.holders = in.holders();
    return out;
}

Bytes encode(const LocalReadRecord& request) {
    pb::LocalReadRecord out;
    put(out.mutable_key(), request.key);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalReadRecord> decode(ByteView bytes) {
    pb::LocalReadRecord in;
    LocalReadRecord out;
    if (!parse(in, bytes) || !get(in.key(), out.key)) return bad("read record");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalRecord& reply) {
    pb::LocalRecord out;
    out.set_present(reply.record.has_value());
    if (reply.record) {
        out.set_sequence(reply.record->sequence);
        put(out.mutable_body(), ByteView{reply.record->body});
    }
    return serialize(out);
}
template <>
base::Result<LocalRecord> decode(ByteView bytes) {
    pb::LocalRecord in;
    if (!parse(in, bytes) || in.body().size() > kMaxRecordBytes) return bad("record");
    LocalRecord out;
    if (in.present()) {
        auto& record = out.record.emplace();
        record.sequence = in.sequence();
        record.body = base::to_bytes(in.body());
    }
    return out;
}

Bytes encode(const ShownRecord& shown) {
    pb::LocalShownRecord out;
    out.set_sequence(shown.record.sequence);
    put(out.mutable_body(), ByteView{shown.record.body});
    out.set_answered(shown.answered);
    out.set_holders(shown.holders);
    return serialize(out);
}
template <>
base::Result<ShownRecord> decode(ByteView bytes) {
    pb::LocalShownRecord in;
    if (!parse(in, bytes) || in.body().size() > kMaxRecordBytes) return bad("shown record");
    if (in.holders() > kMaxRegisterMembers || in.answered() > in.holders()) return bad("shown record");
    ShownRecord out;
    out.record.sequence = in.sequence();
    out.record.body = base::to_bytes(in.body());
    out.answered = in.answered();
    out.holders = in.holders();
    return out;
}

Bytes encode(const LocalWriteRecord& request) {
    pb::LocalWriteRecord out;
    put(out.mutable_key(), request.key);
    out.set_expected(request.expected);
    out.set_sequence(request.next.sequence);
    put(out.mutable_body(), ByteView{request.next.body});
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalWriteRecord> decode(ByteView bytes) {
    pb::LocalWriteRecord in;
    LocalWriteRecord out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || in.body().size() > kMaxRecordBytes) return bad("write record");
    out.expected = in.expected();
    out.next.sequence = in.sequence();
    out.next.body = base::to_bytes(in.body());
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalRestoreRecord& request) {
    pb::LocalRestoreRecord out;
    put(out.mutable_key(), request.key);
    out.set_sequence(request.lost.sequence);
    put(out.mutable_body(), ByteView{request.lost.body});
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalRestoreRecord> decode(ByteView bytes) {
    pb::LocalRestoreRecord in;
    LocalRestoreRecord out;
    if (!parse(in, bytes) || !get(in.key(), out.key) || in.body().size() > kMaxRecordBytes) {
        return bad("restore record");
    }
    out.lost.sequence = in.sequence();
    out.lost.body = base::to_bytes(in.body());
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalHolders& request) {
    pb::LocalHolders out;
    put(out.mutable_group(), request.group);
    out.set_deadline_ms(request.deadline_ms);
    return serialize(out);
}
template <>
base::Result<LocalHolders> decode(ByteView bytes) {
    pb::LocalHolders in;
    LocalHolders out;
    if (!parse(in, bytes) || !get(in.group(), out.group)) return bad("holders");
    out.deadline_ms = in.deadline_ms();
    return out;
}

Bytes encode(const LocalHoldersReply& reply) {
    pb::LocalHoldersReply out;
    for (const auto& holder : reply.holders) {
        auto* field = out.add_holders();
        put(field->mutable_node(), holder.node);
        field->set_live(holder.live);
        field->set_stand_in(holder.stand_in);
    }
    return serialize(out);
}
template <>
base::Result<LocalHoldersReply> decode(ByteView bytes) {
    pb::LocalHoldersReply in;
    LocalHoldersReply out;
    if (!parse(in, bytes) || static_cast<std::size_t>(in.holders_size()) > 2 * kMaxHolders) return bad("holders");
    for (const auto& field : in.holders()) {
        auto& holder = out.holders.emplace_back();
        if (!get(field.node(), holder.node)) return bad("holder");
        holder.live = field.live();
        holder.stand_in = field.stand_in();
    }
    return out;
}

}  // namespace past
