// Whatever PAST reads from others or from its own records: never a crash, and what decodes, encodes and decodes again.
#include <algorithm>
#include <cstdlib>

#include "../../past/src/divert/ledger.hpp"
#include "past/messages.hpp"

namespace {

template <class T>
void check(base::ByteView input) {
    const auto value = past::decode<T>(input);
    if (!value) return;
    // Protocol Buffers allow many encodings of one value; ours of it is one, and stays so.
    const auto bytes = past::encode(*value);
    const auto again = past::decode<T>(bytes);
    if (!again || past::encode(*again) != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView input{data, size};
    check<past::StoreRequest>(input);
    check<past::FetchRequest>(input);
    check<past::TouchRequest>(input);
    check<past::BitsReply>(input);
    check<past::Reclaim>(input);
    check<past::HoldersRequest>(input);
    check<past::HoldersReply>(input);
    check<past::CompareRequest>(input);
    check<past::CompareReply>(input);
    check<past::RangesRequest>(input);
    check<past::RangesReply>(input);
    check<past::OfferRequest>(input);
    check<past::FetchReply>(input);
    check<past::RoomReply>(input);
    check<past::ReviewRequest>(input);
    check<past::ClaimRequest>(input);
    check<past::RetagRequest>(input);
    check<past::ListRequest>(input);
    check<past::ListReply>(input);
    check<past::QueryRequest>(input);
    check<past::PrepareRequest>(input);
    check<past::AcceptRequest>(input);
    check<past::RegisterReply>(input);
    check<past::PullRequest>(input);
    check<past::PullReply>(input);
    check<past::LocalPut>(input);
    check<past::PutOutcome>(input);
    check<past::LocalGet>(input);
    check<past::LocalTouch>(input);
    check<past::LocalRemove>(input);
    check<past::LocalList>(input);
    check<past::TaggedBlocks>(input);
    check<past::LocalReadRecord>(input);
    check<past::LocalRecord>(input);
    check<past::ShownRecord>(input);
    check<past::LocalWriteRecord>(input);
    check<past::LocalRestoreRecord>(input);
    check<past::LocalHolders>(input);
    check<past::LocalHoldersReply>(input);
    if (const auto stored = past::decode_stored_register(input)) {
        const auto bytes = past::encode_stored(*stored);
        const auto again = past::decode_stored_register(bytes);
        if (!again || past::encode_stored(*again) != bytes) std::abort();
    }
    if (const auto promises = past::decode_stored_promises(input)) {
        const auto bytes = past::encode_stored(*promises);
        if (!std::ranges::equal(bytes, input)) std::abort();  // one encoding of a value
    }
    for (const auto kind : {past::Ledger::Kind::pointers, past::Ledger::Kind::diverted_replicas}) {
        const auto slot = past::Ledger::decode_slot(kind, input);
        if (!slot) continue;
        const auto bytes = past::Ledger::encode_slot(kind, slot->first, slot->second);
        if (!std::ranges::equal(bytes, input)) std::abort();  // one encoding of a value
    }
    return 0;
}
