#include "repair.hpp"

#include <algorithm>
#include <cmath>

#include "base/limits.hpp"
#include "gather.hpp"
#include "registers.hpp"
#include "server.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;
using pastry::NodeHandle;

Task<void> TokenBucket::take(std::uint64_t bytes) {
    for (;;) {
        const auto now = clock_.now();
        const auto seconds = std::chrono::duration<double>(now - at_).count();
        at_ = now;
        tokens_ = std::min(static_cast<double>(burst_), tokens_ + seconds * static_cast<double>(per_second_));
        if (tokens_ > 0) break;
        const auto wait = std::ceil(-tokens_ / static_cast<double>(per_second_) * 1000.0) + 1.0;
        co_await clock_.sleep_for(std::chrono::milliseconds{static_cast<std::int64_t>(wait)});
    }
    tokens_ -= static_cast<double>(bytes);
}

Repair::Repair(Context& context, Holders& holders, Registers& registers)
    : context_{context},
      holders_{holders},
      registers_{registers},
      losses_{context, holders},
      bucket_{context.env.clock, context.config.repair_bytes_per_second, context.config.repair_burst_bytes},
      wake_{std::make_shared<base::Event>(context.env.executor)},
      full_check_at_{context.now()} {}

void Repair::kick() {
    full_check_ = true;
    kicked_ = true;
    wake_->pulse();
}

Task<void> Repair::run() {
    for (;;) {
        co_await pause();
        co_await round();
    }
}

/// Until the next look: soon while something is short or new, else a whole period; jittered, so that nodes that saw the
/// same event do not all act at once.
Task<void> Repair::pause() {
    const auto& config = context_.config;
    const auto jitter = 0.75 + context_.env.rng.unit() / 2;
    const auto soon = context_.now() + std::chrono::duration_cast<base::Duration>(config.recheck_period * jitter);
    auto until = std::min(soon, full_check_at_);
    if (const auto expiry = holders_.next_expiry()) until = std::min(until, *expiry);
    while (context_.now() < until) {
        if (kicked_) {
            kicked_ = false;
            until = std::min(until,
                             context_.now() + std::chrono::duration_cast<base::Duration>(config.settle * jitter / 3));
        }
        const auto timer = context_.env.clock.schedule(until, [wake = wake_] { wake->pulse(); });
        co_await wake_->wait();
        context_.env.clock.cancel(timer);
    }
}

Task<void> Repair::round() {
    const auto now = context_.now();
    const auto usage = context_.store.usage();
    const bool changed = usage.blocks != seen_usage_.blocks || usage.block_bytes != seen_usage_.block_bytes;
    if (now >= full_check_at_) full_check_ = true;
    if (const auto expiry = holders_.next_expiry(); expiry && *expiry - now < context_.config.settle)
        full_check_ = true;
    if (!full_check_ && !changed && all_well()) co_return;
    seen_usage_ = usage;
    const bool full = std::exchange(full_check_, false);
    if (full) {
        const auto jitter = 0.5 + context_.env.rng.unit();
        full_check_at_ = now + std::chrono::duration_cast<base::Duration>(context_.config.check_period * jitter);
    }
    std::map<Guid, Place> fresh;
    for (const auto& summary : context_.store.places()) {
        auto known = places_.extract(summary.place);
        const bool first = !known;
        auto& place = known ? fresh.insert(std::move(known)).position->second : fresh[summary.place];
        if (first) place.worked_at = now;
        if (place.summary.digest != summary.digest) place.changed_at = now;
        place.summary = summary;
        if (full) {
            for (auto& [id, peer] : place.peers) peer.compared = false;
        }
    }
    places_ = std::move(fresh);
    co_await find_sets();
    co_await compare_all();
    co_await run_jobs();
    co_await let_go();
    co_await losses_.settle();
    co_await registers_.maintain();
}

