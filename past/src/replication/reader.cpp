#include "replication/reader.hpp"

#include <algorithm>
#include <deque>

#include "replication/batch.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::SharedBytes;
using base::Task;
using base::TimePoint;

namespace {

/// A disk may take as long to read a block before others are asked for it.
constexpr std::chrono::milliseconds kDiskPatience{50};

}  // namespace

/// One that was asked.
struct Reader::Attempt {
    base::NodeId peer;
    bool holder = true;
    bool copy_holder = false;
    bool own = false;  ///< our own store, which may have to ask whoever keeps the block in our stead
    TimePoint begun;
    bool seen = false;
};

/// One get: whom to ask, who was asked, and what they said.
struct Reader::Search {
    Search(base::Executor executor, Guid group_in, Guid id_in)
        : group{group_in}, id{id_in}, attempts{executor}, gather{std::make_shared<Gather<Answer>>(executor)} {}

    struct Candidate {
        base::Address address;
        bool holder = true;        ///< of the group: what it says counts. Others may have the block, and need not
        bool copy_holder = false;  ///< found through the DOLR
    };
    [[nodiscard]] bool asked(const base::NodeId& node) const {
        return std::ranges::any_of(asks, [&](const Attempt& ask) { return ask.peer == node; });
    }
    [[nodiscard]] bool all_answered() const {
        return std::ranges::all_of(asks, [](const Attempt& ask) { return ask.seen; });
    }

    Guid group;
    Guid id;
    std::deque<Candidate> queue;
    std::vector<Attempt> asks;  // by the index of the answer; our own store is the first
    std::size_t unreachable = 0;
    std::size_t wrong = 0;
    std::optional<base::Error> own_error;  ///< why our own store cannot say whether it has it
    bool looked_for_misplaced = false;
    std::size_t at_once = 2;  ///< how many are asked, our own store included, without waiting for one of them
    bool held = false;        ///< the bytes are ours, by what our store says
    bool read_here = false;   ///< our own store had them
    base::TaskGroup attempts;
    std::shared_ptr<Gather<Answer>> gather;
};

Task<Result<SharedBytes>> Reader::get(Guid group, Guid id, TimePoint deadline) {
    ++context_.counters.gets;
    const auto search = std::make_shared<Search>(context_.env.executor, group, id);
    auto own = co_await read_here(search, deadline);
    if (own) co_return std::move(*own);
    if (auto cached = co_await cache_.get(id)) {
        ++context_.counters.cache_hits;
        co_return std::move(*cached);
    }
    auto set = co_await holders_.find(group, context_.membership.copies(), deadline);
    if (!set && search->all_answered()) co_return std::move(set).error();
    if (set) {
        line_up(*search, *set);
    } else {
        ++search->unreachable;
    }
    auto bytes = co_await run(search, deadline);
    if (bytes && !search->read_here) cache_.offer(group, id, *bytes);
    co_return bytes;
}

/// From our own store, which hashes what it reads; diverted replicas are there too. Not waited for longer than a holder
/// before a second one is asked: whoever keeps the block in our stead may be slow, and so may a disk.
Task<std::optional<SharedBytes>> Reader::read_here(std::shared_ptr<Search> search, TimePoint deadline) {
    search->held = context_.store.has(search->id);
    search->asks.push_back({context_.self(), true, false, true, context_.now(), false});
    spawn(search->attempts, search->gather, counted(context_.store.get(search->id)));
    const auto patience = std::max<base::Duration>(context_.latencies.hedge(), kDiskPatience);
    const auto until = std::min(deadline, context_.now() + patience);
    while (search->gather->pending > 0 && context_.now() < until) {
        co_await next_answer(context_.env.clock, search->gather, until);
    }
    auto found = look(*search);
    if (auto* bytes = std::get_if<SharedBytes>(&found)) co_return std::move(*bytes);
    co_return std::nullopt;
}

