// The block store contract in its plainest form: maps, no disk. Shows that the suite tests the contract and not one
// store, and what SegmentStore is compared with.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "past/block_store.hpp"
#include "past/error.hpp"

namespace contract {

class MemoryBlockStore final : public past::BlockStore {
  public:
    base::Task<base::Result<void>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks) override {
        for (const auto& block : blocks) {
            const auto at = held_.find(block.id);
            if (at != held_.end() && !has_room(at->second, tag)) co_return past::Errc::too_many_tags;
        }
        for (auto& block : blocks) {
            const auto [at, added] = held_.try_emplace(block.id);
            if (added) {
                drop_loss(block.id);
                at->second.group = group;
                at->second.bytes = std::move(block.bytes);
            }
            raise(at->second, tag);
        }
        co_return base::ok();
    }
    base::Task<base::Result<base::SharedBytes>> get(base::Guid id) override {
        const auto at = held_.find(id);
        if (at != held_.end() && base::sha256(at->second.bytes) == id) co_return at->second.bytes;
        if (at != held_.end()) {
            lost_.push_back({id, at->second.group, tags(id)});
            held_.erase(at);
        }
        const bool lost = std::ranges::find(lost_, id, &past::LostBlock::id) != lost_.end();
        co_return lost ? past::Errc::corrupt_block : past::Errc::block_not_found;
    }
    /// Harm for a test.
    void damage(const base::Guid& id) {
        auto bytes = base::to_bytes(held_.at(id).bytes.view());
        bytes.at(0) ^= 1;
        held_.at(id).bytes = base::SharedBytes{std::move(bytes)};
    }
    base::Task<base::Result<std::vector<bool>>> touch(past::Tag tag, std::vector<base::Guid> ids) override {
        std::vector<bool> known;
        for (const auto& id : ids) {
            const auto at = held_.find(id);
            known.push_back(at != held_.end() && has_room(at->second, tag));
            if (known.back()) raise(at->second, tag);
        }
        co_return known;
    }
    base::Task<base::Result<std::uint64_t>> untag(past::Tag tag, std::vector<base::Guid> ids) override {
        std::uint64_t gone = 0;
        const auto unwanted = [&](const past::Tag& one) {
            return one.volume == tag.volume && one.generation <= tag.generation;
        };
        for (auto& block : lost_) {
            if (std::ranges::find(ids, block.id) != ids.end()) std::erase_if(block.tags, unwanted);
        }
        std::erase_if(lost_, [](const past::LostBlock& block) { return block.tags.empty(); });
        for (const auto& id : ids) {
            const auto at = held_.find(id);
            if (at == held_.end()) continue;
            auto& tags = at->second.tags;
            if (const auto had = tags.find(tag.volume); had != tags.end() && had->second <= tag.generation)
                tags.erase(had);
            if (!tags.empty()) continue;
            held_.erase(at);
            ++gone;
        }
        co_return gone;
    }
    base::Task<base::Result<void>> discard(std::vector<base::Guid> ids) override {
        for (const auto& id : ids) {
            held_.erase(id);
            drop_loss(id);
        }
        co_return base::ok();
    }
    base::Task<base::Result<void>> forget_lost(std::vector<base::Guid> ids) override {
        for (const auto& id : ids) drop_loss(id);
        co_return base::ok();
    }

    [[nodiscard]] bool has(const base::Guid& id) const override { return held_.contains(id); }
    [[nodiscard]] std::uint32_t length(const base::Guid& id) const override {
        const auto at = held_.find(id);
        return at == held_.end() ? 0 : static_cast<std::uint32_t>(at->second.bytes.size());
    }
    [[nodiscard]] std::vector<past::Tag> tags(const base::Guid& id) const override {
        std::vector<past::Tag> out;
        if (const auto at = held_.find(id); at != held_.end()) {
            for (const auto& [volume, generation] : at->second.tags) out.push_back({volume, generation});
        }
        return out;
    }
    [[nodiscard]] std::vector<past::GroupSummary> groups() const override {
        std::map<base::Guid, past::GroupSummary> all;
        for (const auto& [id, block] : held_) {
            auto& summary = all[block.group];
            summary.group = block.group;
            ++summary.blocks;
            summary.bytes += block.bytes.size();
            auto digest = summary.digest.bytes();
            const auto hashed = base::sha256(id.view());
            for (std::size_t i = 0; i < digest.size(); ++i) digest[i] ^= hashed.bytes()[i];
            summary.digest = base::Guid{digest};
        }
        std::vector<past::GroupSummary> out;
        for (const auto& [group, summary] : all) out.push_back(summary);
        return out;
    }
    [[nodiscard]] past::GroupSummary summary(const base::Guid& group) const override {
        const auto all = groups();
        const auto found = std::ranges::find(all, group, &past::GroupSummary::group);
        return found == all.end() ? past::GroupSummary{.group = group} : *found;
    }
    [[nodiscard]] std::vector<base::Guid> list(const base::Guid& group, const base::Guid& after,
                                               std::size_t limit) const override {
        std::vector<base::Guid> ids;
        for (auto at = held_.upper_bound(after); at != held_.end() && ids.size() < limit; ++at) {
            if (at->second.group == group) ids.push_back(at->first);
        }
        return ids;
    }
    [[nodiscard]] std::vector<past::LostBlock> lost() const override { return lost_; }
    [[nodiscard]] past::StoreUsage usage() const override {
        past::StoreUsage out;
        out.blocks = held_.size();
        for (const auto& [id, block] : held_) out.block_bytes += block.bytes.size();
        out.disk_bytes = out.block_bytes;
        out.lost_blocks = lost_.size();
        return out;
    }

    base::Task<base::Result<void>> put_record(base::Guid key, base::Bytes value) override {
        if (value.size() > 64U << 10U) co_return past::Errc::too_large;
        if (before_a_record) co_await std::exchange(before_a_record, nullptr)();
        if (records_until_refusal_ && (*records_until_refusal_)-- == 0) {
            records_until_refusal_.reset();
            co_return past::Errc::no_space;
        }
        records_[key] = std::move(value);
        co_return base::ok();
    }
    /// Another harm: after `taken` more records one is refused.
    void refuse_a_record_after(std::size_t taken) { records_until_refusal_ = taken; }
    std::function<base::Task<void>()> before_a_record;  ///< happens before one is written, once
    [[nodiscard]] std::optional<base::Bytes> record(const base::Guid& key) const override {
        const auto at = records_.find(key);
        if (at == records_.end()) return std::nullopt;
        return at->second;
    }
    [[nodiscard]] std::vector<base::Guid> record_keys() const override {
        std::vector<base::Guid> keys;
        for (const auto& [key, value] : records_) keys.push_back(key);
        return keys;
    }

  private:
    struct Held {
        base::Guid group;
        base::SharedBytes bytes;
        std::map<base::Guid, std::uint64_t> tags;
    };
    void drop_loss(const base::Guid& id) {
        std::erase_if(lost_, [&](const past::LostBlock& block) { return block.id == id; });
    }
    static bool has_room(const Held& block, const past::Tag& tag) {
        return block.tags.size() < past::kMaxTagsPerBlock || block.tags.contains(tag.volume);
    }
    static void raise(Held& block, const past::Tag& tag) {
        auto& generation = block.tags[tag.volume];
        generation = std::max(generation, tag.generation);
    }

    std::map<base::Guid, Held> held_;
    std::vector<past::LostBlock> lost_;
    std::map<base::Guid, base::Bytes> records_;
    std::optional<std::size_t> records_until_refusal_;
};

}  // namespace contract