/// Who keeps each place now. Places that we keep for others far away are looked up a few at a time.
Task<void> Repair::find_sets() {
    const auto copies = context_.membership.copies();
    std::vector<Guid> far;
    for (auto& [key, place] : places_) {
        auto set = holders_.local(key, copies);
        if (set) {
            place.set = std::move(*set);
        } else if (far.size() < 64) {
            far.push_back(key);
        }
    }
    for (const auto& key : far) {
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto set = co_await holders_.find(key, copies, deadline);
        if (set) places_[key].set = std::move(*set);
    }
    for (auto& [key, place] : places_) {
        std::set<NodeId> wanted;
        for (const auto& node : others(place)) wanted.insert(node.id());
        std::erase_if(place.peers, [&](const auto& entry) { return !wanted.contains(entry.first); });
        for (const auto& id : wanted) place.peers.try_emplace(id);
    }
}

std::vector<NodeHandle> Repair::others(const Place& place) const {
    std::vector<NodeHandle> nodes;
    for (const auto& holder : place.set.placement) {
        if (holder.live && holder.node.id() != context_.self()) nodes.push_back(holder.node);
    }
    return nodes;
}

Task<void> Repair::compare_all() {
    std::map<NodeId, std::pair<NodeHandle, std::vector<Guid>>> by_peer;
    for (const auto& [key, place] : places_) {
        for (const auto& node : others(place)) {
            const auto& peer = place.peers.at(node.id());
            if (peer.compared && peer.ours == place.summary.digest && peer.has_all_of_ours) continue;
            auto& entry = by_peer[node.id()];
            entry.first = node;
            entry.second.push_back(key);
        }
    }
    const auto gather = std::make_shared<Gather<Result<CompareReply>>>(context_.env.executor);
    std::vector<std::pair<NodeId, std::vector<Guid>>> asked;
    for (auto& [id, entry] : by_peer) {
        asked.emplace_back(id, entry.second);
        spawn(context_.work, gather, compare_with(std::move(entry.first), std::move(entry.second)));
    }
    while (gather->pending > 0) co_await gather->changed.wait();
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto& answer = *gather->answers[i];
        if (!answer) continue;
        for (std::size_t j = 0; j < std::min(answer->entries.size(), asked[i].second.size()); ++j) {
            auto& place = places_.at(asked[i].second[j]);
            auto& peer = place.peers.at(asked[i].first);
            const auto& theirs = answer->entries[j];
            const bool unchanged = peer.ours == place.summary.digest && peer.theirs == theirs.digest;
            if (theirs.blocks > peer.their_blocks) peer.progress_at = context_.now();
            peer.has_all_of_ours = theirs.digest == place.summary.digest || (unchanged && peer.has_all_of_ours);
            if (peer.has_all_of_ours) peer.lacking.clear();
            if (!unchanged) peer.offered = false;
            peer.compared = true;
            peer.ours = place.summary.digest;
            peer.theirs = theirs.digest;
            peer.their_blocks = theirs.blocks;
        }
    }
}

Task<Result<CompareReply>> Repair::compare_with(NodeHandle peer, std::vector<Guid> places) {
    CompareReply all;
    for (std::size_t begin = 0; begin < places.size(); begin += kMaxCompareEntries) {
        CompareRequest request;
        for (std::size_t i = begin; i < std::min(places.size(), begin + kMaxCompareEntries); ++i) {
            const auto& summary = places_.at(places[i]).summary;
            request.entries.push_back({places[i], summary.blocks, summary.digest});
        }
        auto header = encode(request);
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto to = peer.address;
        const auto answer = co_await context_.call(std::move(to), Verb::compare, std::move(header), deadline);
        if (!answer) co_return answer.error();
        BASE_CO_TRY(const auto reply, decode<CompareReply>(answer->header));
        if (reply.entries.size() != request.entries.size()) co_return base::Errc::bad_format;
        all.entries.insert(all.entries.end(), reply.entries.begin(), reply.entries.end());
    }
    co_return all;
}

// --- sending what others lack

/// Of the live holders other than `peer`, how many are nearer to the place than we are: that many get to act before us.
std::size_t Repair::rank_against(const Place& place, const NodeId& peer) const {
    std::size_t rank = 0;
    const bool holder = ours(place);
    for (const auto& node : others(place)) {
        if (node.id() == peer) continue;
        if (!holder || base::closer(place.summary.place, node.id(), context_.self())) ++rank;
    }
    return rank;
}

