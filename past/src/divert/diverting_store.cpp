#include "divert/diverting_store.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "past/error.hpp"
#include "repair/set_digest.hpp"
#include "replication/tagged_put.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;

namespace {

std::vector<Guid> ids_of(const std::vector<Block>& blocks) {
    std::vector<Guid> ids;
    for (const auto& block : blocks) ids.push_back(block.id);
    return ids;
}

bool covers(const std::vector<Tag>& tags, const Tag& tag) {
    return std::ranges::any_of(
        tags, [&](const Tag& each) { return each.volume == tag.volume && each.generation >= tag.generation; });
}

using ByTag = std::map<std::pair<Guid, std::uint64_t>, std::vector<Guid>>;  // volume and generation

}  // namespace

void DivertingStore::load() {
    pointers_.load();
    diverted_.load();
}

/// What became of a block between two records, the crash decided: whoever has the bytes is right.
Task<void> DivertingStore::tidy() {
    std::vector<Guid> home, gone;
    for (const auto& [group, entries] : pointers_.by_group()) {
        for (const auto& [id, entry] : entries) {
            if (inner_.has(id)) home.push_back(id);
        }
    }
    for (const auto& [group, entries] : diverted_.by_group()) {
        for (const auto& [id, entry] : entries) {
            if (!inner_.has(id)) gone.push_back(id);
        }
    }
    // Not being able to write this down now costs nothing: the next start finds it again.
    if (!home.empty()) (void)co_await settle(std::move(home));
    if (!gone.empty()) (void)co_await diverted_.erase(std::move(gone));
}

std::uint64_t DivertingStore::free_bytes(const StoreUsage& usage) {
    const auto taken = usage.disk_bytes + usage.reserve_bytes;
    return usage.read_only || taken >= usage.capacity_bytes ? 0 : usage.capacity_bytes - taken;
}

/// A quarter of the reserve each. A pointer with one tag takes 141 bytes in a slot, a diverted replica fewer, and a
/// slot lies in two checkpoints and in logs of up to twice one. Four million of them with all their tags are a
/// checkpoint that can still be read.
std::uint64_t DivertingStore::max_entries() const {
    constexpr std::uint64_t kBytesOnDisk = 4ULL * 141;
    constexpr std::uint64_t kMost = 4U << 20U;
    return std::min(kMost, inner_.usage().reserve_bytes / 4 / kBytesOnDisk);
}

std::uint64_t DivertingStore::room() const { return free_bytes(inner_.usage()); }

std::uint64_t DivertingStore::room_for_others() const { return diverted_.blocks() < max_entries() ? room() : 0; }

// --- what we answer for

/// What is to be done with each block of a put.
struct DivertingStore::Sorted {
    std::vector<Block> here;      // here already (to be tagged), or new, and there is room
    std::vector<Block> pointed;   // at a neighbour already
    std::vector<Block> too_much;  // new, and there is no room
    std::uint64_t free = 0;       // after those that stay here
};

DivertingStore::Sorted DivertingStore::sort_out(std::vector<Block> blocks) const {
    Sorted sorted;
    sorted.free = room();
    for (auto& block : blocks) {
        if (inner_.has(block.id)) {
            sorted.here.push_back(std::move(block));
        } else if (pointers_.contains(block.id)) {
            sorted.pointed.push_back(std::move(block));
        } else {
            weigh(std::move(block), sorted);
        }
    }
    return sorted;
}

void DivertingStore::weigh(Block block, Sorted& sorted) const {
    const std::uint64_t size = block.bytes.size();
    const bool stays = accepts_primary(size, sorted.free, thresholds_);
    if (stays) sorted.free -= std::min(sorted.free, size);
    (stays ? sorted.here : sorted.too_much).push_back(std::move(block));
}

/// Waits until nobody else has any of them to itself.
Task<DivertingStore::KeyLock> DivertingStore::lock_keys(std::vector<Guid> ids) {
    while (is_any_under_way(ids)) co_await one_less_.wait();
    co_return KeyLock{*this, std::move(ids)};
}

bool DivertingStore::is_any_under_way(const std::vector<Guid>& ids) const {
    return std::ranges::any_of(ids, [&](const Guid& id) { return is_under_way(id); });
}

