// Registers of a network of one: nobody else to ask, and nobody else who could give back what was lost.
#include "registers.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;

bool Registers::alone(const Guid& key) const {
    return genesis_.counting(genesis_.members(key)) == std::vector<NodeId>{context_.self()};
}

Task<Result<RegisterReply>> Registers::ask_myself(Guid key) {
    const auto damaged = [](const Guid& record) {
        return base::Error{Errc::bad_record, "what this node kept as record " + record.short_hex() + " is damaged"};
    };
    QueryRequest request;
    request.key = key;
    request.genesis = genesis_.members(key);
    auto reply = co_await acceptor_.query(std::move(request));
    if (!reply && reply.error() == base::Errc::corrupt) co_return damaged(key);
    if (!reply || !reply->state.value) co_return reply;
    const auto& record = reply->state.value->record;
    const auto sequence = context_.verify(key, record.body);
    if (!sequence && sequence.error() == base::Errc::unsupported) co_return sequence.error();
    if (!sequence || *sequence != record.sequence) co_return damaged(key);
    co_return reply;
}

Task<Result<void>> Registers::restore(Guid key, Record lost) {
    const auto sequence = context_.verify(key, lost.body);
    if (!sequence || *sequence != lost.sequence || lost.body.size() > kMaxRecordBytes) co_return Errc::bad_record;
    RegisterValue value;
    value.record = std::move(lost);
    value.members.push_back(context_.kbr.self().address);
    BASE_CO_CHECK(co_await acceptor_.restore_alone(key, std::move(value)));
    context_.log(base::Log::Level::info, "record {} was given back by a client that had seen {}", key.short_hex(),
                 *sequence);
    co_return base::ok();
}

}  // namespace past
