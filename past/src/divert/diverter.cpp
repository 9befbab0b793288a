#include "divert/diverter.hpp"

#include <algorithm>
#include <utility>

#include "base/token_bucket.hpp"

namespace past {

using base::Guid;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;
using pastry::NodeHandle;

namespace {

constexpr unsigned kMissesOfTheAbsent = 2;  // one review may be lost

}  // namespace

Diverter::Diverter(Context& context, Holders& holders, DivertingStore& store)
    : context_{context}, holders_{holders}, store_{store}, finding_strangers_{context.env.executor, 1} {}

// --- finding a neighbour with room

struct Diverter::Diversion {
    Guid group;
    std::vector<Tag> tags;
    std::vector<Block> blocks;
    std::vector<std::optional<NodeId>> kept_by;
    std::set<NodeId> refused;
    TimePoint deadline;
    Cause cause = Cause::diversion;
};

/// Neighbours that are no holders of the group: a second copy on one of those would not be a second copy.
struct Diverter::Candidates {
    std::vector<NodeHandle> nodes;
    std::set<std::string> domains;  // of the other copies
};

Task<Diverter::Candidates> Diverter::candidates(Guid group, Among among, TimePoint deadline) {
    Candidates found;
    const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
    const auto set = co_await holders_.find(group, context_.membership.copies(), attempt);
    if (!set) co_return found;
    for (const auto& writer : set->writers) {
        if (writer.id() != context_.self()) found.domains.insert(writer.failure_domain);
    }
    found.nodes = context_.kbr.neighbours();
    if (among == Among::anybody) {
        co_await find_strangers(deadline);
        for (const auto& node : strangers_) {
            if (std::ranges::find(found.nodes, node.id(), &NodeHandle::id) == found.nodes.end()) {
                found.nodes.push_back(node);
            }
        }
    }
    std::erase_if(found.nodes, [&](const NodeHandle& node) {
        const auto* member = context_.membership.roster().find(node.id());
        const bool leaves = member != nullptr && (member->revoked || member->draining);
        return leaves || silent_.contains(node.id()) || set->placed_on(node.id()) || set->written_by(node.id());
    });
    co_return found;
}

/// Peers anywhere on the ring, others now and then: ids lie at random, so some leaf sets are full long before the
/// network is.
Task<void> Diverter::find_strangers(TimePoint deadline) {
    const auto permit = co_await finding_strangers_.acquire(1);
    if (context_.now() < strangers_until_) co_return;
    strangers_.clear();
    const auto members = context_.membership.roster().members;
    std::set<NodeId> chosen;
    base::TaskGroup finding{context_.env.executor};
    for (std::size_t i = 0; i < context_.config.divert_strangers && !members.empty(); ++i) {
        const auto& member = members[context_.env.rng.below(members.size())];
        const bool stores = member.role == base::Role::storage && !member.revoked && !member.draining;
        if (stores && member.id != context_.self() && chosen.insert(member.id).second)
            finding.spawn(find_stranger(member.id, member.failure_domain, deadline));
    }
    co_await finding.join();
    strangers_until_ = context_.now() + context_.config.room_known_for;
}

Task<void> Diverter::find_stranger(NodeId id, std::string failure_domain, TimePoint deadline) {
    auto address = co_await holders_.resolve(id, context_.attempt(deadline, context_.config.call_timeout));
    if (address) strangers_.push_back({std::move(*address), std::move(failure_domain)});
}

Task<void> Diverter::learn_rooms(std::vector<NodeHandle> nodes, TimePoint deadline) {
    // Before the questions: while one waits for a neighbour that hangs, what the others said may grow old.
    std::erase_if(rooms_, [&](const auto& entry) { return entry.second.until <= context_.now(); });
    base::TaskGroup asking{context_.env.executor};
    for (auto& node : nodes) {
        if (!rooms_.contains(node.id())) asking.spawn(ask_room(std::move(node), deadline));
    }
    co_await asking.join();
}

Task<void> Diverter::ask_room(NodeHandle node, TimePoint deadline) {
    const auto id = node.id();
    const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
    const auto answer = co_await context_.call(std::move(node.address), Verb::room, {}, attempt);
    const auto reply = answer ? decode<RoomReply>(answer->header) : Result<RoomReply>{answer.error()};
    rooms_[id] = Room{reply ? reply->free_bytes : 0, context_.now() + context_.config.room_known_for};
}

Task<Result<std::vector<NodeId>>> Diverter::keep(Guid group, std::vector<Tag> tags, std::vector<Block> blocks,
                                                 Among among, Cause cause) {
    const DiversionThresholds configured{context_.config.divert_primary, context_.config.keep_diverted};
    const auto thresholds = among == Among::neighbours ? configured : kWhateverFits;
    const auto diversion = std::make_shared<Diversion>();
    diversion->group = group;
    diversion->cause = cause;
    diversion->tags = std::move(tags);
    diversion->blocks = std::move(blocks);
    diversion->kept_by.resize(diversion->blocks.size());
    // Whoever asked us to put it has no more time for the attempt, however many are tried. If neighbours hang it may
    // still fit here: that is to be done in this time too.
    const auto attempt = context_.config.store_timeout;
    diversion->deadline = context_.now() + (among == Among::neighbours ? attempt * 2 / 3 : attempt);
    const auto [nodes, domains] = co_await candidates(group, among, diversion->deadline);
    for (auto tries = context_.config.divert_tries; tries > 0; --tries) {
        co_await learn_rooms(nodes, diversion->deadline);
        std::map<NodeId, std::vector<std::size_t>> shares;
        for (std::size_t i = 0; i < diversion->blocks.size(); ++i) {
            if (diversion->kept_by[i]) continue;
            std::vector<DiversionCandidate> open;
            for (const auto& node : nodes) {
                const auto room = rooms_.find(node.id());
                if (room == rooms_.end() || diversion->refused.contains(node.id())) continue;
                open.push_back({node.id(), room->second.free_bytes, node.failure_domain});
            }
            const auto size = diversion->blocks[i].bytes.size();
            const auto target = choose_target(open, size, thresholds, domains);
            if (!target) co_return Errc::no_space;
            shares[*target].push_back(i);
            auto& room = rooms_.at(*target).free_bytes;
            room -= std::min<std::uint64_t>(room, size);
        }
        // One that hangs leaves half of the time to those that are tried after it.
        const auto left = diversion->deadline - context_.now();
        const auto until = tries > 1 ? context_.now() + left / 2 : diversion->deadline;
        base::TaskGroup sending{context_.env.executor};
        for (auto& [id, which] : shares) {
            const auto node = std::ranges::find(nodes, id, &NodeHandle::id);
            sending.spawn(send(diversion, *node, std::move(which), until));
        }
        co_await sending.join();
        if (std::ranges::all_of(diversion->kept_by, [](const auto& node) { return node.has_value(); })) {
            std::vector<NodeId> kept;
            for (const auto& node : diversion->kept_by) kept.push_back(*node);
            co_return kept;
        }
        if (context_.now() >= diversion->deadline) co_return base::Error{base::Errc::timed_out, "diverting"};
    }
    co_return Errc::no_space;
}

Task<void> Diverter::send(std::shared_ptr<Diversion> diversion, NodeHandle to, std::vector<std::size_t> which,
                          TimePoint deadline) {
    std::vector<Block> blocks;
    for (const auto i : which) blocks.push_back(diversion->blocks[i]);
    const auto id = to.id();
    auto batch = make_batch(diversion->group, diversion->tags, std::move(blocks), diversion->cause);
    Result<void> stored = batch ? Result<void>{base::ok()} : Result<void>{batch.error()};
    if (batch) stored = co_await store_at(context_, *batch, std::move(to.address), deadline);
    // Whatever it said: it may have some, and if nothing will point to them it has to hear that.
    to_review_.emplace(id, diversion->group);
    if (!stored) {
        context_.log(base::Log::Level::debug, "{} does not take a copy: {}", id.short_hex(), stored.error().message());
        diversion->refused.insert(id);
        co_return;
    }
    for (const auto i : which) diversion->kept_by[i] = id;
    context_.counters.bytes_diverted += (*batch)->bytes;
    heard_from_diversion_host(id);
}

// --- asking for what was diverted

Task<Result<base::SharedBytes>> Diverter::fetch(NodeId node, Guid group, Guid id) {
    const auto deadline = context_.now() + context_.config.fetch_timeout;
    auto address = co_await holders_.resolve(node, deadline);
    if (!address) co_return base::Error{base::Errc::unreachable, node.short_hex()};
    auto answer = co_await fetch_at(context_, std::move(*address), group, id, deadline);
    if (!answer) co_return std::move(answer).error();
    if (!answer->header.empty()) co_return Errc::block_not_found;  // it names others: it has lost it
    co_return std::move(answer->payload);
}

Task<Result<std::vector<bool>>> Diverter::retag(NodeId node, Guid group, Tag tag, std::vector<Guid> ids, bool untag) {
    // Whoever touches gives us call_timeout for all of it.
    const auto deadline = context_.now() + context_.config.call_timeout * 2 / 3;
    const auto address = co_await holders_.resolve(node, deadline);
    if (!address) co_return base::Error{base::Errc::unreachable, node.short_hex()};
    std::vector<bool> kept;
    for (std::size_t begin = 0; begin < ids.size(); begin += kMaxBlocksPerRequest) {
        const auto end = std::min(ids.size(), begin + kMaxBlocksPerRequest);
        RetagRequest request;
        request.request.group = group;
        request.request.tag = tag;
        request.request.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                   ids.begin() + static_cast<std::ptrdiff_t>(end));
        request.untag = untag;
        auto header = encode(request);
        auto to = *address;
        const auto answer = co_await context_.call(std::move(to), Verb::retag, std::move(header), deadline);
        if (!answer) co_return answer.error();
        BASE_CO_TRY(const auto reply, decode<BitsReply>(answer->header));
        if (reply.bits.size() != end - begin) co_return base::Errc::bad_format;
        for (const auto bit : reply.bits) kept.push_back(bit == 1);
    }
    co_return kept;
}

