#include "reclaims.hpp"

#include <algorithm>

#include "base/codec.hpp"

namespace past {

using base::Bytes;
using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr std::uint8_t kHead = 2;  // first byte of a record: what it holds (1 is a register)
constexpr std::uint8_t kPart = 3;
constexpr std::size_t kPartBytes = 60U << 10U;
constexpr base::Duration kTick = std::chrono::minutes{10};
constexpr base::Duration kRemember = std::chrono::hours{24 * 30};  // an executed one, for holders that were away

Guid slot_key(std::uint32_t slot) {
    base::Writer out;
    out.text("pelago reclaim slot").u32(slot);
    return base::sha256(out.view());
}

}  // namespace

Bytes Reclaims::head_record(const Entry& entry) const {
    base::Writer out;
    out.u8(kHead).guid(entry.digest).u8(entry.executed ? 1 : 0).i64(entry.left.count());
    out.u8(static_cast<std::uint8_t>(entry.slots.size() - 1));
    return out.take();
}

void Reclaims::load() {
    struct Found {
        std::optional<Entry> entry;
        std::size_t parts = 0;
        std::map<std::uint8_t, Bytes> bytes;
        std::map<std::uint8_t, std::uint32_t> slots;
    };
    std::map<Guid, Found> found;
    for (next_slot_ = 0;; ++next_slot_) {
        const auto record = context_.store.record(slot_key(next_slot_));
        if (!record) break;
        base::Reader in{*record};
        const auto kind = in.u8();
        const auto digest = in.guid();
        if (kind == kHead) {
            Entry entry;
            entry.digest = digest;
            entry.executed = in.u8() != 0;
            entry.left = base::Duration{in.i64()};
            entry.slots.push_back(next_slot_);
            const auto parts = in.u8();
            if (in.complete()) {
                found[digest].entry = std::move(entry);
                found[digest].parts = parts;
                continue;
            }
        } else if (kind == kPart) {
            const auto index = in.u8();
            const auto part = in.raw(in.remaining());
            if (in.complete()) {
                found[digest].bytes[index] = base::to_bytes(part);
                found[digest].slots[index] = next_slot_;
                continue;
            }
        }
        free_slots_.push_back(next_slot_);
    }
    for (auto& [digest, one] : found) {
        Bytes whole;
        for (const auto& [index, part] : one.bytes) whole.insert(whole.end(), part.begin(), part.end());
        auto reclaim = decode<Reclaim>(whole);
        const bool complete = one.entry && one.bytes.size() == one.parts && base::sha256(whole) == digest && reclaim;
        if (!complete) {  // the crash came before it was acknowledged: its owner will ask again
            if (one.entry) free_slots_.push_back(one.entry->slots[0]);
            for (const auto& [index, slot] : one.slots) free_slots_.push_back(slot);
            continue;
        }
        auto entry = std::make_shared<Entry>(std::move(*one.entry));
        entry->reclaim = std::move(*reclaim);
        entry->sorted = entry->reclaim.blocks;
        std::ranges::sort(entry->sorted);
        for (const auto& [index, slot] : one.slots) entry->slots.push_back(slot);
        ids_ += entry->reclaim.blocks.size();
        entries_[digest] = std::move(entry);
    }
}

std::uint32_t Reclaims::take_slot() {
    if (free_slots_.empty()) return next_slot_++;
    const auto slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
}

/// The parts first, the head last: a reclaim without its head never was.
Task<Result<void>> Reclaims::save(Entry& entry) {
    const auto whole = encode(entry.reclaim);
    entry.slots.assign(1, take_slot());
    for (std::size_t offset = 0; offset < whole.size(); offset += kPartBytes) {
        base::Writer out;
        const auto part = base::ByteView{whole}.subspan(offset, std::min(kPartBytes, whole.size() - offset));
        out.u8(kPart).guid(entry.digest).u8(static_cast<std::uint8_t>(offset / kPartBytes)).raw(part);
        entry.slots.push_back(take_slot());
        auto record = out.take();
        BASE_CO_CHECK(co_await context_.store.put_record(slot_key(entry.slots.back()), std::move(record)));
    }
    auto head = head_record(entry);
    co_return co_await context_.store.put_record(slot_key(entry.slots[0]), std::move(head));
}