Task<void> Repair::run_jobs() {
    const auto jobs = std::make_shared<std::vector<Job>>();
    const auto now = context_.now();
    const auto& config = context_.config;
    for (auto& [key, place] : places_) {
        // While a place is being written to, copies on their way look like differences. But a backup may last for days.
        if (now - place.changed_at < config.settle && now - place.worked_at < config.patience) continue;
        place.worked_at = now;
        for (const auto& node : others(place)) {
            const auto& peer = place.peers.at(node.id());
            if (!peer.compared || (peer.has_all_of_ours && (ours(place) || peer.offered))) continue;
            jobs->push_back({key, node, rank_against(place, node.id())});
        }
    }
    const auto next = std::make_shared<std::size_t>(0);
    const auto gather = std::make_shared<Gather<int>>(context_.env.executor);
    for (std::size_t i = 0; i < std::min(config.repair_jobs, jobs->size()); ++i) {
        ++gather->pending;
        gather->answers.emplace_back();
        context_.work.spawn([](Repair* self, auto all, auto at, auto done) -> Task<void> {
            co_await self->work_through(all, at);
            --done->pending;
            done->changed.pulse();
        }(this, jobs, next, gather));
    }
    while (gather->pending > 0) co_await gather->changed.wait();
}

Task<void> Repair::work_through(std::shared_ptr<std::vector<Job>> jobs, std::shared_ptr<std::size_t> next) {
    while (*next < jobs->size()) {
        auto job = (*jobs)[(*next)++];
        co_await help(std::move(job));
    }
}

Task<void> Repair::help(Job job) {
    const auto found = places_.find(job.place);
    if (found == places_.end()) co_return;
    auto& place = found->second;
    auto& peer = place.peers.at(job.peer.id());
    auto lacking = co_await find_lacking(job, !ours(place));
    if (!lacking) co_return;
    std::ranges::sort(*lacking);
    if (lacking->empty()) {
        peer.has_all_of_ours = peer.offered = true;
        peer.lacking.clear();
        co_return;
    }
    peer.has_all_of_ours = false;
    std::vector<Guid> lasting;  // lacking then, lacking now: not merely on their way
    std::ranges::set_intersection(peer.lacking, *lacking, std::back_inserter(lasting));
    if (peer.lacking.empty()) peer.lacking_since = context_.now();
    peer.lacking = std::move(*lacking);
    const auto& config = context_.config;
    const auto turn = config.settle + static_cast<int>(job.rank) * config.patience;
    const auto since = job.rank == 0 ? peer.lacking_since : std::max(peer.lacking_since, peer.progress_at);
    if (lasting.empty() || context_.now() - since < turn) co_return;
    const auto pushed = co_await push(job, std::move(lasting));
    if (!pushed) {
        context_.log(base::Log::Level::debug, "repair of {}: {}", job.peer.id().short_hex(), pushed.error().message());
    }
}

/// Which of our blocks of the place the peer does not have. `everything`: also where digests say that it has them, so
/// that their tags are brought up to ours before we let the blocks go.
Task<Result<std::vector<Guid>>> Repair::find_lacking(Job job, bool everything) {
    std::array<bool, kRanges> differs{};
    differs.fill(true);
    if (!everything) {
        auto header = encode(RangesRequest{job.place});
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto to = job.peer.address;
        const auto answer = co_await context_.call(std::move(to), Verb::ranges, std::move(header), deadline);
        if (!answer) co_return answer.error();
        BASE_CO_TRY(const auto theirs, decode<RangesReply>(answer->header));
        const auto mine = range_digests(context_.store, job.place);
        for (std::size_t i = 0; i < kRanges; ++i) differs[i] = mine.digests[i] != theirs.digests[i];
    }
    std::vector<Guid> lacking;
    std::vector<Guid> batch;
    for (Guid after;;) {
        const auto ids = context_.store.list(job.place, after, kMaxBlocksPerRequest);
        for (const auto& id : ids) {
            if (differs[id.bytes()[Guid::kBytes - 1]]) batch.push_back(id);
        }
        const bool last = ids.size() < kMaxBlocksPerRequest;
        if (!batch.empty() && (last || batch.size() >= kMaxBlocksPerRequest / 2)) {
            BASE_CO_TRY(const auto part, co_await offer(job, std::move(batch)));
            lacking.insert(lacking.end(), part.begin(), part.end());
            batch.clear();
        }
        if (last) co_return lacking;
        after = ids.back();
    }
}