// --- reviews

Task<void> Diverter::run() {
    context_.work.spawn(take_home_always());
    for (;;) {
        co_await sleep_a_period();
        co_await review_all();
        co_await let_diverted_go();
    }
}

Task<void> Diverter::sleep_a_period() {
    const auto jitter = 0.5 + context_.env.rng.unit();
    co_await context_.env.clock.sleep_for(
        std::chrono::duration_cast<base::Duration>(context_.config.review_period * jitter));
}

Task<void> Diverter::review_all() {
    for (const auto& [group, entries] : store_.pointers().by_group()) {
        for (const auto& [node, total] : store_.pointers().totals(group)) to_review_.emplace(node, group);
    }
    // What is sent from now on is asked about the next time, whatever is answered until then.
    std::map<NodeId, std::vector<Guid>> by_node;
    for (const auto& [node, group] : std::exchange(to_review_, {})) by_node[node].push_back(group);
    for (const auto& [node, groups] : by_node) {
        answered_at_.try_emplace(node, context_.now());
        co_await review(node, groups);
    }
    std::erase_if(answered_at_, [&](const auto& entry) { return !by_node.contains(entry.first); });
    std::erase_if(silent_, [&](const auto& entry) { return !by_node.contains(entry.first); });
    std::erase_if(missed_, [&](const auto& entry) { return !by_node.contains(entry.first); });
}