/// Nearest by what they took lately; nodes that are no holders come last, since they may have taken writes for one; and
/// whoever keeps copies off their place comes first if it is nearer than any holder.
void Reader::line_up(Search& search, const HolderSet& set) {
    auto writers = set.writers;
    std::ranges::stable_sort(writers, {}, [&](const auto& node) { return context_.latencies.expected(node.id()); });
    writers.insert(writers.end(), set.spare.begin(), set.spare.end());
    writers.insert(writers.end(), set.draining.begin(), set.draining.end());
    for (auto& node : writers) {
        if (node.id() != context_.self()) search.queue.push_back({std::move(node.address), true, false});
    }
    search.unreachable += set.gone;
    for (const auto& holder : set.placement) search.unreachable += holder.live ? 0 : 1;
    const auto nearest =
        search.queue.empty() ? base::Duration::max() : context_.latencies.expected(search.queue.front().address.id);
    auto copy_holders = misplaced_.known(search.group);
    std::erase_if(copy_holders, [&](const auto& copy_holder) { return set.written_by(copy_holder.address.id); });
    std::ranges::stable_sort(copy_holders, std::greater{}, [&](const auto& copy_holder) { return takes(copy_holder); });
    for (auto& copy_holder : copy_holders) {
        const auto id = copy_holder.address.id;
        const bool timed = context_.latencies.knows(id) || search.queue.empty();
        // How far an untimed one is from us only trying tells: beside the nearest holder, not before it.
        if (takes(copy_holder) / (timed ? 1 : 2) >= nearest) continue;
        const auto spare = std::ranges::find(search.queue, id, [](const auto& one) { return one.address.id; });
        const bool counts = spare != search.queue.end();  // it may be one of those that may have taken writes, too
        if (counts) search.queue.erase(spare);
        const auto at = timed || search.queue.empty() ? 0 : 1;
        search.queue.insert(search.queue.begin() + at, {std::move(copy_holder.address), counts, true});
        if (!timed) search.at_once = 3;
    }
}

/// As far as can be told before it was asked: the overlay's measurement, or the way that its announcement took.
base::Duration Reader::takes(const MisplacedCopies::CopyHolder& copy_holder) const {
    const auto& id = copy_holder.address.id;
    if (context_.latencies.knows(id)) return context_.latencies.expected(id);
    const auto hops = context_.kbr.next_hops(id, 1);
    const bool measured = !hops.empty() && hops[0].node.id() == id && hops[0].rtt > base::Duration{};
    return measured ? hops[0].rtt : copy_holder.round_trip;
}

void Reader::ask_next(Search& search, TimePoint deadline) {
    if (!search.all_answered()) ++context_.counters.hedged_gets;
    auto next = std::move(search.queue.front());
    search.queue.pop_front();
    search.asks.push_back({next.address.id, next.holder, next.copy_holder, false, context_.now(), false});
    const auto attempt = context_.attempt(deadline, context_.config.fetch_timeout);
    spawn(search.attempts, search.gather, counted(fetch(std::move(next.address), search.group, search.id, attempt)));
}

Task<Reader::Answer> Reader::counted(Task<Answer> attempt) {
    struct UnderWay {
        explicit UnderWay(Reader& reader_in) : reader{reader_in} {
            if (reader.under_way_++ == 0) reader.idle_.reset();
        }
        ~UnderWay() {
            if (--reader.under_way_ == 0) reader.idle_.set();
        }
        Reader& reader;
    };
    const UnderWay under_way{*this};
    co_return co_await std::move(attempt);
}

/// Of the answers that came since the last look: the bytes, or true if one came at all.
std::variant<bool, SharedBytes> Reader::look(Search& search) {
    bool news = false;
    for (std::size_t i = 0; i < search.asks.size(); ++i) {
        auto& ask = search.asks[i];
        const auto& answer = search.gather->answers[i];
        if (!answer || ask.seen) continue;
        ask.seen = news = true;
        if (ask.copy_holder) misplaced_.heard(search.group, ask.peer, answer->has_value());
        if (!*answer) {
            note_failure(search, ask, answer->error());
            continue;
        }
        if (ask.copy_holder) ++context_.counters.gets_of_misplaced;
        if (ask.own) search.read_here = true;
        if (!ask.own) note_times(search, ask);
        return **answer;
    }
    return news;
}

