// A whole PAST in memory, for tests of the layers above it: small and honest. It keeps the contract of past::Storage to
// the letter (sizes, ids, conflicts, verified records, owner-signed reclaims), answers only after a turn of the
// executor so that callers interleave as they do on a network, and fails where a test says so.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/crypto.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "past/storage.hpp"

namespace support {

class MemoryStorage final : public past::Storage {
  public:
    struct Stored {
        base::Guid group;
        base::SharedBytes bytes;
        std::map<base::Guid, std::uint64_t> tags;  // volume -> generation
    };

    MemoryStorage(base::Executor executor, past::RecordVerifier verify)
        : executor_{std::move(executor)}, verify_{std::move(verify)} {}

    // What a test may turn. A hook returns the error to fail with, or nothing; it runs before anything is changed.
    std::function<std::optional<base::Error>(const std::vector<past::Block>&)> fail_put;
    std::function<std::optional<base::Error>(const base::Guid&)> fail_get;
    std::function<base::Task<void>()> hold_put;  ///< awaited by each put: a slow network
    std::function<std::optional<base::Error>(const std::vector<base::Guid>&)> fail_touch;
    std::function<std::optional<base::Error>(const past::Reclaim&)> fail_remove;
    /// Blocks that too few holders have: touch() says no, and get() finds one that has it.
    std::function<bool(const base::Guid&)> thin;
    /// Runs at the beginning of write_record(), before it looks at what is there: for races.
    std::function<std::optional<base::Error>(const base::Guid&)> fail_write_record;
    /// Runs after the record was replaced: an error here is an answer that was lost.
    std::function<std::optional<base::Error>(const base::Guid&)> lose_answer;
    /// The register's only holder: takes back a record that it lost.
    bool alone = false;
    std::function<std::optional<base::Error>(const base::Guid&)> fail_restore_record;
    /// Of the records: below a majority nothing but read_any_record() is answered.
    unsigned holders = 5, holders_up = 5;
    std::size_t list_page = 7;  ///< blocks of one answer: every caller has to ask for the next
    past::PutOutcome outcome{.copies_wanted = 3, .copies_stored = 3};

    // What a test may look at.
    [[nodiscard]] const std::map<base::Guid, Stored>& blocks() const { return blocks_; }
    [[nodiscard]] const std::map<base::Guid, past::Record>& records() const { return records_; }
    [[nodiscard]] std::uint64_t bytes_stored() const {
        std::uint64_t total = 0;
        for (const auto& [id, stored] : blocks_) total += stored.bytes.size();
        return total;
    }
    [[nodiscard]] std::uint64_t puts() const { return puts_; }
    [[nodiscard]] std::uint64_t blocks_sent() const { return blocks_sent_; }
    [[nodiscard]] std::uint64_t gets() const { return gets_; }
    [[nodiscard]] std::uint64_t touches() const { return touches_; }
    /// The most bytes that were in puts under way at one time.
    [[nodiscard]] std::uint64_t most_bytes_in_flight() const { return most_in_flight_; }

    void lose_block(const base::Guid& id) { blocks_.erase(id); }
    /// What get() will return, whatever it hashes to: a storage layer that fails to check.
    void replace_bytes(const base::Guid& id, base::Bytes bytes) { blocks_.at(id).bytes = std::move(bytes); }
    void lose_record(const base::Guid& key) { records_.erase(key); }
    /// The record as an old or lying majority would offer it.
    void replace_record(const base::Guid& key, past::Record record) { records_[key] = std::move(record); }