DivertingStore::KeyLock::KeyLock(DivertingStore& store, std::vector<Guid> ids) : store_{&store}, ids_{std::move(ids)} {
    store_->under_way_.insert(ids_.begin(), ids_.end());
}

DivertingStore::KeyLock::KeyLock(KeyLock&& other) noexcept
    : store_{std::exchange(other.store_, nullptr)}, ids_{std::move(other.ids_)} {}

DivertingStore::KeyLock::~KeyLock() {
    if (store_ == nullptr) return;
    for (const auto& id : ids_) store_->under_way_.erase(id);
    store_->one_less_.pulse();
}

Task<Result<void>> DivertingStore::put_for(Cause cause, Guid group, Tag tag, std::vector<Block> blocks) {
    const auto lock = co_await lock_keys(ids_of(blocks));
    // For whom we keep it counts it, and may just have acknowledged it to whoever asks us now: one disk is one copy.
    if (std::ranges::any_of(blocks, [&](const Block& block) { return diverted_.contains(block.id); }))
        co_return base::Error{base::Errc::busy, "it is kept here for another holder"};
    co_return co_await put_alone(cause, group, tag, std::move(blocks));
}

Task<Result<void>> DivertingStore::put_alone(Cause cause, Guid group, Tag tag, std::vector<Block> blocks) {
    // A disk that failed takes no pointer either: a copy elsewhere would be nobody's. It says so itself.
    if (inner_.usage().read_only) co_return co_await inner_.put(group, tag, std::move(blocks));
    auto sorted = sort_out(std::move(blocks));
    if (!sorted.pointed.empty()) {
        // Whom we cannot ask now may have lost them: then we take them, or somebody else does.
        const auto tagged = co_await touch_elsewhere(tag, ids_of(sorted.pointed));
        for (std::size_t i = 0; i < tagged.size(); ++i) {
            if (!tagged[i]) weigh(std::move(sorted.pointed[i]), sorted);
        }
    }
    // The neighbours first: if they do not take them, nothing was stored here yet. Then what fits here stays here,
    // whatever the threshold says, and whatever kept the neighbours from it (no room, no answer, a pointer that has all
    // the tags it may have): it chooses who takes a block, it refuses none.
    if (!sorted.too_much.empty()) {
        const auto takes_tag = [&](const Block& block) { return has_room_for(block.id, tag); };
        if (!std::ranges::all_of(sorted.here, takes_tag)) co_return Errc::too_many_tags;
        const auto diverted = co_await divert(cause, group, tag, sorted.too_much, DivertTarget::Among::neighbours);
        if (!diverted) sorted.here.insert(sorted.here.end(), sorted.too_much.begin(), sorted.too_much.end());
    }
    if (sorted.here.empty()) co_return base::ok();
    const auto stored = co_await put_here(group, tag, sorted.here);
    if (stored || !(stored.error() == Errc::no_space)) co_return stored;
    // It does not fit, or somebody else was faster: whoever has room. What is here already needs none, only its tag.
    std::vector<Block> held, fresh;
    for (auto& block : sorted.here) (inner_.has(block.id) ? held : fresh).push_back(std::move(block));
    BASE_CO_CHECK(co_await divert(cause, group, tag, std::move(fresh), DivertTarget::Among::anybody));
    if (held.empty()) co_return base::ok();
    co_return co_await put_here(group, tag, std::move(held));
}

/// Of what is here.
bool DivertingStore::has_room_for(const Guid& id, const Tag& tag) const {
    const auto tags = inner_.tags(id);
    return tags.size() < kMaxTagsPerBlock || std::ranges::find(tags, tag.volume, &Tag::volume) != tags.end();
}

Task<Result<void>> DivertingStore::put_here(Guid group, Tag tag, std::vector<Block> blocks) {
    auto ids = ids_of(blocks);
    BASE_CO_CHECK(co_await inner_.put(group, tag, std::move(blocks)));
    co_return co_await settle(std::move(ids));
}