/// Tells the peer what we have, tag by tag; returns what it lacks.
Task<Result<std::vector<Guid>>> Repair::offer(Job job, std::vector<Guid> ids) {
    std::map<std::pair<Guid, std::uint64_t>, std::vector<Guid>> by_tag;
    for (const auto& id : ids) {
        for (const auto& tag : context_.store.tags(id)) by_tag[{tag.volume, tag.generation}].push_back(id);
    }
    std::set<Guid> lacking;
    for (auto& [tag, members] : by_tag) {
        for (std::size_t begin = 0; begin < members.size(); begin += kMaxBlocksPerRequest) {
            const auto end = std::min(members.size(), begin + kMaxBlocksPerRequest);
            OfferRequest request;
            request.place = job.place;
            request.tag = Tag{tag.first, tag.second};
            request.ids.assign(members.begin() + static_cast<std::ptrdiff_t>(begin),
                               members.begin() + static_cast<std::ptrdiff_t>(end));
            auto header = encode(request);
            const auto deadline = context_.now() + context_.config.call_timeout;
            auto to = job.peer.address;
            const auto answer = co_await context_.call(std::move(to), Verb::offer, std::move(header), deadline);
            if (!answer) co_return answer.error();
            BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
            if (reply.bits.size() != request.ids.size()) co_return base::Errc::bad_format;
            for (std::size_t i = 0; i < reply.bits.size(); ++i) {
                if (reply.bits[i] == static_cast<std::uint8_t>(Offered::lacking)) lacking.insert(request.ids[i]);
            }
        }
    }
    co_return std::vector<Guid>(lacking.begin(), lacking.end());
}

Task<Result<void>> Repair::push(Job job, std::vector<Guid> ids) {
    const bool holder = ours(places_.at(job.place));
    const auto cause = holder ? Cause::repair : Cause::handover;
    std::size_t next = 0;
    std::optional<Block> read;  // the next one, too large for the batch before
    while (next < ids.size()) {
        // One batch: blocks of equal tags.
        std::vector<Block> blocks;
        std::vector<Tag> tags;
        std::size_t bytes = 0;
        for (; next < ids.size() && blocks.size() < kMaxBlocksPerRequest; ++next) {
            auto its_tags = context_.store.tags(ids[next]);
            if (its_tags.empty()) {  // reclaimed meanwhile
                read.reset();
                continue;
            }
            its_tags.resize(std::min(its_tags.size(), kMaxTagsPerRequest));
            if (!blocks.empty() && its_tags != tags) break;
            if (!read) {
                auto one = co_await context_.store.get(ids[next]);
                if (!one) {
                    if (one.error() == Errc::corrupt_block) ++context_.counters.corrupt_blocks;
                    continue;
                }
                read = Block{ids[next], std::move(*one)};
            }
            if (!blocks.empty() && bytes + read->bytes.size() > context_.config.repair_batch_bytes) break;
            bytes += read->bytes.size();
            tags = std::move(its_tags);
            blocks.push_back(std::move(*read));
            read.reset();
        }
        if (blocks.empty()) continue;
        const auto count = blocks.size();
        co_await bucket_.take(bytes);
        co_await context_.foreground.give_way(bytes);
        BASE_CO_TRY(auto batch, make_batch(job.place, std::move(tags), std::move(blocks), cause));
        const auto deadline = context_.now() + context_.config.store_timeout;
        auto to = job.peer.address;
        BASE_CO_CHECK(co_await store_at(context_, batch, std::move(to), deadline));
        (holder ? context_.counters.bytes_repaired : context_.counters.bytes_handed_over) += bytes;
        (holder ? context_.counters.blocks_repaired : context_.counters.blocks_handed_over) += count;
        const auto found = places_.find(job.place);
        if (found == places_.end()) co_return base::ok();
        const auto peer = found->second.peers.find(job.peer.id());
        if (peer == found->second.peers.end()) co_return base::ok();
        for (const auto& id : batch->request.ids) {
            const auto at = std::ranges::lower_bound(peer->second.lacking, id);
            if (at != peer->second.lacking.end() && *at == id) peer->second.lacking.erase(at);
        }
    }
    co_return base::ok();
}