void Diverter::heard_from_diversion_host(const NodeId& node) {
    answered_at_[node] = context_.now();
    missed_.erase(node);
}

void Diverter::missed_a_review(const NodeId& node) {
    missed_[node] += context_.calls.declared_dead(node) ? kMissesOfTheAbsent : 1;
}

void Diverter::left(const NodeId& node) {
    if (answered_at_.contains(node) && context_.calls.declared_dead(node)) missed_[node] = kMissesOfTheAbsent;
}

bool Diverter::is_away(const NodeId& node) const {
    const auto missed = missed_.find(node);
    return missed != missed_.end() && missed->second >= kMissesOfTheAbsent;
}

/// A group is asked about again until it is heard that nothing lies there: a diverted replica that is young is not
/// freed yet.
Task<void> Diverter::review(NodeId node, std::vector<Guid> groups) {
    const auto address = co_await holders_.resolve(node, context_.now() + context_.config.call_timeout);
    bool answered = address.has_value();
    bool heard = false;
    for (std::size_t begin = 0; answered && begin < groups.size(); begin += kMaxCompareEntries) {
        ReviewRequest request;
        std::vector<Ledger::Total> expected;
        for (auto i = begin; i < std::min(groups.size(), begin + kMaxCompareEntries); ++i) {
            request.groups.push_back(groups[i]);
            expected.push_back(store_.pointers().total(groups[i], node));
        }
        auto header = encode(request);
        auto to = *address;
        const auto deadline = context_.now() + context_.config.call_timeout;
        const auto answer = co_await context_.call(std::move(to), Verb::review, std::move(header), deadline);
        if (answer) heard_from_diversion_host(node);
        heard = heard || answer.has_value();
        const auto reply = answer ? decode<CompareReply>(answer->header) : Result<CompareReply>{answer.error()};
        answered = reply && reply->entries.size() == request.groups.size();
        for (std::size_t i = 0; answered && i < request.groups.size(); ++i) {
            const auto& theirs = reply->entries[i];
            if (theirs.blocks > 0) to_review_.emplace(node, request.groups[i]);
            if (expected[i].blocks == theirs.blocks && expected[i].digest == theirs.digest) continue;
            answered = co_await claim(*address, request.groups[i]);
        }
    }
    if (!heard) missed_a_review(node);
    if (answered) {
        co_await audit(node);
    } else {
        for (const auto& group : groups) to_review_.emplace(node, group);
    }
    const bool away = context_.now() - answered_at_[node] >= context_.membership.policy().repair_after ||
                      context_.membership.roster().removed(node);
    // One that drains is given up while it still has everything: it hands over itself what nobody claims there.
    const bool drains = context_.membership.roster().draining(node);
    if (away || drains || shows_nothing(node)) co_await give_up(node);
    // Who hears nothing for so long frees them by itself.
    if (away) std::erase_if(to_review_, [&](const Whose& whose) { return whose.first == node; });
}