/// What is here needs no pointer: its tags come over, as they are by now, for a touch may raise them meanwhile.
Task<Result<void>> DivertingStore::settle(std::vector<Guid> ids) {
    std::erase_if(ids, [&](const Guid& id) { return !pointers_.contains(id); });
    while (!ids.empty()) {
        ByTag missed;
        for (const auto& id : ids) {
            const auto* pointer = pointers_.find(id);
            if (pointer == nullptr) continue;
            const auto here = inner_.tags(id);
            for (const auto& tag : pointer->tags) {
                if (!covers(here, tag)) missed[{tag.volume, tag.generation}].push_back(id);
            }
        }
        if (missed.empty()) co_return co_await pointers_.erase(std::move(ids));
        for (auto& [key, lacking] : missed) {
            const Tag tag{key.first, key.second};
            BASE_CO_CHECK(co_await touch_all(inner_, tag, std::move(lacking)));
        }
    }
    co_return base::ok();
}

/// The pointer is written last: a crash before it leaves diverted replicas that nobody claims, and those are handed
/// over.
Task<Result<void>> DivertingStore::divert(Cause cause, Guid group, Tag tag, std::vector<Block> blocks,
                                          DivertTarget::Among among) {
    const auto ids = ids_of(blocks);
    const auto fresh = std::ranges::count_if(ids, [&](const Guid& id) { return !pointers_.contains(id); });
    if (fresh > 0 && pointers_.blocks() + static_cast<std::uint64_t>(fresh) > max_entries()) co_return Errc::no_space;
    Ledger::Entries entries;
    std::vector<std::pair<std::vector<Tag>, std::vector<Block>>> batches;  // of equal tags; seldom more than one
    for (auto& block : blocks) {
        Ledger::Entry entry{group, {}, static_cast<std::uint32_t>(block.bytes.size()), {tag}};
        if (const auto* old = pointers_.find(block.id)) {  // its diversion host cannot be asked
            entry.tags = old->tags;
            if (!raise_tag(entry.tags, tag)) co_return Errc::too_many_tags;
        }
        auto batch = std::ranges::find_if(batches, [&](const auto& each) { return each.first == entry.tags; });
        if (batch == batches.end()) batch = batches.insert(batch, {entry.tags, {}});
        entries.emplace(block.id, std::move(entry));
        batch->second.push_back(std::move(block));
    }
    for (auto& [tags, batch] : batches) {
        const auto kept = ids_of(batch);
        BASE_CO_TRY(const auto nodes, co_await target_.keep(group, tags, std::move(batch), among, cause));
        for (std::size_t i = 0; i < kept.size(); ++i) entries.at(kept[i]).node = nodes[i];
    }
    BASE_CO_CHECK(co_await point(std::move(entries)));
    co_await forget_loss(ids);
    co_return base::ok();
}

/// Each to its new diversion host, which hears first of what a touch meanwhile told the one before.
Task<Result<void>> DivertingStore::point(Ledger::Entries entries) {
    for (;;) {
        std::map<std::tuple<NodeId, Guid, Guid, std::uint64_t>, std::vector<Guid>>
            missed;  // diversion host, group and tag
        for (const auto& [id, entry] : entries) {
            const auto* old = pointers_.find(id);
            if (old == nullptr) continue;
            for (const auto& tag : old->tags) {
                if (!covers(entry.tags, tag))
                    missed[{entry.node, entry.group, tag.volume, tag.generation}].push_back(id);
            }
        }
        if (missed.empty()) co_return co_await pointers_.add(std::move(entries));
        for (const auto& [key, ids] : missed) {
            const auto [node, group, volume, generation] = key;
            const Tag tag{volume, generation};
            BASE_CO_TRY(const auto kept, co_await target_.retag(node, group, tag, ids, /*untag=*/false));
            bool all = std::ranges::find(kept, false) == kept.end();
            for (const auto& id : ids) all = raise_tag(entries.at(id).tags, tag) && all;
            if (!all) co_return Errc::no_space;
        }
    }
}

/// A good copy of what damage took here is elsewhere now.
Task<void> DivertingStore::forget_loss(std::vector<Guid> ids) {
    if (inner_.usage().lost_blocks == 0) co_return;
    (void)co_await inner_.forget_lost(std::move(ids));
}