void Reader::note_failure(Search& search, const Attempt& ask, const base::Error& error) {
    if (error == Errc::corrupt_block) {
        ++search.wrong;
        if (!ask.own || !search.held) return;  // else it was found out now
        ++context_.counters.corrupt_blocks;
        context_.log(base::Log::Level::warning, "our copy of {} is damaged; asking others", search.id.short_hex());
    } else if (!(error == Errc::block_not_found)) {
        if (ask.holder) ++search.unreachable;
        if (ask.own) search.own_error = error;
        if (!ask.own) context_.latencies.observe(ask.peer, context_.now() - ask.begun, false);
    }
}

/// What the one that answered took, and that the others took longer.
void Reader::note_times(const Search& search, const Attempt& answered) {
    context_.latencies.observe(answered.peer, context_.now() - answered.begun, true);
    for (const auto& other : search.asks) {
        if (!other.seen && !other.own) context_.latencies.observe(other.peer, context_.now() - other.begun, false);
    }
}

Task<Reader::Answer> Reader::run(std::shared_ptr<Search> search, TimePoint deadline) {
    TimePoint next_start = context_.now();
    while (context_.now() < deadline) {
        auto found = look(*search);
        if (auto* bytes = std::get_if<SharedBytes>(&found)) co_return std::move(*bytes);
        if (std::get<bool>(found)) next_start = context_.now();  // one less to wait for: ask the next at once
        if (search->queue.empty() && search->all_answered()) {
            if (std::exchange(search->looked_for_misplaced, true)) break;
            // No holder has it, or can say: somebody else may.
            const auto attempt = context_.attempt(deadline, context_.config.call_timeout);
            for (auto& copy_holder : co_await misplaced_.find(search->group, attempt)) {
                if (!search->asked(copy_holder.address.id))
                    search->queue.push_back({std::move(copy_holder.address), false, true});
            }
            continue;
        }
        if (!search->queue.empty() && (context_.now() >= next_start || search->asks.size() < search->at_once)) {
            ask_next(*search, deadline);
            next_start = context_.now() + context_.latencies.hedge();
            continue;
        }
        const auto until = search->queue.empty() ? deadline : std::min(deadline, next_start);
        co_await next_answer(context_.env.clock, search->gather, until);
    }
    for (const auto& ask : search->asks) search->unreachable += ask.holder && !ask.seen ? 1 : 0;
    for (const auto& one : search->queue) search->unreachable += one.holder ? 1 : 0;
    // Only we could not say: then why we could not is what helps.
    if (search->unreachable == 1 && search->own_error) co_return *search->own_error;
    if (search->unreachable > 0) {
        holders_.forget(search->group);
        co_return base::Error{Errc::holders_unreachable, search->id.short_hex()};
    }
    if (search->wrong > 0) co_return base::Error{Errc::corrupt_block, search->id.short_hex()};
    co_return base::Error{Errc::block_not_found, search->id.short_hex()};
}

Task<Reader::Answer> Reader::fetch(base::Address holder, Guid group, Guid id, TimePoint deadline) {
    auto answer = co_await fetch_at(context_, holder, group, id, deadline);
    if (!answer || answer->header.empty()) co_return answer ? Answer{std::move(answer->payload)} : answer.error();
    // It had no room and says who keeps it: one step, not a chain. Several "no" count less than one who cannot say.
    BASE_CO_TRY(const auto elsewhere, decode<FetchReply>(answer->header));
    base::Error said{Errc::block_not_found};
    for (const auto& node : elsewhere.elsewhere) {
        auto there = co_await fetch_at(context_, node, group, id, deadline);
        if (there && there->header.empty()) co_return std::move(there->payload);
        const bool says_no = there || there.error() == Errc::block_not_found;
        if (!says_no && (said == Errc::block_not_found || is_absence(there.error()))) said = std::move(there).error();
    }
    co_return said;
}

}  // namespace past