/// Lists are cheap to keep without the blocks: one of them, whichever, has to be there in full. What it says it has not
/// is dropped.
Task<void> Diverter::audit(NodeId node) {
    std::vector<std::pair<Guid, std::uint64_t>> groups;
    std::uint64_t blocks = 0;
    for (const auto& [group, entries] : store_.pointers().by_group()) {
        const auto here = store_.pointers().total(group, node).blocks;
        if (here > 0) groups.emplace_back(group, blocks += here);
    }
    if (blocks == 0) co_return;
    const auto drawn = context_.env.rng.below(blocks);
    const auto at = std::ranges::upper_bound(groups, drawn, {}, &std::pair<Guid, std::uint64_t>::second);
    const auto entries = store_.pointers().of_node(node, at->first);
    const auto nth = drawn - (at->second - entries.size());
    const auto& [id, entry] = *std::next(entries.begin(), static_cast<std::ptrdiff_t>(nth));
    co_await context_.priority_throttle.yield_to_clients(entry.bytes);
    const auto bytes = co_await store_.get(id);
    const bool lost = !bytes && (bytes.error() == Errc::block_not_found || bytes.error() == Errc::corrupt_block);
    if (bytes || lost) {
        silent_.erase(node);
    } else {
        ++silent_.try_emplace(node, Silence{context_.now(), 0}).first->second.times;
    }
    if (bytes) co_return;
    context_.log(base::Log::Level::info, "{} cannot show {} that it keeps for us: {}", node.short_hex(), id.short_hex(),
                 bytes.error().message());
}

/// As long as one that is away is waited for. Reviews are answered from memory: a disk that hangs shows only here.
bool Diverter::shows_nothing(const NodeId& node) const {
    constexpr unsigned kTimes = 3;
    const auto silence = silent_.find(node);
    return silence != silent_.end() && silence->second.times >= kTimes &&
           context_.now() - silence->second.since >= context_.membership.policy().repair_after;
}