Task<Result<void>> Reclaims::add(Reclaim reclaim) {
    BASE_CO_CHECK(check_reclaim(reclaim));
    auto entry = std::make_shared<Entry>();
    entry->digest = base::sha256(encode(reclaim));
    if (entries_.contains(entry->digest)) co_return base::ok();
    if (pending() >= context_.config.max_pending_reclaims ||
        ids_ + reclaim.blocks.size() > context_.config.max_reclaim_ids) {
        co_return base::Error{base::Errc::busy, "too many reclaims wait for their grace"};
    }
    entry->sorted = reclaim.blocks;
    std::ranges::sort(entry->sorted);
    const bool at_once = reclaim.at_once;
    entry->reclaim = std::move(reclaim);
    entry->left = at_once ? base::Duration{} : base::Duration{context_.membership.policy().reclaim_grace};
    entries_[entry->digest] = entry;
    ids_ += entry->reclaim.blocks.size();
    auto saved = co_await save(*entry);
    if (!saved) {
        entries_.erase(entry->digest);
        ids_ -= entry->reclaim.blocks.size();
        co_return std::move(saved).error();
    }
    if (at_once) co_await execute(entry);
    co_return base::ok();
}

Task<void> Reclaims::execute(std::shared_ptr<Entry> entry) {
    const auto gone = co_await context_.store.untag(entry->reclaim.tag, entry->reclaim.blocks);
    if (!gone) {
        context_.log(base::Log::Level::warning, "reclaim put off: {}", gone.error().message());
        co_return;  // the next tick tries again
    }
    entry->executed = true;
    entry->left = kRemember;
    auto head = head_record(*entry);
    (void)co_await context_.store.put_record(slot_key(entry->slots[0]), std::move(head));
    context_.log(base::Log::Level::debug, "reclaimed {} of {} blocks", *gone, entry->reclaim.blocks.size());
}

Task<void> Reclaims::forget(std::shared_ptr<Entry> entry) {
    for (const auto slot : entry->slots) {
        base::Bytes nothing;
        if (!co_await context_.store.put_record(slot_key(slot), std::move(nothing))) co_return;
        free_slots_.push_back(slot);
    }
    ids_ -= entry->reclaim.blocks.size();
    entries_.erase(entry->digest);
}

Task<void> Reclaims::run() {
    for (auto last = context_.now();;) {
        const auto grace = base::Duration{context_.membership.policy().reclaim_grace};
        co_await context_.env.clock.sleep_for(std::clamp<base::Duration>(grace / 10, std::chrono::seconds{1}, kTick));
        const auto elapsed = context_.now() - last;
        last = context_.now();
        const auto entries = entries_;  // execution takes time, and others come meanwhile
        for (const auto& [digest, entry] : entries) {
            entry->left -= std::min(entry->left, elapsed);
            if (entry->left > base::Duration{}) {
                if (entry->executed) continue;  // a crash may let it be remembered longer
                auto head = head_record(*entry);
                (void)co_await context_.store.put_record(slot_key(entry->slots[0]), std::move(head));
            } else if (entry->executed) {
                co_await forget(entry);
            } else {
                co_await execute(entry);
            }
        }
    }
}

const Reclaim* Reclaims::reclaimed(const Guid& id, const Tag& tag) const {
    for (const auto& [digest, entry] : entries_) {
        const auto& reclaim = entry->reclaim;
        if (!entry->executed || reclaim.tag.volume != tag.volume || reclaim.tag.generation < tag.generation) continue;
        if (std::ranges::binary_search(entry->sorted, id)) return &reclaim;
    }
    return nullptr;
}

std::size_t Reclaims::pending() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(entries_, [](const auto& entry) { return !entry.second->executed; }));
}

}  // namespace past