Task<Result<base::SharedBytes>> DivertingStore::get(Guid id) {
    const auto* pointer = inner_.has(id) ? nullptr : pointers_.find(id);
    if (pointer == nullptr) {
        auto own = co_await inner_.get(id);
        if (!own && diverted_.contains(id) && !inner_.has(id)) {
            co_await forget(diverted_, id);
            co_await forget_loss(std::vector<Guid>(1, id));  // whose copy it was hears of it by a review
        }
        co_return own;
    }
    const auto node = pointer->node;
    auto bytes = co_await target_.fetch(node, pointer->group, id);
    if (bytes) co_return bytes;
    const bool lost = bytes.error() == Errc::block_not_found || bytes.error() == Errc::corrupt_block;
    const auto* now = pointers_.find(id);
    if (lost && now != nullptr && now->node == node) co_await forget(pointers_, id);
    co_return bytes;
}

/// At once in memory. If it cannot be written down, whoever asks next finds out again.
Task<void> DivertingStore::forget(Ledger& ledger, Guid id) {
    std::vector<Guid> ids(1, id);
    (void)co_await ledger.erase(std::move(ids));
}

/// Of a touch, as far as neighbours keep what it names.
struct DivertingStore::Touching {
    Tag tag;
    std::vector<Guid> ids;
    std::vector<bool> tagged;  // in that order
};

/// Of pointers; in the order of `ids`. All diversion hosts at once: one that hangs is waited for beside the others.
Task<std::vector<bool>> DivertingStore::touch_elsewhere(Tag tag, std::vector<Guid> ids) {
    const auto touching = std::make_shared<Touching>();
    touching->tag = tag;
    touching->tagged.assign(ids.size(), false);
    std::map<std::pair<NodeId, Guid>, std::vector<std::size_t>> by_node;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto* pointer = pointers_.find(ids[i]);
        if (pointer != nullptr) by_node[{pointer->node, pointer->group}].push_back(i);
    }
    touching->ids = std::move(ids);
    base::TaskGroup asking{executor_};
    for (auto& [whose, which] : by_node) {
        asking.spawn(touch_at(whose.first, whose.second, touching, std::move(which)));
    }
    co_await asking.join();
    co_return std::move(touching->tagged);
}

/// `which`: indices into the ids.
Task<void> DivertingStore::touch_at(NodeId node, Guid group, std::shared_ptr<Touching> touching,
                                    std::vector<std::size_t> which) {
    std::vector<Guid> asked;
    for (const auto i : which) asked.push_back(touching->ids[i]);
    const auto kept = co_await target_.retag(node, group, touching->tag, asked, /*untag=*/false);
    if (!kept || kept->size() != asked.size()) co_return;
    std::vector<std::size_t> tagged;
    Ledger::Entries changed;
    for (std::size_t j = 0; j < asked.size(); ++j) {
        const auto* pointer = (*kept)[j] ? pointers_.find(asked[j]) : nullptr;
        if (pointer == nullptr || pointer->node != node) continue;  // another has it now, who was not asked
        auto entry = *pointer;
        if (!raise_tag(entry.tags, touching->tag)) continue;
        tagged.push_back(which[j]);
        if (entry != *pointer) changed.emplace(asked[j], std::move(entry));
    }
    if (!co_await pointers_.add(std::move(changed))) co_return;
    for (const auto i : tagged) touching->tagged[i] = true;
}

Task<Result<std::vector<bool>>> DivertingStore::touch(Tag tag, std::vector<Guid> ids) {
    std::vector<std::size_t> at_home, away;
    std::vector<Guid> home_ids, away_ids;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (diverted_.contains(ids[i])) continue;  // not ours to speak for
        const bool pointed = !inner_.has(ids[i]) && pointers_.contains(ids[i]);
        (pointed ? away : at_home).push_back(i);
        (pointed ? away_ids : home_ids).push_back(ids[i]);
    }
    std::vector<bool> held(ids.size(), false);
    if (!home_ids.empty()) {
        BASE_CO_TRY(const auto here, co_await inner_.touch(tag, std::move(home_ids)));
        for (std::size_t j = 0; j < at_home.size(); ++j) held[at_home[j]] = here[j];
    }
    if (!away_ids.empty()) {
        const auto there = co_await touch_elsewhere(tag, std::move(away_ids));
        for (std::size_t j = 0; j < away.size(); ++j) held[away[j]] = there[j];
    }
    co_return held;
}