    base::Task<base::Result<past::PutOutcome>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                                   past::Wait /*wait*/, base::TimePoint /*deadline*/) override {
        std::uint64_t bytes = 0;
        if (blocks.empty() || blocks.size() > past::kMaxBlocksPerRequest) co_return base::Errc::bad_argument;
        for (const auto& block : blocks) {
            if (block.bytes.size() > base::kMaxBlockBytes) co_return past::Errc::too_large;
            bytes += block.bytes.size();
        }
        if (bytes > base::kMaxPayloadBytes) co_return past::Errc::too_large;
        in_flight_ += bytes;
        most_in_flight_ = std::max(most_in_flight_, in_flight_);
        co_await turn();
        if (hold_put) co_await hold_put();
        in_flight_ -= bytes;
        if (fail_put) {
            if (auto error = fail_put(blocks)) co_return std::move(*error);
        }
        ++puts_;
        blocks_sent_ += blocks.size();
        for (auto& block : blocks) {
            if (base::sha256(block.bytes) != block.id) co_return past::Errc::corrupt_block;
            auto& stored = blocks_[block.id];
            stored.group = group;
            stored.bytes = std::move(block.bytes);
            auto& generation = stored.tags[tag.volume];
            generation = std::max(generation, tag.generation);
        }
        co_return outcome;
    }

    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id, base::TimePoint) override {
        co_await turn();
        ++gets_;
        if (fail_get) {
            if (auto error = fail_get(id)) co_return std::move(*error);
        }
        const auto found = blocks_.find(id);
        // A block is looked for at its group only: a wrong place is a block that is not there.
        if (found == blocks_.end() || found->second.group != group) co_return past::Errc::block_not_found;
        co_return found->second.bytes;
    }

    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, past::Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint) override {
        co_await turn();
        if (ids.size() > past::kMaxBlocksPerRequest) co_return past::Errc::too_large;
        ++touches_;
        if (fail_touch) {
            if (auto error = fail_touch(ids)) co_return std::move(*error);
        }
        std::vector<bool> held;
        for (const auto& id : ids) {
            const auto found = blocks_.find(id);
            held.push_back(found != blocks_.end() && found->second.group == group && !(thin && thin(id)));
            if (!held.back()) continue;
            auto& generation = found->second.tags[tag.volume];
            generation = std::max(generation, tag.generation);
        }
        co_return held;
    }

    base::Task<base::Result<void>> remove(past::Reclaim reclaim, base::TimePoint) override {
        co_await turn();
        const auto tag = past::volume_tag(past::volume_guid(reclaim.owner, reclaim.name_digest));
        if (tag != reclaim.tag.volume ||
            !base::verify_signature(reclaim.owner, "pelago reclaim", reclaim.body(), reclaim.signature)) {
            co_return past::Errc::not_owner;
        }
        if (fail_remove) {
            if (auto error = fail_remove(reclaim)) co_return std::move(*error);
        }
        for (const auto& id : reclaim.blocks) {
            const auto found = blocks_.find(id);
            if (found == blocks_.end()) continue;
            const auto held = found->second.tags.find(tag);
            if (held != found->second.tags.end() && held->second <= reclaim.tag.generation) {
                found->second.tags.erase(held);
            }
            if (found->second.tags.empty()) blocks_.erase(found);
        }
        co_return base::ok();
    }

    base::Task<base::Result<past::TaggedBlocks>> list(past::BlockQuery query, base::Guid after,
                                                      base::TimePoint) override {
        co_await turn();
        if (!past::check_query(query)) co_return past::Errc::not_owner;
        past::TaggedBlocks page;
        page.answered = page.holders = 1;
        page.up_to = after;
        for (auto at = blocks_.upper_bound(after); at != blocks_.end(); ++at) {
            const auto& [id, stored] = *at;
            const auto tag = stored.tags.find(query.tag.volume);
            if (stored.group != query.group || tag == stored.tags.end() || tag->second > query.tag.generation) continue;
            if (page.blocks.size() == list_page) {
                page.more = true;
                break;
            }
            page.blocks.push_back({id, tag->second, static_cast<std::uint32_t>(stored.bytes.size())});
            page.up_to = id;
        }
        co_return page;
    }

    base::Task<base::Result<std::optional<past::Record>>> read_record(base::Guid key, base::TimePoint) override {
        co_await turn();
        if (holders_up <= holders / 2) co_return past::Errc::holders_unreachable;
        const auto found = records_.find(key);
        if (found == records_.end()) co_return std::optional<past::Record>{};
        co_return std::optional<past::Record>{found->second};
    }

    base::Task<base::Result<past::ShownRecord>> read_any_record(base::Guid key, base::TimePoint) override {
        co_await turn();
        const auto found = records_.find(key);
        if (holders_up == 0 || found == records_.end()) co_return past::Errc::holders_unreachable;
        co_return past::ShownRecord{found->second, holders_up, holders};
    }

    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, past::Record next,
                                                base::TimePoint) override {
        co_await turn();
        if (holders_up <= holders / 2) co_return past::Errc::holders_unreachable;
        if (fail_write_record) {
            if (auto error = fail_write_record(key)) co_return std::move(*error);
        }
        const auto verified = verify_(key, next.body);
        if (!verified) co_return verified.error();
        if (*verified != next.sequence || next.sequence != expected + 1) co_return past::Errc::bad_record;
        const auto found = records_.find(key);
        const auto present = found == records_.end() ? 0 : found->second.sequence;
        if (present != expected) co_return past::Errc::conflict;
        records_[key] = std::move(next);
        co_await turn();
        if (lose_answer) {
            if (auto error = lose_answer(key)) co_return std::move(*error);
        }
        co_return base::ok();
    }

    base::Task<base::Result<void>> restore_record(base::Guid key, past::Record lost, base::TimePoint) override {
        co_await turn();
        if (fail_restore_record) {
            if (auto error = fail_restore_record(key)) co_return std::move(*error);
        }
        const auto verified = verify_(key, lost.body);
        if (!verified || *verified != lost.sequence) co_return past::Errc::bad_record;
        if (!alone) co_return past::Errc::kept_by_others;
        const auto found = records_.find(key);
        if (found != records_.end() && verify_(key, found->second.body)) {
            if (found->second.body == lost.body) co_return base::ok();
            if (found->second.sequence >= lost.sequence) co_return past::Errc::conflict;
        }
        records_[key] = std::move(lost);
        co_return base::ok();
    }

  private:
    base::Task<void> turn() { co_await boost::asio::post(executor_, boost::asio::use_awaitable); }

    base::Executor executor_;
    past::RecordVerifier verify_;
    std::map<base::Guid, Stored> blocks_;
    std::map<base::Guid, past::Record> records_;
    std::uint64_t puts_ = 0;
    std::uint64_t blocks_sent_ = 0;
    std::uint64_t gets_ = 0;
    std::uint64_t touches_ = 0;
    std::uint64_t in_flight_ = 0;
    std::uint64_t most_in_flight_ = 0;
};

}  // namespace support
