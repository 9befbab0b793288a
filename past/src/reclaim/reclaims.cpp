#include "reclaim/reclaims.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kEntryCost = 16;      // in ids: what a reclaim takes up besides them
constexpr std::size_t kShareOfUnheld = 16;  // of the room, at most, for those that named nothing held
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

std::size_t Reclaims::Entry::cost() const { return reclaim.blocks.size() + kEntryCost; }

void Reclaims::load() {
    for (auto& stored : slots_.load()) {
        auto entry = std::make_shared<Entry>(context_.env.executor);
        static_cast<StoredReclaim&>(*entry) = std::move(stored);
        entry->names_held = entry->executed || names_held(entry->reclaim);
        entry->saved = base::ok();
        entry->settled.set();
        list(std::move(entry));
    }
}

/// Or lost, and still wanted by this tag.
bool Reclaims::names_held(const Reclaim& reclaim) const {
    const auto covered = [&](const Tag& tag) {
        return tag.volume == reclaim.tag.volume && tag.generation <= reclaim.tag.generation;
    };
    const auto held = [&](const Guid& id) { return std::ranges::any_of(context_.store.tags(id), covered); };
    if (std::ranges::any_of(reclaim.blocks, held)) return true;
    return std::ranges::any_of(context_.store.lost(), [&](const LostBlock& lost) {
        return std::ranges::any_of(lost.tags, covered) &&
               std::ranges::find(reclaim.blocks, lost.id) != reclaim.blocks.end();
    });
}

// --- room

/// What only is remembered stands in nobody's way.
Result<void> Reclaims::check_room(const Entry& entry) const {
    const auto& config = context_.config;
    const auto owner = owners_.find(entry.reclaim.owner);
    const auto of_owner = owner == owners_.end() ? 0 : owner->second.waiting;
    const bool room = waiting_ < config.max_pending_reclaims && all_.waiting + entry.cost() <= config.max_reclaim_ids &&
                      of_owner + entry.cost() <= config.max_reclaim_ids / 2;
    if (room || !entry.names_held) return base::ok();
    return base::Error{base::Errc::busy, "too many reclaims wait for their grace"};
}

/// Those that named nothing held have a small share of the room and go first.
void Reclaims::make_room() {
    const auto limit = context_.config.max_reclaim_ids;
    const auto over = [&] { return all_.waiting + all_.remembered > limit; };
    while (over() || unheld_ > limit / kShareOfUnheld) {
        auto* entry = next_to_forget(/*names_held=*/false);
        if (entry == nullptr) break;
        forget(*entry);
    }
    while (over()) {
        auto* entry = next_to_forget(/*names_held=*/true);
        if (entry == nullptr) break;
        forget(*entry);
    }
}

/// Of the owner that has most, the one that was to be forgotten first anyway.
Reclaims::Entry* Reclaims::next_to_forget(bool names_held) {
    Entry* next = nullptr;
    const auto of_owner = [&](const Entry& entry) { return owners_.at(entry.reclaim.owner).remembered; };
    for (auto& [digest, entry] : entries_) {
        if (entry->waits() || !entry->saved || entry->names_held != names_held) continue;
        const bool sooner = next == nullptr || of_owner(*entry) > of_owner(*next) ||
                            (of_owner(*entry) == of_owner(*next) && entry->left < next->left);
        if (sooner) next = entry.get();
    }
    return next;
}

void Reclaims::count(const Entry& entry, bool comes) {
    auto& owner = owners_[entry.reclaim.owner];
    const auto add = [&](std::size_t& sum, std::size_t what) { sum = comes ? sum + what : sum - what; };
    for (auto* costs : {&owner, &all_}) add(entry.waits() ? costs->waiting : costs->remembered, entry.cost());
    add(waiting_, entry.waits() ? 1 : 0);
    add(unheld_, entry.names_held ? 0 : entry.cost());
    if (owner.waiting + owner.remembered == 0) owners_.erase(entry.reclaim.owner);
}

void Reclaims::list(std::shared_ptr<Entry> entry) {
    count(*entry, true);
    index(*entry, entry->executed ? taken_ : to_take_);
    const auto digest = entry->digest;
    entries_[digest] = std::move(entry);
}