/// Names all that we diverted to `node` of the group; what it does not keep is lost, and what we do not name is free.
/// Where that group became the diversion host's own it says that it lost all, and keeps its marks until we no longer
/// name it: what counts here and there counts twice.
Task<bool> Diverter::claim(base::Address node, Guid group) {
    Ledger::Entries lost;
    if (!co_await claim_all(node, group, lost)) co_return false;
    if (lost.empty()) co_return true;
    context_.log(base::Log::Level::info, "{} lost what it kept for us: blocks {}", node.id.short_hex(), lost.size());
    if (!co_await store_.drop_pointers(std::move(lost))) co_return true;  // found again by the next review
    Ledger::Entries lost_since;
    co_return co_await claim_all(std::move(node), group, lost_since);
}

Task<bool> Diverter::claim_all(base::Address node, Guid group, Ledger::Entries& lost) {
    const auto asked = store_.pointers().of_node(node.id, group);  // as they are before the question
    std::vector<Guid> ids;
    for (const auto& [id, entry] : asked) ids.push_back(id);
    Guid::Array ones;
    ones.fill(0xFF);
    Guid after;
    for (std::size_t begin = 0; begin == 0 || begin < ids.size(); begin += kMaxBlocksPerRequest) {
        const auto end = std::min(ids.size(), begin + kMaxBlocksPerRequest);
        ClaimRequest request{group, after, end == ids.size() ? Guid{ones} : ids[end - 1], {}};
        request.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                           ids.begin() + static_cast<std::ptrdiff_t>(end));
        after = request.up_to;
        auto header = encode(request);
        const auto deadline = context_.now() + context_.config.call_timeout;
        auto to = node;
        const auto answer = co_await context_.call(std::move(to), Verb::claim, std::move(header), deadline);
        const auto reply = answer ? decode<BitsReply>(answer->header) : Result<BitsReply>{answer.error()};
        if (!reply || reply->bits.size() != request.ids.size()) co_return false;
        for (std::size_t i = 0; i < request.ids.size(); ++i) {
            if (reply->bits[i] == 0) lost.insert(*asked.find(request.ids[i]));
        }
    }
    co_return true;
}

/// It is away for repair_after, or shows nothing: what it kept is made anew like the copies of any holder that is gone.
Task<void> Diverter::give_up(NodeId node) {
    auto kept = store_.pointers().of_node(node);
    if (kept.empty()) co_return;
    context_.log(base::Log::Level::info, "{} is given up with what it kept for us: blocks {}", node.short_hex(),
                 kept.size());
    (void)co_await store_.drop_pointers(std::move(kept));
}

/// Beside the reviews: it may take days.
Task<void> Diverter::take_home_always() {
    for (;;) {
        co_await sleep_a_period();
        co_await take_home();
    }
}

Task<void> Diverter::take_home() {
    auto room = store_.room();
    if (store_.pointers().empty() || !store_.could_take_home(1, room)) co_return;
    base::TokenBucket bucket{context_.env.clock, context_.config.take_home_bytes_per_second,
                             context_.config.take_home_bytes_per_second};
    std::vector<std::pair<Guid, std::uint32_t>> all;
    for (const auto& [group, entries] : store_.pointers().by_group()) {
        for (const auto& [id, entry] : entries) all.emplace_back(id, entry.bytes);
    }
    std::set<NodeId> away;  // the next time is soon enough
    for (const auto& [id, bytes] : all) {
        const auto* pointer = store_.pointers().find(id);
        if (pointer == nullptr || away.contains(pointer->node) || !store_.could_take_home(bytes, room)) continue;
        const auto node = pointer->node;
        co_await bucket.take(bytes);
        co_await context_.priority_throttle.yield_to_clients(bytes);
        const auto taken = co_await store_.take_home(id);
        if (taken) ++context_.counters.blocks_taken_home;
        if (!taken && is_absence(taken.error())) away.insert(node);
        room = store_.room();
    }
}

// --- diverted replicas

bool Diverter::is_placed_here(const Guid& group) const {
    const auto set = holders_.local(group, context_.membership.copies());
    return set && set->placed_on(context_.self());
}

bool Diverter::takes_writes(const Guid& group) const {
    const auto set = holders_.local(group, context_.membership.copies());
    return set && (set->placed_on(context_.self()) || set->written_by(context_.self()));
}

