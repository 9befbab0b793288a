#include "past/local.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "replication/batch.hpp"

namespace past {

using base::Guid;
using base::Message;
using base::Result;
using base::SharedBytes;
using base::Task;
using base::TimePoint;

namespace {

constexpr std::uint64_t kLongestMs = 3'600'000;  // of a deadline that another process names

}  // namespace

// --- the command's side

LocalClient::LocalClient(base::Transport& transport, base::Clock& clock, base::Address daemon)
    : transport_{transport}, clock_{clock}, daemon_{std::move(daemon)} {}

Task<Result<Message>> LocalClient::call(LocalVerb verb, base::Bytes header, SharedBytes payload, TimePoint deadline) {
    Message message{base::Service::local, static_cast<std::uint8_t>(verb), std::move(header), std::move(payload)};
    // The daemon gives up at the deadline; its answer that it did so may take a moment more.
    return transport_.request(daemon_, std::move(message), deadline + std::chrono::seconds{1});
}

std::uint64_t LocalClient::milliseconds_until(TimePoint deadline) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_.now()).count();
    return std::clamp<std::uint64_t>(left > 0 ? static_cast<std::uint64_t>(left) : 0, 1, kLongestMs);
}

Task<Result<PutOutcome>> LocalClient::put(Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                          TimePoint deadline) {
    std::vector<Tag> tags{tag};
    BASE_CO_TRY(const auto batch, make_batch(group, std::move(tags), std::move(blocks), Cause::put));
    LocalPut request;
    request.group = group;
    request.tag = tag;
    request.ids = batch->request.ids;
    request.lengths = batch->request.lengths;
    request.wait = wait;
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    auto payload = batch->payload();
    const auto answer = co_await call(LocalVerb::put, std::move(header), std::move(payload), deadline);
    if (!answer) co_return answer.error();
    co_return decode<PutOutcome>(answer->header);
}