Task<Result<std::uint64_t>> DivertingStore::untag(Tag tag, std::vector<Guid> ids) {
    Told told;
    BASE_CO_TRY(const auto gone, co_await untag_alone(tag, std::move(ids), told));
    // Whoever does not hear this keeps diverted replicas that nobody claims, offers them, and learns of the reclaim
    // then.
    base::TaskGroup telling{executor_};
    for (auto& [whose, asked] : told) telling.spawn(untag_at(whose.first, whose.second, tag, std::move(asked)));
    co_await telling.join();
    co_return gone;
}

Task<void> DivertingStore::untag_at(NodeId node, Guid group, Tag tag, std::vector<Guid> ids) {
    (void)co_await target_.retag(node, group, tag, std::move(ids), /*untag=*/true);
}

/// Not the diverted replicas: the holders for whom we keep them say when they lose a tag.
Task<Result<std::uint64_t>> DivertingStore::untag_alone(Tag tag, std::vector<Guid> ids, Told& told) {
    const auto lock = co_await lock_keys(ids);
    std::erase_if(ids, [&](const Guid& id) { return diverted_.contains(id); });
    BASE_CO_TRY(const auto gone, co_await inner_.untag(tag, ids));
    const auto left = [&](Ledger::Entry entry) {
        std::erase_if(entry.tags,
                      [&](const Tag& each) { return each.volume == tag.volume && each.generation <= tag.generation; });
        return entry;
    };
    // What goes and what changes is looked up when it is done: a touch meanwhile may have raised a tag again.
    std::vector<Guid> dropped;
    for (const auto& id : ids) {
        const auto* pointer = pointers_.find(id);
        if (pointer == nullptr) continue;
        told[{pointer->node, pointer->group}].push_back(id);
        if (left(*pointer).tags.empty()) dropped.push_back(id);
    }
    const auto gone_elsewhere = dropped.size();
    if (!dropped.empty()) BASE_CO_CHECK(co_await pointers_.erase(std::move(dropped)));
    Ledger::Entries changed;
    for (const auto& id : ids) {
        const auto* pointer = pointers_.find(id);
        if (pointer == nullptr) continue;
        auto entry = left(*pointer);
        if (!entry.tags.empty() && entry != *pointer) changed.emplace(id, std::move(entry));
    }
    if (!changed.empty()) BASE_CO_CHECK(co_await pointers_.add(std::move(changed)));
    co_return gone + gone_elsewhere;
}

Task<Result<void>> DivertingStore::discard(std::vector<Guid> ids) {
    std::vector<Guid> home, away;
    for (const auto& id : ids) {
        if (pointers_.contains(id)) away.push_back(id);
        if (!diverted_.contains(id)) home.push_back(id);  // lost ones too
    }
    // The pointers are off the list, and the others in the store's queue, before anything is awaited: no touch is
    // granted meanwhile of what goes. Whoever decides what goes looks at their tags just before.
    auto forgotten = pointers_.erase(std::move(away));
    Result<void> discarded = base::ok();
    if (!home.empty()) discarded = co_await inner_.discard(std::move(home));
    BASE_CO_CHECK(co_await std::move(forgotten));
    co_return discarded;
}

bool DivertingStore::has(const Guid& id) const {
    return inner_.has(id) ? !diverted_.contains(id) : pointers_.contains(id);
}

std::uint32_t DivertingStore::length(const Guid& id) const {
    if (diverted_.contains(id)) return 0;
    if (inner_.has(id)) return inner_.length(id);
    const auto* pointer = pointers_.find(id);
    return pointer != nullptr ? pointer->bytes : 0;
}

std::vector<Tag> DivertingStore::tags(const Guid& id) const {
    if (diverted_.contains(id)) return {};
    if (inner_.has(id)) return inner_.tags(id);
    const auto* pointer = pointers_.find(id);
    return pointer != nullptr ? pointer->tags : std::vector<Tag>{};
}

