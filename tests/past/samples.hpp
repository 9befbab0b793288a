// One value of every message, for golden bytes and the fuzzer's corpus.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "past/messages.hpp"

namespace past::test {

inline base::Guid sample_guid(std::uint8_t fill) {
    base::Guid::Array bytes{};
    bytes.fill(fill);
    return base::Guid{bytes};
}

inline RegisterValue sample_value() {
    RegisterValue value;
    value.record = {7, base::to_bytes("body of the record")};
    value.members = {{sample_guid(1), "one:7000"}, {sample_guid(2), "two:7000"}, {sample_guid(3), ""}};
    value.previous = {{sample_guid(1), "one:7000"}};
    return value;
}

inline RegisterState sample_state() {
    RegisterState state;
    state.promised.counter = 9;
    state.promised.nonce.fill(4);
    state.accepted.counter = 8;
    state.accepted.nonce.fill(5);
    state.value = sample_value();
    return state;
}

inline std::vector<std::pair<std::string, base::Bytes>> samples() {
    const Tag tag{sample_guid(0xA0), 3};
    const std::vector<base::Guid> ids{sample_guid(0x10), sample_guid(0x11)};
    const auto group = sample_guid(0x50);
    Ballot ballot;
    ballot.counter = 12;
    ballot.nonce.fill(6);
    Reclaim reclaim;
    reclaim.group = group;
    reclaim.tag = tag;
    reclaim.owner.fill(7);
    reclaim.name_digest = sample_guid(8);
    reclaim.blocks = ids;
    reclaim.at_once = true;
    reclaim.signature.fill(9);
    HoldersReply holders;
    holders.live.push_back({{sample_guid(1), "one:7000"}, "rack 1"});
    holders.absent.push_back({{{sample_guid(2), "two:7000"}, ""}, 1500});
    RangesReply ranges;
    ranges.digests[255].fill(0xEE);
    RegisterReply reply;
    reply.done = true;
    reply.state = sample_state();
    PullReply pull;
    pull.known = pull.settled = pull.more = true;
    pull.entries.push_back({group, sample_state()});
    LocalHoldersReply local_holders;
    local_holders.holders.push_back({{{sample_guid(1), "one:7000"}, "rack 1"}, false, true});
    StoredRegister stored{group, sample_state(), true};
    ListRequest list;
    list.query.group = group;
    list.query.tag = tag;
    list.query.owner.fill(7);
    list.query.name_digest = sample_guid(8);
    list.query.all = true;
    list.query.signature.fill(9);
    list.after = sample_guid(0x0F);
    const std::vector<TaggedBlock> tagged{{ids[0], 3, 100}, {ids[1], 2, 200}};
    return {
        {"store_request", encode(StoreRequest{group, {tag}, ids, {100, 200}, Cause::repair})},
        {"fetch_request", encode(FetchRequest{group, ids[0]})},
        {"touch_request", encode(TouchRequest{group, tag, ids})},
        {"bits_reply", encode(BitsReply{{0, 1, 2, 3}})},
        {"reclaim", encode(reclaim)},
        {"holders_request", encode(HoldersRequest{group, 12})},
        {"holders_reply", encode(holders)},
        {"compare_request", encode(CompareRequest{{{group, 5, sample_guid(0xD0)}}})},
        {"compare_reply", encode(CompareReply{{{5, sample_guid(0xD0), 2}}})},
        {"ranges_request", encode(RangesRequest{group})},
        {"ranges_reply", encode(ranges)},
        {"offer_request", encode(OfferRequest{group, tag, ids})},
        {"fetch_reply", encode(FetchReply{{{sample_guid(1), "one:7000"}}})},
        {"room_reply", encode(RoomReply{123'456})},
        {"review_request", encode(ReviewRequest{ids})},
        {"claim_request", encode(ClaimRequest{group, {}, sample_guid(0xFF), ids})},
        {"retag_request", encode(RetagRequest{{group, tag, ids}, true})},
        {"list_request", encode(list)},
        {"list_reply", encode(ListReply{tagged, ids[1], true})},
        {"query_request", encode(QueryRequest{group, ids})},
        {"prepare_request", encode(PrepareRequest{group, ids, ballot})},
        {"accept_request", encode(AcceptRequest{group, ids, ballot, sample_value()})},
        {"register_reply", encode(reply)},
        {"pull_request", encode(PullRequest{group})},
        {"pull_reply", encode(pull)},
        {"local_put", encode(LocalPut{group, tag, ids, {100, 200}, Wait::full, 30'000})},
        {"put_outcome", encode(PutOutcome{3, 1, 2})},
        {"local_get", encode(LocalGet{group, ids[0], 30'000})},
        {"local_touch", encode(LocalTouch{{group, tag, ids}, 30'000})},
        {"local_remove", encode(LocalRemove{reclaim, 30'000})},
        {"local_list", encode(LocalList{list, 30'000})},
        {"tagged_blocks", encode(TaggedBlocks{tagged, ids[1], true, 2, 3})},
        {"local_read_record", encode(LocalReadRecord{group, 30'000})},
        {"local_record", encode(LocalRecord{Record{7, base::to_bytes("body")}})},
        {"local_shown_record", encode(ShownRecord{{7, base::to_bytes("body")}, 1, 2})},
        {"local_write_record", encode(LocalWriteRecord{group, 6, {7, base::to_bytes("body")}, 30'000})},
        {"local_restore_record", encode(LocalRestoreRecord{group, {7, base::to_bytes("body")}, 30'000})},
        {"local_holders", encode(LocalHolders{group, 30'000})},
        {"local_holders_reply", encode(local_holders)},
        {"stored_register", encode_stored(stored)},
    };
}

}  // namespace past::test