/// Of two that name a block the one of the later generation covers all that the other does.
void Reclaims::index(const Entry& entry, Named& where) {
    auto& of_volume = where[entry.reclaim.tag.volume];
    for (const auto& id : entry.reclaim.blocks) {
        auto& by = of_volume[id];
        if (by == nullptr || by->reclaim.tag.generation <= entry.reclaim.tag.generation) by = &entry;
    }
}

void Reclaims::unindex(const Entry& entry, Named& where) {
    const auto volume = where.find(entry.reclaim.tag.volume);
    if (volume == where.end()) return;
    for (const auto& id : entry.reclaim.blocks) {
        const auto at = volume->second.find(id);
        if (at != volume->second.end() && at->second == &entry) volume->second.erase(at);
    }
    if (volume->second.empty()) where.erase(volume);
}

void Reclaims::forget(Entry& entry) {
    const auto digest = entry.digest;
    entry.forgotten = true;
    slots_.release(entry);
    count(entry, false);
    unindex(entry, entry.executed ? taken_ : to_take_);
    entries_.erase(digest);  // and with it `entry`, unless somebody works on it
}

// --- what becomes of one

Task<Result<void>> Reclaims::add(Reclaim reclaim) {
    BASE_CO_CHECK(check_reclaim(reclaim));
    const auto digest = base::sha256(encode(reclaim));
    if (const auto known = entries_.find(digest); known != entries_.end()) {
        const auto first = known->second;
        co_await first->settled.wait();
        // A copy may have come back since, from who had not heard of it.
        if (first->executed && !first->forgotten && names_held(reclaim)) co_await execute(first);
        co_return first->saved;
    }
    const auto entry = std::make_shared<Entry>(context_.env.executor);
    const SettleAtEnd at_end{entry->settled};
    const bool at_once = reclaim.at_once;
    entry->digest = digest;
    entry->names_held = names_held(reclaim);
    entry->reclaim = std::move(reclaim);
    entry->left = at_once ? base::Duration{} : base::Duration{context_.membership.policy().reclaim_grace};
    BASE_CO_CHECK(check_room(*entry));
    list(entry);
    make_room();
    co_await slots_.clear();
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
    // The tick and whoever added it may meet here; or it was forgotten meanwhile, for want of room.
    if (entry->executed || entry->forgotten) co_return;
    count(*entry, false);
    unindex(*entry, to_take_);
    entry->executed = true;
    entry->left = kRemember;
    count(*entry, true);
    index(*entry, taken_);
    (void)co_await slots_.save_head(*entry);
    context_.log(base::Log::Level::debug, "reclaimed {} of {} blocks", *gone, entry->reclaim.blocks.size());
}

Task<void> Reclaims::run() {
    for (auto last = context_.now();;) {
        const auto grace = base::Duration{context_.membership.policy().reclaim_grace};
        co_await context_.env.clock.sleep_for(std::clamp<base::Duration>(grace / 10, std::chrono::seconds{1}, kTick));
        const auto elapsed = context_.now() - last;
        last = context_.now();
        const auto entries = entries_;  // execution takes time, and others come meanwhile
        for (const auto& [digest, entry] : entries) {
            if (!entry->saved || entry->forgotten) continue;
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

const Reclaims::Entry* Reclaims::covering(const Named& where, const Guid& id, const Tag& tag) {
    const auto volume = where.find(tag.volume);
    if (volume == where.end()) return nullptr;
    const auto by = volume->second.find(id);
    if (by == volume->second.end() || by->second->reclaim.tag.generation < tag.generation) return nullptr;
    return by->second;
}

const Reclaim* Reclaims::reclaimed(const Guid& id, const Tag& tag) const {
    const auto* entry = covering(taken_, id, tag);
    return entry != nullptr ? &entry->reclaim : nullptr;
}

bool Reclaims::will_take(const Guid& id, const Tag& tag) const { return covering(to_take_, id, tag) != nullptr; }

std::size_t Reclaims::pending() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(entries_, [](const auto& entry) { return !entry.second->executed; }));
}

}  // namespace past
