// Registers of a network of one: nobody else to ask, and nobody else who could give back what was lost.
#include "registers/registers.hpp"

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

// A machine that archived for itself alone and then joined a network (docs/formats/register.md#from-before-joining).
Task<void> Registers::bring_along() {
    for (auto& [key, record] : acceptor_.from_before_joining()) {
        for (unsigned attempt = 5;; ++attempt) {
            const auto deadline = context_.now() + 4 * context_.config.call_timeout;
            auto copy = record;
            const auto brought = co_await bring(key, std::move(copy), deadline);
            const bool known = !brought && brought.error() == Errc::conflict;
            if (known) {
                context_.log(
                    base::Log::Level::warning,
                    "the network has a volume of this name and owner already: the state of record {} that this "
                    "machine brought along ({}) is left out, its blocks stay",
                    key.short_hex(), record.sequence);
            } else if (brought) {
                context_.log(base::Log::Level::info,
                             "the network keeps record {} now, which this machine brought along", key.short_hex());
            }
            if (brought || known) break;
            co_await back_off(attempt);
        }
    }
}

/// As a first write, whatever its number: where a quorum says that there is none, there is nothing that it could undo.
Task<Result<void>> Registers::bring(Guid key, Record record, base::TimePoint deadline) {
    const auto own = acceptor_.state(key);
    auto ballot = new_ballot(own ? own->state.promised.counter : 0);
    auto learned = co_await learn(Verb::prepare, key, ballot, deadline);
    if (!learned.enough && learned.counter > ballot.counter) {
        ballot = new_ballot(learned.counter);
        learned = co_await learn(Verb::prepare, key, ballot, deadline);
    }
    if (!learned.enough) co_return unreachable(key, learned);
    if (learned.best) {
        if (learned.best->second.record.body == record.body) co_return base::ok();
        co_return Errc::conflict;
    }
    RegisterValue value;
    value.record = std::move(record);
    auto genesis = genesis_.members(key);
    value.members = co_await addresses(std::move(genesis), deadline);
    if (co_await accept(key, ballot, std::move(value), true, deadline)) co_return base::ok();
    co_return base::Error{Errc::holders_unreachable, "asked again later"};
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