std::vector<GroupSummary> DivertingStore::groups() const {
    auto groups = inner_.groups();
    if (pointers_.empty() && diverted_.empty()) return groups;
    std::map<Guid, GroupSummary> by_group;
    for (auto& summary : groups) by_group.emplace(summary.group, summary);
    for (const auto& [group, entries] : diverted_.by_group()) {
        const auto total = diverted_.total(group);
        auto& summary = by_group[group];
        summary.blocks -= std::min(summary.blocks, total.blocks);
        summary.bytes -= std::min(summary.bytes, total.bytes);
        toggle_all(summary.digest, total.digest);
    }
    for (const auto& [group, entries] : pointers_.by_group()) {
        const auto total = pointers_.total(group);
        auto& summary = by_group[group];
        summary.blocks += total.blocks;
        summary.bytes += total.bytes;
        toggle_all(summary.digest, total.digest);
        summary.unconfirmed = unconfirmed(group);
    }
    groups.clear();
    for (auto& [group, summary] : by_group) {
        summary.group = group;
        if (summary.blocks > 0) groups.push_back(summary);
    }
    return groups;
}

GroupSummary DivertingStore::summary(const Guid& group) const {
    auto summary = inner_.summary(group);
    const auto diverted_replicas = diverted_.total(group), pointers = pointers_.total(group);
    summary.blocks += pointers.blocks - std::min(summary.blocks, diverted_replicas.blocks);
    summary.bytes += pointers.bytes - std::min(summary.bytes, diverted_replicas.bytes);
    toggle_all(summary.digest, diverted_replicas.digest);
    toggle_all(summary.digest, pointers.digest);
    summary.unconfirmed = unconfirmed(group);
    return summary;
}

/// How many of our blocks of the group are kept by nodes that are away.
std::uint64_t DivertingStore::unconfirmed(const Guid& group) const {
    std::uint64_t blocks = 0;
    for (const auto& [node, total] : pointers_.totals(group)) blocks += target_.is_away(node) ? total.blocks : 0;
    return blocks;
}

std::vector<Guid> DivertingStore::list(const Guid& group, const Guid& after, std::size_t limit) const {
    std::vector<Guid> ids;
    for (Guid from = after; ids.size() < limit;) {
        const auto some = inner_.list(group, from, limit);
        for (const auto& id : some) {
            if (!diverted_.contains(id) && ids.size() < limit) ids.push_back(id);
        }
        if (some.size() < limit) break;
        from = some.back();
    }
    const auto pointed = pointers_.by_group().find(group);
    if (pointed == pointers_.by_group().end()) return ids;
    std::vector<Guid> merged;
    auto at = pointed->second.upper_bound(after);
    for (std::size_t i = 0; merged.size() < limit && (i < ids.size() || at != pointed->second.end());) {
        const bool pointer_first = i == ids.size() || (at != pointed->second.end() && at->first < ids[i]);
        if (pointer_first) {
            merged.push_back((at++)->first);
        } else {
            merged.push_back(ids[i++]);
        }
    }
    return merged;
}

/// Blocks that we answer for; bytes of the disk as they are.
StoreUsage DivertingStore::usage() const {
    auto usage = inner_.usage();
    usage.blocks = usage.blocks + pointers_.blocks() - std::min(usage.blocks + pointers_.blocks(), diverted_.blocks());
    usage.block_bytes =
        usage.block_bytes + pointers_.bytes() - std::min(usage.block_bytes + pointers_.bytes(), diverted_.bytes());
    return usage;
}

Task<Result<void>> DivertingStore::drop_pointers(Ledger::Entries lost) {
    std::vector<Guid> ids;
    for (const auto& [id, entry] : lost) {
        const auto* pointer = pointers_.find(id);
        if (pointer != nullptr && *pointer == entry && !under_way_.contains(id)) ids.push_back(id);
    }
    co_return co_await pointers_.erase(std::move(ids));
}

/// Half of what a new block may weigh: a node at its limit does not carry the same blocks to and fro.
bool DivertingStore::could_take_home(std::uint64_t bytes, std::uint64_t room) const {
    return accepts_primary(bytes, room / 2, thresholds_);
}