Task<Result<void>> Diverter::on_store(NodeId primary, StoreRequest request, std::vector<Block> blocks) {
    if (takes_writes(request.group)) co_return base::Error{base::Errc::denied, "a holder of that place itself"};
    BASE_CO_CHECK(co_await store_.keep_for(primary, request.group, std::move(request.tags), std::move(blocks)));
    // What is refused leaves no trace. Until here it was under way, and so not free either.
    for (const auto& id : request.ids) young_[id] = context_.now() + context_.config.diverted_forgiveness;
    heard_from_[{primary, request.group}] = context_.now();
    co_return base::ok();
}

CompareReply Diverter::on_review(const NodeId& primary, const ReviewRequest& request) {
    CompareReply reply;
    for (const auto& group : request.groups) {
        if (store_.diverted_replicas().total(group, primary).blocks > 0) heard_from_[{primary, group}] = context_.now();
        auto total = store_.kept_for(primary, group);
        if (is_placed_here(group)) total.digest = {};  // that of no blocks: whoever diverted some has to claim them
        reply.entries.push_back({total.blocks, total.digest});
    }
    return reply;
}

Task<Result<BitsReply>> Diverter::on_claim(NodeId primary, ClaimRequest request) {
    // What became ours by a change of the ring is a diverted replica until its primary has stopped to count it. While
    // we stand in for somebody it stays one: we take no puts of it, and will be none of the holders again.
    const bool ours = is_placed_here(request.group);
    BitsReply reply;
    for (const auto& id : request.ids) {
        const auto* diverted_replica = store_.diverted_replicas().find(id);
        const bool kept =
            !ours && diverted_replica != nullptr && diverted_replica->node == primary && store_.holds_bytes(id);
        reply.bits.push_back(kept ? 1 : 0);
    }
    const std::set<Guid> claimed{request.ids.begin(), request.ids.end()};
    std::vector<Guid> free;
    const auto entries = store_.diverted_replicas().by_group().find(request.group);
    if (entries != store_.diverted_replicas().by_group().end()) {
        const auto& diverted_replicas = entries->second;
        for (auto at = diverted_replicas.upper_bound(request.after);
             at != diverted_replicas.end() && at->first <= request.up_to; ++at) {
            if (at->second.node != primary || claimed.contains(at->first) || store_.is_under_way(at->first)) continue;
            const auto young = young_.find(at->first);
            if (young == young_.end() || young->second <= context_.now()) free.push_back(at->first);
        }
    }
    if (!free.empty()) BASE_CO_CHECK(co_await store_.release(std::move(free)));
    co_return reply;
}

Task<Result<BitsReply>> Diverter::on_retag(NodeId primary, RetagRequest request) {
    const auto& what = request.request;
    BASE_CO_TRY(const auto kept, co_await store_.retag_for(primary, what.tag, what.ids, request.untag));
    BitsReply reply;
    for (const bool one : kept) reply.bits.push_back(one ? 1 : 0);
    for (const auto& id : what.ids) {
        if (!store_.diverted_replicas().contains(id)) young_.erase(id);
    }
    co_return reply;
}

/// Of whoever did not ask about their group for so long that what it diverted there was given up, or forgotten.
Task<void> Diverter::let_diverted_go() {
    const auto now = context_.now();
    std::erase_if(young_, [&](const auto& entry) { return entry.second <= now; });
    std::set<Whose> all;
    std::vector<Guid> forgotten;
    const auto patience = context_.membership.policy().repair_after + 3 * context_.config.review_period;
    for (const auto& [group, entries] : store_.diverted_replicas().by_group()) {
        std::set<NodeId> silent;
        for (const auto& [node, total] : store_.diverted_replicas().totals(group)) {
            all.emplace(node, group);
            const auto heard = heard_from_.try_emplace({node, group}, now).first->second;
            if (now - heard >= patience) silent.insert(node);
        }
        if (silent.empty()) continue;
        for (const auto& [id, entry] : entries) {
            if (silent.contains(entry.node)) forgotten.push_back(id);
        }
    }
    std::erase_if(heard_from_, [&](const auto& entry) { return !all.contains(entry.first); });
    if (!forgotten.empty()) (void)co_await store_.release(std::move(forgotten));
}

}  // namespace past