Task<Result<SharedBytes>> LocalClient::get(Guid group, Guid id, TimePoint deadline) {
    auto header = encode(LocalGet{group, id, milliseconds_until(deadline)});
    auto answer = co_await call(LocalVerb::get, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return std::move(answer).error();
    if (base::sha256(answer->payload) != id) co_return base::Error{Errc::corrupt_block, id.short_hex()};
    co_return std::move(answer->payload);
}

Task<Result<std::vector<bool>>> LocalClient::touch(Guid group, Tag tag, std::vector<Guid> ids, TimePoint deadline) {
    if (ids.empty()) co_return std::vector<bool>{};
    if (ids.size() > kMaxBlocksPerRequest) {
        co_return base::Error{base::Errc::bad_argument, "a touch takes at most 4096 ids"};
    }
    LocalTouch request;
    request.request.group = group;
    request.request.tag = tag;
    request.request.ids = std::move(ids);
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    const auto answer = co_await call(LocalVerb::touch, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
    if (reply.bits.size() != request.request.ids.size()) co_return base::Errc::bad_format;
    std::vector<bool> held;
    for (const auto bit : reply.bits) held.push_back(bit == 1);
    co_return held;
}

Task<Result<void>> LocalClient::remove(Reclaim reclaim, TimePoint deadline) {
    LocalRemove request;
    request.reclaim = std::move(reclaim);
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    const auto answer = co_await call(LocalVerb::remove, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    co_return base::ok();
}

Task<Result<TaggedBlocks>> LocalClient::list(BlockQuery query, Guid after, TimePoint deadline) {
    LocalList request;
    request.request.query = query;
    request.request.after = after;
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    const auto answer = co_await call(LocalVerb::list, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    co_return decode<TaggedBlocks>(answer->header);
}

Task<Result<std::optional<Record>>> LocalClient::read_record(Guid key, TimePoint deadline) {
    auto header = encode(LocalReadRecord{key, milliseconds_until(deadline)});
    const auto answer = co_await call(LocalVerb::read_record, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    BASE_CO_TRY(auto reply, decode<LocalRecord>(answer->header));
    co_return std::move(reply.record);
}

Task<Result<ShownRecord>> LocalClient::read_any_record(Guid key, TimePoint deadline) {
    auto header = encode(LocalReadRecord{key, milliseconds_until(deadline)});
    const auto answer = co_await call(LocalVerb::read_any_record, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    co_return decode<ShownRecord>(answer->header);
}

Task<Result<void>> LocalClient::write_record(Guid key, std::uint64_t expected, Record next, TimePoint deadline) {
    LocalWriteRecord request;
    request.key = key;
    request.expected = expected;
    request.next = std::move(next);
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    const auto answer = co_await call(LocalVerb::write_record, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    co_return base::ok();
}

Task<Result<void>> LocalClient::restore_record(Guid key, Record lost, TimePoint deadline) {
    LocalRestoreRecord request;
    request.key = key;
    request.lost = std::move(lost);
    request.deadline_ms = milliseconds_until(deadline);
    auto header = encode(request);
    const auto answer = co_await call(LocalVerb::restore_record, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    co_return base::ok();
}

Task<Result<std::vector<Holder>>> LocalClient::holders(Guid group, TimePoint deadline) {
    auto header = encode(LocalHolders{group, milliseconds_until(deadline)});
    const auto answer = co_await call(LocalVerb::holders, std::move(header), SharedBytes(), deadline);
    if (!answer) co_return answer.error();
    BASE_CO_TRY(auto reply, decode<LocalHoldersReply>(answer->header));
    co_return std::move(reply.holders);
}

// --- the daemon's side

LocalServer::LocalServer(base::NodeEnv env, Storage& storage, FindHolders find_holders)
    : env_{env}, storage_{storage}, find_holders_{std::move(find_holders)} {}

bool LocalServer::owns(std::uint8_t verb) {
    return verb >= static_cast<std::uint8_t>(LocalVerb::put) && verb <= static_cast<std::uint8_t>(LocalVerb::list);
}

TimePoint LocalServer::deadline(std::uint64_t milliseconds) const {
    return env_.clock.now() + std::chrono::milliseconds{std::min(milliseconds, kLongestMs)};
}

Task<Result<Message>> LocalServer::put(Message message) {
    BASE_CO_TRY(auto request, decode<LocalPut>(message.header));
    std::size_t bytes = 0;
    for (const auto length : request.lengths) bytes += length;
    if (bytes != message.payload.size()) co_return base::Error{base::Errc::bad_format, "payload"};
    auto blocks = cut_blocks(request.ids, request.lengths, message.payload);
    // The ids come from another process; here they become our word.
    BASE_CO_CHECK(co_await verify_blocks(env_.workers, blocks));
    const auto until = deadline(request.deadline_ms);
    BASE_CO_TRY(const auto outcome,
                co_await storage_.put(request.group, request.tag, std::move(blocks), request.wait, until));
    co_return Message{base::Service::local, message.verb(), encode(outcome)};
}

Task<Result<Message>> LocalServer::handle(Message message) {
    const auto answer = [&](base::Bytes header, SharedBytes payload = {}) {
        return Message{base::Service::local, message.verb(), std::move(header), std::move(payload)};
    };
    switch (static_cast<LocalVerb>(message.verb())) {
        case LocalVerb::put: co_return co_await put(std::move(message));
        case LocalVerb::get: {
            BASE_CO_TRY(const auto request, decode<LocalGet>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_TRY(auto bytes, co_await storage_.get(request.group, request.id, until));
            co_return answer({}, std::move(bytes));
        }
        case LocalVerb::touch: {
            BASE_CO_TRY(auto request, decode<LocalTouch>(message.header));
            auto& touch = request.request;
            const auto until = deadline(request.deadline_ms);
            BASE_CO_TRY(const auto held, co_await storage_.touch(touch.group, touch.tag, std::move(touch.ids), until));
            BitsReply reply;
            for (const bool one : held) reply.bits.push_back(one ? 1 : 0);
            co_return answer(encode(reply));
        }
        case LocalVerb::remove: {
            BASE_CO_TRY(auto request, decode<LocalRemove>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_CHECK(co_await storage_.remove(std::move(request.reclaim), until));
            co_return answer({});
        }
        case LocalVerb::list: {
            BASE_CO_TRY(const auto request, decode<LocalList>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_TRY(const auto page, co_await storage_.list(request.request.query, request.request.after, until));
            co_return answer(encode(page));
        }
        case LocalVerb::read_record: {
            BASE_CO_TRY(const auto request, decode<LocalReadRecord>(message.header));
            const auto until = deadline(request.deadline_ms);
            LocalRecord reply;
            BASE_CO_TRY(reply.record, co_await storage_.read_record(request.key, until));
            co_return answer(encode(reply));
        }
        case LocalVerb::write_record: {
            BASE_CO_TRY(auto request, decode<LocalWriteRecord>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_CHECK(
                co_await storage_.write_record(request.key, request.expected, std::move(request.next), until));
            co_return answer({});
        }
        case LocalVerb::holders: {
            if (!find_holders_) break;
            BASE_CO_TRY(const auto request, decode<LocalHolders>(message.header));
            const auto until = deadline(request.deadline_ms);
            LocalHoldersReply reply;
            BASE_CO_TRY(reply.holders, co_await find_holders_(request.group, until));
            co_return answer(encode(reply));
        }
        case LocalVerb::restore_record: {
            BASE_CO_TRY(auto request, decode<LocalRestoreRecord>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_CHECK(co_await storage_.restore_record(request.key, std::move(request.lost), until));
            co_return answer({});
        }
        case LocalVerb::read_any_record: {
            BASE_CO_TRY(const auto request, decode<LocalReadRecord>(message.header));
            const auto until = deadline(request.deadline_ms);
            BASE_CO_TRY(const auto shown, co_await storage_.read_any_record(request.key, until));
            co_return answer(encode(shown));
        }
    }
    co_return base::Errc::unsupported;
}

}  // namespace past