Task<Result<void>> DivertingStore::take_home(Guid id) {
    BASE_CO_TRY(auto bytes, co_await get(id));
    const auto lock = co_await lock_keys(std::vector<Guid>(1, id));
    const auto* pointer = pointers_.find(id);
    if (pointer == nullptr) co_return Errc::block_not_found;
    const auto entry = *pointer;
    std::vector<Block> blocks(1, Block{id, std::move(bytes)});
    BASE_CO_CHECK(co_await put_tagged(inner_, entry.group, entry.tags, std::move(blocks)));
    co_return co_await settle(std::vector<Guid>(1, id));
}

// --- what we keep for others

Task<Result<void>> DivertingStore::keep_for(NodeId primary, Guid group, std::vector<Tag> tags,
                                            std::vector<Block> blocks) {
    const base::Error kept_already{base::Errc::denied, "a copy of it is kept here already"};
    auto ids = ids_of(blocks);
    if (is_any_under_way(ids)) co_return kept_already;  // or will be
    const KeyLock lock{*this, ids};
    auto free = room();
    std::uint64_t fresh = 0;
    Ledger::Entries entries;
    for (const auto& block : blocks) {
        const auto* diverted_replica = diverted_.find(block.id);
        const bool for_another = diverted_replica != nullptr && diverted_replica->node != primary;
        if (for_another || has(block.id)) co_return kept_already;
        const auto size = block.bytes.size();
        if (diverted_replica == nullptr && !accepts_diverted(size, free, kWhateverFits)) co_return Errc::no_space;
        free -= std::min<std::uint64_t>(free, size);
        if (diverted_replica == nullptr) ++fresh;
        entries.emplace(block.id, Ledger::Entry{group, primary, static_cast<std::uint32_t>(size), {}});
    }
    if (fresh > 0 && diverted_.blocks() + fresh > max_entries()) co_return Errc::no_space;
    // Marked before they are there: a diverted replica that was taken for a copy of our own would count twice.
    BASE_CO_CHECK(co_await diverted_.add(entries));
    const auto stored = co_await put_tagged(inner_, group, std::move(tags), std::move(blocks));
    if (stored) {
        const bool marked = std::ranges::all_of(ids, [&](const Guid& id) { return diverted_.contains(id); });
        if (!marked) co_return base::Error{base::Errc::denied, "it was let go of meanwhile"};
        co_return stored;
    }
    std::erase_if(ids, [&](const Guid& id) { return inner_.has(id); });
    (void)co_await diverted_.erase(std::move(ids));
    co_return stored;
}

Ledger::Total DivertingStore::kept_for(const NodeId& primary, const Guid& group) const {
    auto total = diverted_.total(group, primary);
    if (total.blocks == 0) return total;
    for (const auto& [id, entry] : diverted_.by_group().at(group)) {
        if (entry.node != primary || inner_.has(id)) continue;
        --total.blocks;
        total.bytes -= entry.bytes;
        toggle(total.digest, id);
    }
    return total;
}

Task<Result<std::vector<bool>>> DivertingStore::retag_for(NodeId primary, Tag tag, std::vector<Guid> ids, bool untag) {
    std::vector<Guid> kept;
    std::vector<bool> bits;
    for (const auto& id : ids) {
        const auto* diverted_replica = diverted_.find(id);
        bits.push_back(diverted_replica != nullptr && diverted_replica->node == primary && inner_.has(id));
        if (bits.back()) kept.push_back(id);
    }
    if (!untag) {
        BASE_CO_TRY(const auto held, co_await inner_.touch(tag, std::move(kept)));
        std::size_t next = 0;
        for (std::size_t i = 0; i < bits.size(); ++i) {
            if (bits[i]) bits[i] = held[next++];
        }
        co_return bits;
    }
    BASE_CO_CHECK(co_await inner_.untag(tag, kept));
    std::erase_if(kept, [&](const Guid& id) { return inner_.has(id); });
    BASE_CO_CHECK(co_await diverted_.erase(std::move(kept)));
    co_return bits;
}

}  // namespace past
