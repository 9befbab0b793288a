#include "reclaims.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr base::Duration kTick = std::chrono::minutes{10};
constexpr base::Duration kRemember = std::chrono::hours{24 * 30};  // an executed one, for holders that were away

/// However an addition ends, those who asked for the same are answered.
class SettleAtEnd {
  public:
    explicit SettleAtEnd(base::Event& settled) : settled_{settled} {}
    ~SettleAtEnd() { settled_.set(); }
    SettleAtEnd(const SettleAtEnd&) = delete;
    SettleAtEnd& operator=(const SettleAtEnd&) = delete;

  private:
    base::Event& settled_;
};

}  // namespace

void Reclaims::load() {
    for (auto& stored : slots_.load()) {
        auto entry = std::make_shared<Entry>(context_.env.executor);
        static_cast<StoredReclaim&>(*entry) = std::move(stored);
        entry->sorted = entry->reclaim.blocks;
        std::ranges::sort(entry->sorted);
        entry->saved = base::ok();
        entry->settled.set();
        ids_ += entry->reclaim.blocks.size();
        entries_[entry->digest] = std::move(entry);
    }
}

Task<Result<void>> Reclaims::add(Reclaim reclaim) {
    BASE_CO_CHECK(check_reclaim(reclaim));
    const auto digest = base::sha256(encode(reclaim));
    if (const auto known = entries_.find(digest); known != entries_.end()) {
        const auto first = known->second;
        co_await first->settled.wait();
        co_return first->saved;
    }
    if (pending() >= context_.config.max_pending_reclaims ||
        ids_ + reclaim.blocks.size() > context_.config.max_reclaim_ids) {
        co_return base::Error{base::Errc::busy, "too many reclaims wait for their grace"};
    }
    const auto entry = std::make_shared<Entry>(context_.env.executor);
    const SettleAtEnd at_end{entry->settled};
    entry->digest = digest;
    entry->sorted = reclaim.blocks;
    std::ranges::sort(entry->sorted);
    const bool at_once = reclaim.at_once;
    entry->reclaim = std::move(reclaim);
    entry->left = at_once ? base::Duration{} : base::Duration{context_.membership.policy().reclaim_grace};
    entries_[digest] = entry;
    ids_ += entry->reclaim.blocks.size();
    entry->saved = co_await slots_.save(*entry);
    if (!entry->saved) {
        forget(*entry);
    } else if (at_once) {
        co_await execute(entry);
    }
    co_return entry->saved;
}

Task<void> Reclaims::execute(std::shared_ptr<Entry> entry) {
    const auto gone = co_await context_.store.untag(entry->reclaim.tag, entry->reclaim.blocks);
    if (!gone) {
        context_.log(base::Log::Level::warning, "reclaim put off: {}", gone.error().message());
        co_return;  // the next tick tries again
    }
    if (entry->executed) co_return;  // the tick and whoever added it may meet here
    entry->executed = true;
    entry->left = kRemember;
    (void)co_await slots_.save_head(*entry);
    context_.log(base::Log::Level::debug, "reclaimed {} of {} blocks", *gone, entry->reclaim.blocks.size());
}

void Reclaims::forget(Entry& entry) {
    slots_.give_back(entry);
    ids_ -= entry.reclaim.blocks.size();
    entries_.erase(entry.digest);
}

Task<void> Reclaims::run() {
    for (auto last = context_.now();;) {
        const auto grace = base::Duration{context_.membership.policy().reclaim_grace};
        co_await context_.env.clock.sleep_for(std::clamp<base::Duration>(grace / 10, std::chrono::seconds{1}, kTick));
        const auto elapsed = context_.now() - last;
        last = context_.now();
        const auto entries = entries_;  // execution takes time, and others come meanwhile
        for (const auto& [digest, entry] : entries) {
            if (!entry->saved) continue;
            entry->left -= std::min(entry->left, elapsed);
            if (entry->left > base::Duration{}) {
                if (entry->executed) continue;  // a crash may let it be remembered longer
                (void)co_await slots_.save_head(*entry);
            } else if (entry->executed) {
                forget(*entry);
            } else {
                co_await execute(entry);
            }
        }
        co_await slots_.clear();
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
