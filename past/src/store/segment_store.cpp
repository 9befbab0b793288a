#include "past/segment_store.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "past/error.hpp"
#include "store/core.hpp"

namespace past {
namespace {

using base::Guid;
using base::Result;
using base::Task;
using store::Request;

constexpr std::size_t kMaxIds = 1U << 20U;
constexpr std::size_t kMaxBlocks = 1U << 16U;

Result<void> check_ids(const std::vector<Guid>& ids) {
    if (ids.size() > kMaxIds) return base::Error{base::Errc::bad_argument, "more than 1048576 blocks at once"};
    return base::ok();
}

}  // namespace

Task<Result<std::unique_ptr<SegmentStore>>> SegmentStore::open(base::NodeEnv env, Config config) {
    config.segment_bytes = std::clamp<std::uint64_t>(config.segment_bytes, 4096, 1U << 30U);
    config.open_files = std::max<std::size_t>(config.open_files, 1);
    store::StoreId fresh_id{};
    env.rng.fill(fresh_id);
    const auto salt = env.rng.next();
    auto& disk = env.disk;
    auto& log = env.log;
    auto job = [&disk, &log, config, fresh_id, salt] { return store::recover(disk, log, config, fresh_id, salt); };
    auto recovered = co_await env.workers.run(std::move(job));
    if (!recovered) co_return recovered.error();
    auto core = std::make_shared<Core>(env, std::move(config), std::move(*recovered));
    core->set_self(core);
    co_return std::unique_ptr<SegmentStore>{new SegmentStore{std::move(core)}};
}

SegmentStore::SegmentStore(std::shared_ptr<Core> core) : core_{std::move(core)} {}

SegmentStore::~SegmentStore() { core_->stop(); }

Task<void> SegmentStore::close() {
    const auto core = core_;
    core->closing = true;
    co_await core->tasks.join();
    co_await Core::settle_last_put(core);
}

Task<void> SegmentStore::give_back() {
    const auto core = core_;
    co_await Core::give_back(core);
}

Task<Result<void>> SegmentStore::put(Guid group, Tag tag, std::vector<Block> blocks) {
    const auto core = core_;
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::put);
    for (const auto& block : blocks) {
        if (block.bytes.size() > base::kMaxBlockBytes) co_return base::Error{Errc::too_large, block.id.hex()};
        request->bytes += store::payload_span(static_cast<std::uint32_t>(block.bytes.size()));
    }
    if (blocks.size() > kMaxBlocks || request->bytes > store::kMaxPayloadsBytes)
        co_return base::Error{base::Errc::bad_argument, "more than 65536 blocks or 128 MiB in one put"};
    if (blocks.empty()) co_return base::ok();
    request->group = group;
    request->tags = {tag};
    request->blocks = std::move(blocks);
    const auto room = co_await core->queue_room.acquire(request->bytes);
    co_await Core::submit(core, request);
    co_return request->result;
}

Task<Result<base::SharedBytes>> SegmentStore::get(Guid id) { return Core::read(core_, id); }

Task<Result<std::vector<bool>>> SegmentStore::touch(Tag tag, std::vector<Guid> ids) {
    const auto core = core_;
    BASE_CO_CHECK(check_ids(ids));
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::touch);
    request->tag = tag;
    request->ids = std::move(ids);
    co_await Core::submit(core, request);
    if (!request->result) co_return request->result.error();
    co_return std::move(request->held);
}

Task<Result<std::uint64_t>> SegmentStore::untag(Tag tag, std::vector<Guid> ids) {
    const auto core = core_;
    BASE_CO_CHECK(check_ids(ids));
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::untag);
    request->tag = tag;
    request->ids = std::move(ids);
    co_await Core::submit(core, request);
    if (!request->result) co_return request->result.error();
    co_return request->gone;
}

Task<Result<void>> SegmentStore::discard(std::vector<Guid> ids) {
    const auto core = core_;
    BASE_CO_CHECK(check_ids(ids));
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::discard);
    request->ids = std::move(ids);
    co_await Core::submit(core, request);
    co_return request->result;
}

Task<Result<void>> SegmentStore::forget_lost(std::vector<Guid> ids) {
    const auto core = core_;
    BASE_CO_CHECK(check_ids(ids));
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::forget_lost);
    request->ids = std::move(ids);
    co_await Core::submit(core, request);
    co_return request->result;
}

Task<Result<void>> SegmentStore::put_record(Guid key, base::Bytes value) {
    const auto core = core_;
    if (value.size() > store::kMaxRecordBytes) co_return base::Error{Errc::too_large, key.hex()};
    const auto request = std::make_shared<Request>(core->env.executor, Request::Kind::record);
    request->group = key;
    request->value = std::move(value);
    co_await Core::submit(core, request);
    co_return request->result;
}

bool SegmentStore::has(const Guid& id) const { return core_->state.index.find(id) != store::Index::kNone; }

std::uint32_t SegmentStore::length(const Guid& id) const {
    const auto& index = core_->state.index;
    const auto block = index.find(id);
    return block == store::Index::kNone ? 0 : index.where(block).length;
}

std::vector<Tag> SegmentStore::tags(const Guid& id) const {
    const auto& state = core_->state;
    const auto block = state.index.find(id);
    if (block == store::Index::kNone) return {};
    return state.tag_sets.tags(state.index.tags(block));
}

std::vector<GroupSummary> SegmentStore::groups() const { return core_->state.index.groups(); }

GroupSummary SegmentStore::summary(const Guid& group) const { return core_->state.index.summary(group); }

std::vector<Guid> SegmentStore::list(const Guid& group, const Guid& after, std::size_t limit) const {
    return core_->state.index.list(group, after, limit);
}

std::vector<LostBlock> SegmentStore::lost() const { return core_->state.lost.all(); }

StoreUsage SegmentStore::usage() const { return core_->usage(); }

std::optional<base::Bytes> SegmentStore::record(const Guid& key) const {
    const auto& records = core_->state.records;
    const auto at = records.find(key);
    if (at == records.end()) return std::nullopt;
    return at->second;
}

std::vector<Guid> SegmentStore::record_keys() const {
    std::vector<Guid> keys;
    for (const auto& [key, value] : core_->state.records) keys.push_back(key);
    return keys;
}

const SegmentStore::Damage& SegmentStore::damage() const { return core_->state.damage; }

}  // namespace past