// --- letting go

/// Drops blocks that all the holders of their place have, where we are not one of them: after a while, so that somebody
/// who left for a moment finds us as we were.
Task<void> Repair::let_go() {
    const auto copies = context_.membership.copies();
    std::vector<Guid> places;
    for (auto& [key, place] : places_) {
        const auto& set = place.set;
        const bool stranger = !set.placement.empty() && !ours(place) && !set.written_by(context_.self());
        const bool all_live = set.placement.size() >= copies &&
                              std::ranges::all_of(set.placement, [](const Holder& holder) { return holder.live; });
        const bool all_have = std::ranges::all_of(place.peers, [&](const auto& entry) {
            const auto& peer = entry.second;
            return peer.compared && peer.has_all_of_ours && peer.offered && peer.ours == place.summary.digest;
        });
        if (!stranger || !all_live || !all_have || place.peers.size() != set.placement.size()) {
            place.safe_since.reset();
        } else if (!place.safe_since) {
            place.safe_since = context_.now();
        } else if (context_.now() - *place.safe_since >= context_.config.discard_grace) {
            places.push_back(key);
        }
    }
    for (const auto& key : places) {
        // What arrived since we compared stays: the digest says whether something did.
        const auto now_held = context_.store.places();
        const auto current = std::ranges::lower_bound(now_held, key, {}, &PlaceSummary::place);
        if (current == now_held.end() || current->place != key) continue;
        if (current->digest != places_.at(key).summary.digest) continue;
        auto ids = context_.store.list(key, Guid{}, kMaxBlocksPerRequest);
        const auto count = ids.size();
        if (!co_await context_.store.discard(std::move(ids))) continue;
        context_.counters.blocks_discarded += count;
        places_.at(key).peers.clear();  // the rest once it was compared again
        places_.at(key).safe_since.reset();
    }
}

// --- what people want to know

bool Repair::all_well() const {
    return std::ranges::all_of(places_, [&](const auto& entry) {
        const auto& place = entry.second;
        return ours(place) && place.peers.size() + 1 == place.set.placement.size() &&
               std::ranges::all_of(place.peers, [&](const auto& one) {
                   return one.second.compared && one.second.has_all_of_ours && one.second.ours == place.summary.digest;
               });
    });
}

void Repair::report(NodeStatus& status) const {
    const auto copies = context_.membership.copies();
    for (const auto& summary : context_.store.places()) {
        ++status.places;
        const auto found = places_.find(summary.place);
        if (found == places_.end() || found->second.set.placement.empty()) {
            const auto set = holders_.local(summary.place, copies);
            const bool alone = set && set->placement.size() == 1 && copies == 1 && set->placed_on(context_.self());
            status.blocks_ours += summary.blocks;
            (alone ? status.blocks_whole : status.blocks_unchecked) += summary.blocks;
            continue;
        }
        const auto& place = found->second;
        if (!ours(place)) {
            status.blocks_to_hand_over += summary.blocks;
            continue;
        }
        status.blocks_ours += summary.blocks;
        const bool complete =
            place.set.placement.size() >= copies && place.peers.size() + 1 == place.set.placement.size();
        std::uint64_t lacking = 0;
        bool current = place.summary.digest == summary.digest;
        for (const auto& [id, peer] : place.peers) {
            current = current && peer.compared && peer.ours == summary.digest;
            if (!peer.has_all_of_ours)
                lacking = std::max<std::uint64_t>(lacking, std::max<std::size_t>(1, peer.lacking.size()));
            if (rank_against(place, id) == 0) status.backlog_blocks += peer.lacking.size();
        }
        if (!complete) {
            status.blocks_short += summary.blocks;
        } else if (!current) {
            status.blocks_unchecked += summary.blocks;
        } else {
            const auto missing = std::min(lacking, summary.blocks);
            status.blocks_short += missing;
            status.blocks_whole += summary.blocks - missing;
        }
    }
}

}  // namespace past
